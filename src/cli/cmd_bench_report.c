/* cmd_bench_report.c - the figures of `apr bench` as a table, JSON, CSV and charts. */
#include "base/fail.h"
#include "chart/chart.h"
#include "cli/cli.h"
#include "cli/cmd_bench.h"
#include "cli/io.h"

#include <math.h>
#include <string.h>

enum {
    BARS_WIDTH = 80
};

static const char *bound_name(const struct bench_case *c)
{
    return c->memory_bound ? "memory" : "matrix";
}

void bench_cpu_name(char *name, size_t size)
{
    snprintf(name, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        const char *text = colon + 1 + strspn(colon + 1, " ");
        snprintf(name, size, "%.*s", (int)strcspn(text, "\n"), text);
        break;
    }
    if (f)
        fclose(f);
}

/* ---- table ---- */

static void print_machine(const struct bench_job *j)
{
    const rz_limits *l = &j->limits;
    char cpu[256], size[CLI_BYTES_MAX];
    bench_cpu_name(cpu, sizeof cpu);
    printf("machine   %s, %u thread%s, %s kernels\n", cpu, l->n_threads,
           l->n_threads == 1 ? "" : "s", l->cpu_level);
    printf("limits    reads %.2f GB/s (over %s), multiplies %.4g Gop/s (%s)\n",
           l->read_bytes_per_s * 1e-9, cli_bytes(size, l->working_set), l->peak.ops_per_s * 1e-9,
           l->peak.name);
    printf("load      %.1f ms (%.1f to %.1f)\n", j->load_stats.median * 1e3,
           j->load_stats.min * 1e3, j->load_stats.max * 1e3);
    if (j->peak_memory)
        printf("memory    %s at most, the file's pages included\n",
               cli_bytes(size, j->peak_memory));
}

void bench_print_table(const struct bench_job *j)
{
    char name[BENCH_NAME_MAX];
    print_machine(j);
    printf("runs      %u after %u of warm-up; median [interval of %.1f %%], CV\n\n", j->runs,
           j->warmup, 100 * j->cases[0].stats.coverage);
    printf("%-24s %10s  %-23s %6s  %10s  %s\n", "", "tok/s", "[interval]", "CV", "limit",
           "of limit");
    for (size_t i = 0; i < j->n_cases; i++) {
        const struct bench_case *c = &j->cases[i];
        char interval[64];
        snprintf(interval, sizeof interval, "[%.2f, %.2f]", c->stats.lo, c->stats.hi);
        printf("%-24s %10.2f  %-23s %5.1f%%  %10.1f  %5.1f %% [%.1f, %.1f] (%s)\n",
               bench_case_name(name, c), c->stats.median, interval, 100 * c->stats.cv, c->limit,
               100 * c->fraction.median, 100 * c->fraction.lo, 100 * c->fraction.hi, bound_name(c));
        if (!c->decode)
            printf("%-24s %10.1f ms to the first token [%.1f, %.1f]\n", "", c->first.median * 1e3,
                   c->first.lo * 1e3, c->first.hi * 1e3);
        for (size_t b = 0; b < j->n_baselines; b++) {
            const struct bench_rival *r = &c->rival[b];
            if (r->ratio.n)
                printf("  %-22s %10.2f  [%.2f, %.2f], %.1f %% of limit; apr is %.2f times as fast "
                       "[%.2f, %.2f]\n",
                       j->baseline[b].name, r->stats.median, r->stats.lo, r->stats.hi,
                       100 * r->fraction.median, r->ratio.median, r->ratio.lo, r->ratio.hi);
        }
    }
}

/* ---- JSON ---- */

static json_t *stats_json(const rz_stats *s)
{
    return json_pack("{sf s[ff] sf sf sf sf sI}", "median", s->median, "interval", s->lo, s->hi,
                     "coverage", s->coverage, "cv", s->cv, "min", s->min, "max", s->max, "n",
                     (json_int_t)s->n);
}

static json_t *rate_json(const rz_rate *r)
{
    return r->name ? json_pack("{ss sf}", "name", r->name, "ops_per_s", r->ops_per_s) : json_null();
}

json_t *bench_limits_json(const rz_limits *l)
{
    return json_pack("{sf sI so so so so}", "read_bytes_per_s", l->read_bytes_per_s,
                     "working_set_bytes", (json_int_t)l->working_set, "f32", rate_json(&l->f32),
                     "bf16", rate_json(&l->bf16), "int8", rate_json(&l->int8), "matrix_peak",
                     rate_json(&l->peak));
}

