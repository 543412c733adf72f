/* test_block_view.c - the fields of each block layout cover it, and what the view shows is what the
 * type decodes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

#include <math.h>
#include <realizar/block_view.h>
#include <realizar/tensor_stats.h>
#include <string.h>

static void fields_cover_the_block(void **state)
{
    (void)state;
    for (int type = 0; type < RZ_N_DTYPES; type++) {
        const rz_block_field *f;
        size_t n = rz_dtype_fields((rz_dtype)type, &f);
        uint32_t at = 0;
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(f[i].offset, at);
            assert_true(f[i].n_bytes > 0 && f[i].name[0] && f[i].meaning[0]);
            assert_true(f[i].kind != RZ_FIELD_F16 || f[i].n_bytes == 2);
            at += f[i].n_bytes;
        }
        assert_int_equal(at, rz_dtype_block_bytes((rz_dtype)type));
    }
}

static void view_means_the_elements(void **state)
{
    (void)state;
    struct rz_rng rng = {11};
    for (int type = 0; type < RZ_N_DTYPES; type++) {
        uint8_t block[512];
        float values[RZ_VIEW_ELEMENTS];
        rz_block_view v;
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (uint8_t)rz_rng_below(&rng, 60); /* halves stay finite */
        uint32_t len = rz_dtype_block_len((rz_dtype)type);
        rz_tensor t = {.name = "t",
                       .dtype = (rz_dtype)type,
                       .n_dims = 1,
                       .shape = {len, 1, 1, 1},
                       .data = block,
                       .n_bytes = rz_dtype_block_bytes((rz_dtype)type)};
        rz_tensor_decode(&t, 0, len, values);
        if (!rz_block_unpack((rz_dtype)type, block, &v)) {
            assert_int_equal(len, 1);
            continue;
        }
        assert_int_equal(v.n, len);
        for (uint32_t i = 0; i < len; i++) {
            double scale = (double)v.scale[i / RZ_VIEW_GROUP];
            double min = (double)v.min[i / RZ_VIEW_GROUP];
            double want = scale * v.code[i] - min;
            double size = fabs(scale * v.code[i]) + fabs(min);
            assert_true(fabs((double)values[i] - want) <= 1e-6 * size);
        }
    }
}

static void halves(void **state)
{
    (void)state;
    const uint8_t one[2] = {0x00, 0x3C}, minus_two[2] = {0x00, 0xC0};
    assert_true(rz_block_f16(one) == 1 && rz_block_f16(minus_two) == -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_cover_the_block),
        cmocka_unit_test(view_means_the_elements),
        cmocka_unit_test(halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
