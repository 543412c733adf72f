/* test_dotapr.c - .apr version 2 written and read again: the bytes of aprender's published models,
 * and that nothing of a GGUF file is lost on the way, compressed or not. */
#include "base/buf.h"
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/dotapr.h"
#include "formats/dotapr_json.h"
#include "formats/gguf.h"
#include "formats/writer.h"
#include "quant/dtype.h"
#include "support/dotapr_test.h"
#include "support/gguf_build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the published models ---- */

static void set(struct rz_buf *b, const char *json)
{
    rz_buf_str(b, json);
}

/* apr-format's linear regression of eight weights, either way that its metadata was written. */
static void write_published(struct rz_buf *out, bool all_nulls)
{
    static const float weights[8] = {1, 2, 0.5f, -0.5f, 4, -2, 0.25f, 8}, bias = 0.125f;
    static const char zeros[64];
    struct rz_apr_known_fields k;
    struct rz_buf json;
    rz_apr_known_init(&k);
    rz_buf_init(&json, 1 << 20);
    set(&k.value[RZ_APR_MODEL_TYPE], "\"linear_regression\"");
    set(&k.value[RZ_APR_NAME], "\"golden-v2\"");
    set(&k.value[RZ_APR_VERSION], "\"0.0.0-golden\"");
    set(&k.value[RZ_APR_CREATED_AT], "\"1700000000\"");
    set(&k.value[RZ_APR_TOTAL_SIZE], "0");
    set(&k.value[RZ_APR_PARAM_COUNT], "8");
    rz_buf_char(&json, '{');
    rz_apr_put_known(&json, &k, all_nulls);
    rz_buf_char(&json, '}');
    const struct rz_apr_entry entries[] = {
        {.name = {"weights", 7}, .n_dims = 1, .dims = {8}, .offset = 64, .size = 32},
        {.name = {"bias", 4}, .n_dims = 1, .dims = {1}, .offset = 0, .size = 4},
    };
    rz_apr_put_head(out, (rz_slice){json.data, json.len}, entries, 2, RZ_APR_ROW_MAJOR);
    rz_buf_add(out, &bias, 4);
    rz_buf_add(out, zeros, 60);
    rz_buf_add(out, weights, 32);
    rz_buf_add(out, zeros, 32);
    uint32_t crc = rz_apr_crc(0, out->data, out->len);
    rz_buf_add(out, &crc, 4);
    assert_false(out->failed);
    rz_apr_known_fini(&k);
    rz_buf_fini(&json);
}

static uint32_t u32_at(const struct rz_buf *b, size_t at)
{
    uint32_t value;
    memcpy(&value, b->data + at, 4);
    return value;
}

static void test_published_bytes(void **state)
{
    (void)state;
    static const char json[] =
        "{\"model_type\":\"linear_regression\",\"name\":\"golden-v2\",\"license\":null,"
        "\"data_source\":null,\"data_license\":null,\"version\":\"0.0.0-golden\","
        "\"created_at\":\"1700000000\",\"total_size\":0,\"param_count\":8}";
    struct rz_buf out;
    rz_buf_init(&out, 1 << 20);
    write_published(&out, false);
    assert_int_equal(out.len, 516);
    assert_int_equal(u32_at(&out, 0x14), 189);
    assert_int_equal(strlen(json), 189);
    assert_memory_equal(out.data + 64, json, 189);
    assert_int_equal(u32_at(&out, 0x28), 0x3bc08c02);
    assert_int_equal(u32_at(&out, 0x200), 0x550f3f35);
    assert_memory_equal(out.data + 0x100, "\4\0bias\0\1", 8);
    rz_buf_fini(&out);
    rz_buf_init(&out, 1 << 20);
    write_published(&out, true);
    assert_int_equal(out.len, 1092);
    assert_int_equal(u32_at(&out, 0x14), 715);
    rz_buf_fini(&out);
}

