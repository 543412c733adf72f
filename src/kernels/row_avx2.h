/* row_avx2.h - codes of one row, for products with a single row of x.
 *
 * With one row of x a transposed panel is more work than the product itself, so the codes of 32
 * columns are taken as they lie and the 8 partial sums of each row are added across. One function
 * per format: the codes of columns 32 * i ... of the block at b, in order, as vi_dot16's kinds
 * (unsigned, but 8-bit weights signed). Reads no byte outside of the block. Eight rows, 256 bits,
 * at every level: 16 rows at once were not faster from L2 and 20 % slower from memory, where more
 * streams are harder to prefetch. */
#ifndef RZ_KERNELS_ROW_AVX2_H
#define RZ_KERNELS_ROW_AVX2_H

#include "kernels/vec_avx2_float.h"

typedef __m256i row_fn(const uint8_t *b, int i);

RZ_INLINE __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Each byte's bits shift ... of the width that mask leaves. */
RZ_INLINE __m256i bits_of(__m256i v, int shift, char mask)
{
    return _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8(mask));
}

/* 16 bytes: low nibbles, then high nibbles. */
RZ_INLINE __m256i nibbles(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(v, 4), v), _mm256_set1_epi8(15));
}

/* 16 in each byte whose bit is set in the 32 at p. */
RZ_INLINE __m256i spread_32_bits(const uint8_t *p)
{
    int32_t bits;
    memcpy(&bits, p, sizeof bits);
    const __m256i byte =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), byte), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(16));
}

RZ_INLINE __m256i row_q4_0(const uint8_t *b, int i)
{
    (void)i;
    return nibbles(b + 2);
}

RZ_INLINE __m256i row_q4_1(const uint8_t *b, int i)
{
    (void)i;
    return nibbles(b + 4);
}

RZ_INLINE __m256i row_q5_0(const uint8_t *b, int i)
{
    (void)i;
    return _mm256_or_si256(nibbles(b + 6), spread_32_bits(b + 2));
}

RZ_INLINE __m256i row_q5_1(const uint8_t *b, int i)
{
    (void)i;
    return _mm256_or_si256(nibbles(b + 8), spread_32_bits(b + 4));
}

RZ_INLINE __m256i row_q8_0(const uint8_t *b, int i)
{
    (void)i;
    return load32(b + 2);
}

RZ_INLINE __m256i row_q2_k(const uint8_t *b, int i)
{
    return bits_of(load32(b + 16 + 32 * (i / 4)), 2 * (i % 4), 3);
}

RZ_INLINE __m256i row_q3_k(const uint8_t *b, int i)
{
    __m256i low = bits_of(load32(b + 32 + 32 * (i / 4)), 2 * (i % 4), 3);
    __m256i high = bits_of(load32(b), i, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 2));
}

RZ_INLINE __m256i row_q4_k(const uint8_t *b, int i)
{
    return bits_of(load32(b + 16 + 32 * (i / 2)), 4 * (i % 2), 15);
}

RZ_INLINE __m256i row_q5_k(const uint8_t *b, int i)
{
    __m256i low = bits_of(load32(b + 48 + 32 * (i / 2)), 4 * (i % 2), 15);
    return _mm256_or_si256(low, _mm256_slli_epi16(bits_of(load32(b + 16), i, 1), 4));
}

RZ_INLINE __m256i row_q6_k(const uint8_t *b, int i)
{
    __m256i low = bits_of(load32(b + 64 * (i / 4) + 32 * (i % 2)), i % 4 / 2 * 4, 15);
    __m256i high = bits_of(load32(b + 128 + 32 * (i / 4)), 2 * (i % 4), 3);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
}

RZ_INLINE __m256i levels(__m256i codes)
{
    const __m128i table =
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes);
}

RZ_INLINE __m256i row_iq4_nl(const uint8_t *b, int i)
{
    (void)i;
    return levels(nibbles(b + 2));
}

RZ_INLINE __m256i row_iq4_xs(const uint8_t *b, int i)
{
    return levels(nibbles(b + 8 + 16 * i));
}

/* Sums of the low and of the high four lanes of 8 rows' vectors: low[r], high[r]. */
RZ_INLINE void sum_across(const __m256i d[LANES], __m256i *low, __m256i *high)
{
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(d[0], d[1]), _mm256_hadd_epi32(d[2], d[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(d[4], d[5]), _mm256_hadd_epi32(d[6], d[7]));
    *low = _mm256_permute2x128_si256(a, b, 0x20);
    *high = _mm256_permute2x128_si256(a, b, 0x31);
}

#endif
