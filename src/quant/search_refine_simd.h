/* search_refine_simd.h - which d and dmin of a block are tried: fractions of its groups' optima,
 * then the optimum of the integers and codes found with them. */
#ifndef RZ_QUANT_SEARCH_REFINE_SIMD_H
#define RZ_QUANT_SEARCH_REFINE_SIMD_H

#include "quant/search_stretch_simd.h"

/* Sums over the groups of a block: of the least squares of d and dmin. */
struct block_sums {
    struct lanes ss, sm, mm, sr, mr;
};

RZ_INLINE void add_up(const struct search *s, struct block_sums *u, const struct choice *c,
                      const struct groups *g)
{
    const struct sums q = {load(&s->wq, g), load(&s->wqq, g), load(&s->wxq, g)};
    vflt scale = load(&c->scale, g), min = load(&c->min, g), zero = vf_zero();
    vflt a = load(&c->d, g) * scale, b = load(&c->dmin, g) * min;
    vflt sm = zero, mm = zero, mr = zero, wr = q.wxq - a * q.wqq;
    if (g->form.kind == AFFINE) {
        wr += b * q.wq;
        sm = scale * min * q.wq;
        mm = min * min * g->w;
        mr = min * (g->wx + b * g->w - a * q.wq);
    }
    store(&u->ss, g, scale * scale * q.wqq);
    store(&u->sm, g, sm);
    store(&u->mm, g, mm);
    store(&u->sr, g, scale * wr);
    store(&u->mr, g, mr);
}

/* d and dmin of next: the least-squares optimum of c's integers and the codes found last.
 * r = x + b - a q; the change of d is weighed by s q, that of dmin by -m. */
RZ_INLINE void move_choice(const struct search *s, const struct choice *c, struct choice *next,
                           struct form form)
{
    struct block_sums u;
    uint32_t n = s->grid->n_groups;
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s->grid, &s->batch, form, v);
        add_up(s, &u, c, &g);
    }
    sum_blocks(&u.ss, n);
    sum_blocks(&u.sr, n);
    if (form.kind == AFFINE) {
        sum_blocks(&u.sm, n);
        sum_blocks(&u.mm, n);
        sum_blocks(&u.mr, n);
    }
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt ss = vf_load(u.ss.at + v), sr = vf_load(u.sr.at + v), dd = divide(sr, ss);
        vflt dm = vf_zero();
        if (form.kind == AFFINE) {
            vflt sm = vf_load(u.sm.at + v), mm = vf_load(u.mm.at + v), mr = vf_load(u.mr.at + v);
            vflt det = ss * mm - sm * sm;
            vmask both = vf_less(vf_set1(1e-5f) * ss * mm, det);
            vflt inv = vf_set1(1) / vf_pick(both, det, vf_set1(1));
            dd = vf_pick(both, (sr * mm - sm * mr) * inv, dd);
            vmask scales = vf_less(dm, ss);
            dm = vf_pick(scales, dm, dm - divide(mr, mm));
            dm = vf_pick(both, (sm * sr - ss * mr) * inv, dm);
        }
        vf_store(next->d.at + v, vf_load(c->d.at + v) + dd);
        vf_store(next->dmin.at + v, vf_load(c->dmin.at + v) + dm);
    }
}

/* Codes anew on c's grids; c's cost becomes theirs, the groups' optima those of the new codes. */
RZ_INLINE void find_codes(struct search *s, struct choice *c, struct form form)
{
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s->grid, &s->batch, form, v);
        vflt a = load(&c->d, &g) * load(&c->scale, &g), b = load(&c->dmin, &g) * load(&c->min, &g);
        struct sums sums = sum_one(&g, a, b);
        store(&s->wq, &g, sums.wq);
        store(&s->wqq, &g, sums.wqq);
        store(&s->wxq, &g, sums.wxq);
        store(&s->a, &g, optimum(&g, &sums, a).a);
        store(&c->cost, &g, cost_of(&g, &sums, a, b));
        store(&s->xw, &g, a * sums.wxq - b * g.wx);
    }
    sum_blocks(&c->cost, s->grid->n_groups);
}

/* Where c, on which codes were found last, costs less. */
RZ_INLINE void keep_codes(struct search *s, const struct choice *c)
{
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vmask less = vf_less(vf_load(c->cost.at + v), vf_load(s->best.cost.at + v));
        vflt xw = vf_pick(less, vf_load(s->xw.at + v), vf_load(s->best_xw.at + v));
        vf_store(s->best_xw.at + v, xw);
    }
    keep_choice(s, c);
}

RZ_INLINE void try_fractions(struct search *s, const struct lanes *d, float of_d,
                             const struct lanes *dmin, float of_dmin, struct form form)
{
    struct choice c = {0};
    vflt inv_d = vf_set1(1 / of_d), inv_dmin = vf_set1(1 / of_dmin);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vf_store(c.d.at + v, vf_load(d->at + v) * inv_d);
        vf_store(c.dmin.at + v, vf_load(dmin->at + v) * inv_dmin);
    }
    try_choice(s, &c, form);
}

enum {
    N_TRIES = 3, /* of d, of dmin */
    N_REFINE = 1
};

static void no_choice(struct choice *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < RZ_LANES; i++)
        c->cost.at[i] = INFINITY;
}

/* Columns so small that d rounds to 0: its smallest value may do better. */
RZ_INLINE void try_smallest(struct search *s, const struct lanes *a, struct form form)
{
    struct choice c;
    bool any = false;
    c = s->best;
    for (size_t i = 0; i < RZ_LANES; i++) {
        any = any || s->best.d.at[i] == 0;
        if (s->best.d.at[i] == 0)
            c.d.at[i] = copysignf(0x1p-24f * s->batch.inv_unit.at[i], a->at[i]);
    }
    if (any)
        try_choice(s, &c, form);
}

/* The first tries put the largest scale at the end of its range, and a little below. */
RZ_INLINE void search_integers(struct search *s, struct form form)
{
    float top = s->grid->scale_hi, bottom = s->grid->scale_lo, top_min = s->grid->min_hi;
    uint32_t n = s->grid->n_groups;
    struct lanes a = s->a, b = s->b;
    struct choice best, next;
    extreme_of_blocks(&a, n);
    no_choice(&s->best);
    if (form.kind == AFFINE) {
        extreme_of_blocks(&b, n);
        for (int i = 0; i < N_TRIES; i++)
            for (int k = 0; k < N_TRIES; k++)
                try_fractions(s, &a, top + 0.4f - (float)i, &b, top_min + 0.4f - (float)k, form);
    } else {
        for (int i = 0; i < N_TRIES; i++) {
            try_fractions(s, &a, bottom - 0.4f + (float)i, &b, 1, form);
            try_fractions(s, &a, top + 0.4f - (float)i, &b, 1, form);
        }
    }
    try_smallest(s, &a, form);
    next = s->best;
    no_choice(&s->best);
    for (int i = 0; i <= N_REFINE; i++) {
        struct choice c = next;
        find_codes(s, &c, form);
        keep_codes(s, &c);
        if (i == N_REFINE)
            break;
        best = s->best;
        move_choice(s, &c, &next, form);
        no_choice(&s->best);
        try_choice(s, &next, form);
        next = s->best;
        s->best = best;
    }
    stretch_blocks(s, form);
}

#endif
