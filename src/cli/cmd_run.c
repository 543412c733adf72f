/* cmd_run.c - `apr run MODEL [PROMPT]`: one prompt, one answer, streamed. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/prompt.h"
#include "cli/sampling.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

struct run_args {
    const char *prompt, *file, *system;
    bool raw, json, verbose, quiet;
    struct cli_model_args model;
    struct cli_engine_args engine;
    struct cli_sampling_args sampling;
    struct cli_cache_args cache;
};

#define FIELD(f) offsetof(struct run_args, f)

static const struct cli_option run_options[] = {
    CLI_ROW(CLI_STRING, 'p', "prompt", "TEXT", FIELD(prompt), "the prompt, instead of an argument"),
    CLI_ROW(CLI_FILE, 'i', "file", "FILE", FIELD(file),
            "read the prompt from FILE; -: from standard input"),
    CLI_ROW(CLI_STRING, 0, "system", "TEXT", FIELD(system), "a system message before the prompt"),
    CLI_ROW_FLAG(0, "raw", FIELD(raw),
                 "complete the text as it is, without the model's chat template"),
    CLI_ROW_FLAG(0, "json", FIELD(json),
                 "print one JSON object when the answer is complete, instead of streaming it"),
    CLI_ROW_FLAG('v', "verbose", FIELD(verbose),
                 "tell about the model, memory, sampler and speed on stderr"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet),
                 "no spinner, and no note that --max-tokens cut the answer"),
    {0},
};

/* All that one run holds. */
struct run {
    const struct run_args *args;
    struct cli_loaded l;
    struct cli_sampling sampling;
    rz_sampler *sampler;
    struct rz_buf prompt;
    rz_ids ids;
    rz_generation answer;
    double prompt_s;
};

static rz_status add_prompt(struct run *r, const char *text, rz_error *err)
{
    if (strlen(text) > r->prompt.max)
        return rz_fail(err, RZ_EUSAGE, "the prompt is larger than %zu bytes", r->prompt.max);
    return rz_buf_str(&r->prompt, text) ? RZ_OK : rz_fail_nomem(err, strlen(text), "the prompt");
}

/* The prompt from the one place that it is given at. */
static rz_status read_prompt(struct run *r, const struct cli_call *call, rz_error *err)
{
    const struct run_args *a = r->args;
    const char *argument = call->n_operands > 1 ? call->operands[1] : NULL;
    if ((argument != NULL) + (a->prompt != NULL) + (a->file != NULL) > 1)
        return rz_fail(err, RZ_EUSAGE,
                       "give one prompt: as an argument, with --prompt or with --file");
    const char *file = a->file;
    if (argument && !strcmp(argument, "-"))
        file = argument;
    if (!argument && !a->prompt && !file) {
        if (isatty(STDIN_FILENO))
            return rz_fail(err, RZ_EUSAGE,
                           "a prompt is missing: apr run MODEL \"What is 2+2?\", or `apr chat "
                           "MODEL` for a conversation");
        file = "-";
    }
    if (file)
        RZ_TRY(cli_read_input(file, &r->prompt, err));
    else
        RZ_TRY(add_prompt(r, argument ? argument : a->prompt, err));
    if (r->prompt.len == 0)
        return rz_fail(err, RZ_EUSAGE, "the prompt is empty");
    RZ_TRY(cli_check_utf8(r->prompt.data, r->prompt.len, "the prompt", err));
    return a->system ? cli_check_utf8(a->system, strlen(a->system), "--system", err) : RZ_OK;
}

/* As a user message, a file's last line feed is not part of what was asked. */
static size_t without_last_newlines(const struct rz_buf *text)
{
    size_t len = text->len;
    while (len > 1 && (text->data[len - 1] == '\n' || text->data[len - 1] == '\r'))
        len--;
    return len;
}

static rz_status encode_prompt(struct run *r, rz_error *err)
{
    const struct run_args *a = r->args;
    bool chat = rz_model_get_template(r->l.model) && !a->raw;
    if (!chat && a->system)
        return rz_fail(err, RZ_EUSAGE, "--system needs a chat template, %s",
                       a->raw ? "which --raw leaves out" : "which this model does not have");
    if (!chat) {
        RZ_TRY(cli_encode_raw(r->l.model, r->prompt.data, r->prompt.len, true, &r->ids, err));
        return r->ids.len ? RZ_OK : rz_fail(err, RZ_EUSAGE, "the prompt has no tokens");
    }
    json_t *messages = json_array();
    rz_status status = messages ? RZ_OK : rz_fail_nomem(err, 0, "messages");
    if (!status && a->system)
        status = cli_add_message(messages, "system", a->system, strlen(a->system), err);
    if (!status)
        status = cli_add_message(messages, "user", r->prompt.data,
                                 without_last_newlines(&r->prompt), err);
    if (!status)
        status = cli_encode_chat(r->l.model, messages, &r->ids, err);
    if (!status && r->ids.len == 0)
        status = rz_fail(err, RZ_EINFER, "the model's chat template made an empty prompt");
    json_decref(messages);
    return status;
}

static double rounded(double v, double unit)
{
    return round(v / unit) * unit;
}

static json_t *rate(double per_second)
{
    return per_second > 0 ? json_real(rounded(per_second, 0.1)) : json_null();
}

