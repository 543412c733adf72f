/* search_fit_simd.h - the best grid of a group by itself, a group in each lane. */
#ifndef RZ_QUANT_SEARCH_FIT_SIMD_H
#define RZ_QUANT_SEARCH_FIT_SIMD_H

#include "quant/search_sums_simd.h"

enum {
    N_BEST = 2 /* candidates that are improved */
};

/* The best grids found, the best first. */
struct best_fits {
    struct fit fit[N_BEST];
};

RZ_INLINE struct best_fits no_fits(void)
{
    struct fit none = {vf_zero(), vf_zero(), vf_set1(INFINITY), no_sums()};
    return (struct best_fits){{none, none}};
}

/* a, b and cost only: the sums of a candidate are found again when it is improved. */
RZ_INLINE void keep_best(struct best_fits *best, struct fit f)
{
    struct fit *p = best->fit;
    vmask first = vf_less(f.cost, p[0].cost);
    vflt a = vf_pick(first, p[0].a, f.a), b = vf_pick(first, p[0].b, f.b);
    vflt cost = vf_pick(first, p[0].cost, f.cost);
    p[0].a = vf_pick(first, f.a, p[0].a);
    p[0].b = vf_pick(first, f.b, p[0].b);
    p[0].cost = vf_pick(first, f.cost, p[0].cost);
    vmask second = vf_less(cost, p[1].cost);
    p[1].a = vf_pick(second, a, p[1].a);
    p[1].b = vf_pick(second, b, p[1].b);
    p[1].cost = vf_pick(second, cost, p[1].cost);
}

RZ_INLINE void find_range(const struct groups *g, vflt *lo, vflt *hi)
{
    *lo = *hi = load(&g->x[0], g);
    for (uint32_t i = 1; i < g->len; i++) {
        vflt x = load(&g->x[i], g);
        *lo = vf_min(x, *lo);
        *hi = vf_max(x, *hi);
    }
}

/* The grids that a group's search begins with: the range of its columns. */
struct range {
    vflt lo, hi;
    vflt step;        /* with a min: of the grid that has both as its ends */
    vflt plus, minus; /* without: the scales of either sign that just reach both */
};

RZ_INLINE struct range range_of(const struct groups *g)
{
    struct range r;
    const vflt zero = vf_zero();
    find_range(g, &r.lo, &r.hi);
    if (g->b_not_negative || g->form.kind != AFFINE)
        r.lo = vf_min(r.lo, zero);
    if (g->form.kind == AFFINE) {
        r.step = (r.hi - r.lo) / g->q_hi;
        r.plus = r.minus = zero;
    } else {
        r.step = zero;
        r.hi = vf_max(r.hi, zero);
        r.plus = vf_max(r.hi / g->q_hi, r.lo / g->q_lo);
        r.minus = vf_min(r.hi / g->q_lo, r.lo / g->q_hi);
    }
    return r;
}

RZ_INLINE void look_at(const struct groups *g, const struct range *r, struct rz_look look, vflt *a,
                       vflt *b)
{
    *b = vf_zero();
    if (g->form.kind == AFFINE) {
        *a = (vf_set1(1) - vf_set1(look.a + look.b) / g->q_hi) * r->step;
        *b -= r->lo + vf_set1(look.b) * r->step;
        if (g->b_not_negative)
            *b = vf_max(*b, vf_zero());
    } else {
        *a = look.a < 0 ? r->minus : r->plus;
        *a *= vf_set1(fabsf(look.a));
    }
}

/* The best a, of either sign; with a min a >= 0, and b >= 0 unless the block is one group. Pairs of
 * looks, and at last, unless there is but one pair, the best two of them once more: one loop, for
 * what is in it is most of the search's code. */
RZ_INLINE struct fit fit_group(const struct groups *g, const struct rz_looks *looks)
{
    const struct range r = range_of(g);
    struct best_fits best = no_fits();
    for (uint32_t i = 0;; i += N_PAIR) {
        vflt a[N_PAIR] = {best.fit[0].a, best.fit[1].a}, b[N_PAIR] = {best.fit[0].b, best.fit[1].b};
        for (uint32_t k = 0; k < N_PAIR && i < looks->n; k++)
            look_at(g, &r, looks->at[i + k], &a[k], &b[k]);
        struct sums sums[N_PAIR];
        sum_pair(g, a, b, sums);
        struct fit f0 = optimum(g, &sums[0], a[0]), f1 = optimum(g, &sums[1], a[1]);
        if (i >= looks->n || looks->n == N_PAIR) {
            best.fit[0] = better(f1, f0);
            break;
        }
        keep_best(&best, f0);
        keep_best(&best, f1);
    }
    if (g->form.kind == AFFINE) { /* equal columns: one code says them all */
        vmask some = vf_less(r.lo, r.hi);
        best.fit[0].a = vf_pick(some, best.fit[0].a, vf_zero());
        best.fit[0].b = vf_pick(some, best.fit[0].b, vf_zero() - r.lo);
    }
    return best.fit[0];
}

#endif
