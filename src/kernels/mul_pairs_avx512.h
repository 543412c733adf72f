/* mul_pairs_avx512.h - products of 4-bit codes with many rows of x, half of the multiplications
 * replaced by additions.
 *
 * Winograd's pairs (IEEE Trans. Computers C-17, 1968): with codes w of 0 ... 15 and |x| <=
 * RZ_ACT_MAX_PAIRS,
 *     (w0 + x1 + 120) (w1 + x0 - 8) = w0 x0 + w1 x1 + (what is of w alone) + (what is of x alone)
 * Both factors just fit bytes, 0 ... 255 and -128 ... 127. Bytes are added on ports that multiply
 * nothing (Zen 4, from the L1 cache: 327 to 433 GFLOP/s). Column i of 32 is paired with column 16 +
 * i. The dots are the same integers as mul_simd.h's, and the floats are used in the same order:
 * thus the same bits. What w and x alone add is worked out once for many
 * (matmul_pairs_avx512.h). */
#ifndef RZ_KERNELS_MUL_PAIRS_AVX512_H
#define RZ_KERNELS_MUL_PAIRS_AVX512_H

#include "kernels/dot_avx512.h"
#include "kernels/mul_simd.h"

enum {
    PANEL_BLOCKS = 8, /* of 32 columns: a tile of a K type */
    PAIR_U = 120,
    PAIR_S = -8,
    TILE_SUMS = MAX_TOKENS * LANES
};

/* 256 columns of a strip. */
struct panel {
    _Alignas(64) uint8_t code[PANEL_BLOCKS][8][4 * LANES];
    int32_t start[PANEL_BLOCKS][LANES]; /* minus what is of w alone */
    struct factors f;
};

/* 256 columns of a tile of x: of each 32 the first 16 with PAIR_S added, the others with PAIR_U. */
struct pair_tile {
    _Alignas(64) int8_t q[PANEL_BLOCKS][MAX_TOKENS][RZ_ACT_BLOCK];
    float scale[PANEL_BLOCKS][MAX_TOKENS], min_factor[PANEL_BLOCKS][MAX_TOKENS];
    int32_t start[PANEL_BLOCKS][MAX_TOKENS]; /* minus what is of x alone */
};

RZ_INLINE vint pair_start(const vint code[8])
{
    /* The product of the constants is in this, in what is of x alone, and in the dots but once. */
    vint sum = vi_set1(16 * PAIR_U * -PAIR_S);
    RZ_UNROLL
    for (int g = 0; g < 4; g++)
        sum = _mm512_dpbusd_epi32(sum, _mm512_add_epi8(code[g], _mm512_set1_epi8(PAIR_U)),
                                  _mm512_add_epi8(code[4 + g], _mm512_set1_epi8(PAIR_S)));
    return vi_sub(vi_set1(0), sum);
}

RZ_INLINE void unpack_panel(struct panel *p, const uint8_t *tile, const struct format *f)
{
    f->factors(tile, 0, &p->f);
    for (int i = 0; i < PANEL_BLOCKS; i++) {
        vint code[8];
        f->codes(tile + f->codes_at + (size_t)i * f->codes_bytes, 0, code);
        RZ_UNROLL
        for (int g = 0; g < 8; g++)
            vi_store(p->code[i][g], code[g]);
        vi_store(p->start[i], pair_start(code));
    }
}

/* Of rows 4j ... 4j + 3 of x, 32 bytes each: stored to `to` with the offsets added; the sums of
 * their pairs' products, of row 4j + r in all of lanes 4r ... 4r + 3. */
RZ_INLINE vint pair_rows(int8_t *to, const int8_t *q, vint offset)
{
    const vint a = _mm512_add_epi8(vi_load(q), offset);
    const vint b = _mm512_add_epi8(vi_load(q + 2 * RZ_ACT_BLOCK), offset);
    vi_store(to, a);
    vi_store(to + 2 * RZ_ACT_BLOCK, b);
    vint sum = _mm512_dpbusd_epi32(vi_set1(0), _mm512_shuffle_i64x2(a, b, 0xDD),
                                   _mm512_shuffle_i64x2(a, b, 0x88));
    sum = vi_add(sum, _mm512_shuffle_epi32(sum, 0x4E));
    return vi_add(sum, _mm512_shuffle_epi32(sum, 0xB1));
}

