/* test_tensor_stats.c - statistics and comparison of tensors: against sums done plainly in long
 * double, exact facts, and the rule that threads do not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/f16.h"
#include "base/fail.h"
#include "base/rng.h"
#include "formats/tensor_scan.h"

#include <math.h>
#include <realizar/tensor_stats.h>
#include <stdlib.h>
#include <string.h>

static rz_tensor matrix(const float *data, uint64_t rows, uint64_t cols)
{
    return (rz_tensor){.name = "t",
                       .dtype = RZ_F32,
                       .n_dims = 2,
                       .shape = {rows, cols, 1, 1},
                       .data = data,
                       .n_bytes = rows * cols * sizeof *data};
}

static rz_tensor_stats stats_of(const rz_tensor *t, unsigned n_threads)
{
    rz_tensor_scan *scan;
    rz_tensor_stats s;
    memset(&s, 0xA5, sizeof s);
    assert_int_equal(rz_tensor_scan_new(&scan, n_threads, NULL), RZ_OK);
    assert_int_equal(rz_tensor_scan_stats(scan, t, &s, NULL), RZ_OK);
    rz_tensor_scan_free(&scan);
    assert_null(scan);
    return s;
}

static rz_tensor_diff diff_of(const rz_tensor *a, const rz_tensor *b, unsigned n_threads)
{
    rz_tensor_scan *scan;
    rz_tensor_diff d;
    assert_int_equal(rz_tensor_scan_new(&scan, n_threads, NULL), RZ_OK);
    assert_int_equal(rz_tensor_scan_diff(scan, a, b, &d, NULL), RZ_OK);
    rz_tensor_scan_free(&scan);
    return d;
}

/* Near-normal numbers: the sum of four uniform ones. */
static float *random_floats(size_t n, uint64_t seed, double mean, double std)
{
    struct rz_rng rng = {seed};
    float *x = malloc((n ? n : 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        double u = -2;
        for (int k = 0; k < 4; k++)
            u += rz_rng_unit(&rng);
        x[i] = (float)(mean + std * u * sqrt(3));
    }
    return x;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* numpy's percentile of sorted values. */
static double percentile(const float *sorted, size_t n, int rank)
{
    double at = (double)(n - 1) * rank / 100;
    size_t i = (size_t)at;
    double x = (double)sorted[i], y = (double)sorted[i + 1 < n ? i + 1 : i];
    return x + (y - x) * (at - (double)i);
}

static void check_against_plain_sums(size_t rows, size_t cols, double mean, double std)
{
    size_t n = rows * cols;
    float *x = random_floats(n, n, mean, std);
    rz_tensor t = matrix(x, rows, cols);
    rz_tensor_stats s = stats_of(&t, 2);
    long double sum = 0, squares = 0, l2 = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (long double)x[i];
        l2 += (long double)x[i] * (long double)x[i];
        bits += rz_f32_bits(x[i]);
    }
    long double m = sum / (long double)n;
    for (size_t i = 0; i < n; i++)
        squares += ((long double)x[i] - m) * ((long double)x[i] - m);
    double want_std = (double)sqrtl(squares / (long double)n);
    assert_true(fabs(s.mean - (double)m) <= 1e-12 * fabs((double)m) + 1e-13 * want_std);
    assert_true(fabs(s.std - want_std) <= 1e-9 * want_std);
    assert_true(fabs(s.l2 - (double)sqrtl(l2)) <= 1e-12 * s.l2);
    assert_int_equal(s.bits_sum, bits);
    assert_int_equal(s.count, n);
    assert_int_equal(s.n_finite, n);
    assert_int_equal(s.n_rows, rows);
    qsort(x, n, sizeof *x, compare_floats);
    assert_true(s.min == (double)x[0] && s.max == (double)x[n - 1]);
    for (size_t i = 0; i < RZ_N_PERCENTILES; i++) {
        size_t at = (size_t)((double)(n - 1) * rz_percentile_ranks[i] / 100);
        double larger = fmax(fabs((double)x[at]), fabs((double)x[at + 1 < n ? at + 1 : at]));
        double want = percentile(x, n, rz_percentile_ranks[i]);
        assert_true(fabs(s.percentile[i] - want) <= 0x1p-8 * larger);
    }
    free(x);
}

static void sums_are_right(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1},   {1, 2},      {3, 5},     {7, 4096},
                                       {17, 96}, {1, 200000}, {5, 70001}, {1000, 300}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check_against_plain_sums(shapes[i][0], shapes[i][1], 0, 0.02);
        check_against_plain_sums(shapes[i][0], shapes[i][1], 1000, 0.5);
        check_against_plain_sums(shapes[i][0], shapes[i][1], -3, 1e-3);
    }
}

