/* tile_amx.h - the AMX instructions, on registers whose numbers are literals.
 *
 * Written out, since gcc 12's intrinsics do not say which memory they read: it dropped the stores
 * to a configuration and to operands as dead. tests/amx_emu has a header of this name that computes
 * the same in C. Source: Intel SDM volume 2, TILELOADD and following. */
#ifndef RZ_KERNELS_TILE_AMX_H
#define RZ_KERNELS_TILE_AMX_H

#include <stdint.h>

enum {
    TILE_ROWS = 16,
    TILE_ROW_BYTES = 64,
    TILE_BYTES = TILE_ROWS * TILE_ROW_BYTES
};

/* What LDTILECFG reads. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Per thread; every other instruction faults without. */
#define TILE_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(config)) : "memory")
#define TILE_RELEASE()         __asm__ volatile("tilerelease" : : : "memory")

#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
/* Rows of 64 bytes, one after the other. */
#define TILE_LOAD(t, p)                                                                            \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"(p), "r"(64L) : "memory")
#define TILE_STORE(t, p)                                                                           \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"(p), "r"(64L) : "memory")

/* c[m][n] += the sum over k of a[m][2k] * b[k][2n] + a[m][2k + 1] * b[k][2n + 1]. */
#define TILE_DPBF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
/* The same of four signed bytes at a time. */
#define TILE_DPBSSD(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

#endif
