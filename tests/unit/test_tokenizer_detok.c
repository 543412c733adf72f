/* test_tokenizer_detok.c - the streaming detokenizer: it gives what Python's
 * bytes.decode("utf-8", errors="replace") gives of all bytes together, never cuts a character, and
 * knows about special tokens and SentencePiece's first space. */
#include "base/rng.h"
#include "base/utf8.h"
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

enum {
    N_BYTES = 256,
    ID_CONTROL = N_BYTES,
    ID_USER = N_BYTES + 1,
    N_TOKENS = N_BYTES + 2
};

static struct gguf_build build;
static struct tok_model bytewise; /* id b is byte b */

/* The byte-level alphabet as GPT-2's encoder.py builds it. */
static void write_byte(unsigned b, unsigned *n_shifted, char out[5])
{
    bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    uint32_t cp = itself ? b : 256 + (*n_shifted)++;
    out[rz_utf8_encode(cp, out)] = '\0';
}

static int open_bytewise(void **state)
{
    (void)state;
    static char text[N_BYTES][5];
    const char *tokens[N_TOKENS];
    int32_t types[N_TOKENS];
    unsigned n_shifted = 0;
    for (unsigned b = 0; b < N_BYTES; b++) {
        write_byte(b, &n_shifted, text[b]);
        tokens[b] = text[b];
        types[b] = 1;
    }
    tokens[ID_CONTROL] = "<|end|>";
    types[ID_CONTROL] = 3;
    tokens[ID_USER] = "<tool \xC3\xA9>";
    types[ID_USER] = 4;
    gb_init(&build);
    gb_string(&build, "tokenizer.ggml.model", "gpt2");
    gb_string(&build, "tokenizer.ggml.pre", "gpt-2");
    gb_strings(&build, "tokenizer.ggml.tokens", tokens, N_TOKENS);
    gb_numbers(&build, "tokenizer.ggml.token_type", GB_I32, types, N_TOKENS);
    gb_strings(&build, "tokenizer.ggml.merges", NULL, 0);
    size_t len;
    rz_error err = {0};
    const uint8_t *data = gb_build(&build, &len);
    if (rz_gguf_open_memory(&bytewise.file, "bytes", data, len, &err) ||
        rz_tokenizer_new(&bytewise.tok, bytewise.file, &err)) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_bytewise(void **state)
{
    (void)state;
    tt_close(&bytewise);
    gb_fini(&build);
    return 0;
}

static void test_alphabet(void **state)
{
    (void)state;
    for (int b = 0; b < N_BYTES; b++) {
        rz_slice bytes = rz_tokenizer_bytes(bytewise.tok, b);
        assert_int_equal(bytes.len, 1);
        assert_int_equal((uint8_t)bytes.data[0], b);
    }
}

static void expect_decode(const char *bytes, size_t len, const char *expected)
{
    rz_ids ids = {0};
    rz_text out = {0};
    ids.data = calloc(len + 1, sizeof *ids.data);
    assert_non_null(ids.data);
    for (size_t i = 0; i < len; i++)
        ids.data[ids.len++] = (uint8_t)bytes[i];
    tt_decode(bytewise.tok, &ids, false, &out);
    assert_string_equal(out.data ? out.data : "", expected);
    rz_ids_free(&ids);
    rz_text_free(&out);
}

#define R "\xEF\xBF\xBD"

/* Expected texts are CPython's. */
static void test_replacement(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"abc", "abc"},
        {"\xE4\xB8\xAD", "\xE4\xB8\xAD"},
        {"\x80", R},
        {"\xC0\x80", R R},
        {"\xC3", R},
        {"\xC3(", R "("},
        {"\xE2\x82", R},
        {"\xE2\x82"
         "a",
         R "a"},
        {"\xE2\x28\xA1", R "(" R},
        {"\xE0\x80\x80", R R R},
        {"\xED\xA0\x80", R R R},
        {"\xF0\x9F\x91", R},
        {"\xF0\x9F\x91\xF0\x9F\x91\x8D", R "\xF0\x9F\x91\x8D"},
        {"\xF0\x80\x80\x80", R R R R},
        {"\xF4\x90\x80\x80", R R R R},
        {"\xF5\x80", R R},
        {"\xFF\xFE", R R},
        {"\xC3\xC3\xA9", R "\xC3\xA9"},
        {"\xE4\xE4\xB8\xAD", R "\xE4\xB8\xAD"},
        {"\xE4\xB8\xC3\xA9", R "\xC3\xA9"},
        {"a\xF0\x9F\x98\x80z", "a\xF0\x9F\x98\x80z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_decode(rows[i].bytes, strlen(rows[i].bytes), rows[i].text);
}

/* Whatever the ids, what has come out so far is valid UTF-8 after each, and nothing waits longer
 * than it must: valid text comes out character by character. */
static void test_never_cuts(void **state)
{
    (void)state;
    struct rz_rng rng = {17};
    for (int round = 0; round < 3000; round++) {
        rz_detok d;
        rz_text out = {0};
        rz_detok_init(&d, bytewise.tok, round % 2);
        for (int i = 0; i < 40; i++) {
            uint64_t kind = rz_rng_below(&rng, 4);
            int32_t id = (int32_t)(kind == 0   ? rz_rng_below(&rng, N_TOKENS)
                                   : kind == 1 ? 0x80 + rz_rng_below(&rng, 64)
                                   : kind == 2 ? 0xC2 + rz_rng_below(&rng, 0x33)
                                               : 'a');
            assert_int_equal(rz_detok_feed(&d, id, &out, NULL), RZ_OK);
            assert_true(d.n_pending <= 3);
            assert_int_equal(rz_utf8_valid(out.data ? out.data : "", out.len), out.len);
        }
        assert_int_equal(rz_detok_finish(&d, &out, NULL), RZ_OK);
        assert_int_equal(d.n_pending, 0);
        rz_text_free(&out);
    }
}

static void test_prompt(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x91\x8Dz";
    rz_detok d;
    rz_text out = {0};
    rz_detok_init(&d, bytewise.tok, false);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_int_equal(rz_detok_feed(&d, (uint8_t)text[i], &out, NULL), RZ_OK);
        assert_int_equal(out.len, rz_utf8_valid(text, i + 1));
    }
    rz_text_free(&out);
}

