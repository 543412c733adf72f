/* vec_avx2.h - the vector vocabulary of vec_avx512.h in AVX2, FMA and F16C: 8 lanes. */
#ifndef RZ_KERNELS_VEC_AVX2_H
#define RZ_KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RZ_INLINE static inline __attribute__((always_inline))
/* For loops over an array of vectors: unrolled, so that it lives in registers at -O2 too. */
#define RZ_UNROLL _Pragma("GCC unroll 16")

enum {
    LANES = 8,
    MAX_TOKENS = 8
};
typedef __m256i vint;
typedef __m256 vflt;

RZ_INLINE vint vi_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

RZ_INLINE void vi_store(void *p, vint v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

RZ_INLINE vint vi_set1(int32_t i)
{
    return _mm256_set1_epi32(i);
}

RZ_INLINE vint vi_bcast(const void *p)
{
    int32_t i;
    memcpy(&i, p, sizeof i);
    return _mm256_set1_epi32(i);
}

RZ_INLINE vint vi_and(vint a, vint b)
{
    return _mm256_and_si256(a, b);
}

RZ_INLINE vint vi_or(vint a, vint b)
{
    return _mm256_or_si256(a, b);
}

RZ_INLINE vint vi_xor(vint a, vint b)
{
    return _mm256_xor_si256(a, b);
}

RZ_INLINE vint vi_srl(vint a, unsigned n)
{
    return _mm256_srli_epi32(a, (int)n);
}

RZ_INLINE vint vi_sra(vint a, unsigned n)
{
    return _mm256_srai_epi32(a, (int)n);
}

RZ_INLINE vint vi_sll(vint a, unsigned n)
{
    return _mm256_slli_epi32(a, (int)n);
}

RZ_INLINE vint vi_add(vint a, vint b)
{
    return _mm256_add_epi32(a, b);
}

RZ_INLINE vint vi_sub(vint a, vint b)
{
    return _mm256_sub_epi32(a, b);
}

RZ_INLINE vint vi_max_u(vint a, vint b)
{
    return _mm256_max_epu32(a, b);
}

RZ_INLINE vint vi_lookup(const uint8_t table[16], vint v)
{
    __m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), v);
}

RZ_INLINE void vi_load_rows(const uint8_t *const row[LANES], size_t off, vint v[4])
{
    __m256i t[4];
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        const uint8_t *p = row[i] + off;
        t[i] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
        p = row[4 + i] + off;
        t[i] = _mm256_inserti128_si256(t[i], _mm_loadu_si128((const __m128i *)(const void *)p), 1);
    }
    __m256i ab = _mm256_unpacklo_epi32(t[0], t[1]), cd = _mm256_unpacklo_epi32(t[2], t[3]);
    v[0] = _mm256_unpacklo_epi64(ab, cd);
    v[1] = _mm256_unpackhi_epi64(ab, cd);
    ab = _mm256_unpackhi_epi32(t[0], t[1]);
    cd = _mm256_unpackhi_epi32(t[2], t[3]);
    v[2] = _mm256_unpacklo_epi64(ab, cd);
    v[3] = _mm256_unpackhi_epi64(ab, cd);
}

/* How the dot products take 8-bit weights: signed. */
enum {
    SIGNED_SHIFT = -1
};

RZ_INLINE vint vi_weights8(vint v)
{
    return _mm256_xor_si256(v, _mm256_set1_epi8((char)0x80));
}

RZ_INLINE vint vi_or_and(vint a, vint b, vint mask)
{
    return _mm256_or_si256(a, _mm256_and_si256(b, mask));
}

RZ_INLINE vint vi_load_s8(const void *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

RZ_INLINE vint vi_load_u8(const void *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

RZ_INLINE vint vi_load_u16(const void *p)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
}

RZ_INLINE vflt vf_from_int(vint v)
{
    return _mm256_cvtepi32_ps(v);
}

RZ_INLINE vint vf_to_int(vflt v)
{
    return _mm256_cvtps_epi32(v);
}

RZ_INLINE vflt vf_cast(vint v)
{
    return _mm256_castsi256_ps(v);
}

RZ_INLINE vint vf_bits(vflt v)
{
    return _mm256_castps_si256(v);
}

RZ_INLINE vflt vf_from_f16(vint v)
{
    v = _mm256_and_si256(v, _mm256_set1_epi32(0xFFFF));
    v = _mm256_permute4x64_epi64(_mm256_packus_epi32(v, v), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(v));
}

#endif
