/* vec_avx512_float.h - the float half of vec_avx512.h. */
#ifndef RZ_KERNELS_VEC_AVX512_FLOAT_H
#define RZ_KERNELS_VEC_AVX512_FLOAT_H

#include "kernels/vec_avx512.h"

RZ_INLINE vflt vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

RZ_INLINE void vf_store(float *p, vflt v)
{
    _mm512_storeu_ps(p, v);
}

RZ_INLINE __mmask16 vf_mask(uint32_t n)
{
    return (__mmask16)(n >= LANES ? 0xFFFFu : (1u << n) - 1u);
}

/* The first n (at most LANES) elements, the rest zero; touches no other. */
RZ_INLINE vflt vf_loadn(const float *p, uint32_t n)
{
    return _mm512_maskz_loadu_ps(vf_mask(n), p);
}

RZ_INLINE void vf_storen(float *p, vflt v, uint32_t n)
{
    _mm512_mask_storeu_ps(p, vf_mask(n), v);
}

/* v with lanes first ... last - 1 kept and the others replaced by fill. */
RZ_INLINE vflt vf_keep(vflt v, uint32_t first, uint32_t last, float fill)
{
    __mmask16 m = (__mmask16)(vf_mask(last) & ~vf_mask(first));
    return _mm512_mask_blend_ps(m, _mm512_set1_ps(fill), v);
}

RZ_INLINE vflt vf_set1(float f)
{
    return _mm512_set1_ps(f);
}

RZ_INLINE vflt vf_add(vflt a, vflt b)
{
    return _mm512_add_ps(a, b);
}

RZ_INLINE vflt vf_sub(vflt a, vflt b)
{
    return _mm512_sub_ps(a, b);
}

RZ_INLINE vflt vf_mul(vflt a, vflt b)
{
    return _mm512_mul_ps(a, b);
}

RZ_INLINE vflt vf_div(vflt a, vflt b)
{
    return _mm512_div_ps(a, b);
}

/* 1 / v within 2 2^-24 relative of 1 <= v <= 2^127: 14 bits and a step of Newton's, which take 3
 * cycles where a division takes 10 (Zen 4). */
RZ_INLINE vflt vf_inverse(vflt v)
{
    const vflt y = _mm512_rcp14_ps(v);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(v, y, _mm512_set1_ps(1)), y, y);
}

/* a * b + c */
RZ_INLINE vflt vf_fma(vflt a, vflt b, vflt c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* *p * b + c. The broadcast is part of the instruction, which compilers undo where p is used twice:
 * attention's loop over binary16 then runs at 49 instead of 58 G/s a core (Zen 4). */
RZ_INLINE vflt vf_fma_bcast(const float *p, vflt b, vflt c)
{
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*p));
    return c;
}

/* c - a * b */
RZ_INLINE vflt vf_fnma(vflt a, vflt b, vflt c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* a > b ? a : b, thus b if either is NaN. */
RZ_INLINE vflt vf_max(vflt a, vflt b)
{
    return _mm512_max_ps(a, b);
}

/* a < b ? a : b, thus b if either is NaN. */
RZ_INLINE vflt vf_min(vflt a, vflt b)
{
    return _mm512_min_ps(a, b);
}

RZ_INLINE vflt vf_abs(vflt v)
{
    return _mm512_abs_ps(v);
}

/* Sum and maximum over the lanes, by halves. */
RZ_INLINE float vf_sum(vflt v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

RZ_INLINE float vf_hmax(vflt v)
{
    return _mm512_reduce_max_ps(v);
}

/* Loads 2 * LANES floats as (p[0], p[2], ...) and (p[1], p[3], ...). */
RZ_INLINE void vf_load_pairs(const float *p, vflt *even, vflt *odd)
{
    vflt a = vf_load(p), b = vf_load(p + LANES);
    const vint idx = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *even = _mm512_permutex2var_ps(a, idx, b);
    *odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(idx, _mm512_set1_epi32(1)), b);
}

/* Rotates adjacent pairs (a, b) by cs = (cos, sin): (a cos - b sin, b cos + a sin). */
RZ_INLINE vflt vf_rotate_pairs(vflt x, vflt cs)
{
    vflt swapped = _mm512_permute_ps(x, 0xB1);
    vflt rest = _mm512_mul_ps(swapped, _mm512_movehdup_ps(cs));
    return _mm512_fmaddsub_ps(x, _mm512_moveldup_ps(cs), rest);
}

RZ_INLINE void vf_store_f16(void *p, vflt v)
{
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* LANES binary16 values. */
RZ_INLINE vflt vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

/* LANES signed bytes. */
RZ_INLINE vflt vf_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

/* Two vectors of integers in -128 ... 127 to 2 * LANES bytes. */
RZ_INLINE void vi_store_bytes(int8_t *p, vint lo, vint hi)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(lo));
    _mm_storeu_si128((__m128i *)(void *)(p + 16), _mm512_cvtepi32_epi8(hi));
}

/* The largest lane of max(a, b), unsigned. */
RZ_INLINE uint32_t vi_hmax_u(vint a, vint b)
{
    const vint v = _mm512_max_epu32(a, b);
    const __m256i h = _mm256_max_epu32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    __m128i q = _mm_max_epu32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    q = _mm_max_epu32(q, _mm_shuffle_epi32(q, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(q, _mm_shuffle_epi32(q, 0xB1)));
}

/* The sums of the first and the last 16 of 32 integers in -127 ... 127. */
RZ_INLINE void vi_sums(const vint v[2], int32_t sum[2])
{
    const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(v[1]), _mm512_cvtepi32_epi8(v[0]));
    __m256i s = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4E));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xB1));
    sum[0] = _mm_cvtsi128_si32(_mm256_castsi256_si128(s));
    sum[1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(s, 1));
}

#endif
