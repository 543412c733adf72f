/* test_tokenizer_pre.c - the pre-tokenizers' word bounds and NFC against Hugging Face's tokenizers
 * (golden cases), what stands in the table of names, and merging by scan against merging by heap.
 */
#include "base/rng.h"
#include "support/tok_test.h"
#include "tokenizer/merge.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pretok.h"
#include "tokenizer/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct ends {
    size_t at[4096], n;
};

static rz_status record_end(void *ctx, size_t begin, size_t end)
{
    struct ends *ends = ctx;
    assert_true(begin == (ends->n ? ends->at[ends->n - 1] : 0) && end > begin);
    ends->at[ends->n++] = end;
    return RZ_OK;
}

static bool split_is(const char *name, const json_t *row)
{
    const json_t *text = json_array_get(row, 0), *expected = json_array_get(row, 1);
    const struct rz_pre *pre = rz_pre_find((rz_slice){name, strlen(name)});
    assert_non_null(pre);
    static struct ends ends;
    ends.n = 0;
    assert_int_equal(
        rz_pre_split(pre, json_string_value(text), 0, json_string_length(text), record_end, &ends),
        RZ_OK);
    bool same = ends.n == json_array_size(expected);
    for (size_t i = 0; same && i < ends.n; i++)
        same = (json_int_t)ends.at[i] == json_integer_value(json_array_get(expected, i));
    if (!same)
        print_error("%s cuts \"%s\" differently\n", name, json_string_value(text));
    return same;
}

static bool nfc_is(const json_t *row)
{
    const json_t *text = json_array_get(row, 0), *expected = json_array_get(row, 1);
    const char *s = json_string_value(text);
    size_t len = json_string_length(text);
    struct rz_buf out;
    rz_buf_init(&out, SIZE_MAX);
    assert_int_equal(rz_nfc_append(s, len, &out, NULL), RZ_OK);
    bool same = out.len == json_string_length(expected) &&
                memcmp(out.data, json_string_value(expected), out.len) == 0;
    size_t prefix = rz_nfc_prefix(s, len);
    same = same && prefix <= out.len && memcmp(out.data, s, prefix) == 0;
    if (!same)
        print_error("NFC of \"%s\" is \"%.*s\"\n", s, (int)out.len, out.data);
    rz_buf_fini(&out);
    return same;
}

static void test_golden(void **state)
{
    (void)state;
    char path[TT_PATH_MAX];
    json_t *file = tt_load_json(tt_repo_path("tests/unit/data/tokenizer-pre-cases.json", path));
    json_t *group, *row;
    size_t i, k, n_bad = 0;
    assert_true(json_array_size(file) >= 10);
    json_array_foreach(file, i, group)
    {
        const char *name = json_string_value(json_object_get(group, "pre"));
        json_array_foreach(json_object_get(group, "cases"), k, row)
        {
            n_bad += strcmp(name, "NFC") == 0 ? !nfc_is(row) : !split_is(name, row);
        }
    }
    assert_int_equal(n_bad, 0);
    json_decref(file);
}

/* Patterns that no golden case covers, because no tokenizer.json has them under one name. */
static void test_other_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *text;
        size_t ends[12];
    } rows[] = {
        {"default", "a1b", {1, 2, 3}},
        {"default", "x 12345", {1, 2, 5, 7}},
        {"default", "1234567", {3, 6, 7}},
        {"default", "a$$b", {1, 3, 4}},
        {"default", "a, b", {1, 2, 4}},
        {"deepseek-llm", "Hello 123 ", {5, 6, 7, 8, 9, 10}},
        {"deepseek-llm", "a\n\nb", {1, 2, 3, 4}},
        {"deepseek-llm", "x  y  ", {1, 2, 4, 6}},
        {"deepseek-llm", "\xE4\xB8\xAD\xE6\x96\x87\x61!", {6, 7, 8}},
        {"llama4", "don't STOPit", {5, 12}},
        {"smaug-bpe", "1234 it's", {3, 4, 7, 9}},
        {"codeshell", "a12", {1, 2, 3}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct rz_pre *pre = rz_pre_find((rz_slice){rows[i].pre, strlen(rows[i].pre)});
        static struct ends ends;
        ends.n = 0;
        assert_non_null(pre);
        assert_int_equal(
            rz_pre_split(pre, rows[i].text, 0, strlen(rows[i].text), record_end, &ends), RZ_OK);
        for (size_t k = 0; k < ends.n; k++)
            if (ends.at[k] != rows[i].ends[k])
                fail_msg("%s \"%s\": word %zu ends at %zu", rows[i].pre, rows[i].text, k,
                         ends.at[k]);
        assert_int_equal(ends.at[ends.n - 1], strlen(rows[i].text));
    }
}

