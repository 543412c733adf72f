/* cmd_diff.c - `apr diff A B`: metadata and tensors of two model files, by name. What is compared
 * is what the files mean: names as the readers make them canonical, values as they decode. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/tensor_list.h"
#include "cli/tensor_meta.h"

#include <math.h>
#include <string.h>

struct diff_args {
    const char *filter;
    struct cli_uint limit, threads;
    struct cli_float threshold;
    bool values, transpose_aware, json;
};

#define FIELD(f) offsetof(struct diff_args, f)

static const struct cli_option diff_options[] = {
    CLI_ROW_FLAG(0, "values", FIELD(values),
                 "decode and compare values: largest difference, RMSE, cosine (without it: whether "
                 "the stored bytes are the same)"),
    CLI_ROW(CLI_STRING, 0, "filter", "NAME", FIELD(filter),
            "only tensors whose name has NAME in it, or that a pattern like '*.bias' fits"),
    CLI_ROW_RANGE(CLI_UINT, 0, "limit", "N", 1, 1e9, FIELD(limit),
                  "list the first N tensors that differ (default: all)"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "threshold", "X", 0, 1e9, FIELD(threshold),
                  "exit code 5 if a tensor is missing, has another shape, or its RMSE is above X "
                  "times the root mean square of A's; implies --values"),
    CLI_ROW_FLAG(0, "transpose-aware", FIELD(transpose_aware),
                 "also compare matrices with the other's transpose; implies --values"),
    CLI_ROW_RANGE(CLI_UINT, 't', "threads", "N", 1, 256, FIELD(threads),
                  "threads (default: one per CPU)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

enum outcome {
    IDENTICAL, /* the same type and the same bytes */
    SAME_VALUES,
    DIFFERS,
    TRANSPOSED,
    OTHER_SHAPE,
    ONLY_IN_A,
    ONLY_IN_B,
    N_OUTCOMES
};
static const char *const outcome_names[N_OUTCOMES] = {
    "identical", "same_values", "differs", "transposed", "shape", "only_in_a", "only_in_b"};

/* Transposed: the transpose is this near, and nearer than the matrix as it stands. */
static const double transposed_cosine = 0.999;

/* One tensor of either file. */
struct pair {
    const char *name;
    const rz_tensor *a, *b; /* one of them may be NULL */
    enum outcome outcome;
    bool compared; /* diff is set */
    rz_tensor_diff diff;
    double relative; /* RMSE / root mean square of a; infinite if only a is zero */
    bool failed;
};

struct job {
    const struct diff_args *args;
    rz_file *a, *b;
    struct cli_tensors chosen_a, chosen_b;
    rz_tensor_scan *scan;
    json_t *metadata, *rows;
    size_t counts[N_OUTCOMES], n_differing, n_failed, n_total;
    double worst;
    const char *worst_name;
};

static bool wants_values(const struct diff_args *a)
{
    return a->values || a->transpose_aware || a->threshold.set;
}

static double relative_error(const rz_tensor_diff *d)
{
    if (d->rmse == 0)
        return 0;
    return d->rms_a > 0 ? d->rmse / d->rms_a : INFINITY;
}

static rz_status compare_transposed(struct job *j, struct pair *p, rz_error *err)
{
    const rz_tensor *a = p->a, *b = p->b;
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[0] != b->shape[1] ||
        a->shape[1] != b->shape[0])
        return RZ_OK;
    rz_tensor_diff d;
    RZ_TRY(rz_tensor_scan_diff_transposed(j->scan, a, b, &d, err));
    if (d.cosine < transposed_cosine || (p->compared && d.rmse >= p->diff.rmse))
        return RZ_OK;
    p->outcome = TRANSPOSED;
    p->diff = d;
    p->compared = true;
    return RZ_OK;
}

static bool same_bytes(const rz_tensor *a, const rz_tensor *b)
{
    return a->dtype == b->dtype && a->n_bytes == b->n_bytes &&
           (a->n_bytes == 0 || !memcmp(a->data, b->data, a->n_bytes));
}

static rz_status compare(struct job *j, struct pair *p, rz_error *err)
{
    const struct diff_args *a = j->args;
    bool same_shape = rz_tensor_same_shape(p->a, p->b);
    if (!same_shape)
        p->outcome = OTHER_SHAPE;
    else if (same_bytes(p->a, p->b))
        p->outcome = IDENTICAL;
    else
        p->outcome = DIFFERS;
    if (!wants_values(a))
        return RZ_OK;
    if (same_shape) {
        const rz_tensor_of in_a = {j->a, p->a}, in_b = {j->b, p->b};
        RZ_TRY(rz_tensor_scan_diff_in(j->scan, &in_a, &in_b, &p->diff, err));
        p->compared = true;
        if (p->outcome == DIFFERS && p->diff.identical)
            p->outcome = SAME_VALUES;
    }
    if (a->transpose_aware && (p->outcome == OTHER_SHAPE || p->outcome == DIFFERS))
        RZ_TRY(compare_transposed(j, p, err));
    if (p->compared)
        p->relative = relative_error(&p->diff);
    return RZ_OK;
}

