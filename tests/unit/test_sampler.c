/* test_sampler.c - the sampler against a naive one in double that sorts everything, against exact
 * probabilities (chi-square), and against numbers computed by hand. */
#include "base/rng.h"
#include "support/gguf_build.h"

#include <math.h>
#include <realizar/sampler.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    MAX_VOCAB = 4096
};

/* ---- a naive sampler: everything sorted, all in double ------------------------------------- */

struct naive {
    int32_t id[MAX_VOCAB]; /* kept, best first */
    double p[MAX_VOCAB];   /* normalized */
    uint32_t n;
};

static const double *sort_key;

static int by_logit(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (sort_key[x] != sort_key[y])
        return sort_key[x] > sort_key[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Fails the test's premise (returns false) where a cut lies within rounding of its threshold. */
static bool naive_filter(struct naive *r, const float *logits, uint32_t n,
                         const rz_sampler_options *o)
{
    static double x[MAX_VOCAB];
    r->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = (double)logits[i] / (double)o->temperature;
        if (logits[i] > -INFINITY)
            r->id[r->n++] = (int32_t)i;
    }
    sort_key = x;
    qsort(r->id, r->n, sizeof *r->id, by_logit);
    if (o->top_k > 0 && o->top_k < r->n)
        r->n = o->top_k;
    double sum = 0;
    for (uint32_t i = 0; i < r->n; i++)
        sum += r->p[i] = exp(x[r->id[i]] - x[r->id[0]]);
    double cum = 0;
    for (uint32_t i = 0; i < r->n && o->top_p < 1; i++) {
        cum += r->p[i] / sum;
        if (fabs(cum - (double)o->top_p) < 1e-12)
            return false;
        if (cum >= (double)o->top_p)
            r->n = i + 1;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        if (fabs(r->p[i] - (double)o->min_p) < 1e-12 && i > 0)
            return false;
        if (r->p[i] < (double)o->min_p)
            r->n = i;
    }
    sum = 0;
    for (uint32_t i = 0; i < r->n; i++)
        sum += r->p[i];
    for (uint32_t i = 0; i < r->n; i++)
        r->p[i] /= sum;
    return true;
}

static float normal(struct rz_rng *rng)
{
    double u = 1 - rz_rng_unit(rng), v = rz_rng_unit(rng);
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static rz_sampler *new_sampler(uint32_t n_vocab, const rz_sampler_options *o)
{
    rz_sampler *s;
    rz_error err;
    if (rz_sampler_new(&s, n_vocab, o, &err))
        fail_msg("%s", err.text);
    return s;
}

static int32_t sample(rz_sampler *s, const float *logits)
{
    int32_t id = -1;
    rz_error err;
    if (rz_sampler_sample(s, logits, NULL, 0, &id, &err))
        fail_msg("%s", err.text);
    return id;
}

/* ---- filters ------------------------------------------------------------------------------- */

static rz_sampler_options random_options(struct rz_rng *rng)
{
    rz_sampler_options o = rz_sampler_options_default();
    static const float temperatures[] = {0.1f, 0.7f, 1, 1.5f, 10};
    o.temperature = temperatures[rz_rng_below(rng, 5)];
    if (rz_rng_below(rng, 2))
        o.top_k = 1 + (uint32_t)rz_rng_below(rng, rz_rng_below(rng, 2) ? 50 : 5000);
    if (rz_rng_below(rng, 2))
        o.top_p = 0.05f + 0.95f * (float)rz_rng_unit(rng);
    if (rz_rng_below(rng, 2))
        o.min_p = 0.3f * (float)rz_rng_unit(rng);
    o.seed = rz_rng_u64(rng);
    return o;
}

/* Every filter alone and together, on normal logits, on logits with many ties, on logits with
 * forbidden tokens: the same number of candidates, and the picked token with its probability. */
static void test_filters_match_naive(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 255, 256, 257, 1000, MAX_VOCAB};
    static float logits[MAX_VOCAB];
    static struct naive want;
    struct rz_rng rng = {.state = 11};
    int n_checked = 0;
    for (int round = 0; round < 600; round++) {
        uint32_t n = sizes[rz_rng_below(&rng, 7)];
        rz_sampler_options o = random_options(&rng);
        int kind = (int)rz_rng_below(&rng, 3);
        for (uint32_t i = 0; i < n; i++) {
            logits[i] = 3 * normal(&rng);
            if (kind == 1)
                logits[i] = roundf(logits[i]);
            if (kind == 2 && i != n / 2 && rz_rng_below(&rng, 3) == 0)
                logits[i] = -INFINITY;
        }
        if (!naive_filter(&want, logits, n, &o))
            continue;
        rz_sampler *s = new_sampler(n, &o);
        for (int draw = 0; draw < 4; draw++) {
            int32_t id = sample(s, logits);
            uint32_t n_kept = 0, at = 0;
            double p = (double)rz_sampler_last_prob(s, &n_kept);
            /* A token of less than 2^-53 of the best cannot be drawn and need not be counted. */
            uint32_t n_likely = want.n;
            while (n_likely > 1 && want.p[n_likely - 1] < 0x1.001p-53 * want.p[0])
                n_likely--;
            assert_in_range(n_kept, n_likely, want.n);
            while (at < want.n && want.id[at] != id)
                at++;
            assert_true(at < want.n);
            assert_true(fabs(p - want.p[at]) <= 1e-6 * want.p[at] + 1e-12);
            n_checked++;
        }
        rz_sampler_free(&s);
    }
    assert_true(n_checked > 2000);
}

/* Ties at the edge of top-k go to the lower ids, wherever in the vocabulary they are. */
static void test_ties_prefer_low_ids(void **state)
{
    (void)state;
    static float logits[MAX_VOCAB];
    for (int i = 0; i < MAX_VOCAB; i++)
        logits[i] = 1;
    logits[4000] = 2;
    rz_sampler_options o = rz_sampler_options_default();
    rz_sampler *s = new_sampler(1, &o);
    assert_int_equal(sample(s, logits), 0);
    rz_sampler_free(&s);
    s = new_sampler(MAX_VOCAB, &o);
    assert_int_equal(sample(s, logits), 4000);
    logits[4000] = 1;
    assert_int_equal(sample(s, logits), 0);
    rz_sampler_free(&s);
    logits[4000] = 2;
    o.temperature = 100;
    o.top_k = 3;
    s = new_sampler(MAX_VOCAB, &o);
    int seen[3] = {0};
    for (int i = 0; i < 200; i++) {
        int32_t id = sample(s, logits);
        assert_true(id == 4000 || id == 0 || id == 1);
        seen[id == 4000 ? 2 : id]++;
    }
    assert_true(seen[0] > 30 && seen[1] > 30 && seen[2] > 30);
    rz_sampler_free(&s);
}

/* ---- distribution -------------------------------------------------------------------------- */

/* Chi-square of n_draws draws against the exact probabilities; tokens that are expected less than
 * 10 times are one class. Returns the statistic in standard deviations above its mean. */
static double chi_square_z(rz_sampler *s, const float *logits, uint32_t n,
                           const rz_sampler_options *o, int n_draws)
{
    static struct naive want;
    static int count[MAX_VOCAB];
    assert_true(naive_filter(&want, logits, n, o));
    memset(count, 0, sizeof count);
    for (int i = 0; i < n_draws; i++)
        count[sample(s, logits)]++;
    double chi = 0, rest_want = 0;
    int rest = 0, n_classes = 0, total = 0;
    for (uint32_t i = 0; i < want.n; i++) {
        double expected = want.p[i] * n_draws;
        total += count[want.id[i]];
        if (expected < 10) {
            rest += count[want.id[i]];
            rest_want += expected;
            continue;
        }
        chi += (count[want.id[i]] - expected) * (count[want.id[i]] - expected) / expected;
        n_classes++;
    }
    assert_int_equal(total, n_draws); /* nothing that a filter removed was drawn */
    if (rest_want >= 10) {
        chi += (rest - rest_want) * (rest - rest_want) / rest_want;
        n_classes++;
    }
    return n_classes < 2 ? 0 : (chi - (n_classes - 1)) / sqrt(2.0 * (n_classes - 1));
}

static void test_distribution(void **state)
{
    (void)state;
    static const rz_sampler_options cases[] = {
        {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 1},
        {.temperature = 0.5f, .top_p = 1, .repeat_penalty = 1, .seed = 2},
        {.temperature = 3, .top_p = 1, .repeat_penalty = 1, .seed = 3},
        {.temperature = 1, .top_k = 7, .top_p = 1, .repeat_penalty = 1, .seed = 4},
        {.temperature = 1, .top_p = 0.8f, .repeat_penalty = 1, .seed = 5},
        {.temperature = 1, .top_p = 1, .min_p = 0.05f, .repeat_penalty = 1, .seed = 6},
        {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .repeat_penalty = 1, .seed = 7},
    };
    static float logits[500];
    struct rz_rng rng = {.state = 5};
    for (int i = 0; i < 500; i++)
        logits[i] = 2 * normal(&rng);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rz_sampler *s = new_sampler(500, &cases[i]);
        double z = chi_square_z(s, logits, 500, &cases[i], 20000);
        rz_sampler_free(&s);
        if (fabs(z) > 4)
            fail_msg("case %zu: chi-square is %.1f standard deviations off", i, z);
    }
}

