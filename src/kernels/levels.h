/* levels.h - what each file of slots does to the table; called by rz_kernels_init in this order. */
#ifndef RZ_KERNELS_LEVELS_H
#define RZ_KERNELS_LEVELS_H

#include "kernels/kernels.h"

/* The references: scalar, sums in double. They fill every slot between them. */
void rz_kernels_matmul_ref(struct rz_kernels *k);
void rz_kernels_rows_ref(struct rz_kernels *k);
void rz_kernels_attend_ref(struct rz_kernels *k);

void rz_kernels_matmul_avx2(struct rz_kernels *k);
void rz_kernels_rows_avx2(struct rz_kernels *k);
void rz_kernels_attend_avx2(struct rz_kernels *k);

void rz_kernels_matmul_avx512(struct rz_kernels *k);
void rz_kernels_rows_avx512(struct rz_kernels *k);
void rz_kernels_attend_avx512(struct rz_kernels *k);

void rz_kernels_matmul_avx512bf16(struct rz_kernels *k);

/* Tries the tile unit first: if it is not as it should be, k->cpu_flags gets RZ_CPU_AMX_FAULTY for
 * RZ_CPU_AMX, and nothing else changes. */
void rz_kernels_matmul_amx(struct rz_kernels *k);

#endif
