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
    const void *at, *ahead;
};

/* Positions that none of the rows sees are left out as far as whole vectors go. */
RZ_INLINE void score_rows(const struct rz_attend_args *a, const struct rows *s,
                          const struct keys *k, const struct kv_reader *kv)
{
    const uint32_t base = k->b * RZ_KV_BLOCK;
    const uint32_t from = s->lo > base ? (s->lo - base) / LANES * LANES : 0;
    const uint32_t to = s->hi - base < RZ_KV_BLOCK ? s->hi - base : RZ_KV_BLOCK;
    struct product t = {.a = a->q + (size_t)s->i * RZ_ATTEND_STRIDE,
                        .b = &k->at,
                        .block_len = a->head_dim,
                        .b_at = from * kv->elem,
                        .b_step = (size_t)RZ_KV_BLOCK * kv->elem,
                        .end = a->head_dim,
                        .all_hi = a->head_dim,
                        .c = a->scores + (size_t)s->i * RZ_ATTEND_STRIDE + base + from,
                        .c_stride = RZ_ATTEND_STRIDE,
                        .ahead = &k->ahead};
    for (uint32_t c = from; c < to; c += 2 * LANES) {
        if (to - c > LANES)
            product_rows(&t, s->n, 2, kv);
        else
            product_rows(&t, s->n, 1, kv);
        t.b_at += (size_t)2 * LANES * kv->elem;
        t.c += 2 * LANES;
    }
}

RZ_INLINE uint32_t blocks_to(uint32_t position)
{
    return (position + RZ_KV_BLOCK - 1) / RZ_KV_BLOCK;
}

/* Only the first rows ask for what is ahead. */
RZ_INLINE void score_group(const struct rz_attend_args *a, const struct rows *s,
                           const struct kv_reader *kv)
{
    const uint32_t first = s->lo / RZ_KV_BLOCK, end = blocks_to(s->hi);
    for (uint32_t b = first; b < end; b++) {
        struct keys k = {.b = b, .at = a->k[b], .ahead = a->k[b]};
        if (s->i == 0)
            k.ahead = b + 1 < end ? a->k[b + 1] : a->v[first];
        score_rows(a, s, &k, kv);
    }
}

RZ_INLINE void score_unpacked(const struct rz_attend_args *a, struct keys k)
{
    _Alignas(64) float plain[MAX_HEAD_DIM * RZ_KV_BLOCK];
    prefetch_scales(k.ahead, a->head_dim);
    unpack_keys(a->k[k.b], a->head_dim, plain);
    for (uint32_t i = 0; i < a->n_offsets; i++)
        add_offset(&a->offsets[i], k.b, plain);
    k.at = plain;
    for (struct rows s = {0}; s.i + s.n < a->n_q;) {
        s = rows_from(a, s.i + s.n);
        if (s.lo < (k.b + 1) * RZ_KV_BLOCK && s.hi > k.b * RZ_KV_BLOCK) {
            score_rows(a, &s, &k, &reader_f32);
            k.ahead = k.at;
        }
    }
}

/* Block by block, so that keys are unpacked once. */
RZ_INLINE void score_packed(const struct rz_attend_args *a)
{
    uint32_t hi = 0, lo = UINT32_MAX;
    for (uint32_t i = 0; i < a->n_q; i++) {
        lo = a->lo[i] < a->hi[i] && a->lo[i] < lo ? a->lo[i] : lo;
        hi = a->lo[i] < a->hi[i] && a->hi[i] > hi ? a->hi[i] : hi;
    }
    const uint32_t first = lo / RZ_KV_BLOCK, end = blocks_to(hi);
    for (uint32_t b = first; b < end; b++)
        score_unpacked(a, (struct keys){.b = b, .ahead = b + 1 < end ? a->k[b + 1] : a->v[first]});
}

/* Sets a row's scores of the vectors around [lo, hi) to -infinity outside of it; returns the
 * largest. */
RZ_INLINE float row_max(float *s, uint32_t lo, uint32_t hi)
{
    const uint32_t begin = lo / LANES * LANES, last = (hi - 1) / LANES * LANES;
    vflt max[2] = {vf_set1(-INFINITY), vf_set1(-INFINITY)};
    vf_store(s + begin, vf_keep(vf_load(s + begin), lo - begin, LANES, -INFINITY));
    vf_store(s + last, vf_keep(vf_load(s + last), 0, hi - last, -INFINITY));
    uint32_t j = begin;
    for (; j < last; j += 2 * LANES) {
        max[0] = vf_max(vf_load(s + j), max[0]);
        max[1] = vf_max(vf_load(s + j + LANES), max[1]);
    }
    if (j == last)
        max[0] = vf_max(vf_load(s + j), max[0]);
    return vf_hmax(vf_max(max[0], max[1]));
}

/* All before any exponential, so that those of a row need not wait for its own. */
RZ_INLINE void find_maxima(const struct rz_attend_args *a, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        float *s = a->scores + (size_t)i * RZ_ATTEND_STRIDE;
        a->out.max[i] = a->lo[i] < a->hi[i] ? row_max(s, a->lo[i], a->hi[i]) : -INFINITY;
    }
}

#endif