static void test_special(void **state)
{
    (void)state;
    int32_t data[] = {'a', ID_CONTROL, ID_USER, 'b', -1, N_TOKENS, ID_CONTROL};
    rz_ids ids = {data, sizeof data / sizeof *data, 0};
    rz_text out = {0};
    tt_decode(bytewise.tok, &ids, false, &out);
    assert_string_equal(out.data, "a<tool \xC3\xA9>b");
    out.len = 0;
    tt_decode(bytewise.tok, &ids, true, &out);
    assert_string_equal(out.data, "a<|end|><tool \xC3\xA9>b<|end|>");
    rz_text_free(&out);
    assert_true(rz_tokenizer_is_end(bytewise.tok, ID_CONTROL));
    assert_int_equal(rz_tokenizer_find(bytewise.tok, "<tool \xC3\xA9>"), ID_USER);
}

/* A special token left out between two halves of a character does not part them. */
static void test_special_inside(void **state)
{
    (void)state;
    int32_t data[] = {0xC3, ID_CONTROL, 0xA9};
    rz_ids ids = {data, 3, 0};
    rz_text out = {0};
    tt_decode(bytewise.tok, &ids, false, &out);
    assert_string_equal(out.data, "\xC3\xA9");
    out.len = 0;
    tt_decode(bytewise.tok, &ids, true, &out);
    assert_string_equal(out.data, R "<|end|>" R);
    rz_text_free(&out);
}

static void test_first_space(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<unk>",          "<s>",    "</s>",   "\xE2\x96\x81",
                                         "\xE2\x96\x81hi", "<0xE2>", "<0x82>", "<0xAC>"};
    static const int32_t types[] = {2, 3, 3, 1, 1, 6, 6, 6};
    static const float scores[8] = {0};
    struct gguf_build b;
    struct tok_model m;
    size_t len;
    gb_init(&b);
    gb_string(&b, "tokenizer.ggml.model", "llama");
    gb_strings(&b, "tokenizer.ggml.tokens", pieces, 8);
    gb_numbers(&b, "tokenizer.ggml.scores", GB_F32, scores, 8);
    gb_numbers(&b, "tokenizer.ggml.token_type", GB_I32, types, 8);
    const uint8_t *data = gb_build(&b, &len);
    assert_int_equal(rz_gguf_open_memory(&m.file, "spm", data, len, NULL), RZ_OK);
    assert_int_equal(rz_tokenizer_new(&m.tok, m.file, NULL), RZ_OK);
    static const struct {
        int32_t ids[6];
        size_t n;
        bool keep;
        const char *text;
    } rows[] = {
        {{4, 4}, 2, false, "hi hi"},        {{1, 4, 2}, 3, false, "hi"},
        {{1, 4, 2}, 3, true, "<s> hi</s>"}, {{3, 3}, 2, false, " "},
        {{3, 4}, 2, false, " hi"},          {{5, 6, 7}, 3, false, "\xE2\x82\xAC"},
        {{5, 4}, 2, false, R " hi"},        {{5, 6}, 2, false, R},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rz_ids ids = {(int32_t *)(uintptr_t)rows[i].ids, rows[i].n, 0};
        rz_text out = {0};
        tt_decode(m.tok, &ids, rows[i].keep, &out);
        assert_string_equal(out.data, rows[i].text);
        rz_text_free(&out);
    }
    tt_close(&m);
    gb_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphabet),   cmocka_unit_test(test_replacement),
        cmocka_unit_test(test_never_cuts), cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_special),    cmocka_unit_test(test_special_inside),
        cmocka_unit_test(test_first_space)};
    return cmocka_run_group_tests(tests, open_bytewise, close_bytewise);
}
