/* kv_block.h - how RZ_KV_BLOCK cached positions of one kv head lie in memory.
 *
 * Keys are turned round, [head_dim][position], so that scores have positions in the lanes and need
 * no sums across them. Values are cut into groups of 32 dimensions, [group][position][32], the last
 * one narrower: the accumulators of a group stay in registers while its positions stream by.
 *
 * RZ_KV_Q8_0 has codes of one byte in the same order, followed by binary16 scales
 * [group][position]: of 32 dimensions of one position each, as in the file format Q8_0, for keys as
 * for values. Its bytes are 34/64 = 53.1 % of RZ_KV_F16's if head_dim is a multiple of 32. */
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
    RZ_KV_Q8_0,
    RZ_N_KV_TYPES
};

/* Bytes of one element or code. */
static inline size_t rz_kv_elem(enum rz_kv_type type)
{
    return type == RZ_KV_F32 ? 4 : type == RZ_KV_F16 ? 2 : 1;
}

/* Where the scales of RZ_KV_Q8_0 begin, and which is dimension d's and position j's. */
static inline size_t rz_kv_scales(uint32_t head_dim)
{
    return (size_t)head_dim * RZ_KV_BLOCK;
}

static inline size_t rz_kv_scale_at(uint32_t d, uint32_t j)
{
    return (size_t)(d / RZ_KV_GROUP) * RZ_KV_BLOCK + j;
}

/* Bytes of a block of keys, or of values. */
static inline size_t rz_kv_block_bytes(enum rz_kv_type type, uint32_t head_dim)
{
    size_t n_groups = (head_dim + RZ_KV_GROUP - 1) / RZ_KV_GROUP;
    size_t scales = type == RZ_KV_Q8_0 ? n_groups * RZ_KV_BLOCK * 2 : 0;
    return rz_kv_scales(head_dim) * rz_kv_elem(type) + scales;
}

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
