/* peak_avx512bf16.c - the peak loop of AVX-512 BF16. */
#include "kernels/peak.h"

#include <immintrin.h>

enum {
    N_SUMS = 12 /* a latency of six cycles, two units */
};

static uint32_t multiply_bf16(uint64_t n_iterations)
{
    const __m512 half = _mm512_set1_ps(0.5F);
    __m512 sum[N_SUMS];
    __m512bh x = _mm512_cvtne2ps_pbh(half, half), y = x;
    for (int i = 0; i < N_SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (uint64_t n = 0; n < n_iterations; n++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
        _Pragma("GCC unroll 16") for (int i = 0; i < N_SUMS; i++) sum[i] =
            _mm512_dpbf16_ps(sum[i], x, y);
    }
    for (int i = 1; i < N_SUMS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return (uint32_t)_mm512_reduce_add_ps(sum[0]);
}

void rz_peaks_avx512bf16(struct rz_peaks *p)
{
    p->peak[RZ_PEAK_BF16] = (struct rz_peak){"bf16, AVX-512 BF16", N_SUMS * 32 * 2, multiply_bf16};
}
