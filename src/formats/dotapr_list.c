/* dotapr_list.c - "gguf_metadata" of an .apr file: every metadata entry with its type, in order.
 *
 *     [["general.architecture","string","qwen2"], ["qwen2.block_count","u32",24],
 *      ["tokenizer.ggml.tokens","[string]",{"field":"tokenizer.vocabulary"}], ...]
 *
 * A type in brackets is an array of it. {"field":NAME} stands for the value of another field of the
 * metadata, so that nothing large stands twice; {"hex":DIGITS} for a string that is not UTF-8; a
 * string in place of a float for the bits of an infinity or a NaN. Ours; other readers pass over
 * it. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr_meta.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
    struct rz_apr_meta *m;
    struct rz_json j;
};

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static bool find_type(rz_slice name, rz_meta_type *type, bool *array)
{
    *array = name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']';
    if (*array)
        name = (rz_slice){.data = name.data + 1, .len = name.len - 2};
    for (int t = 0; t < RZ_N_META_TYPES; t++)
        if (t != RZ_META_ARRAY && slice_is(name, rz_meta_type_name((rz_meta_type)t))) {
            *type = (rz_meta_type)t;
            return true;
        }
    return false;
}

/* ---- numbers ---- */

/* Inclusive limits of the integer types but u64. */
static const struct {
    int64_t min, max;
} limits[RZ_N_META_TYPES] = {
    [RZ_META_U8] = {0, UINT8_MAX},          [RZ_META_I8] = {INT8_MIN, INT8_MAX},
    [RZ_META_U16] = {0, UINT16_MAX},        [RZ_META_I16] = {INT16_MIN, INT16_MAX},
    [RZ_META_U32] = {0, UINT32_MAX},        [RZ_META_I32] = {INT32_MIN, INT32_MAX},
    [RZ_META_I64] = {INT64_MIN, INT64_MAX},
};

/* "0x7f800000": the bits. */
static bool float_bits(rz_slice value, size_t bytes, uint64_t *bits)
{
    char text[24];
    if (value.len != 2 + 2 + 2 * bytes || memcmp(value.data, "\"0x", 3) != 0)
        return false;
    memcpy(text, value.data + 3, 2 * bytes);
    text[2 * bytes] = '\0';
    if (strspn(text, "0123456789abcdef") != 2 * bytes)
        return false;
    *bits = strtoull(text, NULL, 16);
    return true;
}

static bool number_bits(rz_slice value, rz_meta_type type, uint64_t *bits)
{
    int64_t i;
    double f;
    float single;
    bool b;
    switch (type) {
    case RZ_META_F32:
        if (float_bits(value, 4, bits))
            return true;
        if (!rz_apr_to_f64(value, &f) || !isfinite((float)f))
            return false;
        single = (float)f;
        *bits = 0;
        memcpy(bits, &single, sizeof single);
        return true;
    case RZ_META_F64:
        if (float_bits(value, 8, bits))
            return true;
        if (!rz_apr_to_f64(value, &f))
            return false;
        memcpy(bits, &f, sizeof f);
        return true;
    case RZ_META_BOOL:
        if (!rz_apr_to_bool(value, &b))
            return false;
        *bits = b;
        return true;
    case RZ_META_U64:
        return rz_apr_to_u64(value, bits);
    default:
        if (!rz_apr_to_i64(value, &i) || i < limits[type].min || i > limits[type].max)
            return false;
        *bits = (uint64_t)i;
        return true;
    }
}

static rz_status read_number(struct list *l, rz_meta_type type, struct rz_buf *out)
{
    rz_slice value;
    uint64_t bits = 0;
    rz_json_peek(&l->j);
    size_t at = l->j.pos;
    RZ_TRY(rz_json_skip(&l->j, &value));
    if (!number_bits(value, type, &bits))
        return rz_json_bad(&l->j, at, "%.*s is not of type %s", (int)rz_min_size(value.len, 40),
                           value.data, rz_meta_type_name(type));
    if (!rz_buf_add(out, &bits, rz_meta_elem_bytes(type)))
        return rz_fail_nomem(l->m->r->err, out->len, "metadata");
    return RZ_OK;
}

/* ---- strings ---- */

