/* blocks.h - the block layouts of the quantized types, and their integer form.
 *
 * Every quantized type, whatever its packing, means the same thing: per 16 columns
 *     w[i] = scale * q[i] - min
 * with small integers q. Each format's unpack function produces exactly that; decode and the
 * reference matmul are generic loops over it. Invariant: scale and min are exact in float32 (an
 * 11-bit half times a scale of at most 8 bits), so decode rounds twice at most.
 * Source of the layouts: ggml's published block formats (docs/quantization.md). */
#ifndef RZ_QUANT_BLOCKS_H
#define RZ_QUANT_BLOCKS_H

#include "base/f16.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    RZ_BLOCK32 = 32,    /* elements of a simple block */
    RZ_SUPERBLOCK = 256 /* elements of a K or XS block */
};

/* One block of any type; the first block_len entries of q, block_len / 16 of scale and min. */
struct rz_int_block {
    int8_t q[RZ_SUPERBLOCK];
    float scale[RZ_SUPERBLOCK / 16];
    float min[RZ_SUPERBLOCK / 16];
};

/* Byte arrays only: blocks lie at any address. d, m: binary16, little-endian. */
struct rz_block_q4_0 {
    uint8_t d[2], qs[16];
};
struct rz_block_q4_1 {
    uint8_t d[2], m[2], qs[16];
};
struct rz_block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
};
struct rz_block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
};
struct rz_block_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
};
struct rz_block_q2_k {
    uint8_t scales[16], qs[64], d[2], dmin[2];
};
struct rz_block_q3_k {
    uint8_t hmask[32], qs[64], scales[12], d[2];
};
struct rz_block_q4_k {
    uint8_t d[2], dmin[2], scales[12], qs[128];
};
struct rz_block_q5_k {
    uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
};
struct rz_block_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint8_t d[2];
};
struct rz_block_iq4_nl {
    uint8_t d[2], qs[16];
};
struct rz_block_iq4_xs {
    uint8_t d[2], scales_h[2], scales_l[4], qs[128];
};

/* The 16 levels of the IQ4 types. */
extern const int8_t rz_iq4_levels[16];

/* The nearest code, and its level, of v from -127 to 113: entry (int)(2 * v + 254). */
enum {
    RZ_IQ4_HALF_STEPS = 481
};
extern const uint8_t rz_iq4_nearest[RZ_IQ4_HALF_STEPS];
extern const float rz_iq4_nearest_level[RZ_IQ4_HALF_STEPS];

/* The integer form of a block of a quantized type. block: any alignment. */
typedef void rz_unpack_fn(const void *block, struct rz_int_block *out);

rz_unpack_fn rz_unpack_q4_0, rz_unpack_q4_1, rz_unpack_q5_0, rz_unpack_q5_1, rz_unpack_q8_0,
    rz_unpack_q2_k, rz_unpack_q3_k, rz_unpack_q4_k, rz_unpack_q5_k, rz_unpack_q6_k,
    rz_unpack_iq4_nl, rz_unpack_iq4_xs;

/* Float types: n elements. */
void rz_decode_f32(const void *blocks, float *out, size_t n);
void rz_decode_f16(const void *blocks, float *out, size_t n);
void rz_decode_bf16(const void *blocks, float *out, size_t n);
void rz_encode_f32(const float *in, void *blocks, size_t n);
void rz_encode_f16(const float *in, void *blocks, size_t n);
void rz_encode_bf16(const float *in, void *blocks, size_t n);

/* Rounding as ggml's reference quantizers do it; n a multiple of 32. */
void rz_encode_q4_0(const float *in, void *blocks, size_t n);
void rz_encode_q4_1(const float *in, void *blocks, size_t n);
void rz_encode_q5_0(const float *in, void *blocks, size_t n);
void rz_encode_q5_1(const float *in, void *blocks, size_t n);
void rz_encode_q8_0(const float *in, void *blocks, size_t n);

static inline float rz_load_f16(const uint8_t bytes[2])
{
    return rz_f16_to_f32((rz_f16)(bytes[0] | bytes[1] << 8));
}

static inline void rz_store_f16(uint8_t bytes[2], float value)
{
    rz_f16 h = rz_f32_to_f16(value);
    bytes[0] = (uint8_t)(h & 0xFF);
    bytes[1] = (uint8_t)(h >> 8);
}

/* v, or the binary16 number of largest magnitude of its sign: a scale must not become infinite. */
static inline float rz_limit_f16(float v)
{
    v = v < 65504 ? v : 65504;
    return v > -65504 ? v : -65504;
}

/* The same scale and min for columns first ... first + 31. */
static inline void rz_set_scale32(struct rz_int_block *b, unsigned first, float scale, float min)
{
    for (unsigned i = first / 16; i < first / 16 + 2; i++) {
        b->scale[i] = scale;
        b->min[i] = min;
    }
}

/* v truncated to an integer in 0 ... max; NaN gives 0. */
static inline uint8_t rz_trunc_code(float v, uint8_t max)
{
    if (!(v > 0))
        return 0;
    return v < (float)max ? (uint8_t)v : max;
}

#endif
