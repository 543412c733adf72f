/* search.c - measuring and fitting grids, see search.h. */
#include "quant/search.h"

#include "quant/blocks.h"

#include <math.h>

/* Adding and subtracting 1.5 * 2^23 rounds a float of magnitude below 2^22 to an integer, to
 * nearest even, in two operations that every vector unit has. */
#define ROUND_MAGIC 12582912.0f

static inline float inverse(float a)
{
    /* A finer grid against columns near 1 has all its codes at the ends anyway. */
    return fabsf(a) > 0x1p-60f ? 1 / a : 0;
}

static inline float clampf(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static inline float nearest_q(float v, float lo, float hi, bool levels)
{
    v = clampf(v, lo, hi);
    if (levels)
        return rz_iq4_nearest_level[(int)(2 * v + 254)];
    return (v + ROUND_MAGIC) - ROUND_MAGIC;
}

static inline __attribute__((always_inline)) void
measure_lanes(const struct rz_group *g, struct rz_candidates *c, uint32_t first, bool levels)
{
    float a[RZ_LANES], b[RZ_LANES], inv[RZ_LANES], cost[RZ_LANES] = {0};
    float lo = g->grid->q_lo, hi = g->grid->q_hi;
    const float *x = g->x, *weight = g->weight;
    uint32_t len = g->grid->group_len;
    for (uint32_t l = 0; l < RZ_LANES; l++) {
        a[l] = c->a[first + l];
        b[l] = c->b[first + l];
        inv[l] = inverse(a[l]);
    }
    for (uint32_t i = 0; i < len; i++) {
        for (uint32_t l = 0; l < RZ_LANES; l++) {
            float t = x[i] + b[l], r = t - a[l] * nearest_q(t * inv[l], lo, hi, levels);
            cost[l] += weight[i] * r * r;
        }
    }
    for (uint32_t l = 0; l < RZ_LANES; l++)
        c->cost[first + l] = cost[l];
}

void rz_measure(const struct rz_group *g, struct rz_candidates *c, uint32_t n)
{
    for (uint32_t first = 0; first < n; first += RZ_LANES) {
        if (g->grid->levels)
            measure_lanes(g, c, first, true);
        else
            measure_lanes(g, c, first, false);
    }
}

/* The sums of four candidates; struct rz_sums, transposed. */
struct lane_sums {
    float wq[RZ_LANES], wqq[RZ_LANES], wr[RZ_LANES], wrq[RZ_LANES], wrr[RZ_LANES];
};

static inline __attribute__((always_inline)) void sum_lanes(const struct rz_group *g,
                                                            const float pa[RZ_LANES],
                                                            const float pb[RZ_LANES],
                                                            struct lane_sums *out, bool levels)
{
    float a[RZ_LANES], b[RZ_LANES], inv[RZ_LANES];
    float wq[RZ_LANES] = {0}, wqq[RZ_LANES] = {0}, wr[RZ_LANES] = {0}, wrq[RZ_LANES] = {0},
          wrr[RZ_LANES] = {0};
    float lo = g->grid->q_lo, hi = g->grid->q_hi;
    const float *x = g->x, *weight = g->weight;
    uint32_t len = g->grid->group_len;
    for (uint32_t l = 0; l < RZ_LANES; l++) {
        a[l] = pa[l];
        b[l] = pb[l];
        inv[l] = inverse(a[l]);
    }
    for (uint32_t i = 0; i < len; i++) {
        for (uint32_t l = 0; l < RZ_LANES; l++) {
            float t = x[i] + b[l], q = nearest_q(t * inv[l], lo, hi, levels);
            float r = t - a[l] * q, v = weight[i] * q, u = weight[i] * r;
            wq[l] += v;
            wqq[l] += v * q;
            wr[l] += u;
            wrq[l] += u * q;
            wrr[l] += u * r;
        }
    }
    for (uint32_t l = 0; l < RZ_LANES; l++) {
        out->wq[l] = wq[l];
        out->wqq[l] = wqq[l];
        out->wr[l] = wr[l];
        out->wrq[l] = wrq[l];
        out->wrr[l] = wrr[l];
    }
}

static void sum_group(const struct rz_group *g, const float a[RZ_LANES], const float b[RZ_LANES],
                      struct lane_sums *out)
{
    if (g->grid->levels)
        sum_lanes(g, a, b, out, true);
    else
        sum_lanes(g, a, b, out, false);
}

void rz_measure_sums(const struct rz_group *g, float a, float b, struct rz_sums *sums)
{
    struct lane_sums lanes;
    float pa[RZ_LANES] = {a, a, a, a}, pb[RZ_LANES] = {b, b, b, b};
    sum_group(g, pa, pb, &lanes);
    sums->w = 0;
    for (uint32_t i = 0; i < g->grid->group_len; i++)
        sums->w += g->weight[i];
    sums->wq = lanes.wq[0];
    sums->wqq = lanes.wqq[0];
    sums->wr = lanes.wr[0];
    sums->wrq = lanes.wrq[0];
}

/* A group being fitted. */
struct fitting {
    const struct rz_group *g;
    float total_weight;
    bool b_not_negative;
    struct rz_candidates c;
};

/* Moves four candidates to the least-squares optimum of their codes; cost becomes the cost with
 * those codes, which rounding again can only lower. */
static void improve_scale(struct fitting *f, uint32_t first)
{
    struct lane_sums s;
    float *a = f->c.a + first, *cost = f->c.cost + first;
    sum_group(f->g, a, f->c.b + first, &s);
    for (uint32_t l = 0; l < RZ_LANES; l++) {
        float da = s.wrq[l] / (s.wqq[l] > 0 ? s.wqq[l] : 1);
        cost[l] = s.wrr[l] - da * s.wrq[l];
        a[l] += da;
    }
}

/* The same with a min. Where the optimum has a negative b that the grid lacks: that of b = 0. */
static void improve_affine(struct fitting *f, uint32_t first)
{
    struct lane_sums s;
    float *a = f->c.a + first, *b = f->c.b + first, *cost = f->c.cost + first;
    float sw = f->total_weight;
    sum_group(f->g, a, b, &s);
    for (uint32_t l = 0; l < RZ_LANES; l++) {
        /* One code for all columns leaves a as it is. */
        float det = sw * s.wqq[l] - s.wq[l] * s.wq[l];
        bool both = det > 1e-6f * sw * s.wqq[l];
        float inv = 1 / (both ? det : 1);
        float da = both ? (sw * s.wrq[l] - s.wq[l] * s.wr[l]) * inv : 0;
        float db = both ? (s.wq[l] * s.wrq[l] - s.wqq[l] * s.wr[l]) * inv : -s.wr[l] / sw;
        if (f->b_not_negative && b[l] + db < 0) {
            db = -b[l];
            da = (s.wrq[l] + db * s.wq[l]) / (s.wqq[l] > 0 ? s.wqq[l] : 1);
        }
        /* The sum of w (r + db - da q)^2. */
        cost[l] = s.wrr[l] + db * (2 * s.wr[l] + db * sw - 2 * da * s.wq[l]) +
                  da * (da * s.wqq[l] - 2 * s.wrq[l]);
        a[l] += da;
        b[l] += db;
    }
}

static void improve(struct fitting *f, uint32_t n)
{
    for (uint32_t first = 0; first < n; first += RZ_LANES) {
        if (f->g->grid->has_min)
            improve_affine(f, first);
        else
            improve_scale(f, first);
    }
}

static uint32_t cheapest(const struct rz_candidates *c, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = c->cost[i] < c->cost[best] ? i : best;
    return best;
}

/* Improves all candidates once, and the best four, with their columns rounded again, twice more:
 * a third time changes one part in ten thousand. */
static struct rz_fit fit_candidates(struct fitting *f, uint32_t n)
{
    float a[RZ_LANES], b[RZ_LANES];
    improve(f, n);
    for (uint32_t l = 0; l < RZ_LANES; l++) {
        uint32_t i = cheapest(&f->c, n);
        a[l] = f->c.a[i];
        b[l] = f->c.b[i];
        f->c.cost[i] = INFINITY;
    }
    memcpy(f->c.a, a, sizeof a);
    memcpy(f->c.b, b, sizeof b);
    improve(f, RZ_LANES);
    improve(f, RZ_LANES);
    uint32_t i = cheapest(&f->c, RZ_LANES);
    struct rz_fit best = {.a = f->c.a[i], .b = f->c.b[i]};
    if (f->g->grid->has_min) {
        struct rz_sums s;
        rz_measure_sums(f->g, best.a, best.b, &s);
        best.mean_q = s.wq / s.w;
    }
    return best;
}

static void find_range(const struct rz_group *g, float *lo, float *hi)
{
    *lo = *hi = g->x[0];
    for (uint32_t i = 1; i < g->grid->group_len; i++) {
        *lo = g->x[i] < *lo ? g->x[i] : *lo;
        *hi = g->x[i] > *hi ? g->x[i] : *hi;
    }
}

static struct rz_fit fit_scale(struct fitting *f)
{
    enum {
        N = RZ_MAX_CANDIDATES / 2 /* of each sign */
    };
    const struct rz_grid *grid = f->g->grid;
    float lo, hi, q_lo = grid->q_lo, q_hi = grid->q_hi;
    find_range(f->g, &lo, &hi);
    lo = lo < 0 ? lo : 0;
    hi = hi > 0 ? hi : 0;
    if (lo == hi)
        return (struct rz_fit){0};
    /* The scales of either sign that just reach both ends. */
    float plus = fmaxf(hi / q_hi, lo / q_lo), minus = fminf(hi / q_lo, lo / q_hi);
    for (uint32_t i = 0; i < N; i++) {
        float shrink = grid->look_from + (grid->look_to - grid->look_from) * (float)i / (N - 1);
        f->c.a[i] = plus / shrink;
        f->c.a[N + i] = minus / shrink;
        f->c.b[i] = f->c.b[N + i] = 0;
    }
    return fit_candidates(f, 2 * N);
}

static struct rz_fit fit_affine(struct fitting *f)
{
    enum {
        N = 4 /* of each end */
    };
    const struct rz_grid *grid = f->g->grid;
    float lo, hi, steps = grid->q_hi, look_step = (grid->look_to - grid->look_from) / (N - 1);
    find_range(f->g, &lo, &hi);
    f->b_not_negative = grid->n_groups > 1;
    if (f->b_not_negative)
        lo = lo < 0 ? lo : 0;
    if (lo == hi)
        return (struct rz_fit){.b = -lo};
    float step = (hi - lo) / steps;
    for (uint32_t i = 0; i < N * N; i++) {
        uint32_t i_above = i / N, i_below = i % N;
        float above = grid->look_from + look_step * (float)i_above;
        float below = grid->look_from + look_step * (float)i_below;
        float b = -lo - below * step;
        f->c.a[i] = (steps - above - below) * step / steps;
        f->c.b[i] = f->b_not_negative && b < 0 ? 0 : b;
    }
    return fit_candidates(f, N * N);
}

struct rz_fit rz_fit_group(const struct rz_group *g)
{
    struct fitting f = {.g = g};
    for (uint32_t i = 0; i < g->grid->group_len; i++)
        f.total_weight += g->weight[i];
    return g->grid->has_min ? fit_affine(&f) : fit_scale(&f);
}

void rz_write_codes(const struct rz_group *g, float a, float b, uint8_t *code)
{
    float inv = inverse(a), lo = g->grid->q_lo, hi = g->grid->q_hi;
    for (uint32_t i = 0; i < g->grid->group_len; i++) {
        float v = clampf((g->x[i] + b) * inv, lo, hi);
        code[i] = g->grid->levels ? rz_iq4_nearest[(int)(2 * v + 254)]
                                  : (uint8_t)((v + ROUND_MAGIC) - ROUND_MAGIC - lo);
    }
}
