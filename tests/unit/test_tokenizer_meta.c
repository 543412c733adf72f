/* test_tokenizer_meta.c - tokenizer metadata with one thing wrong: each must be refused with its
 * status and a sentence that names the key and the index; and odd files that must load. */
#include "base/fail.h"
#include "formats/gguf.h"
#include "support/gguf_build.h"
#include "support/tok_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a row starts from and may change before the file is built. Numbers of entries are apart from
 * the arrays so that they can disagree. A NULL text leaves a key out. */
struct meta {
    const char *arch, *model, *pre;
    const char *tokens[16];
    size_t n_tokens;
    const char *merges[8];
    size_t n_merges;
    bool merges_out;
    int32_t types[16];
    size_t n_types; /* 0: left out */
    float scores[16];
    size_t n_scores;
    void (*more)(struct gguf_build *b);
};

static void bpe_start(struct meta *m)
{
    static const char *const tokens[] = {"a", "b", "c", "ab", "abc", "<|im_end|>", "<tool>"};
    static const char *const merges[] = {"a b", "ab c"};
    *m = (struct meta){.arch = "qwen2", .model = "gpt2", .pre = "qwen2"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(tokens); i++) {
        m->tokens[m->n_tokens++] = tokens[i];
        m->types[m->n_types++] = i < 5 ? 1 : i == 5 ? 3 : 4;
    }
    for (size_t i = 0; i < RZ_ARRAY_LEN(merges); i++)
        m->merges[m->n_merges++] = merges[i];
}

static void spm_start(struct meta *m)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x41>", "a", "b", "ab"};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1};
    *m = (struct meta){.arch = "llama", .model = "llama", .merges_out = true};
    for (size_t i = 0; i < RZ_ARRAY_LEN(tokens); i++) {
        m->tokens[m->n_tokens++] = tokens[i];
        m->types[m->n_types++] = types[i];
        m->scores[m->n_scores++] = -(float)i;
    }
}

static void build(struct gguf_build *b, const struct meta *m)
{
    gb_init(b);
    if (m->arch)
        gb_string(b, "general.architecture", m->arch);
    if (m->model)
        gb_string(b, "tokenizer.ggml.model", m->model);
    if (m->pre)
        gb_string(b, "tokenizer.ggml.pre", m->pre);
    if (m->n_tokens)
        gb_strings(b, "tokenizer.ggml.tokens", m->tokens, m->n_tokens);
    if (m->n_types)
        gb_numbers(b, "tokenizer.ggml.token_type", GB_I32, m->types, m->n_types);
    if (m->n_scores)
        gb_numbers(b, "tokenizer.ggml.scores", GB_F32, m->scores, m->n_scores);
    if (!m->merges_out)
        gb_strings(b, "tokenizer.ggml.merges", m->merges, m->n_merges);
    if (m->more)
        m->more(b);
}

/* Opens; the caller closes whatever the status. */
static rz_status open_meta(struct gguf_build *b, const struct meta *m, struct tok_model *model,
                           rz_error *err)
{
    size_t len;
    build(b, m);
    const uint8_t *data = gb_build(b, &len);
    *model = (struct tok_model){0};
    rz_status status = rz_gguf_open_memory(&model->file, "test.gguf", data, len, err);
    if (status)
        fail_msg("the file itself: %s", err->text);
    return rz_tokenizer_new(&model->tok, model->file, err);
}

static void close_meta(struct gguf_build *b, struct tok_model *model)
{
    tt_close(model);
    gb_fini(b);
}

/* ---- rows ---- */

