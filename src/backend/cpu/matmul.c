/* matmul.c - splits matrix products over threads by weight rows. Invariant: each output element is
 * computed whole by one kernel call, so results do not depend on the number of threads.
 * Products of many rows are wide where the kernels have that (rz_kernels.matmul_wide): the number
 * of rows decides, not what is in them. */
#include "backend/cpu/packed.h"
#include "base/checked.h"
#include "base/fail.h"
#include "quant/pack.h"

#include <string.h>

struct job {
    struct cpu_backend *c;
    const float *x;
    uint32_t n_rows, n_cols, n_out;
    const struct rz_linear *out;
    bool wide;           /* where the weight's type can be */
    bool quantize, bf16; /* forms of x that are needed */
    uint8_t max_q;       /* that all weights which take x quantized allow */
};

struct rz_act rz_cpu_act_view(const struct cpu_backend *c, const struct cpu_act *a, const float *x,
                              uint32_t n_rows, uint32_t n_cols)
{
    return (struct rz_act){.n_rows = n_rows,
                           .n_cols = n_cols,
                           .f32 = x,
                           .f32_stride = n_cols,
                           .q = a->q,
                           .factors = a->factors,
                           .tile_rows = c->k.tile_rows,
                           .bf16 = a->bf16};
}

size_t rz_cpu_bf16_strip(uint32_t n_cols)
{
    return RZ_STRIP_ROWS * rz_align_up(n_cols, 32);
}

static bool is_wide(const struct job *j, rz_dtype type)
{
    return j->wide && j->c->k.matmul_wide[type];
}

enum {
    LINE_BLOCKS = 64 / sizeof(float) /* of one row, whose factors may share a cache line */
};

/* A part of x: rows, and of each some blocks of 32 columns. */
struct x_part {
    uint32_t row, row_end, block, block_end;
};

static void quantize(const struct job *j, const struct cpu_act *a, const struct x_part p)
{
    const struct rz_kernels *k = &j->c->k;
    for (uint32_t m = p.row; m < p.row_end; m++) {
        const struct rz_act_place at =
            rz_act_at(m, j->n_rows, j->n_cols / RZ_ACT_BLOCK, k->tile_rows);
        const size_t first = at.first + (size_t)p.block * at.step;
        const struct rz_act_factors f = rz_act_factors_from(a->factors, first);
        k->quantize(j->x + (size_t)m * j->n_cols + p.block * RZ_ACT_BLOCK,
                    (p.block_end - p.block) * RZ_ACT_BLOCK, j->max_q, a->q + first * RZ_ACT_BLOCK,
                    &f, at.step);
    }
}

static struct x_part whole_x(const struct job *j)
{
    return (struct x_part){0, j->n_rows, 0, j->n_cols / RZ_ACT_BLOCK};
}

/* Whole tiles of rows for each thread, or columns where that gives more threads something to do:
 * the factors of a block's rows in a tile share cache lines, which two threads would take from each
 * other. */
static void quantize_part(const struct job *j, unsigned i_thread, unsigned n_threads)
{
    struct x_part p = whole_x(j);
    uint32_t tile = j->c->k.tile_rows;
    while (tile > j->n_rows)
        tile /= 2;
    const uint32_t unit = tile < LINE_BLOCKS ? LINE_BLOCKS / tile : 1;
    const uint32_t by_rows = (p.row_end + tile - 1) / tile;
    if (by_rows >= n_threads || by_rows >= p.block_end / unit)
        rz_pool_part(p.row_end, tile, i_thread, n_threads, &p.row, &p.row_end);
    else
        rz_pool_part(p.block_end, unit, i_thread, n_threads, &p.block, &p.block_end);
    quantize(j, &j->c->act, p);
}

/* Where strips of a weight are packed: its packed matrix, or a place for a few of them. */
struct pack_to {
    uint8_t *to;
    bool keep;
    uint32_t rows;    /* at a time, whole strips */
    rz_matmul_fn *fn; /* then multiplies them */
};

