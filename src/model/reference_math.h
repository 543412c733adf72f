/* reference_math.h - sizes of rounding errors, as standard deviations. A hard limit counts as
 * RZ_REF_SIGMAS of them, so that limits and random errors add up in one number. */
#ifndef RZ_MODEL_REFERENCE_MATH_H
#define RZ_MODEL_REFERENCE_MATH_H

#include "model/reference.h"

#include <math.h>

/* An error of at most ulps units in the last place of float32 at this magnitude. */
static inline double ref_float_sigma(double ulps, double magnitude)
{
    return ulps * 0x1p-23 * fabs(magnitude) / RZ_REF_SIGMAS;
}

/* Units in the last place, relative to the sum of |terms|, by which a float32 sum of n terms in 16
 * lanes may be off: 4 for the products and the last additions, and a random walk of n / 16 steps of
 * half a unit. */
static inline double ref_sum_ulps(double n)
{
    return 4 + sqrt(n) / 8;
}

/* Rounding to binary16, uniform in half a unit: 2^-11 relative, 2^-25 absolute below 2^-14. */
static inline double ref_f16_sigma(double x)
{
    return fmax(fabs(x) * 0x1p-11, 0x1p-25) / sqrt(3);
}

/* Standard deviation of what a matrix product's activation x loses before it is multiplied, in a
 * block whose largest magnitude is max: 8-bit integers in steps of max / 127 where the weights are
 * quantized; bfloat16 for bfloat16 weights (AVX-512 BF16 and AMX take both factors so). */
static inline double ref_act_sigma(rz_dtype weights, double x, double max)
{
    if (weights == RZ_F32 || weights == RZ_F16)
        return 0;
    if (weights == RZ_BF16)
        return fabs(x) * 0x1p-9 / sqrt(3);
    return max / 127 / sqrt(12);
}

#endif
