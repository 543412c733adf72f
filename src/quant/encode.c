/* encode.c - rz_encode_row: floats to the blocks of any type.
 *
 * The types of one scale per 32 columns have a definition without a search ("reference"); without
 * importance Q8_0, Q4_0 and Q5_0 use it, so that their blocks are everybody's. All others choose
 * scales by search.h. */
#include "base/cpu.h"
#include "quant/dtype.h"
#include "quant/search.h"

/* pack, groups, columns of a group, has_min, levels, q, scales, mins, where to look */
static const struct rz_grid grids[RZ_N_DTYPES] = {
    [RZ_Q4_0] = {rz_pack_q4_0, 1, 32, false, false, -8, 7, 1, 1, 1, 0.8f, 1.7f},
    [RZ_Q4_1] = {rz_pack_q4_1, 1, 32, true, false, 0, 15, 1, 1, 1, -1, 0.8f},
    [RZ_Q5_0] = {rz_pack_q5_0, 1, 32, false, false, -16, 15, 1, 1, 1, 0.75f, 1.4f},
    [RZ_Q5_1] = {rz_pack_q5_1, 1, 32, true, false, 0, 31, 1, 1, 1, -2, 0.9f},
    [RZ_Q2_K] = {rz_pack_q2_k, 16, 16, true, false, 0, 3, 0, 15, 15, -0.1f, 1.1f},
    [RZ_Q3_K] = {rz_pack_q3_k, 16, 16, false, false, -4, 3, -32, 31, 0, 0.85f, 2},
    [RZ_Q4_K] = {rz_pack_q4_k, 8, 32, true, false, 0, 15, 0, 63, 63, -1, 0.8f},
    [RZ_Q5_K] = {rz_pack_q5_k, 8, 32, true, false, 0, 31, 0, 63, 63, -2, 0.9f},
    [RZ_Q6_K] = {rz_pack_q6_k, 16, 16, false, false, -32, 31, -128, 127, 0, 0.6f, 1.04f},
    [RZ_IQ4_NL] = {rz_pack_iq4_nl, 1, 32, false, true, -127, 113, 1, 1, 1, 0.75f, 1.5f},
    [RZ_IQ4_XS] = {rz_pack_iq4_xs, 8, 32, false, true, -127, 113, -32, 31, 0, 0.75f, 1.5f},
};

/* What the compiler's start-up code has read once; asking CPUID for every row would cost more than
 * the row on a virtual machine. */
static rz_search_fn *best_search(void)
{
    bool avx2 = __builtin_cpu_supports("avx2"),
         avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512vnni");
    return avx512 ? rz_search_avx512 : avx2 ? rz_search_avx2 : rz_search_ref;
}

rz_search_fn *rz_search_for(unsigned cpu_flags)
{
    if (cpu_flags & RZ_CPU_AVX512)
        return rz_search_avx512;
    return cpu_flags & RZ_CPU_AVX2 ? rz_search_avx2 : rz_search_ref;
}

void rz_encode_row_by(rz_search_fn *search, rz_dtype type, const float *in, const float *importance,
                      void *blocks, size_t n_cols)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const struct rz_grid *grid = &grids[type];
    uint8_t *block = blocks;
    struct rz_codes codes[RZ_LANES];
    if (!grid->pack || (!importance && (type == RZ_Q4_0 || type == RZ_Q5_0))) {
        info->encode(in, blocks, n_cols);
        return;
    }
    size_t n_blocks = n_cols / info->block_len, at_once = RZ_LANES / grid->n_groups;
    for (size_t i = 0; i < n_blocks; i += at_once) {
        size_t n = n_blocks - i < at_once ? n_blocks - i : at_once, at = i * info->block_len;
        search(grid, in + at, importance ? importance + at : NULL, n, codes);
        for (size_t k = 0; k < n; k++, block += info->block_bytes)
            grid->pack(&codes[k], block);
    }
}

void rz_encode_row(rz_dtype type, const float *in, const float *importance, void *blocks,
                   size_t n_cols)
{
    rz_encode_row_by(best_search(), type, in, importance, blocks, n_cols);
}
