/* rosetta_compare.c - `rosetta diff-tensors` and `rosetta compare-inference`. */
#include "base/fail.h"
#include "cli/logits_pair.h"
#include "cli/rosetta.h"
#include "cli/tensor_list.h"

#include <realizar/tensor_stats.h>
#include <stdlib.h>
#include <string.h>

/* ---- diff-tensors ---- */

struct diff {
    const struct rosetta_args *args;
    rz_file *a, *b;
    rz_compare_report *report;
};

static const char *verdict(const rz_compare_tensor *t)
{
    if (!t->in_a)
        return "only in B";
    if (!t->in_b)
        return "only in A";
    if (!t->same_shape)
        return t->transposed ? "transposed" : "shape";
    if (t->same_bits)
        return "same bits";
    return t->worst == 0 ? "same values" : "differs";
}

static bool is_same(const rz_compare_tensor *t)
{
    return t->in_a && t->in_b && t->same_shape && t->worst == 0;
}

/* The value of an element; 0 where the file has no such tensor. */
static double value_at(const rz_file *file, const char *name, uint64_t at)
{
    const rz_tensor *t = rz_file_tensor(file, name);
    float v = 0;
    if (t && at < rz_tensor_count(t))
        rz_tensor_decode(t, at, 1, &v);
    return (double)v;
}

static json_t *shape_json(const uint64_t *shape, uint32_t n_dims, bool there)
{
    if (!there)
        return json_null();
    json_t *list = json_array();
    for (uint32_t i = 0; i < n_dims; i++)
        json_array_append_new(list, json_integer((json_int_t)shape[i]));
    return list;
}

static json_t *tensor_json(const struct diff *d, const rz_compare_tensor *t)
{
    json_t *row = json_pack("{so ss so so so so so so so sI}", "name",
                            cli_json_text(t->name, strlen(t->name)), "verdict", verdict(t),
                            "type_a", t->in_a ? json_string(rz_dtype_name(t->type_a)) : json_null(),
                            "type_b", t->in_b ? json_string(rz_dtype_name(t->type_b)) : json_null(),
                            "shape_a", shape_json(t->shape_a, t->n_dims_a, t->in_a), "shape_b",
                            shape_json(t->shape_b, t->n_dims_b, t->in_b), "rmse",
                            cli_json_real(t->rmse), "largest", cli_json_real(t->worst), "cosine",
                            cli_json_real(t->cosine), "at", (json_int_t)t->at);
    if (row && d->args->show_values && t->same_shape && !is_same(t)) {
        json_object_set_new(row, "value_a", cli_json_real(value_at(d->a, t->name, t->at)));
        json_object_set_new(row, "value_b", cli_json_real(value_at(d->b, t->name, t->at)));
    }
    return row;
}

static void print_tensor(const struct diff *d, const rz_compare_tensor *t)
{
    size_t len = strlen(t->name);
    cli_put_clean(stdout, t->name, len, false);
    printf("%*s %-11s", len < 32 ? 32 - (int)len : 0, "", verdict(t));
    if (t->in_a && t->in_b)
        printf(" %-6s %-6s", rz_dtype_name(t->type_a), rz_dtype_name(t->type_b));
    if (t->same_shape && !is_same(t)) {
        printf(" RMSE %.4g, largest %.4g at %llu, cosine %.6f", t->rmse, t->worst,
               (unsigned long long)t->at, t->cosine);
        if (d->args->show_values)
            printf(": %.9g and %.9g", value_at(d->a, t->name, t->at),
                   value_at(d->b, t->name, t->at));
    }
    putchar('\n');
}

static rz_status tell(const struct diff *d, bool same, rz_error *err)
{
    const rz_compare_report *r = d->report;
    json_t *rows = d->args->conversion.json ? json_array() : NULL;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const rz_compare_tensor *t = &r->tensors[i];
        if (d->args->mismatches_only && is_same(t))
            continue;
        if (rows)
            json_array_append_new(rows, tensor_json(d, t));
        else
            print_tensor(d, t);
    }
    if (rows)
        return cli_out_json(
            json_pack("{sI sI sI sI sI so sb}", "compared", (json_int_t)r->n_tensors, "same_bits",
                      (json_int_t)r->n_same_bits, "different", (json_int_t)r->n_different, "shape",
                      (json_int_t)r->n_shape, "missing", (json_int_t)r->n_missing, "tensors", rows,
                      "same", same),
            err);
    printf("%zu tensors: %zu with the same bits, %zu different, %zu of another shape, %zu in one "
           "file only\n",
           r->n_tensors, r->n_same_bits, r->n_different, r->n_shape, r->n_missing);
    return RZ_OK;
}

