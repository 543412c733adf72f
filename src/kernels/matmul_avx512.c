/* matmul_avx512.c - the matrix products of matmul_simd.h and matmul_float_simd.h in AVX-512. */
#include "kernels/dot_avx512.h"
#include "kernels/levels.h"
#include "kernels/vec_avx512_float.h"

#include "kernels/matmul_float_simd.h"
#include "kernels/matmul_simd.h"

void rz_kernels_matmul_avx512(struct rz_kernels *k)
{
    set_matmul_quantized(k);
    set_matmul_float(k);
}
