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

void rz_decode_f16(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;
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
