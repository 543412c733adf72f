/* peak_amx.c - peak loops of AMX: products of whole tiles (16 rows of 64 bytes) that stay in the
 * tile registers. Source: Intel Architecture Instruction Set Extensions Reference, chapter AMX. */
#include "kernels/peak.h"
#include "kernels/tiles_amx.h"

#include <string.h>

enum {
    N_SUMS = 4 /* tiles 0 ... 3; the operands are 4 ... 7 */
};

/* Zeros to sum in, ones to multiply. */
static void operands_begin(void)
{
    _Alignas(64) uint8_t ones[TILE_BYTES];
    memset(ones, 1, sizeof ones);
    tiles_begin();
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_LOAD(4, ones);
    TILE_LOAD(5, ones);
    TILE_LOAD(6, ones);
    TILE_LOAD(7, ones);
}

static uint32_t operands_end(void)
{
    _Alignas(64) uint32_t out[N_SUMS][TILE_BYTES / 4] = {{0}};
    TILE_STORE(0, out[0]);
    TILE_STORE(1, out[1]);
    TILE_STORE(2, out[2]);
    TILE_STORE(3, out[3]);
    tiles_end();
    return out[0][0] ^ out[1][17] ^ out[2][34] ^ out[3][51];
}

static uint32_t multiply_bf16(uint64_t n_iterations)
{
    operands_begin();
    for (uint64_t n = 0; n < n_iterations; n++) {
        TILE_DPBF16(0, 4, 6);
        TILE_DPBF16(1, 4, 7);
        TILE_DPBF16(2, 5, 6);
        TILE_DPBF16(3, 5, 7);
    }
    return operands_end();
}

static uint32_t multiply_int8(uint64_t n_iterations)
{
    operands_begin();
    for (uint64_t n = 0; n < n_iterations; n++) {
        TILE_DPBSSD(0, 4, 6);
        TILE_DPBSSD(1, 4, 7);
        TILE_DPBSSD(2, 5, 6);
        TILE_DPBSSD(3, 5, 7);
    }
    return operands_end();
}

void rz_peaks_amx(struct rz_peaks *p)
{
    /* A tile product: 16 x 16 sums of 64 bytes of products. */
    const double products = (double)N_SUMS * TILE_ROWS * TILE_ROWS * TILE_ROW_BYTES;
    p->peak[RZ_PEAK_INT8] = (struct rz_peak){"int8, AMX", products * 2, multiply_int8};
    p->peak[RZ_PEAK_BF16] = (struct rz_peak){"bf16, AMX", products, multiply_bf16};
}
