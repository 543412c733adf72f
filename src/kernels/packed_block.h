/* packed_block.h - what a packed format (pack.h) is to the SIMD matrix products: factors and codes
 * of the blocks of a tile, as vectors whose lanes are rows. w = scale * (code - 2^shift) - min.
 * With 8 lanes a tile is read as two halves, h = 0 and 1: rows 0-7 and 8-15.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_PACKED_BLOCK_H
#define RZ_KERNELS_PACKED_BLOCK_H

#include "quant/pack.h"

#include <stdbool.h>

enum {
    HALVES = RZ_STRIP_ROWS / LANES,
    AHEAD_BYTES = 4096 /* of the prefetches */
};

/* Asks for what lies AHEAD_BYTES after the n bytes at p, n constant. With several tokens the CPU's
 * own prefetchers are too late: out-of-order execution sees one block ahead at most. once: it is
 * read a single time, so that nothing else need leave the L2 cache for it (decoding: 2 to 5 %
 * faster). Unrolled: as a loop within that of the blocks it took 4 to 15 % longer. */
RZ_INLINE void ask_ahead(const uint8_t *p, uint32_t n, bool once)
{
    RZ_UNROLL
    for (uint32_t i = 0; i < n; i += 64) {
        if (once)
            __builtin_prefetch(p + AHEAD_BYTES + i, 0, 0);
        else
            __builtin_prefetch(p + AHEAD_BYTES + i, 0, 3);
    }
}

/* Of LANES rows of a tile: per block of 32 columns one scale and min, or one per 16 columns; in
 * [0] alone if the format has one per 32. */
struct factors {
    _Alignas(64) float scale[8][2][LANES];
    float min[8][2][LANES];
};

/* What the multiplication has to know of a format. */
struct kind {
    int max_code; /* bounds the integer sums, see vi_dots */
    int shift;    /* w = scale * (code - 2^shift); negative: w = scale * code */
    bool per16;   /* scales and mins are per 16 columns */
    bool has_min;
};

/* tile: of 16 rows. */
typedef void factors_fn(const uint8_t *tile, int h, struct factors *out);

/* The codes of 32 columns: code[g] has columns 4g ... 4g + 3 in the bytes of the rows' lanes. p:
 * where the block's codes begin. */
typedef void codes_fn(const uint8_t *p, int h, vint code[8]);

/* A format. Codes of block i of a tile begin at codes_at + i * codes_bytes. */
struct format {
    factors_fn *factors;
    codes_fn *codes;
    uint32_t block_len, tile_bytes, codes_at, codes_bytes;
    struct kind kind;
};

/* Vector i at p, and the vectors of smaller elements at p: of rows 8h on with 8 lanes. */
RZ_INLINE vint load_vec(const uint8_t *p, int i, int h)
{
    return vi_load(p + 64 * i + 4 * LANES * h);
}

RZ_INLINE vflt load_halves(const uint8_t *p, int h)
{
    return vf_load_f16(p + 2 * LANES * h);
}

RZ_INLINE void codes_nibbles(const uint8_t *p, int h, vint code[8])
{
    const vint mask = vi_set1(0x0F0F0F0F);
    RZ_UNROLL
    for (int j = 0; j < 4; j++) {
        vint v = load_vec(p, j, h);
        code[j] = vi_and(v, mask);
        code[4 + j] = vi_and(vi_srl(v, 4), mask);
    }
}

RZ_INLINE void codes_pairs(const uint8_t *p, int h, vint code[8])
{
    const vint mask = vi_set1(0x03030303);
    RZ_UNROLL
    for (int k = 0; k < 2; k++) {
        vint v = load_vec(p, k, h);
        RZ_UNROLL
        for (unsigned f = 0; f < 4; f++)
            code[4 * k + (int)f] = vi_and(f ? vi_srl(v, 2 * f) : v, mask);
    }
}

/* Bit g of each byte at p into bit `to` of code[g]. */
RZ_INLINE void add_bits(const uint8_t *p, int h, vint code[8], int to)
{
    const vint bits = load_vec(p, 0, h), mask = vi_set1(0x01010101 << to);
    RZ_UNROLL
    for (int g = 0; g < 8; g++) {
        vint moved = g > to   ? vi_srl(bits, (unsigned)(g - to))
                     : g < to ? vi_sll(bits, (unsigned)(to - g))
                              : bits;
        code[g] = vi_or_and(code[g], moved, mask);
    }
}

/* Q4_0, Q4_1, Q4_K: codes_nibbles. Q5_0, Q5_1, Q5_K: */
RZ_INLINE void codes_5bit(const uint8_t *p, int h, vint code[8])
{
    codes_nibbles(p + 64, h, code);
    add_bits(p, h, code, 4);
}

RZ_INLINE void codes_q8_0(const uint8_t *p, int h, vint code[8])
{
    RZ_UNROLL
    for (int g = 0; g < 8; g++)
        code[g] = vi_weights8(load_vec(p, g, h));
}

RZ_INLINE void codes_q3_k(const uint8_t *p, int h, vint code[8])
{
    codes_pairs(p + 64, h, code);
    add_bits(p, h, code, 2);
}

RZ_INLINE void codes_q6_k(const uint8_t *p, int h, vint code[8])
{
    const vint mask = vi_set1(0x30303030);
    codes_nibbles(p + 128, h, code);
    RZ_UNROLL
    for (int k = 0; k < 2; k++) {
        vint v = load_vec(p, k, h);
        RZ_UNROLL
        for (int f = 0; f < 4; f++) {
            vint moved = f < 2 ? vi_sll(v, (unsigned)(4 - 2 * f)) : f == 2 ? v : vi_srl(v, 2);
            code[4 * k + f] = vi_or_and(code[4 * k + f], moved, mask);
        }
    }
}

/* rz_iq4_levels + 128, unsigned bytes. */
static const uint8_t iq4_levels_u[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                         129, 141, 153, 166, 181, 197, 217, 241};

RZ_INLINE void codes_iq4(const uint8_t *p, int h, vint code[8])
{
    codes_nibbles(p, h, code);
    RZ_UNROLL
    for (int g = 0; g < 8; g++)
        code[g] = vi_weights8(vi_lookup(iq4_levels_u, code[g]));
}

/* w = scale * (code - 2^shift), codes up to max. */
RZ_INLINE struct kind kind_sym(int max, int shift, bool per16)
{
    return (struct kind){.max_code = max, .shift = shift, .per16 = per16};
}

/* w = scale * code - min, codes up to max. */
RZ_INLINE struct kind kind_min(int max, bool per16)
{
    return (struct kind){.max_code = max, .shift = -1, .per16 = per16, .has_min = true};
}

#endif
