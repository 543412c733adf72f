/* share.h - what a thread still has to do of a matrix product, from which others may help
 * themselves: one core is often a tenth slower than another (another guest of the host, a core of
 * another kind, an interrupt), and a step would wait for it at each of its products.
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

/* The owner's, at the begin of a product. Before it a share is empty, which its owner left it. */
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
