/* dotapr_fields.c - the fields of an .apr file's metadata as aprender and realizar write them, to
 * GGUF's hyper-parameters.
 *
 * A field has several spellings; those that are there must agree. What is missing is taken from the
 * tensors' shapes where they tell, else from the defaults that realizar takes. What would change a
 * result and is not understood is refused by name. A model that is no language model keeps its
 * fields as keys "apr.NAME".
 * Source: aprender's metadata struct, realizar's apr/metadata.rs and gguf/config.rs, as
 * docs/formats.md tells. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr_meta.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    KEY_MAX = 128,
    MAX_SPELLINGS = 6,
    MAX_KEPT = 65536, /* bytes of a field that is only carried along */
    DEFAULT_CTX = 4096
};

enum kind {
    COUNT,
    FLOAT
};

/* Canonical spelling first. Each may also stand with "model." in front. */
static const struct parameter {
    const char *gguf; /* after the architecture's name */
    enum kind kind;
    const char *names[MAX_SPELLINGS];
} parameters[] = {
    {"embedding_length", COUNT, {"hidden_size", "hidden_dim", "d_model", "n_embd"}},
    {"block_count", COUNT, {"num_layers", "n_layers", "num_hidden_layers", "n_layer"}},
    {"attention.head_count", COUNT, {"num_heads", "n_heads", "num_attention_heads", "n_head"}},
    {"attention.head_count_kv", COUNT, {"num_kv_heads", "n_kv_heads", "num_key_value_heads"}},
    {"feed_forward_length", COUNT, {"intermediate_size", "ffn_dim", "intermediate_dim", "n_inner"}},
    {"context_length",
     COUNT,
     {"max_position_embeddings", "max_seq_len", "context_length", "n_ctx"}},
    {"attention.key_length", COUNT, {"head_dim"}},
    {"expert_count", COUNT, {"num_experts"}},
    {"expert_used_count", COUNT, {"num_experts_per_tok"}},
    {"expert_feed_forward_length", COUNT, {"moe_intermediate_size"}},
    {"attention.layer_norm_rms_epsilon", FLOAT, {"rms_norm_eps", "layer_norm_eps", "norm_eps"}},
    {"rope.freq_base", FLOAT, {"rope_theta"}},
};

/* Names of architectures, lower case. */
static const struct {
    const char *name, *gguf;
} archs[] = {
    {"qwen2", "qwen2"},
    {"qwen2.5", "qwen2"},
    {"qwen2forcausallm", "qwen2"},
    {"qwen3", "qwen3"},
    {"qwen3forcausallm", "qwen3"},
    {"llama", "llama"},
    {"llamaforcausallm", "llama"},
    {"mistral", "llama"},
    {"mistralforcausallm", "llama"},
    {"qwen2_moe", "qwen2moe"},
    {"qwen2moe", "qwen2moe"},
    {"qwen2moeforcausallm", "qwen2moe"},
    {"qwen3_moe", "qwen3moe"},
    {"qwen3moe", "qwen3moe"},
    {"qwen3moeforcausallm", "qwen3moe"},
};

/* What these say, unless null, false, 0 or an empty object, changes a result. */
static const char *const refused[] = {
    "rope_scaling",           "rope_parameters",
    "linear_attn_hparams",    "layer_types",
    "model_config",           "quantization_config",
    "attn_logit_softcapping", "final_logit_softcapping",
    "query_pre_attn_scalar",  "logit_scale",
    "embedding_multiplier",   "residual_multiplier",
    "attention_multiplier",   "logits_scaling",
    "use_sliding_window",
};

/* Made again by whoever writes the file. */
static const char *const derived[] = {
    "total_size",      "param_count",        "quantization",   "sharding",
    "tensor_shapes",   "tied_embeddings",    "chat_format",    "special_tokens",
    "hf_config",       "model.architecture", "vocab_size",     "model.vocab_size",
    "model.rope_type", RZ_APR_LIST_FIELD,    "sliding_window", "hidden_act",
};

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static int shown(rz_slice s)
{
    return (int)rz_min_size(s.len, 60);
}

/* ---- finding a field by its spellings ---- */

static bool same_number(rz_slice a, rz_slice b)
{
    double x, y;
    return rz_apr_to_f64(a, &x) && rz_apr_to_f64(b, &y) && x == y;
}

