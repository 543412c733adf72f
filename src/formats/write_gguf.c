/* write_gguf.c - GGUF in the table of writers: the source's metadata, key by key, changed by the
 * edits, then tensors through gguf_writer.c. */
#include "base/fail.h"
#include "formats/file.h"
#include "formats/gguf_writer.h"
#include "formats/writer.h"

#include <stdlib.h>
#include <string.h>

struct rz_writer {
    struct rz_gguf_writer *gguf;
};

static bool holds(rz_dtype type)
{
    return type < RZ_N_DTYPES;
}

static bool is_edited(const struct rz_writer_plan *plan, rz_slice key)
{
    for (size_t i = 0; i < plan->n_edits; i++)
        if (strlen(plan->edits[i].key) == key.len &&
            memcmp(plan->edits[i].key, key.data, key.len) == 0)
            return true;
    return false;
}

static rz_status put_strings(struct rz_gguf_writer *w, const char *key, const rz_meta *meta,
                             rz_error *err)
{
    rz_slice *items = malloc((size_t)(meta->count + 1) * sizeof *items);
    if (!items)
        return rz_fail_nomem(err, (size_t)meta->count * sizeof *items, key);
    for (uint64_t i = 0; i < meta->count; i++)
        items[i] = rz_meta_string(meta, i);
    rz_gguf_put_strings(w, key, items, meta->count);
    free(items);
    return RZ_OK;
}

static rz_status put_meta(struct rz_gguf_writer *w, const rz_meta *meta, rz_error *err)
{
    const struct rz_meta_entry *entry = meta->impl;
    rz_status status = RZ_OK;
    char *key = strndup(meta->key.data, meta->key.len);
    if (!key)
        return rz_fail_nomem(err, meta->key.len, "a key");
    if (meta->type == RZ_META_STRING)
        rz_gguf_put_slice(w, key, rz_meta_string(meta, 0));
    else if (meta->type != RZ_META_ARRAY)
        rz_gguf_put_scalar(w, key, meta->type, entry->data);
    else if (meta->elem_type == RZ_META_STRING)
        status = put_strings(w, key, meta, err);
    else if (rz_meta_elem_bytes(meta->elem_type) > 0)
        rz_gguf_put_numbers(w, key, meta->elem_type, entry->data, meta->count);
    else
        status = rz_fail(err, RZ_ELOAD,
                         "metadata key %.64s is an array of arrays, which cannot be "
                         "written",
                         key);
    free(key);
    return status;
}

static void put_edit(struct rz_gguf_writer *w, const struct rz_meta_edit *e)
{
    switch (e->type) {
    case RZ_META_U32:
        rz_gguf_put_u32(w, e->key, (uint32_t)e->value.u);
        break;
    case RZ_META_U64:
        rz_gguf_put_u64(w, e->key, e->value.u);
        break;
    case RZ_META_F32:
        rz_gguf_put_f32(w, e->key, (float)e->value.f);
        break;
    case RZ_META_BOOL:
        rz_gguf_put_bool(w, e->key, e->value.b);
        break;
    default:
        RZ_ASSERT(e->type == RZ_META_STRING);
        rz_gguf_put_string(w, e->key, e->value.text);
    }
}

static rz_status put_all(struct rz_gguf_writer *w, const struct rz_writer_plan *plan, rz_error *err)
{
    for (size_t i = 0; i < rz_file_n_meta(plan->source); i++) {
        const rz_meta *meta = rz_file_meta_at(plan->source, i);
        /* The writer's own alignment holds, whatever the source's was. */
        if (!is_edited(plan, meta->key) &&
            !(meta->key.len == 17 && memcmp(meta->key.data, "general.alignment", 17) == 0))
            RZ_TRY(put_meta(w, meta, err));
    }
    for (size_t i = 0; i < plan->n_edits; i++)
        if (!plan->edits[i].drop)
            put_edit(w, &plan->edits[i]);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct rz_out_tensor *t = &plan->tensors[i];
        rz_gguf_declare(w, t->name, t->dtype, t->n_dims, t->shape);
    }
    return rz_gguf_begin(w, err);
}

static void free_writer(struct rz_writer **w)
{
    if (!*w)
        return;
    rz_gguf_writer_free(&(*w)->gguf);
    free(*w);
    *w = NULL;
}

static rz_status begin(struct rz_writer **out, const struct rz_writer_plan *plan, rz_error *err)
{
    *out = NULL;
    if (plan->compression != RZ_COMPRESS_NONE)
        return rz_fail(err, RZ_EUSAGE, "GGUF has no compression; only .apr has");
    if (plan->shard_bytes)
        return rz_fail(err, RZ_EUSAGE, "only SafeTensors are written in shards");
    struct rz_writer *w = calloc(1, sizeof *w);
    if (!w)
        return rz_fail_nomem(err, sizeof *w, "a GGUF writer");
    rz_status status = rz_gguf_writer_new(&w->gguf, plan->path, err);
    if (!status)
        status = put_all(w->gguf, plan, err);
    if (status)
        free_writer(&w);
    *out = w;
    return status;
}

static rz_status write_data(struct rz_writer *w, const void *data, size_t len, rz_error *err)
{
    return rz_gguf_write(w->gguf, data, len, err);
}

static rz_status seal(struct rz_writer *w, const char **path, rz_error *err)
{
    return rz_gguf_seal(w->gguf, path, err);
}

static rz_status finish(struct rz_writer *w, rz_error *err)
{
    return rz_gguf_finish(w->gguf, err);
}

const struct rz_writer_ops rz_write_gguf = {.format = "gguf",
                                            .file_format = "GGUF",
                                            .holds = holds,
                                            .begin = begin,
                                            .write = write_data,
                                            .seal = seal,
                                            .finish = finish,
                                            .free = free_writer};