static void test_published_reads(void **state)
{
    (void)state;
    for (int all_nulls = 0; all_nulls < 2; all_nulls++) {
        struct rz_buf out;
        rz_file *file = NULL;
        rz_error err;
        rz_buf_init(&out, 1 << 20);
        write_published(&out, all_nulls);
        if (rz_apr_open_memory(&file, "golden", out.data, out.len, &err))
            fail_msg("%s", err.text);
        assert_string_equal(rz_file_format(file), "APR");
        assert_int_equal(rz_file_version(file), 2);
        assert_int_equal(rz_file_n_tensors(file), 2);
        const rz_tensor *t = rz_file_tensor(file, "weights");
        assert_int_equal(t->shape[0], 8);
        assert_float_equal(((const float *)t->data)[7], 8, 0);
        rz_slice type;
        assert_int_equal(rz_file_get_string(file, "apr.model_type", &type, NULL, &err), RZ_OK);
        assert_int_equal(type.len, strlen("linear_regression"));
        assert_null(rz_file_meta(file, "general.architecture"));
        assert_true(at_footer_is_right(file));
        rz_file_close(&file);
        /* Some writers leave the footer out. */
        assert_int_equal(rz_apr_open_memory(&file, "golden", out.data, out.len - 4, &err), RZ_OK);
        rz_file_close(&file);
        rz_buf_fini(&out);
    }
}

/* ---- nothing is lost ---- */

static void same_element(const rz_meta *a, const rz_meta *b, uint64_t i)
{
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)(a->key.len < 60 ? a->key.len : 60), a->key.data);
    if (a->elem_type == RZ_META_STRING) {
        rz_slice x = rz_meta_string(a, i), y = rz_meta_string(b, i);
        if (x.len != y.len || memcmp(x.data, y.data, x.len) != 0)
            fail_msg("%s[%llu] differs", key, (unsigned long long)i);
        return;
    }
    size_t n = rz_meta_elem_bytes(a->elem_type);
    const struct rz_meta_entry *x = a->impl, *y = b->impl;
    if (memcmp(x->data + n * i, y->data + n * i, n) != 0)
        fail_msg("%s[%llu] differs", key, (unsigned long long)i);
}

static void same_metadata(const rz_file *a, const rz_file *b)
{
    for (size_t i = 0; i < rz_file_n_meta(a); i++) {
        const rz_meta *x = rz_file_meta_at(a, i);
        char *key = strndup(x->key.data, x->key.len);
        assert_non_null(key);
        const rz_meta *y = rz_file_meta(b, key);
        if (!y)
            print_error("%s is lost\n", key);
        free(key);
        if (!y) {
            fail();
            return;
        }
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->elem_type, y->elem_type);
        assert_int_equal(x->count, y->count);
        for (uint64_t k = 0; k < x->count; k++)
            same_element(x, y, k);
        const rz_meta *at_same_place = rz_file_meta_at(b, i);
        assert_ptr_equal(at_same_place, y);
    }
    assert_int_equal(rz_file_n_meta(a), rz_file_n_meta(b));
}

static void same_tensors(const rz_file *a, const rz_file *b)
{
    assert_int_equal(rz_file_n_tensors(a), rz_file_n_tensors(b));
    for (size_t i = 0; i < rz_file_n_tensors(a); i++) {
        const rz_tensor *x = rz_file_tensor_at(a, i), *y = rz_file_tensor_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->n_dims, y->n_dims);
        assert_memory_equal(x->shape, y->shape, sizeof x->shape);
        assert_int_equal(x->n_bytes, y->n_bytes);
        assert_memory_equal(x->data, y->data, x->n_bytes);
    }
}

