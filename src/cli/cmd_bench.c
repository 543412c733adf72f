/* cmd_bench.c - `apr bench MODEL`: how fast is it, and how fast could it be? The machine's limits
 * are measured first and between the runs; a figure above its limit is refused. */
#include "cli/cmd_bench.h"

#include "base/fail.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_RUNS = 30,
    DEFAULT_WARMUP = 5,
    FAST_RUNS = 5,
    FAST_WARMUP = 1,
    MAX_LOADS = 5,
    SEED = 299792458
};

#define FIELD(f) offsetof(struct bench_args, f)

static const struct cli_option bench_options[] = {
    CLI_ROW(CLI_STRING, 'p', "prompt-tokens", "LIST", FIELD(prompt_tokens),
            "prefill so many tokens at once (default: 512; 0: no prefill)"),
    CLI_ROW(CLI_STRING, 'n', "gen-tokens", "LIST", FIELD(gen_tokens),
            "decode so many tokens, one after the other (default: 128; 0: no decode)"),
    CLI_ROW(CLI_STRING, 'd', "depth", "LIST", FIELD(depth),
            "with so many tokens in the KV cache before (default: 0)"),
    CLI_ROW(CLI_STRING, 'b', "batch", "LIST", FIELD(batch),
            "decode so many sequences at once; more than one at the first depth only (default: 1)"),
    CLI_ROW(CLI_CHOICE, 0, "kv", "f16|f32|q8_0", FIELD(kv),
            "type of the KV cache (default: f32 if all weights are floats, else f16)"),
    CLI_ROW_RANGE(CLI_UINT, 'r', "runs", "N", 1, BENCH_MAX_RUNS, FIELD(runs),
                  "measured runs of each figure (default: 30)"),
    CLI_ROW_RANGE(CLI_UINT, 'w', "warmup", "N", 0, BENCH_MAX_RUNS, FIELD(warmup),
                  "runs before them that are not measured (default: 5)"),
    CLI_ROW_FLAG(0, "fast", FIELD(fast), "5 runs and 1 warm-up, unless they are given"),
    CLI_ROW(CLI_LIST, 0, "baseline", "KIND=WHERE", FIELD(baselines),
            "compare with another program on the same file, run by run: llama-cpp=PATH or "
            "ik-llama-cpp=PATH of a llama-bench, ollama=URL/MODEL; may be given 4 times"),
    {0},
};

