/* utf8.c - strict UTF-8 (RFC 3629, section 4's table of well-formed sequences). */
#include "base/utf8.h"

/* Lowest code point that a sequence of n bytes may stand for. */
static const uint32_t min_of_len[5] = {0, 0, 0x80, 0x800, 0x10000};

static int sequence_len(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead < 0xE0)
        return 2;
    if (lead >= 0xE0 && lead < 0xF0)
        return 3;
    if (lead >= 0xF0 && lead < 0xF5)
        return 4;
    return 0;
}

int rz_utf8_decode(const char *text, size_t len, uint32_t *code_point)
{
    const uint8_t *s = (const uint8_t *)text;
    int n = sequence_len(s[0]);
    if (n <= 1) {
        *code_point = s[0];
        return n;
    }
    uint32_t c = s[0] & (0x7Fu >> n);
    /* The second byte alone decides overlong forms, surrogates and the upper end. */
    for (int i = 1; i < n; i++) {
        if ((size_t)i >= len)
            return -1;
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3F);
        if (i == 1) {
            uint32_t low = c << (6 * (n - 2)), high = low | ((1u << (6 * (n - 2))) - 1);
            if (high < min_of_len[n] || low > 0x10FFFF || (low >= 0xD800 && high <= 0xDFFF))
                return 0;
        }
    }
    *code_point = c;
    return n;
}

int rz_utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xF0) | c);
    return n;
}

size_t rz_utf8_valid(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        uint32_t c;
        int n = rz_utf8_decode(text + i, len - i, &c);
        if (n <= 0)
            break;
        i += (size_t)n;
    }
    return i;
}
