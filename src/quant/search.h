/* search.h - choosing the scales and mins of blocks so that rounding their columns costs least.
 *
 * A group is 16 or 32 columns on one grid  w = a * q - b.  Sixteen groups are searched at once, one
 * in each lane, whatever the width of the CPU's vectors: one block of 16 groups, two of 8, sixteen
 * of one. Every lane computes the same operations in the same order at every level (search_ref.c,
 * search_avx2.c, search_avx512.c share search_simd.h and what it includes; multiply-adds are
 * never fused), so that the bytes do not depend on the machine. */
#ifndef RZ_QUANT_SEARCH_H
#define RZ_QUANT_SEARCH_H

#include "quant/dtype.h"
#include "quant/encode.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    RZ_LANES = 16, /* groups searched at once */
    RZ_MAX_GROUP = 32
};

/* Where a group's search begins. Without min: a times the scale that just reaches the outermost
 * column; negative: of the other sign. With min: the ends of the grid are a steps below the largest
 * column and b above the smallest. */
struct rz_look {
    float a, b;
};
struct rz_looks {
    const struct rz_look *at;
    uint8_t n; /* even; where it is 2, they are not improved; 0: no search */
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
    /* Where there is no search, the column of largest magnitude becomes this q, or, where it is
     * positive, this or its negative. */
    int16_t extreme_q;
    struct rz_looks plain, weighted; /* without importance, with it */
};

extern const struct rz_grid rz_grids[RZ_N_DTYPES];

/* What is searched: n_blocks, at most RZ_LANES / n_groups, blocks of n_groups * group_len columns;
 * importance the same, or NULL. */
struct rz_search {
    const struct rz_grid *grid;
    const float *in, *importance;
    size_t n_blocks;
};

/* Fills codes[0 ... n_blocks - 1], d and dmin being binary16 values in the input's own units, and
 * adds what the blocks lose. */
typedef void rz_search_fn(const struct rz_search *job, struct rz_codes *codes,
                          struct rz_row_loss *loss);

rz_search_fn rz_search_ref, rz_search_avx2, rz_search_avx512;

/* The search for a CPU of these flags (base/cpu.h). */
rz_search_fn *rz_search_for(unsigned cpu_flags);

/* rz_encode_row_measured by a search of one's own choice; that function's comment says the rest. */
struct rz_row_loss rz_encode_row_by(rz_search_fn *search, rz_dtype type, const float *in,
                                    const float *importance, void *blocks, size_t n_cols);

#endif
