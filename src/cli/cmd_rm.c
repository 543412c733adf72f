/* cmd_rm.c - `apr rm REF`: takes a downloaded model out of the cache. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/fetch.h"
#include "cli/io.h"

struct rm_args {
    const char *quant, *revision;
    bool dry_run, json, quiet;
};

#define FIELD(f) offsetof(struct rm_args, f)

static const struct cli_option rm_options[] = {
    CLI_ROW(CLI_STRING, 0, "quant", "TYPE", FIELD(quant), "only this quantization"),
    CLI_ROW(CLI_STRING, 0, "revision", "REV", FIELD(revision),
            "only what this branch, tag or commit stands for"),
    CLI_ROW_FLAG(0, "dry-run", FIELD(dry_run), "only say what would be freed"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "say nothing"),
    {0},
};

static rz_status print(const struct rm_args *a, const rz_hub_removed *removed, rz_error *err)
{
    char size[CLI_BYTES_MAX];
    if (a->json)
        return cli_out_json(json_pack("{sI sI sb}", "bytes", (json_int_t)removed->n_bytes, "files",
                                      (json_int_t)removed->n_files, "dry_run", a->dry_run),
                            err);
    if (!a->quiet)
        printf("%s%s freed (%llu bytes in %zu file%s)\n", a->dry_run ? "would be: " : "",
               cli_bytes(size, removed->n_bytes), (unsigned long long)removed->n_bytes,
               removed->n_files, removed->n_files == 1 ? "" : "s");
    return RZ_OK;
}

static rz_status rm(const struct cli_call *call, rz_error *err)
{
    const struct rm_args *a = call->args;
    struct cli_hub hub = {0};
    rz_hub_ref ref;
    rz_hub_removed removed;
    rz_status status = cli_hub_init(&hub, err);
    if (!status)
        status = rz_hub_ref_parse(&ref, call->operands[0], hub.options.endpoint, err);
    if (!status)
        status = rz_hub_ref_set(&ref, a->revision, a->quant, err);
    if (!status)
        status = rz_hub_remove(&removed, &ref, &hub.options, a->dry_run, err);
    if (!status)
        status = print(a, &removed, err);
    cli_hub_fini(&hub);
    return status;
}

const struct cli_command cmd_rm = {
    .name = "rm",
    .operands = "REF",
    .summary = "remove a downloaded model",
    .details =
        "REF as for `apr pull`. org/repo alone removes all that was downloaded of it, :QUANT,\n"
        "/FILE or @REVISION only that. Files outside of apr's cache are never touched.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct rm_args),
    .groups = {{"Options", rm_options, 0}},
    .run = rm,
};
