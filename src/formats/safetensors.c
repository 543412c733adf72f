/* safetensors.c - one SafeTensors file: its header, and where its tensors lie.
 *
 * Invariant of every tensor that is added: its type is one that the library computes with, its
 * dimensions are not zero and their product and its bytes fit 63 bits, and its data lies inside the
 * file. All tensors together cover the data section without a gap or an overlap, as the format
 * asks, so a file that hides bytes or shares them is refused. Data is not aligned.
 * Source: the format's description in huggingface/safetensors (README.md), and its reference
 * implementation for the limits. */
#include "formats/safetensors.h"

#include "base/checked.h"
#include "base/fail.h"
#include "formats/json_scan.h"
#include "quant/dtype.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_SHOWN = 160 /* bytes of a tensor's name in messages */
};

/* Where a tensor lies, from the data section's start. */
struct extent {
    uint64_t begin, end;
    rz_slice name; /* as the header has it */
};

struct reader {
    struct rz_file *file;
    const struct rz_shard *shard;
    size_t data_begin;
    enum rz_st_names names;
    struct rz_json json;
    struct extent *extents;
    size_t n_extents, cap_extents;
    rz_error *err;
};

/* The tensor that is being read. */
struct entry {
    rz_slice name;
    size_t at; /* of its name, in the header's JSON */
    rz_slice dtype;
    rz_tensor t;
    uint64_t n_elements, begin, end;
    bool has_dtype, has_shape, has_offsets;
};

/* Every type of the format; those of less than a byte have bits of 0 and are refused by name. */
static const struct st_type {
    const char *name;
    uint32_t bytes;
    rz_dtype dtype; /* RZ_N_DTYPES: not computed with */
} types[] = {
    {"F32", 4, RZ_F32},
    {"F16", 2, RZ_F16},
    {"BF16", 2, RZ_BF16},
    {"F64", 8, RZ_N_DTYPES},
    {"I64", 8, RZ_N_DTYPES},
    {"U64", 8, RZ_N_DTYPES},
    {"C64", 8, RZ_N_DTYPES},
    {"I32", 4, RZ_N_DTYPES},
    {"U32", 4, RZ_N_DTYPES},
    {"I16", 2, RZ_N_DTYPES},
    {"U16", 2, RZ_N_DTYPES},
    {"I8", 1, RZ_N_DTYPES},
    {"U8", 1, RZ_N_DTYPES},
    {"BOOL", 1, RZ_N_DTYPES},
    {"F8_E4M3", 1, RZ_N_DTYPES},
    {"F8_E5M2", 1, RZ_N_DTYPES},
    {"F8_E8M0", 1, RZ_N_DTYPES},
    {"F8_E4M3FNUZ", 1, RZ_N_DTYPES},
    {"F8_E5M2FNUZ", 1, RZ_N_DTYPES},
    {"F4", 0, RZ_N_DTYPES},
    {"F6_E2M3", 0, RZ_N_DTYPES},
    {"F6_E3M2", 0, RZ_N_DTYPES},
};

static int shown(rz_slice s)
{
    return (int)rz_min_size(s.len, NAME_SHOWN);
}

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* "FILE: tensor NAME at byte AT: ..." */
#define bad(...) RZ_NOT_OK(bad_fill(__VA_ARGS__))
__attribute__((format(printf, 4, 5))) static rz_status
bad_fill(struct reader *r, const struct entry *e, rz_status code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(r->err, code, "%s: tensor %.*s at byte %zu: %s", r->shard->label, shown(e->name),
                   e->name.data, r->json.base + e->at, text);
}

/* ---- an entry of the header ---- */

static rz_status read_shape(struct reader *r, struct entry *e)
{
    size_t n = 0;
    bool more;
    for (uint32_t i = 0; i < RZ_MAX_DIMS; i++)
        e->t.shape[i] = 1;
    e->n_elements = 1;
    RZ_TRY(rz_json_open(&r->json, '['));
    for (;;) {
        uint64_t dim;
        RZ_TRY(rz_json_more(&r->json, '[', &n, &more));
        if (!more)
            break;
        if (n > RZ_MAX_DIMS)
            return bad(r, e, RZ_ELOAD, "more than %d dimensions are not supported", RZ_MAX_DIMS);
        RZ_TRY(rz_json_u64(&r->json, &dim));
        if (!rz_mul_u64(e->n_elements, dim, &e->n_elements) || e->n_elements > INT64_MAX)
            return bad(r, e, RZ_EFORMAT, "dimension %zu is %llu: more than 2^63 elements", n - 1,
                       (unsigned long long)dim);
        e->t.shape[n - 1] = dim;
    }
    e->t.n_dims = n ? (uint32_t)n : 1; /* a scalar is one element */
    return RZ_OK;
}

