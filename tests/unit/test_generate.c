/* test_generate.c - stop strings against a naive search over random texts cut at random places, and
 * the generation loop on the demo model. */
#include "base/rng.h"
#include "engine/generate_stop.h"

#include <math.h>
#include <realizar/engine.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- stop strings -------------------------------------------------------------------------- */

/* The end of the first stop string that is complete, reading byte by byte; the longest if several
 * end there. False if there is none. */
static bool naive_stop(const char *text, size_t len, const char *const *stops, size_t n,
                       size_t *end, size_t *stop_len)
{
    for (size_t e = 1; e <= len; e++) {
        size_t best = 0;
        for (size_t i = 0; i < n; i++) {
            size_t l = strlen(stops[i]);
            if (l <= e && memcmp(text + e - l, stops[i], l) == 0 && l > best)
                best = l;
        }
        if (best) {
            *end = e;
            *stop_len = best;
            return true;
        }
    }
    return false;
}

/* The longest end of the text that is a proper beginning of a stop string. */
static size_t naive_held(const char *text, size_t len, const char *const *stops, size_t n)
{
    size_t held = 0;
    for (size_t i = 0; i < n; i++) {
        size_t l = strlen(stops[i]);
        for (size_t k = 1; k < l && k <= len; k++)
            if (memcmp(text + len - k, stops[i], k) == 0 && k > held)
                held = k;
    }
    return held;
}

static void random_text(struct rz_rng *rng, char *out, size_t len, unsigned n_letters)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + rz_rng_below(rng, n_letters));
    out[len] = '\0';
}

static void check_random_case(struct rz_rng *rng)
{
    char text[201], memory[4][12];
    const char *stops[4];
    unsigned n_letters = 1 + (unsigned)rz_rng_below(rng, 3);
    size_t n = rz_rng_below(rng, 5), len = rz_rng_below(rng, 201);
    random_text(rng, text, len, n_letters);
    for (size_t i = 0; i < n; i++) {
        random_text(rng, memory[i], 1 + rz_rng_below(rng, 11), n_letters);
        stops[i] = memory[i];
    }
    size_t want_end = 0, want_len = 0, end = 0, stop_len = 0, done = 0;
    bool want = naive_stop(text, len, stops, n, &want_end, &want_len), found = false;
    struct rz_stops s;
    assert_int_equal(rz_stops_init(&s, stops, n, NULL), RZ_OK);
    while (done < len && !found) {
        size_t piece = 1 + rz_rng_below(rng, 6);
        piece = piece > len - done ? len - done : piece;
        found = rz_stops_feed(&s, text + done, piece, &end, &stop_len);
        if (found)
            end += done;
        done += piece;
        if (!found)
            assert_int_equal(rz_stops_held(&s), naive_held(text, done, stops, n));
    }
    assert_int_equal(found, want);
    if (want) {
        assert_int_equal(end, want_end);
        assert_int_equal(stop_len, want_len);
    }
    rz_stops_fini(&s);
}

static void test_stops_match_naive(void **state)
{
    (void)state;
    struct rz_rng rng = {.state = 77};
    for (int i = 0; i < 20000; i++)
        check_random_case(&rng);
}

static void test_stops_bad(void **state)
{
    (void)state;
    static char longest[RZ_MAX_STOP_BYTES + 2];
    memset(longest, 'x', RZ_MAX_STOP_BYTES + 1);
    const char *many[RZ_MAX_STOPS + 1], *empty[] = {"a", ""}, *cut[] = {"\xE2\x82"};
    const char *too_long[] = {longest};
    for (int i = 0; i <= RZ_MAX_STOPS; i++)
        many[i] = "stop";
    struct rz_stops s;
    rz_error err;
    assert_int_equal(rz_stops_init(&s, many, RZ_MAX_STOPS + 1, &err), RZ_EUSAGE);
    assert_int_equal(rz_stops_init(&s, empty, 2, &err), RZ_EUSAGE);
    assert_string_equal(err.text, "stop string 2 is empty");
    assert_int_equal(rz_stops_init(&s, cut, 1, &err), RZ_EUSAGE);
    assert_int_equal(rz_stops_init(&s, too_long, 1, &err), RZ_EUSAGE);
    longest[RZ_MAX_STOP_BYTES] = '\0';
    assert_int_equal(rz_stops_init(&s, too_long, 1, &err), RZ_OK);
    size_t end, len;
    assert_false(rz_stops_feed(&s, longest, RZ_MAX_STOP_BYTES - 1, &end, &len));
    assert_int_equal(rz_stops_held(&s), RZ_MAX_STOP_BYTES - 1);
    assert_true(rz_stops_feed(&s, longest, 1, &end, &len));
    assert_int_equal(len, RZ_MAX_STOP_BYTES);
    rz_stops_fini(&s);
}

/* ---- the loop on the demo model ------------------------------------------------------------ */

struct fixture {
    rz_model *model;
    rz_engine *engine;
    rz_session *session;
    rz_sampler *greedy;
};

