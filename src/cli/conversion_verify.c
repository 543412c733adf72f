/* conversion_verify.c - --verify: the result, read again, against the source. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"
#include "cli/logits_pair.h"
#include "cli/progress.h"

#include <math.h>
#include <string.h>

static const char prompt[] = "The quick brown fox jumps over the lazy dog. 1 + 2 =";

/* Above this, models with the same weights do not compute the same: kernels take rows of another
 * order in another order. */
static const double logits_tolerance = 1e-3;

static bool on_progress(void *ctx, const rz_convert_progress *progress)
{
    cli_progress_draw(ctx, progress->tensor, progress->done_bytes, progress->total_bytes);
    return !cli_interrupted();
}

/* Of the conversion's report; NULL: none of that name. */
static const rz_convert_tensor *reported(const rz_convert_report *r, const char *name, size_t hint)
{
    if (hint < r->n_tensors && !strcmp(r->tensors[hint].name, name))
        return &r->tensors[hint];
    for (size_t i = 0; i < r->n_tensors; i++)
        if (!strcmp(r->tensors[i].name, name))
            return &r->tensors[i];
    return NULL;
}

static rz_status check_tensor(const struct cli_verification *v, const rz_compare_tensor *t,
                              size_t i, rz_error *err)
{
    const char *path = v->path;
    const rz_convert_tensor *r = reported(v->report, t->name, i);
    if (!t->in_a || !t->in_b || !r)
        return rz_fail(err, RZ_EINVALID, "%s: tensor %s is %s", path, t->name,
                       t->in_b ? "new" : "missing");
    if (!t->same_shape)
        return rz_fail(err, RZ_EINVALID, "%s: tensor %s has another shape", path, t->name);
    /* Divisors of a rotary scaling are computed from its parameters where a format keeps those. */
    bool computed = !strcmp(t->name, "rope_freqs.weight");
    if (computed && t->worst <= 1e-5 * t->rms_a)
        return RZ_OK;
    if (t->type_b != r->to)
        return rz_fail(err, RZ_EINVALID, "%s: tensor %s is %s, and %s was written", path, t->name,
                       rz_dtype_name(t->type_b), rz_dtype_name(r->to));
    if (r->from == r->to && !t->same_bits)
        return rz_fail(err, RZ_EINVALID, "%s: tensor %s: element %llu differs by %g", path, t->name,
                       (unsigned long long)t->at, t->worst);
    if (!(fabs(t->rmse - r->rmse) <= 1e-6 * r->rms))
        return rz_fail(err, RZ_EINVALID, "%s: tensor %s: an error of %g, and %g was reported", path,
                       t->name, t->rmse, r->rmse);
    return RZ_OK;
}

static rz_status verify_tensors(struct cli_conversion *c, const struct cli_verification *v,
                                const rz_file *result, rz_error *err)
{
    struct cli_progress progress;
    rz_compare_report *report = NULL;
    rz_compare_options o = {.n_threads = (uint32_t)cli_uint_or(c->args->threads, 0),
                            .progress = on_progress,
                            .progress_ctx = &progress};
    cli_progress_start(&progress, c->args->quiet || c->args->json);
    rz_status status = rz_compare(v->source, result, &o, &report, err);
    cli_progress_stop(&progress);
    for (size_t i = 0; !status && i < report->n_tensors; i++)
        status = check_tensor(v, &report->tensors[i], i, err);
    if (!status) {
        c->n_compared = report->n_tensors;
        c->n_same_bits = report->n_same_bits;
    }
    rz_compare_report_free(&report);
    return status;
}

static rz_status verify_logits(struct cli_conversion *c, const struct cli_verification *v,
                               rz_error *err)
{
    struct cli_logits_pair pair = {0};
    const struct cli_logits_question question = {.path_a = v->source_path,
                                                 .path_b = v->result_path,
                                                 .prompt = prompt,
                                                 .max_tokens = 4,
                                                 .model = {.threads = c->args->threads}};
    rz_ids ids = {0};
    rz_error why;
    bool exact = true;
    for (size_t i = 0; i < v->report->n_tensors; i++)
        exact = exact && v->report->tensors[i].rmse == 0;
    rz_status status = cli_logits_pair(&pair, &question, &ids, &why);
    rz_ids_free(&ids);
    /* A model that this build cannot run can still be converted. */
    if (status == RZ_ELOAD || status == RZ_EINFER) {
        c->logits_note = status == RZ_ELOAD ? "this build cannot run the model"
                                            : "the prompt does not fit the model's context";
        status = RZ_OK;
    } else if (status) {
        status = rz_fail(err, status, "%s", why.text);
    } else {
        c->logits_worst = pair.worst;
        c->logits_kl = pair.mean_kl;
        c->logits_same_top = pair.n_same_top == pair.n;
        if (exact && pair.worst > logits_tolerance)
            status = rz_fail(err, RZ_EINVALID,
                             "%s: the same weights, but logits differ by %g (at most %g)", v->path,
                             pair.worst, logits_tolerance);
    }
    cli_logits_pair_fini(&pair);
    return status;
}

rz_status cli_conversion_verify(struct cli_conversion *c, const struct cli_verification *v,
                                rz_error *err)
{
    rz_file *result = NULL;
    rz_status status = rz_file_open(&result, v->result_path, err);
    if (!status)
        status = rz_compare_metadata(v->source, result, err);
    if (!status)
        status = verify_tensors(c, v, result, err);
    rz_file_close(&result);
    if (!status)
        status = verify_logits(c, v, err);
    c->verified = !status;
    return status;
}
