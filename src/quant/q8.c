/* q8.c - Q8_0: 32 columns, one signed byte each; w = d * q. A file may hold -128; encode does not
 * produce it. */
#include "quant/blocks.h"
#include "quant/encode.h"

#include <math.h>

void rz_unpack_q8_0(const void *block, struct rz_int_block *out)
{
    const struct rz_block_q8_0 *b = block;
    memcpy(out->q, b->qs, sizeof b->qs);
    rz_set_scale32(out, 0, rz_load_f16(b->d), 0);
}

/* Rounds half away from zero. */
void rz_encode_q8_0(const float *in, void *blocks, size_t n)
{
    struct rz_block_q8_0 *b = blocks;
    for (; n >= RZ_BLOCK32; n -= RZ_BLOCK32, in += RZ_BLOCK32, b++) {
        float max = 0;
        for (int i = 0; i < RZ_BLOCK32; i++)
            max = fabsf(in[i]) > max ? fabsf(in[i]) : max;
        float d = rz_limit_f16(max / 127), inv = d != 0 ? 1 / d : 0;
        rz_store_f16(b->d, d);
        for (int i = 0; i < RZ_BLOCK32; i++) {
            float v = roundf(in[i] * inv);
            v = v < 127 ? v : 127;
            b->qs[i] = (int8_t)(v > -127 ? v : -127);
        }
    }
}

void rz_pack_q8_0(const struct rz_codes *c, void *block)
{
    struct rz_block_q8_0 *b = block;
    rz_store_f16(b->d, c->d);
    for (int i = 0; i < RZ_BLOCK32; i++)
        b->qs[i] = (int8_t)(c->code[i] - 127);
}
