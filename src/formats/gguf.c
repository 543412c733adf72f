/* gguf.c - GGUF versions 2 and 3, little-endian: header, and the primitives of reading.
 *
 * A model file is hostile input. Every number taken from it is checked against the bytes that are
 * left before it is used, and nothing is allocated because a header says so: arrays grow with what
 * has been read.
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md). */
#include "formats/gguf.h"

#include "base/checked.h"
#include "base/fail.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

rz_status rz_gguf_bad_fill(struct gguf_reader *r, size_t at, const char *field, const char *format,
                           ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(r->err, RZ_EFORMAT, "%s: %s at byte %zu: %s", r->label, field, at, text);
}

rz_status rz_gguf_take(struct gguf_reader *r, size_t n, const char *field, const uint8_t **bytes)
{
    if (n > r->len - r->pos)
        return rz_gguf_bad(r, r->pos, field, "needs %zu bytes, the file ends at %zu", n, r->len);
    *bytes = r->data + r->pos;
    r->pos += n;
    return RZ_OK;
}

rz_status rz_gguf_u32(struct gguf_reader *r, const char *field, uint32_t *value)
{
    const uint8_t *bytes;
    RZ_TRY(rz_gguf_take(r, sizeof *value, field, &bytes));
    memcpy(value, bytes, sizeof *value);
    return RZ_OK;
}

rz_status rz_gguf_u64(struct gguf_reader *r, const char *field, uint64_t *value)
{
    const uint8_t *bytes;
    RZ_TRY(rz_gguf_take(r, sizeof *value, field, &bytes));
    memcpy(value, bytes, sizeof *value);
    return RZ_OK;
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return true;
    return false;
}

rz_status rz_gguf_name(struct gguf_reader *r, size_t max, const char *field, rz_slice *name)
{
    size_t at = r->pos;
    uint64_t len;
    RZ_TRY(rz_gguf_u64(r, field, &len));
    if (len == 0 || len > max)
        return rz_gguf_bad(r, at, field, "length %llu, must be 1 to %zu", (unsigned long long)len,
                           max);
    const uint8_t *bytes;
    RZ_TRY(rz_gguf_take(r, len, field, &bytes));
    *name = (rz_slice){.data = (const char *)bytes, .len = len};
    if (rz_utf8_valid(name->data, len) != len || has_control(name->data, len))
        return rz_gguf_bad(r, at, field, "not UTF-8 text without control characters");
    return RZ_OK;
}

bool rz_gguf_probe(const uint8_t *data, size_t len)
{
    return len >= 4 && memcmp(data, "GGUF", 4) == 0;
}

static rz_status read_version(struct gguf_reader *r)
{
    uint32_t version;
    size_t at = r->pos;
    RZ_TRY(rz_gguf_u32(r, "version", &version));
    if (version == 1)
        return rz_gguf_bad(r, at, "version",
                           "GGUF version 1 is not supported (supported: 2 and 3)");
    if (version != 0 && (version & 0xFFFF) == 0)
        return rz_gguf_bad(
            r, at, "version",
            "a big-endian GGUF file (version %u) is not supported, only little-endian",
            __builtin_bswap32(version));
    if (version != 2 && version != 3)
        return rz_gguf_bad(r, at, "version",
                           "GGUF version %u is not supported (supported: 2 and 3)", version);
    r->file->version = version;
    return RZ_OK;
}

/* A count of things that take at least item_bytes each in the file. */
static rz_status read_count(struct gguf_reader *r, const char *field, size_t item_bytes,
                            uint64_t max, uint64_t *count)
{
    size_t at = r->pos;
    RZ_TRY(rz_gguf_u64(r, field, count));
    size_t left = r->len - r->pos;
    if (*count > left / item_bytes)
        return rz_gguf_bad(r, at, field, "%llu do not fit in the %zu bytes that follow",
                           (unsigned long long)*count, left);
    if (*count > max)
        return rz_gguf_bad(r, at, field, "%llu, more than the %llu that are supported",
                           (unsigned long long)*count, (unsigned long long)max);
    return RZ_OK;
}

rz_status rz_gguf_read_shard(struct gguf_reader *r, struct rz_file *file, uint32_t i_shard,
                             bool keep_meta, rz_error *err)
{
    enum {
        MIN_META_BYTES = 8 + 1 + 4 + 1,          /* key, type, the smallest value */
        MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 /* name, n_dims, one dim, type, offset */
    };
    const struct rz_shard *shard = &file->shards[i_shard];
    *r = (struct gguf_reader){.file = file,
                              .label = shard->label,
                              .data = shard->data,
                              .len = shard->len,
                              .mapped = shard->map.data != NULL,
                              .alignment = GGUF_DEFAULT_ALIGNMENT,
                              .err = err};
    const uint8_t *magic;
    RZ_TRY(rz_gguf_take(r, 4, "magic", &magic));
    if (!rz_gguf_probe(magic, 4))
        return rz_gguf_bad(r, 0, "magic", "not \"GGUF\"");
    RZ_TRY(read_version(r));
    RZ_TRY(read_count(r, "tensor count", MIN_TENSOR_BYTES, RZ_MAX_TENSORS, &r->n_tensors));
    RZ_TRY(read_count(r, "metadata count", MIN_META_BYTES, RZ_MAX_META, &r->n_meta));
    if (file->n_tensors + r->n_tensors > RZ_MAX_TENSORS)
        return rz_gguf_bad(r, 8, "tensor count",
                           "all shards have more than the %d that are supported", RZ_MAX_TENSORS);
    RZ_TRY(rz_gguf_read_meta(r, keep_meta));
    return rz_gguf_read_tensors(r);
}

static rz_status read_file(struct rz_file *file, bool may_split, rz_error *err)
{
    struct gguf_reader r;
    file->format = "GGUF";
    RZ_TRY(rz_gguf_read_shard(&r, file, 0, true, err));
    if (r.split_count > 1) {
        if (!may_split)
            return rz_fail(err, RZ_EFORMAT, "%s: key split.count is %u: a shard alone, as bytes",
                           r.label, r.split_count);
        RZ_TRY(rz_gguf_read_split(&r, file, err));
    }
    rz_file_seal(file);
    return RZ_OK;
}

rz_status rz_gguf_read(struct rz_file *file, rz_error *err)
{
    return read_file(file, true, err);
}

rz_status rz_gguf_open_memory(rz_file **out, const char *name, const void *data, size_t len,
                              rz_error *err)
{
    struct rz_file *file;
    RZ_TRY(rz_file_new(&file, name, err));
    rz_status status = rz_file_borrow_shard(file, name, data, len, err);
    if (!status)
        status = read_file(file, false, err);
    if (status)
        rz_file_close(&file);
    *out = file;
    return status;
}
