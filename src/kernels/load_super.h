/* load_super.h - loaders of the other 256-column formats (quant/q4_k.c, q6_k.c, iq4.c). */
#ifndef RZ_KERNELS_LOAD_SUPER_H
#define RZ_KERNELS_LOAD_SUPER_H

#include "kernels/load_low.h"

/* Q4_K and Q5_K begin with d, dmin, scales[12]: 16 bytes. */
RZ_INLINE void factors_q4_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint head[4];
    vi_load_rows(row, off, head);
    vflt d = half_lo(head[0]), dmin = half_hi(head[0]);
    const vint six = vi_set1(63), four = vi_set1(15), top = vi_set1(0x30);
    for (unsigned g = 0; g < 4; g++) {
        vint s = vi_srl(head[1], 8 * g), m = vi_srl(head[2], 8 * g), r = vi_srl(head[3], 8 * g);
        vf_store(out[g].scale[0], vf_mul(d, vf_from_int(vi_and(s, six))));
        vf_store(out[g].min[0], vf_mul(dmin, vf_from_int(vi_and(m, six))));
        s = vi_or(vi_and(r, four), vi_and(vi_srl(s, 2), top));
        m = vi_or(vi_and(vi_srl(r, 4), four), vi_and(vi_srl(m, 2), top));
        vf_store(out[4 + g].scale[0], vf_mul(d, vf_from_int(s)));
        vf_store(out[4 + g].min[0], vf_mul(dmin, vf_from_int(m)));
    }
}

RZ_INLINE void load_q4_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint v[4], lo[4], hi[4];
    factors_q4_k(row, off, out);
    RZ_UNROLL
    for (int part = 0; part < 8; part++) { /* 16 bytes: half of the columns of two blocks */
        vi_load_rows(row, off + 16 + 16 * (size_t)part, v);
        split_nibbles(v, lo, hi);
        RZ_UNROLL
        for (int i = 0; i < 4; i++) {
            store_codes(&out[part / 2 * 2], part % 2 * 4 + i, lo[i]);
            store_codes(&out[part / 2 * 2 + 1], part % 2 * 4 + i, hi[i]);
        }
    }
}

/* Bit `bit` of every byte, as 16 or 0. */
RZ_INLINE vint fifth_bits(vint v, unsigned bit)
{
    return vi_and(bit < 4 ? vi_sll(v, 4 - bit) : vi_srl(v, bit - 4), vi_set1(0x10101010));
}

RZ_INLINE void load_q5_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint h[2][4], v[4], lo[4], hi[4];
    factors_q4_k(row, off, out);
    vi_load_rows(row, off + 16, h[0]);
    vi_load_rows(row, off + 32, h[1]);
    RZ_UNROLL
    for (int part = 0; part < 8; part++) {
        vi_load_rows(row, off + 48 + 16 * (size_t)part, v);
        split_nibbles(v, lo, hi);
        int b = part / 2 * 2;
        RZ_UNROLL
        for (int i = 0; i < 4; i++) {
            vint high = h[part % 2][i];
            store_codes(&out[b], part % 2 * 4 + i, vi_or(lo[i], fifth_bits(high, (unsigned)b)));
            store_codes(&out[b + 1], part % 2 * 4 + i,
                        vi_or(hi[i], fifth_bits(high, (unsigned)b + 1)));
        }
    }
}

/* Columns 16 * part ... of the half's four blocks: part 0 or 1, ql bytes at lo and lo + 32. */
RZ_INLINE void load_q6_k_part(const uint8_t *const row[LANES], size_t ql, size_t qh, int part,
                              struct panel_block *out)
{
    vint h[4], v[4], lo[4], hi[4];
    vi_load_rows(row, qh, h);
    RZ_UNROLL
    for (int j = 0; j < 2; j++) {
        vi_load_rows(row, ql + 32 * (size_t)j, v);
        split_nibbles(v, lo, hi);
        RZ_UNROLL
        for (int i = 0; i < 4; i++) {
            const vint mask = vi_set1(0x30303030);
            vint top_lo = j == 0 ? vi_sll(h[i], 4) : vi_sll(h[i], 2);
            vint top_hi = j == 0 ? h[i] : vi_srl(h[i], 2);
            store_codes(&out[j], 4 * part + i, vi_or(lo[i], vi_and(top_lo, mask)));
            store_codes(&out[2 + j], 4 * part + i, vi_or(hi[i], vi_and(top_hi, mask)));
        }
    }
}

RZ_INLINE void factors_q6_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint s[4];
    vflt d = vf_load_f16_rows(row, off + 208);
    vi_load_rows(row, off + 192, s);
    RZ_UNROLL
    for (int i = 0; i < 16; i++)
        vf_store(out[i / 2].scale[i % 2], vf_mul(d, vf_from_int(lane_sbyte(s[i / 4], i % 4))));
}

RZ_INLINE void load_q6_k(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    factors_q6_k(row, off, out);
    RZ_UNROLL
    for (int half = 0; half < 2; half++) {
        RZ_UNROLL
        for (int part = 0; part < 2; part++)
            load_q6_k_part(row, off + 64 * (size_t)half + 16 * (size_t)part,
                           off + 128 + 32 * (size_t)half + 16 * (size_t)part, part, out + 4 * half);
    }
}

RZ_INLINE void factors_iq4_xs(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint head[4];
    vi_load_rows(row, off, head);
    vflt d = half_lo(head[0]);
    vint high = vi_srl(head[0], 16);
    RZ_UNROLL
    for (unsigned g = 0; g < 8; g++) {
        vint scale = vi_and(vi_srl(head[1], 4 * g), vi_set1(15));
        scale = vi_or(scale, vi_sll(vi_and(vi_srl(high, 2 * g), vi_set1(3)), 4));
        vf_store(out[g].scale[0], vf_mul(d, vf_from_int(vi_sub(scale, vi_set1(32)))));
    }
}

RZ_INLINE void load_iq4_xs(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint v[4];
    factors_iq4_xs(row, off, out);
    RZ_UNROLL
    for (unsigned g = 0; g < 8; g++) {
        vi_load_rows(row, off + 8 + 16 * (size_t)g, v);
        store_levels(&out[g], v);
    }
}

#endif
