/* dot_avx512.h - integer dot products with AVX-512 VNNI: vpdpbusd takes unsigned codes and adds
 * four products to a lane without saturation. */
#ifndef RZ_KERNELS_DOT_AVX512_H
#define RZ_KERNELS_DOT_AVX512_H

#include "kernels/vec_avx512.h"

/* d + the products of 16 columns' codes, unsigned bytes, with the 16 numbers at x: exact (the sum
 * of 4 products is below 2^18). */
RZ_INLINE vint vi_dot16(vint d, const vint code[4], const int8_t *x, int max_code)
{
    (void)max_code;
    RZ_UNROLL
    for (int g = 0; g < 4; g++)
        d = _mm512_dpbusd_epi32(d, code[g], vi_bcast(x + 4 * g));
    return d;
}

#endif
