/* matvec_avx512.c - the products with one row of matvec_simd.h in AVX2 with AVX-512 VNNI. */
#include "kernels/dot256_avx512.h"
#include "kernels/levels.h"
#include "kernels/vec_avx2_float.h"

#include "kernels/matvec_simd.h"

rz_matmul_fn *const rz_matvec_avx512[RZ_N_DTYPES] = {
    [RZ_Q4_0] = matvec_q4_0, [RZ_Q4_1] = matvec_q4_1,     [RZ_Q5_0] = matvec_q5_0,
    [RZ_Q5_1] = matvec_q5_1, [RZ_Q8_0] = matvec_q8_0,     [RZ_Q2_K] = matvec_q2_k,
    [RZ_Q3_K] = matvec_q3_k, [RZ_Q4_K] = matvec_q4_k,     [RZ_Q5_K] = matvec_q5_k,
    [RZ_Q6_K] = matvec_q6_k, [RZ_IQ4_NL] = matvec_iq4_nl, [RZ_IQ4_XS] = matvec_iq4_xs,
};
