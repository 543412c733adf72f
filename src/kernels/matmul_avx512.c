/* matmul_avx512.c - the matrix products of matmul_simd.h and matmul_float_simd.h in AVX-512, and
 * those of many rows of x by pairs. */
#include "kernels/dot_avx512.h"
#include "kernels/levels.h"
#include "kernels/vec_avx512_float.h"

#include "kernels/matmul_float_simd.h"
#include "kernels/matmul_pairs_avx512.h"
#include "kernels/matmul_simd.h"

enum {
    PAIRS_FROM = 2 * MAX_TOKENS /* rows of x that are worth the panels */
};

static void matmul_q4_k_pairs(const struct rz_matmul_args *a)
{
    if (a->x->n_rows < PAIRS_FROM)
        matmul_q4_k(a);
    else
        matmul_pairs(a, format_q4_k(), matmul_q4_k);
}

void rz_kernels_matmul_avx512(struct rz_kernels *k)
{
    set_matmul_quantized(k);
    k->matmul_packed[RZ_Q4_K] = matmul_q4_k_pairs;
    set_matmul_float(k);
}
