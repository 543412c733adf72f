/* check_text.c - the stages at both ends of the model: tokenizer, probabilities, sampler. */
#include "base/fail.h"
#include "base/utf8.h"
#include "engine/check.h"

#include <math.h>
#include <realizar/sampler.h>
#include <string.h>

enum {
    N_DRAWS = 32
};

/* The sampler's weights are float32 exponentials: some units in the last place, and as many again
 * for the sum. */
static const double probability_tolerance = 1e-5;
static const double noise_factor = 5;

/* ---- tokenizer ----------------------------------------------------------------------------- */

static rz_status detokenize(const rz_tokenizer *tok, const rz_ids *ids, rz_text *out, rz_error *err)
{
    rz_detok d;
    rz_detok_init(&d, tok, false);
    for (size_t i = 0; i < ids->len; i++)
        RZ_TRY(rz_detok_feed(&d, ids->data[i], out, err));
    return rz_detok_finish(&d, out, err);
}

static rz_status round_trip(struct check *c, rz_error *err)
{
    struct check_finding *f = &c->found[CHECK_TOKENIZER];
    const rz_tokenizer *tok = c->model->tokenizer;
    rz_ids ids = {0};
    rz_text text = {0};
    size_t n_text = strlen(rz_check_text);
    rz_error why = {0};
    rz_status status = rz_tokenizer_encode(tok, rz_check_text, n_text, 0, &ids, &why);
    if (status)
        rz_check_fault(f, "the test text cannot be encoded: %.180s", why.text);
    if (!status)
        status = detokenize(tok, &ids, &text, &why);
    for (size_t i = 0; i < ids.len; i++)
        if (ids.data[i] < 0 || (uint32_t)ids.data[i] >= c->info->n_vocab)
            rz_check_fault(f, "token %zu of the test text is %d, outside the vocabulary", i,
                           ids.data[i]);
    bool same = !status && text.len == n_text && memcmp(text.data, rz_check_text, n_text) == 0;
    if (!same)
        rz_check_fault(f, "%zu bytes of text come back from %zu tokens as %zu other bytes", n_text,
                       ids.len, text.len);
    rz_check_note(f, same ? 0 : 1, 0.5, -1, "the test text");
    rz_ids_free(&ids);
    rz_text_free(&text);
    return status == RZ_ENOMEM ? rz_fail(err, status, "%s", why.text) : RZ_OK;
}

/* A special token's written form must lead back to it. */
static rz_status special_tokens(struct check *c, rz_error *err)
{
    struct check_finding *f = &c->found[CHECK_TOKENIZER];
    const rz_tokenizer *tok = c->model->tokenizer;
    uint32_t n = rz_tokenizer_n_vocab(tok);
    for (uint32_t id = 0; id < n; id++) {
        rz_slice bytes = rz_tokenizer_bytes(tok, (int32_t)id);
        bool special = rz_tokenizer_is_special(tok, (int32_t)id), found = false;
        if (!special || bytes.len == 0 || rz_utf8_valid(bytes.data, bytes.len) != bytes.len)
            continue;
        rz_ids ids = {0};
        rz_error why = {0};
        rz_status status =
            rz_tokenizer_encode(tok, bytes.data, bytes.len, RZ_ENCODE_SPECIAL, &ids, &why);
        for (size_t i = 0; i < ids.len; i++)
            found = found || ids.data[i] == (int32_t)id;
        rz_ids_free(&ids);
        if (status == RZ_ENOMEM)
            return rz_fail(err, status, "%s", why.text);
        rz_check_note(f, found ? 0 : 1, 0.5, -1, "a special token");
        if (!found)
            rz_check_fault(f, "special token %u, %.*s, is not encoded as itself", id,
                           (int)(bytes.len < 60 ? bytes.len : 60), bytes.data);
    }
    return RZ_OK;
}

rz_status rz_check_tokenizer(struct check *c, rz_error *err)
{
    const rz_tokenizer *tok = c->model->tokenizer;
    if (rz_tokenizer_n_vocab(tok) > c->info->n_vocab)
        rz_check_fault(&c->found[CHECK_TOKENIZER], "the tokenizer has %u tokens, the model %u",
                       rz_tokenizer_n_vocab(tok), c->info->n_vocab);
    RZ_TRY(round_trip(c, err));
    return special_tokens(c, err);
}

