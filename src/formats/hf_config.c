/* hf_config.c - config.json: which architecture, of which sizes.
 *
 * transformers fills what a config.json leaves out with the defaults of the class that model_type
 * names; the few that published files rely on stand here. A field that would change the result and
 * that GGUF's metadata cannot say is refused by name.
 * Source: transformers' configuration_{qwen2,qwen3,llama,mistral}.py. */
#include "base/fail.h"
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_MAX = 96,
    VALUE_SHOWN = 80,
    MISTRAL_DEFAULT_WINDOW = 4096,
    MAX_HEAD_DIM = 4096
};

static const struct model_type {
    const char *model_type, *class_name;
    const char *arch;      /* GGUF's; NULL: known, and not supported from SafeTensors */
    bool neox;             /* GGUF's files of arch have Q and K permuted; here they are not */
    bool may_have_windows; /* use_sliding_window and layer_types count */
} model_types[] = {
    {"qwen2", "Qwen2ForCausalLM", "qwen2", false, true},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", false, true},
    {"llama", "LlamaForCausalLM", "llama", true, false},
    {"mistral", "MistralForCausalLM", "llama", true, false},
    {"qwen2_moe", "Qwen2MoeForCausalLM", NULL, false, false},
    {"qwen3_moe", "Qwen3MoeForCausalLM", NULL, false, false},
    {"mixtral", "MixtralForCausalLM", NULL, false, false},
};

#define SUPPORTED "supported: qwen2, qwen3, llama, mistral"

/* Fields of config.json that must have this value, or none, for the result to be right. */
static const struct {
    const char *key;
    enum {
        MUST_BE_FALSE,
        MUST_BE_ONE,
        MUST_BE_ABSENT
    } rule;
} refused[] = {
    {"attention_bias", MUST_BE_FALSE},
    {"mlp_bias", MUST_BE_FALSE},
    {"partial_rotary_factor", MUST_BE_ONE},
    {"quantization_config", MUST_BE_ABSENT},
    {"compression_config", MUST_BE_ABSENT},
    {"auto_map", MUST_BE_ABSENT},
    {"final_logit_softcapping", MUST_BE_ABSENT},
    {"attn_logit_softcapping", MUST_BE_ABSENT},
    {"logits_scaling", MUST_BE_ONE},
    {"residual_multiplier", MUST_BE_ONE},
    {"embedding_multiplier", MUST_BE_ONE},
    {"no_rope_layers", MUST_BE_ABSENT},
    {"clip_qkv", MUST_BE_ABSENT},
};

static void show(const json_t *value, char out[VALUE_SHOWN])
{
    size_t n = json_dumpb(value, out, VALUE_SHOWN - 1, JSON_ENCODE_ANY | JSON_COMPACT);
    out[n < VALUE_SHOWN ? n : VALUE_SHOWN - 1] = '\0';
    if (n >= VALUE_SHOWN)
        memset(out + VALUE_SHOWN - 4, '.', 3);
}

static rz_status check_refused(struct rz_hf *h)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(refused); i++) {
        const json_t *value = rz_hf_field(h->config, refused[i].key);
        bool fine = !value || (refused[i].rule == MUST_BE_FALSE && json_is_false(value)) ||
                    (refused[i].rule == MUST_BE_ONE && json_is_number(value) &&
                     json_number_value(value) == 1);
        if (fine)
            continue;
        char text[VALUE_SHOWN];
        show(value, text);
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG, "%s: %s is not supported", refused[i].key,
                         text);
    }
    const json_t *act = rz_hf_field(h->config, "hidden_act");
    if (act && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0)) {
        char text[VALUE_SHOWN];
        show(act, text);
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG, "hidden_act: %s is not supported, only silu",
                         text);
    }
    return RZ_OK;
}

/* architectures, where it is given, must be the language model of that type: a classifier or an
 * encoder has the same config and other tensors. */
