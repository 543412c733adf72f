/* dotapr_text.c - a model's metadata as the JSON of an .apr file.
 *
 * Three parts: aprender's own fields, which aprender and realizar read; "tied_embeddings" and the
 * tokenizer under their custom names; and "gguf_metadata", which has every entry with its type, so
 * that nothing is lost on the way back (dotapr_list.c reads it). What stands in one of the first
 * two and is large, the list only points at. No spelling of a field is written beside another: one
 * reader drops all metadata over that. Two runs write the same bytes. */
#include "base/arena.h"
#include "base/checked.h"
#include "base/fail.h"
#include "base/utf8.h"
#include "formats/dotapr_json.h"
#include "formats/dotapr_meta.h"
#include "formats/writer.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MAX = 128
};

/* The metadata that is to be written: copies of the source's entries, changed. */
struct view {
    struct rz_meta_entry *items;
    size_t n;
    struct rz_arena arena; /* values of edits */
    char arch[65];         /* "": no language model */
    rz_error *err;
};

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* ---- the view ---- */

static const struct rz_meta_edit *edit_of(const struct rz_writer_plan *plan, rz_slice key)
{
    for (size_t i = 0; i < plan->n_edits; i++)
        if (slice_is(key, plan->edits[i].key))
            return &plan->edits[i];
    return NULL;
}

static rz_status set_edit(struct view *v, const struct rz_meta_edit *e, struct rz_meta_entry *entry)
{
    bool text = e->type == RZ_META_STRING;
    uint64_t u = 0;
    float f;
    if (text) {
        u = strlen(e->value.text);
    } else if (e->type == RZ_META_F32) {
        f = (float)e->value.f;
        memcpy(&u, &f, sizeof f);
    } else {
        u = e->type == RZ_META_BOOL ? e->value.b : e->value.u;
    }
    size_t n = text ? sizeof u : rz_meta_elem_bytes(e->type);
    uint8_t *data = rz_arena_alloc(&v->arena, n + (text ? u : 0), 1);
    if (!data)
        return rz_fail_nomem(v->err, n, e->key);
    memcpy(data, &u, n); /* little-endian: a shorter type is the beginning */
    if (text)
        memcpy(data + n, e->value.text, u);
    *entry = (struct rz_meta_entry){.pub = {.key = {.data = e->key, .len = strlen(e->key)},
                                            .type = e->type,
                                            .elem_type = e->type,
                                            .count = 1},
                                    .data = data};
    return RZ_OK;
}

static rz_status make_view(struct view *v, const struct rz_writer_plan *plan)
{
    size_t n = rz_file_n_meta(plan->source);
    v->items = calloc(n + plan->n_edits + 1, sizeof *v->items);
    if (!v->items)
        return rz_fail_nomem(v->err, n * sizeof *v->items, "metadata");
    for (size_t i = 0; i < n; i++) {
        const rz_meta *meta = rz_file_meta_at(plan->source, i);
        const struct rz_meta_edit *e = edit_of(plan, meta->key);
        if (!e)
            v->items[v->n++] = *(const struct rz_meta_entry *)meta->impl;
        else if (!e->drop)
            RZ_TRY(set_edit(v, e, &v->items[v->n++]));
    }
    for (size_t i = 0; i < plan->n_edits; i++)
        if (!plan->edits[i].drop && !rz_file_meta(plan->source, plan->edits[i].key))
            RZ_TRY(set_edit(v, &plan->edits[i], &v->items[v->n++]));
    for (size_t i = 0; i < v->n; i++)
        v->items[i].pub.impl = &v->items[i];
    return RZ_OK;
}

static const rz_meta *get(const struct view *v, const char *key)
{
    for (size_t i = 0; i < v->n; i++)
        if (slice_is(v->items[i].pub.key, key))
            return &v->items[i].pub;
    return NULL;
}

static const rz_meta *get_arch(const struct view *v, const char *suffix)
{
    char key[KEY_MAX];
    snprintf(key, sizeof key, "%s.%s", v->arch, suffix);
    return get(v, key);
}

static bool is_array(const rz_meta *m, rz_meta_type elem)
{
    return m && m->type == RZ_META_ARRAY && m->elem_type == elem;
}

static bool is_integer(const rz_meta *m)
{
    return m && (m->type <= RZ_META_I32 || m->type == RZ_META_U64 || m->type == RZ_META_I64);
}

