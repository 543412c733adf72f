/* test_quant.c - src/quant against golden data of an independent implementation
 * (data/quant/generate.py), bit for bit, and against the layouts' own definitions. */
#include "base/f16.h"
#include "base/fail.h"
#include "base/rng.h"
#include "quant/blocks.h"
#include "quant/dtype.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef RZ_SOURCE_DIR
#define RZ_SOURCE_DIR "."
#endif

enum {
    MAX_FILE = 8192
};

/* Reads data/quant/NAME.EXTENSION; returns its size. */
static size_t read_golden(const char *name, const char *extension, uint8_t out[MAX_FILE])
{
    const char *root = getenv("RZ_SOURCE_DIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/unit/data/quant/%s.%s", root ? root : RZ_SOURCE_DIR, name,
             extension);
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    size_t n = fread(out, 1, MAX_FILE, f);
    fclose(f);
    return n;
}

static void decode_equals_golden(void **state)
{
    (void)state;
    static uint8_t file[MAX_FILE];
    float got[512];
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        const struct rz_dtype_info *info = rz_dtype_info((rz_dtype)i);
        size_t n = info->block_len == 1 ? 64 : 512;
        size_t bytes = n / info->block_len * info->block_bytes;
        assert_int_equal(read_golden(info->name, "bin", file), bytes + n * sizeof(float));
        info->decode(file, got, n);
        assert_memory_equal(got, file + bytes, n * sizeof(float));
        /* From an odd address, one block at a time. */
        memmove(file + 1, file, bytes);
        for (size_t b = 0; b < n / info->block_len; b++)
            info->decode(file + 1 + b * info->block_bytes, got + b * info->block_len,
                         info->block_len);
        size_t read = read_golden(info->name, "bin", file);
        assert_memory_equal(got, file + bytes, read - bytes);
    }
}

static void encode_equals_golden(void **state)
{
    (void)state;
    static uint8_t file[MAX_FILE];
    int n_encoders = 0;
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        const struct rz_dtype_info *info = rz_dtype_info((rz_dtype)i);
        if (!info->encode)
            continue;
        n_encoders++;
        size_t bytes = 256 / info->block_len * info->block_bytes;
        uint8_t got[256 * 4];
        float x[256];
        assert_int_equal(read_golden(info->name, "enc", file), sizeof x + bytes);
        memcpy(x, file, sizeof x);
        info->encode(x, got, 256);
        assert_memory_equal(got, file + sizeof x, bytes);
    }
    assert_int_equal(n_encoders, 8);
}

/* Whatever the floats are, encode writes a block that decodes near them, and never traps. */
static void encode_takes_any_floats(void **state)
{
    (void)state;
    const float odd[] = {NAN, INFINITY, -INFINITY, 0x1p-149f, -0x1p-149f, 0x1.fffffep127f, -0.0f};
    struct rz_rng rng = {7};
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        const struct rz_dtype_info *info = rz_dtype_info((rz_dtype)i);
        for (size_t round = 0; info->encode && round < 50; round++) {
            float x[32];
            uint8_t block[128];
            for (int j = 0; j < 32; j++)
                x[j] = round % 2 ? odd[rz_rng_below(&rng, RZ_ARRAY_LEN(odd))] : odd[round / 2 % 7];
            info->encode(x, block, 32);
            info->decode(block, x, 32);
        }
    }
}

/* Half of a step of the block's grid, plus the rounding of its factors to binary16. */
static void encode_is_near(void **state)
{
    (void)state;
    struct rz_rng rng = {3};
    static const struct {
        rz_dtype type;
        double steps; /* grid steps over the block's span */
    } rows[] = {{RZ_Q4_0, 8}, {RZ_Q4_1, 15}, {RZ_Q5_0, 16}, {RZ_Q5_1, 31}, {RZ_Q8_0, 127}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        const struct rz_dtype_info *info = rz_dtype_info(rows[i].type);
        for (int round = 0; round < 200; round++) {
            float x[32], y[32], span = 0, min = 0, max = 0;
            uint8_t block[34];
            for (int j = 0; j < 32; j++) {
                x[j] = (float)rz_rng_unit(&rng) * 4 - 2;
                span = fmaxf(span, fabsf(x[j]));
                min = fminf(min, x[j]);
                max = fmaxf(max, x[j]);
            }
            bool has_min = rows[i].type == RZ_Q4_1 || rows[i].type == RZ_Q5_1;
            double step = (double)(has_min ? max - min : span) / rows[i].steps;
            info->encode(x, block, 32);
            info->decode(block, y, 32);
            /* The symmetric grids end one step short on the side opposite to the extreme. */
            double bound = step * (has_min || rows[i].type == RZ_Q8_0 ? 0.5 : 1) + 2 * 0x1p-11 * 2;
            for (int j = 0; j < 32; j++)
                assert_true(fabs((double)x[j] - (double)y[j]) <= bound);
        }
    }
}

/* unpack's integers and factors are decode's, for random blocks; the integers' ranges are what the
 * kernels rely on. */
