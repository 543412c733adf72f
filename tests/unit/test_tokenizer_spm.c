/* test_tokenizer_spm.c - the SentencePiece model against Google's sentencepiece (golden cases on a
 * small vocabulary), special tokens, the space prefix, byte and unknown fallback. */
#include "base/rng.h"
#include "formats/gguf.h"
#include "support/gguf_build.h"
#include "support/tok_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tok_model golden;

static int open_golden(void **state)
{
    char path[TT_PATH_MAX];
    (void)state;
    tt_open(&golden, tt_repo_path("tests/unit/data/tokenizer-spm.gguf", path));
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    tt_close(&golden);
    return 0;
}

static void test_golden(void **state)
{
    (void)state;
    char path[TT_PATH_MAX];
    json_t *cases = tt_load_json(tt_repo_path("tests/unit/data/tokenizer-spm-cases.json", path));
    json_t *row;
    size_t i, n_bad = 0;
    rz_ids ids = {0};
    rz_text out = {0};
    assert_true(json_array_size(cases) > 150);
    json_array_foreach(cases, i, row)
    {
        const json_t *text = json_object_get(row, "text");
        const char *s = json_string_value(text);
        size_t len = json_string_length(text);
        tt_encode(golden.tok, s, len, 0, &ids);
        n_bad += !tt_same_ids(&ids, json_object_get(row, "ids"), s);
        out.len = 0;
        tt_decode(golden.tok, &ids, false, &out);
        /* A mark in the text cannot be told from a space afterwards. */
        if (!strstr(s, "\xE2\x96\x81")) {
            assert_int_equal(out.len, len);
            assert_memory_equal(out.data, s, len);
        }
    }
    assert_int_equal(n_bad, 0);
    rz_ids_free(&ids);
    rz_text_free(&out);
    json_decref(cases);
}

static void expect(const rz_tokenizer *tok, const char *text, unsigned flags, const char *expected)
{
    rz_ids ids = {0};
    char have[256] = "";
    size_t n = 0;
    tt_encode(tok, text, strlen(text), flags, &ids);
    for (size_t i = 0; i < ids.len; i++)
        n += (size_t)snprintf(have + n, sizeof have - n, "%s%d", i ? " " : "", ids.data[i]);
    assert_string_equal(have, expected);
    rz_ids_free(&ids);
}

static void test_defaults(void **state)
{
    (void)state;
    const rz_tokenizer *tok = golden.tok;
    assert_string_equal(rz_tokenizer_model(tok), "llama");
    assert_string_equal(rz_tokenizer_pre(tok), "");
    assert_true(rz_tokenizer_add_bos(tok));
    assert_int_equal(rz_tokenizer_bos(tok), 1);
    assert_int_equal(rz_tokenizer_eos(tok), 2);
    assert_true(rz_tokenizer_is_end(tok, 2));
    assert_false(rz_tokenizer_is_end(tok, 1));
    assert_int_equal(rz_tokenizer_find(tok, "</s>"), 2);
    expect(tok, "", RZ_ENCODE_BOS_EOS, "1");
    expect(tok, "</s>", RZ_ENCODE_SPECIAL, "2");
    expect(tok, "</s>", RZ_ENCODE_SPECIAL | RZ_ENCODE_BOS_EOS, "1 2");
    int32_t nul = rz_tokenizer_find(tok, "<0x00>");
    rz_slice bytes = rz_tokenizer_bytes(tok, nul);
    assert_int_equal(bytes.len, 1);
    assert_int_equal(bytes.data[0], 0);
    assert_int_equal(rz_tokenizer_find(tok, "<0x0>"), -1);
}

/* A vocabulary by hand: what one piece more or less does. */
struct small {
    struct gguf_build build;
    rz_file *file;
    rz_tokenizer *tok;
};

static const char *const pieces[] = {
    "<unk>", "<s>", "</s>", "\xE2\x96\x81", "a", "b", "ab", "\xE2\x96\x81\x61", "<x>", "aa"};
