/* json_scan.c - JSON from front to back, with the byte of every fault.
 *
 * Invariant: everything before pos has been checked, so rz_json_unescape only asserts.
 * Source: RFC 8259. */
#include "formats/json_scan.h"

#include "base/fail.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

rz_status rz_json_bad_fill(struct rz_json *j, size_t at, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(j->err, RZ_EFORMAT, "%s: JSON at byte %zu: %s", j->label, j->base + at, text);
}

/* What stands at pos, for messages. */
static rz_status expected(struct rz_json *j, const char *what)
{
    if (j->pos >= j->len)
        return rz_json_bad(j, j->pos, "ends where %s is expected", what);
    unsigned char c = (unsigned char)j->data[j->pos];
    if (c > 0x20 && c < 0x7F)
        return rz_json_bad(j, j->pos, "'%c' where %s is expected", c, what);
    return rz_json_bad(j, j->pos, "byte %02x where %s is expected", c, what);
}

char rz_json_peek(struct rz_json *j)
{
    while (j->pos < j->len) {
        char c = j->data[j->pos];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return c;
        j->pos++;
    }
    return '\0';
}

static rz_status take(struct rz_json *j, char c)
{
    char what[] = "'?'";
    if (rz_json_peek(j) == c && j->pos < j->len) {
        j->pos++;
        return RZ_OK;
    }
    what[1] = c;
    return expected(j, what);
}

rz_status rz_json_open(struct rz_json *j, char open)
{
    return take(j, open);
}

rz_status rz_json_more(struct rz_json *j, char open, size_t *n, bool *more)
{
    char close = open == '{' ? '}' : ']';
    char c = rz_json_peek(j);
    *more = false;
    if (c == close) {
        j->pos++;
        return RZ_OK;
    }
    if (*n > 0) {
        if (c != ',')
            return expected(j, open == '{' ? "',' or '}'" : "',' or ']'");
        j->pos++;
    }
    *more = true;
    ++*n;
    return RZ_OK;
}

/* The value of four hex digits at pos, or -1. */
static int hex4(const struct rz_json *j, size_t pos)
{
    int value = 0;
    if (j->len - pos < 4)
        return -1;
    for (size_t i = pos; i < pos + 4; i++) {
        char c = j->data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xD800 && unit < 0xDC00;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xDC00 && unit < 0xE000;
}

/* The escape at pos, a backslash. */
static rz_status pass_escape(struct rz_json *j)
{
    size_t at = j->pos;
    char c = j->len - at >= 2 ? j->data[at + 1] : '\0';
    if (c == 'u') {
        int unit = hex4(j, at + 2);
        if (unit < 0)
            return rz_json_bad(j, at, "\\u without four hex digits");
        j->pos = at + 6;
        if (is_high_surrogate(unit)) {
            bool pair = j->len - j->pos >= 6 && j->data[j->pos] == '\\' &&
                        j->data[j->pos + 1] == 'u' && is_low_surrogate(hex4(j, j->pos + 2));
            if (!pair)
                return rz_json_bad(j, at, "half of a surrogate pair");
            j->pos += 6;
        } else if (is_low_surrogate(unit)) {
            return rz_json_bad(j, at, "half of a surrogate pair");
        }
        return RZ_OK;
    }
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return rz_json_bad(j, at, "an unknown escape");
    j->pos = at + 2;
    return RZ_OK;
}

rz_status rz_json_string(struct rz_json *j, rz_slice *raw)
{
    RZ_TRY(take(j, '"'));
    size_t begin = j->pos;
    while (j->pos < j->len) {
        unsigned char c = (unsigned char)j->data[j->pos];
        if (c == '"') {
            *raw = (rz_slice){.data = j->data + begin, .len = j->pos++ - begin};
            return RZ_OK;
        }
        if (c == '\\') {
            RZ_TRY(pass_escape(j));
        } else if (c < 0x20) {
            return rz_json_bad(j, j->pos, "control character %02x in a string", c);
        } else if (c < 0x80) {
            j->pos++;
        } else {
            uint32_t cp;
            int n = rz_utf8_decode(j->data + j->pos, j->len - j->pos, &cp);
            if (n <= 0)
                return rz_json_bad(j, j->pos, "not UTF-8");
            j->pos += (size_t)n;
        }
    }
    return rz_json_bad(j, j->pos, "ends inside a string that began at byte %zu", j->base + begin);
}

rz_status rz_json_key(struct rz_json *j, rz_slice *raw)
{
    RZ_TRY(rz_json_string(j, raw));
    return take(j, ':');
}

static bool digit_at(const struct rz_json *j, size_t i)
{
    return i < j->len && j->data[i] >= '0' && j->data[i] <= '9';
}

static bool one_of_at(const struct rz_json *j, size_t i, const char *set)
{
    return i < j->len && j->data[i] != '\0' && strchr(set, j->data[i]);
}

static rz_status pass_digits(struct rz_json *j)
{
    if (!digit_at(j, j->pos))
        return expected(j, "a digit");
    while (digit_at(j, j->pos))
        j->pos++;
    return RZ_OK;
}

static rz_status pass_number(struct rz_json *j)
{
    j->pos += one_of_at(j, j->pos, "-");
    if (one_of_at(j, j->pos, "0") && digit_at(j, j->pos + 1))
        return rz_json_bad(j, j->pos, "a number with a leading zero");
    RZ_TRY(pass_digits(j));
    if (one_of_at(j, j->pos, ".")) {
        j->pos++;
        RZ_TRY(pass_digits(j));
    }
    if (one_of_at(j, j->pos, "eE")) {
        j->pos++;
        j->pos += one_of_at(j, j->pos, "+-");
        RZ_TRY(pass_digits(j));
    }
    return RZ_OK;
}

rz_status rz_json_u64(struct rz_json *j, uint64_t *value)
{
    rz_json_peek(j);
    size_t at = j->pos;
    if (!digit_at(j, at))
        return expected(j, "a non-negative integer");
    RZ_TRY(pass_number(j));
    *value = 0;
    for (size_t i = at; i < j->pos; i++) {
        if (!digit_at(j, i))
            return rz_json_bad(j, at, "a number where a non-negative integer is expected");
        if (__builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(j->data[i] - '0'), value))
            return rz_json_bad(j, at, "an integer above 2^64");
    }
    return RZ_OK;
}

