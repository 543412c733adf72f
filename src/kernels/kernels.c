/* kernels.c - fills the kernel table, level by level. */
#include "kernels/kernels.h"

#include "base/cpu.h"
#include "kernels/levels.h"

void rz_kernels_init(struct rz_kernels *k, unsigned cpu_flags)
{
    *k = (struct rz_kernels){.cpu_flags = cpu_flags};
    rz_kernels_matmul_ref(k);
    rz_kernels_rows_ref(k);
    rz_kernels_attend_ref(k);
    if (cpu_flags & RZ_CPU_AVX2) {
        rz_kernels_matmul_avx2(k);
        rz_kernels_rows_avx2(k);
        rz_kernels_attend_avx2(k);
    }
    if (cpu_flags & RZ_CPU_AVX512) {
        rz_kernels_matmul_avx512(k);
        rz_kernels_rows_avx512(k);
        rz_kernels_attend_avx512(k);
    }
    if (cpu_flags & RZ_CPU_AVX512_BF16)
        rz_kernels_matmul_avx512bf16(k);
    if (cpu_flags & RZ_CPU_AMX)
        rz_kernels_matmul_amx(k);
}
