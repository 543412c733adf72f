/* vec_avx512.h - the vector vocabulary of the SIMD kernels, in AVX-512 (F, BW, DQ, VL, VNNI).
 *
 * Kernels are written once over these few operations (matmul_simd.h, rows_simd.h, attend_simd.h)
 * and compiled per level; vec_avx2.h has the same names. Invariant: every operation rounds as IEEE
 * 754 says, lane by lane, so both levels give the same bits wherever the lanes hold the same rows.
 * vint: LANES 32-bit lanes; vflt: LANES floats. */
#ifndef RZ_KERNELS_VEC_AVX512_H
#define RZ_KERNELS_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RZ_INLINE static inline __attribute__((always_inline))
/* For loops over an array of vectors: unrolled, so that it lives in registers at -O2 too. */
#define RZ_UNROLL _Pragma("GCC unroll 16")

enum {
    LANES = 16,
    MAX_TOKENS = 16 /* rows of x whose sums stay in registers */
};
typedef __m512i vint;
typedef __m512 vflt;

RZ_INLINE vint vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

RZ_INLINE void vi_store(void *p, vint v)
{
    _mm512_storeu_si512(p, v);
}

RZ_INLINE vint vi_set1(int32_t i)
{
    return _mm512_set1_epi32(i);
}

/* The four bytes at p in every lane. */
RZ_INLINE vint vi_bcast(const void *p)
{
    int32_t i;
    memcpy(&i, p, sizeof i);
    return _mm512_set1_epi32(i);
}

RZ_INLINE vint vi_and(vint a, vint b)
{
    return _mm512_and_si512(a, b);
}

RZ_INLINE vint vi_or(vint a, vint b)
{
    return _mm512_or_si512(a, b);
}

RZ_INLINE vint vi_xor(vint a, vint b)
{
    return _mm512_xor_si512(a, b);
}

RZ_INLINE vint vi_srl(vint a, unsigned n)
{
    return _mm512_srli_epi32(a, n);
}

RZ_INLINE vint vi_sra(vint a, unsigned n)
{
    return _mm512_srai_epi32(a, n);
}

RZ_INLINE vint vi_sll(vint a, unsigned n)
{
    return _mm512_slli_epi32(a, n);
}

RZ_INLINE vint vi_add(vint a, vint b)
{
    return _mm512_add_epi32(a, b);
}

RZ_INLINE vint vi_sub(vint a, vint b)
{
    return _mm512_sub_epi32(a, b);
}

RZ_INLINE vint vi_max_u(vint a, vint b)
{
    return _mm512_max_epu32(a, b);
}

/* Each byte, 0 ... 15, replaced by table's. */
RZ_INLINE vint vi_lookup(const uint8_t table[16], vint v)
{
    __m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), v);
}

/* v[j] = dword j of 16 bytes at row[r] + off, lane r. */
RZ_INLINE void vi_load_rows(const uint8_t *const row[LANES], size_t off, vint v[4])
{
    __m512i t[4];
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        const uint8_t *p = row[i] + off;
        t[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)p));
        p = row[4 + i] + off;
        t[i] = _mm512_inserti32x4(t[i], _mm_loadu_si128((const __m128i *)(const void *)p), 1);
        p = row[8 + i] + off;
        t[i] = _mm512_inserti32x4(t[i], _mm_loadu_si128((const __m128i *)(const void *)p), 2);
        p = row[12 + i] + off;
        t[i] = _mm512_inserti32x4(t[i], _mm_loadu_si128((const __m128i *)(const void *)p), 3);
    }
    __m512i ab = _mm512_unpacklo_epi32(t[0], t[1]), cd = _mm512_unpacklo_epi32(t[2], t[3]);
    v[0] = _mm512_unpacklo_epi64(ab, cd);
    v[1] = _mm512_unpackhi_epi64(ab, cd);
    ab = _mm512_unpackhi_epi32(t[0], t[1]);
    cd = _mm512_unpackhi_epi32(t[2], t[3]);
    v[2] = _mm512_unpacklo_epi64(ab, cd);
    v[3] = _mm512_unpackhi_epi64(ab, cd);
}

/* How the dot products take 8-bit weights: unsigned, 128 too large. */
enum {
    SIGNED_SHIFT = 7
};

/* From bytes that are 128 too large, as packed weights and iq4 levels have them. */
RZ_INLINE vint vi_weights8(vint v)
{
    return v;
}

/* a | (b & mask) */
RZ_INLINE vint vi_or_and(vint a, vint b, vint mask)
{
    return _mm512_ternarylogic_epi32(a, b, mask, 0xF8);
}

/* LANES bytes or 16-bit words. */
RZ_INLINE vint vi_load_s8(const void *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}

RZ_INLINE vint vi_load_u8(const void *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}

RZ_INLINE vint vi_load_u16(const void *p)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}

RZ_INLINE vflt vf_from_int(vint v)
{
    return _mm512_cvtepi32_ps(v);
}

/* Rounds to nearest even. */
RZ_INLINE vint vf_to_int(vflt v)
{
    return _mm512_cvtps_epi32(v);
}

RZ_INLINE vflt vf_cast(vint v)
{
    return _mm512_castsi512_ps(v);
}

RZ_INLINE vint vf_bits(vflt v)
{
    return _mm512_castps_si512(v);
}

/* The lanes' low 16 bits as binary16. */
RZ_INLINE vflt vf_from_f16(vint v)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

#endif
