/* test_dotapr_read.c - .apr files as other programs write them: metadata under all its spellings,
 * types whose code means two things, compressed files; and files that are wrong. */
#include "base/f16.h"
#include "base/fail.h"
#include "formats/dotapr.h"
#include "quant/dtype.h"
#include "support/dotapr_test.h"

#include <lz4.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <cmocka.h>

#define SIZES                                                                                      \
    "\"hidden_size\":32,\"num_layers\":1,\"num_heads\":2,\"intermediate_size\":64,"                \
    "\"max_position_embeddings\":128"

/* A model of a Q, a K and an embedding of 5 rows, with this metadata. */
static uint8_t *model(struct dotapr_build *b, const char *json, size_t *len)
{
    ab_init(b, json);
    ab_tensor_f32(b, "model.embed_tokens.weight", 5, 32, NULL);
    ab_tensor_f32(b, "model.layers.0.self_attn.k_proj.weight", 16, 32, NULL);
    ab_tensor_f32(b, "model.layers.0.self_attn.q_proj.weight", 32, 32, NULL);
    return ab_build(b, len);
}

static rz_file *open_model(struct dotapr_build *b, const char *json)
{
    size_t len;
    const uint8_t *data = model(b, json, &len);
    return at_open(data, len);
}

/* ---- metadata ---- */

static void test_spellings(void **state)
{
    (void)state;
    static const char *const jsons[] = {
        "{\"architecture\":\"qwen2\"," SIZES ",\"num_kv_heads\":1,\"rms_norm_eps\":1e-6}",
        "{\"architecture\":\"Qwen2ForCausalLM\",\"hidden_dim\":32,\"n_layers\":1,\"n_heads\":2,"
        "\"ffn_dim\":64,\"max_seq_len\":128,\"n_kv_heads\":1,\"norm_eps\":1e-6}",
        "{\"architecture\":null,\"hf_model_type\":\"qwen2\",\"d_model\":32,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":2,\"intermediate_dim\":64,\"context_length\":128,"
        "\"num_key_value_heads\":1,\"layer_norm_eps\":0.000001}",
        /* A canonical field as null beside its alias, which empties realizar's metadata. */
        "{\"hidden_size\":null,\"n_embd\":32,\"model_type\":\"qwen2\",\"n_layer\":1,\"num_layers\":"
        "null,\"n_head\":2,\"n_inner\":64,\"n_ctx\":128,\"num_kv_heads\":null}",
        /* The same under several spellings, and the raw import's doubles. */
        "{\"architecture\":\"qwen2\"," SIZES ",\"model.hidden_size\":32,\"n_layers\":1,"
        "\"n_layer\":1.0,\"model.architecture\":\"qwen2\",\"rope_type\":2,\"hidden_size\":32}",
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(jsons); i++) {
        struct dotapr_build b;
        rz_file *file = open_model(&b, jsons[i]);
        at_text_is(file, "general.architecture", 0, "qwen2");
        assert_int_equal(at_integer(file, "qwen2.embedding_length"), 32);
        assert_int_equal(at_integer(file, "qwen2.block_count"), 1);
        assert_int_equal(at_integer(file, "qwen2.attention.head_count"), 2);
        assert_int_equal(at_integer(file, "qwen2.attention.head_count_kv"),
                         1); /* or from K's rows */
        assert_int_equal(at_integer(file, "qwen2.feed_forward_length"), 64);
        assert_int_equal(at_integer(file, "qwen2.context_length"), 128);
        assert_float_equal(at_number(file, "qwen2.attention.layer_norm_rms_epsilon"), 1e-6, 1e-12);
        assert_float_equal(at_number(file, "qwen2.rope.freq_base"), 1e6, 0);
        assert_non_null(rz_file_tensor(file, "blk.0.attn_q.weight"));
        rz_file_close(&file);
        ab_fini(&b);
    }
}

static void test_rope_order(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool neox;
    } cases[] = {
        {"{\"architecture\":\"llama\"," SIZES "}", false},
        {"{\"architecture\":\"llama\"," SIZES ",\"rope_type\":0}", false},
        {"{\"architecture\":\"llama\"," SIZES ",\"rope_type\":2}", true},
        {"{\"architecture\":\"llama\"," SIZES ",\"original_format\":\"safetensors\"}", true},
        {"{\"architecture\":\"mistral\"," SIZES ",\"original_format\":\"gguf\"}", false},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(cases); i++) {
        struct dotapr_build b;
        rz_file *file = open_model(&b, cases[i].json);
        at_text_is(file, "general.architecture", 0, "llama");
        assert_int_equal(rz_file_meta(file, "llama.rope.neox") != NULL, cases[i].neox);
        assert_float_equal(at_number(file, "llama.rope.freq_base"), 1e4, 0);
        rz_file_close(&file);
        ab_fini(&b);
    }
}