static rz_status find_spelling(struct rz_apr_meta *m, const struct parameter *p,
                               const struct rz_apr_field **found)
{
    char name[KEY_MAX];
    *found = NULL;
    for (size_t i = 0; i < 2 * MAX_SPELLINGS; i++) {
        if (!p->names[i / 2])
            break;
        snprintf(name, sizeof name, "%s%s", i % 2 ? "model." : "", p->names[i / 2]);
        const struct rz_apr_field *f = rz_apr_field(m, name);
        if (f && *found && !same_number(f->value, (*found)->value))
            return rz_apr_meta_bad(m, RZ_EFORMAT, name, "%.*s, and %.*s is %.*s", shown(f->value),
                                   f->value.data, shown((*found)->key), (*found)->key.data,
                                   shown((*found)->value), (*found)->value.data);
        if (f && !*found)
            *found = f;
    }
    return RZ_OK;
}

/* *found false if it is not there. */
static rz_status get_number(struct rz_apr_meta *m, const struct parameter *p, double *value,
                            bool *found)
{
    const struct rz_apr_field *f;
    uint64_t count;
    RZ_TRY(find_spelling(m, p, &f));
    *found = f != NULL;
    if (!f)
        return RZ_OK;
    if (p->kind == FLOAT && rz_apr_to_f64(f->value, value) && isfinite((float)*value))
        return RZ_OK;
    if (p->kind == COUNT && rz_apr_to_u64(f->value, &count) && count <= UINT32_MAX) {
        *value = (double)count;
        return RZ_OK;
    }
    return rz_apr_meta_bad(m, RZ_EFORMAT, p->names[0], "%.*s is not a %s", shown(f->value),
                           f->value.data, p->kind == COUNT ? "count" : "number");
}

/* A string field; data NULL if it is not there or no string. */
static rz_status get_text(struct rz_apr_meta *m, const char *name, rz_slice *text)
{
    const struct rz_apr_field *f = rz_apr_field(m, name);
    *text = (rz_slice){NULL, 0};
    return f && rz_apr_is_string(f->value) ? rz_apr_to_text(m, f->value, text) : RZ_OK;
}

/* ---- architecture ---- */

static const char *known_arch(rz_slice name)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(archs); i++)
        if (name.len == strlen(archs[i].name) &&
            strncasecmp(name.data, archs[i].name, name.len) == 0)
            return archs[i].gguf;
    return NULL;
}

/* The first field that names a known architecture; else what the field of that name says; NULL: no
 * language model. */
static rz_status find_arch(struct rz_apr_meta *m, const char **arch, bool *is_mistral)
{
    static const char *const names[] = {"architecture", "model.architecture", "hf_model_type",
                                        "hf_architecture", "model_type"};
    rz_slice text, named = {NULL, 0};
    *arch = NULL;
    for (size_t i = 0; i < RZ_ARRAY_LEN(names) && !*arch; i++) {
        RZ_TRY(get_text(m, names[i], &text));
        if (!text.data)
            continue;
        *arch = known_arch(text);
        *is_mistral = *arch && strncasecmp(text.data, "mistral", rz_min_size(7, text.len)) == 0;
        if (i < 2 && !named.data)
            named = text;
    }
    if (*arch || !named.data || named.len == 0 || named.len > 64)
        return RZ_OK;
    *arch = rz_arena_strdup(&m->r->file->arena, named.data, named.len);
    return *arch ? RZ_OK : rz_fail_nomem(m->r->err, named.len, "metadata");
}

static bool says_nothing(rz_slice value)
{
    static const char *const nothing[] = {"null", "false", "0", "0.0", "{}", "[]", "\"\""};
    for (size_t i = 0; i < RZ_ARRAY_LEN(nothing); i++)
        if (slice_is(value, nothing[i]))
            return true;
    return false;
}

static rz_status check_refused(struct rz_apr_meta *m)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(refused); i++) {
        const struct rz_apr_field *f = rz_apr_field(m, refused[i]);
        if (f && !says_nothing(f->value))
            return rz_apr_meta_bad(m, RZ_ELOAD, refused[i], "%.*s is not supported",
                                   shown(f->value), f->value.data);
    }
    const struct rz_apr_field *act = rz_apr_field(m, "hidden_act");
    if (act && !slice_is(act->value, "\"silu\""))
        return rz_apr_meta_bad(m, RZ_ELOAD, "hidden_act", "%.*s is not supported, only silu",
                               shown(act->value), act->value.data);
    const struct rz_apr_field *format = rz_apr_field(m, "format");
    if (format && slice_is(format->value, "\"entrenar-checkpoint\""))
        return rz_apr_meta_bad(m, RZ_ELOAD, "format",
                               "a training checkpoint, whose weights are transposed, is not "
                               "supported");
    return RZ_OK;
}