static bool all_utf8(const rz_meta *m)
{
    for (uint64_t i = 0; i < m->count; i++) {
        rz_slice s = rz_meta_string(m, i);
        if (rz_utf8_valid(s.data, s.len) != s.len)
            return false;
    }
    return true;
}

static bool all_finite(const rz_meta *m)
{
    for (uint64_t i = 0; i < m->count; i++)
        if (!isfinite(rz_meta_float(m, i)))
            return false;
    return true;
}

/* The field that holds the entry's value as exactly as the list could; NULL: none does. */
static const char *field_of(const rz_meta *m)
{
    if (slice_is(m->key, "tokenizer.ggml.tokens") && is_array(m, RZ_META_STRING) && all_utf8(m))
        return "tokenizer.vocabulary";
    if (slice_is(m->key, "tokenizer.ggml.merges") && is_array(m, RZ_META_STRING) && all_utf8(m))
        return "tokenizer.merges";
    if (slice_is(m->key, "tokenizer.ggml.scores") && is_array(m, RZ_META_F32) && all_finite(m))
        return "tokenizer.scores";
    if (slice_is(m->key, "tokenizer.ggml.token_type") && is_array(m, RZ_META_I32))
        return "tokenizer.token_type";
    if (slice_is(m->key, "tokenizer.chat_template") && m->type == RZ_META_STRING && all_utf8(m))
        return "chat_template";
    return NULL;
}

/* ---- values ---- */

static void put_hex(struct rz_buf *out, rz_slice s)
{
    rz_buf_str(out, "{\"hex\":\"");
    for (size_t i = 0; i < s.len; i++)
        rz_buf_printf(out, "%02x", (unsigned char)s.data[i]);
    rz_buf_str(out, "\"}");
}

/* exact: bytes that are no UTF-8 survive, in a form that only the list has. */
static void put_element(struct rz_buf *out, const rz_meta *m, uint64_t i, bool exact)
{
    const struct rz_meta_entry *entry = m->impl;
    rz_slice s;
    uint64_t u;
    switch (m->elem_type) {
    case RZ_META_STRING:
        s = rz_meta_string(m, i);
        if (exact && rz_utf8_valid(s.data, s.len) != s.len)
            put_hex(out, s);
        else
            rz_apr_put_json_text(out, s);
        break;
    case RZ_META_F32:
        rz_apr_put_json_f32(out, (float)rz_meta_float(m, i));
        break;
    case RZ_META_F64:
        rz_apr_put_json_f64(out, rz_meta_float(m, i));
        break;
    case RZ_META_BOOL:
        rz_buf_str(out, rz_meta_int(m, i) ? "true" : "false");
        break;
    case RZ_META_U64:
        memcpy(&u, entry->data + 8 * i, sizeof u);
        rz_buf_printf(out, "%" PRIu64, u);
        break;
    default:
        rz_buf_printf(out, "%" PRId64, rz_meta_int(m, i));
    }
}

static void put_value(struct rz_buf *out, const rz_meta *m, bool exact)
{
    if (m->type != RZ_META_ARRAY) {
        put_element(out, m, 0, exact);
        return;
    }
    rz_buf_char(out, '[');
    for (uint64_t i = 0; i < m->count; i++) {
        if (i)
            rz_buf_char(out, ',');
        put_element(out, m, i, exact);
    }
    rz_buf_char(out, ']');
}

static rz_status put_list(struct rz_buf *out, const struct view *v)
{
    rz_buf_str(out, ",\"" RZ_APR_LIST_FIELD "\":[");
    for (size_t i = 0; i < v->n; i++) {
        const rz_meta *m = &v->items[i].pub;
        bool array = m->type == RZ_META_ARRAY;
        const char *field = field_of(m);
        if (array && m->elem_type == RZ_META_ARRAY)
            return rz_fail(v->err, RZ_ELOAD,
                           "metadata key %.*s is an array of arrays, which an .apr file cannot "
                           "hold",
                           (int)rz_min_size(m->key.len, KEY_MAX), m->key.data);
        rz_buf_str(out, i ? ",[" : "[");
        rz_apr_put_json_text(out, m->key);
        rz_buf_printf(out, array ? ",\"[%s]\"," : ",\"%s\",", rz_meta_type_name(m->elem_type));
        if (field)
            rz_buf_printf(out, "{\"field\":\"%s\"}", field);
        else
            put_value(out, m, true);
        rz_buf_char(out, ']');
    }
    rz_buf_char(out, ']');
    return RZ_OK;
}

/* ---- aprender's fields ---- */

