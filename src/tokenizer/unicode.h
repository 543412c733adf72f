/* unicode.h - what the tokenizer must know of characters: a class for each code point and the data
 * of NFC. The tables are generated, because ids must be those of Hugging Face's tokenizers: classes
 * of Unicode 16.0, NFC of Unicode 9.0. A system's library would follow its own version. */
#ifndef RZ_TOKENIZER_UNICODE_H
#define RZ_TOKENIZER_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum rz_char_class { /* general categories as far as patterns tell them apart */
    RZ_CLASS_OTHER = 0,
    RZ_CLASS_LU,
    RZ_CLASS_LL,
    RZ_CLASS_LT,
    RZ_CLASS_LM,
    RZ_CLASS_LO,
    RZ_CLASS_M,
    RZ_CLASS_N,
    RZ_CLASS_P,
    RZ_CLASS_S,
    RZ_CLASS_SPACE,   /* White_Space but for the next */
    RZ_CLASS_NEWLINE, /* \r and \n */
    RZ_N_CLASSES
};

/* Sets of classes. */
enum {
    RZ_SET_LU = 1 << RZ_CLASS_LU,
    RZ_SET_LL = 1 << RZ_CLASS_LL,
    RZ_SET_LT = 1 << RZ_CLASS_LT,
    RZ_SET_LM = 1 << RZ_CLASS_LM,
    RZ_SET_LO = 1 << RZ_CLASS_LO,
    RZ_SET_M = 1 << RZ_CLASS_M,
    RZ_SET_N = 1 << RZ_CLASS_N,
    RZ_SET_P = 1 << RZ_CLASS_P,
    RZ_SET_S = 1 << RZ_CLASS_S,
    RZ_SET_NEWLINE = 1 << RZ_CLASS_NEWLINE,
    RZ_SET_WHITE = 1 << RZ_CLASS_SPACE | RZ_SET_NEWLINE, /* \s */
    RZ_SET_L = RZ_SET_LU | RZ_SET_LL | RZ_SET_LT | RZ_SET_LM | RZ_SET_LO,
    RZ_SET_ALL = (1 << RZ_N_CLASSES) - 1
};

enum {
    RZ_UNICODE_BLOCK = 128,
    RZ_UNICODE_NFC_BIT = 0x80 /* combining class not 0, or NFC may change the character */
};

extern const uint16_t rz_unicode_index[0x110000 / RZ_UNICODE_BLOCK];
extern const uint8_t rz_unicode_blocks[];

/* Class and RZ_UNICODE_NFC_BIT of a code point below 0x110000. */
static inline uint8_t rz_unicode_flags(uint32_t cp)
{
    size_t block = rz_unicode_index[cp / RZ_UNICODE_BLOCK];
    return rz_unicode_blocks[block * RZ_UNICODE_BLOCK + cp % RZ_UNICODE_BLOCK];
}

/* The set that holds just the class of cp. */
static inline unsigned rz_unicode_set(uint32_t cp)
{
    return 1u << (rz_unicode_flags(cp) & 0x0F);
}

struct rz_nfc_mark { /* a run of characters that have RZ_UNICODE_NFC_BIT */
    uint32_t first, last;
    uint8_t combining_class;
    uint8_t unstable; /* NFC_Quick_Check is not Yes */
};

struct rz_nfc_pair { /* cp = a b; b is 0 for a decomposition to one character */
    uint32_t cp, a, b;
};

extern const struct rz_nfc_mark rz_nfc_marks[];
extern const size_t rz_n_nfc_marks;
extern const struct rz_nfc_pair rz_nfc_decompositions[]; /* one step each, sorted by cp */
extern const size_t rz_n_nfc_decompositions;
extern const struct rz_nfc_pair rz_nfc_compositions[]; /* primary composites, sorted by a, b */
extern const size_t rz_n_nfc_compositions;

/* The code point at text[*i] of valid UTF-8; *i moves behind it. */
static inline uint32_t rz_utf8_next(const char *text, size_t *i)
{
    const uint8_t *s = (const uint8_t *)text + *i;
    if (s[0] < 0x80) {
        *i += 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *i += 2;
        return (uint32_t)(s[0] & 0x1F) << 6 | (s[1] & 0x3Fu);
    }
    if (s[0] < 0xF0) {
        *i += 3;
        return (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3Fu);
    }
    *i += 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 |
           (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3Fu);
}

#endif
