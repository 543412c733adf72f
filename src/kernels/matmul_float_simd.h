/* matmul_float_simd.h - matrix products of F32, F16 and BF16 weights with f32 activations.
 *
 * As matmul_simd.h: FLOAT_COLS columns of LANES rows are transposed to a panel of floats, exactly,
 * and multiplied with every row of x. Invariant: y[m][row] is the sum over runs of 32 columns, in
 * order, of the run's fused multiply-adds in order, then bias; so rounding errors grow with
 * 32 + n / 32, not with n, and do not depend on tokens, row splits or level.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_MATMUL_FLOAT_SIMD_H
#define RZ_KERNELS_MATMUL_FLOAT_SIMD_H

#include "kernels/kernels.h"
#include "kernels/transpose_simd.h"

enum {
    FLOAT_COLS = 128, /* 8 KB with 16 lanes */
    FLOAT_RUN = 32,
    FLOAT_TOKENS = 8
};

struct float_args {
    const float *panel;
    uint32_t n_cols;
    const float *x;
    size_t x_stride;
    float *y;
    size_t y_stride;
    uint32_t n_rows;
    bool first;
    const float *bias;
};
typedef void float_fn(const struct float_args *a);

/* The products of columns c ... end - 1. */
RZ_INLINE void float_run(vflt *t, int n, const struct float_args *a, uint32_t c, uint32_t end)
{
    RZ_UNROLL
    for (int i = 0; i < n; i++)
        t[i] = vf_set1(0);
    for (; c < end; c++) {
        vflt w = vf_load(a->panel + (size_t)c * LANES);
        RZ_UNROLL
        for (int i = 0; i < n; i++)
            t[i] = vf_fma(w, vf_set1(a->x[(size_t)i * a->x_stride + c]), t[i]);
    }
}

RZ_INLINE void float_tokens(const struct float_args *a, int n)
{
    vflt acc[FLOAT_TOKENS], t[FLOAT_TOKENS];
    RZ_UNROLL
    for (int i = 0; i < n; i++)
        acc[i] = a->first ? vf_set1(0) : vf_loadn(a->y + (size_t)i * a->y_stride, a->n_rows);
    for (uint32_t c = 0; c < a->n_cols; c += FLOAT_RUN) {
        float_run(t, n, a, c, a->n_cols - c < FLOAT_RUN ? a->n_cols : c + FLOAT_RUN);
        RZ_UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vf_add(acc[i], t[i]);
    }
    RZ_UNROLL
    for (int i = 0; i < n; i++) {
        if (a->bias)
            acc[i] = vf_add(acc[i], vf_loadn(a->bias, a->n_rows));
        vf_storen(a->y + (size_t)i * a->y_stride, acc[i], a->n_rows);
    }
}

static void float_8(const struct float_args *a)
{
    float_tokens(a, FLOAT_TOKENS);
}

static void float_4(const struct float_args *a)
{
    float_tokens(a, 4);
}

static void float_1(const struct float_args *a)
{
    float_tokens(a, 1);
}

RZ_INLINE void float_all(struct float_args a, uint32_t n_tokens)
{
    static const uint32_t sizes[] = {FLOAT_TOKENS, 4, 1};
    static float_fn *const fn[] = {float_8, float_4, float_1};
    RZ_UNROLL
    for (int i = 0; i < 3; i++) {
        for (; n_tokens >= sizes[i]; n_tokens -= sizes[i]) {
            fn[i](&a);
            a.x += sizes[i] * a.x_stride;
            a.y += sizes[i] * a.y_stride;
        }
    }
}

RZ_INLINE void matmul_floats(const struct rz_matmul_args *a, size_t elem, load_float_fn *load)
{
    const struct rz_act *x = a->x;
    _Alignas(64) float panel[FLOAT_COLS * LANES];
    const uint8_t *row[LANES];
    for (uint32_t r = a->row_begin; r < a->row_end; r += LANES) {
        uint32_t n_rows = a->row_end - r < LANES ? a->row_end - r : LANES;
        for (uint32_t i = 0; i < LANES; i++)
            row[i] = (const uint8_t *)a->w + (r + (i < n_rows ? i : n_rows - 1)) * a->w_row_bytes;
        for (uint32_t col = 0; col < x->n_cols; col += FLOAT_COLS) {
            uint32_t n_cols = x->n_cols - col < FLOAT_COLS ? x->n_cols - col : FLOAT_COLS;
            pack_floats(row, col * elem, n_cols, elem, panel, load);
            const struct float_args f = {
                .panel = panel,
                .n_cols = n_cols,
                .x = x->f32 + col,
                .x_stride = x->f32_stride,
                .y = a->y + r,
                .y_stride = a->y_stride,
                .n_rows = n_rows,
                .first = col == 0,
                .bias = a->bias && col + n_cols == x->n_cols ? a->bias + r : NULL,
            };
            float_all(f, x->n_rows);
        }
    }
}

static void matmul_f32(const struct rz_matmul_args *a)
{
    matmul_floats(a, sizeof(float), load_f32);
}

static void matmul_f16(const struct rz_matmul_args *a)
{
    matmul_floats(a, 2, load_f16);
}

static void matmul_bf16(const struct rz_matmul_args *a)
{
    matmul_floats(a, 2, load_bf16);
}

RZ_INLINE void set_matmul_float(struct rz_kernels *k)
{
    k->matmul[RZ_F32] = matmul_f32;
    k->matmul[RZ_F16] = matmul_f16;
    k->matmul[RZ_BF16] = matmul_bf16;
}

#endif
