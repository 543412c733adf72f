/* share.h - what a thread still has to do of a matrix product, from which others may help
 * themselves: one core is often a tenth slower than another (another guest of the host, a core of
 * another kind), and a step would wait for it at each of its products.
 * Invariant: every strip of a share is taken once. The owner takes from the begin, so that its
 * reading stays one stream; others take from the end. */
#ifndef RZ_BACKEND_CPU_SHARE_H
#define RZ_BACKEND_CPU_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_share {
    /* The first strip that is left, and in the high 32 bits the one after the last. By itself, so
     * that a thief disturbs nothing but the owner's next taking. */
    _Alignas(64) _Atomic uint64_t left;
};

struct cpu_strips {
    uint32_t begin, end;
};

/* The strips of one output. */
struct cpu_run {
    uint64_t n, cost; /* cost of one: its bytes, or 1 where all are as much work */
};

/* The first strip, counted over all runs, before which strips cost `cost` or more. */
static inline uint32_t rz_cpu_strip_at(const struct cpu_run *runs, uint32_t n_runs, uint64_t cost)
{
    uint64_t strip = 0;
    for (uint32_t i = 0; i < n_runs; i++) {
        const uint64_t all = runs[i].n * runs[i].cost;
        strip += cost < all ? (cost + runs[i].cost - 1) / runs[i].cost : runs[i].n;
        cost = cost > all ? cost - all : 0;
    }
    return (uint32_t)strip;
}

/* A thread's part of all strips, of like cost; each strip is one thread's. */
static inline struct cpu_strips rz_cpu_share_part(const struct cpu_run *runs, uint32_t n_runs,
                                                  unsigned i_thread, unsigned n_threads)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < n_runs; i++)
        all += runs[i].n * runs[i].cost;
    return (struct cpu_strips){rz_cpu_strip_at(runs, n_runs, all * i_thread / n_threads),
                               rz_cpu_strip_at(runs, n_runs, all * (i_thread + 1) / n_threads)};
}

/* The owner's, when it begins with a product. Before that a share is empty, as its owner left it:
 * nobody helps a thread that has not come yet. */
static inline void rz_cpu_share_set(struct cpu_share *s, struct cpu_strips all)
{
    atomic_store_explicit(&s->left, all.begin | (uint64_t)all.end << 32, memory_order_relaxed);
}

/* Takes some of what is left: half of it for its owner, more for another, who comes while the owner
 * has the last half at hand; in multiples of `least` strips, or all that is left. Fewer than
 * `least` others leave to the owner. False if there was nothing to take.
 * Relaxed: what the strips are was there before the product began, and what is made of them is
 * waited for at its end. */
static inline bool rz_cpu_share_take(struct cpu_share *s, uint32_t least, bool own,
                                     struct cpu_strips *out)
{
    uint64_t left = atomic_load_explicit(&s->left, memory_order_relaxed), then;
    do {
        const uint32_t begin = (uint32_t)left, end = (uint32_t)(left >> 32);
        if (begin >= end || (!own && end - begin < least))
            return false;
        const uint32_t n = end - begin;
        uint32_t take = own ? n / 2 : n - n / 4;
        take = (take + least - 1) / least * least;
        take = take && take < n ? take : n;
        *out =
            own ? (struct cpu_strips){begin, begin + take} : (struct cpu_strips){end - take, end};
        then = own ? left + take : left - ((uint64_t)take << 32);
    } while (!atomic_compare_exchange_weak_explicit(&s->left, &left, then, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

#endif
