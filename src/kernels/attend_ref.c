/* attend_ref.c - reference attention over one run of cached positions, with the running maximum
 * and sum of the online softmax (Milakov and Gimelshein, arXiv 1805.02867). */
#include "base/f16.h"
#include "kernels/levels.h"

#include <math.h>

typedef float load_fn(const void *kv, size_t i);

static float load_f32(const void *kv, size_t i)
{
    return ((const float *)kv)[i];
}

static float load_f16(const void *kv, size_t i)
{
    return rz_f16_to_f32(((const rz_f16 *)kv)[i]);
}

static void attend_row(const struct rz_attend_args *a, uint32_t i, load_fn *load)
{
    const float *q = a->q + i * a->q_stride;
    float *acc = a->acc + (size_t)i * a->head_dim;
    float max = a->max[i];
    for (uint32_t j = a->lo[i]; j < a->hi[i]; j++) {
        double dot = 0;
        for (uint32_t d = 0; d < a->head_dim; d++)
            dot += (double)q[d] * (double)load(a->k, (size_t)j * a->head_dim + d);
        a->scores[j] = (float)dot;
        max = a->scores[j] > max ? a->scores[j] : max;
    }
    /* Before the first position max is -infinity and acc is zero: exp(-infinity) = 0 is right. */
    float fade = expf(a->max[i] - max);
    double sum = (double)(a->sum[i] * fade);
    for (uint32_t j = a->lo[i]; j < a->hi[i]; j++) {
        a->scores[j] = expf(a->scores[j] - max);
        sum += (double)a->scores[j];
    }
    for (uint32_t d = 0; d < a->head_dim; d++) {
        double v = (double)(acc[d] * fade);
        for (uint32_t j = a->lo[i]; j < a->hi[i]; j++)
            v += (double)a->scores[j] * (double)load(a->v, (size_t)j * a->head_dim + d);
        acc[d] = (float)v;
    }
    a->max[i] = max;
    a->sum[i] = (float)sum;
}

static void attend(const struct rz_attend_args *a, load_fn *load)
{
    for (uint32_t i = 0; i < a->n_q; i++) {
        if (a->lo[i] < a->hi[i])
            attend_row(a, i, load);
    }
}

void rz_attend_f32_ref(const struct rz_attend_args *a)
{
    attend(a, load_f32);
}

void rz_attend_f16_ref(const struct rz_attend_args *a)
{
    attend(a, load_f16);
}

void rz_kernels_attend_ref(struct rz_kernels *k)
{
    k->attend[RZ_KV_F32] = rz_attend_f32_ref;
    k->attend[RZ_KV_F16] = rz_attend_f16_ref;
}
