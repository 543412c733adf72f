/* test_share.c - strips of a product that threads take from each other: each exactly once. */
#include "backend/cpu/share.h"
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct cpu_strips taken(struct cpu_share *s, uint32_t least, bool own)
{
    struct cpu_strips t = {0, 0};
    assert_true(rz_cpu_share_take(s, least, own, &t));
    assert_true(t.begin < t.end);
    return t;
}

/* The owner reads its strips in order and in ever smaller parts, the last ones together. */
static void test_owner(void **state)
{
    (void)state;
    struct cpu_share s = {0};
    struct cpu_strips t;
    assert_false(rz_cpu_share_take(&s, 1, true, &t));
    rz_cpu_share_set(&s, (struct cpu_strips){100, 200});
    static const uint32_t ends[] = {152, 176, 188, 196, 200};
    uint32_t at = 100;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        t = taken(&s, 4, true);
        assert_int_equal(t.begin, at);
        assert_int_equal(t.end, ends[i]);
        at = t.end;
    }
    assert_false(rz_cpu_share_take(&s, 4, true, &t));
}

/* Another takes the end, three quarters of what is left; what is too little it leaves. */
static void test_other(void **state)
{
    (void)state;
    struct cpu_share s = {0};
    struct cpu_strips t;
    rz_cpu_share_set(&s, (struct cpu_strips){0, 64});
    t = taken(&s, 4, true);
    assert_int_equal(t.end, 32);
    t = taken(&s, 4, false);
    assert_int_equal(t.begin, 40);
    assert_int_equal(t.end, 64);
    assert_false(rz_cpu_share_take(&s, 9, false, &t));
    t = taken(&s, 5, false);
    assert_int_equal(t.begin, 32);
    assert_int_equal(t.end, 40);
    assert_false(rz_cpu_share_take(&s, 1, true, &t));
    assert_false(rz_cpu_share_take(&s, 1, false, &t));
}

enum {
    N_THREADS = 4,
    N_STRIPS = 3000,
    N_ROUNDS = 400
};

static struct {
    struct cpu_share share[N_THREADS];
    _Atomic uint8_t times[N_STRIPS];
} many;

static void take_all(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const unsigned round = *(const unsigned *)ctx;
    struct cpu_strips s;
    /* Shares of all sizes, empty ones too: later rounds have less of the first threads'. */
    const uint32_t cut = N_STRIPS * (N_ROUNDS - round) / N_ROUNDS;
    s.begin = i_thread ? cut * i_thread / n_threads : 0;
    s.end = i_thread + 1 < n_threads ? cut * (i_thread + 1) / n_threads : N_STRIPS;
    rz_cpu_share_set(&many.share[i_thread], s);
    for (unsigned i = 0; i < n_threads; i++) {
        struct cpu_share *share = &many.share[(i_thread + i) % n_threads];
        while (rz_cpu_share_take(share, 1 + round % 5, i == 0, &s))
            for (uint32_t k = s.begin; k < s.end; k++)
                atomic_fetch_add(&many.times[k], 1);
    }
}

static void test_each_once(void **state)
{
    (void)state;
    struct rz_pool *pool;
    assert_int_equal(rz_pool_new(&pool, N_THREADS, NULL), RZ_OK);
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        memset((void *)many.times, 0, sizeof many.times);
        rz_pool_run(pool, take_all, &round);
        for (uint32_t k = 0; k < N_STRIPS; k++)
            assert_int_equal(many.times[k], 1);
    }
    rz_pool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_other),
        cmocka_unit_test(test_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
