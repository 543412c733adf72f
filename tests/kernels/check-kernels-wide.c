/* check-kernels-wide.c - products of many rows of x in bfloat16 (rz_kernels.matmul_wide).
 *
 * The reference rounds weights and activations to bfloat16 as docs/numerics.md says and sums their
 * products in double. The bound: with u = 2^-24, within a chunk of 256 columns a product of AMX is
 * rounded in at most 16 fused steps, one addition of even and odd columns and 8 more, one of
 * AVX-512 BF16 in at most 256 fused steps; then once per chunk and for the bias: (steps + 2 +
 * chunks) u S, S = sum |w x|, and each step may lose a subnormal, below 2^-126. Then
 * the same product in splits of rows and tokens, on exactly sized buffers: all bits must be equal.
 */
#include "check-kernels.h"

#include "base/cpu.h"
#include "base/f16.h"
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ROWS = 245,
    MAX_TOKENS = 545,
    TILE = 16, /* rows of weights, and tokens */
    TILE_COLS = 32,
    CHUNK_COLS = 256
};

enum x_kind {
    X_RANDOM,
    X_ONES,
    X_ALTERNATE,
    X_ZERO,
    X_SUBNORMAL,
    X_NAN, /* one NaN in token 3 */
    X_N
};

/* One more kind of weights: random, but a block of row 5 has NaN for factors. */
enum {
    W_NAN = CK_N_WEIGHTS,
    W_N
};

struct wide_case {
    rz_dtype type;
    uint32_t n_cols, n_rows, n_tokens;
    int w_kind; /* enum ck_weights, or W_NAN */
    enum x_kind x_kind;
    struct ck_buf packed;
    size_t packed_row_bytes;
    double *w; /* [n_rows][n_cols], as the products see them */
    float *x;  /* [n_tokens][n_cols] */
    float bias[MAX_ROWS];
    float full[MAX_TOKENS * MAX_ROWS]; /* [n_tokens][n_rows] */
};

static double from_bf16_bits(uint32_t bits)
{
    float f = rz_bits_f32(bits & 0xFFFF0000u);
    return fabsf(f) < 0x1p-126f ? 0 : (double)f;
}

/* To nearest, halves away from zero; a subnormal counts as zero. */
static double weight_bf16(float w)
{
    if (isnan(w))
        return NAN;
    return from_bf16_bits(rz_f32_bits(w) + 0x8000);
}

/* To nearest, halves to even. */
static double x_bf16(float x)
{
    uint32_t bits = rz_f32_bits(x);
    if (isnan(x) || fabsf(x) < 0x1p-126f)
        return isnan(x) ? NAN : 0;
    return from_bf16_bits(bits + 0x7FFF + (bits >> 16 & 1));
}

/* weights_amx.h, "What a tile holds". */
static void decode_row(const struct wide_case *m, const uint8_t *p, double *w)
{
    const struct rz_dtype_info *info = rz_dtype_info(m->type);
    struct rz_int_block b;
    if (!info->unpack) {
        for (uint32_t i = 0; i < m->n_cols; i++, p += info->block_bytes) {
            float f;
            info->decode(p, &f, 1);
            w[i] = from_bf16_bits(rz_f32_bits(f));
        }
        return;
    }
    for (uint32_t col = 0; col < m->n_cols; col += info->block_len, p += info->block_bytes) {
        info->unpack(p, &b);
        for (uint32_t i = 0; i < info->block_len; i++) {
            const float scale = b.scale[i / 16], min = b.min[i / 16];
            const bool has_min = m->type == RZ_Q4_1 || m->type == RZ_Q5_1 || m->type == RZ_Q2_K ||
                                 m->type == RZ_Q4_K || m->type == RZ_Q5_K;
            float f = (float)((double)scale * b.q[i]);
            if (has_min)
                f = fmaf((float)(32 + b.q[i]), scale, fmaf(-32, scale, -min));
            w[col + i] = weight_bf16(f);
        }
    }
}

static float make_x(struct check *c, enum x_kind kind, uint32_t i)
{
    switch (kind) {
    case X_ONES:
        return 1;
    case X_ALTERNATE:
        return i % 2 ? -3.984375f : 3.984375f;
    case X_ZERO:
        return 0;
    case X_SUBNORMAL:
        return ck_uniform(c, -0x1p-126f, 0x1p-126f);
    default:
        return ck_normal(c);
    }
}

/* Every factor becomes the NaN that rounding by an addition would turn into zero. */
static void spoil_block(uint8_t *block, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        block[i] = i % 2 ? 0x7F : 0xFF;
}

