/* attend_avx2.c - the attention of attend_simd.h in AVX2. */
#include "kernels/levels.h"
#include "kernels/vec_avx2_float.h"

#include "kernels/attend_simd.h"

void rz_kernels_attend_avx2(struct rz_kernels *k)
{
    set_attend(k);
}