static bool fails(const struct job *j, const struct pair *p)
{
    if (!j->args->threshold.set)
        return false;
    if (p->outcome >= OTHER_SHAPE)
        return true;
    return p->diff.n_odd || p->relative > j->args->threshold.value;
}

/* ---- telling ---- */

static json_t *side_json(const rz_tensor *t)
{
    if (!t)
        return json_null();
    return json_pack("{ss so so}", "dtype", rz_dtype_name(t->dtype), "shape", cli_shape_json(t),
                     "bytes", cli_json_u64(t->n_bytes));
}

static json_t *pair_json(const struct pair *p)
{
    json_t *o = json_pack("{so ss so so sb}", "name", cli_json_text(p->name, strlen(p->name)),
                          "status", outcome_names[p->outcome], "a", side_json(p->a), "b",
                          side_json(p->b), "failed", p->failed);
    if (!p->compared)
        return o;
    const rz_tensor_diff *d = &p->diff;
    bool any = d->n_finite_pairs > 0;
    json_object_set_new(o, "values",
                        json_pack("{sb so so so so so so so so so}", "identical", d->identical,
                                  "equal_elements", cli_json_u64(d->n_equal_bits), "max_abs",
                                  any ? cli_json_real(d->max_abs) : json_null(), "max_at",
                                  any ? cli_json_u64(d->max_at) : json_null(), "mean_abs",
                                  any ? cli_json_real(d->mean_abs) : json_null(), "rmse",
                                  any ? cli_json_real(d->rmse) : json_null(), "relative_rmse",
                                  any ? cli_json_real(p->relative) : json_null(), "cosine",
                                  any ? cli_json_real(d->cosine) : json_null(), "not_finite_a",
                                  cli_json_u64(d->n_not_finite_a), "not_finite_b",
                                  cli_json_u64(d->n_not_finite_b)));
    return o;
}

static void print_side(const rz_tensor *t)
{
    char shape[CLI_SHAPE_MAX];
    printf("%s [%s]", rz_dtype_name(t->dtype), cli_shape(shape, t));
}

static void print_pair(const struct pair *p)
{
    printf("  %-4s %-11s ", p->failed ? "FAIL" : "", outcome_names[p->outcome]);
    cli_put_clean(stdout, p->name, strlen(p->name), false);
    fputs("  ", stdout);
    if (p->a)
        print_side(p->a);
    if (p->b && (!p->a || p->a->dtype != p->b->dtype || !rz_tensor_same_shape(p->a, p->b))) {
        fputs(p->a ? " / " : "", stdout);
        print_side(p->b);
    }
    putchar('\n');
    const rz_tensor_diff *d = &p->diff;
    if (!p->compared || d->identical)
        return;
    if (d->n_finite_pairs > 0)
        printf("       %12smax |a-b| %.4g at %llu (%.6g, %.6g)  RMSE %.4g (%.3g %%)  cosine %.8f\n",
               "", d->max_abs, (unsigned long long)d->max_at, d->max_a, d->max_b, d->rmse,
               100 * p->relative, d->cosine);
    if (d->n_not_finite_a || d->n_not_finite_b)
        printf("       %12snot finite: %llu in A, %llu in B\n", "",
               (unsigned long long)d->n_not_finite_a, (unsigned long long)d->n_not_finite_b);
}

static rz_status tell_pair(struct job *j, struct pair *p, rz_error *err)
{
    p->failed = fails(j, p);
    j->n_total++;
    j->counts[p->outcome]++;
    j->n_failed += p->failed;
    if (p->compared && (!j->worst_name || p->relative > j->worst)) {
        j->worst = p->relative;
        j->worst_name = p->name;
    }
    bool differs = p->outcome != IDENTICAL && p->outcome != SAME_VALUES;
    j->n_differing += differs;
    bool within = !j->args->limit.set || j->n_differing <= j->args->limit.value;
    if (!differs || !within)
        return RZ_OK;
    if (!j->rows)
        print_pair(p);
    else if (json_array_append_new(j->rows, pair_json(p)))
        return rz_fail_nomem(err, 0, "the JSON document");
    return RZ_OK;
}

/* Both lists are sorted by name: a merge. */
static rz_status compare_all(struct job *j, rz_error *err)
{
    size_t i = 0, k = 0;
    while (i < j->chosen_a.n || k < j->chosen_b.n) {
        const rz_tensor *a = i < j->chosen_a.n ? j->chosen_a.items[i] : NULL;
        const rz_tensor *b = k < j->chosen_b.n ? j->chosen_b.items[k] : NULL;
        int order = !b ? -1 : !a ? 1 : cli_compare_names(a->name, b->name);
        if (order == 0 && a && b)
            order = strcmp(a->name, b->name);
        struct pair p = {.name = ""};
        if (order <= 0 && a) {
            p.a = a;
            p.name = a->name;
            i++;
        }
        if (order >= 0 && b) {
            p.b = b;
            p.name = b->name;
            k++;
        }
        if (p.a && p.b)
            RZ_TRY(compare(j, &p, err));
        else
            p.outcome = p.a ? ONLY_IN_A : ONLY_IN_B;
        RZ_TRY(tell_pair(j, &p, err));
    }
    return RZ_OK;
}

