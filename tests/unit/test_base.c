/* test_base.c - src/base: conversions checked over their whole domain against independent
 * references, containers at their limits, the pool's once-per-thread promise over many jobs. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "base/f16.h"
#include "base/fail.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

/* RFC 3629's definition, written from the ABNF of section 4: bytes of the well-formed sequence at
 * s, 0 if there is none. */
static int reference_utf8(const uint8_t *s, size_t len)
{
    static const struct {
        uint8_t lead_low, lead_high, second_low, second_high;
        int n;
    } rows[] = {
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        if (s[0] < rows[i].lead_low || s[0] > rows[i].lead_high)
            continue;
        if ((size_t)rows[i].n > len)
            return 0;
        if (rows[i].n > 1 && (s[1] < rows[i].second_low || s[1] > rows[i].second_high))
            return 0;
        for (int k = 2; k < rows[i].n; k++)
            if (s[k] < 0x80 || s[k] > 0xBF)
                return 0;
        return rows[i].n;
    }
    return 0;
}

static void utf8_every_code_point_round_trips(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char text[4];
        uint32_t back = 0;
        int n = rz_utf8_encode(c, text);
        assert_int_equal(n, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(reference_utf8((const uint8_t *)text, (size_t)n), n);
        assert_int_equal(rz_utf8_decode(text, (size_t)n, &back), n);
        assert_int_equal(back, c);
        for (int cut = 1; cut < n; cut++)
            assert_int_equal(rz_utf8_decode(text, (size_t)cut, &back), -1);
    }
}

/* Every 3-byte string, and every 4-byte string over the bytes at the edges of the ABNF's ranges. */
static void utf8_decode_agrees_with_the_grammar(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
                                    0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
                                    0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFE, 0xFF};
    uint32_t c;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        uint8_t s[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        int got = rz_utf8_decode((const char *)s, 3, &c), want = reference_utf8(s, 3);
        if ((got > 0 ? got : 0) != want)
            fail_msg("%02X %02X %02X: %d, must be %d", s[0], s[1], s[2], got, want);
    }
    const size_t n = sizeof edges;
    for (size_t i = 0; i < n * n * n * n; i++) {
        uint8_t s[4] = {edges[i % n], edges[i / n % n], edges[i / n / n % n],
                        edges[i / n / n / n % n]};
        int got = rz_utf8_decode((const char *)s, 4, &c);
        assert_int_equal(got, reference_utf8(s, 4));
    }
}

/* A cut sequence is told from an invalid one as soon as the second byte decides. */
static void utf8_tells_cut_from_invalid(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        int want;
    } cases[] = {
        {"\xE2", 1, -1},         {"\xE2\x82", 2, -1},    {"\xF0\x9F\x98", 3, -1},
        {"\xE0\x80", 2, 0},      {"\xED\xA0", 2, 0},     {"\xF4\x90", 2, 0},
        {"\xF0\x8F", 2, 0},      {"\xC0", 1, 0},         {"\x80", 1, 0},
        {"\xE2\x28", 2, 0},      {"\xF5", 1, 0},         {"\xF0\x9F\x28", 3, 0},
        {"\xE2\x82\xACx", 4, 3}, {"\xED\x9F\xBF", 3, 3}, {"\xF4\x8F\xBF\xBF", 4, 4},
        {"\xC3\xA9", 2, 2},      {"\xEF\xBB\xBF", 3, 3},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(cases); i++) {
        uint32_t c;
        assert_int_equal(rz_utf8_decode(cases[i].bytes, cases[i].len, &c), cases[i].want);
    }
    assert_int_equal(rz_utf8_valid("caf\xC3\xA9", 5), 5);
    assert_int_equal(rz_utf8_valid("caf\xC3", 4), 3);
    assert_int_equal(rz_utf8_valid("a\xFFz", 3), 1);
    assert_int_equal(rz_utf8_valid("a\0b", 3), 3);
    assert_int_equal(rz_utf8_valid("", 0), 0);
}

/* ---- half floats ---------------------------------------------------------------------------- */

/* The value of a binary16 by its definition, in double. */
static double reference_f16(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    return sign * ldexp(1024 + fraction, exponent - 25);
}

