/* test_bench.c - the statistics against values worked out by hand, the counts of bytes and
 * multiplications against the file's own tensors, the refusal of figures above a limit, and the
 * profile's sums. Nothing here depends on how fast the machine is. */
#include "base/cpu.h"
#include "base/perf_counters.h"
#include "engine/profile.h"
#include "kernels/peak.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void check_near(double a, double b, int line)
{
    if (!(fabs(a - b) <= 1e-9 * fmax(1, fabs(b))))
        fail_msg("line %d: %.17g is not %.17g", line, a, b);
}
#define NEAR(a, b) check_near(a, b, __LINE__)

/* ---- statistics ---- */

static rz_stats stats_of(const double *values, size_t n)
{
    double copy[64];
    rz_stats s;
    memcpy(copy, values, n * sizeof *copy);
    rz_stats_of(copy, n, &s);
    return s;
}

static void test_small_samples(void **state)
{
    (void)state;
    const double one[] = {7};
    rz_stats s = stats_of(one, 1);
    NEAR(s.median, 7);
    NEAR(s.lo, 7);
    NEAR(s.hi, 7);
    NEAR(s.coverage, 0);
    NEAR(s.cv, 0);
    const double three[] = {5, 1, 3};
    s = stats_of(three, 3);
    NEAR(s.median, 3);
    NEAR(s.mean, 3);
    NEAR(s.cv, 2.0 / 3); /* deviations -2, 0, 2: variance 8 / 2 */
    NEAR(s.lo, 1);
    NEAR(s.hi, 5);
    NEAR(s.coverage, 0.75); /* 1 - 2 / 2^3 */
    const double four[] = {4, 1, 2, 10};
    s = stats_of(four, 4);
    NEAR(s.median, 3);
    NEAR(s.min, 1);
    NEAR(s.max, 10);
}

/* Binomial tables: of 6 samples ranks 1 and 6 (1 - 2/64), of 10 ranks 2 and 9 (1 - 22/1024), of 20
 * ranks 6 and 15, of 30 ranks 10 and 21. */
static void test_interval(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double lo, hi, coverage;
    } cases[] = {
        {5, 1, 5, 1 - 2.0 / 32},
        {6, 1, 6, 1 - 2.0 / 64},
        {9, 2, 8, 1 - 20.0 / 512},
        {10, 2, 9, 1 - 22.0 / 1024},
        {20, 6, 15, 1 - 2 * 21700.0 / 1048576},
        {30, 10, 21, 0.957226},
    };
    double values[64] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < cases[i].n; k++)
            values[k] = (double)(cases[i].n - k); /* n ... 1: each value is its rank */
        rz_stats s = stats_of(values, cases[i].n);
        assert_int_equal(s.n, cases[i].n);
        NEAR(s.lo, cases[i].lo);
        NEAR(s.hi, cases[i].hi);
        assert_true(fabs(s.coverage - cases[i].coverage) < 1e-6);
    }
}