/* The one field of an object, a string: {"field": ...}, {"hex": ...}. */
static rz_status read_special(struct list *l, const char *name, rz_slice *raw)
{
    size_t n = 0, at = l->j.pos;
    bool more;
    rz_slice key;
    RZ_TRY(rz_json_open(&l->j, '{'));
    RZ_TRY(rz_json_more(&l->j, '{', &n, &more));
    if (more) {
        RZ_TRY(rz_json_key(&l->j, &key));
        if (!slice_is(key, name))
            return rz_json_bad(&l->j, at, "an object that is no {\"%s\": ...}", name);
        RZ_TRY(rz_json_string(&l->j, raw));
        RZ_TRY(rz_json_more(&l->j, '{', &n, &more));
    }
    if (n != 1 || more)
        return rz_json_bad(&l->j, at, "an object that is no {\"%s\": ...}", name);
    return RZ_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static rz_status read_string(struct list *l, struct rz_hf_strings *out)
{
    rz_slice raw = {0};
    rz_hf_strings_begin(out);
    if (rz_json_peek(&l->j) != '{') {
        RZ_TRY(rz_json_string(&l->j, &raw));
        rz_hf_strings_raw(out, raw);
        return rz_hf_strings_end(&l->m->h, out);
    }
    size_t at = l->j.pos;
    RZ_TRY(read_special(l, "hex", &raw));
    for (size_t i = 0; i < raw.len; i += 2) {
        int high = hex_digit(raw.data[i]), low = i + 1 < raw.len ? hex_digit(raw.data[i + 1]) : -1;
        if (high < 0 || low < 0)
            return rz_json_bad(&l->j, at, "not pairs of hexadecimal digits");
        char byte = (char)((unsigned)high << 4 | (unsigned)low);
        rz_hf_strings_text(out, &byte, 1);
    }
    return rz_hf_strings_end(&l->m->h, out);
}

/* ---- entries ---- */

/* An array whose elements another field holds. */
static rz_status put_field(struct list *l, rz_slice key, rz_meta_type type, rz_slice name,
                           size_t at)
{
    struct rz_apr_meta *m = l->m;
    const struct {
        const char *name;
        rz_meta_type type;
        bool *has;
        const struct rz_hf_strings *strings;
        const struct rz_buf *numbers;
    } arrays[] = {
        {"tokenizer.vocabulary", RZ_META_STRING, &m->has_tokens, &m->tokens, NULL},
        {"tokenizer.merges", RZ_META_STRING, &m->has_merges, &m->merges, NULL},
        {"tokenizer.scores", RZ_META_F32, &m->has_scores, NULL, &m->scores},
        {"tokenizer.token_type", RZ_META_I32, &m->has_types, NULL, &m->types},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(arrays); i++) {
        if (!slice_is(name, arrays[i].name) || type != arrays[i].type || !*arrays[i].has)
            continue;
        *arrays[i].has = false; /* once: entries that all mean one array would multiply it */
        return arrays[i].strings ? rz_apr_put_strings(m, key, arrays[i].strings)
                                 : rz_apr_put_numbers(m, key, type, arrays[i].numbers);
    }
    return rz_json_bad(&l->j, at, "field %.*s is not there, not of that type, or used before",
                       (int)rz_min_size(name.len, 80), name.data);
}

static rz_status read_array(struct list *l, rz_slice key, rz_meta_type type)
{
    struct rz_apr_meta *m = l->m;
    size_t n = 0;
    bool more = true;
    struct rz_buf numbers;
    struct rz_hf_strings strings;
    if (rz_json_peek(&l->j) == '{') {
        rz_slice name = {NULL, 0};
        size_t at = l->j.pos;
        RZ_TRY(read_special(l, "field", &name));
        return put_field(l, key, type, name, at);
    }
    rz_buf_init(&numbers, RZ_APR_MAX_META_BYTES * 8ul);
    rz_status status = rz_hf_strings_init(&m->h, &strings);
    if (!status)
        status = rz_json_open(&l->j, '[');
    while (!status && more) {
        status = rz_json_more(&l->j, '[', &n, &more);
        if (!status && more)
            status =
                type == RZ_META_STRING ? read_string(l, &strings) : read_number(l, type, &numbers);
    }
    if (!status)
        status = type == RZ_META_STRING ? rz_apr_put_strings(m, key, &strings)
                                        : rz_apr_put_numbers(m, key, type, &numbers);
    rz_buf_fini(&numbers);
    rz_hf_strings_fini(&strings);
    return status;
}

/* {"field": ...} of a single string: only the chat template. */
static rz_status put_template(struct list *l, rz_slice key)
{
    rz_slice name = {NULL, 0}, text;
    size_t at = l->j.pos;
    RZ_TRY(read_special(l, "field", &name));
    struct rz_apr_field *f =
        slice_is(name, "chat_template") ? rz_apr_field(l->m, "chat_template") : NULL;
    if (!f || !rz_apr_is_string(f->value))
        return rz_json_bad(&l->j, at, "field %.*s is not there, no string, or used before",
                           (int)rz_min_size(name.len, 80), name.data);
    RZ_TRY(rz_apr_to_text(l->m, f->value, &text));
    f->value = (rz_slice){.data = "null", .len = 4};
    char *key_text = rz_arena_strdup(&l->m->r->file->arena, key.data, key.len);
    if (!key_text)
        return rz_fail_nomem(l->m->r->err, key.len, "metadata");
    return rz_apr_put_text(l->m, key_text, text);
}

/* Does an object stand here whose first field is name? */
static bool is_special(const struct list *l, const char *name)
{
    struct list peek = {.m = l->m, .j = l->j};
    rz_error ignored;
    rz_slice raw;
    peek.j.err = &ignored;
    return read_special(&peek, name, &raw) == RZ_OK;
}

static rz_status read_scalar(struct list *l, rz_slice key, rz_meta_type type)
{
    struct rz_apr_put put = {.type = type, .elem_type = type, .count = 1};
    struct rz_buf number;
    struct rz_hf_strings string;
    if (type == RZ_META_STRING && rz_json_peek(&l->j) == '{' && is_special(l, "field"))
        return put_template(l, key);
    rz_buf_init(&number, 8);
    rz_status status = rz_hf_strings_init(&l->m->h, &string);
    if (!status)
        status = type == RZ_META_STRING ? read_string(l, &string) : read_number(l, type, &number);
    put.bytes = type == RZ_META_STRING ? string.bytes.data : number.data;
    put.n_bytes = type == RZ_META_STRING ? string.bytes.len : number.len;
    if (!status)
        status = rz_apr_put(l->m, key, &put);
    rz_buf_fini(&number);
    rz_hf_strings_fini(&string);
    return status;
}

static rz_status read_key(struct list *l, rz_slice *key)
{
    rz_slice raw;
    rz_json_peek(&l->j);
    size_t at = l->j.pos;
    RZ_TRY(rz_json_string(&l->j, &raw));
    char *text = rz_arena_alloc(&l->m->r->file->arena, raw.len + 1, 1);
    if (!text)
        return rz_fail_nomem(l->m->r->err, raw.len, "metadata");
    *key = (rz_slice){.data = text, .len = rz_json_unescape(raw, text)};
    if (key->len == 0 || key->len > RZ_MAX_KEY_BYTES)
        return rz_json_bad(&l->j, at, "a key of %zu bytes, must be 1 to %d", key->len,
                           RZ_MAX_KEY_BYTES);
    for (size_t i = 0; i < key->len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return rz_json_bad(&l->j, at, "a key with a control character");
    return RZ_OK;
}

static rz_status read_entry(struct list *l)
{
    size_t n = 0, at = l->j.pos;
    bool more, array;
    rz_slice key, name;
    rz_meta_type type;
    RZ_TRY(rz_json_open(&l->j, '['));
    RZ_TRY(rz_json_more(&l->j, '[', &n, &more));
    if (!more)
        return rz_json_bad(&l->j, at, "an entry without a key");
    RZ_TRY(read_key(l, &key));
    RZ_TRY(rz_json_more(&l->j, '[', &n, &more));
    if (!more)
        return rz_json_bad(&l->j, at, "an entry without a type");
    RZ_TRY(rz_json_string(&l->j, &name));
    if (!find_type(name, &type, &array))
        return rz_json_bad(&l->j, at, "\"%.*s\" is no type", (int)rz_min_size(name.len, 40),
                           name.data);
    RZ_TRY(rz_json_more(&l->j, '[', &n, &more));
    if (!more)
        return rz_json_bad(&l->j, at, "an entry without a value");
    RZ_TRY(array ? read_array(l, key, type) : read_scalar(l, key, type));
    RZ_TRY(rz_json_more(&l->j, '[', &n, &more));
    if (more)
        return rz_json_bad(&l->j, at, "an entry of more than three parts");
    return RZ_OK;
}

rz_status rz_apr_read_list(struct rz_apr_meta *m, const struct rz_apr_field *field)
{
    struct list l = {.m = m, .j = rz_apr_scan(m, field->value)};
    size_t n = 0;
    bool more;
    RZ_TRY(rz_json_open(&l.j, '['));
    for (;;) {
        RZ_TRY(rz_json_more(&l.j, '[', &n, &more));
        if (!more)
            return RZ_OK;
        rz_json_peek(&l.j);
        RZ_TRY(read_entry(&l));
    }
}
