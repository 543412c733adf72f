/* meta.c - reading metadata values: elements, and getters that refuse another type.
 *
 * Values lie unaligned and little-endian in the mapping; nothing is converted when a file opens.
 * Source: the GGUF specification's metadata value types. */
#include "base/fail.h"
#include "formats/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t bytes;
} types[RZ_N_META_TYPES] = {
    [RZ_META_U8] = {"u8", 1},       [RZ_META_I8] = {"i8", 1},     [RZ_META_U16] = {"u16", 2},
    [RZ_META_I16] = {"i16", 2},     [RZ_META_U32] = {"u32", 4},   [RZ_META_I32] = {"i32", 4},
    [RZ_META_F32] = {"f32", 4},     [RZ_META_BOOL] = {"bool", 1}, [RZ_META_STRING] = {"string", 0},
    [RZ_META_ARRAY] = {"array", 0}, [RZ_META_U64] = {"u64", 8},   [RZ_META_I64] = {"i64", 8},
    [RZ_META_F64] = {"f64", 8},
};

const char *rz_meta_type_name(rz_meta_type type)
{
    RZ_ASSERT(type < RZ_N_META_TYPES);
    return types[type].name;
}

size_t rz_meta_elem_bytes(uint32_t type)
{
    return type < RZ_N_META_TYPES ? types[type].bytes : 0;
}

/* Element i's bits, zero-extended. */
static uint64_t load(const rz_meta *meta, uint64_t i)
{
    const struct rz_meta_entry *entry = meta->impl;
    size_t size = types[meta->elem_type].bytes;
    RZ_ASSERT(i < meta->count && size > 0);
    uint64_t bits = 0;
    memcpy(&bits, entry->data + i * size, size);
    return bits;
}

static bool is_integer(rz_meta_type type)
{
    return type <= RZ_META_I32 || type == RZ_META_U64 || type == RZ_META_I64;
}

int64_t rz_meta_int(const rz_meta *meta, uint64_t i)
{
    uint64_t bits = load(meta, i);
    switch (meta->elem_type) {
    case RZ_META_I8:
        return (int8_t)bits;
    case RZ_META_I16:
        return (int16_t)bits;
    case RZ_META_I32:
        return (int32_t)bits;
    case RZ_META_U64:
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    default:
        RZ_ASSERT(is_integer(meta->elem_type) || meta->elem_type == RZ_META_BOOL);
        return (int64_t)bits;
    }
}

