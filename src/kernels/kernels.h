/* kernels.h - the table of CPU inner loops.
 *
 * rz_kernels_init fills every slot with the scalar reference, then each ISA's file overwrites what
 * it does better, in ascending order. Kernels are single-threaded functions of pointers and sizes;
 * the CPU backend splits the work. Invariant: an output element is computed by the same operations
 * in the same order however rows and tokens are split between calls, so results do not depend on
 * the thread count. */
#ifndef RZ_KERNELS_KERNELS_H
#define RZ_KERNELS_KERNELS_H

#include "kernels/act.h"
#include "kernels/kv_block.h"

#include <realizar/dtype.h>
#include <stdbool.h>

/* y[m][row] = bias[row] + sum over columns of w[row][col] * x[m][col], for row_begin <= row <
 * row_end and all rows m of x. */
struct rz_matmul_args {
    const void *w; /* row 0 of the matrix, blocks of the slot's dtype; any alignment. Packed: strip
                      0 (pack.h), 32-byte aligned */
    size_t w_row_bytes;
    uint32_t row_begin, row_end; /* packed: row_begin is a multiple of 16 */
    const struct rz_act *x;
    float *y; /* y of (m, row) is y[m * y_stride + row] */
    size_t y_stride;
    const float *bias; /* indexed by row; or NULL */
};
typedef void rz_matmul_fn(const struct rz_matmul_args *a);

/* Attention of n_q query rows of one kv head over one chunk of its cached positions: up to
 * RZ_ATTEND_BLOCKS blocks of the cache (kv_block.h). Row i sees the positions lo[i] <= j < hi[i] of
 * the chunk, possibly none; values outside are not used, whatever they hold. The result is a
 * softmax to the base 2 left undivided: max[i], the sum of 2^(score - max), and acc[i], V's rows
 * weighted with the same. A row without positions gets -INFINITY, 0 and zeros. attend_merge puts
 * chunks together. */
enum {
    RZ_ATTEND_BLOCKS = 8,
    RZ_ATTEND_CHUNK = RZ_ATTEND_BLOCKS * RZ_KV_BLOCK, /* positions */
    /* Floats from a row of q or scores to the next: constant, so that one register addresses all
     * rows, and an odd number of cache lines. */
    RZ_ATTEND_STRIDE = 528
};
/* What is added to two dimensions a, b of RZ_KV_Q8_0's keys: at position j of block i, base[i]
 * turned by j's angle. Quantizing it with the keys would cost their precision. */
struct rz_key_offset {
    uint32_t a, b;
    const float *turn; /* [2: cosine, sine][RZ_KV_BLOCK] */
    float base[RZ_ATTEND_BLOCKS][2];
};
struct rz_attend_state {
    float *max, *sum; /* [n_q] */
    float *acc;       /* [n_q][head_dim] */
};
struct rz_attend_args {
    uint32_t n_q, head_dim;  /* head_dim: multiple of 16, up to 512 */
    const float *q;          /* [n_q][RZ_ATTEND_STRIDE], already scaled, by log2(e) too */
    const void *const *k;    /* the chunk's blocks of keys */
    const void *const *v;    /* and of values */
    const void *next;        /* a block that will be read next: only to be prefetched */
    const uint32_t *lo, *hi; /* [n_q] */
    float *scores;           /* scratch: [n_q][RZ_ATTEND_STRIDE] */
    const struct rz_key_offset *offsets; /* [n_offsets] RZ_KV_Q8_0 only */
    uint32_t n_offsets;
    struct rz_attend_state out;
};
typedef void rz_attend_fn(const struct rz_attend_args *a);

/* Rows of weights that matmul_wide multiplies at once: with fewer in a call it is slower. */
enum {
    RZ_WIDE_ROWS = 48
};

struct rz_kernels {
    rz_matmul_fn *matmul[RZ_N_DTYPES]; /* the reference: rows as in the file */
    /* The same of weights packed by rz_pack_strips; all NULL at the scalar level. w_row_bytes is
     * rz_packed_row_bytes. The bits do not depend on the level, the number of tokens or the rows
     * asked for. */
    rz_matmul_fn *matmul_packed[RZ_N_DTYPES];
    /* The same of many rows of x, at least wide_from, read as x->bf16: other bits than
     * matmul_packed's, but the same among themselves. NULL: the type has none. */
    rz_matmul_fn *matmul_wide[RZ_N_DTYPES];
    uint32_t wide_from; /* 0: matmul_wide is all NULL */
    /* Up to 16 rows of x, n_cols columns, to bfloat16 as rz_act.bf16 has them: to nearest even, NaN
     * stays NaN, subnormals become zeros. NULL where wide_from is 0. */
    void (*bf16_tiles)(const float *x, size_t x_stride, uint32_t n_rows, uint32_t n_cols,
                       uint16_t *tiles);
    bool quantized[RZ_N_DTYPES]; /* matmul reads x->q and x->factors, not x->f32 */
    uint8_t max_q[RZ_N_DTYPES];  /* the same at every level, so that results are */
    uint32_t tile_rows;          /* of rz_act */
    /* One row, to blocks 0, step, 2 step ... of q and factors, n columns (a multiple of 32): scale
     * = max|x| / max_q per block, q = x * (max_q / max|x|) rounded to nearest even; the same bits
     * at every level. A block whose max|x| is below 2^-119 counts as zeros (scale 0, q 0). NaN or
     * infinity in x gives a NaN scale, so that it reaches the logits and is reported there. */
    void (*quantize)(const float *x, uint32_t n, uint8_t max_q, int8_t *q,
                     const struct rz_act_factors *factors, uint32_t step);
    rz_attend_fn *attend[RZ_N_KV_TYPES];
    /* Adds a chunk's result to that of the chunks before it, n rows; a row of to without positions
     * becomes the chunk's, bit for bit. */
    void (*attend_merge)(const struct rz_attend_state *to, const struct rz_attend_state *chunk,
                         uint32_t n, uint32_t head_dim);
    /* Stores n floats to the kv type (round to nearest even). NULL for RZ_KV_Q8_0: quantize. */
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
