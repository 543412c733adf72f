/* rows_avx512.c - the row operations of rows_simd.h in AVX-512. */
#include "kernels/levels.h"
#include "kernels/vec_avx512_float.h"

#include "kernels/rows_simd.h"

void rz_kernels_rows_avx512(struct rz_kernels *k)
{
    set_rows(k);
}