static void same_for_any_number_of_threads(void **state)
{
    (void)state;
    size_t rows = 900, cols = 777;
    float *x = random_floats(rows * cols, 5, 0.1, 1), *y = random_floats(rows * cols, 6, 0.1, 1);
    x[12345] = NAN;
    x[500000] = INFINITY;
    y[7] = -INFINITY;
    rz_tensor a = matrix(x, rows, cols), b = matrix(y, rows, cols);
    rz_tensor_stats one = stats_of(&a, 1);
    rz_tensor_diff diff_one = diff_of(&a, &b, 1);
    for (unsigned n = 2; n <= 7; n += n == 3 ? 4 : 1) {
        rz_tensor_stats s = stats_of(&a, n);
        rz_tensor_diff d = diff_of(&a, &b, n);
        assert_memory_equal(&s.mean, &one.mean, sizeof s.mean);
        assert_memory_equal(&s.std, &one.std, sizeof s.std);
        assert_memory_equal(&s.l2, &one.l2, sizeof s.l2);
        assert_memory_equal(s.percentile, one.percentile, sizeof s.percentile);
        assert_int_equal(s.checksum, one.checksum);
        assert_int_equal(s.first_nan, 12345);
        assert_int_equal(s.first_inf, 500000);
        assert_memory_equal(&d.rmse, &diff_one.rmse, sizeof d.rmse);
        assert_memory_equal(&d.cosine, &diff_one.cosine, sizeof d.cosine);
        assert_int_equal(d.max_at, diff_one.max_at);
    }
    free(x);
    free(y);
}

static void what_is_not_finite_is_counted_apart(void **state)
{
    (void)state;
    float x[10] = {1, NAN, 2, INFINITY, 3, -INFINITY, 4, NAN, 0, -0.0f};
    rz_tensor t = matrix(x, 2, 5);
    rz_tensor_stats s = stats_of(&t, 1);
    assert_int_equal(s.n_nan, 2);
    assert_int_equal(s.n_inf, 2);
    assert_int_equal(s.first_nan, 1);
    assert_int_equal(s.first_inf, 3);
    assert_int_equal(s.n_finite, 6);
    assert_int_equal(s.n_zeros, 2);
    assert_true(s.zero_fraction == 0.2 && s.density == 0.4);
    assert_true(s.min == 0 && s.max == 4);
    assert_true(fabs(s.mean - 10.0 / 6) < 1e-15);
    assert_true(fabs(s.l2 - sqrt(30)) < 1e-14);
    assert_false(s.constant);
    assert_int_equal(s.n_dead_rows, 0);
    float all_nan[3] = {NAN, NAN, NAN};
    t = matrix(all_nan, 1, 3);
    s = stats_of(&t, 1);
    assert_int_equal(s.n_finite, 0);
    assert_true(s.mean == 0 && s.std == 0 && s.min == 0 && s.max == 0 && s.percentile[2] == 0);
    assert_false(s.constant);
    assert_int_equal(s.first_inf, 3);
}

