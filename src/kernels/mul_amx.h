/* mul_amx.h - tiles of weights times tiles of 16 tokens: the inner loops over the tile registers.
 *
 * One strip of tokens times up to three strips of weights: three sums, in registers 0 to 2, share
 * each tile of activations. A tile is loaded 64 cycles or more before the 16-cycle products that
 * wait for it, into a register whose last reader is a product ago: with four sums (2 x 2) only four
 * registers are left for operands, which are then still being read when their turn comes. By the
 * published 16 cycles per product, 8 per load and about 45 from a register's release to its next
 * use, three sums take 61 cycles per 32 columns (20 a product), four 93 (23).
 * The order of additions into a sum is that of the columns, whatever the number of strips. */
#ifndef RZ_KERNELS_MUL_AMX_H
#define RZ_KERNELS_MUL_AMX_H

#include "kernels/tile_amx.h"

#include <stddef.h>

/* n tiles of activations at a, n tiles of strip s at b + s * b_stride; a tile of sums per strip. */
struct mul_tiles {
    const uint8_t *a, *b;
    size_t b_stride;
    uint32_t n;
    uint8_t *sum; /* [strips][TILE_BYTES] */
};

/* The products of 32 columns, activations in register now; meanwhile the next columns' operands
 * come, activations to register next, and the third strip's of these. */
#define MUL_3(now, next, m, k)                                                                     \
    TILE_DPBF16(0, now, 3);                                                                        \
    TILE_LOAD(5, (m)->b + 2 * (m)->b_stride + (size_t)(k)*TILE_BYTES);                             \
    TILE_LOAD(next, (m)->a + (size_t)((k) + 1) * TILE_BYTES);                                      \
    TILE_DPBF16(1, now, 4);                                                                        \
    TILE_LOAD(3, (m)->b + (size_t)((k) + 1) * TILE_BYTES);                                         \
    TILE_DPBF16(2, now, 5);                                                                        \
    TILE_LOAD(4, (m)->b + (m)->b_stride + (size_t)((k) + 1) * TILE_BYTES)
#define MUL_3_LAST(now, m, k)                                                                      \
    TILE_DPBF16(0, now, 3);                                                                        \
    TILE_LOAD(5, (m)->b + 2 * (m)->b_stride + (size_t)(k)*TILE_BYTES);                             \
    TILE_DPBF16(1, now, 4);                                                                        \
    TILE_DPBF16(2, now, 5)

static inline void mul_3_strips(const struct mul_tiles *m)
{
    TILE_LOAD(6, m->a);
    TILE_LOAD(3, m->b);
    TILE_LOAD(4, m->b + m->b_stride);
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    for (uint32_t k = 0;; k += 2) {
        if (k + 1 == m->n) {
            MUL_3_LAST(6, m, k);
            break;
        }
        MUL_3(6, 7, m, k);
        if (k + 2 == m->n) {
            MUL_3_LAST(7, m, k + 1);
            break;
        }
        MUL_3(7, 6, m, k + 1);
    }
    TILE_STORE(0, m->sum);
    TILE_STORE(1, m->sum + TILE_BYTES);
    TILE_STORE(2, m->sum + 2 * TILE_BYTES);
}

/* What is left over at the end of a matrix: a sum waits 52 cycles for itself, so that with fewer
 * than three there is time to load. */
static inline void mul_2_strips(const struct mul_tiles *m)
{
    TILE_ZERO(0);
    TILE_ZERO(1);
    for (uint32_t k = 0; k < m->n; k++) {
        const size_t at = (size_t)k * TILE_BYTES;
        TILE_LOAD(6, m->a + at);
        TILE_LOAD(3, m->b + at);
        TILE_LOAD(4, m->b + m->b_stride + at);
        TILE_DPBF16(0, 6, 3);
        TILE_DPBF16(1, 6, 4);
        if (++k == m->n)
            break;
        TILE_LOAD(7, m->a + at + TILE_BYTES);
        TILE_LOAD(5, m->b + at + TILE_BYTES);
        TILE_LOAD(2, m->b + m->b_stride + at + TILE_BYTES);
        TILE_DPBF16(0, 7, 5);
        TILE_DPBF16(1, 7, 2);
    }
    TILE_STORE(0, m->sum);
    TILE_STORE(1, m->sum + TILE_BYTES);
}

static inline void mul_1_strip(const struct mul_tiles *m)
{
    TILE_ZERO(0);
    for (uint32_t k = 0; k < m->n; k++) {
        const size_t at = (size_t)k * TILE_BYTES;
        TILE_LOAD(6, m->a + at);
        TILE_LOAD(3, m->b + at);
        TILE_DPBF16(0, 6, 3);
        if (++k == m->n)
            break;
        TILE_LOAD(7, m->a + at + TILE_BYTES);
        TILE_LOAD(4, m->b + at + TILE_BYTES);
        TILE_DPBF16(0, 7, 4);
    }
    TILE_STORE(0, m->sum);
}

static inline void mul_strips(const struct mul_tiles *m, uint32_t n_strips)
{
    if (n_strips == 3)
        mul_3_strips(m);
    else if (n_strips == 2)
        mul_2_strips(m);
    else
        mul_1_strip(m);
}

#endif