double rz_meta_float(const rz_meta *meta, uint64_t i)
{
    if (meta->elem_type == RZ_META_F32) {
        uint32_t bits = (uint32_t)load(meta, i);
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    if (meta->elem_type == RZ_META_F64) {
        uint64_t bits = load(meta, i);
        double d;
        memcpy(&d, &bits, sizeof d);
        return d;
    }
    if (meta->elem_type == RZ_META_U64)
        return (double)load(meta, i);
    return (double)rz_meta_int(meta, i);
}

rz_slice rz_meta_string(const rz_meta *meta, uint64_t i)
{
    const struct rz_meta_entry *entry = meta->impl;
    RZ_ASSERT(meta->elem_type == RZ_META_STRING && i < meta->count);
    const uint8_t *at = entry->data + (entry->starts ? entry->starts[i] : 0);
    uint64_t len;
    memcpy(&len, at, sizeof len);
    return (rz_slice){.data = (const char *)at + sizeof len, .len = len};
}

/* ---- getters ---- */

static void describe(const rz_meta *meta, char *out, size_t size)
{
    if (meta->type == RZ_META_ARRAY)
        snprintf(out, size, "an array of %s", types[meta->elem_type].name);
    else
        snprintf(out, size, "of type %s", types[meta->type].name);
}

static rz_status refuse(const rz_file *file, const rz_meta *meta, const char *wanted, rz_error *err)
{
    const struct rz_meta_entry *entry = meta->impl;
    char is[64];
    describe(meta, is, sizeof is);
    return rz_fail(err, RZ_EFORMAT, "%s: key %.*s at byte %llu is %s, must be %s",
                   file->shards[0].label, (int)meta->key.len, meta->key.data,
                   (unsigned long long)entry->file_offset, is, wanted);
}

/* *meta is the entry, or NULL when it is absent and may be. */
static rz_status find(const rz_file *file, const char *key, const rz_meta **meta, bool *found,
                      rz_error *err)
{
    *meta = rz_file_meta(file, key);
    if (!*meta && !found)
        return rz_fail(err, RZ_EFORMAT, "%s: key %s is missing", file->shards[0].label, key);
    if (found)
        *found = *meta != NULL;
    return RZ_OK;
}

static rz_status refuse_value(const rz_file *file, const rz_meta *meta, const char *wanted,
                              rz_error *err)
{
    const struct rz_meta_entry *entry = meta->impl;
    char value[40];
    if (meta->type == RZ_META_F32 || meta->type == RZ_META_F64)
        snprintf(value, sizeof value, "%g", rz_meta_float(meta, 0));
    else if (meta->type == RZ_META_U64)
        snprintf(value, sizeof value, "%llu", (unsigned long long)load(meta, 0));
    else
        snprintf(value, sizeof value, "%lld", (long long)rz_meta_int(meta, 0));
    return rz_fail(err, RZ_EFORMAT, "%s: key %.*s at byte %llu is %s, must be %s",
                   file->shards[0].label, (int)meta->key.len, meta->key.data,
                   (unsigned long long)entry->file_offset, value, wanted);
}

rz_status rz_file_get_u32(const rz_file *file, const char *key, uint32_t *value, bool *found,
                          rz_error *err)
{
    const rz_meta *meta;
    RZ_TRY(find(file, key, &meta, found, err));
    if (!meta)
        return RZ_OK;
    if (!is_integer(meta->type))
        return refuse(file, meta, "an integer", err);
    int64_t v = rz_meta_int(meta, 0);
    if (v < 0 || v > UINT32_MAX)
        return refuse_value(file, meta, "0 to 4294967295", err);
    *value = (uint32_t)v;
    return RZ_OK;
}

rz_status rz_file_get_f32(const rz_file *file, const char *key, float *value, bool *found,
                          rz_error *err)
{
    const rz_meta *meta;
    RZ_TRY(find(file, key, &meta, found, err));
    if (!meta)
        return RZ_OK;
    if (meta->type != RZ_META_F32 && meta->type != RZ_META_F64)
        return refuse(file, meta, "f32 or f64", err);
    float v = (float)rz_meta_float(meta, 0);
    if (!isfinite(v))
        return refuse_value(file, meta, "a finite f32", err);
    *value = v;
    return RZ_OK;
}

rz_status rz_file_get_bool(const rz_file *file, const char *key, bool *value, bool *found,
                           rz_error *err)
{
    const rz_meta *meta;
    RZ_TRY(find(file, key, &meta, found, err));
    if (!meta)
        return RZ_OK;
    if (meta->type != RZ_META_BOOL)
        return refuse(file, meta, "a bool", err);
    *value = rz_meta_int(meta, 0) != 0;
    return RZ_OK;
}

rz_status rz_file_get_string(const rz_file *file, const char *key, rz_slice *value, bool *found,
                             rz_error *err)
{
    const rz_meta *meta;
    RZ_TRY(find(file, key, &meta, found, err));
    if (!meta)
        return RZ_OK;
    if (meta->type != RZ_META_STRING)
        return refuse(file, meta, "a string", err);
    *value = rz_meta_string(meta, 0);
    return RZ_OK;
}

rz_status rz_file_get_array(const rz_file *file, const char *key, rz_meta_type elem_type,
                            const rz_meta **value, bool *found, rz_error *err)
{
    RZ_ASSERT(elem_type < RZ_N_META_TYPES);
    const rz_meta *meta;
    RZ_TRY(find(file, key, &meta, found, err));
    if (!meta)
        return RZ_OK;
    if (meta->type != RZ_META_ARRAY || meta->elem_type != elem_type) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "an array of %s", types[elem_type].name);
        return refuse(file, meta, wanted, err);
    }
    *value = meta;
    return RZ_OK;
}
