/* search_load_simd.h - blocks into lanes, and their codes out of them. */
#ifndef RZ_QUANT_SEARCH_LOAD_SIMD_H
#define RZ_QUANT_SEARCH_LOAD_SIMD_H

#include "quant/search_grid_simd.h"

/* NaN as 0, infinity as the largest float; returns the largest magnitude. By bits, without
 * branches, so that compilers make vector code of it. */
static float load_finite(const float *restrict in, float *restrict out, size_t n)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = rz_f32_bits(in[i]), magnitude = bits & 0x7FFFFFFFu;
        magnitude &= 0u - (uint32_t)(magnitude <= 0x7F800000u);
        magnitude = magnitude < 0x7F7FFFFFu ? magnitude : 0x7F7FFFFFu;
        largest = magnitude > largest ? magnitude : largest;
        out[i] = rz_bits_f32((bits & 0x80000000u) | magnitude);
    }
    return rz_bits_f32(largest);
}

/* A column of little importance keeps a little: where all of a group are 0, it is unweighted. */
static void load_importance(const float *importance, float *out, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = importance[i] > max && importance[i] < INFINITY ? importance[i] : max;
    for (size_t i = 0; i < n; i++) {
        float w = max > 0 ? importance[i] / max : 1;
        out[i] = w > 1e-6f ? w < 1 ? w : 1 : 1e-6f;
    }
}

/* Lanes first ... first + n_groups - 1 from columns in order. */
static void to_lanes(const float *columns, const struct rz_grid *grid, float scale, size_t first,
                     float out[][RZ_LANES])
{
    const size_t n_groups = grid->n_groups, len = grid->group_len;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = 0; i < len; i++)
            out[i][first + g] = columns[g * len + i] * scale;
}

static void load_block(struct batch *batch, const struct rz_grid *grid, const float *in,
                       const float *importance, size_t i_block)
{
    float columns[RZ_SUPERBLOCK];
    size_t n = (size_t)grid->n_groups * grid->group_len, first = i_block * grid->n_groups;
    float max = load_finite(in, columns, n);
    /* Beyond these bounds the unit or its inverse would not be a normal number; no binary16 scale
     * reaches there. */
    int exponent = 0;
    frexpf(max, &exponent);
    exponent = exponent < -100 ? -100 : exponent > 100 ? 100 : exponent;
    batch->unit[i_block] = ldexpf(1, exponent);
    to_lanes(columns, grid, ldexpf(1, -exponent), first, batch->x);
    if (importance) {
        load_importance(importance, columns, n);
        to_lanes(columns, grid, 1, first, batch->weight);
    }
}

/* The sum of each block's lanes, in all of them. */
static void sum_blocks(float lanes[RZ_LANES], uint32_t n_groups)
{
    for (uint32_t first = 0; first < RZ_LANES; first += n_groups) {
        float sum = 0;
        for (uint32_t g = 0; g < n_groups; g++)
            sum += lanes[first + g];
        for (uint32_t g = 0; g < n_groups; g++)
            lanes[first + g] = sum;
    }
}

/* On top of their importance, large weights count a little more, by sqrt(8 mean square + x^2): a
 * heuristic. Measured on the demo model against plain squares, 18 cases: KL divergence lower in 13,
 * by 3.3 % in the geometric mean, for a loss of RMSE of mostly 0.1 to 1 %. */
static void weigh(struct batch *batch, const struct rz_grid *grid, bool weighted)
{
    float squares[RZ_LANES];
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt sum = vf_set1(0);
        for (uint32_t i = 0; i < grid->group_len; i++) {
            vflt x = vf_load(&batch->x[i][v]);
            sum += x * x;
        }
        vf_store(squares + v, sum);
    }
    sum_blocks(squares, grid->n_groups);
    const vflt eight = vf_set1(8 / (float)(grid->n_groups * grid->group_len));
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt square = vf_load(squares + v) * eight;
        for (uint32_t i = 0; i < grid->group_len; i++) {
            vflt x = vf_load(&batch->x[i][v]);
            vflt w = vf_sqrt(square + x * x) + vf_set1(1e-9f);
            if (weighted)
                w *= vf_load(&batch->weight[i][v]);
            vf_store(&batch->weight[i][v], w);
        }
    }
}

static void load_batch(struct batch *batch, const struct rz_grid *grid, const float *in,
                       const float *importance, size_t n_blocks)
{
    size_t n = (size_t)grid->n_groups * grid->group_len;
    batch->n_blocks = n_blocks;
    /* Lanes without a block: zeros of any weight. */
    if (n_blocks * grid->n_groups < RZ_LANES) {
        memset(batch->x, 0, sizeof batch->x);
        memset(batch->weight, 0, sizeof batch->weight);
    }
    for (size_t i = 0; i < RZ_LANES; i++)
        batch->unit[i] = 1;
    for (size_t i = 0; i < n_blocks; i++)
        load_block(batch, grid, in + i * n, importance ? importance + i * n : NULL, i);
    weigh(batch, grid, importance != NULL);
}

/* The codes as stored: q - q_lo, or the index of the level. */
RZ_INLINE void store_codes(const struct groups *g, vflt a, vflt b, int32_t *code)
{
    struct steps s = steps_of(a, b);
    for (uint32_t i = 0; i < g->len; i++) {
        vflt v = in_steps(g, &s, vf_load(g->x + i * RZ_LANES));
        if (g->kind == LEVELS) /* an entry of rz_iq4_nearest */
            v = vf_min(vf_max(v, g->q_lo), g->q_hi) * vf_set1(2) + vf_set1(254);
        else
            v = nearest_q(g, &s, v) - g->q_lo;
        vf_store_int(code + i * RZ_LANES, v);
    }
    for (uint32_t i = 0; g->kind == LEVELS && i < g->len; i++)
        for (uint32_t k = 0; k < VEC_LANES; k++) {
            int32_t *c = &code[i * RZ_LANES + k];
            *c = rz_iq4_nearest[*c];
        }
}

/* Lanes first ... first + n_groups - 1 to codes in order. */
static void from_lanes(int32_t code[][RZ_LANES], const struct rz_grid *grid, size_t first,
                       uint8_t *restrict out)
{
    const size_t n_groups = grid->n_groups, len = grid->group_len;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = 0; i < len; i++)
            out[g * len + i] = (uint8_t)code[i][first + g];
}

#endif
