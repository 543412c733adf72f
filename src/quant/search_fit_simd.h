/* search_fit_simd.h - the best grid of a group by itself, a group in each lane. */
#ifndef RZ_QUANT_SEARCH_FIT_SIMD_H
#define RZ_QUANT_SEARCH_FIT_SIMD_H

#include "quant/search_grid_simd.h"

RZ_INLINE vflt total_weight(const struct groups *g)
{
    vflt sum = vf_set1(0);
    for (uint32_t i = 0; i < g->len; i++)
        sum += vf_load(g->weight + i * RZ_LANES);
    return sum;
}

RZ_INLINE vflt divide(vflt a, vflt b)
{
    return a / vf_pick(vf_less(vf_set1(0), b), b, vf_set1(1));
}

/* Moves a grid to the least-squares optimum of its codes; cost becomes the cost with those codes,
 * which rounding again can only lower. */
RZ_INLINE void move_scale(const struct sums *s, struct fit *f)
{
    vflt da = divide(s->wrq, s->wqq);
    f->cost = s->wrr - da * s->wrq;
    f->a += da;
}

/* The same with a min. Where the optimum has a negative b that the grid lacks: that of b = 0. */
RZ_INLINE void move_affine(const struct sums *s, struct fit *f, vflt sw, bool b_not_negative)
{
    vflt zero = vf_set1(0), det = sw * s->wqq - s->wq * s->wq;
    /* One code for all columns leaves a as it is. */
    vmask both = vf_less(vf_set1(1e-6f) * sw * s->wqq, det);
    vflt inv = vf_set1(1) / vf_pick(both, det, vf_set1(1));
    vflt da = vf_pick(both, (sw * s->wrq - s->wq * s->wr) * inv, zero);
    vflt db = vf_pick(both, (s->wq * s->wrq - s->wqq * s->wr) * inv, zero - s->wr / sw);
    if (b_not_negative) {
        vmask below = vf_less(f->b + db, zero);
        db = vf_pick(below, zero - f->b, db);
        da = vf_pick(below, divide(s->wrq + db * s->wq, s->wqq), da);
    }
    /* The sum of w (r + db - da q)^2. */
    f->cost = s->wrr + db * (s->wr + s->wr + db * sw - (da + da) * s->wq) +
              da * (da * s->wqq - (s->wrq + s->wrq));
    f->mean_q = s->wq / sw;
    f->a += da;
    f->b += db;
}

enum {
    N_BEST = 6,    /* of a group's candidates, even, that are improved; the best two once more */
    N_SCALES = 12, /* candidates of each sign, even */
    N_ENDS = 4     /* candidates for each end of a grid, even */
};

/* Puts f where it belongs among the best so far. */
RZ_INLINE void keep_best(struct fit best[N_BEST], struct fit f)
{
    for (int i = 0; i < N_BEST; i++) {
        vmask less = vf_less(f.cost, best[i].cost);
        struct fit old = best[i];
        best[i].a = vf_pick(less, f.a, old.a);
        best[i].b = vf_pick(less, f.b, old.b);
        best[i].cost = vf_pick(less, f.cost, old.cost);
        best[i].mean_q = vf_pick(less, f.mean_q, old.mean_q);
        f.a = vf_pick(less, old.a, f.a);
        f.b = vf_pick(less, old.b, f.b);
        f.cost = vf_pick(less, old.cost, f.cost);
        f.mean_q = vf_pick(less, old.mean_q, f.mean_q);
    }
}

RZ_INLINE void no_best(struct fit best[N_BEST])
{
    for (int i = 0; i < N_BEST; i++)
        best[i] = (struct fit){vf_set1(0), vf_set1(0), vf_set1(INFINITY), vf_set1(0)};
}

/* What the candidates of a group are improved with. */
struct fitting {
    vflt weight; /* in all */
    const struct groups *g;
    bool b_not_negative;
};

/* Moves a pair to its optimum for its codes, and keeps what is best. */
RZ_INLINE void improve(const struct fitting *f, struct fit best[N_BEST], struct fit pair[N_PAIR])
{
    const vflt a[N_PAIR] = {pair[0].a, pair[1].a}, b[N_PAIR] = {pair[0].b, pair[1].b};
    struct sums sums[N_PAIR];
    sum_up(f->g, a, b, sums);
    for (int i = 0; i < N_PAIR; i++) {
        if (f->g->kind == AFFINE)
            move_affine(&sums[i], &pair[i], f->weight, f->b_not_negative);
        else
            move_scale(&sums[i], &pair[i]);
        keep_best(best, pair[i]);
    }
}