static void no_model(struct meta *m)
{
    m->model = NULL;
}
static void other_model(struct meta *m)
{
    m->model = "bert";
}
static void other_pre(struct meta *m)
{
    m->pre = "qwen9000";
}
static void empty_pre(struct meta *m)
{
    m->pre = "";
}
static void no_pre_llama(struct meta *m)
{
    m->pre = NULL;
    m->arch = "llama";
}
static void no_pre_no_arch(struct meta *m)
{
    m->pre = m->arch = NULL;
}
static void no_tokens(struct meta *m)
{
    m->n_tokens = 0;
}
static void few_types(struct meta *m)
{
    m->n_types--;
}
static void many_types(struct meta *m)
{
    m->n_types++;
}
static void type_7(struct meta *m)
{
    m->types[3] = 7;
}
static void type_negative(struct meta *m)
{
    m->types[0] = -1;
}
static void no_merges(struct meta *m)
{
    m->merges_out = true;
}
static void merge_no_space(struct meta *m)
{
    m->merges[1] = "abc";
}
static void merge_empty(struct meta *m)
{
    m->merges[0] = "";
}
static void merge_empty_right(struct meta *m)
{
    m->merges[0] = "a ";
}
static void merge_empty_left(struct meta *m)
{
    m->merges[0] = " a";
}
static void merge_three(struct meta *m)
{
    m->merges[1] = "a b c";
}
static void merge_left_unknown(struct meta *m)
{
    m->merges[1] = "x c";
}
static void merge_right_unknown(struct meta *m)
{
    m->merges[1] = "a x";
}
static void merge_result_unknown(struct meta *m)
{
    m->merges[1] = "b c";
}
static void merge_not_alphabet(struct meta *m)
{
    m->merges[1] = "a \xE4\xB8\xAD";
}
static void merge_control_char(struct meta *m)
{
    m->merges[1] = "a \t";
}
static char long_text[70000];
static void token_too_long(struct meta *m)
{
    memset(long_text, 'x', sizeof long_text - 1);
    m->tokens[2] = long_text;
}
static void added_too_long(struct meta *m)
{
    static char text[2000];
    memset(text, 'x', sizeof text - 1);
    m->tokens[5] = text;
}
static void merge_too_long(struct meta *m)
{
    static char text[140000];
    memset(text, 'x', sizeof text - 1);
    text[70] = ' ';
    m->merges[1] = text;
}

static void add_bos_out_of_range(struct gguf_build *b)
{
    gb_u32(b, "tokenizer.ggml.bos_token_id", 7);
}
static void add_eos_negative(struct gguf_build *b)
{
    gb_i32(b, "tokenizer.ggml.eos_token_id", -2);
}
static void add_eos_string(struct gguf_build *b)
{
    gb_string(b, "tokenizer.ggml.eos_token_id", "2");
}
static void add_eot_huge(struct gguf_build *b)
{
    gb_u64(b, "tokenizer.ggml.eot_token_id", UINT64_MAX);
}
static void add_bos_flag(struct gguf_build *b)
{
    gb_bool(b, "tokenizer.ggml.add_bos_token", true);
}
static void add_eos_flag(struct gguf_build *b)
{
    gb_bool(b, "tokenizer.ggml.add_eos_token", true);
}
static void add_bos_flag_number(struct gguf_build *b)
{
    gb_u32(b, "tokenizer.ggml.add_bos_token", 1);
}
static void add_prefix_string(struct gguf_build *b)
{
    gb_string(b, "tokenizer.ggml.add_space_prefix", "no");
}
static void bos_out_of_range(struct meta *m)
{
    m->more = add_bos_out_of_range;
}
static void eos_negative(struct meta *m)
{
    m->more = add_eos_negative;
}
static void eos_string(struct meta *m)
{
    m->more = add_eos_string;
}
static void eot_huge(struct meta *m)
{
    m->more = add_eot_huge;
}
static void bos_flag_alone(struct meta *m)
{
    m->more = add_bos_flag;
}
static void eos_flag_alone(struct meta *m)
{
    m->more = add_eos_flag;
}
static void bos_flag_number(struct meta *m)
{
    m->more = add_bos_flag_number;
}
static void prefix_string(struct meta *m)
{
    m->more = add_prefix_string;
}
static void no_types(struct meta *m)
{
    m->n_types = 0;
}
static void no_scores(struct meta *m)
{
    m->n_scores = 0;
}
static void few_scores(struct meta *m)
{
    m->n_scores--;
}
static void nan_score(struct meta *m)
{
    m->scores[4] = NAN;
}
static void bad_byte_token(struct meta *m)
{
    m->tokens[3] = "<0xG1>";
}
static void short_byte_token(struct meta *m)
{
    m->tokens[3] = "A";
}

