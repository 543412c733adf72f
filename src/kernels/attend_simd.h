/* attend_simd.h - attention over one chunk of cached positions: all scores, then all exponentials,
 * then the sum over V, each as products of a few query rows (attend_product.h).
 *
 * Invariant: a row's result depends on its own q, lo, hi and the chunk only, never on the rows next
 * to it; positions outside of lo ... hi - 1 are not used, whatever they hold. Included once per
 * level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_SIMD_H
#define RZ_KERNELS_ATTEND_SIMD_H

#include "kernels/attend_score.h"

/* Positions [begin, end) of block b of V, for rows [i, i + n). */
struct value_part {
    uint32_t b, begin, end, i, n;
    const uint8_t *ahead;
};

/* Probabilities of n rows for a block's positions times the scales of V's group from d on: then
 * the codes need none. */
RZ_INLINE void scale_rows(const float *p, uint32_t n, const void *block, uint32_t head_dim,
                          uint32_t d, float *out)
{
    const uint8_t *scale =
        (const uint8_t *)block + rz_kv_scales(head_dim) + 2 * rz_kv_scale_at(d, 0);
    for (uint32_t j = 0; j < RZ_KV_BLOCK; j += LANES) {
        const vflt s = vf_load_f16(scale + 2 * j);
        for (size_t r = 0; r < n; r++)
            vf_store(out + r * RZ_ATTEND_STRIDE + j,
                     vf_mul(vf_load(p + r * RZ_ATTEND_STRIDE + j), s));
    }
}

RZ_INLINE void sum_values(const struct rz_attend_args *a, const struct value_part *s,
                          const struct kv_reader *kv)
{
    const float *p = a->scores + (size_t)s->i * RZ_ATTEND_STRIDE + s->b * RZ_KV_BLOCK;
    float scaled[ATTEND_ROWS * RZ_ATTEND_STRIDE];
    struct product t = {.a = kv->scaled ? scaled : p,
                        .b = a->v[s->b],
                        .begin = s->begin,
                        .end = s->end,
                        .c = a->out.acc + (size_t)s->i * a->head_dim,
                        .c_stride = a->head_dim,
                        .ahead = s->ahead};
    for (uint32_t d = 0; d < a->head_dim; d += RZ_KV_GROUP) {
        const uint32_t width = rz_kv_group_width(a->head_dim, d);
        const uint8_t *group = t.b;
        t.b_step = t.ahead_step = (size_t)width * kv->elem;
        if (kv->scaled)
            scale_rows(p, s->n, a->v[s->b], a->head_dim, d, scaled);
        for (uint32_t c = 0; c < width; c += 2 * LANES) {
            if (width - c >= 2 * LANES)
                product_rows(&t, s->n, 2, true, kv);
            else
                product_rows(&t, s->n, 1, true, kv);
            t.b += (size_t)2 * LANES * kv->elem;
            t.c += width - c < 2 * LANES ? width - c : 2 * LANES;
        }
        t.b = group + RZ_KV_BLOCK * t.b_step;
        t.ahead += RZ_KV_BLOCK * t.b_step;
    }
}

/* Positions [begin, end) of the chunk, block by block. */
RZ_INLINE void sum_range(const struct rz_attend_args *a, struct value_part s, uint32_t begin,
                         uint32_t end, const struct kv_reader *kv)
{
    const bool prefetch = s.i == 0;
    for (uint32_t j = begin; j < end; j = s.b * RZ_KV_BLOCK + RZ_KV_BLOCK) {
        s.b = j / RZ_KV_BLOCK;
        s.begin = j % RZ_KV_BLOCK;
        s.end = end - s.b * RZ_KV_BLOCK < RZ_KV_BLOCK ? end - s.b * RZ_KV_BLOCK : RZ_KV_BLOCK;
        s.ahead = a->v[s.b];
        if (prefetch)
            s.ahead = (s.b + 1) * RZ_KV_BLOCK < end ? a->v[s.b + 1] : a->next;
        if (kv->scaled && prefetch)
            prefetch_scales(s.ahead, a->head_dim);
        sum_values(a, &s, kv);
    }
}

/* Positions that all rows see are summed for all at once, those before and after row by row. */
RZ_INLINE void sum_rows(const struct rz_attend_args *a, const struct rows *s,
                        const struct kv_reader *kv)
{
    const bool any = s->all_lo < s->all_hi;
    for (uint32_t i = s->i; i < s->i + s->n; i++) {
        struct value_part one = {.i = i, .n = 1};
        sum_range(a, one, a->lo[i], any ? s->all_lo : a->hi[i], kv);
    }
    if (!any)
        return;
    sum_range(a, (struct value_part){.i = s->i, .n = s->n}, s->all_lo, s->all_hi, kv);
    for (uint32_t i = s->i; i < s->i + s->n; i++)
        sum_range(a, (struct value_part){.i = i, .n = 1}, s->all_hi, a->hi[i], kv);
}

RZ_INLINE void attend(const struct rz_attend_args *a, const struct kv_reader *kv)
{
    score_all(a, kv);
    for (uint32_t i = 0; i < a->n_q; i++)
        softmax_row(a, i);
    memset(a->out.acc, 0, (size_t)a->n_q * a->head_dim * sizeof *a->out.acc);
    for (struct rows s = {0}; s.i + s.n < a->n_q;) {
        s = rows_from(a, s.i + s.n);
        if (s.lo < s.hi)
            sum_rows(a, &s, kv);
    }
}

static void attend_f32(const struct rz_attend_args *a)
{
    attend(a, &reader_f32);
}

static void attend_f16(const struct rz_attend_args *a)
{
    attend(a, &reader_f16);
}

static void attend_q8_0(const struct rz_attend_args *a)
{
    attend(a, &reader_q8_0);
}

/* The exponential of one number, with the vectors' bits. */
RZ_INLINE float exp_of(float x)
{
    float lanes[LANES];
    vf_store(lanes, vf_exp(vf_set1(x)));
    return lanes[0];
}

static void attend_merge(const struct rz_attend_state *to, const struct rz_attend_state *chunk,
                         uint32_t n, uint32_t head_dim)
{
    for (uint32_t i = 0; i < n; i++) {
        float *acc = to->acc + (size_t)i * head_dim;
        const float *add = chunk->acc + (size_t)i * head_dim;
        if (chunk->sum[i] == 0)
            continue; /* no positions; a NaN is not 0 */
        if (to->sum[i] == 0) {
            memcpy(acc, add, head_dim * sizeof *acc);
            to->max[i] = chunk->max[i];
            to->sum[i] = chunk->sum[i];
            continue;
        }
        float max = to->max[i] > chunk->max[i] ? to->max[i] : chunk->max[i];
        const float old = exp_of(to->max[i] - max), new = exp_of(chunk->max[i] - max);
        for (uint32_t d = 0; d < head_dim; d += LANES) {
            vflt sum = vf_mul(vf_load(acc + d), vf_set1(old));
            vf_store(acc + d, vf_fma(vf_load(add + d), vf_set1(new), sum));
        }
        to->sum[i] = to->sum[i] * old + chunk->sum[i] * new;
        to->max[i] = max;
    }
}

RZ_INLINE void set_attend(struct rz_kernels *k)
{
    k->attend[RZ_KV_F32] = attend_f32;
    k->attend[RZ_KV_F16] = attend_f16;
    k->attend[RZ_KV_Q8_0] = attend_q8_0;
    k->attend_merge = attend_merge;
}

#endif
