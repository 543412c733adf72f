/* matmul_simd.h - matrix products of quantized weights with int8 activations, over panels: for
 * LANES rows of weights and PANEL_COLS columns at a time, pack a panel (panel.h) and multiply it
 * with every row of x (mul_simd.h); partial sums of long rows rest in y.
 * A single row of x takes matvec_simd.h's way, by the level's table rz_matvec.
 * Included once per level, after dot_<level>.h and the definition of rz_matvec. */
#ifndef RZ_KERNELS_MATMUL_SIMD_H
#define RZ_KERNELS_MATMUL_SIMD_H

#include "kernels/ahead.h"
#include "kernels/levels.h"
#include "kernels/load_super.h"
#include "kernels/mul_kinds_simd.h"

/* The step over rows of x, largest first: DOT_TOKENS, 4, 2, 1. */
RZ_INLINE void mul_all(struct mul_args a, uint32_t n_tokens, mul_fn *const mul[4])
{
    static const uint32_t sizes[] = {DOT_TOKENS, 4, 2, 1};
    for (int i = 0; i < 4; i++) {
        for (; n_tokens >= sizes[i]; n_tokens -= sizes[i]) {
            mul[i](&a);
            a.q += sizes[i] * a.q_stride;
            a.scale += sizes[i] * a.scale_stride;
            a.sum += sizes[i] * a.sum_stride;
            a.y += sizes[i] * a.y_stride;
        }
    }
}

/* A format: its loader, the shape of its blocks, and what multiplies its panels. */
struct format {
    rz_dtype type;
    load_fn *load;
    uint32_t block_len, block_bytes;
    int offset;
    mul_fn *const *mul;
};

/* Columns col ... col + 32 * n_blocks - 1 of the rows, packed. */
RZ_INLINE void pack_panel(const uint8_t *const row[LANES], uint32_t col, uint32_t n_blocks,
                          struct panel_block *panel, const struct format *f, struct ahead *ahead)
{
    size_t off = (size_t)(col / f->block_len) * f->block_bytes;
    for (uint32_t b = 0; b < n_blocks; b += f->block_len / 32) {
        prefetch_run(ahead, LANES * f->block_bytes);
        f->load(row, off, panel + b);
        off += f->block_bytes;
    }
}

RZ_INLINE void matmul_panels(const struct rz_matmul_args *a, const struct format f)
{
    const struct rz_act *x = a->x;
    struct panel_block panel[PANEL_BLOCKS];
    const uint8_t *row[LANES];
    if (x->n_rows == 1) {
        rz_matvec[f.type](a);
        return;
    }
    for (uint32_t r = a->row_begin; r < a->row_end; r += LANES) {
        uint32_t n_rows = a->row_end - r < LANES ? a->row_end - r : LANES;
        for (uint32_t i = 0; i < LANES; i++) /* lanes without a row repeat the last; not stored */
            row[i] = (const uint8_t *)a->w + (r + (i < n_rows ? i : n_rows - 1)) * a->w_row_bytes;
        struct ahead ahead = ahead_of(a, r, false, 0);
        for (uint32_t col = 0; col < x->n_cols; col += PANEL_COLS) {
            uint32_t n_cols = x->n_cols - col < PANEL_COLS ? x->n_cols - col : PANEL_COLS;
            pack_panel(row, col, n_cols / 32, panel, &f, &ahead);
            const struct mul_args m = {
                .panel = panel,
                .n_blocks = n_cols / 32,
                .q = x->q + col,
                .scale = x->scale + col / RZ_ACT_BLOCK,
                .sum = x->sum + col / RZ_ACT_SUM,
                .q_stride = x->q_stride,
                .scale_stride = x->scale_stride,
                .sum_stride = x->sum_stride,
                .y = a->y + r,
                .y_stride = a->y_stride,
                .n_rows = n_rows,
                .offset = f.offset,
                .first = col == 0,
                .bias = a->bias && col + n_cols == x->n_cols ? a->bias + r : NULL,
            };
            mul_all(m, x->n_rows, f.mul);
        }
    }
}

static void matmul_q4_0(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q4_0, load_q4_0, 32, 18, 8, mul_sym32});
}

static void matmul_q4_1(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q4_1, load_q4_1, 32, 20, 0, mul_min32});
}

static void matmul_q5_0(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q5_0, load_q5_0, 32, 22, 16, mul_sym32});
}

static void matmul_q5_1(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q5_1, load_q5_1, 32, 24, 0, mul_min32});
}

static void matmul_q8_0(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q8_0, load_q8_0, 32, 34, SIGNED_OFFSET, mul_byte32});
}

static void matmul_q2_k(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q2_K, load_q2_k, 256, 84, 0, mul_min16});
}

static void matmul_q3_k(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q3_K, load_q3_k, 256, 110, 4, mul_sym16});
}

static void matmul_q4_k(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q4_K, load_q4_k, 256, 144, 0, mul_min32});
}

static void matmul_q5_k(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q5_K, load_q5_k, 256, 176, 0, mul_min32});
}

static void matmul_q6_k(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_Q6_K, load_q6_k, 256, 210, 32, mul_sym16});
}

static void matmul_iq4_nl(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_IQ4_NL, load_iq4_nl, 32, 18, SIGNED_OFFSET, mul_byte32});
}

static void matmul_iq4_xs(const struct rz_matmul_args *a)
{
    matmul_panels(a, (struct format){RZ_IQ4_XS, load_iq4_xs, 256, 136, SIGNED_OFFSET, mul_byte32});
}

RZ_INLINE void set_matmul_quantized(struct rz_kernels *k)
{
    k->matmul[RZ_Q4_0] = matmul_q4_0;
    k->matmul[RZ_Q4_1] = matmul_q4_1;
    k->matmul[RZ_Q5_0] = matmul_q5_0;
    k->matmul[RZ_Q5_1] = matmul_q5_1;
    k->matmul[RZ_Q8_0] = matmul_q8_0;
    k->matmul[RZ_Q2_K] = matmul_q2_k;
    k->matmul[RZ_Q3_K] = matmul_q3_k;
    k->matmul[RZ_Q4_K] = matmul_q4_k;
    k->matmul[RZ_Q5_K] = matmul_q5_k;
    k->matmul[RZ_Q6_K] = matmul_q6_k;
    k->matmul[RZ_IQ4_NL] = matmul_iq4_nl;
    k->matmul[RZ_IQ4_XS] = matmul_iq4_xs;
}

#endif
