/* generate.c - the generation loop. Invariant: out->text holds the text that on_text was given
 * (emitted bytes) and after it only bytes that may still turn out to begin a stop string. */
#include "base/clock.h"
#include "base/fail.h"
#include "engine/generate_stop.h"
#include "engine/internal.h"

#include <string.h>

struct run {
    rz_session *session;
    const rz_tokenizer *tok;
    const rz_generate_options *options;
    rz_generation *out;
    struct rz_stops stops;
    rz_detok detok;
    size_t emitted; /* bytes of out->text */
    size_t max_tokens;
};

static void cut_text(rz_text *text, size_t len)
{
    text->len = len;
    text->data[len] = '\0';
}

/* Scans what was appended to the text from byte `from` on; cuts the text before a stop string. */
static bool scan_stops(struct run *r, size_t from)
{
    rz_text *text = &r->out->text;
    size_t n_read, stop_len;
    if (!rz_stops_feed(&r->stops, text->data + from, text->len - from, &n_read, &stop_len))
        return false;
    cut_text(text, from + n_read - stop_len);
    return true;
}

/* Hands text up to byte `end` to the caller, also if there is none. False: stop. */
static bool emit(struct run *r, size_t end, int32_t id)
{
    const char *text = r->out->text.data + r->emitted;
    size_t len = end - r->emitted;
    r->emitted = end;
    return !r->options->on_text || r->options->on_text(r->options->ctx, text, len, id);
}

/* Takes one sampled token: its text, and whether the generation ends with it (*done). */
static rz_status take(struct run *r, int32_t id, bool *done, rz_error *err)
{
    rz_generation *out = r->out;
    const rz_generate_options *o = r->options;
    RZ_TRY(rz_ids_add(&out->ids, id, err));
    size_t from = out->text.len;
    bool end = !o->ignore_end && rz_tokenizer_is_end(r->tok, id);
    if (!end || o->keep_special)
        RZ_TRY(rz_detok_feed(&r->detok, id, &out->text, err));
    bool stopped = scan_stops(r, from);
    *done = true;
    if (stopped)
        out->finish = RZ_FINISH_STOP;
    else if (end)
        out->finish = RZ_FINISH_END;
    else if (r->max_tokens > 0 && out->ids.len >= r->max_tokens)
        out->finish = RZ_FINISH_LENGTH;
    else if (r->session->n_ids >= r->session->engine->options.n_ctx)
        out->finish = RZ_FINISH_CONTEXT;
    else
        *done = false;
    if (*done && !stopped) {
        from = out->text.len;
        RZ_TRY(rz_detok_finish(&r->detok, &out->text, err));
        if (scan_stops(r, from))
            out->finish = RZ_FINISH_STOP;
    }
    if (!emit(r, *done ? out->text.len : out->text.len - rz_stops_held(&r->stops), id)) {
        out->finish = RZ_FINISH_CANCEL;
        *done = true;
    }
    return RZ_OK;
}

static rz_status generate_all(struct run *r, rz_sampler *sampler, rz_error *err)
{
    double start = rz_now_s(), first = 0;
    rz_status status = RZ_OK;
    for (bool done = false; !done && !status;) {
        int32_t id = -1;
        status = rz_sampler_sample(sampler, rz_session_logits(r->session), r->session->ids,
                                   r->session->n_ids, &id, err);
        if (first == 0)
            first = rz_now_s();
        if (!status)
            status = take(r, id, &done, err);
        if (!status && !done)
            status = rz_session_feed(r->session, &id, 1, err);
    }
    r->out->first_token_s = first - start;
    r->out->rest_s = rz_now_s() - first;
    return status;
}

rz_status rz_generate(rz_session *session, rz_sampler *sampler, const rz_generate_options *options,
                      rz_generation *out, rz_error *err)
{
    *out = (rz_generation){.finish = RZ_FINISH_CANCEL};
    if (!rz_session_logits(session))
        return rz_fail(err, RZ_EUSAGE, "nothing to continue: the session has no logits");
    struct run r = {
        .session = session,
        .tok = rz_model_get_tokenizer(rz_engine_model(session->engine)),
        .options = options,
        .out = out,
        .max_tokens = options->max_tokens,
    };
    RZ_TRY(rz_stops_init(&r.stops, options->stops, options->n_stops, err));
    enum {
        FIRST_CAP = 256
    };
    out->text = (rz_text){.data = calloc(FIRST_CAP, 1), .cap = FIRST_CAP};
    rz_status status = RZ_OK;
    if (!out->text.data) {
        out->text.cap = 0;
        status = rz_fail_nomem(err, FIRST_CAP, "the generated text");
        goto done;
    }
    rz_detok_init(&r.detok, r.tok, options->keep_special);
    r.detok.at_start = false; /* a continuation: SentencePiece's first space belongs to it */
    status = generate_all(&r, sampler, err);
    if (status)
        cut_text(&out->text, r.emitted);
done:
    rz_stops_fini(&r.stops);
    return status;
}

void rz_generation_free(rz_generation *g)
{
    if (!g)
        return;
    rz_text_free(&g->text);
    rz_ids_free(&g->ids);
}

const char *rz_finish_name(rz_finish f)
{
    switch (f) {
    case RZ_FINISH_END:
        return "end";
    case RZ_FINISH_STOP:
        return "stop";
    case RZ_FINISH_LENGTH:
        return "length";
    case RZ_FINISH_CONTEXT:
        return "context";
    case RZ_FINISH_CANCEL:
        return "cancel";
    }
    return "unknown";
}
