/* dot_avx512.h - integer dot products with AVX-512 VNNI: vpdpbusd takes unsigned codes and adds
 * four products to a lane without saturation. */
#ifndef RZ_KERNELS_DOT_AVX512_H
#define RZ_KERNELS_DOT_AVX512_H

#include "kernels/vec_avx512.h"

/* d[t] += the product of 16 columns, for n_tokens rows of x that lie x_stride apart. code: four
 * vectors of 4 columns x LANES rows, unsigned; exact (the sum of 4 products is below 2^18). */
RZ_INLINE void vi_dot16(vint *d, int n_tokens, const uint8_t *code, const int8_t *x,
                        size_t x_stride, int max_code)
{
    (void)max_code;
    RZ_UNROLL
    for (int g = 0; g < 4; g++) {
        vint w = vi_load(code + 64 * g);
        RZ_UNROLL
        for (int t = 0; t < n_tokens; t++)
            d[t] = _mm512_dpbusd_epi32(d[t], w, vi_bcast(x + (size_t)t * x_stride + 4 * g));
    }
}

#endif
