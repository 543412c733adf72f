/* jinja_text.c - the parts of Python's str, int() and float() that work on plain text.
 *
 * Case mapping and character classes come from utf8proc (Unicode 15); of the special casing rules
 * only those that change German and ligature-free text are kept: U+00DF uppercases to SS. */
#include "tokenizer/jinja_text.h"

#include "base/utf8.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

uint32_t rz_j_text_at(const char *s, size_t len, size_t *n_bytes)
{
    uint32_t c = (uint8_t)s[0];
    if (c < 0x80) {
        *n_bytes = 1;
        return c;
    }
    int n = rz_utf8_decode(s, len, &c);
    *n_bytes = n > 0 ? (size_t)n : 1;
    return n > 0 ? c : 0xFFFD;
}

uint32_t rz_j_text_last(const char *s, size_t len, size_t *n_bytes)
{
    size_t i = len - 1;
    while (i > 0 && ((uint8_t)s[i] & 0xC0) == 0x80)
        i--;
    *n_bytes = len - i;
    size_t n;
    return rz_j_text_at(s + i, len - i, &n);
}

size_t rz_j_text_count(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((uint8_t)s[i] & 0xC0) != 0x80;
    return n;
}

size_t rz_j_text_offset(const char *s, size_t len, size_t index)
{
    for (size_t i = 0; i < len; i++)
        if (((uint8_t)s[i] & 0xC0) != 0x80 && index-- == 0)
            return i;
    return len;
}

bool rz_j_is_space(uint32_t c)
{
    if (c < 0x80)
        return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool rz_j_is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

bool rz_j_is_printable(uint32_t c)
{
    if (c < 0x7F)
        return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

bool rz_j_is_alpha(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool rz_j_is_decimal(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

bool rz_j_is_digit(uint32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    return rz_j_is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
           (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
           (c >= 0x2460 && c <= 0x2468);
}

bool rz_j_is_upper(uint32_t c)
{
    return c < 0x80 ? c >= 'A' && c <= 'Z' : utf8proc_isupper((utf8proc_int32_t)c) != 0;
}

bool rz_j_is_lower(uint32_t c)
{
    return c < 0x80 ? c >= 'a' && c <= 'z' : utf8proc_islower((utf8proc_int32_t)c) != 0;
}

static bool is_one_of(uint32_t c, const char *chars, size_t n_chars)
{
    if (!chars)
        return rz_j_is_space(c);
    for (size_t i = 0, n; i < n_chars; i += n)
        if (rz_j_text_at(chars + i, n_chars - i, &n) == c)
            return true;
    return false;
}

void rz_j_strip_left(const char **s, size_t *len, const char *chars, size_t n_chars)
{
    size_t n;
    while (*len && is_one_of(rz_j_text_at(*s, *len, &n), chars, n_chars)) {
        *s += n;
        *len -= n;
    }
}

void rz_j_strip_right(const char **s, size_t *len, const char *chars, size_t n_chars)
{
    size_t n;
    while (*len && is_one_of(rz_j_text_last(*s, *len, &n), chars, n_chars))
        *len -= n;
}

bool rz_j_add_code_point(struct rz_buf *b, uint32_t c)
{
    char bytes[4];
    int n = rz_utf8_encode(c, bytes);
    return rz_buf_add(b, bytes, (size_t)n);
}

static void add_upper(struct rz_buf *b, uint32_t c)
{
    if (c == 0xDF)
        rz_buf_str(b, "SS");
    else
        rz_j_add_code_point(b, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c));
}

static void add_title(struct rz_buf *b, uint32_t c)
{
    if (c == 0xDF)
        rz_buf_str(b, "Ss");
    else
        rz_j_add_code_point(b, (uint32_t)utf8proc_totitle((utf8proc_int32_t)c));
}

static void add_lower(struct rz_buf *b, uint32_t c)
{
    rz_j_add_code_point(b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

void rz_j_add_upper(struct rz_buf *b, const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n)
        add_upper(b, rz_j_text_at(s + i, len - i, &n));
}

void rz_j_add_lower(struct rz_buf *b, const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n)
        add_lower(b, rz_j_text_at(s + i, len - i, &n));
}

void rz_j_add_title(struct rz_buf *b, const char *s, size_t len)
{
    bool in_word = false;
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c = rz_j_text_at(s + i, len - i, &n);
        if (in_word)
            add_lower(b, c);
        else
            add_title(b, c);
        in_word = rz_j_is_upper(c) || rz_j_is_lower(c);
    }
}

void rz_j_add_capitalized(struct rz_buf *b, const char *s, size_t len)
{
    if (!len)
        return;
    size_t n;
    add_title(b, rz_j_text_at(s, len, &n));
    rz_j_add_lower(b, s + n, len - n);
}

void rz_j_add_swapped(struct rz_buf *b, const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c = rz_j_text_at(s + i, len - i, &n);
        if (rz_j_is_upper(c))
            add_lower(b, c);
        else
            add_upper(b, c);
    }
}

size_t rz_j_text_find(const char *s, size_t len, const char *needle, size_t n, size_t from)
{
    if (from > len || n > len - from)
        return SIZE_MAX;
    if (n == 0)
        return from;
    /* memmem of glibc is linear in the worst case too */
    const char *p = memmem(s + from, len - from, needle, n);
    return p ? (size_t)(p - s) : SIZE_MAX;
}

size_t rz_j_text_rfind(const char *s, size_t len, const char *needle, size_t n)
{
    if (n > len)
        return SIZE_MAX;
    size_t i = len - n;
    for (;; i--) {
        if (memcmp(s + i, needle, n) == 0)
            return i;
        if (i == 0)
            return SIZE_MAX;
    }
}

/* Copies text without surrounding space and without underscores between digits; false if it is
 * longer than any number or an underscore stands elsewhere. */
static bool clean_number(const char *s, size_t len, char *out, size_t cap)
{
    rz_j_strip_left(&s, &len, NULL, 0);
    rz_j_strip_right(&s, &len, NULL, 0);
    size_t k = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '_') {
            bool between = i > 0 && i + 1 < len && s[i - 1] != '_' && s[i + 1] != '_' &&
                           s[i - 1] != '.' && s[i + 1] != '.' && s[i - 1] != '+' && s[i - 1] != '-';
            if (!between)
                return false;
            continue;
        }
        if (k + 1 >= cap || (uint8_t)s[i] >= 0x80 || s[i] == '\0')
            return false;
        out[k++] = s[i];
    }
    out[k] = '\0';
    return k > 0;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* Skips 0x, 0o, 0b where the base allows it; *base 0 becomes what the prefix says. */
static const char *skip_prefix(const char *p, int *base)
{
    int prefix = 0;
    if (p[0] == '0' && p[1])
        prefix = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : (p[1] | 32) == 'b' ? 2 : 0;
    if (prefix && (*base == 0 || *base == prefix)) {
        *base = prefix;
        return p + 2;
    }
    if (*base == 0)
        *base = 10;
    return p;
}

bool rz_j_parse_int(const char *s, size_t len, int base, int64_t *value, bool *overflow)
{
    char text[512];
    *overflow = false;
    if (!clean_number(s, len, text, sizeof text))
        return false;
    const char *p = text;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    p = skip_prefix(p, &base);
    if (!*p)
        return false;
    int64_t v = 0;
    for (; *p; p++) {
        int d = digit_value(*p);
        if (d >= base)
            return false;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, negative ? -d : d, &v))
            *overflow = true;
    }
    *value = v;
    return !*overflow;
}

