/* config.c - reads hyper-parameters from GGUF's metadata keys and refuses what this build would
 * compute wrongly. Source: the GGUF specification (ggml, docs/gguf.md); YaRN: Peng et al.
 * 2309.00071. */
#include "model/config.h"

#include "base/fail.h"
#include "model/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_MAX = 128
};

struct reader {
    const rz_file *file;
    const struct rz_arch *arch;
    rz_error *err;
    char key[KEY_MAX];
};

static const char *arch_key(struct reader *r, const char *suffix)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch->name, suffix);
    return r->key;
}

/* {arch}.suffix in [1, max]; an absent one keeps *value if optional, else it is an error. */
static rz_status read_u32(struct reader *r, const char *suffix, uint32_t max, uint32_t *value,
                          bool optional)
{
    bool found;
    const char *key = arch_key(r, suffix);
    RZ_TRY(rz_file_get_u32(r->file, key, value, optional ? &found : NULL, r->err));
    if ((!optional || found) && (*value == 0 || *value > max))
        return rz_fail(r->err, RZ_EFORMAT, "%s: %s is %u, expected 1 to %u", rz_file_path(r->file),
                       key, *value, max);
    return RZ_OK;
}

static rz_status read_f32(struct reader *r, const char *suffix, float *value, bool optional)
{
    bool found;
    const char *key = arch_key(r, suffix);
    RZ_TRY(rz_file_get_f32(r->file, key, value, optional ? &found : NULL, r->err));
    if (!isfinite(*value) || *value < 0)
        return rz_fail(r->err, RZ_EFORMAT, "%s: %s is %g, expected a finite positive number",
                       rz_file_path(r->file), key, (double)*value);
    return RZ_OK;
}

static rz_status refuse(struct reader *r, const char *what)
{
    return rz_fail(r->err, RZ_ELOAD, "%s: %s with %s is not supported", rz_file_path(r->file),
                   r->arch->name, what);
}

static rz_status read_sizes(struct reader *r, rz_model_info *m)
{
    RZ_TRY(read_u32(r, "context_length", RZ_MAX_CTX, &m->n_ctx_train, false));
    RZ_TRY(read_u32(r, "embedding_length", RZ_MAX_EMBD, &m->n_embd, false));
    RZ_TRY(read_u32(r, "block_count", RZ_MAX_LAYERS, &m->n_layers, false));
    RZ_TRY(read_u32(r, "feed_forward_length", RZ_MAX_FF, &m->n_ff, r->arch->experts));
    RZ_TRY(read_u32(r, "attention.head_count", RZ_MAX_HEADS, &m->n_heads, false));
    m->n_kv_heads = m->n_heads;
    RZ_TRY(read_u32(r, "attention.head_count_kv", RZ_MAX_HEADS, &m->n_kv_heads, true));
    m->head_dim = m->n_embd / m->n_heads;
    RZ_TRY(read_u32(r, "attention.key_length", RZ_MAX_HEAD_DIM, &m->head_dim, true));
    uint32_t value_length = m->head_dim;
    RZ_TRY(read_u32(r, "attention.value_length", RZ_MAX_HEAD_DIM, &value_length, true));
    RZ_TRY(read_u32(r, "attention.sliding_window", RZ_MAX_CTX, &m->sliding_window, true));
    if (m->n_heads % m->n_kv_heads)
        return rz_fail(r->err, RZ_EFORMAT, "%s: %u heads are no multiple of %u kv heads",
                       rz_file_path(r->file), m->n_heads, m->n_kv_heads);
    if (m->head_dim == 0 || m->head_dim % 16 || m->head_dim > RZ_MAX_HEAD_DIM)
        return rz_fail(r->err, RZ_ELOAD, "%s: head dimension %u is no multiple of 16 up to %d",
                       rz_file_path(r->file), m->head_dim, RZ_MAX_HEAD_DIM);
    if (value_length != m->head_dim)
        return refuse(r, "different key and value lengths");
    bool causal = true, found;
    RZ_TRY(rz_file_get_bool(r->file, arch_key(r, "attention.causal"), &causal, &found, r->err));
    if (!causal)
        return refuse(r, "attention that sees later tokens");
    return RZ_OK;
}

