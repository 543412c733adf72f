/* kv_block.h - how RZ_KV_BLOCK cached positions of one kv head lie in memory.
 *
 * Keys are turned round, [head_dim][position], so that scores have positions in the lanes and need
 * no sums across them. Values are cut into groups of 32 dimensions, [group][position][32], the last
 * one narrower: the accumulators of a group stay in registers while its positions stream by. */
#ifndef RZ_KERNELS_KV_BLOCK_H
#define RZ_KERNELS_KV_BLOCK_H

#include <stddef.h>
#include <stdint.h>

enum {
    RZ_KV_BLOCK = 32, /* positions */
    RZ_KV_GROUP = 32  /* dimensions of V */
};

enum rz_kv_type {
    RZ_KV_F32,
    RZ_KV_F16,
    RZ_N_KV_TYPES
};

/* Width of the group that begins at dimension d. */
static inline uint32_t rz_kv_group_width(uint32_t head_dim, uint32_t d)
{
    return head_dim - d < RZ_KV_GROUP ? head_dim - d : RZ_KV_GROUP;
}

/* Index of the element of dimension d and position j in a block of keys, and of values. */
static inline size_t rz_kv_key_at(uint32_t d, uint32_t j)
{
    return (size_t)d * RZ_KV_BLOCK + j;
}

static inline size_t rz_kv_value_at(uint32_t head_dim, uint32_t d, uint32_t j)
{
    uint32_t in_group = d % RZ_KV_GROUP, first = d - in_group;
    return (size_t)first * RZ_KV_BLOCK + (size_t)j * rz_kv_group_width(head_dim, first) + in_group;
}

#endif
