/* mul_simd.h - a panel times rows of x: the inner loop of the quantized matrix products.
 *
 * Invariant: y[m][row] is, for the blocks of 32 columns in order,
 *     p = float(dot0) * scale0 [- min0 * sum0] [+ float(dot1) * scale1 [- min1 * sum1]]
 *     y = fma(p, x scale, y)
 * with fused steps, and bias added last: the same for every number of tokens, split of the rows,
 * and level. The dots are exact integers below 2^24 in magnitude, so their conversion is exact.
 * Included once per level, after vec_<level>.h. */
#ifndef RZ_KERNELS_MUL_SIMD_H
#define RZ_KERNELS_MUL_SIMD_H

#include "kernels/panel.h"

/* One panel times some rows of x, from block `block` of the row on. */
struct mul_args {
    const struct panel_block *panel;
    uint32_t n_blocks;
    const int8_t *q;
    const float *scale;
    const int16_t *sum;
    size_t q_stride, scale_stride, sum_stride;
    float *y; /* [token][y_stride], LANES rows of which n_rows are written */
    size_t y_stride;
    uint32_t n_rows;
    int offset;
    bool first;        /* start from zero rather than from y */
    const float *bias; /* added if not NULL */
};
typedef void mul_fn(const struct mul_args *a);

/* p[t] += what columns first ... of the block give; halves: 1 (16 columns) or 2 (32). */
RZ_INLINE void mul_part(vflt *p, int n, const struct mul_args *a, uint32_t i, int half,
                        const struct kind k)
{
    const struct panel_block *b = &a->panel[i];
    const bool low = !k.per16 || half == 0, high = !k.per16 || half == 1;
    const vint offset = sum_factors(-a->offset, low, high), ones = sum_factors(1, low, high);
    vint d[DOT_TOKENS];
    RZ_UNROLL
    for (int t = 0; t < n; t++) {
        const int16_t *sum = a->sum + (size_t)t * a->sum_stride + 2 * (size_t)i;
        d[t] = k.has_offset ? vi_madd16(vi_bcast(sum), offset) : vi_set1(0);
    }
    const int8_t *q = a->q + 32 * (size_t)i + 16 * half;
    vi_dot16(d, n, b->code[4 * half], q, a->q_stride, k.max_code);
    if (!k.per16)
        vi_dot16(d, n, b->code[4], q + 16, a->q_stride, k.max_code);
    RZ_UNROLL
    for (int t = 0; t < n; t++) {
        const int16_t *sum = a->sum + (size_t)t * a->sum_stride + 2 * (size_t)i;
        vint s = k.has_min ? vi_madd16(vi_bcast(sum), ones) : vi_set1(0);
        p[t] = apply_factors(d[t], s, p[t], b->scale[half], b->min[half], k);
    }
}

/* n rows of x, at most DOT_TOKENS, n constant. */
RZ_INLINE void mul_tokens(const struct mul_args *a, int n, const struct kind k)
{
    vflt acc[DOT_TOKENS];
    RZ_UNROLL
    for (int t = 0; t < n; t++)
        acc[t] = a->first ? vf_set1(0) : vf_loadn(a->y + (size_t)t * a->y_stride, a->n_rows);
    for (uint32_t i = 0; i < a->n_blocks; i++) {
        vflt p[DOT_TOKENS];
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            p[t] = vf_set1(0);
        mul_part(p, n, a, i, 0, k);
        if (k.per16)
            mul_part(p, n, a, i, 1, k);
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            acc[t] = vf_fma(p[t], vf_set1(a->scale[(size_t)t * a->scale_stride + i]), acc[t]);
    }
    RZ_UNROLL
    for (int t = 0; t < n; t++) {
        if (a->bias)
            acc[t] = vf_add(acc[t], vf_loadn(a->bias, a->n_rows));
        vf_storen(a->y + (size_t)t * a->y_stride, acc[t], a->n_rows);
    }
}

#endif
