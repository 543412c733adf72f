/* compare.c - two model files, tensor by tensor, whatever their containers. Both orders of llama's
 * Q and K rows are one: b's rows are taken in a's order. The source's pages are given back as they
 * are done with, so that memory does not grow with the model. */
#include "base/fail.h"
#include "formats/file.h"
#include "formats/tensor_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct comparison {
    const rz_file *a, *b;
    const rz_compare_options *options;
    rz_tensor_scan *scan;
    const rz_tensor *now[2]; /* being compared */
    rz_compare_report *report;
    size_t cap_tensors;
    rz_convert_progress progress;
    rz_error *err;
};

void rz_compare_report_free(rz_compare_report **report)
{
    if (!report || !*report)
        return;
    for (size_t i = 0; i < (*report)->n_tensors; i++)
        free((*report)->tensors[i].name);
    free((*report)->tensors);
    free(*report);
    *report = NULL;
}

/* ---- values ---- */

/* Bytes of the elements before number i, which is at a block's border. */
static size_t bytes_before(const rz_tensor *t, uint64_t i)
{
    return (size_t)(i / rz_dtype_block_len(t->dtype) * rz_dtype_block_bytes(t->dtype));
}

static rz_status on_done(void *ctx, uint64_t first, uint64_t n, rz_error *err)
{
    struct comparison *c = ctx;
    const rz_file *const files[] = {c->a, c->b};
    const rz_compare_options *o = c->options;
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        size_t from = bytes_before(c->now[i], first);
        bytes[i] = bytes_before(c->now[i], first + n) - from;
        rz_source_release(files[i], (const char *)c->now[i]->data + from, bytes[i]);
    }
    c->progress.done_bytes += bytes[0];
    if (o->progress && !o->progress(o->progress_ctx, &c->progress))
        return rz_fail(err, RZ_ECANCEL, "stopped");
    return RZ_OK;
}

static rz_status compare_values(struct comparison *c, const rz_tensor *a, const rz_tensor *b,
                                rz_compare_tensor *t)
{
    struct rz_scan_pair pair = {.a = a, .b = b, .done = on_done, .ctx = c};
    rz_tensor_diff d;
    pair.order = rz_row_order_of(c->b, b, rz_rows_are_halves(c->a), &pair.head_dim);
    c->now[0] = a;
    c->now[1] = b;
    RZ_TRY(rz_scan_diff(c->scan, &pair, &d, c->err));
    t->same_bits = d.same_bytes;
    t->rms_a = d.rms_a;
    t->cosine = d.cosine;
    t->rmse = d.rmse;
    t->worst = d.max_abs;
    t->at = d.n_finite_pairs ? d.max_at : 0;
    if (d.n_odd) { /* NaN or infinite in one only is the worst that there is */
        t->rmse = t->worst = INFINITY;
        t->at = d.first_odd;
    }
    return RZ_OK;
}

/* ---- tensors ---- */

static rz_status add_tensor(struct comparison *c, const char *name, rz_compare_tensor **out)
{
    rz_compare_report *r = c->report;
    if (r->n_tensors == c->cap_tensors) {
        size_t cap = c->cap_tensors ? 2 * c->cap_tensors : 64;
        rz_compare_tensor *grown = realloc(r->tensors, cap * sizeof *grown);
        if (!grown)
            return rz_fail_nomem(c->err, cap * sizeof *grown, "a report");
        r->tensors = grown;
        c->cap_tensors = cap;
    }
    *out = &r->tensors[r->n_tensors];
    **out = (rz_compare_tensor){.name = strdup(name)};
    if (!(*out)->name)
        return rz_fail_nomem(c->err, strlen(name), "a report");
    r->n_tensors++;
    return RZ_OK;
}

static void note(rz_compare_tensor *t, const rz_tensor *a, const rz_tensor *b)
{
    t->in_a = a != NULL;
    t->in_b = b != NULL;
    if (a) {
        t->type_a = a->dtype;
        t->n_dims_a = a->n_dims;
        memcpy(t->shape_a, a->shape, sizeof t->shape_a);
    }
    if (b) {
        t->type_b = b->dtype;
        t->n_dims_b = b->n_dims;
        memcpy(t->shape_b, b->shape, sizeof t->shape_b);
    }
    if (!a || !b)
        return;
    t->same_shape = a->n_dims == b->n_dims && memcmp(a->shape, b->shape, sizeof a->shape) == 0;
    t->transposed = !t->same_shape && a->n_dims == 2 && b->n_dims == 2 &&
                    a->shape[0] == b->shape[1] && a->shape[1] == b->shape[0];
}

static bool is_wanted(const struct comparison *c, const char *name)
{
    return !c->options->filter || strstr(name, c->options->filter);
}

static rz_status compare_tensor(struct comparison *c, const rz_tensor *a, const rz_tensor *b)
{
    rz_compare_tensor *t;
    rz_compare_report *r = c->report;
    RZ_TRY(add_tensor(c, a ? a->name : b->name, &t));
    note(t, a, b);
    c->progress.tensor = t->name;
    if (!a || !b) {
        r->n_missing++;
        return RZ_OK;
    }
    if (!t->same_shape) {
        r->n_shape++;
        return RZ_OK;
    }
    RZ_TRY(compare_values(c, a, b, t));
    r->n_same_bits += t->same_bits;
    r->n_different += !t->same_bits && t->worst > 0;
    return RZ_OK;
}

static rz_status compare_all(struct comparison *c)
{
    for (size_t i = 0; i < rz_file_n_tensors(c->a); i++)
        c->progress.total_bytes += rz_file_tensor_at(c->a, i)->n_bytes;
    c->progress.n_tensors = rz_file_n_tensors(c->a);
    for (size_t i = 0; i < rz_file_n_tensors(c->a); i++) {
        const rz_tensor *a = rz_file_tensor_at(c->a, i);
        c->progress.i_tensor = i;
        if (is_wanted(c, a->name))
            RZ_TRY(compare_tensor(c, a, rz_file_tensor(c->b, a->name)));
    }
    for (size_t i = 0; i < rz_file_n_tensors(c->b); i++) {
        const rz_tensor *b = rz_file_tensor_at(c->b, i);
        if (is_wanted(c, b->name) && !rz_file_tensor(c->a, b->name))
            RZ_TRY(compare_tensor(c, NULL, b));
    }
    return RZ_OK;
}

rz_status rz_compare(const rz_file *a, const rz_file *b, const rz_compare_options *options,
                     rz_compare_report **report, rz_error *err)
{
    const rz_compare_options defaults = {0};
    struct comparison c = {.a = a, .b = b, .options = options ? options : &defaults, .err = err};
    *report = NULL;
    c.report = calloc(1, sizeof *c.report);
    rz_status status = c.report ? RZ_OK : rz_fail_nomem(err, sizeof *c.report, "a comparison");
    if (!status)
        status = rz_tensor_scan_new(&c.scan, c.options->n_threads, err);
    if (!status)
        status = compare_all(&c);
    rz_tensor_scan_free(&c.scan);
    if (status)
        rz_compare_report_free(&c.report);
    *report = c.report;
    return status;
}
