/* iq4.c - IQ4_NL and IQ4_XS: 4-bit codes that choose one of 16 unevenly spaced levels.
 * IQ4_NL: 32 columns, packed as Q4_0; w = d * level. IQ4_XS: 256 columns in eight such groups with
 * a 6-bit scale each: w = d * (scale - 32) * level; the low four bits of group g's scale are nibble
 * g of scales_l, the high two are at bit 2g of the little-endian word scales_h. */
#include "quant/blocks.h"
#include "quant/encode.h"

static void unpack_levels(const uint8_t qs[16], int8_t *q)
{
    for (int i = 0; i < 16; i++) {
        q[i] = rz_iq4_levels[qs[i] & 15];
        q[i + 16] = rz_iq4_levels[qs[i] >> 4];
    }
}

void rz_unpack_iq4_nl(const void *block, struct rz_int_block *out)
{
    const struct rz_block_iq4_nl *b = block;
    unpack_levels(b->qs, out->q);
    rz_set_scale32(out, 0, rz_load_f16(b->d), 0);
}

void rz_unpack_iq4_xs(const void *block, struct rz_int_block *out)
{
    const struct rz_block_iq4_xs *b = block;
    float d = rz_load_f16(b->d);
    int scales_h = b->scales_h[0] | b->scales_h[1] << 8;
    for (int g = 0; g < 8; g++) {
        int low = b->scales_l[g / 2] >> (g % 2 * 4) & 15, high = scales_h >> (2 * g) & 3;
        rz_set_scale32(out, (unsigned)g * 32, d * (float)((low | high << 4) - 32), 0);
        unpack_levels(b->qs + 16 * g, out->q + 32 * g);
    }
}

static void pack_nibbles(const uint8_t code[32], uint8_t qs[16])
{
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)(code[i] | code[i + 16] << 4);
}

void rz_pack_iq4_nl(const struct rz_codes *c, void *block)
{
    struct rz_block_iq4_nl *b = block;
    rz_store_f16(b->d, c->d);
    pack_nibbles(c->code, b->qs);
}

void rz_pack_iq4_xs(const struct rz_codes *c, void *block)
{
    struct rz_block_iq4_xs *b = block;
    unsigned scales_h = 0;
    memset(b->scales_l, 0, sizeof b->scales_l);
    for (int g = 0; g < 8; g++) {
        unsigned scale = (unsigned)(c->scale[g] + 32);
        b->scales_l[g / 2] = (uint8_t)(b->scales_l[g / 2] | (scale & 15) << (g % 2 * 4));
        scales_h |= scale >> 4 << (2 * g);
        pack_nibbles(c->code + 32 * g, b->qs + 16 * g);
    }
    b->scales_h[0] = (uint8_t)(scales_h & 0xFF);
    b->scales_h[1] = (uint8_t)(scales_h >> 8);
    rz_store_f16(b->d, c->d);
}
