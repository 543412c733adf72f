/* check-kernels-rows.c - operations on one row. Bounds: u = 2^-24, products and quotients round
 * once each; a sum over n elements in lanes rounds at most n / 8 + 8 times; the exponential is
 * within 2 ulp, and moves by |x| u relative where its argument is rounded. */
#include "check-kernels.h"

#include "base/f16.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double u = 0x1p-24, tiny = 0x1p-149;

static const uint32_t sizes[] = {1,  2,  3,  5,  7,  8,  9,   15,  16,  17,   31,   32,
                                 33, 48, 63, 64, 65, 96, 100, 127, 512, 1021, 4864, 9001};
enum {
    N_SIZES = sizeof sizes / sizeof sizes[0]
};

/* Values of an interesting kind. */
static void fill(struct check *c, float *x, uint32_t n, int kind)
{
    for (uint32_t i = 0; i < n; i++) {
        switch (kind) {
        case 0:
            x[i] = ck_normal(c);
            break;
        case 1:
            x[i] = ck_uniform(c, -100, 100);
            break;
        case 2:
            x[i] = 0;
            break;
        case 3: /* all magnitudes */
            x[i] = ldexpf(ck_uniform(c, -1, 1), (int)ck_below(c, 250) - 149);
            break;
        default:
            x[i] = ck_below(c, 2) ? 3.0f : -3.0f;
        }
    }
}

/* What quantize gave for one block of 32. */
static void check_quantized_block(struct check *c, const float *x, uint8_t max_q, const int8_t *q,
                                  const struct rz_act_factors *f, size_t at)
{
    double amax = 0;
    bool nan = false;
    for (uint32_t i = 0; i < 32; i++) {
        nan = nan || !isfinite(x[i]);
        amax = fabs((double)x[i]) > amax ? fabs((double)x[i]) : amax;
    }
    double s = amax < 0x1p-119 ? 0 : (double)((float)amax / max_q);
    ck_expect(c, nan ? isnan(f->scale[at]) : (double)f->scale[at] == s,
              "quantize scale %.9g, not %.9g", (double)f->scale[at], s);
    int sum[2] = {0};
    for (uint32_t i = 0; i < 32 && !nan; i++) {
        double exact = s > 0 ? (double)x[i] / (amax / max_q) : 0;
        sum[i / 16] += q[i];
        /* Two roundings before the one to an integer: 127 * 2u from the tie at most. */
        ck_expect(c, abs(q[i]) <= max_q && fabs(q[i] - exact) <= 0.5 + 254 * u,
                  "quantize %.9g to %d, not %.9g", (double)x[i], q[i], exact);
    }
    if (nan)
        return;
    ck_expect(c,
              f->neg_sum16[2 * at] == -sum[0] && f->neg_sum16[2 * at + 1] == -sum[1] &&
                  f->neg_sum[at] == -sum[0] - sum[1],
              "quantize sums");
    ck_expect(c,
              f->min_factor[at] == (float)(s * (sum[0] + sum[1])) &&
                  f->min_factor16[2 * at] == (float)(s * sum[0]) &&
                  f->min_factor16[2 * at + 1] == (float)(s * sum[1]),
              "quantize factors of mins");
}

static bool same_bits(const struct rz_act_factors *a, size_t i, const struct rz_act_factors *b,
                      size_t j)
{
    char bytes[2][RZ_ACT_FACTOR_BYTES];
    const struct rz_act_factors to[2] = {rz_act_factors_in(bytes[0], 1),
                                         rz_act_factors_in(bytes[1], 1)};
    ck_copy_factors(&to[0], 0, a, i);
    ck_copy_factors(&to[1], 0, b, j);
    return memcmp(bytes[0], bytes[1], sizeof bytes[0]) == 0;
}