static void f16_all_values_convert_exactly_and_back(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = rz_f16_to_f32((rz_f16)h);
        double want = reference_f16((uint16_t)h);
        if (isnan(want)) {
            assert_true(isnan(f));
            rz_f16 back = rz_f32_to_f16(f);
            assert_true((back & 0x7C00) == 0x7C00 && (back & 0x3FF) != 0);
            continue;
        }
        assert_true((double)f == want);
        assert_int_equal(signbit(f) != 0, h >> 15);
        assert_int_equal(rz_f32_to_f16(f), h);
    }
}

/* Nearest of the two neighbours in double, ties to the even one, by search among all halves. */
static uint16_t reference_to_f16(float f)
{
    double magnitude = fabs((double)f);
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    if (magnitude >= 65520)
        return sign | 0x7C00;
    uint16_t low = 0, high = 0x7BFF;
    while (low < high) { /* the greatest half not above magnitude */
        uint16_t mid = (uint16_t)((low + high + 1) / 2);
        if (reference_f16(mid) <= magnitude)
            low = mid;
        else
            high = (uint16_t)(mid - 1);
    }
    if (low == 0x7BFF)
        return (uint16_t)(sign | low);
    double below = magnitude - reference_f16(low);
    double above = reference_f16((uint16_t)(low + 1)) - magnitude;
    bool up = above < below || (above == below && (low & 1));
    return (uint16_t)(sign | (low + up));
}

static void check_to_f16(uint32_t bits)
{
    float f = rz_bits_f32(bits);
    if (isnan(f)) {
        assert_true((rz_f32_to_f16(f) & 0x7FFF) > 0x7C00);
        return;
    }
    if (rz_f32_to_f16(f) != reference_to_f16(f))
        fail_msg("%a (%08X): %04X, must be %04X", (double)f, bits, rz_f32_to_f16(f),
                 reference_to_f16(f));
}

/* Around every half: the value, the midpoint to the next one, and their neighbours in binary32;
 * then random bits. */
static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t h = 0; h < 0x7C00; h++) {
        double next = h == 0x7BFF ? 65536 : reference_f16((uint16_t)(h + 1));
        uint32_t value = rz_f32_bits(rz_f16_to_f32(h));
        uint32_t middle = rz_f32_bits((float)((reference_f16(h) + next) / 2));
        for (int step = -1; step <= 1; step++) {
            check_to_f16(value + (uint32_t)step);
            check_to_f16(middle + (uint32_t)step);
            check_to_f16((middle + (uint32_t)step) ^ 0x80000000u);
        }
    }
    struct rz_rng rng = {.state = 1};
    for (int i = 0; i < 300000; i++)
        check_to_f16((uint32_t)rz_rng_u64(&rng));
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    struct rz_rng rng = {.state = 2};
    for (uint32_t b = 0; b < 0x10000; b++) {
        float f = rz_bf16_to_f32((rz_bf16)b);
        rz_bf16 back = rz_f32_to_bf16(f);
        if (isnan(f))
            assert_true(isnan(rz_bf16_to_f32(back)));
        else
            assert_int_equal(back, b);
    }
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = (uint32_t)rz_rng_u64(&rng);
        if (i % 3 == 0)
            bits = (bits & 0xFFFF0000u) | 0x8000; /* a tie */
        float f = rz_bits_f32(bits);
        rz_bf16 got = rz_f32_to_bf16(f);
        if (isnan(f)) {
            assert_true((got & 0x7FFF) > 0x7F80);
            continue;
        }
        uint32_t low = bits >> 16, rest = bits & 0xFFFF;
        uint32_t want = low + (rest > 0x8000 || (rest == 0x8000 && (low & 1)));
        assert_int_equal(got, want);
    }
    assert_int_equal(rz_f32_to_bf16(rz_bits_f32(0x7F7FFFFF)), 0x7F80); /* FLT_MAX: infinity */
    assert_int_equal(rz_f32_to_bf16(rz_bits_f32(0x7F800001)), 0x7FC0); /* stays NaN when cut */
}

/* ---- arena, buffer, checked arithmetic ------------------------------------------------------ */

static void arena_hands_out_zeroed_aligned_disjoint_memory(void **state)
{
    (void)state;
    struct rz_arena a;
    rz_arena_init(&a, 8 << 20);
    enum {
        N = 3000
    };
    static unsigned char *blocks[N];
    static size_t sizes[N];
    struct rz_rng rng = {.state = 3};
    for (size_t i = 0; i < N; i++) {
        sizes[i] = (size_t)rz_rng_below(&rng, i % 100 == 0 ? 20000 : 300);
        blocks[i] = rz_arena_alloc(&a, sizes[i], 1);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], (int)(i % 251 + 1), sizes[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], i % 251 + 1);
    rz_arena_fini(&a);
    assert_int_equal(a.used_bytes, 0);
}

