/* session.c - one sequence: its tokens, its block table, the logits after its last token.
 * Invariant: positions 0 ... n_ids - 1 are in the KV cache, in blocks of the table. */
#include "base/checked.h"
#include "base/fail.h"
#include "engine/engine.h"
#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>

/* The first slot that is free: there is one. */
static uint32_t take_slot(rz_engine *e)
{
    uint32_t slot = 0;
    while (e->slot_used[slot])
        slot++;
    e->slot_used[slot] = true;
    return slot;
}

rz_status rz_session_new(rz_session **out, rz_engine *engine, rz_error *err)
{
    *out = NULL;
    const rz_engine_options *o = &engine->options;
    if (engine->n_sessions == o->max_sessions)
        return rz_fail(err, RZ_EINFER, "all %u sessions of the engine are in use", o->max_sessions);
    size_t n_vocab = engine->model->weights.config.info.n_vocab;
    rz_session *s = calloc(1, sizeof *s);
    if (!s)
        return rz_fail_nomem(err, sizeof *s, "a session");
    s->engine = engine;
    engine->n_sessions++;
    s->slot = take_slot(engine);
    s->logits = engine->logits + s->slot * n_vocab;
    s->blocks = malloc(rz_kv_blocks_for(o->n_ctx) * sizeof *s->blocks);
    s->ids = malloc(o->n_ctx * sizeof *s->ids);
    if (!s->blocks || !s->ids) {
        rz_session_free(&s);
        return rz_fail_nomem(err, o->n_ctx * sizeof *s->ids, "a session");
    }
    *out = s;
    return RZ_OK;
}

void rz_session_free(rz_session **session)
{
    if (!session || !*session)
        return;
    rz_session *s = *session;
    rz_kv_shrink(s, 0);
    s->engine->n_sessions--;
    s->engine->slot_used[s->slot] = false;
    free(s->blocks);
    free(s->ids);
    free(s);
    *session = NULL;
}

/* Feeds n ids in parts of at most n_batch. What is wrong with them is seen before the first. */
static rz_status feed_parts(rz_session *s, const int32_t *ids, size_t n, float *all, rz_error *err)
{
    rz_engine *e = s->engine;
    const size_t n_vocab = e->model->weights.config.info.n_vocab;
    const rz_feed whole = {.session = s, .ids = ids, .n = n};
    RZ_TRY(rz_feed_check(e, &whole, err));
    for (size_t done = 0; done < n;) {
        const rz_feed feed = {.session = s,
                              .ids = ids + done,
                              .n = rz_min_size(n - done, e->options.n_batch),
                              .all = all ? all + done * n_vocab : NULL};
        RZ_TRY(rz_engine_run(e, &feed, 1, done + feed.n == n, err));
        done += feed.n;
    }
    return RZ_OK;
}

rz_status rz_session_feed(rz_session *s, const int32_t *ids, size_t n, rz_error *err)
{
    return feed_parts(s, ids, n, NULL, err);
}

rz_status rz_session_feed_all(rz_session *s, const int32_t *ids, size_t n, float *all,
                              rz_error *err)
{
    return feed_parts(s, ids, n, all, err);
}

const float *rz_session_logits(const rz_session *s)
{
    return s->has_logits ? s->logits : NULL;
}

const int32_t *rz_session_ids(const rz_session *s, size_t *n)
{
    *n = s->n_ids;
    return s->ids;
}

void rz_session_truncate(rz_session *s, size_t n)
{
    if (n >= s->n_ids)
        return;
    s->n_ids = n;
    s->has_logits = false;
    rz_kv_shrink(s, n);
}

rz_status rz_session_sync(rz_session *s, const int32_t *ids, size_t n, size_t *n_reused,
                          rz_error *err)
{
    size_t same = 0;
    while (same < n && same < s->n_ids && ids[same] == s->ids[same])
        same++;
    /* Logits come from feeding: the last token is fed again unless they are still there. */
    bool complete = same == n && s->n_ids == n && s->has_logits;
    if (same == n && n > 0 && !complete)
        same--;
    if (n > s->engine->options.n_ctx)
        return rz_fail(err, RZ_EINFER, "the context holds %u tokens and the prompt has %zu",
                       s->engine->options.n_ctx, n);
    rz_session_truncate(s, same);
    if (n_reused)
        *n_reused = same;
    return complete ? RZ_OK : rz_session_feed(s, ids + same, n - same, err);
}
