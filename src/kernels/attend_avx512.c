/* attend_avx512.c - the attention of attend_simd.h in AVX-512. */
#include "kernels/levels.h"
#include "kernels/vec_avx512_float.h"

#include "kernels/attend_simd.h"

void rz_kernels_attend_avx512(struct rz_kernels *k)
{
    set_attend(k);
}