static const struct {
    const char *name;
    void (*start)(struct meta *m);
    void (*change)(struct meta *m);
    rz_status status;
    const char *says[2];
} rows[] = {
    {"no model", bpe_start, no_model, RZ_EFORMAT, {"tokenizer.ggml.model"}},
    {"other model", bpe_start, other_model, RZ_ELOAD, {"bert", "gpt2, llama"}},
    {"other pre", bpe_start, other_pre, RZ_ELOAD, {"qwen9000", "llama-bpe"}},
    {"empty pre", bpe_start, empty_pre, RZ_ELOAD, {"tokenizer.ggml.pre", "qwen2"}},
    {"no pre, llama",
     bpe_start,
     no_pre_llama,
     RZ_ELOAD,
     {"tokenizer.ggml.pre is missing", "llama"}},
    {"no pre, no arch", bpe_start, no_pre_no_arch, RZ_ELOAD, {"tokenizer.ggml.pre is missing"}},
    {"no tokens", bpe_start, no_tokens, RZ_EFORMAT, {"tokenizer.ggml.tokens"}},
    {"few types", bpe_start, few_types, RZ_EFORMAT, {"token_type", "6 entries for 7"}},
    {"many types", bpe_start, many_types, RZ_EFORMAT, {"token_type", "8 entries for 7"}},
    {"type 7", bpe_start, type_7, RZ_EFORMAT, {"token_type[3]", "7"}},
    {"type -1", bpe_start, type_negative, RZ_EFORMAT, {"token_type[0]", "-1"}},
    {"no merges", bpe_start, no_merges, RZ_EFORMAT, {"tokenizer.ggml.merges"}},
    {"merge without space", bpe_start, merge_no_space, RZ_EFORMAT, {"merges[1]"}},
    {"empty merge", bpe_start, merge_empty, RZ_EFORMAT, {"merges[0]"}},
    {"merge without right", bpe_start, merge_empty_right, RZ_EFORMAT, {"merges[0]"}},
    {"merge without left", bpe_start, merge_empty_left, RZ_EFORMAT, {"merges[0]"}},
    {"merge of three", bpe_start, merge_three, RZ_EFORMAT, {"merges[1]"}},
    {"left unknown", bpe_start, merge_left_unknown, RZ_EFORMAT, {"merges[1]", "left token"}},
    {"right unknown", bpe_start, merge_right_unknown, RZ_EFORMAT, {"merges[1]", "right token"}},
    {"result unknown", bpe_start, merge_result_unknown, RZ_EFORMAT, {"merges[1]", "gives"}},
    {"not alphabet", bpe_start, merge_not_alphabet, RZ_EFORMAT, {"merges[1]", "alphabet"}},
    {"control character", bpe_start, merge_control_char, RZ_EFORMAT, {"merges[1]", "alphabet"}},
    {"long token", bpe_start, token_too_long, RZ_EFORMAT, {"tokens[2]", "69999"}},
    {"long added token", bpe_start, added_too_long, RZ_EFORMAT, {"tokens[5]", "1999"}},
    {"long merge", bpe_start, merge_too_long, RZ_EFORMAT, {"merges[1]", "139999"}},
    {"bos out of range", bpe_start, bos_out_of_range, RZ_EFORMAT, {"bos_token_id", "7"}},
    {"eos negative", bpe_start, eos_negative, RZ_EFORMAT, {"eos_token_id", "-2"}},
    {"eos a string", bpe_start, eos_string, RZ_EFORMAT, {"eos_token_id", "string"}},
    {"eot huge", bpe_start, eot_huge, RZ_EFORMAT, {"eot_token_id"}},
    {"add_bos without bos",
     bpe_start,
     bos_flag_alone,
     RZ_EFORMAT,
     {"add_bos_token", "bos_token_id"}},
    {"add_eos without eos",
     bpe_start,
     eos_flag_alone,
     RZ_EFORMAT,
     {"add_eos_token", "eos_token_id"}},
    {"add_bos a number", bpe_start, bos_flag_number, RZ_EFORMAT, {"add_bos_token"}},
    {"spm without types", spm_start, no_types, RZ_EFORMAT, {"tokenizer.ggml.token_type"}},
    {"spm without scores", spm_start, no_scores, RZ_EFORMAT, {"tokenizer.ggml.scores"}},
    {"few scores", spm_start, few_scores, RZ_EFORMAT, {"scores", "6 entries for 7"}},
    {"score NaN", spm_start, nan_score, RZ_EFORMAT, {"scores[4]"}},
    {"byte token not hex", spm_start, bad_byte_token, RZ_EFORMAT, {"tokens[3]", "<0xXX>"}},
    {"byte token short", spm_start, short_byte_token, RZ_EFORMAT, {"tokens[3]", "<0xXX>"}},
    {"space prefix a string", spm_start, prefix_string, RZ_EFORMAT, {"add_space_prefix"}},
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        struct meta m;
        struct gguf_build b;
        struct tok_model model;
        rz_error err = {0};
        rows[i].start(&m);
        rows[i].change(&m);
        rz_status status = open_meta(&b, &m, &model, &err);
        if (status != rows[i].status || err.code != status)
            fail_msg("%s: status %d, expected %d: %s", rows[i].name, (int)status,
                     (int)rows[i].status, err.text);
        for (size_t k = 0; k < 2 && rows[i].says[k]; k++)
            if (!strstr(err.text, rows[i].says[k]))
                fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].name, err.text, rows[i].says[k]);
        assert_null(model.tok);
        close_meta(&b, &model);
    }
}