static void test_tokenizer(void **state)
{
    (void)state;
    struct dotapr_build b;
    rz_file *file = open_model(
        &b, "{\"architecture\":\"qwen2\"," SIZES ",\"tokenizer.vocabulary\":[\"a\",\"\\u0120b\","
            "\"<|im_end|>\",\"</s>\"],\"tokenizer.merges\":[\"a b\"],\"tokenizer.model_type\":"
            "\"BPE\",\"tokenizer.pre_type\":\"qwen2\",\"tokenizer.eos_token_id\":2,"
            "\"special_tokens\":{\"bos_token\":\"</s>\",\"pad_token\":null},"
            "\"tokenizer.add_bos_token\":false,\"tokenizer.chat_template\":\"t\\n\"}");
    at_text_is(file, "tokenizer.ggml.model", 0, "gpt2");
    at_text_is(file, "tokenizer.ggml.pre", 0, "qwen2");
    assert_int_equal(rz_file_meta(file, "tokenizer.ggml.tokens")->count, 5); /* the rows */
    at_text_is(file, "tokenizer.ggml.tokens", 1,
               "\xC4\xA0"
               "b");
    at_text_is(file, "tokenizer.ggml.tokens", 4, "[PAD4]");
    static const int types[] = {1, 1, 3, 3, 5};
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(rz_meta_int(rz_file_meta(file, "tokenizer.ggml.token_type"), i), types[i]);
    assert_int_equal(at_integer(file, "tokenizer.ggml.eos_token_id"), 2);
    assert_int_equal(at_integer(file, "tokenizer.ggml.bos_token_id"), 3);
    assert_null(rz_file_meta(file, "tokenizer.ggml.padding_token_id"));
    assert_int_equal(at_integer(file, "tokenizer.ggml.add_bos_token"), 0);
    at_text_is(file, "tokenizer.chat_template", 0, "t\n");
    rz_file_close(&file);
    ab_fini(&b);
}

/* A config.json that the importer kept says what the fields cannot. */
static void test_hf_config(void **state)
{
    (void)state;
    struct dotapr_build b;
    rz_file *file = open_model(
        &b, "{\"architecture\":\"llama\"," SIZES ",\"hf_config\":{\"model_type\":\"llama\","
            "\"hidden_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
            "\"num_key_value_heads\":1,\"intermediate_size\":64,\"max_position_embeddings\":128,"
            "\"vocab_size\":5,\"rms_norm_eps\":1e-5,\"rope_scaling\":{\"rope_type\":\"llama3\","
            "\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
            "\"original_max_position_embeddings\":64}}}");
    assert_int_equal(at_integer(file, "llama.rope.neox"), 1);
    assert_int_equal(rz_file_tensor(file, "rope_freqs.weight")->shape[0], 8);
    rz_file_close(&file);
    ab_fini(&b);
}

