/* pretok.c - the pre-tokenizers by name. A name that is not here is refused: a wrong pattern gives
 * ids that look right and are not.
 * Source: the tokenizer.json files that the models were published with; which names share a pattern
 * is as llama.cpp's converter has it. */
#include "tokenizer/pretok.h"

#include "base/fail.h"
#include "tokenizer/pretok_tables.h"
#include "tokenizer/unicode.h"

#include <string.h>

static const struct rz_pre_stage gpt2 = {.match = rz_match_gpt2};

static const struct rz_pre_stage qwen2 = {
    .match = rz_match_cl100k, .set = RZ_SET_L, .max_digits = 1, .contraction = RZ_CONTRACTION_WORD};

static const struct rz_pre_stage qwen35 = {.match = rz_match_cl100k,
                                           .set = RZ_SET_L | RZ_SET_M,
                                           .max_digits = 1,
                                           .contraction = RZ_CONTRACTION_WORD};

static const struct rz_pre_stage llama3 = {
    .match = rz_match_cl100k, .set = RZ_SET_L, .max_digits = 3, .contraction = RZ_CONTRACTION_WORD};

static const struct rz_pre_stage tekken = {
    .match = rz_match_o200k, .max_digits = 1, .slash_trails = true};

static const struct rz_pre_stage gpt4o = {.match = rz_match_o200k,
                                          .max_digits = 3,
                                          .contraction = RZ_CONTRACTION_SUFFIX,
                                          .slash_trails = true};

/* The numbers that Unicode 17 added to the tables' 16: this stage is no regular expression at the
 * reference but a library call of that version. */
static const struct rz_code_range late_numbers[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};
static const struct rz_pre_stage digit = {.match = rz_match_run,
                                          .set = RZ_SET_N,
                                          .single = true,
                                          .max_digits = 1,
                                          .ranges = late_numbers,
                                          .n_ranges = RZ_ARRAY_LEN(late_numbers)};
static const struct rz_pre_stage digits_by_three = {
    .match = rz_match_run, .set = RZ_SET_N, .single = true, .max_digits = 3};
static const struct rz_pre_stage digits = {.match = rz_match_run, .set = RZ_SET_N};
static const struct rz_pre_stage ascii_triple = {.match = rz_match_triple};
static const struct rz_pre_stage newline = {
    .match = rz_match_run, .set = RZ_SET_NEWLINE, .single = true, .max_digits = 1};
static const struct rz_pre_stage letters = {
    .match = rz_match_run, .set = RZ_SET_L, .prefix_set = RZ_SET_WHITE};
static const struct rz_pre_stage punctuation = {
    .match = rz_match_run, .set = RZ_SET_P, .prefix_set = RZ_SET_WHITE};
static const struct rz_pre_stage signs = {
    .match = rz_match_run, .set = RZ_SET_P, .also = "$+<=>^~|"};
static const struct rz_pre_stage tail = {.match = rz_match_tail};
static const struct rz_pre_stage deepseek3 = {.match = rz_match_deepseek3};

