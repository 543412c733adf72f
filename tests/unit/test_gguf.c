/* test_gguf.c - well-formed GGUF files: every value type, both versions, the accessors' rules, the
 * shared fixtures against what the reference reader says of them, and files that are no GGUF. */
#include "base/fail.h"
#include "formats/gguf.h"
#include "support/gguf_build.h"

#include <realizar/file.h>

#include <fcntl.h>
#include <inttypes.h>
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

static rz_file *open_built(struct gguf_build *b)
{
    size_t len;
    rz_error err = {0};
    rz_file *file = NULL;
    const uint8_t *data = gb_build(b, &len);
    rz_status status = rz_gguf_open_memory(&file, "good.gguf", data, len, &err);
    if (status)
        fail_msg("status %d: %s", (int)status, err.text);
    return file;
}

static void assert_slice(rz_slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.data, text, slice.len);
}

/* ---- metadata ---- */

static const char *const words[] = {"", "a", "tokenizer", "\xC4\xA0the", "\xFF\xFE cut"};

static void add_every_type(struct gguf_build *b)
{
    const int8_t i8 = -128;
    const int16_t i16 = -32768;
    const int64_t i64 = INT64_MIN, i64s[] = {INT64_MIN, -1, 0, INT64_MAX};
    const double f64 = 0x1.0000000000001p-3;
    const uint8_t bools[] = {0, 1, 1};
    const float floats[] = {-0.0f, 1e-45f, 3.5f};
    gb_u8(b, "a.u8", 255);
    gb_key(b, "a.i8", GB_I8);
    gb_put(&b->meta, &i8, 1);
    gb_u16(b, "a.u16", 65535);
    gb_key(b, "a.i16", GB_I16);
    gb_put(&b->meta, &i16, 2);
    gb_u32(b, "a.u32", UINT32_MAX);
    gb_i32(b, "a.i32", INT32_MIN);
    gb_f32(b, "a.f32", 1e-6f);
    gb_bool(b, "a.true", true);
    gb_bool(b, "a.false", false);
    gb_string(b, "a.string", "a string, \xE4\xBD\xA0");
    gb_string(b, "a.empty", "");
    gb_u64(b, "a.u64", UINT64_MAX);
    gb_key(b, "a.i64", GB_I64);
    gb_put(&b->meta, &i64, 8);
    gb_key(b, "a.f64", GB_F64);
    gb_put(&b->meta, &f64, 8);
    gb_strings(b, "a.strings", words, RZ_ARRAY_LEN(words));
    gb_strings(b, "a.no_strings", words, 0);
    gb_numbers(b, "a.bools", GB_BOOL, bools, 3);
    gb_numbers(b, "a.floats", GB_F32, floats, 3);
    gb_numbers(b, "a.i64s", GB_I64, i64s, 4);
    gb_numbers(b, "a.nothing", GB_U32, NULL, 0);
}

static void every_type_reads_back(void **state)
{
    (void)state;
    struct gguf_build b;
    gb_init(&b);
    add_every_type(&b);
    rz_file *file = open_built(&b);
    static const struct {
        const char *key;
        rz_meta_type type;
        int64_t value;
    } integers[] = {
        {"a.u8", RZ_META_U8, 255},          {"a.i8", RZ_META_I8, -128},
        {"a.u16", RZ_META_U16, 65535},      {"a.i16", RZ_META_I16, -32768},
        {"a.u32", RZ_META_U32, UINT32_MAX}, {"a.i32", RZ_META_I32, INT32_MIN},
        {"a.true", RZ_META_BOOL, 1},        {"a.false", RZ_META_BOOL, 0},
        {"a.u64", RZ_META_U64, INT64_MAX},  {"a.i64", RZ_META_I64, INT64_MIN},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(integers); i++) {
        const rz_meta *meta = rz_file_meta(file, integers[i].key);
        assert_non_null(meta);
        assert_int_equal(meta->type, integers[i].type);
        assert_int_equal(meta->elem_type, integers[i].type);
        assert_int_equal(meta->count, 1);
        assert_slice(meta->key, integers[i].key);
        assert_true(rz_meta_int(meta, 0) == integers[i].value);
    }
    assert_true(rz_meta_float(rz_file_meta(file, "a.f32"), 0) == (double)1e-6f);
    assert_true(rz_meta_float(rz_file_meta(file, "a.f64"), 0) == 0x1.0000000000001p-3);
    assert_true(rz_meta_float(rz_file_meta(file, "a.u64"), 0) == 0x1p64);
    assert_true(rz_meta_float(rz_file_meta(file, "a.i8"), 0) == -128.0);
    assert_slice(rz_meta_string(rz_file_meta(file, "a.string"), 0), "a string, \xE4\xBD\xA0");
    assert_slice(rz_meta_string(rz_file_meta(file, "a.empty"), 0), "");
    assert_int_equal(rz_file_n_meta(file), b.n_meta);
    assert_null(rz_file_meta(file, "a"));
    assert_null(rz_file_meta(file, "a.u8 "));
    rz_file_close(&file);
    assert_null(file);
    gb_fini(&b);
}

