/* hf_rope.c - the rotary embedding of config.json, under both of its spellings: rope_theta and
 * rope_scaling of transformers 4, rope_parameters of transformers 5.
 *
 * Llama 3.1's scaling is a divisor for each rotated pair, which GGUF holds as the tensor
 * rope_freqs; it is computed here. Source: transformers' modeling_rope_utils.py; YaRN: Peng et al.
 * 2309.00071. */
#include "base/fail.h"
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_MAX = 96
};

static rz_status put_f32(struct rz_hf *h, const char *suffix, double value)
{
    char key[KEY_MAX];
    snprintf(key, sizeof key, "%s.rope.%s", h->arch, suffix);
    return rz_hf_put_f32(h, key, value);
}

static rz_status put_scaling(struct rz_hf *h, const char *type, double factor)
{
    char key[KEY_MAX];
    snprintf(key, sizeof key, "%s.rope.scaling.type", h->arch);
    RZ_TRY(rz_hf_put_string(h, key, type, strlen(type)));
    return put_f32(h, "scaling.factor", factor);
}

static rz_status get(struct rz_hf *h, const json_t *rope, const char *key, double *value,
                     bool *found)
{
    return rz_hf_get_f64(h, RZ_HF_CONFIG, rope, key, value, found);
}

static rz_status get_factor(struct rz_hf *h, const json_t *rope, double *factor)
{
    RZ_TRY(get(h, rope, "factor", factor, NULL));
    if (!(*factor >= 1))
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "a rotary scaling factor of %g, below 1",
                         *factor);
    return RZ_OK;
}

static rz_status read_yarn(struct rz_hf *h, const json_t *rope)
{
    char key[KEY_MAX];
    double factor = 1, fast = 0, slow = 0, magnitude = 0;
    uint32_t n_orig = h->n_ctx;
    bool has_fast, has_slow, has_magnitude, truncate = true, found;
    RZ_TRY(
        rz_hf_get_u32(h, RZ_HF_CONFIG, rope, "original_max_position_embeddings", &n_orig, &found));
    RZ_TRY(get_factor(h, rope, &factor));
    RZ_TRY(get(h, rope, "beta_fast", &fast, &has_fast));
    RZ_TRY(get(h, rope, "beta_slow", &slow, &has_slow));
    RZ_TRY(get(h, rope, "attention_factor", &magnitude, &has_magnitude));
    RZ_TRY(rz_hf_get_bool(h, RZ_HF_CONFIG, rope, "truncate", &truncate, &found));
    if (!truncate || rz_hf_field(rope, "mscale") || rz_hf_field(rope, "mscale_all_dim"))
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                         "YaRN with mscale, mscale_all_dim or without truncate is not supported");
    snprintf(key, sizeof key, "%s.rope.scaling.original_context_length", h->arch);
    RZ_TRY(rz_hf_put_u32(h, key, n_orig));
    RZ_TRY(put_scaling(h, "yarn", factor));
    if (has_fast && fast != 0) /* 0 means the default there */
        RZ_TRY(put_f32(h, "scaling.yarn_beta_fast", fast));
    if (has_slow && slow != 0)
        RZ_TRY(put_f32(h, "scaling.yarn_beta_slow", slow));
    /* GGUF's is a factor on YaRN's own magnitude. */
    if (has_magnitude)
        RZ_TRY(put_f32(h, "scaling.attn_factor", magnitude / (1 + 0.1 * log(factor))));
    return RZ_OK;
}

static rz_status read_llama3(struct rz_hf *h, const json_t *rope, double theta)
{
    double factor = 1, low = 0, high = 0, n_orig = 0;
    RZ_TRY(get_factor(h, rope, &factor));
    RZ_TRY(get(h, rope, "low_freq_factor", &low, NULL));
    RZ_TRY(get(h, rope, "high_freq_factor", &high, NULL));
    RZ_TRY(get(h, rope, "original_max_position_embeddings", &n_orig, NULL));
    if (!(low > 0) || !(high > low) || !(n_orig > 0) || !(theta > 1))
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG,
                         "llama3 scaling with frequency factors %g and %g, context %g, base %g",
                         low, high, n_orig, theta);
    uint32_t n = h->head_dim / 2;
    float *factors = rz_arena_alloc(&h->file->arena, n, sizeof *factors);
    if (!factors)
        return rz_fail_nomem(h->err, n * sizeof *factors, "rotary factors");
    for (uint32_t i = 0; i < n; i++) {
        double wavelength = 2 * M_PI * pow(theta, 2.0 * i / h->head_dim);
        double smooth = (n_orig / wavelength - low) / (high - low);
        smooth = fmin(fmax(smooth, 0), 1);
        factors[i] = (float)(1 / ((1 - smooth) / factor + smooth));
    }
    h->rope_factors = factors;
    return RZ_OK;
}

/* rope_parameters may hold one object per kind of layer. */
static bool is_nested(const json_t *rope)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)rope, key, value)
    {
        if (json_is_object(value))
            return true;
    }
    return false;
}

rz_status rz_hf_read_rope(struct rz_hf *h)
{
    double theta = 10000, partial = 1, factor = 1;
    bool found;
    const json_t *rope = rz_hf_field(h->config, "rope_parameters");
    if (!rope)
        rope = rz_hf_field(h->config, "rope_scaling");
    if (rope && (!json_is_object(rope) || is_nested(rope)))
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                         "rotary parameters that are no plain object are not supported");
    RZ_TRY(get(h, h->config, "rope_theta", &theta, &found));
    RZ_TRY(get(h, rope, "rope_theta", &theta, &found));
    RZ_TRY(get(h, rope, "partial_rotary_factor", &partial, &found));
    if (partial != 1)
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG, "partial_rotary_factor: %g is not supported",
                         partial);
    RZ_TRY(put_f32(h, "freq_base", theta));
    const json_t *name = rz_hf_field(rope, "rope_type");
    if (!name)
        name = rz_hf_field(rope, "type");
    const char *type = name ? json_string_value(name) : "default";
    if (!type)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "rope_type is not a string");
    if (!strcmp(type, "default"))
        return RZ_OK;
    if (!strcmp(type, "yarn"))
        return read_yarn(h, rope);
    if (!strcmp(type, "llama3"))
        return read_llama3(h, rope, theta);
    if (strcmp(type, "linear") != 0)
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                         "rope_type \"%.64s\" is not supported (supported: default, linear, yarn, "
                         "llama3)",
                         type);
    RZ_TRY(get_factor(h, rope, &factor));
    return put_scaling(h, "linear", factor);
}