/* All of source's tensors as they are, in pieces. */
static rz_status write_apr(const rz_file *source, const char *path, enum rz_compression compression,
                           const struct rz_meta_edit *edits, size_t n_edits, rz_error *err)
{
    size_t n = rz_file_n_tensors(source);
    struct rz_out_tensor *tensors = calloc(n + 1, sizeof *tensors);
    struct rz_writer *w = NULL;
    assert_non_null(tensors);
    for (size_t i = 0; i < n; i++) {
        const rz_tensor *t = rz_file_tensor_at(source, i);
        tensors[i] =
            (struct rz_out_tensor){.name = t->name, .dtype = t->dtype, .n_dims = t->n_dims};
        memcpy(tensors[i].shape, t->shape, sizeof t->shape);
    }
    const struct rz_writer_plan plan = {.path = path,
                                        .source = source,
                                        .edits = edits,
                                        .n_edits = n_edits,
                                        .tensors = tensors,
                                        .n_tensors = n,
                                        .compression = compression};
    rz_status status = rz_write_apr.begin(&w, &plan, err);
    for (size_t i = 0; i < n && !status; i++) {
        const rz_tensor *t = rz_file_tensor_at(source, i);
        size_t half = t->n_bytes / 2;
        status = rz_write_apr.write(w, t->data, half, err);
        if (!status)
            status = rz_write_apr.write(w, (const char *)t->data + half, t->n_bytes - half, err);
    }
    if (!status)
        status = rz_write_apr.finish(w, err);
    rz_write_apr.free(&w);
    free(tensors);
    return status;
}

static void round_trip(const rz_file *source)
{
    static const enum rz_compression ways[] = {RZ_COMPRESS_NONE, RZ_COMPRESS_LZ4, RZ_COMPRESS_ZSTD};
    struct at_scratch s = {0};
    at_scratch_make(&s);
    for (size_t i = 0; i < RZ_ARRAY_LEN(ways); i++) {
        rz_file *file = NULL;
        rz_error err = {0};
        struct stat st;
        if (write_apr(source, s.path, ways[i], NULL, 0, &err) || rz_file_open(&file, s.path, &err))
            fail_msg("%s", err.text);
        same_metadata(source, file);
        same_tensors(source, file);
        assert_int_equal(stat(s.path, &st), 0);
        assert_int_equal(rz_file_bytes(file), st.st_size);
        assert_true(at_footer_is_right(file));
        rz_file_close(&file);
    }
    at_scratch_remove(&s);
}

static void put_every_kind(struct gguf_build *b)
{
    static const int8_t i8s[] = {-128, 0, 127};
    static const uint16_t u16s[] = {0, 65535};
    static const int64_t i64s[] = {INT64_MIN, -1, INT64_MAX};
    static const uint64_t u64s[] = {0, UINT64_MAX};
    static const uint8_t bools[] = {0, 1, 1};
    static const double f64s[] = {0.1, -0.0, 1e300, 5e-324, INFINITY};
    static const float f32s[] = {0.1f, -0.0f, 3.4028235e38f, 1e-45f, NAN, -INFINITY, 16777216.0f};
    static const char *const words[] = {
        "", "a\"b\\c", "tab\tnl\n\x01", "\xC3\xA9\xE2\x82\xAC", "\xFF\xFE cut", "\x7F"};
    gb_numbers(b, "x.i8s", GB_I8, i8s, 3);
    gb_numbers(b, "x.u16s", GB_U16, u16s, 2);
    gb_numbers(b, "x.i64s", GB_I64, i64s, 3);
    gb_numbers(b, "x.u64s", GB_U64, u64s, 2);
    gb_numbers(b, "x.bools", GB_BOOL, bools, 3);
    gb_numbers(b, "x.f64s", GB_F64, f64s, 5);
    gb_numbers(b, "x.f32s", GB_F32, f32s, 7);
    gb_numbers(b, "x.none", GB_U32, NULL, 0);
    gb_strings(b, "x.words", words, 6);
    gb_strings(b, "x.no_words", NULL, 0);
    gb_u8(b, "x.u8", 255);
    gb_u16(b, "x.u16", 65535);
    gb_i32(b, "x.i32", INT32_MIN);
    gb_u64(b, "x.u64", UINT64_MAX);
    gb_bool(b, "x.bool", true);
    gb_string(b, "x.\"key\" \xC3\xA9", "quoted");
}

