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

RZ_INLINE vflt vf_sqrt(vflt v)
{
    return (vflt){sqrtf(v[0]), sqrtf(v[1]), sqrtf(v[2]), sqrtf(v[3])};
}

/* Towards zero. */
RZ_INLINE void vf_store_int(int32_t *p, vflt v)
{
    vmask i = __builtin_convertvector(v, vmask);
    memcpy(p, &i, sizeof i);
}

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

#include "quant/search_simd.h"

void rz_search_ref(const struct rz_grid *grid, const float *in, const float *importance,
                   size_t n_blocks, struct rz_codes *codes)
{
    search_blocks(grid, in, importance, n_blocks, codes);
}
