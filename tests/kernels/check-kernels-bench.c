/* check-kernels-bench.c - speed of each slot at each level, on one thread, next to this machine's
 * read bandwidth as a plain loop finds it in the same run. */
#include "check-kernels.h"

#include "base/f16.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    N_COLS = 2048,
    WEIGHT_BYTES = 96 << 20, /* beyond any cache */
    SMALL_ROWS = 512,        /* of the compute-bound products */
    MAX_TOKENS = 512
};

/* This thread's time, so that a busy machine disturbs less. */
static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct bench {
    const char *filter, *only_level;
    struct check c; /* for random numbers */
    struct rz_act x;
    uint8_t *weights;
    float *y;
};

/* The best of several repetitions, as GB/s: sums of 64-bit words, eight chains. */
static double read_bandwidth(const uint8_t *data, size_t bytes)
{
    double best = 0;
    uint64_t sink = 0;
    for (int rep = 0; rep < 5; rep++) {
        double start = now_s();
        uint64_t sum[8] = {0};
        for (size_t i = 0; i + 64 <= bytes; i += 64) {
            uint64_t v[8];
            memcpy(v, data + i, sizeof v);
            for (int j = 0; j < 8; j++)
                sum[j] += v[j];
        }
        double t = now_s() - start;
        for (int j = 0; j < 8; j++)
            sink += sum[j];
        best = (double)bytes / t > best ? (double)bytes / t : best;
    }
    return best * 1e-9 + (sink == 42 ? 1e-12 : 0);
}

static double time_matmul(rz_matmul_fn *fn, const struct rz_matmul_args *a, int reps)
{
    double best = 1e9;
    for (int i = 0; i < reps; i++) {
        double start = now_s();
        fn(a);
        double t = now_s() - start;
        best = t < best ? t : best;
    }
    return best;
}

static void bench_matmul(struct bench *b, const struct rz_kernels *k, rz_dtype type, bool scalar)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    size_t row_bytes = N_COLS / info->block_len * info->block_bytes;
    rz_matmul_fn *fn = scalar ? k->matmul[type] : k->matmul_packed[type];
    uint32_t n_rows = (uint32_t)(WEIGHT_BYTES / row_bytes) / (scalar ? 16 : 1);
    struct rz_act x = b->x; /* the numbers are random: any tiling will do */
    x.tile_rows = k->tile_rows;
    struct rz_matmul_args a = {
        .w = b->weights, .w_row_bytes = row_bytes, .row_end = n_rows, .x = &x, .y = b->y};
    a.y_stride = n_rows;
    x.n_rows = 1;
    double t = time_matmul(fn, &a, 3);
    printf("  matmul %-7s M=1 %6.2f GB/s", info->name,
           (double)n_rows * (double)row_bytes / t * 1e-9);
    static const uint32_t tokens[] = {2, 4, 8, 10, 16, 64, 512};
    double one = 0;
    a.row_end = SMALL_ROWS;
    a.y_stride = SMALL_ROWS;
    for (size_t i = 0; i < (scalar ? 1 : 7); i++) {
        x.n_rows = tokens[i];
        t = time_matmul(fn, &a, tokens[i] > 64 ? 2 : 5);
        one = 2.0 * SMALL_ROWS * N_COLS * tokens[i] / t * 1e-9;
        printf("  M=%u %.0f", tokens[i], one);
    }
    printf(" GFLOP/s\n");
}

/* Many rows of x in bfloat16. */
static void bench_wide(struct bench *b, const struct rz_kernels *k, rz_dtype type)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    struct rz_act x = b->x;
    struct rz_matmul_args a = {.w = b->weights,
                               .w_row_bytes = N_COLS / info->block_len * info->block_bytes,
                               .row_end = SMALL_ROWS,
                               .x = &x,
                               .y = b->y,
                               .y_stride = SMALL_ROWS};
    printf("  matmul_wide %-7s", info->name);
    for (x.n_rows = 32; x.n_rows <= MAX_TOKENS; x.n_rows *= 4) {
        const double t = time_matmul(k->matmul_wide[type], &a, 3);
        printf(" M=%u %.0f", x.n_rows, 2.0 * SMALL_ROWS * N_COLS * x.n_rows / t * 1e-9);
    }
    printf(" GFLOP/s\n");
}

static void bench_rows(const struct rz_kernels *k, float *x, float *y, void *scratch)
{
    enum {
        N = 4864
    };
    const struct rz_act_factors factors = rz_act_factors_in((char *)scratch + N, N / RZ_ACT_BLOCK);
    static const char *const names[] = {"quantize", "rms_norm", "add_scaled",  "silu_mul",
                                        "softmax",  "rope",     "kv_store_f16"};
    for (int op = 0; op < 7; op++) {
        double best = 1e9;
        for (int rep = 0; rep < 20; rep++) {
            double start = now_s();
            for (int i = 0; i < 20; i++) {
                switch (op) {
                case 0:
                    k->quantize(x, N, RZ_ACT_MAX, scratch, &factors, 1);
                    break;
                case 1:
                    k->rms_norm(x, y, scratch, N, 1e-6f);
                    break;
                case 2:
                    k->add_scaled(x, y, N, 1e-6f);
                    break;
                case 3:
                    k->silu_mul(x, y, scratch, N);
                    break;
                case 4:
                    memcpy(scratch, x, N * sizeof *x);
                    k->softmax(scratch, N);
                    break;
                case 5:
                    k->rope(scratch, y, N, true);
                    break;
                default:
                    k->kv_store[RZ_KV_F16](x, scratch, N);
                }
            }
            double t = (now_s() - start) / 20;
            best = t < best ? t : best;
        }
        printf("  %-12s %4d elements %7.0f ns  %6.2f ns/element\n", names[op], N, best * 1e9,
               best * 1e9 / N);
    }
}

