/* cmd_profile.c - `apr profile MODEL`: where the time of the real forward goes. */
#include "cli/cmd_profile.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/cmd_bench.h"
#include "cli/io.h"

#include <string.h>

enum {
    MAX_TOKENS = 1 << 20,
    MAX_PASSES = 10000
};

#define FIELD(f) offsetof(struct profile_args, f)

static const struct cli_option profile_options[] = {
    CLI_ROW_RANGE(CLI_UINT, 'p', "prompt-tokens", "N", 1, MAX_TOKENS, FIELD(prompt_tokens),
                  "tokens of a prefill (default: 128)"),
    CLI_ROW_RANGE(CLI_UINT, 'n', "tokens", "N", 1, MAX_TOKENS, FIELD(tokens),
                  "decode steps of a pass (default: 32)"),
    CLI_ROW_RANGE(CLI_UINT, 'd', "depth", "N", 0, MAX_TOKENS, FIELD(depth),
                  "tokens in the KV cache before each (default: 0)"),
    CLI_ROW_RANGE(CLI_UINT, 'w', "warmup", "N", 0, MAX_PASSES, FIELD(warmup),
                  "passes that are not measured (default: 2)"),
    CLI_ROW_RANGE(CLI_UINT, 'm', "measure", "N", 1, MAX_PASSES, FIELD(measure),
                  "passes that are (default: 5)"),
    CLI_ROW(CLI_CHOICE, 0, "kv", "f16|f32|q8_0", FIELD(kv),
            "type of the KV cache (default: f32 if all weights are floats, else f16)"),
    CLI_ROW_FLAG(0, "energy", FIELD(energy),
                 "joules per token, where the kernel lets the CPU's counters (RAPL) be read"),
    {0},
};

static const struct cli_option output_options[] = {
    CLI_ROW(CLI_CHOICE, 0, "format", "human|json|flamegraph", FIELD(format),
            "a table, a JSON object or a flame graph as SVG (default: human)"),
    CLI_ROW(CLI_FILE, 'o', "output", "FILE", FIELD(output), "write it there"),
    CLI_ROW_FLAG('g', "granular", FIELD(granular), "each layer by itself"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "no spinner"),
    {0},
};

static const struct cli_option ci_options[] = {
    CLI_ROW_FLAG(0, "ci", FIELD(ci), "print the assertions and nothing else"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "assert-throughput", "N", 0, 1e15, FIELD(throughput),
                  "decode makes at least N tokens per second"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "assert-p50", "MS", 0, 1e15, FIELD(p50),
                  "half of the decode steps take at most MS milliseconds"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "assert-p99", "MS", 0, 1e15, FIELD(p99),
                  "99 of 100 decode steps take at most MS milliseconds"),
    {0},
};

double profile_throughput(const rz_profile_phase *p)
{
    return p->n_tokens / p->seconds;
}

double profile_step_ms(const rz_profile_phase *p, double q)
{
    return 1e3 * rz_quantile(p->step_s, p->n_steps, q);
}

static void add_check(struct profile_job *j, struct profile_check c)
{
    j->all_passed = j->all_passed && c.passed;
    j->check[j->n_checks++] = c;
}

static void make_checks(struct profile_job *j)
{
    const struct profile_args *a = j->args;
    const rz_profile_phase *p = &j->p->phase[RZ_PHASE_DECODE];
    double rate = profile_throughput(p), p50 = profile_step_ms(p, 0.5);
    double p99 = profile_step_ms(p, 0.99);
    j->all_passed = true;
    if (a->throughput.set)
        add_check(j, (struct profile_check){"throughput", "tok/s", rate, a->throughput.value,
                                            rate >= a->throughput.value});
    if (a->p50.set)
        add_check(j, (struct profile_check){"p50", "ms", p50, a->p50.value, p50 <= a->p50.value});
    if (a->p99.set)
        add_check(j, (struct profile_check){"p99", "ms", p99, a->p99.value, p99 <= a->p99.value});
}