static json_t *rivals_json(const struct bench_job *j, const struct bench_case *c)
{
    json_t *array = json_array();
    for (size_t b = 0; b < j->n_baselines; b++) {
        const struct bench_rival *r = &c->rival[b];
        json_t *rate = r->ratio.n ? stats_json(&r->stats) : json_null();
        json_t *ratio = r->ratio.n ? stats_json(&r->ratio) : json_null();
        json_t *fraction = r->ratio.n ? stats_json(&r->fraction) : json_null();
        json_array_append_new(array, json_pack("{ss so so so}", "name", j->baseline[b].name,
                                               "tokens_per_s", rate, "ratio", ratio,
                                               "fraction_of_limit", fraction));
    }
    return array;
}

static json_t *case_json(const struct bench_job *j, const struct bench_case *c)
{
    json_t *first = c->decode ? json_null() : stats_json(&c->first);
    return json_pack("{ss si si si so sf sf s[ff] ss sf sf so so}", "test",
                     c->decode ? "decode" : "prefill", "tokens", (int)c->n, "depth", (int)c->depth,
                     "batch", (int)c->batch, "tokens_per_s", stats_json(&c->stats),
                     "limit_tokens_per_s", c->limit, "fraction_of_limit", c->fraction.median,
                     "fraction_interval", c->fraction.lo, c->fraction.hi, "bound", bound_name(c),
                     "bytes", c->work.bytes, "flops", c->work.flops, "first_token_s", first,
                     "baselines", rivals_json(j, c));
}

rz_status bench_print_json(const struct bench_job *j, rz_error *err)
{
    const rz_model_info *info = rz_model_get_info(j->l.model);
    char cpu[256];
    bench_cpu_name(cpu, sizeof cpu);
    json_t *results = json_array();
    for (size_t i = 0; i < j->n_cases; i++)
        json_array_append_new(results, case_json(j, &j->cases[i]));
    json_t *memory = j->peak_memory ? json_integer((json_int_t)j->peak_memory) : json_null();
    json_t *doc = json_pack(
        "{so ss sI sI ss so si ss si si ss so so so so}", "model", cli_json_str(j->l.path),
        "architecture", info->architecture, "parameters", (json_int_t)info->n_params,
        "weight_bytes", (json_int_t)info->weight_bytes, "kv_type", rz_dtype_name(j->kv_type), "cpu",
        cli_json_text(cpu, strlen(cpu)), "threads", (int)info->n_threads, "cpu_level",
        info->cpu_level, "runs", (int)j->runs, "warmup", (int)j->warmup, "interval_method",
        "order statistics of the median", "limits", bench_limits_json(&j->limits), "load_s",
        stats_json(&j->load_stats), "peak_memory_bytes", memory, "results", results);
    return cli_out_json(doc, err);
}

/* ---- files ---- */

static void put_csv(const struct bench_job *j, FILE *to)
{
    fputs("test,tokens,depth,batch,threads,cpu_level,kv_type,n,tokens_per_s,lo,hi,coverage,cv,"
          "limit_tokens_per_s,fraction_of_limit,fraction_lo,fraction_hi,bound,first_token_s",
          to);
    for (size_t b = 0; b < j->n_baselines; b++) {
        const char *name = j->baseline[b].name;
        fprintf(to, ",%s_tokens_per_s,%s_ratio,%s_ratio_lo,%s_ratio_hi,%s_fraction_of_limit", name,
                name, name, name, name);
    }
    fputc('\n', to);
    for (size_t i = 0; i < j->n_cases; i++) {
        const struct bench_case *c = &j->cases[i];
        fprintf(to, "%s,%u,%u,%u,%u,%s,%s,%zu,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%s,",
                c->decode ? "decode" : "prefill", c->n, c->depth, c->batch, j->limits.n_threads,
                j->limits.cpu_level, rz_dtype_name(j->kv_type), c->stats.n, c->stats.median,
                c->stats.lo, c->stats.hi, c->stats.coverage, c->stats.cv, c->limit,
                c->fraction.median, c->fraction.lo, c->fraction.hi, bound_name(c));
        if (!c->decode)
            fprintf(to, "%.6g", c->first.median);
        for (size_t b = 0; b < j->n_baselines; b++) {
            const struct bench_rival *r = &c->rival[b];
            if (r->ratio.n)
                fprintf(to, ",%.6g,%.6g,%.6g,%.6g,%.6g", r->stats.median, r->ratio.median,
                        r->ratio.lo, r->ratio.hi, r->fraction.median);
            else
                fputs(",,,,,", to);
        }
        fputc('\n', to);
    }
}

/* The values of a chart: ours, the limit, and each baseline's. */
struct picture {
    char (*names)[BENCH_NAME_MAX];
    const char **labels;
    double *values; /* [n_series][3][n_cases]: y, lo, hi */
    struct rz_chart_series series[2 + BENCH_MAX_BASELINES];
    struct rz_chart chart;
};