static void check_quantize(struct check *c)
{
    struct rz_kernels ref;
    rz_kernels_init(&ref, 0);
    for (int round = 0; round < 400; round++) {
        uint32_t n = 32 * (1 + (uint32_t)ck_below(c, 40));
        const uint8_t max_q = round % 3 ? RZ_ACT_MAX : RZ_ACT_MAX_PAIRS;
        const uint32_t step = 1u << round % 5, n_slots = (n / 32 - 1) * step + 1;
        struct ck_buf x = ck_alloc(n * sizeof(float), 4), q = ck_alloc(n_slots * 32, 32);
        struct ck_buf factors = ck_alloc((size_t)n_slots * RZ_ACT_FACTOR_BYTES, 4);
        _Alignas(4) char memory[41 * RZ_ACT_FACTOR_BYTES];
        const struct rz_act_factors f = rz_act_factors_in(factors.data, n_slots);
        const struct rz_act_factors f2 = rz_act_factors_in(memory, 41);
        int8_t *qs = q.data, q2[32 * 41];
        memset(qs, 99, q.bytes);
        fill(c, x.data, n, round % 5);
        float *xs = x.data;
        if (round % 7 == 0)
            xs[ck_below(c, n)] = round % 2 ? NAN : INFINITY;
        if (round % 11 == 0)
            for (uint32_t i = 0; i < n; i++)
                xs[i] *= 0x1p-126f;
        c->now.quantize(xs, n, max_q, qs, &f, step);
        ck_expect(c, ck_intact(&q) && ck_intact(&factors), "quantize canary");
        /* The same bits at every level. */
        ref.quantize(xs, n, max_q, q2, &f2, 1);
        bool same = true;
        for (uint32_t i = 0; i < n_slots; i++) {
            const uint32_t b = i / step;
            if (i % step) { /* other rows' */
                same = same && qs[32 * i] == 99 && qs[32 * i + 31] == 99;
                continue;
            }
            check_quantized_block(c, xs + 32 * b, max_q, qs + 32 * i, &f, i);
            same = same && memcmp(q2 + 32 * b, qs + 32 * i, 32) == 0 &&
                   (isnan(f2.scale[b]) ? isnan(f.scale[i]) : same_bits(&f2, b, &f, i));
        }
        ck_expect(c, same, "quantize differs from the reference's bits, n %u, step %u", n, step);
        ck_free(&x);
        ck_free(&q);
        ck_free(&factors);
    }
}

/* Three rows for an operation: inputs a and b, and the output, exactly sized. */
struct rows {
    struct ck_buf a, b, y;
    float *pa, *pb, *py;
    uint32_t n;
};

static struct rows rows_new(struct check *c, uint32_t n, int kind)
{
    struct rows r = {.a = ck_alloc(n * sizeof(float), 4),
                     .b = ck_alloc(n * sizeof(float), 4),
                     .y = ck_alloc(n * sizeof(float), 4),
                     .n = n};
    r.pa = r.a.data;
    r.pb = r.b.data;
    r.py = r.y.data;
    fill(c, r.pa, n, kind);
    fill(c, r.pb, n, kind == 3 ? 0 : kind);
    fill(c, r.py, n, kind);
    return r;
}

static void rows_end(struct check *c, struct rows *r, const char *name)
{
    ck_expect(c, ck_intact(&r->a) && ck_intact(&r->b) && ck_intact(&r->y), "%s canary, n %u", name,
              r->n);
    ck_free(&r->a);
    ck_free(&r->b);
    ck_free(&r->y);
}

static void check_rms_norm(struct check *c, uint32_t n, int kind)
{
    struct rows r = rows_new(c, n, kind);
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)r.pa[i] * (double)r.pa[i];
    double scale = 1 / sqrt(sum / n + 1e-6);
    c->now.rms_norm(r.pa, r.pb, r.py, n, 1e-6f);
    for (uint32_t i = 0; i < n && sum < FLT_MAX; i++) {
        double want = (double)r.pa[i] * scale * (double)r.pb[i];
        ck_expect(c, ck_near(r.py[i], want, (n / 8.0 + 16) * u * fabs(want) + 8 * tiny),
                  "rms_norm n %u: %.9g, not %.9g", n, (double)r.py[i], want);
    }
    rows_end(c, &r, "rms_norm");
}

static void check_add_scaled(struct check *c, uint32_t n, int kind)
{
    struct rows r = rows_new(c, n, kind);
    float before[9001];
    memcpy(before, r.py, n * sizeof(float));
    c->now.add_scaled(r.py, r.pa, n, 0.3f);
    for (uint32_t i = 0; i < n; i++) {
        double product = (double)r.pa[i] * (double)0.3f, want = (double)before[i] + product;
        ck_expect(c, ck_near(r.py[i], want, 2 * u * (fabs(want) + fabs(product)) + 2 * tiny),
                  "add_scaled n %u: %.9g, not %.9g", n, (double)r.py[i], want);
    }
    rows_end(c, &r, "add_scaled");
}

static void check_silu_mul(struct check *c, uint32_t n, int kind)
{
    struct rows r = rows_new(c, n, kind);
    if (n > 3) {
        r.pa[0] = -200;
        r.pa[1] = 200;
        r.pa[2] = NAN;
    }
    c->now.silu_mul(r.pa, r.pb, r.py, n);
    for (uint32_t i = 0; i < n; i++) {
        double g = (double)r.pa[i], want = g / (1 + exp(-g)) * (double)r.pb[i];
        /* Near where exp(-g) overflows float, at -88.7: below 1e-36. */
        double bound = 12 * u * fabs(want) + (g < -86 ? 1e-36 * fabs((double)r.pb[i]) : 4 * tiny);
        ck_expect(c, ck_near(r.py[i], want, bound), "silu_mul of %.9g: %.9g, not %.9g", g,
                  (double)r.py[i], want);
    }
    rows_end(c, &r, "silu_mul");
}

