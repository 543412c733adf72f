/* utf8.h - strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef RZ_BASE_UTF8_H
#define RZ_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the code point at text[0..len). Returns its length in bytes (1 to 4), 0 if the bytes are
 * invalid, or -1 if they are the valid beginning of a sequence that len cuts off. len must be at
 * least 1. */
int rz_utf8_decode(const char *text, size_t len, uint32_t *code_point);

/* Writes code_point (valid) to out, returns the number of bytes (1 to 4). */
int rz_utf8_encode(uint32_t code_point, char out[4]);

/* Bytes of text that are valid UTF-8 from its start: len if all of it is. */
size_t rz_utf8_valid(const char *text, size_t len);

#endif
