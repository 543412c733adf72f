/* q4_k.c - Q4_K and Q5_K: 256 columns in eight groups of 32, each with a 6-bit scale and min:
 * w = d * scale * code - dmin * min. Each 32 bytes of qs hold two groups, the even one in the low
 * nibbles. Q5_K's fifth bit of column 32 * g + i is bit g of qh byte i.
 * The 12 bytes of scales: groups 0-3 in the low 6 bits of bytes 0-3 (scale) and 4-7 (min); groups
 * 4-7 have their low four bits in bytes 8-11 (scale in the low nibble) and their high two in the
 * top of bytes 0-3 and 4-7. */
#include "quant/blocks.h"
#include "quant/encode.h"

static void unpack_scales(const uint8_t s[12], float d, float dmin, struct rz_int_block *out)
{
    for (int g = 0; g < 8; g++) {
        int scale = s[g % 4] & 63, min = s[4 + g % 4] & 63;
        if (g >= 4) {
            scale = (s[4 + g] & 15) | s[g - 4] >> 6 << 4;
            min = s[4 + g] >> 4 | s[g] >> 6 << 4;
        }
        rz_set_scale32(out, (unsigned)g * 32, d * (float)scale, dmin * (float)min);
    }
}

void rz_unpack_q4_k(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q4_k *b = block;
    unpack_scales(b->scales, rz_load_f16(b->d), rz_load_f16(b->dmin), out);
    for (int i = 0; i < RZ_SUPERBLOCK; i++)
        out->q[i] = (int8_t)(b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15);
}

void rz_unpack_q5_k(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q5_k *b = block;
    unpack_scales(b->scales, rz_load_f16(b->d), rz_load_f16(b->dmin), out);
    for (int i = 0; i < RZ_SUPERBLOCK; i++) {
        int low = b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
        int high = b->qh[i % 32] >> (i / 32) & 1;
        out->q[i] = (int8_t)(low | high << 4);
    }
}

static void pack_scales(const struct rz_codes *c, uint8_t s[12])
{
    for (int g = 0; g < 4; g++) {
        int scale = c->scale[g + 4], min = c->min[g + 4];
        s[g] = (uint8_t)(c->scale[g] | scale >> 4 << 6);
        s[4 + g] = (uint8_t)(c->min[g] | min >> 4 << 6);
        s[8 + g] = (uint8_t)((scale & 15) | (min & 15) << 4);
    }
}

/* Loops whose inner ones compilers make vector code of. */
static void pack_low_nibbles(const uint8_t *restrict code, uint8_t *restrict qs)
{
    for (int g = 0; g < 4; g++, code += 64, qs += 32)
        for (int i = 0; i < 32; i++)
            qs[i] = (uint8_t)((code[i] & 15) | (code[32 + i] & 15) << 4);
}

void rz_pack_q4_k(const struct rz_codes *c, void *block)
{
    struct rz_block_q4_k *b = block;
    rz_store_f16(b->d, c->d);
    rz_store_f16(b->dmin, c->dmin);
    pack_scales(c, b->scales);
    pack_low_nibbles(c->code, b->qs);
}

void rz_pack_q5_k(const struct rz_codes *c, void *block)
{
    struct rz_block_q5_k *b = block;
    rz_store_f16(b->d, c->d);
    rz_store_f16(b->dmin, c->dmin);
    pack_scales(c, b->scales);
    pack_low_nibbles(c->code, b->qs);
    rz_pack_high_bits(c->code, 4, b->qh);
}
