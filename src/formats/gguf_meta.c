/* gguf_meta.c - the metadata section: every entry is walked once, checked, and left where it is.
 *
 * Arrays of strings get an index of where each begins: four bytes per string, of which each takes
 * at least eight in the file. Arrays of arrays are checked to a depth limit; their elements have no
 * accessor. String values of arrays may hold any bytes (old conversions cut tokens inside UTF-8
 * sequences); keys and single strings must be UTF-8. */
#include "base/checked.h"
#include "base/fail.h"
#include "base/utf8.h"
#include "formats/gguf.h"

#include <stdio.h>
#include <string.h>

enum {
    FIELD_BYTES = 128 /* of a field's name in messages */
};

struct array {
    uint32_t elem_type;
    uint64_t count;
    const uint8_t *data;
};

/* count strings, noting where each begins from r->data + base if starts is not NULL. */
static rz_status walk_strings(struct gguf_reader *r, const char *field, uint64_t count,
                              uint32_t *starts)
{
    size_t base = r->pos;
    for (uint64_t i = 0; i < count; i++) {
        size_t at = r->pos, left = r->len - at;
        uint64_t len = 0;
        if (left >= sizeof len)
            memcpy(&len, r->data + at, sizeof len);
        if (left < sizeof len || len > left - sizeof len)
            return rz_gguf_bad(
                r, at, field, "string %llu of %llu (length %llu) ends after the file's %zu bytes",
                (unsigned long long)i, (unsigned long long)count, (unsigned long long)len, r->len);
        if (at - base > UINT32_MAX)
            return rz_gguf_bad(r, at, field, "an array of strings above 4 GiB is not supported");
        if (starts)
            starts[i] = (uint32_t)(at - base);
        r->pos = at + sizeof len + len;
    }
    return RZ_OK;
}

static rz_status check_bools(struct gguf_reader *r, const char *field, const uint8_t *data,
                             uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (data[i] > 1)
            return rz_gguf_bad(r, (size_t)(data - r->data) + i, field,
                               "a bool is %u, must be 0 or 1", data[i]);
    return RZ_OK;
}

/* Element type and count, checked against the bytes that are left; pos is then at the elements. */
static rz_status array_header(struct gguf_reader *r, const char *field, struct array *a)
{
    size_t at = r->pos;
    RZ_TRY(rz_gguf_u32(r, field, &a->elem_type));
    if (a->elem_type >= RZ_N_META_TYPES)
        return rz_gguf_bad(r, at, field, "array element type %u is unknown", a->elem_type);
    at = r->pos;
    RZ_TRY(rz_gguf_u64(r, field, &a->count));
    size_t min_bytes = rz_meta_elem_bytes(a->elem_type);
    if (a->elem_type == RZ_META_STRING)
        min_bytes = 8;
    else if (a->elem_type == RZ_META_ARRAY)
        min_bytes = 12;
    if (a->count > (r->len - r->pos) / min_bytes)
        return rz_gguf_bad(r, at, field, "array of %llu %s ends after the file's %zu bytes",
                           (unsigned long long)a->count, rz_meta_type_name(a->elem_type), r->len);
    a->data = r->data + r->pos;
    return RZ_OK;
}

/* Numbers and bools of an array whose size array_header has checked. */
static rz_status skip_fixed(struct gguf_reader *r, const char *field, const struct array *a)
{
    r->pos += a->count * rz_meta_elem_bytes(a->elem_type);
    if (a->elem_type == RZ_META_BOOL)
        return check_bools(r, field, a->data, a->count);
    return RZ_OK;
}

/* Arrays inside an array: checked, not kept. Every level takes 12 bytes of the file per array, so
 * the work is bounded by its size. */
static rz_status walk_nested(struct gguf_reader *r, const char *field, uint64_t count, int depth)
{
    if (depth > GGUF_MAX_ARRAY_DEPTH)
        return rz_gguf_bad(r, r->pos, field, "arrays nested deeper than %d", GGUF_MAX_ARRAY_DEPTH);
    for (uint64_t i = 0; i < count; i++) {
        struct array a;
        RZ_TRY(array_header(r, field, &a));
        if (a.elem_type == RZ_META_ARRAY)
            RZ_TRY(walk_nested(r, field, a.count, depth + 1));
        else if (a.elem_type == RZ_META_STRING)
            RZ_TRY(walk_strings(r, field, a.count, NULL));
        else
            RZ_TRY(skip_fixed(r, field, &a));
    }
    return RZ_OK;
}

static rz_status read_array(struct gguf_reader *r, const char *field, struct rz_meta_entry *entry)
{
    struct array a;
    RZ_TRY(array_header(r, field, &a));
    entry->pub.elem_type = a.elem_type;
    entry->pub.count = a.count;
    entry->data = a.data;
    if (a.elem_type == RZ_META_ARRAY)
        return walk_nested(r, field, a.count, 2);
    if (a.elem_type != RZ_META_STRING)
        return skip_fixed(r, field, &a);
    uint32_t *starts = rz_arena_alloc(&r->file->arena, a.count, sizeof *starts);
    if (!starts)
        return rz_fail_nomem(r->err, a.count * sizeof *starts, field);
    entry->starts = starts;
    return walk_strings(r, field, a.count, starts);
}

static rz_status read_string(struct gguf_reader *r, const char *field)
{
    uint64_t len;
    const uint8_t *bytes;
    size_t at = r->pos;
    RZ_TRY(rz_gguf_u64(r, field, &len));
    if (len > r->len - r->pos)
        return rz_gguf_bad(r, at, field, "string length %llu, the file ends at %zu",
                           (unsigned long long)len, r->len);
    RZ_TRY(rz_gguf_take(r, len, field, &bytes));
    size_t valid = rz_utf8_valid((const char *)bytes, len);
    if (valid != len)
        return rz_gguf_bad(r, at + sizeof len + valid, field, "not UTF-8");
    return RZ_OK;
}

