/* search_load_simd.h - blocks into lanes, and their codes out of them. */
#ifndef RZ_QUANT_SEARCH_LOAD_SIMD_H
#define RZ_QUANT_SEARCH_LOAD_SIMD_H

#include "quant/search_grid_simd.h"

enum {
    BATCH_COLUMNS = RZ_LANES * RZ_MAX_GROUP
};

/* NaN as 0, infinity as the largest float; the largest magnitude to *max, as it is. False if there
 * was such a number. By bits, without branches, so that compilers make vector code of it. */
RZ_INLINE bool load_finite(const float *restrict in, float *restrict out, uint32_t n, float *max)
{
    uint32_t largest = 0, all = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits = rz_f32_bits(in[i]), magnitude = bits & 0x7FFFFFFFu;
        all = magnitude > all ? magnitude : all;
        magnitude &= 0u - (uint32_t)(magnitude <= 0x7F800000u);
        magnitude = magnitude < 0x7F7FFFFFu ? magnitude : 0x7F7FFFFFu;
        largest = magnitude > largest ? magnitude : largest;
        out[i] = rz_bits_f32((bits & 0x80000000u) | magnitude);
    }
    *max = rz_bits_f32(largest);
    return all < 0x7F800000u;
}

/* A column of little importance keeps a little: where all of a block are 0, it is unweighted. */
RZ_INLINE void load_importance(const float *restrict importance, float *restrict out, uint32_t n)
{
    vflt largest = vf_zero();
    for (uint32_t i = 0; i < n; i += VEC_LANES) {
        vflt w = vf_load(importance + i);
        largest = vf_pick(vf_less(w, vf_set1(INFINITY)), vf_max(w, largest), largest);
    }
    float of_lanes[VEC_LANES], max = 0;
    vf_store(of_lanes, largest);
    for (uint32_t i = 0; i < VEC_LANES; i++)
        max = of_lanes[i] > max ? of_lanes[i] : max;
    const vflt of_max = vf_set1(max > 0 ? max : 1), least = vf_set1(max > 0 ? 1e-6f : 1);
    for (uint32_t i = 0; i < n; i += VEC_LANES) {
        vflt w = vf_load(importance + i) / of_max;
        vf_store(out + i, vf_min(vf_max(w, least), vf_set1(1)));
    }
}

/* The groups, one after the other, to lanes. */
RZ_INLINE void to_lanes(const float *columns, uint32_t len, struct lanes *out)
{
    for (uint32_t g = 0; g < RZ_LANES; g += VEC_LANES)
        for (uint32_t i = 0; i < len; i += VEC_LANES)
            vf_transpose(columns + g * len + i, len, &out[i].at[g], RZ_LANES);
}

/* A power of two near max for every lane of block i. Beyond these bounds it or its inverse would
 * not be a normal number; no binary16 scale reaches there. */
static void set_unit(struct batch *batch, uint32_t n_groups, size_t i, float max)
{
    uint32_t exponent = (rz_f32_bits(max) >> 23) + 1;
    exponent = exponent < 27 ? 27 : exponent > 227 ? 227 : exponent;
    for (size_t k = i * n_groups; k < (i + 1) * n_groups; k++) {
        batch->unit.at[k] = rz_bits_f32(exponent << 23);
        batch->inv_unit.at[k] = rz_bits_f32((254 - exponent) << 23);
    }
}

/* Lanes without a block: zeros of weight 1. */
RZ_INLINE bool load_batch(struct batch *batch, const struct rz_grid *grid, const float *in,
                          const float *importance, size_t n_blocks)
{
    _Alignas(64) float columns[BATCH_COLUMNS];
    const uint32_t n_groups = grid->n_groups, len = grid->group_len, n = n_groups * len;
    const size_t n_columns = (size_t)n * n_blocks;
    bool finite = true;
    for (size_t i = 0; i < n_blocks; i++) {
        float max;
        finite = load_finite(in + i * n, columns + i * n, n, &max) && finite;
        set_unit(batch, n_groups, i, max);
    }
    for (size_t i = n_blocks; i < RZ_LANES / n_groups; i++)
        set_unit(batch, n_groups, i, 0);
    memset(columns + n_columns, 0, (RZ_LANES * len - n_columns) * sizeof *columns);
    to_lanes(columns, len, batch->x);
    for (uint32_t v = 0; v < RZ_LANES; v += VEC_LANES) {
        vflt inv = vf_load(batch->inv_unit.at + v);
        for (uint32_t i = 0; i < len; i++)
            vf_store(batch->x[i].at + v, vf_load(batch->x[i].at + v) * inv);
    }
    if (importance) {
        for (size_t i = 0; i < n_blocks; i++)
            load_importance(importance + i * n, columns + i * n, n);
        for (size_t i = n_columns; i < (size_t)RZ_LANES * len; i++)
            columns[i] = 1;
        to_lanes(columns, len, batch->weight);
    }
    return finite;
}

/* The codes of four columns of a group, as stored, in the bytes of a word. */
struct code_words {
    _Alignas(64) uint32_t at[RZ_MAX_GROUP / 4][RZ_LANES];
};

/* By lane: sums of squares of the columns, of the errors of the codes as stored, the largest. */
struct losses {
    struct lanes squares, errors, worst;
};

/* The codes as stored: q - q_lo, or the index of the level. */
RZ_INLINE void store_codes(const struct groups *g, const vflt found[2], const vflt stored[2],
                           struct code_words *out, struct losses *losses)
{
    struct steps s = steps_of(found[0], found[1]);
    vflt sum = vf_zero(), largest = vf_zero();
    for (uint32_t i = 0; i < g->len; i += 4) {
        vflt code[4];
        for (uint32_t k = 0; k < 4; k++) {
            vflt x = load(&g->x[i + k], g), v = in_steps(g, &s, x), q = nearest_q(g, &s, v);
            vflt w = stored[0] * q;
            if (g->form.kind == AFFINE)
                w -= stored[1];
            vflt e = vf_abs(x - w);
            sum += e * e;
            largest = vf_max(e, largest);
            code[k] = q - g->q_lo;
            if (g->form.kind == LEVELS)
                code[k] = vf_level_code(v);
        }
        vf_store_codes(&out->at[i / 4][g->first], code);
    }
    store(&losses->errors, g, sum);
    store(&losses->worst, g, largest);
}

/* Lanes first ... first + n_groups - 1 to codes in order. */
RZ_INLINE void from_lanes(const struct code_words *words, const struct rz_grid *grid, size_t first,
                          uint8_t *out)
{
    const size_t n_groups = grid->n_groups, n_words = grid->group_len / 4;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = 0; i < n_words; i++)
            memcpy(out + 4 * (g * n_words + i), &words->at[i][first + g], 4);
}

static void add_losses(const struct losses *l, const struct lanes *unit, struct rz_row_loss *loss)
{
    for (size_t i = 0; i < RZ_LANES; i++) {
        double u = (double)unit->at[i], worst = u * (double)l->worst.at[i];
        loss->squares += u * u * (double)l->squares.at[i];
        loss->errors += u * u * (double)l->errors.at[i];
        loss->worst = worst > (double)loss->worst ? (float)worst : loss->worst;
    }
}

#endif