static void set_series(struct picture *p, const struct bench_job *j, size_t s, const char *name)
{
    double *y = p->values + s * 3 * j->n_cases, *lo = y + j->n_cases, *hi = lo + j->n_cases;
    for (size_t i = 0; i < j->n_cases; i++) {
        const struct bench_case *c = &j->cases[i];
        y[i] = lo[i] = hi[i] = (double)NAN;
        const rz_stats *stats = s == 0 ? &c->stats : s >= 2 ? &c->rival[s - 2].stats : NULL;
        if (s == 1) {
            y[i] = c->limit;
        } else if (stats && stats->n) {
            y[i] = stats->median;
            lo[i] = stats->lo;
            hi[i] = stats->hi;
        }
    }
    p->series[s] = (struct rz_chart_series){.name = name, .y = y, .lo = lo, .hi = hi};
}

static rz_status make_picture(struct picture *p, const struct bench_job *j, rz_error *err)
{
    const size_t n_series = 2 + j->n_baselines;
    p->names = calloc(j->n_cases, sizeof *p->names);
    p->labels = calloc(j->n_cases, sizeof *p->labels);
    p->values = calloc(n_series * 3 * j->n_cases, sizeof *p->values);
    if (!p->names || !p->labels || !p->values)
        return rz_fail_nomem(err, j->n_cases * sizeof *p->names, "the chart");
    for (size_t i = 0; i < j->n_cases; i++)
        p->labels[i] = bench_case_name(p->names[i], &j->cases[i]);
    set_series(p, j, 0, "apr");
    set_series(p, j, 1, "limit");
    for (size_t b = 0; b < j->n_baselines; b++)
        set_series(p, j, 2 + b, j->baseline[b].name);
    p->chart = (struct rz_chart){.kind = RZ_CHART_BAR,
                                 .title = "apr bench",
                                 .y_label = "tokens per second",
                                 .labels = p->labels,
                                 .n_labels = j->n_cases,
                                 .series = p->series,
                                 .n_series = n_series};
    return RZ_OK;
}

static rz_status write_file(const char *path, const struct rz_buf *data,
                            const struct bench_job *csv, rz_error *err)
{
    struct cli_out_file f;
    RZ_TRY(cli_out_file_open(&f, path, err));
    if (csv)
        put_csv(csv, f.stream);
    else
        fwrite(data->data, 1, data->len, f.stream);
    return cli_out_file_commit(&f, err);
}

typedef rz_status draw_fn(const struct rz_chart *chart, struct rz_buf *out, rz_error *err);

static rz_status draw(const struct rz_chart *chart, draw_fn *fn, const char *path, rz_error *err)
{
    struct rz_buf out;
    if (!path)
        return RZ_OK;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    rz_status status = fn(chart, &out, err);
    if (!status)
        status = write_file(path, &out, NULL, err);
    rz_buf_fini(&out);
    return status;
}

static rz_status print_bars(const struct rz_chart *chart, rz_error *err)
{
    struct rz_buf out;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    rz_status status = rz_chart_text(chart, BARS_WIDTH, &out, err);
    if (!status)
        printf("\n%s", out.data);
    rz_buf_fini(&out);
    return status;
}

rz_status bench_write_files(const struct bench_job *j, rz_error *err)
{
    const struct bench_args *a = j->args;
    struct picture p = {0};
    rz_status status = make_picture(&p, j, err);
    if (!status && a->csv)
        status = write_file(a->csv, NULL, j, err);
    if (!status && a->bars)
        status = print_bars(&p.chart, err);
    if (!status)
        status = draw(&p.chart, rz_chart_svg, a->svg, err);
    if (!status)
        status = draw(&p.chart, rz_chart_png, a->png, err);
    free(p.names);
    free(p.labels);
    free(p.values);
    return status;
}

rz_status bench_check_files(const struct bench_args *a, rz_error *err)
{
    if (a->json && a->bars)
        return rz_fail(err, RZ_EUSAGE, "--json and --bars cannot both go to standard output");
    RZ_TRY(cli_check_report(a->csv, err));
    RZ_TRY(cli_check_report(a->svg, err));
    RZ_TRY(cli_check_report(a->png, err));
    if (!a->png)
        return RZ_OK;
    const double y[1] = {1};
    const char *const labels[1] = {""};
    const struct rz_chart_series series = {.name = "", .y = y};
    const struct rz_chart probe = {.title = "",
                                   .y_label = "",
                                   .labels = labels,
                                   .n_labels = 1,
                                   .series = &series,
                                   .n_series = 1};
    struct rz_buf out;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    rz_status status = rz_chart_png(&probe, &out, err);
    rz_buf_fini(&out);
    return status;
}
