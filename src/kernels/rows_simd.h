/* rows_simd.h - the operations on one row: quantization of activations, norms, activation
 * functions, rotary embedding, softmax. quantize and kv_store give the reference's bits.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ROWS_SIMD_H
#define RZ_KERNELS_ROWS_SIMD_H

#include "base/f16.h"
#include "kernels/kernels.h"
#include "kernels/math_simd.h"

#include <float.h>
#include <math.h>

enum {
    BLOCK_VECS = RZ_ACT_BLOCK / LANES
};

static const float tiny_amax = FLT_MIN * 128; /* as in rows_ref.c */

/* To block number `at` of q and f. */
RZ_INLINE void quantize_block(const float *x, float max_q, int8_t *q,
                              const struct rz_act_factors *f, size_t at)
{
    q += at * RZ_ACT_BLOCK;
    vflt v[BLOCK_VECS];
    vint n[BLOCK_VECS], most[2] = {vi_set1(0), vi_set1(0)};
    RZ_UNROLL
    for (int i = 0; i < BLOCK_VECS; i++) {
        v[i] = vf_load(x + i * LANES);
        most[i % 2] = vi_max_u(most[i % 2], vf_bits(vf_abs(v[i])));
    }
    /* As integers infinity and NaN are larger than all numbers. */
    const uint32_t bits = vi_hmax_u(most[0], most[1]);
    const float amax = rz_bits_f32(bits);
    if (!(amax >= tiny_amax && amax <= FLT_MAX)) {
        memset(q, 0, RZ_ACT_BLOCK);
        rz_act_factors_set(f, at, bits > rz_f32_bits(FLT_MAX) ? NAN : 0, 0, 0);
        return;
    }
    const vflt inv = vf_set1(max_q / amax);
    RZ_UNROLL
    for (int i = 0; i < BLOCK_VECS; i++)
        n[i] = vf_to_int(vf_mul(v[i], inv));
    RZ_UNROLL
    for (int i = 0; i < BLOCK_VECS; i += 2)
        vi_store_bytes(q + i * LANES, n[i], n[i + 1]);
    int32_t sum[2];
    vi_sums(n, sum);
    rz_act_factors_set(f, at, amax / max_q, sum[0], sum[1]);
}

static void quantize(const float *x, uint32_t n, uint8_t max_q, int8_t *q,
                     const struct rz_act_factors *f, uint32_t step)
{
    const struct rz_act_factors factors = *f; /* stores to them do not change the pointers */
    for (uint32_t b = 0; b < n / RZ_ACT_BLOCK; b++)
        quantize_block(x + (size_t)b * RZ_ACT_BLOCK, max_q, q, &factors, (size_t)b * step);
}

static void kv_store_f16(const float *x, void *out, uint32_t n)
{
    uint16_t *y = out;
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store_f16(y + i, vf_load(x + i));
    for (; i < n; i++)
        y[i] = rz_f32_to_f16(x[i]);
}

static void rms_norm(const float *x, const float *w, float *y, uint32_t n, float eps)
{
    vflt s[4] = {vf_set1(0), vf_set1(0), vf_set1(0), vf_set1(0)};
    uint32_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        RZ_UNROLL
        for (int j = 0; j < 4; j++) {
            vflt v = vf_load(x + i + j * LANES);
            s[j] = vf_fma(v, v, s[j]);
        }
    }
    for (; i < n; i += LANES) {
        vflt v = vf_loadn(x + i, n - i);
        s[0] = vf_fma(v, v, s[0]);
    }
    float sum = vf_sum(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3])));
    const vflt scale = vf_set1((float)(1 / sqrt((double)sum / n + (double)eps)));
    for (i = 0; i + LANES <= n; i += LANES)
        vf_store(y + i, vf_mul(vf_mul(vf_load(x + i), scale), vf_load(w + i)));
    if (i < n) {
        vflt v = vf_mul(vf_loadn(x + i, n - i), scale);
        vf_storen(y + i, vf_mul(v, vf_loadn(w + i, n - i)), n - i);
    }
}

static void add_scaled(float *x, const float *y, uint32_t n, float scale)
{
    const vflt s = vf_set1(scale);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(x + i, vf_fma(vf_load(y + i), s, vf_load(x + i)));
    if (i < n)
        vf_storen(x + i, vf_fma(vf_loadn(y + i, n - i), s, vf_loadn(x + i, n - i)), n - i);
}