/* ---- files that load ---- */

static void expect(const rz_tokenizer *tok, const char *text, unsigned flags, const int32_t *ids,
                   size_t n)
{
    rz_ids have = {0};
    tt_encode(tok, text, strlen(text), flags, &have);
    assert_int_equal(have.len, n);
    if (n)
        assert_memory_equal(have.data, ids, n * sizeof *ids);
    rz_ids_free(&have);
}

static void test_good(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "abcab", 0, (int32_t[]){4, 3}, 2);
    expect(model.tok, "a<tool>b<|im_end|>", RZ_ENCODE_SPECIAL, (int32_t[]){0, 6, 1, 5}, 4);
    rz_ids ids = {0};
    rz_error err = {0};
    assert_int_equal(rz_tokenizer_encode(model.tok, "abx", 3, 0, &ids, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "0x78"));
    rz_ids_free(&ids);
    close_meta(&b, &model);
    spm_start(&m);
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    close_meta(&b, &model);
}

static void add_none_ids(struct gguf_build *b)
{
    gb_i32(b, "tokenizer.ggml.bos_token_id", -1);
    gb_u32(b, "tokenizer.ggml.eot_token_id", UINT32_MAX);
    gb_u16(b, "tokenizer.ggml.eos_token_id", 4);
}

/* -1 says none, in either type; any integer type will do. */
static void test_ids_that_say_none(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.more = add_none_ids;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    assert_int_equal(rz_tokenizer_bos(model.tok), -1);
    assert_int_equal(rz_tokenizer_eos(model.tok), 4);
    assert_true(rz_tokenizer_is_end(model.tok, 4));
    close_meta(&b, &model);
}

/* Old files: no pre-tokenizer for an architecture that has one, no token types. */
static void test_old_files(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.pre = NULL;
    m.n_types = 0;
    m.more = add_none_ids;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    assert_string_equal(rz_tokenizer_pre(model.tok), "qwen2");
    assert_true(rz_tokenizer_is_special(model.tok, 4));
    assert_true(rz_tokenizer_is_special(model.tok, 5)); /* <|im_end|> */
    assert_true(rz_tokenizer_is_end(model.tok, 5));
    assert_false(rz_tokenizer_is_special(model.tok, 6));
    expect(model.tok, "a<|im_end|>", RZ_ENCODE_SPECIAL, (int32_t[]){0, 5}, 2);
    close_meta(&b, &model);
}

