/* dotapr_unpack.c - compressed .apr files: 64 plain header bytes, then all the rest as one blob.
 *
 *     LZ4    u32 size of what it unpacks to, one LZ4 block
 *     ZSTD   zstd frames, one after another
 *
 * Offsets mean the unpacked image: the header and then what the blob unpacks to. The image stands
 * in an anonymous mapping, whose pages cost memory only as they are filled; how large it may be is
 * bounded by the file's size and by the machine's memory before anything is unpacked.
 * Source: realizar's apr/loading_mmap.rs, as docs/formats.md tells. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr.h"

#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

enum {
    /* Weights shrink by a few tenths; a file of zeros may be worth opening, a bomb is not. */
    MAX_RATIO = 256,
    ALWAYS_ALLOWED = 1 << 20
};

struct image {
    const char *label;
    const uint8_t *blob;
    size_t blob_len;
    uint8_t *data;
    size_t len; /* of the image, header included */
    rz_error *err;
};

/* Room for the image of a blob that unpacks to n bytes. */
static rz_status map_image(struct image *im, uint64_t n)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    if (n > ALWAYS_ALLOWED && n / MAX_RATIO > im->blob_len)
        return rz_fail(im->err, RZ_EFORMAT,
                       "%s: %zu compressed bytes claim to unpack to %llu, more than %d times as "
                       "many",
                       im->label, im->blob_len, (unsigned long long)n, MAX_RATIO);
    if (n > memory)
        return rz_fail(im->err, RZ_ENOMEM,
                       "%s: unpacks to %llu bytes, and this machine's memory has %llu", im->label,
                       (unsigned long long)n, (unsigned long long)memory);
    im->len = RZ_APR_HEADER_BYTES + (size_t)n;
    void *p = mmap(NULL, im->len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return rz_fail_nomem(im->err, im->len, "an unpacked .apr file");
    im->data = p;
    memcpy(im->data, im->blob - RZ_APR_HEADER_BYTES, RZ_APR_HEADER_BYTES);
    return RZ_OK;
}

static rz_status unpack_lz4(struct image *im)
{
    uint32_t n;
    if (im->blob_len < sizeof n)
        return rz_fail(im->err, RZ_EFORMAT, "%s: the file ends before its LZ4 data", im->label);
    memcpy(&n, im->blob, sizeof n);
    if (n > LZ4_MAX_INPUT_SIZE || im->blob_len - sizeof n > INT_MAX)
        return rz_fail(im->err, RZ_EFORMAT, "%s: an LZ4 block of %u bytes, at most %u", im->label,
                       n, (unsigned)LZ4_MAX_INPUT_SIZE);
    RZ_TRY(map_image(im, n));
    int got = LZ4_decompress_safe((const char *)im->blob + sizeof n,
                                  (char *)im->data + RZ_APR_HEADER_BYTES,
                                  (int)(im->blob_len - sizeof n), (int)n);
    if (got < 0 || (uint32_t)got != n)
        return rz_fail(im->err, RZ_EFORMAT,
                       "%s: the LZ4 data is damaged, or does not unpack to %u "
                       "bytes",
                       im->label, n);
    return RZ_OK;
}

/* What all frames together unpack to. They say it themselves; zstd's library and command write it
 * unless they are fed by a pipe. */
static rz_status zstd_size(const struct image *im, uint64_t *total)
{
    size_t at = 0;
    *total = 0;
    while (at < im->blob_len) {
        const uint8_t *frame = im->blob + at;
        size_t left = im->blob_len - at, n = ZSTD_findFrameCompressedSize(frame, left);
        if (ZSTD_isError(n) || n == 0)
            return rz_fail(im->err, RZ_EFORMAT, "%s: at byte %zu: no whole zstd frame (%s)",
                           im->label, RZ_APR_HEADER_BYTES + at,
                           ZSTD_isError(n) ? ZSTD_getErrorName(n) : "empty");
        unsigned long long size = ZSTD_getFrameContentSize(frame, left);
        if (size == ZSTD_CONTENTSIZE_ERROR)
            return rz_fail(im->err, RZ_EFORMAT, "%s: at byte %zu: no zstd frame", im->label,
                           RZ_APR_HEADER_BYTES + at);
        if (size == ZSTD_CONTENTSIZE_UNKNOWN)
            return rz_fail(im->err, RZ_ELOAD,
                           "%s: at byte %zu: a zstd frame that does not say how large its content "
                           "is, is not supported",
                           im->label, RZ_APR_HEADER_BYTES + at);
        if (!rz_add_u64(*total, size, total) || *total > INT64_MAX)
            return rz_fail(im->err, RZ_EFORMAT, "%s: zstd frames of more than 2^63 bytes",
                           im->label);
        at += n;
    }
    return RZ_OK;
}

static rz_status unpack_zstd(struct image *im)
{
    uint64_t n;
    RZ_TRY(zstd_size(im, &n));
    RZ_TRY(map_image(im, n));
    size_t got = ZSTD_decompress(im->data + RZ_APR_HEADER_BYTES, n, im->blob, im->blob_len);
    if (ZSTD_isError(got) || got != n)
        return rz_fail(im->err, RZ_EFORMAT, "%s: the zstd data is damaged: %s", im->label,
                       ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it ends early");
    return RZ_OK;
}

rz_status rz_apr_unpack(struct rz_file *file, uint16_t flags, rz_error *err)
{
    struct rz_shard *shard = &file->shards[0];
    struct image im = {.label = shard->label,
                       .blob = shard->data + RZ_APR_HEADER_BYTES,
                       .blob_len = shard->len - RZ_APR_HEADER_BYTES,
                       .err = err};
    rz_status status = flags & RZ_APR_LZ4 ? unpack_lz4(&im) : unpack_zstd(&im);
    if (status) {
        if (im.data)
            munmap(im.data, im.len);
        return status;
    }
    (void)mprotect(im.data, im.len, PROT_READ);
    shard->stored_len = shard->len;
    rz_map_close(&shard->map);
    shard->map = (struct rz_map){.data = im.data, .len = im.len};
    shard->data = im.data;
    shard->len = im.len;
    file->arena.max_bytes += im.len;
    return RZ_OK;
}