bool rz_j_parse_float(const char *s, size_t len, double *value)
{
    char text[512];
    if (!clean_number(s, len, text, sizeof text))
        return false;
    const char *p = text + (*text == '-' || *text == '+');
    /* strtod also reads hexadecimal and nan(...), which Python does not */
    if (strpbrk(p, "xXpP("))
        return false;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    char *end;
    *value = strtod_l(text, &end, c_locale);
    freelocale(c_locale);
    return *end == '\0' && end != text;
}

void rz_j_add_float_as(struct rz_buf *b, double f, char conversion, int precision, bool alternate)
{
    char format[8] = {'%', 0};
    char *p = format + 1;
    if (alternate)
        *p++ = '#';
    *p++ = '.';
    *p++ = '*';
    *p = conversion;
    char text[512]; /* 309 digits before the point, at most 100 after it */
    if (precision > 100)
        precision = 100;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale) {
        b->failed = true;
        return;
    }
    locale_t old = uselocale(c_locale);
    /* The format is one of six built above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(text, sizeof text, format, precision, f);
#pragma GCC diagnostic pop
    uselocale(old);
    freelocale(c_locale);
    if (n > 0 && (size_t)n < sizeof text)
        rz_buf_add(b, text, (size_t)n);
    else
        b->failed = true;
}

/* The shortest decimal digits that read back as f > 0, without trailing zeros; returns the
 * exponent of the first digit. */
static int shortest_digits(double f, char digits[24])
{
    char text[40];
    int n_digits = 0, exponent = 0;
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, f);
        if (precision < 16 && strtod(text, NULL) != f)
            continue;
        const char *p = text;
        for (; *p && *p != 'e'; p++) /* the decimal point is the locale's, so skipped by kind */
            if (*p >= '0' && *p <= '9')
                digits[n_digits++] = *p;
        exponent = *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
        break;
    }
    while (n_digits > 1 && digits[n_digits - 1] == '0')
        n_digits--;
    digits[n_digits] = '\0';
    return exponent;
}

void rz_j_add_float(struct rz_buf *b, double f)
{
    if (isnan(f)) {
        rz_buf_str(b, "nan");
        return;
    }
    if (signbit(f))
        rz_buf_char(b, '-');
    f = fabs(f);
    if (isinf(f)) {
        rz_buf_str(b, "inf");
        return;
    }
    char digits[24] = "0";
    int exponent = f == 0 ? 0 : shortest_digits(f, digits);
    int n = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16) {
        rz_buf_char(b, digits[0]);
        if (n > 1)
            rz_buf_printf(b, ".%s", digits + 1);
        rz_buf_printf(b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        rz_buf_str(b, "0.");
        for (int i = -1; i > exponent; i--)
            rz_buf_char(b, '0');
        rz_buf_str(b, digits);
    } else {
        for (int i = 0; i <= exponent; i++)
            rz_buf_char(b, i < n ? digits[i] : '0');
        rz_buf_char(b, '.');
        rz_buf_str(b, n > exponent + 1 ? digits + exponent + 1 : "0");
    }
}
