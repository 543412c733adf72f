/* engine.c - an engine's memory, and one step: feeds of several sessions become one batch, one
 * forward, and the logits each session is owed. */
#include "engine/engine.h"

#include "base/checked.h"
#include "base/f16.h"
#include "base/fail.h"
#include "engine/kv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows whose logits are computed at once when every position's are wanted. */
enum {
    LOGIT_ROWS = 64,
    MAX_BATCH = 1 << 14,
    MAX_SESSIONS = 1 << 12
};

rz_engine_options rz_engine_options_default(void)
{
    return (rz_engine_options){.max_sessions = 1, .n_batch = 512, .kv_type = RZ_N_DTYPES};
}

/* Float models are run for their exact answers: rounding K and V to 16 bits would be the largest
 * error in them (docs/numerics.md). */
static rz_dtype default_kv_type(const rz_model *model)
{
    const rz_file *file = model->file;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        rz_dtype type = rz_file_tensor_at(file, i)->dtype;
        if (type != RZ_F32 && type != RZ_F16 && type != RZ_BF16)
            return RZ_F16;
    }
    return RZ_F32;
}

static rz_status resolve(rz_engine_options *o, const rz_model *model, rz_error *err)
{
    uint32_t trained = model->weights.config.info.n_ctx_train;
    if (o->n_ctx == 0)
        o->n_ctx = trained;
    if (o->kv_type == RZ_N_DTYPES)
        o->kv_type = default_kv_type(model);
    if (o->n_ctx > trained)
        return rz_fail(err, RZ_EUSAGE, "a context of %u tokens: the model was trained for %u",
                       o->n_ctx, trained);
    if (o->kv_type != RZ_F32 && o->kv_type != RZ_F16 && o->kv_type != RZ_Q8_0)
        return rz_fail(err, RZ_EUSAGE, "KV cache type %s: expected F32, F16 or Q8_0",
                       rz_dtype_name(o->kv_type));
    if (o->n_batch == 0 || o->n_batch > MAX_BATCH)
        return rz_fail(err, RZ_EUSAGE, "a batch of %u tokens: expected 1 to %d", o->n_batch,
                       MAX_BATCH);
    if (o->max_sessions == 0 || o->max_sessions > MAX_SESSIONS)
        return rz_fail(err, RZ_EUSAGE, "%u sessions: expected 1 to %d", o->max_sessions,
                       MAX_SESSIONS);
    if (o->n_batch < o->max_sessions)
        return rz_fail(err, RZ_EUSAGE, "a batch of %u tokens cannot serve %u sessions", o->n_batch,
                       o->max_sessions);
    return RZ_OK;
}

static rz_status init_engine(rz_engine *e, rz_error *err)
{
    const rz_engine_options *o = &e->options;
    uint64_t n_blocks = (uint64_t)rz_kv_blocks_for(o->n_ctx) * o->max_sessions;
    if (n_blocks > UINT32_MAX)
        return rz_fail(err, RZ_EUSAGE, "%u sessions of %u tokens are more than one pool holds",
                       o->max_sessions, o->n_ctx);
    e->pos = calloc(o->n_batch, sizeof *e->pos);
    e->logit_rows = calloc(o->n_batch, sizeof *e->logit_rows);
    e->logit_to = calloc(o->n_batch, sizeof *e->logit_to);
    e->ids = calloc(o->n_batch, sizeof *e->ids);
    e->spans = calloc(o->max_sessions, sizeof *e->spans);
    e->slot_used = calloc(o->max_sessions, sizeof *e->slot_used);
    if (!e->pos || !e->logit_rows || !e->logit_to || !e->ids || !e->spans || !e->slot_used)
        return rz_fail_nomem(err, o->n_batch * 3 * sizeof *e->pos, "the batch");
    const size_t n_vocab = e->model->weights.config.info.n_vocab;
    e->logits = calloc(o->max_sessions, n_vocab * sizeof *e->logits);
    if (!e->logits)
        return rz_fail_nomem(err, o->max_sessions * n_vocab * sizeof *e->logits,
                             "the sessions' logits");
    RZ_TRY(rz_kv_pool_init(e, (uint32_t)n_blocks, err));
    uint32_t max_logits = o->max_sessions > LOGIT_ROWS ? o->max_sessions : LOGIT_ROWS;
    return rz_scratch_init(&e->scratch, &e->model->weights, o->n_batch, max_logits, err);
}

rz_status rz_engine_new(rz_engine **out, const rz_model *model, const rz_engine_options *options,
                        rz_error *err)
{
    *out = NULL;
    rz_engine_options o = options ? *options : rz_engine_options_default();
    RZ_TRY(resolve(&o, model, err));
    rz_engine *e = calloc(1, sizeof *e);
    if (!e)
        return rz_fail_nomem(err, sizeof *e, "the engine");
    e->model = model;
    e->options = o;
    rz_status status = init_engine(e, err);
    if (status)
        rz_engine_free(&e);
    *out = e;
    return status;
}

