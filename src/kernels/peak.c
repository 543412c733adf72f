/* peak.c - chooses the peak loops, level by level, as kernels.c does. */
#include "kernels/peak.h"

#include "base/cpu.h"

void rz_peaks_init(struct rz_peaks *p, unsigned cpu_flags)
{
    *p = (struct rz_peaks){0};
    rz_peaks_ref(p);
    if (cpu_flags & RZ_CPU_AVX2)
        rz_peaks_avx2(p);
    if (cpu_flags & RZ_CPU_AVX512)
        rz_peaks_avx512(p);
    if (cpu_flags & RZ_CPU_AVX512_BF16)
        rz_peaks_avx512bf16(p);
    if (cpu_flags & RZ_CPU_AMX)
        rz_peaks_amx(p);
}
