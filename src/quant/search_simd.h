/* search_simd.h - a batch of blocks from columns to codes: the search that search_ref.c and its
 * like instantiate. */
#ifndef RZ_QUANT_SEARCH_SIMD_H
#define RZ_QUANT_SEARCH_SIMD_H

#include "quant/search_fit_simd.h"
#include "quant/search_load_simd.h"
#include "quant/search_refine_simd.h"
#include "quant/search_round_simd.h"

RZ_INLINE void fit_groups(struct search *s, struct form form, struct lanes *squares)
{
    bool shifted = s->grid->n_groups == 1 && form.kind == AFFINE;
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        sum_columns(&s->batch, s->grid->group_len, form.weighted, shifted, squares, v);
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
    vflt unit = load(&s->batch.unit, g), inv = load(&s->batch.inv_unit, g), zero = vf_zero();
    vflt shift = g->form.kind == AFFINE ? load(&s->batch.shift, g) : zero;
    const vflt a = load(&s->a, g), least = inv * vf_set1(0x1p-24f);
    enum {
        FOUND, /* what the codes are found on */
        LEAST,
        STORED,
        N_SCALES
    };
    vflt as[N_SCALES];
    as[FOUND] = round_half(a, unit, inv);
    as[LEAST] = vf_pick(vf_less(a, zero), zero - least, least);
    as[STORED] = round_half(a * stretch_of_fit(s, g, &sums, a), unit, inv);
    vmask fine = vf_less(vf_set1(0x1p-60f), vf_abs(as[FOUND])); /* else codes are without steps */
    as[STORED] = vf_pick(fine, as[STORED], as[FOUND]);
    vflt bs[N_SCALES];
    for (int k = 0; k < N_SCALES; k++) {
        bs[k] = zero;
        if (g->form.kind == AFFINE)
            bs[k] = round_half(best_b(g, &sums, as[k]) - shift, unit, inv);
    }
    vflt cost = cost_of(g, &sums, as[FOUND], bs[FOUND] + shift);
    vmask less = vf_less(cost_of(g, &sums, as[LEAST], bs[LEAST] + shift), cost);
    store(&s->best.d, g, vf_pick(less, as[LEAST], as[FOUND]));
    store(&s->best.dmin, g, vf_pick(less, bs[LEAST], bs[FOUND]));
    store(&s->d, g, vf_pick(less, as[LEAST], as[STORED]));
    store(&s->dmin, g, vf_pick(less, bs[LEAST], bs[STORED]));
    store(&s->best.scale, g, vf_set1(1));
    store(&s->best.min, g, vf_set1(1));
}

RZ_INLINE void search_as(struct search *s, const struct rz_search *job, struct form form,
                         struct code_words *code, struct rz_row_loss *loss)
{
    struct losses losses;
    bool simple = s->grid->n_groups == 1;
    bool finite = load_batch(&s->batch, s->grid, job->in, job->importance, job->n_blocks);
    fit_groups(s, form, &losses.squares);
    if (!simple)
        search_integers(s, form);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(s->grid, &s->batch, form, v);
        if (simple)
            round_fit(s, &g);
        vflt scale = load(&s->best.scale, &g), min = load(&s->best.min, &g), shift = vf_zero();
        if (simple && form.kind == AFFINE)
            shift = load(&s->batch.shift, &g);
        const vflt found[2] = {load(&s->best.d, &g) * scale, load(&s->best.dmin, &g) * min + shift};
        const vflt stored[2] = {load(&s->d, &g) * scale, load(&s->dmin, &g) * min + shift};
        store_codes(&g, found, stored, code, &losses);
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
        codes[i].d = s.d.at[first] * s.batch.unit.at[first];
        codes[i].dmin = s.dmin.at[first] * s.batch.unit.at[first];
        for (size_t g = 0; g < grid->n_groups; g++) {
            codes[i].scale[g] = (int16_t)s.best.scale.at[first + g];
            codes[i].min[g] = (uint8_t)s.best.min.at[first + g];
        }
        from_lanes(&code, grid, first, codes[i].code);
    }
}

#endif