static rz_status read_offsets(struct reader *r, struct entry *e)
{
    size_t n = 0;
    bool more;
    uint64_t *const offsets[] = {&e->begin, &e->end};
    RZ_TRY(rz_json_open(&r->json, '['));
    for (;;) {
        RZ_TRY(rz_json_more(&r->json, '[', &n, &more));
        if (!more)
            break;
        if (n > 2)
            return bad(r, e, RZ_EFORMAT, "more than two data_offsets");
        RZ_TRY(rz_json_u64(&r->json, offsets[n - 1]));
    }
    if (n != 2)
        return bad(r, e, RZ_EFORMAT, "%zu data_offsets, must be two", n);
    return RZ_OK;
}

/* A field that the format does not have is passed over, as the reference implementation does. */
static rz_status read_fields(struct reader *r, struct entry *e)
{
    size_t n = 0;
    bool more;
    rz_slice key, ignored;
    RZ_TRY(rz_json_open(&r->json, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&r->json, '{', &n, &more));
        if (!more)
            break;
        RZ_TRY(rz_json_key(&r->json, &key));
        bool *has = slice_is(key, "dtype")          ? &e->has_dtype
                    : slice_is(key, "shape")        ? &e->has_shape
                    : slice_is(key, "data_offsets") ? &e->has_offsets
                                                    : NULL;
        if (has && *has)
            return bad(r, e, RZ_EFORMAT, "%.*s occurs twice", shown(key), key.data);
        if (has == &e->has_dtype)
            RZ_TRY(rz_json_string(&r->json, &e->dtype));
        else if (has == &e->has_shape)
            RZ_TRY(read_shape(r, e));
        else if (has == &e->has_offsets)
            RZ_TRY(read_offsets(r, e));
        else
            RZ_TRY(rz_json_skip(&r->json, &ignored));
        if (has)
            *has = true;
    }
    const char *lacks = !e->has_dtype     ? "dtype"
                        : !e->has_shape   ? "shape"
                        : !e->has_offsets ? "data_offsets"
                                          : NULL;
    return lacks ? bad(r, e, RZ_EFORMAT, "%s is missing", lacks) : RZ_OK;
}

static rz_status find_type(struct reader *r, const struct entry *e, const struct st_type **type)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(types); i++)
        if (slice_is(e->dtype, types[i].name)) {
            *type = &types[i];
            return RZ_OK;
        }
    return bad(r, e, RZ_EFORMAT, "type \"%.*s\" is unknown", shown(e->dtype), e->dtype.data);
}

/* The tensor's extent is one of the data section, and as long as type and shape say. */
static rz_status check_extent(struct reader *r, const struct entry *e, const struct st_type *type)
{
    uint64_t bytes, section = r->shard->len - r->data_begin;
    if (type->bytes == 0)
        return bad(r, e, RZ_ELOAD, "type %s is not supported (supported: F32, F16, BF16)",
                   type->name);
    if (e->begin > e->end)
        return bad(r, e, RZ_EFORMAT, "data_offsets begin at %llu and end at %llu",
                   (unsigned long long)e->begin, (unsigned long long)e->end);
    if (e->end > section)
        return bad(r, e, RZ_EFORMAT,
                   "data_offsets end at %llu of a data section of %llu bytes (the file has %zu)",
                   (unsigned long long)e->end, (unsigned long long)section, r->shard->len);
    if (!rz_mul_u64(e->n_elements, type->bytes, &bytes) || bytes != e->end - e->begin)
        return bad(r, e, RZ_EFORMAT,
                   "%llu elements of type %s do not take the %llu bytes of "
                   "data_offsets [%llu, %llu]",
                   (unsigned long long)e->n_elements, type->name,
                   (unsigned long long)(e->end - e->begin), (unsigned long long)e->begin,
                   (unsigned long long)e->end);
    return RZ_OK;
}

static rz_status note_extent(struct reader *r, const struct entry *e)
{
    if (r->n_extents == r->cap_extents) {
        size_t cap = r->cap_extents ? r->cap_extents * 2 : 64;
        struct extent *extents = realloc(r->extents, cap * sizeof *extents);
        if (!extents)
            return rz_fail_nomem(r->err, cap * sizeof *extents, "tensor extents");
        r->extents = extents;
        r->cap_extents = cap;
    }
    r->extents[r->n_extents++] = (struct extent){e->begin, e->end, e->name};
    return RZ_OK;
}

/* ---- from an entry to a tensor ---- */

