/* eval.c - perplexity over windows of text. Invariant: every token but the first of a window is
 * scored once, given all before it in the window. */
#include "base/checked.h"
#include "base/clock.h"
#include "base/fail.h"

#include <math.h>
#include <realizar/check.h>

/* Memory for the logits of a part of a window. */
static const size_t logits_bytes_max = (size_t)32 << 20;

struct tally {
    size_t n;
    double mean, square; /* Welford 1962: square is the sum of squared deviations */
};

/* -log softmax(logits)[id] */
static double nll(const float *logits, uint32_t n, int32_t id)
{
    float max = -INFINITY;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)max);
    return log(sum) + (double)max - (double)logits[id];
}

static void add(struct tally *t, double x)
{
    double before = x - t->mean;
    t->mean += before / (double)++t->n;
    t->square += before * (x - t->mean);
}

struct eval {
    rz_session *session;
    uint32_t n_vocab;
    size_t part;   /* tokens fed at a time */
    float *logits; /* [part][n_vocab] */
    struct tally tally;
};

static rz_status score_window(struct eval *e, const int32_t *ids, size_t n, rz_error *err)
{
    rz_session_truncate(e->session, 0);
    for (size_t done = 0; done + 1 < n;) { /* the last token is only predicted */
        size_t now = rz_min_size(e->part, n - 1 - done);
        RZ_TRY(rz_session_feed_all(e->session, ids + done, now, e->logits, err));
        for (size_t i = 0; i < now; i++)
            add(&e->tally, nll(e->logits + i * e->n_vocab, e->n_vocab, ids[done + i + 1]));
        done += now;
    }
    return RZ_OK;
}

static rz_status check_arguments(const rz_engine *engine, const int32_t *ids, size_t n,
                                 uint32_t n_ctx, rz_error *err)
{
    uint32_t n_vocab = rz_model_get_info(rz_engine_model(engine))->n_vocab;
    if (n < 2)
        return rz_fail(err, RZ_EUSAGE, "perplexity needs at least 2 tokens, the text has %zu", n);
    if (rz_engine_n_ctx(engine) < 2)
        return rz_fail(err, RZ_EUSAGE, "perplexity needs a context of at least 2 tokens");
    if (n_ctx < 2 || n_ctx > rz_engine_n_ctx(engine))
        return rz_fail(err, RZ_EUSAGE, "a window of %u tokens: expected 2 to %u", n_ctx,
                       rz_engine_n_ctx(engine));
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= n_vocab)
            return rz_fail(err, RZ_EUSAGE, "token %zu is %d, the vocabulary has %u", i, ids[i],
                           n_vocab);
    return RZ_OK;
}

rz_status rz_eval_perplexity(rz_engine *engine, const int32_t *ids, size_t n, uint32_t n_ctx,
                             rz_perplexity *out, rz_error *err)
{
    *out = (rz_perplexity){0};
    n_ctx = n_ctx ? n_ctx : rz_engine_n_ctx(engine);
    RZ_TRY(check_arguments(engine, ids, n, n_ctx, err));
    struct eval e = {.n_vocab = rz_model_get_info(rz_engine_model(engine))->n_vocab};
    size_t row_bytes = e.n_vocab * sizeof *e.logits;
    double start = rz_now_s();
    e.part = rz_min_size(rz_max_size(logits_bytes_max / row_bytes, 1), n_ctx);
    RZ_TRY(rz_session_new(&e.session, engine, err));
    rz_status status = RZ_OK;
    e.logits = malloc(e.part * row_bytes);
    if (!e.logits)
        status = rz_fail_nomem(err, e.part * row_bytes, "logits");
    for (size_t at = 0; !status && at + 1 < n; at += n_ctx) {
        status = score_window(&e, ids + at, rz_min_size(n_ctx, n - at), err);
        out->n_windows++;
    }
    free(e.logits);
    rz_session_free(&e.session);
    if (status)
        return status;
    /* The deviation of a mean of n values is s / sqrt(n); that of exp(mean) is exp(mean) times it,
     * exp being its own derivative. One value has no deviation. */
    const struct tally *t = &e.tally;
    double deviation = t->n > 1 ? sqrt(t->square / (double)(t->n - 1) / (double)t->n) : 0;
    out->n_scored = t->n;
    out->mean_nll = t->mean;
    out->perplexity = exp(t->mean);
    out->standard_error = out->perplexity * deviation;
    out->seconds = rz_now_s() - start;
    return RZ_OK;
}
