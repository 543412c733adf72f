/* f16.c - binary32 to binary16, round to nearest even (IEEE 754-2019, section 4.3.1). */
#include "base/f16.h"

rz_f16 rz_f32_to_f16(float f)
{
    uint32_t bits = rz_f32_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (rz_f16)(sign | 0x7E00);
    if (magnitude >= 0x477FF000u) /* 65520 and above round to infinity */
        return (rz_f16)(sign | 0x7C00);
    if (magnitude < 0x38800000u) {
        /* Below the smallest normal, 2^-14: adding 0.5 leaves the value's multiple of 2^-24 in
         * the low mantissa bits, rounded to nearest even by the addition itself. */
        float shifted = rz_bits_f32(magnitude) + 0.5f;
        return (rz_f16)(sign | (rz_f32_bits(shifted) - rz_f32_bits(0.5f)));
    }
    uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1);
    return (rz_f16)(sign | (rounded - (112u << 23)) >> 13);
}
