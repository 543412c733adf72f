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
    const int8_t *q;
    const struct rz_act_block *block;
    size_t q_stride, block_stride;
    float *y; /* [token][y_stride], 16 rows of which n_rows are written */
    size_t y_stride;
    uint32_t n_rows;
    const float *bias; /* added if not NULL */
};

RZ_INLINE vint start_dot(const int32_t *neg_sum, const struct kind k)
{
    return k.shift < 0 ? vi_set1(0) : vi_sll(vi_bcast(neg_sum), (unsigned)k.shift);
}

/* 32 columns of one row of x. */
struct x_block {
    const int8_t *q;
    const struct rz_act_block *x;
};

/* y + what 32 columns of LANES rows give for one row of x; i: the block within the tile. */
RZ_INLINE vflt mul_block(vflt y, const vint code[8], const struct factors *f, uint32_t i,
                         const struct x_block b, const struct kind k)
{
    const int8_t *q = b.q;
    const struct rz_act_block *x = b.x;
    vflt p;
    if (k.per16) {
        vint d0 = vi_dot16(start_dot(&x->neg_sum16[0], k), code, q, k.max_code);
        vint d1 = vi_dot16(start_dot(&x->neg_sum16[1], k), code + 4, q + 16, k.max_code);
        p = vf_mul(vf_from_int(d0), vf_load(f->scale[i][0]));
        p = vf_fma(vf_from_int(d1), vf_load(f->scale[i][1]), p);
    } else {
        vint d = vi_dot16(start_dot(&x->neg_sum, k), code, q, k.max_code);
        d = vi_dot16(d, code + 4, q + 16, k.max_code);
        p = vf_mul(vf_from_int(d), vf_load(f->scale[i][0]));
    }
    y = vf_fma(p, vf_set1(x->scale), y);
    if (!k.has_min)
        return y;
    if (!k.per16)
        return vf_fnma(vf_load(f->min[i][0]), vf_set1(x->min_factor), y);
    y = vf_fnma(vf_load(f->min[i][0]), vf_set1(x->min_factor16[0]), y);
    return vf_fnma(vf_load(f->min[i][1]), vf_set1(x->min_factor16[1]), y);
}

RZ_INLINE void store_sums(const struct mul_args *a, int n, vflt y[HALVES][MAX_TOKENS])
{
    RZ_UNROLL
    for (int h = 0; h < HALVES; h++) {
        const uint32_t first = (uint32_t)(h * LANES);
        if (first >= a->n_rows)
            return;
        const uint32_t n_rows = a->n_rows - first;
        RZ_UNROLL
        for (int t = 0; t < n; t++) {
            if (a->bias)
                y[h][t] = vf_add(y[h][t], vf_loadn(a->bias + first, n_rows));
            vf_storen(a->y + (size_t)t * a->y_stride + first, y[h][t], n_rows);
        }
    }
}

/* n rows of x, at most MAX_TOKENS, n constant. */
RZ_INLINE void mul_strip(const struct mul_args *a, int n, const struct format *f)
{
    vflt y[HALVES][MAX_TOKENS];
    struct factors factors[HALVES];
    const uint8_t *tile = a->strip;
    RZ_UNROLL
    for (int h = 0; h < HALVES; h++) {
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            y[h][t] = vf_set1(0);
    }
    for (uint32_t b = 0; b < a->n_blocks; tile += f->tile_bytes) {
        if (f->block_len == 32)
            ask_ahead(tile, f->tile_bytes);
        RZ_UNROLL
        for (int h = 0; h < HALVES; h++)
            f->factors(tile, h, &factors[h]);
        for (uint32_t i = 0; i < f->block_len / 32; i++, b++) {
            const int8_t *q = a->q + 32 * (size_t)b;
            if (f->block_len > 32)
                ask_ahead(tile + i * (f->tile_bytes / 8), f->tile_bytes / 8);
            RZ_UNROLL
            for (int h = 0; h < HALVES; h++) {
                vint code[8];
                f->codes(tile + f->codes_at + i * f->codes_bytes, h, code);
                RZ_UNROLL
                for (int t = 0; t < n; t++) {
                    const struct x_block x = {q + (size_t)t * a->q_stride,
                                              a->block + (size_t)t * a->block_stride + b};
                    y[h][t] = mul_block(y[h][t], code, &factors[h], i, x, f->kind);
                }
            }
        }
    }
    store_sums(a, n, y);
}

#endif
