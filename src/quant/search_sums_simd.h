/* search_sums_simd.h - sums of the columns; what the codes of a pass cost on any grid, and their
 * optimum. */
#ifndef RZ_QUANT_SEARCH_SUMS_SIMD_H
#define RZ_QUANT_SEARCH_SUMS_SIMD_H

#include "quant/search_grid_simd.h"

RZ_INLINE vflt smallest_column(const struct batch *batch, uint32_t len, uint32_t v)
{
    vflt lo = vf_load(batch->x[0].at + v);
    for (uint32_t i = 1; i < len; i++)
        lo = vf_min(vf_load(batch->x[i].at + v), lo);
    return lo;
}

/* squares: of the columns as they are, unweighted. Differences of near numbers cost bits: where it
 * is shifted, one group with a min, it is measured from its smallest. */
RZ_INLINE void sum_columns(struct batch *batch, uint32_t len, bool weighted, bool shifted,
                           struct lanes *squares, uint32_t v)
{
    vflt w = vf_zero(), wx = w, wxx = w, xx = w, lo = w;
    if (shifted)
        lo = smallest_column(batch, len, v);
    for (uint32_t i = 0; i < len; i++) {
        vflt x = vf_load(batch->x[i].at + v), of_x;
        if (weighted || shifted)
            xx += x * x;
        if (shifted) {
            x -= lo;
            vf_store(batch->x[i].at + v, x);
        }
        of_x = x;
        if (weighted) {
            vflt weight = vf_load(batch->weight[i].at + v);
            w += weight;
            of_x *= weight;
        }
        wx += of_x;
        wxx += of_x * x;
    }
    if (!weighted)
        w = vf_set1((float)len);
    vf_store(batch->w.at + v, w);
    vf_store(batch->wx.at + v, wx);
    vf_store(batch->wxx.at + v, wxx);
    vf_store(batch->shift.at + v, lo);
    vf_store(squares->at + v, weighted || shifted ? xx : wxx);
}

/* What the codes of these sums cost on another grid, without wxx. */
RZ_INLINE vflt cost_of(const struct groups *g, const struct sums *s, vflt a, vflt b)
{
    vflt cost = a * (a * s->wqq - (s->wxq + s->wxq));
    if (g->form.kind == AFFINE)
        cost += b * (g->wx + g->wx + b * g->w - (a + a) * s->wq);
    return cost;
}

/* The b that answers an a. */
RZ_INLINE vflt best_b(const struct groups *g, const struct sums *s, vflt a)
{
    return (a * s->wq - g->wx) * g->inv_w;
}

RZ_INLINE vflt divide(vflt a, vflt b)
{
    return a / vf_pick(vf_less(vf_zero(), b), b, vf_set1(1));
}

/* The least-squares optimum of codes that were found with the scale a. */
RZ_INLINE struct fit optimum(const struct groups *g, const struct sums *s, vflt a)
{
    struct fit f = {.b = vf_zero(), .sums = *s};
    if (g->form.kind == AFFINE) {
        vflt zero = vf_zero(), det = g->w * s->wqq - s->wq * s->wq;
        /* One code for all columns leaves a as it is. */
        vmask both = vf_less(vf_set1(1e-6f) * g->w * s->wqq, det);
        f.a = vf_pick(both, (g->w * s->wxq - s->wq * g->wx) / vf_pick(both, det, vf_set1(1)), a);
        f.b = best_b(g, s, f.a);
        if (g->b_not_negative) {
            vmask below = vf_less(f.b, zero);
            f.b = vf_pick(below, zero, f.b);
            f.a = vf_pick(below, divide(s->wxq, s->wqq), f.a);
        }
    } else {
        f.a = divide(s->wxq, s->wqq);
    }
    f.cost = cost_of(g, s, f.a, f.b);
    return f;
}

RZ_INLINE struct fit better(struct fit f, struct fit g)
{
    vmask less = vf_less(f.cost, g.cost);
    g.a = vf_pick(less, f.a, g.a);
    g.b = vf_pick(less, f.b, g.b);
    g.cost = vf_pick(less, f.cost, g.cost);
    g.sums.wq = vf_pick(less, f.sums.wq, g.sums.wq);
    g.sums.wqq = vf_pick(less, f.sums.wqq, g.sums.wqq);
    g.sums.wxq = vf_pick(less, f.sums.wxq, g.sums.wxq);
    return g;
}

#endif
