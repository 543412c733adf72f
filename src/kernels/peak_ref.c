/* peak_ref.c - peak loops for every x86-64: four floats at a time, which is what a compiler can
 * make of scalar code at most. There is no int8 or bfloat16 instruction to compare with. */
#include "kernels/peak.h"

#include <string.h>

enum {
    N_SUMS = 8, /* a multiply and an add take up to 8 cycles, of which two start per cycle */
    FLOATS = 4
};

typedef float vec __attribute__((vector_size(FLOATS * sizeof(float))));

static uint32_t multiply_f32(uint64_t n_iterations)
{
    vec sum[N_SUMS];
    vec x = {1.0F, 0.5F, 0.25F, 0.125F}, y = {0.5F, 0.25F, 0.125F, 0.0625F};
    for (int i = 0; i < N_SUMS; i++)
        sum[i] = x * (float)i;
    for (uint64_t n = 0; n < n_iterations; n++) {
        /* Opaque, or the compiler would multiply once. */
        __asm__ volatile("" : "+x"(x), "+x"(y));
        _Pragma("GCC unroll 8") for (int i = 0; i < N_SUMS; i++) sum[i] += x * y;
    }
    vec total = sum[0];
    for (int i = 1; i < N_SUMS; i++)
        total += sum[i];
    uint32_t bits[FLOATS];
    memcpy(bits, &total, sizeof bits);
    return bits[0] ^ bits[1] ^ bits[2] ^ bits[3];
}

static uint64_t read_ref(const void *p, size_t bytes)
{
    const uint64_t *at = p;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < bytes / sizeof *at; i += 8) {
        _Pragma("GCC unroll 8") for (size_t j = 0; j < 8; j++) sum[j] ^= at[i + j];
    }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

void rz_peaks_ref(struct rz_peaks *p)
{
    p->peak[RZ_PEAK_F32] = (struct rz_peak){"f32, SSE2", N_SUMS * FLOATS * 2, multiply_f32};
    p->read = read_ref;
}
