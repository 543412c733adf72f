/* matmul_pairs_avx512.h - matrix products of many rows of x by mul_pairs_avx512.h.
 *
 * 256 columns of a strip at a time are unpacked to a panel in the L1 cache, for the SPAN_TILES
 * tiles of a span of x, the same columns of which stay in the caches for all strips of a group. The
 * sums wait in a buffer meanwhile. */
#ifndef RZ_KERNELS_MATMUL_PAIRS_AVX512_H
#define RZ_KERNELS_MATMUL_PAIRS_AVX512_H

#include "kernels/mul_pairs_avx512.h"

enum {
    SPAN_TILES = 4,  /* of MAX_TOKENS rows of x: with two it takes 7 % longer */
    SPAN_STRIPS = 32 /* in a group: with 16, 2 % */
};

/* Some tiles of x and a group of strips. */
struct span {
    const uint8_t *strips;
    size_t strip_bytes;
    uint32_t n_strips, n_tiles;
    uint32_t n_blocks; /* of 32 columns, in a row */
    const int8_t *q;
    struct rz_act_factors factors;
    float *sum; /* [n_strips][SPAN_TILES][TILE_SUMS] */
};

RZ_INLINE void ask_for(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch((const uint8_t *)p + i, 0, 3);
}

/* Part i of SPAN_STRIPS of the panel of x that follows the blocks before `begin`. */
RZ_INLINE void ask_for_x(const struct span *s, uint32_t begin, uint32_t i)
{
    enum {
        PART = PANEL_BLOCKS * MAX_TOKENS / SPAN_STRIPS
    };
    for (uint32_t t = 0; t < s->n_tiles; t++) {
        const size_t at = ((size_t)t * s->n_blocks + begin) * MAX_TOKENS + i * PART;
        ask_for(s->q + at * RZ_ACT_BLOCK, PART * RZ_ACT_BLOCK);
        ask_for(s->factors.scale + at, PART * sizeof *s->factors.scale);
        ask_for(s->factors.min_factor + at, PART * sizeof *s->factors.min_factor);
    }
}

/* Where strip i goes on after a tile: in its next tile, or with the strip of the next group. */
RZ_INLINE const uint8_t *after_tile(const struct span *s, uint32_t i_tile, uint32_t i,
                                    const struct format *f)
{
    if ((i_tile + 1) * PANEL_BLOCKS < s->n_blocks)
        return s->strips + i * s->strip_bytes + (size_t)(i_tile + 1) * f->tile_bytes;
    return s->strips + (SPAN_STRIPS + i) * s->strip_bytes;
}

/* Tile i_tile of every strip times the same columns of x. */
RZ_INLINE void mul_tile(const struct span *s, uint32_t i_tile, const struct format *f)
{
    struct panel panel;
    struct pair_tile x[SPAN_TILES];
    const uint32_t begin = i_tile * PANEL_BLOCKS;
    for (uint32_t t = 0; t < s->n_tiles; t++) {
        const size_t at = ((size_t)t * s->n_blocks + begin) * MAX_TOKENS;
        pair_x(&x[t], s->q + at * RZ_ACT_BLOCK, rz_act_factors_from(s->factors, at));
    }
    for (uint32_t i = 0; i < s->n_strips; i++) {
        const uint8_t *tile = s->strips + i * s->strip_bytes + (size_t)i_tile * f->tile_bytes;
        ask_for_x(s, begin + PANEL_BLOCKS, i);
        unpack_panel(&panel, tile, f);
        /* Tiles of a strip are too far apart in time for the CPU's own prefetchers: to the L2. */
        const uint8_t *next = after_tile(s, i_tile, i, f);
        const uint32_t part = f->tile_bytes / s->n_tiles;
        for (uint32_t t = 0; t < s->n_tiles; t++, next += part) {
            for (uint32_t j = 0; j < part; j += 64)
                __builtin_prefetch(next + j, 0, 2);
            mul_panel(s->sum + (i * SPAN_TILES + t) * TILE_SUMS, &panel, &x[t], f->kind);
        }
    }
}

/* Rows r ... end - 1 of w, SPAN_STRIPS strips at most, times n_tiles tiles of x from row t on. */
RZ_INLINE void mul_span(const struct rz_matmul_args *a, uint32_t r, uint32_t end, uint32_t t,
                        uint32_t n_tiles, const struct format *f)
{
    _Alignas(64) float sum[SPAN_STRIPS * SPAN_TILES * TILE_SUMS];
    const struct rz_act *x = a->x;
    const size_t strip_bytes = RZ_STRIP_ROWS * a->w_row_bytes;
    const struct span s = {
        .strips = (const uint8_t *)a->w + r / RZ_STRIP_ROWS * strip_bytes,
        .strip_bytes = strip_bytes,
        .n_strips = (end - r + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS,
        .n_tiles = n_tiles,
        .n_blocks = x->n_cols / RZ_ACT_BLOCK,
        .q = x->q + (size_t)t * x->n_cols,
        .factors = rz_act_factors_from(x->factors, (size_t)t * (x->n_cols / RZ_ACT_BLOCK)),
        .sum = sum};
    memset(sum, 0, (size_t)s.n_strips * SPAN_TILES * TILE_SUMS * sizeof *sum);
    for (uint32_t i = 0; i < x->n_cols / f->block_len; i++)
        mul_tile(&s, i, f);
    for (uint32_t i = 0; i < s.n_strips; i++, r += RZ_STRIP_ROWS) {
        for (uint32_t m = 0; m < n_tiles; m++) {
            const struct mul_args to = {.y = a->y + (t + m * MAX_TOKENS) * a->y_stride + r,
                                        .y_stride = a->y_stride,
                                        .n_rows = end - r < RZ_STRIP_ROWS ? end - r : RZ_STRIP_ROWS,
                                        .bias = a->bias ? a->bias + r : NULL};
            vflt y[MAX_TOKENS];
            RZ_UNROLL
            for (int j = 0; j < MAX_TOKENS; j++)
                y[j] = vf_load(sum + ((size_t)i * SPAN_TILES + m) * TILE_SUMS + j * LANES);
            store_sums(&to, MAX_TOKENS, 0, y);
        }
    }
}

/* Formats of 256 columns, codes up to 15, scales per 32 columns. rest: of the rows of x that fill
 * no tile. */
RZ_INLINE void matmul_pairs(const struct rz_matmul_args *a, const struct format f,
                            rz_matmul_fn *rest)
{
    const uint32_t n_tiles = a->x->n_rows / MAX_TOKENS, n = n_tiles * MAX_TOKENS;
    struct rz_act x = *a->x;
    x.n_rows -= n;
    x.q += (size_t)n * x.n_cols;
    x.factors = rz_act_factors_from(x.factors, (size_t)n * (x.n_cols / RZ_ACT_BLOCK));
    struct rz_matmul_args part = *a;
    part.x = &x;
    part.y += n * a->y_stride;
    for (uint32_t r = a->row_begin; r < a->row_end; r = part.row_end) {
        const uint32_t most = SPAN_STRIPS * RZ_STRIP_ROWS;
        part.row_begin = r;
        part.row_end = a->row_end - r < most ? a->row_end : r + most;
        for (uint32_t t = 0; t < n_tiles; t += SPAN_TILES)
            mul_span(a, r, part.row_end, t * MAX_TOKENS,
                     n_tiles - t < SPAN_TILES ? n_tiles - t : SPAN_TILES, &f);
        if (x.n_rows)
            rest(&part);
    }
}

#endif
