/* q3_k.c - Q3_K: 256 columns, 3 bits each: two as in Q2_K, the third of column 32 * j + i in bit j
 * of hmask byte i; w = d * (scale - 32) * (code - 4). The 16 scales have 6 bits: scale i has its
 * low four in the low (i < 8) or high nibble of byte i % 8, its high two in byte 8 + i % 4 at bit
 * i / 4 * 2. */
#include "quant/blocks.h"
#include "quant/encode.h"

void rz_unpack_q3_k(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q3_k *b = block;
    float d = rz_load_f16(b->d);
    for (int i = 0; i < 16; i++) {
        int low = b->scales[i % 8] >> (i / 8 * 4) & 15;
        int high = b->scales[8 + i % 4] >> (i / 4 * 2) & 3;
        out->scale[i] = d * (float)((low | high << 4) - 32);
        out->min[i] = 0;
    }
    for (int i = 0; i < RZ_SUPERBLOCK; i++) {
        int low = b->qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        int high = b->hmask[i % 32] >> (i / 32) & 1;
        out->q[i] = (int8_t)((low | high << 2) - 4);
    }
}

/* Loops that compilers make vector code of. */
static void pack_pairs(const uint8_t *restrict q, uint8_t *restrict qs)
{
    for (int i = 0; i < 32; i++)
        qs[i] = (uint8_t)((q[i] & 3) | (q[32 + i] & 3) << 2 | (q[64 + i] & 3) << 4 |
                          (q[96 + i] & 3) << 6);
}

void rz_pack_q3_k(const struct rz_codes *c, void *block)
{
    struct rz_block_q3_k *b = block;
    memset(b, 0, sizeof *b);
    for (int i = 0; i < 16; i++) {
        int scale = c->scale[i] + 32;
        uint8_t *low = &b->scales[i % 8], *high = &b->scales[8 + i % 4];
        *low = (uint8_t)(*low | (scale & 15) << (i / 8 * 4));
        *high = (uint8_t)(*high | scale >> 4 << (i / 4 * 2));
    }
    pack_pairs(c->code, b->qs);
    pack_pairs(c->code + 128, b->qs + 32);
    rz_pack_high_bits(c->code, 2, b->hmask);
    rz_store_f16(b->d, c->d);
}