static rz_status keep_tensor(struct reader *r, const struct entry *e)
{
    if (r->file->n_tensors >= RZ_MAX_TENSORS)
        return bad(r, e, RZ_EFORMAT, "more than the %d tensors that are supported", RZ_MAX_TENSORS);
    switch (rz_file_add_tensor(r->file, &e->t)) {
    case RZ_ADD_DUPLICATE:
        return bad(r, e, RZ_EFORMAT, "the name occurs twice");
    case RZ_ADD_CROWDED:
        return bad(r, e, RZ_EFORMAT, "too many names that hash alike");
    case RZ_ADD_NOMEM:
        return rz_fail_nomem(r->err, sizeof e->t, "tensors");
    case RZ_ADDED:
        break;
    }
    return RZ_OK;
}

static rz_status add_weight(struct reader *r, struct entry *e, const struct st_type *type,
                            const char *name)
{
    if (type->dtype == RZ_N_DTYPES)
        return bad(r, e, RZ_ELOAD, "type %s is not supported (supported: F32, F16, BF16)",
                   type->name);
    if (e->n_elements == 0)
        return bad(r, e, RZ_EFORMAT, "a dimension is 0");
    e->t.name = rz_arena_strdup(&r->file->arena, name, strlen(name));
    if (!e->t.name)
        return rz_fail_nomem(r->err, strlen(name) + 1, "a tensor's name");
    e->t.dtype = type->dtype;
    e->t.file_offset = r->data_begin + e->begin;
    e->t.data = r->shard->data + e->t.file_offset;
    e->t.mapped = r->shard->map.data != NULL;
    e->t.n_bytes = e->end - e->begin;
    return keep_tensor(r, e);
}

static rz_status add_as_is(struct reader *r, struct entry *e, const struct st_type *type,
                           rz_slice text)
{
    char name[RZ_MAX_TENSOR_NAME_BYTES + 1];
    if (text.len == 0 || memchr(text.data, '\0', text.len))
        return bad(r, e, RZ_EFORMAT, "a name that is empty or holds a zero byte");
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.data);
    return add_weight(r, e, type, name);
}

static rz_status add_named(struct reader *r, struct entry *e, const struct st_type *type)
{
    char decoded[RZ_MAX_TENSOR_NAME_BYTES], name[RZ_MAX_TENSOR_NAME_BYTES + 1];
    if (e->name.len > sizeof decoded)
        return bad(r, e, RZ_EFORMAT, "a name of %zu bytes, at most %d are supported", e->name.len,
                   RZ_MAX_TENSOR_NAME_BYTES);
    size_t len = rz_json_unescape(e->name, decoded);
    const rz_slice text = {.data = decoded, .len = len};
    if (r->names == RZ_ST_AS_IS)
        return add_as_is(r, e, type, text);
    if (r->names == RZ_ST_TIED && slice_is(text, "lm_head.weight"))
        return RZ_OK;
    switch (rz_st_gguf_name(text, name)) {
    case RZ_ST_NAMED:
        return add_weight(r, e, type, name);
    case RZ_ST_IGNORED:
        return RZ_OK;
    case RZ_ST_EXPERT:
        return bad(r, e, RZ_ELOAD,
                   "a mixture of experts is not supported from SafeTensors, where "
                   "each expert is a tensor of its own (convert it to GGUF)");
    case RZ_ST_UNKNOWN:
        break;
    }
    return bad(r, e, RZ_ELOAD, "no supported architecture has a tensor of this name");
}

static rz_status read_entry(struct reader *r, struct entry *e)
{
    const struct st_type *type = NULL;
    RZ_TRY(read_fields(r, e));
    RZ_TRY(find_type(r, e, &type));
    RZ_TRY(check_extent(r, e, type));
    RZ_TRY(note_extent(r, e));
    return add_named(r, e, type);
}

/* ---- the header ---- */

/* "__metadata__": an object of strings, of no meaning for the weights. */
static rz_status check_metadata(struct reader *r)
{
    size_t n = 0;
    bool more;
    rz_slice key, value;
    RZ_TRY(rz_json_open(&r->json, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&r->json, '{', &n, &more));
        if (!more)
            return RZ_OK;
        RZ_TRY(rz_json_key(&r->json, &key));
        if (rz_json_peek(&r->json) != '"')
            return rz_json_bad(&r->json, r->json.pos, "__metadata__ has a value that is no string");
        RZ_TRY(rz_json_string(&r->json, &value));
    }
}

