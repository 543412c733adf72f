/* test_dotapr_v1.c - .apr version 1: header, MessagePack metadata, bincode payload in each of its
 * compressions; realizar's published file; and whatever is cut off it. */
#include "support/dotapr_test.h"

#include <lz4.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

struct v1 {
    struct gb_bytes payload, file;
};

static void f32(struct v1 *v, float x)
{
    gb_put(&v->payload, &x, 4);
}

static void v1_build(struct v1 *v, uint16_t type, uint8_t compression, uint8_t flags)
{
    static const uint8_t map[] = {0x82, 0xA1, 'k',  0x81, 0xA1, 'n',  0xCD,
                                  1,    0,    0xA1, 'l',  0x92, 0xFF, 0xC3};
    uint8_t head[32] = "APRN\1", packed[4096];
    size_t n = v->payload.len;
    const uint8_t *from = v->payload.data;
    uint32_t len = (uint32_t)n, meta = sizeof map;
    if (compression == 1 || compression == 2)
        n = ZSTD_compress(packed, sizeof packed, from, n, compression == 1 ? 3 : 19);
    if (compression == 3) {
        memcpy(packed, &len, 4);
        n = 4 + (size_t)LZ4_compress_default((const char *)from, (char *)packed + 4, (int)n,
                                             (int)sizeof packed - 4);
    }
    if (compression)
        from = packed;
    uint32_t stored = (uint32_t)n;
    memcpy(head + 6, &type, 2);
    memcpy(head + 8, &meta, 4);
    memcpy(head + 12, &stored, 4);
    memcpy(head + 16, &len, 4);
    head[20] = compression;
    head[21] = flags;
    head[22] = 90;
    v->file.len = 0;
    gb_put(&v->file, head, sizeof head);
    gb_put(&v->file, map, sizeof map);
    gb_put(&v->file, from, n);
    for (int i = 0; flags & 2 && i < 96; i++)
        gb_put(&v->file, "", 1);
    gb_put_u32(&v->file, (uint32_t)crc32(0, v->file.data, (uInt)v->file.len));
}

static void logistic(struct v1 *v)
{
    v->payload.len = 0;
    gb_put(&v->payload, "\1", 1);
    gb_put_u64(&v->payload, 3);
    for (int i = 0; i < 3; i++)
        f32(v, (float)i - 0.5f);
    f32(v, 0.25f);
    f32(v, 0.125f);
    gb_put_u64(&v->payload, 100);
    f32(v, 1e-4f);
}

static void test_version_1(void **state)
{
    (void)state;
    struct v1 v = {0};
    static const char *const names[] = {"none", "zstd level 3", "zstd level 19", "lz4"};
    for (uint8_t compression = 0; compression < 4; compression++) {
        logistic(&v);
        v1_build(&v, 2, compression, 2);
        rz_file *file = at_open(v.file.data, v.file.len);
        assert_int_equal(rz_file_version(file), 1);
        at_text_is(file, "apr.model_type", 0, "LogisticRegression");
        at_text_is(file, "apr.compression", 0, names[compression]);
        at_text_is(file, "apr.flags", 0, "signed");
        assert_int_equal(at_integer(file, "apr.quality_score"), 90);
        assert_int_equal(at_integer(file, "apr.metadata.k.n"), 256);
        at_text_is(file, "apr.metadata.l", 0, "[-1,true]");
        assert_int_equal(at_integer(file, "apr.payload.max_iter"), 100);
        assert_float_equal(at_number(file, "apr.payload.intercept"), 0.25, 0);
        const rz_tensor *t = rz_file_tensor(file, "coefficients");
        float last;
        memcpy(&last, (const char *)t->data + 8, 4);
        assert_int_equal(t->shape[0], 3);
        assert_float_equal(last, 1.5, 0);
        rz_file_close(&file);
        for (size_t n = 0; n < v.file.len; n++)
            at_probe(v.file.data, n);
    }
    v1_build(&v, 2, 0, 1); /* encrypted: the payload is not looked at */
    rz_file *file = at_open(v.file.data, v.file.len);
    at_text_is(file, "apr.payload", 0, "encrypted");
    assert_int_equal(rz_file_n_tensors(file), 0);
    rz_file_close(&file);
    v1_build(&v, 6, 0, 0); /* not a k-means model's bytes */
    file = at_open(v.file.data, v.file.len);
    at_text_is(file, "apr.model_type", 0, "KMeans");
    assert_non_null(rz_file_meta(file, "apr.payload"));
    rz_file_close(&file);
    v.file.data[40] ^= 1;
    at_refuse(v.file.data, v.file.len, RZ_EFORMAT, "checksum");
    free(v.payload.data);
    free(v.file.data);
}

/* realizar's own file. */
static void test_version_1_published(void **state)
{
    (void)state;
    const char *shared = getenv("RZ_SHARED");
    char path[4096];
    rz_file *file = NULL;
    rz_error err = {0};
    if (!shared) {
        puts("skipped: mnist_784x2.apr needs the shared fixtures");
        skip();
    }
    snprintf(path, sizeof path, "%s/fixtures/apr/mnist_784x2.apr", shared);
    if (rz_file_open(&file, path, &err))
        fail_msg("%s", err.text);
    at_text_is(file, "apr.metadata.created_at", 0, "1764278947");
    at_text_is(file, "apr.metadata.aprender_version", 0, "0.11.0");
    at_text_is(file, "apr.crc32", 0, "f38814fe, verified");
    assert_int_equal(at_integer(file, "apr.payload_bytes"), 3165);
    assert_int_equal(at_integer(file, "apr.payload.max_iter"), 100);
    assert_float_equal(at_number(file, "apr.payload.intercept"), 0.01117097, 1e-8);
    assert_float_equal(at_number(file, "apr.payload.learning_rate"), 0.01, 1e-8);
    const rz_tensor *t = rz_file_tensor(file, "coefficients");
    assert_int_equal(t->n_dims, 1);
    assert_int_equal(t->shape[0], 784);
    assert_int_equal(t->file_offset, 0x58);
    rz_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_version_1_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
