/* test_invariants.c - results must not depend on how the work was cut: into feeds, threads,
 * sequences of a batch, or with a cache that was cut back.
 *
 * Where products of many rows are wide (rz_kernels.matmul_wide: AMX; AVX-512 BF16 with such
 * weights), steps of at least wide_from tokens are a class of their own: the same bits within a
 * class, near ones across. */
#include "support/golden.h"

#include "base/cpu.h"
#include "kernels/kernels.h"

#include <realizar/convert.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    N = 75 /* tokens: three KV blocks, the last one in part */
};

/* Files of the repository, as they are or with weights of another type: no product of the float32
 * ones is ever wide, and experts see as many tokens of a step as happen to choose them. */
static const struct subject {
    const char *file, *type; /* type: NULL or one of rz_convert's */
} subjects[] = {
    {"tests/golden/data/qwen2.gguf", NULL},
    {"tests/golden/data/llama.gguf", NULL},
    {"tests/golden/data/llama-window.gguf", NULL},
    {"tests/golden/data/qwen3.gguf", NULL},
    {"tests/golden/data/qwen2moe.gguf", NULL},
    {"tests/golden/data/qwen3moe.gguf", NULL},
    {"tests/golden/data/qwen2moe.gguf", "q8_0"},
    {"tests/golden/data/qwen3moe.gguf", "bf16"},
    {"tests/golden/data/qwen2.gguf", "q4_0"},
    {"tests/golden/data/qwen2.gguf", "bf16"},
    {"models/demo.gguf", NULL},
};

enum {
    N_SUBJECTS = sizeof subjects / sizeof subjects[0]
};

static char folder[256];

static void converted_path(char path[GOLDEN_PATH_MAX], const struct subject *s)
{
    snprintf(path, GOLDEN_PATH_MAX, "%s/%d.gguf", folder, (int)(s - subjects));
}

static int convert_subjects(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/apr-invariants-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < N_SUBJECTS; i++) {
        char from[GOLDEN_PATH_MAX], to[GOLDEN_PATH_MAX];
        rz_file *file;
        rz_error err;
        rz_convert_options o = rz_convert_options_default();
        o.type = subjects[i].type;
        if (!o.type)
            continue;
        golden_repo_path(from, subjects[i].file);
        converted_path(to, &subjects[i]);
        if (rz_file_open(&file, from, &err) || rz_convert(file, to, &o, NULL, &err))
            fail_msg("%s", err.text);
        rz_file_close(&file);
    }
    return 0;
}

static int remove_converted(void **state)
{
    (void)state;
    for (int i = 0; i < N_SUBJECTS; i++) {
        char path[GOLDEN_PATH_MAX];
        converted_path(path, &subjects[i]);
        if (subjects[i].type)
            remove(path);
    }
    return rmdir(folder);
}

/* 0: no product of the subject that was opened last is ever wide. */
static uint32_t wide_from;

static void look_at_types(const char *path)
{
    struct rz_kernels k;
    rz_file *file;
    rz_error err;
    rz_kernels_init(&k, rz_cpu_detect(RZ_CPU_ALL));
    if (rz_file_open(&file, path, &err))
        fail_msg("%s", err.text);
    wide_from = 0;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++)
        if (k.matmul_wide[rz_file_tensor_at(file, i)->dtype])
            wide_from = k.wide_from;
    rz_file_close(&file);
}

static void open_subject(struct golden_run *r, const struct subject *s, uint32_t n_threads)
{
    char path[GOLDEN_PATH_MAX];
    if (s->type)
        converted_path(path, s);
    else
        golden_repo_path(path, s->file);
    look_at_types(path);
    golden_open(r, path, 0, n_threads);
}

static void make_ids(int32_t *ids, size_t n, uint32_t n_vocab, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 2654435761u + seed * 40503u + (i >> 2) * 97u) % n_vocab);
}

static void feed_all(struct golden_run *r, const int32_t *ids, size_t n, float *all)
{
    rz_error err;
    if (rz_session_feed_all(r->session, ids, n, all, &err))
        fail_msg("%s", err.text);
}

/* Whether a product of n rows of the subject's is wide. */
static bool wide(size_t n)
{
    return wide_from && n >= wide_from;
}

/* The same bits, or across the classes: rounding to bfloat16 moves a product by 2^-8 of its terms,
 * of random signs, in every layer, which may be enough for another expert to be chosen; a wrong
 * tile of 32 columns, half of a row of most subjects, moves all logits by far more. */
static void assert_same(const float *got, const float *want, size_t n, bool same_class)
{
    if (same_class)
        assert_memory_equal(got, want, n * sizeof *got);
    else
        assert_true(golden_cosine(got, want, n) > 0.99);
}

static float *new_logits(const struct golden_run *r, size_t n)
{
    float *x = malloc(n * r->n_vocab * sizeof *x);
    assert_non_null(x);
    return x;
}

