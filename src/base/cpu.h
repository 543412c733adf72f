/* cpu.h - what this CPU can do, decided once at run time. */
#ifndef RZ_BASE_CPU_H
#define RZ_BASE_CPU_H

#include <stdint.h>

/* Levels are cumulative in the kernels' tables but flags here are independent. */
enum rz_cpu_flag {
    RZ_CPU_AVX2 = 1,   /* AVX2, FMA, F16C, BMI2 */
    RZ_CPU_AVX512 = 2, /* F, BW, DQ, VL, VNNI */
    RZ_CPU_AVX512_BF16 = 4,
    RZ_CPU_AMX = 8, /* TILE, INT8, BF16, eight tiles of 1 KiB, and the kernel granted their state */
    RZ_CPU_ALL = 15,
    RZ_CPU_AMX_FAULTY = 16 /* not detected: kernels that tried the tile unit say so, for the name */
};

/* The flags of this CPU, AND mask. A flag is set only if the operating system saves the registers
 * too. AVX512 without AVX2 (by mask) is cleared, AMX and BF16 without AVX512 likewise. */
unsigned rz_cpu_detect(unsigned mask);

/* "avx512+bf16", "avx2", "scalar" ... static string of the highest levels; says so if a unit was
 * found faulty. */
const char *rz_cpu_level_name(unsigned flags);

/* Parses "scalar", "avx2", "avx512", "amx" (that level and below) to a mask; 0 on success. */
int rz_cpu_parse_level(const char *text, unsigned *mask);

/* CPUs this process may run on (affinity and cgroup quota respected), at least 1. */
unsigned rz_cpu_count(void);

#endif