static void test_temperature_limits(void **state)
{
    (void)state;
    static float logits[1000];
    struct rz_rng rng = {.state = 6};
    for (int i = 0; i < 1000; i++)
        logits[i] = normal(&rng);
    logits[700] = 9;
    rz_sampler_options o = rz_sampler_options_default();
    static const float cold[] = {1e-45f, 1e-30f, 1e-3f, 0.05f};
    for (int i = 0; i < 4; i++) {
        o.temperature = cold[i];
        rz_sampler *s = new_sampler(1000, &o);
        for (int j = 0; j < 100; j++)
            assert_int_equal(sample(s, logits), 700);
        rz_sampler_free(&s);
    }
    o.temperature = 3e38f; /* uniform */
    rz_sampler *s = new_sampler(1000, &o);
    uint32_t n;
    double sum = 0;
    for (int j = 0; j < 10000; j++)
        sum += sample(s, logits);
    assert_true(fabs((double)rz_sampler_last_prob(s, &n) - 0.001) < 1e-8);
    assert_int_equal(n, 1000);
    assert_true(fabs(sum / 10000 - 499.5) < 5 * 288.7 / 100);
    rz_sampler_free(&s);
}

static void test_seed(void **state)
{
    (void)state;
    static float logits[1000];
    struct rz_rng rng = {.state = 8};
    for (int i = 0; i < 1000; i++)
        logits[i] = normal(&rng);
    rz_sampler_options o = rz_sampler_options_default();
    o.temperature = 1;
    o.seed = 42;
    rz_sampler *a = new_sampler(1000, &o), *b = new_sampler(1000, &o);
    o.seed = 43;
    rz_sampler *c = new_sampler(1000, &o);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        int32_t id = sample(a, logits);
        assert_int_equal(sample(b, logits), id);
        same += sample(c, logits) == id;
    }
    assert_true(same < 20);
    rz_sampler_free(&a);
    rz_sampler_free(&b);
    rz_sampler_free(&c);
}