/* The logits after every token, fed in parts. */
static void feed_parts(struct golden_run *r, const int32_t *ids, size_t part, float *got)
{
    rz_session_truncate(r->session, 0);
    for (size_t done = 0; done < N; done += part) {
        size_t n = N - done < part ? N - done : part;
        feed_all(r, ids + done, n, got + done * r->n_vocab);
        const float *last = got + (done + n - 1) * r->n_vocab;
        assert_memory_equal(rz_session_logits(r->session), last, r->n_vocab * sizeof *last);
    }
}

/* Feeding one by one, or in uneven parts, gives after every token what one batch gives there, or
 * what one by one gives if these are of its class. */
static void test_feeds(void **state)
{
    (void)state;
    static const size_t parts[] = {1, 2, 7, 25, 32, 33, 38};
    int32_t ids[N];
    for (int i = 0; i < N_SUBJECTS; i++) {
        struct golden_run r;
        open_subject(&r, &subjects[i], 2);
        make_ids(ids, N, r.n_vocab, 1);
        const size_t n = (size_t)N * r.n_vocab;
        float *batch = new_logits(&r, N), *single = new_logits(&r, N), *got = new_logits(&r, N);
        feed_all(&r, ids, N, batch);
        feed_parts(&r, ids, 1, single);
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
            const size_t rest = N % parts[p] ? N % parts[p] : parts[p];
            feed_parts(&r, ids, parts[p], got);
            assert_same(got, batch, n, wide(parts[p]) == wide(N) && wide(rest) == wide(N));
            assert_same(got, single, n, !wide(parts[p]) && !wide(rest));
        }
        print_message("%-36s %-5s parts of 1 to 38 against one batch of %d: within %.2g\n",
                      subjects[i].file, subjects[i].type ? subjects[i].type : "", N,
                      golden_max_diff(single, batch, n));
        free(batch);
        free(single);
        free(got);
        golden_close(&r);
    }
}

/* The first n of a longer feed are not touched by what comes after: causality. */
static void test_causal(void **state)
{
    (void)state;
    int32_t ids[N];
    for (int i = 0; i < N_SUBJECTS; i++) {
        struct golden_run r;
        open_subject(&r, &subjects[i], 2);
        make_ids(ids, N, r.n_vocab, 2);
        float *want = new_logits(&r, N), *got = new_logits(&r, N);
        feed_all(&r, ids, N, want);
        for (int cut = 1; cut < N; cut += 13) {
            for (int j = cut; j < N; j++)
                ids[j] = (int32_t)((uint32_t)(ids[j] + 1) % r.n_vocab);
            rz_session_truncate(r.session, 0);
            feed_all(&r, ids, N, got);
            size_t n_same = (size_t)cut * r.n_vocab;
            assert_memory_equal(got, want, n_same * sizeof *got);
            assert_true(golden_max_diff(got + n_same, want + n_same, r.n_vocab) > 1e-3);
            make_ids(ids, N, r.n_vocab, 2);
        }
        free(want);
        free(got);
        golden_close(&r);
    }
}

static void test_threads(void **state)
{
    (void)state;
    int32_t ids[N];
    for (int i = 0; i < N_SUBJECTS; i++) {
        float *want = NULL;
        for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
            struct golden_run r;
            open_subject(&r, &subjects[i], n_threads);
            make_ids(ids, N, r.n_vocab, 3);
            float *got = new_logits(&r, N);
            feed_all(&r, ids, N - 5, got);
            for (size_t j = N - 5; j < N; j++)
                feed_all(&r, ids + j, 1, got + j * r.n_vocab);
            if (want)
                assert_memory_equal(got, want, (size_t)N * r.n_vocab * sizeof *got);
            free(want);
            want = got;
            golden_close(&r);
        }
        free(want);
    }
    print_message("1, 2 and 3 threads: bit-identical logits of %d models\n", (int)N_SUBJECTS);
}

/* The same over several of attention's chunks: in one feed, then token by token, for models with
 * one and two kv heads, whose work more threads than heads have to share. */