/* A value that holds no others. */
static rz_status pass_scalar(struct rz_json *j)
{
    static const char *const words[] = {"true", "false", "null"};
    rz_slice raw;
    char c = rz_json_peek(j);
    if (c == '"')
        return rz_json_string(j, &raw);
    if (c == '-' || (c >= '0' && c <= '9'))
        return pass_number(j);
    for (size_t i = 0; i < RZ_ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        if (j->len - j->pos >= n && memcmp(j->data + j->pos, words[i], n) == 0) {
            j->pos += n;
            return RZ_OK;
        }
    }
    return expected(j, "a value");
}

/* The containers that are open, innermost last, and how many elements each has had. */
struct nesting {
    char open[RZ_JSON_MAX_DEPTH];
    size_t n[RZ_JSON_MAX_DEPTH];
    size_t depth;
};

/* Passes the beginning of a value: all of a scalar, or the bracket of a container. */
static rz_status begin_value(struct rz_json *j, struct nesting *s)
{
    char c = rz_json_peek(j);
    if (c != '{' && c != '[')
        return pass_scalar(j);
    if (s->depth == RZ_JSON_MAX_DEPTH)
        return rz_json_bad(j, j->pos, "nested deeper than %d", RZ_JSON_MAX_DEPTH);
    s->open[s->depth] = c;
    s->n[s->depth++] = 0;
    return rz_json_open(j, c);
}

rz_status rz_json_skip(struct rz_json *j, rz_slice *range)
{
    struct nesting s = {.depth = 0};
    rz_slice key;
    rz_json_peek(j);
    size_t begin = j->pos;
    RZ_TRY(begin_value(j, &s));
    while (s.depth > 0) {
        bool more;
        char open = s.open[s.depth - 1];
        RZ_TRY(rz_json_more(j, open, &s.n[s.depth - 1], &more));
        if (!more) {
            s.depth--;
            continue;
        }
        if (open == '{')
            RZ_TRY(rz_json_key(j, &key));
        RZ_TRY(begin_value(j, &s));
    }
    *range = (rz_slice){.data = j->data + begin, .len = j->pos - begin};
    return RZ_OK;
}

rz_status rz_json_end(struct rz_json *j)
{
    rz_json_peek(j);
    return j->pos == j->len ? RZ_OK : expected(j, "the end");
}

/* The code point of the \u escape (or pair of them) at raw[i], and where it ends. */
static uint32_t unescape_unit(rz_slice raw, size_t *i)
{
    const struct rz_json j = {.data = raw.data, .len = raw.len};
    int unit = hex4(&j, *i + 2);
    *i += 6;
    if (is_high_surrogate(unit)) {
        int low = hex4(&j, *i + 2);
        *i += 6;
        return 0x10000u + ((uint32_t)(unit - 0xD800) << 10 | (uint32_t)(low - 0xDC00));
    }
    RZ_ASSERT(unit >= 0);
    return (uint32_t)unit;
}

size_t rz_json_unescape(rz_slice raw, char *out)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *first = raw.len ? memchr(raw.data, '\\', raw.len) : NULL;
    size_t i = first ? (size_t)(first - raw.data) : raw.len, n = i;
    if (n > 0 && out != raw.data)
        memcpy(out, raw.data, n);
    while (i < raw.len) {
        if (raw.data[i] != '\\') {
            out[n++] = raw.data[i++];
        } else if (raw.data[i + 1] == 'u') {
            n += (size_t)rz_utf8_encode(unescape_unit(raw, &i), out + n);
        } else {
            const char *letter = strchr(letters, raw.data[i + 1]);
            RZ_ASSERT(letter != NULL);
            out[n++] = meanings[letter - letters];
            i += 2;
        }
    }
    return n;
}
