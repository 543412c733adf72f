/* dotapr_pack.c - an .apr file's bytes on their way out.
 *
 * ZSTD is one frame that says its content's size, made as a stream. LZ4's form is one block, which
 * the library compresses only from memory: the bytes are gathered in a file without a name and
 * compressed from its mapping into another's, so that what is held can always be written back to
 * disk. dotapr_unpack.c reads both. Source: realizar's apr/loading_mmap.rs. */
#include "formats/dotapr_pack.h"

#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr.h"
#include "formats/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

enum {
    ZSTD_LEVEL = 3,
    ZSTD_OUT_BYTES = 1 << 17,
    SPOOL_BUFFER = 1 << 20
};

struct rz_apr_pack {
    struct rz_out_file *out;
    enum rz_compression compression;
    uint64_t total, put;
    uint32_t crc;
    ZSTD_CCtx *zstd;
    char *buffer; /* compressed bytes (ZSTD), gathered bytes (LZ4) */
    size_t n_buffer;
    int spool;
};

static rz_status io_failed(const struct rz_apr_pack *p, const char *what, rz_error *err)
{
    return rz_fail(err, RZ_EIO, "%s: cannot %s: %s", rz_out_file_path(p->out), what,
                   strerror(errno));
}

/* A file without a name in the folder of path, or -1. */
static int open_nameless(const char *path)
{
    char *name;
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) + 1 : 0;
    if (asprintf(&name, "%.*s.", len, path) < 0)
        return -1;
    int fd = open(name, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    free(name);
    if (fd >= 0)
        return fd;
    if (asprintf(&name, "%s.spool-XXXXXX", path) < 0)
        return -1;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    free(name);
    return fd;
}

static rz_status begin_zstd(struct rz_apr_pack *p, rz_error *err)
{
    p->zstd = ZSTD_createCCtx();
    p->buffer = malloc(ZSTD_OUT_BYTES);
    if (!p->zstd || !p->buffer)
        return rz_fail_nomem(err, ZSTD_OUT_BYTES, "zstd");
    size_t set[] = {ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL),
                    ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1),
                    ZSTD_CCtx_setPledgedSrcSize(p->zstd, p->total - RZ_APR_HEADER_BYTES)};
    for (size_t i = 0; i < RZ_ARRAY_LEN(set); i++)
        if (ZSTD_isError(set[i]))
            return rz_fail(err, RZ_ENOTBUILT, "zstd: %s", ZSTD_getErrorName(set[i]));
    return RZ_OK;
}

static rz_status begin_lz4(struct rz_apr_pack *p, rz_error *err)
{
    if (p->total - RZ_APR_HEADER_BYTES > LZ4_MAX_INPUT_SIZE)
        return rz_fail(err, RZ_ELOAD,
                       "%s: an LZ4 block holds at most %u bytes and the model has %llu (zstd has "
                       "no such limit)",
                       rz_out_file_path(p->out), (unsigned)LZ4_MAX_INPUT_SIZE,
                       (unsigned long long)p->total);
    p->spool = open_nameless(rz_out_file_path(p->out));
    if (p->spool < 0)
        return io_failed(p, "create a temporary file", err);
    p->buffer = malloc(SPOOL_BUFFER);
    return p->buffer ? RZ_OK : rz_fail_nomem(err, SPOOL_BUFFER, "a buffer");
}

rz_status rz_apr_pack_new(struct rz_apr_pack **pack, struct rz_out_file *out,
                          enum rz_compression compression, uint64_t total, rz_error *err)
{
    struct rz_apr_pack *p = *pack = calloc(1, sizeof *p);
    if (!p)
        return rz_fail_nomem(err, sizeof *p, "an .apr writer");
    *p = (struct rz_apr_pack){.out = out, .compression = compression, .total = total, .spool = -1};
    rz_status status = RZ_OK;
    if (compression == RZ_COMPRESS_NONE)
        status = rz_out_file_reserve(out, total, err);
    else
        status = compression == RZ_COMPRESS_ZSTD ? begin_zstd(p, err) : begin_lz4(p, err);
    if (status)
        rz_apr_pack_free(pack);
    return status;
}

void rz_apr_pack_free(struct rz_apr_pack **pack)
{
    struct rz_apr_pack *p = *pack;
    if (!p)
        return;
    ZSTD_freeCCtx(p->zstd);
    if (p->spool >= 0)
        close(p->spool);
    free(p->buffer);
    free(p);
    *pack = NULL;
}

