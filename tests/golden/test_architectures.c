/* test_architectures.c - every architecture against an independent engine: small models of random
 * weights, run in float64 by Hugging Face transformers (tools/oracle/random_models.py). The best
 * token after every position, all logits at some, a greedy continuation. */
#include "support/golden.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Weights are F32; float32 arithmetic in transformers itself is 2e-5 to 4e-5 away from float64. */
static const double logit_tolerance = 2e-4;

static const char *const names[] = {
    "qwen2",        "qwen2-untied", "qwen2-yarn", "llama",    "llama-linear",
    "llama-llama3", "llama-window", "qwen3",      "qwen2moe", "qwen3moe",
};

static void check_positions(struct golden_run *r, const json_t *want, const int32_t *ids, size_t n,
                            double *worst)
{
    size_t n_top;
    int32_t *top = golden_ids(json_object_get(want, "top1"), &n_top);
    float *all = malloc(n * r->n_vocab * sizeof *all);
    rz_error err;
    assert_non_null(all);
    assert_int_equal(n_top, n);
    if (rz_session_feed_all(r->session, ids, n, all, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(golden_argmax(all + i * r->n_vocab, r->n_vocab), top[i]);
    json_t *rows = json_object_get(want, "logits");
    for (void *it = json_object_iter(rows); it; it = json_object_iter_next(rows, it)) {
        const json_t *row = json_object_iter_value(it);
        size_t at = strtoul(json_object_iter_key(it), NULL, 10);
        assert_true(at < n);
        assert_int_equal(json_array_size(row), r->n_vocab);
        for (uint32_t i = 0; i < r->n_vocab; i++) {
            double x = json_number_value(json_array_get(row, i));
            *worst = fmax(*worst, fabs((double)all[at * r->n_vocab + i] - x));
        }
    }
    free(top);
    free(all);
}

static void check_model(const char *name)
{
    char path[GOLDEN_PATH_MAX], file[64];
    struct golden_run r;
    size_t n, n_greedy;
    double worst = 0;
    snprintf(file, sizeof file, "tests/golden/data/%s.json", name);
    golden_repo_path(path, file);
    json_t *want = golden_json(path);
    snprintf(file, sizeof file, "tests/golden/data/%s.gguf", name);
    golden_repo_path(path, file);
    golden_open(&r, path, 0, 0);
    int32_t *ids = golden_ids(json_object_get(want, "ids"), &n);
    int32_t *greedy = golden_ids(json_object_get(want, "greedy"), &n_greedy);
    check_positions(&r, want, ids, n, &worst);
    const float *logits = golden_logits(&r, ids, n);
    for (size_t i = 0; i < n_greedy; i++) {
        int32_t id = golden_argmax(logits, r.n_vocab);
        assert_int_equal(id, greedy[i]);
        assert_int_equal(rz_session_feed(r.session, &id, 1, NULL), RZ_OK);
        logits = rz_session_logits(r.session);
    }
    print_message("%-14s same best token at %zu positions, %zu greedy tokens; logits within %.2g\n",
                  name, n, n_greedy, worst);
    assert_true(worst <= logit_tolerance);
    free(ids);
    free(greedy);
    golden_close(&r);
    json_decref(want);
}

static void test_architectures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_model(names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_architectures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
