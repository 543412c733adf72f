/* search_simd.h - a batch of blocks from columns to codes: the search that search_ref.c and its
 * like instantiate. */
#ifndef RZ_QUANT_SEARCH_SIMD_H
#define RZ_QUANT_SEARCH_SIMD_H

#include "quant/search_fit_simd.h"
#include "quant/search_load_simd.h"
#include "quant/search_refine_simd.h"
#include "quant/search_round_simd.h"

/* Differences of near numbers cost bits: one group with a min is measured from its smallest. */
RZ_INLINE void shift_columns(struct batch *batch, const struct rz_grid *grid, uint32_t v)
{
    vflt lo = vf_load(batch->x[0].at + v);
    for (uint32_t i = 1; i < grid->group_len; i++)
        lo = vf_min(vf_load(batch->x[i].at + v), lo);
    for (uint32_t i = 0; i < grid->group_len; i++)
        vf_store(batch->x[i].at + v, vf_load(batch->x[i].at + v) - lo);
    vf_store(batch->shift.at + v, lo);
}

RZ_INLINE void sum_columns(struct batch *batch, const struct rz_grid *grid, bool weighted,
                           uint32_t v)
{
    vflt w = vf_zero(), wx = w;
    for (uint32_t i = 0; i < grid->group_len; i++) {
        vflt x = vf_load(batch->x[i].at + v);
        if (weighted) {
            vflt weight = vf_load(batch->weight[i].at + v);
            w += weight;
            x *= weight;
        }
        wx += x;
    }
    if (!weighted)
        w = vf_set1(grid->group_len);
    vf_store(batch->w.at + v, w);
    vf_store(batch->wx.at + v, wx);
}

RZ_INLINE void sum_squares(const struct batch *batch, uint32_t len, struct lanes *squares)
{
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt sum = vf_zero();
        for (uint32_t i = 0; i < len; i++) {
            vflt x = vf_load(batch->x[i].at + v);
            sum += x * x;
        }
        vf_store(squares->at + v, sum);
    }
}

RZ_INLINE void fit_groups(struct search *s, struct form form)
{
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        sum_columns(&s->batch, s->grid, form.weighted, v);
        struct groups g = groups_of(s->grid, &s->batch, form, v);
        struct fit f = fit_group(&g, s->looks);
        store(&s->a, &g, f.a);
        store(&s->b, &g, f.b);
        store(&s->wq, &g, f.sums.wq);
        store(&s->wqq, &g, f.sums.wqq);
        store(&s->wxq, &g, f.sums.wxq);
    }
}

/* One group to a block: its fit, rounded to binary16; or the smallest scale, or none, where that is
 * better than its rounding. */
RZ_INLINE void round_fit(struct search *s, const struct groups *g)
{
    const struct sums sums = {load(&s->wq, g), load(&s->wqq, g), load(&s->wxq, g)};
    vflt unit = load(&s->batch.unit, g), inv = load(&s->batch.inv_unit, g);
    vflt shift = g->form.kind == AFFINE ? load(&s->batch.shift, g) : vf_zero();
    vflt a = load(&s->a, g), zero = vf_zero(), least = inv * vf_set1(0x1p-24f), best_a, best_cost;
    const vflt as[] = {round_half(a, unit, inv), vf_pick(vf_less(a, zero), zero - least, least)};
    vflt bs[2];
    for (int k = 0; k < 2; k++) {
        bs[k] = zero;
        if (g->form.kind == AFFINE)
            bs[k] = round_half(best_b(g, &sums, as[k]) - shift, unit, inv);
    }
    best_a = as[0];
    best_cost = cost_of(g, &sums, as[0], bs[0] + shift);
    vmask less = vf_less(cost_of(g, &sums, as[1], bs[1] + shift), best_cost);
    store(&s->best.d, g, vf_pick(less, as[1], best_a));
    store(&s->best.dmin, g, vf_pick(less, bs[1], bs[0]));
    store(&s->best.scale, g, vf_set1(1));
    store(&s->best.min, g, vf_set1(1));
}

