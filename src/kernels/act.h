/* act.h - activations as matrix products take them: rows of floats, and the same quantized to int8
 * in blocks of 32 columns with a float scale each. */
#ifndef RZ_KERNELS_ACT_H
#define RZ_KERNELS_ACT_H

#include <stddef.h>
#include <stdint.h>

/* Row lengths of quantized matrices are multiples of RZ_ACT_BLOCK. */
enum {
    RZ_ACT_BLOCK = 32,
    RZ_ACT_MAX = 127,      /* |q| */
    RZ_ACT_MAX_PAIRS = 120 /* where a code of 4 bits is added to q (mul_pairs_avx512.h) */
};

/* What products use of a block beside q, with x ~ scale * q. An array per number, indexed by block:
 * a product reads only those its weights' format needs, so that more of x stays in the L1 cache
 * while weights stream through it (decoding, a row of 4864 columns: 3 to 8 % faster than with all
 * of a block's numbers in 32 bytes). */
struct rz_act_factors {
    float *scale;
    float *min_factor;   /* scale * sum of the 32 q, rounded once: what a weight's min is times */
    int32_t *neg_sum;    /* -(sum of the 32 q) */
    float *min_factor16; /* [2]: the same two of columns 0-15 and 16-31 */
    int32_t *neg_sum16;  /* [2], at most 2032 in magnitude */
};

enum {
    RZ_ACT_FACTOR_BYTES = 28 /* of a block */
};

/* The arrays of n_blocks blocks, one after another in memory of as many times
 * RZ_ACT_FACTOR_BYTES, aligned to 4. */
static inline struct rz_act_factors rz_act_factors_in(void *memory, size_t n_blocks)
{
    float *f = memory;
    int32_t *i = memory;
    return (struct rz_act_factors){.scale = f,
                                   .min_factor = f + n_blocks,
                                   .neg_sum = i + 2 * n_blocks,
                                   .min_factor16 = f + 3 * n_blocks,
                                   .neg_sum16 = i + 5 * n_blocks};
}

/* The arrays from a block on. */
static inline struct rz_act_factors rz_act_factors_from(struct rz_act_factors f, size_t block)
{
    return (struct rz_act_factors){.scale = f.scale + block,
                                   .min_factor = f.min_factor + block,
                                   .neg_sum = f.neg_sum + block,
                                   .min_factor16 = f.min_factor16 + 2 * block,
                                   .neg_sum16 = f.neg_sum16 + 2 * block};
}

/* sum_low, sum_high: of q in columns 0-15 and 16-31. */
static inline void rz_act_factors_set(const struct rz_act_factors *f, size_t block, float scale,
                                      int32_t sum_low, int32_t sum_high)
{
    f->scale[block] = scale;
    f->min_factor[block] = scale * (float)(sum_low + sum_high);
    f->neg_sum[block] = -(sum_low + sum_high);
    f->min_factor16[2 * block] = scale * (float)sum_low;
    f->min_factor16[2 * block + 1] = scale * (float)sum_high;
    f->neg_sum16[2 * block] = -sum_low;
    f->neg_sum16[2 * block + 1] = -sum_high;
}

/* Rows of activations, as a matmul takes them. f32 is always there; q and factors only where the
 * weight's type wants quantized activations (rz_kernels.quantized[dtype]).
 * Quantized rows lie in tiles, so that a product of many rows reads them in one stream: tile_rows
 * rows (a power of two) each, then of what is left over the largest powers of two that fit. A tile
 * of n rows from row m on is [n_cols / 32][n] blocks of 32 columns, the first of which is number
 * m * n_cols / 32: see rz_act_at. */
struct rz_act {
    uint32_t n_rows, n_cols;
    const float *f32; /* [n_rows][f32_stride] */
    size_t f32_stride;
    const int8_t *q; /* at most rz_kernels.max_q[dtype] in magnitude, 64-byte aligned */
    struct rz_act_factors factors; /* read only */
    uint32_t tile_rows;            /* rz_kernels.tile_rows */
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

#endif
