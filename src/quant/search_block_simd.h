/* search_block_simd.h - the scales and mins of whole blocks as the format stores them: integers per
 * group times one or two binary16 numbers per block. All numbers are in the scaled input's units,
 * and in every lane: what belongs to a block stands in the lanes of all its groups. */
#ifndef RZ_QUANT_SEARCH_BLOCK_SIMD_H
#define RZ_QUANT_SEARCH_BLOCK_SIMD_H

#include "quant/search_fit_simd.h"

/* cost: of the block, without wxx. */
struct choice {
    struct lanes d, dmin, scale, min, cost;
};

struct search {
    const struct rz_grid *grid;
    const struct rz_looks *looks;
    struct batch batch;
    struct lanes a, b;         /* the best grids of the groups by themselves */
    struct lanes wq, wqq, wxq; /* the sums of the codes found last */
    struct lanes xw, best_xw;  /* theirs, the best choice's: sum of weight * x * w */
    struct choice best;
    struct lanes d, dmin; /* as stored: of the best, stretched */
};

/* out: the lanes of l, each step lanes away exchanged. */
RZ_INLINE void exchange(const struct lanes *l, uint32_t step, struct lanes *out)
{
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt other = vf_load(l->at + (step < VEC_LANES ? v : v ^ step));
        vf_store(out->at + v, step < VEC_LANES ? vf_exchange(other, step) : other);
    }
}

typedef vflt join_fn(vflt a, vflt b);

/* Each block's lanes joined, in all of them. */
RZ_INLINE void join_blocks(struct lanes *l, uint32_t n_groups, join_fn *join)
{
    for (uint32_t step = 8; step > 0; step /= 2) {
        struct lanes other;
        if (step >= n_groups)
            continue;
        exchange(l, step, &other);
        for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES)
            vf_store(l->at + v, join(vf_load(l->at + v), vf_load(other.at + v)));
    }
}

RZ_INLINE vflt join_sum(vflt a, vflt b)
{
    return a + b;
}

/* The one of larger magnitude; of two signs, the positive. */
RZ_INLINE vflt join_extreme(vflt a, vflt b)
{
    vflt x = vf_abs(a), y = vf_abs(b);
    return vf_pick(vf_less(x, y), b, vf_pick(vf_less(y, x), a, vf_max(a, b)));
}

/* The sum of each block's lanes, in all of them: the same bits in each, for a + b is b + a. */
RZ_INLINE void sum_blocks(struct lanes *l, uint32_t n_groups)
{
    join_blocks(l, n_groups, join_sum);
}

/* The number of largest magnitude in each block's lanes, in all of them. */
static void extreme_of_blocks(struct lanes *l, uint32_t n_groups)
{
    join_blocks(l, n_groups, join_extreme);
}

RZ_INLINE vflt nonzero(vflt v)
{
    return vf_pick(vf_less(vf_zero(), vf_abs(v)), v, vf_set1(INFINITY));
}

/* lo, hi: integers of at most 8 bits. */
RZ_INLINE vflt clamp_floor(vflt v, vflt lo, vflt hi)
{
    return vf_trunc(vf_min(vf_max(v, lo), hi) - lo) + lo;
}

/* The integers that cost the codes found last least, of the two scales around the free optimum and
 * the mins that answer them. */
RZ_INLINE void choose_integers(const struct search *s, const struct groups *g, struct choice *c)
{
    const struct rz_grid *grid = s->grid;
    const struct sums sums = {load(&s->wq, g), load(&s->wqq, g), load(&s->wxq, g)};
    const vflt lowest = vf_set1(grid->scale_lo), top = vf_set1(grid->scale_hi);
    const vflt zero = vf_zero(), one = vf_set1(1), top_min = vf_set1(grid->min_hi);
    vflt d = load(&c->d, g), dmin = load(&c->dmin, g), inv_min = one / nonzero(dmin);
    vflt low = clamp_floor(load(&s->a, g) / nonzero(d), lowest, top);
    vflt scale[2] = {low, vf_min(low + one, top)}, min[2] = {zero, zero}, cost[2];
    for (int k = 0; k < 2; k++) {
        vflt a = d * scale[k];
        if (g->form.kind == AFFINE)
            min[k] = clamp_floor(best_b(g, &sums, a) * inv_min + vf_set1(0.5f), zero, top_min);
        cost[k] = cost_of(g, &sums, a, dmin * min[k]);
    }
    vmask first = vf_less(cost[0], cost[1]);
    store(&c->scale, g, vf_pick(first, scale[0], scale[1]));
    store(&c->min, g, vf_pick(first, min[0], min[1]));
    store(&c->cost, g, vf_pick(first, cost[0], cost[1]));
}

/* Where c costs less. */
RZ_INLINE void keep_choice(struct search *s, const struct choice *c)
{
    struct choice *b = &s->best;
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt cost = vf_load(b->cost.at + v);
        vmask less = vf_less(vf_load(c->cost.at + v), cost);
        vf_store(b->cost.at + v, vf_pick(less, vf_load(c->cost.at + v), cost));
        vf_store(b->d.at + v, vf_pick(less, vf_load(c->d.at + v), vf_load(b->d.at + v)));
        vf_store(b->dmin.at + v, vf_pick(less, vf_load(c->dmin.at + v), vf_load(b->dmin.at + v)));
        vf_store(b->scale.at + v,
                 vf_pick(less, vf_load(c->scale.at + v), vf_load(b->scale.at + v)));
        vf_store(b->min.at + v, vf_pick(less, vf_load(c->min.at + v), vf_load(b->min.at + v)));
    }
}

/* The best integers for c's d and dmin, which are rounded, judged by the codes found last; kept
 * where they cost less. */
RZ_INLINE void try_choice_as(struct search *s, struct choice *c, struct form form)
{
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s->grid, &s->batch, form, v);
        vflt unit = load(&s->batch.unit, &g), inv = load(&s->batch.inv_unit, &g);
        store(&c->d, &g, round_half(load(&c->d, &g), unit, inv));
        store(&c->dmin, &g, round_half(load(&c->dmin, &g), unit, inv));
        choose_integers(s, &g, c);
    }
    sum_blocks(&c->cost, s->grid->n_groups);
    keep_choice(s, c);
}

/* Not inlined wherever they are called: it takes compilers minutes with sanitizers. */
static void try_affine(struct search *s, struct choice *c)
{
    try_choice_as(s, c, (struct form){AFFINE, false});
}

static void try_scales(struct search *s, struct choice *c)
{
    try_choice_as(s, c, (struct form){SCALE, false});
}

RZ_INLINE void try_choice(struct search *s, struct choice *c, struct form form)
{
    if (form.kind == AFFINE)
        try_affine(s, c);
    else
        try_scales(s, c);
}

#endif