/* A megabyte or more of blocks, chunk by chunk. */
static void bench_attend(const struct rz_kernels *k, float *data, uint32_t n_q)
{
    enum {
        DIM = 128,
        CHUNKS = 8
    };
    float *q = data, *scores = q + 64 * RZ_ATTEND_STRIDE, *acc = scores + 64 * RZ_ATTEND_STRIDE;
    float max[64] = {0}, sum[64] = {0};
    uint32_t lo[64] = {0}, hi[64];
    for (int i = 0; i < 64; i++)
        hi[i] = RZ_ATTEND_CHUNK;
    static const char *const names[RZ_N_KV_TYPES] = {"f32", "f16", "q8_0"};
    for (int type = 0; type < RZ_N_KV_TYPES; type++) {
        const size_t block = rz_kv_block_bytes((enum rz_kv_type)type, DIM);
        const uint8_t *kv = (const uint8_t *)(acc + 64 * DIM);
        const void *blocks[CHUNKS][2][RZ_ATTEND_BLOCKS];
        for (size_t i = 0; i < (size_t)CHUNKS * 2 * RZ_ATTEND_BLOCKS; i++)
            blocks[i / 16][i / 8 % 2][i % 8] = kv + i * block;
        double best = 1e9;
        for (int rep = 0; rep < 20; rep++) {
            double start = now_s();
            for (int r = 0; r < CHUNKS; r++) {
                const struct rz_attend_args a = {.n_q = n_q,
                                                 .head_dim = DIM,
                                                 .q = q,
                                                 .k = blocks[r][0],
                                                 .v = blocks[r][1],
                                                 .next = blocks[(r + 1) % CHUNKS][0][0],
                                                 .lo = lo,
                                                 .hi = hi,
                                                 .scores = scores,
                                                 .out = {max, sum, acc}};
                k->attend[type](&a);
            }
            double t = now_s() - start;
            best = t < best ? t : best;
        }
        const double n = (double)CHUNKS * RZ_ATTEND_BLOCKS;
        printf("  attend %s head_dim %d n_q %2u: %6.2f GB/s of KV, %6.1f GFLOP/s\n", names[type],
               DIM, n_q, 2e-9 * n * (double)block / best,
               4e-9 * n * RZ_KV_BLOCK * DIM * n_q / best);
    }
}

static void bench_level(void *ctx, unsigned flags, unsigned below, const char *name)
{
    struct bench *b = ctx;
    struct rz_kernels k, under;
    if (b->only_level && strcmp(b->only_level, name) != 0)
        return;
    rz_kernels_init(&k, flags);
    rz_kernels_init(&under, below);
    printf("%s\n", name);
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        const char *type = rz_dtype_name((rz_dtype)i);
        bool changed = !flags || k.matmul_packed[i] != under.matmul_packed[i];
        if (changed && (!b->filter || strstr(type, b->filter)))
            bench_matmul(b, &k, (rz_dtype)i, !flags);
        changed = k.matmul_wide[i] && k.matmul_wide[i] != under.matmul_wide[i];
        if (changed && (!b->filter || strstr(type, b->filter)))
            bench_wide(b, &k, (rz_dtype)i);
    }
    if (b->filter && strcmp(b->filter, "rows") != 0)
        return;
    bench_rows(&k, b->y, b->y + 8192, b->y + 32768);
    bench_attend(&k, b->y, 1);
    bench_attend(&k, b->y, 7);
    bench_attend(&k, b->y, 56);
}

void bench_kernels(const char *filter, const char *only_level)
{
    struct bench b = {.filter = filter, .only_level = only_level, .c = {.rng = {1}}};
    size_t x_elems = (size_t)MAX_TOKENS * N_COLS;
    float *f32 = malloc(x_elems * sizeof *f32);
    int8_t *q = aligned_alloc(64, x_elems);
    uint16_t *bf16 = aligned_alloc(64, x_elems * sizeof *bf16);
    void *factors = malloc(x_elems / RZ_ACT_BLOCK * RZ_ACT_FACTOR_BYTES);
    b.weights = aligned_alloc(RZ_PACKED_ALIGN, WEIGHT_BYTES);
    b.y = malloc((size_t)WEIGHT_BYTES);
    if (!f32 || !q || !bf16 || !factors || !b.weights || !b.y)
        exit(1);
    struct rz_kernels ref;
    rz_kernels_init(&ref, 0);
    for (size_t i = 0; i < x_elems; i++)
        f32[i] = ck_normal(&b.c);
    for (size_t i = 0; i < WEIGHT_BYTES / 4; i++)
        b.y[i] = 0.01f * (float)(i % 101);
    const struct rz_act_factors f = rz_act_factors_in(factors, x_elems / RZ_ACT_BLOCK);
    ref.quantize(f32, (uint32_t)x_elems, RZ_ACT_MAX_PAIRS, q, &f, 1);
    /* Bytes of 0x11: finite in every format, so that no result is slow for being NaN. */
    memset(b.weights, 0x11, WEIGHT_BYTES);
    for (size_t i = 0; i < x_elems; i++)
        bf16[i] = (uint16_t)(rz_f32_bits(f32[i]) >> 16);
    b.x = (struct rz_act){
        .n_cols = N_COLS, .f32 = f32, .f32_stride = N_COLS, .q = q, .factors = f, .bf16 = bf16};
    printf("read bandwidth, one thread: %.2f GB/s\n", read_bandwidth(b.weights, WEIGHT_BYTES));
    ck_each_level(bench_level, &b);
    free(f32);
    free(q);
    free(bf16);
    free(factors);
    free(b.weights);
    free(b.y);
}
