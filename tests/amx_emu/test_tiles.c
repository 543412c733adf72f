/* test_tiles.c - the emulation against the SDM's pseudocode written plainly, and what the matrix
 * products ask of the tile unit: how many loads, one configuration, no wrong use. */
#include "base/cpu.h"
#include "base/f16.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/tile_amx.h"
#include "quant/pack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool no_amx(void)
{
    if (rz_cpu_detect(RZ_CPU_ALL) & RZ_CPU_AMX)
        return false;
    print_message("skipped: the emulation of AMX needs a CPU with AVX-512 BF16\n");
    return true;
}

static void configure(int rows_a, int pairs, int columns)
{
    struct tile_config c = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        c.rows[t] = (uint8_t)(t < 4 ? rows_a : pairs);
        c.row_bytes[t] = (uint16_t)(4 * columns);
    }
    c.rows[4] = (uint8_t)rows_a; /* 4: a; 5: b; 0: c */
    c.row_bytes[4] = (uint16_t)(4 * pairs);
    TILE_CONFIGURE(&c);
}

/* A subnormal counts as zero, of the same sign. */
static float flushed(float f)
{
    return fabsf(f) < 0x1p-126f ? copysignf(0, f) : f;
}

static float bf16_at(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return flushed(rz_bits_f32((uint32_t)bits << 16));
}

static float flushed_fma(float a, float b, float c)
{
    return flushed(fmaf(a, b, c));
}

/* c[m][n] after TDPBF16PS. */
static float want_bf16(float c, const uint8_t *a_row, const uint8_t *b, int pairs, int n)
{
    float even = 0, odd = 0;
    for (int k = 0; k < pairs; k++) {
        const uint8_t *pair = b + TILE_ROW_BYTES * k + 4 * n;
        even = flushed_fma(bf16_at(a_row + 4 * k), bf16_at(pair), even);
        odd = flushed_fma(bf16_at(a_row + 4 * k + 2), bf16_at(pair + 2), odd);
    }
    return flushed(flushed(c) + flushed(even + odd));
}

/* Random bits (kind 0), or numbers near one (1), or small enough to vanish (2). */
static void fill_bf16(struct rz_rng *r, uint8_t *p, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = (uint16_t)rz_rng_u64(r);
        if (kind)
            bits = (uint16_t)((bits & 0x80FF) | (kind == 1 ? 0x3F00 : 0x2000));
        memcpy(p + 2 * i, &bits, sizeof bits);
    }
}

static void check_bf16(struct rz_rng *r, int rows, int pairs, int columns, int kind)
{
    uint8_t a[TILE_BYTES], b[TILE_BYTES];
    float c[16][16], got[16][16];
    fill_bf16(r, a, TILE_BYTES / 2, kind);
    fill_bf16(r, b, TILE_BYTES / 2, kind);
    fill_bf16(r, (uint8_t *)c, TILE_BYTES / 2, kind);
    configure(rows, pairs, columns);
    TILE_LOAD(0, c);
    TILE_LOAD(4, a);
    TILE_LOAD(5, b);
    TILE_DPBF16(0, 4, 5);
    TILE_STORE(0, got);
    TILE_RELEASE();
    for (int m = 0; m < rows; m++) {
        for (int n = 0; n < columns; n++) {
            const float want = want_bf16(c[m][n], a + TILE_ROW_BYTES * m, b, pairs, n);
            if (isnan(want))
                assert_true(isnan(got[m][n]));
            else
                assert_int_equal(rz_f32_bits(got[m][n]), rz_f32_bits(want));
        }
    }
}

static void test_bf16(void **state)
{
    (void)state;
    if (no_amx())
        skip();
    struct rz_rng r = {1};
    for (int i = 0; i < 60; i++) {
        check_bf16(&r, 16, 16, 16, i % 3);
        check_bf16(&r, 1 + i % 16, 1 + i / 2 % 16, 1 + i / 3 % 16, i % 3);
    }
}

static void test_int8(void **state)
{
    (void)state;
    int8_t a[TILE_ROWS][64], b[16][64];
    int32_t c[16][16];
    struct rz_rng r = {2};
    for (int i = 0; i < TILE_BYTES; i++) {
        a[i / 64][i % 64] = (int8_t)rz_rng_u64(&r);
        b[i / 64][i % 64] = (int8_t)rz_rng_u64(&r);
    }
    configure(16, 16, 16);
    TILE_ZERO(0);
    TILE_LOAD(4, a);
    TILE_LOAD(5, b);
    TILE_DPBSSD(0, 4, 5);
    TILE_STORE(0, c);
    TILE_RELEASE();
    for (int m = 0; m < 16; m++) {
        for (int n = 0; n < 16; n++) {
            int32_t want = 0;
            for (int k = 0; k < 64; k++)
                want += a[m][k] * b[k / 4][4 * n + k % 4];
            assert_int_equal(c[m][n], want);
        }
    }
}

static void without_configuration(void)
{
    TILE_ZERO(0);
}

