/* floats.c - F32, F16, BF16: tensors stored as floating-point numbers, little-endian.
 * decode is exact; encode rounds to nearest even. */
#include "quant/blocks.h"

void rz_decode_f32(const void *blocks, float *out, size_t n)
{
    if (n)
        memcpy(out, blocks, n * sizeof *out);
}

void rz_encode_f32(const float *in, void *blocks, size_t n)
{
    if (n)
        memcpy(blocks, in, n * sizeof *in);
}

enum {
    RUN = 64 /* elements of an inner loop, which compilers make vector code of */
};

/* Exact, as rz_f16_to_f32, without branches: the exponent is rebiased by a product, which also
 * makes subnormals normal; infinity and NaN get the exponent that is theirs. */
static inline float widen_f16(uint16_t h)
{
    uint32_t magnitude = h & 0x7FFFu, sign = (uint32_t)(h & 0x8000u) << 16;
    float f = rz_bits_f32(magnitude << 13) * 0x1p112f;
    uint32_t special = 0u - (uint32_t)(magnitude >= 0x7C00u);
    return rz_bits_f32(rz_f32_bits(f) | sign | (special & 0x7F800000u));
}

void rz_decode_f16(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;
    uint16_t h[RUN];
    for (; n >= RUN; n -= RUN, p += sizeof h, out += RUN) {
        memcpy(h, p, sizeof h);
        for (size_t i = 0; i < RUN; i++)
            out[i] = widen_f16(h[i]);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = rz_load_f16(p + 2 * i);
}

void rz_encode_f16(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;
    for (size_t i = 0; i < n; i++)
        rz_store_f16(p + 2 * i, in[i]);
}

void rz_decode_bf16(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;
    rz_bf16 b[RUN];
    for (; n >= RUN; n -= RUN, p += sizeof b, out += RUN) {
        memcpy(b, p, sizeof b);
        for (size_t i = 0; i < RUN; i++)
            out[i] = rz_bf16_to_f32(b[i]);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = rz_bf16_to_f32((rz_bf16)(p[2 * i] | p[2 * i + 1] << 8));
}

void rz_encode_bf16(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;
    for (size_t i = 0; i < n; i++) {
        rz_bf16 b = rz_f32_to_bf16(in[i]);
        p[2 * i] = (uint8_t)(b & 0xFF);
        p[2 * i + 1] = (uint8_t)(b >> 8);
    }
}