static rz_status read_header(struct reader *r)
{
    size_t n = 0;
    bool more, has_metadata = false;
    RZ_TRY(rz_json_open(&r->json, '{'));
    for (;;) {
        struct entry e = {0};
        RZ_TRY(rz_json_more(&r->json, '{', &n, &more));
        if (!more)
            break;
        rz_json_peek(&r->json);
        e.at = r->json.pos;
        RZ_TRY(rz_json_key(&r->json, &e.name));
        if (!slice_is(e.name, "__metadata__")) {
            RZ_TRY(read_entry(r, &e));
            continue;
        }
        if (has_metadata)
            return rz_json_bad(&r->json, e.at, "__metadata__ occurs twice");
        has_metadata = true;
        RZ_TRY(check_metadata(r));
    }
    return rz_json_end(&r->json);
}

static int by_begin(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end; /* those without bytes first */
}

static rz_status check_cover(struct reader *r)
{
    uint64_t at = 0, section = r->shard->len - r->data_begin;
    if (r->n_extents > 1)
        qsort(r->extents, r->n_extents, sizeof *r->extents, by_begin);
    for (size_t i = 0; i < r->n_extents; i++) {
        const struct extent *x = &r->extents[i];
        if (x->begin != at)
            return rz_fail(r->err, RZ_EFORMAT,
                           "%s: tensor %.*s begins at byte %llu, %s byte %llu where the tensors "
                           "before it end",
                           r->shard->label, shown(x->name), x->name.data,
                           (unsigned long long)(r->data_begin + x->begin),
                           x->begin < at ? "before" : "after",
                           (unsigned long long)(r->data_begin + at));
        at = x->end;
    }
    if (at != section)
        return rz_fail(r->err, RZ_EFORMAT,
                       "%s: the last tensor ends at byte %llu, the file at byte %zu",
                       r->shard->label, (unsigned long long)(r->data_begin + at), r->shard->len);
    return RZ_OK;
}

/* Sets data_begin and the header's JSON. */
static rz_status read_prefix(struct reader *r)
{
    const char *label = r->shard->label;
    uint64_t header;
    size_t len = r->shard->len;
    if (len < RZ_ST_PREFIX_BYTES)
        return rz_fail(r->err, RZ_EFORMAT,
                       "%s: header length at byte 0: needs 8 bytes, the file ends at %zu", label,
                       len);
    memcpy(&header, r->shard->data, sizeof header);
    if (header > RZ_ST_MAX_HEADER_BYTES)
        return rz_fail(r->err, RZ_EFORMAT, "%s: header length at byte 0: %llu, at most %d", label,
                       (unsigned long long)header, RZ_ST_MAX_HEADER_BYTES);
    if (header > len - RZ_ST_PREFIX_BYTES)
        return rz_fail(r->err, RZ_EFORMAT,
                       "%s: header length at byte 0: %llu, the file ends at %zu", label,
                       (unsigned long long)header, len);
    r->data_begin = RZ_ST_PREFIX_BYTES + (size_t)header;
    r->json = (struct rz_json){.data = (const char *)r->shard->data + RZ_ST_PREFIX_BYTES,
                               .len = (size_t)header,
                               .label = label,
                               .base = RZ_ST_PREFIX_BYTES,
                               .err = r->err};
    if (header == 0 || r->json.data[0] != '{')
        return rz_json_bad(&r->json, 0, "the header does not begin with '{'");
    return RZ_OK;
}

rz_status rz_st_read_shard(struct rz_file *file, uint32_t i_shard, enum rz_st_names names,
                           rz_error *err)
{
    struct reader r = {.file = file, .shard = &file->shards[i_shard], .names = names, .err = err};
    rz_status status = read_prefix(&r);
    if (!status)
        status = read_header(&r);
    if (!status)
        status = check_cover(&r);
    free(r.extents);
    return status;
}

rz_status rz_st_open_memory(rz_file **out, const char *name, const void *data, size_t len,
                            enum rz_st_names names, rz_error *err)
{
    struct rz_file *file;
    RZ_TRY(rz_file_new(&file, name, err));
    file->format = "SafeTensors";
    rz_status status = rz_file_borrow_shard(file, name, data, len, err);
    if (!status)
        status = rz_st_read_shard(file, 0, names, err);
    if (status)
        rz_file_close(&file);
    else
        rz_file_seal(file);
    *out = file;
    return status;
}

bool rz_st_probe(const uint8_t *data, size_t len)
{
    /* A length below 2^56: its last byte is 0, as no byte of a text is. */
    return len > RZ_ST_PREFIX_BYTES && data[RZ_ST_PREFIX_BYTES - 1] == 0 &&
           data[RZ_ST_PREFIX_BYTES] == '{';
}
