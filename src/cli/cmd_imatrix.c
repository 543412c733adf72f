/* cmd_imatrix.c - `apr imatrix MODEL`: which columns of the weights matter for a text. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/load.h"
#include "cli/prompt.h"

#include <realizar/imatrix.h>
#include <string.h>

enum {
    DEFAULT_CTX = 512
};

struct imatrix_args {
    const char *file, *output, *format;
    struct cli_uint ctx, chunks;
    bool output_weight, json, quiet;
    struct cli_model_args model;
};

#define FIELD(f) offsetof(struct imatrix_args, f)

static const struct cli_option imatrix_options[] = {
    CLI_ROW(CLI_FILE, 'f', "file", "TEXT", FIELD(file),
            "the text, UTF-8, of the kind that the model is for; -: standard input"),
    CLI_ROW(CLI_FILE, 'o', "output", "FILE", FIELD(output), "where the matrix is written"),
    CLI_ROW(CLI_CHOICE, 0, "format", "gguf|dat", FIELD(format),
            "llama.cpp's newer or older format (default: dat if FILE ends in .dat, else gguf)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "ctx", "N", 1, 1 << 24, FIELD(ctx),
                  "tokens of a chunk, which is read on its own (default: 512)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "chunks", "N", 1, 1 << 30, FIELD(chunks),
                  "read only so many chunks (default: all)"),
    CLI_ROW_FLAG(0, "output-weight", FIELD(output_weight),
                 "also measure the output matrix (slower: all logits are computed)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no spinner"),
    {0},
};

static bool on_progress(void *ctx, uint64_t done, uint64_t chunks)
{
    (void)ctx;
    (void)done;
    (void)chunks;
    return !cli_interrupted();
}

static rz_imatrix_options options_of(const struct imatrix_args *a)
{
    rz_imatrix_options o = rz_imatrix_options_default();
    const char *end = strrchr(a->output, '.');
    bool dat = a->format ? strcmp(a->format, "dat") == 0 : end && strcmp(end, ".dat") == 0;
    o.path = a->output;
    o.n_ctx = (uint32_t)cli_uint_or(a->ctx, DEFAULT_CTX);
    o.max_chunks = a->chunks.value;
    o.output_weight = a->output_weight;
    o.format = dat ? RZ_IMATRIX_DAT : RZ_IMATRIX_GGUF;
    o.dataset = a->file;
    o.progress = on_progress;
    return o;
}

static rz_status read_ids(const struct imatrix_args *a, const rz_model *model, rz_ids *ids,
                          rz_error *err)
{
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

static rz_status print(const struct imatrix_args *a, const char *model_path,
                       const rz_imatrix_report *r, rz_error *err)
{
    if (a->json)
        return cli_out_json(
            json_pack("{so so ss sI sI sI sI sI sf}", "model", cli_json_str(model_path), "file",
                      cli_json_str(a->output), "format",
                      options_of(a).format == RZ_IMATRIX_DAT ? "dat" : "gguf", "chunks",
                      (json_int_t)r->n_chunks, "ctx", (json_int_t)cli_uint_or(a->ctx, DEFAULT_CTX),
                      "tokens", (json_int_t)r->n_tokens, "matrices", (json_int_t)r->n_matrices,
                      "unused_experts", (json_int_t)r->n_unused_experts, "seconds", r->seconds),
            err);
    printf("%s: %u matrices from %llu tokens in %llu chunk%s (%.2f s)\n", a->output, r->n_matrices,
           (unsigned long long)r->n_tokens, (unsigned long long)r->n_chunks,
           r->n_chunks == 1 ? "" : "s", r->seconds);
    if (r->n_unused_experts > 0)
        cli_note("%u experts were never chosen by the router: they are weighed evenly; a longer "
                 "or more varied text reaches more",
                 r->n_unused_experts);
    return RZ_OK;
}

static rz_status imatrix(const struct cli_call *call, rz_error *err)
{
    const struct imatrix_args *a = call->args;
    if (!a->file || !a->output)
        return rz_fail(err, RZ_EUSAGE, "give --file TEXT and --output FILE");
    RZ_TRY(cli_check_writable(a->output, err));
    if (cli_same_file(a->file, a->output))
        return rz_fail(err, RZ_EINVALID, "%s is the text, which the matrix would replace",
                       a->output);
    struct cli_loaded l = {0};
    rz_ids ids = {0};
    rz_imatrix_report report;
    cli_interrupt_catch();
    rz_status status = cli_load(&l, call->operands[0], &a->model, NULL, a->quiet, err);
    if (!status && cli_same_file(l.path, a->output))
        status =
            rz_fail(err, RZ_EINVALID, "%s is the model, which the matrix would replace", a->output);
    if (!status)
        status = read_ids(a, l.model, &ids, err);
    if (!status) {
        const rz_imatrix_options o = options_of(a);
        if (!a->quiet)
            cli_spinner_start("running the model over the text");
        status = rz_imatrix_make(l.model, ids.data, ids.len, &o, &report, err);
        cli_spinner_stop();
    }
    if (!status)
        status = print(a, l.path, &report, err);
    rz_ids_free(&ids);
    cli_unload(&l);
    return status;
}

const struct cli_command cmd_imatrix = {
    .name = "imatrix",
    .operands = "MODEL --file TEXT --output FILE",
    .summary = "measure which columns of the weights matter, for `apr quantize --imatrix`",
    .details =
        "Runs the model over the text in chunks and writes, for every weight matrix, the mean\n"
        "of the squared activations that enter each column (for stacks of experts, of each\n"
        "expert). Quantizing with it spends the error where the model feels it least. The\n"
        "file is one that llama.cpp reads too. The embedding has no activations.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct imatrix_args),
    .groups = {{"Options", imatrix_options, 0}, {"Computing", cli_model_options, FIELD(model)}},
    .run = imatrix,
};