RZ_INLINE void search_as(struct search *s, const struct rz_search *job, struct form form,
                         struct code_words *code, struct rz_row_loss *loss)
{
    struct losses losses;
    bool simple = s->grid->n_groups == 1;
    bool finite = load_batch(&s->batch, s->grid, job->in, job->importance, job->n_blocks);
    sum_squares(&s->batch, s->grid->group_len, &losses.squares);
    for (uint32_t v = 0; simple && form.kind == AFFINE && v < RZ_LANES; v += VEC_LANES)
        shift_columns(&s->batch, s->grid, v);
    fit_groups(s, form);
    if (!simple)
        search_integers(s, form);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s->grid, &s->batch, form, v);
        if (simple)
            round_fit(s, &g);
        vflt b = load(&s->best.dmin, &g) * load(&s->best.min, &g);
        if (simple && form.kind == AFFINE)
            b += load(&s->batch.shift, &g);
        store_codes(&g, load(&s->best.d, &g) * load(&s->best.scale, &g), b, code, &losses);
    }
    add_losses(&losses, &s->batch.unit, loss);
    loss->finite = loss->finite && finite;
}

typedef void search_fn(struct search *s, const struct rz_search *job, struct code_words *code,
                       struct rz_row_loss *loss);

/* A function for each form, for the compiler's sake: as one they would take minutes with
 * sanitizers.
 */
static void search_scale(struct search *s, const struct rz_search *job, struct code_words *code,
                         struct rz_row_loss *loss)
{
    search_as(s, job, (struct form){SCALE, false}, code, loss);
}

static void search_scale_weighted(struct search *s, const struct rz_search *job,
                                  struct code_words *code, struct rz_row_loss *loss)
{
    search_as(s, job, (struct form){SCALE, true}, code, loss);
}

static void search_levels(struct search *s, const struct rz_search *job, struct code_words *code,
                          struct rz_row_loss *loss)
{
    search_as(s, job, (struct form){LEVELS, false}, code, loss);
}

static void search_levels_weighted(struct search *s, const struct rz_search *job,
                                   struct code_words *code, struct rz_row_loss *loss)
{
    search_as(s, job, (struct form){LEVELS, true}, code, loss);
}

static void search_affine(struct search *s, const struct rz_search *job, struct code_words *code,
                          struct rz_row_loss *loss)
{
    search_as(s, job, (struct form){AFFINE, false}, code, loss);
}

static void search_affine_weighted(struct search *s, const struct rz_search *job,
                                   struct code_words *code, struct rz_row_loss *loss)
{
    search_as(s, job, (struct form){AFFINE, true}, code, loss);
}

static void search_blocks(const struct rz_search *job, struct rz_codes *codes,
                          struct rz_row_loss *loss)
{
    static search_fn *const searches[][2] = {[SCALE] = {search_scale, search_scale_weighted},
                                             [LEVELS] = {search_levels, search_levels_weighted},
                                             [AFFINE] = {search_affine, search_affine_weighted}};
    struct search s;
    struct code_words code;
    const struct rz_grid *grid = job->grid;
    s.grid = grid;
    s.looks = job->importance ? &grid->weighted : &grid->plain;
    if (s.looks->n == 0) {
        round_blocks(job, codes, loss);
        return;
    }
    enum kind kind = grid->has_min ? AFFINE : grid->levels ? LEVELS : SCALE;
    searches[kind][job->importance != NULL](&s, job, &code, loss);
    for (size_t i = 0; i < job->n_blocks; i++) {
        size_t first = i * grid->n_groups;
        codes[i].d = s.best.d.at[first] * s.batch.unit.at[first];
        codes[i].dmin = s.best.dmin.at[first] * s.batch.unit.at[first];
        for (size_t g = 0; g < grid->n_groups; g++) {
            codes[i].scale[g] = (int16_t)s.best.scale.at[first + g];
            codes[i].min[g] = (uint8_t)s.best.min.at[first + g];
        }
        from_lanes(&code, grid, first, codes[i].code);
    }
}

#endif
