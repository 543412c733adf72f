/* attend_ref.c - reference attention over one chunk of cached positions, and the joining of chunks
 * as in the online softmax (Milakov and Gimelshein, arXiv 1805.02867). */
#include "base/f16.h"
#include "kernels/levels.h"

#include <math.h>
#include <string.h>

/* Element at of a block, which is that of dimension d and position j. */
struct place {
    uint32_t head_dim, d, j;
    size_t at;
};
typedef double load_fn(const void *block, struct place p);

static double load_f32(const void *block, struct place p)
{
    return (double)((const float *)block)[p.at];
}

static double load_f16(const void *block, struct place p)
{
    return (double)rz_f16_to_f32(((const rz_f16 *)block)[p.at]);
}

static double load_q8_0(const void *block, struct place p)
{
    const rz_f16 *scales = (const void *)((const char *)block + rz_kv_scales(p.head_dim));
    float scale = rz_f16_to_f32(scales[rz_kv_scale_at(p.d, p.j)]);
    return (double)(scale * (float)((const int8_t *)block)[p.at]);
}

/* The part of a score that is due to an offset. */
static double offset_score(const struct rz_key_offset *o, const float *q, uint32_t b, uint32_t j)
{
    const double x = (double)o->base[b][0], y = (double)o->base[b][1];
    const double cosine = (double)o->turn[j], sine = (double)o->turn[RZ_KV_BLOCK + j];
    return (double)q[o->a] * (x * cosine - y * sine) + (double)q[o->b] * (x * sine + y * cosine);
}

static float score(const struct rz_attend_args *a, uint32_t i, uint32_t pos, load_fn *load)
{
    const float *q = a->q + (size_t)i * RZ_ATTEND_STRIDE;
    const uint32_t b = pos / RZ_KV_BLOCK, j = pos % RZ_KV_BLOCK;
    double dot = 0;
    for (uint32_t d = 0; d < a->head_dim; d++) {
        const struct place at = {a->head_dim, d, j, rz_kv_key_at(d, j)};
        dot += (double)q[d] * load(a->k[b], at);
    }
    for (uint32_t o = 0; o < a->n_offsets; o++)
        dot += offset_score(&a->offsets[o], q, b, j);
    return (float)dot;
}

static void attend_row(const struct rz_attend_args *a, uint32_t i, load_fn *load)
{
    float *p = a->scores + (size_t)i * RZ_ATTEND_STRIDE;
    float *acc = a->out.acc + (size_t)i * a->head_dim;
    float max = -INFINITY;
    double sum = 0;
    for (uint32_t j = a->lo[i]; j < a->hi[i]; j++) {
        p[j] = score(a, i, j, load);
        max = p[j] > max ? p[j] : max;
    }
    for (uint32_t j = a->lo[i]; j < a->hi[i]; j++) {
        p[j] = exp2f(p[j] - max);
        sum += (double)p[j];
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        double v = 0;
        for (uint32_t j = a->lo[i]; j < a->hi[i]; j++) {
            struct place at = {a->head_dim, d, j % RZ_KV_BLOCK, 0};
            at.at = rz_kv_value_at(at.head_dim, d, at.j);
            v += (double)p[j] * load(a->v[j / RZ_KV_BLOCK], at);
        }
        acc[d] = (float)v;
    }
    a->out.max[i] = max;
    a->out.sum[i] = (float)sum;
}

static void attend(const struct rz_attend_args *a, load_fn *load)
{
    for (uint32_t i = 0; i < a->n_q; i++)
        attend_row(a, i, load);
}

static void attend_f32(const struct rz_attend_args *a)
{
    attend(a, load_f32);
}

static void attend_f16(const struct rz_attend_args *a)
{
    attend(a, load_f16);
}

static void attend_q8_0(const struct rz_attend_args *a)
{
    attend(a, load_q8_0);
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
        float old = exp2f(to->max[i] - max), new = exp2f(chunk->max[i] - max);
        for (uint32_t d = 0; d < head_dim; d++)
            acc[d] = acc[d] * old + add[d] * new;
        to->sum[i] = to->sum[i] * old + chunk->sum[i] * new;
        to->max[i] = max;
    }
}

void rz_kernels_attend_ref(struct rz_kernels *k)
{
    k->attend[RZ_KV_F32] = attend_f32;
    k->attend[RZ_KV_F16] = attend_f16;
    k->attend[RZ_KV_Q8_0] = attend_q8_0;
    k->attend_merge = attend_merge;
}