/* g / (1 + e^-g) * up, g's exponential by the polynomial of vf_exp2_down: -g log2(e) = n + r. Below
 * g = -88 the quotient stays what it is there, -5e-37. */
RZ_INLINE vflt silu_of(vflt g, vflt up)
{
    const vflt shift = vf_set1(0x1.8p23f + 127);
    g = vf_max(vf_set1(-88.0f), g); /* this order keeps NaN */
    const vflt x = vf_min(vf_set1(87.0f), g);
    const vflt n = vf_fnma(x, vf_set1(1.44269502f), shift);
    vflt r = vf_fnma(x, vf_set1(1.44269502f), vf_sub(shift, n));
    r = vf_fnma(x, vf_set1(1.92596299e-8f), r);
    const vflt d = vf_fma(vf_exp2_part(r), vf_cast(vi_sll(vf_bits(n), 23)), vf_set1(1.0f));
    return vf_mul(vf_mul(g, up), vf_inverse(d));
}

static void silu_mul(const float *gate, const float *up, float *y, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(y + i, silu_of(vf_load(gate + i), vf_load(up + i)));
    if (i < n)
        vf_storen(y + i, silu_of(vf_loadn(gate + i, n - i), vf_loadn(up + i, n - i)), n - i);
}

static void rope_neox(float *x, const float *cs, uint32_t half)
{
    uint32_t i = 0;
    for (; i + LANES <= half; i += LANES) {
        vflt a = vf_load(x + i), b = vf_load(x + i + half), c, s;
        vf_load_pairs(cs + 2 * i, &c, &s);
        vf_store(x + i, vf_sub(vf_mul(a, c), vf_mul(b, s)));
        vf_store(x + i + half, vf_add(vf_mul(a, s), vf_mul(b, c)));
    }
    for (; i < half; i++) {
        float a = x[i], b = x[i + half], c = cs[2 * i], s = cs[2 * i + 1];
        x[i] = a * c - b * s;
        x[i + half] = a * s + b * c;
    }
}

static void rope(float *x, const float *cs, uint32_t n_rot, bool neox)
{
    if (neox) {
        rope_neox(x, cs, n_rot / 2);
        return;
    }
    uint32_t n = n_rot / 2 * 2;
    for (uint32_t i = 0; i < n; i += LANES)
        vf_storen(x + i, vf_rotate_pairs(vf_loadn(x + i, n - i), vf_loadn(cs + i, n - i)), n - i);
}

/* Sums of 4096 elements in the lanes go to a double, so that a vocabulary does not lose digits. */
static void softmax(float *x, uint32_t n)
{
    vflt max_v = vf_set1(-INFINITY);
    for (uint32_t i = 0; i < n; i += LANES)
        max_v = vf_max(vf_keep(vf_loadn(x + i, n - i), 0, n - i, -INFINITY), max_v);
    const vflt max = vf_set1(vf_hmax(max_v));
    double sum = 0;
    for (uint32_t start = 0; start < n; start += 4096) {
        uint32_t end = n - start < 4096 ? n : start + 4096;
        vflt s = vf_set1(0);
        for (uint32_t i = start; i < end; i += LANES) {
            vflt e = vf_exp(vf_sub(vf_loadn(x + i, n - i), max));
            vf_storen(x + i, e, n - i);
            s = vf_add(s, vf_keep(e, 0, n - i, 0));
        }
        sum += (double)vf_sum(s);
    }
    const vflt inv = vf_set1((float)(1 / sum));
    for (uint32_t i = 0; i < n; i += LANES)
        vf_storen(x + i, vf_mul(vf_loadn(x + i, n - i), inv), n - i);
}

/* kv_store of f32 stays the reference's copy. */
RZ_INLINE void set_rows(struct rz_kernels *k)
{
    k->quantize = quantize;
    k->kv_store[RZ_KV_F16] = kv_store_f16;
    k->rms_norm = rms_norm;
    k->add_scaled = add_scaled;
    k->silu_mul = silu_mul;
    k->rope = rope;
    k->softmax = softmax;
}

#endif