/* ---- what is missing ---- */

static const char *arch_key(char key[KEY_MAX], const char *arch, const char *suffix)
{
    snprintf(key, KEY_MAX, "%s.%s", arch, suffix);
    return key;
}

static double number_of(const struct rz_apr_meta *m, const char *arch, const char *suffix)
{
    char key[KEY_MAX];
    const struct rz_meta_entry *e =
        (const struct rz_meta_entry *)rz_file_meta(m->r->file, arch_key(key, arch, suffix));
    uint32_t n = 0;
    if (e && e->pub.type == RZ_META_U32)
        memcpy(&n, e->data, sizeof n);
    return n;
}

static uint64_t rows_of(const struct rz_apr_meta *m, const char *name)
{
    const struct rz_apr_entry *e = rz_apr_find(m->r, name);
    return e && e->n_dims == 2 ? e->dims[0] : 0;
}

/* Heads: the shapes of Q and K tell both numbers, whatever the fields leave out. */
static rz_status complete_heads(struct rz_apr_meta *m, const char *arch)
{
    char key[KEY_MAX];
    uint64_t n_embd = (uint64_t)number_of(m, arch, "embedding_length");
    uint64_t n_heads = (uint64_t)number_of(m, arch, "attention.head_count");
    uint64_t head_dim = (uint64_t)number_of(m, arch, "attention.key_length");
    uint64_t q = rows_of(m, "blk.0.attn_q.weight"), k = rows_of(m, "blk.0.attn_k.weight");
    if (n_heads == 0 || n_embd == 0)
        return RZ_OK;
    if (head_dim == 0 && q && q % n_heads == 0 && q / n_heads != n_embd / n_heads) {
        head_dim = q / n_heads;
        RZ_TRY(rz_apr_put_u32(m, arch_key(key, arch, "attention.key_length"), head_dim));
    }
    if (head_dim)
        RZ_TRY(rz_apr_put_u32(m, arch_key(key, arch, "attention.value_length"), head_dim));
    else
        head_dim = n_embd / n_heads;
    if (!rz_apr_has_key(m, arch_key(key, arch, "attention.head_count_kv"))) {
        uint64_t n_kv = head_dim && k % head_dim == 0 ? k / head_dim : 0;
        RZ_TRY(rz_apr_put_u32(m, key, n_kv ? n_kv : n_heads));
    }
    return RZ_OK;
}

static bool is_qwen(const char *arch)
{
    return strncmp(arch, "qwen", 4) == 0;
}

static rz_status complete_floats(struct rz_apr_meta *m, const char *arch)
{
    char key[KEY_MAX];
    if (!rz_apr_has_key(m, arch_key(key, arch, "attention.layer_norm_rms_epsilon")))
        RZ_TRY(rz_apr_put_f32(m, key, is_qwen(arch) ? 1e-6 : 1e-5));
    if (!rz_apr_has_key(m, arch_key(key, arch, "rope.freq_base")))
        RZ_TRY(rz_apr_put_f32(m, key, is_qwen(arch) ? 1e6 : 1e4));
    if (number_of(m, arch, "context_length") == 0)
        RZ_TRY(rz_apr_put_u32(m, arch_key(key, arch, "context_length"), DEFAULT_CTX));
    return RZ_OK;
}

/* 0: pairs are neighbours, 2: the halves of a head. Without it: a file that came from SafeTensors
 * has Hugging Face's order, whatever its architecture. */
static rz_status read_rope_type(struct rz_apr_meta *m, const char *arch)
{
    char key[KEY_MAX];
    rz_slice origin;
    double value = 0;
    static const struct parameter rope_type = {NULL, COUNT, {"rope_type"}};
    bool found;
    RZ_TRY(get_number(m, &rope_type, &value, &found));
    RZ_TRY(get_text(m, "original_format", &origin));
    if (!found && (is_qwen(arch) || (origin.data && slice_is(origin, "safetensors"))))
        value = 2;
    if ((value != 0 && value != 2) || (value == 0 && is_qwen(arch)))
        return rz_apr_meta_bad(m, RZ_ELOAD, "rope_type", "%g with architecture %s is not supported",
                               value, arch);
    return value == 2 && !is_qwen(arch) ? rz_apr_put_bool(m, arch_key(key, arch, "rope.neox"), true)
                                        : RZ_OK;
}