rz_status rosetta_diff_tensors(const struct rosetta_call *call, rz_error *err)
{
    struct diff d = {.args = call->args};
    rz_compare_options o = {.filter = call->args->filter,
                            .n_threads = (uint32_t)cli_uint_or(call->args->conversion.threads, 0)};
    bool same = false;
    rz_status status = cli_open_file(&d.a, call->operands[0], err);
    if (!status)
        status = cli_open_file(&d.b, call->operands[1], err);
    if (!status)
        status = rz_compare(d.a, d.b, &o, &d.report, err);
    if (!status && d.report->n_tensors == 0)
        status = rz_fail(err, RZ_ENOTFOUND, "no tensor has '%s' in its name", o.filter);
    if (!status) {
        same = d.report->n_missing + d.report->n_shape + d.report->n_different == 0;
        status = tell(&d, same, err);
    }
    rz_compare_report_free(&d.report);
    rz_file_close(&d.a);
    rz_file_close(&d.b);
    return !status && !same ? RZ_EINVALID : status; /* the report has said it */
}

/* ---- compare-inference ---- */

static json_t *positions_json(const struct cli_logits_pair *p, const rz_ids *ids)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n; i++) {
        const struct cli_logits_position *at = &p->positions[i];
        json_array_append_new(list,
                              json_pack("{sI sI sI sI sb so so}", "position", (json_int_t)i,
                                        "token", (json_int_t)ids->data[i], "likeliest_a",
                                        (json_int_t)at->top_a, "likeliest_b", (json_int_t)at->top_b,
                                        "same", at->top_a == at->top_b, "largest_difference",
                                        cli_json_real(at->worst), "kl", cli_json_real(at->kl)));
    }
    return list;
}

static void print_positions(const struct cli_logits_pair *p, const rz_ids *ids)
{
    printf("%8s %8s %11s %11s %5s %12s %11s\n", "position", "token", "likeliest A", "likeliest B",
           "same", "max |dlogit|", "KL");
    for (size_t i = 0; i < p->n; i++) {
        const struct cli_logits_position *at = &p->positions[i];
        printf("%8zu %8d %11d %11d %5s %12.4g %11.4g\n", i, (int)ids->data[i], (int)at->top_a,
               (int)at->top_b, at->top_a == at->top_b ? "yes" : "NO", at->worst, at->kl);
    }
}

static rz_status tell_inference(const struct rosetta_args *a, const struct cli_logits_pair *p,
                                const rz_ids *ids, double tolerance, bool passed, rz_error *err)
{
    if (a->conversion.json)
        return cli_out_json(json_pack("{sI sI so so sf sb so}", "positions", (json_int_t)p->n,
                                      "same_likeliest", (json_int_t)p->n_same_top,
                                      "largest_difference", cli_json_real(p->worst), "mean_kl",
                                      cli_json_real(p->mean_kl), "tolerance", tolerance, "passed",
                                      passed, "table", positions_json(p, ids)),
                            err);
    print_positions(p, ids);
    printf("%s: %zu of %zu likeliest tokens the same, largest difference %.4g (tolerance %.4g), "
           "mean KL %.4g\n",
           passed ? "PASS" : "FAIL", p->n_same_top, p->n, p->worst, tolerance, p->mean_kl);
    return RZ_OK;
}

rz_status rosetta_compare_inference(const struct rosetta_call *call, rz_error *err)
{
    const struct rosetta_args *a = call->args;
    struct cli_logits_pair pair = {0};
    struct cli_logits_question question = {.prompt = a->prompt ? a->prompt : "2+2=",
                                           .max_tokens = (size_t)cli_uint_or(a->max_tokens, 5),
                                           .model = {.threads = a->conversion.threads}};
    rz_ids ids = {0};
    char *path_a = NULL, *path_b = NULL;
    double tolerance = a->tolerance.set ? a->tolerance.value : 0.1;
    bool passed = false;
    rz_status status = cli_model_path(&path_a, call->operands[0], err);
    if (!status)
        status = cli_model_path(&path_b, call->operands[1], err);
    question.path_a = path_a;
    question.path_b = path_b;
    if (!status)
        status = cli_logits_pair(&pair, &question, &ids, err);
    if (!status) {
        passed = pair.worst <= tolerance && pair.n_same_top == pair.n;
        status = tell_inference(a, &pair, &ids, tolerance, passed, err);
    }
    cli_logits_pair_fini(&pair);
    rz_ids_free(&ids);
    free(path_a);
    free(path_b);
    return !status && !passed ? RZ_EINVALID : status; /* the report has said it */
}