/* ---- penalties and bias -------------------------------------------------------------------- */

/* Logits {2, -1, 3, 0.5}; history 0 0 1 with CTRL's theta 2, frequency 0.25, presence 0.5:
 * token 0 (twice): 2 / 2 - 2 * 0.25 - 0.5 = 0; token 1 (once): -1 * 2 - 0.25 - 0.5 = -2.75. */
static void test_penalties_by_hand(void **state)
{
    (void)state;
    const float logits[4] = {2, -1, 3, 0.5f};
    const double want[4] = {0, -2.75, 3, 0.5};
    const int32_t history[] = {2, 0, 0, 1};
    rz_sampler_options o = rz_sampler_options_default();
    o.temperature = 1;
    o.repeat_penalty = 2;
    o.frequency_penalty = 0.25f;
    o.presence_penalty = 0.5f;
    o.repeat_last_n = 3; /* the 2 is outside of the window */
    rz_sampler *s = new_sampler(4, &o);
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += exp(want[i]);
    int seen = 0;
    for (int i = 0; i < 4000; i++) { /* also: the counts are cleared between calls */
        int32_t id = -1;
        assert_int_equal(rz_sampler_sample(s, logits, history, 4, &id, NULL), RZ_OK);
        double p = exp(want[id]) / sum;
        assert_true(fabs((double)rz_sampler_last_prob(s, NULL) - p) < 1e-6);
        seen |= 1 << id;
    }
    assert_int_equal(seen, 15);
    rz_sampler_free(&s);
}

