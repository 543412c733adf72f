/* peak_avx2.c - peak loops of AVX2 and FMA. */
#include "kernels/peak.h"

#include <immintrin.h>

enum {
    N_SUMS = 10,   /* two units times a latency of up to five cycles */
    N_INT_SUMS = 4 /* two units, and only the addition waits for the one before; few, so that none
                      is kept in memory */
};

static uint32_t multiply_f32(uint64_t n_iterations)
{
    __m256 sum[N_SUMS], x = _mm256_set1_ps(0.5F), y = _mm256_set1_ps(0.25F);
    for (int i = 0; i < N_SUMS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (uint64_t n = 0; n < n_iterations; n++) {
        __asm__ volatile("" : "+x"(x), "+x"(y));
        _Pragma("GCC unroll 16") for (int i = 0; i < N_SUMS; i++) sum[i] =
            _mm256_fmadd_ps(x, y, sum[i]);
    }
    for (int i = 1; i < N_SUMS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return (uint32_t)_mm256_movemask_ps(sum[0]) ^ (uint32_t)_mm256_cvtss_f32(sum[0]);
}

/* Sums of 16 bits, which may wrap here: the widening that real sums need only adds to the time. */
static uint32_t multiply_int8(uint64_t n_iterations)
{
    __m256i sum[N_INT_SUMS], x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5);
    for (int i = 0; i < N_INT_SUMS; i++)
        sum[i] = _mm256_set1_epi16((short)i);
    for (uint64_t n = 0; n < n_iterations; n++) {
        __asm__ volatile("" : "+x"(x), "+x"(y));
        _Pragma("GCC unroll 16") for (int i = 0; i < N_INT_SUMS; i++)
        {
            /* Opaque per product: equal ones would be computed once. */
            __asm__ volatile("" : "+x"(x));
            sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(x, y));
        }
    }
    for (int i = 1; i < N_INT_SUMS; i++)
        sum[0] = _mm256_xor_si256(sum[0], sum[i]);
    return (uint32_t)_mm256_movemask_epi8(sum[0]);
}

static uint64_t read_avx2(const void *p, size_t bytes)
{
    const char *at = p, *end = at + bytes;
    __m256i sum[8];
    for (int i = 0; i < 8; i++)
        sum[i] = _mm256_setzero_si256();
    for (; at < end; at += 256) {
        _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) sum[i] = _mm256_xor_si256(
            sum[i], _mm256_load_si256((const __m256i *)(const void *)(at + 32 * i)));
    }
    for (int i = 1; i < 8; i++)
        sum[0] = _mm256_xor_si256(sum[0], sum[i]);
    return (uint64_t)_mm256_extract_epi64(sum[0], 0) ^ (uint64_t)_mm256_extract_epi64(sum[0], 1) ^
           (uint64_t)_mm256_extract_epi64(sum[0], 2) ^ (uint64_t)_mm256_extract_epi64(sum[0], 3);
}

void rz_peaks_avx2(struct rz_peaks *p)
{
    p->peak[RZ_PEAK_F32] = (struct rz_peak){"f32, FMA", N_SUMS * 8 * 2, multiply_f32};
    p->peak[RZ_PEAK_INT8] = (struct rz_peak){"int8, AVX2", N_INT_SUMS * 32 * 2, multiply_int8};
    p->read = read_avx2;
}
