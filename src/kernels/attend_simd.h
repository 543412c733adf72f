/* attend_simd.h - attention over one chunk of cached positions: for a few query rows after the
 * other all scores, then all exponentials, then the sum over V (products: attend_product.h).
 *
 * Invariant: a row's result depends on its own q, lo, hi and the chunk only, never on the rows next
 * to it; positions outside of lo ... hi - 1 are not used, whatever they hold. Included once per
 * level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_SIMD_H
#define RZ_KERNELS_ATTEND_SIMD_H

#include "kernels/attend_score.h"

RZ_INLINE vflt load_kv_i8(const void *p)
{
    return vf_load_i8((const int8_t *)p);
}

static const struct kv_reader reader_q8_0 = {1, load_kv_i8, true};

/* Scores to probabilities relative to their maximum. */
RZ_INLINE void softmax_rows(const struct rz_attend_args *a, uint32_t first, uint32_t n)
{
    find_maxima(a, first, n);
    for (uint32_t i = first; i < first + n; i++) {
        float *s = a->scores + (size_t)i * RZ_ATTEND_STRIDE;
        const uint32_t hi = a->lo[i] < a->hi[i] ? a->hi[i] : 0;
        const vflt max = vf_set1(a->out.max[i]);
        vflt sum = vf_set1(0);
        for (uint32_t j = a->lo[i] / LANES * LANES; j < hi; j += LANES) {
            vflt p = vf_exp2_down(vf_sub(vf_load(s + j), max));
            vf_store(s + j, p);
            sum = vf_add(sum, p);
        }
        a->out.sum[i] = vf_sum(sum);
    }
}

/* Probabilities of n rows times the scales of V's group from d on, position by position: then the
 * codes need none. */
RZ_INLINE void scale_rows(const struct rz_attend_args *a, const struct rows *s, uint32_t d,
                          float *out)
{
    const float *p = a->scores + (size_t)s->i * RZ_ATTEND_STRIDE;
    for (uint32_t j = s->lo / LANES * LANES; j < s->hi; j += LANES) {
        const uint8_t *scales = (const uint8_t *)a->v[j / RZ_KV_BLOCK] + rz_kv_scales(a->head_dim);
        const vflt scale = vf_load_f16(scales + 2 * rz_kv_scale_at(d, j % RZ_KV_BLOCK));
        for (size_t r = 0; r < s->n; r++)
            vf_store(out + r * RZ_ATTEND_STRIDE + j,
                     vf_mul(vf_load(p + r * RZ_ATTEND_STRIDE + j), scale));
    }
}

/* Group by group of V's dimensions. */
RZ_INLINE void sum_groups(const struct rz_attend_args *a, const struct rows *s, struct product t,
                          const struct kv_reader *kv)
{
    float scaled[ATTEND_ROWS * RZ_ATTEND_STRIDE];
    for (uint32_t d = 0; d < a->head_dim; d += RZ_KV_GROUP) {
        const uint32_t width = rz_kv_group_width(a->head_dim, d);
        t.b_step = (size_t)width * kv->elem;
        if (kv->scaled) {
            scale_rows(a, s, d, scaled);
            t.a = scaled;
        }
        for (uint32_t c = 0; c < width; c += 2 * LANES) {
            t.b_at = t.ahead_at = rz_kv_value_at(a->head_dim, d + c, 0) * kv->elem;
            t.c = a->out.acc + (size_t)s->i * a->head_dim + d + c;
            if (width - c >= 2 * LANES)
                product_rows(&t, s->n, 2, kv);
            else
                product_rows(&t, s->n, 1, kv);
        }
    }
}

RZ_INLINE void sum_values(const struct rz_attend_args *a, const struct rows *s,
                          const struct kv_reader *kv)
{
    const void *ahead[RZ_ATTEND_BLOCKS];
    const uint32_t first = s->lo / RZ_KV_BLOCK, end = blocks_to(s->hi);
    const bool prefetch = s->i == 0;
    for (uint32_t b = first; b < end; b++) {
        ahead[b] = !prefetch ? a->v[b] : b + 1 < end ? a->v[b + 1] : a->next;
        if (kv->scaled && prefetch)
            prefetch_scales(ahead[b], a->head_dim);
    }
    sum_groups(a, s,
               (struct product){.a = a->scores + (size_t)s->i * RZ_ATTEND_STRIDE,
                                .b = a->v,
                                .block_len = RZ_KV_BLOCK,
                                .first = first,
                                .begin = s->lo,
                                .end = s->hi,
                                .all_lo = s->all_lo,
                                .all_hi = s->all_hi,
                                .lo = a->lo + s->i,
                                .hi = a->hi + s->i,
                                .c_stride = a->head_dim,
                                .ahead = ahead},
               kv);
}

RZ_INLINE void attend(const struct rz_attend_args *a, const struct kv_reader *kv)
{
    if (kv->scaled)
        score_packed(a);
    for (struct rows s = {0}; s.i + s.n < a->n_q;) {
        s = rows_from(a, s.i + s.n);
        if (!kv->scaled)
            score_group(a, &s, kv);
        softmax_rows(a, s.i, s.n);
        sum_values(a, &s, kv);
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

/* Row i of a chunk added to the rows before it: acc * old + add * new. */
RZ_INLINE void merge_row(float *acc, const float *add, uint32_t n, float old_factor,
                         float new_factor)
{
    const vflt old = vf_set1(old_factor), new = vf_set1(new_factor);
    for (uint32_t d = 0; d < n; d += LANES)
        vf_store(acc + d, vf_fma(vf_load(add + d), new, vf_mul(vf_load(acc + d), old)));
}

/* A sum of 0 is a row's without positions; a NaN is not 0. */
static void attend_merge(const struct rz_attend_state *to, const struct rz_attend_state *chunk,
                         uint32_t n, uint32_t head_dim)
{
    for (uint32_t first = 0; first < n; first += LANES) {
        const uint32_t some = n - first < LANES ? n - first : LANES;
        const vflt a = vf_loadn(to->max + first, some), b = vf_loadn(chunk->max + first, some);
        const vflt max_v = vf_max(a, b);
        float max[LANES], old[LANES], new[LANES];
        vf_store(max, max_v);
        vf_store(old, vf_exp2_down(vf_sub(a, max_v)));
        vf_store(new, vf_exp2_down(vf_sub(b, max_v)));
        for (uint32_t r = 0, i = first; r < some; r++, i++) {
            float *acc = to->acc + (size_t)i * head_dim;
            const float *add = chunk->acc + (size_t)i * head_dim;
            if (chunk->sum[i] == 0)
                continue;
            if (to->sum[i] == 0) {
                memcpy(acc, add, head_dim * sizeof *acc);
                to->max[i] = chunk->max[i];
                to->sum[i] = chunk->sum[i];
                continue;
            }
            merge_row(acc, add, head_dim, old[r], new[r]);
            to->sum[i] = to->sum[i] * old[r] + chunk->sum[i] * new[r];
            to->max[i] = max[r];
        }
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
