/* dot_avx2.h - integer dot products in AVX2: codes are unsigned up to 63, or signed 8-bit weights.
 */
#ifndef RZ_KERNELS_DOT_AVX2_H
#define RZ_KERNELS_DOT_AVX2_H

#include "kernels/kernels.h"
#include "kernels/vec_avx2.h"

enum {
    DOT_TOKENS = 1 /* 16 registers do not hold the steps of more */
};

/* vpmaddubsw saturates at 32767, so the range of the codes decides how many of its sums of two
 * products may be added before they are widened: codes up to 31 give |sum| <= 2 * 31 * 127 = 7874,
 * four of which fit; up to 63, 16002, two of which fit. 8-bit weights are kept signed: |w| <= 128
 * times x with w's sign, |sum| <= 2 * 128 * 127 = 32512, none to spare. */
RZ_INLINE vint vi_dot16(vint d, const vint code[4], const int8_t *x, int max_code)
{
    const vint ones = _mm256_set1_epi16(1);
    if (max_code > 63) {
        RZ_UNROLL
        for (int g = 0; g < 4; g++) {
            vint xs = _mm256_sign_epi8(vi_bcast(x + 4 * g), code[g]);
            vint sum = _mm256_maddubs_epi16(_mm256_abs_epi8(code[g]), xs);
            d = _mm256_add_epi32(d, _mm256_madd_epi16(sum, ones));
        }
        return d;
    }
    vint part[4];
    RZ_UNROLL
    for (int g = 0; g < 4; g++)
        part[g] = _mm256_maddubs_epi16(code[g], vi_bcast(x + 4 * g));
    part[0] = _mm256_add_epi16(part[0], part[1]);
    part[2] = _mm256_add_epi16(part[2], part[3]);
    if (max_code <= 31)
        return _mm256_add_epi32(d, _mm256_madd_epi16(_mm256_add_epi16(part[0], part[2]), ones));
    d = _mm256_add_epi32(d, _mm256_madd_epi16(part[0], ones));
    return _mm256_add_epi32(d, _mm256_madd_epi16(part[2], ones));
}

RZ_INLINE void vi_dots16(vint *d, int n, const vint code[4], const int8_t *x, int max_code)
{
    RZ_UNROLL
    for (int t = 0; t < n; t++)
        d[t] = vi_dot16(d[t], code, x + t * RZ_ACT_BLOCK, max_code);
}

#endif
