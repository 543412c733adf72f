/* cmd_eval.c - `apr eval MODEL`: how well the model predicts a text. */
#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/ids.h"
#include "cli/io.h"
#include "cli/load.h"
#include "cli/prompt.h"

#include <realizar/check.h>

enum {
    DEFAULT_WINDOW = 2048
};

struct eval_args {
    const char *file, *ids_file;
    bool json, quiet;
    struct cli_model_args model;
    struct cli_engine_args engine;
};

#define FIELD(f) offsetof(struct eval_args, f)

static const struct cli_option eval_options[] = {
    CLI_ROW(CLI_FILE, 'f', "file", "TEXT", FIELD(file), "the text, UTF-8; -: standard input"),
    CLI_ROW(CLI_FILE, 0, "ids-file", "FILE", FIELD(ids_file),
            "token ids instead of a text: a JSON array; -: standard input"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no spinner"),
    {0},
};

/* The text is not a chat: special tokens in it are plain text. */
static rz_status read_ids(const struct eval_args *a, const rz_model *model, rz_ids *ids,
                          rz_error *err)
{
    if (a->ids_file)
        return cli_read_ids(a->ids_file, rz_model_get_info(model)->n_vocab, ids, err);
    struct rz_buf text;
    rz_buf_init(&text, CLI_MAX_INPUT);
    rz_status status = cli_read_input(a->file, &text, err);
    if (!status)
        status = cli_check_utf8(text.data, text.len, a->file, err);
    if (!status)
        status = cli_encode_raw(model, text.data, text.len, false, ids, err);
    rz_buf_fini(&text);
    return status;
}

static rz_status print(const struct cli_loaded *l, const rz_perplexity *p, uint32_t window,
                       bool json, rz_error *err)
{
    if (json)
        return cli_out_json(json_pack("{so sf sf sf sI sI sI sf}", "model", cli_json_str(l->path),
                                      "perplexity", p->perplexity, "standard_error",
                                      p->standard_error, "mean_nll", p->mean_nll, "tokens_scored",
                                      (json_int_t)p->n_scored, "windows", (json_int_t)p->n_windows,
                                      "ctx", (json_int_t)window, "seconds", p->seconds),
                            err);
    printf("perplexity %.4f +/- %.4f (%zu tokens scored in %zu window%s of up to %u; %.2f s)\n",
           p->perplexity, p->standard_error, p->n_scored, p->n_windows,
           p->n_windows == 1 ? "" : "s", window, p->seconds);
    return RZ_OK;
}

static rz_status eval(const struct cli_call *call, rz_error *err)
{
    const struct eval_args *a = call->args;
    if ((a->file != NULL) == (a->ids_file != NULL))
        return rz_fail(err, RZ_EUSAGE, "give --file TEXT or --ids-file FILE, one of the two");
    struct cli_loaded l = {0};
    rz_ids ids = {0};
    rz_perplexity p = {0};
    uint32_t window = 0;
    rz_status status = cli_load(&l, call->operands[0], &a->model, &a->engine, a->quiet, err);
    if (!status)
        status = read_ids(a, l.model, &ids, err);
    if (!status) {
        rz_session_free(&l.session); /* the evaluation makes its own, and there is room for one */
        window = rz_engine_n_ctx(l.engine);
        if (!a->engine.ctx.set && window > DEFAULT_WINDOW)
            window = DEFAULT_WINDOW;
        if (!a->quiet)
            cli_spinner_start("evaluating");
        status = rz_eval_perplexity(l.engine, ids.data, ids.len, window, &p, err);
        cli_spinner_stop();
    }
    if (!status)
        status = print(&l, &p, window, a->json, err);
    rz_ids_free(&ids);
    cli_unload(&l);
    return status;
}

const struct cli_command cmd_eval = {
    .name = "eval",
    .operands = "MODEL --file TEXT",
    .summary = "measure how well the model predicts a text: its perplexity",
    .details =
        "The text is cut into windows of --ctx tokens (default 2048, or the model's context\n"
        "if that is smaller). Every token of a window but the first is scored, given all\n"
        "before it in the window.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct eval_args),
    .groups = {{"Options", eval_options, 0},
               {"Context", cli_engine_options, FIELD(engine)},
               {"Computing", cli_model_options, FIELD(model)}},
    .run = eval,
};
