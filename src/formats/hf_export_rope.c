/* hf_export_rope.c - the rotary part of config.json.
 *
 * Llama 3.1's scaling stands in GGUF as a divisor for each rotated pair (tensor rope_freqs), in
 * config.json as the four numbers that the divisors were computed from. They are found again:
 * between 1 and the factor, (1/divisor - 1/factor) / (1 - 1/factor) is linear in the pair's
 * frequency, its slope and intercept give low and high for an original context, and what was found
 * must give the same divisors. Source: transformers' modeling_rope_utils.py. */
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"
#include "formats/hf_export.h"

#include <math.h>
#include <string.h>

struct llama3 {
    double factor, low, high, n_orig;
};

static rz_status get_f32(struct rz_hf_export *x, const char *suffix, float *value, bool *found)
{
    char key[RZ_ARCH_KEY_MAX];
    return rz_file_get_f32(x->source, rz_arch_key(x->source, suffix, key), value, found, x->err);
}

static double divisor(const struct llama3 *l, double theta, uint32_t head_dim, uint32_t i)
{
    double wavelength = 2 * M_PI * pow(theta, 2.0 * i / head_dim);
    double smooth = (l->n_orig / wavelength - l->low) / (l->high - l->low);
    smooth = fmin(fmax(smooth, 0), 1);
    return 1 / ((1 - smooth) / l->factor + smooth);
}

static bool gives(const struct llama3 *l, double theta, uint32_t head_dim, const float *divisors)
{
    for (uint32_t i = 0; i < head_dim / 2; i++)
        if (fabs(divisor(l, theta, head_dim, i) - (double)divisors[i]) > 1e-6 * (double)divisors[i])
            return false;
    return true;
}

/* Least squares of smooth = slope * frequency + offset over the pairs between both ends. */
static bool fit(struct llama3 *l, double theta, uint32_t head_dim, const float *divisors)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (uint32_t i = 0; i < head_dim / 2; i++) {
        double d = (double)divisors[i];
        double y = (1 / d - 1 / l->factor) / (1 - 1 / l->factor);
        double f = pow(theta, -2.0 * i / head_dim) / (2 * M_PI);
        if (y < 1e-6 || y > 1 - 1e-6)
            continue;
        n++;
        sx += f;
        sy += y;
        sxx += f * f;
        sxy += f * y;
    }
    double det = n * sxx - sx * sx;
    if (n < 2 || det == 0)
        return false;
    double slope = (n * sxy - sx * sy) / det, offset = (sy - slope * sx) / n;
    /* slope = n_orig / (high - low), offset = -low / (high - low): one is free, and is low = 1. */
    if (!(slope > 0) || !(offset < 0))
        return false;
    l->low = 1;
    l->high = 1 - 1 / offset;
    l->n_orig = slope * (l->high - l->low);
    /* All that are published are whole. */
    struct llama3 whole = {l->factor, 1, round(l->high), round(l->n_orig)};
    if (whole.high > whole.low && gives(&whole, theta, head_dim, divisors))
        *l = whole;
    return true;
}

static rz_status put_llama3(struct rz_hf_export *x, json_t *config, const rz_tensor *t,
                            double theta)
{
    const uint32_t n = x->head_dim / 2;
    float divisors[2048], largest = 0;
    if (t->dtype != RZ_F32 || t->n_dims != 1 || t->shape[0] != n || n > RZ_ARRAY_LEN(divisors))
        return rz_fail(x->err, RZ_ELOAD, "%s: tensor %s is not F32 of %u elements",
                       rz_file_path(x->source), t->name, n);
    memcpy(divisors, t->data, n * sizeof *divisors);
    for (uint32_t i = 0; i < n; i++)
        largest = fmaxf(largest, divisors[i]);
    struct llama3 l = {.factor = (double)largest, .low = 1, .high = 4, .n_orig = 8192};
    bool found =
        largest > 1 &&
        (gives(&l, theta, x->head_dim, divisors) ||
         (fit(&l, theta, x->head_dim, divisors) && gives(&l, theta, x->head_dim, divisors)));
    if (!found || !(l.n_orig >= 1 && l.n_orig <= INT32_MAX))
        return rz_fail(x->err, RZ_ELOAD,
                       "%s: the divisors of tensor %s are not those of a llama3 scaling, so "
                       "config.json cannot say them",
                       rz_file_path(x->source), t->name);
    json_t *n_orig =
        l.n_orig == round(l.n_orig) ? json_integer((json_int_t)l.n_orig) : json_real(l.n_orig);
    json_object_set_new(config, "rope_scaling",
                        json_pack("{sssfsfsfso}", "rope_type", "llama3", "factor", l.factor,
                                  "low_freq_factor", l.low, "high_freq_factor", l.high,
                                  "original_max_position_embeddings", n_orig));
    return RZ_OK;
}

