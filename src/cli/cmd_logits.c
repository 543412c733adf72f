/* cmd_logits.c - `apr logits MODEL`: what the model thinks comes next, as raw numbers and as the
 * ten likeliest tokens. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/ids.h"
#include "cli/io.h"
#include "cli/load.h"
#include "cli/prompt.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum {
    N_TOP = 10,
    ALL_PART = 16 /* positions whose logits are in memory at a time */
};

struct logits_args {
    const char *ids, *output;
    bool all, json;
    struct cli_model_args model;
    struct cli_engine_args engine;
};

#define FIELD(f) offsetof(struct logits_args, f)

static const struct cli_option logits_options[] = {
    CLI_ROW(CLI_STRING, 0, "ids", "1,2,3", FIELD(ids), "the tokens, instead of a text"),
    CLI_ROW_FLAG(0, "all", FIELD(all), "at every position, not only after the last token"),
    CLI_ROW(CLI_FILE, 'o', "output", "FILE", FIELD(output),
            "write the logits there as little-endian float32, one row of the vocabulary's size per "
            "position; -: to standard output, and nothing else"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print the ten likeliest tokens as JSON"),
    {0},
};

struct job {
    const struct logits_args *args;
    struct cli_loaded l;
    rz_ids ids;
    struct cli_out_file file;
    FILE *raw; /* NULL: no raw output */
    json_t *positions;
    uint32_t n_vocab;
};

/* The n largest logits' ids, largest first, the lower id first among equals. */
static size_t find_top(const float *logits, uint32_t n_vocab, int32_t top[N_TOP])
{
    size_t n = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        size_t at = n;
        while (at > 0 && logits[i] > logits[top[at - 1]])
            at--;
        if (at == N_TOP)
            continue;
        n += n < N_TOP;
        for (size_t j = n - 1; j > at; j--)
            top[j] = top[j - 1];
        top[at] = (int32_t)i;
    }
    return n;
}

/* The natural logarithm of the sum of exp(logit). */
static double log_sum(const float *logits, uint32_t n_vocab, float largest)
{
    double sum = 0;
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - (double)largest);
    return (double)largest + log(sum);
}

static json_t *top_json(const struct job *j, size_t position, const float *logits)
{
    int32_t top[N_TOP] = {0};
    size_t n = find_top(logits, j->n_vocab, top);
    double total = log_sum(logits, j->n_vocab, logits[top[0]]);
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        rz_slice piece = rz_tokenizer_bytes(rz_model_get_tokenizer(j->l.model), top[i]);
        double logit = (double)logits[top[i]];
        json_array_append_new(array, json_pack("{si so sf sf}", "id", (int)top[i], "piece",
                                               cli_json_text(piece.data, piece.len), "logit", logit,
                                               "probability", exp(logit - total)));
    }
    return json_pack("{sI so}", "position", (json_int_t)position, "top", array);
}

static void print_top(const struct job *j, size_t position, const float *logits)
{
    int32_t top[N_TOP] = {0};
    size_t n = find_top(logits, j->n_vocab, top);
    double total = log_sum(logits, j->n_vocab, logits[top[0]]);
    printf("after token %zu of %zu:\n", position + 1, j->ids.len);
    for (size_t i = 0; i < n; i++) {
        rz_slice piece = rz_tokenizer_bytes(rz_model_get_tokenizer(j->l.model), top[i]);
        double logit = (double)logits[top[i]];
        printf("%8d %12.5f %9.5f  \"", (int)top[i], logit, exp(logit - total));
        cli_put_clean(stdout, piece.data, piece.len, false);
        puts("\"");
    }
}

static rz_status emit(struct job *j, size_t position, const float *logits, rz_error *err)
{
    if (j->raw && fwrite(logits, sizeof *logits, j->n_vocab, j->raw) != j->n_vocab)
        return rz_fail(err, RZ_EIO, "%s cannot be written", j->args->output);
    if (j->positions) {
        if (json_array_append_new(j->positions, top_json(j, position, logits)))
            return rz_fail_nomem(err, 0, "the JSON document");
    } else if (j->raw != stdout) {
        print_top(j, position, logits);
    }
    return RZ_OK;
}

