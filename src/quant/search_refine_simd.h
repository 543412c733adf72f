/* search_refine_simd.h - which d and dmin of a block are tried: fractions of its groups' fits, then
 * the optimum of the integers and codes found with them. */
#ifndef RZ_QUANT_SEARCH_REFINE_SIMD_H
#define RZ_QUANT_SEARCH_REFINE_SIMD_H

#include "quant/search_block_simd.h"

/* Sums over the groups of a block; struct sums with each group's integers. */
struct block_sums {
    float w[RZ_LANES], wq[RZ_LANES], wqq[RZ_LANES], wr[RZ_LANES], wrq[RZ_LANES];
};

/* How d and dmin move to the least-squares optimum of block i's integers and codes. */
static void optimum(const struct search *s, const struct block_sums *u, size_t i, float *d,
                    float *dmin)
{
    double ss = 0, sm = 0, mm = 0, sr = 0, mr = 0;
    for (size_t k = i * s->grid->n_groups; k < (i + 1) * s->grid->n_groups; k++) {
        double sc = (double)s->best.scale[k], m = (double)s->best.min[k];
        ss += sc * sc * (double)u->wqq[k];
        sm += sc * m * (double)u->wq[k];
        mm += m * m * (double)u->w[k];
        sr += sc * (double)u->wrq[k];
        mr += m * (double)u->wr[k];
    }
    /* r = x + b - a q; the change of d is weighed by s q, that of dmin by -m. */
    double dd = 0, dm = 0, det = ss * mm - sm * sm;
    if (s->grid->has_min && det > 1e-9 * ss * mm) {
        dd = (sr * mm - sm * mr) / det;
        dm = (sm * sr - ss * mr) / det;
    } else if (ss > 0) {
        dd = sr / ss;
    }
    *d = s->best.d[i] + (float)dd;
    *dmin = s->best.dmin[i] + (float)dm;
}

RZ_INLINE void sums_as(const struct search *s, struct block_sums *u, const struct lanes *l,
                       enum kind kind)
{
    uint32_t v = l->first;
    struct groups g = groups_of(s, v, kind);
    vflt a = vf_load(l->d + v) * vf_load(s->best.scale + v);
    vflt b = vf_load(l->dmin + v) * vf_load(s->best.min + v);
    struct sums sums = sum_one(&g, a, b);
    vf_store(u->w + v, total_weight(&g));
    vf_store(u->wq + v, sums.wq);
    vf_store(u->wqq + v, sums.wqq);
    vf_store(u->wr + v, sums.wr);
    vf_store(u->wrq + v, sums.wrq);
}

static void sum_groups(const struct search *s, struct block_sums *u, const struct lanes *l)
{
    if (s->grid->has_min)
        sums_as(s, u, l, AFFINE);
    else if (s->grid->levels)
        sums_as(s, u, l, LEVELS);
    else
        sums_as(s, u, l, SCALE);
}

static void refine(struct search *s)
{
    struct block_sums u;
    struct lanes l;
    float d[RZ_LANES] = {0}, dmin[RZ_LANES] = {0};
    spread(s, s->best.d, l.d);
    spread(s, s->best.dmin, l.dmin);
    for (l.first = 0; l.first < RZ_LANES; l.first += VEC_LANES)
        sum_groups(s, &u, &l);
    for (size_t i = 0; i < s->n_blocks; i++)
        optimum(s, &u, i, &d[i], &dmin[i]);
    try_pair(s, d, dmin);
}

/* The fit of largest magnitude in each block. */
static void extremes(const struct search *s, const float fits[RZ_LANES], float out[RZ_LANES])
{
    for (size_t i = 0; i < s->n_blocks; i++) {
        out[i] = 0;
        for (size_t k = i * s->grid->n_groups; k < (i + 1) * s->grid->n_groups; k++)
            out[i] = fabsf(fits[k]) > fabsf(out[i]) ? fits[k] : out[i];
    }
}

static void try_fractions(struct search *s, const float d[RZ_LANES], float of_d,
                          const float dmin[RZ_LANES], float of_dmin)
{
    float by_block[RZ_LANES] = {0}, min_by_block[RZ_LANES] = {0};
    for (size_t i = 0; i < s->n_blocks; i++) {
        by_block[i] = d[i] / of_d;
        min_by_block[i] = dmin[i] / of_dmin;
    }
    try_pair(s, by_block, min_by_block);
}

enum {
    N_TRIES = 2, /* of d, then of dmin, beside those of refine */
    N_REFINE = 2
};

/* The first tries put the largest scale at the end of its range, and a little below. */
static void search_integers(struct search *s)
{
    float a[RZ_LANES] = {0}, b[RZ_LANES] = {0}, d[RZ_LANES];
    float top = s->grid->scale_hi, bottom = s->grid->scale_lo, top_min = s->grid->min_hi;
    extremes(s, s->a, a);
    extremes(s, s->b, b);
    for (size_t i = 0; i < s->n_blocks; i++)
        s->best.cost[i] = INFINITY;
    if (s->grid->has_min) {
        for (int i = 0; i < N_TRIES; i++)
            try_fractions(s, a, top + 0.5f - (float)i, b, top_min);
        memcpy(d, s->best.d, sizeof d);
        for (int i = 0; i < N_TRIES; i++)
            try_fractions(s, d, 1, b, top_min + 0.5f - (float)i);
    } else {
        try_fractions(s, a, bottom - 0.5f, b, 1);
        try_fractions(s, a, top + 0.5f, b, 1);
    }
    /* Columns so small that d rounds to 0: its smallest value may do better. */
    bool any = false;
    for (size_t i = 0; i < s->n_blocks; i++) {
        any = any || s->best.d[i] == 0;
        d[i] = s->best.d[i] == 0 ? copysignf(0x1p-24f / s->batch.unit[i], a[i]) : s->best.d[i];
    }
    if (any)
        try_pair(s, d, s->best.dmin);
    for (int i = 0; i < N_REFINE; i++)
        refine(s);
}

#endif