static rz_status put_yarn(struct rz_hf_export *x, json_t *scaling, float factor)
{
    uint32_t n_orig = x->n_ctx;
    float value = 0;
    bool found;
    RZ_TRY(rz_arch_u32(x->source, "rope.scaling.original_context_length", &n_orig, &found, x->err));
    json_object_set_new(scaling, "original_max_position_embeddings", json_integer(n_orig));
    RZ_TRY(get_f32(x, "rope.scaling.yarn_beta_fast", &value, &found));
    if (found)
        json_object_set_new(scaling, "beta_fast", rz_hf_export_f32(value));
    RZ_TRY(get_f32(x, "rope.scaling.yarn_beta_slow", &value, &found));
    if (found)
        json_object_set_new(scaling, "beta_slow", rz_hf_export_f32(value));
    RZ_TRY(get_f32(x, "rope.scaling.attn_factor", &value, &found));
    if (!found)
        RZ_TRY(get_f32(x, "rope.scaling.yarn_attn_factor", &value, &found));
    /* GGUF's is a factor on YaRN's own magnitude. */
    if (found)
        json_object_set_new(
            scaling, "attention_factor",
            rz_hf_export_f32((float)((double)value * (1 + 0.1 * log((double)factor)))));
    return RZ_OK;
}

static bool is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

rz_status rz_hf_export_rope(struct rz_hf_export *x, json_t *config)
{
    char key[RZ_ARCH_KEY_MAX];
    rz_slice type = {"none", 4};
    float theta = 10000, factor = 1;
    bool found, has_factor;
    const rz_tensor *divisors = rz_file_tensor(x->source, "rope_freqs.weight");
    RZ_TRY(get_f32(x, "rope.freq_base", &theta, &found));
    json_object_set_new(config, "rope_theta", rz_hf_export_f32(theta));
    RZ_TRY(rz_file_get_string(x->source, rz_arch_key(x->source, "rope.scaling.type", key), &type,
                              &found, x->err));
    RZ_TRY(get_f32(x, "rope.scaling.factor", &factor, &has_factor));
    if (!has_factor) {
        RZ_TRY(get_f32(x, "rope.scale_linear", &factor, &has_factor));
        if (has_factor && factor != 1 && !found)
            type = (rz_slice){"linear", 6};
    }
    if (divisors && !is(type, "none"))
        return rz_fail(x->err, RZ_ELOAD, "%s: rotary scaling \"%.*s\" together with tensor %s",
                       rz_file_path(x->source), (int)type.len, type.data, divisors->name);
    if (divisors)
        return put_llama3(x, config, divisors, (double)theta);
    if (is(type, "none"))
        return RZ_OK;
    if (!is(type, "linear") && !is(type, "yarn"))
        return rz_fail(x->err, RZ_ELOAD, "%s: rotary scaling \"%.*s\" has no place in config.json",
                       rz_file_path(x->source), (int)(type.len < 64 ? type.len : 64), type.data);
    json_t *scaling = json_pack("{ss#so}", "rope_type", type.data, (int)type.len, "factor",
                                rz_hf_export_f32(factor));
    rz_status status = is(type, "yarn") ? put_yarn(x, scaling, factor) : RZ_OK;
    json_object_set_new(config, "rope_scaling", scaling);
    return status;
}