/* [U+0800-U+4E00 U+4E00-U+9FA5 U+AC00-U+D7FF] */
static const struct rz_code_range cjk_ranges[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const struct rz_pre_stage cjk = {
    .match = rz_match_run, .ranges = cjk_ranges, .n_ranges = RZ_ARRAY_LEN(cjk_ranges)};

static const struct rz_code_range han_kana_ranges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
static const struct rz_pre_stage han_kana = {
    .match = rz_match_run, .ranges = han_kana_ranges, .n_ranges = RZ_ARRAY_LEN(han_kana_ranges)};

static const struct rz_pre_stage cased = {.match = rz_match_run,
                                          .prefix_set = RZ_SET_WHITE,
                                          .ranges = rz_pre_cased_ranges,
                                          .n_ranges = RZ_PRE_N_CASED_RANGES};

static const struct rz_code_range wide_punct_ranges[] = {
    {'!', '/'}, {':', '~'}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
static const struct rz_pre_stage wide_punct = {.match = rz_match_run,
                                               .prefix_set = RZ_SET_WHITE,
                                               .ranges = wide_punct_ranges,
                                               .n_ranges = RZ_ARRAY_LEN(wide_punct_ranges)};

typedef const struct rz_pre_stage *const stage_list[RZ_PRE_MAX_STAGES + 1];

static stage_list gpt2_stages = {&gpt2};
static stage_list digit_gpt2_stages = {&digit, &gpt2};
static stage_list qwen2_stages = {&qwen2};
static stage_list qwen35_stages = {&qwen35};
static stage_list llama3_stages = {&llama3};
static stage_list tekken_stages = {&tekken};
static stage_list gpt4o_stages = {&gpt4o};
static stage_list coder_stages = {&newline, &letters, &punctuation, &cjk, &digit};
static stage_list llm_stages = {&newline, &cased, &wide_punct, &tail, &cjk, &digit};
static stage_list deepseek3_stages = {&digits_by_three, &han_kana, &deepseek3};
static stage_list default_stages = {&signs, &gpt2, &digits, &ascii_triple};

/* Whether NFC comes first stands in the "normalizer" of the same files. */
static const struct rz_pre pres[] = {
    {"codeshell", digit_gpt2_stages, false, false, false},
    {"deepseek-coder", coder_stages, false, false, false},
    {"deepseek-llm", llm_stages, false, false, false},
    {"deepseek-r1-qwen", qwen2_stages, true, false, false},
    {"deepseek-v3", deepseek3_stages, false, false, false},
    {"default", default_stages, false, false, false},
    {"falcon3", llama3_stages, false, true, true},
    {"gpt-2", gpt2_stages, false, false, false},
    {"gpt-4o", gpt4o_stages, false, false, false},
    {"llama-bpe", llama3_stages, false, true, true},
    {"llama-v3", llama3_stages, false, true, true},
    {"llama3", llama3_stages, false, true, true},
    {"llama4", gpt4o_stages, false, false, false},
    {"minerva-7b", digit_gpt2_stages, false, false, false},
    {"qwen2", qwen2_stages, true, false, false},
    {"qwen35", qwen35_stages, true, false, false},
    {"refact", digit_gpt2_stages, false, false, false},
    {"smaug-bpe", llama3_stages, false, false, false},
    {"smollm", digit_gpt2_stages, false, false, false},
    {"starcoder", digit_gpt2_stages, false, false, false},
    {"tekken", tekken_stages, false, true, true},
};

const struct rz_pre *rz_pre_find(rz_slice name)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(pres); i++)
        if (strlen(pres[i].name) == name.len && memcmp(pres[i].name, name.data, name.len) == 0)
            return &pres[i];
    return NULL;
}

const char *rz_pre_name_at(size_t i)
{
    return i < RZ_ARRAY_LEN(pres) ? pres[i].name : NULL;
}

struct split {
    const struct rz_pre *pre;
    const char *text;
    rz_pre_emit *emit;
    void *ctx;
};

/* Recursion is as deep as there are stages, RZ_PRE_MAX_STAGES at most. */
static rz_status split_from(const struct split *s, size_t i_stage, size_t begin, size_t end)
{
    const struct rz_pre_stage *stage = s->pre->stages[i_stage];
    if (!stage)
        return s->emit(s->ctx, begin, end);
    size_t match = begin, stop = begin;
    while (begin < end && stage->match(stage, s->text, begin, end, &match, &stop)) {
        if (match > begin)
            RZ_TRY(split_from(s, i_stage + 1, begin, match));
        RZ_TRY(split_from(s, i_stage + 1, match, stop));
        begin = stop;
    }
    return begin < end ? split_from(s, i_stage + 1, begin, end) : RZ_OK;
}

rz_status rz_pre_split(const struct rz_pre *pre, const char *text, size_t begin, size_t end,
                       rz_pre_emit *emit, void *ctx)
{
    struct split s = {pre, text, emit, ctx};
    return split_from(&s, 0, begin, end);
}
