/* search_simd.h - a batch of blocks from columns to codes: the search that search_ref.c and its
 * like instantiate. */
#ifndef RZ_QUANT_SEARCH_SIMD_H
#define RZ_QUANT_SEARCH_SIMD_H

#include "quant/search_fit_simd.h"
#include "quant/search_load_simd.h"
#include "quant/search_refine_simd.h"

enum {
    N_NEAR = 4 /* binary16 numbers around a fit, the nearest twice */
};

struct near_halves {
    float a[N_NEAR][RZ_LANES], b[N_NEAR][RZ_LANES], cost[N_NEAR][RZ_LANES];
};

static void list_halves(const struct search *s, struct near_halves *n)
{
    for (size_t i = 0; i < RZ_LANES; i++) {
        float unit = s->batch.unit[i];
        rz_f16 near = rz_f32_to_f16(rz_limit_f16(s->a[i] * unit));
        for (size_t k = 0; k < N_NEAR; k++) {
            /* +1, 0, -1, 0; below zero and beyond the largest there is no neighbour. */
            rz_f16 h = (rz_f16)(near + (k == 0) - (k == 2));
            h = (h & 0x7FFF) > 0x7BFF ? near : h;
            n->a[k][i] = rz_f16_to_f32(h) / unit;
            n->b[k][i] = 0;
            if (s->grid->has_min)
                n->b[k][i] = round_half(s->b[i] + (n->a[k][i] - s->a[i]) * s->mean_q[i], unit);
        }
    }
}

RZ_INLINE void measure_halves(const struct search *s, struct near_halves *n, uint32_t v,
                              enum kind kind)
{
    struct groups g = groups_of(s, v, kind);
    for (size_t k = 0; k < N_NEAR; k += N_PAIR) {
        const vflt a[N_PAIR] = {vf_load(n->a[k] + v), vf_load(n->a[k + 1] + v)};
        const vflt b[N_PAIR] = {vf_load(n->b[k] + v), vf_load(n->b[k + 1] + v)};
        vflt cost[N_PAIR];
        measure(&g, a, b, cost);
        vf_store(n->cost[k] + v, cost[0]);
        vf_store(n->cost[k + 1] + v, cost[1]);
    }
}

/* One group to a block: its fit, rounded to binary16. The neighbours of a count where a is
 * subnormal. */
RZ_INLINE void search_simple(struct search *s, enum kind kind)
{
    struct near_halves n;
    list_halves(s, &n);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES)
        measure_halves(s, &n, v, kind);
    for (size_t i = 0; i < RZ_LANES; i++) {
        size_t k = n.cost[0][i] < n.cost[1][i] ? 0 : 1;
        k = n.cost[2][i] < n.cost[k][i] ? 2 : k;
        s->best.d[i] = n.a[k][i];
        s->best.dmin[i] = n.b[k][i];
        s->best.scale[i] = s->best.min[i] = 1;
    }
}

RZ_INLINE void search_as(struct search *s, int32_t code[][RZ_LANES], enum kind kind)
{
    struct lanes l;
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s, v, kind);
        struct fit f = kind == AFFINE ? fit_affine(&g, s->grid) : fit_scale(&g, s->grid);
        vf_store(s->a + v, f.a);
        vf_store(s->b + v, f.b);
        vf_store(s->mean_q + v, f.mean_q);
    }
    if (s->grid->n_groups == 1)
        search_simple(s, kind);
    else
        search_integers(s);
    spread(s, s->best.d, l.d);
    spread(s, s->best.dmin, l.dmin);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s, v, kind);
        store_codes(&g, vf_load(l.d + v) * vf_load(s->best.scale + v),
                    vf_load(l.dmin + v) * vf_load(s->best.min + v), &code[0][v]);
    }
}

static void search_blocks(const struct rz_grid *grid, const float *in, const float *importance,
                          size_t n_blocks, struct rz_codes *codes)
{
    struct search s;
    int32_t code[RZ_MAX_GROUP][RZ_LANES] = {{0}};
    s.grid = grid;
    s.n_blocks = n_blocks;
    memset(&s.best, 0, sizeof s.best);
    load_batch(&s.batch, grid, in, importance, n_blocks);
    if (grid->has_min)
        search_as(&s, code, AFFINE);
    else if (grid->levels)
        search_as(&s, code, LEVELS);
    else
        search_as(&s, code, SCALE);
    for (size_t i = 0; i < n_blocks; i++) {
        codes[i].d = s.best.d[i] * s.batch.unit[i];
        codes[i].dmin = s.best.dmin[i] * s.batch.unit[i];
        for (size_t g = 0; g < grid->n_groups; g++) {
            codes[i].scale[g] = (int16_t)s.best.scale[i * grid->n_groups + g];
            codes[i].min[g] = (uint8_t)s.best.min[i * grid->n_groups + g];
        }
        from_lanes(code, grid, i * grid->n_groups, codes[i].code);
    }
}

#endif
