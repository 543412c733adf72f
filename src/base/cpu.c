/* cpu.c - CPUID, XGETBV and affinity. Flags are set only where the register state is enabled
 * (Intel SDM volume 1, chapters 13 and 14). */
#include "base/cpu.h"

#include <cpuid.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    XCR0_AVX = 0x6,     /* XMM, YMM */
    XCR0_AVX512 = 0xE6, /* and opmask, ZMM_Hi256, Hi16_ZMM */
    XCR0_AMX = 0x60000, /* TILECFG, TILEDATA */
    ARCH_REQ_XCOMP_PERM = 0x1023,
    XFEATURE_TILEDATA = 18
};

#ifndef RZ_CPU_CEILING
#define RZ_CPU_CEILING RZ_CPU_ALL
#endif

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool has_all(uint32_t reg, uint32_t bits)
{
    return (reg & bits) == bits;
}

/* CPUID leaf 1DH: whether palette 1 has eight tiles of 16 rows of 64 bytes. */
static bool has_whole_tiles(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid_count(0x1D, 0, &a, &b, &c, &d) || a < 1)
        return false;
    __cpuid_count(0x1D, 1, a, b, c, d);
    return a >> 16 >= 1024 && (b & 0xFFFF) >= 64 && b >> 16 >= 8 && (c & 0xFFFF) >= 16;
}

static unsigned detect_avx512(uint64_t xcr0)
{
    uint32_t a, b, c, d;
    __cpuid_count(7, 0, a, b, c, d);
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, vnni = 1u << 11;
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !has_all(b, f_dq_bw_vl) || !has_all(c, vnni))
        return 0;
    unsigned flags = RZ_CPU_AVX512;
    const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25; /* BF16, TILE, INT8 */
    bool has_amx = has_all(d, amx) && (xcr0 & XCR0_AMX) == XCR0_AMX && has_whole_tiles();
    __cpuid_count(7, 1, a, b, c, d);
    if (a & 1u << 5)
        flags |= RZ_CPU_AVX512_BF16;
    /* Linux grants the 8 KiB tile state per process, and only when asked. Every CPU with AMX has
     * the conversions that its kernels use; a hypervisor may hide them. */
    if (has_amx && flags & RZ_CPU_AVX512_BF16 &&
        syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILEDATA) == 0)
        flags |= RZ_CPU_AMX;
    return flags;
}

static unsigned detect(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    if (!has_all(c, fma | osxsave | avx | f16c) || __get_cpuid_max(0, NULL) < 7)
        return 0;
    uint64_t xcr0 = read_xcr0();
    __cpuid_count(7, 0, a, b, c, d);
    const uint32_t avx2 = 1u << 5, bmi2 = 1u << 8;
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !has_all(b, avx2 | bmi2))
        return 0;
    return RZ_CPU_AVX2 | detect_avx512(xcr0);
}

unsigned rz_cpu_detect(unsigned mask)
{
    unsigned flags = detect() & mask & (unsigned)(RZ_CPU_CEILING);
    if (!(flags & RZ_CPU_AVX2))
        return 0;
    if (!(flags & RZ_CPU_AVX512))
        return RZ_CPU_AVX2;
    return flags;
}

const char *rz_cpu_level_name(unsigned flags)
{
    if (flags & RZ_CPU_AMX)
        return "amx";
    if (flags & RZ_CPU_AMX_FAULTY)
        return "avx512+bf16 (amx failed its self-check)";
    if (flags & RZ_CPU_AVX512_BF16)
        return "avx512+bf16";
    if (flags & RZ_CPU_AVX512)
        return "avx512";
    return flags & RZ_CPU_AVX2 ? "avx2" : "scalar";
}

int rz_cpu_parse_level(const char *text, unsigned *mask)
{
    static const struct {
        const char *name;
        unsigned mask;
    } levels[] = {
        {"scalar", 0},
        {"avx2", RZ_CPU_AVX2},
        {"avx512", RZ_CPU_AVX2 | RZ_CPU_AVX512},
        {"avx512+bf16", RZ_CPU_AVX2 | RZ_CPU_AVX512 | RZ_CPU_AVX512_BF16},
        {"amx", RZ_CPU_ALL},
    };
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(text, levels[i].name) == 0) {
            *mask = levels[i].mask;
            return 0;
        }
    }
    return -1;
}

/* cgroup v2's quota in CPUs, rounded up; 0 if there is none. */
static unsigned cgroup_quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    long quota = 0, period = 0;
    int n = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    return n == 2 && quota > 0 && period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
}

unsigned rz_cpu_count(void)
{
    cpu_set_t set;
    unsigned n = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        n = (unsigned)CPU_COUNT(&set);
    unsigned quota = cgroup_quota();
    return quota && quota < n ? quota : n;
}
