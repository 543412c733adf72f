/* q4.c - Q4_0 and Q4_1: 32 columns, 4 bits each. Byte i holds column i in its low and column
 * i + 16 in its high nibble. Q4_0: w = d * (code - 8). Q4_1: w = d * code + m. */
#include "quant/blocks.h"
#include "quant/encode.h"

#include <math.h>

static void unpack_nibbles(const uint8_t qs[16], int8_t *q, int offset)
{
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)((qs[i] & 15) - offset);
        q[i + 16] = (int8_t)((qs[i] >> 4) - offset);
    }
}

void rz_unpack_q4_0(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q4_0 *b = block;
    unpack_nibbles(b->qs, out->q, 8);
    rz_set_scale32(out, 0, rz_load_f16(b->d), 0);
}

void rz_unpack_q4_1(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q4_1 *b = block;
    unpack_nibbles(b->qs, out->q, 0);
    rz_set_scale32(out, 0, rz_load_f16(b->d), -rz_load_f16(b->m));
}

/* The scale maps the element of largest magnitude to code 0, exactly. */
void rz_encode_q4_0(const float *in, void *blocks, size_t n)
{
    struct rz_block_q4_0 *b = blocks;
    for (; n >= RZ_BLOCK32; n -= RZ_BLOCK32, in += RZ_BLOCK32, b++) {
        float extreme = 0;
        for (int i = 0; i < RZ_BLOCK32; i++)
            extreme = fabsf(in[i]) > fabsf(extreme) ? in[i] : extreme;
        float d = rz_limit_f16(extreme / -8), inv = d != 0 ? 1 / d : 0;
        rz_store_f16(b->d, d);
        for (int i = 0; i < 16; i++) {
            unsigned lo = rz_trunc_code(in[i] * inv + 8.5f, 15);
            unsigned hi = rz_trunc_code(in[i + 16] * inv + 8.5f, 15);
            b->qs[i] = (uint8_t)(lo | hi << 4);
        }
    }
}

void rz_encode_q4_1(const float *in, void *blocks, size_t n)
{
    struct rz_block_q4_1 *b = blocks;
    for (; n >= RZ_BLOCK32; n -= RZ_BLOCK32, in += RZ_BLOCK32, b++) {
        float min = in[0], max = in[0];
        for (int i = 1; i < RZ_BLOCK32; i++) {
            min = in[i] < min ? in[i] : min;
            max = in[i] > max ? in[i] : max;
        }
        float d = rz_limit_f16((max - min) / 15), inv = d != 0 ? 1 / d : 0;
        rz_store_f16(b->d, d);
        rz_store_f16(b->m, rz_limit_f16(min));
        for (int i = 0; i < 16; i++) {
            unsigned lo = rz_trunc_code((in[i] - min) * inv + 0.5f, 15);
            unsigned hi = rz_trunc_code((in[i + 16] - min) * inv + 0.5f, 15);
            b->qs[i] = (uint8_t)(lo | hi << 4);
        }
    }
}

static void pack_nibbles(const uint8_t *restrict code, uint8_t *restrict qs)
{
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)(code[i] | code[i + 16] << 4);
}

void rz_pack_q4_0(const struct rz_codes *c, void *block)
{
    struct rz_block_q4_0 *b = block;
    rz_store_f16(b->d, c->d);
    pack_nibbles(c->code, b->qs);
}

void rz_pack_q4_1(const struct rz_codes *c, void *block)
{
    struct rz_block_q4_1 *b = block;
    rz_store_f16(b->d, c->d);
    rz_store_f16(b->m, -c->dmin);
    pack_nibbles(c->code, b->qs);
}
