/* hf_export_config.c - config.json.
 *
 * Every hyper-parameter of the source has a place here or is refused: a model whose config says
 * less than its metadata would compute something else. Source: transformers'
 * configuration_{qwen2,qwen3,llama,mistral}.py. */
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"
#include "formats/hf.h"
#include "formats/hf_export.h"

#include <stdio.h>
#include <string.h>

/* Suffixes of the architecture's keys that are written, here or in hf_export_rope.c, or that repeat
 * what tensors say. */
static const char *const handled[] = {
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.causal",
    "rope.neox",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.finetuned",
};

static bool ends_key(rz_slice key, size_t from, const char *suffix)
{
    return key.len - from == strlen(suffix) && memcmp(key.data + from, suffix, key.len - from) == 0;
}

static rz_status refuse_unknown(const struct rz_hf_export *x)
{
    for (size_t i = 0; i < rz_file_n_meta(x->source); i++) {
        rz_slice key = rz_file_meta_at(x->source, i)->key;
        size_t n = x->arch.len + 1;
        if (key.len <= n || memcmp(key.data, x->arch.data, n - 1) != 0 || key.data[n - 1] != '.')
            continue;
        bool known = false;
        for (size_t k = 0; k < RZ_ARRAY_LEN(handled); k++)
            known = known || ends_key(key, n, handled[k]);
        if (!known)
            return rz_fail(x->err, RZ_ELOAD, "%s: %.*s has no place in a config.json",
                           rz_file_path(x->source), (int)(key.len < 128 ? key.len : 128), key.data);
    }
    return RZ_OK;
}

/* Biases are a matter of the class there: Qwen2 has them for Q, K and V, the others have none. */
static rz_status check_biases(const struct rz_hf_export *x)
{
    bool wanted = x->arch.len == 5 && memcmp(x->arch.data, "qwen2", 5) == 0;
    for (size_t i = 0; i < x->plan->n_tensors; i++) {
        const char *name = x->plan->tensors[i].name;
        size_t len = strlen(name);
        bool is_bias = len > 5 && strcmp(name + len - 5, ".bias") == 0;
        if (is_bias && !wanted)
            return rz_fail(x->err, RZ_ELOAD, "%s: tensor %s: %.*s has no biases in SafeTensors",
                           rz_file_path(x->source), name, (int)x->arch.len, x->arch.data);
    }
    if (wanted && !rz_file_tensor(x->source, "blk.0.attn_q.bias"))
        return rz_fail(x->err, RZ_ELOAD,
                       "%s: qwen2 without biases of Q, K and V cannot be said in "
                       "a config.json",
                       rz_file_path(x->source));
    return RZ_OK;
}

static rz_status put_u32(struct rz_hf_export *x, json_t *config, const char *suffix, const char *to,
                         uint32_t *value)
{
    bool found;
    RZ_TRY(rz_arch_u32(x->source, suffix, value, &found, x->err));
    if (!found)
        return rz_fail(x->err, RZ_EFORMAT, "%s: %.*s.%s: key missing", rz_file_path(x->source),
                       (int)x->arch.len, x->arch.data, suffix);
    json_object_set_new(config, to, json_integer(*value));
    return RZ_OK;
}

static rz_status put_heads(struct rz_hf_export *x, json_t *config, uint32_t n_embd, bool qwen3)
{
    uint32_t n_heads = 0, n_kv = 0, n_rot = 0;
    bool found, has_dim, has_rot;
    RZ_TRY(put_u32(x, config, "attention.head_count", "num_attention_heads", &n_heads));
    if (n_heads == 0)
        return rz_fail(x->err, RZ_EFORMAT, "%s: no attention heads", rz_file_path(x->source));
    n_kv = n_heads;
    RZ_TRY(rz_arch_u32(x->source, "attention.head_count_kv", &n_kv, &found, x->err));
    json_object_set_new(config, "num_key_value_heads", json_integer(n_kv));
    x->head_dim = n_embd / n_heads;
    RZ_TRY(rz_arch_u32(x->source, "attention.key_length", &x->head_dim, &has_dim, x->err));
    /* Qwen3's default is 128, whatever the other sizes are. */
    if (has_dim || qwen3)
        json_object_set_new(config, "head_dim", json_integer(x->head_dim));
    n_rot = x->head_dim;
    RZ_TRY(rz_arch_u32(x->source, "rope.dimension_count", &n_rot, &has_rot, x->err));
    if (n_rot != x->head_dim)
        return rz_fail(x->err, RZ_ELOAD,
                       "%s: %u of a head's %u dimensions are rotated, which is not supported from "
                       "SafeTensors",
                       rz_file_path(x->source), n_rot, x->head_dim);
    return RZ_OK;
}

