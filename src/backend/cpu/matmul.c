/* matmul.c - splits matrix products over threads by weight rows. Invariant: each output element is
 * computed whole by one kernel call, so results do not depend on the number of threads. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"
#include "base/fail.h"

/* Rows are dealt out in units that every kernel's tile height divides. */
enum {
    ROW_UNIT = 16
};

struct job {
    struct cpu_backend *c;
    const float *x;
    uint32_t n_rows, n_cols, n_out;
    const struct rz_linear *out;
};

struct rz_act rz_cpu_act_view(const struct cpu_backend *c, const struct cpu_act *a, const float *x,
                              uint32_t n_rows, uint32_t n_cols)
{
    (void)c;
    size_t stride = rz_align_up(n_cols, 64);
    return (struct rz_act){.n_rows = n_rows,
                           .n_cols = n_cols,
                           .f32 = x,
                           .f32_stride = n_cols,
                           .q = a->q,
                           .q_stride = stride,
                           .scale = a->scale,
                           .scale_stride = stride / RZ_ACT_BLOCK,
                           .sum = a->sum,
                           .sum_stride = stride / RZ_ACT_SUM};
}

static void quantize_rows(const struct job *j, const struct cpu_act *a, uint32_t begin,
                          uint32_t end)
{
    size_t stride = rz_align_up(j->n_cols, 64);
    for (size_t m = begin; m < end; m++)
        j->c->k.quantize(j->x + m * j->n_cols, j->n_cols, a->q + m * stride,
                         a->scale + m * (stride / RZ_ACT_BLOCK),
                         a->sum + m * (stride / RZ_ACT_SUM));
}

static void multiply(const struct job *j, const struct cpu_act *a, unsigned i_thread,
                     unsigned n_threads)
{
    const struct rz_act act = rz_cpu_act_view(j->c, a, j->x, j->n_rows, j->n_cols);
    for (uint32_t i = 0; i < j->n_out; i++) {
        const struct rz_weight *w = j->out[i].w;
        struct rz_matmul_args args = {.w = w->data,
                                      .w_row_bytes = w->row_bytes,
                                      .x = &act,
                                      .y = j->out[i].y,
                                      .y_stride = w->n_rows,
                                      .bias = j->out[i].bias};
        rz_pool_part(w->n_rows, ROW_UNIT, i_thread, n_threads, &args.row_begin, &args.row_end);
        if (args.row_begin < args.row_end)
            j->c->k.matmul[w->dtype](&args);
    }
}

static void quantize_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    uint32_t begin, end;
    rz_pool_part(j->n_rows, 1, i_thread, n_threads, &begin, &end);
    quantize_rows(j, &j->c->act, begin, end);
}

static void multiply_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    multiply(j, &j->c->act, i_thread, n_threads);
}

/* One row: quantizing it is cheaper than meeting at a barrier, so every thread does it for itself.
 */
static void single_row_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    const struct cpu_act *own = &j->c->threads[i_thread].row;
    quantize_rows(j, own, 0, 1);
    multiply(j, own, i_thread, n_threads);
}

void rz_cpu_matmul(struct rz_backend *b, const float *x, uint32_t n_rows,
                   const struct rz_linear *out, uint32_t n_out)
{
    struct cpu_backend *c = cpu_of(b);
    struct job j = {
        .c = c, .x = x, .n_rows = n_rows, .n_cols = out[0].w->n_cols, .n_out = n_out, .out = out};
    bool quantized = false;
    for (uint32_t i = 0; i < n_out; i++) {
        RZ_ASSERT(out[i].w->n_cols == j.n_cols && j.n_cols <= c->need.max_cols);
        quantized = quantized || c->k.quantized[out[i].w->dtype];
    }
    if (quantized && n_rows == 1) {
        rz_pool_run(c->pool, single_row_part, &j);
        return;
    }
    if (quantized)
        rz_pool_run(c->pool, quantize_part, &j);
    rz_pool_run(c->pool, multiply_part, &j);
}
