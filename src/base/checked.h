/* checked.h - size arithmetic for numbers that come from a file or a request. */
#ifndef RZ_BASE_CHECKED_H
#define RZ_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b, a + b; false (and *out unspecified) if the result does not fit. */
static inline bool rz_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool rz_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool rz_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool rz_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* The least multiple of align (a power of two) that is not below n; n must be below 2^63. */
static inline uint64_t rz_align_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) & ~(align - 1);
}

static inline uint32_t rz_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline size_t rz_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t rz_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