static void test_metadata_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        rz_status code;
        const char *words;
    } cases[] = {
        {"{\"architecture\":\"qwen2\"," SIZES ",\"n_layers\":2}", RZ_EFORMAT, "num_layers"},
        {"{\"architecture\":\"qwen2\"," SIZES ",\"hidden_size\":33}", RZ_EFORMAT, "twice"},
        {"{\"architecture\":\"qwen2\"," SIZES ",\"rope_type\":0}", RZ_ELOAD, "rope_type"},
        {"{\"architecture\":\"qwen2\"," SIZES ",\"rope_scaling\":{\"type\":\"yarn\"}}", RZ_ELOAD,
         "rope_scaling"},
        {"{\"architecture\":\"qwen2\"," SIZES ",\"final_logit_softcapping\":30.0}", RZ_ELOAD,
         "softcapping"},
        {"{\"architecture\":\"qwen2\"," SIZES ",\"hidden_act\":\"gelu\"}", RZ_ELOAD, "hidden_act"},
        {"{\"architecture\":\"qwen2\"," SIZES ",\"format\":\"entrenar-checkpoint\"}", RZ_ELOAD,
         "transposed"},
        {"{\"architecture\":\"qwen2\",\"hidden_size\":-1}", RZ_EFORMAT, "hidden_size"},
        {"{\"architecture\":\"qwen2\",\"hidden_size\":\"8\"}", RZ_EFORMAT, "hidden_size"},
        {"{\"architecture\":\"qwen2\",\"rope_theta\":1e999}", RZ_EFORMAT, "rope_theta"},
        {"{\"tokenizer.vocabulary\":[1]}", RZ_EFORMAT, "JSON"},
        {"{\"tokenizer.vocabulary\":[\"\\ud800\"]}", RZ_EFORMAT, "surrogate"},
        {"{\"tokenizer.vocabulary\":[],\"tokenizer.vocabulary\":[]}", RZ_EFORMAT, "twice"},
        {"{\"architecture\":\"qwen2\",\"tokenizer.vocabulary\":[\"1\",\"2\",\"3\",\"4\",\"5\","
         "\"6\"]}",
         RZ_EFORMAT, "6 tokens"},
        {"{\"tokenizer.vocabulary\":[\"a\"],\"tokenizer.eos_token_id\":5}", RZ_EFORMAT,
         "eos_token_id"},
        {"{\"tokenizer.vocabulary\":[\"a\"],\"tokenizer.scores\":[]}", RZ_EFORMAT, "scores"},
        {"{\"tokenizer.vocabulary\":[\"a\"],\"tokenizer.token_type\":[1,1]}", RZ_EFORMAT, "types"},
        {"{\"tokenizer.vocabulary\":[\"a\"],\"tokenizer.model\":\"wordpiece\"}", RZ_ELOAD,
         "wordpiece"},
        {"{\"a\":1", RZ_EFORMAT, "JSON"},
        {"{} x", RZ_EFORMAT, "JSON"},
        {"[]", RZ_EFORMAT, "JSON"},
        {"{\"gguf_metadata\":[[\"k\",\"u8\",256]]}", RZ_EFORMAT, "256"},
        {"{\"gguf_metadata\":[[\"k\",\"u8\",1],[\"k\",\"u8\",1]]}", RZ_EFORMAT, "twice"},
        {"{\"gguf_metadata\":[[\"k\",\"u9\",1]]}", RZ_EFORMAT, "no type"},
        {"{\"gguf_metadata\":[[\"\",\"u8\",1]]}", RZ_EFORMAT, "key"},
        {"{\"gguf_metadata\":[[\"k\",\"u8\"]]}", RZ_EFORMAT, "without a value"},
        {"{\"gguf_metadata\":[[\"k\",\"u8\",1,2]]}", RZ_EFORMAT, "three"},
        {"{\"gguf_metadata\":[[\"k\",\"string\",{\"hex\":\"f\"}]]}", RZ_EFORMAT, "hex"},
        {"{\"gguf_metadata\":[[\"k\",\"[string]\",{\"field\":\"x\"}]]}", RZ_EFORMAT, "field x"},
        /* One array that many entries mean would be many times the file. */
        {"{\"tokenizer.merges\":[\"a b\"],\"gguf_metadata\":[[\"k\",\"[string]\",{\"field\":"
         "\"tokenizer.merges\"}],[\"l\",\"[string]\",{\"field\":\"tokenizer.merges\"}]]}",
         RZ_EFORMAT, "used before"},
        {"{\"hidden_size\":9,\"gguf_metadata\":[[\"general.architecture\",\"string\",\"qwen2\"],"
         "[\"qwen2.embedding_length\",\"u32\",8]]}",
         RZ_EFORMAT, "hidden_size"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(cases); i++) {
        struct dotapr_build b;
        size_t len;
        const uint8_t *data = model(&b, cases[i].json, &len);
        at_refuse(data, len, cases[i].code, cases[i].words);
        ab_fini(&b);
    }
}

/* ---- types ---- */

static const rz_tensor *only(struct dotapr_build *b, const struct ab_tensor *t, rz_file **file)
{
    size_t len;
    ab_init(b, "{}");
    ab_tensor(b, t);
    const uint8_t *data = ab_build(b, &len);
    *file = at_open(data, len);
    return rz_file_tensor_at(*file, 0);
}

