/* logits_pair.c - logits of two models at every position of one sequence: the first model's prompt
 * and greedy answer. The first model's logits are kept, so that two large models need not be in
 * memory together. */
#include "cli/logits_pair.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_POSITIONS = 4096
};

struct side {
    struct cli_loaded l;
    uint32_t n_vocab;
    float *logits; /* [n][n_vocab] */
};

static rz_status open_side(struct side *s, const char *path, const struct cli_model_args *model,
                           rz_error *err)
{
    /* Both in F32, so that the cache's rounding is no part of the difference. */
    const struct cli_engine_args engine = {.kv = "f32"};
    RZ_TRY(cli_load(&s->l, path, model, &engine, true, err));
    s->n_vocab = rz_model_get_info(s->l.model)->n_vocab;
    return RZ_OK;
}

static void close_side(struct side *s)
{
    cli_unload(&s->l);
    free(s->logits);
    s->logits = NULL;
}

static int32_t likeliest(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static rz_status feed_all(struct side *s, const rz_ids *ids, rz_error *err)
{
    s->logits = calloc(ids->len * s->n_vocab, sizeof *s->logits);
    if (!s->logits)
        return rz_fail_nomem(err, ids->len * s->n_vocab * sizeof *s->logits, "logits");
    RZ_TRY(cli_check_context(&s->l, ids->len, err));
    rz_session_truncate(s->l.session, 0);
    return rz_session_feed_all(s->l.session, ids->data, ids->len, s->logits, err);
}

/* The greedy continuation, appended to ids. */
static rz_status continue_greedily(struct side *s, size_t max_tokens, rz_ids *ids, rz_error *err)
{
    const rz_tokenizer *tok = rz_model_get_tokenizer(s->l.model);
    size_t fed = 0;
    for (size_t i = 0; i < max_tokens; i++) {
        RZ_TRY(rz_session_feed(s->l.session, ids->data + fed, ids->len - fed, err));
        fed = ids->len;
        int32_t id = likeliest(rz_session_logits(s->l.session), s->n_vocab);
        if (rz_tokenizer_is_end(tok, id))
            break;
        RZ_TRY(rz_ids_add(ids, id, err));
    }
    return RZ_OK;
}

static double log_sum(const float *logits, uint32_t n)
{
    double sum = 0, largest = (double)logits[likeliest(logits, n)];
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - largest);
    return largest + log(sum);
}

static struct cli_logits_position compare(const float *a, const float *b, uint32_t n)
{
    struct cli_logits_position p = {.top_a = likeliest(a, n), .top_b = likeliest(b, n)};
    double total_a = log_sum(a, n), total_b = log_sum(b, n);
    for (uint32_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        p.worst = fmax(p.worst, fabs(x - y));
        p.kl += exp(x - total_a) * ((x - total_a) - (y - total_b));
    }
    p.kl = fmax(p.kl, 0); /* rounding can bring a zero below it */
    return p;
}

static rz_status compare_all(struct cli_logits_pair *out, const struct side *a,
                             const struct side *b, size_t n, rz_error *err)
{
    out->positions = calloc(n, sizeof *out->positions);
    if (!out->positions)
        return rz_fail_nomem(err, n * sizeof *out->positions, "positions");
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        struct cli_logits_position p =
            compare(a->logits + i * a->n_vocab, b->logits + i * a->n_vocab, a->n_vocab);
        out->positions[i] = p;
        out->worst = fmax(out->worst, p.worst);
        out->mean_kl += p.kl / (double)n;
        out->n_same_top += p.top_a == p.top_b;
    }
    return RZ_OK;
}

/* The prompt's tokens must be the same ones in b. */
static rz_status check_tokens(const struct side *b, const struct cli_logits_question *q,
                              const rz_ids *ids, rz_error *err)
{
    rz_ids other = {0};
    RZ_TRY(cli_encode_raw(b->l.model, q->prompt, strlen(q->prompt), true, &other, err));
    bool same =
        other.len <= ids->len && memcmp(other.data, ids->data, other.len * sizeof *other.data) == 0;
    rz_ids_free(&other);
    return same ? RZ_OK
                : rz_fail(err, RZ_EINVALID, "%s and %s encode the prompt to different tokens",
                          q->path_a, q->path_b);
}

static rz_status ask_a(struct side *a, const struct cli_logits_question *q, rz_ids *ids,
                       rz_error *err)
{
    RZ_TRY(open_side(a, q->path_a, &q->model, err));
    RZ_TRY(cli_encode_raw(a->l.model, q->prompt, strlen(q->prompt), true, ids, err));
    if (ids->len == 0 || ids->len + q->max_tokens > MAX_POSITIONS)
        return rz_fail(err, RZ_EUSAGE, "a prompt and answer of 1 to %d tokens are compared",
                       MAX_POSITIONS);
    RZ_TRY(continue_greedily(a, q->max_tokens, ids, err));
    return feed_all(a, ids, err);
}

static rz_status ask_b(struct side *b, const struct cli_logits_question *q, uint32_t n_vocab,
                       const rz_ids *ids, rz_error *err)
{
    RZ_TRY(open_side(b, q->path_b, &q->model, err));
    if (n_vocab != b->n_vocab)
        return rz_fail(err, RZ_EINVALID, "vocabularies of %u and %u tokens", n_vocab, b->n_vocab);
    RZ_TRY(check_tokens(b, q, ids, err));
    return feed_all(b, ids, err);
}

rz_status cli_logits_pair(struct cli_logits_pair *out, const struct cli_logits_question *q,
                          rz_ids *ids, rz_error *err)
{
    struct side a = {0}, b = {0};
    rz_status status = ask_a(&a, q, ids, err);
    cli_unload(&a.l);
    if (!status)
        status = ask_b(&b, q, a.n_vocab, ids, err);
    if (!status)
        status = compare_all(out, &a, &b, ids->len, err);
    close_side(&a);
    close_side(&b);
    return status;
}

void cli_logits_pair_fini(struct cli_logits_pair *pair)
{
    free(pair->positions);
    *pair = (struct cli_logits_pair){0};
}
