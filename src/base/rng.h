/* rng.h - splitmix64: a small seedable generator for sampling and tests, the same everywhere.
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
#ifndef RZ_BASE_RNG_H
#define RZ_BASE_RNG_H

#include <stdint.h>

struct rz_rng {
    uint64_t state;
};

static inline uint64_t rz_rng_u64(struct rz_rng *r)
{
    uint64_t z = r->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double rz_rng_unit(struct rz_rng *r)
{
    return (double)(rz_rng_u64(r) >> 11) * 0x1p-53;
}

/* Uniform in [0, n), n > 0; the bias is below n / 2^64. */
static inline uint64_t rz_rng_below(struct rz_rng *r, uint64_t n)
{
    return (uint64_t)((unsigned __int128)rz_rng_u64(r) * n >> 64);
}

#endif
