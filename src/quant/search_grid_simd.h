/* search_grid_simd.h - a group in each lane, and what a grid costs it. The vectors and their
 * functions (vflt, vf_...) are the including file's. */
#ifndef RZ_QUANT_SEARCH_GRID_SIMD_H
#define RZ_QUANT_SEARCH_GRID_SIMD_H

#include "quant/search.h"

#include <math.h>

/* Sixteen groups, column by column: x[i][lane]. Each block is scaled by a power of two so that its
 * largest |x| is near 1: no square overflows. */
struct batch {
    /* Aligned: a vector across two cache lines takes twice as long. weight: of an error. */
    _Alignas(64) float x[RZ_MAX_GROUP][RZ_LANES];
    _Alignas(64) float weight[RZ_MAX_GROUP][RZ_LANES];
    float unit[RZ_LANES]; /* in = x * unit, by block */
    size_t n_blocks;
};

/* The kinds of grid, each with inner loops of its own. */
enum kind {
    SCALE,  /* w = a * q, q an integer */
    LEVELS, /* w = a * q, q a level of IQ4 */
    AFFINE  /* w = a * q - b */
};

/* One vector of groups, and what every lane needs of their grid. */
struct groups {
    vflt q_lo, q_hi;
    const float *x, *weight; /* [group_len], RZ_LANES floats apart */
    uint32_t len;
    enum kind kind;
};

/* A grid that has been tried. mean_q: weighted mean of the codes, how b answers a change of a. */
struct fit {
    vflt a, b, cost, mean_q;
};

/* Sums over a group that move (a, b) to the optimum of the codes as they are; r = x + b - a q. */
struct sums {
    vflt wq, wqq, wr, wrq, wrr;
};

/* What rounding to a grid takes: columns are measured in steps of a, e = (x + b) / a - q. */
struct steps {
    vflt a, inv, offset;
    vmask fine;
};

RZ_INLINE struct steps steps_of(vflt a, vflt b)
{
    /* With a scale of 0, or one so small that its inverse is none: steps so large that every column
     * is at 0, against which a column costs its square. */
    struct steps s = {.fine = vf_less(vf_set1(0x1p-60f), vf_abs(a))};
    s.a = vf_pick(s.fine, a, vf_set1(0x1p20f));
    s.inv = vf_set1(1) / s.a;
    s.offset = b * s.inv;
    return s;
}

RZ_INLINE vflt in_steps(const struct groups *g, const struct steps *s, vflt x)
{
    x *= s->inv;
    if (g->kind == AFFINE)
        x += s->offset;
    return x;
}

/* The nearest q. Adding and subtracting 1.5 * 2^23 rounds a float of magnitude below 2^22 to an
 * integer, to nearest even, in two operations that every vector unit has. */
RZ_INLINE vflt nearest_q(const struct groups *g, const struct steps *s, vflt v)
{
    const vflt magic = vf_set1(12582912.0f);
    v = vf_min(vf_max(v, g->q_lo), g->q_hi);
    if (g->kind == LEVELS) /* which has no 0 */
        return vf_pick(s->fine, vf_level(v), vf_set1(0));
    return (v + magic) - magic;
}

enum {
    N_PAIR = 2
};

/* The sums of weight * (x - (a q - b))^2 with every column at its nearest q, of two grids: their
 * operations fill each other's waits. */
RZ_INLINE void measure(const struct groups *g, const vflt a[N_PAIR], const vflt b[N_PAIR],
                       vflt cost[N_PAIR])
{
    struct steps s0 = steps_of(a[0], b[0]), s1 = steps_of(a[1], b[1]);
    vflt cost0 = vf_set1(0), cost1 = vf_set1(0);
    for (uint32_t i = 0; i < g->len; i++) {
        vflt x = vf_load(g->x + i * RZ_LANES), w = vf_load(g->weight + i * RZ_LANES);
        vflt v0 = in_steps(g, &s0, x), v1 = in_steps(g, &s1, x);
        vflt e0 = v0 - nearest_q(g, &s0, v0), e1 = v1 - nearest_q(g, &s1, v1);
        cost0 += w * e0 * e0;
        cost1 += w * e1 * e1;
    }
    cost[0] = cost0 * s0.a * s0.a;
    cost[1] = cost1 * s1.a * s1.a;
}

RZ_INLINE void add_column(const struct groups *g, const struct steps *s, struct sums *sums, vflt x,
                          vflt w)
{
    vflt v = in_steps(g, s, x), q = nearest_q(g, s, v), e = v - q, wq = w * q, we = w * e;
    sums->wqq += wq * q;
    sums->wrq += we * q;
    sums->wrr += we * e;
    if (g->kind == AFFINE) {
        sums->wq += wq;
        sums->wr += we;
    }
}

RZ_INLINE struct sums no_sums(void)
{
    const vflt zero = vf_set1(0);
    return (struct sums){zero, zero, zero, zero, zero};
}

RZ_INLINE void in_columns(const struct steps *s, struct sums *sums)
{
    sums->wr *= s->a;
    sums->wrq *= s->a;
    sums->wrr *= s->a * s->a;
}

RZ_INLINE struct sums sum_one(const struct groups *g, vflt a, vflt b)
{
    struct steps s = steps_of(a, b);
    struct sums sums = no_sums();
    for (uint32_t i = 0; i < g->len; i++)
        add_column(g, &s, &sums, vf_load(g->x + i * RZ_LANES), vf_load(g->weight + i * RZ_LANES));
    in_columns(&s, &sums);
    return sums;
}

RZ_INLINE void sum_up(const struct groups *g, const vflt a[N_PAIR], const vflt b[N_PAIR],
                      struct sums sums[N_PAIR])
{
    struct steps s0 = steps_of(a[0], b[0]), s1 = steps_of(a[1], b[1]);
    struct sums sums0 = no_sums(), sums1 = no_sums();
    for (uint32_t i = 0; i < g->len; i++) {
        vflt x = vf_load(g->x + i * RZ_LANES), w = vf_load(g->weight + i * RZ_LANES);
        add_column(g, &s0, &sums0, x, w);
        add_column(g, &s1, &sums1, x, w);
    }
    in_columns(&s0, &sums0);
    in_columns(&s1, &sums1);
    sums[0] = sums0;
    sums[1] = sums1;
}

#endif
