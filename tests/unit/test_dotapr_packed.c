/* test_dotapr_packed.c - .apr files whose matrices also or only stand packed: where and as what
 * they are written, that other readers find a plain file, that rows come back bit for bit, and
 * files that are wrong. */
#include "base/fail.h"
#include "formats/file.h"
#include "quant/pack.h"
#include "support/dotapr_test.h"

#include <realizar/convert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TAG "{\"packed_layout\":\"strips16\",\"packed_version\":1}"

static rz_file *open_demo(void)
{
    const char *root = getenv("RZ_SOURCE_DIR");
    char path[4096];
    rz_file *file = NULL;
    rz_error err = {0};
    snprintf(path, sizeof path, "%s/models/demo.gguf", root ? root : RZ_SOURCE_DIR);
    if (rz_file_open(&file, path, &err))
        fail_msg("%s", err.text);
    return file;
}

static void write_demo(const rz_file *demo, const char *path, rz_packing packing,
                       const char *compression)
{
    rz_error err = {0};
    rz_convert_options o = rz_convert_options_default();
    o.packing = packing;
    o.compression = compression;
    o.overwrite = true;
    if (rz_convert(demo, path, &o, NULL, &err))
        fail_msg("%s", err.text);
}

static void same_rows(const rz_file *a, const rz_file *b)
{
    assert_int_equal(rz_file_n_tensors(a), rz_file_n_tensors(b));
    for (size_t i = 0; i < rz_file_n_tensors(a); i++) {
        const rz_tensor *t = rz_file_tensor_at(a, i), *u = rz_file_tensor_at(b, i);
        assert_string_equal(t->name, u->name);
        assert_int_equal(t->dtype, u->dtype);
        assert_int_equal(t->n_bytes, u->n_bytes);
        assert_memory_equal(t->shape, u->shape, sizeof t->shape);
        assert_memory_equal(t->data, u->data, t->n_bytes);
    }
}

/* Is what the file says to be packed the packed form of its rows? */
static size_t check_packed(const rz_file *file)
{
    size_t n = 0;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        if (!t->packed) {
            assert_int_equal(t->n_dims, 1);
            continue;
        }
        const uint32_t n_rows = (uint32_t)t->shape[0], n_cols = (uint32_t)t->shape[1];
        uint8_t *packed = aligned_alloc(64, (t->n_bytes + 63) / 64 * 64);
        assert_non_null(packed);
        const struct rz_pack_args a = {.type = t->dtype,
                                       .n_rows = n_rows,
                                       .n_cols = n_cols,
                                       .w = t->data,
                                       .w_row_bytes = t->n_bytes / n_rows,
                                       .packed = packed};
        rz_pack_strips(&a, 0, n_rows / RZ_STRIP_ROWS);
        assert_memory_equal(packed, t->packed, t->n_bytes);
        free(packed);
        n++;
    }
    return n;
}

/* Opened for its names alone, a file with packed matrices only has nothing unpacked. */
static void check_listing(const char *path, const rz_file *whole, bool only)
{
    rz_file *file;
    rz_error err = {0};
    if (rz_file_open_packed(&file, path, &err))
        fail_msg("%s", err.text);
    assert_null(file->unpacked);
    assert_int_equal(rz_file_n_tensors(file), rz_file_n_tensors(whole));
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i), *w = rz_file_tensor_at(whole, i);
        assert_string_equal(t->name, w->name);
        assert_int_equal(t->n_bytes, w->n_bytes);
        assert_int_equal(t->dtype, w->dtype);
        assert_int_equal(t->data == NULL, only && w->n_dims == 2);
        assert_non_null(w->data);
    }
    rz_file_close(&file);
}

/* tests/cli/validate.sh has one that differs. */
static void check_compared(const rz_file *file, bool only)
{
    size_t n_both;
    const rz_tensor *differs;
    uint64_t row;
    rz_error err = {0};
    assert_int_equal(rz_file_compare_packed(file, &n_both, &differs, &row, &err), RZ_OK);
    assert_null(differs);
    assert_int_equal(n_both, only ? 0 : 29);
}

