/* encode.c - rz_encode_row: floats to the blocks of any type.
 *
 * The types of one scale per 32 columns have a definition without a search ("reference"); without
 * importance Q8_0, Q4_0 and Q5_0 use it, so that their blocks are everybody's. All others choose
 * scales by search.h. */
#include "base/cpu.h"
#include "base/fail.h"
#include "quant/dtype.h"
#include "quant/search.h"

#include <math.h>

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

/* ---- what is lost ---- */

enum {
    N_SUMS = 8,             /* partial sums: a single one would wait for every addition */
    AT_ONCE = RZ_SUPERBLOCK /* columns decoded at once */
};

static double add_parts(const double parts[N_SUMS])
{
    double sum = 0;
    for (int i = 0; i < N_SUMS; i++)
        sum += parts[i];
    return sum;
}

double rz_row_squares(const float *x, size_t n)
{
    double parts[N_SUMS] = {0};
    size_t i = 0;
    for (; i + N_SUMS <= n; i += N_SUMS)
        for (size_t k = 0; k < N_SUMS; k++)
            parts[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++)
        parts[i % N_SUMS] += (double)x[i] * (double)x[i];
    return add_parts(parts);
}

static void add_errors(const float *a, const float *b, size_t n, struct rz_row_loss *loss)
{
    double parts[N_SUMS] = {0};
    float worst[N_SUMS] = {0};
    size_t i = 0;
    for (; i + N_SUMS <= n; i += N_SUMS)
        for (size_t k = 0; k < N_SUMS; k++) {
            float d = fabsf(a[i + k] - b[i + k]);
            parts[k] += (double)d * (double)d;
            worst[k] = worst[k] > d ? worst[k] : d;
        }
    for (; i < n; i++) {
        float d = fabsf(a[i] - b[i]);
        parts[i % N_SUMS] += (double)d * (double)d;
        worst[0] = worst[0] > d ? worst[0] : d;
    }
    loss->errors += add_parts(parts);
    for (size_t k = 0; k < N_SUMS; k++)
        loss->worst = worst[k] > loss->worst ? worst[k] : loss->worst;
}

static struct rz_row_loss round_row(const struct rz_dtype_info *info, const float *in,
                                    uint8_t *blocks, size_t n_cols)
{
    /* A double holds any sum of squares of floats, so only NaN and infinity make it infinite. */
    struct rz_row_loss loss = {.squares = rz_row_squares(in, n_cols)};
    loss.finite = isfinite(loss.squares);
    info->encode(in, blocks, n_cols);
    while (n_cols > 0) {
        float back[AT_ONCE];
        size_t n = n_cols < AT_ONCE ? n_cols : AT_ONCE;
        info->decode(blocks, back, n);
        add_errors(in, back, n, &loss);
        in += n;
        blocks += n / info->block_len * info->block_bytes;
        n_cols -= n;
    }
    return loss;
}

/* ---- rows ---- */

static struct rz_row_loss search_row(rz_search_fn *search, rz_dtype type, const float *in,
                                     const float *importance, uint8_t *block, size_t n_cols)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const struct rz_grid *grid = &rz_grids[type];
    struct rz_row_loss loss = {.finite = true};
    struct rz_codes codes[RZ_LANES];
    size_t n_blocks = n_cols / info->block_len, at_once = RZ_LANES / grid->n_groups;
    for (size_t i = 0; i < n_blocks; i += at_once) {
        size_t n = n_blocks - i < at_once ? n_blocks - i : at_once, at = i * info->block_len;
        const struct rz_search job = {grid, in + at, importance ? importance + at : NULL, n};
        search(&job, codes, &loss);
        for (size_t k = 0; k < n; k++, block += info->block_bytes)
            grid->pack(&codes[k], block);
    }
    return loss;
}

struct rz_row_loss rz_encode_row_by(rz_search_fn *search, rz_dtype type, const float *in,
                                    const float *importance, void *blocks, size_t n_cols)
{
    if (!rz_grids[type].pack)
        return round_row(rz_dtype_info(type), in, blocks, n_cols);
    return search_row(search, type, in, importance, blocks, n_cols);
}

struct rz_row_loss rz_encode_row_measured(rz_dtype type, const float *in, const float *importance,
                                          void *blocks, size_t n_cols)
{
    return rz_encode_row_by(best_search(), type, in, importance, blocks, n_cols);
}

void rz_encode_row(rz_dtype type, const float *in, const float *importance, void *blocks,
                   size_t n_cols)
{
    (void)rz_encode_row_by(best_search(), type, in, importance, blocks, n_cols);
}
