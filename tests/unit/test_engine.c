/* test_engine.c - what an engine leaves behind when a feed fails: sequences as the header says, and
 * other sequences untouched. */
#include "engine/internal.h"
#include "support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    N_SEQS = 3,
    N_CTX = 64,
    BAD_ID = 7 /* its embedding is not a number in the damaged model */
};

struct fixture {
    rz_model *model;
    rz_engine *engine;
    rz_session *s[N_SEQS];
    uint32_t n_vocab;
};

static void make_engine(struct fixture *f, const char *path, uint32_t n_batch)
{
    rz_error err;
    rz_model_options mo = rz_model_options_default();
    mo.n_threads = 2;
    if (rz_model_open(&f->model, path, &mo, &err))
        fail_msg("%s", err.text);
    f->n_vocab = rz_model_get_info(f->model)->n_vocab;
    rz_engine_options o = rz_engine_options_default();
    o.n_ctx = N_CTX;
    o.max_sessions = N_SEQS;
    o.n_batch = n_batch;
    if (rz_engine_new(&f->engine, f->model, &o, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < N_SEQS; i++)
        assert_int_equal(rz_session_new(&f->s[i], f->engine, &err), RZ_OK);
}

static void free_engine(struct fixture *f)
{
    for (int i = 0; i < N_SEQS; i++)
        rz_session_free(&f->s[i]);
    assert_true(rz_engine_kv_bytes_used(f->engine) == 0);
    rz_engine_free(&f->engine);
    rz_model_close(&f->model);
}

static size_t length(const rz_session *s)
{
    size_t n;
    rz_session_ids(s, &n);
    return n;
}

static void open_good(struct fixture *f, uint32_t n_batch)
{
    char path[GOLDEN_PATH_MAX];
    golden_repo_path(path, "tests/golden/data/qwen2-untied.gguf");
    make_engine(f, path, n_batch);
}

/* A copy of the model in which the embedding of BAD_ID is not a number. */
static void open_damaged(struct fixture *f, uint32_t n_batch)
{
    char from[GOLDEN_PATH_MAX], to[GOLDEN_PATH_MAX];
    rz_file *file;
    rz_error err;
    golden_repo_path(from, "tests/golden/data/qwen2-untied.gguf");
    assert_int_equal(rz_file_open(&file, from, &err), RZ_OK);
    const rz_tensor *embd = rz_file_tensor(file, "token_embd.weight");
    assert_int_equal(embd->dtype, RZ_F32);
    size_t len = (size_t)rz_file_bytes(file);
    long at = (long)(embd->file_offset + BAD_ID * embd->shape[1] * sizeof(float));
    rz_file_close(&file);

    const char *tmp = getenv("TMPDIR");
    snprintf(to, sizeof to, "%s/apr-engine.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    char *data = malloc(len);
    FILE *in = fopen(from, "rb");
    int fd = mkstemp(to);
    FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
    assert_true(data && in && out);
    assert_int_equal(fread(data, 1, len, in), len);
    const float nan = NAN;
    memcpy(data + at, &nan, sizeof nan);
    assert_int_equal(fwrite(data, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
    fclose(in);
    free(data);
    make_engine(f, to, n_batch);
    unlink(to); /* the mapping stays */
}

/* An id that is wrong in a later part of a long feed is seen before the first part is fed. */
static void test_wrong_id(void **state)
{
    (void)state;
    struct fixture f;
    rz_error err;
    int32_t ids[40] = {0};
    open_good(&f, 16);
    ids[39] = (int32_t)f.n_vocab;
    float *all = calloc((size_t)40 * f.n_vocab, sizeof *all);
    assert_non_null(all);
    assert_int_equal(rz_session_feed(f.s[0], ids, 40, &err), RZ_EUSAGE);
    assert_int_equal(rz_session_feed_all(f.s[0], ids, 40, all, &err), RZ_EUSAGE);
    ids[39] = -1;
    assert_int_equal(rz_session_feed(f.s[0], ids, 40, &err), RZ_EUSAGE);
    assert_int_equal(length(f.s[0]), 0);
    assert_null(rz_session_logits(f.s[0]));
    assert_true(rz_engine_kv_bytes_used(f.engine) == 0);
    free(all);
    free_engine(&f);
}

/* A step is refused as a whole: no sequence of it is longer afterwards. */
static void test_refused_step(void **state)
{
    (void)state;
    struct fixture f;
    rz_error err = {0};
    int32_t good[2] = {1, 2}, bad[2] = {1, -1};
    open_good(&f, 16);
    assert_int_equal(rz_session_feed(f.s[0], good, 2, &err), RZ_OK);
    const rz_feed wrong_id[] = {{f.s[0], good, 2, NULL}, {f.s[1], bad, 2, NULL}};
    const rz_feed nothing[] = {{f.s[0], good, 2, NULL}, {f.s[1], good, 0, NULL}};
    int32_t many[15] = {0};
    const rz_feed too_many[] = {{f.s[0], good, 2, NULL}, {f.s[1], many, 15, NULL}};
    assert_int_equal(rz_engine_step(f.engine, wrong_id, 2, &err), RZ_EUSAGE);
    assert_int_equal(rz_engine_step(f.engine, nothing, 2, &err), RZ_EUSAGE);
    assert_non_null(strstr(err.text, "no tokens"));
    assert_int_equal(rz_engine_step(f.engine, too_many, 2, &err), RZ_EUSAGE);
    assert_int_equal(rz_engine_step(f.engine, too_many, 0, &err), RZ_EUSAGE);
    assert_int_equal(length(f.s[0]), 2);
    assert_int_equal(length(f.s[1]), 0);
    assert_non_null(rz_session_logits(f.s[0]));
    free_engine(&f);
}

/* Logits that are not finite are one session's trouble: the others of the step have theirs, and it
 * can go on once the token is gone. */
static void test_not_finite(void **state)
{
    (void)state;
    struct fixture f;
    rz_error err = {0};
    const int32_t good[3] = {1, 2, 3}, bad[3] = {1, 2, BAD_ID};
    open_damaged(&f, 16);
    float *want = malloc(f.n_vocab * sizeof *want);
    assert_non_null(want);
    assert_int_equal(rz_session_feed(f.s[0], good, 3, &err), RZ_OK);
    memcpy(want, rz_session_logits(f.s[0]), f.n_vocab * sizeof *want);
    rz_session_truncate(f.s[0], 0);
    for (int middle = 0; middle < N_SEQS; middle++) {
        rz_feed feeds[N_SEQS];
        for (int i = 0; i < N_SEQS; i++)
            feeds[i] = (rz_feed){.session = f.s[i], .ids = i == middle ? bad : good, .n = 3};
        assert_int_equal(rz_engine_step(f.engine, feeds, N_SEQS, &err), RZ_EINFER);
        assert_non_null(strstr(err.text, "not finite"));
        for (int i = 0; i < N_SEQS; i++) {
            const float *got = rz_session_logits(f.s[i]);
            assert_int_equal(length(f.s[i]), 3);
            if (i == middle)
                assert_null(got);
            else
                assert_memory_equal(got, want, f.n_vocab * sizeof *want);
        }
        size_t reused;
        assert_int_equal(rz_session_sync(f.s[middle], good, 3, &reused, &err), RZ_OK);
        assert_int_equal(reused, 2);
        for (int i = 0; i < N_SEQS; i++)
            rz_session_truncate(f.s[i], 0);
    }
    free(want);
    free_engine(&f);
}

/* A sequence's logits are its own in whatever order those of a step come; sequences that are left
 * out keep theirs. Sessions closed and opened again have others' places. */
static void test_orders(void **state)
{
    (void)state;
    static const struct {
        int n, which[N_SEQS];
    } orders[] = {{3, {0, 1, 2}}, {3, {2, 1, 0}}, {2, {1, 2}}, {2, {2, 0}}, {3, {1, 0, 2}}};
    struct fixture f;
    rz_error err;
    open_good(&f, 16);
    const size_t bytes = f.n_vocab * sizeof(float);
    const int32_t ids[N_SEQS] = {1, 2, 3};
    float *want[N_SEQS];
    int has[N_SEQS]; /* which of the ids each session was fed last */
    for (int i = 0; i < N_SEQS; i++) {
        want[i] = malloc(bytes);
        assert_non_null(want[i]);
        assert_int_equal(rz_session_feed(f.s[i], &ids[i], 1, &err), RZ_OK);
        memcpy(want[i], rz_session_logits(f.s[i]), bytes);
        has[i] = i;
    }
    for (size_t k = 0; k < 2 * sizeof orders / sizeof *orders; k++) {
        const int *which = orders[k / 2].which, n = orders[k / 2].n;
        rz_feed feeds[N_SEQS];
        for (int i = 0; i < n; i++) {
            rz_session *s = f.s[which[i]];
            has[which[i]] = (has[which[i]] + 1 + i % 2) % N_SEQS;
            rz_session_truncate(s, 0);
            feeds[i] = (rz_feed){.session = s, .ids = &ids[has[which[i]]], .n = 1};
        }
        assert_int_equal(rz_engine_step(f.engine, feeds, (size_t)n, &err), RZ_OK);
        for (int i = 0; i < N_SEQS; i++)
            assert_memory_equal(rz_session_logits(f.s[i]), want[has[i]], bytes);
        if (k % 2 == 0)
            continue;
        rz_session_free(&f.s[0]);
        rz_session_free(&f.s[2]);
        for (int i = 2; i >= 0; i -= 2) {
            assert_int_equal(rz_session_new(&f.s[i], f.engine, &err), RZ_OK);
            assert_int_equal(rz_session_feed(f.s[i], &ids[has[i]], 1, &err), RZ_OK);
        }
    }
    for (int i = 0; i < N_SEQS; i++)
        free(want[i]);
    free_engine(&f);
}

/* A second engine for which there is no memory does not take the first one's away. */
static void test_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    rz_error err;
    const int32_t ids[3] = {1, 2, 3};
    open_good(&f, 16);
    struct rz_backend *b = f.model->backend;
    const struct rz_backend_need need = {
        .max_tokens = 1u << 30, .max_cols = 1u << 28, .n_heads = 1, .n_kv_heads = 1};
    assert_int_equal(rz_session_feed(f.s[0], ids, 3, &err), RZ_OK);
    assert_int_equal(b->ops->reserve(b, &need, &err), RZ_ENOMEM);
    assert_int_equal(rz_session_feed(f.s[1], ids, 3, &err), RZ_OK);
    assert_memory_equal(rz_session_logits(f.s[1]), rz_session_logits(f.s[0]),
                        f.n_vocab * sizeof(float));
    free_engine(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_id),   cmocka_unit_test(test_refused_step),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_orders),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