static void test_codes_by_size(void **state)
{
    (void)state;
    static const struct {
        size_t bytes; /* of 64 elements */
        rz_dtype dtype;
        uint8_t code;
    } cases[] = {
        {256, RZ_F32, 0},  {128, RZ_F16, 1},    {36, RZ_Q4_0, 2},   {128, RZ_BF16, 2},
        {40, RZ_Q4_1, 3},  {44, RZ_Q5_0, 6},    {48, RZ_Q5_1, 7},   {68, RZ_Q8_0, 8},
        {512, RZ_F32, 3},  {36, RZ_Q4_0, 8},    {36, RZ_Q4_0, 128}, {68, RZ_F16, 9},
        {68, RZ_F16, 129}, {36, RZ_IQ4_NL, 20}, {128, RZ_BF16, 30},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(cases); i++) {
        struct dotapr_build b;
        rz_file *file;
        const struct ab_tensor t = {.name = "t",
                                    .code = cases[i].code,
                                    .n_dims = 1,
                                    .dims = {64},
                                    .n_bytes = cases[i].bytes};
        const rz_tensor *got = only(&b, &t, &file);
        if (got->dtype != cases[i].dtype)
            fail_msg("code %u of %zu bytes is %s", t.code, t.n_bytes, rz_dtype_name(got->dtype));
        rz_file_close(&file);
        ab_fini(&b);
    }
}

static void test_own_types(void **state)
{
    (void)state;
    struct dotapr_build b;
    rz_file *file;
    float values[32];
    uint8_t q4[18] = {0x00, 0x3C}; /* scale 1 */
    for (unsigned i = 0; i < 16; i++)
        q4[2 + i] = (uint8_t)((2 * i) % 16 | ((2 * i + 1) % 16) << 4);
    const struct ab_tensor blocks = {"t", 128, 1, {32}, q4, 18};
    const rz_tensor *t = only(&b, &blocks, &file);
    rz_dtype_info(t->dtype)->decode(t->data, values, 32);
    for (int i = 0; i < 32; i++)
        assert_float_equal(values[i], (float)(i % 16 - 8), 0);
    rz_file_close(&file);
    ab_fini(&b);
    /* 5 of its elements only, which are no whole block: F16. */
    const struct ab_tensor part = {"t", 8, 1, {5}, q4, 18};
    t = only(&b, &part, &file);
    assert_int_equal(t->dtype, RZ_F16);
    for (int i = 0; i < 5; i++) {
        rz_f16 h;
        memcpy(&h, (const char *)t->data + 2 * i, 2);
        assert_float_equal(rz_f16_to_f32(h), (i - 8), 0);
    }
    rz_file_close(&file);
    ab_fini(&b);
    uint8_t q8[4 + 3] = {0, 0, 0, 0x3F, 0x7F, 0x81, 0x02}; /* scale 0.5 */
    const struct ab_tensor eight = {"t", 129, 1, {3}, q8, 7};
    t = only(&b, &eight, &file);
    static const float expected[] = {63.5f, -63.5f, 1};
    for (int i = 0; i < 3; i++) {
        rz_f16 h;
        memcpy(&h, (const char *)t->data + 2 * i, 2);
        assert_float_equal(rz_f16_to_f32(h), expected[i], 0);
    }
    rz_file_close(&file);
    ab_fini(&b);
    double d[2] = {0.25, -3};
    const struct ab_tensor wide = {"t", 3, 1, {2}, d, 16};
    t = only(&b, &wide, &file);
    assert_float_equal(((const float *)t->data)[1], -3, 0);
    rz_file_close(&file);
    ab_fini(&b);
}

/* Rows that are no whole blocks: each padded, or the blocks running on. */
static void test_padded_rows(void **state)
{
    (void)state;
    for (int flat = 0; flat < 2; flat++) {
        struct dotapr_build b;
        rz_file *file;
        static const uint8_t scales[] = {0x00, 0x2C, 0x00, 0x2A};
        uint8_t blocks[2 * 144];
        float all[512];
        for (size_t i = 0; i < sizeof blocks; i++)
            blocks[i] = (uint8_t)(i * 37 % 251);
        for (size_t i = 0; i < 2; i++)
            memcpy(blocks + 144 * i, scales, sizeof scales);
        rz_dtype_info(RZ_Q4_K)->decode(blocks, all, 512);
        const struct ab_tensor in = {"t", 12, 2, {2, 200}, blocks, 2 * 144};
        const struct ab_tensor run_on = {"t", 12, 2, {5, 100}, blocks, 2 * 144};
        const rz_tensor *t = only(&b, flat ? &run_on : &in, &file);
        assert_int_equal(t->dtype, RZ_F16);
        for (uint64_t i = 0; i < t->shape[0] * t->shape[1]; i++) {
            rz_f16 h;
            memcpy(&h, (const char *)t->data + 2 * i, 2);
            float expected = flat ? all[i] : all[i / 200 * 256 + i % 200];
            assert_float_equal(rz_f16_to_f32(h), expected, fabsf(expected) * 0x1p-11f);
        }
        rz_file_close(&file);
        ab_fini(&b);
    }
}

