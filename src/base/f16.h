/* f16.h - scalar conversions of IEEE binary16 and bfloat16, exact where the value fits. */
#ifndef RZ_BASE_F16_H
#define RZ_BASE_F16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t rz_f16;
typedef uint16_t rz_bf16;

static inline float rz_bits_f32(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t rz_f32_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Exact, subnormals, infinities and NaN included. */
static inline float rz_f16_to_f32(rz_f16 h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7FFFu;
    if (magnitude >= 0x7C00) /* infinity, NaN */
        return rz_bits_f32(sign | 0x7F800000u | (magnitude & 0x3FF) << 13);
    if (magnitude >= 0x0400) /* normal: rebias the exponent by 127 - 15 */
        return rz_bits_f32(sign | ((magnitude << 13) + (112u << 23)));
    /* subnormal or zero: magnitude * 2^-24, exact in f32 */
    float f = (float)magnitude * 0x1p-24f;
    return rz_bits_f32(sign | rz_f32_bits(f));
}

/* Round to nearest even; overflow gives infinity, NaN stays NaN. */
rz_f16 rz_f32_to_f16(float f);

static inline float rz_bf16_to_f32(rz_bf16 b)
{
    return rz_bits_f32((uint32_t)b << 16);
}

/* Round to nearest even; NaN stays NaN. */
static inline rz_bf16 rz_f32_to_bf16(float f)
{
    uint32_t bits = rz_f32_bits(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (rz_bf16)(bits >> 16 | 0x40);
    return (rz_bf16)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

#endif