static rz_status compute(struct job *j, rz_error *err)
{
    if (!j->args->all) {
        RZ_TRY(cli_feed(&j->l, &j->ids, NULL, err));
        return emit(j, j->ids.len - 1, rz_session_logits(j->l.session), err);
    }
    RZ_TRY(cli_check_context(&j->l, j->ids.len, err));
    float *part = calloc((size_t)ALL_PART * j->n_vocab, sizeof *part);
    if (!part)
        return rz_fail_nomem(err, (size_t)ALL_PART * j->n_vocab * sizeof *part, "logits");
    rz_status status = RZ_OK;
    for (size_t done = 0; !status && done < j->ids.len; done += ALL_PART) {
        size_t n = j->ids.len - done < ALL_PART ? j->ids.len - done : ALL_PART;
        status = rz_session_feed_all(j->l.session, j->ids.data + done, n, part, err);
        for (size_t i = 0; !status && i < n; i++)
            status = emit(j, done + i, part + i * j->n_vocab, err);
    }
    free(part);
    return status;
}

static rz_status open_output(struct job *j, rz_error *err)
{
    const struct logits_args *a = j->args;
    if (a->output && !strcmp(a->output, "-")) {
        j->raw = stdout;
    } else if (a->output) {
        RZ_TRY(cli_out_file_open(&j->file, a->output, err));
        j->raw = j->file.stream;
    }
    if (a->json)
        j->positions = json_array();
    return a->json && !j->positions ? rz_fail_nomem(err, 0, "the JSON document") : RZ_OK;
}

static rz_status finish_output(struct job *j, rz_error *err)
{
    if (j->file.stream)
        RZ_TRY(cli_out_file_commit(&j->file, err));
    if (!j->positions)
        return RZ_OK;
    json_t *tokens = json_array();
    for (size_t i = 0; i < j->ids.len; i++)
        json_array_append_new(tokens, json_integer(j->ids.data[i]));
    return cli_out_json(json_pack("{so sI so sO}", "model", cli_json_str(j->l.path), "n_vocab",
                                  (json_int_t)j->n_vocab, "tokens", tokens, "positions",
                                  j->positions),
                        err);
}

static rz_status check_arguments(const struct cli_call *call, rz_error *err)
{
    const struct logits_args *a = call->args;
    if ((call->n_operands > 1) == (a->ids != NULL))
        return rz_fail(err, RZ_EUSAGE, "give a text or --ids 1,2,3, one of the two");
    if (!a->output || strcmp(a->output, "-") != 0)
        return RZ_OK;
    if (a->json)
        return rz_fail(err, RZ_EUSAGE, "--json and raw numbers cannot both go to standard output");
    if (isatty(STDOUT_FILENO))
        return rz_fail(err, RZ_EUSAGE, "raw numbers are not written to a terminal: use -o FILE");
    return RZ_OK;
}

static rz_status get_ids(struct job *j, const struct cli_call *call, rz_error *err)
{
    const char *text = call->n_operands > 1 ? call->operands[1] : "";
    if (j->args->ids)
        RZ_TRY(cli_parse_ids(j->args->ids, j->n_vocab, &j->ids, err));
    else
        RZ_TRY(cli_encode_raw(j->l.model, text, strlen(text), true, &j->ids, err));
    return j->ids.len ? RZ_OK : rz_fail(err, RZ_EUSAGE, "there are no tokens to feed");
}

static rz_status logits(const struct cli_call *call, rz_error *err)
{
    struct job j = {.args = call->args};
    const struct logits_args *a = j.args;
    RZ_TRY(check_arguments(call, err));
    rz_status status = cli_load(&j.l, call->operands[0], &a->model, &a->engine, true, err);
    if (!status) {
        j.n_vocab = rz_model_get_info(j.l.model)->n_vocab;
        status = get_ids(&j, call, err);
    }
    if (!status)
        status = open_output(&j, err);
    if (!status)
        status = compute(&j, err);
    if (!status)
        status = finish_output(&j, err);
    cli_out_file_abandon(&j.file);
    json_decref(j.positions);
    rz_ids_free(&j.ids);
    cli_unload(&j.l);
    return status;
}

const struct cli_command cmd_logits = {
    .name = "logits",
    .operands = "MODEL (TEXT | --ids 1,2,3)",
    .summary = "print the likeliest next tokens, or write all logits as float32",
    .min_operands = 1,
    .max_operands = 2,
    .args_size = sizeof(struct logits_args),
    .groups = {{"Options", logits_options, 0},
               {"Context", cli_engine_options, FIELD(engine)},
               {"Computing", cli_model_options, FIELD(model)}},
    .run = logits,
};