static void test_tied_head(void **state)
{
    (void)state;
    struct dotapr_build b;
    size_t len;
    float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct ab_tensor head = {"lm_head.weight", 0, 2, {2, 4}, NULL, 32};
    ab_init(&b, "{}");
    ab_entry(&b, &head, 0);
    ab_tensor_f32(&b, "model.embed_tokens.weight", 2, 4, data);
    const uint8_t *bytes = ab_build(&b, &len);
    rz_file *file = at_open(bytes, len);
    assert_int_equal(rz_file_n_tensors(file), 1);
    assert_non_null(rz_file_tensor(file, "token_embd.weight"));
    rz_file_close(&file);
    ab_fini(&b);
    /* Any other pair, or a part of it, is an overlap. */
    static const struct ab_tensor others[] = {
        {"a.weight", 0, 2, {2, 4}, NULL, 32},
        {"lm_head.weight", 0, 2, {4, 2}, NULL, 32},
        {"lm_head.weight", 0, 2, {1, 4}, NULL, 16},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(others); i++) {
        ab_init(&b, "{}");
        ab_entry(&b, &others[i], 0);
        ab_tensor_f32(&b, "model.embed_tokens.weight", 2, 4, data);
        bytes = ab_build(&b, &len);
        at_refuse(bytes, len, RZ_EFORMAT, "same bytes");
        ab_fini(&b);
    }
}

static void test_passed_over(void **state)
{
    (void)state;
    struct dotapr_build b;
    size_t len;
    const struct ab_tensor state_of = {"__training__.adam.m", 77, 1, {3}, NULL, 12};
    const struct ab_tensor packed = {"__packed__.amx.blk.0", 200, 1, {64}, NULL, 64};
    ab_init(&b, "{}");
    ab_tensor(&b, &packed);
    ab_tensor(&b, &state_of);
    ab_tensor_f32(&b, "w", 0, 4, NULL);
    const uint8_t *bytes = ab_build(&b, &len);
    rz_file *file = at_open(bytes, len);
    assert_int_equal(rz_file_n_tensors(file), 1);
    rz_file_close(&file);
    ab_fini(&b);
}

/* ---- what is wrong ---- */

enum { /* of the header */
    FLAGS = 6,
    COUNT = 8,
    META_AT = 12,
    META_LEN = 20,
    INDEX_AT = 24,
    DATA_AT = 32
};