static void put_tokenizer(struct gguf_build *b)
{
    static const char *const tokens[] = {"a", "\xC4\xA0\x62", "<|im_end|>", "\"", "\\u0041"};
    static const char *const merges[] = {"a b", "\xC4\xA0 t"};
    static const int32_t types[] = {1, 1, 3, 1, 6};
    static const float scores[] = {0, -1.5f, -3e-7f, 1e10f, -0.0f};
    gb_string(b, "tokenizer.ggml.model", "gpt2");
    gb_string(b, "tokenizer.ggml.pre", "qwen2");
    gb_strings(b, "tokenizer.ggml.tokens", tokens, 5);
    gb_numbers(b, "tokenizer.ggml.token_type", GB_I32, types, 5);
    gb_numbers(b, "tokenizer.ggml.scores", GB_F32, scores, 5);
    gb_strings(b, "tokenizer.ggml.merges", merges, 2);
    gb_u32(b, "tokenizer.ggml.bos_token_id", 0);
    gb_u32(b, "tokenizer.ggml.eos_token_id", 2);
    gb_u32(b, "tokenizer.ggml.padding_token_id", 4);
    gb_u32(b, "tokenizer.ggml.eot_token_id", 2);
    gb_u32(b, "tokenizer.ggml.fim_pre_token_id", 3);
    gb_u32(b, "tokenizer.ggml.fim_suf_token_id", 3);
    gb_u32(b, "tokenizer.ggml.fim_mid_token_id", 3);
    gb_bool(b, "tokenizer.ggml.add_bos_token", false);
    gb_string(b, "tokenizer.chat_template", "{% for m in messages %}\n<|im_start|>{% endfor %}");
    gb_string(b, "tokenizer.chat_template.tool_use", "{{ tools }}");
}

static void put_model(struct gguf_build *b, const char *arch)
{
    char key[96];
    static const struct {
        const char *name;
        uint32_t value;
    } sizes[] = {{"embedding_length", 8},     {"block_count", 1},
                 {"attention.head_count", 2}, {"attention.head_count_kv", 1},
                 {"feed_forward_length", 16}, {"context_length", 128}};
    gb_string(b, "general.architecture", arch);
    gb_string(b, "general.name", "test \xE2\x82\xAC");
    gb_u32(b, "general.file_type", 7);
    for (size_t i = 0; i < RZ_ARRAY_LEN(sizes); i++) {
        snprintf(key, sizeof key, "%s.%s", arch, sizes[i].name);
        gb_u32(b, key, sizes[i].value);
    }
    snprintf(key, sizeof key, "%s.rope.freq_base", arch);
    gb_f32(b, key, 1000000.0f);
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch);
    gb_f32(b, key, 1e-6f);
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
    gb_string(b, key, "yarn");
    snprintf(key, sizeof key, "%s.rope.scaling.factor", arch);
    gb_f32(b, key, 4);
    gb_f32(b, "general.sampling.temp", 0.7f);
    gb_i32(b, "general.sampling.penalty_last_n", -1);
}

static void put_tensors(struct gguf_build *b)
{
    static uint8_t noise[5 * 1024];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 11);
    /* Every type, in an order that is not that of the names; 256 columns are whole blocks of all.
     */
    for (int type = RZ_N_DTYPES; type-- > 0;) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.ffn_up.weight", type);
        size_t row =
            256 / rz_dtype_block_len((rz_dtype)type) * rz_dtype_block_bytes((rz_dtype)type);
        gb_tensor(b, &(struct gb_tensor){.name = name,
                                         .type = rz_dtype_info((rz_dtype)type)->gguf_id,
                                         .n_dims = 2,
                                         .shape = {3, 256},
                                         .data = noise,
                                         .n_bytes = 3 * row});
    }
    gb_tensor_f32(b, "token_embd.weight", 2, (const uint64_t[]){5, 8},
                  (const float *)(const void *)noise);
    gb_tensor_f32(b, "output_norm.weight", 1, (const uint64_t[]){8},
                  (const float *)(const void *)noise);
    gb_tensor_f32(b, "blk.0.ffn_gate_exps.weight", 3, (const uint64_t[]){2, 2, 8},
                  (const float *)(const void *)noise);
    gb_tensor_f32(b, "rope_freqs.weight", 1, (const uint64_t[]){2},
                  (const float *)(const void *)noise);
}