static void set_text(struct rz_buf *value, const char *text)
{
    rz_apr_put_json_text(value, (rz_slice){.data = text, .len = strlen(text)});
}

static void copy_string(struct rz_buf *value, const rz_meta *m)
{
    if (m && m->type == RZ_META_STRING && value->len == 0)
        put_element(value, m, 0, false);
}

static void copy_number(struct rz_buf *value, const rz_meta *m)
{
    if (is_integer(m) ||
        (m && (m->type == RZ_META_F32 || m->type == RZ_META_F64) && isfinite(rz_meta_float(m, 0))))
        put_element(value, m, 0, false);
}

/* {"bos_token": ...} of the tokens whose ids are known. */
static void set_special(struct rz_buf *value, const struct view *v)
{
    static const char *const tokens_of[][2] = {
        {"bos_token", "tokenizer.ggml.bos_token_id"},
        {"eos_token", "tokenizer.ggml.eos_token_id"},
        {"unk_token", "tokenizer.ggml.unknown_token_id"},
        {"pad_token", "tokenizer.ggml.padding_token_id"},
    };
    const rz_meta *tokens = get(v, "tokenizer.ggml.tokens");
    const char *before = "{";
    for (size_t i = 0; i < RZ_ARRAY_LEN(tokens_of) && is_array(tokens, RZ_META_STRING); i++) {
        const rz_meta *m = get(v, tokens_of[i][1]);
        int64_t id = is_integer(m) ? rz_meta_int(m, 0) : -1;
        if (id < 0 || (uint64_t)id >= tokens->count)
            continue;
        rz_buf_printf(value, "%s\"%s\":", before, tokens_of[i][0]);
        rz_apr_put_json_text(value, rz_meta_string(tokens, (uint64_t)id));
        before = ",";
    }
    if (value->len)
        rz_buf_char(value, '}');
}

/* The block type that most bytes have, if it is more than half of them. */
static void set_quantization(struct rz_buf *value, const struct rz_writer_plan *plan)
{
    uint64_t bytes[RZ_N_DTYPES] = {0}, total = 0;
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct rz_out_tensor *t = &plan->tensors[i];
        uint64_t n = rz_dtype_info(t->dtype)->block_bytes;
        for (uint32_t d = 0; d < t->n_dims; d++)
            n *= t->shape[d];
        n /= rz_dtype_info(t->dtype)->block_len;
        bytes[t->dtype] += n;
        total += n;
    }
    for (int type = 0; type < RZ_N_DTYPES; type++) {
        const struct rz_dtype_info *info = rz_dtype_info((rz_dtype)type);
        char name[16] = "";
        if (info->block_len == 1 || bytes[type] <= total / 2)
            continue;
        for (size_t i = 0; i + 1 < sizeof name && info->name[i]; i++)
            name[i] = (char)tolower((unsigned char)info->name[i]);
        const char *digit = strpbrk(name, "2345678");
        bool symmetric = type == RZ_Q4_0 || type == RZ_Q5_0 || type == RZ_Q8_0 || type == RZ_Q3_K ||
                         type == RZ_Q6_K;
        rz_buf_printf(value,
                      "{\"quant_type\":\"%s\",\"bits\":%c,\"block_size\":%u,\"symmetric\":%s}",
                      name, digit ? *digit : '0', info->block_len, symmetric ? "true" : "false");
        return;
    }
}

static uint64_t n_parameters(const struct rz_writer_plan *plan)
{
    uint64_t total = 0;
    for (size_t i = 0; i < plan->n_tensors; i++) {
        uint64_t n = 1;
        for (uint32_t d = 0; d < plan->tensors[i].n_dims; d++)
            n *= plan->tensors[i].shape[d];
        total += n;
    }
    return total;
}

/* Qwen's pairs are the halves of a head; llama's are neighbours unless the key says otherwise. */
static void set_rope_type(struct rz_buf *value, const struct view *v)
{
    const rz_meta *neox = get_arch(v, "rope.neox");
    bool halves = strncmp(v->arch, "qwen", 4) == 0 ||
                  (neox && neox->type == RZ_META_BOOL && rz_meta_int(neox, 0));
    rz_buf_str(value, halves ? "2" : "0");
}

static void set_classes(struct rz_apr_known_fields *k, const struct view *v)
{
    const char *model_type, *class_name;
    const rz_meta *window = get_arch(v, "attention.sliding_window");
    rz_slice arch = {.data = v->arch, .len = strlen(v->arch)};
    if (!rz_hf_class_of(arch, window != NULL, &model_type, &class_name))
        return;
    set_text(&k->value[RZ_APR_HF_ARCHITECTURE], class_name);
    set_text(&k->value[RZ_APR_HF_MODEL_TYPE], model_type);
}

