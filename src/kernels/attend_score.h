/* attend_score.h - the first half of attention over a chunk: scores, then their exponentials.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_SCORE_H
#define RZ_KERNELS_ATTEND_SCORE_H

#include "kernels/attend_keys.h"
#include "kernels/math_simd.h"

#include <math.h>

/* Query rows that are taken together: n from i on. */
struct rows {
    uint32_t i, n;
    uint32_t lo, hi;         /* all positions that any of them sees; lo = hi: none */
    uint32_t all_lo, all_hi; /* those that all see, if all_lo < all_hi */
};

static struct rows rows_from(const struct rz_attend_args *a, uint32_t i)
{
    struct rows s = {.i = i, .n = rows_at_once(a->n_q - i), .lo = UINT32_MAX, .all_hi = UINT32_MAX};
    for (uint32_t r = i; r < i + s.n; r++) {
        s.all_lo = a->lo[r] > s.all_lo ? a->lo[r] : s.all_lo;
        s.all_hi = a->hi[r] < s.all_hi ? a->hi[r] : s.all_hi;
        if (a->lo[r] >= a->hi[r])
            continue;
        s.lo = a->lo[r] < s.lo ? a->lo[r] : s.lo;
        s.hi = a->hi[r] > s.hi ? a->hi[r] : s.hi;
    }
    s.lo = s.lo < s.hi ? s.lo : s.hi;
    return s;
}

/* A block of keys to be multiplied with. */
struct keys {
    uint32_t b; /* its place in the chunk */
    const uint8_t *at;
    const uint8_t *ahead;
    size_t ahead_step;
};

RZ_INLINE void score_rows(const struct rz_attend_args *a, const struct rows *s,
                          const struct keys *k, const struct kv_reader *kv)
{
    struct product t = {.a = a->q + (size_t)s->i * RZ_ATTEND_STRIDE,
                        .b = k->at,
                        .b_step = (size_t)RZ_KV_BLOCK * kv->elem,
                        .end = a->head_dim,
                        .c = a->scores + (size_t)s->i * RZ_ATTEND_STRIDE + k->b * RZ_KV_BLOCK,
                        .c_stride = RZ_ATTEND_STRIDE,
                        .ahead = k->ahead,
                        .ahead_step = k->ahead_step};
    for (uint32_t c = 0; c < RZ_KV_BLOCK; c += 2 * LANES) {
        product_rows(&t, s->n, 2, false, kv);
        t.b += (size_t)2 * LANES * kv->elem;
        t.c += 2 * LANES;
    }
}

/* Only the first rows prefetch. */
RZ_INLINE void score_block(const struct rz_attend_args *a, struct keys k,
                           const struct kv_reader *kv)
{
    _Alignas(64) float plain[MAX_HEAD_DIM * RZ_KV_BLOCK];
    if (kv->scaled) {
        prefetch_scales(k.ahead, a->head_dim);
        unpack_keys(a->k[k.b], a->head_dim, plain);
        for (uint32_t i = 0; i < a->n_offsets; i++)
            add_offset(&a->offsets[i], k.b, plain);
        k.at = (const uint8_t *)plain;
    }
    for (struct rows s = {0}; s.i + s.n < a->n_q;) {
        s = rows_from(a, s.i + s.n);
        if (s.lo < (k.b + 1) * RZ_KV_BLOCK && s.hi > k.b * RZ_KV_BLOCK) {
            score_rows(a, &s, &k, kv->scaled ? &reader_f32 : kv);
            k.ahead = k.at;
            k.ahead_step = 0;
        }
    }
}

/* Block by block, so that keys are read from memory once. */
RZ_INLINE void score_all(const struct rz_attend_args *a, const struct kv_reader *kv)
{
    uint32_t hi = 0, lo = UINT32_MAX;
    for (uint32_t i = 0; i < a->n_q; i++) {
        lo = a->lo[i] < a->hi[i] && a->lo[i] < lo ? a->lo[i] : lo;
        hi = a->lo[i] < a->hi[i] && a->hi[i] > hi ? a->hi[i] : hi;
    }
    const uint32_t end = (hi + RZ_KV_BLOCK - 1) / RZ_KV_BLOCK;
    for (uint32_t b = lo / RZ_KV_BLOCK; b < end; b++)
        score_block(a,
                    (struct keys){.b = b,
                                  .at = a->k[b],
                                  .ahead = b + 1 < end ? a->k[b + 1] : a->v[lo / RZ_KV_BLOCK],
                                  .ahead_step = (size_t)RZ_KV_BLOCK * kv->elem},
                    kv);
}

/* Scores to probabilities relative to their maximum. */
RZ_INLINE void softmax_row(const struct rz_attend_args *a, uint32_t i)
{
    const uint32_t lo = a->lo[i], hi = a->hi[i], begin = lo / LANES * LANES;
    float *s = a->scores + (size_t)i * RZ_ATTEND_STRIDE;
    a->out.max[i] = -INFINITY;
    a->out.sum[i] = 0;
    if (lo >= hi)
        return;
    vflt max_v = vf_set1(-INFINITY), sum_v = vf_set1(0);
    vf_store(s + begin, vf_keep(vf_load(s + begin), lo - begin, LANES, -INFINITY));
    for (uint32_t j = begin; j < hi; j += LANES) {
        vflt x = vf_keep(vf_load(s + j), 0, hi - j, -INFINITY);
        vf_store(s + j, x);
        max_v = vf_max(x, max_v);
    }
    const vflt max = vf_set1(vf_hmax(max_v));
    for (uint32_t j = begin; j < hi; j += LANES) {
        vflt p = vf_exp(vf_sub(vf_load(s + j), max));
        vf_store(s + j, p);
        sum_v = vf_add(sum_v, p);
    }
    a->out.max[i] = vf_hmax(max_v);
    a->out.sum[i] = vf_sum(sum_v);
}

#endif
