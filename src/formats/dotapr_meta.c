/* dotapr_meta.c - the metadata of an .apr file: one pass over its JSON.
 *
 * Invariant: after the scan the whole JSON text has been checked, each field's value is known by
 * where it stands, and the tokenizer's large arrays have been read as they went by; nothing becomes
 * a tree. A field that stands twice, or under two of its spellings, must say the same. */
#include "formats/dotapr_meta.h"

#include "base/checked.h"
#include "base/fail.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_FIELDS = 4096,
    NUMBER_MAX = 64, /* characters */
    /* Of metadata for a byte of JSON: an empty string is 3 bytes there and 12 as GGUF has it. */
    ARENA_FACTOR = 8
};

rz_status rz_apr_meta_bad_fill(const struct rz_apr_meta *m, rz_status code, const char *field,
                               const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(m->r->err, code, "%s: metadata field %.100s: %s", m->r->label, field, text);
}

struct rz_json rz_apr_scan(const struct rz_apr_meta *m, rz_slice part)
{
    return (struct rz_json){.data = part.data,
                            .len = part.len,
                            .label = m->r->label,
                            .base = (size_t)((const uint8_t *)part.data - m->r->data),
                            .err = m->r->err};
}

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

struct rz_apr_field *rz_apr_field(struct rz_apr_meta *m, const char *key)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (slice_is(m->fields[i].key, key)) {
            m->fields[i].used = true;
            return slice_is(m->fields[i].value, "null") ? NULL : &m->fields[i];
        }
    return NULL;
}

/* ---- values ---- */

static bool copy_number(rz_slice value, char out[NUMBER_MAX])
{
    bool digit = value.len > 0 && value.len < NUMBER_MAX &&
                 (value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9'));
    if (!digit)
        return false;
    memcpy(out, value.data, value.len);
    out[value.len] = '\0';
    return true;
}

bool rz_apr_to_u64(rz_slice value, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c < '0' || c > '9' || !rz_mul_u64(n, 10, &n) || !rz_add_u64(n, (uint64_t)(c - '0'), &n))
            return false;
    }
    *out = n;
    return value.len > 0;
}