static void set_model(struct rz_apr_known_fields *k, const struct view *v)
{
    static const struct {
        enum rz_apr_known field;
        const char *suffix;
    } numbers[] = {
        {RZ_APR_HIDDEN_SIZE, "embedding_length"},
        {RZ_APR_NUM_LAYERS, "block_count"},
        {RZ_APR_NUM_HEADS, "attention.head_count"},
        {RZ_APR_NUM_KV_HEADS, "attention.head_count_kv"},
        {RZ_APR_INTERMEDIATE_SIZE, "feed_forward_length"},
        {RZ_APR_MAX_POSITION_EMBEDDINGS, "context_length"},
        {RZ_APR_ROPE_THETA, "rope.freq_base"},
        {RZ_APR_RMS_NORM_EPS, "attention.layer_norm_rms_epsilon"},
        {RZ_APR_HEAD_DIM, "attention.key_length"},
        {RZ_APR_NUM_EXPERTS, "expert_count"},
        {RZ_APR_NUM_EXPERTS_PER_TOK, "expert_used_count"},
        {RZ_APR_MOE_INTERMEDIATE_SIZE, "expert_feed_forward_length"},
    };
    const rz_meta *tokens = get(v, "tokenizer.ggml.tokens");
    const rz_meta *template = get(v, "tokenizer.chat_template");
    set_text(&k->value[RZ_APR_ARCHITECTURE], v->arch);
    set_classes(k, v);
    for (size_t i = 0; i < RZ_ARRAY_LEN(numbers); i++)
        copy_number(&k->value[numbers[i].field], get_arch(v, numbers[i].suffix));
    /* Readers of aprender's take a missing number for that of the heads: said, not left out. */
    if (k->value[RZ_APR_NUM_KV_HEADS].len == 0)
        copy_number(&k->value[RZ_APR_NUM_KV_HEADS], get_arch(v, "attention.head_count"));
    if (is_array(tokens, RZ_META_STRING))
        rz_buf_printf(&k->value[RZ_APR_VOCAB_SIZE], "%" PRIu64, tokens->count);
    set_rope_type(&k->value[RZ_APR_ROPE_TYPE], v);
    set_special(&k->value[RZ_APR_SPECIAL_TOKENS], v);
    copy_string(&k->value[RZ_APR_CHAT_TEMPLATE], template);
    if (template && template->type == RZ_META_STRING) {
        rz_slice s = rz_meta_string(template, 0);
        if (s.len && memmem(s.data, s.len, "<|im_start|>", 12))
            set_text(&k->value[RZ_APR_CHAT_FORMAT], "chatml");
    }
}

