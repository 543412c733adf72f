/* compare.c - two model files, tensor by tensor and key by key, whatever their containers.
 *
 * Values are compared where the bits differ, decoded to float32 and summed in double, a row at a
 * time. Both orders of llama's Q and K rows are one: b's rows are taken in a's order. */
#include "base/cpu.h"
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"
#include "quant/dtype.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_ROWS = 4096,
    CHUNK_ELEMENTS = 4 << 20
};

struct row_sum {
    double aa, bb, ab, errors;
    float worst;
    uint32_t at;
    bool same_bits;
};

struct comparison {
    const rz_file *a, *b;
    const rz_compare_options *options;
    struct rz_pool *pool;
    unsigned n_threads;
    float *scratch;
    size_t cap_cols;
    struct row_sum *sums;
    struct rz_rows rows_a, rows_b;
    uint64_t first, n;
    atomic_uint next;
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

static void compare_row(const struct comparison *c, uint64_t i, float *x, float *y)
{
    const uint8_t *a = rz_rows_at(&c->rows_a, c->first + i);
    const uint8_t *b = rz_rows_at(&c->rows_b, c->first + i);
    size_t n = (size_t)c->rows_a.n_cols;
    struct row_sum s = {.same_bits = c->rows_a.type == c->rows_b.type &&
                                     memcmp(a, b, (size_t)c->rows_a.row_bytes) == 0};
    rz_dtype_info(c->rows_a.type)->decode(a, x, n);
    if (!s.same_bits)
        rz_dtype_info(c->rows_b.type)->decode(b, y, n);
    const float *other = s.same_bits ? x : y;
    for (size_t k = 0; k < n; k++) {
        double p = (double)x[k], q = (double)other[k], d = p - q;
        s.aa += p * p;
        s.bb += q * q;
        s.ab += p * q;
        s.errors += d * d;
        /* A NaN on one side only is the worst that there is. */
        float distance = isnan(d) && !s.same_bits ? INFINITY : (float)fabs(d);
        if (distance > s.worst) {
            s.worst = distance;
            s.at = (uint32_t)k;
        }
    }
    c->sums[i] = s;
}

static void work(void *ctx, unsigned i_thread, unsigned n_threads)
{
    struct comparison *c = ctx;
    float *x = c->scratch + 2 * (size_t)i_thread * c->cap_cols;
    (void)n_threads;
    for (;;) {
        uint64_t i = atomic_fetch_add(&c->next, 1);
        if (i >= c->n)
            return;
        compare_row(c, i, x, x + c->cap_cols);
    }
}

static rz_status reserve(struct comparison *c, size_t n_cols)
{
    if (n_cols <= c->cap_cols)
        return RZ_OK;
    free(c->scratch);
    c->cap_cols = 0;
    c->scratch = malloc(2 * n_cols * c->n_threads * sizeof *c->scratch);
    if (!c->scratch)
        return rz_fail_nomem(c->err, n_cols * sizeof *c->scratch, "rows");
    c->cap_cols = n_cols;
    return RZ_OK;
}

struct totals {
    double aa, bb, ab, errors;
    bool same_bits;
};

static rz_status compare_chunk(struct comparison *c, rz_compare_tensor *t, struct totals *sum)
{
    const uint8_t *a = c->rows_a.data + c->first * c->rows_a.row_bytes;
    const uint8_t *b = c->rows_b.data + c->first * c->rows_b.row_bytes;
    atomic_store(&c->next, 0);
    rz_pool_run(c->pool, work, c);
    for (uint64_t i = 0; i < c->n; i++) {
        const struct row_sum *s = &c->sums[i];
        sum->aa += s->aa;
        sum->bb += s->bb;
        sum->ab += s->ab;
        sum->errors += s->errors;
        sum->same_bits = sum->same_bits && s->same_bits;
        if ((double)s->worst > t->worst) {
            t->worst = (double)s->worst;
            t->at = rz_row_source(c->rows_a.order, c->rows_a.head_dim, c->first + i) *
                        c->rows_a.n_cols +
                    s->at;
        }
    }
    rz_source_release(c->a, a, (size_t)(c->n * c->rows_a.row_bytes));
    rz_source_release(c->b, b, (size_t)(c->n * c->rows_b.row_bytes));
    c->progress.done_bytes += c->n * c->rows_a.row_bytes;
    const rz_compare_options *o = c->options;
    if (o->progress && !o->progress(o->progress_ctx, &c->progress))
        return rz_fail(c->err, RZ_ECANCEL, "stopped");
    return RZ_OK;
}

static rz_status compare_values(struct comparison *c, const rz_tensor *a, const rz_tensor *b,
                                rz_compare_tensor *t)
{
    uint32_t head_dim = 0;
    struct totals sum = {.same_bits = true};
    enum rz_row_order order = rz_row_order_of(c->b, b, rz_rows_are_halves(c->a), &head_dim);
    RZ_TRY(rz_rows_of(&c->rows_b, b, order, head_dim, c->err));
    RZ_TRY(rz_rows_of(&c->rows_a, a, RZ_ROWS_AS_THEY_ARE, 0, c->err));
    if (a->n_dims == 1) { /* both sides cut alike */
        c->rows_a.n_rows = c->rows_b.n_rows;
        c->rows_a.n_cols = c->rows_b.n_cols;
        if (!rz_dtype_row_bytes(a->dtype, c->rows_a.n_cols, &c->rows_a.row_bytes))
            return rz_fail(c->err, RZ_ELOAD, "tensor %s: a vector of blocks", a->name);
    }
    RZ_TRY(reserve(c, (size_t)c->rows_a.n_cols));
    uint64_t at_once = CHUNK_ELEMENTS / c->rows_a.n_cols;
    at_once = at_once > CHUNK_ROWS ? CHUNK_ROWS : at_once;
    /* Whole heads, so that the rows of a chunk lie together. */
    if (order != RZ_ROWS_AS_THEY_ARE)
        at_once = at_once < head_dim ? head_dim : at_once - at_once % head_dim;
    at_once = at_once ? at_once : 1;
    if (at_once > CHUNK_ROWS)
        return rz_fail(c->err, RZ_ELOAD, "tensor %s: heads of %u rows", a->name, head_dim);
    for (c->first = 0; c->first < c->rows_a.n_rows; c->first += c->n) {
        uint64_t left = c->rows_a.n_rows - c->first;
        c->n = left < at_once ? left : at_once;
        RZ_TRY(compare_chunk(c, t, &sum));
    }
    double n = (double)(c->rows_a.n_rows * c->rows_a.n_cols);
    t->same_bits = sum.same_bits;
    t->rms_a = sqrt(sum.aa / n);
    t->rmse = sqrt(sum.errors / n);
    double norm = sqrt(sum.aa) * sqrt(sum.bb);
    t->cosine = norm > 0 ? sum.ab / norm : sum.aa == sum.bb;
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
    c.n_threads = c.options->n_threads ? c.options->n_threads : rz_cpu_count();
    *report = NULL;
    c.report = calloc(1, sizeof *c.report);
    c.sums = calloc(CHUNK_ROWS, sizeof *c.sums);
    rz_status status = c.report && c.sums ? RZ_OK : rz_fail_nomem(err, sizeof c, "a comparison");
    if (!status)
        status = rz_pool_new(&c.pool, c.n_threads, err);
    if (!status)
        status = compare_all(&c);
    rz_pool_free(&c.pool);
    free(c.sums);
    free(c.scratch);
    if (status)
        rz_compare_report_free(&c.report);
    *report = c.report;
    return status;
}
