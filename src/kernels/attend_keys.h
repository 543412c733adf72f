/* attend_keys.h - a block of RZ_KV_Q8_0 keys as floats, once for all query rows.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_KEYS_H
#define RZ_KERNELS_ATTEND_KEYS_H

#include "kernels/attend_product.h"

enum {
    MAX_HEAD_DIM = 512
};

/* out: [head_dim][RZ_KV_BLOCK] */
RZ_INLINE void unpack_keys(const void *block, uint32_t head_dim, float *out)
{
    const int8_t *codes = block;
    const uint8_t *scales = (const uint8_t *)block + rz_kv_scales(head_dim);
    for (uint32_t c = 0; c < RZ_KV_BLOCK; c += 2 * LANES) {
        for (uint32_t g = 0; g < head_dim; g += RZ_KV_GROUP) {
            const uint8_t *scale = scales + 2 * rz_kv_scale_at(g, c);
            const vflt s0 = vf_load_f16(scale), s1 = vf_load_f16(scale + 2 * LANES);
            const uint32_t end = g + rz_kv_group_width(head_dim, g);
            for (uint32_t d = g; d < end; d++) {
                const int8_t *code = codes + rz_kv_key_at(d, c);
                float *to = out + rz_kv_key_at(d, c);
                vf_store(to, vf_mul(vf_load_i8(code), s0));
                vf_store(to + LANES, vf_mul(vf_load_i8(code + LANES), s1));
            }
        }
    }
}

/* The products ask for a block's codes ahead; these are its scales. */
RZ_INLINE void prefetch_scales(const uint8_t *block, uint32_t head_dim)
{
    for (uint32_t d = 0; d < head_dim; d += RZ_KV_GROUP)
        __builtin_prefetch(block + rz_kv_scales(head_dim) + 2 * rz_kv_scale_at(d, 0), 0, 3);
}

/* Adds an offset to two dimensions of block i. */
RZ_INLINE void add_offset(const struct rz_key_offset *o, uint32_t i, float *keys)
{
    const vflt x = vf_set1(o->base[i][0]), y = vf_set1(o->base[i][1]);
    float *a = keys + rz_kv_key_at(o->a, 0), *b = keys + rz_kv_key_at(o->b, 0);
    for (uint32_t c = 0; c < RZ_KV_BLOCK; c += LANES) {
        vflt cosine = vf_load(o->turn + c), sine = vf_load(o->turn + RZ_KV_BLOCK + c);
        vflt to_a = vf_fnma(y, sine, vf_fma(x, cosine, vf_load(a + c)));
        vflt to_b = vf_fma(x, sine, vf_fma(y, cosine, vf_load(b + c)));
        vf_store(a + c, to_a);
        vf_store(b + c, to_b);
    }
}

#endif