static void constants_and_dead_rows(void **state)
{
    (void)state;
    size_t rows = 300, cols = 500;
    float *x = malloc(rows * cols * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = 0.1f;
    rz_tensor t = matrix(x, rows, cols);
    rz_tensor_stats s = stats_of(&t, 2);
    assert_true(s.constant && s.std == 0 && s.mean == (double)0.1f);
    assert_true(s.percentile[0] == (double)0.1f && s.percentile[4] == (double)0.1f);
    x[cols * 299 + 499] = 0.2f;
    s = stats_of(&t, 2);
    assert_false(s.constant);
    /* Rows 131 (the first of a chunk, 65536 / 500 = 131) and 299, and all but one of row 4. */
    memset(x + 131 * cols, 0, cols * sizeof *x);
    memset(x + 299 * cols, 0, cols * sizeof *x);
    memset(x + 4 * cols, 0, cols * sizeof *x);
    x[4 * cols + 499] = 1e-30f;
    s = stats_of(&t, 2);
    assert_int_equal(s.n_dead_rows, 2);
    assert_int_equal(s.first_dead_row, 131);
    assert_int_equal(s.n_zeros, 3 * cols - 1);
    memset(x, 0, rows * cols * sizeof *x);
    s = stats_of(&t, 1);
    assert_true(s.constant && s.n_dead_rows == rows && s.first_dead_row == 0 && s.density == 0);
    assert_true(s.percentile[2] == 0 && s.l2 == 0);
    free(x);
}

static void checksum_sees_what_a_sum_does_not(void **state)
{
    (void)state;
    float x[6] = {1, 2, 3, 4, 5, 6};
    rz_tensor t = matrix(x, 2, 3);
    rz_tensor_stats before = stats_of(&t, 1);
    x[0] = 2;
    x[1] = 1;
    rz_tensor_stats after = stats_of(&t, 1);
    assert_int_equal(before.bits_sum, after.bits_sum);
    assert_int_not_equal(before.checksum, after.checksum);
    x[0] = 1;
    x[1] = rz_bits_f32(rz_f32_bits(2) + 1); /* one unit in the last place */
    assert_int_not_equal(stats_of(&t, 1).checksum, before.checksum);
    /* Storage does not matter where the values are the same. */
    uint16_t halves[6];
    for (size_t i = 0; i < 6; i++)
        halves[i] = rz_f32_to_f16((float)(i + 1));
    rz_tensor half = t;
    half.dtype = RZ_F16;
    half.data = halves;
    half.n_bytes = sizeof halves;
    assert_int_equal(stats_of(&half, 1).checksum, before.checksum);
}

static void differences(void **state)
{
    (void)state;
    float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {1, 2, 3.5f, 4, 5, 5};
    rz_tensor a = matrix(x, 2, 3), b = matrix(y, 2, 3);
    rz_tensor_diff d = diff_of(&a, &b, 2);
    assert_int_equal(d.n_equal_bits, 4);
    assert_false(d.identical);
    assert_true(d.max_abs == 1 && d.max_at == 5 && d.max_a == 6 && d.max_b == 5);
    assert_true(fabs(d.rmse - sqrt(1.25 / 6)) < 1e-15);
    assert_true(fabs(d.mean_abs - 0.25) < 1e-15);
    assert_true(fabs(d.rms_a - sqrt(91.0 / 6)) < 1e-14);
    double ab = 1 + 4 + 10.5 + 16 + 25 + 30, bb = 1 + 4 + 12.25 + 16 + 25 + 25;
    assert_true(fabs(d.cosine - ab / sqrt(91 * bb)) < 1e-14);
    d = diff_of(&a, &a, 1);
    assert_true(d.identical && d.rmse == 0 && d.max_abs == 0 && d.max_at == 0 && d.cosine == 1);
    y[2] = NAN;
    d = diff_of(&a, &b, 1);
    assert_int_equal(d.n_not_finite_b, 1);
    assert_int_equal(d.n_finite_pairs, 5);
    assert_true(d.n_odd == 1 && d.first_odd == 2 && !d.same_bytes);
    /* Not finite in both, and yet not the same. */
    x[2] = INFINITY;
    x[4] = y[4] = -INFINITY;
    d = diff_of(&a, &b, 1);
    assert_int_equal(d.n_not_finite_a, d.n_not_finite_b);
    assert_true(d.n_odd == 1 && d.first_odd == 2);
    y[2] = INFINITY;
    d = diff_of(&a, &b, 1);
    assert_true(d.n_odd == 0 && d.first_odd == 6);
    x[2] = 3;
    x[4] = 5;
    d = diff_of(&a, &a, 1);
    assert_true(d.same_bytes);
    uint16_t halves[6];
    for (size_t i = 0; i < 6; i++)
        halves[i] = rz_f32_to_f16(x[i]);
    rz_tensor half = a;
    half.dtype = RZ_F16;
    half.data = halves;
    half.n_bytes = sizeof halves;
    d = diff_of(&a, &half, 1);
    assert_true(d.identical && !d.same_bytes);
    float zeros[6] = {0};
    rz_tensor z = matrix(zeros, 2, 3);
    assert_true(diff_of(&a, &z, 1).cosine == 0 && diff_of(&z, &z, 1).cosine == 1);
    rz_tensor other = matrix(x, 3, 2);
    rz_tensor_scan *scan;
    assert_int_equal(rz_tensor_scan_new(&scan, 1, NULL), RZ_OK);
    assert_int_equal(rz_tensor_scan_diff(scan, &a, &other, &d, NULL), RZ_EUSAGE);
    rz_tensor_scan_free(&scan);
}

struct heard {
    uint64_t next, n_calls, stop_at;
};

static rz_status hear(void *ctx, uint64_t first, uint64_t n, rz_error *err)
{
    struct heard *h = ctx;
    assert_int_equal(first, h->next);
    h->next += n;
    h->n_calls++;
    return h->n_calls == h->stop_at ? rz_fail(err, RZ_ECANCEL, "enough") : RZ_OK;
}

/* Rows of b in another order, told part by part; a difference is where a has it. */
static void other_orders(void **state)
{
    (void)state;
    enum {
        ROWS = 96,
        HEAD = 16,
        COLS = 65537 /* a chunk for each row */
    };
    float *x = random_floats((size_t)ROWS * COLS, 3, 0, 1);
    float *y = malloc((size_t)ROWS * COLS * sizeof *y);
    assert_non_null(y);
    for (uint64_t i = 0; i < ROWS; i++)
        memcpy(y + rz_row_source(RZ_ROWS_TO_PAIRS, HEAD, i) * COLS, x + i * COLS, COLS * sizeof *y);
    rz_tensor a = matrix(x, ROWS, COLS), b = matrix(y, ROWS, COLS);
    struct heard heard = {0};
    struct rz_scan_pair pair = {
        .a = &a, .b = &b, .order = RZ_ROWS_TO_PAIRS, .head_dim = HEAD, .done = hear, .ctx = &heard};
    rz_tensor_scan *scan;
    rz_tensor_diff d;
    rz_error err;
    assert_int_equal(rz_tensor_scan_new(&scan, 2, NULL), RZ_OK);
    assert_int_equal(rz_scan_diff(scan, &pair, &d, &err), RZ_OK);
    assert_true(d.identical && d.same_bytes);
    assert_int_equal(heard.next, (uint64_t)ROWS * COLS);
    assert_int_equal(heard.n_calls, 2);
    y[rz_row_source(RZ_ROWS_TO_PAIRS, HEAD, 70) * COLS + 5] += 8;
    heard = (struct heard){0};
    assert_int_equal(rz_scan_diff(scan, &pair, &d, &err), RZ_OK);
    assert_int_equal(d.max_at, (uint64_t)70 * COLS + 5);
    assert_int_equal(d.n_equal_bits, (uint64_t)ROWS * COLS - 1);
    heard = (struct heard){.stop_at = 1};
    assert_int_equal(rz_scan_diff(scan, &pair, &d, &err), RZ_ECANCEL);
    assert_int_equal(heard.n_calls, 1);
    /* A bias: its elements are the rows. */
    for (uint64_t i = 0; i < ROWS; i++)
        y[rz_row_source(RZ_ROWS_TO_PAIRS, HEAD, i)] = x[i];
    a = matrix(x, ROWS, 1);
    b = matrix(y, ROWS, 1);
    a.n_dims = b.n_dims = 1;
    pair.done = NULL;
    assert_int_equal(rz_scan_diff(scan, &pair, &d, &err), RZ_OK);
    assert_true(d.identical && d.count == ROWS);
    pair.order = RZ_ROWS_AS_THEY_ARE;
    assert_int_equal(rz_scan_diff(scan, &pair, &d, &err), RZ_OK);
    assert_false(d.identical);
    rz_tensor_scan_free(&scan);
    free(x);
    free(y);
}

static void transposes(void **state)
{
    (void)state;
    size_t rows = 700, cols = 513;
    float *x = random_floats(rows * cols, 9, 0, 1), *y = malloc(rows * cols * sizeof *y);
    assert_non_null(y);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[c * rows + r] = x[r * cols + c];
    rz_tensor a = matrix(x, rows, cols), b = matrix(y, cols, rows);
    rz_tensor_scan *scan;
    rz_tensor_diff d;
    assert_int_equal(rz_tensor_scan_new(&scan, 2, NULL), RZ_OK);
    assert_int_equal(rz_tensor_scan_diff_transposed(scan, &a, &b, &d, NULL), RZ_OK);
    assert_true(d.identical && d.n_equal_bits == rows * cols && d.cosine == 1);
    /* The same change twice: the first in a's order is told, though its tile comes later. */
    y[400 * rows + 1] += 4;
    y[2 * rows + 5] += 4;
    x[1 * cols + 400] = 1;
    y[400 * rows + 1] = 5;
    x[5 * cols + 2] = 1;
    y[2 * rows + 5] = 5;
    assert_int_equal(rz_tensor_scan_diff_transposed(scan, &a, &b, &d, NULL), RZ_OK);
    assert_true(d.max_abs == 4);
    assert_int_equal(d.max_at, 1 * cols + 400);
    assert_int_equal(rz_tensor_scan_diff_transposed(scan, &a, &a, &d, NULL), RZ_EUSAGE);
    rz_tensor_scan_free(&scan);
    free(x);
    free(y);
}

static void decoding_begins_anywhere(void **state)
{
    (void)state;
    uint8_t blocks[3 * 34];
    struct rz_rng rng = {3};
    for (size_t i = 0; i < sizeof blocks; i++)
        blocks[i] = (uint8_t)rz_rng_below(&rng, 100);
    rz_tensor t = {.name = "q",
                   .dtype = RZ_Q8_0,
                   .n_dims = 1,
                   .shape = {96, 1, 1, 1},
                   .data = blocks,
                   .n_bytes = sizeof blocks};
    float all[96], part[96];
    rz_tensor_decode(&t, 0, 96, all);
    assert_true(all[33] == rz_f16_to_f32((rz_f16)(blocks[34] | blocks[35] << 8)) *
                               (float)(int8_t)blocks[34 + 2 + 1]);
    for (size_t first = 0; first < 96; first += 5) {
        for (size_t n = 0; n <= 96 - first; n += 7) {
            rz_tensor_decode(&t, first, n, part);
            assert_memory_equal(part, all + first, n * sizeof *part);
        }
    }
}

static void odd_shapes(void **state)
{
    (void)state;
    float x = 5;
    rz_tensor scalar = {
        .name = "s", .dtype = RZ_F32, .n_dims = 0, .shape = {1, 1, 1, 1}, .data = &x, .n_bytes = 4};
    rz_tensor_stats s = stats_of(&scalar, 2);
    assert_true(s.count == 1 && s.n_rows == 1 && s.mean == 5 && s.constant && s.percentile[0] == 5);
    rz_tensor empty = matrix(&x, 0, 4);
    s = stats_of(&empty, 2);
    assert_true(s.count == 0 && !s.constant && s.n_dead_rows == 0 && s.density == 0);
    assert_true(diff_of(&empty, &empty, 1).identical);
    float extremes[4] = {3.4028235e38f, -3.4028235e38f, 1.4e-45f, -1.4e-45f};
    rz_tensor t = matrix(extremes, 1, 4);
    s = stats_of(&t, 1);
    assert_true(isfinite(s.std) && isfinite(s.l2) && s.max == (double)extremes[0]);
    assert_true(s.percentile[0] >= s.min && s.percentile[4] <= s.max);
    rz_tensor_scan *scan;
    assert_int_equal(rz_tensor_scan_new(&scan, 257, NULL), RZ_EUSAGE);
    assert_null(scan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_right),
        cmocka_unit_test(same_for_any_number_of_threads),
        cmocka_unit_test(what_is_not_finite_is_counted_apart),
        cmocka_unit_test(constants_and_dead_rows),
        cmocka_unit_test(checksum_sees_what_a_sum_does_not),
        cmocka_unit_test(differences),
        cmocka_unit_test(other_orders),
        cmocka_unit_test(transposes),
        cmocka_unit_test(decoding_begins_anywhere),
        cmocka_unit_test(odd_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