static void test_header(void **state)
{
    (void)state;
    static const struct {
        size_t at, n;
        uint64_t value;
        rz_status code;
        const char *words;
    } cases[] = {
        {4, 1, 3, RZ_ELOAD, "version 3"},
        {4, 1, 1, RZ_ELOAD, "version 1"},
        {FLAGS, 2, 0x0404, RZ_ELOAD, "encrypted"},
        {FLAGS, 2, 0x0410, RZ_ELOAD, "shard"},
        {FLAGS, 2, 0x0800, RZ_ELOAD, "column-major"},
        {FLAGS, 2, 0x0403, RZ_EFORMAT, "both"},
        {FLAGS, 2, 0x0401, RZ_EFORMAT, "LZ4"},
        {FLAGS, 2, 0x0402, RZ_EFORMAT, "zstd"},
        {COUNT, 4, UINT32_MAX, RZ_EFORMAT, "do not fit"},
        {COUNT, 4, 9, RZ_EFORMAT, "name of 0 bytes"},
        {META_AT, 8, 0, RZ_EFORMAT, "metadata"},
        {META_AT, 8, UINT64_MAX, RZ_EFORMAT, "metadata"},
        {META_LEN, 4, UINT32_MAX, RZ_EFORMAT, "metadata"},
        {INDEX_AT, 8, 64, RZ_EFORMAT, "index"},
        {INDEX_AT, 8, UINT64_MAX, RZ_EFORMAT, "index"},
        {DATA_AT, 8, 64, RZ_EFORMAT, "tensor data"},
        {DATA_AT, 8, UINT64_MAX - 63, RZ_EFORMAT, "tensor data"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(cases); i++) {
        struct dotapr_build b;
        size_t len;
        uint8_t *data = model(&b, "{}", &len);
        memcpy(data + cases[i].at, &cases[i].value, cases[i].n);
        if (cases[i].at != 4) /* an unsealed header is refused for that alone */
            at_refuse(data, len, RZ_EFORMAT, "checksum");
        ab_seal(data);
        at_refuse(data, len, cases[i].code, cases[i].words);
        ab_fini(&b);
    }
}

static void test_entries(void **state)
{
    (void)state;
    static const struct {
        struct ab_tensor t;
        uint64_t offset;
        rz_status code;
        const char *words;
    } cases[] = {
        {{"", 0, 1, {4}, NULL, 16}, 0, RZ_EFORMAT, "name of 0"},
        {{"a\n", 0, 1, {4}, NULL, 16}, 0, RZ_EFORMAT, "control"},
        {{"\xFF", 0, 1, {4}, NULL, 16}, 0, RZ_EFORMAT, "UTF-8"},
        {{"a", 0, 9, {1}, NULL, 16}, 0, RZ_EFORMAT, "9 dimensions"},
        {{"a", 0, 5, {1, 1, 1, 1, 4}, NULL, 16}, 0, RZ_ELOAD, "5 dimensions"},
        {{"a", 0, 1, {0}, NULL, 0}, 0, RZ_EFORMAT, "dimension 0"},
        {{"a", 0, 2, {UINT64_MAX, UINT64_MAX}, NULL, 16}, 0, RZ_EFORMAT, "dimension"},
        {{"a", 0, 1, {4}, NULL, 15}, 0, RZ_EFORMAT, "do not take 15"},
        {{"a", 0, 1, {4}, NULL, 16}, UINT64_MAX, RZ_EFORMAT, "data section"},
        {{"a", 0, 1, {4}, NULL, UINT64_MAX}, 64, RZ_EFORMAT, "data section"},
        {{"a", 77, 1, {4}, NULL, 16}, 0, RZ_EFORMAT, "code 77"},
        {{"a", 4, 1, {4}, NULL, 16}, 0, RZ_ELOAD, "I32"},
        {{"a", 6, 1, {16}, NULL, 16}, 0, RZ_ELOAD, "I8"},
        {{"z", 0, 1, {4}, NULL, 16}, 0, RZ_EFORMAT, "not sorted"},
        {{"b", 0, 1, {4}, NULL, 16}, 0, RZ_EFORMAT, "twice"},
        {{"a", 0, 1, {4}, NULL, 16}, 60, RZ_EFORMAT, "same bytes"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(cases); i++) {
        struct dotapr_build b;
        size_t len;
        ab_init(&b, "{}");
        ab_entry(&b, &cases[i].t, cases[i].offset);
        const struct ab_tensor pad = {"b", 0, 1, {4}, NULL, 16};
        ab_entry(&b, &pad, 64);
        for (int k = 0; k < 128; k++)
            gb_put(&b.data, "", 1);
        const uint8_t *data = ab_build(&b, &len);
        at_refuse(data, len, cases[i].code, cases[i].words);
        ab_fini(&b);
    }
}

static const char whole[] = "{\"architecture\":\"qwen2\"," SIZES
                            ",\"tokenizer.vocabulary\":[\"a\",\"b\"],\"chat_template\":\"x\"}";

static void test_every_cut_and_flip(void **state)
{
    (void)state;
    struct dotapr_build b;
    size_t len, end;
    uint8_t *data = model(&b, whole, &len);
    end = b.data_at + b.data.len;
    for (size_t n = 0; n < len; n++) {
        at_probe(data, n);
        rz_file *file = NULL;
        rz_error err;
        if (n < end) { /* the last tensor fills its padding: all before the footer counts */
            assert_int_not_equal(rz_apr_open_memory(&file, "x", data, n, &err), RZ_OK);
            assert_null(file);
        }
    }
    for (size_t i = 0; i < b.data_at; i++) {
        static const uint8_t masks[] = {0x01, 0x80, 0xFF};
        for (size_t k = 0; k < sizeof masks; k++) {
            data[i] ^= masks[k];
            ab_seal(data);
            at_probe(data, len);
            data[i] ^= masks[k];
        }
    }
    ab_fini(&b);
}

/* ---- compressed ---- */

static size_t pack_lz4(const uint8_t *data, size_t len, uint8_t *out, size_t cap)
{
    uint32_t n = (uint32_t)len - 64;
    memcpy(out, data, 64);
    out[6] |= 1;
    ab_seal(out);
    memcpy(out + 64, &n, 4);
    int got =
        LZ4_compress_default((const char *)data + 64, (char *)out + 68, (int)n, (int)cap - 68);
    assert_true(got > 0);
    return 68 + (size_t)got;
}

/* As two frames. */
static size_t pack_zstd(const uint8_t *data, size_t len, uint8_t *out, size_t cap)
{
    memcpy(out, data, 64);
    out[6] |= 2;
    ab_seal(out);
    size_t first = ZSTD_compress(out + 64, cap - 64, data + 64, 100, 3);
    assert_false(ZSTD_isError(first));
    size_t at = 64 + first, rest = ZSTD_compress(out + at, cap - at, data + 164, len - 164, 3);
    assert_false(ZSTD_isError(rest));
    return at + rest;
}

static void test_compressed(void **state)
{
    (void)state;
    struct dotapr_build b;
    size_t len, n;
    const uint8_t *data = model(&b, whole, &len);
    size_t cap = 2 * len + 1024;
    uint8_t *packed = malloc(cap);
    assert_non_null(packed);
    for (int zstd = 0; zstd < 2; zstd++) {
        n = zstd ? pack_zstd(data, len, packed, cap) : pack_lz4(data, len, packed, cap);
        rz_file *file = at_open(packed, n);
        assert_int_equal(at_integer(file, "qwen2.embedding_length"), 32);
        assert_int_equal(rz_file_bytes(file), n);
        assert_int_equal(rz_file_tensor(file, "token_embd.weight")->n_bytes, 5 * 32 * 4);
        rz_file_close(&file);
        for (size_t cut = 64; cut < n; cut++)
            at_probe(packed, cut);
        for (size_t i = 64; i < n; i++) {
            packed[i] ^= 0x55;
            at_probe(packed, n);
            packed[i] ^= 0x55;
        }
    }
    n = pack_lz4(data, len, packed, cap);
    static const uint32_t lies[] = {0, 100, 0x7E000000, UINT32_MAX};
    for (size_t i = 0; i < RZ_ARRAY_LEN(lies); i++) {
        memcpy(packed + 64, &lies[i], 4);
        at_refuse(packed, n, RZ_EFORMAT, "x.apr: ");
    }
    free(packed);
    ab_fini(&b);
}

/* A gigabyte of zeros in a few kilobytes. */
static void test_bombs(void **state)
{
    (void)state;
    struct dotapr_build b;
    size_t len;
    uint8_t *data = model(&b, "{}", &len), *bomb = malloc(1 << 20);
    assert_non_null(bomb);
    memcpy(bomb, data, 64);
    bomb[6] |= 2;
    ab_seal(bomb);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    static const uint8_t zeros[1 << 16];
    ZSTD_outBuffer out = {.dst = bomb + 64, .size = (1 << 20) - 64};
    assert_false(ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(z, 1 << 30)));
    for (int i = 0; i < 1 << 14; i++) {
        ZSTD_inBuffer in = {.src = zeros, .size = sizeof zeros};
        size_t left =
            ZSTD_compressStream2(z, &out, &in, i == (1 << 14) - 1 ? ZSTD_e_end : ZSTD_e_continue);
        assert_false(ZSTD_isError(left));
    }
    ZSTD_freeCCtx(z);
    at_refuse(bomb, 64 + out.pos, RZ_EFORMAT, "256 times");
    free(bomb);
    ab_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_rope_order),
        cmocka_unit_test(test_tokenizer),
        cmocka_unit_test(test_hf_config),
        cmocka_unit_test(test_metadata_refused),
        cmocka_unit_test(test_codes_by_size),
        cmocka_unit_test(test_own_types),
        cmocka_unit_test(test_padded_rows),
        cmocka_unit_test(test_tied_head),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_every_cut_and_flip),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