static void arrays_read_back(void **state)
{
    (void)state;
    struct gguf_build b;
    gb_init(&b);
    add_every_type(&b);
    rz_file *file = open_built(&b);
    const rz_meta *meta = rz_file_meta(file, "a.strings");
    assert_int_equal(meta->type, RZ_META_ARRAY);
    assert_int_equal(meta->elem_type, RZ_META_STRING);
    assert_int_equal(meta->count, RZ_ARRAY_LEN(words));
    for (size_t i = RZ_ARRAY_LEN(words); i-- > 0;)
        assert_slice(rz_meta_string(meta, i), words[i]);
    assert_int_equal(rz_file_meta(file, "a.no_strings")->count, 0);
    assert_int_equal(rz_file_meta(file, "a.nothing")->count, 0);
    meta = rz_file_meta(file, "a.floats");
    assert_int_equal(meta->count, 3);
    assert_true(signbit(rz_meta_float(meta, 0)) && rz_meta_float(meta, 0) == 0);
    assert_true(rz_meta_float(meta, 1) == 0x1p-149);
    assert_true(rz_meta_float(meta, 2) == 3.5);
    meta = rz_file_meta(file, "a.i64s");
    assert_true(rz_meta_int(meta, 0) == INT64_MIN && rz_meta_int(meta, 3) == INT64_MAX);
    meta = rz_file_meta(file, "a.bools");
    assert_int_equal(rz_meta_int(meta, 0), 0);
    assert_int_equal(rz_meta_int(meta, 2), 1);
    rz_file_close(&file);
    gb_fini(&b);
}

static void nested_arrays_are_walked(void **state)
{
    (void)state;
    struct gguf_build b;
    gb_init(&b);
    gb_key(&b, "nested", GB_ARRAY);
    gb_put_u32(&b.meta, GB_ARRAY);
    gb_put_u64(&b.meta, 2);
    gb_put_u32(&b.meta, GB_STRING); /* ["x"] */
    gb_put_u64(&b.meta, 1);
    gb_put_text(&b.meta, "x");
    gb_put_u32(&b.meta, GB_ARRAY); /* [[1, 2]] */
    gb_put_u64(&b.meta, 1);
    gb_put_u32(&b.meta, GB_U8);
    gb_put_u64(&b.meta, 2);
    gb_put(&b.meta, "\1\2", 2);
    gb_u32(&b, "after", 7);
    rz_file *file = open_built(&b);
    const rz_meta *meta = rz_file_meta(file, "nested");
    assert_int_equal(meta->elem_type, RZ_META_ARRAY);
    assert_int_equal(meta->count, 2);
    assert_int_equal(rz_meta_int(rz_file_meta(file, "after"), 0), 7);
    rz_file_close(&file);
    gb_fini(&b);
}

