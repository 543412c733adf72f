/* mul_simd.h - a strip of packed weights times rows of x: the inner loop of the quantized matrix
 * products.
 *
 * The codes of 32 columns of 16 rows are unpacked once, to registers, for up to MAX_TOKENS rows of
 * x, whose sums stay in registers from the first column to the last. One token is bound by memory
 * (about 30 instructions per 288 bytes of Q4_0), many are bound by the integer dots.
 * Invariant: y[m][row] is, for the blocks of 32 columns in order,
 *     p = dot0 * scale0                [p = fma(dot1, scale1, p)]
 *     y = fma(p, x scale, y)           [y = fma(-min, x min_factor, y)], of 16 columns: twice
 * and bias added last: the same for every number of tokens, split of the rows, and level. The dots
 * are exact integers below 2^24 in magnitude, so their conversion is exact.
 * Included once per level, after dot_<level>.h. */
#ifndef RZ_KERNELS_MUL_SIMD_H
#define RZ_KERNELS_MUL_SIMD_H

#include "kernels/kernels.h"
#include "kernels/packed_block.h"

/* One strip times some rows of x. */
struct mul_args {
    const uint8_t *strip;
    uint32_t n_blocks; /* of 32 columns */
    const int8_t *q;   /* x's tile (rz_act), the length of which is the number of rows */
    struct rz_act_factors factors; /* of the tile */
    float *y;                      /* [token][y_stride], 16 rows of which n_rows are written */
    size_t y_stride;
    uint32_t n_rows;
    const float *bias; /* added if not NULL */
};

RZ_INLINE vint start_dot(const int32_t *neg_sum, const struct kind k)
{
    return k.shift < 0 ? vi_set1(0) : vi_sll(vi_bcast(neg_sum), (unsigned)k.shift);
}

/* 32 columns of some rows of x. */
struct x_block {
    const int8_t *q; /* [n][32] */
    const struct rz_act_factors *f;
    size_t at; /* number of the first row's block in f, the others follow */
    int n;
};

/* Adds to y what 32 columns of LANES rows give for some rows of x; i: the block within the tile.
 * Step by step for all of them: each row's dots are one chain, and the scheduler of the CPU is too
 * small to find the next row's behind it. */
RZ_INLINE void mul_block(vflt *y, const vint code[8], const struct factors *f, uint32_t i,
                         const struct x_block b, const struct kind k)
{
    const int n = b.n;
    const vflt scale0 = vf_load(f->scale[i][0]), scale1 = vf_load(f->scale[i][k.per16]);
    vint d0[DOT_TOKENS], d1[DOT_TOKENS];
    vflt p[DOT_TOKENS];
    RZ_UNROLL
    for (int t = 0; t < n; t++) {
        const size_t at = b.at + (size_t)t;
        d0[t] = start_dot(k.per16 ? &b.f->neg_sum16[2 * at] : &b.f->neg_sum[at], k);
        if (k.per16)
            d1[t] = start_dot(&b.f->neg_sum16[2 * at + 1], k);
    }
    if (k.per16) {
        vi_dots(d0, n, code, 4, b.q, k.max_code);
        vi_dots(d1, n, code + 4, 4, b.q + 16, k.max_code);
    } else {
        vi_dots(d0, n, code, 8, b.q, k.max_code);
    }
    RZ_UNROLL
    for (int t = 0; t < n; t++)
        p[t] = vf_mul(vf_from_int(d0[t]), scale0);
    if (k.per16) {
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            p[t] = vf_fma(vf_from_int(d1[t]), scale1, p[t]);
    }
    RZ_UNROLL
    for (int t = 0; t < n; t++)
        y[t] = vf_fma(p[t], vf_set1(b.f->scale[b.at + (size_t)t]), y[t]);
    if (!k.has_min)
        return;
    const vflt min0 = vf_load(f->min[i][0]), min1 = vf_load(f->min[i][k.per16]);
    RZ_UNROLL
    for (int t = 0; t < n; t++) {
        const size_t at = b.at + (size_t)t;
        if (k.per16) {
            y[t] = vf_fnma(min0, vf_set1(b.f->min_factor16[2 * at]), y[t]);
            y[t] = vf_fnma(min1, vf_set1(b.f->min_factor16[2 * at + 1]), y[t]);
        } else {
            y[t] = vf_fnma(min0, vf_set1(b.f->min_factor[at]), y[t]);
        }
    }
}

RZ_INLINE void store_sums(const struct mul_args *a, int n, int h, vflt *y)
{
    const uint32_t first = (uint32_t)(h * LANES);
    if (first >= a->n_rows)
        return;
    const uint32_t n_rows = a->n_rows - first;
    RZ_UNROLL
    for (int t = 0; t < n; t++) {
        if (a->bias)
            y[t] = vf_add(y[t], vf_loadn(a->bias + first, n_rows));
        vf_storen(a->y + (size_t)t * a->y_stride + first, y[t], n_rows);
    }
}

/* Halves begin ... end - 1 of the strip's rows times a tile of n rows of x, at most MAX_TOKENS, all
 * constant. */
RZ_INLINE void mul_halves(const struct mul_args *a, int n, const struct format *f, int begin,
                          int end)
{
    vflt y[HALVES][MAX_TOKENS];
    struct factors factors[HALVES];
    const uint8_t *tile = a->strip;
    const int step = n > DOT_TOKENS ? DOT_STEP : n;
    RZ_UNROLL
    for (int h = begin; h < end; h++) {
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            y[h][t] = vf_set1(0);
    }
    for (uint32_t b = 0; b < a->n_blocks; tile += f->tile_bytes) {
        if (f->block_len == 32 && begin == 0)
            ask_ahead(tile, f->tile_bytes, n == 1);
        RZ_UNROLL
        for (int h = begin; h < end; h++)
            f->factors(tile, h, &factors[h]);
        for (uint32_t i = 0; i < f->block_len / 32; i++, b++) {
            const int8_t *q = a->q + (size_t)b * n * RZ_ACT_BLOCK;
            if (f->block_len > 32 && begin == 0)
                ask_ahead(tile + i * (f->tile_bytes / 8), f->tile_bytes / 8, n == 1);
            RZ_UNROLL
            for (int h = begin; h < end; h++) {
                vint code[8];
                f->codes(tile + f->codes_at + i * f->codes_bytes, h, code);
                RZ_UNROLL
                for (int t = 0; t < n; t += step) {
                    const struct x_block x = {q + t * RZ_ACT_BLOCK, &a->factors,
                                              (size_t)b * (size_t)n + (size_t)t, step};
                    mul_block(y[h] + t, code, &factors[h], i, x, f->kind);
                }
            }
        }
    }
    RZ_UNROLL
    for (int h = begin; h < end; h++)
        store_sums(a, n, h, y[h]);
}

/* A tile of n rows of x. With few registers one half of the strip's rows after the other: the
 * second time it comes from the cache; a single row is bound by memory and takes both at once. */
RZ_INLINE void mul_strip(const struct mul_args *a, int n, const struct format *f)
{
    if (n == 1) {
        mul_halves(a, n, f, 0, HALVES);
        return;
    }
    RZ_UNROLL
    for (int h = 0; h < HALVES; h++)
        mul_halves(a, n, f, h, h + 1);
}

#endif
