/* peak.h - loops that show what this machine can do at most: reading memory, and multiplying in
 * each number format. `apr bench` holds every figure against them. One thread each; the CPU backend
 * runs them on all of its threads at once. */
#ifndef RZ_KERNELS_PEAK_H
#define RZ_KERNELS_PEAK_H

#include <stddef.h>
#include <stdint.h>

enum rz_peak_kind {
    RZ_PEAK_F32,  /* fused or separate multiply-adds of floats */
    RZ_PEAK_BF16, /* bfloat16 products, float sums */
    RZ_PEAK_INT8, /* int8 products, wider integer sums */
    RZ_N_PEAKS
};

/* Operands stay in registers; the multiply-adds are independent, so that only the execution units
 * limit the loop. Returns something that depends on every one of them. */
typedef uint32_t rz_peak_fn(uint64_t n_iterations);

struct rz_peak {
    const char *name;    /* "int8, AVX-512 VNNI"; NULL: this level has no such instruction */
    double ops_per_iter; /* a multiply and an add are two */
    rz_peak_fn *run;
};

struct rz_peaks {
    struct rz_peak peak[RZ_N_PEAKS];
    /* Reads bytes (a multiple of RZ_PEAK_READ_UNIT, 64-byte aligned) and returns a digest. */
    uint64_t (*read)(const void *p, size_t bytes);
};

enum {
    RZ_PEAK_READ_UNIT = 512
};

/* The fastest loops that cpu_flags (rz_cpu_detect) allow. */
void rz_peaks_init(struct rz_peaks *p, unsigned cpu_flags);

void rz_peaks_ref(struct rz_peaks *p);
void rz_peaks_avx2(struct rz_peaks *p);
void rz_peaks_avx512(struct rz_peaks *p);
void rz_peaks_avx512bf16(struct rz_peaks *p);
void rz_peaks_amx(struct rz_peaks *p);

#endif
