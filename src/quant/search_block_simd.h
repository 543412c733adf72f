/* search_block_simd.h - the scales and mins of whole blocks as the format stores them: integers per
 * group times one or two binary16 numbers per block. All numbers are in the scaled input's units.
 */
#ifndef RZ_QUANT_SEARCH_BLOCK_SIMD_H
#define RZ_QUANT_SEARCH_BLOCK_SIMD_H

#include "quant/search_fit_simd.h"
#include "quant/search_load_simd.h"

/* d, dmin and cost: by block; scale and min: by lane, integers. */
struct choice {
    float d[RZ_LANES], dmin[RZ_LANES], cost[RZ_LANES];
    float scale[RZ_LANES], min[RZ_LANES];
};

struct search {
    const struct rz_grid *grid;
    size_t n_blocks;
    struct batch batch;
    float a[RZ_LANES], b[RZ_LANES], mean_q[RZ_LANES]; /* the fits of the groups by themselves */
    struct choice best;
};

RZ_INLINE struct groups groups_of(const struct search *s, uint32_t first, enum kind kind)
{
    return (struct groups){.x = &s->batch.x[0][first],
                           .weight = &s->batch.weight[0][first],
                           .len = s->grid->group_len,
                           .q_lo = vf_set1(s->grid->q_lo),
                           .q_hi = vf_set1(s->grid->q_hi),
                           .kind = kind};
}

/* The nearest binary16 number, the largest if there is none. */
static float round_half(float v, float unit)
{
    float real = rz_limit_f16(v * unit);
    return rz_f16_to_f32(rz_f32_to_f16(real)) / unit;
}

/* Each block's number in all its lanes. */
static void spread(const struct search *s, const float by_block[RZ_LANES], float lanes[RZ_LANES])
{
    uint32_t n_groups = s->grid->n_groups;
    for (uint32_t i = 0; i < RZ_LANES / n_groups; i++)
        for (uint32_t g = 0; g < n_groups; g++)
            lanes[i * n_groups + g] = by_block[i];
}

/* d and dmin in every lane, and the lanes to work on. */
struct lanes {
    float d[RZ_LANES], dmin[RZ_LANES];
    uint32_t first;
};

RZ_INLINE vflt nonzero(vflt v)
{
    return vf_pick(vf_less(vf_set1(0), vf_abs(v)), v, vf_set1(INFINITY));
}

RZ_INLINE vflt clamp_floor(vflt v, float lo, float hi)
{
    v = vf_min(vf_max(v, vf_set1(lo)), vf_set1(hi));
    return vf_trunc(v - vf_set1(lo)) + vf_set1(lo);
}

/* The integers that may be best for a group: scales around the free fit's; where there are mins,
 * for each of two scales the two mins around the one that answers it. */
RZ_INLINE void choose_as(const struct search *s, struct choice *c, const struct lanes *l,
                         enum kind kind)
{
    struct groups g = groups_of(s, l->first, kind);
    const struct rz_grid *grid = s->grid;
    const vflt zero = vf_set1(0), lowest = vf_set1(grid->scale_lo), top = vf_set1(grid->scale_hi);
    vflt d = vf_load(l->d + l->first), dmin = vf_load(l->dmin + l->first);
    vflt a = vf_load(s->a + l->first), b = vf_load(s->b + l->first);
    vflt mean_q = vf_load(s->mean_q + l->first), inv_min = vf_set1(1) / nonzero(dmin);
    vflt low = clamp_floor(a / nonzero(d), grid->scale_lo, grid->scale_hi);
    vflt best_scale = zero, best_min = zero, best = vf_set1(INFINITY);
    for (int k = 0; k < 2 * N_PAIR; k += N_PAIR) {
        vflt scale[N_PAIR], min[N_PAIR] = {zero, zero}, as[N_PAIR], bs[N_PAIR], cost[N_PAIR];
        for (int i = 0; i < N_PAIR; i++) {
            scale[i] = low + vf_set1((float)(kind == AFFINE ? k / 2 : k + i - 1));
            scale[i] = vf_min(vf_max(scale[i], lowest), top);
            as[i] = d * scale[i];
            if (kind == AFFINE) {
                min[i] = clamp_floor((b + (as[i] - a) * mean_q) * inv_min, 0, grid->min_hi);
                min[i] = vf_min(min[i] + vf_set1((float)i), vf_set1(grid->min_hi));
            }
            bs[i] = dmin * min[i];
        }
        measure(&g, as, bs, cost);
        for (int i = 0; i < N_PAIR; i++) {
            vmask less = vf_less(cost[i], best);
            best = vf_pick(less, cost[i], best);
            best_scale = vf_pick(less, scale[i], best_scale);
            best_min = vf_pick(less, min[i], best_min);
        }
    }
    vf_store(c->scale + l->first, best_scale);
    vf_store(c->min + l->first, best_min);
    vf_store(c->cost + l->first, best);
}

static void choose_integers(const struct search *s, struct choice *c, const struct lanes *l)
{
    if (s->grid->has_min)
        choose_as(s, c, l, AFFINE);
    else if (s->grid->levels)
        choose_as(s, c, l, LEVELS);
    else
        choose_as(s, c, l, SCALE);
}

/* The best integers for these d and dmin, which are rounded; kept where they cost less. */
static void try_pair(struct search *s, const float d[RZ_LANES], const float dmin[RZ_LANES])
{
    struct choice c;
    struct lanes l;
    uint32_t n_groups = s->grid->n_groups;
    size_t bytes = n_groups * sizeof(float);
    for (size_t i = 0; i < s->n_blocks; i++) {
        c.d[i] = round_half(d[i], s->batch.unit[i]);
        c.dmin[i] = s->grid->has_min ? round_half(dmin[i], s->batch.unit[i]) : 0;
    }
    for (size_t i = s->n_blocks; i < RZ_LANES; i++)
        c.d[i] = c.dmin[i] = 0;
    spread(s, c.d, l.d);
    spread(s, c.dmin, l.dmin);
    for (l.first = 0; l.first < RZ_LANES; l.first += VEC_LANES)
        choose_integers(s, &c, &l);
    sum_blocks(c.cost, n_groups);
    for (size_t i = 0; i < s->n_blocks; i++) {
        size_t at = i * n_groups;
        if (!(c.cost[at] < s->best.cost[i]))
            continue;
        s->best.cost[i] = c.cost[at];
        s->best.d[i] = c.d[i];
        s->best.dmin[i] = c.dmin[i];
        memcpy(s->best.scale + at, c.scale + at, bytes);
        memcpy(s->best.min + at, c.min + at, bytes);
    }
}

#endif
