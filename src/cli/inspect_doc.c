/* inspect_doc.c - all that `apr inspect` knows about a file. The header, tensors, metadata and
 * tokenizer come from the file alone, so they are known for any well-formed file; hyper-parameters
 * are the model's reading of them if this build can run it, and the bare metadata otherwise. */
#include "cli/inspect_doc.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/tensor_list.h"

#include <string.h>

enum {
    MAX_ELEMENTS = 8, /* of an array that are shown */
    DEFAULT_CTX = 4096
};

/* ---- values ---- */

static json_t *text(const char *s)
{
    return cli_json_text(s, strlen(s));
}

static json_t *slice(rz_slice s)
{
    return cli_json_text(s.data, s.len);
}

/* A binary32 in as few digits as tell it apart: 1e-6, not 9.99999997e-7. */
static json_t *real32(float v)
{
    char digits[32] = "";
    for (int n = 6; n <= 9; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, (double)v);
        if (strtof(digits, NULL) == v)
            break;
    }
    return cli_json_real(strtod(digits, NULL));
}

static json_t *element(const rz_meta *m, uint64_t i)
{
    switch (m->elem_type) {
    case RZ_META_STRING:
        return slice(rz_meta_string(m, i));
    case RZ_META_F32:
        return real32((float)rz_meta_float(m, i));
    case RZ_META_F64:
        return cli_json_real(rz_meta_float(m, i));
    case RZ_META_BOOL:
        return json_boolean(rz_meta_int(m, i));
    case RZ_META_ARRAY:
        return text("(an array)");
    default:
        return json_integer(rz_meta_int(m, i));
    }
}

static json_t *meta_json(const rz_meta *m)
{
    json_t *o = json_pack("{so ss}", "key", slice(m->key), "type", rz_meta_type_name(m->type));
    if (m->type != RZ_META_ARRAY) {
        json_object_set_new(o, "value", element(m, 0));
        return o;
    }
    json_object_set_new(o, "element_type", json_string(rz_meta_type_name(m->elem_type)));
    json_object_set_new(o, "count", json_integer((json_int_t)m->count));
    json_t *first = json_array();
    for (uint64_t i = 0; i < m->count && i < MAX_ELEMENTS; i++)
        json_array_append_new(first, element(m, i));
    json_object_set_new(o, m->count > MAX_ELEMENTS ? "first" : "value", first);
    return o;
}

/* What a container says of itself beside the model: the entries "apr.NAME" as NAME, or null. */
static json_t *container_json(const rz_file *file)
{
    json_t *o = NULL;
    for (size_t i = 0; i < rz_file_n_meta(file); i++) {
        const rz_meta *m = rz_file_meta_at(file, i);
        if (m->key.len <= 4 || memcmp(m->key.data, "apr.", 4) != 0 || m->type == RZ_META_ARRAY)
            continue;
        if (!o)
            o = json_object();
        json_object_setn_new(o, m->key.data + 4, m->key.len - 4, element(m, 0));
    }
    return o ? o : json_null();
}

/* ---- hyper-parameters ---- */

enum kind {
    U32,
    F32,
    BOOL
};

/* One hyper-parameter: its name here, its field of rz_model_info, its metadata key after the
 * architecture's name (NULL: it follows from other things than one key). */
static const struct parameter {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *key;
} parameters[] = {
#define P(name, kind, field, key)                                                                  \
    {                                                                                              \
        name, kind, offsetof(rz_model_info, field), key                                            \
    }
    P("num_layers", U32, n_layers, "block_count"),
    P("hidden_size", U32, n_embd, "embedding_length"),
    P("intermediate_size", U32, n_ff, "feed_forward_length"),
    P("num_heads", U32, n_heads, "attention.head_count"),
    P("num_kv_heads", U32, n_kv_heads, "attention.head_count_kv"),
    P("head_dim", U32, head_dim, "attention.key_length"),
    P("vocab_size", U32, n_vocab, "vocab_size"),
    P("context_length", U32, n_ctx_train, "context_length"),
    P("rms_eps", F32, rms_eps, "attention.layer_norm_rms_epsilon"),
    P("rope_theta", F32, rope_theta, "rope.freq_base"),
    P("rope_dimensions", U32, rope_n_rot, "rope.dimension_count"),
    P("rope_scaling_factor", F32, rope_factor, "rope.scaling.factor"),
    P("rope_original_context", U32, n_ctx_orig, "rope.scaling.original_context_length"),
    P("sliding_window", U32, sliding_window, "attention.sliding_window"),
    P("qkv_bias", BOOL, qkv_bias, NULL),
    P("qk_norm", BOOL, qk_norm, NULL),
    P("tied_head", BOOL, tied_head, NULL),
    P("num_experts", U32, n_experts, "expert_count"),
    P("num_experts_used", U32, n_experts_used, "expert_used_count"),
    P("expert_intermediate_size", U32, n_ff_expert, "expert_feed_forward_length"),
    P("shared_expert_intermediate_size", U32, n_ff_shared, "expert_shared_feed_forward_length"),
#undef P
};

