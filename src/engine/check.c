/* check.c - the ten stages of apr check: runs the engine once on a short prompt, recomputes each
 * stage in float64 from the engine's own inputs to it, and says what was found. Invariant: a stage
 * passes only if something was compared, nothing was out of bounds and no weight of it is damaged.
 * How the bounds are derived: docs/check.md. */
#include "engine/check.h"

#include "base/fail.h"
#include "formats/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct stage {
    const char *name;
    const char *right; /* what it means that it passes */
};

static const struct stage stages[RZ_N_CHECKS] = {
    {"Tokenizer", "text and special tokens survive the way to ids and back"},
    {"Embedding", "tokens' vectors are those of the file"},
    {"Positional Encoding", "queries and keys are rotated by their positions"},
    {"Q/K/V Projection", "queries, keys and values match float64"},
    {"Attention Scores", "attention over the cache matches float64"},
    {"Feed-Forward (MLP)", "feed-forward outputs match float64"},
    {"Layer Norm", "normed vectors match float64"},
    {"LM Head", "logits match float64"},
    {"Logits to Probabilities", "probabilities and the whole model match float64"},
    {"Sampler/Decode", "greedy picks the best, a seed repeats, tokens decode"},
};

void rz_check_fault(struct check_finding *f, const char *format, ...)
{
    if (f->fault[0])
        return; /* the first is nearest to the cause */
    va_list args;
    va_start(args, format);
    vsnprintf(f->fault, sizeof f->fault, format, args);
    va_end(args);
}

static void describe(const struct check_finding *f, const struct stage *stage, rz_check_stage *out)
{
    char where[32] = "";
    if (f->layer >= 0)
        snprintf(where, sizeof where, ", layer %d", f->layer);
    if (f->fault[0])
        snprintf(out->detail, sizeof out->detail, "%s", f->fault);
    else if (f->n_compared == 0)
        snprintf(out->detail, sizeof out->detail,
                 "its input is not finite: see the stages that "
                 "fail for damage");
    else if (!out->passed)
        snprintf(out->detail, sizeof out->detail, "%s is off by %.3g where %.3g is allowed%s",
                 f->what, f->error, f->bound, where);
    else
        snprintf(out->detail, sizeof out->detail,
                 "%s (%" PRIu64 " values; closest to its bound: %s%s)", stage->right, f->n_compared,
                 f->what, where);
}

static void write_report(const struct check *c, rz_check_report *report)
{
    *report = (rz_check_report){0};
    for (int i = 0; i < RZ_N_CHECKS; i++) {
        const struct check_finding *f = &c->found[i];
        rz_check_stage *out = &report->stage[i];
        out->name = stages[i].name;
        out->error = f->error;
        out->bound = f->bound;
        out->layer = f->n_compared ? f->layer : -1;
        out->passed = f->fault[0] == '\0' && f->n_compared > 0 && f->error <= f->bound;
        describe(f, &stages[i], out);
        report->n_passed += out->passed;
    }
    report->all_passed = report->n_passed == RZ_N_CHECKS;
}

static rz_status run_stages(struct check *c, rz_error *err)
{
    RZ_TRY(rz_check_weights(c, err));
    RZ_TRY(rz_check_tokenizer(c, err));
    RZ_TRY(rz_check_capture_run(c, err));
    RZ_TRY(rz_check_layers(c, err));
    RZ_TRY(rz_check_probabilities(c, err));
    return rz_check_sampler(c, err);
}

rz_status rz_check_model(const rz_model *model, rz_check_report *report, rz_error *err)
{
    *report = (rz_check_report){0};
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return rz_fail_nomem(err, sizeof *c, "the check");
    c->model = model;
    c->info = rz_model_get_info(model);
    /* The reference reads rows, whatever the products read. */
    rz_status status = rz_file_unpack(model->file, err);
    if (!status)
        status = rz_ref_init(&c->ref, model->file, c->info, model->backend->n_threads, err);
    if (!status)
        status = run_stages(c, err);
    if (!status)
        write_report(c, report);
    rz_ref_mat_fini(&c->logits);
    rz_check_capture_fini(&c->capture);
    rz_ref_fini(&c->ref);
    free(c);
    return status;
}