static rz_file *open_gguf(struct gguf_build *b)
{
    rz_file *file = NULL;
    rz_error err = {0};
    size_t len;
    const uint8_t *bytes = gb_build(b, &len);
    if (rz_gguf_open_memory(&file, "source", bytes, len, &err))
        fail_msg("%s", err.text);
    return file;
}

static void test_everything_survives(void **state)
{
    (void)state;
    static const char *const archs[] = {"qwen2", "llama", "qwen3moe", "unheard-of"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(archs); i++) {
        struct gguf_build b;
        gb_init(&b);
        put_model(&b, archs[i]);
        put_tokenizer(&b);
        put_every_kind(&b);
        put_tensors(&b);
        rz_file *file = open_gguf(&b);
        round_trip(file);
        rz_file_close(&file);
        gb_fini(&b);
    }
}

/* Tokens cut inside a UTF-8 sequence, as old conversions have them. */
static void test_tokens_that_are_no_text(void **state)
{
    (void)state;
    static const char *const tokens[] = {"\xE2\x82", "ok", "\xFF"};
    struct gguf_build b;
    gb_init(&b);
    put_model(&b, "qwen2");
    gb_strings(&b, "tokenizer.ggml.tokens", tokens, 3);
    gb_string(&b, "tokenizer.chat_template", "cut \xC3");
    rz_file *file = NULL;
    rz_error err = {0};
    size_t len;
    const uint8_t *bytes = gb_build(&b, &len);
    /* A single string must be UTF-8 in GGUF; elements of arrays need not. */
    assert_int_equal(rz_gguf_open_memory(&file, "x", bytes, len, &err), RZ_EFORMAT);
    gb_fini(&b);
    gb_init(&b);
    put_model(&b, "qwen2");
    gb_strings(&b, "tokenizer.ggml.tokens", tokens, 3);
    file = open_gguf(&b);
    round_trip(file);
    rz_file_close(&file);
    gb_fini(&b);
}

static void test_demo_survives(void **state)
{
    (void)state;
    const char *root = getenv("RZ_SOURCE_DIR");
    char path[4096];
    rz_file *file = NULL;
    rz_error err = {0};
    snprintf(path, sizeof path, "%s/models/demo.gguf", root ? root : RZ_SOURCE_DIR);
    if (rz_file_open(&file, path, &err))
        fail_msg("%s", err.text);
    round_trip(file);
    rz_file_close(&file);
}

/* Pages of a file may be dropped after use; what was unpacked exists only in memory. */
static void test_mapped(void **state)
{
    (void)state;
    static const enum rz_compression kinds[] = {RZ_COMPRESS_NONE, RZ_COMPRESS_LZ4,
                                                RZ_COMPRESS_ZSTD};
    struct at_scratch s = {0};
    struct gguf_build b;
    rz_error err = {0};
    at_scratch_make(&s);
    gb_init(&b);
    put_model(&b, "qwen2");
    put_tokenizer(&b);
    put_tensors(&b);
    rz_file *source = open_gguf(&b), *file = NULL;
    for (size_t k = 0; k < RZ_ARRAY_LEN(kinds); k++) {
        if (write_apr(source, s.path, kinds[k], NULL, 0, &err) ||
            rz_file_open(&file, s.path, &err)) {
            fail_msg("%s", err.text);
            return;
        }
        for (size_t i = 0; i < rz_file_n_tensors(file); i++)
            assert_int_equal(rz_file_tensor_at(file, i)->mapped, kinds[k] == RZ_COMPRESS_NONE);
        const struct rz_shard *shard = &file->shards[0];
        const uint32_t crc = rz_apr_crc(0, shard->data, shard->len);
        rz_source_release(file, shard->data, shard->len);
        assert_int_equal(rz_apr_crc(0, shard->data, shard->len), crc);
        rz_file_close(&file);
        unlink(s.path);
    }
    rz_file_close(&source);
    gb_fini(&b);
    at_scratch_remove(&s);
}