/* ---- probabilities ------------------------------------------------------------------------- */

static const float *row_logits(const struct check *c, uint32_t row)
{
    return rz_check_values(c, RZ_TAP_LOGITS, -1) + (size_t)row * c->info->n_vocab;
}

static void exact_softmax(const float *logits, double *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        p[i] = (double)logits[i];
    rz_ref_softmax(p, p, n);
}

/* Draws from a row's logits and compares the sampler's probabilities with a float64 softmax. */
static void check_draws(struct check *c, rz_sampler *s, uint32_t row, double *p)
{
    struct check_finding *f = &c->found[CHECK_PROBABILITIES];
    const float *logits = row_logits(c, row);
    exact_softmax(logits, p, c->info->n_vocab);
    for (int i = 0; i < N_DRAWS; i++) {
        int32_t id = 0;
        rz_error why = {0};
        if (rz_sampler_sample(s, logits, NULL, 0, &id, &why)) {
            rz_check_fault(f, "token %u of the prompt: %.180s", c->capture.pos[row], why.text);
            return;
        }
        double got = (double)rz_sampler_last_prob(s, NULL);
        rz_check_note(f, fabs(got / p[id] - 1), probability_tolerance, -1,
                      "a drawn token's probability");
    }
}

/* The squared distance of two rows of logits; an offset common to all is none. b may be NULL. */
static double square_distance(const double *a, const double *b, uint32_t n)
{
    double mean = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        mean += (a[i] - (b ? b[i] : 0)) / n;
    for (uint32_t i = 0; i < n; i++) {
        double d = a[i] - (b ? b[i] : 0) - mean;
        sum += d * d;
    }
    return sum;
}

/* The whole model at once: errors of all layers together, against a float64 forward. A right engine
 * is about as far from it as the same forward with random rounding errors is. */
static rz_status check_whole(struct check *c, double *p, rz_error *err)
{
    struct rz_ref_mat want;
    const struct check_capture *cap = &c->capture;
    const uint32_t n = c->info->n_vocab, n_rows = cap->n_whole;
    const struct rz_ref_prompt prompt = {
        .ids = cap->ids, .n = cap->pos[n_rows - 1] + 1, .rows = cap->pos, .n_rows = n_rows};
    RZ_TRY(rz_ref_forward(&c->ref, &prompt, &want, err));
    double size = 0, noise = 0, error = 0;
    for (uint32_t m = 0; m < n_rows; m++) {
        const double *exact = want.v + (size_t)m * n, *noisy = want.v + (size_t)(m + n_rows) * n;
        for (uint32_t i = 0; i < n; i++)
            p[i] = (double)row_logits(c, m)[i];
        size += square_distance(exact, NULL, n);
        noise += square_distance(exact, noisy, n);
        error += square_distance(exact, p, n);
    }
    rz_ref_mat_fini(&want);
    /* A few random rows measure the noise roughly, hence the factor. The least: what rounding that
     * flips an expert's choice does, or what the small sizes of a toy model hide. */
    bool quantized = c->ref.kv_type == RZ_F16;
    double least = !quantized ? 1e-4 : c->info->n_experts ? 0.3 : 0.02;
    if (isfinite(size))
        rz_check_note(&c->found[CHECK_PROBABILITIES], sqrt(error / size),
                      fmax(noise_factor * sqrt(noise / size), least), -1,
                      "distance of the logits from the whole model in float64");
    else
        c->found[CHECK_PROBABILITIES].n_blocked++;
    return RZ_OK;
}

rz_status rz_check_probabilities(struct check *c, rz_error *err)
{
    uint32_t n = c->info->n_vocab;
    rz_sampler_options o = rz_sampler_options_default();
    o.temperature = 1;
    rz_sampler *s = NULL;
    double *p = malloc(n * sizeof *p);
    if (!p)
        return rz_fail_nomem(err, n * sizeof *p, "probabilities");
    rz_status status = rz_sampler_new(&s, n, &o, err);
    for (uint32_t i = 0; !status && i < c->capture.n_rows; i++)
        check_draws(c, s, i, p);
    if (!status)
        status = check_whole(c, p, err);
    rz_sampler_free(&s);
    free(p);
    return status;
}

