/* rows_avx2.c - the row operations of rows_simd.h in AVX2. */
#include "kernels/levels.h"
#include "kernels/vec_avx2_float.h"

#include "kernels/rows_simd.h"

void rz_kernels_rows_avx2(struct rz_kernels *k)
{
    set_rows(k);
}
