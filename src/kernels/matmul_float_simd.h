/* matmul_float_simd.h - matrix products of packed F32, F16 and BF16 weights with f32 activations.
 *
 * As matmul_simd.h: strip by strip, FLOAT_TOKENS rows of x at a time. Invariant: y[m][row] is the
 * sum over runs of 32 columns, in order, of the run's fused multiply-adds in order, then bias; so
 * rounding errors grow with 32 + n / 32, not with n, and do not depend on tokens, row splits or
 * level.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_MATMUL_FLOAT_SIMD_H
#define RZ_KERNELS_MATMUL_FLOAT_SIMD_H

#include "kernels/kernels.h"
#include "kernels/packed_block.h"

enum {
    FLOAT_TOKENS = MAX_TOKENS < 8 ? MAX_TOKENS : 8, /* rows of x share an L1 set where their length
                                                       is a power of two: no more than its ways */
    FLOAT_RUN = 32,
    FLOAT_GROUP_BYTES = 256 << 10 /* strips worked on together, as in matmul_simd.h */
};

/* Columns c and c + 1, c even, of LANES rows of a strip; w[1] is not read if there is no c + 1. */
typedef void load_pair_fn(const uint8_t *strip, uint32_t c, int h, bool both, vflt w[2]);

RZ_INLINE void load_f32(const uint8_t *strip, uint32_t c, int h, bool both, vflt w[2])
{
    strip += 64 * (size_t)c;
    w[0] = vf_cast(load_vec(strip, 0, h));
    w[1] = both ? vf_cast(load_vec(strip, 1, h)) : w[0];
}

RZ_INLINE void load_f16(const uint8_t *strip, uint32_t c, int h, bool both, vflt w[2])
{
    strip += 32 * (size_t)c;
    w[0] = load_halves(strip, h);
    w[1] = both ? load_halves(strip + 32, h) : w[0];
}

RZ_INLINE void load_bf16(const uint8_t *strip, uint32_t c, int h, bool both, vflt w[2])
{
    (void)both;
    vint v = load_vec(strip + 32 * (size_t)c, 0, h);
    w[0] = vf_cast(vi_sll(v, 16));
    w[1] = vf_cast(vi_and(v, vi_set1((int)0xFFFF0000u)));
}

/* One strip times some rows of x. */
struct float_args {
    const uint8_t *strip;
    uint32_t n_cols, col_bytes; /* bytes of a column of the strip */
    const float *x;
    size_t x_stride;
    float *y;
    size_t y_stride;
    uint32_t n_rows;
    const float *bias;
};

typedef vflt float_sums[HALVES][FLOAT_TOKENS];

RZ_INLINE void float_zero(float_sums s, int n)
{
    RZ_UNROLL
    for (int h = 0; h < HALVES; h++) {
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            s[h][t] = vf_set1(0);
    }
}

/* sum += the products of columns c and, if both, c + 1. */
RZ_INLINE void float_pair(float_sums sum, int n, const struct float_args *a, uint32_t c, bool both,
                          load_pair_fn *load)
{
    RZ_UNROLL
    for (int h = 0; h < HALVES; h++) {
        vflt w[2];
        load(a->strip, c, h, both, w);
        RZ_UNROLL
        for (int t = 0; t < n; t++) {
            const float *x = a->x + (size_t)t * a->x_stride + c;
            sum[h][t] = vf_fma(w[0], vf_set1(x[0]), sum[h][t]);
            if (both)
                sum[h][t] = vf_fma(w[1], vf_set1(x[1]), sum[h][t]);
        }
    }
}

RZ_INLINE void float_store(float_sums y, int n, const struct float_args *a)
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

RZ_INLINE void float_strip(const struct float_args *a, int n, load_pair_fn *load)
{
    float_sums y, run;
    float_zero(y, n);
    for (uint32_t c = 0; c < a->n_cols;) {
        const uint32_t end = a->n_cols - c < FLOAT_RUN ? a->n_cols : c + FLOAT_RUN;
        float_zero(run, n);
        for (; c + 2 <= end; c += 2) {
            /* Line by line: a run's at once are more misses than the L1 cache can have pending. */
            ask_ahead(a->strip + (size_t)c * a->col_bytes, 2 * a->col_bytes, n == 1);
            float_pair(run, n, a, c, true, load);
        }
        if (c < end)
            float_pair(run, n, a, c++, false, load);
        RZ_UNROLL
        for (int h = 0; h < HALVES; h++) {
            RZ_UNROLL
            for (int t = 0; t < n; t++)
                y[h][t] = vf_add(y[h][t], run[h][t]);
        }
    }
    float_store(y, n, a);
}

/* How many of n rows of x the next pass over a strip takes. */
RZ_INLINE uint32_t float_tokens(uint32_t n)
{
    return n >= FLOAT_TOKENS ? FLOAT_TOKENS : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/* n: a float_tokens. */
RZ_INLINE void float_pass(const struct float_args *a, uint32_t n, load_pair_fn *load)
{
    if (n == FLOAT_TOKENS)
        float_strip(a, FLOAT_TOKENS, load);
    else if (n == 4)
        float_strip(a, 4, load);
    else if (n == 2)
        float_strip(a, 2, load);
    else
        float_strip(a, 1, load);
}

RZ_INLINE void matmul_floats(const struct rz_matmul_args *a, uint32_t col_bytes, load_pair_fn *load)
{
    const struct rz_act *x = a->x;
    const size_t strip_bytes = RZ_STRIP_ROWS * a->w_row_bytes;
    uint32_t group = (uint32_t)(FLOAT_GROUP_BYTES / strip_bytes);
    group = (group ? group : 1) * RZ_STRIP_ROWS;
    for (uint32_t g = a->row_begin; g < a->row_end; g += group) {
        const uint32_t end = a->row_end - g < group ? a->row_end : g + group;
        for (uint32_t t = 0, n; t < x->n_rows; t += n) {
            n = float_tokens(x->n_rows - t);
            for (uint32_t r = g; r < end; r += RZ_STRIP_ROWS) {
                const struct float_args f = {
                    .strip = (const uint8_t *)a->w + r / RZ_STRIP_ROWS * strip_bytes,
                    .n_cols = x->n_cols,
                    .col_bytes = col_bytes,
                    .x = x->f32 + t * x->f32_stride,
                    .x_stride = x->f32_stride,
                    .y = a->y + t * a->y_stride + r,
                    .y_stride = a->y_stride,
                    .n_rows = end - r < RZ_STRIP_ROWS ? end - r : RZ_STRIP_ROWS,
                    .bias = a->bias ? a->bias + r : NULL,
                };
                float_pass(&f, n, load);
            }
        }
    }
}

static void matmul_f32(const struct rz_matmul_args *a)
{
    matmul_floats(a, 64, load_f32);
}

static void matmul_f16(const struct rz_matmul_args *a)
{
    matmul_floats(a, 32, load_f16);
}

static void matmul_bf16(const struct rz_matmul_args *a)
{
    matmul_floats(a, 32, load_bf16);
}

RZ_INLINE void set_matmul_float(struct rz_kernels *k)
{
    k->matmul_packed[RZ_F32] = matmul_f32;
    k->matmul_packed[RZ_F16] = matmul_f16;
    k->matmul_packed[RZ_BF16] = matmul_bf16;
}

#endif