/* A file that types <|im_end|> as a normal token. */
static void test_mistyped_end(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.types[5] = 1;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "a<|im_end|>", RZ_ENCODE_SPECIAL, (int32_t[]){0, 5}, 2);
    assert_true(rz_tokenizer_is_end(model.tok, 5));
    close_meta(&b, &model);
}

/* Two tokens of the same text: the first is what text becomes, both have their bytes. */
static void test_duplicates(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.tokens[2] = "a";
    m.tokens[6] = "<|im_end|>";
    m.types[6] = 3;
    m.n_merges = 1;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "a<|im_end|>", RZ_ENCODE_SPECIAL, (int32_t[]){0, 5}, 2);
    assert_int_equal(rz_tokenizer_bytes(model.tok, 2).len, 1);
    assert_true(rz_tokenizer_is_end(model.tok, 5) && rz_tokenizer_is_end(model.tok, 6));
    close_meta(&b, &model);
}

/* Empty tokens never match, tokens outside the byte alphabet stand for themselves. */
static void test_odd_tokens(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.tokens[4] = "";
    m.tokens[5] = "";
    m.tokens[6] = "\xE4\xB8\xAD ";
    m.types[6] = 1;
    m.n_merges = 1;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "abc", RZ_ENCODE_SPECIAL, (int32_t[]){3, 2}, 2);
    assert_int_equal(rz_tokenizer_bytes(model.tok, 4).len, 0);
    assert_int_equal(rz_tokenizer_bytes(model.tok, 6).len, 4);
    assert_int_equal(rz_tokenizer_find(model.tok, "\xE4\xB8\xAD "), 6);
    close_meta(&b, &model);
}

/* A whole word that is a token, with llama-bpe, is that token whatever the merges. */
static void test_ignore_merges(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.n_merges = 1; /* abc cannot be merged */
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "abc", 0, (int32_t[]){3, 2}, 2);
    close_meta(&b, &model);
    m.pre = "llama-bpe";
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "abc", 0, (int32_t[]){4}, 1);
    expect(model.tok, "abcabc", 0, (int32_t[]){3, 2, 3, 2}, 4);
    close_meta(&b, &model);
}

/* The longest added token wins, the leftmost first, and one that is not wanted hides what is in
 * it. */
static void test_added_search(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.tokens[3] = "ca";
    m.types[3] = 4;
    m.tokens[4] = "cab";
    m.types[4] = 4;
    m.tokens[5] = "bcabc";
    m.n_merges = 0;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    expect(model.tok, "cabc", 0, (int32_t[]){4, 2}, 2);
    expect(model.tok, "caca", 0, (int32_t[]){3, 3}, 2);
    expect(model.tok, "bcabca", RZ_ENCODE_SPECIAL, (int32_t[]){5, 0}, 2);
    expect(model.tok, "bcabca", 0, (int32_t[]){1, 2, 0, 1, 2, 0}, 6);
    expect(model.tok, "bcab", RZ_ENCODE_SPECIAL, (int32_t[]){1, 4}, 2);
    close_meta(&b, &model);
}

static void test_harmony_end(void **state)
{
    (void)state;
    struct meta m;
    struct gguf_build b;
    struct tok_model model;
    bpe_start(&m);
    m.tokens[4] = "<|end|>";
    m.types[4] = 3;
    m.n_merges = 1;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    assert_true(rz_tokenizer_is_end(model.tok, 4));
    close_meta(&b, &model);
    m.tokens[5] = "<|return|>";
    m.tokens[6] = "<|call|>";
    m.types[6] = 3;
    assert_int_equal(open_meta(&b, &m, &model, NULL), RZ_OK);
    assert_false(rz_tokenizer_is_end(model.tok, 4));
    assert_true(rz_tokenizer_is_end(model.tok, 5) && rz_tokenizer_is_end(model.tok, 6));
    close_meta(&b, &model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),           cmocka_unit_test(test_good),
        cmocka_unit_test(test_ids_that_say_none), cmocka_unit_test(test_old_files),
        cmocka_unit_test(test_duplicates),        cmocka_unit_test(test_mistyped_end),
        cmocka_unit_test(test_odd_tokens),        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_added_search),      cmocka_unit_test(test_harmony_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