static rz_status put(const struct profile_job *j, FILE *to, rz_error *err)
{
    const struct profile_args *a = j->args;
    if (a->format && !strcmp(a->format, "json"))
        return profile_put_json(j, to, err);
    if (a->format && !strcmp(a->format, "flamegraph"))
        return profile_put_flamegraph(j, to, err);
    if (!a->ci)
        profile_put_human(j, to);
    profile_put_checks(j, to);
    return RZ_OK;
}

static rz_status report(const struct profile_job *j, rz_error *err)
{
    const struct profile_args *a = j->args;
    if (!a->output) {
        rz_status status = put(j, stdout, err);
        return status ? status : cli_out_flush(err);
    }
    struct cli_out_file f;
    RZ_TRY(cli_out_file_open(&f, a->output, err));
    rz_status status = put(j, f.stream, err);
    if (!status)
        return cli_out_file_commit(&f, err);
    cli_out_file_abandon(&f);
    return status;
}

static rz_status check_args(const struct profile_args *a, rz_error *err)
{
    bool any = a->throughput.set || a->p50.set || a->p99.set;
    if (a->ci && !any)
        return rz_fail(err, RZ_EUSAGE,
                       "--ci needs --assert-throughput, --assert-p50 or --assert-p99");
    if (a->ci && a->format && !strcmp(a->format, "flamegraph"))
        return rz_fail(err, RZ_EUSAGE, "--ci prints assertions: it takes no --format flamegraph");
    return cli_check_report(a->output, err);
}

static rz_status measure(struct profile_job *j, rz_error *err)
{
    const struct profile_args *a = j->args;
    const rz_profile_options o = {.prompt_tokens = (uint32_t)cli_uint_or(a->prompt_tokens, 128),
                                  .tokens = (uint32_t)cli_uint_or(a->tokens, 32),
                                  .depth = (uint32_t)a->depth.value,
                                  .warmup = (uint32_t)cli_uint_or(a->warmup, 2),
                                  .measure = (uint32_t)cli_uint_or(a->measure, 5),
                                  .kv_type = a->kv ? rz_dtype_by_name(a->kv) : RZ_N_DTYPES,
                                  .energy = a->energy};
    RZ_TRY(rz_limits_measure(j->l.model, false, &j->limits, err));
    RZ_TRY(rz_profile_run(&j->p, j->l.model, &o, err));
    return rz_limits_measure(j->l.model, true, &j->limits, err);
}

static rz_status profile(const struct cli_call *call, rz_error *err)
{
    struct profile_job j = {.args = call->args};
    const struct profile_args *a = j.args;
    RZ_TRY(check_args(a, err));
    rz_status status = cli_load(&j.l, call->operands[0], &a->model, NULL, a->quiet, err);
    if (!status) {
        if (!a->quiet)
            cli_spinner_start("measuring");
        status = measure(&j, err);
        cli_spinner_stop();
    }
    if (!status) {
        make_checks(&j);
        status = report(&j, err);
    }
    if (!status && !j.all_passed)
        status = RZ_EINVALID; /* the report has said it */
    rz_profile_free(&j.p);
    cli_unload(&j.l);
    return status;
}

const struct cli_command cmd_profile = {
    .name = "profile",
    .operands = "MODEL",
    .summary = "show which operations the time goes to, and what bounds each",
    .details =
        "Times every operation of the real forward, with the bytes it reads and the "
        "multiplications\n"
        "it does, and says what bounds it on this machine: memory or multiplication. The timers'\n"
        "own cost is measured and told. Exit code 5 if an assertion fails.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct profile_args),
    .groups = {{"Measuring", profile_options, 0},
               {"Output", output_options, 0},
               {"Assertions", ci_options, 0},
               {"Computing", cli_model_options, FIELD(model)}},
    .run = profile,
};
