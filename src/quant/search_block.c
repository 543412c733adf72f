/* search_block.c - the scales and mins of a whole block as the format stores them: integers per
 * group times one or two binary16 numbers per block. */
#include "quant/search.h"

#include <math.h>

struct block_search {
    const struct rz_grid *grid;
    const struct rz_block_input *in;
    struct rz_group groups[16];
    struct rz_fit fits[16];
};

/* A block's numbers as they would be stored, d and dmin in the scaled input's units. */
struct choice {
    float d, dmin, cost;
    int16_t scale[16];
    uint8_t min[16];
};

/* The nearest binary16 number, the largest if there is none; in the scaled units. */
static float round_half(float v, float unit)
{
    float real = rz_limit_f16(v * unit);
    return rz_f16_to_f32(rz_f32_to_f16(real)) / unit;
}

static int clamp_floor(float v, int lo, int hi)
{
    if (!(v > (float)lo))
        return lo;
    return v < (float)hi ? (int)(v - (float)lo) + lo : hi;
}

/* The integers that may be best for a group's scale: those around the free fit's; and for each, the
 * mins around the one that answers it. */
struct integers {
    int scale[RZ_LANES], min[RZ_LANES];
};

static void list_integers(const struct rz_grid *grid, const struct rz_fit *fit,
                          const struct choice *c, struct integers *out)
{
    float inv_d = c->d != 0 ? 1 / c->d : 0, inv_dmin = c->dmin != 0 ? 1 / c->dmin : 0;
    int n_scales = grid->has_min ? RZ_LANES / 2 : RZ_LANES;
    int first = clamp_floor(fit->a * inv_d, grid->scale_lo, grid->scale_hi) - (n_scales - 1) / 2;
    for (int k = 0; k < RZ_LANES; k++) {
        int scale = first + (grid->has_min ? k / 2 : k), min = 0;
        scale = scale < grid->scale_lo ? grid->scale_lo : scale;
        scale = scale < grid->scale_hi ? scale : grid->scale_hi;
        if (grid->has_min) {
            float b = fit->b + (c->d * (float)scale - fit->a) * fit->mean_q;
            min = clamp_floor(b * inv_dmin, 0, grid->min_hi) + k % 2;
            min = min < grid->min_hi ? min : grid->min_hi;
        }
        out->scale[k] = scale;
        out->min[k] = min;
    }
}

/* The best integers for given d and dmin. False, with c incomplete, once it costs limit. */
static bool choose_integers(const struct block_search *s, struct choice *c, float limit)
{
    struct rz_candidates cand;
    struct integers list;
    c->cost = 0;
    for (uint32_t i = 0; i < s->grid->n_groups; i++) {
        list_integers(s->grid, &s->fits[i], c, &list);
        for (uint32_t k = 0; k < RZ_LANES; k++) {
            cand.a[k] = c->d * (float)list.scale[k];
            cand.b[k] = c->dmin * (float)list.min[k];
        }
        rz_measure(&s->groups[i], &cand, RZ_LANES);
        uint32_t best = 0;
        for (uint32_t k = 1; k < RZ_LANES; k++)
            best = cand.cost[k] < cand.cost[best] ? k : best;
        c->scale[i] = (int16_t)list.scale[best];
        c->min[i] = (uint8_t)list.min[best];
        c->cost += cand.cost[best];
        if (!(c->cost < limit))
            return false;
    }
    return true;
}

static void try_pair(const struct block_search *s, struct choice *best, float d, float dmin)
{
    struct choice c = {.d = round_half(d, s->in->unit), .dmin = round_half(dmin, s->in->unit)};
    if (choose_integers(s, &c, best->cost))
        *best = c;
}

/* d and dmin at the least-squares optimum of the integers and codes as they are. */
static void refine(const struct block_search *s, struct choice *best)
{
    double ss = 0, sm = 0, mm = 0, sr = 0, mr = 0;
    for (uint32_t i = 0; i < s->grid->n_groups; i++) {
        struct rz_sums u;
        double sc = best->scale[i], m = best->min[i];
        rz_measure_sums(&s->groups[i], best->d * best->scale[i], best->dmin * best->min[i], &u);
        ss += sc * sc * (double)u.wqq;
        sm += sc * m * (double)u.wq;
        mm += m * m * (double)u.w;
        sr += sc * (double)u.wrq;
        mr += m * (double)u.wr;
    }
    /* r = x + b - a q; the change of d is weighed by s q, that of dmin by -m. */
    double dd = 0, dm = 0, det = ss * mm - sm * sm;
    if (s->grid->has_min && det > 1e-9 * ss * mm) {
        dd = (sr * mm - sm * mr) / det;
        dm = (sm * sr - ss * mr) / det;
    } else if (ss > 0) {
        dd = sr / ss;
    }
    try_pair(s, best, best->d + (float)dd, best->dmin + (float)dm);
}