static rz_status read_experts(struct reader *r, rz_model_info *m)
{
    bool found = false;
    const char *key = arch_key(r, "expert_count");
    RZ_TRY(rz_file_get_u32(r->file, key, &m->n_experts, &found, r->err));
    if (m->n_experts == 0) {
        if (r->arch->experts && m->n_ff == 0)
            return rz_fail(r->err, RZ_EFORMAT, "%s: neither %s nor %s.feed_forward_length is given",
                           rz_file_path(r->file), key, r->arch->name);
        return RZ_OK;
    }
    if (!r->arch->experts)
        return refuse(r, "experts");
    RZ_TRY(read_u32(r, "expert_count", RZ_MAX_EXPERTS, &m->n_experts, false));
    RZ_TRY(read_u32(r, "expert_used_count", m->n_experts, &m->n_experts_used, false));
    bool per_expert = r->arch->shared_expert || r->arch->qk_norm;
    m->n_ff_expert = per_expert ? m->n_ff / m->n_experts_used : m->n_ff;
    RZ_TRY(read_u32(r, "expert_feed_forward_length", RZ_MAX_FF, &m->n_ff_expert, true));
    if (r->arch->shared_expert) {
        m->n_ff_shared = m->n_ff;
        RZ_TRY(read_u32(r, "expert_shared_feed_forward_length", RZ_MAX_FF, &m->n_ff_shared, true));
    }
    m->norm_expert_weights = r->arch->norm_expert_weights;
    RZ_TRY(rz_file_get_bool(r->file, arch_key(r, "expert_weights_norm"), &m->norm_expert_weights,
                            &found, r->err));
    uint32_t gating = 1; /* softmax */
    RZ_TRY(read_u32(r, "expert_gating_func", 16, &gating, true));
    if (gating != 1)
        return refuse(r, "a gating function other than softmax");
    float scale = 1;
    RZ_TRY(read_f32(r, "expert_weights_scale", &scale, true));
    if (scale != 1 && scale != 0)
        return refuse(r, "scaled expert weights");
    if (m->n_ff_expert == 0 || (r->arch->shared_expert && m->n_ff_shared == 0))
        return rz_fail(r->err, RZ_EFORMAT, "%s: the experts' feed-forward length is not given",
                       rz_file_path(r->file));
    return RZ_OK;
}

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static rz_status read_scaling(struct reader *r, struct rz_config *c)
{
    rz_model_info *m = &c->info;
    rz_slice type = {"none", 4};
    bool found;
    m->rope_factor = 1;
    m->n_ctx_orig = m->n_ctx_train;
    RZ_TRY(rz_file_get_string(r->file, arch_key(r, "rope.scaling.type"), &type, &found, r->err));
    if (!found) { /* the key of files from 2023 */
        RZ_TRY(rz_file_get_f32(r->file, arch_key(r, "rope.scale_linear"), &m->rope_factor, &found,
                               r->err));
        if (found && m->rope_factor != 1)
            type = (rz_slice){"linear", 6};
    }
    if (slice_is(type, "none"))
        m->rope_scaling = RZ_ROPE_SCALING_NONE;
    else if (slice_is(type, "linear"))
        m->rope_scaling = RZ_ROPE_SCALING_LINEAR;
    else if (slice_is(type, "yarn"))
        m->rope_scaling = RZ_ROPE_SCALING_YARN;
    else
        return rz_fail(r->err, RZ_ELOAD,
                       "%s: rope scaling \"%.*s\" is not supported (supported: "
                       "none, linear, yarn)",
                       rz_file_path(r->file), (int)(type.len < 64 ? type.len : 64), type.data);
    /* A scaling needs its factor; "none" may carry one, some converters write 0. */
    bool none = m->rope_scaling == RZ_ROPE_SCALING_NONE;
    RZ_TRY(read_f32(r, "rope.scaling.factor", &m->rope_factor, none || m->rope_factor != 1));
    RZ_TRY(read_u32(r, "rope.scaling.original_context_length", RZ_MAX_CTX, &m->n_ctx_orig, true));
    if (m->rope_factor == 0)
        m->rope_factor = 1;
    return RZ_OK;
}

static rz_status read_rope(struct reader *r, struct rz_config *c)
{
    rz_model_info *m = &c->info;
    bool neox = false, found;
    m->rope_type = r->arch->rope_type;
    /* GGUF's llama files have the rows of Q and K permuted for adjacent pairs; Hugging Face's have
     * not, and the reader moves no data. */
    RZ_TRY(rz_file_get_bool(r->file, arch_key(r, "rope.neox"), &neox, &found, r->err));
    if (neox)
        m->rope_type = RZ_ROPE_NEOX;
    m->rope_theta = 10000;
    m->rope_n_rot = m->head_dim;
    RZ_TRY(read_f32(r, "rope.freq_base", &m->rope_theta, true));
    RZ_TRY(read_u32(r, "rope.dimension_count", m->head_dim, &m->rope_n_rot, true));
    if (m->rope_n_rot % 2 || m->rope_theta <= 1)
        return rz_fail(r->err, RZ_EFORMAT, "%s: %u rotated dimensions with base %g",
                       rz_file_path(r->file), m->rope_n_rot, (double)m->rope_theta);
    RZ_TRY(read_scaling(r, c));
    c->rope_beta_fast = 32; /* YaRN's published defaults */
    c->rope_beta_slow = 1;
    c->rope_attn_factor = 1;
    float ext_factor = 1, log_multiplier = 0;
    RZ_TRY(read_f32(r, "rope.scaling.yarn_beta_fast", &c->rope_beta_fast, true));
    RZ_TRY(read_f32(r, "rope.scaling.yarn_beta_slow", &c->rope_beta_slow, true));
    RZ_TRY(read_f32(r, "rope.scaling.attn_factor", &c->rope_attn_factor, true));
    RZ_TRY(read_f32(r, "rope.scaling.yarn_attn_factor", &c->rope_attn_factor, true));
    RZ_TRY(read_f32(r, "rope.scaling.yarn_ext_factor", &ext_factor, true));
    RZ_TRY(read_f32(r, "rope.scaling.yarn_log_multiplier", &log_multiplier, true));
    if (m->rope_scaling == RZ_ROPE_SCALING_YARN && (ext_factor != 1 || log_multiplier != 0))
        return refuse(r, "a YaRN extrapolation factor or log multiplier");
    return RZ_OK;
}

