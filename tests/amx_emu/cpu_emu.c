/* cpu_emu.c - stands before rz_cpu_detect (linked with --wrap): a CPU with AVX-512 BF16 also has
 * AMX, which matmul_amx.c and peak_amx.c, compiled with this folder's tile_amx.h, find emulated. */
#include "base/cpu.h"

unsigned __real_rz_cpu_detect(unsigned mask);
unsigned __wrap_rz_cpu_detect(unsigned mask);

unsigned __wrap_rz_cpu_detect(unsigned mask)
{
    const unsigned flags = __real_rz_cpu_detect(mask);
    return flags | (flags & RZ_CPU_AVX512_BF16 ? mask & RZ_CPU_AMX : 0);
}