static void print_metadata(const json_t *metadata)
{
    printf("metadata: %zu differences\n", json_array_size(metadata));
    for (size_t i = 0; i < json_array_size(metadata); i++) {
        const json_t *m = json_array_get(metadata, i);
        const json_t *parts[] = {json_object_get(m, "key"), json_object_get(m, "a"),
                                 json_object_get(m, "b")};
        printf("  %-10s ", json_string_value(json_object_get(m, "status")));
        for (size_t k = 0; k < RZ_ARRAY_LEN(parts); k++) {
            if (k)
                fputs(k == 1 ? ": " : " / ", stdout);
            if (parts[k])
                cli_put_clean(stdout, json_string_value(parts[k]), json_string_length(parts[k]),
                              false);
            else
                putchar('-');
        }
        putchar('\n');
    }
}

static void print_summary(const struct job *j)
{
    printf("%zu tensors:", j->n_total);
    const char *comma = "";
    for (int i = 0; i < N_OUTCOMES; i++) {
        if (j->counts[i]) {
            printf("%s %zu %s", comma, j->counts[i], outcome_names[i]);
            comma = ",";
        }
    }
    putchar('\n');
    if (j->worst_name && j->worst > 0) {
        printf("largest relative RMSE: %.4g %% in ", 100 * j->worst);
        cli_put_clean(stdout, j->worst_name, strlen(j->worst_name), false);
        putchar('\n');
    }
    if (j->args->threshold.set)
        printf("%s: %zu of %zu tensors are above the threshold of %.6g or do not match\n",
               j->n_failed ? "FAIL" : "PASS", j->n_failed, j->n_total, j->args->threshold.value);
}

static rz_status out_json(struct job *j, rz_error *err)
{
    json_t *counts = json_object();
    for (int i = 0; i < N_OUTCOMES; i++)
        json_object_set_new(counts, outcome_names[i], cli_json_u64(j->counts[i]));
    const char *a = rz_file_path(j->a), *b = rz_file_path(j->b);
    json_t *passed = j->args->threshold.set ? json_boolean(j->n_failed == 0) : json_null();
    json_t *doc = json_pack("{so so sO so so sO so so}", "a", cli_json_text(a, strlen(a)), "b",
                            cli_json_text(b, strlen(b)), "metadata", j->metadata, "num_tensors",
                            cli_json_u64(j->n_total), "counts", counts, "tensors", j->rows,
                            "failed", cli_json_u64(j->n_failed), "passed", passed);
    return cli_out_json(doc, err);
}

static rz_status open_both(struct job *j, const struct cli_call *call, rz_error *err)
{
    const char *filter = j->args->filter;
    RZ_TRY(cli_open_file(&j->a, call->operands[0], err));
    RZ_TRY(cli_open_file(&j->b, call->operands[1], err));
    /* A name that fits in one file only is a difference, in neither a mistake. */
    rz_status status = cli_select_tensors(&j->chosen_a, j->a, filter, CLI_ORDER_NAME, err);
    if (status && status != RZ_ENOTFOUND)
        return status;
    bool none_in_a = status == RZ_ENOTFOUND;
    status = cli_select_tensors(&j->chosen_b, j->b, filter, CLI_ORDER_NAME, err);
    if (status == RZ_ENOTFOUND && !none_in_a) {
        err->code = RZ_OK;
        status = RZ_OK;
    }
    return status;
}

static rz_status diff(const struct cli_call *call, rz_error *err)
{
    struct job j = {.args = call->args};
    const struct diff_args *a = j.args;
    rz_status status = open_both(&j, call, err);
    if (!status && wants_values(a))
        status = rz_tensor_scan_new(&j.scan, (unsigned)a->threads.value, err);
    if (!status) {
        err->code = RZ_OK;
        j.metadata = cli_meta_differences(j.a, j.b);
        j.rows = a->json ? json_array() : NULL;
        if (!j.metadata || (a->json && !j.rows))
            status = rz_fail_nomem(err, 0, "the report");
    }
    if (!status && !a->json)
        print_metadata(j.metadata);
    if (!status)
        status = compare_all(&j, err);
    if (!status && a->json)
        status = out_json(&j, err);
    else if (!status)
        print_summary(&j);
    if (!status && j.n_failed)
        status = RZ_EINVALID; /* the report has said it */
    json_decref(j.metadata);
    json_decref(j.rows);
    rz_tensor_scan_free(&j.scan);
    free(j.chosen_a.items);
    free(j.chosen_b.items);
    rz_file_close(&j.a);
    rz_file_close(&j.b);
    return status;
}

const struct cli_command cmd_diff = {
    .name = "diff",
    .operands = "A B",
    .summary = "compare two model files: metadata, tensors, values",
    .details = "The files may be of different kinds and types: names and values are compared, not\n"
               "bytes. Differences alone do not make the exit code 5, --threshold does.",
    .min_operands = 2,
    .max_operands = 2,
    .args_size = sizeof(struct diff_args),
    .groups = {{"Options", diff_options, 0}},
    .run = diff,
};
