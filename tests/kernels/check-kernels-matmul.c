/* check-kernels-matmul.c - matrix products of every dtype: the reference's of rows as in the file,
 * and the other levels' of packed weights.
 *
 * One product of N_ROWS x N_TOKENS per case is compared with sums in double of the decoded weights
 * times the activations. The bound: with u = 2^-24, each of the s summation steps of a result
 * rounds a partial sum that is at most S = sum |w x| (with |scale q| + |min| for |w|), each term
 * was rounded at most 4 times before: (s + 5) u S. Then the same product again in every split of
 * rows and tokens, on exactly sized buffers: all bits must be equal. */
#include "check-kernels.h"

#include "base/f16.h"
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_ROWS = 37,
    N_TOKENS = 33
};

enum x_kind {
    X_RANDOM,
    X_MAX,       /* all max_q */
    X_MIN,       /* all -max_q */
    X_ALTERNATE, /* max_q, -max_q, ... */
    X_ZERO,
    X_SUBNORMAL, /* subnormal activation scales */
    X_NAN,       /* one NaN scale in token 3 */
    X_N
};

struct matrix_case {
    rz_dtype type;
    uint32_t n_cols;
    enum ck_weights w_kind;
    enum x_kind x_kind;
    struct rz_act x; /* tile_rows 1: row after row */
    struct ck_buf w, packed, q, factors, f32;
    size_t row_bytes, packed_row_bytes;
    float bias[N_ROWS];
    double want[N_TOKENS][N_ROWS], bound[N_TOKENS][N_ROWS];
    float full[N_TOKENS * N_ROWS]; /* what the slot gave for all at once */
};

static int8_t make_q(struct check *c, enum x_kind kind, int8_t max, uint32_t i)
{
    switch (kind) {
    case X_MAX:
        return max;
    case X_MIN:
        return (int8_t)-max;
    case X_ALTERNATE:
        return (int8_t)(i % 2 ? -max : max);
    case X_ZERO:
        return 0;
    default:
        return (int8_t)((int)ck_below(c, 2 * (uint64_t)max + 1) - max);
    }
}

/* The activations, as f32 and quantized: f32 is exactly scale * q rounded. */
static void make_x(struct check *c, struct matrix_case *m)
{
    uint32_t n = m->n_cols, n_blocks = (n + 31) / 32;
    m->f32 = ck_alloc(N_TOKENS * (size_t)n * sizeof(float), 4);
    m->q = ck_alloc(N_TOKENS * (size_t)n_blocks * 32, 64);
    m->factors = ck_alloc(N_TOKENS * (size_t)n_blocks * RZ_ACT_FACTOR_BYTES, 4);
    float *f32 = ck_data(&m->f32);
    int8_t *q = ck_data(&m->q);
    const struct rz_act_factors f =
        rz_act_factors_in(ck_data(&m->factors), N_TOKENS * (size_t)n_blocks);
    for (uint32_t t = 0; t < N_TOKENS; t++) {
        for (uint32_t b = 0; b < n_blocks; b++) {
            float s = m->x_kind == X_SUBNORMAL ? 0x1p-140f : ck_uniform(c, 1e-3f, 0.1f);
            if (m->x_kind == X_NAN && t == 3 && b == n_blocks / 2)
                s = NAN;
            int32_t sum[2] = {0, 0};
            for (uint32_t i = 0; i < 32; i++) {
                int8_t v = make_q(c, m->x_kind, (int8_t)c->now.max_q[m->type], i);
                size_t at = (size_t)t * n_blocks * 32 + b * 32 + i;
                q[at] = v;
                sum[i / 16] += v;
                if (b * 32 + i < n)
                    f32[(size_t)t * n + b * 32 + i] = s * (float)v;
            }
            rz_act_factors_set(&f, t * n_blocks + b, s, sum[0], sum[1]);
        }
    }
    m->x = (struct rz_act){.n_rows = N_TOKENS,
                           .n_cols = n,
                           .f32 = f32,
                           .f32_stride = n,
                           .q = q,
                           .factors = f,
                           .tile_rows = 1};
}

