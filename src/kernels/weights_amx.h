/* weights_amx.h - packed weights to the tiles that TDPBF16PS takes as its right operand: 32 columns
 * of a strip, dword n of row k being columns 2k and 2k + 1 of the strip's row n as bfloat16.
 *
 * What a tile holds is bf16(w), to nearest, halves away from zero, of w in float32:
 *     w = (2^j + code) * scale + c    fused,    2^j the least power above the codes,
 *     c = -(2^j + 2^shift) * scale    exact, and then w = scale * (code - 2^shift), rounded once,
 * or c = -2^j * scale - min          fused, off by 2^-24 of its magnitude. A factor that is
 * infinite or NaN makes all of its weights NaN. Five instructions per 16 weights: shift the code to
 * the top of a float's mantissa, put in mask and exponent (which saves the conversion), multiply
 * and add, add half of a bf16's last bit, merge with the column beside. Halves to even would cost
 * two more and changes one weight in 2^10. Included once, after vec_avx512_float.h. */
#ifndef RZ_KERNELS_WEIGHTS_AMX_H
#define RZ_KERNELS_WEIGHTS_AMX_H

#include "kernels/packed_formats.h"
#include "kernels/tile_amx.h"

enum {
    TILE_COLS = 32 /* of bf16 */
};

/* Bits of the format's codes, as far as a float's mantissa is concerned. */
RZ_INLINE unsigned code_bits(const struct kind k)
{
    return k.max_code < 32 ? 5 : k.max_code < 64 ? 6 : 8;
}

/* Byte i of each lane, below 2^bits, as the float 2^bits + byte. */
RZ_INLINE vflt code_float(vint code, unsigned i, unsigned bits)
{
    const unsigned to = 23 - bits, at = 8 * i;
    const vint mask = vi_set1((int)(((1u << bits) - 1) << to));
    const vint one = vi_set1((int)((127 + bits) << 23));
    const vint moved = to >= at ? vi_sll(code, to - at) : vi_srl(code, at - to);
    /* moved & mask | one; vi_or_and would overwrite the constant, at the cost of a copy. */
    return vf_cast(_mm512_ternarylogic_epi32(moved, mask, one, 0xEA));
}

/* Lanes of bfloat16 pairs: even to the low halves, odd to the high ones. */
RZ_INLINE vint bf16_pairs(vflt even, vflt odd)
{
    const vint half = vi_set1(0x8000), high = vi_set1((int)0xFFFF0000u);
    const vint low = vi_srl(vi_add(vf_bits(even), half), 16);
    return _mm512_ternarylogic_epi32(vi_add(vf_bits(odd), half), high, low, 0xEA);
}

struct affine {
    vflt scale, c; /* w = (2^j + code) * scale + c */
};

/* A NaN of the file may have a mantissa that rounding would carry out of, to zero: what comes from
 * here is infinite or the NaN of all zeros below. */
RZ_INLINE struct affine affine_of(const struct factors *f, uint32_t i, int half,
                                  const struct kind k)
{
    const vflt power = vf_set1((float)(1u << code_bits(k)));
    struct affine a = {.scale = vf_min(vf_load(f->scale[i][half]), vf_set1(__builtin_inff()))};
    if (k.has_min)
        a.c = _mm512_fnmsub_ps(power, a.scale, vf_load(f->min[i][half]));
    else
        a.c = vf_mul(a.scale, vf_set1(-(float)((1u << code_bits(k)) + (1u << k.shift))));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(a.c, a.c, _CMP_UNORD_Q);
    a.c = _mm512_mask_mov_ps(a.c, is_nan, vf_set1(__builtin_nanf("")));
    return a;
}

/* Block i of a packed tile. */
RZ_INLINE void weights_tile(const vint code[8], const struct factors *f, uint32_t i,
                            const struct kind k, uint8_t *out)
{
    struct affine a = affine_of(f, i, 0, k);
    RZ_UNROLL
    for (int g = 0; g < 8; g++) {
        if (k.per16 && g == 4)
            a = affine_of(f, i, 1, k);
        vflt w[4];
        RZ_UNROLL
        for (unsigned j = 0; j < 4; j++)
            w[j] = vf_fma(code_float(code[g], j, code_bits(k)), a.scale, a.c);
        vi_store(out + 2 * g * TILE_ROW_BYTES, bf16_pairs(w[0], w[1]));
        vi_store(out + (2 * g + 1) * TILE_ROW_BYTES, bf16_pairs(w[2], w[3]));
    }
}

/* Tile `tile` of a strip; in order, since f is kept from the block's first to its last. */
RZ_INLINE void unpack_tile(const uint8_t *strip, uint32_t tile, struct factors *f, uint8_t *out,
                           const struct format t)
{
    const uint32_t per_block = t.block_len / TILE_COLS, i = tile % per_block;
    const uint8_t *block = strip + (size_t)(tile / per_block) * t.tile_bytes;
    vint code[8];
    if (i == 0)
        t.factors(block, 0, f);
    t.codes(block + t.codes_at + i * t.codes_bytes, 0, code);
    weights_tile(code, f, i, t.kind, out);
}

#endif