static void arena_keeps_its_limit(void **state)
{
    (void)state;
    struct rz_arena a;
    rz_arena_init(&a, 1024);
    assert_non_null(rz_arena_alloc(&a, 1000, 1)); /* takes 1008 */
    assert_null(rz_arena_alloc(&a, 17, 1));
    assert_non_null(rz_arena_alloc(&a, 16, 1));
    assert_int_equal(a.used_bytes, 1024);
    assert_null(rz_arena_alloc(&a, 1, 1));
    assert_null(rz_arena_alloc(&a, SIZE_MAX, 1));
    assert_null(rz_arena_alloc(&a, SIZE_MAX / 2 + 1, 2)); /* the product is 0 modulo 2^64 */
    assert_null(rz_arena_strdup(&a, "x", SIZE_MAX));
    rz_arena_fini(&a);

    rz_arena_init(&a, SIZE_MAX);
    char *copy = rz_arena_strdup(&a, "ab\0cd", 5);
    assert_non_null(copy);
    assert_memory_equal(copy, "ab\0cd", 6);
    assert_null(rz_arena_alloc(&a, SIZE_MAX - 15, 1));
    rz_arena_fini(&a);
}

static void buf_grows_to_its_limit_and_no_further(void **state)
{
    (void)state;
    struct rz_buf b;
    rz_buf_init(&b, 10);
    assert_null(b.data);
    assert_true(rz_buf_str(&b, "hello"));
    assert_true(rz_buf_printf(&b, "%d", 1234));
    assert_true(rz_buf_char(&b, '!'));
    assert_int_equal(b.len, 10);
    assert_string_equal(b.data, "hello1234!");
    assert_false(b.failed);
    assert_false(rz_buf_char(&b, '?'));
    assert_true(b.failed);
    assert_string_equal(b.data, "hello1234!");
    assert_false(rz_buf_add(&b, "", 0)); /* sticky */
    rz_buf_fini(&b);

    rz_buf_init(&b, 10);
    assert_false(rz_buf_printf(&b, "%s", "eleven byte"));
    assert_int_equal(b.len, 0);
    rz_buf_fini(&b);

    rz_buf_init(&b, 1 << 20);
    for (int i = 0; i < 10000; i++)
        assert_true(rz_buf_printf(&b, "%04d", i));
    assert_int_equal(b.len, 40000);
    assert_memory_equal(b.data + 4 * 1234, "1234", 4);
    assert_int_equal(b.data[b.len], '\0');
    assert_false(rz_buf_add(&b, b.data, SIZE_MAX));
    rz_buf_fini(&b);
}

static void checked_arithmetic_sees_every_overflow(void **state)
{
    (void)state;
    struct rz_rng rng = {.state = 4};
    for (int i = 0; i < 200000; i++) {
        uint64_t a = rz_rng_u64(&rng) >> rz_rng_below(&rng, 64);
        uint64_t b = rz_rng_u64(&rng) >> rz_rng_below(&rng, 64);
        unsigned __int128 product = (unsigned __int128)a * b, sum = (unsigned __int128)a + b;
        uint64_t got;
        assert_int_equal(rz_mul_u64(a, b, &got), product >> 64 == 0);
        if (product >> 64 == 0)
            assert_true(got == (uint64_t)product);
        assert_int_equal(rz_add_u64(a, b, &got), sum >> 64 == 0);
        if (sum >> 64 == 0)
            assert_true(got == (uint64_t)sum);
    }
    size_t n;
    assert_false(rz_add_size(SIZE_MAX, 1, &n));
    assert_true(rz_add_size(SIZE_MAX, 0, &n) && n == SIZE_MAX);
    assert_false(rz_mul_size(SIZE_MAX / 2 + 1, 2, &n));
    assert_true(rz_mul_size(SIZE_MAX, 0, &n) && n == 0);
    assert_int_equal(rz_align_up(0, 32), 0);
    assert_int_equal(rz_align_up(1, 32), 32);
    assert_int_equal(rz_align_up(32, 32), 32);
    assert_int_equal(rz_align_up(33, 1), 33);
}

/* ---- errors, files, hash, CPU --------------------------------------------------------------- */