static void test_quantile(void **state)
{
    (void)state;
    const double v[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    NEAR(rz_quantile(v, 10, 0), 1);
    NEAR(rz_quantile(v, 10, 0.5), 5);
    NEAR(rz_quantile(v, 10, 0.51), 6);
    NEAR(rz_quantile(v, 10, 0.99), 10);
    NEAR(rz_quantile(v, 10, 1), 10);
    NEAR(rz_quantile(v, 1, 0.5), 1);
}

/* ---- limits ---- */

static void test_limit_and_refusal(void **state)
{
    (void)state;
    const rz_limits limits = {.read_bytes_per_s = 1e9, .peak = {.name = "none", .ops_per_s = 1e12}};
    bool memory;
    NEAR(rz_work_limit_s(&limits, (rz_work){2e9, 1e12}, &memory), 2);
    assert_true(memory);
    NEAR(rz_work_limit_s(&limits, (rz_work){1e9, 3e12}, &memory), 3);
    assert_false(memory);
    rz_error err = {0};
    assert_int_equal(rz_bench_judge("decode 128", 2.0, 2.0, &err), RZ_OK);
    assert_int_equal(rz_bench_judge("decode 128", 2.5, 2.0, &err), RZ_OK);
    assert_int_equal(rz_bench_judge("decode 128", 1.99, 2.0, &err), RZ_EINVALID);
    assert_non_null(strstr(err.text, "decode 128"));
    assert_non_null(strstr(err.text, "1.99"));
}

static rz_model *open_demo(uint32_t n_threads)
{
    const char *root = getenv("RZ_SOURCE_DIR");
    char path[4096];
    rz_model *m;
    rz_error err;
    rz_model_options o = rz_model_options_default();
    o.n_threads = n_threads;
    snprintf(path, sizeof path, "%s/models/demo.gguf", root ? root : RZ_SOURCE_DIR);
    if (rz_model_open(&m, path, &o, &err))
        fail_msg("%s", err.text);
    return m;
}

/* Bytes and elements of the matrices that a token goes through, by the tensors' names alone. */
static rz_work work_by_names(const rz_model *m)
{
    const rz_file *f = rz_model_get_file(m);
    bool tied = true;
    rz_work sum = {0}, embed = {0};
    for (size_t i = 0; i < rz_file_n_tensors(f); i++) {
        const rz_tensor *t = rz_file_tensor_at(f, i);
        double n = 1;
        for (uint32_t d = 0; d < t->n_dims; d++)
            n *= (double)t->shape[d];
        double bytes = n / rz_dtype_block_len(t->dtype) * rz_dtype_block_bytes(t->dtype);
        if (t->n_dims < 2)
            continue;
        if (!strcmp(t->name, "token_embd.weight")) {
            embed = (rz_work){bytes, 2 * n};
            continue;
        }
        tied = tied && strcmp(t->name, "output.weight") != 0;
        sum.bytes += bytes;
        sum.flops += 2 * n;
    }
    if (tied) {
        sum.bytes += embed.bytes;
        sum.flops += embed.flops;
    }
    return sum;
}

static void test_work(void **state)
{
    (void)state;
    rz_model *m = open_demo(1);
    const rz_model_info *info = rz_model_get_info(m);
    const rz_work token = work_by_names(m);
    const double kv = 2.0 * 2 * info->n_layers * info->n_kv_heads * info->head_dim; /* f16 */
    const double attend = 4.0 * info->n_layers * info->n_heads * info->head_dim;
    const uint32_t at_0[2] = {1, 0}, at_100[2] = {3, 100};
    rz_work w = rz_work_decode(m, RZ_F16, at_0, 1);
    NEAR(w.bytes, token.bytes + kv);
    NEAR(w.flops, token.flops + attend);
    /* Three steps that see 101, 102 and 103 positions; four sequences share the weights. */
    w = rz_work_decode(m, RZ_F16, at_100, 4);
    NEAR(w.bytes, 3 * token.bytes + 4 * 306 * kv);
    NEAR(w.flops, 4 * (3 * token.flops + 306 * attend));
    /* A prefill needs the head for its last token only. */
    w = rz_work_prefill(m, RZ_F32, 1, 10);
    NEAR(w.bytes, token.bytes + 10 * 2 * kv);
    const rz_work one = rz_work_prefill(m, RZ_F16, 1, 0), two = rz_work_prefill(m, RZ_F16, 2, 0);
    NEAR(one.flops, token.flops + attend);
    assert_true(two.flops > one.flops && two.flops < 2 * one.flops + 2 * attend);
    NEAR(two.bytes, one.bytes);
    rz_model_close(&m);
}

static void test_measured_limits(void **state)
{
    (void)state;
    rz_model *m = open_demo(2);
    rz_limits limits, again;
    rz_error err;
    assert_int_equal(rz_limits_measure(m, false, &limits, &err), RZ_OK);
    assert_true(limits.read_bytes_per_s > 0 && limits.f32.ops_per_s > 0);
    assert_int_equal(limits.n_threads, 2);
    assert_non_null(limits.peak.name);
    assert_true(limits.peak.ops_per_s >= limits.f32.ops_per_s &&
                limits.peak.ops_per_s >= limits.bf16.ops_per_s &&
                limits.peak.ops_per_s >= limits.int8.ops_per_s);
    assert_true(limits.working_set >= 1 << 20);
    again = limits;
    again.read_bytes_per_s = 1e30; /* a better figure from before is kept */
    assert_int_equal(rz_limits_measure(m, true, &again, &err), RZ_OK);
    assert_true(again.read_bytes_per_s == 1e30);
    assert_true(again.f32.ops_per_s >= limits.f32.ops_per_s);
    rz_model_close(&m);
}

static void test_peak_loops(void **state)
{
    (void)state;
    static const unsigned masks[] = {0, RZ_CPU_AVX2, RZ_CPU_AVX2 | RZ_CPU_AVX512, RZ_CPU_ALL};
    char *data = aligned_alloc(64, RZ_PEAK_READ_UNIT); /* exactly: sanitizers see reads beyond */
    assert_non_null(data);
    memset(data, 5, RZ_PEAK_READ_UNIT);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        struct rz_peaks p;
        rz_peaks_init(&p, rz_cpu_detect(masks[i]));
        (void)p.read(data, RZ_PEAK_READ_UNIT);
        assert_non_null(p.peak[RZ_PEAK_F32].name);
        for (int kind = 0; kind < RZ_N_PEAKS; kind++) {
            if (!p.peak[kind].name)
                continue;
            assert_true(p.peak[kind].ops_per_iter >= 8);
            (void)p.peak[kind].run(3);
        }
    }
    free(data);
}