static json_t *from_info(const struct parameter *p, const rz_model_info *info)
{
    const char *field = (const char *)info + p->offset;
    uint32_t u;
    float f;
    switch (p->kind) {
    case U32:
        memcpy(&u, field, sizeof u);
        return json_integer(u);
    case F32:
        memcpy(&f, field, sizeof f);
        return real32(f);
    case BOOL:
        return json_boolean(*(const bool *)field);
    }
    return NULL;
}

static json_t *from_metadata(const struct parameter *p, const rz_file *file, const char *arch)
{
    if (!p->key)
        return NULL;
    char *key;
    if (asprintf(&key, "%s.%s", arch, p->key) < 0)
        return NULL;
    const rz_meta *m = rz_file_meta(file, key);
    free(key);
    return m && m->type != RZ_META_ARRAY ? element(m, 0) : NULL;
}

static const char *const rope_types[] = {[RZ_ROPE_NEOX] = "neox", [RZ_ROPE_ADJACENT] = "adjacent"};
static const char *const rope_scalings[] = {[RZ_ROPE_SCALING_NONE] = "none",
                                            [RZ_ROPE_SCALING_LINEAR] = "linear",
                                            [RZ_ROPE_SCALING_YARN] = "yarn",
                                            [RZ_ROPE_SCALING_FACTORS] = "factors"};

static json_t *parameters_json(const struct inspect *in, const char *arch)
{
    json_t *o = json_object();
    for (size_t i = 0; i < RZ_ARRAY_LEN(parameters); i++) {
        const struct parameter *p = &parameters[i];
        json_t *value = in->model ? from_info(p, rz_model_get_info(in->model))
                                  : from_metadata(p, in->file, arch);
        json_object_set_new(o, p->name, value ? value : json_null());
    }
    json_t *rope = NULL, *scaling = NULL;
    if (in->model) {
        const rz_model_info *info = rz_model_get_info(in->model);
        rope = json_string(rope_types[info->rope_type]);
        scaling = json_string(rope_scalings[info->rope_scaling]);
    }
    json_object_set_new(o, "rope_type", rope ? rope : json_null());
    json_object_set_new(o, "rope_scaling", scaling ? scaling : json_null());
    return o;
}

/* ---- tensors ---- */

struct totals {
    uint64_t tensors, bytes, elements;
};

static uint64_t n_elements(const rz_tensor *t)
{
    uint64_t n = 1; /* the reader has checked that this fits */
    for (uint32_t d = 0; d < t->n_dims; d++)
        n *= t->shape[d];
    return n;
}

static json_t *tensors_json(const rz_file *file)
{
    json_t *array = json_array();
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape[d]));
        json_array_append_new(array, json_pack("{so ss so sI sI}", "name", text(t->name), "dtype",
                                               rz_dtype_name(t->dtype), "shape", shape, "bytes",
                                               (json_int_t)t->n_bytes, "offset",
                                               (json_int_t)t->file_offset));
    }
    return array;
}

static json_t *quantization_json(const rz_file *file, struct totals *all)
{
    struct totals by_type[RZ_N_DTYPES] = {0};
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        struct totals *parts[] = {&by_type[t->dtype], all};
        for (size_t k = 0; k < RZ_ARRAY_LEN(parts); k++) {
            parts[k]->tensors++;
            parts[k]->bytes += t->n_bytes;
            parts[k]->elements += n_elements(t);
        }
    }
    json_t *array = json_array();
    for (int type = 0; type < RZ_N_DTYPES; type++) {
        const struct totals *t = &by_type[type];
        if (t->tensors)
            json_array_append_new(
                array,
                json_pack("{ss sI sI sI sf}", "dtype", rz_dtype_name((rz_dtype)type), "tensors",
                          (json_int_t)t->tensors, "elements", (json_int_t)t->elements, "bytes",
                          (json_int_t)t->bytes, "share", (double)t->bytes / (double)all->bytes));
    }
    return array;
}

/* ---- tokenizer and template ---- */

static json_t *string_or_null(const rz_file *file, const char *key)
{
    const rz_meta *m = rz_file_meta(file, key);
    return m && m->type == RZ_META_STRING ? slice(rz_meta_string(m, 0)) : json_null();
}

