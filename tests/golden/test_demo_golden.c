/* test_demo_golden.c - the demo model against float64 arithmetic on the weights of its file
 * (tests/golden/data/demo.json, made by tools/oracle/golden.py): best tokens with their logits,
 * greedy continuations, text of them, perplexity. */
#include "support/golden.h"

#include <jansson.h>
#include <math.h>
#include <realizar/check.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 8-bit activations move this model's logits, of a spread of some units, by a few hundredths; the
 * best tokens by less than what separates them from the next. */
static const double logit_tolerance = 0.15;
static const double perplexity_tolerance = 0.005;

struct fixture {
    struct golden_run run;
    json_t *want;
};

static int setup(void **state)
{
    static struct fixture f;
    char path[GOLDEN_PATH_MAX];
    golden_repo_path(path, "tests/golden/data/demo.json");
    f.want = golden_json(path);
    golden_repo_path(path, "models/demo.gguf");
    golden_open(&f.run, path, 0, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    golden_close(&f->run);
    json_decref(f->want);
    return 0;
}

static void check_prompt_ids(struct fixture *f, const json_t *c, const int32_t *ids, size_t n)
{
    const char *prompt = json_string_value(json_object_get(c, "prompt"));
    rz_ids got = {0};
    rz_error err;
    if (rz_tokenizer_encode(rz_model_get_tokenizer(f->run.model), prompt, strlen(prompt),
                            RZ_ENCODE_SPECIAL, &got, &err))
        fail_msg("%s", err.text);
    assert_int_equal(got.len, n);
    assert_memory_equal(got.data, ids, n * sizeof *ids);
    rz_ids_free(&got);
}

/* Returns the largest difference among the best tokens. */
static double check_top(const json_t *top, const float *logits, uint32_t n_vocab)
{
    double worst = 0;
    for (size_t i = 0; i < json_array_size(top); i++) {
        const json_t *pair = json_array_get(top, i);
        int32_t id = (int32_t)json_integer_value(json_array_get(pair, 0));
        double want = json_number_value(json_array_get(pair, 1));
        worst = fmax(worst, fabs((double)logits[id] - want));
        if (i == 0)
            assert_int_equal(golden_argmax(logits, n_vocab), id);
    }
    return worst;
}

static void check_greedy(struct fixture *f, const json_t *c, const int32_t *ids, size_t n)
{
    size_t n_want;
    int32_t *want = golden_ids(json_object_get(c, "greedy"), &n_want);
    int32_t *got = malloc(n_want * sizeof *got);
    assert_non_null(got);
    size_t n_got = golden_greedy(&f->run, ids, n, got, n_want);
    assert_int_equal(n_got, n_want);
    for (size_t i = 0; i < n_want; i++)
        if (got[i] != want[i])
            fail_msg("case %s: token %zu is %d, expected %d",
                     json_string_value(json_object_get(c, "name")), i, got[i], want[i]);
    rz_detok d;
    rz_text text = {0};
    rz_detok_init(&d, rz_model_get_tokenizer(f->run.model), true);
    for (size_t i = 0; i < n_got; i++)
        assert_int_equal(rz_detok_feed(&d, got[i], &text, NULL), RZ_OK);
    assert_int_equal(rz_detok_finish(&d, &text, NULL), RZ_OK);
    assert_string_equal(text.data, json_string_value(json_object_get(c, "greedy_text")));
    rz_text_free(&text);
    free(want);
    free(got);
}

static void test_cases(void **state)
{
    struct fixture *f = *state;
    const json_t *cases = json_object_get(f->want, "cases");
    double worst = 0;
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        size_t n;
        int32_t *ids = golden_ids(json_object_get(c, "ids"), &n);
        check_prompt_ids(f, c, ids, n);
        const float *logits = golden_logits(&f->run, ids, n);
        worst = fmax(worst, check_top(json_object_get(c, "top"), logits, f->run.n_vocab));
        check_greedy(f, c, ids, n);
        free(ids);
    }
    print_message("demo: %zu greedy continuations identical; best tokens' logits within %.4f\n",
                  json_array_size(cases), worst);
    assert_true(worst <= logit_tolerance);
}

static void test_perplexity(void **state)
{
    struct fixture *f = *state;
    size_t n;
    int32_t *ids = golden_ids(json_object_get(f->want, "held_out_ids"), &n);
    double want = json_number_value(json_object_get(f->want, "perplexity"));
    rz_perplexity p;
    rz_error err;
    rz_session_free(&f->run.session);
    if (rz_eval_perplexity(f->run.engine, ids, n, 0, &p, &err))
        fail_msg("%s", err.text);
    print_message("demo: perplexity %.6f, float64 %.6f: %+.3f %%\n", p.perplexity, want,
                  100 * (p.perplexity / want - 1));
    assert_int_equal(p.n_scored, n - 1);
    assert_true(fabs(p.perplexity / want - 1) <= perplexity_tolerance);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_perplexity),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
