/* gguf_writer.c - streaming GGUF writer.
 *
 * Invariant: once begun, written is the number of data bytes handed over with their padding, and
 * the file holds exactly header_bytes + written. No fsync: the rename protects against a failure of
 * this process, not of the machine.
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md). */
#include "formats/gguf_writer.h"

#include "base/buf.h"
#include "base/checked.h"
#include "base/fail.h"
#include "formats/gguf.h"

#include "quant/dtype.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ALIGNMENT = GGUF_DEFAULT_ALIGNMENT,
    MAX_TEMPORARY_NAMES = 100,
    /* Linux moves at most 2^31 - 4096 bytes per call. */
    MAX_WRITE_BYTES = 1 << 30
};

struct rz_gguf_writer {
    char *path, *temporary;
    int fd;
    struct rz_buf meta, infos;
    uint64_t n_meta, n_tensors;
    uint64_t *ends; /* of each tensor's data, from the data section, without padding */
    size_t cap_ends;
    uint64_t data_bytes, written; /* padding included */
    uint64_t i_tensor;            /* the one that write is in */
    bool failed;                  /* for want of memory */
};

static const size_t max_meta_bytes = (size_t)1 << 32;

static bool open_temporary(struct rz_gguf_writer *w)
{
    size_t size = strlen(w->path) + 40;
    w->temporary = malloc(size);
    if (!w->temporary)
        return false;
    for (int i = 0; i < MAX_TEMPORARY_NAMES && w->fd < 0; i++) {
        snprintf(w->temporary, size, "%s.%ld-%d.part", w->path, (long)getpid(), i);
        w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd < 0 && errno != EEXIST)
            return true;
    }
    return true;
}

