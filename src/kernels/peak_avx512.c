/* peak_avx512.c - peak loops of AVX-512 F and VNNI. */
#include "kernels/peak.h"

#include <immintrin.h>

enum {
    N_SUMS = 10
};

static uint32_t multiply_f32(uint64_t n_iterations)
{
    __m512 sum[N_SUMS], x = _mm512_set1_ps(0.5F), y = _mm512_set1_ps(0.25F);
    for (int i = 0; i < N_SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (uint64_t n = 0; n < n_iterations; n++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
        _Pragma("GCC unroll 16") for (int i = 0; i < N_SUMS; i++) sum[i] =
            _mm512_fmadd_ps(x, y, sum[i]);
    }
    for (int i = 1; i < N_SUMS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return (uint32_t)_mm512_reduce_add_ps(sum[0]);
}

static uint32_t multiply_int8(uint64_t n_iterations)
{
    __m512i sum[N_SUMS], x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
    for (int i = 0; i < N_SUMS; i++)
        sum[i] = _mm512_set1_epi32(i);
    for (uint64_t n = 0; n < n_iterations; n++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
        _Pragma("GCC unroll 16") for (int i = 0; i < N_SUMS; i++) sum[i] =
            _mm512_dpbusd_epi32(sum[i], x, y);
    }
    for (int i = 1; i < N_SUMS; i++)
        sum[0] = _mm512_xor_si512(sum[0], sum[i]);
    return (uint32_t)_mm512_reduce_add_epi32(sum[0]);
}

static uint64_t read_avx512(const void *p, size_t bytes)
{
    const char *at = p, *end = at + bytes;
    __m512i sum[8];
    for (int i = 0; i < 8; i++)
        sum[i] = _mm512_setzero_si512();
    for (; at < end; at += RZ_PEAK_READ_UNIT) {
        _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) sum[i] =
            _mm512_xor_si512(sum[i], _mm512_load_si512(at + 64 * i));
    }
    for (int i = 1; i < 8; i++)
        sum[0] = _mm512_xor_si512(sum[0], sum[i]);
    return (uint64_t)_mm512_reduce_add_epi64(sum[0]);
}

void rz_peaks_avx512(struct rz_peaks *p)
{
    p->peak[RZ_PEAK_F32] = (struct rz_peak){"f32, AVX-512", N_SUMS * 16 * 2, multiply_f32};
    p->peak[RZ_PEAK_INT8] = (struct rz_peak){"int8, AVX-512 VNNI", N_SUMS * 64 * 2, multiply_int8};
    p->read = read_avx512;
}
