/* load_simple.h - loaders of the 32-column formats (quant/q4.c, q5.c, q8.c, iq4.c). */
#ifndef RZ_KERNELS_LOAD_SIMPLE_H
#define RZ_KERNELS_LOAD_SIMPLE_H

#include "kernels/panel.h"

/* The factors of formats that begin with d, and with d and m. */
RZ_INLINE void factors_d(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vf_store(out->scale[0], vf_load_f16_rows(row, off));
}

RZ_INLINE void factors_dm(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    factors_d(row, off, out);
    vf_store(out->min[0], vf_sub(vf_set1(-0.0f), vf_load_f16_rows(row, off + 2)));
}

RZ_INLINE void store_nibbles(struct panel_block *out, const vint v[4])
{
    vint lo[4], hi[4];
    split_nibbles(v, lo, hi);
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        store_codes(out, i, lo[i]);
        store_codes(out, 4 + i, hi[i]);
    }
}

RZ_INLINE void codes_q4(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint v[4];
    vi_load_rows(row, off, v);
    store_nibbles(out, v);
}

RZ_INLINE void load_q4_0(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    factors_d(row, off, out);
    codes_q4(row, off + 2, out);
}

RZ_INLINE void load_q4_1(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    factors_dm(row, off, out);
    codes_q4(row, off + 4, out);
}

/* qh: the 32 fifth bits of the lane's row. */
RZ_INLINE void store_5bit(struct panel_block *out, const vint v[4], vint qh)
{
    vint lo[4], hi[4];
    split_nibbles(v, lo, hi);
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        store_codes(out, i, vi_or(lo[i], vi_spread_bits(qh, i / 2, i % 2 * 4)));
        store_codes(out, 4 + i, vi_or(hi[i], vi_spread_bits(qh, 2 + i / 2, i % 2 * 4)));
    }
}

RZ_INLINE void load_q5_0(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint head[4], v[4];
    vi_load_rows(row, off, head);
    vi_load_rows(row, off + 6, v);
    vf_store(out->scale[0], half_lo(head[0]));
    store_5bit(out, v, vi_or(vi_srl(head[0], 16), vi_sll(head[1], 16)));
}

RZ_INLINE void load_q5_1(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint head[4], v[4];
    vi_load_rows(row, off, head);
    vi_load_rows(row, off + 8, v);
    vf_store(out->scale[0], half_lo(head[0]));
    vf_store(out->min[0], vf_sub(vf_set1(-0.0f), half_hi(head[0])));
    store_5bit(out, v, head[1]);
}

RZ_INLINE void load_q8_0(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    factors_d(row, off, out);
    RZ_UNROLL
    for (int h = 0; h < 2; h++) {
        vint v[4];
        vi_load_rows(row, off + 2 + 16 * (size_t)h, v);
        RZ_UNROLL
        for (int i = 0; i < 4; i++)
            store_codes(out, 4 * h + i, vi_from_signed8(v[i]));
    }
}

/* rz_iq4_levels + 128, unsigned bytes. */
static const uint8_t iq4_levels_u[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                         129, 141, 153, 166, 181, 197, 217, 241};

RZ_INLINE void store_levels(struct panel_block *out, const vint v[4])
{
    const vint flip = vi_set1((int)0x80808080u);
    vint lo[4], hi[4];
    split_nibbles(v, lo, hi);
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        store_codes(out, i, vi_from_signed8(vi_xor(vi_lookup(iq4_levels_u, lo[i]), flip)));
        store_codes(out, 4 + i, vi_from_signed8(vi_xor(vi_lookup(iq4_levels_u, hi[i]), flip)));
    }
}

RZ_INLINE void load_iq4_nl(const uint8_t *const row[LANES], size_t off, struct panel_block *out)
{
    vint v[4];
    factors_d(row, off, out);
    vi_load_rows(row, off + 2, v);
    store_levels(out, v);
}

#endif