static void test_long(void **state)
{
    (void)state;
    enum {
        N_LONG = 830,
        N_SINGLE = 30,
        N_RUNS = 6
    };
    static const struct subject models[] = {{"tests/golden/data/qwen2-yarn.gguf", NULL},
                                            {"models/demo.gguf", NULL}};
    static const size_t parts[N_RUNS] = {512, 100, 257, 511, 1, 512};
    for (int i = 0; i < 2; i++) {
        float *want = NULL;
        for (uint32_t run = 0; run < N_RUNS; run++) {
            struct golden_run r;
            int32_t ids[N_LONG];
            open_subject(&r, &models[i], 1 + run % 5);
            make_ids(ids, N_LONG, r.n_vocab, 8);
            float *got = new_logits(&r, N_LONG);
            size_t n_same = 0; /* tokens from the first on in steps of the first run's class */
            for (size_t done = 0; done < N_LONG;) {
                size_t left = N_LONG - done, n = left < parts[run] ? left : parts[run];
                if (left <= N_SINGLE)
                    n = 1;
                feed_all(&r, ids + done, n, got + done * r.n_vocab);
                n_same = n_same == done && wide(n) == wide(parts[0]) ? done + n : n_same;
                done += n;
            }
            want = want ? want : got;
            const size_t same = n_same * r.n_vocab, rest = (size_t)N_LONG * r.n_vocab - same;
            assert_same(got, want, same, true);
            if (rest)
                assert_same(got + same, want + same, rest, false);
            if (want != got)
                free(got);
            golden_close(&r);
        }
        free(want);
    }
    print_message("830 tokens, 1 to 5 threads, other feeds: bit-identical logits\n");
}

enum {
    N_SEQS = 3
};

/* Tokens of each sequence in two steps. */
struct lengths {
    size_t step[2][N_SEQS];
};

/* Whether the step and each of its sequences alone are of one class. */
static bool one_class(const size_t n[N_SEQS])
{
    const bool w = wide(n[0] + n[1] + n[2]);
    return wide(n[0]) == w && wide(n[1]) == w && wide(n[2]) == w;
}

/* The sequences in shared steps: each as if it were alone. */
static void check_sequences(struct golden_run *r, const struct lengths *l)
{
    int32_t ids[N_SEQS][N];
    rz_error err;
    rz_engine *e;
    rz_session *s[N_SEQS];
    rz_feed feeds[N_SEQS];
    rz_engine_options o = rz_engine_options_default();
    float *want = new_logits(r, N), *got = new_logits(r, N);
    bool same = true;
    o.max_sessions = N_SEQS;
    o.n_ctx = N;
    assert_int_equal(rz_engine_new(&e, r->model, &o, &err), RZ_OK);
    for (uint32_t j = 0; j < N_SEQS; j++) {
        assert_int_equal(rz_session_new(&s[j], e, &err), RZ_OK);
        make_ids(ids[j], N, r->n_vocab, 10 + j);
    }
    for (int step = 0; step < 2; step++) {
        same = same && one_class(l->step[step]);
        for (int j = 0; j < N_SEQS; j++)
            feeds[j] = (rz_feed){.session = s[j],
                                 .ids = ids[j] + (step ? l->step[0][j] : 0),
                                 .n = l->step[step][j],
                                 .all = step && j == 1 ? got : NULL};
        if (rz_engine_step(e, feeds, N_SEQS, &err))
            fail_msg("%s", err.text);
        for (int j = 0; j < N_SEQS; j++) {
            golden_logits(r, ids[j], l->step[0][j]);
            if (step) {
                const size_t n = l->step[1][j];
                feed_all(r, ids[j] + l->step[0][j], n, want);
                if (feeds[j].all)
                    assert_same(got, want, n * r->n_vocab, same);
            }
            assert_same(rz_session_logits(s[j]), rz_session_logits(r->session), r->n_vocab, same);
        }
    }
    for (int j = 0; j < N_SEQS; j++)
        rz_session_free(&s[j]);
    assert_true(rz_engine_kv_bytes_used(e) == 0); /* every block came back */
    rz_engine_free(&e);
    free(want);
    free(got);
}

static void test_sequences(void **state)
{
    (void)state;
    static const struct lengths lengths[] = {
        {{{40, 1, 17}, {1, 33, 2}}}, {{{11, 1, 17}, {1, 23, 2}}}, {{{40, 33, 35}, {32, 33, 36}}}};
    for (int i = 0; i < N_SUBJECTS; i++) {
        struct golden_run r;
        open_subject(&r, &subjects[i], 2);
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
            check_sequences(&r, &lengths[j]);
        golden_close(&r);
    }
    print_message("three sequences in one step: bit-identical to each alone\n");
}

/* The same tokens in a new sequence, the first n_first of them (not fewer than are wide, or none)
 * in steps of the class of N. */
static const float *feed_fresh(struct golden_run *r, const int32_t *ids, size_t n_first)
{
    rz_error err;
    if (wide(N - n_first) == wide(N))
        return golden_logits(r, ids, N);
    assert_true(wide(n_first));
    golden_logits(r, ids, n_first);
    assert_int_equal(rz_session_feed(r->session, ids + n_first, N - n_first, &err), RZ_OK);
    return rz_session_logits(r->session);
}