_Static_assert(MAX_TOKENS == LANES, "a tile's numbers of one block are a vector");

/* f: of the tile's first block. */
static void pair_x(struct pair_tile *to, const int8_t *q, const struct rz_act_factors f)
{
    const vint offset =
        _mm512_mask_blend_epi64(0xCC, _mm512_set1_epi8(PAIR_S), _mm512_set1_epi8(PAIR_U));
    const vint order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int i = 0; i < PANEL_BLOCKS; i++, q += MAX_TOKENS * RZ_ACT_BLOCK) {
        vint sum[4];
        RZ_UNROLL
        for (int j = 0; j < 4; j++)
            sum[j] = pair_rows(to->q[i][4 * j], q + 4 * j * RZ_ACT_BLOCK, offset);
        const vint low = _mm512_mask_blend_epi32(0x2222, sum[0], sum[1]);
        const vint high = _mm512_mask_blend_epi32(0x8888, sum[2], sum[3]);
        const vint all = _mm512_mask_blend_epi32(0xCCCC, low, high);
        vi_store(to->start[i], vi_sub(vi_set1(0), _mm512_permutexvar_epi32(order, all)));
        vi_store(to->scale[i], vi_load(f.scale + i * MAX_TOKENS));
        vi_store(to->min_factor[i], vi_load(f.min_factor + i * MAX_TOKENS));
    }
}

/* v + *p in every lane of 32 bits; of bytes too where none overflows. */
RZ_INLINE vint add_bcast(vint v, const void *p)
{
    vint sum;
    __asm__("vpaddd %2%{1to16%}, %1, %0" : "=v"(sum) : "v"(v), "m"(*(const four_bytes *)p));
    return sum;
}

RZ_INLINE void pair_dots(vint d[DOT_TOKENS], const vint code[8], const int8_t *x)
{
    RZ_UNROLL
    for (int g = 0; g < 4; g++) {
        RZ_UNROLL
        for (int t = 0; t < DOT_TOKENS; t++) {
            const int8_t *q = x + t * RZ_ACT_BLOCK + 4 * g;
            const vint u = add_bcast(code[g], q + 16);
            const vint s = _mm512_add_epi8(code[4 + g], vi_bcast(q));
            d[t] = _mm512_dpbusd_epi32(d[t], u, s);
        }
    }
}

/* Adds to the sums of a tile what a panel gives: mul_block of each. */
RZ_INLINE void mul_panel(float *sum, const struct panel *p, const struct pair_tile *x,
                         const struct kind k)
{
    vflt y[MAX_TOKENS];
    RZ_UNROLL
    for (int t = 0; t < MAX_TOKENS; t++)
        y[t] = vf_load(sum + t * LANES);
    for (int i = 0; i < PANEL_BLOCKS; i++) {
        vint code[8];
        RZ_UNROLL
        for (int g = 0; g < 8; g++)
            code[g] = vi_load(p->code[i][g]);
        const vint start = vi_load(p->start[i]);
        const vflt scale = vf_load(p->f.scale[i][0]), min = vf_load(p->f.min[i][0]);
        RZ_UNROLL
        for (int t0 = 0; t0 < MAX_TOKENS; t0 += DOT_TOKENS) {
            vint d[DOT_TOKENS];
            RZ_UNROLL
            for (int t = 0; t < DOT_TOKENS; t++)
                d[t] = add_bcast(start, &x->start[i][t0 + t]);
            pair_dots(d, code, x->q[i][t0]);
            RZ_UNROLL
            for (int t = 0; t < DOT_TOKENS; t++) {
                vflt *to = &y[t0 + t];
                *to = vf_fma(vf_mul(vf_from_int(d[t]), scale), vf_set1(x->scale[i][t0 + t]), *to);
                if (k.has_min)
                    *to = vf_fnma(min, vf_set1(x->min_factor[i][t0 + t]), *to);
            }
        }
    }
    RZ_UNROLL
    for (int t = 0; t < MAX_TOKENS; t++)
        vf_store(sum + t * LANES, y[t]);
}

#endif
