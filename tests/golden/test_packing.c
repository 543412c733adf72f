/* test_packing.c - packed copies of the weights change no bit: with them and without, at the
 * product that packs and at later ones, with any number of threads and tokens; nor do files that
 * hold the weights packed. */
#include "support/golden.h"

#include <realizar/convert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    N = 20 /* tokens */
};

static const char *const subjects[] = {
    "tests/golden/data/qwen2.gguf",
    "tests/golden/data/qwen2-untied.gguf",
    "tests/golden/data/qwen2moe.gguf",
    "tests/golden/data/qwen3moe.gguf",
    "models/demo.gguf",
};

/* How a model is computed with. */
struct how {
    bool no_packing;
    unsigned cpu_mask; /* 0: all */
    uint32_t n_threads;
    size_t first; /* tokens that are fed at first */
};

/* Logits after each of N tokens, fed `first` at a time and then one by one, twice. */
static float *run_as(const char *path, const struct how *how)
{
    rz_model *model = NULL;
    rz_engine *engine = NULL;
    rz_session *session = NULL;
    rz_error err = {0};
    rz_model_options options = rz_model_options_default();
    options.no_packing = how->no_packing;
    options.n_threads = how->n_threads;
    if (how->cpu_mask)
        options.cpu_mask = how->cpu_mask;
    if (rz_model_open(&model, path, &options, &err) || rz_engine_new(&engine, model, NULL, &err) ||
        rz_session_new(&session, engine, &err))
        fail_msg("%s", err.text);
    const uint32_t n_vocab = rz_model_get_info(model)->n_vocab;
    float *all = calloc(2 * (size_t)N * n_vocab, sizeof *all);
    assert_non_null(all);
    for (size_t pass = 0; pass < 2; pass++) {
        rz_session_truncate(session, 0);
        for (size_t i = 0, n; i < N; i += n) {
            int32_t ids[N];
            n = i == 0 ? how->first : 1;
            for (size_t j = 0; j < n; j++)
                ids[j] = (int32_t)((i + j) * 7919 % n_vocab);
            if (rz_session_feed_all(session, ids, n, all + (pass * N + i) * n_vocab, &err))
                fail_msg("%s", err.text);
        }
    }
    assert_memory_equal(all, all + (size_t)N * n_vocab, (size_t)N * n_vocab * sizeof *all);
    rz_session_free(&session);
    rz_engine_free(&engine);
    rz_model_close(&model);
    return all;
}

static float *run(const char *path, bool no_packing, uint32_t n_threads, size_t first)
{
    const struct how how = {.no_packing = no_packing, .n_threads = n_threads, .first = first};
    return run_as(path, &how);
}

static void write_packed(const char *from, const char *to, rz_packing packing)
{
    rz_file *file = NULL;
    rz_error err = {0};
    rz_convert_options o = rz_convert_options_default();
    o.packing = packing;
    o.overwrite = true;
    if (rz_file_open(&file, from, &err) || rz_convert(file, to, &o, NULL, &err))
        fail_msg("%s", err.text);
    rz_file_close(&file);
}

/* .apr files that hold the layout itself: the same bits, products of rows included. */
static void test_packed_files(void **state)
{
    (void)state;
    static const char *const levels[] = {"scalar", "avx2", "amx"};
    const char *tmp = getenv("TMPDIR");
    char to[128], path[GOLDEN_PATH_MAX];
    snprintf(to, sizeof to, "%.40s/rz-packing-XXXXXX", tmp ? tmp : "/tmp");
    const int fd = mkstemp(to);
    assert_true(fd >= 0);
    close(fd);
    unlink(to);
    snprintf(to + strlen(to), 8, ".apr");
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        struct golden_run r;
        golden_repo_path(path, subjects[i]);
        golden_open(&r, path, 0, 1);
        const size_t bytes = (size_t)N * r.n_vocab * sizeof(float);
        golden_close(&r);
        for (size_t k = 0; k < 2 * sizeof levels / sizeof levels[0]; k++) {
            rz_error err = {0};
            struct how how = {.n_threads = 2, .first = 1 + 6 * k % 3};
            assert_int_equal(rz_cpu_level_mask(levels[k / 2], &how.cpu_mask, &err), RZ_OK);
            write_packed(path, to, k % 2 ? RZ_PACK_ONLY : RZ_PACK_ALSO);
            float *want = run_as(path, &how), *got = run_as(to, &how);
            how.no_packing = true;
            float *other = run_as(to, &how);
            assert_memory_equal(got, want, bytes);
            assert_memory_equal(other, want, bytes);
            free(want);
            free(got);
            free(other);
        }
    }
    unlink(to);
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        char path[GOLDEN_PATH_MAX];
        struct golden_run r;
        golden_repo_path(path, subjects[i]);
        golden_open(&r, path, 0, 1);
        const size_t bytes = (size_t)N * r.n_vocab * sizeof(float);
        golden_close(&r);
        float *want = run(path, true, 1, 1);
        for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
            for (size_t first = 1; first <= N; first += n_threads * 6) {
                float *got = run(path, false, n_threads, first);
                float *other = run(path, true, n_threads, first);
                assert_memory_equal(got, want, bytes);
                assert_memory_equal(other, want, bytes);
                free(got);
                free(other);
            }
        }
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_packed_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
