/* attend_ref.c - reference attention over one chunk of cached positions, and the joining of chunks
 * as in the online softmax (Milakov and Gimelshein, arXiv 1805.02867). */
#include "base/f16.h"
#include "kernels/levels.h"

#include <math.h>
#include <string.h>

typedef float load_fn(const void *kv, size_t i);

static float load_f32(const void *kv, size_t i)
{
    return ((const float *)kv)[i];
}

static float load_f16(const void *kv, size_t i)
{
    return rz_f16_to_f32(((const rz_f16 *)kv)[i]);
}

static float score(const struct rz_attend_args *a, uint32_t i, uint32_t j, load_fn *load)
{
    const float *q = a->q + (size_t)i * RZ_ATTEND_STRIDE;
    const void *k = a->k[j / RZ_KV_BLOCK];
    double dot = 0;
    for (uint32_t d = 0; d < a->head_dim; d++)
        dot += (double)q[d] * (double)load(k, rz_kv_key_at(d, j % RZ_KV_BLOCK));
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
        p[j] = expf(p[j] - max);
        sum += (double)p[j];
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        double v = 0;
        for (uint32_t j = a->lo[i]; j < a->hi[i]; j++) {
            size_t at = rz_kv_value_at(a->head_dim, d, j % RZ_KV_BLOCK);
            v += (double)p[j] * (double)load(a->v[j / RZ_KV_BLOCK], at);
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
        float old = expf(to->max[i] - max), new = expf(chunk->max[i] - max);
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
    k->attend_merge = attend_merge;
}
