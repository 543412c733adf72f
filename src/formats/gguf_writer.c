/* gguf_writer.c - streaming GGUF writer.
 *
 * Invariant: once begun, written is the number of data bytes handed over with their padding, and
 * the file holds exactly header_bytes + written.
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md). */
#include "formats/gguf_writer.h"

#include "base/buf.h"
#include "base/checked.h"
#include "base/fail.h"
#include "formats/gguf.h"
#include "formats/out_file.h"
#include "quant/dtype.h"

#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = GGUF_DEFAULT_ALIGNMENT
};

struct rz_gguf_writer {
    struct rz_out_file *out;
    struct rz_buf meta, infos;
    uint64_t n_meta, n_tensors;
    uint64_t *ends; /* of each tensor's data, from the data section, without padding */
    size_t cap_ends;
    uint64_t data_bytes, written; /* padding included */
    uint64_t i_tensor;            /* the one that write is in */
    bool failed;                  /* for want of memory */
};

static const size_t max_meta_bytes = (size_t)1 << 32;

rz_status rz_gguf_writer_new(struct rz_gguf_writer **out, const char *path, rz_error *err)
{
    *out = NULL;
    struct rz_gguf_writer *w = calloc(1, sizeof *w);
    if (!w)
        return rz_fail_nomem(err, sizeof *w, "a GGUF writer");
    rz_buf_init(&w->meta, max_meta_bytes);
    rz_buf_init(&w->infos, max_meta_bytes);
    rz_status status = rz_out_file_new(&w->out, path, err);
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
    rz_out_file_free(&w->out);
    rz_buf_fini(&w->meta);
    rz_buf_fini(&w->infos);
    free(w->ends);
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

void rz_gguf_put_scalar(struct rz_gguf_writer *w, const char *key, rz_meta_type type,
                        const void *value)
{
    RZ_ASSERT(rz_meta_elem_bytes(type) > 0);
    rz_buf_add(entry(w, key, type), value, rz_meta_elem_bytes(type));
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

static rz_status write_padding(struct rz_gguf_writer *w, uint64_t at, rz_error *err)
{
    return rz_out_file_zeros(w->out, (size_t)(rz_align_up(at, ALIGNMENT) - at), err);
}

rz_status rz_gguf_begin(struct rz_gguf_writer *w, rz_error *err)
{
    if (w->failed || w->meta.failed || w->infos.failed)
        return rz_fail_nomem(err, w->meta.len + w->infos.len, "a GGUF file's metadata");
    RZ_TRY(rz_out_file_reserve(w->out, rz_gguf_writer_bytes(w), err));
    char header[GGUF_HEADER_BYTES] = "GGUF";
    const uint32_t version = 3;
    memcpy(header + 4, &version, 4);
    memcpy(header + 8, &w->n_tensors, 8);
    memcpy(header + 16, &w->n_meta, 8);
    RZ_TRY(rz_out_file_write(w->out, header, sizeof header, err));
    RZ_TRY(rz_out_file_write(w->out, w->meta.data, w->meta.len, err));
    RZ_TRY(rz_out_file_write(w->out, w->infos.data, w->infos.len, err));
    return write_padding(w, sizeof header + w->meta.len + w->infos.len, err);
}

rz_status rz_gguf_write(struct rz_gguf_writer *w, const void *data, size_t len, rz_error *err)
{
    RZ_ASSERT(w->i_tensor < w->n_tensors && len <= w->ends[w->i_tensor] - w->written);
    RZ_TRY(rz_out_file_write(w->out, data, len, err));
    w->written += len;
    if (w->written != w->ends[w->i_tensor])
        return RZ_OK;
    RZ_TRY(write_padding(w, w->written, err));
    w->written = rz_align_up(w->written, ALIGNMENT);
    w->i_tensor++;
    return RZ_OK;
}

rz_status rz_gguf_seal(struct rz_gguf_writer *w, const char **path, rz_error *err)
{
    RZ_ASSERT(w->i_tensor == w->n_tensors && w->written == w->data_bytes);
    *path = rz_out_file_temporary(w->out);
    return rz_out_file_seal(w->out, err);
}

rz_status rz_gguf_finish(struct rz_gguf_writer *w, rz_error *err)
{
    RZ_ASSERT(w->i_tensor == w->n_tensors && w->written == w->data_bytes);
    return rz_out_file_finish(w->out, err);
}