static void unpack_agrees_with_decode(void **state)
{
    (void)state;
    static const struct {
        rz_dtype type;
        int lo, hi;
    } ranges[] = {
        {RZ_Q4_0, -8, 7},     {RZ_Q4_1, 0, 15},   {RZ_Q5_0, -16, 15},     {RZ_Q5_1, 0, 31},
        {RZ_Q8_0, -128, 127}, {RZ_Q2_K, 0, 3},    {RZ_Q3_K, -4, 3},       {RZ_Q4_K, 0, 15},
        {RZ_Q5_K, 0, 31},     {RZ_Q6_K, -32, 31}, {RZ_IQ4_NL, -127, 113}, {RZ_IQ4_XS, -127, 113},
    };
    struct rz_rng rng = {11};
    for (size_t i = 0; i < RZ_ARRAY_LEN(ranges); i++) {
        const struct rz_dtype_info *info = rz_dtype_info(ranges[i].type);
        int lo = 127, hi = -128;
        for (int round = 0; round < 300; round++) {
            uint8_t block[256];
            float y[256];
            struct rz_int_block b;
            for (uint32_t j = 0; j < info->block_bytes; j++)
                block[j] = (uint8_t)rz_rng_u64(&rng);
            info->unpack(block, &b);
            info->decode(block, y, info->block_len);
            for (uint32_t j = 0; j < info->block_len; j++) {
                float w = b.scale[j / 16] * (float)b.q[j] - b.min[j / 16];
                assert_true(rz_f32_bits(w) == rz_f32_bits(y[j]) || (isnan(w) && isnan(y[j])));
                lo = b.q[j] < lo ? b.q[j] : lo;
                hi = b.q[j] > hi ? b.q[j] : hi;
            }
        }
        assert_int_equal(lo, ranges[i].lo);
        assert_int_equal(hi, ranges[i].hi);
    }
}

static void table_is_consistent(void **state)
{
    (void)state;
    char list[256] = "";
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        rz_dtype type = (rz_dtype)i, found = RZ_N_DTYPES;
        const struct rz_dtype_info *info = rz_dtype_info(type);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "",
                 info->name);
        assert_int_equal(rz_dtype_by_name(info->name), type);
        assert_true(rz_dtype_from_gguf(info->gguf_id, &found));
        assert_int_equal(found, type);
        assert_string_equal(rz_gguf_type_name(info->gguf_id), info->name);
        assert_string_equal(rz_dtype_name(type), info->name);
        assert_int_equal(rz_dtype_block_len(type), info->block_len);
        assert_int_equal(rz_dtype_block_bytes(type), info->block_bytes);
        assert_non_null(info->decode);
    }
    assert_string_equal(list, rz_dtype_list());
    assert_int_equal(rz_dtype_by_name("q4_k"), RZ_Q4_K);
    assert_int_equal(rz_dtype_by_name("Q4_K_M"), RZ_N_DTYPES);
    assert_int_equal(rz_dtype_by_name(""), RZ_N_DTYPES);
}

static void names_of_unsupported_ids(void **state)
{
    (void)state;
    rz_dtype type;
    assert_string_equal(rz_gguf_type_name(4), "Q4_2");
    assert_string_equal(rz_gguf_type_name(31), "Q4_0_4_4");
    assert_string_equal(rz_gguf_type_name(39), "MXFP4");
    assert_string_equal(rz_gguf_type_name(41), "Q1_0");
    assert_null(rz_gguf_type_name(42));
    assert_null(rz_gguf_type_name(UINT32_MAX));
    assert_false(rz_dtype_from_gguf(39, &type));
    assert_false(rz_dtype_from_gguf(4, &type));
    assert_false(rz_dtype_from_gguf(UINT32_MAX, &type));
}

static void row_bytes_are_checked(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(rz_dtype_row_bytes(RZ_Q5_0, 896, &bytes));
    assert_int_equal(bytes, 616);
    assert_true(rz_dtype_row_bytes(RZ_Q6_K, 4864, &bytes));
    assert_int_equal(bytes, 3990);
    assert_true(rz_dtype_row_bytes(RZ_F16, 3, &bytes));
    assert_int_equal(bytes, 6);
    assert_true(rz_dtype_row_bytes(RZ_Q4_K, 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_false(rz_dtype_row_bytes(RZ_Q4_K, 896, &bytes));
    assert_false(rz_dtype_row_bytes(RZ_Q8_0, 33, &bytes));
    assert_false(rz_dtype_row_bytes(RZ_F32, UINT64_MAX / 2, &bytes));
    assert_false(rz_dtype_row_bytes(RZ_Q8_0, UINT64_MAX / 32 * 32, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_equals_golden),      cmocka_unit_test(encode_equals_golden),
        cmocka_unit_test(encode_takes_any_floats),   cmocka_unit_test(encode_is_near),
        cmocka_unit_test(unpack_agrees_with_decode), cmocka_unit_test(table_is_consistent),
        cmocka_unit_test(names_of_unsupported_ids),  cmocka_unit_test(row_bytes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