/* ---- runs ---- */

static void test_runs(void **state)
{
    (void)state;
    rz_model *m = open_demo(1);
    rz_bench *b;
    rz_error err = {0};
    rz_bench_options o = {.max_tokens = 6, .max_depth = 40, .max_batch = 3, .kv_type = RZ_N_DTYPES};
    assert_int_equal(rz_bench_new(&b, m, &o, &err), RZ_OK);
    assert_int_equal(rz_bench_kv_type(b), RZ_F16);
    double seconds[2], step_s[6] = {0};
    assert_int_equal(rz_bench_prefill(b, 6, 40, seconds, &err), RZ_OK);
    assert_true(seconds[0] > 0 && seconds[1] >= seconds[0]);
    const uint32_t deep[2] = {6, 40}, shallow[2] = {2, 0};
    assert_int_equal(rz_bench_decode(b, deep, 3, step_s, &err), RZ_OK);
    for (int i = 0; i < 6; i++)
        assert_true(step_s[i] > 0);
    /* The depth's tokens stay, the run's are gone. */
    size_t n;
    for (int i = 0; i < 3; i++) {
        (void)rz_session_ids(b->sessions[i], &n);
        assert_int_equal(n, 40);
    }
    assert_int_equal(rz_bench_decode(b, shallow, 1, step_s, &err), RZ_OK);
    (void)rz_session_ids(b->sessions[0], &n);
    assert_int_equal(n, 0);
    rz_bench_free(&b);
    assert_null(b);
    o.max_depth = rz_model_get_info(m)->n_ctx_train;
    assert_int_equal(rz_bench_new(&b, m, &o, &err), RZ_EUSAGE);
    assert_non_null(strstr(err.text, "trained for"));
    assert_null(b);
    o = (rz_bench_options){.max_tokens = 0, .max_batch = 1};
    assert_int_equal(rz_bench_new(&b, m, &o, &err), RZ_EUSAGE);
    rz_model_close(&m);
    rz_peak_memory_reset();
    assert_true(rz_peak_memory() > 0);
}

/* ---- profile ---- */

static void test_timers_change_nothing(void **state)
{
    (void)state;
    rz_model *m = open_demo(2);
    const struct rz_backend_ops *ops = m->backend->ops;
    const size_t n_vocab = rz_model_get_info(m)->n_vocab;
    const int32_t ids[] = {11, 200, 7, 7, 45};
    float *plain = malloc(n_vocab * sizeof *plain);
    assert_non_null(plain);
    struct rz_timers t = {0};
    for (int timed = 0; timed < 2; timed++) {
        rz_engine *e;
        rz_session *s;
        rz_error err;
        if (timed)
            rz_timers_attach(&t, m);
        assert_int_equal(rz_engine_new(&e, m, NULL, &err), RZ_OK);
        assert_int_equal(rz_session_new(&s, e, &err), RZ_OK);
        assert_int_equal(rz_session_feed(s, ids, 5, &err), RZ_OK);
        if (timed)
            assert_memory_equal(plain, rz_session_logits(s), n_vocab * sizeof *plain);
        else
            memcpy(plain, rz_session_logits(s), n_vocab * sizeof *plain);
        rz_session_free(&s);
        rz_engine_free(&e);
    }
    assert_true(m->backend->ops != ops);
    rz_timers_detach(&t);
    assert_true(m->backend->ops == ops);
    free(plain);
    rz_model_close(&m);
}

