/* search_avx2.c - the search with 8 groups in a vector. */
#include "quant/search.h"

#include <immintrin.h>

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

RZ_INLINE vflt vf_sqrt(vflt v)
{
    return _mm256_sqrt_ps(v);
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

/* Towards zero. */
RZ_INLINE void vf_store_int(int32_t *p, vflt v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_cvttps_epi32(v));
}

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

#include "quant/search_simd.h"

void rz_search_avx2(const struct rz_grid *grid, const float *in, const float *importance,
                    size_t n_blocks, struct rz_codes *codes)
{
    search_blocks(grid, in, importance, n_blocks, codes);
}