static int setup(void **state)
{
    static struct fixture f;
    const char *root = getenv("RZ_SOURCE_DIR");
    char path[4096];
    rz_error err = {0};
    snprintf(path, sizeof path, "%s/models/demo.gguf", root ? root : RZ_SOURCE_DIR);
    rz_model_options mo = rz_model_options_default();
    mo.n_threads = 1;
    rz_engine_options eo = rz_engine_options_default();
    eo.n_ctx = 100;
    rz_sampler_options so = rz_sampler_options_default();
    if (rz_model_open(&f.model, path, &mo, &err) || rz_engine_new(&f.engine, f.model, &eo, &err) ||
        rz_session_new(&f.session, f.engine, &err) ||
        rz_sampler_new(&f.greedy, rz_model_get_info(f.model)->n_vocab, &so, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rz_sampler_free(&f->greedy);
    rz_session_free(&f->session);
    rz_engine_free(&f->engine);
    rz_model_close(&f->model);
    return 0;
}

static const char prompt[] = "<|im_start|>user\nWrite a Rust function to calculate "
                             "factorial<|im_end|>\n<|im_start|>assistant\n";

static void feed_prompt(struct fixture *f)
{
    rz_ids ids = {0};
    rz_error err;
    const rz_tokenizer *tok = rz_model_get_tokenizer(f->model);
    if (rz_tokenizer_encode(tok, prompt, strlen(prompt), RZ_ENCODE_SPECIAL, &ids, &err) ||
        rz_session_sync(f->session, ids.data, ids.len, NULL, &err))
        fail_msg("%s", err.text);
    rz_ids_free(&ids);
}

struct heard {
    char text[4096];
    size_t len;
    int n_calls, stop_after; /* 0: never */
    int32_t last_id;
};

static bool hear(void *ctx, const char *text, size_t len, int32_t id)
{
    struct heard *h = ctx;
    assert_true(h->len + len < sizeof h->text);
    memcpy(h->text + h->len, text, len);
    h->len += len;
    h->text[h->len] = '\0';
    h->last_id = id;
    return ++h->n_calls != h->stop_after;
}

static rz_generation generate(struct fixture *f, rz_generate_options *o, struct heard *h)
{
    rz_generation g;
    rz_error err;
    o->on_text = hear;
    o->ctx = h;
    if (rz_generate(f->session, f->greedy, o, &g, &err))
        fail_msg("%s", err.text);
    assert_int_equal(h->n_calls, (int)g.ids.len); /* one call per token */
    assert_int_equal(h->last_id, g.ids.data[g.ids.len - 1]);
    assert_int_equal(h->len, g.text.len);
    assert_memory_equal(h->text, g.text.data, g.text.len);
    assert_int_equal(g.text.data[g.text.len], '\0');
    assert_true(g.first_token_s >= 0 && g.rest_s >= 0);
    return g;
}

static void test_end_token(void **state)
{
    struct fixture *f = *state;
    struct heard h = {0};
    rz_generate_options o = {0};
    size_t n_before, n_after;
    feed_prompt(f);
    rz_session_ids(f->session, &n_before);
    rz_generation g = generate(f, &o, &h);
    assert_int_equal(g.finish, RZ_FINISH_END);
    assert_true(rz_tokenizer_is_end(rz_model_get_tokenizer(f->model), h.last_id));
    assert_non_null(strstr(g.text.data, "fn factorial"));
    assert_null(strstr(g.text.data, "<|im_end|>"));
    rz_session_ids(f->session, &n_after);
    assert_int_equal(n_after, n_before + g.ids.len - 1); /* the end token is not fed */
    char *whole = strdup(g.text.data);
    rz_generation_free(&g);

    h = (struct heard){0};
    o.keep_special = true;
    feed_prompt(f);
    g = generate(f, &o, &h);
    assert_int_equal(strlen(whole) + strlen("<|im_end|>"), g.text.len);
    assert_memory_equal(g.text.data, whole, strlen(whole));
    assert_string_equal(g.text.data + strlen(whole), "<|im_end|>");
    rz_generation_free(&g);
    free(whole);
}

static void test_max_tokens(void **state)
{
    struct fixture *f = *state;
    size_t n_before, n_after;
    for (size_t n = 1; n <= 5; n++) {
        struct heard h = {0};
        rz_generate_options o = {.max_tokens = n};
        feed_prompt(f);
        rz_session_ids(f->session, &n_before);
        rz_generation g = generate(f, &o, &h);
        assert_int_equal(g.finish, RZ_FINISH_LENGTH);
        assert_int_equal(g.ids.len, n);
        rz_session_ids(f->session, &n_after);
        assert_int_equal(n_after, n_before + n - 1); /* the last one is not fed */
        rz_generation_free(&g);
    }
}

/* Stop strings cut the text exactly before them, wherever token borders are; a text that only
 * begins like one is not lost. */
static void test_stops_in_text(void **state)
{
    struct fixture *f = *state;
    struct heard h = {0};
    rz_generate_options o = {0};
    feed_prompt(f);
    rz_generation whole = generate(f, &o, &h);
    assert_true(whole.text.len > 30);
    for (size_t begin = 0; begin + 9 < whole.text.len; begin += 9) {
        for (size_t len = 1; len <= 9; len += 4) {
            char stop[16] = {0}, never[16] = {0};
            memcpy(stop, whole.text.data + begin, len);
            memcpy(never, whole.text.data + begin, len);
            never[len] = '\x7F';
            const char *stops[] = {never, stop};
            o.stops = stops;
            o.n_stops = 2;
            h = (struct heard){0};
            feed_prompt(f);
            rz_generation g = generate(f, &o, &h);
            size_t want = (size_t)(strstr(whole.text.data, stop) - whole.text.data);
            assert_int_equal(g.finish, RZ_FINISH_STOP);
            assert_int_equal(g.text.len, want);
            assert_memory_equal(g.text.data, whole.text.data, want);
            rz_generation_free(&g);
            o.n_stops = 1; /* the one that never comes */
            h = (struct heard){0};
            feed_prompt(f);
            g = generate(f, &o, &h);
            assert_int_equal(g.finish, RZ_FINISH_END);
            assert_string_equal(g.text.data, whole.text.data);
            rz_generation_free(&g);
        }
    }
    rz_generation_free(&whole);
}

/* 100 positions: the session ends up full and the last token, which is not fed, is still given. */
static void test_context_full(void **state)
{
    struct fixture *f = *state;
    struct heard h = {0};
    rz_generate_options o = {.ignore_end = true};
    size_t n_before, n_after;
    feed_prompt(f);
    rz_session_ids(f->session, &n_before);
    rz_generation g = generate(f, &o, &h);
    assert_int_equal(g.finish, RZ_FINISH_CONTEXT);
    rz_session_ids(f->session, &n_after);
    assert_int_equal(n_after, 100);
    assert_int_equal(g.ids.len, 100 - n_before + 1);
    rz_generation_free(&g);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct heard h = {.stop_after = 3};
    rz_generate_options o = {0};
    feed_prompt(f);
    rz_generation g = generate(f, &o, &h);
    assert_int_equal(g.finish, RZ_FINISH_CANCEL);
    assert_int_equal(g.ids.len, 3);
    rz_generation_free(&g);
}

static void test_bad_calls(void **state)
{
    struct fixture *f = *state;
    rz_generation g;
    rz_error err;
    const char *stops[] = {""};
    rz_generate_options o = {.stops = stops, .n_stops = 1};
    feed_prompt(f);
    assert_int_equal(rz_generate(f->session, f->greedy, &o, &g, &err), RZ_EUSAGE);
    rz_generation_free(&g);
    rz_session_truncate(f->session, 0);
    o.n_stops = 0;
    assert_int_equal(rz_generate(f->session, f->greedy, &o, &g, &err), RZ_EUSAGE);
    rz_generation_free(&g);
}

/* A seed makes a sampled text reproducible, whatever the number of threads. */
static void test_seed_and_threads(void **state)
{
    struct fixture *f = *state;
    char *texts[3] = {0};
    for (int i = 0; i < 3; i++) {
        struct fixture other = *f;
        rz_error err;
        rz_model_options mo = rz_model_options_default();
        mo.n_threads = (uint32_t)i + 1;
        rz_sampler_options so = rz_sampler_options_default();
        so.temperature = 1.5f;
        so.seed = 123;
        rz_engine_options eo = rz_engine_options_default();
        eo.n_ctx = 100;
        if (rz_model_open(&other.model, rz_file_path(rz_model_get_file(f->model)), &mo, &err) ||
            rz_engine_new(&other.engine, other.model, &eo, &err) ||
            rz_session_new(&other.session, other.engine, &err) ||
            rz_sampler_new(&other.greedy, rz_model_get_info(f->model)->n_vocab, &so, &err))
            fail_msg("%s", err.text);
        struct heard h = {0};
        rz_generate_options o = {.max_tokens = 40, .ignore_end = true};
        feed_prompt(&other);
        rz_generation g = generate(&other, &o, &h);
        texts[i] = strdup(g.text.data);
        rz_generation_free(&g);
        void *p = &other;
        teardown(&p);
        assert_string_equal(texts[i], texts[0]);
    }
    for (int i = 0; i < 3; i++)
        free(texts[i]);
}

static void test_finish_names(void **state)
{
    (void)state;
    static const char *const names[] = {"end", "stop", "length", "context", "cancel"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(rz_finish_name((rz_finish)i), names[i]);
}

int main(void)
{
    const struct CMUnitTest pure[] = {
        cmocka_unit_test(test_stops_match_naive),
        cmocka_unit_test(test_stops_bad),
        cmocka_unit_test(test_finish_names),
    };
    const struct CMUnitTest demo[] = {
        cmocka_unit_test(test_end_token),        cmocka_unit_test(test_max_tokens),
        cmocka_unit_test(test_stops_in_text),    cmocka_unit_test(test_context_full),
        cmocka_unit_test(test_cancel),           cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_seed_and_threads),
    };
    int failed = cmocka_run_group_tests_name("stop strings", pure, NULL, NULL);
    return failed + cmocka_run_group_tests_name("demo model", demo, setup, teardown);
}