rz_status rz_gguf_writer_new(struct rz_gguf_writer **out, const char *path, rz_error *err)
{
    struct stat st;
    *out = NULL;
    /* A rename onto a device or a directory's name would destroy more than a file. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return rz_fail(err, RZ_EUSAGE, "%s: exists and is not a regular file", path);
    struct rz_gguf_writer *w = calloc(1, sizeof *w);
    if (!w)
        return rz_fail_nomem(err, sizeof *w, "a GGUF writer");
    w->fd = -1;
    rz_buf_init(&w->meta, max_meta_bytes);
    rz_buf_init(&w->infos, max_meta_bytes);
    w->path = strdup(path);
    rz_status status = RZ_OK;
    if (!w->path || !open_temporary(w))
        status = rz_fail_nomem(err, strlen(path) + 1, "a file name");
    else if (w->fd < 0)
        status = rz_fail(err, RZ_EIO, "%s: cannot create: %s", path, strerror(errno));
    if (status)
        rz_gguf_writer_free(&w);
    *out = w;
    return status;
}

void rz_gguf_writer_free(struct rz_gguf_writer **writer)
{
    if (!writer || !*writer)
        return;
    struct rz_gguf_writer *w = *writer;
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->temporary);
    }
    rz_buf_fini(&w->meta);
    rz_buf_fini(&w->infos);
    free(w->ends);
    free(w->temporary);
    free(w->path);
    free(w);
    *writer = NULL;
}

/* ---- metadata ---- */

static void add_u32(struct rz_buf *b, uint32_t value)
{
    rz_buf_add(b, &value, sizeof value);
}

static void add_u64(struct rz_buf *b, uint64_t value)
{
    rz_buf_add(b, &value, sizeof value);
}

static void add_text(struct rz_buf *b, const char *text, size_t len)
{
    add_u64(b, len);
    if (len)
        rz_buf_add(b, text, len);
}

static struct rz_buf *entry(struct rz_gguf_writer *w, const char *key, rz_meta_type type)
{
    w->n_meta++;
    add_text(&w->meta, key, strlen(key));
    add_u32(&w->meta, type);
    return &w->meta;
}

void rz_gguf_put_u32(struct rz_gguf_writer *w, const char *key, uint32_t value)
{
    add_u32(entry(w, key, RZ_META_U32), value);
}

void rz_gguf_put_u64(struct rz_gguf_writer *w, const char *key, uint64_t value)
{
    add_u64(entry(w, key, RZ_META_U64), value);
}

void rz_gguf_put_f32(struct rz_gguf_writer *w, const char *key, float value)
{
    rz_buf_add(entry(w, key, RZ_META_F32), &value, sizeof value);
}

void rz_gguf_put_bool(struct rz_gguf_writer *w, const char *key, bool value)
{
    rz_buf_char(entry(w, key, RZ_META_BOOL), value ? 1 : 0);
}

void rz_gguf_put_slice(struct rz_gguf_writer *w, const char *key, rz_slice text)
{
    add_text(entry(w, key, RZ_META_STRING), text.data, text.len);
}

void rz_gguf_put_string(struct rz_gguf_writer *w, const char *key, const char *text)
{
    add_text(entry(w, key, RZ_META_STRING), text, strlen(text));
}

void rz_gguf_put_strings(struct rz_gguf_writer *w, const char *key, const rz_slice *items,
                         uint64_t n)
{
    struct rz_buf *b = entry(w, key, RZ_META_ARRAY);
    add_u32(b, RZ_META_STRING);
    add_u64(b, n);
    for (uint64_t i = 0; i < n; i++)
        add_text(b, items[i].data, items[i].len);
}

void rz_gguf_put_numbers(struct rz_gguf_writer *w, const char *key, rz_meta_type elem_type,
                         const void *items, uint64_t n)
{
    size_t size = rz_meta_elem_bytes(elem_type);
    RZ_ASSERT(size > 0);
    struct rz_buf *b = entry(w, key, RZ_META_ARRAY);
    add_u32(b, elem_type);
    add_u64(b, n);
    if (n)
        rz_buf_add(b, items, n * size);
}

/* ---- tensors ---- */

static bool push_end(struct rz_gguf_writer *w, uint64_t end)
{
    if (w->n_tensors == w->cap_ends) {
        size_t cap = w->cap_ends ? 2 * w->cap_ends : 256;
        uint64_t *ends = realloc(w->ends, cap * sizeof *ends);
        if (!ends)
            return false;
        w->ends = ends;
        w->cap_ends = cap;
    }
    w->ends[w->n_tensors++] = end;
    return true;
}

void rz_gguf_declare(struct rz_gguf_writer *w, const char *name, rz_dtype dtype, uint32_t n_dims,
                     const uint64_t *shape)
{
    RZ_ASSERT(n_dims >= 1 && n_dims <= RZ_MAX_DIMS && strlen(name) <= RZ_MAX_TENSOR_NAME_BYTES);
    uint64_t bytes;
    bool fits = rz_dtype_row_bytes(dtype, shape[n_dims - 1], &bytes);
    for (uint32_t i = 0; fits && i + 1 < n_dims; i++)
        fits = rz_mul_u64(bytes, shape[i], &bytes);
    RZ_ASSERT(fits);
    if (!fits || bytes > INT64_MAX / 2 - w->data_bytes || !push_end(w, w->data_bytes + bytes)) {
        w->failed = true;
        return;
    }
    add_text(&w->infos, name, strlen(name));
    add_u32(&w->infos, n_dims);
    for (uint32_t i = n_dims; i-- > 0;)
        add_u64(&w->infos, shape[i]);
    add_u32(&w->infos, rz_dtype_info(dtype)->gguf_id);
    add_u64(&w->infos, w->data_bytes);
    w->data_bytes = rz_align_up(w->data_bytes + bytes, ALIGNMENT);
}

static uint64_t header_bytes(const struct rz_gguf_writer *w)
{
    return rz_align_up(GGUF_HEADER_BYTES + w->meta.len + w->infos.len, ALIGNMENT);
}

uint64_t rz_gguf_writer_bytes(const struct rz_gguf_writer *w)
{
    return header_bytes(w) + w->data_bytes;
}

static rz_status write_all(struct rz_gguf_writer *w, const void *data, size_t len, rz_error *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(w->fd, p, rz_min_size(len, MAX_WRITE_BYTES));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rz_fail(err, RZ_EIO, "%s: cannot write: %s", w->path, strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return RZ_OK;
}

static rz_status write_padding(struct rz_gguf_writer *w, uint64_t at, rz_error *err)
{
    static const char zeros[ALIGNMENT];
    return write_all(w, zeros, (size_t)(rz_align_up(at, ALIGNMENT) - at), err);
}

static rz_status reserve(struct rz_gguf_writer *w, rz_error *err)
{
    uint64_t bytes = rz_gguf_writer_bytes(w);
    /* Not posix_fallocate: where the file system cannot, that writes every block. */
    if (fallocate(w->fd, 0, 0, (off_t)bytes) == 0 || (errno != ENOSPC && errno != EFBIG))
        return RZ_OK;
    return rz_fail(err, RZ_EIO, "%s: cannot write %llu bytes: %s", w->path,
                   (unsigned long long)bytes, strerror(errno));
}

rz_status rz_gguf_begin(struct rz_gguf_writer *w, rz_error *err)
{
    if (w->failed || w->meta.failed || w->infos.failed)
        return rz_fail_nomem(err, w->meta.len + w->infos.len, "a GGUF file's metadata");
    RZ_TRY(reserve(w, err));
    char header[GGUF_HEADER_BYTES] = "GGUF";
    const uint32_t version = 3;
    memcpy(header + 4, &version, 4);
    memcpy(header + 8, &w->n_tensors, 8);
    memcpy(header + 16, &w->n_meta, 8);
    RZ_TRY(write_all(w, header, sizeof header, err));
    RZ_TRY(write_all(w, w->meta.data, w->meta.len, err));
    RZ_TRY(write_all(w, w->infos.data, w->infos.len, err));
    return write_padding(w, sizeof header + w->meta.len + w->infos.len, err);
}

rz_status rz_gguf_write(struct rz_gguf_writer *w, const void *data, size_t len, rz_error *err)
{
    RZ_ASSERT(w->i_tensor < w->n_tensors && len <= w->ends[w->i_tensor] - w->written);
    RZ_TRY(write_all(w, data, len, err));
    w->written += len;
    if (w->written != w->ends[w->i_tensor])
        return RZ_OK;
    RZ_TRY(write_padding(w, w->written, err));
    w->written = rz_align_up(w->written, ALIGNMENT);
    w->i_tensor++;
    return RZ_OK;
}

rz_status rz_gguf_finish(struct rz_gguf_writer *w, rz_error *err)
{
    RZ_ASSERT(w->i_tensor == w->n_tensors && w->written == w->data_bytes);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) || rename(w->temporary, w->path)) {
        rz_status status = rz_fail(err, RZ_EIO, "%s: cannot write: %s", w->path, strerror(errno));
        unlink(w->temporary);
        return status;
    }
    return RZ_OK;
}
