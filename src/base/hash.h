/* hash.h - FNV-1a with a final mix, for tables keyed by strings of a file that was size-checked. */
#ifndef RZ_BASE_HASH_H
#define RZ_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* seed: a value fixed per table, so that a file cannot be made to collide in every table. */
static inline uint64_t rz_hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ 0xCBF29CE484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001B3u;
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

#endif