/* {"id", "text"} of the token that a metadata key names, or null. */
static json_t *token_json(const rz_file *file, const rz_meta *tokens, const char *key)
{
    uint32_t id = 0;
    bool found = false;
    if (rz_file_get_u32(file, key, &id, &found, NULL) || !found)
        return json_null();
    json_t *written = tokens && id < tokens->count ? slice(rz_meta_string(tokens, id)) : NULL;
    return json_pack("{sI so}", "id", (json_int_t)id, "text", written ? written : json_null());
}

static json_t *tokenizer_json(const rz_file *file)
{
    const rz_meta *tokens = rz_file_meta(file, "tokenizer.ggml.tokens");
    if (tokens && (tokens->type != RZ_META_ARRAY || tokens->elem_type != RZ_META_STRING))
        tokens = NULL;
    if (!tokens && !rz_file_meta(file, "tokenizer.ggml.model"))
        return json_null();
    const rz_meta *merges = rz_file_meta(file, "tokenizer.ggml.merges");
    bool add_bos = false;
    if (rz_file_get_bool(file, "tokenizer.ggml.add_bos_token", &add_bos, &(bool){0}, NULL))
        add_bos = false;
    return json_pack("{so so sI sI so so sb}", "model",
                     string_or_null(file, "tokenizer.ggml.model"), "pre",
                     string_or_null(file, "tokenizer.ggml.pre"), "vocab_size",
                     (json_int_t)(tokens ? tokens->count : 0), "merges",
                     (json_int_t)(merges ? merges->count : 0), "bos",
                     token_json(file, tokens, "tokenizer.ggml.bos_token_id"), "eos",
                     token_json(file, tokens, "tokenizer.ggml.eos_token_id"), "add_bos", add_bos);
}

/* ---- memory ---- */

static json_t *memory_json(const struct inspect *in)
{
    if (!in->model)
        return json_null();
    const rz_model_info *info = rz_model_get_info(in->model);
    rz_engine_options options = rz_engine_options_default();
    options.n_ctx = in->n_ctx                         ? in->n_ctx
                    : info->n_ctx_train < DEFAULT_CTX ? info->n_ctx_train
                                                      : DEFAULT_CTX;
    if (in->kv)
        options.kv_type = rz_dtype_by_name(in->kv);
    rz_engine *engine = NULL;
    rz_error err;
    if (rz_engine_new(&engine, in->model, &options, &err))
        return json_pack("{sI so}", "ctx", (json_int_t)options.n_ctx, "error", text(err.text));
    uint64_t kv = rz_engine_kv_bytes_reserved(engine), scratch = rz_engine_scratch_bytes(engine);
    const char *kv_type = rz_dtype_name(rz_engine_kv_type(engine));
    uint64_t total = info->weight_bytes + kv + scratch;
    rz_engine_free(&engine);
    return json_pack("{sI sI sI ss sI sI}", "ctx", (json_int_t)options.n_ctx, "weights_bytes",
                     (json_int_t)info->weight_bytes, "kv_bytes", (json_int_t)kv, "kv_type", kv_type,
                     "scratch_bytes", (json_int_t)scratch, "total_bytes", (json_int_t)total);
}

json_t *cli_inspect_document(const struct inspect *in)
{
    const rz_file *file = in->file;
    const rz_meta *arch = rz_file_meta(file, "general.architecture");
    char name[65] = "";
    if (arch && arch->type == RZ_META_STRING) {
        rz_slice s = rz_meta_string(arch, 0);
        memcpy(name, s.data, s.len < sizeof name ? s.len : sizeof name - 1);
    }
    json_t *metadata = json_array();
    for (size_t i = 0; i < rz_file_n_meta(file); i++)
        json_array_append_new(metadata, meta_json(rz_file_meta_at(file, i)));
    struct totals all = {0};
    json_t *quantization = quantization_json(file, &all);
    return json_pack(
        "{so ss sI sI sI sI so so sb so so sI sI so so so so so so so so}", "file",
        text(rz_file_path(file)), "format", rz_file_format(file), "version",
        (json_int_t)rz_file_version(file), "file_bytes", (json_int_t)rz_file_bytes(file), "shards",
        (json_int_t)rz_file_n_shards(file), "num_tensors", (json_int_t)rz_file_n_tensors(file),
        "architecture", text(name), "name", string_or_null(file, "general.name"), "supported",
        in->model != NULL, "why_not_supported", in->why ? text(in->why) : json_null(),
        "hyperparameters", parameters_json(in, name), "parameters", (json_int_t)all.elements,
        "weight_bytes", (json_int_t)all.bytes, "bits_per_weight",
        all.elements ? cli_json_real(8.0 * (double)all.bytes / (double)all.elements) : json_null(),
        "quantization", quantization, "tokenizer", tokenizer_json(file), "chat_template",
        string_or_null(file, "tokenizer.chat_template"), "memory", memory_json(in), "metadata",
        metadata, "tensors", tensors_json(file), "container", container_json(file));
}