static float extreme(const struct block_search *s, bool of_min)
{
    float e = 0;
    for (uint32_t i = 0; i < s->grid->n_groups; i++) {
        float v = of_min ? s->fits[i].b : s->fits[i].a;
        e = fabsf(v) > fabsf(e) ? v : e;
    }
    return e;
}

enum {
    N_TRIES = 4, /* of d, and of dmin, beside those of refine */
    N_REFINE = 2
};

/* The first tries put the largest scale at the end of its range, and a little below. */
static void search_affine(const struct block_search *s, struct choice *best)
{
    float a = extreme(s, false), b = extreme(s, true);
    float top = s->grid->scale_hi, top_min = s->grid->min_hi;
    for (int i = 0; i < N_TRIES; i++)
        try_pair(s, best, a / (top + 0.5f - (float)i), b / top_min);
    float d = best->d;
    for (int i = 0; i < N_TRIES; i++)
        try_pair(s, best, d, b / (top_min + 0.5f - (float)i));
}

static void search_scales(const struct block_search *s, struct choice *best)
{
    float a = extreme(s, false);
    for (int i = 0; i < N_TRIES / 2; i++) {
        try_pair(s, best, a / ((float)s->grid->scale_lo - 0.5f + (float)i), 0);
        try_pair(s, best, a / ((float)s->grid->scale_hi + 0.5f - (float)i), 0);
    }
}

/* One group: its fit, rounded to binary16. The neighbours of a count where a is subnormal. */
static void search_simple(const struct block_search *s, struct choice *best)
{
    const struct rz_fit *fit = &s->fits[0];
    float unit = s->in->unit;
    rz_f16 near = rz_f32_to_f16(round_half(fit->a, unit) * unit);
    struct rz_candidates c;
    for (uint32_t k = 0; k < RZ_LANES; k++) {
        /* +1, 0, -1, 0; below zero and beyond the largest there is no neighbour. */
        rz_f16 h = (rz_f16)(near + (k == 0) - (k == 2));
        h = (h & 0x7FFF) > 0x7BFF ? near : h;
        c.a[k] = rz_f16_to_f32(h) / unit;
        c.b[k] = 0;
        if (s->grid->has_min)
            c.b[k] = round_half(fit->b + (c.a[k] - fit->a) * fit->mean_q, unit);
    }
    rz_measure(&s->groups[0], &c, RZ_LANES);
    uint32_t k = c.cost[0] < c.cost[1] ? 0 : 1;
    k = c.cost[2] < c.cost[k] ? 2 : k;
    *best = (struct choice){.d = c.a[k], .dmin = c.b[k], .scale = {1}, .min = {1}};
}

void rz_search_block(const struct rz_grid *grid, const struct rz_block_input *in,
                     struct rz_codes *codes)
{
    struct block_search s = {.grid = grid, .in = in};
    struct choice best = {.cost = INFINITY};
    for (uint32_t i = 0; i < grid->n_groups; i++) {
        s.groups[i] =
            (struct rz_group){in->x + i * grid->group_len, in->weight + i * grid->group_len, grid};
        s.fits[i] = rz_fit_group(&s.groups[i]);
    }
    if (grid->n_groups == 1) {
        search_simple(&s, &best);
    } else {
        if (grid->has_min)
            search_affine(&s, &best);
        else
            search_scales(&s, &best);
        if (best.d == 0) /* columns so small that d rounds to 0: its smallest value may do better */
            try_pair(&s, &best, copysignf(0x1p-24f / in->unit, extreme(&s, false)), best.dmin);
        for (int i = 0; i < N_REFINE; i++)
            refine(&s, &best);
    }
    codes->d = best.d * in->unit;
    codes->dmin = best.dmin * in->unit;
    for (uint32_t i = 0; i < grid->n_groups; i++) {
        codes->scale[i] = best.scale[i];
        codes->min[i] = best.min[i];
        rz_write_codes(&s.groups[i], best.d * (float)best.scale[i], best.dmin * (float)best.min[i],
                       codes->code + i * grid->group_len);
    }
}
