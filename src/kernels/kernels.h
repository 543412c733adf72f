/* kernels.h - the table of CPU inner loops.
 *
 * rz_kernels_init fills every slot with the scalar reference, then each ISA's file overwrites what
 * it does better, in ascending order. Kernels are single-threaded functions of pointers and sizes;
 * the CPU backend splits the work. Invariant: an output element is computed by the same operations
 * in the same order however rows and tokens are split between calls, so results do not depend on
 * the thread count. */
#ifndef RZ_KERNELS_KERNELS_H
#define RZ_KERNELS_KERNELS_H

#include "kernels/kv_block.h"

#include <realizar/dtype.h>
#include <stdbool.h>

/* Activations are quantized in blocks of this many columns, one f32 scale each. Row lengths of
 * quantized matrices are multiples of 32. */
enum {
    RZ_ACT_BLOCK = 32,
    RZ_ACT_MAX = 127,      /* |q| */
    RZ_ACT_MAX_PAIRS = 120 /* where a code of 4 bits is added to q (mul_pairs_avx512.h) */
};

/* What 32 quantized columns of a row of activations need beside q, in the form in which products
 * use it: x ~ scale * q. 32 bytes, so that a token's block is one pointer in the inner loops. */
struct rz_act_block {
    float scale;
    float min_factor;      /* scale * sum of the 32 q, rounded once: what a weight's min is times */
    float min_factor16[2]; /* the same of columns 0-15 and 16-31 */
    int32_t neg_sum;       /* -(sum of the 32 q) */
    int32_t neg_sum16[2];  /* of columns 0-15 and 16-31, at most 2032 in magnitude */
    int32_t unused;
};

/* Field by field: as a whole it would be put together on the stack, and reading that back stalls.
 */
static inline void rz_act_block_set(struct rz_act_block *b, float scale, int32_t sum_low,
                                    int32_t sum_high)
{
    b->scale = scale;
    b->min_factor = scale * (float)(sum_low + sum_high);
    b->min_factor16[0] = scale * (float)sum_low;
    b->min_factor16[1] = scale * (float)sum_high;
    b->neg_sum = -(sum_low + sum_high);
    b->neg_sum16[0] = -sum_low;
    b->neg_sum16[1] = -sum_high;
    b->unused = 0;
}

/* Rows of activations, as a matmul takes them. f32 is always there; q and block only where the
 * weight's type wants quantized activations (rz_kernels.quantized[dtype]).
 * Quantized rows lie in tiles, so that a product of many rows reads them in one stream: tile_rows
 * rows (a power of two) each, then of what is left over the largest powers of two that fit. A tile
 * of n rows from row m on is [n_cols / 32][n] blocks of 32 columns, from q + m * n_cols and block +
 * m * n_cols / 32: see rz_act_at. */
struct rz_act {
    uint32_t n_rows, n_cols;
    const float *f32; /* [n_rows][f32_stride] */
    size_t f32_stride;
    const int8_t *q; /* at most rz_kernels.max_q[dtype] in magnitude, 64-byte aligned */
    const struct rz_act_block *block;
    uint32_t tile_rows; /* rz_kernels.tile_rows */
    /* [n_rows / 16][n_cols / 32] tiles of [16][32], both numbers rounded up, zeros where x ends,
     * 64-byte aligned: only for wide products. */
    const uint16_t *bf16;
};

/* Where a row is among the tiles: its first block is number `first` of the rows' blocks, the next
 * ones are `step` on. */
struct rz_act_place {
    size_t first;
    uint32_t step;
};

/* Of row m of n_rows, each of n_blocks blocks. */
static inline struct rz_act_place rz_act_at(uint32_t m, uint32_t n_rows, uint32_t n_blocks,
                                            uint32_t tile_rows)
{
    uint32_t begin = m / tile_rows * tile_rows, n = tile_rows;
    while (n > n_rows - begin || m >= begin + n) {
        if (n <= n_rows - begin)
            begin += n;
        n /= 2;
    }
    return (struct rz_act_place){(size_t)begin * n_blocks + (m - begin), n};
}

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
    bool quantized[RZ_N_DTYPES]; /* matmul reads x->q and x->block rather than x->f32 */
    uint8_t max_q[RZ_N_DTYPES];  /* the same at every level, so that results are */
    uint32_t tile_rows;          /* of rz_act */
    /* One row, to blocks that are step apart (1: one after the other), n columns (a multiple of
     * 32): scale = max|x| / max_q per block, q = x * (max_q / max|x|) rounded to nearest even; the
     * same bits at every level. A block whose max|x| is below 2^-119 counts as zeros (scale 0, q
     * 0). NaN or infinity in x gives a NaN scale, so that it reaches the logits and is reported
     * there. */
    void (*quantize)(const float *x, uint32_t n, uint8_t max_q, int8_t *q,
                     struct rz_act_block *block, uint32_t step);
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