/* The first n rows of m->x in tiles, exactly sized. */
struct tiled {
    struct rz_act x;
    struct ck_buf q, factors;
};

static struct tiled tile_x(const struct matrix_case *m, uint32_t n, uint32_t tile_rows)
{
    const size_t n_blocks = (m->n_cols + 31) / 32;
    struct tiled t = {.x = m->x};
    t.q = ck_alloc(n * n_blocks * 32, 64);
    t.factors = ck_alloc(n * n_blocks * RZ_ACT_FACTOR_BYTES, 4);
    t.x.factors = rz_act_factors_in(t.factors.data, n * n_blocks);
    int8_t *q = t.q.data;
    size_t at = 0;
    for (uint32_t begin = 0, size = tile_rows; begin < n; begin += size) {
        while (size > n - begin)
            size /= 2;
        for (uint32_t b = 0; b < n_blocks; b++) {
            for (uint32_t i = begin; i < begin + size; i++, q += 32) {
                memcpy(q, m->x.q + (i * n_blocks + b) * 32, 32);
                ck_copy_factors(&t.x.factors, at++, &m->x.factors, i * n_blocks + b);
            }
        }
    }
    t.x.n_rows = n;
    t.x.q = t.q.data;
    t.x.tile_rows = tile_rows;
    return t;
}

static void free_tiled(struct tiled *t)
{
    ck_free(&t->q);
    ck_free(&t->factors);
}

/* The row's weights, and the magnitudes that rounding errors are relative to. */
static void decode_row(const struct matrix_case *m, uint32_t row, double *w, double *magnitude)
{
    const struct rz_dtype_info *info = rz_dtype_info(m->type);
    const uint8_t *p = (const uint8_t *)m->w.data + row * m->row_bytes;
    struct rz_int_block b;
    for (uint32_t col = 0; col < m->n_cols; col += info->block_len, p += info->block_bytes) {
        if (!info->unpack) {
            float f;
            info->decode(p, &f, 1);
            w[col] = (double)f;
            magnitude[col] = fabs((double)f);
            continue;
        }
        info->unpack(p, &b);
        for (uint32_t i = 0; i < info->block_len; i++) {
            double v = (double)b.scale[i / 16] * b.q[i], min = (double)b.min[i / 16];
            w[col + i] = v - min;
            magnitude[col + i] = fabs(v) + fabs(min);
        }
    }
}

static double x_at(const struct matrix_case *m, uint32_t t, uint32_t col, bool quantized)
{
    if (!quantized)
        return (double)m->x.f32[t * m->x.f32_stride + col];
    const size_t block = (size_t)t * ((m->n_cols + 31) / 32) + col / 32;
    return (double)m->x.factors.scale[block] * m->x.q[block * 32 + col % 32];
}

static void make_want(const struct check *c, struct matrix_case *m)
{
    bool quantized = c->now.quantized[m->type];
    double *w = calloc(2 * (size_t)m->n_cols, sizeof *w), *magnitude = w + m->n_cols;
    double steps = quantized ? m->n_cols / 32 * 3 : 32 + m->n_cols / 32;
    for (uint32_t r = 0; r < N_ROWS; r++) {
        decode_row(m, r, w, magnitude);
        for (uint32_t t = 0; t < N_TOKENS; t++) {
            double sum = (double)m->bias[r], total = fabs(sum);
            for (uint32_t i = 0; i < m->n_cols; i++) {
                double x = x_at(m, t, i, quantized);
                sum += w[i] * x;
                total += magnitude[i] * fabs(x);
            }
            m->want[t][r] = sum;
            /* Subnormal results round to a multiple of 2^-149 at each step. */
            m->bound[t][r] = (steps + 5) * (0x1p-24 * total + 0x1p-149);
        }
    }
    free(w);
}

/* The slot of m's type at a level: of packed weights where there is one. */
static rz_matmul_fn *slot(const struct rz_kernels *k, rz_dtype type)
{
    return k->matmul_packed[type] ? k->matmul_packed[type] : k->matmul[type];
}

