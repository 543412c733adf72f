/* cmd_profile_report.c - a profile as a table, JSON or a flame graph. */
#include "base/fail.h"
#include "chart/chart.h"
#include "cli/cli.h"
#include "cli/cmd_bench.h"
#include "cli/cmd_profile.h"

#include <math.h>
#include <string.h>

/* Which side of the roofline an operation is on: below the machine's operations per byte, reading
 * takes longer than multiplying. Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4). */
static const char *side(const struct profile_job *j, const rz_op_figures *f)
{
    double ridge = j->limits.peak.ops_per_s / j->limits.read_bytes_per_s;
    if (f->bytes <= 0)
        return "-";
    return f->flops / f->bytes < ridge ? "memory" : "matrix";
}

static double per_second(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

/* ---- table ---- */

static void put_row(const struct profile_job *j, const rz_profile_phase *p, const char *name,
                    const rz_op_figures *f, FILE *to)
{
    if (f->calls == 0 && f->seconds <= 0)
        return;
    double per = 1.0 / (double)p->n_steps;
    fprintf(to, "  %-14s %9.3f %6.1f %% %8.1f", name, f->seconds * per * 1e3,
            100 * f->seconds / p->seconds, (double)f->calls * per);
    if (f->bytes > 0)
        fprintf(to, " %10.3f %8.2f %9.2f  %s", f->bytes * per * 1e-6,
                per_second(f->bytes, f->seconds) * 1e-9, per_second(f->flops, f->seconds) * 1e-9,
                side(j, f));
    fputc('\n', to);
}

static rz_op_figures layer_sum(const rz_op_figures *layer)
{
    rz_op_figures sum = {0};
    for (int op = 0; op < RZ_N_OPS; op++) {
        sum.calls += layer[op].calls;
        sum.seconds += layer[op].seconds;
        sum.bytes += layer[op].bytes;
        sum.flops += layer[op].flops;
    }
    return sum;
}

static void put_layers(const struct profile_job *j, const rz_profile_phase *p, FILE *to)
{
    for (uint32_t i = 0; i <= p->n_layers; i++) {
        const rz_op_figures *layer = rz_profile_layer(p, i);
        const rz_op_figures sum = layer_sum(layer);
        char name[32];
        if (i < p->n_layers)
            snprintf(name, sizeof name, "layer %u", i);
        else
            snprintf(name, sizeof name, "outside layers");
        put_row(j, p, name, &sum, to);
        for (int op = 0; op < RZ_N_OPS; op++) {
            snprintf(name, sizeof name, "  %s", rz_op_name((rz_op)op));
            put_row(j, p, name, &layer[op], to);
        }
    }
}

static void put_counters(const rz_profile_phase *p, FILE *to)
{
    for (int i = 0; i < RZ_N_READINGS; i++) {
        const rz_reading *r = &p->readings[i];
        if (isnan(r->value))
            fprintf(to, "  %-18s %s\n", r->name, r->why_not);
        else
            fprintf(to, "  %-18s %.4g per token\n", r->name, r->value / p->n_tokens);
    }
}

static void put_phase(const struct profile_job *j, rz_phase phase, FILE *to)
{
    const rz_profile_phase *p = &j->p->phase[phase];
    fprintf(to, "\n%s: %.2f tok/s; a %s takes %.3f ms (p50), %.3f ms (p99)\n", rz_phase_name(phase),
            profile_throughput(p), phase == RZ_PHASE_DECODE ? "step" : "pass",
            profile_step_ms(p, 0.5), profile_step_ms(p, 0.99));
    fprintf(to, "  %-14s %9s %8s %8s %10s %8s %9s  %s\n", "operation", "ms", "time", "calls", "MB",
            "GB/s", "GFLOP/s", "bound by");
    if (j->args->granular) {
        put_layers(j, p, to);
    } else {
        for (int op = 0; op < RZ_N_OPS; op++) {
            const rz_op_figures f = rz_profile_op(p, (rz_op)op);
            put_row(j, p, rz_op_name((rz_op)op), &f, to);
        }
    }
    put_counters(p, to);
    if (!j->args->energy)
        return;
    if (isnan(p->joules))
        fprintf(to, "  %-18s %s\n", "energy",
                *j->p->why_no_energy ? j->p->why_no_energy : "not readable here");
    else
        fprintf(to, "  %-18s %.4g J per token\n", "energy", p->joules / p->n_tokens);
}

void profile_put_human(const struct profile_job *j, FILE *to)
{
    const rz_limits *l = &j->limits;
    char cpu[256];
    bench_cpu_name(cpu, sizeof cpu);
    fprintf(to, "machine   %s, %u thread%s, %s kernels\n", cpu, l->n_threads,
            l->n_threads == 1 ? "" : "s", l->cpu_level);
    fprintf(to, "limits    reads %.2f GB/s, multiplies %.4g Gop/s (%s): %.1f operations per byte\n",
            l->read_bytes_per_s * 1e-9, l->peak.ops_per_s * 1e-9, l->peak.name,
            l->peak.ops_per_s / l->read_bytes_per_s);
    fprintf(to,
            "timers    %.0f ns each, %.2f %% of a decode step; with and without them its median "
            "differs by %+.2f %%\n",
            j->p->timer_s * 1e9, 100 * j->p->overhead, 100 * j->p->overhead_ab);
    for (int i = 0; i < RZ_N_PHASES; i++)
        put_phase(j, (rz_phase)i, to);
}

void profile_put_checks(const struct profile_job *j, FILE *to)
{
    for (size_t i = 0; i < j->n_checks; i++) {
        const struct profile_check *c = &j->check[i];
        fprintf(to, "%-4s %s: %.4g %s, wanted %s %.4g\n", c->passed ? "PASS" : "FAIL", c->name,
                c->value, c->unit, i == 0 && j->args->throughput.set ? "at least" : "at most",
                c->wanted);
    }
}

/* ---- JSON ---- */

static json_t *number(double v)
{
    json_t *n = json_real(v);
    return n ? n : json_null();
}

static json_t *figures_json(const struct profile_job *j, const rz_op_figures *figures,
                            double whole_s)
{
    json_t *ops = json_array();
    for (int op = 0; op < RZ_N_OPS; op++) {
        const rz_op_figures *f = &figures[op];
        if (f->calls == 0)
            continue;
        json_array_append_new(
            ops, json_pack("{ss sI sf sf sf sf sf sf ss}", "name", rz_op_name((rz_op)op), "calls",
                           (json_int_t)f->calls, "seconds", f->seconds, "share",
                           f->seconds / whole_s, "bytes", f->bytes, "flops", f->flops,
                           "bytes_per_s", per_second(f->bytes, f->seconds), "flops_per_s",
                           per_second(f->flops, f->seconds), "bound", side(j, f)));
    }
    return ops;
}

static json_t *layers_json(const struct profile_job *j, const rz_profile_phase *p)
{
    json_t *layers = json_array();
    for (uint32_t i = 0; i <= p->n_layers; i++) {
        json_t *layer = i < p->n_layers ? json_integer(i) : json_null();
        json_array_append_new(layers,
                              json_pack("{so so}", "layer", layer, "operations",
                                        figures_json(j, rz_profile_layer(p, i), p->seconds)));
    }
    return layers;
}

static json_t *readings_json(const rz_profile_phase *p)
{
    json_t *all = json_object();
    for (int i = 0; i < RZ_N_READINGS; i++) {
        const rz_reading *r = &p->readings[i];
        json_object_set_new(all, r->name,
                            isnan(r->value) ? json_string(r->why_not) : json_real(r->value));
    }
    return all;
}

static json_t *phase_json(const struct profile_job *j, const rz_profile_phase *p)
{
    rz_op_figures sum[RZ_N_OPS];
    for (int op = 0; op < RZ_N_OPS; op++)
        sum[op] = rz_profile_op(p, (rz_op)op);
    json_t *doc =
        json_pack("{si si sf sf sf sf so so}", "passes", (int)p->n_passes, "tokens",
                  (int)p->n_tokens, "seconds", p->seconds, "tokens_per_s", profile_throughput(p),
                  "p50_ms", profile_step_ms(p, 0.5), "p99_ms", profile_step_ms(p, 0.99),
                  "operations", figures_json(j, sum, p->seconds), "counters", readings_json(p));
    if (j->args->granular)
        json_object_set_new(doc, "layers", layers_json(j, p));
    if (j->args->energy)
        json_object_set_new(doc, "joules_per_token", number(p->joules / p->n_tokens));
    return doc;
}

rz_status profile_put_json(const struct profile_job *j, FILE *to, rz_error *err)
{
    const rz_model_info *info = rz_model_get_info(j->l.model);
    json_t *checks = json_array();
    for (size_t i = 0; i < j->n_checks; i++) {
        const struct profile_check *c = &j->check[i];
        json_array_append_new(checks,
                              json_pack("{ss sf sf ss sb}", "name", c->name, "value", c->value,
                                        "wanted", c->wanted, "unit", c->unit, "passed", c->passed));
    }
    json_t *doc = json_pack(
        "{so si ss so s{sf sf sf} so so so sb}", "model", cli_json_str(j->l.path), "threads",
        (int)info->n_threads, "cpu_level", info->cpu_level, "limits", bench_limits_json(&j->limits),
        "timers", "timer_s", j->p->timer_s, "overhead", j->p->overhead, "overhead_ab",
        j->p->overhead_ab, "prefill", phase_json(j, &j->p->phase[RZ_PHASE_PREFILL]), "decode",
        phase_json(j, &j->p->phase[RZ_PHASE_DECODE]), "assertions", checks, "all_passed",
        j->all_passed);
    if (doc && j->args->energy && *j->p->why_no_energy)
        json_object_set_new(doc, "why_no_energy", json_string(j->p->why_no_energy));
    if (!doc)
        return rz_fail_nomem(err, 0, "the JSON document");
    int failed = json_dumpf(doc, to, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', to);
    json_decref(doc);
    return failed && !ferror(to) ? rz_fail_nomem(err, 0, "the JSON text") : RZ_OK;
}

/* ---- flame graph ---- */

struct boxes {
    struct rz_flame *at;
    size_t n;
    char (*names)[32]; /* of layers */
};

static size_t add_box(struct boxes *b, const char *name, double seconds, size_t parent)
{
    b->at[b->n] = (struct rz_flame){.name = name, .value = seconds * 1e3, .parent = parent};
    return b->n++;
}

static void add_ops(struct boxes *b, const rz_op_figures *figures, double per_step, size_t parent)
{
    for (int op = 0; op < RZ_N_OPS; op++) {
        if (figures[op].calls)
            add_box(b, rz_op_name((rz_op)op), figures[op].seconds * per_step, parent);
    }
}

static void add_phase(struct boxes *b, const struct profile_job *j, rz_phase phase)
{
    const rz_profile_phase *p = &j->p->phase[phase];
    const double per_step = 1.0 / (double)p->n_steps;
    size_t root = add_box(b, rz_phase_name(phase), p->seconds * per_step, 0);
    if (!j->args->granular) {
        rz_op_figures sum[RZ_N_OPS];
        for (int op = 0; op < RZ_N_OPS; op++)
            sum[op] = rz_profile_op(p, (rz_op)op);
        add_ops(b, sum, per_step, root);
        return;
    }
    for (uint32_t i = 0; i <= p->n_layers; i++) {
        const rz_op_figures *layer = rz_profile_layer(p, i);
        double seconds = layer_sum(layer).seconds * per_step;
        size_t at = add_box(b, i < p->n_layers ? b->names[i] : "outside layers", seconds, root);
        add_ops(b, layer, per_step, at);
    }
}

rz_status profile_put_flamegraph(const struct profile_job *j, FILE *to, rz_error *err)
{
    const uint32_t n_layers = j->p->phase[0].n_layers;
    const size_t max = 1 + RZ_N_PHASES * (1 + (size_t)(n_layers + 1) * (1 + RZ_N_OPS));
    struct boxes b = {.at = calloc(max, sizeof *b.at), .names = calloc(n_layers, sizeof *b.names)};
    struct rz_buf out;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    rz_status status = RZ_OK;
    if (!b.at || !b.names)
        status = rz_fail_nomem(err, max * sizeof *b.at, "the flame graph");
    if (!status) {
        double total = 0;
        for (int i = 0; i < RZ_N_PHASES; i++)
            total += j->p->phase[i].seconds / (double)j->p->phase[i].n_steps;
        for (uint32_t i = 0; i < n_layers; i++)
            snprintf(b.names[i], sizeof b.names[i], "layer %u", i);
        add_box(&b, "one prefill and one decode step", total, 0);
        for (int i = 0; i < RZ_N_PHASES; i++)
            add_phase(&b, j, (rz_phase)i);
        status = rz_flame_svg("apr profile", "ms", b.at, b.n, &out, err);
    }
    if (!status)
        fwrite(out.data, 1, out.len, to);
    rz_buf_fini(&out);
    free(b.at);
    free(b.names);
    return status;
}
