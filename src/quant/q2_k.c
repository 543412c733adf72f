/* q2_k.c - Q2_K: 256 columns, 2 bits each. Per 16 columns one byte: scale in the low, min in the
 * high nibble; w = d * scale * code - dmin * min. Each 32 bytes of qs hold 128 columns, column
 * 32 * j + i in bits 2j and 2j + 1 of byte i. */
#include "quant/blocks.h"
#include "quant/encode.h"

void rz_unpack_q2_k(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q2_k *b = block;
    float d = rz_load_f16(b->d), dmin = rz_load_f16(b->dmin);
    for (int i = 0; i < 16; i++) {
        out->scale[i] = d * (float)(b->scales[i] & 15);
        out->min[i] = dmin * (float)(b->scales[i] >> 4);
    }
    for (int i = 0; i < RZ_SUPERBLOCK; i++)
        out->q[i] = (int8_t)(b->qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3);
}

/* A loop that compilers make vector code of. */
static void pack_pairs(const uint8_t *restrict q, uint8_t *restrict qs)
{
    for (int i = 0; i < 32; i++)
        qs[i] = (uint8_t)(q[i] | q[32 + i] << 2 | q[64 + i] << 4 | q[96 + i] << 6);
}

void rz_pack_q2_k(const struct rz_codes *c, void *block)
{
    struct rz_block_q2_k *b = block;
    for (int i = 0; i < 16; i++)
        b->scales[i] = (uint8_t)(c->scale[i] | c->min[i] << 4);
    pack_pairs(c->code, b->qs);
    pack_pairs(c->code + 128, b->qs + 32);
    rz_store_f16(b->d, c->d);
    rz_store_f16(b->dmin, c->dmin);
}