static void check_softmax(struct check *c, uint32_t n, int kind)
{
    struct rows r = rows_new(c, n, kind);
    double max = -INFINITY, sum = 0;
    if (n > 2)
        r.pa[n / 2] = -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        max = (double)r.pa[i] > max ? (double)r.pa[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)r.pa[i] - max);
    memcpy(r.py, r.pa, n * sizeof(float));
    c->now.softmax(r.py, n);
    for (uint32_t i = 0; i < n; i++) {
        double arg = (double)r.pa[i] - max, want = exp(arg) / sum;
        double steps = n / 8.0 > 520 ? 520 : n / 8.0;
        double bound = (steps + 16 + fabs(arg)) * u * want + 2 * tiny;
        ck_expect(c, want < FLT_MIN || ck_near(r.py[i], want, bound),
                  "softmax n %u: %.9g, not %.9g", n, (double)r.py[i], want);
    }
    rows_end(c, &r, "softmax");
}

static void check_rope(struct check *c, uint32_t n_rot, bool neox)
{
    struct rows r = rows_new(c, n_rot, 0);
    uint32_t half = n_rot / 2;
    for (uint32_t i = 0; i < half; i++) {
        double angle = (double)ck_uniform(c, -4, 4);
        r.pb[2 * i] = (float)cos(angle);
        r.pb[2 * i + 1] = (float)sin(angle);
    }
    memcpy(r.py, r.pa, n_rot * sizeof(float));
    c->now.rope(r.py, r.pb, n_rot, neox);
    for (uint32_t i = 0; i < half; i++) {
        uint32_t ia = neox ? i : 2 * i, ib = neox ? i + half : 2 * i + 1;
        double a = (double)r.pa[ia], b = (double)r.pa[ib];
        double cosine = (double)r.pb[2 * i], sine = (double)r.pb[2 * i + 1];
        double bound = 3 * u * (fabs(a) + fabs(b));
        ck_expect(c,
                  ck_near(r.py[ia], a * cosine - b * sine, bound) &&
                      ck_near(r.py[ib], a * sine + b * cosine, bound),
                  "rope n_rot %u neox %d pair %u", n_rot, neox, i);
    }
    rows_end(c, &r, "rope");
}

static void check_kv_store(struct check *c, enum rz_kv_type type, uint32_t n)
{
    struct rows r = rows_new(c, n, (int)ck_below(c, 4));
    size_t elem = type == RZ_KV_F16 ? 2 : 4;
    struct ck_buf out = ck_alloc(n * elem, elem);
    if (n > 4)
        r.pa[1] = 65520;
    c->now.kv_store[type](r.pa, out.data, n);
    for (uint32_t i = 0; i < n; i++) {
        bool same = type == RZ_KV_F16 ? ((rz_f16 *)out.data)[i] == rz_f32_to_f16(r.pa[i])
                                      : ((float *)out.data)[i] == r.pa[i];
        ck_expect(c, same, "kv_store type %d n %u of %.9g", type, n, (double)r.pa[i]);
    }
    ck_expect(c, ck_intact(&out), "kv_store canary, n %u", n);
    ck_free(&out);
    rows_end(c, &r, "kv_store");
}

void check_rows(struct check *c)
{
    const struct rz_kernels *now = &c->now, *below = &c->below;
    if (ck_wants(c, "quantize", now->quantize != below->quantize))
        check_quantize(c);
    for (int i = 0; i < N_SIZES; i++) {
        for (int kind = 0; kind < 5; kind++) {
            if (ck_wants(c, "rms_norm", now->rms_norm != below->rms_norm))
                check_rms_norm(c, sizes[i], kind);
            if (ck_wants(c, "add_scaled", now->add_scaled != below->add_scaled))
                check_add_scaled(c, sizes[i], kind);
            if (ck_wants(c, "silu_mul", now->silu_mul != below->silu_mul))
                check_silu_mul(c, sizes[i], kind);
            if (ck_wants(c, "softmax", now->softmax != below->softmax) && kind != 3)
                check_softmax(c, sizes[i], kind);
        }
        for (int type = 0; type < RZ_N_KV_TYPES; type++) {
            if (ck_wants(c, "kv_store", now->kv_store[type] != below->kv_store[type]))
                check_kv_store(c, (enum rz_kv_type)type, sizes[i]);
        }
        if (sizes[i] % 2 == 0 && ck_wants(c, "rope", now->rope != below->rope)) {
            check_rope(c, sizes[i], true);
            check_rope(c, sizes[i], false);
        }
    }
}
