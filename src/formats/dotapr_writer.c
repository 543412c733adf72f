/* dotapr_writer.c - .apr version 2 in the table of writers.
 *
 * Everything but the data is known when writing begins, so header, metadata and index go first and
 * the data streams behind them; the CRC over the whole file is computed on the way. The index is
 * sorted by name, the data stands in the plan's order. A tied head is a second entry for the
 * embedding's bytes: realizar wants one, and it costs no space.
 * Source: aprender's apr-format crate, as docs/formats.md tells. */
#include "base/buf.h"
#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr.h"
#include "formats/dotapr_json.h"
#include "formats/dotapr_pack.h"
#include "formats/out_file.h"
#include "formats/safetensors.h"
#include "formats/writer.h"
#include "quant/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = RZ_MAX_TENSOR_NAME_BYTES + 1
};

struct rz_writer {
    struct rz_out_file *out;
    struct rz_apr_pack *pack;
    struct rz_apr_entry *entries; /* the plan's tensors in order, then the tied head if there is */
    char (*names)[NAME_BYTES];
    size_t n_entries, n_tensors, i_tensor;
    uint64_t left;       /* bytes of the current tensor that are to come */
    uint64_t data_bytes; /* padding included */
};

/* ---- a file up to its data ---- */

static int by_name(const void *a, const void *b)
{
    const struct rz_apr_entry *x = a, *y = b;
    int order = memcmp(x->name.data, y->name.data, rz_min_size(x->name.len, y->name.len));
    return order ? order : x->name.len < y->name.len ? -1 : x->name.len > y->name.len;
}

static uint64_t index_bytes(const struct rz_apr_entry *entries, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += 2 + entries[i].name.len + 1 + 1 + 8ul * entries[i].n_dims + 8 + 8;
    return bytes;
}

uint64_t rz_apr_head_bytes(size_t json_len, const struct rz_apr_entry *entries, size_t n)
{
    return RZ_APR_HEADER_BYTES + rz_align_up(json_len, RZ_APR_ALIGNMENT) +
           rz_align_up(index_bytes(entries, n), RZ_APR_ALIGNMENT);
}

static void pad(struct rz_buf *out, size_t from)
{
    static const char zeros[RZ_APR_ALIGNMENT];
    size_t n = out->len - from;
    rz_buf_add(out, zeros, (size_t)rz_align_up(n, RZ_APR_ALIGNMENT) - n);
}

static void put_header(struct rz_buf *out, size_t json_len, size_t n, uint64_t head, uint16_t flags)
{
    uint8_t h[RZ_APR_HEADER_BYTES] = {'A', 'P', 'R', 0, 2, 0};
    uint32_t n_tensors = (uint32_t)n, meta_len = (uint32_t)json_len, crc;
    uint64_t meta_at = RZ_APR_HEADER_BYTES;
    uint64_t index_at = meta_at + rz_align_up(json_len, RZ_APR_ALIGNMENT);
    memcpy(h + 6, &flags, 2);
    memcpy(h + 8, &n_tensors, 4);
    memcpy(h + 12, &meta_at, 8);
    memcpy(h + 20, &meta_len, 4);
    memcpy(h + 24, &index_at, 8);
    memcpy(h + 32, &head, 8);
    crc = rz_apr_crc(rz_apr_crc(0, h, 40), h + 44, 20);
    memcpy(h + 40, &crc, 4);
    rz_buf_add(out, h, sizeof h);
}

static void put_entry(struct rz_buf *out, const struct rz_apr_entry *e)
{
    uint16_t name_len = (uint16_t)e->name.len;
    rz_buf_add(out, &name_len, sizeof name_len);
    rz_buf_add(out, e->name.data, e->name.len);
    rz_buf_char(out, (char)e->code);
    rz_buf_char(out, (char)e->n_dims);
    rz_buf_add(out, e->dims, e->n_dims * sizeof *e->dims);
    rz_buf_add(out, &e->offset, sizeof e->offset);
    rz_buf_add(out, &e->size, sizeof e->size);
}

