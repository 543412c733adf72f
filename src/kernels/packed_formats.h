/* packed_formats.h - the packed formats as the matrix products take them: docs/packed.md in
 * numbers. Included once per level, after packed_block.h. */
#ifndef RZ_KERNELS_PACKED_FORMATS_H
#define RZ_KERNELS_PACKED_FORMATS_H

#include "kernels/packed_factors.h"

RZ_INLINE struct format format_q4_0(void)
{
    return (struct format){factors_d, codes_nibbles, 32, 288, 32, 256, kind_sym(15, 3, false)};
}

RZ_INLINE struct format format_q4_1(void)
{
    return (struct format){factors_dm, codes_nibbles, 32, 320, 64, 256, kind_min(15, false)};
}

RZ_INLINE struct format format_q5_0(void)
{
    return (struct format){factors_d, codes_5bit, 32, 352, 32, 320, kind_sym(31, 4, false)};
}

RZ_INLINE struct format format_q5_1(void)
{
    return (struct format){factors_dm, codes_5bit, 32, 384, 64, 320, kind_min(31, false)};
}

RZ_INLINE struct format format_q8_0(void)
{
    return (struct format){
        factors_d, codes_q8_0, 32, 544, 32, 512, kind_sym(255, SIGNED_SHIFT, false)};
}

RZ_INLINE struct format format_q2_k(void)
{
    return (struct format){factors_q2_k, codes_pairs, 256, 1344, 320, 128, kind_min(3, true)};
}

RZ_INLINE struct format format_q3_k(void)
{
    return (struct format){factors_q3_k, codes_q3_k, 256, 1760, 224, 192, kind_sym(7, 2, true)};
}

RZ_INLINE struct format format_q4_k(void)
{
    return (struct format){factors_q4_k, codes_nibbles, 256, 2304, 256, 256, kind_min(15, false)};
}

RZ_INLINE struct format format_q5_k(void)
{
    return (struct format){factors_q4_k, codes_5bit, 256, 2816, 256, 320, kind_min(31, false)};
}

RZ_INLINE struct format format_q6_k(void)
{
    return (struct format){factors_q6_k, codes_q6_k, 256, 3360, 288, 384, kind_sym(63, 5, true)};
}

RZ_INLINE struct format format_iq4_nl(void)
{
    return (struct format){
        factors_d, codes_iq4, 32, 288, 32, 256, kind_sym(255, SIGNED_SHIFT, false)};
}

RZ_INLINE struct format format_iq4_xs(void)
{
    return (struct format){
        factors_iq4_xs, codes_iq4, 256, 2176, 128, 256, kind_sym(255, SIGNED_SHIFT, false)};
}

#endif
