/* search_avx512.c - the search with 16 groups in a vector. */
#include "quant/search.h"

#include <immintrin.h>

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

RZ_INLINE vflt vf_sqrt(vflt v)
{
    return _mm512_sqrt_ps(v);
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

/* Towards zero. */
RZ_INLINE void vf_store_int(int32_t *p, vflt v)
{
    _mm512_storeu_si512(p, _mm512_cvttps_epi32(v));
}

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

#include "quant/search_simd.h"

void rz_search_avx512(const struct rz_grid *grid, const float *in, const float *importance,
                      size_t n_blocks, struct rz_codes *codes)
{
    search_blocks(grid, in, importance, n_blocks, codes);
}
