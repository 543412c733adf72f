/* kernels.h - the table of CPU inner loops.
 *
 * rz_kernels_init fills every slot with the scalar reference, then each ISA's file overwrites what
 * it does better, in ascending order. Kernels are single-threaded functions of pointers and sizes;
 * the CPU backend splits the work. Invariant: an output element is computed by the same operations
 * in the same order however rows and tokens are split between calls, so results do not depend on
 * the thread count. */
#ifndef RZ_KERNELS_KERNELS_H
#define RZ_KERNELS_KERNELS_H

#include <realizar/dtype.h>
#include <stdbool.h>

/* Activations are quantized in blocks of this many columns, one f32 scale each. Row lengths of
 * quantized matrices are multiples of 32. */
enum {
    RZ_ACT_BLOCK = 32,
    RZ_ACT_SUM = 16
};

/* Rows of activations, as a matmul takes them. f32 is always there; q, scale and sum only where
 * the weight's type wants quantized activations (rz_kernels.quantized[dtype]).
 * Strides are in elements; row m of q starts at q + m * q_stride, 64-byte aligned. */
struct rz_act {
    uint32_t n_rows, n_cols;
    const float *f32; /* [n_rows][f32_stride] */
    size_t f32_stride;
    const int8_t *q; /* [n_rows][q_stride], in -127 ... 127 */
    size_t q_stride;
    const float *scale; /* [n_rows][scale_stride], one per 32 columns: x ~ scale * q */
    size_t scale_stride;
    const int16_t *sum; /* [n_rows][sum_stride], one per 16 columns: the sum of q, |sum| <= 2032 */
    size_t sum_stride;
};

/* y[m][row] = bias[row] + sum over columns of w[row][col] * x[m][col], for row_begin <= row <
 * row_end and all rows m of x. */
struct rz_matmul_args {
    const void *w; /* row 0 of the matrix, blocks of the slot's dtype; any alignment */
    size_t w_row_bytes;
    uint32_t row_begin, row_end;
    const struct rz_act *x;
    float *y; /* y of (m, row) is y[m * y_stride + row] */
    size_t y_stride;
    const float *bias; /* indexed by row; or NULL */
};
typedef void rz_matmul_fn(const struct rz_matmul_args *a);

/* Online-softmax attention of n_q query rows of one kv head over one run of n cached positions that
 * are contiguous in memory. State per query row i: max[i] (start -INFINITY), sum[i] (start 0),
 * acc[i][head_dim] (start 0); the result is acc / sum after the last run. Row i sees positions
 * lo[i] <= j < hi[i] of this run (possibly none). */
struct rz_attend_args {
    uint32_t n_q, n, head_dim; /* head_dim: multiple of 16; fastest up to 256 */
    const float *q;            /* [n_q][q_stride], already scaled by 1/sqrt(head_dim) */
    size_t q_stride;
    const void *k, *v;       /* [n][head_dim] in the slot's kv type */
    const uint32_t *lo, *hi; /* [n_q] */
    float *max, *sum;        /* [n_q] */
    float *acc;              /* [n_q][head_dim] */
    float *scores;           /* scratch of the reference: [n] */
};
typedef void rz_attend_fn(const struct rz_attend_args *a);

enum rz_kv_type {
    RZ_KV_F32,
    RZ_KV_F16,
    RZ_N_KV_TYPES
};

struct rz_kernels {
    rz_matmul_fn *matmul[RZ_N_DTYPES];
    bool quantized[RZ_N_DTYPES]; /* matmul reads x->q, scale, sum rather than x->f32 */
    /* One row, n columns (a multiple of 32): scale = max|x| / 127 per block, q = x * (127 / max|x|)
     * rounded to nearest even; the same bits at every level. A block whose max|x| is below 2^-119
     * counts as zeros (scale 0, q 0). NaN or infinity in x gives a NaN scale, so that it reaches
     * the logits and is reported there. */
    void (*quantize)(const float *x, uint32_t n, int8_t *q, float *scale, int16_t *sum);
    rz_attend_fn *attend[RZ_N_KV_TYPES];
    /* Stores n floats to the kv type (round to nearest even). */
    void (*kv_store[RZ_N_KV_TYPES])(const float *x, void *out, uint32_t n);
    /* y = x * w / sqrt(mean(x^2) + eps); y may be x. */
    void (*rms_norm)(const float *x, const float *w, float *y, uint32_t n, float eps);
    /* x[i] += y[i] * scale */
    void (*add_scaled)(float *x, const float *y, uint32_t n, float scale);
    /* y = silu(gate) * up; y may be gate or up. */
    void (*silu_mul)(const float *gate, const float *up, float *y, uint32_t n);
    /* Rotary embedding of one head: for i < n_rot / 2 rotates the pair (a, b) by the angle whose
     * cosine and sine are cs[2i], cs[2i+1]. neox: (x[i], x[i + n_rot/2]); otherwise adjacent:
     * (x[2i], x[2i+1]). */
    void (*rope)(float *x, const float *cs, uint32_t n_rot, bool neox);
    /* In place: x = exp(x - max) / sum. */
    void (*softmax)(float *x, uint32_t n);
    unsigned cpu_flags; /* what the table was made for */
};

/* cpu_flags: from rz_cpu_detect. */
void rz_kernels_init(struct rz_kernels *k, unsigned cpu_flags);

#endif
