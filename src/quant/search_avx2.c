/* search_avx2.c - the search with 8 groups in a vector. */
#include "quant/search.h"

#include <immintrin.h>
#include <math.h>

#define RZ_INLINE static inline __attribute__((always_inline))

enum {
    VEC_LANES = 8
};
typedef __m256 vflt, vmask;

RZ_INLINE vflt vf_set1(float f)
{
    return _mm256_set1_ps(f);
}

RZ_INLINE vflt vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

RZ_INLINE void vf_store(float *p, vflt v)
{
    _mm256_storeu_ps(p, v);
}

/* a < b ? a : b */
RZ_INLINE vflt vf_min(vflt a, vflt b)
{
    return _mm256_min_ps(a, b);
}

/* a > b ? a : b */
RZ_INLINE vflt vf_max(vflt a, vflt b)
{
    return _mm256_max_ps(a, b);
}

RZ_INLINE vflt vf_abs(vflt v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* a of no sign, with the sign of b. */
RZ_INLINE vflt vf_signed(vflt a, vflt b)
{
    return _mm256_or_ps(a, _mm256_and_ps(b, _mm256_set1_ps(-0.0f)));
}

/* The largest power of two that is no larger than |v|, 0 of 0. */
RZ_INLINE vflt vf_power(vflt v)
{
    return _mm256_and_ps(v, _mm256_set1_ps(INFINITY));
}

RZ_INLINE vmask vf_less(vflt a, vflt b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

/* m ? a : b */
RZ_INLINE vflt vf_pick(vmask m, vflt a, vflt b)
{
    return _mm256_blendv_ps(b, a, m);
}

/* Lanes step away from each other, 1, 2 or 4, exchanged. */
RZ_INLINE vflt vf_exchange(vflt v, uint32_t step)
{
    if (step == 4)
        return _mm256_permute2f128_ps(v, v, 1);
    return step == 2 ? _mm256_permute_ps(v, 0x4E) : _mm256_permute_ps(v, 0xB1);
}

/* Four columns' codes, as bytes of a word. */
RZ_INLINE void vf_store_codes(uint32_t *p, const vflt code[4])
{
    __m256i words = _mm256_cvttps_epi32(code[0]);
    words = _mm256_or_si256(words, _mm256_slli_epi32(_mm256_cvttps_epi32(code[1]), 8));
    words = _mm256_or_si256(words, _mm256_slli_epi32(_mm256_cvttps_epi32(code[2]), 16));
    words = _mm256_or_si256(words, _mm256_slli_epi32(_mm256_cvttps_epi32(code[3]), 24));
    _mm256_storeu_si256((__m256i *)(void *)p, words);
}

/* Towards zero. */
RZ_INLINE vflt vf_trunc(vflt v)
{
    return _mm256_cvtepi32_ps(_mm256_cvttps_epi32(v));
}

/* The nearest IQ4 level of v from -127 to 113. */
RZ_INLINE vflt vf_level(vflt v)
{
    __m256i at = _mm256_cvttps_epi32(v * vf_set1(2) + vf_set1(254));
    return _mm256_i32gather_ps(rz_iq4_nearest_level, at, 4);
}

/* Its code. */
RZ_INLINE vflt vf_level_code(vflt v)
{
    int32_t at[VEC_LANES];
    _mm256_storeu_si256((__m256i *)(void *)at, _mm256_cvttps_epi32(v * 2 + 254));
    float code[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++)
        code[i] = rz_iq4_nearest[at[i]];
    return vf_load(code);
}

/* out[i][k] = in[k][i], rows of these strides. */
RZ_INLINE void vf_transpose(const float *in, size_t stride, float *out, size_t out_stride)
{
    __m256 r[VEC_LANES], t[VEC_LANES];
    for (size_t i = 0; i < VEC_LANES; i++)
        r[i] = vf_load(in + i * stride);
    for (size_t i = 0; i < VEC_LANES; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (size_t i = 0; i < VEC_LANES; i += 4)
        for (size_t k = 0; k < 2; k++) {
            __m256 lo = t[i + k], hi = t[i + 2 + k];
            r[i + 2 * k] = _mm256_shuffle_ps(lo, hi, 0x44);
            r[i + 2 * k + 1] = _mm256_shuffle_ps(lo, hi, 0xEE);
        }
    for (size_t i = 0; i < 4; i++) {
        vf_store(out + i * out_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        vf_store(out + (i + 4) * out_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

#include "quant/search_simd.h"

void rz_search_avx2(const struct rz_search *job, struct rz_codes *codes, struct rz_row_loss *loss)
{
    search_blocks(job, codes, loss);
}
