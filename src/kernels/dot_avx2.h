/* dot_avx2.h - integer dot products in AVX2: codes are unsigned up to 63, or signed 8-bit weights.
 */
#ifndef RZ_KERNELS_DOT_AVX2_H
#define RZ_KERNELS_DOT_AVX2_H

#include "kernels/kernels.h"
#include "kernels/vec_avx2.h"

enum {
    DOT_TOKENS = 4, /* rows of x whose dots are taken step by step, at most */
    DOT_STEP = 4    /* of more rows than that */
};

/* Sums of two products, 16 bits each. */
RZ_INLINE vint dot_pairs(vint code, const int8_t *x, int max_code)
{
    const vint xs = vi_bcast(x);
    if (max_code > 63) /* signed weights: their sign goes to x */
        return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(xs, code));
    return _mm256_maddubs_epi16(code, xs);
}

/* Of n rows of x, a block apart: d[t] + the products of n_codes * 4 columns' codes with the numbers
 * at row t. vpmaddubsw saturates at 32767, so the range of the codes decides how many of its sums
 * may be added before they are widened: codes up to 15 give |sum| <= 2 * 15 * 127 = 3810, eight of
 * which fit; up to 31, 7874, four; up to 63, 16002, two; 8-bit weights, 2 * 128 * 127 = 32512, none
 * to spare. */
RZ_INLINE void vi_dots(vint *d, int n, const vint *code, int n_codes, const int8_t *x, int max_code)
{
    const int fit = max_code <= 15 ? 8 : max_code <= 31 ? 4 : max_code <= 63 ? 2 : 1;
    const int at_once = fit < n_codes ? fit : n_codes; /* divides n_codes: 4 or 8 */
    RZ_UNROLL
    for (int g0 = 0; g0 < n_codes; g0 += at_once) {
        vint sum[DOT_TOKENS];
        RZ_UNROLL
        for (int g = g0; g < g0 + at_once; g++) {
            RZ_UNROLL
            for (int t = 0; t < n; t++) {
                const vint pairs = dot_pairs(code[g], x + t * RZ_ACT_BLOCK + 4 * g, max_code);
                sum[t] = g > g0 ? _mm256_add_epi16(sum[t], pairs) : pairs;
                /* In this order: as a tree of sums all products are alive at once, in memory. */
                __asm__("" : "+x"(sum[t]));
            }
        }
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            d[t] = _mm256_add_epi32(d[t], _mm256_madd_epi16(sum[t], _mm256_set1_epi16(1)));
    }
}

#endif