/* The levels with vectors agree in every bit: lanes are rows in all of them. */
static void check_same_bits(struct check *c, const char *name, const struct matrix_case *m,
                            struct rz_matmul_args a)
{
    float y[N_TOKENS * N_ROWS];
    if (!c->below.matmul_packed[m->type])
        return;
    a.y = y;
    struct tiled t = tile_x(m, N_TOKENS, c->below.tile_rows);
    a.x = &t.x;
    c->below.matmul_packed[m->type](&a);
    free_tiled(&t);
    for (uint32_t i = 0; i < N_TOKENS * N_ROWS; i++) {
        float full = m->full[i];
        bool same = rz_f32_bits(y[i]) == rz_f32_bits(full) || (isnan(y[i]) && isnan(full));
        if (!ck_expect(c, same, "%s cols %u: %.9g, but %.9g at the level below", name, m->n_cols,
                       (double)full, (double)y[i]))
            return;
    }
}

/* Of rows 0 ... n_rows - 1, on an exactly sized buffer. */
static struct ck_buf pack(const struct matrix_case *m, uint32_t n_rows)
{
    struct ck_buf b = ck_alloc(rz_packed_bytes(m->type, n_rows, m->n_cols), RZ_PACKED_ALIGN);
    const struct rz_pack_args a = {.type = m->type,
                                   .n_rows = n_rows,
                                   .n_cols = m->n_cols,
                                   .w = m->w.data,
                                   .w_row_bytes = m->row_bytes,
                                   .packed = b.data};
    rz_pack_strips(&a, 0, (n_rows + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS);
    return b;
}

static void check_full(struct check *c, const char *name, struct matrix_case *m)
{
    bool packed = c->now.matmul_packed[m->type] != NULL;
    struct tiled x = tile_x(m, N_TOKENS, c->now.tile_rows);
    struct rz_matmul_args a = {.w = packed ? m->packed.data : m->w.data,
                               .w_row_bytes = packed ? m->packed_row_bytes : m->row_bytes,
                               .row_end = N_ROWS,
                               .x = &x.x,
                               .y = m->full,
                               .y_stride = N_ROWS,
                               .bias = m->bias};
    slot(&c->now, m->type)(&a);
    free_tiled(&x);
    check_same_bits(c, name, m, a);
    for (uint32_t t = 0; t < N_TOKENS; t++) {
        for (uint32_t r = 0; r < N_ROWS; r++) {
            float got = m->full[t * N_ROWS + r];
            if (!ck_expect(c, ck_near(got, m->want[t][r], m->bound[t][r]),
                           "%s cols %u w %d x %d token %u row %u: %.9g, not %.9g +- %.2g", name,
                           m->n_cols, m->w_kind, m->x_kind, t, r, (double)got, m->want[t][r],
                           m->bound[t][r]))
                return;
        }
    }
}

/* Rows begin ... end - 1 and the first n tokens, on exactly sized buffers: the bits of the full
 * product. */
static void check_part(struct check *c, const char *name, struct matrix_case *m, uint32_t begin,
                       uint32_t end, uint32_t n)
{
    bool packed = c->now.matmul_packed[m->type] != NULL;
    struct ck_buf w = packed ? pack(m, end) : ck_alloc(end * m->row_bytes, 1);
    struct ck_buf y = ck_alloc(((n - 1) * (size_t)N_ROWS + end) * sizeof(float), 4);
    struct ck_buf bias = ck_alloc(end * sizeof(float), 4);
    if (!packed)
        memcpy(w.data, m->w.data, w.bytes);
    memcpy(bias.data, m->bias, bias.bytes);
    struct tiled x = tile_x(m, n, c->now.tile_rows);
    struct rz_matmul_args a = {.w = w.data,
                               .w_row_bytes = packed ? m->packed_row_bytes : m->row_bytes,
                               .row_begin = begin,
                               .row_end = end,
                               .x = &x.x,
                               .y = y.data,
                               .y_stride = N_ROWS,
                               .bias = bias.data};
    memset(y.data, 0xC3, y.bytes);
    slot(&c->now, m->type)(&a);
    const float *got = y.data;
    for (uint32_t i = 0; i < y.bytes / sizeof(float); i++) {
        uint32_t t = i / N_ROWS, r = i % N_ROWS;
        bool inside = r >= begin && r < end;
        uint32_t bits = rz_f32_bits(got[i]), want = rz_f32_bits(m->full[t * N_ROWS + r]);
        if (!ck_expect(c, bits == (inside ? want : 0xC3C3C3C3u),
                       "%s cols %u rows %u-%u tokens %u: %s (%u, %u): %08x", name, m->n_cols, begin,
                       end, n, inside ? "other bits at" : "wrote outside at", t, r, bits))
            break;
    }
    ck_expect(c, ck_intact(&y) && ck_intact(&w), "%s wrote outside of y", name);
    free_tiled(&x);
    ck_free(&w);
    ck_free(&y);
    ck_free(&bias);
}

static void check_case(struct check *c, const char *name, struct matrix_case *m)
{
    const struct rz_dtype_info *info = rz_dtype_info(m->type);
    m->row_bytes = (size_t)m->n_cols / info->block_len * info->block_bytes;
    m->w = ck_alloc(N_ROWS * m->row_bytes, 1);
    ck_fill_weights(c, m->type, m->w_kind, m->w.data, N_ROWS * (size_t)m->n_cols / info->block_len);
    m->packed_row_bytes = rz_packed_row_bytes(m->type, m->n_cols);
    m->packed = pack(m, N_ROWS);
    make_x(c, m);
    for (uint32_t r = 0; r < N_ROWS; r++)
        m->bias[r] = m->x_kind == X_SUBNORMAL ? 0 : ck_normal(c);
    make_want(c, m);
    check_full(c, name, m);
    if (m->x_kind == X_RANDOM || m->x_kind == X_NAN) {
        static const uint32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33};
        for (uint32_t i = 0; i < 18; i++) {
            uint32_t begin = i % 3 ? (uint32_t)ck_below(c, 2) * RZ_STRIP_ROWS : 0;
            check_part(c, name, m, begin, begin + (i == 17 ? N_ROWS - begin : i + 1),
                       tokens[(i + m->n_cols / 32) % 11]);
        }
    }
    ck_expect(c, ck_intact(&m->packed), "%s: packing wrote outside", name);
    ck_free(&m->w);
    ck_free(&m->packed);
    ck_free(&m->f32);
    ck_free(&m->q);
    ck_free(&m->factors);
}

