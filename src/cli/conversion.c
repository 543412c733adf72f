/* conversion.c - one conversion: open, convert with a progress bar, verify. */
#include "cli/conversion.h"

#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/load.h"
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(f) offsetof(struct cli_conversion_args, f)

const struct cli_option cli_target_options[] = {
    CLI_ROW(CLI_FILE, 'o', "output", "OUT", FIELD(output),
            "where the result goes (a directory for SafeTensors)"),
    CLI_ROW(CLI_STRING, 0, "quantize", "TYPE", FIELD(quantize),
            "type or mix of the weights, q8_0, q4_k_m ... (default: keep)"),
    {0},
};

const struct cli_option cli_container_options[] = {
    CLI_ROW(CLI_CHOICE, 0, "format", "gguf|safetensors|apr", FIELD(format),
            "container (default: as the name of OUT ends)"),
    CLI_ROW(CLI_CHOICE, 0, "compression", "none|lz4|zstd", FIELD(compression),
            "of tensors, .apr only (default: none)"),
    CLI_ROW(CLI_STRING, 0, "shard-size", "SIZE", FIELD(shard_size),
            "SafeTensors: begin another file above SIZE bytes (500M, 5G)"),
    CLI_ROW_FLAG(0, "packed", FIELD(packed),
                 ".apr: matrices also as products read them, for a quick start; twice the size"),
    CLI_ROW_FLAG(0, "packed-only", FIELD(packed_only),
                 ".apr: only so; other programs than apr cannot read them"),
    CLI_ROW_FLAG('f', "force", FIELD(force), "replace OUT if it exists"),
    {0},
};

const struct cli_option cli_work_options[] = {
    CLI_ROW(CLI_FILE, 0, "imatrix", "FILE", FIELD(imatrix),
            "importance matrix: which columns of a weight matter most"),
    CLI_ROW_RANGE(CLI_UINT, 't', "threads", "N", 1, 256, FIELD(threads),
                  "threads (default: one per CPU that the process may use)"),
    CLI_ROW_FLAG(0, "verify", FIELD(verify),
                 "read the result again and compare metadata, every tensor, and logits"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no progress bar, no report"),
    {0},
};

rz_status cli_parse_bytes(const char *text, uint64_t *bytes, rz_error *err)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    double value = strtod(text, &end), factor = 1;
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    for (long i = 0; unit && i <= unit - units; i++)
        factor *= 1000;
    if (unit)
        end++;
    end += unit && (*end == 'B' || *end == 'b');
    /* A digit first: strtod also takes blanks, signs, "inf" and "nan". */
    if (*text < '0' || *text > '9' || *end || !(value * factor >= 1) || value * factor > 1e18)
        return rz_fail(err, RZ_EUSAGE, "--shard-size takes bytes as 500M or 5G, not '%s'", text);
    *bytes = (uint64_t)(value * factor);
    return RZ_OK;
}

static bool on_progress(void *ctx, const rz_convert_progress *progress)
{
    cli_progress_draw(ctx, progress->tensor, progress->done_bytes, progress->total_bytes);
    return !cli_interrupted();
}

/* What the check of a conversion's result needs. */
struct checking {
    struct cli_conversion *c;
    struct cli_verification v;
    struct cli_progress *progress;
    double started;
};

static rz_status on_check(void *ctx, const char *path, const rz_convert_report *report,
                          rz_error *err)
{
    struct checking *k = ctx;
    cli_progress_stop(k->progress);
    k->c->seconds = rz_now_s() - k->started;
    k->v.result_path = path;
    k->v.report = report;
    return cli_conversion_verify(k->c, &k->v, err);
}

static rz_status convert(struct cli_conversion *c, const struct cli_verification *v, rz_error *err)
{
    const struct cli_conversion_args *a = c->args;
    struct cli_progress progress;
    struct checking checking = {.c = c, .v = *v, .progress = &progress};
    RZ_TRY(cli_check_output(v->path, err));
    if (a->packed && a->packed_only)
        return rz_fail(err, RZ_EUSAGE, "--packed and --packed-only contradict each other");
    rz_convert_options o = rz_convert_options_default();
    o.format = a->format;
    if (!o.format && !rz_convert_format_of(v->path))
        o.format = c->default_format;
    o.type = a->quantize;
    o.imatrix = a->imatrix;
    o.compression = a->compression;
    o.packing = a->packed_only ? RZ_PACK_ONLY : a->packed ? RZ_PACK_ALSO : RZ_PACK_NONE;
    o.n_threads = (uint32_t)cli_uint_or(a->threads, 0);
    o.overwrite = a->force;
    if (a->shard_size)
        RZ_TRY(cli_parse_bytes(a->shard_size, &o.shard_bytes, err));
    cli_interrupt_catch();
    cli_progress_start(&progress, a->quiet || a->json);
    o.progress = on_progress;
    o.progress_ctx = &progress;
    if (a->verify) {
        o.check = on_check;
        o.check_ctx = &checking;
    }
    checking.started = rz_now_s();
    rz_status status = rz_convert(v->source, v->path, &o, &c->report, err);
    if (!a->verify)
        c->seconds = rz_now_s() - checking.started;
    cli_progress_stop(&progress);
    return status;
}

rz_status cli_convert(struct cli_conversion *c, const char *operand, const char *path,
                      rz_error *err)
{
    char *from = NULL;
    rz_file *source = NULL;
    rz_status status = cli_model_path(&from, operand, err);
    if (!status)
        status = rz_file_open(&source, from, err);
    if (!status) {
        const struct cli_verification v = {.source = source, .source_path = from, .path = path};
        status = convert(c, &v, err);
    }
    rz_file_close(&source);
    free(from);
    return status;
}

void cli_conversion_fini(struct cli_conversion *c)
{
    rz_convert_report_free(&c->report);
}
