/* dot256_avx512.h - dot_256 of dot_avx2.h with AVX-512 VNNI, for the 8 lanes of vec_avx2.h. */
#ifndef RZ_KERNELS_DOT256_AVX512_H
#define RZ_KERNELS_DOT256_AVX512_H

#include "kernels/vec_avx2.h"

RZ_INLINE __m256i dot_256(__m256i code, __m256i x, int max_code)
{
    const __m256i zero = _mm256_setzero_si256();
    if (max_code <= 63)
        return _mm256_dpbusd_epi32(zero, code, x);
    /* Signed weights: |w| times x with w's sign. */
    return _mm256_dpbusd_epi32(zero, _mm256_abs_epi8(code), _mm256_sign_epi8(x, code));
}

#endif
