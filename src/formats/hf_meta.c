/* hf_meta.c - values out of JSON objects, and metadata entries made of them.
 *
 * Entries are laid out as GGUF's are, little-endian in the file's arena, so the accessors of meta.c
 * read both alike. Their file_offset is 0: they stand in no file as such. */
#include "base/fail.h"
#include "formats/hf.h"
#include "formats/json_scan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const doc_names[RZ_HF_N_DOCS] = {
    [RZ_HF_CONFIG] = "config.json",           [RZ_HF_GENERATION] = "generation_config.json",
    [RZ_HF_TOKENIZER] = "tokenizer.json",     [RZ_HF_TOKENIZER_CONFIG] = "tokenizer_config.json",
    [RZ_HF_TEMPLATE] = "chat_template.jinja",
};

const char *rz_hf_doc_name(enum rz_hf_doc_id id)
{
    return doc_names[id];
}

rz_status rz_hf_bad_fill(struct rz_hf *h, rz_status code, enum rz_hf_doc_id id, const char *format,
                         ...)
{
    char text[768];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(h->err, code, "%s/%s: %s", h->dir, doc_names[id], text);
}

/* ---- reading ---- */

rz_status rz_hf_parse(struct rz_hf *h, enum rz_hf_doc_id id, rz_slice text, json_t **out)
{
    json_error_t e;
    *out = NULL;
    if (text.len > RZ_HF_MAX_TREE_BYTES)
        return rz_hf_bad(h, RZ_EFORMAT, id, "a JSON value of %zu bytes, at most %d", text.len,
                         RZ_HF_MAX_TREE_BYTES);
    *out = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (*out)
        return RZ_OK;
    if (json_error_code(&e) == json_error_out_of_memory)
        return rz_fail_nomem(h->err, text.len, doc_names[id]);
    return rz_hf_bad(h, RZ_EFORMAT, id, "JSON at byte %d: %s",
                     (int)(text.data - h->docs[id].text.data) + e.position, e.text);
}

const json_t *rz_hf_field(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

/* *value is NULL if the field is absent and may be. */
static rz_status find(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object, const char *key,
                      const json_t **value, bool *found)
{
    *value = rz_hf_field(object, key);
    if (!*value && !found)
        return rz_hf_bad(h, RZ_EFORMAT, id, "%s is missing", key);
    if (found)
        *found = *value != NULL;
    return RZ_OK;
}

rz_status rz_hf_get_u32(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object,
                        const char *key, uint32_t *value, bool *found)
{
    const json_t *v;
    RZ_TRY(find(h, id, object, key, &v, found));
    if (!v)
        return RZ_OK;
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || n > UINT32_MAX)
        return rz_hf_bad(h, RZ_EFORMAT, id, "%s is not an integer from 0 to 4294967295", key);
    *value = (uint32_t)n;
    return RZ_OK;
}

rz_status rz_hf_get_f64(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object,
                        const char *key, double *value, bool *found)
{
    const json_t *v;
    RZ_TRY(find(h, id, object, key, &v, found));
    if (!v)
        return RZ_OK;
    double x = json_number_value(v);
    if (!json_is_number(v) || !isfinite((float)x))
        return rz_hf_bad(h, RZ_EFORMAT, id, "%s is not a number that a float32 holds", key);
    *value = x;
    return RZ_OK;
}

rz_status rz_hf_get_bool(struct rz_hf *h, enum rz_hf_doc_id id, const json_t *object,
                         const char *key, bool *value, bool *found)
{
    const json_t *v;
    RZ_TRY(find(h, id, object, key, &v, found));
    if (!v)
        return RZ_OK;
    if (!json_is_boolean(v))
        return rz_hf_bad(h, RZ_EFORMAT, id, "%s is neither true nor false", key);
    *value = json_is_true(v);
    return RZ_OK;
}

/* ---- writing ---- */

/* Adds entry, whose data is n_bytes at bytes, under a copy of key. */
static rz_status put(struct rz_hf *h, const char *key, struct rz_meta_entry *entry,
                     const void *bytes, size_t n_bytes)
{
    struct rz_arena *arena = &h->file->arena;
    char *key_copy = rz_arena_strdup(arena, key, strlen(key));
    uint8_t *data = rz_arena_alloc(arena, n_bytes, 1);
    if (!key_copy || !data)
        return rz_fail_nomem(h->err, n_bytes, key);
    if (n_bytes)
        memcpy(data, bytes, n_bytes);
    entry->data = data;
    entry->pub.key = (rz_slice){.data = key_copy, .len = strlen(key)};
    enum rz_add_result result = rz_file_add_meta(h->file, entry);
    RZ_ASSERT(result == RZ_ADDED || result == RZ_ADD_NOMEM);
    return result == RZ_ADDED ? RZ_OK : rz_fail_nomem(h->err, sizeof *entry, "metadata");
}

static rz_status put_scalar(struct rz_hf *h, const char *key, rz_meta_type type, const void *bytes)
{
    struct rz_meta_entry entry = {.pub = {.type = type, .elem_type = type, .count = 1}};
    return put(h, key, &entry, bytes, rz_meta_elem_bytes(type));
}