/* Cutting a sequence back and going on another way equals never having been elsewhere. */
static void test_truncate(void **state)
{
    (void)state;
    static const size_t cuts[] = {0, 1, 31, 32, 33, 64, 74};
    int32_t ids[N], other[N];
    for (int i = 0; i < N_SUBJECTS; i++) {
        struct golden_run r, fresh;
        rz_error err;
        open_subject(&r, &subjects[i], 1);
        open_subject(&fresh, &subjects[i], 1);
        make_ids(ids, N, r.n_vocab, 4);
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
            make_ids(other, N, r.n_vocab, 5);
            memcpy(other, ids, cuts[c] * sizeof *ids);
            golden_logits(&r, ids, N);
            rz_session_truncate(r.session, cuts[c]);
            assert_null(rz_session_logits(r.session));
            assert_int_equal(rz_session_feed(r.session, other + cuts[c], N - cuts[c], &err), RZ_OK);
            const float *want = feed_fresh(&fresh, other, cuts[c]);
            assert_memory_equal(rz_session_logits(r.session), want, r.n_vocab * sizeof *want);
            size_t n;
            assert_memory_equal(rz_session_ids(r.session, &n), other, sizeof other);
            assert_int_equal(n, N);
        }
        golden_close(&r);
        golden_close(&fresh);
    }
}

static void check_sync(struct golden_run *r, const int32_t *ids, size_t n, size_t want_reused)
{
    size_t reused = 999, n_now;
    rz_error err;
    if (rz_session_sync(r->session, ids, n, &reused, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reused, want_reused);
    assert_memory_equal(rz_session_ids(r->session, &n_now), ids, n * sizeof *ids);
    assert_int_equal(n_now, n);
    assert_non_null(rz_session_logits(r->session));
}

static void test_sync(void **state)
{
    (void)state;
    struct golden_run r;
    int32_t ids[N], other[N];
    open_subject(&r, &subjects[0], 1);
    make_ids(ids, N, r.n_vocab, 6);
    memcpy(other, ids, sizeof ids);
    other[40] = (other[40] + 1) % (int32_t)r.n_vocab;
    check_sync(&r, ids, 50, 0);
    check_sync(&r, ids, N, 50);   /* a turn feeds only what is new */
    check_sync(&r, ids, N, N);    /* nothing new, logits still there */
    check_sync(&r, other, N, 40); /* an edit */
    check_sync(&r, ids, 30, 29);  /* shorter: the last token is fed again for its logits */
    check_sync(&r, ids, 30, 30);
    rz_session_truncate(r.session, 20);
    check_sync(&r, ids, 20, 19);
    golden_close(&r);
}

/* Overflow says both numbers and leaves everything as it was. */
static void test_overflow(void **state)
{
    (void)state;
    struct golden_run r;
    char path[GOLDEN_PATH_MAX];
    int32_t ids[N], id = 1;
    rz_error err = {0};
    golden_repo_path(path, subjects[0].file);
    golden_open(&r, path, 48, 1);
    make_ids(ids, N, r.n_vocab, 7);
    float *before = new_logits(&r, 1);
    memcpy(before, golden_logits(&r, ids, 45), r.n_vocab * sizeof *before);
    uint64_t used = rz_engine_kv_bytes_used(r.engine);
    for (int i = 0; i < 3; i++) {
        rz_feed feed = {.session = r.session, .ids = ids, .n = 5};
        float all[1];
        rz_status status = i == 0   ? rz_session_feed(r.session, ids, 5, &err)
                           : i == 1 ? rz_session_feed_all(r.session, ids, 5, all, &err)
                                    : rz_engine_step(r.engine, &feed, 1, &err);
        size_t n;
        assert_int_equal(status, RZ_EINFER);
        assert_non_null(strstr(err.text, "48"));
        assert_true(strstr(err.text, "50") || (strstr(err.text, "45") && strstr(err.text, "5 ")));
        rz_session_ids(r.session, &n);
        assert_int_equal(n, 45);
        assert_memory_equal(rz_session_logits(r.session), before, r.n_vocab * sizeof *before);
        assert_true(rz_engine_kv_bytes_used(r.engine) == used);
    }
    assert_int_equal(rz_session_sync(r.session, ids, N, NULL, &err), RZ_EINFER);
    assert_non_null(strstr(err.text, "48"));
    assert_non_null(strstr(err.text, "75"));
    assert_int_equal(rz_session_feed(r.session, ids, 3, &err), RZ_OK); /* exactly full */
    assert_int_equal(rz_session_feed(r.session, &id, 1, &err), RZ_EINFER);
    id = (int32_t)r.n_vocab;
    rz_session_truncate(r.session, 10);
    assert_int_equal(rz_session_feed(r.session, &id, 1, &err), RZ_EUSAGE);
    free(before);
    golden_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feeds),     cmocka_unit_test(test_causal),
        cmocka_unit_test(test_threads),   cmocka_unit_test(test_long),
        cmocka_unit_test(test_sequences), cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_sync),      cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, convert_subjects, remove_converted);
}