/* Feeds len bytes; end: and finishes the frame. */
static rz_status feed_zstd(struct rz_apr_pack *p, const void *data, size_t len, bool end,
                           rz_error *err)
{
    ZSTD_inBuffer in = {.src = data, .size = len};
    size_t left;
    do {
        ZSTD_outBuffer o = {.dst = p->buffer, .size = ZSTD_OUT_BYTES};
        left = ZSTD_compressStream2(p->zstd, &o, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return rz_fail(err, RZ_ENOMEM, "zstd: %s", ZSTD_getErrorName(left));
        RZ_TRY(rz_out_file_write(p->out, p->buffer, o.pos, err));
    } while (end ? left > 0 : in.pos < in.size);
    return RZ_OK;
}

static rz_status flush_spool(struct rz_apr_pack *p, rz_error *err)
{
    for (size_t done = 0; done < p->n_buffer;) {
        ssize_t n = write(p->spool, p->buffer + done, p->n_buffer - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_failed(p, "write a temporary file", err);
        done += (size_t)n;
    }
    p->n_buffer = 0;
    return RZ_OK;
}

static rz_status feed_spool(struct rz_apr_pack *p, const char *data, size_t len, rz_error *err)
{
    while (len > 0) {
        size_t n = rz_min_size(len, SPOOL_BUFFER - p->n_buffer);
        memcpy(p->buffer + p->n_buffer, data, n);
        p->n_buffer += n;
        data += n;
        len -= n;
        if (p->n_buffer == SPOOL_BUFFER)
            RZ_TRY(flush_spool(p, err));
    }
    return RZ_OK;
}

rz_status rz_apr_pack_put(struct rz_apr_pack *p, const void *data, size_t len, rz_error *err)
{
    const char *bytes = data;
    RZ_ASSERT(len <= p->total - p->put);
    p->crc = rz_apr_crc(p->crc, data, len);
    size_t plain = p->put < RZ_APR_HEADER_BYTES ? (size_t)(RZ_APR_HEADER_BYTES - p->put) : 0;
    if (p->compression == RZ_COMPRESS_NONE)
        plain = len;
    plain = rz_min_size(plain, len);
    p->put += len;
    RZ_TRY(rz_out_file_write(p->out, bytes, plain, err));
    if (plain == len)
        return RZ_OK;
    return p->compression == RZ_COMPRESS_ZSTD ? feed_zstd(p, bytes + plain, len - plain, false, err)
                                              : feed_spool(p, bytes + plain, len - plain, err);
}

uint32_t rz_apr_pack_crc(const struct rz_apr_pack *p)
{
    return p->crc;
}

/* The spool's n bytes as one block, by way of another nameless file of bound bytes. */
static rz_status write_block(struct rz_apr_pack *p, uint32_t n, int packed, size_t bound,
                             rz_error *err)
{
    rz_status status = RZ_OK;
    void *from = mmap(NULL, n, PROT_READ, MAP_SHARED, p->spool, 0);
    void *to = mmap(NULL, bound, PROT_READ | PROT_WRITE, MAP_SHARED, packed, 0);
    if (from == MAP_FAILED || to == MAP_FAILED) {
        status = io_failed(p, "map a temporary file", err);
    } else {
        int len = LZ4_compress_default(from, to, (int)n, (int)bound);
        if (len <= 0)
            status = rz_fail(err, RZ_ENOMEM, "LZ4: no memory");
        if (!status)
            status = rz_out_file_write(p->out, &n, sizeof n, err);
        if (!status)
            status = rz_out_file_write(p->out, to, (size_t)len, err);
    }
    if (from != MAP_FAILED)
        munmap(from, n);
    if (to != MAP_FAILED)
        munmap(to, bound);
    return status;
}

static rz_status end_lz4(struct rz_apr_pack *p, rz_error *err)
{
    uint32_t n = (uint32_t)(p->total - RZ_APR_HEADER_BYTES);
    size_t bound = (size_t)LZ4_compressBound((int)n);
    RZ_TRY(flush_spool(p, err));
    int packed = open_nameless(rz_out_file_path(p->out));
    if (packed < 0)
        return io_failed(p, "create a temporary file", err);
    /* Space is reserved, since a full disk under a mapping would be a signal. */
    int failed = posix_fallocate(packed, 0, (off_t)bound);
    rz_status status;
    if (failed) {
        errno = failed;
        status = io_failed(p, "reserve space for a temporary file", err);
    } else {
        status = write_block(p, n, packed, bound, err);
    }
    close(packed);
    return status;
}

rz_status rz_apr_pack_end(struct rz_apr_pack *p, rz_error *err)
{
    RZ_ASSERT(p->put == p->total);
    if (p->compression == RZ_COMPRESS_ZSTD)
        return feed_zstd(p, NULL, 0, true, err);
    return p->compression == RZ_COMPRESS_LZ4 ? end_lz4(p, err) : RZ_OK;
}
