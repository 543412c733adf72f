/* st_writer.c - a Hugging Face directory: documents, model.safetensors or shards with their index.
 *
 * Everything is written into DIR.PID-N.part beside the place; finish gives it the name, in exchange
 * with what has it, so that at any moment the name means a whole directory or none. A directory is
 * replaced only if nothing is in it but files of the kinds that are written here.
 * Source: huggingface/safetensors' format; transformers' names of shards and of the index. */
#include "base/buf.h"
#include "base/checked.h"
#include "base/fail.h"
#include "formats/file.h"
#include "formats/hf_export.h"
#include "formats/out_dir.h"
#include "formats/out_file.h"
#include "formats/safetensors.h"
#include "formats/writer.h"
#include "quant/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SHARDS = 99999,
    HEADER_ALIGNMENT = 8,
    NAME_MAX_BYTES = 64
};

/* What becomes of a tensor of the plan. */
struct slot {
    char *name;       /* Hugging Face's; NULL: it is no tensor there, its bytes are dropped */
    uint64_t n_bytes; /* of the result */
    uint32_t i_shard;
};

struct rz_writer {
    struct rz_out_dir *dir;
    struct slot *slots;
    struct rz_out_tensor *tensors; /* a copy of the plan's */
    size_t n_tensors, i_tensor;
    uint64_t left; /* bytes of the current tensor that are to come */
    uint32_t n_shards, i_shard;
    struct rz_out_file *file; /* the current shard */
    uint64_t total_bytes;
};

static bool holds(rz_dtype type)
{
    return type == RZ_F32 || type == RZ_F16 || type == RZ_BF16;
}

static void shard_name(const struct rz_writer *w, uint32_t i, char name[NAME_MAX_BYTES])
{
    if (w->n_shards == 1)
        snprintf(name, NAME_MAX_BYTES, "model.safetensors");
    else
        snprintf(name, NAME_MAX_BYTES, "model-%05u-of-%05u.safetensors", i + 1, w->n_shards);
}

/* ---- plan ---- */

/* Names, sizes, and which shard each tensor is in: a new one where the next would exceed it. */
static rz_status plan_slots(struct rz_writer *w, const struct rz_writer_plan *plan, rz_error *err)
{
    uint64_t in_shard = 0;
    char name[RZ_MAX_TENSOR_NAME_BYTES + 1];
    w->n_shards = 1;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct rz_out_tensor *t = &w->tensors[i];
        struct slot *s = &w->slots[i];
        bool fits = rz_dtype_row_bytes(t->dtype, t->shape[t->n_dims - 1], &s->n_bytes);
        for (uint32_t d = 0; d + 1 < t->n_dims; d++)
            fits = fits && rz_mul_u64(s->n_bytes, t->shape[d], &s->n_bytes);
        RZ_ASSERT(fits && holds(t->dtype));
        /* The divisors of a scaling stand in config.json. */
        if (!strcmp(t->name, "rope_freqs.weight"))
            continue;
        if (strstr(t->name, "_exps.") || strstr(t->name, "ffn_gate_inp"))
            return rz_fail(err, RZ_ELOAD,
                           "%s: tensor %s: a mixture of experts is not written as SafeTensors, "
                           "where each expert is a tensor of its own",
                           rz_file_path(plan->source), t->name);
        if (!rz_st_hf_name(t->name, name))
            return rz_fail(err, RZ_ELOAD,
                           "%s: tensor %s has no name in Hugging Face's models of this kind",
                           rz_file_path(plan->source), t->name);
        s->name = strdup(name);
        if (!s->name)
            return rz_fail_nomem(err, strlen(name), "a name");
        if (plan->shard_bytes && in_shard && in_shard + s->n_bytes > plan->shard_bytes) {
            w->n_shards++;
            in_shard = 0;
        }
        s->i_shard = w->n_shards - 1;
        in_shard += s->n_bytes;
        w->total_bytes += s->n_bytes;
    }
    return w->n_shards <= MAX_SHARDS
               ? RZ_OK
               : rz_fail(err, RZ_EUSAGE, "%u shards, at most %d", w->n_shards, MAX_SHARDS);
}

/* ---- shards ---- */

