/* emu_avx512.c - the AMX instructions as the Intel SDM's pseudocode has them (volume 2, LDTILECFG
 * to TILEZERO), bit for bit. The bfloat16 product runs in AVX-512, sixteen columns at a time, with
 * MXCSR set to what the instruction implies: nearest even, subnormals as zeros in and out. */
#include "kernels/tile_amx.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_TILES = 8,
    MXCSR_AMX = 0x1F80 | 0x8000 | 0x40 /* all exceptions masked, FTZ, DAZ */
};

static _Thread_local struct {
    _Alignas(64) uint8_t tile[N_TILES][TILE_ROWS][TILE_ROW_BYTES];
    struct tile_config config;
    struct emu_counts counts;
    int n_broken;
    bool configured;
} emu;

static void check(bool ok, const char *instruction, const char *fault)
{
    if (ok)
        return;
    fprintf(stderr, "emulated AMX: %s: %s\n", instruction, fault);
    abort();
}

static void check_tile(int t, const char *instruction)
{
    check(emu.configured, instruction, "no configuration is loaded (#UD)");
    check(t >= 0 && t < N_TILES, instruction, "no such register (#UD)");
    check(emu.config.rows[t] && emu.config.row_bytes[t], instruction,
          "the configuration gives this tile no rows or columns (#UD)");
}

void emu_tile_configure(const struct tile_config *c)
{
    static const uint8_t zeros[sizeof c->reserved];
    check(c->palette <= 1, "ldtilecfg", "unknown palette (#GP)");
    check(memcmp(c->reserved, zeros, sizeof zeros) == 0, "ldtilecfg", "reserved bits set (#GP)");
    memset(emu.tile, 0, sizeof emu.tile);
    emu.counts.configure++;
    emu.configured = c->palette == 1;
    emu.config = *c;
    for (int i = 0; i < 16 && emu.configured; i++) {
        check(i < N_TILES || (c->rows[i] == 0 && c->row_bytes[i] == 0), "ldtilecfg",
              "a ninth tile (#GP)");
        check(c->row_bytes[i] <= TILE_ROW_BYTES && c->rows[i] <= TILE_ROWS, "ldtilecfg",
              "a tile larger than 16 rows of 64 bytes (#GP)");
        check(!c->row_bytes[i] == !c->rows[i], "ldtilecfg", "rows without columns (#GP)");
    }
}

void emu_tile_release(void)
{
    emu.counts.release++;
    emu.configured = false;
}

void emu_tile_zero(int t)
{
    check_tile(t, "tilezero");
    emu.counts.zero++;
    memset(emu.tile[t], 0, sizeof emu.tile[t]);
}

void emu_tile_load(int t, const void *p, int64_t stride)
{
    check_tile(t, "tileloadd");
    emu.counts.load++;
    memset(emu.tile[t], 0, sizeof emu.tile[t]);
    for (int r = 0; r < emu.config.rows[t]; r++)
        memcpy(emu.tile[t][r], (const uint8_t *)p + r * stride, emu.config.row_bytes[t]);
}

void emu_tile_store(int t, void *p, int64_t stride)
{
    check_tile(t, "tilestored");
    emu.counts.store++;
    for (int r = 0; r < emu.config.rows[t]; r++)
        memcpy((uint8_t *)p + r * stride, emu.tile[t][r], emu.config.row_bytes[t]);
}

static void check_product(int c, int a, int b, const char *instruction)
{
    check_tile(c, instruction);
    check_tile(a, instruction);
    check_tile(b, instruction);
    check(c != a && c != b && a != b, instruction, "a register named twice (#UD)");
    check(emu.config.rows[c] == emu.config.rows[a], instruction, "c and a differ in rows (#UD)");
    check(emu.config.row_bytes[c] == emu.config.row_bytes[b], instruction,
          "c and b differ in columns (#UD)");
    check(emu.config.row_bytes[a] == 4 * emu.config.rows[b], instruction,
          "a's columns are not b's rows (#UD)");
    check(emu.config.row_bytes[c] % 4 == 0, instruction, "columns that are no dwords (#UD)");
    emu.counts.product++;
}

static void spoil(int c)
{
    if (emu.n_broken > 0) {
        emu.n_broken--;
        emu.tile[c][3][5] ^= 1;
    }
}

void emu_break(int n_products)
{
    emu.n_broken = n_products;
}

/* Row m: even and odd columns' products are summed apart, from zero, by fused steps. */
static __m512 row_bf16(int a, int b, int m)
{
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int k = 0; k < emu.config.rows[b]; k++) {
        uint32_t pair;
        memcpy(&pair, emu.tile[a][m] + 4 * k, sizeof pair);
        const __m512i w = _mm512_load_si512(emu.tile[b][k]);
        const __m512 a_even = _mm512_castsi512_ps(_mm512_set1_epi32((int)(pair << 16)));
        const __m512 a_odd = _mm512_castsi512_ps(_mm512_set1_epi32((int)(pair & 0xFFFF0000u)));
        const __m512 b_even = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
        const __m512 b_odd =
            _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xFFFF0000u)));
        even = _mm512_fmadd_ps(a_even, b_even, even);
        odd = _mm512_fmadd_ps(a_odd, b_odd, odd);
    }
    return _mm512_add_ps(even, odd);
}

/* Apart, so that the compiler moves no arithmetic to before or after the change of MXCSR. */
static __attribute__((noinline)) void product_bf16(int c, int a, int b)
{
    for (int m = 0; m < emu.config.rows[c]; m++) {
        const __mmask16 columns = (__mmask16)((1u << emu.config.row_bytes[c] / 4) - 1);
        const __m512 sum = _mm512_load_ps(emu.tile[c][m]);
        _mm512_store_ps(emu.tile[c][m], _mm512_maskz_add_ps(columns, sum, row_bf16(a, b, m)));
    }
}

void emu_tile_dpbf16(int c, int a, int b)
{
    check_product(c, a, b, "tdpbf16ps");
    const unsigned mxcsr = _mm_getcsr();
    _mm_setcsr(MXCSR_AMX);
    product_bf16(c, a, b);
    _mm_setcsr(mxcsr);
    spoil(c);
}

void emu_tile_dpbssd(int c, int a, int b)
{
    check_product(c, a, b, "tdpbssd");
    for (int m = 0; m < emu.config.rows[c]; m++) {
        for (int n = 0; n < emu.config.row_bytes[c] / 4; n++) {
            int32_t sum;
            memcpy(&sum, emu.tile[c][m] + 4 * n, sizeof sum);
            for (int k = 0; k < emu.config.row_bytes[a]; k++)
                sum += (int8_t)emu.tile[a][m][k] * (int8_t)emu.tile[b][k / 4][4 * n + k % 4];
            memcpy(emu.tile[c][m] + 4 * n, &sum, sizeof sum);
        }
    }
    spoil(c);
}

struct emu_counts emu_counts(void)
{
    return emu.counts;
}
