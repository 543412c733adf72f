/* rosetta_fingerprint.c - `rosetta fingerprint A [B]`: what each tensor holds in a few numbers, and
 * which of B's are not what A's are.
 *
 * An anomaly is a mean that moved by more than three of the tensor's standard deviations, another
 * number of NaNs or infinities, a tensor that is missing or has another shape: damage, not
 * rounding.
 */
#include "base/fail.h"
#include "cli/io.h"
#include "cli/rosetta.h"
#include "cli/tensor_list.h"

#include <math.h>
#include <realizar/tensor_stats.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIGMAS = 3
};

struct prints {
    const struct rosetta_args *args;
    rz_file *a, *b;
    rz_tensor_scan *scan;
    json_t *rows;
    size_t n, n_anomalies, missing_in_a, missing_in_b;
};

static json_t *row_json(const rz_tensor *t, const rz_tensor_stats *s)
{
    json_t *row = cli_stats_json(s);
    if (!row)
        return NULL;
    json_object_set_new(row, "name", cli_json_text(t->name, strlen(t->name)));
    json_object_set_new(row, "dtype", json_string(rz_dtype_name(t->dtype)));
    json_object_set_new(row, "shape", cli_shape_json(t));
    return row;
}

/* Why b is not what a is; NULL if it is. */
static const char *anomaly(const rz_tensor *a, const rz_tensor *b, const rz_tensor_stats *x,
                           const rz_tensor_stats *y)
{
    if (!rz_tensor_same_shape(a, b))
        return "another shape";
    if (x->n_nan != y->n_nan)
        return "another number of NaNs";
    if (x->n_inf != y->n_inf)
        return "another number of infinities";
    if (fabs(x->mean - y->mean) > SIGMAS * x->std && x->mean != y->mean)
        return "the mean moved by more than 3 standard deviations";
    return NULL;
}

static void print_row(const rz_tensor *t, const rz_tensor_stats *s, const char *why)
{
    char shape[CLI_SHAPE_MAX];
    int len = (int)strlen(t->name);
    cli_put_clean(stdout, t->name, (size_t)len, false);
    printf("%*s %-6s %-14s mean %10.4g std %10.4g min %10.4g max %10.4g %08x%s%s\n",
           len < 28 ? 28 - len : 0, "", rz_dtype_name(t->dtype), cli_shape(shape, t), s->mean,
           s->std, s->min, s->max, s->bits_sum, why ? "  ANOMALY: " : "", why ? why : "");
}

static rz_status fingerprint(struct prints *p, const rz_tensor *a, rz_error *err)
{
    const rz_tensor *b = p->b ? rz_file_tensor(p->b, a->name) : NULL;
    rz_tensor_stats x, y;
    const char *why = NULL;
    RZ_TRY(rz_tensor_scan_stats(p->scan, a, &x, err));
    if (p->b && !b) {
        p->missing_in_b++;
        why = "missing in B";
    } else if (b) {
        RZ_TRY(rz_tensor_scan_stats(p->scan, b, &y, err));
        why = anomaly(a, b, &x, &y);
    }
    p->n++;
    p->n_anomalies += why != NULL;
    if (!p->rows) {
        print_row(a, &x, why);
        return RZ_OK;
    }
    json_t *row = row_json(a, &x);
    if (row && p->b)
        json_object_set_new(row, "anomaly", why ? json_string(why) : json_null());
    if (row && b)
        json_object_set_new(row, "b", row_json(b, &y));
    return json_array_append_new(p->rows, row) ? rz_fail_nomem(err, 0, "the JSON document") : RZ_OK;
}

static rz_status run(struct prints *p, rz_error *err)
{
    const char *filter = p->args->filter;
    for (size_t i = 0; i < rz_file_n_tensors(p->a); i++) {
        const rz_tensor *t = rz_file_tensor_at(p->a, i);
        if (cli_name_matches(filter, t->name))
            RZ_TRY(fingerprint(p, t, err));
    }
    if (p->n == 0)
        return rz_fail(err, RZ_ENOTFOUND, "no tensor has '%s' in its name", filter ? filter : "");
    for (size_t i = 0; p->b && i < rz_file_n_tensors(p->b); i++) {
        const rz_tensor *t = rz_file_tensor_at(p->b, i);
        if (!cli_name_matches(filter, t->name) || rz_file_tensor(p->a, t->name))
            continue;
        p->missing_in_a++;
        p->n_anomalies++;
        if (!p->rows) {
            cli_put_clean(stdout, t->name, strlen(t->name), false);
            puts("  ANOMALY: missing in A");
        }
    }
    return RZ_OK;
}

static rz_status write_doc(const struct prints *p, rz_error *err)
{
    json_t *doc = json_pack("{sI sO}", "total_tensors", (json_int_t)p->n, "tensors", p->rows);
    if (doc && p->b) {
        json_object_set_new(doc, "anomalies", json_integer((json_int_t)p->n_anomalies));
        json_object_set_new(doc, "missing_in_a", json_integer((json_int_t)p->missing_in_a));
        json_object_set_new(doc, "missing_in_b", json_integer((json_int_t)p->missing_in_b));
        json_object_set_new(doc, "passed", json_boolean(p->n_anomalies == 0));
    }
    if (!p->args->output)
        return cli_out_json(doc, err);
    struct cli_out_file f = {0};
    rz_status status = doc ? cli_out_file_open(&f, p->args->output, err)
                           : rz_fail_nomem(err, 0, "the JSON document");
    if (!status && json_dumpf(doc, f.stream, JSON_INDENT(2)))
        status = rz_fail(err, RZ_EIO, "%s cannot be written", p->args->output);
    if (!status)
        status = cli_out_file_commit(&f, err);
    cli_out_file_abandon(&f);
    json_decref(doc);
    return status;
}

rz_status rosetta_fingerprint(const struct rosetta_call *call, rz_error *err)
{
    struct prints p = {.args = call->args};
    if (p.args->conversion.json || p.args->output)
        p.rows = json_array();
    rz_status status = cli_open_file(&p.a, call->operands[0], err);
    if (!status && call->n_operands > 1)
        status = cli_open_file(&p.b, call->operands[1], err);
    if (!status)
        status =
            rz_tensor_scan_new(&p.scan, (unsigned)cli_uint_or(p.args->conversion.threads, 0), err);
    if (!status)
        status = run(&p, err);
    if (!status && p.rows)
        status = write_doc(&p, err);
    else if (!status && p.b)
        printf("%s: %zu anomalies in %zu tensors\n", p.n_anomalies ? "FAIL" : "PASS", p.n_anomalies,
               p.n);
    json_decref(p.rows);
    rz_tensor_scan_free(&p.scan);
    rz_file_close(&p.a);
    rz_file_close(&p.b);
    return !status && p.n_anomalies ? RZ_EINVALID : status; /* the report has said it */
}
