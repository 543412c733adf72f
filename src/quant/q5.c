/* q5.c - Q5_0 and Q5_1: 32 columns, 5 bits each: the low four as in Q4, the fifth of column i in
 * bit i of the little-endian word qh. Q5_0: w = d * (code - 16). Q5_1: w = d * code + m. */
#include "quant/blocks.h"
#include "quant/encode.h"

#include <math.h>

static void unpack5(const uint8_t qs[16], const uint8_t qh[4], int8_t *q, int offset)
{
    for (int i = 0; i < 16; i++) {
        int lo = (qs[i] & 15) | (qh[i / 8] >> (i % 8) & 1) << 4;
        int hi = (qs[i] >> 4) | (qh[2 + i / 8] >> (i % 8) & 1) << 4;
        q[i] = (int8_t)(lo - offset);
        q[i + 16] = (int8_t)(hi - offset);
    }
}

void rz_unpack_q5_0(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q5_0 *b = block;
    unpack5(b->qs, b->qh, out->q, 16);
    rz_set_scale32(out, 0, rz_load_f16(b->d), 0);
}

void rz_unpack_q5_1(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q5_1 *b = block;
    unpack5(b->qs, b->qh, out->q, 0);
    rz_set_scale32(out, 0, rz_load_f16(b->d), -rz_load_f16(b->m));
}

/* The fifth bits: of eight codes in a word, gathered by a product. */
static void pack5(const uint8_t *restrict code, uint8_t *restrict qs, uint8_t qh[4])
{
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)((code[i] & 15) | (code[i + 16] & 15) << 4);
    for (int k = 0; k < 4; k++) {
        uint64_t word;
        memcpy(&word, code + 8 * k, sizeof word);
        word = word >> 4 & 0x0101010101010101u;
        qh[k] = (uint8_t)(word * 0x0102040810204080u >> 56);
    }
}

void rz_encode_q5_0(const float *in, void *blocks, size_t n)
{
    struct rz_block_q5_0 *b = blocks;
    for (; n >= RZ_BLOCK32; n -= RZ_BLOCK32, in += RZ_BLOCK32, b++) {
        float extreme = 0;
        for (int i = 0; i < RZ_BLOCK32; i++)
            extreme = fabsf(in[i]) > fabsf(extreme) ? in[i] : extreme;
        float d = rz_limit_f16(extreme / -16), inv = d != 0 ? 1 / d : 0;
        uint8_t code[RZ_BLOCK32];
        for (int i = 0; i < RZ_BLOCK32; i++)
            code[i] = rz_trunc_code(in[i] * inv + 16.5f, 31);
        rz_store_f16(b->d, d);
        pack5(code, b->qs, b->qh);
    }
}

void rz_encode_q5_1(const float *in, void *blocks, size_t n)
{
    struct rz_block_q5_1 *b = blocks;
    for (; n >= RZ_BLOCK32; n -= RZ_BLOCK32, in += RZ_BLOCK32, b++) {
        float min = in[0], max = in[0];
        for (int i = 1; i < RZ_BLOCK32; i++) {
            min = in[i] < min ? in[i] : min;
            max = in[i] > max ? in[i] : max;
        }
        float d = rz_limit_f16((max - min) / 31), inv = d != 0 ? 1 / d : 0;
        uint8_t code[RZ_BLOCK32];
        for (int i = 0; i < RZ_BLOCK32; i++)
            code[i] = rz_trunc_code((in[i] - min) * inv + 0.5f, 31);
        rz_store_f16(b->d, d);
        rz_store_f16(b->m, rz_limit_f16(min));
        pack5(code, b->qs, b->qh);
    }
}

void rz_pack_q5_0(const struct rz_codes *c, void *block)
{
    struct rz_block_q5_0 *b = block;
    rz_store_f16(b->d, c->d);
    pack5(c->code, b->qs, b->qh);
}

void rz_pack_q5_1(const struct rz_codes *c, void *block)
{
    struct rz_block_q5_1 *b = block;
    rz_store_f16(b->d, c->d);
    rz_store_f16(b->m, -c->dmin);
    pack5(c->code, b->qs, b->qh);
}
