/* test_pack.c - the packed layout and back: every type, any bits, whole strips and not. */
#include "base/rng.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t *bytes(size_t n)
{
    uint8_t *p = aligned_alloc(64, (n + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xA5, n + 1);
    return p;
}

static void round_trip(rz_dtype type, uint32_t n_rows, uint32_t n_cols, struct rz_rng *rng)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const size_t row = (size_t)n_cols / info->block_len * info->block_bytes;
    const size_t n_packed = rz_packed_bytes(type, n_rows, n_cols);
    uint8_t *rows = bytes(n_rows * row + 1), *packed = bytes(n_packed);
    uint8_t *back = bytes(n_rows * row + 1);
    uint8_t *w = rows + 1; /* files have odd addresses */
    for (size_t i = 0; i < n_rows * row; i++)
        w[i] = (uint8_t)(rz_rng_u64(rng) >> 56);
    const struct rz_pack_args in = {.type = type,
                                    .n_rows = n_rows,
                                    .n_cols = n_cols,
                                    .w = w,
                                    .w_row_bytes = row,
                                    .packed = packed};
    const uint32_t n_strips = (n_rows + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS;
    rz_pack_strips(&in, 0, n_strips);
    assert_int_equal(packed[n_packed], 0xA5);
    const struct rz_unpack_args out = {.type = type,
                                       .n_rows = n_rows,
                                       .n_cols = n_cols,
                                       .packed = packed,
                                       .w = back + 1,
                                       .w_row_bytes = row};
    rz_unpack_strips(&out, n_strips / 2, n_strips);
    rz_unpack_strips(&out, 0, n_strips / 2);
    assert_memory_equal(w, back + 1, n_rows * row);
    assert_int_equal(back[1 + n_rows * row], 0xA5);
    assert_int_equal(rz_packed_fits(type, n_rows, n_cols), n_packed == n_rows * row);
    float *want = malloc(n_cols * sizeof *want), *got = malloc(n_cols * sizeof *got);
    assert_non_null(want);
    assert_non_null(got);
    for (uint32_t r = 0; r < n_rows; r++) {
        info->decode(w + r * row, want, n_cols);
        rz_packed_decode_row(type, packed, n_cols, r, got);
        assert_memory_equal(want, got, n_cols * sizeof *want);
    }
    free(want);
    free(got);
    free(rows);
    free(packed);
    free(back);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 15, 16, 17, 48, 95};
    struct rz_rng rng = {.state = 7};
    for (rz_dtype type = 0; type < RZ_N_DTYPES; type++) {
        const uint32_t block = rz_dtype_info(type)->block_len;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            for (uint32_t n = 1; n <= 3; n++)
                round_trip(type, rows[i], n * block, &rng);
        }
    }
}

static void test_fits(void **state)
{
    (void)state;
    assert_true(rz_packed_fits(RZ_BF16, 16, 2));
    assert_false(rz_packed_fits(RZ_BF16, 16, 3));
    assert_true(rz_packed_fits(RZ_F16, 32, 3));
    assert_false(rz_packed_fits(RZ_F16, 0, 3));
    assert_false(rz_packed_fits(RZ_Q4_K, 16, 128));
    assert_false(rz_packed_fits(RZ_Q8_0, 1ull << 32, 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