static void check_type(struct check *c, rz_dtype type, const char *name)
{
    static const uint32_t cols[] = {32, 64, 96, 256, 512, 896, 1, 7, 33, 4864};
    struct matrix_case *m = calloc(1, sizeof *m);
    bool quantized = c->now.quantized[type];
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++) {
        uint32_t n = cols[i];
        if (n % rz_dtype_info(type)->block_len || (c->quick && n > 512))
            continue;
        for (int x = 0; x < X_N; x++) {
            if ((n == 4864 || n == 896) && x > X_MAX) /* as long as all others together */
                continue;
            *m = (struct matrix_case){.type = type, .n_cols = n, .x_kind = (enum x_kind)x};
            check_case(c, name, m);
        }
        if (n > 512)
            continue;
        for (int w = CK_W_ONES; w < CK_N_WEIGHTS; w++) {
            /* Worst against worst, then against random; NaN only where it can be. */
            for (int x = X_RANDOM; x <= (quantized ? X_ALTERNATE : X_MAX); x++) {
                *m = (struct matrix_case){.type = type,
                                          .n_cols = n,
                                          .w_kind = (enum ck_weights)w,
                                          .x_kind = (enum x_kind)x};
                check_case(c, name, m);
            }
        }
    }
    free(m);
}

void check_matmul(struct check *c)
{
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        char name[64];
        snprintf(name, sizeof name, "matmul_%s", rz_dtype_name((rz_dtype)i));
        if (ck_wants(c, name, slot(&c->now, (rz_dtype)i) != slot(&c->below, (rz_dtype)i)))
            check_type(c, (rz_dtype)i, name);
    }
}