/* ---- the writer's own rules ---- */

static void test_edits(void **state)
{
    (void)state;
    struct at_scratch s = {0};
    struct gguf_build b;
    rz_error err = {0};
    const struct rz_meta_edit edits[] = {
        {.key = "general.name", .type = RZ_META_STRING, .value.text = "edited"},
        {.key = "general.file_type", .drop = true},
        {.key = "llama.rope.neox", .type = RZ_META_BOOL, .value.b = true},
        {.key = "llama.rope.freq_base", .type = RZ_META_F32, .value.f = 5e5},
        {.key = "x.new", .type = RZ_META_U64, .value.u = UINT64_MAX},
        {.key = "x.small", .type = RZ_META_U32, .value.u = 7},
    };
    at_scratch_make(&s);
    gb_init(&b);
    put_model(&b, "llama");
    put_tokenizer(&b);
    rz_file *source = open_gguf(&b), *file = NULL;
    if (write_apr(source, s.path, RZ_COMPRESS_NONE, edits, RZ_ARRAY_LEN(edits), &err) ||
        rz_file_open(&file, s.path, &err))
        fail_msg("%s", err.text);
    assert_int_equal(rz_file_n_meta(file), rz_file_n_meta(source) - 1 + 3);
    assert_null(rz_file_meta(file, "general.file_type"));
    assert_int_equal(rz_meta_string(rz_file_meta(file, "general.name"), 0).len, 6);
    assert_int_equal(rz_meta_int(rz_file_meta(file, "llama.rope.neox"), 0), 1);
    assert_int_equal(rz_file_meta(file, "x.new")->type, RZ_META_U64);
    assert_float_equal(rz_meta_float(rz_file_meta(file, "llama.rope.freq_base"), 0), 5e5, 0);
    rz_file_close(&file);
    rz_file_close(&source);
    at_scratch_remove(&s);
    gb_fini(&b);
}

/* What aprender and realizar would find: the sorted index, the head that is the embedding, the
 * fields under one spelling each. */
static void test_other_readers_view(void **state)
{
    (void)state;
    struct at_scratch s = {0};
    struct gguf_build b;
    rz_error err = {0};
    at_scratch_make(&s);
    gb_init(&b);
    put_model(&b, "qwen2");
    put_tokenizer(&b);
    put_tensors(&b);
    rz_file *source = open_gguf(&b), *file = NULL;
    if (write_apr(source, s.path, RZ_COMPRESS_NONE, NULL, 0, &err) ||
        rz_file_open(&file, s.path, &err)) {
        fail_msg("%s", err.text);
        return;
    }
    const uint8_t *d = file->shards[0].data;
    char *json = strndup((const char *)d + 64, 1 << 16);
    assert_non_null(json);
    static const char *const has[] = {
        "{\"model_type\":\"qwen2\",\"name\":\"test \xE2\x82\xAC\",\"license\":null,",
        "\"architecture\":\"qwen2\",\"hf_architecture\":\"Qwen2ForCausalLM\"",
        "\"hidden_size\":8,\"num_layers\":1,\"num_heads\":2,\"num_kv_heads\":1,\"vocab_size\":5,",
        "\"rope_theta\":1000000.0,\"rope_type\":2,\"rms_norm_eps\":1e-06",
        "\"tied_embeddings\":true",
        "\"tokenizer.vocabulary\":[\"a\",\"\xC4\xA0\x62\",",
        "\"tokenizer.eos_token_id\":2",
        "\"special_tokens\":{\"bos_token\":\"a\",\"eos_token\":\"<|im_end|>\"",
        "\"chat_format\":\"chatml\"",
    };
    static const char *const once[] = {"num_hidden_layers", "n_layers", "hidden_dim",
                                       "tokenizer.chat_template\":\""};
    for (size_t i = 0; i < RZ_ARRAY_LEN(has); i++)
        if (!strstr(json, has[i]))
            fail_msg("%s is missing in %s", has[i], json);
    for (size_t i = 0; i < RZ_ARRAY_LEN(once); i++)
        assert_null(strstr(json, once[i]));
    free(json);
    assert_int_equal(d[6] | d[7] << 8, 0x0400);
    assert_memory_equal(d + 44, (const char[20]){0}, 20);
    /* One entry more than tensors: the head, which the library's reader takes for tied. */
    uint32_t n;
    memcpy(&n, d + 8, 4);
    assert_int_equal(n, rz_file_n_tensors(source) + 1);
    assert_null(rz_file_tensor(file, "output.weight"));
    assert_non_null(memmem(d, file->shards[0].len, "\x0e\0lm_head.weight", 16));
    assert_non_null(memmem(d, file->shards[0].len, "model.embed_tokens.weight", 25));
    rz_file_close(&file);
    rz_file_close(&source);
    at_scratch_remove(&s);
    gb_fini(&b);
}

