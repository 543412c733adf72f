/* tile_amx.h - src/kernels/tile_amx.h computed instead of executed: the same names, on tiles in
 * memory (emu_avx512.c). This folder stands before src/ in the include path of what is tested. */
#ifndef RZ_TESTS_AMX_EMU_KERNELS_TILE_AMX_H
#define RZ_TESTS_AMX_EMU_KERNELS_TILE_AMX_H

#include <stdint.h>

enum {
    TILE_ROWS = 16,
    TILE_ROW_BYTES = 64,
    TILE_BYTES = TILE_ROWS * TILE_ROW_BYTES
};

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* A misuse that the CPU would answer with a fault ends the program with a sentence. State and
 * counts are the thread's. */
void emu_tile_configure(const struct tile_config *c);
void emu_tile_release(void);
void emu_tile_zero(int t);
void emu_tile_load(int t, const void *p, int64_t stride);
void emu_tile_store(int t, void *p, int64_t stride);
void emu_tile_dpbf16(int c, int a, int b);
void emu_tile_dpbssd(int c, int a, int b);
/* The next so many products come out wrong in one bit: a broken tile unit. */
void emu_break(int n_products);

/* Instructions since the thread began. */
struct emu_counts {
    uint64_t configure, release, zero, load, store, product;
};
struct emu_counts emu_counts(void);

#define TILE_CONFIGURE(config) emu_tile_configure(config)
#define TILE_RELEASE()         emu_tile_release()
#define TILE_ZERO(t)           emu_tile_zero(t)
#define TILE_LOAD(t, p)        emu_tile_load(t, p, 64)
#define TILE_STORE(t, p)       emu_tile_store(t, p, 64)
#define TILE_DPBF16(c, a, b)   emu_tile_dpbf16(c, a, b)
#define TILE_DPBSSD(c, a, b)   emu_tile_dpbssd(c, a, b)

#endif