static void set_general(struct rz_apr_known_fields *k, const struct view *v,
                        const struct rz_writer_plan *plan)
{
    static const struct {
        enum rz_apr_known field;
        const char *key;
    } texts[] = {
        {RZ_APR_NAME, "general.name"},           {RZ_APR_DESCRIPTION, "general.description"},
        {RZ_APR_AUTHOR, "general.author"},       {RZ_APR_LICENSE, "general.license"},
        {RZ_APR_VERSION, "general.version"},     {RZ_APR_SOURCE, "general.source.url"},
        {RZ_APR_DATA_SOURCE, "apr.data_source"}, {RZ_APR_DATA_LICENSE, "apr.data_license"},
        {RZ_APR_SOURCE, "apr.source"},           {RZ_APR_ORIGINAL_FORMAT, "apr.original_format"},
        {RZ_APR_CREATED_AT, "apr.created_at"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(texts); i++)
        copy_string(&k->value[texts[i].field], get(v, texts[i].key));
    struct rz_buf *origin = &k->value[RZ_APR_ORIGINAL_FORMAT];
    const char *format = rz_file_format(plan->source);
    if (origin->len == 0)
        set_text(origin, !strcmp(format, "GGUF")          ? "gguf"
                         : !strcmp(format, "SafeTensors") ? "safetensors"
                                                          : "apr");
    rz_buf_printf(&k->value[RZ_APR_PARAM_COUNT], "%" PRIu64, n_parameters(plan));
    set_quantization(&k->value[RZ_APR_QUANTIZATION], plan);
    copy_string(&k->value[RZ_APR_MODEL_TYPE], get(v, "apr.model_type"));
    if (k->value[RZ_APR_MODEL_TYPE].len == 0)
        set_text(&k->value[RZ_APR_MODEL_TYPE], v->arch);
}

/* ---- the tokenizer ---- */

static void put_custom(struct rz_buf *out, const char *name, const rz_meta *m)
{
    rz_buf_printf(out, ",\"%s\":", name);
    put_value(out, m, false);
}

static void put_tokenizer(struct rz_buf *out, const struct view *v)
{
    const struct {
        const char *name, *key;
        bool strings;
    } arrays[] = {
        {"tokenizer.vocabulary", "tokenizer.ggml.tokens", true},
        {"tokenizer.merges", "tokenizer.ggml.merges", true},
    };
    static const char *const scalars[][2] = {
        {"tokenizer.model", "tokenizer.ggml.model"},
        {"tokenizer.model_type", "tokenizer.ggml.model"}, /* each has its readers */
        {"tokenizer.pre_type", "tokenizer.ggml.pre"},
        {"tokenizer.bos_token_id", "tokenizer.ggml.bos_token_id"},
        {"tokenizer.eos_token_id", "tokenizer.ggml.eos_token_id"},
        {"tokenizer.padding_token_id", "tokenizer.ggml.padding_token_id"},
        {"tokenizer.add_bos_token", "tokenizer.ggml.add_bos_token"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(scalars); i++) {
        const rz_meta *m = get(v, scalars[i][1]);
        if (m && m->type != RZ_META_ARRAY && m->type != RZ_META_F32 && m->type != RZ_META_F64)
            put_custom(out, scalars[i][0], m);
    }
    const rz_meta *tokens = get(v, "tokenizer.ggml.tokens");
    if (is_array(tokens, RZ_META_STRING))
        rz_buf_printf(out, ",\"tokenizer.vocab_size\":%" PRIu64, tokens->count);
    for (size_t i = 0; i < RZ_ARRAY_LEN(arrays); i++)
        if (is_array(get(v, arrays[i].key), RZ_META_STRING))
            put_custom(out, arrays[i].name, get(v, arrays[i].key));
    const rz_meta *scores = get(v, "tokenizer.ggml.scores");
    const rz_meta *types = get(v, "tokenizer.ggml.token_type");
    if (is_array(scores, RZ_META_F32) && all_finite(scores))
        put_custom(out, "tokenizer.scores", scores);
    if (is_array(types, RZ_META_I32))
        put_custom(out, "tokenizer.token_type", types);
}

static rz_status put_all(struct rz_buf *out, const struct view *v,
                         const struct rz_writer_plan *plan, uint64_t total_bytes, bool tied)
{
    struct rz_apr_known_fields known;
    rz_apr_known_init(&known);
    set_general(&known, v, plan);
    rz_buf_printf(&known.value[RZ_APR_TOTAL_SIZE], "%" PRIu64, total_bytes);
    if (v->arch[0])
        set_model(&known, v);
    rz_buf_char(out, '{');
    rz_apr_put_known(out, &known, false);
    rz_apr_known_fini(&known);
    if (tied)
        rz_buf_str(out, ",\"tied_embeddings\":true");
    if (plan->packing)
        rz_buf_printf(out,
                      ",\"" RZ_APR_PACKED_FIELD "\":\"" RZ_APR_PACKED_LAYOUT
                      "\",\"" RZ_APR_PACKED_VERSION_FIELD "\":%d",
                      RZ_PACKED_VERSION);
    put_tokenizer(out, v);
    RZ_TRY(put_list(out, v));
    rz_buf_char(out, '}');
    return out->failed ? rz_fail_nomem(v->err, out->len, "metadata") : RZ_OK;
}

rz_status rz_apr_put_metadata(struct rz_buf *out, const struct rz_writer_plan *plan,
                              uint64_t total_bytes, bool tied, rz_error *err)
{
    struct view v = {.err = err};
    rz_arena_init(&v.arena, SIZE_MAX / 2);
    rz_status status = make_view(&v, plan);
    if (!status) {
        const rz_meta *arch = get(&v, "general.architecture");
        if (arch && arch->type == RZ_META_STRING && rz_meta_string(arch, 0).len < sizeof v.arch)
            memcpy(v.arch, rz_meta_string(arch, 0).data, rz_meta_string(arch, 0).len);
        status = put_all(out, &v, plan, total_bytes, tied);
    }
    rz_arena_fini(&v.arena);
    free(v.items);
    return status;
}