static const struct cli_option output_options[] = {
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    CLI_ROW_FLAG(0, "bars", FIELD(bars), "print bars after the table"),
    CLI_ROW(CLI_FILE, 0, "csv", "FILE", FIELD(csv), "write the figures as CSV"),
    CLI_ROW(CLI_FILE, 0, "svg", "FILE", FIELD(svg), "draw the figures as a bar chart"),
    CLI_ROW(CLI_FILE, 0, "png", "FILE", FIELD(png),
            "the same as PNG (exit code 9 where apr was built without cairo)"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no spinner"),
    {0},
};

/* "512" or "0,2048,8192"; ascending order is not asked for, but an item may stand only once. */
static rz_status parse_list(const char *option, const char *text, uint32_t min,
                            struct bench_list *list, rz_error *err)
{
    const char *at = text;
    list->n = 0;
    for (;;) {
        char item[16];
        uint64_t v;
        size_t len = strcspn(at, ",");
        snprintf(item, sizeof item, "%.*s", (int)len, at);
        if (len >= sizeof item || !cli_parse_uint(item, &v) || v < min || v > 1U << 24)
            return rz_fail(err, RZ_EUSAGE,
                           "--%s takes whole numbers from %u to %u with commas between them, not "
                           "'%s'",
                           option, min, 1U << 24, text);
        for (size_t i = 0; i < list->n; i++) {
            if (list->item[i] == v)
                return rz_fail(err, RZ_EUSAGE, "--%s %s: %s stands there twice", option, text,
                               item);
        }
        if (list->n == BENCH_MAX_LIST)
            return rz_fail(err, RZ_EUSAGE, "--%s takes at most %d numbers", option, BENCH_MAX_LIST);
        list->item[list->n++] = (uint32_t)v;
        if (!at[len])
            return RZ_OK;
        at += len + 1;
    }
}

static rz_status parse_args(struct bench_job *j, rz_error *err)
{
    const struct bench_args *a = j->args;
    RZ_TRY(parse_list("prompt-tokens", a->prompt_tokens ? a->prompt_tokens : "512", 0, &j->prompt,
                      err));
    RZ_TRY(parse_list("gen-tokens", a->gen_tokens ? a->gen_tokens : "128", 0, &j->gen, err));
    RZ_TRY(parse_list("depth", a->depth ? a->depth : "0", 0, &j->depth, err));
    RZ_TRY(parse_list("batch", a->batch ? a->batch : "1", 1, &j->batch, err));
    j->runs = (uint32_t)cli_uint_or(a->runs, a->fast ? FAST_RUNS : DEFAULT_RUNS);
    j->warmup = (uint32_t)cli_uint_or(a->warmup, a->fast ? FAST_WARMUP : DEFAULT_WARMUP);
    RZ_TRY(bench_parse_baselines(j, err));
    return bench_check_files(a, err);
}

const char *bench_case_name(char text[BENCH_NAME_MAX], const struct bench_case *c)
{
    int n = snprintf(text, BENCH_NAME_MAX, "%s %u", c->decode ? "decode" : "prefill", c->n);
    if (c->depth)
        n += snprintf(text + n, BENCH_NAME_MAX - (size_t)n, " @ %u", c->depth);
    if (c->batch > 1)
        snprintf(text + n, BENCH_NAME_MAX - (size_t)n, " x %u", c->batch);
    return text;
}

static rz_status add_case(struct bench_job *j, struct bench_case c, rz_error *err)
{
    if (c.n == 0)
        return RZ_OK;
    if (j->n_cases == BENCH_MAX_CASES)
        return rz_fail(err, RZ_EUSAGE, "more than %d figures in one call", BENCH_MAX_CASES);
    c.rate = calloc(j->runs, sizeof *c.rate);
    c.first_s = calloc(j->runs, sizeof *c.first_s);
    c.read = calloc(j->runs, sizeof *c.read);
    bool ok = c.rate && c.first_s && c.read;
    for (size_t i = 0; i < j->n_baselines; i++) {
        c.rival[i].rate = calloc(j->runs, sizeof *c.rate);
        c.rival[i].read = calloc(j->runs, sizeof *c.read);
        ok = ok && c.rival[i].rate && c.rival[i].read;
    }
    j->cases[j->n_cases++] = c;
    return ok ? RZ_OK : rz_fail_nomem(err, j->runs * sizeof *c.rate, "the samples");
}

/* Grouped by depth, since filling the cache is the dear part. */
static rz_status make_cases(struct bench_job *j, rz_error *err)
{
    j->cases = calloc(BENCH_MAX_CASES, sizeof *j->cases);
    j->scratch = calloc(j->runs, sizeof *j->scratch);
    if (!j->cases || !j->scratch)
        return rz_fail_nomem(err, BENCH_MAX_CASES * sizeof *j->cases, "the figures");
    for (size_t d = 0; d < j->depth.n; d++) {
        struct bench_case c = {.depth = j->depth.item[d], .batch = 1};
        for (size_t i = 0; i < j->prompt.n; i++) {
            c.n = j->prompt.item[i];
            RZ_TRY(add_case(j, c, err));
        }
        c.decode = true;
        for (size_t i = 0; i < j->gen.n; i++) {
            c.n = j->gen.item[i];
            for (size_t b = 0; b < j->batch.n; b++) {
                c.batch = j->batch.item[b];
                if (c.batch == 1 || d == 0)
                    RZ_TRY(add_case(j, c, err));
            }
        }
    }
    return j->n_cases ? RZ_OK : rz_fail(err, RZ_EUSAGE, "there is nothing to measure");
}

/* Opens the model a few times for the load time, and keeps the last. */
static rz_status load(struct bench_job *j, const char *operand, rz_error *err)
{
    j->n_loads = j->runs < MAX_LOADS ? j->runs : MAX_LOADS;
    j->load = calloc(j->n_loads, sizeof *j->load);
    if (!j->load)
        return rz_fail_nomem(err, j->n_loads * sizeof *j->load, "the samples");
    for (size_t i = 0; i < j->n_loads; i++) {
        cli_unload(&j->l);
        RZ_TRY(cli_load(&j->l, operand, &j->args->model, NULL, j->args->quiet, err));
        j->load[i] = j->l.load_s;
    }
    rz_stats_of(j->load, j->n_loads, &j->load_stats);
    j->peak_memory = rz_peak_memory();
    return RZ_OK;
}

static rz_status open_bench(struct bench_job *j, rz_error *err)
{
    rz_bench_options o = {.max_batch = 1, .kv_type = RZ_N_DTYPES, .seed = SEED};
    if (j->args->kv)
        o.kv_type = rz_dtype_by_name(j->args->kv);
    for (size_t i = 0; i < j->n_cases; i++) {
        const struct bench_case *c = &j->cases[i];
        o.max_tokens = c->n > o.max_tokens ? c->n : o.max_tokens;
        o.max_depth = c->depth > o.max_depth ? c->depth : o.max_depth;
        o.max_batch = c->batch > o.max_batch ? c->batch : o.max_batch;
    }
    RZ_TRY(rz_bench_new(&j->bench, j->l.model, &o, err));
    j->kv_type = rz_bench_kv_type(j->bench);
    return bench_check_baselines(j, err);
}

double bench_read_beside(struct bench_job *j)
{
    const double before = j->read_before;
    j->read_before = rz_reads_now(j->reads);
    return j->read_before > before ? j->read_before : before;
}

static rz_status run_case(struct bench_job *j, struct bench_case *c, bool keep, rz_error *err)
{
    double total = 0, seconds[2] = {0};
    if (c->decode) {
        const uint32_t n_depth[2] = {c->n, c->depth};
        double *step_s = calloc(c->n, sizeof *step_s);
        if (!step_s)
            return rz_fail_nomem(err, c->n * sizeof *step_s, "the samples");
        rz_status status = rz_bench_decode(j->bench, n_depth, c->batch, step_s, err);
        for (uint32_t i = 0; i < c->n; i++)
            total += step_s[i];
        free(step_s);
        RZ_TRY(status);
    } else {
        RZ_TRY(rz_bench_prefill(j->bench, c->n, c->depth, seconds, err));
        total = seconds[0];
    }
    if (keep) {
        c->rate[c->n_samples] = (double)c->n * c->batch / total;
        c->read[c->n_samples] = bench_read_beside(j);
        c->first_s[c->n_samples++] = seconds[1];
    }
    return RZ_OK;
}

/* All runs of a depth: in each the cases take turns, and the baselines follow. Those begin with a
 * run of each prefill that they do not count, so ours does then, too. */
static rz_status run_depth(struct bench_job *j, uint32_t depth, rz_error *err)
{
    for (uint32_t run = 0; run < j->warmup + j->runs; run++) {
        bool keep = run >= j->warmup;
        for (size_t i = 0; i < j->n_cases; i++) {
            struct bench_case *c = &j->cases[i];
            if (cli_interrupted())
                return RZ_ECANCEL;
            if (c->depth != depth)
                continue;
            if (keep && j->n_baselines && !c->decode)
                RZ_TRY(run_case(j, c, false, err));
            if (keep)
                j->read_before = rz_reads_now(j->reads);
            RZ_TRY(run_case(j, c, keep, err));
        }
        if (keep)
            RZ_TRY(bench_run_baselines(j, depth, run - j->warmup, err));
    }
    return RZ_OK;
}

/* Tokens per second of a case at most, when so many bytes per second could be read. */
static double limit_at(const struct bench_job *j, struct bench_case *c, double read_bytes_per_s)
{
    rz_limits then = j->limits;
    then.read_bytes_per_s = read_bytes_per_s;
    return (double)c->n * c->batch / rz_work_limit_s(&then, c->work, &c->memory_bound);
}

/* The fractions of n runs. */
static void set_fractions(const struct bench_job *j, struct bench_case *c, const double *rate,
                          const double *read, rz_stats *out)
{
    for (uint32_t i = 0; i < j->runs; i++)
        j->scratch[i] = rate[i] / limit_at(j, c, read[i]);
    rz_stats_of(j->scratch, j->runs, out);
}

static void compare(const struct bench_job *j, struct bench_case *c)
{
    for (size_t b = 0; b < j->n_baselines; b++) {
        struct bench_rival *r = &c->rival[b];
        bool complete = true;
        for (uint32_t i = 0; i < j->runs && complete; i++) {
            complete = r->rate[i] > 0;
            j->scratch[i] = complete ? c->rate[i] / r->rate[i] : 0;
        }
        if (!complete)
            continue;
        rz_stats_of(j->scratch, j->runs, &r->ratio);
        set_fractions(j, c, r->rate, r->read, &r->fraction);
        rz_stats_of(r->rate, j->runs, &r->stats);
    }
}

static rz_status judge(struct bench_job *j, struct bench_case *c, rz_error *err)
{
    const uint32_t n_depth[2] = {c->n, c->depth};
    c->work = c->decode ? rz_work_decode(j->l.model, j->kv_type, n_depth, c->batch)
                        : rz_work_prefill(j->l.model, j->kv_type, c->n, c->depth);
    compare(j, c); /* before sorting takes the pairs apart */
    set_fractions(j, c, c->rate, c->read, &c->fraction);
    rz_stats_of(c->rate, c->n_samples, &c->stats);
    rz_stats_of(c->first_s, c->n_samples, &c->first);
    rz_stats read;
    rz_stats_of(c->read, c->n_samples, &read);
    c->limit = limit_at(j, c, read.median);
    char name[BENCH_NAME_MAX];
    const double seconds = (double)c->n * c->batch / c->stats.median;
    return rz_bench_judge(bench_case_name(name, c), seconds, seconds * c->fraction.median, err);
}

static rz_status measure(struct bench_job *j, rz_error *err)
{
    RZ_TRY(rz_limits_measure(j->l.model, false, &j->limits, err));
    RZ_TRY(rz_reads_new(&j->reads, j->l.model, &j->limits, err));
    rz_peak_memory_reset();
    for (size_t d = 0; d < j->depth.n; d++)
        RZ_TRY(run_depth(j, j->depth.item[d], err));
    /* The buffer is no memory of the model's. */
    uint64_t peak = rz_peak_memory(), buffer = rz_reads_memory(j->reads);
    peak -= buffer < peak ? buffer : peak;
    j->peak_memory = peak > j->peak_memory ? peak : j->peak_memory;
    rz_reads_free(&j->reads);
    RZ_TRY(rz_limits_measure(j->l.model, true, &j->limits, err));
    for (size_t i = 0; i < j->n_cases; i++)
        RZ_TRY(judge(j, &j->cases[i], err));
    return RZ_OK;
}

static void free_job(struct bench_job *j)
{
    for (size_t i = 0; i < j->n_cases; i++) {
        free(j->cases[i].rate);
        free(j->cases[i].first_s);
        free(j->cases[i].read);
        for (size_t b = 0; b < BENCH_MAX_BASELINES; b++) {
            free(j->cases[i].rival[b].rate);
            free(j->cases[i].rival[b].read);
        }
    }
    free(j->scratch);
    rz_reads_free(&j->reads);
    free(j->cases);
    free(j->load);
    rz_bench_free(&j->bench);
    cli_unload(&j->l);
}

static rz_status bench(const struct cli_call *call, rz_error *err)
{
    struct bench_job j = {.args = call->args};
    rz_status status = parse_args(&j, err);
    if (!status)
        status = make_cases(&j, err);
    if (!status)
        status = load(&j, call->operands[0], err);
    if (!status)
        status = open_bench(&j, err);
    if (!status) {
        cli_interrupt_catch();
        if (!j.args->quiet)
            cli_spinner_start("measuring");
        status = measure(&j, err);
        cli_spinner_stop();
    }
    if (!status && j.args->json)
        status = bench_print_json(&j, err);
    else if (!status)
        bench_print_table(&j);
    if (!status)
        status = bench_write_files(&j, err);
    free_job(&j);
    return status;
}

const struct cli_command cmd_bench = {
    .name = "bench",
    .operands = "MODEL",
    .summary = "measure speed and memory, beside what the machine allows at most",
    .details =
        "Measures the read bandwidth and the multiplication peak of this machine with the same\n"
        "threads, then prefill and decode. Every figure is a median with its 95 % interval (order\n"
        "statistics), the coefficient of variation, and its fraction of the limit: the read\n"
        "bandwidth is measured again beside each run. Exit code 5 if a figure is above its limit:\n"
        "the measurement is wrong then. LIST is a number or several with commas between them.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct bench_args),
    .groups = {{"Measuring", bench_options, 0},
               {"Output", output_options, 0},
               {"Computing", cli_model_options, FIELD(model)}},
    .run = bench,
};
