/* q6_k.c - Q6_K: 256 columns, 6 bits each, a signed 8-bit scale per 16; w = d * scale * (code -
 * 32). Per half of 128 columns, column 32 * j + i: the low four bits in byte i + 32 * (j % 2) of
 * the half's 64 ql bytes (low nibble for j < 2), the high two at bit 2j of byte i of its 32 qh
 * bytes. */
#include "quant/blocks.h"
#include "quant/encode.h"

void rz_unpack_q6_k(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q6_k *b = block;
    float d = rz_load_f16(b->d);
    for (int i = 0; i < 16; i++) {
        out->scale[i] = d * (float)b->scales[i];
        out->min[i] = 0;
    }
    for (int i = 0; i < RZ_SUPERBLOCK; i++) {
        int half = i / 128, j = i % 128 / 32, col = i % 32;
        int low = b->ql[64 * half + 32 * (j % 2) + col] >> (j / 2 * 4) & 15;
        int high = b->qh[32 * half + col] >> (2 * j) & 3;
        out->q[i] = (int8_t)((low | high << 4) - 32);
    }
}

void rz_pack_q6_k(const struct rz_codes *c, void *block)
{
    struct rz_block_q6_k *b = block;
    memset(b, 0, sizeof *b);
    for (int i = 0; i < 16; i++)
        b->scales[i] = (int8_t)c->scale[i];
    for (int i = 0; i < RZ_SUPERBLOCK; i++) {
        int half = i / 128, j = i % 128 / 32, col = i % 32;
        uint8_t *low = &b->ql[64 * half + 32 * (j % 2) + col], *high = &b->qh[32 * half + col];
        *low = (uint8_t)(*low | (c->code[i] & 15) << (j / 2 * 4));
        *high = (uint8_t)(*high | c->code[i] >> 4 << (2 * j));
    }
    rz_store_f16(b->d, c->d);
}
