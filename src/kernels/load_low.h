/* load_low.h - loaders of Q2_K and Q3_K (quant/q2_k.c, q3_k.c). */
#ifndef RZ_KERNELS_LOAD_LOW_H
#define RZ_KERNELS_LOAD_LOW_H

#include "kernels/load_simple.h"

RZ_INLINE void factors_q2_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint s[4], v[4];
    vi_load_rows(row, off + 68, v);
    vflt d = half_lo(v[3]), dmin = half_hi(v[3]);
    vi_load_rows(row, off, s);
    RZ_UNROLL
    for (int i = 0; i < 16; i++) {
        vint b = lane_byte(s[i / 4], i % 4);
        vf_store(out[i / 2].scale[i % 2], vf_mul(d, vf_from_int(vi_and(b, vi_set1(15)))));
        vf_store(out[i / 2].min[i % 2], vf_mul(dmin, vf_from_int(vi_srl(b, 4))));
    }
}

RZ_INLINE void load_q2_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint v[4];
    factors_q2_k(row, off, out);
    RZ_UNROLL
    for (int part = 0; part < 4; part++) { /* 16 bytes of qs: columns 16 * (part % 2) of 4 blocks */
        vi_load_rows(row, off + 16 + 16 * (size_t)part, v);
        RZ_UNROLL
        for (int j = 0; j < 4; j++) {
            RZ_UNROLL
            for (int i = 0; i < 4; i++)
                store_codes(&out[part / 2 * 4 + j], part % 2 * 4 + i,
                            vi_and(vi_srl(v[i], 2 * (unsigned)j), vi_set1(0x03030303)));
        }
    }
}

/* The 16 scales from the 12 bytes in s[0..2], times d. */
RZ_INLINE void store_q3_k_scales(struct panel_block *out, const vint s[3], vflt d)
{
    RZ_UNROLL
    for (int i = 0; i < 16; i++) {
        vint low = vi_srl(s[i % 8 / 4], 8 * (unsigned)(i % 4) + 4 * (unsigned)(i / 8));
        vint high = vi_srl(s[2], 8 * (unsigned)(i % 4) + 2 * (unsigned)(i / 4));
        vint scale = vi_or(vi_and(low, vi_set1(15)), vi_sll(vi_and(high, vi_set1(3)), 4));
        vf_store(out[i / 2].scale[i % 2], vf_mul(d, vf_from_int(vi_sub(scale, vi_set1(32)))));
    }
}

RZ_INLINE void factors_q3_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint v[4], s[3];
    vi_load_rows(row, off + 94, v); /* qs 62-63, the scales, d */
    RZ_UNROLL
    for (int i = 0; i < 3; i++)
        s[i] = vi_or(vi_srl(v[i], 16), vi_sll(v[i + 1], 16));
    store_q3_k_scales(out, s, half_hi(v[3]));
}

RZ_INLINE void load_q3_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint h[2][4], v[4];
    factors_q3_k(row, off, out);
    vi_load_rows(row, off, h[0]);
    vi_load_rows(row, off + 16, h[1]);
    RZ_UNROLL
    for (int part = 0; part < 4; part++) {
        vi_load_rows(row, off + 32 + 16 * (size_t)part, v);
        RZ_UNROLL
        for (int j = 0; j < 4; j++) {
            int bit = part / 2 * 4 + j;
            RZ_UNROLL
            for (int i = 0; i < 4; i++) {
                vint high = vi_and(vi_srl(h[part % 2][i], (unsigned)bit), vi_set1(0x01010101));
                vint low = vi_and(vi_srl(v[i], 2 * (unsigned)j), vi_set1(0x03030303));
                store_codes(&out[bit], part % 2 * 4 + i, vi_or(low, vi_sll(high, 2)));
            }
        }
    }
}

#endif
