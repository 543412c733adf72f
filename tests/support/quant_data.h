/* quant_data.h - seeded weights to encode, the same on every machine: sums of uniforms instead of
 * logarithms and cosines. */
#ifndef RZ_TESTS_SUPPORT_QUANT_DATA_H
#define RZ_TESTS_SUPPORT_QUANT_DATA_H

#include "base/rng.h"

#include <math.h>
#include <stddef.h>

enum quant_data {
    QUANT_NORMAL,
    QUANT_HEAVY,   /* Student's t with 3 degrees of freedom */
    QUANT_OUTLIERS /* normal, one in a hundred ten times as large */
};

/* Nearly normal: the sum of twelve uniforms (Irwin-Hall), mean 0, deviation 1. */
static inline double quant_normal(struct rz_rng *rng)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += rz_rng_unit(rng);
    return sum;
}

static inline void quant_fill(enum quant_data kind, struct rz_rng *rng, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v = quant_normal(rng), chi2 = 0;
        for (int k = 0; kind == QUANT_HEAVY && k < 3; k++) {
            double g = quant_normal(rng);
            chi2 += g * g;
        }
        if (kind == QUANT_HEAVY)
            v /= sqrt(chi2 / 3);
        if (kind == QUANT_OUTLIERS && rz_rng_below(rng, 100) == 0)
            v *= 10;
        out[i] = (float)(0.02 * v);
    }
}

/* Importance per column, spread over about three orders of magnitude. */
static inline void quant_importance(struct rz_rng *rng, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)ldexp(1 + rz_rng_unit(rng), (int)rz_rng_below(rng, 10) - 5);
}

#endif
