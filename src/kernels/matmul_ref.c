/* matmul_ref.c - reference matrix products for every dtype: what the others are compared with, and
 * what a CPU without AVX2 runs.
 *
 * Quantized types: activations are the int8 blocks of rz_act. Per 16 columns the dot product of
 * the integers is exact, and the float factors are applied to it in double. Float types: products
 * of the f32 activations with the decoded weights, summed in double. One rounding to f32 at the
 * end, bias added before it. */
#include "kernels/levels.h"
#include "quant/blocks.h"
#include "quant/dtype.h"

enum {
    TOKENS = 16,   /* rows of x that share one pass over a row of weights */
    FLOAT_RUN = 64 /* columns of a float row decoded at a time */
};

static void store_row(const struct rz_matmul_args *a, uint32_t row, uint32_t m, double sum)
{
    a->y[m * a->y_stride + row] = (float)(a->bias ? sum + (double)a->bias[row] : sum);
}

/* The contribution of one weight block at column col to y[m]. */
static double dot_block(const struct rz_int_block *b, uint32_t len, const struct rz_act *x,
                        uint32_t m, uint32_t col)
{
    const struct rz_act_place at = rz_act_at(m, x->n_rows, x->n_cols / RZ_ACT_BLOCK, x->tile_rows);
    double total = 0;
    for (uint32_t g = 0; g < len / 16; g++) {
        const size_t block = at.first + (size_t)at.step * (col / RZ_ACT_BLOCK + g / 2);
        const int8_t *q = x->q + block * RZ_ACT_BLOCK + 16 * (g % 2);
        int32_t dot = 0;
        for (uint32_t i = 0; i < 16; i++)
            dot += b->q[16 * g + i] * q[i];
        double w = (double)b->scale[g] * dot -
                   (double)b->min[g] * -x->factors.neg_sum16[2 * block + g % 2];
        total += w * (double)x->factors.scale[block];
    }
    return total;
}

static void matmul_quantized(const struct rz_matmul_args *a, rz_dtype type)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const struct rz_act *x = a->x;
    struct rz_int_block b;
    for (uint32_t row = a->row_begin; row < a->row_end; row++) {
        for (uint32_t m0 = 0; m0 < x->n_rows; m0 += TOKENS) {
            uint32_t n = x->n_rows - m0 < TOKENS ? x->n_rows - m0 : TOKENS;
            double sum[TOKENS] = {0};
            const uint8_t *w = (const uint8_t *)a->w + row * a->w_row_bytes;
            for (uint32_t col = 0; col < x->n_cols; col += info->block_len) {
                info->unpack(w, &b);
                w += info->block_bytes;
                for (uint32_t m = 0; m < n; m++)
                    sum[m] += dot_block(&b, info->block_len, x, m0 + m, col);
            }
            for (uint32_t m = 0; m < n; m++)
                store_row(a, row, m0 + m, sum[m]);
        }
    }
}

static void matmul_float(const struct rz_matmul_args *a, rz_dtype type)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const struct rz_act *x = a->x;
    float w[FLOAT_RUN];
    for (uint32_t row = a->row_begin; row < a->row_end; row++) {
        const uint8_t *blocks = (const uint8_t *)a->w + row * a->w_row_bytes;
        for (uint32_t m0 = 0; m0 < x->n_rows; m0 += TOKENS) {
            uint32_t n = x->n_rows - m0 < TOKENS ? x->n_rows - m0 : TOKENS;
            double sum[TOKENS] = {0};
            for (uint32_t col = 0; col < x->n_cols; col += FLOAT_RUN) {
                uint32_t len = x->n_cols - col < FLOAT_RUN ? x->n_cols - col : FLOAT_RUN;
                info->decode(blocks + (size_t)col * info->block_bytes, w, len);
                for (uint32_t m = 0; m < n; m++) {
                    const float *xm = x->f32 + (m0 + m) * x->f32_stride + col;
                    for (uint32_t i = 0; i < len; i++)
                        sum[m] += (double)w[i] * (double)xm[i];
                }
            }
            for (uint32_t m = 0; m < n; m++)
                store_row(a, row, m0 + m, sum[m]);
        }
    }
}

static void matmul_f32(const struct rz_matmul_args *a)
{
    matmul_float(a, RZ_F32);
}

static void matmul_f16(const struct rz_matmul_args *a)
{
    matmul_float(a, RZ_F16);
}

static void matmul_bf16(const struct rz_matmul_args *a)
{
    matmul_float(a, RZ_BF16);
}

static void matmul_q4_0(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q4_0);
}

static void matmul_q4_1(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q4_1);
}

static void matmul_q5_0(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q5_0);
}

static void matmul_q5_1(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q5_1);
}

static void matmul_q8_0(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q8_0);
}

static void matmul_q2_k(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q2_K);
}

static void matmul_q3_k(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q3_K);
}

static void matmul_q4_k(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q4_K);
}

static void matmul_q5_k(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q5_K);
}

static void matmul_q6_k(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_Q6_K);
}

static void matmul_iq4_nl(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_IQ4_NL);
}

static void matmul_iq4_xs(const struct rz_matmul_args *a)
{
    matmul_quantized(a, RZ_IQ4_XS);
}

void rz_kernels_matmul_ref(struct rz_kernels *k)
{
    static rz_matmul_fn *const slots[RZ_N_DTYPES] = {
        [RZ_F32] = matmul_f32,   [RZ_F16] = matmul_f16,       [RZ_BF16] = matmul_bf16,
        [RZ_Q4_0] = matmul_q4_0, [RZ_Q4_1] = matmul_q4_1,     [RZ_Q5_0] = matmul_q5_0,
        [RZ_Q5_1] = matmul_q5_1, [RZ_Q8_0] = matmul_q8_0,     [RZ_Q2_K] = matmul_q2_k,
        [RZ_Q3_K] = matmul_q3_k, [RZ_Q4_K] = matmul_q4_k,     [RZ_Q5_K] = matmul_q5_k,
        [RZ_Q6_K] = matmul_q6_k, [RZ_IQ4_NL] = matmul_iq4_nl, [RZ_IQ4_XS] = matmul_iq4_xs,
    };
    k->tile_rows = 1;
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        k->matmul[i] = slots[i];
        k->quantized[i] = rz_dtype_info((rz_dtype)i)->unpack != NULL;
        k->max_q[i] = i == RZ_Q4_K ? RZ_ACT_MAX_PAIRS : RZ_ACT_MAX;
    }
}
