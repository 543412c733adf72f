/* dot_avx2.h - integer dot products in AVX2: codes are unsigned up to 63, or signed 8-bit weights.
 */
#ifndef RZ_KERNELS_DOT_AVX2_H
#define RZ_KERNELS_DOT_AVX2_H

#include "kernels/vec_avx2.h"

/* vpmaddubsw saturates at 32767, so the range of the codes decides how many of its sums of two
 * products may be added before they are widened: codes up to 31 give |sum| <= 2 * 31 * 127 = 7874,
 * four of which fit; up to 63, 16002, two of which fit. 8-bit weights are kept signed: |w| <= 128
 * times x with w's sign, |sum| <= 2 * 128 * 127 = 32512, none to spare. */
RZ_INLINE void vi_dot16(vint *d, int n_tokens, const uint8_t *code, const int8_t *x,
                        size_t x_stride, int max_code)
{
    const vint ones = _mm256_set1_epi16(1);
    if (max_code > 63) {
        RZ_UNROLL
        for (int g = 0; g < 4; g++) {
            vint w = vi_load(code + 32 * g), magnitude = _mm256_abs_epi8(w);
            RZ_UNROLL
            for (int t = 0; t < n_tokens; t++) {
                vint xs = _mm256_sign_epi8(vi_bcast(x + (size_t)t * x_stride + 4 * g), w);
                vint sum = _mm256_maddubs_epi16(magnitude, xs);
                d[t] = _mm256_add_epi32(d[t], _mm256_madd_epi16(sum, ones));
            }
        }
        return;
    }
    const int run = max_code > 31 ? 2 : 4;
    RZ_UNROLL
    for (int g = 0; g < 4; g += run) {
        vint part[DOT_TOKENS];
        RZ_UNROLL
        for (int i = 0; i < run; i++) {
            vint w = vi_load(code + 32 * (g + i));
            RZ_UNROLL
            for (int t = 0; t < n_tokens; t++) {
                vint xs = vi_bcast(x + (size_t)t * x_stride + 4 * (g + i));
                vint sum = _mm256_maddubs_epi16(w, xs);
                part[t] = i == 0 ? sum : _mm256_add_epi16(part[t], sum);
            }
        }
        RZ_UNROLL
        for (int t = 0; t < n_tokens; t++)
            d[t] = _mm256_add_epi32(d[t], _mm256_madd_epi16(part[t], ones));
    }
}

/* Products of 32 codes with 32 of x, summed by fours; the ranges are vi_dot16's. */
RZ_INLINE __m256i dot_256(__m256i code, __m256i x, int max_code)
{
    __m256i sum = max_code > 63
                      ? _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(x, code))
                      : _mm256_maddubs_epi16(code, x);
    return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

#endif