static const float scores[] = {0, 0, 0, -9, -8, -7, -1, -2, 0, -2};
static const int32_t types[] = {2, 3, 3, 1, 1, 1, 1, 1, 4, 1};

static void small_open(struct small *m, const char *extra_key, bool extra)
{
    const size_t n = sizeof pieces / sizeof *pieces;
    gb_init(&m->build);
    gb_string(&m->build, "tokenizer.ggml.model", "llama");
    gb_strings(&m->build, "tokenizer.ggml.tokens", pieces, n);
    gb_numbers(&m->build, "tokenizer.ggml.scores", GB_F32, scores, n);
    gb_numbers(&m->build, "tokenizer.ggml.token_type", GB_I32, types, n);
    if (extra_key)
        gb_bool(&m->build, extra_key, extra);
    size_t len;
    rz_error err = {0};
    const uint8_t *data = gb_build(&m->build, &len);
    if (rz_gguf_open_memory(&m->file, "small", data, len, &err) ||
        rz_tokenizer_new(&m->tok, m->file, &err))
        fail_msg("%s", err.text);
}

static void small_close(struct small *m)
{
    rz_tokenizer_free(&m->tok);
    rz_file_close(&m->file);
    gb_fini(&m->build);
}

static void test_small(void **state)
{
    (void)state;
    struct small m;
    small_open(&m, NULL, false);
    expect(m.tok, "a", 0, "7");
    expect(m.tok, "ab", 0, "3 6"); /* ab outranks the mark and a */
    expect(m.tok, "aab", 0, "7 6");
    expect(m.tok, "aaa", 0, "7 9");    /* equal scores: the leftmost first */
    expect(m.tok, "a?!b", 0, "7 0 5"); /* unknown characters fuse */
    expect(m.tok, "a b", 0, "7 3 5");
    expect(m.tok, "a<x>b", 0, "7 8 3 5"); /* user-defined; the prefix comes again behind it */
    expect(m.tok, "<s>a", 0, "3 0 4");
    expect(m.tok, "<s>a", RZ_ENCODE_SPECIAL, "1 7");
    expect(m.tok, "a", RZ_ENCODE_BOS_EOS, "1 7");
    small_close(&m);
    small_open(&m, "tokenizer.ggml.add_space_prefix", false);
    expect(m.tok, "a", 0, "4");
    expect(m.tok, " a", 0, "7");
    small_close(&m);
    small_open(&m, "tokenizer.ggml.add_bos_token", false);
    expect(m.tok, "a", RZ_ENCODE_BOS_EOS, "7");
    small_close(&m);
    small_open(&m, "tokenizer.ggml.add_eos_token", true);
    expect(m.tok, "a", RZ_ENCODE_BOS_EOS, "1 7 2");
    expect(m.tok, "a", 0, "7");
    small_close(&m);
}

/* Long words by the heap, and the whole text as one word where a piece crosses words. */
static void test_long(void **state)
{
    (void)state;
    enum {
        LEN = 1 << 18
    };
    char *text = malloc(LEN);
    assert_non_null(text);
    rz_ids ids = {0};
    rz_text out = {0};
    static const char alphabet[] = "ab \xC3\xA9";
    struct rz_rng rng = {5};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < LEN; i++)
            text[i] = round == 0 ? 'a' : alphabet[rz_rng_below(&rng, round == 1 ? 2 : 3)];
        tt_encode(golden.tok, text, LEN, 0, &ids);
        out.len = 0;
        tt_decode(golden.tok, &ids, false, &out);
        assert_int_equal(out.len, LEN);
        assert_memory_equal(out.data, text, LEN);
    }
    free(text);
    rz_ids_free(&ids);
    rz_text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden),
                                       cmocka_unit_test(test_defaults),
                                       cmocka_unit_test(test_small), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
