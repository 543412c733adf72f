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

/* Parts follow each other from the first strip to the last, and differ by two strips' cost at most:
 * strips of one output cost more than those of another, some outputs have few. */
static void test_parts(void **state)
{
    (void)state;
    static const struct cpu_run products[][4] = {
        {{224, 47040}, {32, 32256}, {32, 32256}}, /* q of Q6_K; k and v of Q4_K */
        {{96, 26112}, {16, 13824}, {16, 13824}},
        {{304, 9856}, {304, 9856}},
        {{1, 100}, {1, 7}, {5, 3}, {2, 50}},
        {{9496, 1}},
        {{3, 1}, {1, 1}},
    };
    for (size_t k = 0; k < sizeof products / sizeof *products; k++) {
        uint64_t strips = 0, cost = 0, most = 0;
        uint32_t n_runs = 0;
        for (; n_runs < 4 && products[k][n_runs].n; n_runs++) {
            const struct cpu_run r = products[k][n_runs];
            strips += r.n;
            cost += r.n * r.cost;
            most = r.cost > most ? r.cost : most;
        }
        for (unsigned n = 1; n <= 256; n++) {
            uint32_t at = 0;
            for (unsigned i = 0; i < n; i++) {
                const struct cpu_strips s = rz_cpu_share_part(products[k], n_runs, i, n);
                assert_int_equal(s.begin, at);
                assert_true(s.end >= s.begin);
                at = s.end;
                uint64_t own = 0;
                for (uint32_t strip = s.begin; strip < s.end; strip++) {
                    uint32_t r = 0, first = 0;
                    while (strip >= first + products[k][r].n)
                        first += (uint32_t)products[k][r++].n;
                    own += products[k][r].cost;
                }
                assert_true(own <= cost / n + 2 * most && own + 2 * most >= cost / n);
            }
            assert_int_equal(at, strips);
        }
    }
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
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