/* The operations' sums are the counts of rz_work, and no time is lost. */
static void test_profile(void **state)
{
    (void)state;
    rz_model *m = open_demo(1);
    const rz_model_info *info = rz_model_get_info(m);
    const struct rz_backend_ops *ops = m->backend->ops;
    const rz_profile_options o = {.prompt_tokens = 9,
                                  .tokens = 3,
                                  .depth = 5,
                                  .measure = 2,
                                  .kv_type = RZ_F16,
                                  .energy = true,
                                  .powercap = "/nonexistent"};
    rz_profile *p;
    rz_error err;
    assert_int_equal(rz_profile_run(&p, m, &o, &err), RZ_OK);
    assert_true(m->backend->ops == ops);
    const rz_profile_phase *d = &p->phase[RZ_PHASE_DECODE];
    assert_int_equal(d->n_steps, 6);
    assert_int_equal(d->n_tokens, 6);
    assert_int_equal(p->phase[RZ_PHASE_PREFILL].n_tokens, 18);
    const rz_op products[] = {RZ_OP_QKV, RZ_OP_OUTPUT, RZ_OP_GATE_UP, RZ_OP_DOWN, RZ_OP_HEAD};
    double flops = 0, seconds = 0;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        flops += rz_profile_op(d, products[i]).flops;
        const bool head = products[i] == RZ_OP_HEAD;
        assert_int_equal(rz_profile_op(d, products[i]).calls, head ? 6 : 6 * info->n_layers);
    }
    flops += rz_profile_op(d, RZ_OP_ATTENTION).flops;
    const uint32_t n_depth[2] = {3, 5};
    NEAR(flops, 2 * rz_work_decode(m, RZ_F16, n_depth, 1).flops);
    for (int op = 0; op < RZ_N_OPS; op++)
        seconds += rz_profile_op(d, (rz_op)op).seconds;
    assert_true(fabs(seconds - d->seconds) <= 1e-6 * d->seconds + 1e-9);
    assert_int_equal(rz_profile_op(d, RZ_OP_NORM).calls, 6 * (2 * info->n_layers + 1));
    assert_int_equal(rz_profile_layer(d, 0)[RZ_OP_NORM].calls, 12);
    assert_int_equal(rz_profile_layer(d, info->n_layers)[RZ_OP_NORM].calls, 6);
    assert_int_equal(rz_profile_layer(d, info->n_layers - 1)[RZ_OP_DOWN].calls, 6);
    assert_int_equal(rz_profile_layer(d, 0)[RZ_OP_HEAD].calls, 0);
    assert_true(p->timer_s > 0 && p->overhead > 0);
    assert_true(isnan(d->joules));
    assert_non_null(strstr(p->why_no_energy, "not readable here"));
    for (int i = 0; i < RZ_N_READINGS; i++) {
        const rz_reading *r = &d->readings[i];
        assert_non_null(r->name);
        assert_true(isnan(r->value) == (r->why_not[0] != '\0'));
    }
    rz_profile_free(&p);
    rz_model_close(&m);
}

/* ---- energy ---- */

static void write_number(const char *folder, const char *name, const char *value)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", value);
    fclose(f);
}

static void test_energy(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    char root[256], package[300], part[300], path[512];
    snprintf(root, sizeof root, "%s/rz-energy-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(root));
    snprintf(package, sizeof package, "%s/intel-rapl:0", root);
    snprintf(part, sizeof part, "%s/intel-rapl:0:0", root);
    assert_int_equal(mkdir(package, 0700), 0);
    assert_int_equal(mkdir(part, 0700), 0);
    write_number(package, "energy_uj", "1000000");
    write_number(package, "max_energy_range_uj", "9000000");
    write_number(part, "energy_uj", "5");
    write_number(part, "max_energy_range_uj", "9000000");
    struct rz_energy e;
    double joules;
    rz_energy_open(&e, root);
    assert_int_equal(e.n, 1); /* the part is in its package */
    rz_energy_start(&e);
    write_number(package, "energy_uj", "3500000");
    assert_true(rz_energy_read(&e, &joules));
    NEAR(joules, 2.5);
    write_number(package, "energy_uj", "500000"); /* it wrapped */
    assert_true(rz_energy_read(&e, &joules));
    NEAR(joules, 8.5);
    static const char *const files[] = {
        "intel-rapl:0/energy_uj", "intel-rapl:0/max_energy_range_uj", "intel-rapl:0:0/energy_uj",
        "intel-rapl:0:0/max_energy_range_uj"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", root, files[i]);
        unlink(path);
    }
    rz_energy_open(&e, root);
    assert_int_equal(e.n, 0);
    assert_true(e.reason != 0);
    assert_false(rz_energy_read(&e, &joules));
    rmdir(package);
    rmdir(part);
    rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_samples),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_limit_and_refusal),
        cmocka_unit_test(test_work),
        cmocka_unit_test(test_measured_limits),
        cmocka_unit_test(test_peak_loops),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_timers_change_nothing),
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_energy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