static void test_window(void **state)
{
    (void)state;
    const float logits[3] = {1, 0.9f, 0};
    const int32_t history[] = {0, 0, 2, 2};
    int32_t id;
    rz_sampler_options o = rz_sampler_options_default();
    o.presence_penalty = 1;
    static const struct {
        uint32_t last_n;
        int32_t id;
    } cases[] = {{0, 0}, {1, 0}, {2, 0}, {3, 1}, {4, 1}, {UINT32_MAX, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        o.repeat_last_n = cases[i].last_n;
        rz_sampler *s = new_sampler(3, &o);
        assert_int_equal(rz_sampler_sample(s, logits, history, 4, &id, NULL), RZ_OK);
        assert_int_equal(id, cases[i].id);
        rz_sampler_free(&s);
    }
}

static void test_bias(void **state)
{
    (void)state;
    const float logits[4] = {1, 2, 3, 4};
    rz_logit_bias bias[] = {{3, -INFINITY}, {0, 5}, {0, -3.5f}, {2, 0}};
    rz_sampler_options o = rz_sampler_options_default();
    o.bias = bias;
    o.n_bias = 2;
    rz_sampler *s = new_sampler(4, &o);
    bias[1].bias = 0; /* copied: no effect */
    assert_int_equal(sample(s, logits), 0);
    rz_sampler_free(&s);
    bias[1].bias = 5;
    o.n_bias = 4;
    s = new_sampler(4, &o); /* biases of one token add up */
    assert_int_equal(sample(s, logits), 2);
    rz_sampler_free(&s);
}

/* ---- errors -------------------------------------------------------------------------------- */

static void expect_usage(rz_sampler_options o)
{
    rz_sampler *s;
    rz_error err = {0};
    assert_int_equal(rz_sampler_new(&s, 10, &o, &err), RZ_EUSAGE);
    assert_null(s);
    assert_int_equal(err.code, RZ_EUSAGE);
    assert_true(strlen(err.text) > 10);
}

static void test_bad_options(void **state)
{
    (void)state;
    const rz_sampler_options good = rz_sampler_options_default();
    rz_sampler_options o;
    static const float bad_temperature[] = {-0.1f, NAN, INFINITY};
    static const float bad_p[] = {0, -0.5f, 1.01f, NAN};
    static const float bad_penalty[] = {-2.1f, 2.1f, NAN};
    for (int i = 0; i < 3; i++) {
        o = good, o.temperature = bad_temperature[i];
        expect_usage(o);
        o = good, o.frequency_penalty = bad_penalty[i];
        expect_usage(o);
        o = good, o.presence_penalty = bad_penalty[i];
        expect_usage(o);
        o = good, o.repeat_penalty = bad_temperature[i];
        expect_usage(o);
    }
    for (int i = 0; i < 4; i++) {
        o = good, o.top_p = bad_p[i];
        expect_usage(o);
        o = good, o.min_p = bad_p[i];
        if (bad_p[i] != 0)
            expect_usage(o);
    }
    static const rz_logit_bias bad_bias[] = {{-1, 0}, {10, 0}, {3, NAN}, {3, INFINITY}};
    for (int i = 0; i < 4; i++) {
        o = good, o.bias = &bad_bias[i], o.n_bias = 1;
        expect_usage(o);
    }
}

static void test_bad_logits(void **state)
{
    (void)state;
    static float logits[200];
    int32_t id = -7;
    rz_error err;
    for (int cold = 0; cold < 2; cold++) {
        rz_sampler_options o = rz_sampler_options_default();
        o.temperature = (float)cold;
        rz_sampler *s = new_sampler(200, &o);
        for (int at = 0; at < 200; at += 67) {
            logits[at] = NAN;
            assert_int_equal(rz_sampler_sample(s, logits, NULL, 0, &id, &err), RZ_EINFER);
            logits[at] = INFINITY;
            assert_int_equal(rz_sampler_sample(s, logits, NULL, 0, &id, &err), RZ_EINFER);
            logits[at] = 0;
        }
        assert_int_equal(id, -7);
        float none[200];
        for (int i = 0; i < 200; i++)
            none[i] = -INFINITY;
        assert_int_equal(rz_sampler_sample(s, none, NULL, 0, &id, &err), RZ_EINFER);
        assert_non_null(strstr(err.text, "no token is possible"));
        none[150] = -1e30f; /* the only one left */
        assert_int_equal(sample(s, none), 150);
        rz_sampler_free(&s);
    }
}

/* Wherever it is, the best logit is found and a NaN of either sign is seen: a vocabulary is
 * searched in groups of vectors, the last of which is not whole. */
static void test_every_place(void **state)
{
    (void)state;
    enum {
        N = 603
    };
    const rz_sampler_options o = rz_sampler_options_default();
    float logits[N];
    int32_t id;
    rz_error err;
    rz_sampler *s = new_sampler(N, &o);
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int i = 0; i < N; i++)
            logits[i] = (float)(sign * (1 + i % 7));
        for (int at = 0; at < N; at++) {
            const float was = logits[at];
            logits[at] = 8;
            assert_int_equal(sample(s, logits), at);
            logits[at] = copysignf(NAN, (float)sign);
            assert_int_equal(rz_sampler_sample(s, logits, NULL, 0, &id, &err), RZ_EINFER);
            assert_non_null(strstr(err.text, "not a number"));
            logits[at] = was;
        }
        assert_int_equal(sample(s, logits), sign > 0 ? 6 : 0);
    }
    rz_sampler_free(&s);
}