static void make_case(struct check *c, struct wide_case *m)
{
    const struct rz_dtype_info *info = rz_dtype_info(m->type);
    const size_t row_bytes = (size_t)m->n_cols / info->block_len * info->block_bytes;
    uint8_t *file = malloc(m->n_rows * row_bytes);
    m->w = malloc(m->n_rows * (size_t)m->n_cols * sizeof *m->w);
    m->x = malloc(m->n_tokens * (size_t)m->n_cols * sizeof *m->x);
    if (m->w_kind == W_NAN) {
        ck_fill_weights(c, m->type, CK_W_RANDOM, file,
                        (size_t)m->n_rows * m->n_cols / info->block_len);
        spoil_block(file + 5 * row_bytes, info->block_bytes);
    } else {
        ck_fill_weights(c, m->type, (enum ck_weights)m->w_kind, file,
                        (size_t)m->n_rows * m->n_cols / info->block_len);
    }
    for (uint32_t r = 0; r < m->n_rows; r++) {
        decode_row(m, file + r * row_bytes, m->w + (size_t)r * m->n_cols);
        m->bias[r] = m->x_kind == X_SUBNORMAL ? 0 : ck_normal(c);
    }
    for (uint32_t i = 0; i < m->n_tokens * m->n_cols; i++)
        m->x[i] = make_x(c, m->x_kind, i);
    if (m->x_kind == X_NAN)
        m->x[3 * m->n_cols + m->n_cols / 2] = NAN;
    m->packed_row_bytes = rz_packed_row_bytes(m->type, m->n_cols);
    m->packed = ck_alloc(rz_packed_bytes(m->type, m->n_rows, m->n_cols), RZ_PACKED_ALIGN);
    rz_pack_strips(&(struct rz_pack_args){.type = m->type,
                                          .n_rows = m->n_rows,
                                          .n_cols = m->n_cols,
                                          .w = file,
                                          .w_row_bytes = row_bytes,
                                          .packed = m->packed.data},
                   0, (m->n_rows + TILE - 1) / TILE);
    free(file);
}

/* Rows begin ... end - 1, the first n tokens, to y, on buffers that end where they may be read. */
static void multiply(struct check *c, const char *name, const struct wide_case *m,
                     struct rz_matmul_args a, uint32_t n)
{
    const uint32_t n_tiles = (m->n_cols + TILE_COLS - 1) / TILE_COLS;
    const size_t strip = (size_t)n_tiles * TILE * TILE_COLS;
    const uint32_t n_strips = (a.row_end + TILE - 1) / TILE;
    struct ck_buf tiles = ck_alloc((n + TILE - 1) / TILE * strip * sizeof(uint16_t), 64);
    struct ck_buf w = ck_alloc(n_strips * TILE * m->packed_row_bytes, RZ_PACKED_ALIGN);
    struct ck_buf bias = ck_alloc(a.row_end * sizeof(float), 4);
    memcpy(w.data, m->packed.data, w.bytes);
    memcpy(bias.data, m->bias, bias.bytes);
    for (uint32_t t = 0; t < n; t += TILE) {
        const uint32_t n_now = n - t < TILE ? n - t : TILE;
        struct ck_buf x = ck_alloc(n_now * (size_t)m->n_cols * sizeof(float), 4);
        memcpy(x.data, m->x + (size_t)t * m->n_cols, x.bytes);
        c->now.bf16_tiles(x.data, m->n_cols, n_now, m->n_cols,
                          (uint16_t *)tiles.data + t / TILE * strip);
        ck_free(&x);
    }
    const struct rz_act x = {.n_rows = n, .n_cols = m->n_cols, .bf16 = tiles.data};
    a.w = w.data;
    a.w_row_bytes = m->packed_row_bytes;
    a.x = &x;
    a.y_stride = m->n_rows;
    a.bias = bias.data;
    c->now.matmul_wide[m->type](&a);
    ck_expect(c, ck_intact(&tiles) && ck_intact(&w), "%s wrote outside of y", name);
    ck_free(&tiles);
    ck_free(&w);
    ck_free(&bias);
}

static void check_full(struct check *c, const char *name, struct wide_case *m)
{
    const uint32_t in_chunk = c->now.cpu_flags & RZ_CPU_AMX ? 25
                              : m->n_cols < CHUNK_COLS      ? m->n_cols
                                                            : CHUNK_COLS;
    const uint32_t steps = in_chunk + 2 + (m->n_cols + CHUNK_COLS - 1) / CHUNK_COLS;
    multiply(c, name, m, (struct rz_matmul_args){.row_end = m->n_rows, .y = m->full}, m->n_tokens);
    for (uint32_t t = 0; t < m->n_tokens; t++) {
        for (uint32_t r = 0; r < m->n_rows; r++) {
            double want = (double)m->bias[r], total = fabs(want);
            for (uint32_t i = 0; i < m->n_cols; i++) {
                double v = m->w[r * m->n_cols + i] * x_bf16(m->x[t * m->n_cols + i]);
                want += v;
                total += fabs(v);
            }
            const double bound = steps * 0x1p-24 * total + (2 * m->n_cols + steps) * 0x1p-126;
            const float got = m->full[t * m->n_rows + r];
            if (!ck_expect(c, ck_near(got, want, bound),
                           "%s cols %u w %d x %d token %u row %u: %.9g, not %.9g +- %.2g", name,
                           m->n_cols, m->w_kind, m->x_kind, t, r, (double)got, want, bound))
                return;
        }
    }
}