static void put_info(struct rz_buf *b, const struct slot *s, const struct rz_out_tensor *t,
                     uint64_t at)
{
    rz_buf_printf(b, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", s->name, rz_dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->n_dims; d++)
        rz_buf_printf(b, d ? ",%llu" : "%llu", (unsigned long long)t->shape[d]);
    const unsigned long long from = at, to = from + s->n_bytes;
    rz_buf_printf(b, "],\"data_offsets\":[%llu,%llu]}", from, to);
}

static rz_status write_header(struct rz_writer *w, struct rz_buf *b, rz_error *err)
{
    uint64_t at = 0;
    rz_buf_str(b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < w->n_tensors; i++)
        if (w->slots[i].name && w->slots[i].i_shard == w->i_shard) {
            put_info(b, &w->slots[i], &w->tensors[i], at);
            at += w->slots[i].n_bytes;
        }
    rz_buf_char(b, '}');
    while (b->len % HEADER_ALIGNMENT && !b->failed)
        rz_buf_char(b, ' ');
    if (b->failed)
        return rz_fail_nomem(err, b->len, "a SafeTensors header");
    const uint64_t len = b->len;
    RZ_TRY(rz_out_file_reserve(w->file, sizeof len + len + at, err));
    RZ_TRY(rz_out_file_write(w->file, &len, sizeof len, err));
    return rz_out_file_write(w->file, b->data, b->len, err);
}

static rz_status open_shard(struct rz_writer *w, rz_error *err)
{
    char name[NAME_MAX_BYTES];
    struct rz_buf b;
    shard_name(w, w->i_shard, name);
    RZ_TRY(rz_out_dir_file(w->dir, name, &w->file, err));
    rz_buf_init(&b, RZ_ST_MAX_HEADER_BYTES);
    rz_status status = write_header(w, &b, err);
    rz_buf_fini(&b);
    return status;
}

static rz_status close_shard(struct rz_writer *w, rz_error *err)
{
    rz_status status = rz_out_file_finish(w->file, err);
    rz_out_file_free(&w->file);
    return status;
}

static rz_status write_index(struct rz_writer *w, rz_error *err)
{
    struct rz_buf b;
    char name[NAME_MAX_BYTES];
    bool first = true;
    rz_buf_init(&b, RZ_ST_MAX_HEADER_BYTES);
    rz_buf_printf(&b, "{\n  \"metadata\": {\"total_size\": %llu},\n  \"weight_map\": {",
                  (unsigned long long)w->total_bytes);
    for (size_t i = 0; i < w->n_tensors; i++) {
        if (!w->slots[i].name)
            continue;
        shard_name(w, w->slots[i].i_shard, name);
        rz_buf_printf(&b, "%s\n    \"%s\": \"%s\"", first ? "" : ",", w->slots[i].name, name);
        first = false;
    }
    rz_buf_str(&b, "\n  }\n}\n");
    rz_status status =
        b.failed ? rz_fail_nomem(err, b.len, "the index")
                 : rz_out_dir_put(w->dir, "model.safetensors.index.json", b.data, b.len, err);
    rz_buf_fini(&b);
    return status;
}

/* ---- tensors ---- */

/* Goes to the next tensor that has bytes. */
static rz_status next_tensor(struct rz_writer *w, rz_error *err)
{
    if (w->i_tensor == w->n_tensors)
        return RZ_OK;
    const struct slot *s = &w->slots[w->i_tensor];
    w->left = s->n_bytes;
    if (!s->name || (w->file && s->i_shard == w->i_shard))
        return RZ_OK;
    if (w->file)
        RZ_TRY(close_shard(w, err));
    w->i_shard = s->i_shard;
    return open_shard(w, err);
}

static rz_status write_data(struct rz_writer *w, const void *data, size_t len, rz_error *err)
{
    RZ_ASSERT(w->i_tensor < w->n_tensors && len <= w->left);
    if (w->slots[w->i_tensor].name)
        RZ_TRY(rz_out_file_write(w->file, data, len, err));
    w->left -= len;
    if (w->left > 0)
        return RZ_OK;
    w->i_tensor++;
    return next_tensor(w, err);
}

/* ---- begin to end ---- */

static void free_writer(struct rz_writer **writer)
{
    struct rz_writer *w = *writer;
    if (!w)
        return;
    rz_out_file_free(&w->file);
    rz_out_dir_free(&w->dir);
    for (size_t i = 0; w->slots && i < w->n_tensors; i++)
        free(w->slots[i].name);
    free(w->slots);
    free(w->tensors);
    free(w);
    *writer = NULL;
}

static rz_status put_document(void *ctx, const char *name, const char *text, size_t len,
                              rz_error *err)
{
    struct rz_writer *w = ctx;
    return rz_out_dir_put(w->dir, name, text, len, err);
}

static rz_status start(struct rz_writer *w, const struct rz_writer_plan *plan, rz_error *err)
{
    w->n_tensors = plan->n_tensors;
    w->slots = calloc(w->n_tensors + 1, sizeof *w->slots);
    w->tensors = calloc(w->n_tensors + 1, sizeof *w->tensors);
    if (!w->slots || !w->tensors)
        return rz_fail_nomem(err, w->n_tensors * sizeof *w->tensors, "a SafeTensors writer");
    memcpy(w->tensors, plan->tensors, w->n_tensors * sizeof *w->tensors);
    RZ_TRY(plan_slots(w, plan, err));
    RZ_TRY(rz_out_dir_new(&w->dir, plan->path, err));
    RZ_TRY(rz_hf_export(plan, put_document, w, err));
    if (w->n_shards > 1)
        RZ_TRY(write_index(w, err));
    return next_tensor(w, err);
}

static rz_status begin(struct rz_writer **out, const struct rz_writer_plan *plan, rz_error *err)
{
    *out = NULL;
    if (plan->compression != RZ_COMPRESS_NONE)
        return rz_fail(err, RZ_EUSAGE, "SafeTensors have no compression; only .apr has");
    struct rz_writer *w = calloc(1, sizeof *w);
    if (!w)
        return rz_fail_nomem(err, sizeof *w, "a SafeTensors writer");
    rz_status status = start(w, plan, err);
    if (status)
        free_writer(&w);
    *out = w;
    return status;
}

static rz_status seal(struct rz_writer *w, const char **path, rz_error *err)
{
    RZ_ASSERT(w->i_tensor == w->n_tensors);
    *path = rz_out_dir_temporary(w->dir);
    return w->file ? close_shard(w, err) : RZ_OK;
}

static rz_status finish(struct rz_writer *w, rz_error *err)
{
    const char *path;
    RZ_TRY(seal(w, &path, err));
    return rz_out_dir_finish(w->dir, err);
}

const struct rz_writer_ops rz_write_safetensors = {.format = "safetensors",
                                                   .file_format = "SafeTensors",
                                                   .holds = holds,
                                                   .begin = begin,
                                                   .write = write_data,
                                                   .seal = seal,
                                                   .finish = finish,
                                                   .free = free_writer};
