/* convert.c - rz_convert: check the source, plan, write, report.
 *
 * Everything that can be refused is refused before the output is made; what shows only in the
 * values (NaN, infinity) stops the writer, which then leaves nothing. */
#include "formats/convert.h"
#include "base/cpu.h"
#include "base/fail.h"
#include "formats/dotapr.h"
#include "formats/file.h"
#include "formats/imatrix.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct run {
    const rz_file *source;
    const rz_convert_options *options;
    struct rz_plan plan;
    struct rz_imatrix *imatrix;
    struct rz_mover *mover;
    struct rz_writer *writer;
    rz_convert_report *report;
    rz_convert_progress progress;
    rz_error *err;
};

rz_convert_options rz_convert_options_default(void)
{
    return (rz_convert_options){0};
}

const char *rz_packed_layout(void)
{
    _Static_assert(RZ_PACKED_VERSION == 1, "the text below says the version");
    return RZ_APR_PACKED_LAYOUT " 1";
}

const char *rz_convert_type(unsigned i)
{
    return rz_mix_name(i);
}

void rz_convert_report_free(rz_convert_report **report)
{
    if (!report || !*report)
        return;
    for (size_t i = 0; i < (*report)->n_tensors; i++)
        free((*report)->tensors[i].name);
    free((*report)->tensors);
    free(*report);
    *report = NULL;
}

/* ---- before writing ---- */

static rz_status find_writer(const char *path, const char *format,
                             const struct rz_writer_ops **writer, rz_error *err)
{
    *writer = format ? rz_writer_by_name(format) : rz_writer_by_path(path);
    if (*writer)
        return RZ_OK;
    if (format)
        return rz_fail(err, RZ_EUSAGE, "there is no format %s (gguf, safetensors, apr)", format);
    return rz_fail(err, RZ_EUSAGE,
                   "%s: the name does not say which format is wanted: end it with .gguf, "
                   ".safetensors or .apr, or give --format",
                   path);
}

static rz_status find_compression(const char *name, enum rz_compression *out, rz_error *err)
{
    static const char *const names[] = {
        [RZ_COMPRESS_NONE] = "none", [RZ_COMPRESS_LZ4] = "lz4", [RZ_COMPRESS_ZSTD] = "zstd"};
    *out = RZ_COMPRESS_NONE;
    for (size_t i = 0; name && i < RZ_ARRAY_LEN(names); i++)
        if (strcasecmp(name, names[i]) == 0) {
            *out = (enum rz_compression)i;
            return RZ_OK;
        }
    return name ? rz_fail(err, RZ_EUSAGE, "there is no compression %s (none, lz4, zstd)", name)
                : RZ_OK;
}

static rz_status check_path(const char *path, bool overwrite, rz_error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? RZ_OK : rz_fail(err, RZ_EIO, "%s: %s", path, strerror(errno));
    if (!overwrite)
        return rz_fail(err, RZ_EINVALID, "%s exists; --force replaces it", path);
    return RZ_OK;
}

/* ---- importance ---- */

static rz_status add_importance(struct run *r)
{
    if (!r->options->imatrix)
        return RZ_OK;
    RZ_TRY(rz_imatrix_open(&r->imatrix, r->options->imatrix, r->err));
    size_t n_found = 0, n_wanted = 0;
    for (size_t i = 0; i < r->plan.n; i++) {
        struct rz_move *m = &r->plan.moves[i];
        const rz_tensor *t = m->in;
        uint64_t n_values = 0, n_cols = t->shape[t->n_dims - 1];
        if (t->n_dims < 2 || t->dtype == m->out->dtype || rz_dtype_block_len(m->out->dtype) == 1)
            continue;
        n_wanted++;
        m->importance = rz_imatrix_find(r->imatrix, t->name, &n_values);
        if (!m->importance)
            continue;
        n_found++;
        m->n_importance = t->n_dims > 2 && n_values != n_cols ? t->shape[0] : 1;
        if (n_values != m->n_importance * n_cols)
            return rz_fail(r->err, RZ_EINVALID,
                           "%s: %llu values for tensor %s, whose rows have %llu elements",
                           r->options->imatrix, (unsigned long long)n_values, t->name,
                           (unsigned long long)n_cols);
    }
    if (n_wanted == 0)
        return rz_fail(r->err, RZ_EUSAGE, "%s: no tensor is quantized, so nothing is weighed by it",
                       r->options->imatrix);
    if (n_found == 0)
        return rz_fail(r->err, RZ_EUSAGE, "%s: has none of the tensors that are quantized",
                       r->options->imatrix);
    return RZ_OK;
}

/* ---- report ---- */

