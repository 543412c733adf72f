/* panel.h - what a weight format is to the SIMD matrix products: a loader into panels.
 *
 * A panel block holds 32 columns of LANES rows, whatever the format was: the codes with rows in the
 * lanes and four columns in a lane's bytes, as the integer dot instructions want them, and the
 * factors w = scale * (code - offset) - min as vectors over the rows. Loaders transpose 16 bytes of
 * each row at a time and only then unpack, so that a code costs about as many instructions as in
 * a row-wise loop, and no horizontal sum is needed afterwards.
 * Included once per level, after vec_<level>.h. */
#ifndef RZ_KERNELS_PANEL_H
#define RZ_KERNELS_PANEL_H

#include <stdbool.h>

enum {
    PANEL_COLS = 512, /* columns packed at a time: 12 KB with 16 lanes, stays in L1 */
    PANEL_BLOCKS = PANEL_COLS / 32
};

struct panel_block {
    _Alignas(64) uint8_t code[8][4 * LANES]; /* [columns / 4][row][column % 4] */
    float scale[2][LANES]; /* of columns 0-15 and 16-31; only [0] if one covers all 32 */
    float min[2][LANES];   /* unused by formats without */
};

/* Packs one block of each row, at row[r] + off, into block_len / 32 panel blocks. Reads exactly
 * the bytes of the block. */
typedef void load_fn(const uint8_t *const row[LANES], size_t off, struct panel_block *out);

/* What the multiplication has to know of a panel. */
struct kind {
    int max_code;    /* bounds the integer sums, see vi_dot16 */
    bool has_offset; /* w = scale * (code - offset), else w = scale * code */
    bool per16;      /* scale[1] and min[1] are separate */
    bool has_min;
};

RZ_INLINE void store_codes(struct panel_block *out, int group, vint v)
{
    vi_store(out->code[group], v);
}

/* 16 bytes of nibbles: the low ones to columns 0-15 of lo, the high ones to columns from hi_group
 * on of hi. */
RZ_INLINE void split_nibbles(const vint v[4], vint lo[4], vint hi[4])
{
    const vint mask = vi_set1(0x0F0F0F0F);
    RZ_UNROLL
    for (int i = 0; i < 4; i++) {
        lo[i] = vi_and(v[i], mask);
        hi[i] = vi_and(vi_srl(v[i], 4), mask);
    }
}

RZ_INLINE vflt half_lo(vint v)
{
    return vf_from_f16(v);
}

RZ_INLINE vflt half_hi(vint v)
{
    return vf_from_f16(vi_srl(v, 16));
}

/* Byte i of each lane, zero-extended or sign-extended. */
RZ_INLINE vint lane_byte(vint v, int i)
{
    return vi_and(vi_srl(v, 8 * (unsigned)i), vi_set1(255));
}

RZ_INLINE vint lane_sbyte(vint v, int i)
{
    return vi_sra(vi_sll(v, 24 - 8 * (unsigned)i), 24);
}

/* Q4_0, Q5_0. */
RZ_INLINE struct kind kind_sym32(void)
{
    return (struct kind){.max_code = 31, .has_offset = true};
}

/* Q8_0, IQ4_NL, IQ4_XS. */
RZ_INLINE struct kind kind_byte32(void)
{
    return (struct kind){.max_code = 255, .has_offset = SIGNED_OFFSET != 0};
}

/* Q4_1, Q5_1, Q4_K, Q5_K. */
RZ_INLINE struct kind kind_min32(void)
{
    return (struct kind){.max_code = 31, .has_min = true};
}

/* Q3_K, Q6_K. */
RZ_INLINE struct kind kind_sym16(void)
{
    return (struct kind){.max_code = 63, .has_offset = true, .per16 = true};
}

/* Q2_K. */
RZ_INLINE struct kind kind_min16(void)
{
    return (struct kind){.max_code = 31, .per16 = true, .has_min = true};
}

/* -offset for the sums' low half (columns 0-15) and high half (16-31), as vi_madd16 takes them. */
RZ_INLINE vint sum_factors(int factor, bool low, bool high)
{
    return vi_set1(
        (int)((low ? (uint32_t)factor & 0xFFFF : 0) | (high ? (uint32_t)factor << 16 : 0)));
}

RZ_INLINE vflt apply_factors(vint dot, vint sum, vflt p, const float *scale, const float *min,
                             const struct kind k)
{
    vflt dot_f = vf_from_int(dot);
    if (!k.has_min)
        return vf_fma(dot_f, vf_load(scale), p);
    return vf_fnma(vf_from_int(sum), vf_load(min), vf_fma(dot_f, vf_load(scale), p));
}

#endif
