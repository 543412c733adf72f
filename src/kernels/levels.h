/* levels.h - what each file of slots does to the table; called by rz_kernels_init in this order. */
#ifndef RZ_KERNELS_LEVELS_H
#define RZ_KERNELS_LEVELS_H

#include "kernels/kernels.h"

/* The references: scalar, sums in double. They fill every slot between them. */
void rz_kernels_matmul_ref(struct rz_kernels *k);
void rz_kernels_rows_ref(struct rz_kernels *k);
void rz_kernels_attend_ref(struct rz_kernels *k);

/* Products with one row of x, by dtype; NULL for the float types. */
extern rz_matmul_fn *const rz_matvec_avx2[RZ_N_DTYPES], *const rz_matvec_avx512[RZ_N_DTYPES];

/* For heads larger than a level's own loop takes. */
rz_attend_fn rz_attend_f32_ref, rz_attend_f16_ref;

void rz_kernels_matmul_avx2(struct rz_kernels *k);
void rz_kernels_rows_avx2(struct rz_kernels *k);
void rz_kernels_attend_avx2(struct rz_kernels *k);

void rz_kernels_matmul_avx512(struct rz_kernels *k);
void rz_kernels_rows_avx512(struct rz_kernels *k);
void rz_kernels_attend_avx512(struct rz_kernels *k);

#endif