static rz_status print_json(const struct run *r, rz_error *err)
{
    const rz_generation *g = &r->answer;
    json_t *tokens = json_array();
    for (size_t i = 0; i < g->ids.len; i++)
        json_array_append_new(tokens, json_integer(g->ids.data[i]));
    double seconds = r->prompt_s + g->first_token_s + g->rest_s;
    json_t *doc = json_pack(
        "{so so so si sI ss si so sf sf sf sb sb}", "model", cli_json_str(r->l.path), "text",
        cli_json_text(g->text.data, g->text.len), "tokens", tokens, "tokens_generated",
        (int)g->ids.len, "max_tokens",
        (json_int_t)cli_uint_or(r->args->sampling.max_tokens, CLI_MAX_TOKENS), "finish_reason",
        rz_finish_name(g->finish), "prompt_tokens", (int)r->ids.len, "tok_per_sec",
        rate(cli_generation_rate(g)), "inference_time_ms", rounded(seconds * 1e3, 0.01), "load_ms",
        rounded(r->l.load_s * 1e3, 0.01), "prompt_ms", rounded(r->prompt_s * 1e3, 0.01), "used_gpu",
        0, "cached", !r->l.downloaded);
    return cli_out_json(doc, err);
}

static void describe_speed(const struct run *r)
{
    const rz_generation *g = &r->answer;
    cli_describe_memory(&r->l);
    cli_note("prompt    %zu tokens in %.1f ms, %.1f tokens/s", r->ids.len, r->prompt_s * 1e3,
             r->prompt_s > 0 ? (double)r->ids.len / r->prompt_s : 0);
    double per_second = cli_generation_rate(g);
    char speed[40] = "";
    if (per_second > 0)
        snprintf(speed, sizeof speed, ", %.1f tokens/s", per_second);
    cli_note("answer    %zu token%s in %.1f ms%s, finish: %s", g->ids.len,
             g->ids.len == 1 ? "" : "s", (g->first_token_s + g->rest_s) * 1e3, speed,
             rz_finish_name(g->finish));
}

/* Feeds the prompt and answers; stdout ends with a line feed whatever happens. */
static rz_status answer(struct run *r, rz_error *err)
{
    const struct run_args *a = r->args;
    cli_interrupt_catch();
    double start = rz_now_s();
    RZ_TRY(cli_feed(&r->l, &r->ids, NULL, err));
    r->prompt_s = rz_now_s() - start;
    rz_status status = cli_generate(&r->l, r->sampler, &a->sampling, !a->json, &r->answer, err);
    const rz_text *text = &r->answer.text;
    if (status == RZ_EIO)
        return status;
    if (!a->json && (text->len == 0 || text->data[text->len - 1] != '\n'))
        RZ_TRY(cli_out_answer("\n", 1, err));
    if (status)
        return status;
    if (a->json)
        RZ_TRY(print_json(r, err));
    /* --max-tokens is the user's own limit; a full context is none that anybody asked for. */
    if (!a->quiet || r->answer.finish == RZ_FINISH_CONTEXT)
        cli_note_cut(&r->l, &a->sampling, &r->answer);
    if (a->verbose)
        describe_speed(r);
    return r->answer.finish == RZ_FINISH_CANCEL ? RZ_ECANCEL : RZ_OK;
}

static rz_status run(const struct cli_call *call, rz_error *err)
{
    struct run r = {.args = call->args};
    const struct run_args *a = r.args;
    r.l.cache = &a->cache;
    rz_buf_init(&r.prompt, CLI_MAX_INPUT);
    rz_generate_options checked;
    rz_status status = read_prompt(&r, call, err);
    if (!status)
        status = cli_generate_options(&checked, &a->sampling, err);
    if (!status)
        status = cli_check_cache(&a->cache, &a->model, err);
    if (!status)
        status = cli_load(&r.l, call->operands[0], &a->model, &a->engine, a->quiet, err);
    if (!status)
        status = cli_sampling_resolve(&r.sampling, &a->sampling, &r.l, err);
    if (!status)
        status = rz_sampler_new(&r.sampler, rz_model_get_info(r.l.model)->n_vocab,
                                &r.sampling.options, err);
    if (!status && a->verbose) {
        cli_describe(&r.l);
        cli_describe_sampling(&r.sampling);
    }
    if (!status)
        status = encode_prompt(&r, err);
    if (!status)
        status = answer(&r, err);
    rz_generation_free(&r.answer);
    rz_sampler_free(&r.sampler);
    rz_ids_free(&r.ids);
    rz_buf_fini(&r.prompt);
    if (!status)
        cli_warm_keep(&r.l, a->quiet || a->json);
    cli_unload(&r.l);
    return status;
}

const struct cli_command cmd_run = {
    .name = "run",
    .operands = "MODEL [PROMPT]",
    .summary = "answer one prompt, or complete a text",
    .details = "The prompt is an argument, --prompt, --file, or standard input if that is not a\n"
               "terminal. A model with a chat template gets it as a user message; one without\n"
               "(a base model) completes the text. The answer streams to standard output.",
    .min_operands = 1,
    .max_operands = 2,
    .args_size = sizeof(struct run_args),
    .groups = {{"Options", run_options, 0},
               {"Answer", cli_sampling_options, FIELD(sampling)},
               {"Context", cli_engine_options, FIELD(engine)},
               {"Computing", cli_model_options, FIELD(model)},
               {"Cache", cli_cache_options, FIELD(cache)}},
    .run = run,
};
