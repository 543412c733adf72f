/* search_avx512.c - the search with 16 groups in a vector. */
#include "quant/search.h"

#include <immintrin.h>
#include <math.h>

#define RZ_INLINE static inline __attribute__((always_inline))

enum {
    VEC_LANES = 16
};
typedef __m512 vflt;
typedef __mmask16 vmask;

RZ_INLINE vflt vf_set1(float f)
{
    return _mm512_set1_ps(f);
}

RZ_INLINE vflt vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

RZ_INLINE void vf_store(float *p, vflt v)
{
    _mm512_storeu_ps(p, v);
}

/* a < b ? a : b */
RZ_INLINE vflt vf_min(vflt a, vflt b)
{
    return _mm512_min_ps(a, b);
}

/* a > b ? a : b */
RZ_INLINE vflt vf_max(vflt a, vflt b)
{
    return _mm512_max_ps(a, b);
}

RZ_INLINE vflt vf_abs(vflt v)
{
    return _mm512_abs_ps(v);
}

/* a of no sign, with the sign of b. */
RZ_INLINE vflt vf_signed(vflt a, vflt b)
{
    return _mm512_or_ps(a, _mm512_and_ps(b, _mm512_set1_ps(-0.0f)));
}

/* The largest power of two that is no larger than |v|, 0 of 0. */
RZ_INLINE vflt vf_power(vflt v)
{
    return _mm512_and_ps(v, _mm512_set1_ps(INFINITY));
}

RZ_INLINE vmask vf_less(vflt a, vflt b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

/* m ? a : b */
RZ_INLINE vflt vf_pick(vmask m, vflt a, vflt b)
{
    return _mm512_mask_blend_ps(m, b, a);
}

/* Lanes step away from each other, 1, 2, 4 or 8, exchanged. */
RZ_INLINE vflt vf_exchange(vflt v, uint32_t step)
{
    if (step >= 4)
        return step == 8 ? _mm512_shuffle_f32x4(v, v, 0x4E) : _mm512_shuffle_f32x4(v, v, 0xB1);
    return step == 2 ? _mm512_permute_ps(v, 0x4E) : _mm512_permute_ps(v, 0xB1);
}

/* Four columns' codes, as bytes of a word. */
RZ_INLINE void vf_store_codes(uint32_t *p, const vflt code[4])
{
    __m512i words = _mm512_cvttps_epi32(code[0]);
    words = _mm512_or_si512(words, _mm512_slli_epi32(_mm512_cvttps_epi32(code[1]), 8));
    words = _mm512_or_si512(words, _mm512_slli_epi32(_mm512_cvttps_epi32(code[2]), 16));
    words = _mm512_or_si512(words, _mm512_slli_epi32(_mm512_cvttps_epi32(code[3]), 24));
    _mm512_storeu_si512(p, words);
}

/* Towards zero. */
RZ_INLINE vflt vf_trunc(vflt v)
{
    return _mm512_cvtepi32_ps(_mm512_cvttps_epi32(v));
}

/* The nearest IQ4 level of v from -127 to 113. */
RZ_INLINE vflt vf_level(vflt v)
{
    __m512i at = _mm512_cvttps_epi32(v * vf_set1(2) + vf_set1(254));
    return _mm512_i32gather_ps(at, rz_iq4_nearest_level, 4);
}

/* Its code. */
RZ_INLINE vflt vf_level_code(vflt v)
{
    int32_t at[VEC_LANES];
    _mm512_storeu_si512(at, _mm512_cvttps_epi32(v * 2 + 254));
    float code[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++)
        code[i] = rz_iq4_nearest[at[i]];
    return vf_load(code);
}

/* out[i][k] = in[k][i], rows of these strides. */
RZ_INLINE void vf_transpose(const float *in, size_t stride, float *out, size_t out_stride)
{
    __m512 r[VEC_LANES], t[VEC_LANES];
    for (size_t i = 0; i < VEC_LANES; i++)
        r[i] = vf_load(in + i * stride);
    for (size_t i = 0; i < VEC_LANES; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (size_t i = 0; i < VEC_LANES; i += 4)
        for (size_t k = 0; k < 2; k++) {
            __m512 lo = t[i + k], hi = t[i + 2 + k];
            r[i + 2 * k] = _mm512_shuffle_ps(lo, hi, 0x44);
            r[i + 2 * k + 1] = _mm512_shuffle_ps(lo, hi, 0xEE);
        }
    /* r[4 j + i]: columns i, i + 4, i + 8, i + 12 of rows 4 j ... 4 j + 3. */
    for (size_t i = 0; i < 4; i++) {
        __m512 a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88);
        __m512 b = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
        __m512 c = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xDD);
        __m512 d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xDD);
        vf_store(out + i * out_stride, _mm512_shuffle_f32x4(a, b, 0x88));
        vf_store(out + (i + 8) * out_stride, _mm512_shuffle_f32x4(a, b, 0xDD));
        vf_store(out + (i + 4) * out_stride, _mm512_shuffle_f32x4(c, d, 0x88));
        vf_store(out + (i + 12) * out_stride, _mm512_shuffle_f32x4(c, d, 0xDD));
    }
}

#include "quant/search_simd.h"

void rz_search_avx512(const struct rz_search *job, struct rz_codes *codes, struct rz_row_loss *loss)
{
    search_blocks(job, codes, loss);
}