/* Getters: the value, absence, and the refusal of every other type. */
static void getters_refuse_other_types(void **state)
{
    (void)state;
    struct gguf_build b;
    gb_init(&b);
    add_every_type(&b);
    gb_f32(&b, "a.nan", NAN);
    rz_file *file = open_built(&b);
    for (size_t i = 0; i < rz_file_n_meta(file); i++) {
        const rz_meta *meta = rz_file_meta_at(file, i);
        char key[32];
        rz_error err = {0};
        uint32_t u = 77;
        float f = 77;
        bool flag = false, found = false;
        rz_slice s;
        const rz_meta *array;
        snprintf(key, sizeof key, "%.*s", (int)meta->key.len, meta->key.data);
        bool is_int =
            meta->type <= RZ_META_I32 || meta->type == RZ_META_U64 || meta->type == RZ_META_I64;
        bool fits = is_int && rz_meta_int(meta, 0) >= 0 && rz_meta_int(meta, 0) <= UINT32_MAX;
        assert_int_equal(rz_file_get_u32(file, key, &u, &found, &err), fits ? RZ_OK : RZ_EFORMAT);
        assert_true(found && (fits || u == 77));
        bool is_float = meta->type == RZ_META_F32 || meta->type == RZ_META_F64;
        bool finite = is_float && isfinite(rz_meta_float(meta, 0));
        assert_int_equal(rz_file_get_f32(file, key, &f, NULL, &err), finite ? RZ_OK : RZ_EFORMAT);
        assert_int_equal(rz_file_get_bool(file, key, &flag, NULL, &err),
                         meta->type == RZ_META_BOOL ? RZ_OK : RZ_EFORMAT);
        assert_int_equal(rz_file_get_string(file, key, &s, NULL, &err),
                         meta->type == RZ_META_STRING ? RZ_OK : RZ_EFORMAT);
        for (rz_meta_type type = RZ_META_U8; type < RZ_N_META_TYPES; type++) {
            bool same = meta->type == RZ_META_ARRAY && meta->elem_type == type;
            assert_int_equal(rz_file_get_array(file, key, type, &array, NULL, &err),
                             same ? RZ_OK : RZ_EFORMAT);
        }
        assert_non_null(strstr(err.text, key));
        assert_non_null(strstr(err.text, "good.gguf"));
    }
    rz_file_close(&file);
    gb_fini(&b);
}

static void getters_on_an_absent_key(void **state)
{
    (void)state;
    struct gguf_build b;
    gb_init(&b);
    gb_u32(&b, "there", 1);
    rz_file *file = open_built(&b);
    rz_error err = {0};
    uint32_t u = 5;
    float f = 5;
    bool flag = true, found = true;
    rz_slice s = {.data = "x", .len = 1};
    const rz_meta *array = NULL;
    assert_int_equal(rz_file_get_u32(file, "no", &u, &found, &err), RZ_OK);
    assert_true(!found && u == 5);
    found = true;
    assert_int_equal(rz_file_get_f32(file, "no", &f, &found, &err), RZ_OK);
    assert_true(!found && f == 5);
    found = true;
    assert_int_equal(rz_file_get_bool(file, "no", &flag, &found, &err), RZ_OK);
    assert_true(!found && flag);
    found = true;
    assert_int_equal(rz_file_get_string(file, "no", &s, &found, &err), RZ_OK);
    assert_true(!found && s.len == 1);
    found = true;
    assert_int_equal(rz_file_get_array(file, "no", RZ_META_U8, &array, &found, &err), RZ_OK);
    assert_true(!found && !array);
    assert_int_equal(rz_file_get_u32(file, "no", &u, NULL, &err), RZ_EFORMAT);
    assert_string_equal(err.text, "good.gguf: key no is missing");
    assert_int_equal(rz_file_get_u32(file, "no", &u, NULL, NULL), RZ_EFORMAT);
    rz_file_close(&file);
    gb_fini(&b);
}

/* ---- tensors ---- */

static void tensors_read_back(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct gguf_build b;
        gb_init(&b);
        b.version = version;
        const float v[6] = {1, 2, 3, 4, 5, 6};
        uint8_t blocks[2 * 3 * 18];
        for (size_t i = 0; i < sizeof blocks; i++)
            blocks[i] = (uint8_t)i;
        gb_tensor_f32(&b, "vector", 1, (const uint64_t[]){5}, v);
        gb_tensor(&b, &(struct gb_tensor){"matrix", 2, 2, {3, 64}, blocks, sizeof blocks});
        gb_tensor_f32(&b, "deep", 4, (const uint64_t[]){1, 2, 1, 3}, v);
        rz_file *file = open_built(&b);
        assert_int_equal(rz_file_version(file), version);
        assert_string_equal(rz_file_format(file), "GGUF");
        assert_int_equal(rz_file_n_tensors(file), 3);
        assert_int_equal(rz_file_n_shards(file), 1);
        assert_int_equal(rz_file_bytes(file), b.file.len);
        assert_string_equal(rz_file_path(file), "good.gguf");
        const rz_tensor *t = rz_file_tensor(file, "matrix");
        assert_ptr_equal(t, rz_file_tensor_at(file, 1));
        assert_int_equal(t->dtype, RZ_Q4_0);
        assert_int_equal(t->n_dims, 2);
        assert_int_equal(t->shape[0], 3);
        assert_int_equal(t->shape[1], 64);
        assert_int_equal(t->shape[2], 1);
        assert_int_equal(t->n_bytes, sizeof blocks);
        assert_memory_equal(t->data, blocks, sizeof blocks);
        assert_int_equal(t->file_offset % 32, 0);
        assert_ptr_equal(t->data, b.file.data + t->file_offset);
        t = rz_file_tensor(file, "deep");
        assert_int_equal(t->shape[0], 1);
        assert_int_equal(t->shape[1], 2);
        assert_int_equal(t->shape[2], 1);
        assert_int_equal(t->shape[3], 3);
        assert_memory_equal(t->data, v, sizeof v);
        assert_int_equal(rz_file_tensor(file, "vector")->n_bytes, 20);
        assert_null(rz_file_tensor(file, "matri"));
        assert_null(rz_file_tensor(file, ""));
        rz_file_close(&file);
        gb_fini(&b);
    }
}

