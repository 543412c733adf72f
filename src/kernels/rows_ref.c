/* rows_ref.c - reference of the operations on one row: quantization of activations, norms,
 * activation functions, rotary embedding, softmax. Sums in double. */
#include "base/f16.h"
#include "kernels/levels.h"

#include <float.h>
#include <math.h>

/* max_q / amax overflows for amax below 3.7e-37; such a block counts as zeros. FLT_MIN * 128 is the
 * smallest amax whose scale is a normal number. */
static const float tiny_amax = FLT_MIN * 128;

/* To block number `at` of q and f. */
static void quantize_block(const float *x, float max_q, int8_t *q, const struct rz_act_factors *f,
                           size_t at)
{
    q += at * RZ_ACT_BLOCK;
    int32_t sum[2] = {0, 0};
    float amax = 0, nan = 0;
    for (int i = 0; i < RZ_ACT_BLOCK; i++) {
        float a = fabsf(x[i]);
        nan += x[i] * 0; /* NaN for NaN and infinity, else 0 */
        amax = a > amax ? a : amax;
    }
    bool zero = !(amax >= tiny_amax) || nan != 0;
    float inv = zero ? 0 : max_q / amax;
    for (int i = 0; i < RZ_ACT_BLOCK; i++) {
        q[i] = zero ? 0 : (int8_t)nearbyintf(x[i] * inv);
        sum[i / 16] += q[i];
    }
    rz_act_factors_set(f, at, zero ? nan : amax / max_q, sum[0], sum[1]);
}

static void quantize(const float *x, uint32_t n, uint8_t max_q, int8_t *q,
                     const struct rz_act_factors *f, uint32_t step)
{
    for (uint32_t b = 0; b < n / RZ_ACT_BLOCK; b++)
        quantize_block(x + (size_t)b * RZ_ACT_BLOCK, max_q, q, f, (size_t)b * step);
}

static void kv_store_f32(const float *x, void *out, uint32_t n)
{
    float *y = out;
    for (uint32_t i = 0; i < n; i++)
        y[i] = x[i];
}

static void kv_store_f16(const float *x, void *out, uint32_t n)
{
    rz_f16 *y = out;
    for (uint32_t i = 0; i < n; i++)
        y[i] = rz_f32_to_f16(x[i]);
}

static void rms_norm(const float *x, const float *w, float *y, uint32_t n, float eps)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    float scale = (float)(1 / sqrt(sum / n + (double)eps));
    for (uint32_t i = 0; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

static void add_scaled(float *x, const float *y, uint32_t n, float scale)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] += y[i] * scale;
}

static void silu_mul(const float *gate, const float *up, float *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void rope(float *x, const float *cs, uint32_t n_rot, bool neox)
{
    uint32_t half = n_rot / 2;
    for (uint32_t i = 0; i < half; i++) {
        float *pa = neox ? x + i : x + 2 * i, *pb = neox ? x + i + half : x + 2 * i + 1;
        float a = *pa, b = *pb, c = cs[2 * i], s = cs[2 * i + 1];
        *pa = a * c - b * s;
        *pb = a * s + b * c;
    }
}

static void softmax(float *x, uint32_t n)
{
    float max = -INFINITY;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += (double)x[i];
    }
    for (uint32_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] / sum);
}

void rz_kernels_rows_ref(struct rz_kernels *k)
{
    k->quantize = quantize;
    k->kv_store[RZ_KV_F32] = kv_store_f32;
    k->kv_store[RZ_KV_F16] = kv_store_f16;
    k->rms_norm = rms_norm;
    k->add_scaled = add_scaled;
    k->silu_mul = silu_mul;
    k->rope = rope;
    k->softmax = softmax;
}
