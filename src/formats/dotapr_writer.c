/* dotapr_writer.c - .apr version 2 in the table of writers.
 *
 * Everything but the data is known when writing begins, so header, metadata and index go first and
 * the data streams behind them; the CRC over the whole file is computed on the way. The index is
 * sorted by name, the data stands in the plan's order. A tied head is a second entry for the
 * embedding's bytes: realizar wants one, and it costs no space. Packed matrices are entries of
 * their own, packed 16 rows at a time as the rows go by.
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
#include "quant/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = RZ_MAX_TENSOR_NAME_BYTES + 1
};

#define NONE SIZE_MAX

/* One of the plan's tensors: its entries, and what has come of it. */
struct out_tensor {
    size_t plain, packed; /* indices of entries; NONE: it does not stand so */
    size_t n_bytes;
    struct rz_pack_args pack;
};

struct rz_writer {
    struct rz_out_file *out;
    struct rz_apr_pack *pack;
    struct out_tensor *tensors;   /* the plan's, in order */
    struct rz_apr_entry *entries; /* theirs in the order of data, then the tied head if there is */
    char (*names)[NAME_BYTES];
    size_t n_entries, n_tensors, i_tensor;
    bool sealed;
    uint64_t left;       /* bytes of the current tensor that are to come */
    uint64_t at;         /* bytes of the data section that were put */
    uint64_t data_bytes; /* padding included */
    rz_packing packing;
    /* Rows that make no whole strip yet, and one strip or the whole matrix packed. */
    uint8_t *rows, *packed;
    size_t n_rows_bytes, n_packed_bytes, cap_rows, cap_packed;
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

static rz_status tensor_bytes(const struct rz_out_tensor *t, uint64_t *bytes, rz_error *err)
{
    bool fits = t->n_dims >= 1 && t->n_dims <= RZ_MAX_DIMS &&
                rz_dtype_row_bytes(t->dtype, t->shape[t->n_dims - 1], bytes);
    for (uint32_t i = 0; fits && i + 1 < t->n_dims; i++)
        fits = rz_mul_u64(*bytes, t->shape[i], bytes);
    if (!fits || *bytes > INT64_MAX / 4)
        return rz_fail(err, RZ_EUSAGE, "tensor %s: its shape does not fit type %s", t->name,
                       rz_dtype_name(t->dtype));
    return RZ_OK;
}

static size_t add_entry(struct rz_writer *w, const struct rz_out_tensor *t, const char *prefix,
                        uint64_t bytes)
{
    struct rz_apr_entry *e = &w->entries[w->n_entries];
    char *name = w->names[w->n_entries], hf[NAME_BYTES];
    rz_apr_hf_name(t->name, hf);
    snprintf(name, NAME_BYTES, "%s%s", prefix, hf);
    /* GGML's numbers; where aprender means another type by one, the size tells. */
    *e = (struct rz_apr_entry){.name = {.data = name, .len = strlen(name)},
                               .code = (uint8_t)rz_dtype_info(t->dtype)->gguf_id,
                               .n_dims = (uint8_t)t->n_dims,
                               .size = bytes};
    memcpy(e->dims, t->shape, t->n_dims * sizeof *e->dims);
    return w->n_entries++;
}

/* A matrix that is multiplied by: an embedding beside a head of its own is only looked up. */
static bool is_packable(const struct rz_out_tensor *t, bool has_head)
{
    char hf[NAME_BYTES];
    rz_apr_hf_name(t->name, hf);
    return (t->n_dims == 2 || t->n_dims == 3) &&
           rz_packed_fits(t->dtype, t->shape[t->n_dims - 2], t->shape[t->n_dims - 1]) &&
           strlen(RZ_APR_PACKED_PREFIX) + strlen(hf) < NAME_BYTES &&
           !(has_head && !strcmp(t->name, "token_embd.weight"));
}

static rz_status plan_tensor(struct rz_writer *w, const struct rz_out_tensor *t, bool has_head,
                             rz_error *err)
{
    uint64_t bytes;
    struct out_tensor *out = &w->tensors[w->n_tensors++];
    RZ_TRY(tensor_bytes(t, &bytes, err));
    const bool pack = w->packing && is_packable(t, has_head);
    *out = (struct out_tensor){.plain = NONE, .packed = NONE, .n_bytes = bytes};
    if (!pack || w->packing == RZ_PACK_ALSO)
        out->plain = add_entry(w, t, "", bytes);
    if (!pack)
        return RZ_OK;
    out->packed = add_entry(w, t, RZ_APR_PACKED_PREFIX, bytes);
    const uint32_t n_cols = (uint32_t)t->shape[t->n_dims - 1];
    out->pack = (struct rz_pack_args){.type = t->dtype,
                                      .n_rows = RZ_STRIP_ROWS,
                                      .n_cols = n_cols,
                                      .w_row_bytes = rz_packed_row_bytes(t->dtype, n_cols)};
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
            embedding = w->tensors[i].plain != NONE ? &w->entries[w->tensors[i].plain] : NULL;
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
    const size_t n = 2 * plan->n_tensors + 1;
    bool has_head = false;
    w->packing = plan->packing;
    w->tensors = calloc(plan->n_tensors + 1, sizeof *w->tensors);
    w->entries = calloc(n, sizeof *w->entries);
    w->names = calloc(n, sizeof *w->names);
    if (!w->tensors || !w->entries || !w->names)
        return rz_fail_nomem(err, n * sizeof *w->names, "the tensor index");
    for (size_t i = 0; i < plan->n_tensors; i++)
        has_head = has_head || !strcmp(plan->tensors[i].name, "output.weight");
    for (size_t i = 0; i < plan->n_tensors; i++)
        RZ_TRY(plan_tensor(w, &plan->tensors[i], has_head, err));
    *tied = tie_head(w, plan);
    return check_names(w, err);
}

/* Where the data will stand behind a head of so many bytes: packed tensors at whole pages. */
static rz_status place(struct rz_writer *w, uint64_t head, rz_error *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const size_t entries[] = {w->tensors[i].plain, w->tensors[i].packed};
        for (size_t k = 0; k < RZ_ARRAY_LEN(entries); k++) {
            if (entries[k] == NONE)
                continue;
            struct rz_apr_entry *e = &w->entries[entries[k]];
            if (k == 1)
                at = rz_align_up(head + at, RZ_APR_PAGE) - head;
            e->offset = at;
            if (e->size > INT64_MAX / 2 - at)
                return rz_fail(err, RZ_EUSAGE, "the tensors take more than 2^62 bytes");
            at = rz_align_up(at + e->size, RZ_APR_ALIGNMENT);
        }
    }
    w->data_bytes = at;
    return RZ_OK;
}