static rz_status read_window(struct rz_apr_meta *m, const char *arch, bool is_mistral)
{
    char key[KEY_MAX];
    uint64_t window;
    const struct rz_apr_field *f = rz_apr_field(m, "sliding_window");
    if (!f || !is_mistral || says_nothing(f->value))
        return RZ_OK;
    if (!rz_apr_to_u64(f->value, &window))
        return rz_apr_meta_bad(m, RZ_EFORMAT, "sliding_window", "not a count");
    return rz_apr_put_u32(m, arch_key(key, arch, "attention.sliding_window"), window);
}

/* ---- general ---- */

/* Free text: the field, its key. */
static rz_status put_general(struct rz_apr_meta *m)
{
    static const char *const names[][2] = {
        {"name", "general.name"},       {"description", "general.description"},
        {"author", "general.author"},   {"license", "general.license"},
        {"version", "general.version"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(names); i++) {
        rz_slice text;
        RZ_TRY(get_text(m, names[i][0], &text));
        if (text.data && text.len > 0 && !rz_apr_has_key(m, names[i][1]))
            RZ_TRY(rz_apr_put_text(m, names[i][1], text));
    }
    return RZ_OK;
}

/* A field without a meaning of its own: carried along as apr.NAME, text or number. */
static rz_status keep_field(struct rz_apr_meta *m, const struct rz_apr_field *f)
{
    char key[KEY_MAX];
    rz_slice text = f->value;
    double number;
    bool truth;
    if (f->key.len > 100 || f->value.len > MAX_KEPT || memchr(f->key.data, '\\', f->key.len))
        return RZ_OK;
    for (size_t i = 0; i < f->key.len; i++)
        if (f->key.data[i] == 0x7F)
            return RZ_OK;
    snprintf(key, sizeof key, "apr.%.*s", (int)f->key.len, f->key.data);
    if (rz_apr_has_key(m, key))
        return RZ_OK;
    if (rz_apr_to_bool(f->value, &truth))
        return rz_apr_put_bool(m, key, truth);
    if (rz_apr_to_f64(f->value, &number)) {
        uint64_t count;
        if (rz_apr_to_u64(f->value, &count) && count <= UINT32_MAX)
            return rz_apr_put_u32(m, key, count);
        const struct rz_apr_put put = {.type = RZ_META_F64,
                                       .elem_type = RZ_META_F64,
                                       .count = 1,
                                       .bytes = &number,
                                       .n_bytes = sizeof number};
        return rz_apr_put(m, (rz_slice){.data = key, .len = strlen(key)}, &put);
    }
    if (rz_apr_is_string(f->value))
        RZ_TRY(rz_apr_to_text(m, f->value, &text));
    return rz_apr_put_text(m, key, text);
}

static rz_status keep_others(struct rz_apr_meta *m, bool is_model)
{
    for (size_t i = 0; i < m->n_fields; i++) {
        const struct rz_apr_field *f = &m->fields[i];
        bool skip = slice_is(f->value, "null") ||
                    (f->key.len > 10 && memcmp(f->key.data, "tokenizer.", 10) == 0) ||
                    slice_is(f->key, "chat_template");
        for (size_t d = 0; d < RZ_ARRAY_LEN(derived); d++)
            skip = skip || slice_is(f->key, derived[d]);
        /* Of what is no language model, model_type says what it is. */
        bool type = slice_is(f->key, "model_type");
        if (!skip && (type ? !is_model : !f->used))
            RZ_TRY(keep_field(m, f));
    }
    return RZ_OK;
}

/* ---- from a whole config.json ---- */

/* Of the tensors that config.json means, only the rotary factors stand in no file. */
static rz_status add_rope_factors(struct rz_apr_meta *m)
{
    uint32_t n = m->h.head_dim / 2;
    rz_tensor t = {.name = "rope_freqs.weight",
                   .dtype = RZ_F32,
                   .n_dims = 1,
                   .shape = {n, 1, 1, 1},
                   .data = m->h.rope_factors,
                   .n_bytes = n * sizeof *m->h.rope_factors};
    if (!m->h.rope_factors || rz_apr_find(m->r, t.name))
        return RZ_OK;
    return rz_file_add_tensor(m->r->file, &t) == RZ_ADDED
               ? RZ_OK
               : rz_fail_nomem(m->r->err, sizeof t, "tensors");
}

static rz_status read_hf_config(struct rz_apr_meta *m, const struct rz_apr_field *f)
{
    rz_slice text = f->value;
    if (rz_apr_is_string(f->value))
        RZ_TRY(rz_apr_to_text(m, f->value, &text));
    m->h.docs[RZ_HF_CONFIG].text = text;
    RZ_TRY(rz_hf_parse(&m->h, RZ_HF_CONFIG, text, &m->h.config));
    m->r->file->arena.max_bytes += 4096 + 4 * text.len; /* llama3's rotary factors */
    RZ_TRY(rz_hf_read_config(&m->h));
    RZ_TRY(add_rope_factors(m));
    return rz_apr_compare_fields(m);
}

/* ---- the two ways ---- */

rz_status rz_apr_read_fields(struct rz_apr_meta *m)
{
    const char *arch = NULL;
    char key[KEY_MAX];
    bool is_mistral = false, found;
    double value = 0;
    const struct rz_apr_field *config = rz_apr_field(m, "hf_config");
    RZ_TRY(find_arch(m, &arch, &is_mistral));
    if (arch && config && !says_nothing(config->value)) {
        RZ_TRY(read_hf_config(m, config));
        RZ_TRY(put_general(m));
        return keep_others(m, true);
    }
    if (arch) {
        RZ_TRY(check_refused(m));
        RZ_TRY(rz_apr_put_text(m, "general.architecture",
                               (rz_slice){.data = arch, .len = strlen(arch)}));
    }
    RZ_TRY(put_general(m));
    for (size_t i = 0; arch && i < RZ_ARRAY_LEN(parameters); i++) {
        const struct parameter *p = &parameters[i];
        RZ_TRY(get_number(m, p, &value, &found));
        /* 0 where aprender means that it does not know. */
        if (!found || (p->kind == COUNT && value == 0))
            continue;
        arch_key(key, arch, p->gguf);
        RZ_TRY(p->kind == COUNT ? rz_apr_put_u32(m, key, (uint64_t)value)
                                : rz_apr_put_f32(m, key, value));
    }
    if (arch) {
        RZ_TRY(complete_heads(m, arch));
        RZ_TRY(complete_floats(m, arch));
        RZ_TRY(read_rope_type(m, arch));
        RZ_TRY(read_window(m, arch, is_mistral));
    }
    return keep_others(m, arch != NULL);
}

/* A number of an entry that is not sealed yet; false if it is none. */
static bool entry_number(const struct rz_apr_meta *m, const char *key, double *value)
{
    const struct rz_meta_entry *e = (const struct rz_meta_entry *)rz_file_meta(m->r->file, key);
    if (!e)
        return false;
    struct rz_meta pub = e->pub;
    pub.impl = e;
    if (pub.type == RZ_META_STRING || pub.type == RZ_META_ARRAY || pub.type == RZ_META_BOOL)
        return false;
    *value = rz_meta_float(&pub, 0);
    return true;
}

rz_status rz_apr_compare_fields(struct rz_apr_meta *m)
{
    const struct rz_meta_entry *e =
        (const struct rz_meta_entry *)rz_file_meta(m->r->file, "general.architecture");
    char key[KEY_MAX], arch[65] = "";
    if (!e || e->pub.type != RZ_META_STRING)
        return RZ_OK;
    struct rz_meta pub = e->pub;
    pub.impl = e;
    rz_slice name = rz_meta_string(&pub, 0);
    if (name.len >= sizeof arch)
        return RZ_OK;
    memcpy(arch, name.data, name.len);
    for (size_t i = 0; i < RZ_ARRAY_LEN(parameters); i++) {
        double field = 0, entry = 0;
        bool found;
        RZ_TRY(get_number(m, &parameters[i], &field, &found));
        arch_key(key, arch, parameters[i].gguf);
        if (!found || (parameters[i].kind == COUNT && field == 0) || !entry_number(m, key, &entry))
            continue;
        if ((float)field != (float)entry)
            return rz_apr_meta_bad(m, RZ_EFORMAT, parameters[i].names[0], "%g, and %s is %g", field,
                                   key, entry);
    }
    return RZ_OK;
}
