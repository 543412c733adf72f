/* packed_factors.h - scales and mins of packed tiles (docs/packed.md) as vectors over their rows.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_PACKED_FACTORS_H
#define RZ_KERNELS_PACKED_FACTORS_H

#include "kernels/packed_block.h"

/* d, and d and m, of the formats of 32 columns. */
RZ_INLINE void factors_d(const uint8_t *tile, int h, struct factors *out)
{
    vf_store(out->scale[0][0], load_halves(tile, h));
}

RZ_INLINE void factors_dm(const uint8_t *tile, int h, struct factors *out)
{
    factors_d(tile, h, out);
    vf_store(out->min[0][0], vf_sub(vf_set1(-0.0f), load_halves(tile + 32, h)));
}

RZ_INLINE void factors_q2_k(const uint8_t *tile, int h, struct factors *out)
{
    const vflt d = load_halves(tile, h), dmin = load_halves(tile + 32, h);
    RZ_UNROLL
    for (int i = 0; i < 16; i++) {
        vint b = vi_load_u8(tile + 64 + 16 * i + LANES * h);
        vf_store(out->scale[i / 2][i % 2], vf_mul(d, vf_from_int(vi_and(b, vi_set1(15)))));
        vf_store(out->min[i / 2][i % 2], vf_mul(dmin, vf_from_int(vi_srl(b, 4))));
    }
}

/* Number e of the sixteen 6-bit numbers in w: five per vector, the last in the three's top bits. */
RZ_INLINE vint six_bits(const vint w[3], int e)
{
    const vint mask = vi_set1(63);
    if (e == 15)
        return vi_or(vi_srl(w[0], 30),
                     vi_or(vi_sll(vi_srl(w[1], 30), 2), vi_sll(vi_srl(w[2], 30), 4)));
    return vi_and(e % 5 ? vi_srl(w[e / 5], 6 * (unsigned)(e % 5)) : w[e / 5], mask);
}

RZ_INLINE void factors_q3_k(const uint8_t *tile, int h, struct factors *out)
{
    const vflt d = load_halves(tile, h);
    const vint w[3] = {load_vec(tile + 32, 0, h), load_vec(tile + 32, 1, h),
                       load_vec(tile + 32, 2, h)};
    RZ_UNROLL
    for (int e = 0; e < 16; e++)
        vf_store(out->scale[e / 2][e % 2],
                 vf_mul(d, vf_from_int(vi_sub(six_bits(w, e), vi_set1(32)))));
}

/* Q4_K, Q5_K. */
RZ_INLINE void factors_q4_k(const uint8_t *tile, int h, struct factors *out)
{
    const vflt d = load_halves(tile, h), dmin = load_halves(tile + 32, h);
    const vint w[3] = {load_vec(tile + 64, 0, h), load_vec(tile + 64, 1, h),
                       load_vec(tile + 64, 2, h)};
    RZ_UNROLL
    for (int i = 0; i < 8; i++) {
        vf_store(out->scale[i][0], vf_mul(d, vf_from_int(six_bits(w, i))));
        vf_store(out->min[i][0], vf_mul(dmin, vf_from_int(six_bits(w, 8 + i))));
    }
}

RZ_INLINE void factors_q6_k(const uint8_t *tile, int h, struct factors *out)
{
    const vflt d = load_halves(tile, h);
    RZ_UNROLL
    for (int i = 0; i < 16; i++)
        vf_store(out->scale[i / 2][i % 2],
                 vf_mul(d, vf_from_int(vi_load_s8(tile + 32 + 16 * i + LANES * h))));
}

RZ_INLINE void factors_iq4_xs(const uint8_t *tile, int h, struct factors *out)
{
    const vflt d = load_halves(tile, h);
    const vint high = vi_load_u16(tile + 32 + 2 * LANES * h), low = load_vec(tile + 64, 0, h);
    RZ_UNROLL
    for (unsigned i = 0; i < 8; i++) {
        vint top = i < 2 ? vi_sll(high, 4 - 2 * i) : vi_srl(high, 2 * i - 4);
        vint scale = vi_or_and(vi_and(vi_srl(low, 4 * i), vi_set1(15)), top, vi_set1(0x30));
        vf_store(out->scale[i][0], vf_mul(d, vf_from_int(vi_sub(scale, vi_set1(32)))));
    }
}

#endif
