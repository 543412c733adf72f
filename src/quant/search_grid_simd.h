/* search_grid_simd.h - a group in each lane, and what a grid costs it. The vectors and their
 * functions (vflt, vf_...) are the including file's.
 *
 * A pass over the columns of a group gives the sums that say what the codes it found cost on any
 * grid (a, b):  sum w (x + b - a q)^2 = wxx + b (2 wx + b w - 2 a wq) + a (a wqq - 2 wxq).  So the
 * optimum of a group's codes, and which integers stand for it best, take no further pass. */
#ifndef RZ_QUANT_SEARCH_GRID_SIMD_H
#define RZ_QUANT_SEARCH_GRID_SIMD_H

#include "quant/search.h"

#include <math.h>

/* A number for each of the sixteen groups. Aligned: a vector across two cache lines takes twice as
 * long. */
struct lanes {
    _Alignas(64) float at[RZ_LANES];
};

/* The kinds of grid, each with inner loops of its own. */
enum kind {
    SCALE,  /* w = a * q, q an integer */
    LEVELS, /* w = a * q, q a level of IQ4 */
    AFFINE  /* w = a * q - b */
};

/* What an inner loop is made for. weighted: columns have weights other than 1. */
struct form {
    enum kind kind;
    bool weighted;
};

/* Sixteen groups, column by column, and their sums. Each block is scaled by a power of two so that
 * its largest |x| is near 1: no square overflows. */
struct batch {
    struct lanes x[RZ_MAX_GROUP], weight[RZ_MAX_GROUP];
    struct lanes unit, inv_unit; /* in = x * unit */
    struct lanes shift;          /* of one group with a min: what was subtracted from x */
    struct lanes w, wx, wxx;     /* sums of weight, weight * x, weight * x^2 */
};

/* One vector of groups, and what every lane needs of their grid. */
struct groups {
    vflt q_lo, q_hi;
    vflt w, inv_w, wx; /* sums of the batch */
    const struct lanes *x, *weight;
    uint32_t len, first; /* first: lane */
    struct form form;
    bool b_not_negative;
};

/* Sums over a group's columns with their codes. */
struct sums {
    vflt wq, wqq, wxq;
};

/* A grid for a group: the optimum of codes whose sums these are. cost: without wxx. */
struct fit {
    vflt a, b, cost;
    struct sums sums;
};

/* What rounding to a grid takes: columns are measured in steps of a, (x + b) / a. */
struct steps {
    vflt inv, offset;
    vmask fine;
};

RZ_INLINE vflt vf_zero(void)
{
    return vf_set1(0);
}

RZ_INLINE vflt load(const struct lanes *l, const struct groups *g)
{
    return vf_load(l->at + g->first);
}

RZ_INLINE void store(struct lanes *l, const struct groups *g, vflt v)
{
    vf_store(l->at + g->first, v);
}

/* The nearest binary16 number, ties to even, the largest if there is none; 0 keeps its sign. Adding
 * and subtracting 1.5 * 2^13 times v's power of two leaves 11 bits, never less than 2^-24. */
RZ_INLINE vflt round_half(vflt v, vflt unit, vflt inv_unit)
{
    vflt size = vf_min(vf_abs(v * unit), vf_set1(65504));
    vflt magic = vf_max(vf_power(size) * vf_set1(12288), vf_set1(0.75f));
    return vf_signed((size + magic) - magic, v) * inv_unit;
}

RZ_INLINE struct groups groups_of(const struct rz_grid *grid, const struct batch *batch,
                                  struct form form, uint32_t first)
{
    struct groups g = {.q_lo = vf_set1(grid->q_lo),
                       .q_hi = vf_set1(grid->q_hi),
                       .x = batch->x,
                       .weight = batch->weight,
                       .len = grid->group_len,
                       .first = first,
                       .form = form,
                       .b_not_negative = grid->n_groups > 1};
    g.w = load(&batch->w, &g);
    g.wx = load(&batch->wx, &g);
    g.inv_w = vf_set1(1) / g.w;
    return g;
}

RZ_INLINE struct steps steps_of(vflt a, vflt b)
{
    /* With a scale of 0, or one so small that its inverse is none: steps so large that every column
     * is at 0. */
    struct steps s = {.fine = vf_less(vf_set1(0x1p-60f), vf_abs(a))};
    s.inv = vf_set1(1) / vf_pick(s.fine, a, vf_set1(0x1p20f));
    s.offset = b * s.inv;
    return s;
}

/* The nearest q of a column, before it is rounded. */
RZ_INLINE vflt in_steps(const struct groups *g, const struct steps *s, vflt x)
{
    x *= s->inv;
    if (g->form.kind == AFFINE)
        x += s->offset;
    return vf_min(vf_max(x, g->q_lo), g->q_hi);
}

/* Adding and subtracting 1.5 * 2^23 rounds a float of magnitude below 2^22 to an integer, to
 * nearest even, in two operations that every vector unit has. */
RZ_INLINE vflt nearest_q(const struct groups *g, const struct steps *s, vflt v)
{
    const vflt magic = vf_set1(12582912.0f);
    if (g->form.kind == LEVELS) /* which has no 0 */
        return vf_pick(s->fine, vf_level(v), vf_zero());
    return (v + magic) - magic;
}

RZ_INLINE void add_column(const struct groups *g, const struct steps *s, struct sums *sums, vflt x,
                          vflt w)
{
    vflt q = nearest_q(g, s, in_steps(g, s, x)), wq = q;
    if (g->form.weighted)
        wq *= w;
    sums->wqq += wq * q;
    sums->wxq += wq * x;
    if (g->form.kind == AFFINE)
        sums->wq += wq;
}

RZ_INLINE vflt weight_of(const struct groups *g, uint32_t i)
{
    return g->form.weighted ? load(&g->weight[i], g) : vf_set1(1);
}

RZ_INLINE struct sums no_sums(void)
{
    return (struct sums){vf_zero(), vf_zero(), vf_zero()};
}

RZ_INLINE struct sums sum_one(const struct groups *g, vflt a, vflt b)
{
    struct steps s = steps_of(a, b);
    struct sums sums = no_sums();
    for (uint32_t i = 0; i < g->len; i++)
        add_column(g, &s, &sums, load(&g->x[i], g), weight_of(g, i));
    return sums;
}

enum {
    N_PAIR = 2 /* grids whose operations fill each other's waits */
};

RZ_INLINE void sum_pair(const struct groups *g, const vflt a[N_PAIR], const vflt b[N_PAIR],
                        struct sums sums[N_PAIR])
{
    struct steps s0 = steps_of(a[0], b[0]), s1 = steps_of(a[1], b[1]);
    struct sums sums0 = no_sums(), sums1 = no_sums();
    for (uint32_t i = 0; i < g->len; i++) {
        vflt x = load(&g->x[i], g), w = weight_of(g, i);
        add_column(g, &s0, &sums0, x, w);
        add_column(g, &s1, &sums1, x, w);
    }
    sums[0] = sums0;
    sums[1] = sums1;
}

#endif