static void test_written(void **state)
{
    (void)state;
    static const char *const compressions[] = {"none", "lz4", "zstd"};
    struct at_scratch s = {0};
    at_scratch_make(&s);
    rz_file *demo = open_demo(), *file = NULL;
    rz_error err = {0};
    for (size_t i = 0; i < 2 * RZ_ARRAY_LEN(compressions); i++) {
        write_demo(demo, s.path, i % 2 ? RZ_PACK_ONLY : RZ_PACK_ALSO, compressions[i / 2]);
        if (rz_file_open(&file, s.path, &err))
            fail_msg("%s", err.text);
        same_rows(demo, file);
        assert_int_equal(check_packed(file), 29);
        check_listing(s.path, file, i % 2);
        check_compared(file, i % 2);
        for (size_t k = 0; k < rz_file_n_tensors(file); k++) {
            const rz_tensor *t = rz_file_tensor_at(file, k);
            const uint8_t *image = file->shards[0].data;
            if (t->packed)
                assert_int_equal(((const uint8_t *)t->packed - image) % RZ_APR_PAGE, 0);
        }
        rz_file_close(&file);
    }
    rz_file_close(&demo);
    at_scratch_remove(&s);
}

/* What a reader that knows no packed layout sees of a file that has both. */
static void test_other_readers(void **state)
{
    (void)state;
    struct at_scratch s = {0};
    at_scratch_make(&s);
    rz_file *demo = open_demo(), *file = NULL;
    rz_error err = {0};
    write_demo(demo, s.path, RZ_PACK_ALSO, NULL);
    if (rz_file_open(&file, s.path, &err)) {
        fail_msg("%s", err.text);
        return;
    }
    const size_t len = file->shards[0].len;
    char *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, file->shards[0].data, len);
    rz_file_close(&file);
    char *tag = memmem(copy, len, "\"packed_layout\"", 15);
    assert_non_null(tag);
    memcpy(tag, "\"something_els\"", 15);
    file = at_open((const uint8_t *)copy, len);
    same_rows(demo, file);
    for (size_t i = 0; i < rz_file_n_tensors(file); i++)
        assert_null(rz_file_tensor_at(file, i)->packed);
    rz_file_close(&file);
    free(copy);
    rz_file_close(&demo);
    at_scratch_remove(&s);
}

static void test_refused_by_other_formats(void **state)
{
    (void)state;
    rz_file *demo = open_demo();
    rz_convert_options o = rz_convert_options_default();
    rz_error err = {0};
    o.packing = RZ_PACK_ONLY;
    o.format = "gguf";
    assert_int_equal(rz_convert(demo, "no-such-file", &o, NULL, &err), RZ_EUSAGE);
    assert_non_null(strstr(err.text, "only .apr files hold packed weights"));
    rz_file_close(&demo);
}

/* ---- made by hand ---- */

static float rows[16 * 4];

/* A matrix of 16 rows of 4 floats, packed. */
static const float *packed_rows(void)
{
    static float packed[16 * 4];
    for (int i = 0; i < 64; i++)
        rows[i] = (float)i + 0.5f;
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 4; c++)
            packed[16 * c + r] = rows[4 * r + c];
    return packed;
}

static void test_by_hand(void **state)
{
    (void)state;
    struct dotapr_build b;
    size_t len;
    ab_init(&b, TAG);
    ab_tensor_f32(&b, "__packed__.a", 16, 4, packed_rows());
    ab_tensor_f32(&b, "__packed__.b", 16, 4, packed_rows());
    ab_tensor_f32(&b, "b", 16, 4, rows);
    const uint8_t *data = ab_build(&b, &len);
    rz_file *file = at_open(data, len);
    assert_int_equal(rz_file_n_tensors(file), 2);
    const rz_tensor *a = rz_file_tensor(file, "a"), *both = rz_file_tensor(file, "b");
    assert_memory_equal(a->data, rows, sizeof rows);
    assert_memory_equal(a->packed, packed_rows(), sizeof rows);
    assert_memory_equal(both->data, rows, sizeof rows);
    assert_ptr_equal(both->packed, (const uint8_t *)a->packed + 256);
    assert_int_equal(a->shape[0], 16);
    rz_file_close(&file);
    for (size_t n = 0; n < len; n++)
        at_probe(data, n);
    ab_fini(&b);
}

struct wrong {
    const char *json;
    struct ab_tensor t;
    uint64_t offset;
    bool plain; /* beside a tensor of 16 rows of 4 floats called a */
    rz_status code;
    const char *words;
};