static void fail_fills_and_cuts(void **state)
{
    (void)state;
    rz_error err;
    assert_int_equal(rz_fail(&err, RZ_EFORMAT, "%s at %d", "key", 7), RZ_EFORMAT);
    assert_int_equal(err.code, RZ_EFORMAT);
    assert_string_equal(err.text, "key at 7");
    assert_int_equal(rz_fail(NULL, RZ_EIO, "%d", 1), RZ_EIO);
    static char text[3 * RZ_ERROR_TEXT_MAX];
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(rz_fail(&err, RZ_ELOAD, "%s", text), RZ_ELOAD);
    assert_int_equal(strlen(err.text), RZ_ERROR_TEXT_MAX - 1);
    assert_int_equal(rz_fail_nomem(&err, 12, "a thing"), RZ_ENOMEM);
    assert_non_null(strstr(err.text, "a thing"));
}

static void map_opens_regular_files_only(void **state)
{
    (void)state;
    char path[] = "/tmp/test_base_XXXXXX";
    assert_non_null(mkdtemp(path));
    char file[64], fifo[64];
    snprintf(file, sizeof file, "%s/file", path);
    snprintf(fifo, sizeof fifo, "%s/fifo", path);
    struct rz_map map;
    rz_error err;
    assert_int_equal(rz_map_open(&map, file, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, file));
    assert_int_equal(rz_map_open(&map, path, &err), RZ_ENOTFOUND);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(rz_map_open(&map, fifo, &err), RZ_ENOTFOUND);

    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(rz_map_open(&map, file, &err), RZ_OK);
    assert_int_equal(map.len, 0);
    rz_map_close(&map);
    fputs("content", f);
    fclose(f);
    assert_int_equal(rz_map_open(&map, file, &err), RZ_OK);
    assert_int_equal(map.len, 7);
    assert_memory_equal(map.data, "content", 7);
    rz_map_close(&map);
    assert_null(map.data);
    unlink(file);
    unlink(fifo);
    rmdir(path);
}

/* Short keys that a vocabulary holds: as few collisions as chance allows in the low bits. */
static void hash_spreads(void **state)
{
    (void)state;
    enum {
        N = 1 << 16
    };
    static uint8_t seen[N];
    memset(seen, 0, sizeof seen);
    unsigned n_used = 0;
    for (unsigned i = 0; i < N; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "%u", i);
        uint64_t h = rz_hash_bytes(key, (size_t)len, 0) & (N - 1);
        n_used += !seen[h];
        seen[h] = 1;
    }
    /* Expected share 1 - 1/e = 0.6321 with a deviation of 0.0013. */
    assert_in_range(n_used, (unsigned)(0.625 * N), (unsigned)(0.640 * N));
    assert_true(rz_hash_bytes("a", 1, 1) != rz_hash_bytes("a", 1, 2));
}

static void cpu_levels_nest(void **state)
{
    (void)state;
    unsigned all = rz_cpu_detect(RZ_CPU_ALL), mask;
    assert_int_equal(rz_cpu_detect(0), 0);
    assert_string_equal(rz_cpu_level_name(0), "scalar");
    assert_int_equal(rz_cpu_detect(RZ_CPU_ALL & ~(unsigned)RZ_CPU_AVX2), 0);
    assert_int_equal(rz_cpu_detect(RZ_CPU_ALL & ~(unsigned)RZ_CPU_AVX512), all & RZ_CPU_AVX2);
    assert_int_equal(rz_cpu_parse_level("avx2", &mask), 0);
    assert_int_equal(rz_cpu_detect(mask), all & RZ_CPU_AVX2);
    assert_int_equal(rz_cpu_parse_level("avx512", &mask), 0);
    assert_int_equal(rz_cpu_detect(mask), all & (RZ_CPU_AVX2 | RZ_CPU_AVX512));
    assert_int_equal(rz_cpu_parse_level("avx512+bf16", &mask), 0);
    assert_int_equal(rz_cpu_detect(mask), all & (RZ_CPU_ALL & ~RZ_CPU_AMX));
    assert_int_equal(rz_cpu_parse_level("amx", &mask), 0);
    assert_int_equal(rz_cpu_detect(mask), all);
    assert_int_not_equal(rz_cpu_parse_level("sse9", &mask), 0);
    assert_true(rz_cpu_count() >= 1);
}

