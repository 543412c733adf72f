/* matvec_simd.h - quantized weights times one row of x: decoding's inner loop, bound by memory.
 *
 * LANES rows at a time, block by block: integer dots from the rows as they lie (row_avx2.h),
 * factors and the float steps of mul_simd.h, so the bits are those of the panel products. Included
 * once per level, after vec_<level>.h. */
#ifndef RZ_KERNELS_MATVEC_SIMD_H
#define RZ_KERNELS_MATVEC_SIMD_H

#include "kernels/kernels.h"
#include "kernels/load_super.h"
#include "kernels/mul_simd.h"
#include "kernels/row_avx2.h"

/* A format: its loaders, the shape of its blocks, and what multiplies its panels. */
struct format {
    load_fn *load;    /* factors and codes */
    load_fn *factors; /* only scale and min */
    row_fn *row;
    uint32_t block_len, block_bytes;
    int offset;
    struct kind kind;
    mul_fn *const *mul;
};

/* The dots of columns 32 * i ... of the blocks at row[] + off: dot[0] of all 32, or one per 16. */
RZ_INLINE void dot_rows(const uint8_t *const row[LANES], size_t off, int i, const int8_t *q,
                        vint dot[2], const struct format *f)
{
    const __m256i x = load32((const uint8_t *)q);
    __m256i low[LANES / 8], high[LANES / 8];
    RZ_UNROLL
    for (int h = 0; h < LANES / 8; h++) {
        __m256i d[8];
        RZ_UNROLL
        for (int r = 0; r < 8; r++)
            d[r] = dot_256(f->row(row[8 * h + r] + off, i), x, f->kind.max_code);
        sum_across(d, &low[h], &high[h]);
    }
    dot[0] = vi_join(low);
    dot[1] = vi_join(high);
    if (!f->kind.per16)
        dot[0] = vi_add(dot[0], dot[1]);
}

RZ_INLINE vflt finish_part(vint dot, const int16_t *sum, vflt p, const struct panel_block *b,
                           int half, const struct format *f)
{
    const struct kind k = f->kind;
    const bool low = !k.per16 || half == 0, high = !k.per16 || half == 1;
    const vint sums = vi_bcast(sum);
    if (k.has_offset)
        dot = vi_add(dot, vi_madd16(sums, sum_factors(-f->offset, low, high)));
    vint s = k.has_min ? vi_madd16(sums, sum_factors(1, low, high)) : vi_set1(0);
    return apply_factors(dot, s, p, b->scale[half], b->min[half], k);
}

/* Rows r ... of y, n_rows of them. */
RZ_INLINE void matvec_rows(const struct rz_matmul_args *a, const uint8_t *const row[LANES],
                           uint32_t r, uint32_t n_rows, const struct format *f)
{
    const struct rz_act *x = a->x;
    struct panel_block factors[8];
    vflt acc = vf_set1(0);
    size_t off = 0;
    for (uint32_t col = 0; col < x->n_cols; off += f->block_bytes) {
        f->factors(row, off, factors);
        for (uint32_t i = 0; i < f->block_len / 32; i++, col += 32) {
            const int16_t *sum = x->sum + col / RZ_ACT_SUM;
            vint dot[2];
            dot_rows(row, off, (int)i, x->q + col, dot, f);
            vflt p = finish_part(dot[0], sum, vf_set1(0), &factors[i], 0, f);
            if (f->kind.per16)
                p = finish_part(dot[1], sum, p, &factors[i], 1, f);
            acc = vf_fma(p, vf_set1(x->scale[col / RZ_ACT_BLOCK]), acc);
        }
    }
    if (a->bias)
        acc = vf_add(acc, vf_loadn(a->bias + r, n_rows));
    vf_storen(a->y + r, acc, n_rows);
}

#endif