void rz_engine_free(rz_engine **engine)
{
    if (!engine || !*engine)
        return;
    rz_engine *e = *engine;
    RZ_ASSERT(e->n_sessions == 0);
    rz_scratch_fini(&e->scratch);
    rz_kv_pool_fini(e);
    free(e->pos);
    free(e->logit_rows);
    free(e->logit_to);
    free(e->ids);
    free(e->spans);
    free(e->slot_used);
    free(e->logits);
    free(e);
    *engine = NULL;
}

const rz_model *rz_engine_model(const rz_engine *engine)
{
    return engine->model;
}

uint32_t rz_engine_n_ctx(const rz_engine *engine)
{
    return engine->options.n_ctx;
}

rz_dtype rz_engine_kv_type(const rz_engine *engine)
{
    return engine->options.kv_type;
}

uint64_t rz_engine_kv_bytes_reserved(const rz_engine *engine)
{
    return engine->kv.n_blocks * engine->kv.block_bytes;
}

uint64_t rz_engine_kv_bytes_used(const rz_engine *engine)
{
    return (engine->kv.n_blocks - engine->n_free) * engine->kv.block_bytes;
}

uint64_t rz_engine_scratch_bytes(const rz_engine *engine)
{
    return engine->scratch.bytes;
}

rz_status rz_feed_check(const rz_engine *e, const rz_feed *f, rz_error *err)
{
    const rz_session *s = f->session;
    const int32_t n_vocab = (int32_t)e->model->weights.config.info.n_vocab;
    RZ_ASSERT(s->engine == e);
    if (f->n == 0)
        return rz_fail(err, RZ_EUSAGE, "no tokens to feed");
    if (f->n > e->options.n_ctx - s->n_ids)
        return rz_fail(err, RZ_EINFER,
                       "the context holds %u tokens, %zu are in it and %zu more do not fit",
                       e->options.n_ctx, s->n_ids, f->n);
    for (size_t i = 0; i < f->n; i++) {
        if (f->ids[i] < 0 || f->ids[i] >= n_vocab)
            return rz_fail(err, RZ_EUSAGE, "token id %d is outside the vocabulary of %d", f->ids[i],
                           n_vocab);
    }
    return RZ_OK;
}

static bool all_differ(const rz_feed *feeds, size_t n_feeds)
{
    for (size_t i = 1; i < n_feeds; i++) {
        for (size_t j = 0; j < i; j++) {
            if (feeds[i].session == feeds[j].session)
                return false;
        }
    }
    return true;
}

/* Lays the feeds out as one batch; blocks are taken, nothing else of the sessions changes. */
static struct rz_batch make_batch(rz_engine *e, const rz_feed *feeds, size_t n_feeds)
{
    uint32_t n = 0;
    for (size_t i = 0; i < n_feeds; i++) {
        rz_session *s = feeds[i].session;
        rz_kv_grow(s, s->n_ids + feeds[i].n);
        e->spans[i] = (struct rz_seq_span){
            .first = n, .n = (uint32_t)feeds[i].n, .pos = (uint32_t)s->n_ids, .blocks = s->blocks};
        for (size_t j = 0; j < feeds[i].n; j++, n++) {
            e->ids[n] = feeds[i].ids[j];
            e->pos[n] = (uint32_t)(s->n_ids + j);
        }
    }
    return (struct rz_batch){
        .n_tokens = n, .n_seqs = (uint32_t)n_feeds, .ids = e->ids, .pos = e->pos, .seqs = e->spans};
}

enum {
    RUN = 64
};

/* Without a branch, so that compilers make vectors of it. */
static bool run_is_finite(const float *x)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < RUN; i++)
        bad |= (rz_f32_bits(x[i]) & 0x7F800000u) == 0x7F800000u;
    return !bad;
}

static rz_status check_finite(const float *logits, size_t n, rz_error *err)
{
    size_t i = 0;
    while (i + RUN <= n && run_is_finite(logits + i))
        i += RUN;
    for (; i < n; i++) {
        if (!isfinite(logits[i]))
            return rz_fail(err, RZ_EINFER,
                           "a logit is not finite (number %zu of the fed tokens' logits): the "
                           "model's weights are damaged "
                           "or its activations overflow",
                           i);
    }
    return RZ_OK;
}

/* Whether n rows lie one after another. */
static bool in_a_row(float *const *rows, uint32_t n, size_t row_len)
{
    for (uint32_t i = 1; i < n; i++) {
        if ((uintptr_t)rows[i] != (uintptr_t)rows[0] + i * row_len * sizeof *rows[i])
            return false;
    }
    return true;
}

/* Logits of n rows of the step, each to its own out [n_vocab]; in even parts, so that all are of
 * the same class of products (rz_kernels.wide_from): half of LOGIT_ROWS at least, if n is. */