/* Every name is found, and every pattern covers any text and gives no empty word. */
static void test_names_and_cover(void **state)
{
    (void)state;
    struct rz_rng rng = {11};
    static const char *const atoms[] = {" ",
                                        "\n",
                                        "\r",
                                        "a",
                                        "B",
                                        "7",
                                        "'",
                                        "s",
                                        "\t",
                                        "!",
                                        "/",
                                        "\xC3\xA9",
                                        "\xCC\x81",
                                        "\xE4\xB8\xAD",
                                        "\xE2\x80\xA8",
                                        "\xF0\x9F\x91\x8D",
                                        "\xC2\xBD",
                                        "\x01",
                                        "\xE1\x84\x80"};
    for (size_t p = 0; rz_pre_name_at(p); p++) {
        const char *name = rz_pre_name_at(p);
        const struct rz_pre *pre = rz_pre_find((rz_slice){name, strlen(name)});
        assert_non_null(pre);
        assert_string_equal(pre->name, name);
        for (int round = 0; round < 300; round++) {
            char text[256] = "";
            size_t len = 0;
            for (uint64_t n = 1 + rz_rng_below(&rng, 40); n > 0; n--) {
                const char *atom = atoms[rz_rng_below(&rng, sizeof atoms / sizeof *atoms)];
                while (*atom)
                    text[len++] = *atom++;
            }
            static struct ends ends;
            ends.n = 0;
            assert_int_equal(rz_pre_split(pre, text, 0, len, record_end, &ends), RZ_OK);
            assert_int_equal(ends.at[ends.n - 1], len);
        }
    }
    assert_null(rz_pre_find((rz_slice){"qwen", 4}));
    assert_null(rz_pre_find((rz_slice){"", 0}));
}

static rz_status stop_at_third(void *ctx, size_t begin, size_t end)
{
    (void)begin;
    (void)end;
    return ++*(int *)ctx == 3 ? RZ_ECANCEL : RZ_OK;
}

static void test_emit_stops(void **state)
{
    (void)state;
    int n = 0;
    const struct rz_pre *pre = rz_pre_find((rz_slice){"deepseek-coder", 14});
    assert_int_equal(rz_pre_split(pre, "a b c d e", 0, 9, stop_at_third, &n), RZ_ECANCEL);
    assert_int_equal(n, 3);
}

/* A joint's rank and result from its two ids alone, by a made-up table. */
static uint32_t join_made_up(const void *ctx, struct rz_joint joint, int32_t *joined)
{
    uint64_t seed = *(const uint64_t *)ctx;
    struct rz_rng rng = {seed ^ ((uint64_t)(uint32_t)joint.left << 32 | (uint32_t)joint.right)};
    uint64_t bits = rz_rng_u64(&rng);
    if (bits % 5 < 2)
        return RZ_RANK_NONE;
    *joined = (int32_t)(bits >> 8 & 15);
    return (uint32_t)(bits >> 20 & 31); /* few ranks: ties are common */
}

static void test_merge_small_is_large(void **state)
{
    (void)state;
    struct rz_rng rng = {99};
    struct rz_merge_scratch scratch = {0};
    for (int round = 0; round < 20000; round++) {
        struct rz_symbol s[RZ_MERGE_SMALL + 2];
        uint64_t seed = rz_rng_u64(&rng);
        size_t n = 1 + rz_rng_below(&rng, RZ_MERGE_SMALL);
        assert_int_equal(rz_merge_reserve(&scratch, n, NULL), RZ_OK);
        for (size_t i = 0; i <= n; i++) {
            s[i].start = scratch.symbols[i].start = (uint32_t)i;
            s[i].id = scratch.symbols[i].id = (int32_t)rz_rng_below(&rng, 16);
        }
        size_t small = rz_merge_small(s, n, "", join_made_up, &seed);
        size_t large = rz_merge_large(&scratch, n, "", join_made_up, &seed);
        assert_int_equal(small, large);
        for (size_t i = 0; i < small; i++) {
            assert_int_equal(s[i].id, scratch.symbols[i].id);
            assert_int_equal(s[i].start, scratch.symbols[i].start);
        }
    }
    rz_merge_fini(&scratch);
}

/* Long runs of marks go through counting instead of insertion, and nothing is quadratic. */
static void test_nfc_long_runs(void **state)
{
    (void)state;
    enum {
        N = 1 << 18
    };
    char *text = malloc(2 * N + 1);
    assert_non_null(text);
    text[0] = 'a';
    for (size_t i = 0; i < N; i++) /* U+0307 (class 230) and U+0323 (class 220) in turn */
    {
        text[1 + 2 * i] = '\xCC';
        text[2 + 2 * i] = i % 2 ? '\xA3' : '\x87';
    }
    struct rz_buf out;
    rz_buf_init(&out, SIZE_MAX);
    assert_int_equal(rz_nfc_append(text, 2 * N + 1, &out, NULL), RZ_OK);
    /* a with dot below, then the other dots below, then the dots above */
    assert_int_equal(out.len, 3 + 2 * (N - 1));
    assert_memory_equal(out.data, "\xE1\xBA\xA1\xCC\xA3", 5);
    assert_memory_equal(out.data + out.len - 4, "\xCC\x87\xCC\x87", 4);
    rz_buf_fini(&out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden),
                                       cmocka_unit_test(test_other_patterns),
                                       cmocka_unit_test(test_names_and_cover),
                                       cmocka_unit_test(test_emit_stops),
                                       cmocka_unit_test(test_merge_small_is_large),
                                       cmocka_unit_test(test_nfc_long_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
