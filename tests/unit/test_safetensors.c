/* test_safetensors.c - SafeTensors files: what is read of a good one, and files with exactly one
 * thing wrong. Each of those is refused with the right status and a sentence that names the file
 * and the place. */
#include "base/fail.h"
#include "formats/safetensors.h"
#include "support/hf_build.h"

#include <realizar/file.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Two tensors, 20 bytes of data. */
#define NORM "\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define HEAD "\"lm_head.weight\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]}"

/* Header and n_data zeros in a block of exactly their size; free it. */
static uint8_t *make(const char *header, size_t n_data, size_t *len)
{
    uint64_t n_header = strlen(header);
    *len = sizeof n_header + n_header + n_data;
    uint8_t *file = calloc(1, *len);
    assert_non_null(file);
    memcpy(file, &n_header, sizeof n_header);
    memcpy(file + sizeof n_header, header, *len - sizeof n_header - n_data);
    return file;
}

static rz_status open_bytes(const uint8_t *bytes, size_t len, rz_error *err)
{
    rz_file *file = (rz_file *)err;
    rz_status status = rz_st_open_memory(&file, "f.safetensors", bytes, len, RZ_ST_MODEL, err);
    if (status)
        assert_null(file);
    rz_file_close(&file);
    return status;
}

static void a_good_file_is_read(void **state)
{
    (void)state;
    static const char header[] =
        "{ \"__metadata__\" : {\"format\":\"pt\", \"a\\u00e9\":\"\\ud83d\\ude00\"},\n" NORM
        ", \"model.layers.7.self_attn.\\u0071_proj.weight\": {\"shape\": [3, 2], \"dtype\": "
        "\"F16\","
        " \"data_offsets\": [20, 32], \"later\": [{}, null, -1.5e3]},\n" HEAD
        ", \"model.layers.0.self_attn.rotary_emb.inv_freq\":"
        "{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[32,40]}}    ";
    size_t len;
    uint8_t *bytes = make(header, 40, &len);
    rz_file *file;
    rz_error err = {0};
    if (rz_st_open_memory(&file, "f", bytes, len, RZ_ST_MODEL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(rz_file_format(file), "SafeTensors");
    assert_int_equal(rz_file_n_tensors(file), 3);
    const rz_tensor *q = rz_file_tensor(file, "blk.7.attn_q.weight");
    assert_non_null(q);
    assert_ptr_equal(rz_file_tensor_at(file, 1), q);
    assert_int_equal(q->dtype, RZ_F16);
    assert_int_equal(q->n_dims, 2);
    assert_true(q->shape[0] == 3 && q->shape[1] == 2 && q->shape[2] == 1);
    assert_int_equal(q->n_bytes, 12);
    assert_int_equal(q->file_offset, len - 40 + 20);
    assert_ptr_equal(q->data, bytes + q->file_offset);
    assert_non_null(rz_file_tensor(file, "output_norm.weight"));
    assert_int_equal(rz_file_tensor(file, "output.weight")->dtype, RZ_BF16);
    rz_file_close(&file);
    free(bytes);
}

static void names_are_translated(void **state)
{
    (void)state;
    static const struct {
        const char *hf, *gguf; /* NULL: not named */
    } rows[] = {
        {"model.embed_tokens.weight", "token_embd.weight"},
        {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
        {"model.layers.12.mlp.down_proj.weight", "blk.12.ffn_down.weight"},
        {"model.layers.12345.self_attn.v_proj.bias", "blk.12345.attn_v.bias"},
        {"model.layers.123456.self_attn.v_proj.bias", NULL},
        {"model.layers.01.self_attn.v_proj.bias", NULL},
        {"model.layers..self_attn.v_proj.bias", NULL},
        {"model.layers.1", NULL},
        {"model.layers.1.", NULL},
        {"model.layers.1.self_attn.o_proj.bias", NULL},
        {"blk.0.attn_q.weight", NULL},
        {"token_embd.weight", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        char name[RZ_MAX_TENSOR_NAME_BYTES + 1];
        rz_slice hf = {.data = rows[i].hf, .len = strlen(rows[i].hf)};
        enum rz_st_name kind = rz_st_gguf_name(hf, name);
        assert_int_equal(kind, rows[i].gguf ? RZ_ST_NAMED : RZ_ST_UNKNOWN);
        if (rows[i].gguf)
            assert_string_equal(name, rows[i].gguf);
    }
}

static void names_of_anybody_are_kept(void **state)
{
    (void)state;
    static const char *const refused[] = {"", "a\\u0000b"};
    char header[256];
    size_t len;
    rz_file *file;
    rz_error err = {0};
    for (size_t i = 0; i <= RZ_ARRAY_LEN(refused); i++) {
        bool bad = i < RZ_ARRAY_LEN(refused);
        snprintf(header, sizeof header,
                 "{\"%s\": {\"dtype\":\"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}}",
                 bad ? refused[i] : "lm_head.weight\\u0001");
        uint8_t *bytes = make(header, 8, &len);
        rz_status status = rz_st_open_memory(&file, "f", bytes, len, RZ_ST_AS_IS, &err);
        assert_int_equal(status, bad ? RZ_EFORMAT : RZ_OK);
        if (bad)
            assert_non_null(strstr(err.text, "zero byte"));
        else
            assert_non_null(rz_file_tensor(file, "lm_head.weight\001"));
        rz_file_close(&file);
        free(bytes);
    }
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"model.norm.weight\":{\"dtype\":\"" dtype "\",\"shape\":" shape                             \
    ",\"data_offsets\":" offsets "}}"
#define TEN "[[[[[[[[[["

static const struct {
    const char *header;
    size_t n_data;
    rz_status status;
    const char *says;
} hostile[] = {
    /* the JSON */
    {"", 20, RZ_EFORMAT, "does not begin with '{'"},
    {" {" NORM "," HEAD "}", 20, RZ_EFORMAT, "does not begin with '{'"},
    {"[1]", 0, RZ_EFORMAT, "does not begin with '{'"},
    {"{", 0, RZ_EFORMAT, "JSON at byte 9: ends where"},
    {"{" NORM "," HEAD "", 20, RZ_EFORMAT, "ends where ',' or '}' is expected"},
    {"{" NORM " " HEAD "}", 20, RZ_EFORMAT, "'\"' where ',' or '}' is expected"},
    {"{" NORM ",}", 8, RZ_EFORMAT, "'}' where '\"' is expected"},
    {"{" NORM "}x", 8, RZ_EFORMAT, "'x' where the end is expected"},
    {"{" NORM "}{}", 8, RZ_EFORMAT, "'{' where the end is expected"},
    {"{\"a\"}", 0, RZ_EFORMAT, "'}' where ':' is expected"},
    {"{a:1}", 0, RZ_EFORMAT, "'a' where '\"' is expected"},
    {"{\"a\\x\":1}", 0, RZ_EFORMAT, "unknown escape"},
    {"{\"a\\u12g4\":1}", 0, RZ_EFORMAT, "four hex digits"},
    {"{\"a\\ud800\":1}", 0, RZ_EFORMAT, "surrogate"},
    {"{\"a\\ud800\\u0041\":1}", 0, RZ_EFORMAT, "surrogate"},
    {"{\"a\\udc00\":1}", 0, RZ_EFORMAT, "surrogate"},
    {"{\"a\n\":1}", 0, RZ_EFORMAT, "control character 0a"},
    {"{\"a\xff\":1}", 0, RZ_EFORMAT, "JSON at byte 11: not UTF-8"},
    {"{\"a\xc0\x80\":1}", 0, RZ_EFORMAT, "not UTF-8"},
    {"{\"a", 0, RZ_EFORMAT, "ends inside a string that began at byte 10"},
    {"{\"model.norm.weight\":{\"x\":01}}", 0, RZ_EFORMAT, "leading zero"},
    {"{\"model.norm.weight\":{\"x\":1.}}", 0, RZ_EFORMAT, "a digit is expected"},
    {"{\"model.norm.weight\":{\"x\":+1}}", 0, RZ_EFORMAT, "a value is expected"},
    {"{\"model.norm.weight\":{\"x\":nul}}", 0, RZ_EFORMAT, "a value is expected"},
    {"{\"model.norm.weight\":{\"x\":" TEN TEN TEN TEN TEN TEN TEN "}}", 0, RZ_EFORMAT,
     "nested deeper than 64"},
    /* __metadata__ */
    {"{\"__metadata__\":{\"a\":1}," NORM "}", 8, RZ_EFORMAT, "a value that is no string"},
    {"{\"__metadata__\":{\"a\":{}}," NORM "}", 8, RZ_EFORMAT, "a value that is no string"},
    {"{\"__metadata__\":[]," NORM "}", 8, RZ_EFORMAT, "'[' where '{' is expected"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, RZ_EFORMAT, "__metadata__ occurs twice"},
    /* an entry's fields */
    {"{\"model.norm.weight\":1}", 0, RZ_EFORMAT, "'1' where '{' is expected"},
    {"{\"model.norm.weight\":{}}", 0, RZ_EFORMAT, "model.norm.weight at byte 9: dtype is missing"},
    {"{\"model.norm.weight\":{\"dtype\":\"F32\"}}", 0, RZ_EFORMAT, "shape is missing"},
    {"{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, RZ_EFORMAT,
     "data_offsets is missing"},
    {"{\"model.norm.weight\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],"
     "\"data_offsets\":[0,8]}}",
     8, RZ_EFORMAT, "dtype occurs twice"},
    {"{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2],"
     "\"data_offsets\":[0,8]}}",
     8, RZ_EFORMAT, "shape occurs twice"},
    {"{\"model.norm.weight\":{\"dtype\":5,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, RZ_EFORMAT,
     "'5' where '\"' is expected"},
    {"{" NORM "," NORM "}", 8, RZ_EFORMAT, "the name occurs twice"},
    {"{" NORM ",\"model.norm.w\\u0065ight\":{\"dtype\":\"U8\",\"shape\":[0],"
     "\"data_offsets\":[8,8]}}",
     8, RZ_ELOAD, "type U8 is not supported"},
    {"{" NORM ",\"model.norm.w\\u0065ight\":{\"dtype\":\"BF16\",\"shape\":[1],"
     "\"data_offsets\":[8,10]}}",
     10, RZ_EFORMAT, "the name occurs twice"},
    {ENTRY("F32", "[2]", "[0]"), 8, RZ_EFORMAT, "1 data_offsets, must be two"},
    {ENTRY("F32", "[2]", "[0,8,8]"), 8, RZ_EFORMAT, "more than two data_offsets"},
    {ENTRY("F32", "[2]", "[0,8.0]"), 8, RZ_EFORMAT, "a non-negative integer is expected"},
    {ENTRY("F32", "[2]", "[-1,8]"), 8, RZ_EFORMAT, "a non-negative integer is expected"},
    {ENTRY("F32", "[2]", "[0,1e1]"), 10, RZ_EFORMAT, "a non-negative integer is expected"},
    {ENTRY("F32", "[2]", "[\"0\",8]"), 8, RZ_EFORMAT, "a non-negative integer is expected"},
    {ENTRY("F32", "[2]", "[0,18446744073709551616]"), 8, RZ_EFORMAT, "above 2^64"},
    {ENTRY("F32", "[-2]", "[0,8]"), 8, RZ_EFORMAT, "a non-negative integer is expected"},
    {ENTRY("F32", "2", "[0,8]"), 8, RZ_EFORMAT, "'2' where '[' is expected"},
    {ENTRY("F32", "[1,1,1,1,2]", "[0,8]"), 8, RZ_ELOAD, "more than 4 dimensions"},
    {ENTRY("F32", "[0]", "[0,0]"), 0, RZ_EFORMAT, "a dimension is 0"},
    {ENTRY("F32", "[4294967296,4294967296]", "[0,0]"), 0, RZ_EFORMAT, "more than 2^63 elements"},
    {ENTRY("F32", "[9223372036854775808]", "[0,0]"), 0, RZ_EFORMAT, "more than 2^63 elements"},
    {ENTRY("F32", "[18446744073709551615,0]", "[0,0]"), 0, RZ_EFORMAT, "more than 2^63 elements"},
    {ENTRY("F32", "[4611686018427387904]", "[0,0]"), 0, RZ_EFORMAT, "do not take the 0 bytes"},
    /* sizes and types */
    {ENTRY("F32", "[2]", "[0,4]"), 4, RZ_EFORMAT, "2 elements of type F32 do not take the 4 bytes"},
    {ENTRY("F16", "[2]", "[0,8]"), 8, RZ_EFORMAT, "2 elements of type F16 do not take the 8 bytes"},
    {ENTRY("F32", "[2]", "[8,0]"), 8, RZ_EFORMAT, "begin at 8 and end at 0"},
    {ENTRY("F32", "[2]", "[0,8]"), 7, RZ_EFORMAT, "end at 8 of a data section of 7 bytes"},
    {ENTRY("F32", "[2]", "[18446744073709551608,18446744073709551615]"), 8, RZ_EFORMAT,
     "of a data section of 8 bytes"},
    {ENTRY("F99", "[2]", "[0,8]"), 8, RZ_EFORMAT, "type \"F99\" is unknown"},
    {ENTRY("f32", "[2]", "[0,8]"), 8, RZ_EFORMAT, "type \"f32\" is unknown"},
    {ENTRY("F64", "[1]", "[0,8]"), 8, RZ_ELOAD, "type F64 is not supported"},
    {ENTRY("I64", "[1]", "[0,8]"), 8, RZ_ELOAD, "type I64 is not supported"},
    {ENTRY("I32", "[2]", "[0,8]"), 8, RZ_ELOAD, "type I32 is not supported"},
    {ENTRY("I16", "[4]", "[0,8]"), 8, RZ_ELOAD, "type I16 is not supported"},
    {ENTRY("I8", "[8]", "[0,8]"), 8, RZ_ELOAD, "type I8 is not supported"},
    {ENTRY("U8", "[8]", "[0,8]"), 8, RZ_ELOAD, "type U8 is not supported"},
    {ENTRY("BOOL", "[8]", "[0,8]"), 8, RZ_ELOAD, "type BOOL is not supported"},
    {ENTRY("F8_E4M3", "[8]", "[0,8]"), 8, RZ_ELOAD, "type F8_E4M3 is not supported"},
    {ENTRY("F4", "[16]", "[0,8]"), 8, RZ_ELOAD, "type F4 is not supported"},
    {ENTRY("I64", "[1]", "[0,4]"), 4, RZ_EFORMAT, "1 elements of type I64 do not take"},
    /* extents */
    {"{" HEAD "}", 20, RZ_EFORMAT, "lm_head.weight begins at byte"},
    {"{" NORM "," HEAD "}", 21, RZ_EFORMAT, "the last tensor ends at byte"},
    {"{" NORM "}", 20, RZ_EFORMAT, "the last tensor ends at byte"},
    {"{}", 1, RZ_EFORMAT, "the last tensor ends at byte 10, the file at byte 11"},
    {"{" NORM ",\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
     RZ_EFORMAT, "before byte"},
    {"{" NORM ",\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     RZ_EFORMAT, "before byte"},
    {"{" NORM ",\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}", 20,
     RZ_EFORMAT, "after byte"},
    /* names */
    {"{\"model.layers.0.attn.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     RZ_ELOAD, "no supported architecture has a tensor of this name"},
    {"{\"blk.0.attn_q.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     RZ_ELOAD, "no supported architecture has a tensor of this name"},
    {"{\"model.norm.weight\\u0000\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     RZ_ELOAD, "no supported architecture has a tensor of this name"},
    {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, RZ_ELOAD,
     "no supported architecture has a tensor of this name"},
    {"{\"model.layers.0.mlp.experts.3.up_proj.weight\":"
     "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
     8, RZ_ELOAD, "a mixture of experts is not supported from SafeTensors"},
};

static void hostile_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(hostile); i++) {
        size_t len;
        rz_error err = {0};
        uint8_t *bytes = make(hostile[i].header, hostile[i].n_data, &len);
        rz_status status = open_bytes(bytes, len, &err);
        if (status != hostile[i].status || !strstr(err.text, hostile[i].says) ||
            strncmp(err.text, "f.safetensors: ", 15) != 0)
            fail_msg("row %zu, %s: status %d, \"%s\" where \"%s\" is expected", i,
                     hostile[i].header, status, err.text, hostile[i].says);
        free(bytes);
    }
}

static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t n_header;
        const char *says;
    } rows[] = {
        {UINT64_MAX, "at most 100000000"},
        {(uint64_t)1 << 63, "at most 100000000"},
        {100000001, "at most 100000000"},
        {100000000, "100000000, the file ends at"},
        {1000, "1000, the file ends at"},
        {0, "does not begin with '{'"},
        {1, "ends where"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        size_t len;
        rz_error err = {0};
        uint8_t *bytes = make("{" NORM "}", 8, &len);
        memcpy(bytes, &rows[i].n_header, sizeof rows[i].n_header);
        assert_int_equal(open_bytes(bytes, len, &err), RZ_EFORMAT);
        if (!strstr(err.text, rows[i].says))
            fail_msg("row %zu: \"%s\" where \"%s\" is expected", i, err.text, rows[i].says);
        free(bytes);
    }
}

static void long_names_are_refused(void **state)
{
    (void)state;
    enum {
        N = 300
    };
    char header[N + 128], name[N + 1];
    size_t len;
    rz_error err = {0};
    memset(name, 'n', N);
    name[N] = '\0';
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", name);
    uint8_t *bytes = make(header, 8, &len);
    assert_int_equal(open_bytes(bytes, len, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "a name of 300 bytes, at most 255"));
    free(bytes);
}

/* Every beginning of a file, as a transfer that stopped leaves it. */
static void truncated_files_are_refused(void **state)
{
    (void)state;
    size_t len;
    uint8_t *bytes = make("{\"__metadata__\":{\"format\":\"pt\"}," NORM "," HEAD "}", 20, &len);
    rz_error err = {0};
    assert_int_equal(open_bytes(bytes, len, &err), RZ_OK);
    for (size_t n = 0; n < len; n++) {
        uint8_t *part = malloc(n ? n : 1);
        assert_non_null(part);
        memcpy(part, bytes, n);
        err = (rz_error){0};
        assert_int_equal(open_bytes(part, n, &err), RZ_EFORMAT);
        assert_int_equal(strncmp(err.text, "f.safetensors: ", 15), 0);
        free(part);
    }
    free(bytes);
}

/* Any byte of the header changed to any of a few: refused, or read as something valid. */
static void damaged_headers_do_no_harm(void **state)
{
    (void)state;
    static const char damage[] = "\0\x1f \"\\{}[],:09-.eaF\x80\xff";
    size_t len, n_read = 0;
    uint8_t *bytes = make("{" NORM "," HEAD "}", 20, &len);
    for (size_t i = 8; i < len - 20; i++)
        for (size_t k = 0; k < sizeof damage - 1; k++) {
            uint8_t saved = bytes[i];
            rz_error err = {0};
            bytes[i] = (uint8_t)damage[k];
            rz_status status = open_bytes(bytes, len, &err);
            assert_true(status == RZ_OK || status == RZ_EFORMAT || status == RZ_ELOAD);
            n_read += status == RZ_OK;
            bytes[i] = saved;
        }
    assert_true(n_read < len); /* at most a byte by itself and in a digit of a size that is free */
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),         cmocka_unit_test(names_are_translated),
        cmocka_unit_test(names_of_anybody_are_kept),   cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(hostile_lengths_are_refused), cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(truncated_files_are_refused), cmocka_unit_test(damaged_headers_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