/* ---- writing ---- */

static void free_writer(struct rz_writer **writer)
{
    struct rz_writer *w = *writer;
    if (!w)
        return;
    rz_apr_pack_free(&w->pack);
    rz_out_file_free(&w->out);
    free(w->tensors);
    free(w->entries);
    free(w->names);
    free(w->rows);
    free(w->packed);
    free(w);
    *writer = NULL;
}

static rz_status reserve(uint8_t **p, size_t *cap, size_t bytes, rz_error *err)
{
    if (bytes <= *cap)
        return RZ_OK;
    free(*p);
    *cap = 0;
    bytes = rz_align_up(bytes, RZ_APR_ALIGNMENT);
    *p = aligned_alloc(RZ_APR_ALIGNMENT, bytes);
    if (!*p)
        return rz_fail_nomem(err, bytes, "packed rows");
    *cap = bytes;
    return RZ_OK;
}

/* The next tensor that has bytes. */
static rz_status next_tensor(struct rz_writer *w, rz_error *err)
{
    while (w->i_tensor < w->n_tensors && w->tensors[w->i_tensor].n_bytes == 0)
        w->i_tensor++;
    w->left = 0;
    if (w->i_tensor == w->n_tensors)
        return RZ_OK;
    const struct out_tensor *t = &w->tensors[w->i_tensor];
    w->left = t->n_bytes;
    w->n_rows_bytes = w->n_packed_bytes = 0;
    if (t->packed == NONE)
        return RZ_OK;
    const size_t strip = RZ_STRIP_ROWS * t->pack.w_row_bytes;
    RZ_TRY(reserve(&w->rows, &w->cap_rows, strip, err));
    return reserve(&w->packed, &w->cap_packed, t->plain == NONE ? strip : t->n_bytes, err);
}