static void rng_is_splitmix64(void **state)
{
    (void)state;
    /* First outputs for seed 1234567, from the generator's published test values. */
    struct rz_rng rng = {.state = 1234567};
    assert_true(rz_rng_u64(&rng) == 6457827717110365317u);
    assert_true(rz_rng_u64(&rng) == 3203168211198807973u);
    assert_true(rz_rng_u64(&rng) == 9817491932198370423u);
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        double u = rz_rng_unit(&rng);
        assert_true(u >= 0 && u < 1);
        assert_true(rz_rng_below(&rng, 7) < 7);
        sum += u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005); /* five deviations */
}

/* ---- thread pool ---------------------------------------------------------------------------- */

struct tally {
    atomic_uint calls[RZ_MAX_THREADS];
    unsigned plain[RZ_MAX_THREADS]; /* written without atomics: the join must order it */
    unsigned n_threads;
};

static void count_call(void *ctx, unsigned i_thread, unsigned n_threads)
{
    struct tally *t = ctx;
    if (n_threads == t->n_threads && i_thread < n_threads) {
        atomic_fetch_add(&t->calls[i_thread], 1);
        t->plain[i_thread]++;
    }
}

static void pool_runs_each_index_once_per_job(void **state)
{
    (void)state;
    static const unsigned counts[] = {1, 2, 3, 8, 17};
    for (size_t k = 0; k < RZ_ARRAY_LEN(counts); k++) {
        struct rz_pool *pool = NULL;
        static struct tally tally;
        memset(&tally, 0, sizeof tally);
        tally.n_threads = counts[k];
        assert_int_equal(rz_pool_new(&pool, counts[k], NULL), RZ_OK);
        assert_int_equal(rz_pool_threads(pool), counts[k]);
        unsigned n_jobs = counts[k] <= 3 ? 5000 : 300;
        for (unsigned job = 1; job <= n_jobs; job++) {
            rz_pool_run(pool, count_call, &tally);
            for (unsigned i = 0; i < counts[k]; i++) {
                assert_int_equal(tally.plain[i], job);
                assert_int_equal(atomic_load(&tally.calls[i]), job);
            }
        }
        rz_pool_free(&pool);
        assert_null(pool);
    }
    rz_pool_free(NULL);
}

static void pool_stops_without_a_job(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct rz_pool *pool;
        assert_int_equal(rz_pool_new(&pool, 4, NULL), RZ_OK);
        rz_pool_free(&pool);
    }
}

static void pool_parts_cover_everything_once(void **state)
{
    (void)state;
    struct rz_rng rng = {.state = 5};
    for (int i = 0; i < 20000; i++) {
        unsigned n = (unsigned)rz_rng_below(&rng, i % 2 ? 40 : 200000);
        unsigned unit = 1 + (unsigned)rz_rng_below(&rng, 64);
        unsigned n_threads = 1 + (unsigned)rz_rng_below(&rng, 20), at = 0;
        for (unsigned t = 0; t < n_threads; t++) {
            unsigned begin, end;
            rz_pool_part(n, unit, t, n_threads, &begin, &end);
            assert_int_equal(begin, at);
            assert_true(end >= begin && end <= n);
            assert_true(end % unit == 0 || end == n);
            /* As even as the unit allows. */
            assert_true(end - begin <= (n / unit / n_threads + 2) * unit);
            at = end;
        }
        assert_int_equal(at, n);
    }
    unsigned begin, end;
    rz_pool_part(UINT32_MAX, 64, 255, 256, &begin, &end);
    assert_true(end == UINT32_MAX && begin < end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_every_code_point_round_trips),
        cmocka_unit_test(utf8_decode_agrees_with_the_grammar),
        cmocka_unit_test(utf8_tells_cut_from_invalid),
        cmocka_unit_test(f16_all_values_convert_exactly_and_back),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(arena_hands_out_zeroed_aligned_disjoint_memory),
        cmocka_unit_test(arena_keeps_its_limit),
        cmocka_unit_test(buf_grows_to_its_limit_and_no_further),
        cmocka_unit_test(checked_arithmetic_sees_every_overflow),
        cmocka_unit_test(fail_fills_and_cuts),
        cmocka_unit_test(map_opens_regular_files_only),
        cmocka_unit_test(hash_spreads),
        cmocka_unit_test(cpu_levels_nest),
        cmocka_unit_test(rng_is_splitmix64),
        cmocka_unit_test(pool_runs_each_index_once_per_job),
        cmocka_unit_test(pool_stops_without_a_job),
        cmocka_unit_test(pool_parts_cover_everything_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
