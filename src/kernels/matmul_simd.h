/* matmul_simd.h - matrix products of packed quantized weights with int8 activations.
 *
 * Strip by strip (mul_simd.h). Many rows of x are taken MAX_TOKENS at a time, for as many strips as
 * fit the L2 cache beside them.
 * Included once per level, after dot_<level>.h and vec_<level>_float.h. */
#ifndef RZ_KERNELS_MATMUL_SIMD_H
#define RZ_KERNELS_MATMUL_SIMD_H

#include "kernels/mul_simd.h"
#include "kernels/packed_factors.h"
#include "kernels/packed_formats.h"

enum {
    STRIP_GROUP_BYTES = 256 << 10 /* strips worked on together: a quarter of a small L2 */
};

/* How many of n rows of x the next pass over a strip takes: a tile of rz_act. */
RZ_INLINE uint32_t pass_tokens(uint32_t n)
{
    for (uint32_t p = MAX_TOKENS; p > 1; p /= 2) {
        if (n >= p)
            return p;
    }
    return 1;
}

/* n: a pass_tokens. */
RZ_INLINE void mul_pass(const struct mul_args *m, uint32_t n, const struct format *f)
{
    switch (n) {
    case 16:
        mul_strip(m, MAX_TOKENS < 16 ? 1 : 16, f);
        break;
    case 8:
        mul_strip(m, MAX_TOKENS < 8 ? 1 : 8, f);
        break;
    case 4:
        mul_strip(m, 4, f);
        break;
    case 2:
        mul_strip(m, 2, f);
        break;
    default:
        mul_strip(m, 1, f);
    }
}

RZ_INLINE void matmul_strips(const struct rz_matmul_args *a, const struct format f)
{
    const struct rz_act *x = a->x;
    const size_t strip_bytes = RZ_STRIP_ROWS * a->w_row_bytes;
    uint32_t group = (uint32_t)(STRIP_GROUP_BYTES / strip_bytes);
    group = (group ? group : 1) * RZ_STRIP_ROWS;
    for (uint32_t g = a->row_begin; g < a->row_end; g += group) {
        const uint32_t end = a->row_end - g < group ? a->row_end : g + group;
        for (uint32_t t = 0, n; t < x->n_rows; t += n) {
            n = pass_tokens(x->n_rows - t);
            for (uint32_t r = g; r < end; r += RZ_STRIP_ROWS) {
                const struct mul_args m = {
                    .strip = (const uint8_t *)a->w + r / RZ_STRIP_ROWS * strip_bytes,
                    .n_blocks = x->n_cols / RZ_ACT_BLOCK,
                    .q = x->q + (size_t)t * x->n_cols,
                    .factors =
                        rz_act_factors_from(x->factors, (size_t)t * (x->n_cols / RZ_ACT_BLOCK)),
                    .y = a->y + t * a->y_stride + r,
                    .y_stride = a->y_stride,
                    .n_rows = end - r < RZ_STRIP_ROWS ? end - r : RZ_STRIP_ROWS,
                    .bias = a->bias ? a->bias + r : NULL,
                };
                mul_pass(&m, n, &f);
            }
        }
    }
}

static void matmul_q4_0(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q4_0());
}

static void matmul_q4_1(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q4_1());
}

static void matmul_q5_0(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q5_0());
}

static void matmul_q5_1(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q5_1());
}

static void matmul_q8_0(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q8_0());
}

static void matmul_q2_k(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q2_k());
}

static void matmul_q3_k(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q3_k());
}

static void matmul_q4_k(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q4_k());
}

static void matmul_q5_k(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q5_k());
}

static void matmul_q6_k(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_q6_k());
}

static void matmul_iq4_nl(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_iq4_nl());
}

static void matmul_iq4_xs(const struct rz_matmul_args *a)
{
    matmul_strips(a, format_iq4_xs());
}

RZ_INLINE void set_matmul_quantized(struct rz_kernels *k)
{
    k->tile_rows = MAX_TOKENS;
    k->matmul_packed[RZ_Q4_0] = matmul_q4_0;
    k->matmul_packed[RZ_Q4_1] = matmul_q4_1;
    k->matmul_packed[RZ_Q5_0] = matmul_q5_0;
    k->matmul_packed[RZ_Q5_1] = matmul_q5_1;
    k->matmul_packed[RZ_Q8_0] = matmul_q8_0;
    k->matmul_packed[RZ_Q2_K] = matmul_q2_k;
    k->matmul_packed[RZ_Q3_K] = matmul_q3_k;
    k->matmul_packed[RZ_Q4_K] = matmul_q4_k;
    k->matmul_packed[RZ_Q5_K] = matmul_q5_k;
    k->matmul_packed[RZ_Q6_K] = matmul_q6_k;
    k->matmul_packed[RZ_IQ4_NL] = matmul_iq4_nl;
    k->matmul_packed[RZ_IQ4_XS] = matmul_iq4_xs;
}

#endif
