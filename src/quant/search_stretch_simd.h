/* search_stretch_simd.h - what is stored, once codes and integers are settled: d and dmin so much
 * larger that the regression of what is decoded on the columns has the slope 1. Errors that point
 * all against the weights do more harm than as large ones that point anywhere; the codes stay, for
 * others would be shorter again. Figures: docs/quantization.md, "Encoding". */
#ifndef RZ_QUANT_SEARCH_STRETCH_SIMD_H
#define RZ_QUANT_SEARCH_STRETCH_SIMD_H

#include "quant/search_block_simd.h"

/* A least-squares optimum is shorter than the columns, by the factor xw / xx: 1 - e^2, e being its
 * relative error. This makes up for it, with importance for half of it, which is three quarters of
 * the good for a quarter of the error. Where the codes say little it is 1. */
RZ_INLINE vflt stretch(vflt xx, vflt xw, struct form form)
{
    const vflt one = vf_set1(1), most = vf_set1(0.75f), share = vf_set1(form.weighted ? 0.5f : 1);
    vmask some = vf_less(most * xx, xw);
    vflt factor = xx / vf_pick(some, xw, one);
    factor = vf_pick(vf_less(most, factor), one + share * (factor - one), one);
    return vf_pick(some, factor, one);
}

/* Of one group's codes found last, with the scale a. Where there is a min the columns' mean takes
 * no part: the min that answers a scale keeps it. */
RZ_INLINE vflt stretch_of_fit(const struct search *s, const struct groups *g,
                              const struct sums *sums, vflt a)
{
    vflt xx = load(&s->batch.wxx, g), xw = a * sums->wxq;
    if (g->form.kind == AFFINE) {
        vflt mean = g->wx * g->inv_w;
        xx -= mean * g->wx;
        xw -= mean * (a * sums->wq);
    }
    return stretch(xx, xw, g->form);
}

/* What is stored: the best d and dmin, stretched. */
RZ_INLINE void stretch_blocks(struct search *s, struct form form)
{
    struct lanes xx = s->batch.wxx, xw = s->best_xw;
    sum_blocks(&xx, s->grid->n_groups);
    sum_blocks(&xw, s->grid->n_groups);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt unit = vf_load(s->batch.unit.at + v), inv = vf_load(s->batch.inv_unit.at + v);
        vflt factor = stretch(vf_load(xx.at + v), vf_load(xw.at + v), form);
        vf_store(s->d.at + v, round_half(factor * vf_load(s->best.d.at + v), unit, inv));
        vflt dmin = vf_zero();
        if (form.kind == AFFINE)
            dmin = round_half(factor * vf_load(s->best.dmin.at + v), unit, inv);
        vf_store(s->dmin.at + v, dmin);
    }
}

#endif