enum {
    /* Of the file, packed before its pages are given back: rare beside the work, little beside a
     * model. */
    DROP_BYTES = 4 << 20,
    /* Many rows of x are prepared for all strips of a call: as many as fit the L2 cache. */
    PACK_BYTES = 256 << 10,
    PACK_FROM = 32, /* rows of x */
    /* Least that is taken of a share (share.h): of a single row 1 us of a core's reading, of many
     * as much as the preparation of x for them is little beside. */
    SHARE_BYTES = 32 << 10,
    SHARE_STRIPS = 3 * RZ_WIDE_ROWS / RZ_STRIP_ROWS,
    MAX_OUT = 4 /* of a product */
};

/* Rows of w that are packed and then multiplied at once. */
static uint32_t pack_rows(const struct rz_weight *w, uint32_t n_rows, bool wide, bool keep)
{
    if (wide)
        return RZ_WIDE_ROWS;
    if (!keep || n_rows < PACK_FROM || PACK_BYTES / w->row_bytes < RZ_STRIP_ROWS)
        return RZ_STRIP_ROWS;
    return (uint32_t)(PACK_BYTES / w->row_bytes) / RZ_STRIP_ROWS * RZ_STRIP_ROWS;
}

/* Rows args.row_begin ... of w, some strips packed and then multiplied. */
static void multiply_packing(const struct rz_weight *w, struct rz_matmul_args args,
                             const struct pack_to to)
{
    const uint32_t begin = args.row_begin, end = args.row_end;
    uint32_t dropped = begin;
    struct rz_matmul_args part = args;
    part.row_begin = 0;
    for (uint32_t r = begin; r < end; r += to.rows) {
        const uint32_t n_rows = end - r < to.rows ? end - r : to.rows;
        uint8_t *strips = to.keep ? to.to + r * args.w_row_bytes : to.to;
        const struct rz_pack_args p = {.type = w->dtype,
                                       .n_rows = w->n_rows - r,
                                       .n_cols = w->n_cols,
                                       .w = (const uint8_t *)w->data + r * w->row_bytes,
                                       .w_row_bytes = w->row_bytes,
                                       .packed = strips};
        if (w->packed)
            memcpy(strips, p.w, n_rows * w->row_bytes); /* whole strips: so files have them */
        else
            rz_pack_strips(&p, 0, (n_rows + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS);
        part.w = strips;
        part.row_end = n_rows;
        part.y = args.y + r;
        part.bias = args.bias ? args.bias + r : NULL;
        to.fn(&part);
        if (to.keep && (r + n_rows - dropped) * w->row_bytes >= DROP_BYTES) {
            rz_cpu_packed_drop(w, dropped, r + n_rows);
            dropped = r + n_rows;
        }
    }
}

/* Rows of a weight that the file has only packed, for products that take rows. */
static void multiply_unpacking(const struct job *j, const struct rz_weight *w,
                               struct rz_matmul_args args, uint8_t *rows)
{
    const uint32_t begin = args.row_begin, end = args.row_end;
    struct rz_matmul_args part = args;
    part.w = rows;
    part.w_row_bytes = w->row_bytes;
    part.row_begin = 0;
    for (uint32_t r = begin; r < end; r += RZ_STRIP_ROWS) {
        const struct rz_unpack_args u = {.type = w->dtype,
                                         .n_rows = RZ_STRIP_ROWS,
                                         .n_cols = w->n_cols,
                                         .packed = (const uint8_t *)w->data + r * w->row_bytes,
                                         .w = rows,
                                         .w_row_bytes = w->row_bytes};
        rz_unpack_strips(&u, 0, 1);
        part.row_end = end - r < RZ_STRIP_ROWS ? end - r : RZ_STRIP_ROWS;
        part.y = args.y + r;
        part.bias = args.bias ? args.bias + r : NULL;
        j->c->k.matmul[w->dtype](&part);
    }
}

static void multiply_rows(const struct job *j, const struct rz_weight *w,
                          struct rz_matmul_args *args, unsigned i_thread)
{
    const struct cpu_backend *c = j->c;
    bool ready;
    uint8_t *packed = rz_cpu_packed_data(w, &ready);
    if (!c->k.matmul_packed[w->dtype] && w->packed) {
        multiply_unpacking(j, w, *args, c->threads[i_thread].strips);
        return;
    }
    if (!c->k.matmul_packed[w->dtype]) {
        c->k.matmul[w->dtype](args);
        return;
    }
    const bool wide = is_wide(j, w->dtype);
    const struct pack_to to = {.to = packed ? packed : c->threads[i_thread].strips,
                               .keep = packed,
                               .rows = pack_rows(w, j->n_rows, wide, packed),
                               .fn = wide ? c->k.matmul_wide[w->dtype]
                                          : c->k.matmul_packed[w->dtype]};
    args->w_row_bytes = rz_packed_row_bytes(w->dtype, w->n_cols);
    if (packed && ready) {
        args->w = packed;
        to.fn(args);
    } else {
        multiply_packing(w, *args, to);
    }
}

static uint64_t strip_count(const struct rz_weight *w)
{
    return (w->n_rows + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS;
}

static uint64_t strip_bytes(const struct rz_weight *w)
{
    return RZ_STRIP_ROWS * (uint64_t)w->row_bytes;
}

/* A single row of x, its sums put together in the thread's own memory and then copied. The last
 * sums at y were read by another core: when that one shares no cache with this, getting a line back
 * takes as long as a strip, and meanwhile all stores wait behind the one to y, those of a tile's
 * factors, too. Measured on two such cores, Q4_K, 1536 columns: 49 GB/s to y, 57 like this. */
static void multiply_aside(const struct job *j, const struct rz_weight *w,
                           const struct rz_matmul_args *all, unsigned i_thread)
{
    float *sums = j->c->threads[i_thread].sums;
    for (uint32_t r = all->row_begin; r < all->row_end; r += CPU_SUM_ROWS) {
        const uint32_t n = all->row_end - r < CPU_SUM_ROWS ? all->row_end - r : CPU_SUM_ROWS;
        struct rz_matmul_args args = *all;
        args.row_begin = r;
        args.row_end = r + n;
        /* Kernels write y[row_begin] on: by way of an integer, since it is no pointer before. */
        args.y = (float *)((uintptr_t)sums - r * sizeof *sums);
        multiply_rows(j, w, &args, i_thread);
        memcpy(all->y + r, sums, n * sizeof *sums);
    }
}

static struct rz_matmul_args args_of(const struct job *j, const struct rz_act *act, uint32_t i)
{
    const struct rz_weight *w = j->out[i].w;
    return (struct rz_matmul_args){.w = w->data,
                                   .w_row_bytes = w->row_bytes,
                                   .x = act,
                                   .y = j->out[i].y,
                                   .y_stride = w->n_rows,
                                   .bias = j->out[i].bias};
}

/* Some strips, counted over all outputs. */
static void multiply_strips(const struct job *j, const struct rz_act *act, struct cpu_strips s,
                            unsigned i_thread)
{
    uint32_t first = 0; /* strip of output i */
    for (uint32_t i = 0; i < j->n_out && first < s.end; i++) {
        const struct rz_weight *w = j->out[i].w;
        const uint32_t n = (uint32_t)strip_count(w), end = s.end - first < n ? s.end - first : n;
        struct rz_matmul_args args = args_of(j, act, i);
        args.row_begin = s.begin > first ? (s.begin - first) * RZ_STRIP_ROWS : 0;
        args.row_end = end < n ? end * RZ_STRIP_ROWS : w->n_rows;
        if (args.row_begin < args.row_end && j->n_rows == 1)
            multiply_aside(j, w, &args, i_thread);
        else if (args.row_begin < args.row_end)
            multiply_rows(j, w, &args, i_thread);
        first += n;
    }
}

/* Many rows of x: as many strips for each thread, which are as much work. A single row is bound by
 * memory, so it is like bytes, and each place where a thread begins to read costs it some
 * microseconds until the CPU's prefetchers follow: so it takes one run of the outputs' bytes, which
 * lie one after the other in memory (rz_cpu_weights_add). */
static struct cpu_strips part_of(const struct job *j, unsigned i_thread, unsigned n_threads)
{
    struct cpu_run runs[MAX_OUT];
    for (uint32_t i = 0; i < j->n_out; i++) {
        const struct rz_weight *w = j->out[i].w;
        runs[i] = (struct cpu_run){strip_count(w), j->n_rows > 1 ? 1 : strip_bytes(w)};
    }
    return rz_cpu_share_part(runs, j->n_out, i_thread, n_threads);
}

/* Its own part, then what others have not begun. */
static void multiply(const struct job *j, const struct rz_act *act, unsigned i_thread,
                     unsigned n_threads)
{
    struct cpu_thread *threads = j->c->threads;
    const uint32_t one_row = (uint32_t)(SHARE_BYTES / strip_bytes(j->out[0].w)) + 1;
    const uint32_t least = j->n_rows > 1 ? SHARE_STRIPS : one_row;
    rz_cpu_share_set(&threads[i_thread].share, part_of(j, i_thread, n_threads));
    for (unsigned i = 0; i < n_threads; i++) {
        struct cpu_share *share = &threads[(i_thread + i) % n_threads].share;
        struct cpu_strips s;
        while (rz_cpu_share_take(share, least, i == 0, &s))
            multiply_strips(j, act, s, i_thread);
    }
}

/* The forms of x. */
static void convert_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    const size_t strip = rz_cpu_bf16_strip(j->n_cols);
    uint32_t begin, end;
    if (j->quantize)
        quantize_part(j, i_thread, n_threads);
    rz_pool_part(j->n_rows, RZ_STRIP_ROWS, i_thread, n_threads, &begin, &end);
    for (size_t m = begin; j->bf16 && m < end; m += RZ_STRIP_ROWS) {
        const uint32_t n = end - m < RZ_STRIP_ROWS ? (uint32_t)(end - m) : RZ_STRIP_ROWS;
        j->c->k.bf16_tiles(j->x + m * j->n_cols, j->n_cols, n, j->n_cols,
                           j->c->act.bf16 + m / RZ_STRIP_ROWS * strip);
    }
}

static void multiply_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    const struct rz_act act = rz_cpu_act_view(j->c, &j->c->act, j->x, j->n_rows, j->n_cols);
    multiply(j, &act, i_thread, n_threads);
}