/* Gaps, another order than the infos', an alignment of 4096 and bytes after the end are all
 * allowed. */
static void unusual_layouts_are_accepted(void **state)
{
    (void)state;
    struct gguf_build b;
    gb_init(&b);
    b.alignment = 4096;
    gb_u32(&b, "general.alignment", 4096);
    gb_info(&b, "late", 1, (const uint64_t[]){4}, 0, 3 * 4096);
    gb_info(&b, "early", 1, (const uint64_t[]){1024}, 0, 4096);
    gb_put(&b.data, NULL, 3 * 4096 + 16 + 5);
    b.data.data[3 * 4096] = 42;
    rz_file *file = open_built(&b);
    assert_int_equal(*(const uint8_t *)rz_file_tensor(file, "late")->data, 42);
    assert_int_equal(rz_file_tensor(file, "late")->file_offset, 4 * 4096);
    assert_int_equal(rz_file_tensor(file, "early")->file_offset, 2 * 4096);
    rz_file_close(&file);
    gb_fini(&b);
}

static void every_supported_type_has_its_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        const char *name;
        size_t bytes; /* of 512 elements, from the published layouts */
    } types[] = {
        {0, "F32", 2048},      {1, "F16", 1024},        {30, "BF16", 1024},
        {2, "Q4_0", 16 * 18},  {3, "Q4_1", 16 * 20},    {6, "Q5_0", 16 * 22},
        {7, "Q5_1", 16 * 24},  {8, "Q8_0", 16 * 34},    {10, "Q2_K", 2 * 84},
        {11, "Q3_K", 2 * 110}, {12, "Q4_K", 2 * 144},   {13, "Q5_K", 2 * 176},
        {14, "Q6_K", 2 * 210}, {20, "IQ4_NL", 16 * 18}, {23, "IQ4_XS", 2 * 136},
    };
    assert_int_equal(RZ_ARRAY_LEN(types), RZ_N_DTYPES);
    struct gguf_build b;
    gb_init(&b);
    for (size_t i = 0; i < RZ_ARRAY_LEN(types); i++)
        gb_tensor(
            &b, &(struct gb_tensor){types[i].name, types[i].id, 2, {1, 512}, NULL, types[i].bytes});
    rz_file *file = open_built(&b);
    for (size_t i = 0; i < RZ_ARRAY_LEN(types); i++) {
        const rz_tensor *t = rz_file_tensor(file, types[i].name);
        assert_int_equal(t->n_bytes, types[i].bytes);
        assert_string_equal(rz_dtype_name(t->dtype), types[i].name);
    }
    rz_file_close(&file);
    gb_fini(&b);
}

/* Enough names to grow the index several times. */
static void ten_thousand_tensors(void **state)
{
    (void)state;
    enum {
        N = 10000
    };
    struct gguf_build b;
    char name[32];
    gb_init(&b);
    for (int i = 0; i < N; i++) {
        const float v = (float)i;
        snprintf(name, sizeof name, "blk.%d.w", i);
        gb_tensor_f32(&b, name, 1, (const uint64_t[]){1}, &v);
        gb_u32(&b, name, (uint32_t)i);
    }
    rz_file *file = open_built(&b);
    for (int i = N; i-- > 0;) {
        snprintf(name, sizeof name, "blk.%d.w", i);
        float v;
        memcpy(&v, rz_file_tensor(file, name)->data, sizeof v);
        assert_true(v == (float)i);
        assert_int_equal(rz_meta_int(rz_file_meta(file, name), 0), i);
    }
    assert_null(rz_file_tensor(file, "blk.10000.w"));
    rz_file_close(&file);
    gb_fini(&b);
}

/* ---- real files ---- */

