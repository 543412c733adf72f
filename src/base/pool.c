/* pool.c - fork-join over a generation counter. Invariant: `pending` is zero between jobs; the
 * caller raises `generation` to publish a job, every worker lowers `pending` once per generation.
 */
#include "base/pool.h"

#include "base/fail.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* About 20 to 50 us of PAUSE: longer than the gap between two operations of a step. Then about half
 * a millisecond in which others may have the CPU: longer than the gap between two steps, which then
 * need not begin with waking threads, short enough that an idle chat does not burn a core. Neither
 * with more threads than CPUs. */
enum {
    SPIN_ROUNDS = 2000,
    YIELD_ROUNDS = 1000
};

struct worker {
    struct rz_pool *pool;
    pthread_t thread;
    unsigned index;
};

struct rz_pool {
    _Alignas(64) _Atomic uint32_t generation;
    _Alignas(64) _Atomic uint32_t pending;
    _Alignas(64) _Atomic uint32_t n_asleep;
    rz_pool_fn *fn;
    void *ctx;
    bool stop;
    unsigned n_threads;
    unsigned n_started;      /* workers whose thread exists */
    unsigned n_rounds;       /* of waiting awake */
    struct worker workers[]; /* n_threads - 1 */
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Waits until *word differs from value; returns what it became. */
static uint32_t wait_change(struct rz_pool *pool, _Atomic uint32_t *word, uint32_t value)
{
    for (unsigned i = 0; i < pool->n_rounds; i++) {
        uint32_t now = atomic_load_explicit(word, memory_order_acquire);
        if (now != value)
            return now;
        if (i < SPIN_ROUNDS)
            __builtin_ia32_pause();
        else
            sched_yield();
    }
    for (;;) {
        /* Sequentially consistent: either the changer sees this sleeper, or the kernel sees the
         * changed word and does not sleep. */
        atomic_fetch_add(&pool->n_asleep, 1);
        futex_wait(word, value);
        atomic_fetch_sub(&pool->n_asleep, 1);
        uint32_t now = atomic_load_explicit(word, memory_order_acquire);
        if (now != value)
            return now;
    }
}

static void wake_sleepers(struct rz_pool *pool, _Atomic uint32_t *word)
{
    if (atomic_load(&pool->n_asleep) > 0)
        futex_wake(word, INT32_MAX);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct rz_pool *pool = w->pool;
    uint32_t seen = 0;
    for (;;) {
        seen = wait_change(pool, &pool->generation, seen);
        if (pool->stop)
            return NULL;
        pool->fn(pool->ctx, w->index, pool->n_threads);
        if (atomic_fetch_sub(&pool->pending, 1) == 1)
            wake_sleepers(pool, &pool->pending);
    }
}

static void publish(struct rz_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    wake_sleepers(pool, &pool->generation);
}

rz_status rz_pool_new(struct rz_pool **out, unsigned n_threads, rz_error *err)
{
    RZ_ASSERT(n_threads >= 1 && n_threads <= RZ_MAX_THREADS);
    *out = NULL;
    size_t bytes = sizeof(struct rz_pool) + (n_threads - 1) * sizeof(struct worker);
    bytes = (bytes + 63) & ~(size_t)63;
    struct rz_pool *pool = aligned_alloc(64, bytes);
    if (!pool)
        return rz_fail_nomem(err, bytes, "the thread pool");
    memset(pool, 0, bytes);
    pool->n_threads = n_threads;
    long n_online = sysconf(_SC_NPROCESSORS_ONLN);
    pool->n_rounds = n_online >= (long)n_threads ? SPIN_ROUNDS + YIELD_ROUNDS : 0;
    for (unsigned i = 0; i + 1 < n_threads; i++) {
        struct worker *w = &pool->workers[i];
        *w = (struct worker){.pool = pool, .index = i + 1};
        int e = pthread_create(&w->thread, NULL, worker_main, w);
        if (e) {
            rz_pool_free(&pool);
            return rz_fail(err, RZ_EIO, "cannot start thread %u of %u: %s", i + 2, n_threads,
                           strerror(e));
        }
        pool->n_started++;
    }
    *out = pool;
    return RZ_OK;
}

void rz_pool_free(struct rz_pool **pool)
{
    if (!pool || !*pool)
        return;
    (*pool)->stop = true;
    publish(*pool);
    for (unsigned i = 0; i < (*pool)->n_started; i++)
        pthread_join((*pool)->workers[i].thread, NULL);
    free(*pool);
    *pool = NULL;
}

unsigned rz_pool_threads(const struct rz_pool *pool)
{
    return pool->n_threads;
}

void rz_pool_run(struct rz_pool *pool, rz_pool_fn *fn, void *ctx)
{
    if (pool->n_threads == 1) {
        fn(ctx, 0, 1);
        return;
    }
    pool->fn = fn;
    pool->ctx = ctx;
    atomic_store_explicit(&pool->pending, pool->n_threads - 1, memory_order_relaxed);
    publish(pool);
    fn(ctx, 0, pool->n_threads);
    uint32_t pending;
    while ((pending = atomic_load_explicit(&pool->pending, memory_order_acquire)) != 0)
        wait_change(pool, &pool->pending, pending);
}

void rz_pool_part(unsigned n, unsigned unit, unsigned i_thread, unsigned n_threads, unsigned *begin,
                  unsigned *end)
{
    uint64_t n_units = ((uint64_t)n + unit - 1) / unit;
    uint64_t first = n_units * i_thread / n_threads, last = n_units * (i_thread + 1) / n_threads;
    *begin = (unsigned)(first * unit < n ? first * unit : n);
    *end = (unsigned)(last * unit < n ? last * unit : n);
}