/* One row: quantizing it is cheaper than meeting at a barrier, so every thread does it for itself.
 */
static void single_row_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    const struct cpu_act *own = &j->c->threads[i_thread].row;
    const struct rz_act act = rz_cpu_act_view(j->c, own, j->x, 1, j->n_cols);
    quantize(j, own, whole_x(j));
    multiply(j, &act, i_thread, n_threads);
}

void rz_cpu_matmul(struct rz_backend *b, const float *x, uint32_t n_rows,
                   const struct rz_linear *out, uint32_t n_out)
{
    struct cpu_backend *c = cpu_of(b);
    struct job j = {.c = c,
                    .x = x,
                    .n_rows = n_rows,
                    .n_cols = out[0].w->n_cols,
                    .n_out = n_out,
                    .out = out,
                    .max_q = RZ_ACT_MAX};
    RZ_ASSERT(n_out <= MAX_OUT);
    const uint32_t deciding = n_rows > c->step_rows ? n_rows : c->step_rows;
    j.wide = c->k.wide_from && deciding >= c->k.wide_from;
    for (uint32_t i = 0; i < n_out; i++) {
        const rz_dtype type = out[i].w->dtype;
        RZ_ASSERT(out[i].w->n_cols == j.n_cols && j.n_cols <= c->need.max_cols);
        j.bf16 = j.bf16 || is_wide(&j, type);
        if (!c->k.quantized[type] || is_wide(&j, type))
            continue;
        j.quantize = true;
        j.max_q = j.max_q < c->k.max_q[type] ? j.max_q : c->k.max_q[type];
    }
    if (j.quantize && !j.bf16 && n_rows == 1) {
        rz_pool_run(c->pool, single_row_part, &j);
    } else {
        if (j.quantize || j.bf16)
            rz_pool_run(c->pool, convert_part, &j);
        rz_pool_run(c->pool, multiply_part, &j);
    }
    for (uint32_t i = 0; i < n_out; i++)
        rz_cpu_packed_done(out[i].w);
}
