/* encode.h - what the encoders share: the codes of a block before they are packed, and the searches
 * that choose them. Invariant: d and dmin are binary16 values when a block is packed.
 *
 * Every type's grid is   w = d * scale[g] * level(code) - dmin * min[g]   for the groups g of a
 * block. A search fills struct rz_codes; the type's pack function only places bits. */
#ifndef RZ_QUANT_ENCODE_H
#define RZ_QUANT_ENCODE_H

#include "quant/blocks.h"

#include <string.h>

/* The numbers of one block. Types without a scale per group have scale[0] = 1; types without a
 * min leave dmin and min unread. */
struct rz_codes {
    float d, dmin;
    int16_t scale[16]; /* signed, as it multiplies d */
    uint8_t min[16];
    uint8_t code[RZ_SUPERBLOCK]; /* as stored: 0 ... 2^bits - 1 */
};

/* Bit `bit` of the codes of 256 columns: that of column 32 g + i is bit g of to[i]. */
static inline void rz_pack_high_bits(const uint8_t *restrict code, int bit, uint8_t to[restrict 32])
{
    uint8_t bits[32] = {0};
    for (int g = 0; g < 8; g++, code += 32)
        for (int i = 0; i < 32; i++)
            bits[i] = (uint8_t)(bits[i] | (code[i] >> bit & 1) << g);
    memcpy(to, bits, sizeof bits);
}

typedef void rz_pack_fn(const struct rz_codes *codes, void *block);

rz_pack_fn rz_pack_q4_0, rz_pack_q4_1, rz_pack_q5_0, rz_pack_q5_1, rz_pack_q8_0, rz_pack_q2_k,
    rz_pack_q3_k, rz_pack_q4_k, rz_pack_q5_k, rz_pack_q6_k, rz_pack_iq4_nl, rz_pack_iq4_xs;

#endif
