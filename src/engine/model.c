/* model.c - a model is a mapped file, its bound weights, its tokenizer and its chat template. */
#include "base/checked.h"
#include "base/cpu.h"
#include "base/fail.h"
#include "base/pool.h"
#include "engine/internal.h"
#include "engine/kv.h"
#include "formats/file.h"

#include <stdlib.h>

rz_model_options rz_model_options_default(void)
{
    return (rz_model_options){.n_threads = 0, .cpu_mask = ~0u};
}

rz_status rz_cpu_level_mask(const char *name, unsigned *mask, rz_error *err)
{
    if (rz_cpu_parse_level(name, mask))
        return rz_fail(err, RZ_EUSAGE,
                       "\"%s\" is no CPU level (levels: scalar, avx2, avx512, avx512+bf16, amx)",
                       name);
    return RZ_OK;
}

static rz_status open_template(rz_model *m, rz_error *err)
{
    rz_slice source;
    bool found;
    RZ_TRY(rz_file_get_string(m->file, "tokenizer.chat_template", &source, &found, err));
    if (!found || source.len == 0)
        return RZ_OK;
    return rz_template_new(&m->chat_template, "chat template", source.data, source.len, err);
}

/* A tokenizer with ids that the model has no row for would read outside the embedding. */
static rz_status check_vocab(const rz_model *m, rz_error *err)
{
    uint32_t have = rz_tokenizer_n_vocab(m->tokenizer), rows = m->weights.config.info.n_vocab;
    if (have > rows)
        return rz_fail(err, RZ_EFORMAT, "%s: the tokenizer has %u tokens, the embedding %u rows",
                       rz_file_path(m->file), have, rows);
    return RZ_OK;
}

static void set_name(rz_model *m)
{
    const rz_meta *name = rz_file_meta(m->file, "general.name");
    m->name[0] = '\0';
    if (!name || name->type != RZ_META_STRING)
        return;
    rz_slice s = rz_meta_string(name, 0);
    size_t n = s.len < sizeof m->name ? s.len : sizeof m->name - 1;
    for (size_t i = 0; i < n; i++)
        m->name[i] = s.data[i];
    m->name[n] = '\0';
}

static rz_status open_parts(rz_model *m, const char *path, const rz_model_options *o, rz_error *err)
{
    RZ_TRY(rz_file_open_for(&m->file, path, o->only_look ? RZ_FILE_LOOK : RZ_FILE_PRODUCTS, err));
    RZ_TRY(rz_backend_cpu_new(&m->backend, o->n_threads, rz_cpu_detect(o->cpu_mask), err));
    m->backend->no_packing = o->no_packing;
    RZ_TRY(rz_weights_bind(&m->weights, m->file, m->backend, err));
    RZ_TRY(rz_tokenizer_new(&m->tokenizer, m->file, err));
    RZ_TRY(check_vocab(m, err));
    RZ_TRY(open_template(m, err));
    set_name(m);
    rz_model_info *info = &m->weights.config.info;
    info->name = m->name;
    info->n_threads = o->n_threads;
    info->cpu_level = m->backend->level;
    return RZ_OK;
}

rz_status rz_model_open(rz_model **out, const char *path, const rz_model_options *options,
                        rz_error *err)
{
    *out = NULL;
    rz_model_options o = options ? *options : rz_model_options_default();
    if (o.n_threads == 0)
        o.n_threads = rz_min_u32(rz_cpu_count(), RZ_MAX_THREADS);
    if (o.n_threads > RZ_MAX_THREADS)
        return rz_fail(err, RZ_EUSAGE, "%u threads: expected 1 to %d", o.n_threads, RZ_MAX_THREADS);
    rz_model *m = calloc(1, sizeof *m);
    if (!m)
        return rz_fail_nomem(err, sizeof *m, "the model");
    rz_status status = open_parts(m, path, &o, err);
    if (status)
        rz_model_close(&m);
    *out = m;
    return status;
}

void rz_model_close(rz_model **model)
{
    if (!model || !*model)
        return;
    rz_model *m = *model;
    rz_template_free(&m->chat_template);
    rz_tokenizer_free(&m->tokenizer);
    rz_weights_fini(&m->weights);
    rz_backend_free(&m->backend);
    rz_file_close(&m->file);
    free(m);
    *model = NULL;
}

const rz_model_info *rz_model_get_info(const rz_model *model)
{
    return &model->weights.config.info;
}

const rz_file *rz_model_get_file(const rz_model *model)
{
    return model->file;
}

const rz_tokenizer *rz_model_get_tokenizer(const rz_model *model)
{
    return model->tokenizer;
}

const rz_template *rz_model_get_template(const rz_model *model)
{
    return model->chat_template;
}

uint64_t rz_model_kv_bytes(const rz_model *model, uint64_t n_tokens, rz_dtype kv_type)
{
    struct rz_kv_pool kv;
    rz_kv_pool_shape(&kv, &model->weights.config.info, kv_type);
    return (n_tokens + RZ_KV_BLOCK_LEN - 1) / RZ_KV_BLOCK_LEN * kv.block_bytes;
}