static rz_status new_report(struct run *r)
{
    r->report = calloc(1, sizeof *r->report);
    if (r->report)
        r->report->tensors = calloc(r->plan.n + 1, sizeof *r->report->tensors);
    if (!r->report || !r->report->tensors)
        return rz_fail_nomem(r->err, r->plan.n * sizeof *r->report->tensors, "a report");
    r->report->format = r->plan.writer->format;
    r->report->from_format = rz_file_format(r->source);
    r->report->requantized = r->plan.requantizes;
    for (size_t i = 0; i < r->plan.n; i++) {
        const rz_tensor *in = r->plan.moves[i].in;
        rz_convert_tensor *t = &r->report->tensors[i];
        uint64_t n_bytes = 0, n_cols = in->shape[in->n_dims - 1];
        bool fits = rz_dtype_row_bytes(r->plan.out[i].dtype, n_cols, &n_bytes);
        RZ_ASSERT(fits);
        *t = (rz_convert_tensor){
            .from = in->dtype, .to = r->plan.out[i].dtype, .n_elements = n_cols};
        for (uint32_t d = 0; d + 1 < in->n_dims; d++) {
            t->n_elements *= in->shape[d];
            n_bytes *= in->shape[d];
        }
        t->from_bytes = in->n_bytes;
        t->to_bytes = fits ? n_bytes : 0;
        t->name = strdup(in->name);
        if (!t->name)
            return rz_fail_nomem(r->err, strlen(in->name), "a report");
        r->report->n_tensors++;
        r->report->from_bytes += t->from_bytes;
        r->report->to_bytes += t->to_bytes;
    }
    return RZ_OK;
}

/* ---- writing ---- */

static rz_status on_write(void *ctx, const void *data, size_t len, rz_error *err)
{
    struct run *r = ctx;
    return r->plan.writer->write(r->writer, data, len, err);
}

static rz_status on_done(void *ctx, uint64_t source_bytes, rz_error *err)
{
    struct run *r = ctx;
    r->progress.done_bytes += source_bytes;
    if (r->options->progress && !r->options->progress(r->options->progress_ctx, &r->progress))
        return rz_fail(err, RZ_ECANCEL, "stopped");
    return RZ_OK;
}

static rz_status write_all(struct run *r, const char *path, enum rz_compression compression)
{
    const struct rz_writer_ops *ops = r->plan.writer;
    struct rz_writer_plan plan = {.path = path,
                                  .source = r->source,
                                  .edits = r->plan.edits,
                                  .n_edits = r->plan.n_edits,
                                  .tensors = r->plan.out,
                                  .n_tensors = r->plan.n,
                                  .compression = compression,
                                  .packing = r->options->packing,
                                  .shard_bytes = r->options->shard_bytes};
    struct rz_move_sink sink = {.ctx = r, .write = on_write, .done = on_done};
    const char *temporary = NULL;
    rz_status status = ops->begin(&r->writer, &plan, r->err);
    rz_source_stream(r->source);
    r->progress.n_tensors = r->plan.n;
    r->progress.total_bytes = r->report->from_bytes;
    for (size_t i = 0; !status && i < r->plan.n; i++) {
        r->progress.i_tensor = i;
        r->progress.tensor = r->plan.out[i].name;
        status = rz_move_tensor(r->mover, &r->plan.moves[i], &sink, &r->report->tensors[i], r->err);
    }
    if (!status)
        status = rz_mover_flush(r->mover, &sink, r->err);
    if (!status)
        status = ops->seal(r->writer, &temporary, r->err);
    if (!status && r->options->check)
        status = r->options->check(r->options->check_ctx, temporary, r->report, r->err);
    if (!status)
        status = ops->finish(r->writer, r->err);
    ops->free(&r->writer);
    return status;
}

static rz_status run_all(struct run *r, const char *path)
{
    const rz_convert_options *o = r->options;
    const struct rz_writer_ops *writer = NULL;
    enum rz_compression compression;
    unsigned n_threads = o->n_threads ? o->n_threads : rz_cpu_count();
    if (n_threads > RZ_MAX_THREADS)
        return rz_fail(r->err, RZ_EUSAGE, "%u threads, at most %d", n_threads, RZ_MAX_THREADS);
    RZ_TRY(find_writer(path, o->format, &writer, r->err));
    RZ_TRY(find_compression(o->compression, &compression, r->err));
    if (o->packing && writer != &rz_write_apr)
        return rz_fail(r->err, RZ_EUSAGE, "only .apr files hold packed weights, not %s",
                       writer->format);
    RZ_TRY(check_path(path, o->overwrite, r->err));
    RZ_TRY(rz_convert_check(r->source, r->err));
    RZ_TRY(rz_plan_make(&r->plan, r->source, writer, o->type, r->err));
    RZ_TRY(add_importance(r));
    RZ_TRY(new_report(r));
    r->report->n_threads = n_threads;
    RZ_TRY(rz_mover_new(&r->mover, n_threads, r->err));
    return write_all(r, path, compression);
}

rz_status rz_convert(const rz_file *source, const char *path, const rz_convert_options *options,
                     rz_convert_report **report, rz_error *err)
{
    const rz_convert_options defaults = {0};
    struct run r = {.source = source, .options = options ? options : &defaults, .err = err};
    if (report)
        *report = NULL;
    rz_status status = run_all(&r, path);
    rz_mover_free(&r.mover);
    rz_imatrix_free(&r.imatrix);
    rz_plan_fini(&r.plan);
    if (status || !report)
        rz_convert_report_free(&r.report);
    else
        *report = r.report;
    return status;
}
