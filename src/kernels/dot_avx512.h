/* dot_avx512.h - integer dot products with AVX-512 VNNI: vpdpbusd takes unsigned codes and adds
 * four products to a lane without saturation. */
#ifndef RZ_KERNELS_DOT_AVX512_H
#define RZ_KERNELS_DOT_AVX512_H

#include "kernels/kernels.h"
#include "kernels/vec_avx512.h"

enum {
    DOT_TOKENS = 4, /* rows of x whose dots are taken step by step, at most */
    DOT_STEP = 2    /* of more rows than that: measured, 2 % faster than four */
};

/* Of int8_t, as one operand. */
typedef int32_t four_bytes __attribute__((may_alias));

/* d + four products. The broadcast is part of the instruction, which compilers undo: 366 instead of
 * 374 GFLOP/s (Zen 4, from the L1 cache, where 378 is what the multiplications take). */
RZ_INLINE vint dot_bcast(vint d, vint code, const int8_t *x)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(d)
            : "v"(code), "m"(*(const four_bytes *)(const void *)x));
    return d;
}

/* Of n rows of x, a block apart: d[t] + the products of n_codes * 4 columns' codes, unsigned bytes,
 * with the numbers at row t: exact (the sum of 4 products is below 2^18). */
RZ_INLINE void vi_dots(vint *d, int n, const vint *code, int n_codes, const int8_t *x, int max_code)
{
    (void)max_code;
    RZ_UNROLL
    for (int g = 0; g < n_codes; g++) {
        RZ_UNROLL
        for (int t = 0; t < n; t++)
            d[t] = dot_bcast(d[t], code[g], x + t * RZ_ACT_BLOCK + 4 * g);
    }
}

#endif
