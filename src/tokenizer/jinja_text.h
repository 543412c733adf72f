/* jinja_text.h - UTF-8 text by code point, as Python's str sees it. Text is valid UTF-8. */
#ifndef RZ_TOKENIZER_JINJA_TEXT_H
#define RZ_TOKENIZER_JINJA_TEXT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at s[0..len), len > 0; *n_bytes its length. */
uint32_t rz_j_text_at(const char *s, size_t len, size_t *n_bytes);
/* The last code point of s[0..len), len > 0. */
uint32_t rz_j_text_last(const char *s, size_t len, size_t *n_bytes);
size_t rz_j_text_count(const char *s, size_t len);
/* Byte offset of code point index (len if beyond). */
size_t rz_j_text_offset(const char *s, size_t len, size_t index);

bool rz_j_is_space(uint32_t c);     /* str.isspace */
bool rz_j_is_printable(uint32_t c); /* str.isprintable */
bool rz_j_is_alpha(uint32_t c);
bool rz_j_is_digit(uint32_t c);   /* also superscripts, as str.isdigit */
bool rz_j_is_decimal(uint32_t c); /* category Nd */
bool rz_j_is_upper(uint32_t c);
bool rz_j_is_lower(uint32_t c);
bool rz_j_is_line_end(uint32_t c); /* where str.splitlines cuts */

/* Cuts *s, *len; chars NULL means whitespace. */
void rz_j_strip_left(const char **s, size_t *len, const char *chars, size_t n_chars);
void rz_j_strip_right(const char **s, size_t *len, const char *chars, size_t n_chars);

bool rz_j_add_code_point(struct rz_buf *b, uint32_t c);
/* Append the text in upper, lower, title case; swapped. */
void rz_j_add_upper(struct rz_buf *b, const char *s, size_t len);
void rz_j_add_lower(struct rz_buf *b, const char *s, size_t len);
void rz_j_add_title(struct rz_buf *b, const char *s, size_t len);       /* str.title */
void rz_j_add_capitalized(struct rz_buf *b, const char *s, size_t len); /* str.capitalize */
void rz_j_add_swapped(struct rz_buf *b, const char *s, size_t len);

/* First or last occurrence of needle at or after from; SIZE_MAX if none. An empty needle is found
 * at from (or at len). */
size_t rz_j_text_find(const char *s, size_t len, const char *needle, size_t n, size_t from);
size_t rz_j_text_rfind(const char *s, size_t len, const char *needle, size_t n);

/* Python's int(text) and float(text): surrounding whitespace, underscores between digits. base is
 * 0 or 2 to 36. *overflow tells a well-formed number beyond int64. */
bool rz_j_parse_int(const char *s, size_t len, int base, int64_t *value, bool *overflow);
bool rz_j_parse_float(const char *s, size_t len, double *value);

/* repr(float): the shortest digits that read back the same. Locale-independent. */
void rz_j_add_float(struct rz_buf *b, double f);
/* "%.*e", "%.*f" or "%.*g" with a point whatever the locale. */
void rz_j_add_float_as(struct rz_buf *b, double f, char conversion, int precision, bool alternate);

#endif