void rz_apr_put_head(struct rz_buf *out, rz_slice json, const struct rz_apr_entry *entries,
                     size_t n, uint16_t flags)
{
    size_t begin = out->len;
    struct rz_apr_entry *sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted) {
        out->failed = true;
        return;
    }
    if (n)
        memcpy(sorted, entries, n * sizeof *sorted);
    if (n > 1)
        qsort(sorted, n, sizeof *sorted, by_name);
    put_header(out, json.len, n, rz_apr_head_bytes(json.len, entries, n), flags);
    rz_buf_add(out, json.data, json.len);
    pad(out, begin);
    for (size_t i = 0; i < n; i++)
        put_entry(out, &sorted[i]);
    pad(out, begin);
    free(sorted);
}

/* ---- plan ---- */

static bool holds(rz_dtype type)
{
    return type < RZ_N_DTYPES;
}

void rz_apr_hf_name(const char *gguf, char *out)
{
    if (!rz_st_hf_name(gguf, out))
        snprintf(out, NAME_BYTES, "%s", gguf);
}

static rz_status plan_tensor(struct rz_writer *w, const struct rz_out_tensor *t, rz_error *err)
{
    struct rz_apr_entry *e = &w->entries[w->n_entries];
    char *name = w->names[w->n_entries];
    uint64_t bytes;
    bool fits = t->n_dims >= 1 && t->n_dims <= RZ_MAX_DIMS &&
                rz_dtype_row_bytes(t->dtype, t->shape[t->n_dims - 1], &bytes);
    for (uint32_t i = 0; fits && i + 1 < t->n_dims; i++)
        fits = rz_mul_u64(bytes, t->shape[i], &bytes);
    if (!fits || bytes > INT64_MAX / 2 - w->data_bytes)
        return rz_fail(err, RZ_EUSAGE, "tensor %s: its shape does not fit type %s", t->name,
                       rz_dtype_name(t->dtype));
    rz_apr_hf_name(t->name, name);
    /* GGML's numbers; where aprender means another type by one, the size tells. */
    *e = (struct rz_apr_entry){.name = {.data = name, .len = strlen(name)},
                               .code = (uint8_t)rz_dtype_info(t->dtype)->gguf_id,
                               .n_dims = (uint8_t)t->n_dims,
                               .offset = w->data_bytes,
                               .size = bytes};
    memcpy(e->dims, t->shape, t->n_dims * sizeof *e->dims);
    w->data_bytes = rz_align_up(w->data_bytes + bytes, RZ_APR_ALIGNMENT);
    w->n_entries++;
    return RZ_OK;
}

/* True if a head was added that is the embedding. */
static bool tie_head(struct rz_writer *w, const struct rz_writer_plan *plan)
{
    const struct rz_apr_entry *embedding = NULL;
    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (!strcmp(plan->tensors[i].name, "output.weight"))
            return false;
        if (!strcmp(plan->tensors[i].name, "token_embd.weight"))
            embedding = &w->entries[i];
    }
    if (!embedding)
        return false;
    struct rz_apr_entry *head = &w->entries[w->n_entries];
    char *name = w->names[w->n_entries++];
    *head = *embedding;
    snprintf(name, NAME_BYTES, "lm_head.weight");
    head->name = (rz_slice){.data = name, .len = strlen(name)};
    return true;
}