static void test_failures_leave_nothing(void **state)
{
    (void)state;
    struct at_scratch s = {0};
    struct gguf_build b;
    struct rz_writer *w = NULL;
    rz_error err = {0};
    at_scratch_make(&s);
    gb_init(&b);
    put_model(&b, "qwen2");
    gb_key(&b, "x.nested", GB_ARRAY);
    gb_put_u32(&b.meta, GB_ARRAY);
    gb_put_u64(&b.meta, 1);
    gb_put_u32(&b.meta, GB_U8);
    gb_put_u64(&b.meta, 0);
    rz_file *source = open_gguf(&b);
    assert_int_equal(write_apr(source, s.path, RZ_COMPRESS_NONE, NULL, 0, &err), RZ_ELOAD);
    assert_non_null(strstr(err.text, "x.nested"));
    const struct rz_meta_edit drop = {.key = "x.nested", .drop = true};
    struct rz_out_tensor twice[] = {
        {.name = "output.weight", .dtype = RZ_F32, .n_dims = 1, .shape = {4}},
        {.name = "lm_head.weight", .dtype = RZ_F32, .n_dims = 1, .shape = {4}},
    };
    struct rz_writer_plan plan = {.path = s.path,
                                  .source = source,
                                  .edits = &drop,
                                  .n_edits = 1,
                                  .tensors = twice,
                                  .n_tensors = 2};
    assert_int_equal(rz_write_apr.begin(&w, &plan, &err), RZ_EUSAGE);
    plan.n_tensors = 1;
    static const enum rz_compression ways[] = {RZ_COMPRESS_NONE, RZ_COMPRESS_LZ4, RZ_COMPRESS_ZSTD};
    for (size_t i = 0; i < RZ_ARRAY_LEN(ways); i++) {
        plan.compression = ways[i];
        assert_int_equal(rz_write_apr.begin(&w, &plan, &err), RZ_OK);
        assert_int_equal(rz_write_apr.write(w, "1234", 4, &err), RZ_OK);
        rz_write_apr.free(&w); /* half-way */
        assert_null(w);
    }
    /* 3 GB do not go into one LZ4 block; nothing of that size is written to find out. */
    plan.compression = RZ_COMPRESS_LZ4;
    twice[0].shape[0] = 750000000;
    assert_int_equal(rz_write_apr.begin(&w, &plan, &err), RZ_ELOAD);
    assert_non_null(strstr(err.text, "LZ4"));
    plan.shard_bytes = 1;
    assert_int_equal(rz_write_apr.begin(&w, &plan, &err), RZ_EUSAGE);
    rz_file_close(&source);
    at_scratch_remove(&s);
    gb_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_bytes),
        cmocka_unit_test(test_published_reads),
        cmocka_unit_test(test_everything_survives),
        cmocka_unit_test(test_tokens_that_are_no_text),
        cmocka_unit_test(test_demo_survives),
        cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_other_readers_view),
        cmocka_unit_test(test_failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