static uint64_t digest_tensors(const rz_file *file)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        char line[256];
        size_t n = (size_t)snprintf(line, sizeof line, "%s %s %" PRIu64, t->name,
                                    rz_dtype_name(t->dtype), t->shape[0]);
        for (uint32_t d = 1; d < t->n_dims; d++)
            n += (size_t)snprintf(line + n, sizeof line - n, "x%" PRIu64, t->shape[d]);
        snprintf(line + n, sizeof line - n, " %" PRIu64 " %zu\n", t->file_offset, t->n_bytes);
        for (const char *p = line; *p; p++)
            hash = (hash ^ (uint8_t)*p) * 0x100000001B3u;
    }
    return hash;
}

/* FNV-1a of "name type shape offset bytes\n" of every tensor, as the gguf package for Python
 * (0.19.0) reads them, with its counts. */
static const struct {
    const char *path;
    size_t n_meta, n_tensors;
    uint64_t digest;
} fixtures[] = {
    {"demo/gguf/demo-q4_0.gguf", 22, 50, 0x3E8F7B2433D60256},
    {"demo/gguf/demo-q4_k_m.gguf", 22, 50, 0x10BDD4366D02B545},
    {"demo/gguf/demo-q8_0.gguf", 22, 50, 0x3AE626C38E6DE535},
    {"one-layer/gguf/one-bf16.gguf", 22, 14, 0xFA85EC14383B8BB1},
    {"one-layer/gguf/one-f16.gguf", 21, 14, 0x5CC421A9CE167AC7},
    {"one-layer/gguf/one-iq4_nl.gguf", 22, 14, 0xD29672622B08E1F8},
    {"one-layer/gguf/one-iq4_xs.gguf", 22, 14, 0x6D3E0C501A03D109},
    {"one-layer/gguf/one-q2_k.gguf", 22, 14, 0xBAA1D1FB369FF4CE},
    {"one-layer/gguf/one-q3_k_m.gguf", 22, 14, 0x9FAF234697C8BF2B},
    {"one-layer/gguf/one-q4_0.gguf", 22, 14, 0x22C79421CB581003},
    {"one-layer/gguf/one-q4_1.gguf", 22, 14, 0x05C4214446288BB1},
    {"one-layer/gguf/one-q4_k_m.gguf", 22, 14, 0x6C245A07482CE224},
    {"one-layer/gguf/one-q5_0.gguf", 22, 14, 0xC7626209DDEA7482},
    {"one-layer/gguf/one-q5_1.gguf", 22, 14, 0x467A783C11B779C4},
    {"one-layer/gguf/one-q5_k_m.gguf", 22, 14, 0x796D78958EEA394B},
    {"one-layer/gguf/one-q6_k.gguf", 22, 14, 0x4FCB8BFF091EB708},
    {"one-layer/gguf/one-q8_0.gguf", 22, 14, 0x26DA42F3BF36ED38},
};

static rz_file *open_fixture(const char *path)
{
    const char *shared = getenv("RZ_SHARED");
    char full[1024];
    rz_error err = {0};
    rz_file *file = NULL;
    if (!shared) {
        print_message("skipped: %s needs the shared fixtures\n", path);
        skip();
    }
    snprintf(full, sizeof full, "%s/fixtures/%s", shared, path);
    if (rz_file_open(&file, full, &err))
        fail_msg("%s", err.text);
    return file;
}

static void fixtures_match_the_reference_reader(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(fixtures); i++) {
        rz_file *file = open_fixture(fixtures[i].path);
        assert_int_equal(rz_file_n_meta(file), fixtures[i].n_meta);
        assert_int_equal(rz_file_n_tensors(file), fixtures[i].n_tensors);
        assert_true(digest_tensors(file) == fixtures[i].digest);
        rz_file_close(&file);
    }
}

static void fixture_values(void **state)
{
    (void)state;
    rz_file *file = open_fixture("demo/gguf/demo-q4_k_m.gguf");
    const rz_meta *tokens, *merges, *types;
    assert_int_equal(
        rz_file_get_array(file, "tokenizer.ggml.tokens", RZ_META_STRING, &tokens, NULL, NULL),
        RZ_OK);
    assert_int_equal(tokens->count, 4096);
    assert_slice(rz_meta_string(tokens, 300), "use");
    assert_slice(rz_meta_string(tokens, 4095), "<|file_sep|>");
    merges = rz_file_meta(file, "tokenizer.ggml.merges");
    assert_int_equal(merges->count, 3818);
    assert_slice(rz_meta_string(merges, 0), "\xC4\xA0 \xC4\xA0");
    assert_slice(rz_meta_string(merges, 3817), "_g roup");
    types = rz_file_meta(file, "tokenizer.ggml.token_type");
    assert_int_equal(rz_meta_int(types, 4073), 1);
    assert_int_equal(rz_meta_int(types, 4074), 3);
    assert_int_equal(rz_meta_int(types, 4095), 4);
    float bias[3];
    memcpy(bias, rz_file_tensor(file, "blk.0.attn_k.bias")->data, sizeof bias);
    assert_true(fabsf(bias[0] + 0.05224609f) < 1e-7f && fabsf(bias[2] - 0.05444336f) < 1e-7f);
    rz_file_close(&file);
}