static rz_status check_class(struct rz_hf *h, const struct model_type *type)
{
    const json_t *classes = rz_hf_field(h->config, "architectures");
    if (!classes)
        return RZ_OK;
    const char *name = json_string_value(json_array_get(classes, 0));
    if (!name || json_array_size(classes) != 1)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "architectures is not a list of one name");
    if (strcmp(name, type->class_name) != 0)
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                         "architecture %.*s of model_type %s is not supported, only %s",
                         VALUE_SHOWN, name, type->model_type, type->class_name);
    return RZ_OK;
}

static rz_status find_type(struct rz_hf *h, const struct model_type **type)
{
    const json_t *name = rz_hf_field(h->config, "model_type");
    const char *text = json_string_value(name);
    if (!text)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "model_type is missing, or no string");
    for (size_t i = 0; i < RZ_ARRAY_LEN(model_types); i++) {
        if (strcmp(text, model_types[i].model_type) != 0)
            continue;
        *type = &model_types[i];
        if (!model_types[i].arch)
            return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                             "model_type %s, a mixture of experts, is not supported from "
                             "SafeTensors, where each expert is a tensor of its own (convert it "
                             "to GGUF)",
                             text);
        return check_class(h, *type);
    }
    return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                     "model_type \"%.*s\" is not supported (" SUPPORTED ")", VALUE_SHOWN, text);
}

bool rz_hf_class_of(rz_slice arch, bool window, const char **model_type, const char **class_name)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(model_types); i++) {
        const struct model_type *m = &model_types[i];
        if (!m->arch || strlen(m->arch) != arch.len || memcmp(m->arch, arch.data, arch.len) != 0)
            continue;
        /* Llama's own class knows no window, Mistral's does. */
        if (!strcmp(m->model_type, "llama") && window)
            continue;
        *model_type = m->model_type;
        *class_name = m->class_name;
        return true;
    }
    return false;
}

static const char *arch_key(const struct rz_hf *h, char key[KEY_MAX], const char *suffix)
{
    snprintf(key, KEY_MAX, "%s.%s", h->arch, suffix);
    return key;
}

/* One number of config.json to {arch}.suffix. */
static rz_status copy_u32(struct rz_hf *h, const char *from, const char *suffix, uint32_t *value,
                          bool optional)
{
    char key[KEY_MAX];
    bool found = true;
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_CONFIG, h->config, from, value, optional ? &found : NULL));
    return found ? rz_hf_put_u32(h, arch_key(h, key, suffix), *value) : RZ_OK;
}

static rz_status read_sizes(struct rz_hf *h)
{
    char key[KEY_MAX];
    uint32_t n_embd = 0, n_heads = 0, other = 0;
    bool has_head_dim;
    double eps = 0;
    RZ_TRY(copy_u32(h, "max_position_embeddings", "context_length", &h->n_ctx, false));
    RZ_TRY(copy_u32(h, "hidden_size", "embedding_length", &n_embd, false));
    RZ_TRY(copy_u32(h, "num_hidden_layers", "block_count", &other, false));
    RZ_TRY(copy_u32(h, "intermediate_size", "feed_forward_length", &other, false));
    RZ_TRY(copy_u32(h, "num_attention_heads", "attention.head_count", &n_heads, false));
    RZ_TRY(copy_u32(h, "num_key_value_heads", "attention.head_count_kv", &other, true));
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_CONFIG, h->config, "vocab_size", &h->n_vocab, NULL));
    RZ_TRY(rz_hf_get_f64(h, RZ_HF_CONFIG, h->config, "rms_norm_eps", &eps, NULL));
    RZ_TRY(rz_hf_put_f32(h, arch_key(h, key, "attention.layer_norm_rms_epsilon"), eps));
    if (n_heads == 0)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "num_attention_heads is 0");
    h->head_dim = n_embd / n_heads;
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_CONFIG, h->config, "head_dim", &h->head_dim, &has_head_dim));
    if (h->head_dim == 0 || h->head_dim % 2 || h->head_dim > MAX_HEAD_DIM)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG,
                         "a head dimension of %u, must be even and at most %d", h->head_dim,
                         MAX_HEAD_DIM);
    if (has_head_dim) {
        RZ_TRY(rz_hf_put_u32(h, arch_key(h, key, "attention.key_length"), h->head_dim));
        RZ_TRY(rz_hf_put_u32(h, arch_key(h, key, "attention.value_length"), h->head_dim));
    }
    return RZ_OK;
}