static rz_status check_names(const struct rz_writer *w, rz_error *err)
{
    struct rz_apr_entry *sorted = malloc((w->n_entries + 1) * sizeof *sorted);
    if (!sorted)
        return rz_fail_nomem(err, w->n_entries * sizeof *sorted, "tensor names");
    memcpy(sorted, w->entries, w->n_entries * sizeof *sorted);
    qsort(sorted, w->n_entries, sizeof *sorted, by_name);
    rz_status status = RZ_OK;
    for (size_t i = 1; i < w->n_entries && !status; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            status =
                rz_fail(err, RZ_EUSAGE, "two tensors would both be called %s", sorted[i].name.data);
    free(sorted);
    return status;
}

static rz_status plan_all(struct rz_writer *w, const struct rz_writer_plan *plan, bool *tied,
                          rz_error *err)
{
    w->entries = calloc(plan->n_tensors + 1, sizeof *w->entries);
    w->names = calloc(plan->n_tensors + 1, sizeof *w->names);
    if (!w->entries || !w->names)
        return rz_fail_nomem(err, plan->n_tensors * sizeof *w->names, "the tensor index");
    for (size_t i = 0; i < plan->n_tensors; i++)
        RZ_TRY(plan_tensor(w, &plan->tensors[i], err));
    w->n_tensors = plan->n_tensors;
    *tied = tie_head(w, plan);
    return check_names(w, err);
}

/* ---- writing ---- */

static void free_writer(struct rz_writer **writer)
{
    struct rz_writer *w = *writer;
    if (!w)
        return;
    rz_apr_pack_free(&w->pack);
    rz_out_file_free(&w->out);
    free(w->entries);
    free(w->names);
    free(w);
    *writer = NULL;
}

/* Passes over tensors without bytes. */
static void next_tensor(struct rz_writer *w)
{
    while (w->i_tensor < w->n_tensors && w->entries[w->i_tensor].size == 0)
        w->i_tensor++;
    w->left = w->i_tensor < w->n_tensors ? w->entries[w->i_tensor].size : 0;
}

static rz_status write_head(struct rz_writer *w, const struct rz_writer_plan *plan, bool tied,
                            rz_error *err)
{
    static const uint16_t flags_of[] = {
        [RZ_COMPRESS_NONE] = 0, [RZ_COMPRESS_LZ4] = RZ_APR_LZ4, [RZ_COMPRESS_ZSTD] = RZ_APR_ZSTD};
    struct rz_buf json, head;
    uint64_t weights = 0;
    for (size_t i = 0; i < w->n_tensors; i++)
        weights += w->entries[i].size;
    rz_buf_init(&json, RZ_APR_MAX_META_BYTES);
    rz_buf_init(&head, (size_t)RZ_APR_MAX_META_BYTES * 2);
    rz_status status = rz_apr_put_metadata(&json, plan, weights, tied, err);
    if (!status) {
        rz_apr_put_head(&head, (rz_slice){.data = json.data, .len = json.len}, w->entries,
                        w->n_entries, RZ_APR_ROW_MAJOR | flags_of[plan->compression]);
        if (head.failed)
            status = rz_fail_nomem(err, head.len, "an .apr file's head");
    }
    if (!status)
        status = rz_apr_pack_new(&w->pack, w->out, plan->compression,
                                 head.len + w->data_bytes + RZ_APR_FOOTER_BYTES, err);
    if (!status)
        status = rz_apr_pack_put(w->pack, head.data, head.len, err);
    rz_buf_fini(&json);
    rz_buf_fini(&head);
    next_tensor(w);
    return status;
}

static rz_status begin(struct rz_writer **out, const struct rz_writer_plan *plan, rz_error *err)
{
    bool tied = false;
    *out = NULL;
    if (plan->shard_bytes)
        return rz_fail(err, RZ_EUSAGE, "only SafeTensors are written in shards");
    struct rz_writer *w = calloc(1, sizeof *w);
    if (!w)
        return rz_fail_nomem(err, sizeof *w, "an .apr writer");
    rz_status status = plan_all(w, plan, &tied, err);
    if (!status)
        status = rz_out_file_new(&w->out, plan->path, err);
    if (!status)
        status = write_head(w, plan, tied, err);
    if (status)
        free_writer(&w);
    *out = w;
    return status;
}

static rz_status write_data(struct rz_writer *w, const void *data, size_t len, rz_error *err)
{
    static const char zeros[RZ_APR_ALIGNMENT];
    RZ_ASSERT(len <= w->left);
    if (len == 0)
        return RZ_OK;
    RZ_TRY(rz_apr_pack_put(w->pack, data, len, err));
    w->left -= len;
    if (w->left > 0)
        return RZ_OK;
    uint64_t size = w->entries[w->i_tensor++].size;
    next_tensor(w);
    return rz_apr_pack_put(w->pack, zeros, (size_t)(rz_align_up(size, RZ_APR_ALIGNMENT) - size),
                           err);
}

static rz_status finish(struct rz_writer *w, rz_error *err)
{
    RZ_ASSERT(w->i_tensor == w->n_tensors && w->left == 0);
    uint32_t crc = rz_apr_pack_crc(w->pack);
    RZ_TRY(rz_apr_pack_put(w->pack, &crc, sizeof crc, err));
    RZ_TRY(rz_apr_pack_end(w->pack, err));
    return rz_out_file_finish(w->out, err);
}

const struct rz_writer_ops rz_write_apr = {.format = "apr",
                                           .file_format = "APR",
                                           .holds = holds,
                                           .begin = begin,
                                           .write = write_data,
                                           .finish = finish,
                                           .free = free_writer};
