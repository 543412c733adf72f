/* search.h - choosing the scales and mins of a block so that rounding its columns costs least.
 *
 * A group is 16 or 32 columns on one grid. rz_fit_group chooses its scale and min freely,
 * rz_search_block those of all groups as the format can store them. Everything is measured four
 * candidates at a time: the inner loops run over candidates, so that every compiler makes vector
 * code of them, and the sums of a candidate are taken in the same order on every machine. */
#ifndef RZ_QUANT_SEARCH_H
#define RZ_QUANT_SEARCH_H

#include "quant/encode.h"

#include <stdbool.h>

enum {
    RZ_LANES = 4, /* candidates measured at once */
    RZ_MAX_CANDIDATES = 24
};

/* The grid of a type, and where its search looks. */
struct rz_grid {
    rz_pack_fn *pack; /* NULL: the type has no search */
    uint8_t n_groups, group_len;
    bool has_min;
    bool levels;                /* q is one of IQ4's levels, the outer ones are q_lo and q_hi */
    int16_t q_lo, q_hi;         /* of the integers that multiply the scale */
    int16_t scale_lo, scale_hi; /* of the groups' integers; 1, 1: one group, its scale is d */
    int16_t min_hi;             /* likewise; with one group dmin has either sign */
    /* Candidates for a group. Without min: the inverse scale runs from look_from to look_to times
     * the one that just reaches the outermost column. With min: each end of the grid runs from
     * look_from to look_to steps inside the outermost column. Found by trying: wider costs
     * accuracy where candidates get sparse, narrower where codes get few (measured on normal and
     * heavy-tailed columns, with and without importance). */
    float look_from, look_to;
};

/* Columns to be put on one grid  w = a * q - b. */
struct rz_group {
    const float *x, *weight; /* weight: what a squared error costs; some are above 0 */
    const struct rz_grid *grid;
};

struct rz_fit {
    float a, b;
    float mean_q; /* weighted mean of the codes: how b answers a change of a */
};

/* A block scaled by a power of two so that its largest |x| is near 1: no square overflows. */
struct rz_block_input {
    float x[RZ_SUPERBLOCK], weight[RZ_SUPERBLOCK];
    float unit; /* in = x * unit */
};

/* Candidates for (a, b) of a group, and the sum of weight * (x - (a q - b))^2 with every column at
 * its nearest q. */
struct rz_candidates {
    float a[RZ_MAX_CANDIDATES], b[RZ_MAX_CANDIDATES], cost[RZ_MAX_CANDIDATES];
};

/* Sums over a group that move (a, b) to the optimum of the codes as they are; r = x + b - a q. */
struct rz_sums {
    float w, wq, wqq, wr, wrq;
};

/* Measures candidates 0 ... n - 1, n a multiple of RZ_LANES. */
void rz_measure(const struct rz_group *g, struct rz_candidates *c, uint32_t n);

void rz_measure_sums(const struct rz_group *g, float a, float b, struct rz_sums *sums);

/* Of a grid without min: the best a, of either sign. With: the best a >= 0 and b; b >= 0 unless the
 * block is one group. */
struct rz_fit rz_fit_group(const struct rz_group *g);

/* The codes as stored: q - q_lo, or the index of the level. */
void rz_write_codes(const struct rz_group *g, float a, float b, uint8_t *code);

/* Chooses everything in codes; d and dmin are binary16 values in the input's own units. */
void rz_search_block(const struct rz_grid *grid, const struct rz_block_input *in,
                     struct rz_codes *codes);

#endif
