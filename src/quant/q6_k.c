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
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = b->ql + 64 * half, *qh = b->qh + 32 * half;
        int8_t *q = out->q + 128 * half;
        for (int i = 0; i < 32; i++) {
            q[i] = (int8_t)(((ql[i] & 15) | (qh[i] & 3) << 4) - 32);
            q[32 + i] = (int8_t)(((ql[32 + i] & 15) | (qh[i] >> 2 & 3) << 4) - 32);
            q[64 + i] = (int8_t)((ql[i] >> 4 | (qh[i] >> 4 & 3) << 4) - 32);
            q[96 + i] = (int8_t)((ql[32 + i] >> 4 | qh[i] >> 6 << 4) - 32);
        }
    }
}

/* Loops that compilers make vector code of. */
static void pack_half(const uint8_t *restrict q, uint8_t *restrict ql, uint8_t *restrict qh)
{
    for (int i = 0; i < 32; i++) {
        ql[i] = (uint8_t)((q[i] & 15) | (q[64 + i] & 15) << 4);
        ql[32 + i] = (uint8_t)((q[32 + i] & 15) | (q[96 + i] & 15) << 4);
    }
    for (int i = 0; i < 32; i++)
        qh[i] = (uint8_t)((q[i] >> 4 | (q[32 + i] & 0x30) >> 2) |
                          ((q[64 + i] & 0x30) | (q[96 + i] & 0x30) << 2));
}

void rz_pack_q6_k(const struct rz_codes *c, void *block)
{
    struct rz_block_q6_k *b = block;
    for (int i = 0; i < 16; i++)
        b->scales[i] = (int8_t)c->scale[i];
    for (int half = 0; half < 2; half++)
        pack_half(c->code + 128 * half, b->ql + 64 * half, b->qh + 32 * half);
    rz_store_f16(b->d, c->d);
}