bool rz_apr_to_i64(rz_slice value, int64_t *out)
{
    uint64_t n;
    bool negative = value.len > 0 && value.data[0] == '-';
    if (negative)
        value = (rz_slice){.data = value.data + 1, .len = value.len - 1};
    if (!rz_apr_to_u64(value, &n) || n > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

bool rz_apr_to_f64(rz_slice value, double *out)
{
    char text[NUMBER_MAX];
    if (!copy_number(value, text))
        return false;
    *out = strtod(text, NULL);
    return isfinite(*out);
}

bool rz_apr_to_bool(rz_slice value, bool *out)
{
    *out = slice_is(value, "true");
    return *out || slice_is(value, "false");
}

rz_status rz_apr_to_text(struct rz_apr_meta *m, rz_slice value, rz_slice *out)
{
    rz_slice raw = {.data = value.data + 1, .len = value.len - 2};
    char *text = rz_arena_alloc(&m->r->file->arena, raw.len + 1, 1);
    if (!text)
        return rz_fail_nomem(m->r->err, raw.len, "metadata");
    *out = (rz_slice){.data = text, .len = rz_json_unescape(raw, text)};
    return RZ_OK;
}

/* ---- entries ---- */

rz_status rz_apr_put(struct rz_apr_meta *m, rz_slice key, const struct rz_apr_put *put)
{
    struct rz_file *file = m->r->file;
    if (file->n_meta >= RZ_MAX_META)
        return rz_fail(m->r->err, RZ_EFORMAT, "%s: more than %d metadata entries", m->r->label,
                       RZ_MAX_META);
    char *key_copy = rz_arena_strdup(&file->arena, key.data, key.len);
    uint8_t *data = rz_arena_alloc(&file->arena, put->n_bytes, 1);
    uint32_t *starts = NULL;
    if (put->starts)
        starts = rz_arena_alloc(&file->arena, put->count, sizeof *starts);
    if (!key_copy || !data || (put->starts && !starts))
        return rz_fail_nomem(m->r->err, put->n_bytes, "metadata");
    if (put->n_bytes)
        memcpy(data, put->bytes, put->n_bytes);
    if (put->starts && put->count)
        memcpy(starts, put->starts, put->count * sizeof *starts);
    const struct rz_meta_entry entry = {.pub = {.key = {.data = key_copy, .len = key.len},
                                                .type = put->type,
                                                .elem_type = put->elem_type,
                                                .count = put->count},
                                        .data = data,
                                        .starts = starts,
                                        .file_offset = m->r->header.meta_at};
    switch (rz_file_add_meta(file, &entry)) {
    case RZ_ADD_DUPLICATE:
        return rz_fail(m->r->err, RZ_EFORMAT, "%s: metadata key %s occurs twice", m->r->label,
                       key_copy);
    case RZ_ADD_CROWDED:
        return rz_fail(m->r->err, RZ_EFORMAT, "%s: too many metadata keys that hash alike",
                       m->r->label);
    case RZ_ADD_NOMEM:
        return rz_fail_nomem(m->r->err, sizeof entry, "metadata");
    case RZ_ADDED:
        break;
    }
    return RZ_OK;
}

static rz_slice slice_of(const char *text)
{
    return (rz_slice){.data = text, .len = strlen(text)};
}

static rz_status put_scalar(struct rz_apr_meta *m, const char *key, rz_meta_type type,
                            const void *bytes)
{
    const struct rz_apr_put put = {.type = type,
                                   .elem_type = type,
                                   .count = 1,
                                   .bytes = bytes,
                                   .n_bytes = rz_meta_elem_bytes(type)};
    return rz_apr_put(m, slice_of(key), &put);
}

rz_status rz_apr_put_u32(struct rz_apr_meta *m, const char *key, uint64_t value)
{
    uint32_t u = (uint32_t)value;
    if (value > UINT32_MAX)
        return rz_apr_meta_bad(m, RZ_EFORMAT, key, "%llu is more than 4294967295",
                               (unsigned long long)value);
    return put_scalar(m, key, RZ_META_U32, &u);
}

rz_status rz_apr_put_f32(struct rz_apr_meta *m, const char *key, double value)
{
    float f = (float)value;
    return put_scalar(m, key, RZ_META_F32, &f);
}

rz_status rz_apr_put_bool(struct rz_apr_meta *m, const char *key, bool value)
{
    uint8_t byte = value;
    return put_scalar(m, key, RZ_META_BOOL, &byte);
}

rz_status rz_apr_put_text(struct rz_apr_meta *m, const char *key, rz_slice text)
{
    struct rz_buf b;
    uint64_t len = text.len;
    rz_buf_init(&b, SIZE_MAX);
    rz_buf_add(&b, &len, sizeof len);
    rz_buf_add(&b, text.data, text.len);
    const struct rz_apr_put put = {.type = RZ_META_STRING,
                                   .elem_type = RZ_META_STRING,
                                   .count = 1,
                                   .bytes = b.data,
                                   .n_bytes = b.len};
    rz_status status = b.failed ? rz_fail_nomem(m->r->err, text.len, "metadata")
                                : rz_apr_put(m, slice_of(key), &put);
    rz_buf_fini(&b);
    return status;
}

rz_status rz_apr_put_strings(struct rz_apr_meta *m, rz_slice key, const struct rz_hf_strings *s)
{
    const struct rz_apr_put put = {.type = RZ_META_ARRAY,
                                   .elem_type = RZ_META_STRING,
                                   .count = s->n,
                                   .bytes = s->bytes.data,
                                   .n_bytes = s->bytes.len,
                                   .starts = s->starts};
    return rz_apr_put(m, key, &put);
}

rz_status rz_apr_put_numbers(struct rz_apr_meta *m, rz_slice key, rz_meta_type elem,
                             const struct rz_buf *b)
{
    const struct rz_apr_put put = {.type = RZ_META_ARRAY,
                                   .elem_type = elem,
                                   .count = b->len / rz_meta_elem_bytes(elem),
                                   .bytes = b->data,
                                   .n_bytes = b->len};
    return rz_apr_put(m, key, &put);
}

bool rz_apr_has_key(const struct rz_apr_meta *m, const char *key)
{
    return rz_file_meta(m->r->file, key) != NULL;
}

/* ---- the scan ---- */

static rz_status read_strings(struct rz_apr_meta *m, struct rz_json *j, struct rz_hf_strings *out)
{
    size_t n = 0;
    bool more;
    rz_slice raw;
    RZ_TRY(rz_json_open(j, '['));
    for (;;) {
        RZ_TRY(rz_json_more(j, '[', &n, &more));
        if (!more)
            return RZ_OK;
        RZ_TRY(rz_json_string(j, &raw));
        rz_hf_strings_begin(out);
        rz_hf_strings_raw(out, raw);
        RZ_TRY(rz_hf_strings_end(&m->h, out));
    }
}

static rz_status read_numbers(struct rz_apr_meta *m, struct rz_json *j, bool floats,
                              struct rz_buf *out)
{
    size_t n = 0;
    bool more;
    rz_slice value;
    RZ_TRY(rz_json_open(j, '['));
    for (;;) {
        RZ_TRY(rz_json_more(j, '[', &n, &more));
        if (!more)
            return out->failed ? rz_fail_nomem(m->r->err, out->len, "metadata") : RZ_OK;
        rz_json_peek(j);
        size_t at = j->pos;
        double f = 0;
        int64_t i = 0;
        RZ_TRY(rz_json_skip(j, &value));
        bool fine = floats ? rz_apr_to_f64(value, &f) && isfinite((float)f)
                           : rz_apr_to_i64(value, &i) && i >= INT32_MIN && i <= INT32_MAX;
        if (!fine)
            return rz_json_bad(j, at, "%.*s where a number is expected",
                               (int)rz_min_size(value.len, 40), value.data);
        float single = (float)f;
        int32_t whole = (int32_t)i;
        rz_buf_add(out, floats ? (const void *)&single : (const void *)&whole, 4);
    }
}

/* A large array of the tokenizer is read where it stands. */
static rz_status read_large(struct rz_apr_meta *m, struct rz_json *j, rz_slice key, bool *taken)
{
    const struct {
        const char *key;
        bool *has;
        struct rz_hf_strings *strings;
        struct rz_buf *numbers;
    } large[] = {
        {"tokenizer.vocabulary", &m->has_tokens, &m->tokens, NULL},
        {"tokenizer.merges", &m->has_merges, &m->merges, NULL},
        {"tokenizer.scores", &m->has_scores, NULL, &m->scores},
        {"tokenizer.token_type", &m->has_types, NULL, &m->types},
    };
    *taken = false;
    for (size_t i = 0; i < RZ_ARRAY_LEN(large); i++) {
        if (!slice_is(key, large[i].key) || rz_json_peek(j) != '[')
            continue;
        if (*large[i].has)
            return rz_json_bad(j, j->pos, "%s occurs twice", large[i].key);
        *taken = *large[i].has = true;
        return large[i].strings
                   ? read_strings(m, j, large[i].strings)
                   : read_numbers(m, j, large[i].numbers == &m->scores, large[i].numbers);
    }
    return RZ_OK;
}

/* Files of realizar's may hold a field as null beside its true value. */
static rz_status add_field(struct rz_apr_meta *m, struct rz_json *j, size_t at, rz_slice key,
                           rz_slice value)
{
    for (size_t i = 0; i < m->n_fields; i++) {
        struct rz_apr_field *f = &m->fields[i];
        if (f->key.len != key.len || memcmp(f->key.data, key.data, key.len) != 0)
            continue;
        bool same = f->value.len == value.len && !memcmp(f->value.data, value.data, value.len);
        if (slice_is(f->value, "null"))
            f->value = value;
        else if (!same && !slice_is(value, "null"))
            return rz_json_bad(j, at, "%.*s occurs twice with different values",
                               (int)rz_min_size(key.len, 80), key.data);
        return RZ_OK;
    }
    if (m->n_fields == MAX_FIELDS)
        return rz_json_bad(j, at, "more than %d fields", MAX_FIELDS);
    if (m->n_fields == m->cap_fields) {
        size_t cap = m->cap_fields ? 2 * m->cap_fields : 64;
        struct rz_apr_field *fields = realloc(m->fields, cap * sizeof *fields);
        if (!fields)
            return rz_fail_nomem(m->r->err, cap * sizeof *fields, "metadata");
        m->fields = fields;
        m->cap_fields = cap;
    }
    m->fields[m->n_fields++] = (struct rz_apr_field){.key = key, .value = value};
    return RZ_OK;
}

static rz_status scan(struct rz_apr_meta *m)
{
    const struct rz_apr_header *h = &m->r->header;
    rz_slice all = {.data = (const char *)m->r->data + h->meta_at, .len = h->meta_len};
    struct rz_json j = rz_apr_scan(m, all);
    size_t n = 0;
    bool more, taken;
    rz_slice key, value;
    if (all.len == 0)
        return RZ_OK;
    RZ_TRY(rz_json_open(&j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '{', &n, &more));
        if (!more)
            return rz_json_end(&j);
        rz_json_peek(&j);
        size_t at = j.pos;
        RZ_TRY(rz_json_key(&j, &key));
        RZ_TRY(read_large(m, &j, key, &taken));
        if (taken)
            continue;
        RZ_TRY(rz_json_skip(&j, &value));
        RZ_TRY(add_field(m, &j, at, key, value));
    }
}

/* ---- all of it ---- */

static uint64_t embedding_rows(const struct rz_apr_meta *m)
{
    const struct rz_apr_entry *e = rz_apr_find(m->r, "token_embd.weight");
    return e && e->n_dims == 2 && e->dims[0] <= e->size * 8 ? e->dims[0] : 0;
}

/* A layout of another name is one of a version that nobody reads. */
static rz_status read_packed(struct rz_apr_meta *m)
{
    const struct rz_apr_field *layout = rz_apr_field(m, RZ_APR_PACKED_FIELD);
    const struct rz_apr_field *version = rz_apr_field(m, RZ_APR_PACKED_VERSION_FIELD);
    if (!layout)
        return RZ_OK;
    if (!version || !rz_apr_to_u64(version->value, &m->r->packed_version) ||
        m->r->packed_version == 0)
        return rz_apr_meta_bad(m, RZ_EFORMAT, RZ_APR_PACKED_VERSION_FIELD,
                               "the layout of packed tensors has no version number");
    if (!slice_is(layout->value, "\"" RZ_APR_PACKED_LAYOUT "\""))
        m->r->packed_version = UINT64_MAX;
    return RZ_OK;
}

static rz_status read_all(struct rz_apr_meta *m)
{
    RZ_TRY(rz_hf_strings_init(&m->h, &m->tokens));
    RZ_TRY(rz_hf_strings_init(&m->h, &m->merges));
    RZ_TRY(scan(m));
    RZ_TRY(read_packed(m));
    const struct rz_apr_field *list = rz_apr_field(m, RZ_APR_LIST_FIELD);
    if (list && list->value.data[0] == '[') {
        RZ_TRY(rz_apr_read_list(m, list));
        return rz_apr_compare_fields(m);
    }
    uint64_t n_rows = embedding_rows(m);
    m->r->file->arena.max_bytes += 48 * n_rows; /* texts of rows without a token */
    RZ_TRY(rz_apr_read_fields(m));
    return rz_apr_read_tokens(m, n_rows);
}

rz_status rz_apr_read_meta(struct rz_apr_reader *r)
{
    char dir[RZ_MAX_PATH_SHOWN + 32];
    snprintf(dir, sizeof dir, "%s: hf_config", r->label);
    struct rz_apr_meta m = {.r = r, .h = {.file = r->file, .dir = dir, .name = "", .err = r->err}};
    rz_buf_init(&m.scores, RZ_APR_MAX_META_BYTES * 2ul);
    rz_buf_init(&m.types, RZ_APR_MAX_META_BYTES * 2ul);
    r->file->arena.max_bytes += (size_t)ARENA_FACTOR * r->header.meta_len;
    rz_status status = read_all(&m);
    rz_hf_strings_fini(&m.tokens);
    rz_hf_strings_fini(&m.merges);
    rz_buf_fini(&m.scores);
    rz_buf_fini(&m.types);
    json_decref(m.h.config);
    free(m.fields);
    return status;
}
