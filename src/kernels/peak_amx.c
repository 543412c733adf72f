/* peak_amx.c - peak loops of AMX: products of whole tiles (16 rows of 64 bytes) that stay in the
 * tile registers. Source: Intel Architecture Instruction Set Extensions Reference, chapter AMX. */
#include "kernels/peak.h"

#include <immintrin.h>
#include <string.h>

enum {
    TILE_ROWS = 16,
    TILE_BYTES = 64, /* of a row */
    N_SUMS = 4       /* tiles 0 ... 3; the operands are 4 ... 7 */
};

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

/* All eight tiles whole: zeros to sum in, ones to multiply. */
static void tiles_begin(void)
{
    struct tile_config c = {.palette = 1};
    uint8_t ones[TILE_ROWS][TILE_BYTES] __attribute__((aligned(64)));
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = TILE_BYTES;
        c.rows[i] = TILE_ROWS;
    }
    memset(ones, 1, sizeof ones);
    _tile_loadconfig(&c);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, ones, TILE_BYTES);
    _tile_loadd(5, ones, TILE_BYTES);
    _tile_loadd(6, ones, TILE_BYTES);
    _tile_loadd(7, ones, TILE_BYTES);
}

static uint32_t tiles_end(void)
{
    uint32_t out[TILE_ROWS][TILE_BYTES / 4] __attribute__((aligned(64)));
    uint32_t digest = 0;
    _tile_stored(0, out, TILE_BYTES);
    digest ^= out[0][0];
    _tile_stored(1, out, TILE_BYTES);
    digest ^= out[1][1];
    _tile_stored(2, out, TILE_BYTES);
    digest ^= out[2][2];
    _tile_stored(3, out, TILE_BYTES);
    digest ^= out[3][3];
    _tile_release();
    return digest;
}

static uint32_t multiply_bf16(uint64_t n_iterations)
{
    tiles_begin();
    for (uint64_t n = 0; n < n_iterations; n++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    return tiles_end();
}

static uint32_t multiply_int8(uint64_t n_iterations)
{
    tiles_begin();
    for (uint64_t n = 0; n < n_iterations; n++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    return tiles_end();
}

void rz_peaks_amx(struct rz_peaks *p)
{
    /* A tile product: 16 x 16 sums of 64 bytes of products. */
    const double products = (double)N_SUMS * TILE_ROWS * TILE_ROWS * TILE_BYTES;
    p->peak[RZ_PEAK_INT8] = (struct rz_peak){"int8, AMX", products * 2, multiply_int8};
    p->peak[RZ_PEAK_BF16] = (struct rz_peak){"bf16, AMX", products, multiply_bf16};
}