static void after_release(void)
{
    configure(16, 16, 16);
    TILE_RELEASE();
    TILE_DPBF16(0, 4, 5);
}

static void same_register(void)
{
    configure(16, 16, 16);
    TILE_DPBF16(0, 4, 4);
}

static void other_shape(void)
{
    configure(16, 8, 16);
    TILE_DPBF16(0, 5, 4);
}

static void empty_tile(void)
{
    struct tile_config c = {.palette = 1};
    TILE_CONFIGURE(&c);
    TILE_ZERO(0);
}

static void too_large(void)
{
    configure(17, 16, 16);
}

/* What faults on a CPU ends the emulation: a child's abort. */
static void test_faults(void **state)
{
    (void)state;
    void (*const faults[])(void) = {without_configuration, after_release, same_register,
                                    other_shape,           empty_tile,    too_large};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        int status = 0;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            faults[i]();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
}

/* The level is used only if the tile unit is right, and never named otherwise. */
static void test_self_check(void **state)
{
    (void)state;
    if (no_amx())
        skip();
    struct rz_kernels k, below;
    const unsigned flags = rz_cpu_detect(RZ_CPU_ALL);
    rz_kernels_init(&k, flags);
    assert_int_equal(k.cpu_flags, flags);
    assert_string_equal(rz_cpu_level_name(k.cpu_flags), "amx");
    assert_true(k.wide_from > 16 && k.matmul_wide[RZ_Q4_K] && k.bf16_tiles);
    emu_break(1);
    rz_kernels_init(&k, flags);
    emu_break(0);
    assert_string_equal(rz_cpu_level_name(k.cpu_flags), "avx512+bf16 (amx failed its self-check)");
    rz_kernels_init(&below, flags & ~(unsigned)RZ_CPU_AMX);
    assert_int_equal(k.wide_from, below.wide_from);
    assert_null(k.matmul_wide[RZ_Q4_K]);
    for (int i = 0; i < RZ_N_DTYPES; i++)
        assert_ptr_equal(k.matmul_wide[i], below.matmul_wide[i]);
}

enum {
    N_TOKENS = 100,
    N_COLS = 512
};

static struct emu_counts count_product(const struct rz_kernels *k, uint32_t n_rows)
{
    const size_t row_bytes = rz_packed_row_bytes(RZ_Q4_K, N_COLS);
    const uint32_t n_strips = (n_rows + 15) / 16, n_token_strips = (N_TOKENS + 15) / 16;
    uint8_t *w = aligned_alloc(64, (n_strips * 16 * row_bytes + 63) / 64 * 64);
    float *y = malloc(N_TOKENS * (size_t)n_rows * sizeof *y);
    uint16_t *tiles = aligned_alloc(64, n_token_strips * 16u * N_COLS * sizeof *tiles);
    assert_true(w && y && tiles);
    memset(w, 0, n_strips * 16 * row_bytes);
    memset(tiles, 0, n_token_strips * 16u * N_COLS * sizeof *tiles);
    const struct rz_act x = {.n_rows = N_TOKENS, .n_cols = N_COLS, .bf16 = tiles};
    const struct rz_matmul_args a = {
        .w = w, .w_row_bytes = row_bytes, .row_end = n_rows, .x = &x, .y = y, .y_stride = n_rows};
    const struct emu_counts from = emu_counts();
    k->matmul_wide[RZ_Q4_K](&a);
    struct emu_counts n = emu_counts();
    free(w);
    free(y);
    free(tiles);
    return (struct emu_counts){n.configure - from.configure, n.release - from.release,
                               n.zero - from.zero,           n.load - from.load,
                               n.store - from.store,         n.product - from.product};
}

/* Four loads for three products where three strips of weights share the activations; no sums are
 * loaded or stored but once per 256 columns. */
static void test_counts(void **state)
{
    (void)state;
    if (no_amx())
        skip();
    struct rz_kernels k;
    rz_kernels_init(&k, rz_cpu_detect(RZ_CPU_ALL));
    const uint64_t passes = (N_TOKENS + 15) / 16, tiles = N_COLS / 32;
    /* 9 strips: 3 x 3; 10: 2 x 3, 2 x 2; 11: 3 x 3, 2; 1: 1. */
    static const struct {
        uint32_t n_rows, n_strips, n_groups;
    } cases[] = {{144, 9, 3}, {145, 10, 4}, {176, 11, 4}, {7, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct emu_counts n = count_product(&k, cases[i].n_rows);
        assert_int_equal(n.configure, 1);
        assert_int_equal(n.release, 1);
        assert_int_equal(n.product, passes * tiles * cases[i].n_strips);
        assert_int_equal(n.load, passes * tiles * (cases[i].n_strips + cases[i].n_groups));
        assert_int_equal(n.store, passes * 2 * cases[i].n_strips);
        assert_int_equal(n.zero, n.store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16),   cmocka_unit_test(test_int8),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_self_check),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