static rz_status read_value(struct gguf_reader *r, const char *field, struct rz_meta_entry *entry)
{
    size_t at = r->pos;
    uint32_t type;
    RZ_TRY(rz_gguf_u32(r, field, &type));
    if (type >= RZ_N_META_TYPES)
        return rz_gguf_bad(r, at, field, "value type %u is unknown", type);
    entry->file_offset = r->pos;
    entry->data = r->data + r->pos;
    entry->pub.type = type;
    entry->pub.elem_type = type;
    entry->pub.count = 1;
    if (type == RZ_META_ARRAY)
        return read_array(r, field, entry);
    if (type == RZ_META_STRING)
        return read_string(r, field);
    const uint8_t *bytes;
    RZ_TRY(rz_gguf_take(r, rz_meta_elem_bytes(type), field, &bytes));
    return type == RZ_META_BOOL ? check_bools(r, field, bytes, 1) : RZ_OK;
}

static bool key_is(const struct rz_meta_entry *entry, const char *key)
{
    return entry->pub.key.len == strlen(key) &&
           memcmp(entry->pub.key.data, key, entry->pub.key.len) == 0;
}

/* rz_meta_int before the file is sealed. */
static int64_t int_value(const struct rz_meta_entry *entry)
{
    rz_meta meta = entry->pub;
    meta.impl = entry;
    return rz_meta_int(&meta, 0);
}

static rz_status set_alignment(struct gguf_reader *r, const struct rz_meta_entry *entry)
{
    static const char field[] = "key general.alignment";
    size_t at = entry->file_offset;
    if (entry->pub.type != RZ_META_U32)
        return rz_gguf_bad(r, at, field, "of type %s, must be u32",
                           rz_meta_type_name(entry->pub.type));
    int64_t n = int_value(entry);
    if (n < GGUF_MIN_ALIGNMENT || n > GGUF_MAX_ALIGNMENT || (n & (n - 1)) != 0)
        return rz_gguf_bad(r, at, field, "%lld, must be a power of two from %d to %d", (long long)n,
                           GGUF_MIN_ALIGNMENT, GGUF_MAX_ALIGNMENT);
    r->alignment = (uint64_t)n;
    return RZ_OK;
}

/* llama.cpp writes split.no and split.count as u16, split.tensors.count as i32; any integer type
 * will do. */
static rz_status set_split(struct gguf_reader *r, const struct rz_meta_entry *entry,
                           const char *field, int64_t max, uint64_t *value)
{
    rz_meta_type type = entry->pub.type;
    bool is_integer = type <= RZ_META_I32 || type == RZ_META_U64 || type == RZ_META_I64;
    if (!is_integer)
        return rz_gguf_bad(r, entry->file_offset, field, "of type %s, must be an integer",
                           rz_meta_type_name(type));
    int64_t n = int_value(entry);
    if (n < 0 || n > max)
        return rz_gguf_bad(r, entry->file_offset, field, "%lld, must be 0 to %lld", (long long)n,
                           (long long)max);
    *value = (uint64_t)n;
    return RZ_OK;
}

static rz_status note_special(struct gguf_reader *r, const struct rz_meta_entry *entry)
{
    uint64_t value;
    if (key_is(entry, "general.alignment"))
        return set_alignment(r, entry);
    if (key_is(entry, "split.no")) {
        RZ_TRY(set_split(r, entry, "key split.no", UINT16_MAX, &value));
        r->split_no = (uint32_t)value;
    } else if (key_is(entry, "split.count")) {
        RZ_TRY(set_split(r, entry, "key split.count", UINT16_MAX, &value));
        r->split_count = (uint32_t)value;
    } else if (key_is(entry, "split.tensors.count")) {
        RZ_TRY(set_split(r, entry, "key split.tensors.count", INT32_MAX, &r->split_tensors));
    }
    return RZ_OK;
}

static rz_status keep_entry(struct gguf_reader *r, size_t at, const char *field,
                            const struct rz_meta_entry *entry)
{
    switch (rz_file_add_meta(r->file, entry)) {
    case RZ_ADD_DUPLICATE:
        return rz_gguf_bad(r, at, field, "the key occurs twice");
    case RZ_ADD_CROWDED:
        return rz_gguf_bad(r, at, field, "too many keys that hash alike");
    case RZ_ADD_NOMEM:
        return rz_fail_nomem(r->err, sizeof *entry, "metadata");
    case RZ_ADDED:
        break;
    }
    return RZ_OK;
}

rz_status rz_gguf_read_meta(struct gguf_reader *r, bool keep)
{
    for (uint64_t i = 0; i < r->n_meta; i++) {
        char field[FIELD_BYTES];
        struct rz_meta_entry entry = {0};
        size_t at = r->pos;
        snprintf(field, sizeof field, "key %llu of %llu", (unsigned long long)i,
                 (unsigned long long)r->n_meta);
        RZ_TRY(rz_gguf_name(r, RZ_MAX_KEY_BYTES, field, &entry.pub.key));
        snprintf(field, sizeof field, "key %.*s", (int)entry.pub.key.len, entry.pub.key.data);
        RZ_TRY(read_value(r, field, &entry));
        RZ_TRY(note_special(r, &entry));
        if (keep)
            RZ_TRY(keep_entry(r, at, field, &entry));
    }
    return RZ_OK;
}
