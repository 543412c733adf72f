/* search_round_simd.h - Q8_0, Q4_0 and Q5_0 without a search: the bytes of rz_encode_q8_0 and its
 * like, a block in each lane. */
#ifndef RZ_QUANT_SEARCH_ROUND_SIMD_H
#define RZ_QUANT_SEARCH_ROUND_SIMD_H

#include "quant/search_load_simd.h"

/* Of the columns: the first of largest magnitude; the sum of squares. */
RZ_INLINE vflt find_extreme(const struct groups *g, vflt *squares)
{
    vflt extreme = vf_zero(), sum = vf_zero();
    for (uint32_t i = 0; i < g->len; i++) {
        vflt x = load(&g->x[i], g);
        extreme = vf_pick(vf_less(vf_abs(extreme), vf_abs(x)), x, extreme);
        sum += x * x;
    }
    *squares = sum;
    return extreme;
}

/* q of Q8_0: half away from zero. */
RZ_INLINE vflt round_away(vflt v)
{
    vflt q = vf_trunc(vf_min(vf_max(v, vf_set1(-127)), vf_set1(127))), zero = vf_zero();
    vflt rest = v - q, half = vf_set1(0.5f), one = vf_set1(1);
    q += vf_pick(vf_less(rest, half), zero, one);
    q -= vf_pick(vf_less(zero - half, rest), zero, one);
    return vf_min(vf_max(q, vf_set1(-127)), vf_set1(127));
}

/* q of Q4_0 and Q5_0: half up. */
RZ_INLINE vflt round_up(const struct groups *g, vflt v)
{
    v = vf_max(v + (vf_set1(0.5f) - g->q_lo), vf_zero());
    return vf_trunc(vf_min(v, g->q_hi - g->q_lo)) + g->q_lo;
}

struct rounded {
    const struct rz_grid *grid;
    struct lanes d;
    struct code_words code;
    struct losses losses;
};

RZ_INLINE void round_lanes(const struct groups *g, const struct batch *batch, struct rounded *r)
{
    const vflt scale = vf_set1(r->grid->extreme_q);
    vflt unit = load(&batch->unit, g), inv_unit = load(&batch->inv_unit, g), squares;
    vflt extreme = find_extreme(g, &squares), limit = vf_set1(65504) * inv_unit;
    bool away = r->grid->extreme_q > 0;
    if (away)
        extreme = vf_abs(extreme);
    vflt d = vf_max(vf_min(extreme / scale, limit), vf_zero() - limit);
    vmask some = vf_less(vf_zero(), vf_abs(d));
    vflt inv = vf_pick(some, vf_set1(1) / vf_pick(some, d, vf_set1(1)), vf_zero());
    vflt half = round_half(d, unit, inv_unit), sum = vf_zero(), worst = vf_zero();
    for (uint32_t i = 0; i < g->len; i += 4) {
        vflt code[4];
        for (uint32_t k = 0; k < 4; k++) {
            vflt x = load(&g->x[i + k], g), v = x * inv, q = round_up(g, v);
            if (away)
                q = round_away(v);
            vflt e = vf_abs(x - half * q);
            sum += e * e;
            worst = vf_max(e, worst);
            code[k] = q - g->q_lo;
        }
        vf_store_codes(&r->code.at[i / 4][g->first], code);
    }
    store(&r->d, g, half);
    store(&r->losses.squares, g, squares);
    store(&r->losses.errors, g, sum);
    store(&r->losses.worst, g, worst);
}

static void round_blocks(const struct rz_search *job, struct rz_codes *codes,
                         struct rz_row_loss *loss)
{
    struct rounded r = {.grid = job->grid};
    struct batch batch;
    bool finite = load_batch(&batch, job->grid, job->in, NULL, job->n_blocks);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        struct groups g = groups_of(job->grid, &batch, (struct form){SCALE, false}, v);
        round_lanes(&g, &batch, &r);
    }
    add_losses(&r.losses, &batch.unit, loss);
    loss->finite = loss->finite && finite;
    for (size_t i = 0; i < job->n_blocks; i++) {
        codes[i].d = r.d.at[i] * batch.unit.at[i];
        from_lanes(&r.code, job->grid, i, codes[i].code);
    }
}

#endif
