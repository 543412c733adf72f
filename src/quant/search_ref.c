/* search_ref.c - the search for any CPU, with 4 groups in a vector of the compiler's. */
#include "quant/search.h"

#include <math.h>

#define RZ_INLINE static inline __attribute__((always_inline))

enum {
    VEC_LANES = 4
};
typedef float vflt __attribute__((vector_size(16)));
typedef int32_t vmask __attribute__((vector_size(16)));

RZ_INLINE vflt vf_set1(float f)
{
    return (vflt){f, f, f, f};
}

RZ_INLINE vflt vf_load(const float *p)
{
    vflt v;
    memcpy(&v, p, sizeof v);
    return v;
}

RZ_INLINE void vf_store(float *p, vflt v)
{
    memcpy(p, &v, sizeof v);
}

RZ_INLINE vmask vf_less(vflt a, vflt b)
{
    return a < b;
}

/* m ? a : b */
RZ_INLINE vflt vf_pick(vmask m, vflt a, vflt b)
{
    return (vflt)((m & (vmask)a) | (~m & (vmask)b));
}

/* a < b ? a : b */
RZ_INLINE vflt vf_min(vflt a, vflt b)
{
    return vf_pick(a < b, a, b);
}

/* a > b ? a : b */
RZ_INLINE vflt vf_max(vflt a, vflt b)
{
    return vf_pick(a > b, a, b);
}

RZ_INLINE vflt vf_abs(vflt v)
{
    return (vflt)((vmask)v & 0x7FFFFFFF);
}

/* a of no sign, with the sign of b. */
RZ_INLINE vflt vf_signed(vflt a, vflt b)
{
    return (vflt)((vmask)a | ((vmask)b & INT32_MIN));
}

/* The largest power of two that is no larger than |v|, 0 of 0. */
RZ_INLINE vflt vf_power(vflt v)
{
    return (vflt)((vmask)v & 0x7F800000);
}

/* Lanes step away from each other, 1 or 2, exchanged. */
RZ_INLINE vflt vf_exchange(vflt v, uint32_t step)
{
    return step == 2 ? __builtin_shufflevector(v, v, 2, 3, 0, 1)
                     : __builtin_shufflevector(v, v, 1, 0, 3, 2);
}

/* Four columns' codes, as bytes of a word. */
RZ_INLINE void vf_store_codes(uint32_t *p, const vflt code[4])
{
    vmask words = {0};
    for (int k = 0; k < 4; k++)
        words |= __builtin_convertvector(code[k], vmask) << (8 * k);
    memcpy(p, &words, sizeof words);
}

/* Towards zero. */
RZ_INLINE vflt vf_trunc(vflt v)
{
    return __builtin_convertvector(__builtin_convertvector(v, vmask), vflt);
}

/* The nearest IQ4 level of v from -127 to 113. */
RZ_INLINE vflt vf_level(vflt v)
{
    vmask at = __builtin_convertvector(v * 2 + 254, vmask);
    const float *levels = rz_iq4_nearest_level;
    return (vflt){levels[at[0]], levels[at[1]], levels[at[2]], levels[at[3]]};
}

/* Its code. */
RZ_INLINE vflt vf_level_code(vflt v)
{
    vmask at = __builtin_convertvector(v * 2 + 254, vmask);
    const uint8_t *codes = rz_iq4_nearest;
    return (vflt){codes[at[0]], codes[at[1]], codes[at[2]], codes[at[3]]};
}

/* out[i][k] = in[k][i]; rows of stride, RZ_LANES floats. */
RZ_INLINE void vf_transpose(const float *in, size_t stride, float *out, size_t out_stride)
{
    for (size_t i = 0; i < VEC_LANES; i++)
        for (size_t k = 0; k < VEC_LANES; k++)
            out[i * out_stride + k] = in[k * stride + i];
}

#include "quant/search_simd.h"

void rz_search_ref(const struct rz_search *job, struct rz_codes *codes, struct rz_row_loss *loss)
{
    search_blocks(job, codes, loss);
}
