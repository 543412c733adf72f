/* cmd_bench_ollama.c - Ollama as a baseline: one request per case and run, by the counts and times
 * that its answer tells (docs/api.md of Ollama, "Generate a completion").
 *
 * Ollama runs a model of its own store by name: that it is made of the same file is the caller's to
 * see to. Prompts are words that are one token each in most vocabularies, begun differently every
 * time, since a prompt that it has seen is not computed again; the rates are those of the tokens it
 * says it computed. What cannot be compared is left out: prefill at a depth, several sequences. */
#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/cmd_bench.h"

#include <realizar/hub.h>
#include <string.h>

enum {
    CTX_SPARE = 64,
    MAX_OFF = 8 /* tokens that a prompt may be longer or shorter than asked for */
};

rz_status bench_parse_ollama(struct bench_baseline *b, const char *where, rz_error *err)
{
    const char *host = strstr(where, "://"), *model = host ? strchr(host + 3, '/') : NULL;
    if (!model || !model[1])
        return rz_fail(err, RZ_EUSAGE,
                       "--baseline ollama=URL/MODEL, as ollama=http://localhost:11434/"
                       "qwen2.5-coder:0.5b, not '%s'",
                       where);
    int n = snprintf(b->url, sizeof b->url, "%.*s/api/generate", (int)(model - where), where);
    if (n < 0 || (size_t)n >= sizeof b->url)
        return rz_fail(err, RZ_EUSAGE, "the URL of --baseline ollama is too long");
    b->ollama_model = model + 1;
    return RZ_OK;
}

/* About n tokens; unique: so that no prefix of an earlier prompt is the same. */
static bool make_prompt(struct rz_buf *text, uint32_t n, size_t unique)
{
    rz_buf_printf(text, "%zu", unique % 10);
    for (uint32_t i = 1; i < n; i++)
        rz_buf_str(text, i % 2 ? " the" : " a");
    return !text->failed;
}

/* {model, prompt, raw ...}, malloc'ed; NULL: no memory. */
static char *make_request(const struct bench_job *j, const struct bench_baseline *b,
                          const struct bench_case *c, size_t unique)
{
    struct rz_buf prompt;
    rz_buf_init(&prompt, (size_t)64 << 20);
    uint32_t n_prompt = c->decode ? c->depth : c->n, n_gen = c->decode ? c->n : 1;
    char *body = NULL;
    if (make_prompt(&prompt, n_prompt ? n_prompt : 1, unique)) {
        json_t *doc = json_pack(
            "{s:s, s:s, s:b, s:b, s:{s:i, s:i, s:i, s:i, s:f}}", "model", b->ollama_model, "prompt",
            prompt.data, "raw", 1, "stream", 0, "options", "num_predict", (int)n_gen, "num_ctx",
            (int)(n_prompt + n_gen + CTX_SPARE), "num_thread",
            (int)rz_model_get_info(j->l.model)->n_threads, "num_gpu", 0, "temperature", 0.0);
        body = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
        json_decref(doc);
    }
    rz_buf_fini(&prompt);
    return body;
}

/* Tokens per second from "NAME_count" and "NAME_duration" (nanoseconds) of an answer. */
static double rate_of(const json_t *answer, const char *name, json_int_t *n)
{
    char key[32];
    snprintf(key, sizeof key, "%s_count", name);
    *n = json_integer_value(json_object_get(answer, key));
    snprintf(key, sizeof key, "%s_duration", name);
    json_int_t ns = json_integer_value(json_object_get(answer, key));
    return ns > 0 ? (double)*n / ((double)ns * 1e-9) : 0;
}

static rz_status take_answer(const struct bench_baseline *b, struct bench_case *c,
                             const json_t *answer, const size_t at[2], rz_error *err)
{
    json_int_t n;
    double rate = rate_of(answer, c->decode ? "eval" : "prompt_eval", &n);
    if (!json_is_true(json_object_get(answer, "done")) || rate <= 0)
        return rz_fail(err, RZ_EFORMAT, "%s: the answer tells no counts and times", b->url);
    json_int_t off = n > c->n ? n - c->n : c->n - n;
    if (!c->decode && off > MAX_OFF)
        return rz_fail(err, RZ_EINVALID,
                       "%s computed %lld tokens of a prompt of about %u: not comparable", b->url,
                       (long long)n, c->n);
    if (c->decode && n != c->n)
        return rz_fail(err, RZ_EINVALID, "%s stopped after %lld tokens of %u: not comparable",
                       b->url, (long long)n, c->n);
    c->rival[at[0]].rate[at[1]] = rate;
    return RZ_OK;
}

static rz_status run_case(struct bench_job *j, struct bench_case *c, const size_t at[2],
                          rz_error *err)
{
    const struct bench_baseline *b = &j->baseline[at[0]];
    char *body = make_request(j, b, c, at[1] + (c->decode ? 5 : 0));
    if (!body)
        return rz_fail_nomem(err, 0, "a request");
    rz_http_answer answer;
    rz_status status = rz_http_post_json(&answer, b->url, body, cli_interrupted, err);
    free(body);
    RZ_TRY(status);
    json_error_t why = {0};
    json_t *doc = json_loadb(answer.data ? answer.data : "", answer.len, 0, &why);
    rz_http_answer_free(&answer);
    status = doc ? take_answer(b, c, doc, at, err)
                 : rz_fail(err, RZ_EFORMAT, "%s does not answer with JSON: %s", b->url, why.text);
    json_decref(doc);
    return status;
}

rz_status bench_run_ollama(struct bench_job *j, uint32_t depth, const size_t at[2], rz_error *err)
{
    for (size_t i = 0; i < j->n_cases; i++) {
        struct bench_case *c = &j->cases[i];
        if (c->depth == depth && c->batch == 1 && (c->decode || depth == 0))
            RZ_TRY(run_case(j, c, at, err));
    }
    return RZ_OK;
}
