/* dotapr.c - .apr version 2: header, bounds, and the order in which a file is read.
 *
 *     64-byte header | metadata, JSON | tensor index | tensor data | CRC-32 of all before
 * (optional)
 *
 * Invariant: every section lies behind the one before and inside the file, so the readers of the
 * sections check against their own bounds only. Fields stand at odd addresses and are copied out.
 * Source: aprender's apr-format crate and realizar, as docs/formats.md tells. */
#include "formats/dotapr.h"

#include "base/checked.h"
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    CRC_AT = 40,
    CRC_CHUNK = 1 << 30 /* zlib's lengths are 32 bits */
};

rz_status rz_apr_bad_fill(const struct rz_apr_reader *r, rz_status code, uint64_t at,
                          const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(r->err, code, "%s: at byte %llu: %s", r->label, (unsigned long long)at, text);
}

uint32_t rz_apr_crc(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        size_t n = rz_min_size(len, CRC_CHUNK);
        crc = (uint32_t)crc32(crc, p, (uInt)n);
        p += n;
        len -= n;
    }
    return crc;
}

bool rz_apr_probe(const uint8_t *data, size_t len)
{
    return len >= 4 && (memcmp(data, "APR\0", 4) == 0 || memcmp(data, "APR2", 4) == 0);
}

static uint64_t load(const uint8_t *data, size_t at, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, data + at, bytes);
    return value;
}

/* What the flags say that this reader does not do. */
static rz_status check_flags(const struct rz_apr_reader *r)
{
    uint16_t flags = r->header.flags;
    if (flags & RZ_APR_ENCRYPTED)
        return rz_apr_bad(r, RZ_ELOAD, 6, "an encrypted .apr file is not supported");
    if (flags & RZ_APR_SHARDED)
        return rz_apr_bad(r, RZ_ELOAD, 6,
                          "one shard of an .apr model is not supported (join the shards first)");
    if (flags & RZ_APR_COLUMN_MAJOR)
        return rz_apr_bad(r, RZ_ELOAD, 6, "column-major tensors are not supported");
    if ((flags & RZ_APR_LZ4) && (flags & RZ_APR_ZSTD))
        return rz_apr_bad(r, RZ_EFORMAT, 6, "flags of both LZ4 and ZSTD");
    return RZ_OK;
}

static rz_status read_header(struct rz_apr_reader *r)
{
    const uint8_t *d = r->data;
    if (r->len < RZ_APR_HEADER_BYTES)
        return rz_apr_bad(r, RZ_EFORMAT, r->len, "the file ends inside the 64 bytes of its header");
    r->file->version = d[4];
    if (d[4] != 2)
        return rz_apr_bad(r, RZ_ELOAD, 4,
                          ".apr version %u.%u is not supported (supported: 2, and 1 with magic "
                          "APRN)",
                          d[4], d[5]);
    uint32_t crc = rz_apr_crc(0, d, CRC_AT), stored = (uint32_t)load(d, CRC_AT, 4);
    crc = rz_apr_crc(crc, d + CRC_AT + 4, RZ_APR_HEADER_BYTES - CRC_AT - 4);
    if (crc != stored)
        return rz_apr_bad(r, RZ_EFORMAT, CRC_AT,
                          "the header's checksum is %08x and it says %08x: the header is damaged",
                          crc, stored);
    r->header = (struct rz_apr_header){.flags = (uint16_t)load(d, 6, 2),
                                       .n_tensors = (uint32_t)load(d, 8, 4),
                                       .meta_at = load(d, 12, 8),
                                       .meta_len = (uint32_t)load(d, 20, 4),
                                       .index_at = load(d, 24, 8),
                                       .data_at = load(d, 32, 8)};
    return check_flags(r);
}

static rz_status check_sections(const struct rz_apr_reader *r)
{
    const struct rz_apr_header *h = &r->header;
    if (h->meta_at < RZ_APR_HEADER_BYTES || h->meta_at > r->len ||
        h->meta_len > r->len - h->meta_at)
        return rz_apr_bad(r, RZ_EFORMAT, 12,
                          "metadata of %u bytes at %llu is not inside the file of %zu bytes",
                          h->meta_len, (unsigned long long)h->meta_at, r->len);
    if (h->meta_len > RZ_APR_MAX_META_BYTES)
        return rz_apr_bad(r, RZ_EFORMAT, 20, "metadata of %u bytes, at most %d", h->meta_len,
                          RZ_APR_MAX_META_BYTES);
    if (h->index_at < h->meta_at + h->meta_len || h->index_at > r->len)
        return rz_apr_bad(r, RZ_EFORMAT, 24,
                          "the tensor index at %llu is not between the metadata's end and the "
                          "file's",
                          (unsigned long long)h->index_at);
    if (h->data_at < h->index_at || h->data_at > r->len)
        return rz_apr_bad(r, RZ_EFORMAT, 32,
                          "the tensor data at %llu is not between the index and the file's end",
                          (unsigned long long)h->data_at);
    return RZ_OK;
}

static rz_status read_image(struct rz_apr_reader *r)
{
    const struct rz_shard *shard = &r->file->shards[0];
    r->data = shard->data;
    r->len = shard->len;
    RZ_TRY(check_sections(r));
    RZ_TRY(rz_apr_read_index(r));
    rz_apr_touch_packed(r);
    RZ_TRY(rz_apr_read_meta(r));
    return rz_apr_add_tensors(r);
}

rz_status rz_apr_read(struct rz_file *file, rz_error *err)
{
    const struct rz_shard *shard = &file->shards[0];
    struct rz_apr_reader r = {
        .file = file, .label = shard->label, .data = shard->data, .len = shard->len, .err = err};
    file->format = "APR";
    RZ_TRY(read_header(&r));
    if (r.header.flags & (RZ_APR_LZ4 | RZ_APR_ZSTD))
        RZ_TRY(rz_apr_unpack(file, r.header.flags, err));
    rz_status status = read_image(&r);
    free(r.entries);
    RZ_TRY(status);
    rz_file_seal(file);
    return RZ_OK;
}

rz_status rz_apr_open_memory(rz_file **out, const char *name, const void *data, size_t len,
                             rz_error *err)
{
    struct rz_file *file;
    RZ_TRY(rz_file_new(&file, name, err));
    rz_status status = rz_file_borrow_shard(file, name, data, len, err);
    if (status)
        ;
    else if (rz_apr_probe(data, len))
        status = rz_apr_read(file, err);
    else if (rz_apr1_probe(data, len))
        status = rz_apr1_read(file, err);
    else
        status = rz_fail(err, RZ_EFORMAT, "%s: neither \"APR\" nor \"APRN\"", name);
    if (!status)
        status = rz_file_unpack(file, err);
    if (status)
        rz_file_close(&file);
    *out = file;
    return status;
}