rz_status rz_hf_put_u32(struct rz_hf *h, const char *key, uint32_t value)
{
    return put_scalar(h, key, RZ_META_U32, &value);
}

rz_status rz_hf_put_i32(struct rz_hf *h, const char *key, int32_t value)
{
    return put_scalar(h, key, RZ_META_I32, &value);
}

rz_status rz_hf_put_f32(struct rz_hf *h, const char *key, double value)
{
    float f = (float)value;
    return put_scalar(h, key, RZ_META_F32, &f);
}

rz_status rz_hf_put_bool(struct rz_hf *h, const char *key, bool value)
{
    uint8_t byte = value;
    return put_scalar(h, key, RZ_META_BOOL, &byte);
}

rz_status rz_hf_put_string(struct rz_hf *h, const char *key, const char *text, size_t len)
{
    struct rz_meta_entry entry = {
        .pub = {.type = RZ_META_STRING, .elem_type = RZ_META_STRING, .count = 1}};
    struct rz_hf_strings s;
    RZ_TRY(rz_hf_strings_init(h, &s));
    rz_hf_strings_begin(&s);
    rz_hf_strings_text(&s, text, len);
    rz_status status = rz_hf_strings_end(h, &s);
    if (!status)
        status = put(h, key, &entry, s.bytes.data, s.bytes.len);
    rz_hf_strings_fini(&s);
    return status;
}

rz_status rz_hf_put_i32s(struct rz_hf *h, const char *key, const int32_t *values, size_t n)
{
    struct rz_meta_entry entry = {
        .pub = {.type = RZ_META_ARRAY, .elem_type = RZ_META_I32, .count = n}};
    return put(h, key, &entry, values, n * sizeof *values);
}

/* ---- arrays of strings ---- */

rz_status rz_hf_strings_init(struct rz_hf *h, struct rz_hf_strings *s)
{
    *s = (struct rz_hf_strings){0};
    rz_buf_init(&s->bytes, UINT32_MAX); /* starts are 32 bits */
    s->starts = malloc(64 * sizeof *s->starts);
    if (!s->starts)
        return rz_fail_nomem(h->err, 64 * sizeof *s->starts, "strings");
    s->cap = 64;
    return RZ_OK;
}

void rz_hf_strings_fini(struct rz_hf_strings *s)
{
    rz_buf_fini(&s->bytes);
    free(s->starts);
    *s = (struct rz_hf_strings){0};
}

/* There is always room for one more start: rz_hf_strings_end makes it. */
void rz_hf_strings_begin(struct rz_hf_strings *s)
{
    uint64_t len = 0;
    s->starts[s->n] = (uint32_t)s->bytes.len;
    rz_buf_add(&s->bytes, &len, sizeof len);
}

void rz_hf_strings_raw(struct rz_hf_strings *s, rz_slice raw)
{
    size_t at = s->bytes.len;
    if (!rz_buf_add(&s->bytes, raw.data, raw.len) || !memchr(raw.data, '\\', raw.len))
        return;
    rz_slice added = {.data = s->bytes.data + at, .len = raw.len};
    s->bytes.len = at + rz_json_unescape(added, s->bytes.data + at);
}

void rz_hf_strings_text(struct rz_hf_strings *s, const char *text, size_t len)
{
    rz_buf_add(&s->bytes, text, len);
}

rz_status rz_hf_strings_end(struct rz_hf *h, struct rz_hf_strings *s)
{
    if (s->bytes.failed)
        return rz_fail_nomem(h->err, s->bytes.len, "strings");
    uint64_t len = s->bytes.len - s->starts[s->n] - sizeof len;
    memcpy(s->bytes.data + s->starts[s->n], &len, sizeof len);
    if (++s->n < s->cap)
        return RZ_OK;
    uint32_t *starts = realloc(s->starts, 2 * s->cap * sizeof *starts);
    if (!starts)
        return rz_fail_nomem(h->err, 2 * s->cap * sizeof *starts, "strings");
    s->starts = starts;
    s->cap *= 2;
    return RZ_OK;
}

rz_slice rz_hf_strings_at(const struct rz_hf_strings *s, size_t i)
{
    RZ_ASSERT(i < s->n);
    const char *at = s->bytes.data + s->starts[i];
    uint64_t len;
    memcpy(&len, at, sizeof len);
    return (rz_slice){.data = at + sizeof len, .len = len};
}

rz_status rz_hf_put_strings(struct rz_hf *h, const char *key, const struct rz_hf_strings *s)
{
    struct rz_meta_entry entry = {
        .pub = {.type = RZ_META_ARRAY, .elem_type = RZ_META_STRING, .count = s->n}};
    uint32_t *starts = rz_arena_alloc(&h->file->arena, s->n, sizeof *starts);
    if (!starts)
        return rz_fail_nomem(h->err, s->n * sizeof *starts, key);
    if (s->n)
        memcpy(starts, s->starts, s->n * sizeof *starts);
    entry.starts = starts;
    return put(h, key, &entry, s->bytes.data, s->bytes.len);
}