static void read_logits(rz_engine *e, const struct rz_forward_args *a, const uint32_t *rows,
                        uint32_t n, float *const *out)
{
    const size_t n_vocab = e->model->weights.config.info.n_vocab;
    struct rz_backend *b = e->model->backend;
    const uint64_t n_parts = (n + e->scratch.max_logits - 1) / e->scratch.max_logits;
    for (uint64_t i_part = 0; i_part < n_parts; i_part++) {
        const uint32_t begin = (uint32_t)(n * i_part / n_parts);
        const uint32_t part = (uint32_t)(n * (i_part + 1) / n_parts) - begin;
        float *const *to = out + begin;
        /* A copy of a row would take as long as reading 1.5 MB of weights. */
        const bool there = b->host_memory && in_a_row(to, part, n_vocab);
        rz_forward_logits(a, rows + begin, part, there ? to[0] : e->scratch.logits);
        for (uint32_t i = 0; i < part && !there; i++)
            b->ops->download(b, to[i], e->scratch.logits + i * n_vocab, n_vocab * sizeof *to[i]);
    }
}

/* Lists the rows whose logits are wanted and where they go: every row of a feed that asks for all,
 * else its last one to its session, if those are wanted. Returns how many. */
static uint32_t list_logits(rz_engine *e, const rz_feed *feeds, size_t n_feeds, bool last)
{
    const size_t n_vocab = e->model->weights.config.info.n_vocab;
    uint32_t n = 0;
    for (size_t i = 0; i < n_feeds; i++) {
        const struct rz_seq_span *span = &e->spans[i];
        for (uint32_t j = 0; feeds[i].all && j < span->n; j++, n++) {
            e->logit_rows[n] = span->first + j;
            e->logit_to[n] = feeds[i].all + j * n_vocab;
        }
        if (last && !feeds[i].all) {
            e->logit_rows[n] = span->first + span->n - 1;
            e->logit_to[n++] = feeds[i].session->logits;
        }
    }
    return n;
}

/* Gives a session the logits of its feed, if all that it asked for are finite. */
static rz_status accept_logits(const rz_engine *e, const rz_feed *f, rz_error *err)
{
    const size_t n_vocab = e->model->weights.config.info.n_vocab;
    rz_session *s = f->session;
    if (f->all) {
        RZ_TRY(check_finite(f->all, f->n * n_vocab, err));
        memcpy(s->logits, f->all + (f->n - 1) * n_vocab, n_vocab * sizeof *s->logits);
    } else {
        RZ_TRY(check_finite(s->logits, n_vocab, err));
    }
    s->has_logits = true;
    return RZ_OK;
}

/* Logits that are not finite are no other session's trouble. */
static rz_status step_logits(rz_engine *e, const struct rz_forward_args *a, const rz_feed *feeds,
                             bool last, rz_error *err)
{
    const size_t n_feeds = a->batch->n_seqs;
    uint32_t n = list_logits(e, feeds, n_feeds, last);
    if (n > 0)
        read_logits(e, a, e->logit_rows, n, e->logit_to);
    rz_status status = RZ_OK;
    for (size_t i = 0; i < n_feeds; i++) {
        if (!last && !feeds[i].all)
            continue;
        rz_status own = accept_logits(e, &feeds[i], status ? NULL : err);
        status = status ? status : own;
    }
    return status;
}

rz_status rz_engine_run(rz_engine *e, const rz_feed *feeds, size_t n_feeds, bool last,
                        rz_error *err)
{
    size_t n_tokens = 0;
    if (n_feeds == 0 || n_feeds > e->options.max_sessions)
        return rz_fail(err, RZ_EUSAGE, "a step of %zu sessions: expected 1 to %u", n_feeds,
                       e->options.max_sessions);
    for (size_t i = 0; i < n_feeds; i++) {
        RZ_TRY(rz_feed_check(e, &feeds[i], err));
        n_tokens += feeds[i].n;
    }
    RZ_ASSERT(all_differ(feeds, n_feeds));
    if (n_tokens > e->options.n_batch)
        return rz_fail(err, RZ_EUSAGE, "a step of %zu tokens: the batch holds %u", n_tokens,
                       e->options.n_batch);
    const struct rz_batch batch = make_batch(e, feeds, n_feeds);
    const struct rz_forward_args a = {.weights = &e->model->weights,
                                      .scratch = &e->scratch,
                                      .kv = &e->kv,
                                      .batch = &batch,
                                      .tap = e->tap,
                                      .tap_ctx = e->tap_ctx};
    rz_forward_layers(&a);
    for (size_t i = 0; i < n_feeds; i++) {
        rz_session *s = feeds[i].session;
        memcpy(s->ids + s->n_ids, feeds[i].ids, feeds[i].n * sizeof *s->ids);
        s->n_ids += feeds[i].n;
        s->has_logits = false;
    }
    return step_logits(e, &a, feeds, last, err);
}

rz_status rz_engine_step(rz_engine *engine, const rz_feed *feeds, size_t n_feeds, rz_error *err)
{
    return rz_engine_run(engine, feeds, n_feeds, true, err);
}