/* Candidates of one group alone are compared as they are once they have moved: more costly, and it
 * is all that such a type's search does. */
RZ_INLINE void try_fits(const struct fitting *f, struct fit best[N_BEST], const vflt a[N_PAIR],
                        const vflt b[N_PAIR])
{
    const vflt zero = vf_set1(0);
    struct fit pair[N_PAIR] = {{a[0], b[0], zero, zero}, {a[1], b[1], zero, zero}};
    if (f->g->kind == AFFINE && !f->b_not_negative) {
        improve(f, best, pair);
        return;
    }
    vflt cost[N_PAIR];
    measure(f->g, a, b, cost);
    for (int i = 0; i < N_PAIR; i++) {
        pair[i].cost = cost[i];
        keep_best(best, pair[i]);
    }
}

RZ_INLINE struct fit improve_best(const struct fitting *f, struct fit candidates[N_BEST])
{
    struct fit best[N_BEST];
    no_best(best);
    for (int i = 0; i < N_BEST; i += N_PAIR)
        improve(f, best, candidates + i);
    struct fit again[N_PAIR] = {best[0], best[1]};
    improve(f, best, again);
    return best[0];
}

RZ_INLINE void find_range(const struct groups *g, vflt *lo, vflt *hi)
{
    *lo = *hi = vf_load(g->x);
    for (uint32_t i = 1; i < g->len; i++) {
        vflt x = vf_load(g->x + i * RZ_LANES);
        *lo = vf_min(x, *lo);
        *hi = vf_max(x, *hi);
    }
}

/* The best a of either sign. */
RZ_INLINE struct fit fit_scale(const struct groups *g, const struct rz_grid *grid)
{
    const vflt zero = vf_set1(0), none[N_PAIR] = {zero, zero};
    const struct fitting fitting = {.g = g};
    vflt lo, hi;
    struct fit best[N_BEST];
    find_range(g, &lo, &hi);
    lo = vf_min(lo, zero);
    hi = vf_max(hi, zero);
    /* The scales of either sign that just reach both ends. */
    vflt plus = vf_max(hi / g->q_hi, lo / g->q_lo), minus = vf_min(hi / g->q_lo, lo / g->q_hi);
    no_best(best);
    for (int i = 0; i < N_SCALES; i++) {
        float look =
            grid->look_from + (grid->look_to - grid->look_from) * (float)i / (N_SCALES - 1);
        const vflt grow = vf_set1(1 / look), a[N_PAIR] = {plus * grow, minus * grow};
        try_fits(&fitting, best, a, none);
    }
    return improve_best(&fitting, best);
}

/* The best a >= 0 and b; b >= 0 unless the block is one group. */
RZ_INLINE struct fit fit_affine(const struct groups *g, const struct rz_grid *grid)
{
    const vflt zero = vf_set1(0);
    const struct fitting fitting = {
        .g = g, .weight = total_weight(g), .b_not_negative = grid->n_groups > 1};
    float steps = grid->q_hi, look_step = (grid->look_to - grid->look_from) / (N_ENDS - 1);
    vflt lo, hi, a[N_PAIR], b[N_PAIR];
    struct fit best[N_BEST];
    find_range(g, &lo, &hi);
    if (fitting.b_not_negative)
        lo = vf_min(lo, zero);
    vflt step = (hi - lo) * vf_set1(1 / steps);
    no_best(best);
    for (int i = 0; i < N_ENDS; i++) {
        float above = grid->look_from + look_step * (float)i;
        for (int k = 0; k < N_ENDS; k++) {
            float below = grid->look_from + look_step * (float)k;
            a[k % N_PAIR] = vf_set1((steps - above - below) / steps) * step;
            b[k % N_PAIR] = zero - lo - vf_set1(below) * step;
            if (fitting.b_not_negative)
                b[k % N_PAIR] = vf_max(b[k % N_PAIR], zero);
            if (k % N_PAIR == N_PAIR - 1)
                try_fits(&fitting, best, a, b);
        }
    }
    /* Equal columns: one code says them all. */
    struct fit f = improve_best(&fitting, best);
    vmask ranges = vf_less(lo, hi);
    f.a = vf_pick(ranges, f.a, zero);
    f.b = vf_pick(ranges, f.b, zero - lo);
    f.mean_q = vf_pick(ranges, f.mean_q, zero);
    return f;
}

#endif