/* A classifier, say: .apr files hold those too, and say which. Or a file of weights alone. */
static rz_status check_language_model(const rz_file *file, rz_error *err)
{
    const rz_meta *type = rz_file_meta(file, "apr.model_type");
    if (rz_file_meta(file, "general.architecture"))
        return RZ_OK;
    if (!strcmp(rz_file_format(file), "SafeTensors"))
        return rz_fail(err, RZ_ELOAD,
                       "%s: config.json is missing; SafeTensors files hold weights only, and what "
                       "model they are of stands in the config.json beside them",
                       rz_file_path(file));
    if (!type || type->type != RZ_META_STRING)
        return RZ_OK;
    rz_slice name = rz_meta_string(type, 0);
    return rz_fail(err, RZ_ELOAD, "%s: a %.*s model, not a language model", rz_file_path(file),
                   (int)(name.len < 64 ? name.len : 64), name.data);
}

/* The vocabulary's size is that of the token list: a head row without a token cannot be printed. */
static rz_status read_vocab(struct reader *r, rz_model_info *m)
{
    const rz_meta *tokens;
    RZ_TRY(
        rz_file_get_array(r->file, "tokenizer.ggml.tokens", RZ_META_STRING, &tokens, NULL, r->err));
    if (tokens->count == 0 || tokens->count > RZ_MAX_VOCAB)
        return rz_fail(r->err, RZ_EFORMAT, "%s: tokenizer.ggml.tokens has %llu entries",
                       rz_file_path(r->file), (unsigned long long)tokens->count);
    m->n_vocab = (uint32_t)tokens->count;
    return RZ_OK;
}

rz_status rz_config_read(struct rz_config *c, const rz_file *file, rz_error *err)
{
    *c = (struct rz_config){0};
    rz_model_info *m = &c->info;
    rz_slice name;
    RZ_TRY(check_language_model(file, err));
    RZ_TRY(rz_file_get_string(file, "general.architecture", &name, NULL, err));
    struct reader r = {.file = file, .arch = rz_arch_find(name), .err = err};
    if (!r.arch)
        return rz_fail(err, RZ_ELOAD, "%s: architecture \"%.*s\" is not supported (supported: %s)",
                       rz_file_path(file), (int)(name.len < 64 ? name.len : 64), name.data,
                       rz_arch_list());
    m->architecture = r.arch->name;
    m->qk_norm = r.arch->qk_norm;
    RZ_TRY(read_sizes(&r, m));
    RZ_TRY(read_experts(&r, m));
    RZ_TRY(read_rope(&r, c));
    RZ_TRY(read_vocab(&r, m));
    RZ_TRY(read_f32(&r, "attention.layer_norm_rms_epsilon", &m->rms_eps, false));
    c->kq_scale = 1 / sqrtf((float)m->head_dim);
    return RZ_OK;
}

/* The pair whose wavelength fits n_turns times into the original context (YaRN, section 3.2). */
static double yarn_pair(const rz_model_info *m, double n_turns)
{
    return m->rope_n_rot * log(m->n_ctx_orig / (n_turns * 2 * M_PI)) / (2 * log(m->rope_theta));
}

float rz_rope_freqs(const struct rz_config *c, const float *factors, float *freqs)
{
    const rz_model_info *m = &c->info;
    uint32_t n_pairs = m->rope_n_rot / 2;
    bool yarn = m->rope_scaling == RZ_ROPE_SCALING_YARN;
    double low = 0, high = 0;
    if (yarn) {
        low = fmax(floor(yarn_pair(m, c->rope_beta_fast)), 0);
        high = fmin(ceil(yarn_pair(m, c->rope_beta_slow)), m->rope_n_rot - 1);
        high = fmax(high, low + 0.001);
    }
    for (uint32_t i = 0; i < n_pairs; i++) {
        double freq = pow(m->rope_theta, -2.0 * i / m->rope_n_rot);
        if (factors)
            freq /= factors[i];
        double scaled = m->rope_scaling == RZ_ROPE_SCALING_NONE ? freq : freq / m->rope_factor;
        if (yarn) { /* fast pairs keep their frequency, slow ones are interpolated */
            double ramp = fmin(fmax((i - low) / (high - low), 0), 1);
            scaled = freq * (1 - ramp) + scaled * ramp;
        }
        freqs[i] = (float)scaled;
    }
    return yarn ? c->rope_attn_factor * (float)(1 + 0.1 * log(m->rope_factor)) : 1;
}