static rz_status write_head(struct rz_writer *w, const struct rz_writer_plan *plan, bool tied,
                            rz_error *err)
{
    static const uint16_t flags_of[] = {
        [RZ_COMPRESS_NONE] = 0, [RZ_COMPRESS_LZ4] = RZ_APR_LZ4, [RZ_COMPRESS_ZSTD] = RZ_APR_ZSTD};
    struct rz_buf json, head;
    uint64_t weights = 0;
    for (size_t i = 0; i < w->n_tensors; i++)
        weights += w->tensors[i].n_bytes;
    rz_buf_init(&json, RZ_APR_MAX_META_BYTES);
    rz_buf_init(&head, (size_t)RZ_APR_MAX_META_BYTES * 2);
    rz_status status = rz_apr_put_metadata(&json, plan, weights, tied, err);
    if (!status)
        status = place(w, rz_apr_head_bytes(json.len, w->entries, w->n_entries), err);
    for (size_t i = 0; tied && i < w->n_tensors; i++)
        if (!strcmp(plan->tensors[i].name, "token_embd.weight"))
            w->entries[w->n_entries - 1].offset = w->entries[w->tensors[i].plain].offset;
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
    return status ? status : next_tensor(w, err);
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

static rz_status put(struct rz_writer *w, const void *data, size_t len, rz_error *err)
{
    w->at += len;
    return rz_apr_pack_put(w->pack, data, len, err);
}

static rz_status pad_to(struct rz_writer *w, uint64_t at, rz_error *err)
{
    static const char zeros[RZ_APR_PAGE];
    RZ_ASSERT(at >= w->at && at - w->at <= RZ_APR_PAGE);
    return put(w, zeros, (size_t)(at - w->at), err);
}

/* 16 rows are packed: into the matrix in memory, or out. */
static rz_status put_strip(struct rz_writer *w, const uint8_t *rows, rz_error *err)
{
    const struct out_tensor *t = &w->tensors[w->i_tensor];
    const size_t strip = RZ_STRIP_ROWS * t->pack.w_row_bytes;
    struct rz_pack_args a = t->pack;
    a.w = rows;
    a.packed = w->packed + w->n_packed_bytes;
    rz_pack_strips(&a, 0, 1);
    if (t->plain == NONE)
        return put(w, a.packed, strip, err);
    w->n_packed_bytes += strip;
    return RZ_OK;
}

/* Whole strips as they come; what is less waits for the rest. */
static rz_status pack_rows(struct rz_writer *w, const uint8_t *data, size_t len, rz_error *err)
{
    const size_t strip = RZ_STRIP_ROWS * w->tensors[w->i_tensor].pack.w_row_bytes;
    while (len > 0) {
        size_t n = rz_min_size(len, strip - w->n_rows_bytes);
        if (n == strip) {
            RZ_TRY(put_strip(w, data, err));
        } else {
            memcpy(w->rows + w->n_rows_bytes, data, n);
            w->n_rows_bytes += n;
            if (w->n_rows_bytes == strip) {
                w->n_rows_bytes = 0;
                RZ_TRY(put_strip(w, w->rows, err));
            }
        }
        data += n;
        len -= n;
    }
    return RZ_OK;
}

static rz_status write_data(struct rz_writer *w, const void *data, size_t len, rz_error *err)
{
    RZ_ASSERT(len <= w->left);
    if (len == 0)
        return RZ_OK;
    const struct out_tensor *t = &w->tensors[w->i_tensor];
    if (w->left == t->n_bytes)
        RZ_TRY(pad_to(w, w->entries[t->plain != NONE ? t->plain : t->packed].offset, err));
    if (t->plain != NONE)
        RZ_TRY(put(w, data, len, err));
    if (t->packed != NONE)
        RZ_TRY(pack_rows(w, data, len, err));
    w->left -= len;
    if (w->left > 0)
        return RZ_OK;
    if (t->plain != NONE && t->packed != NONE) {
        RZ_TRY(pad_to(w, w->entries[t->packed].offset, err));
        RZ_TRY(put(w, w->packed, w->n_packed_bytes, err));
    }
    w->i_tensor++;
    return next_tensor(w, err);
}

static rz_status seal(struct rz_writer *w, const char **path, rz_error *err)
{
    RZ_ASSERT(w->i_tensor == w->n_tensors && w->left == 0);
    RZ_TRY(pad_to(w, w->data_bytes, err));
    uint32_t crc = rz_apr_pack_crc(w->pack);
    RZ_TRY(rz_apr_pack_put(w->pack, &crc, sizeof crc, err));
    RZ_TRY(rz_apr_pack_end(w->pack, err));
    *path = rz_out_file_temporary(w->out);
    w->sealed = true;
    return rz_out_file_seal(w->out, err);
}

static rz_status finish(struct rz_writer *w, rz_error *err)
{
    const char *path;
    if (!w->sealed)
        RZ_TRY(seal(w, &path, err));
    return rz_out_file_finish(w->out, err);
}

const struct rz_writer_ops rz_write_apr = {.format = "apr",
                                           .file_format = "APR",
                                           .holds = holds,
                                           .begin = begin,
                                           .write = write_data,
                                           .seal = seal,
                                           .finish = finish,
                                           .free = free_writer};
