/* cmd_pull.c - `apr pull REF`: a model's files from a hub or a URL, into the cache or a folder. */
#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/fetch.h"
#include "cli/io.h"

#include <string.h>

struct pull_args {
    const char *quant, *revision, *output;
    struct cli_uint jobs, retries, timeout;
    bool force, dry_run, json, quiet;
};

#define FIELD(f) offsetof(struct pull_args, f)

static const struct cli_option pull_options[] = {
    CLI_ROW(CLI_STRING, 0, "quant", "TYPE", FIELD(quant),
            "which of several GGUF files: Q4_K_M, Q8_0, F16 ... (default: Q4_K_M, else the next "
            "best)"),
    CLI_ROW(CLI_STRING, 0, "revision", "REV", FIELD(revision),
            "branch, tag or commit (default: main)"),
    CLI_ROW(CLI_FILE, 'o', "output", "DIR", FIELD(output),
            "put the files into DIR instead of the cache"),
    CLI_ROW_FLAG('f', "force", FIELD(force), "download again, and replace, what is there"),
    CLI_ROW_FLAG(0, "dry-run", FIELD(dry_run), "only list the files, with their sizes"),
    CLI_ROW_RANGE(CLI_UINT, 'j', "jobs", "N", 1, 16, FIELD(jobs), "files at once (default: 4)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "retries", "N", 0, 100, FIELD(retries),
                  "tries after a failure that may pass (default: 6)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "timeout", "SECONDS", 1, 3600, FIELD(timeout),
                  "give a connection up after so long without a byte (default: 30)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no progress bar, no notes"),
    {0},
};

/* null stands for what is not known. */
static json_t *text_or_null(const char *t)
{
    return *t ? cli_json_str(t) : json_null();
}

static json_t *size_or_null(uint64_t n)
{
    return n == RZ_HUB_SIZE_UNKNOWN ? json_null() : json_integer((json_int_t)n);
}

static rz_status print_json(const rz_hub_model *m, bool dry_run, uint64_t received, rz_error *err)
{
    json_t *files = json_array();
    for (size_t i = 0; i < rz_hub_model_n_files(m); i++) {
        const rz_hub_file *f = rz_hub_model_file(m, i);
        json_array_append_new(files, json_pack("{so so so so sb sI}", "name", cli_json_str(f->name),
                                               "path", cli_json_str(f->path), "bytes",
                                               size_or_null(f->n_bytes), "sha256",
                                               text_or_null(f->sha256), "present", f->present,
                                               "bytes_present", (json_int_t)f->n_present));
    }
    json_t *doc = json_pack(
        "{so so ss so so sb sI so}", "model", cli_json_str(rz_hub_model_repo(m)), "commit",
        text_or_null(rz_hub_model_commit(m)), "format", rz_hub_format_name(rz_hub_model_format(m)),
        "quant", text_or_null(rz_hub_model_quant(m)), "path", cli_json_str(rz_hub_model_path(m)),
        "dry_run", dry_run, "bytes_received", (json_int_t)received, "files", files);
    return cli_out_json(doc, err);
}

static void put(const char *t)
{
    cli_put_clean(stdout, t, strlen(t), false);
}

/* What would be fetched, file by file. */
static void print_plan(const rz_hub_model *m)
{
    uint64_t total = 0, missing = 0;
    char size[CLI_BYTES_MAX], rest[CLI_BYTES_MAX];
    put(rz_hub_model_repo(m));
    printf("%s%s%s%s\n", *rz_hub_model_commit(m) ? " at " : "", rz_hub_model_commit(m),
           *rz_hub_model_quant(m) ? ", " : "", rz_hub_model_quant(m));
    for (size_t i = 0; i < rz_hub_model_n_files(m); i++) {
        const rz_hub_file *f = rz_hub_model_file(m, i);
        bool known = f->n_bytes != RZ_HUB_SIZE_UNKNOWN;
        printf("%12s  %-8s  ", known ? cli_bytes(size, f->n_bytes) : "?",
               f->present     ? "here"
               : f->n_present ? "begun"
                              : "to fetch");
        put(f->name);
        putchar('\n');
        total += known ? f->n_bytes : 0;
        if (!f->present && known && f->n_bytes > f->n_present)
            missing += f->n_bytes - f->n_present;
    }
    printf("%12s  in all, %s to fetch\n", cli_bytes(size, total), cli_bytes(rest, missing));
}