/* ---- what is no GGUF file ---- */

struct scratch {
    char dir[64], path[128];
};

static void make_scratch(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%.40s/rz-gguf-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/model.gguf", s->dir);
}

static void remove_scratch(struct scratch *s)
{
    unlink(s->path);
    rmdir(s->dir);
}

static void strangers_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        size_t len;
        const char *says;
    } rows[] = {
        {"", 0, "empty"},
        {"G", 1, "starts with bytes 47 "},
        {"GGU", 3, "starts with bytes 47 47 55 "},
        {"version https://git-lfs.github.com/spec/v1\noid", 46, "Git LFS pointer"},
        {"<!DOCTYPE html><html>", 21, "HTML page"},
        {"<html>", 6, "HTML page"},
        {"{\"a\": 1}", 8, "JSON"},
        {"PK\x03\x04", 4, "ZIP archive"},
        {"tjgg\x03\0\0\0", 8, "before GGUF"},
        {"FUGG", 4, "swapped"},
        {"APR1", 4, ".apr file"},
        {"random bytes", 12, "72 61 6e 64 6f 6d 20 62"},
    };
    struct scratch s = {0};
    make_scratch(&s);
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        FILE *f = fopen(s.path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(rows[i].content, 1, rows[i].len, f), rows[i].len);
        fclose(f);
        rz_error err = {0};
        rz_file *file = (rz_file *)&err;
        assert_int_equal(rz_file_open(&file, s.path, &err), RZ_EFORMAT);
        assert_null(file);
        assert_int_equal(err.code, RZ_EFORMAT);
        assert_non_null(strstr(err.text, rows[i].says));
        assert_non_null(strstr(err.text, s.path));
        if (rows[i].len)
            assert_non_null(strstr(err.text, "supported: GGUF"));
    }
    remove_scratch(&s);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    struct scratch s = {0};
    make_scratch(&s);
    rz_error err = {0};
    rz_file *file = NULL;
    assert_int_equal(rz_file_open(&file, s.path, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(rz_file_open(&file, s.dir, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "directory"));
    assert_int_equal(mkfifo(s.path, 0600), 0);
    assert_int_equal(rz_file_open(&file, s.path, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "not a regular file"));
    unlink(s.path);
    if (geteuid() != 0) {
        close(open(s.path, O_CREAT | O_WRONLY, 0));
        assert_int_equal(rz_file_open(&file, s.path, &err), RZ_EIO);
        assert_non_null(strstr(err.text, "Permission denied"));
    }
    assert_null(file);
    rz_file_close(&file);
    rz_file_close(NULL);
    remove_scratch(&s);
}

/* A long path must not push the reason out of the sentence. */
static void a_long_path_leaves_room_for_the_reason(void **state)
{
    (void)state;
    char *path = calloc(1, 3001);
    assert_non_null(path);
    memset(path, 'p', 3000);
    rz_error err = {0};
    rz_file *file = NULL;
    assert_int_equal(rz_gguf_open_memory(&file, path, "GGUF", 4, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "version at byte 4"));
    assert_true(strncmp(err.text, "...ppp", 6) == 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_back),
        cmocka_unit_test(arrays_read_back),
        cmocka_unit_test(nested_arrays_are_walked),
        cmocka_unit_test(getters_refuse_other_types),
        cmocka_unit_test(getters_on_an_absent_key),
        cmocka_unit_test(tensors_read_back),
        cmocka_unit_test(unusual_layouts_are_accepted),
        cmocka_unit_test(every_supported_type_has_its_size),
        cmocka_unit_test(ten_thousand_tensors),
        cmocka_unit_test(fixtures_match_the_reference_reader),
        cmocka_unit_test(fixture_values),
        cmocka_unit_test(strangers_are_named),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_long_path_leaves_room_for_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
