/* vec_avx2_float.h - the float half of vec_avx2.h; see vec_avx512_float.h for what each does. */
#ifndef RZ_KERNELS_VEC_AVX2_FLOAT_H
#define RZ_KERNELS_VEC_AVX2_FLOAT_H

#include "kernels/vec_avx2.h"

RZ_INLINE vflt vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

RZ_INLINE void vf_store(float *p, vflt v)
{
    _mm256_storeu_ps(p, v);
}

RZ_INLINE vint vf_mask(uint32_t n)
{
    const vint lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < LANES ? (int)n : LANES), lane);
}

/* Through a copy rather than a masked access: QEMU 7.2 faults on lanes that are masked out. */
RZ_INLINE vflt vf_loadn(const float *p, uint32_t n)
{
    float part[LANES] = {0};
    if (n >= LANES)
        return vf_load(p);
    memcpy(part, p, n * sizeof *p);
    return vf_load(part);
}

RZ_INLINE void vf_storen(float *p, vflt v, uint32_t n)
{
    float part[LANES];
    if (n >= LANES) {
        vf_store(p, v);
        return;
    }
    vf_store(part, v);
    memcpy(p, part, n * sizeof *p);
}

RZ_INLINE vflt vf_keep(vflt v, uint32_t first, uint32_t last, float fill)
{
    vint m = _mm256_andnot_si256(vf_mask(first), vf_mask(last));
    return _mm256_blendv_ps(_mm256_set1_ps(fill), v, _mm256_castsi256_ps(m));
}

RZ_INLINE vflt vf_set1(float f)
{
    return _mm256_set1_ps(f);
}

RZ_INLINE vflt vf_add(vflt a, vflt b)
{
    return _mm256_add_ps(a, b);
}

RZ_INLINE vflt vf_sub(vflt a, vflt b)
{
    return _mm256_sub_ps(a, b);
}

RZ_INLINE vflt vf_mul(vflt a, vflt b)
{
    return _mm256_mul_ps(a, b);
}

RZ_INLINE vflt vf_div(vflt a, vflt b)
{
    return _mm256_div_ps(a, b);
}

/* Their approximation has 11 bits: a division costs less than the two steps it would need. */
RZ_INLINE vflt vf_inverse(vflt v)
{
    return _mm256_div_ps(_mm256_set1_ps(1), v);
}

RZ_INLINE vflt vf_fma(vflt a, vflt b, vflt c)
{
    return _mm256_fmadd_ps(a, b, c);
}

RZ_INLINE vflt vf_fma_bcast(const float *p, vflt b, vflt c)
{
    return _mm256_fmadd_ps(_mm256_broadcast_ss(p), b, c);
}

RZ_INLINE vflt vf_fnma(vflt a, vflt b, vflt c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

RZ_INLINE vflt vf_max(vflt a, vflt b)
{
    return _mm256_max_ps(a, b);
}

RZ_INLINE vflt vf_min(vflt a, vflt b)
{
    return _mm256_min_ps(a, b);
}

RZ_INLINE vflt vf_abs(vflt v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

RZ_INLINE float vf_sum(vflt v)
{
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

RZ_INLINE float vf_hmax(vflt v)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

RZ_INLINE void vf_load_pairs(const float *p, vflt *even, vflt *odd)
{
    vflt a = vf_load(p), b = vf_load(p + LANES);
    __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    __m256d o = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xDD));
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xD8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xD8));
}

RZ_INLINE vflt vf_rotate_pairs(vflt x, vflt cs)
{
    vflt swapped = _mm256_permute_ps(x, 0xB1);
    vflt rest = _mm256_mul_ps(swapped, _mm256_movehdup_ps(cs));
    return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(cs), rest);
}

RZ_INLINE void vf_store_f16(void *p, vflt v)
{
    _mm_storeu_si128((__m128i *)p,
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

RZ_INLINE vflt vf_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

/* LANES signed bytes. */
RZ_INLINE vflt vf_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

RZ_INLINE void vi_store_bytes(int8_t *p, vint lo, vint hi)
{
    vint words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xD8);
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)p, bytes);
}

RZ_INLINE uint32_t vi_hmax_u(vint a, vint b)
{
    const vint v = _mm256_max_epu32(a, b);
    __m128i q = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    q = _mm_max_epu32(q, _mm_shuffle_epi32(q, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(q, _mm_shuffle_epi32(q, 0xB1)));
}

RZ_INLINE void vi_sums(const vint v[4], int32_t sum[2])
{
    const vint a = _mm256_add_epi32(v[0], v[1]), b = _mm256_add_epi32(v[2], v[3]);
    vint s = _mm256_hadd_epi32(a, b);
    s = _mm256_hadd_epi32(s, s); /* (a, b, a, b) of each half */
    const __m128i ab = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    sum[0] = _mm_cvtsi128_si32(ab);
    sum[1] = _mm_extract_epi32(ab, 1);
}

#endif