static const struct wrong wrongs[] = {
    {TAG, {"__packed__.a", 0, 2, {16, 4}, NULL, 256}, 32, false, RZ_EFORMAT, "no multiple of 64"},
    {TAG, {"__packed__.a", 0, 2, {16, 4}, NULL, 192}, 0, false, RZ_EFORMAT, "no matrix of whole"},
    {TAG, {"__packed__.a", 0, 2, {17, 4}, NULL, 272}, 0, false, RZ_EFORMAT, "no matrix of whole"},
    {TAG, {"__packed__.a", 30, 2, {16, 3}, NULL, 96}, 0, false, RZ_EFORMAT, "no matrix of whole"},
    {TAG, {"__packed__.a", 0, 1, {64}, NULL, 256}, 0, false, RZ_EFORMAT, "no matrix of whole"},
    {TAG, {"__packed__.a", 3, 2, {16, 4}, NULL, 512}, 0, false, RZ_EFORMAT, "no matrix of whole"},
    {TAG, {"__packed__.a", 99, 2, {16, 4}, NULL, 256}, 0, false, RZ_EFORMAT, "no matrix of whole"},
    {TAG, {"__packed__.", 0, 2, {16, 4}, NULL, 256}, 0, false, RZ_EFORMAT, "without a name"},
    {TAG, {"__packed__.a", 0, 2, {16, 2}, NULL, 128}, 0, true, RZ_EFORMAT, "another type or shape"},
    {TAG, {"__packed__.a", 1, 2, {16, 4}, NULL, 128}, 0, true, RZ_EFORMAT, "another type or shape"},
    {TAG, {"__packed__.a", 0, 2, {16, 4}, NULL, 200}, 0, true, RZ_EFORMAT, "no matrix of whole"},
    {"{\"packed_layout\":\"strips16\",\"packed_version\":2}",
     {"__packed__.a", 0, 2, {16, 4}, NULL, 256},
     0,
     false,
     RZ_ELOAD,
     "a layout that is not supported (supported: strips16 version 1)"},
    {"{\"packed_layout\":\"other\",\"packed_version\":1}",
     {"__packed__.a", 0, 2, {16, 4}, NULL, 256},
     0,
     false,
     RZ_ELOAD,
     "a layout that is not supported"},
    {"{\"packed_layout\":\"strips16\"}",
     {"__packed__.a", 0, 2, {16, 4}, NULL, 256},
     0,
     false,
     RZ_EFORMAT,
     "no version number"},
    {"{\"packed_layout\":\"strips16\",\"packed_version\":-1}",
     {"__packed__.a", 0, 2, {16, 4}, NULL, 256},
     0,
     false,
     RZ_EFORMAT,
     "no version number"},
};

static uint8_t *build(struct dotapr_build *b, const struct wrong *w, size_t *len)
{
    ab_init(b, w->json);
    ab_entry(b, &w->t, w->offset);
    const struct ab_tensor plain = {"a", 0, 2, {16, 4}, NULL, 256};
    if (w->plain)
        ab_entry(b, &plain, 512);
    for (int k = 0; k < 1024; k++)
        gb_put(&b->data, "", 1);
    return ab_build(b, len);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(wrongs); i++) {
        struct dotapr_build b;
        size_t len;
        const uint8_t *data = build(&b, &wrongs[i], &len);
        at_refuse(data, len, wrongs[i].code, wrongs[i].words);
        ab_fini(&b);
    }
}

/* Of another version beside plain rows, or in a file that names no layout: somebody else's. */
static void test_ignored(void **state)
{
    (void)state;
    static const struct wrong fine[] = {
        {.json = "{\"packed_layout\":\"strips16\",\"packed_version\":2}",
         .t = {"__packed__.a", 0, 2, {16, 4}, NULL, 256},
         .plain = true},
        {.json = "{}", .t = {"__packed__.a", 7, 1, {200}, NULL, 200}, .plain = true},
        {.json = "{}", .t = {"__packed__.b", 7, 1, {200}, NULL, 200}, .plain = true},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(fine); i++) {
        struct dotapr_build b;
        size_t len;
        const uint8_t *data = build(&b, &fine[i], &len);
        rz_file *file = at_open(data, len);
        assert_int_equal(rz_file_n_tensors(file), 1);
        assert_null(rz_file_tensor_at(file, 0)->packed);
        rz_file_close(&file);
        ab_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_other_readers),
        cmocka_unit_test(test_refused_by_other_formats),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