/* How many of the layers attend to a window: *n of *n_layers. */
static rz_status count_windows(struct rz_hf *h, bool windows, uint32_t *n, uint32_t *n_layers)
{
    uint32_t first = 28; /* the default of Qwen2 and Qwen3 */
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_CONFIG, h->config, "num_hidden_layers", n_layers, NULL));
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_CONFIG, h->config, "max_window_layers", &first, &(bool){false}));
    *n = windows && first < *n_layers ? *n_layers - first : 0;
    const json_t *types = rz_hf_field(h->config, "layer_types");
    if (!types)
        return RZ_OK;
    if (json_array_size(types) != *n_layers)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "layer_types is not a list of %u entries",
                         *n_layers);
    *n = 0;
    for (uint32_t i = 0; i < *n_layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (type && !strcmp(type, "sliding_attention"))
            ++*n;
        else if (!type || strcmp(type, "full_attention") != 0)
            return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG, "layer_types[%u] is not supported", i);
    }
    return RZ_OK;
}

/* Qwen2 writes sliding_window even where use_sliding_window is false and it has no meaning. */
static rz_status read_window(struct rz_hf *h, const struct model_type *type)
{
    char key[KEY_MAX];
    uint32_t window = MISTRAL_DEFAULT_WINDOW, n = 0, n_layers = 0;
    bool found, use = false;
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_CONFIG, h->config, "sliding_window", &window, &found));
    bool is_null = json_is_null(json_object_get(h->config, "sliding_window"));
    if (!strcmp(type->model_type, "mistral")) {
        if (is_null)
            return RZ_OK;
        return rz_hf_put_u32(h, arch_key(h, key, "attention.sliding_window"), window);
    }
    if (!type->may_have_windows)
        return RZ_OK;
    RZ_TRY(rz_hf_get_bool(h, RZ_HF_CONFIG, h->config, "use_sliding_window", &use, &found));
    RZ_TRY(count_windows(h, use && !is_null, &n, &n_layers));
    if (n == 0)
        return RZ_OK;
    if (n < n_layers || !use || is_null)
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_CONFIG,
                         "sliding windows in %u of %u layers are not supported", n, n_layers);
    return rz_hf_put_u32(h, arch_key(h, key, "attention.sliding_window"), window);
}

static rz_status put_name(struct rz_hf *h)
{
    const char *path = json_string_value(rz_hf_field(h->config, "_name_or_path"));
    /* Often the folder in which the model was trained. */
    bool is_name = path && *path && *path != '/' && *path != '.';
    const char *name = is_name ? path : h->name;
    return *name ? rz_hf_put_string(h, "general.name", name, strlen(name)) : RZ_OK;
}

rz_status rz_hf_read_config(struct rz_hf *h)
{
    const struct model_type *type = NULL;
    char key[KEY_MAX];
    if (!json_is_object(h->config))
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_CONFIG, "not a JSON object");
    RZ_TRY(find_type(h, &type));
    h->arch = type->arch;
    RZ_TRY(rz_hf_put_string(h, "general.architecture", h->arch, strlen(h->arch)));
    RZ_TRY(put_name(h));
    RZ_TRY(check_refused(h));
    RZ_TRY(read_sizes(h));
    RZ_TRY(read_window(h, type));
    RZ_TRY(rz_hf_get_bool(h, RZ_HF_CONFIG, h->config, "tie_word_embeddings", &h->tied,
                          &(bool){false}));
    if (type->neox)
        RZ_TRY(rz_hf_put_bool(h, arch_key(h, key, "rope.neox"), true));
    return rz_hf_read_rope(h);
}