static void check_part(struct check *c, const char *name, struct wide_case *m, uint32_t begin,
                       uint32_t end, uint32_t n)
{
    struct ck_buf y = ck_alloc(((n - 1) * (size_t)m->n_rows + end) * sizeof(float), 4);
    memset(y.data, 0xC3, y.bytes);
    multiply(c, name, m, (struct rz_matmul_args){.row_begin = begin, .row_end = end, .y = y.data},
             n);
    const float *got = y.data;
    for (uint32_t i = 0; i < y.bytes / sizeof(float); i++) {
        const uint32_t r = i % m->n_rows;
        const bool inside = r >= begin && r < end;
        const uint32_t bits = rz_f32_bits(got[i]);
        const bool ok =
            inside ? bits == rz_f32_bits(m->full[i]) || (isnan(got[i]) && isnan(m->full[i]))
                   : bits == 0xC3C3C3C3u;
        if (!ck_expect(c, ok, "%s cols %u rows %u-%u tokens %u: %s (%u, %u)", name, m->n_cols,
                       begin, end, n, inside ? "other bits at" : "wrote outside at", i / m->n_rows,
                       r))
            break;
    }
    ck_expect(c, ck_intact(&y), "%s wrote outside of y", name);
    ck_free(&y);
}

static void check_case(struct check *c, const char *name, struct wide_case *m)
{
    static const uint32_t tokens[] = {1, 15, 16, 17, 32, 33, 47};
    make_case(c, m);
    check_full(c, name, m);
    if (m->x_kind == X_RANDOM || m->x_kind == X_NAN) {
        for (uint32_t i = 0; i < 7; i++) {
            const uint32_t begin = TILE * (uint32_t)ck_below(c, m->n_rows / TILE);
            const uint32_t end = begin + 1 + (uint32_t)ck_below(c, m->n_rows - begin);
            check_part(c, name, m, begin, end, tokens[(i + m->n_cols / 32) % 7]);
        }
    }
    ck_free(&m->packed);
    free(m->w);
    free(m->x);
}

/* 101 rows: seven strips, multiplied by three, two and two. 245: sixteen, in two groups (four times
 * three, two and two), with several chunks of columns. 545 tokens: more than pass at once. */
static void check_type(struct check *c, rz_dtype type, const char *name)
{
    static const struct {
        uint32_t n_cols, n_rows, n_tokens;
        bool all_kinds;
    } sizes[] = {
        {32, 101, 47, true},   {64, 101, 47, true},   {96, 101, 47, true},    {128, 101, 47, true},
        {256, 101, 47, true},  {288, 101, 47, true},  {512, 101, 47, true},   {1, 101, 47, true},
        {7, 101, 47, true},    {33, 101, 47, true},   {512, 245, 47, false},  {800, 245, 47, false},
        {512, 60, 545, false}, {896, 101, 47, false}, {4864, 101, 47, false},
    };
    struct wide_case *m = calloc(1, sizeof *m);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const uint32_t n_cols = sizes[i].n_cols;
        if (n_cols % rz_dtype_info(type)->block_len || (c->quick && n_cols > 512))
            continue;
        for (int w = 0; w < (sizes[i].all_kinds ? W_N : 1); w++) {
            for (int x = 0; x < (sizes[i].all_kinds ? X_N : 1); x++) {
                *m = (struct wide_case){.type = type,
                                        .n_cols = n_cols,
                                        .n_rows = sizes[i].n_rows,
                                        .n_tokens = sizes[i].n_tokens,
                                        .w_kind = w,
                                        .x_kind = (enum x_kind)x};
                check_case(c, name, m);
            }
        }
    }
    free(m);
}

void check_wide(struct check *c)
{
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        char name[64];
        snprintf(name, sizeof name, "matmul_wide_%s", rz_dtype_name((rz_dtype)i));
        if (ck_wants(c, name, c->now.matmul_wide[i] != c->below.matmul_wide[i]))
            check_type(c, (rz_dtype)i, name);
    }
}