/* ---- sampler ------------------------------------------------------------------------------- */

/* The greedy token must be the best by the float64 logits, or within both logits' errors of it. */
static rz_status check_greedy(struct check *c, rz_error *err)
{
    struct check_finding *f = &c->found[CHECK_SAMPLER];
    rz_sampler_options o = rz_sampler_options_default();
    rz_sampler *s = NULL;
    uint32_t n = c->info->n_vocab;
    RZ_TRY(rz_sampler_new(&s, n, &o, err));
    for (uint32_t m = 0; m < c->capture.n_rows; m++) {
        const double *v = c->logits.v + (size_t)m * n, *var = c->logits.var + (size_t)m * n;
        uint32_t best = 0;
        int32_t id = 0;
        rz_error why = {0};
        for (uint32_t i = 1; i < n; i++)
            best = v[i] > v[best] ? i : best;
        if (!isfinite(v[best])) {
            f->n_blocked++;
            continue;
        }
        if (rz_sampler_sample(s, row_logits(c, m), NULL, 0, &id, &why))
            rz_check_fault(f, "token %u of the prompt: %.180s", c->capture.pos[m], why.text);
        else
            rz_check_note(f, v[best] - v[id],
                          RZ_REF_SIGMAS * (sqrt(var[best]) + sqrt(var[id])) + 1e-30, -1,
                          "the greedy token's logit");
    }
    rz_sampler_free(&s);
    return RZ_OK;
}

/* Text of the ids must be valid UTF-8 whatever they are. */
static rz_status check_decode(struct check *c, const rz_ids *ids, rz_error *err)
{
    rz_text text = {0};
    rz_error why = {0};
    rz_status status = detokenize(c->model->tokenizer, ids, &text, &why);
    if (status)
        rz_check_fault(&c->found[CHECK_SAMPLER], "drawn tokens cannot be decoded: %.180s",
                       why.text);
    else if (rz_utf8_valid(text.data ? text.data : "", text.len) != text.len)
        rz_check_fault(&c->found[CHECK_SAMPLER], "drawn tokens decode to invalid UTF-8");
    rz_text_free(&text);
    return status == RZ_ENOMEM ? rz_fail(err, status, "%s", why.text) : RZ_OK;
}

/* Two samplers of one seed must draw the same tokens, each among the best top_k. */
static rz_status check_seeded(struct check *c, rz_error *err)
{
    enum {
        TOP_K = 20
    };
    struct check_finding *f = &c->found[CHECK_SAMPLER];
    rz_sampler_options o = rz_sampler_options_default();
    o.temperature = 0.8f;
    o.top_k = TOP_K;
    o.top_p = 0.95f;
    rz_sampler *a = NULL, *b = NULL;
    int32_t memory[CHECK_ROWS] = {0};
    rz_ids ids = {.data = memory};
    rz_status status = rz_sampler_new(&a, c->info->n_vocab, &o, err);
    if (!status)
        status = rz_sampler_new(&b, c->info->n_vocab, &o, err);
    for (uint32_t m = 0; !status && m < c->capture.n_rows; m++) {
        const float *logits = row_logits(c, m);
        int32_t id = 0, other = -1;
        uint32_t n_better = 0;
        if (rz_sampler_sample(a, logits, NULL, 0, &id, NULL) ||
            rz_sampler_sample(b, logits, NULL, 0, &other, NULL))
            continue; /* noted by the greedy part */
        for (uint32_t i = 0; i < c->info->n_vocab; i++)
            n_better += logits[i] > logits[id];
        if (id != other)
            rz_check_fault(f, "one seed draws token %d and token %d", id, other);
        if (n_better >= TOP_K)
            rz_check_fault(f, "token %d is drawn, of rank %u among the best %d", id, n_better,
                           TOP_K);
        ids.data[ids.len++] = id;
    }
    if (!status)
        status = check_decode(c, &ids, err);
    rz_sampler_free(&a);
    rz_sampler_free(&b);
    return status;
}

rz_status rz_check_sampler(struct check *c, rz_error *err)
{
    RZ_TRY(check_greedy(c, err));
    return check_seeded(c, err);
}