/* ---- a file's recommendation --------------------------------------------------------------- */

static rz_status options_of(struct gguf_build *b, rz_sampler_options *o, bool *found, rz_error *err)
{
    char folder[1024], path[1100];
    const char *tmp = getenv("TMPDIR");
    rz_file *file;
    const float one = 1;
    snprintf(folder, sizeof folder, "%s/rz-sampler-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/options.gguf", folder);
    gb_tensor_f32(b, "x", 1, (const uint64_t[]){1}, &one);
    assert_true(gb_write(b, path));
    if (rz_file_open(&file, path, err))
        fail_msg("%s", err->text);
    rz_status status = rz_sampler_options_from_file(o, file, found, err);
    rz_file_close(&file);
    unlink(path);
    rmdir(folder);
    gb_fini(b);
    return status;
}

static void test_options_from_file(void **state)
{
    (void)state;
    struct gguf_build b;
    rz_sampler_options o = rz_sampler_options_default();
    rz_error err;
    bool found = true;
    o.top_k = 99;
    gb_init(&b); /* silent: nothing changes */
    assert_int_equal(options_of(&b, &o, &found, &err), RZ_OK);
    assert_false(found);
    assert_true(o.temperature == 0 && o.top_k == 99 && o.top_p == 1 && o.repeat_last_n == 64);

    gb_init(&b); /* Qwen2.5's, as llama.cpp's converter writes them */
    gb_f32(&b, "general.sampling.temp", 0.7f);
    gb_i32(&b, "general.sampling.top_k", 20);
    gb_f32(&b, "general.sampling.top_p", 0.8f);
    gb_f32(&b, "general.sampling.min_p", 0.05f);
    gb_f32(&b, "general.sampling.penalty_repeat", 1.05f);
    gb_i32(&b, "general.sampling.penalty_last_n", -1);
    assert_int_equal(options_of(&b, &o, &found, &err), RZ_OK);
    assert_true(found);
    assert_true(o.temperature == 0.7f && o.top_k == 20 && o.top_p == 0.8f && o.min_p == 0.05f);
    assert_true(o.repeat_penalty == 1.05f && o.repeat_last_n == UINT32_MAX);

    gb_init(&b); /* values that mean "off" there */
    gb_f32(&b, "general.sampling.temp", -1);
    gb_i32(&b, "general.sampling.top_k", -5);
    gb_f32(&b, "general.sampling.top_p", 1.5f);
    gb_u64(&b, "general.sampling.penalty_last_n", UINT64_MAX);
    assert_int_equal(options_of(&b, &o, &found, &err), RZ_OK);
    assert_true(o.temperature == 0 && o.top_k == 0 && o.top_p == 1);
    assert_true(o.repeat_last_n == UINT32_MAX);
    rz_sampler *s = new_sampler(10, &o); /* whatever the file says can be used */
    rz_sampler_free(&s);
}

static void test_bad_options_in_file(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct gguf_build b;
        rz_sampler_options o = rz_sampler_options_default(), before = o;
        rz_error err = {0};
        gb_init(&b);
        gb_f32(&b, "general.sampling.temp", i == 0 ? NAN : 0.5f);
        gb_f32(&b, "general.sampling.top_p", i == 1 ? 0 : 0.5f);
        gb_f32(&b, "general.sampling.penalty_repeat", i == 2 ? -1 : 1);
        if (i == 3)
            gb_string(&b, "general.sampling.top_k", "many");
        if (i == 4)
            gb_u32(&b, "general.sampling.min_p", 1);
        rz_status status = options_of(&b, &o, NULL, &err);
        assert_int_equal(status, RZ_EFORMAT);
        assert_non_null(strstr(err.text, "general.sampling."));
        assert_memory_equal(&o, &before, sizeof o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_match_naive),
        cmocka_unit_test(test_ties_prefer_low_ids),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_temperature_limits),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_penalties_by_hand),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_logits),
        cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_options_from_file),
        cmocka_unit_test(test_bad_options_in_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