static void note_received(const rz_hub_model *m, uint64_t received, double seconds)
{
    char size[CLI_BYTES_MAX], rate[CLI_BYTES_MAX];
    size_t n = rz_hub_model_n_files(m);
    bool verified = true;
    for (size_t i = 0; i < n; i++)
        verified = verified && !rz_hub_model_file(m, i)->unverified;
    if (!received)
        cli_note("%s is here already", rz_hub_model_repo(m));
    else
        cli_note("%s: %zu file%s, %s received in %.1f s (%s/s), %s", rz_hub_model_repo(m), n,
                 n == 1 ? "" : "s", cli_bytes(size, received), seconds,
                 cli_bytes(rate, (uint64_t)((double)received / seconds)),
                 verified ? "verified" : "not verified: the server tells no hash");
}

static rz_status pull_ref(const struct pull_args *a, struct cli_hub *hub, const rz_hub_ref *ref,
                          rz_error *err)
{
    rz_hub_model *m = NULL;
    uint64_t received = 0;
    double start = rz_now_s();
    if (!a->quiet && !hub->options.offline)
        cli_spinner_start("asking the hub");
    rz_status status = rz_hub_resolve(&m, ref, &hub->options, err);
    cli_spinner_stop();
    if (!status && !a->dry_run)
        status = cli_hub_pull(m, hub, a->quiet, &received, err);
    if (!status && a->json) {
        status = print_json(m, a->dry_run, received, err);
    } else if (!status && a->dry_run) {
        print_plan(m);
    } else if (!status) {
        put(rz_hub_model_path(m));
        putchar('\n');
        if (!a->quiet)
            note_received(m, received, rz_now_s() - start);
    }
    rz_hub_model_free(&m);
    return status;
}

static rz_status pull(const struct cli_call *call, rz_error *err)
{
    const struct pull_args *a = call->args;
    struct cli_hub hub = {0};
    rz_hub_ref ref;
    rz_status status = cli_hub_init(&hub, err);
    if (!status)
        status = rz_hub_ref_parse(&ref, call->operands[0], hub.options.endpoint, err);
    if (!status)
        status = rz_hub_ref_set(&ref, a->revision, a->quant, err);
    if (!status && hub.options.offline && (a->force || a->output))
        status =
            rz_fail(err, RZ_EUSAGE, "--offline contradicts %s", a->force ? "--force" : "--output");
    if (!status) {
        rz_hub_options *o = &hub.options;
        o->out_dir = a->output;
        o->force = a->force;
        o->n_jobs = (unsigned)cli_uint_or(a->jobs, o->n_jobs);
        o->n_retries = (unsigned)cli_uint_or(a->retries, o->n_retries);
        o->stall_ms = (unsigned)cli_uint_or(a->timeout, o->stall_ms / 1000) * 1000;
        status = pull_ref(a, &hub, &ref, err);
    }
    cli_hub_fini(&hub);
    return status;
}

const struct cli_command cmd_pull = {
    .name = "pull",
    .operands = "REF",
    .summary = "download a model, or go on with a download",
    .details =
        "REF is org/repo[@REVISION][:QUANT], hf://org/repo[/FILE], a URL, or an alias:\n"
        "qwen2.5-coder:0.5b, 1.5b, 3b, 7b, 14b or 32b; tiny, small, medium and large are its\n"
        "0.5b, 1.5b, 7b and 32b. Commands that take a MODEL take a REF too, and pull it if it\n"
        "is not here. The path is printed. HF_TOKEN opens gated and private repositories,\n"
        "HF_ENDPOINT names another hub; http_proxy, https_proxy and no_proxy are obeyed.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct pull_args),
    .groups = {{"Options", pull_options, 0}},
    .run = pull,
};