static rz_status put_window(struct rz_hf_export *x, json_t *config, uint32_t window, bool qwen)
{
    (void)x;
    if (qwen) {
        json_object_set_new(config, "use_sliding_window", json_boolean(window > 0));
        json_object_set_new(config, "max_window_layers", json_integer(0));
    }
    if (window)
        json_object_set_new(config, "sliding_window", json_integer(window));
    return RZ_OK;
}

static rz_status put_sizes(struct rz_hf_export *x, json_t *config)
{
    char key[RZ_ARCH_KEY_MAX];
    uint32_t n_embd = 0, n = 0;
    float eps = 0;
    RZ_TRY(put_u32(x, config, "embedding_length", "hidden_size", &n_embd));
    RZ_TRY(put_u32(x, config, "feed_forward_length", "intermediate_size", &n));
    RZ_TRY(put_u32(x, config, "block_count", "num_hidden_layers", &n));
    RZ_TRY(put_u32(x, config, "context_length", "max_position_embeddings", &x->n_ctx));
    RZ_TRY(rz_file_get_f32(x->source,
                           rz_arch_key(x->source, "attention.layer_norm_rms_epsilon", key), &eps,
                           NULL, x->err));
    json_object_set_new(config, "rms_norm_eps", rz_hf_export_f32(eps));
    return put_heads(x, config, n_embd, x->arch.len == 5 && !memcmp(x->arch.data, "qwen3", 5));
}

/* The float type that most elements have; transformers loads the model in it. */
static const char *main_dtype(const struct rz_writer_plan *plan)
{
    uint64_t count[RZ_N_DTYPES] = {0};
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct rz_out_tensor *t = &plan->tensors[i];
        if (t->n_dims > 1)
            count[t->dtype] += t->shape[0] * t->shape[1];
    }
    if (count[RZ_BF16] > count[RZ_F32] && count[RZ_BF16] >= count[RZ_F16])
        return "bfloat16";
    return count[RZ_F16] > count[RZ_F32] ? "float16" : "float32";
}

static void put_ids(const struct rz_hf_export *x, json_t *config)
{
    static const struct {
        const char *from, *to;
    } ids[] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
               {"tokenizer.ggml.eos_token_id", "eos_token_id"},
               {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(ids); i++) {
        uint32_t id;
        bool has = rz_hf_export_id(x, ids[i].from, &id);
        json_object_set_new(config, ids[i].to, has ? json_integer(id) : json_null());
    }
}

rz_status rz_hf_export_config(struct rz_hf_export *x, json_t *config)
{
    const char *model_type = NULL, *class_name = NULL;
    uint32_t window = 0;
    rz_slice name = {"", 0};
    bool found;
    RZ_TRY(rz_arch_u32(x->source, "attention.sliding_window", &window, &found, x->err));
    if (!rz_hf_class_of(x->arch, window > 0, &model_type, &class_name))
        return rz_fail(x->err, RZ_ELOAD,
                       "%s: architecture %.*s is not written as SafeTensors (supported: qwen2, "
                       "qwen3, llama)",
                       rz_file_path(x->source), (int)x->arch.len, x->arch.data);
    RZ_TRY(refuse_unknown(x));
    RZ_TRY(check_biases(x));
    json_object_set_new(config, "architectures", json_pack("[s]", class_name));
    json_object_set_new(config, "model_type", json_string(model_type));
    RZ_TRY(rz_file_get_string(x->source, "general.name", &name, &found, x->err));
    if (found && name.len)
        json_object_set_new(config, "_name_or_path", rz_hf_export_text(name));
    RZ_TRY(put_sizes(x, config));
    RZ_TRY(put_window(x, config, window, memcmp(x->arch.data, "qwen", 4) == 0));
    RZ_TRY(rz_hf_export_rope(x, config));
    json_object_set_new(config, "hidden_act", json_string("silu"));
    json_object_set_new(config, "attention_dropout", json_real(0));
    json_object_set_new(config, "tie_word_embeddings", json_boolean(x->tied));
    json_object_set_new(config, "vocab_size", json_integer(x->n_vocab));
    json_object_set_new(config, "torch_dtype", json_string(main_dtype(x->plan)));
    json_object_set_new(config, "use_cache", json_true());
    put_ids(x, config);
    return RZ_OK;
}
