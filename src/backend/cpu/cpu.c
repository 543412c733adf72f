/* cpu.c - the CPU backend: coarse operations over the kernel table and a thread pool. */
#include "backend/cpu/cpu.h"

#include "backend/cpu/memory.h"
#include "backend/cpu/packed.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "base/fail.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Below this many elements, or bytes, a barrier costs more than it saves. */
enum {
    PARALLEL_ELEMENTS = 1 << 13,
    PARALLEL_BYTES = 1 << 18
};

struct copy_job {
    char *dst;
    const char *src;
    size_t bytes;
};

static void copy_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct copy_job *j = ctx;
    const size_t lines = (j->bytes + 63) / 64;
    const size_t begin = lines * i_thread / n_threads * 64;
    const size_t end = lines * (i_thread + 1) / n_threads * 64;
    memcpy(j->dst + begin, j->src + begin, (end < j->bytes ? end : j->bytes) - begin);
}

/* Logits are the largest that is copied: each thread has the part it computed in its cache. */
static void cpu_copy(struct rz_backend *b, void *dst, const void *src, size_t bytes)
{
    struct copy_job j = {.dst = dst, .src = src, .bytes = bytes};
    if (bytes < PARALLEL_BYTES)
        copy_part(&j, 0, 1);
    else
        rz_pool_run(cpu_of(b)->pool, copy_part, &j);
}

/* Weights stay where the file is mapped until they are multiplied (packed.h). */
static rz_status cpu_load(struct rz_backend *b, const rz_tensor *t, struct rz_weight *w,
                          rz_error *err)
{
    RZ_ASSERT(t->n_dims >= 1 && t->n_dims <= 3);
    uint64_t n_cols = t->shape[t->n_dims - 1], n_rows = t->n_dims > 1 ? t->shape[t->n_dims - 2] : 1;
    uint64_t row_bytes;
    if (!rz_dtype_row_bytes(t->dtype, n_cols, &row_bytes))
        return rz_fail(err, RZ_EFORMAT, "tensor %s: rows of %llu elements are no whole %s blocks",
                       t->name, (unsigned long long)n_cols, rz_dtype_name(t->dtype));
    /* A level whose products take rows gets them where the file has them. */
    const bool packed = t->packed && (cpu_of(b)->k.matmul_packed[t->dtype] || !t->data);
    RZ_ASSERT(!packed || (uintptr_t)t->packed % RZ_PACKED_ALIGN == 0);
    *w = (struct rz_weight){.dtype = t->dtype,
                            .n_rows = (uint32_t)n_rows,
                            .n_cols = (uint32_t)n_cols,
                            .n_stack = t->n_dims == 3 ? (uint32_t)t->shape[0] : 1,
                            .row_bytes = row_bytes,
                            .data = packed ? t->packed : t->data,
                            .packed = packed};
    return rz_cpu_weights_add(cpu_of(b), w, t->mapped, err);
}

static void cpu_embed(struct rz_backend *b, const struct rz_weight *table, const int32_t *ids,
                      uint32_t n, float *out)
{
    (void)b;
    for (uint32_t i = 0; i < n && table->packed; i++)
        rz_packed_decode_row(table->dtype, table->data, table->n_cols, (uint32_t)ids[i],
                             out + (size_t)i * table->n_cols);
    for (uint32_t i = 0; i < n && !table->packed; i++)
        rz_dtype_info(table->dtype)
            ->decode((const char *)table->data + (size_t)ids[i] * table->row_bytes,
                     out + (size_t)i * table->n_cols, table->n_cols);
}

/* An operation that treats rows one by one. */
struct rows_job {
    const struct cpu_backend *c;
    float *y;
    const float *x, *w;
    uint32_t n_rows, n_cols;
    float eps;
};

static void norm_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct rows_job *j = ctx;
    uint32_t begin, end;
    rz_pool_part(j->n_rows, 1, i_thread, n_threads, &begin, &end);
    for (size_t m = begin; m < end; m++)
        j->c->k.rms_norm(j->x + m * j->n_cols, j->w, j->y + m * j->n_cols, j->n_cols, j->eps);
}

static void run_rows(const struct cpu_backend *c, rz_pool_fn *fn, struct rows_job *j)
{
    if ((size_t)j->n_rows * j->n_cols < PARALLEL_ELEMENTS)
        fn(j, 0, 1);
    else
        rz_pool_run(c->pool, fn, j);
}

static void cpu_rms_norm(struct rz_backend *b, const float *x, const float *w, float *y,
                         const uint32_t shape[2], float eps)
{
    const struct cpu_backend *c = cpu_of(b);
    struct rows_job j = {
        .c = c, .y = y, .x = x, .w = w, .n_rows = shape[0], .n_cols = shape[1], .eps = eps};
    run_rows(c, norm_part, &j);
}

static void cpu_rope_table(struct rz_backend *b, const struct rz_batch *batch, const float *freqs,
                           uint32_t n_rot, float magnitude, float *cs)
{
    (void)b;
    for (uint32_t t = 0; t < batch->n_tokens; t++) {
        for (uint32_t i = 0; i < n_rot / 2; i++) {
            /* In double: at position 10^5 a float angle is off by up to 0.004. */
            double angle = (double)batch->pos[t] * (double)freqs[i];
            float *at = cs + (size_t)t * n_rot + 2 * (size_t)i;
            at[0] = (float)(cos(angle) * (double)magnitude);
            at[1] = (float)(sin(angle) * (double)magnitude);
        }
    }
}

struct rope_job {
    const struct cpu_backend *c;
    const struct rz_rope_args *a;
};

static void rope_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct rope_job *j = ctx;
    const struct rz_rope_args *a = j->a;
    uint32_t begin, end;
    rz_pool_part(a->n_tokens, 1, i_thread, n_threads, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        for (size_t h = 0; h < a->n_heads; h++)
            j->c->k.rope(a->x + (t * a->n_heads + h) * a->head_dim, a->cs + t * a->n_rot, a->n_rot,
                         a->neox);
    }
}

static void cpu_rope(struct rz_backend *b, const struct rz_rope_args *a)
{
    const struct cpu_backend *c = cpu_of(b);
    struct rope_job j = {.c = c, .a = a};
    if ((size_t)a->n_tokens * a->n_heads * a->head_dim < PARALLEL_ELEMENTS)
        rope_part(&j, 0, 1);
    else
        rz_pool_run(c->pool, rope_part, &j);
}

/* Elementwise work is split in runs of whole vectors. */
enum {
    ELEMENT_UNIT = 64,
    ELEMENT_RUN = 4096
};

static void add_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct rows_job *j = ctx;
    uint32_t begin, end;
    rz_pool_part(j->n_cols, ELEMENT_UNIT, i_thread, n_threads, &begin, &end);
    j->c->k.add_scaled(j->y + begin, j->x + begin, end - begin, 1);
}

static void cpu_add(struct rz_backend *b, float *x, const float *y, size_t n)
{
    const struct cpu_backend *c = cpu_of(b);
    struct rows_job j = {.c = c, .y = x, .x = y, .n_rows = 1, .n_cols = (uint32_t)n};
    run_rows(c, add_part, &j);
}

static void silu_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct rows_job *j = ctx;
    uint32_t begin, end;
    rz_pool_part(j->n_cols, ELEMENT_UNIT, i_thread, n_threads, &begin, &end);
    j->c->k.silu_mul(j->y + begin, j->x + begin, j->y + begin, end - begin);
}

static void cpu_silu_mul(struct rz_backend *b, float *gate, const float *up, size_t n)
{
    const struct cpu_backend *c = cpu_of(b);
    struct rows_job j = {.c = c, .y = gate, .x = up, .n_rows = 1, .n_cols = (uint32_t)n};
    run_rows(c, silu_part, &j);
}

static void cpu_add_gated(struct rz_backend *b, float *x, const float *y, const float *gate,
                          const uint32_t shape[2])
{
    const struct cpu_backend *c = cpu_of(b);
    for (size_t m = 0; m < shape[0]; m++)
        c->k.add_scaled(x + m * shape[1], y + m * shape[1], shape[1], 1 / (1 + expf(-gate[m])));
}

static void cpu_gather(struct rz_backend *b, const float *x, const uint32_t *rows, uint32_t n,
                       uint32_t n_cols, float *out)
{
    (void)b;
    for (uint32_t i = 0; i < n; i++)
        memcpy(out + (size_t)i * n_cols, x + (size_t)rows[i] * n_cols, n_cols * sizeof *out);
}

static const struct rz_backend_ops cpu_ops = {
    .alloc = rz_cpu_alloc,
    .release = rz_cpu_release,
    .use_large_pages = rz_cpu_use_large_pages,
    .upload = cpu_copy,
    .download = cpu_copy,
    .reserve = rz_cpu_reserve,
    .load = cpu_load,
    .embed = cpu_embed,
    .rms_norm = cpu_rms_norm,
    .matmul = rz_cpu_matmul,
    .rope_table = cpu_rope_table,
    .rope = cpu_rope,
    .kv_store = rz_cpu_kv_store,
    .attention = rz_cpu_attention,
    .add = cpu_add,
    .silu_mul = cpu_silu_mul,
    .moe = rz_cpu_moe,
    .add_gated = cpu_add_gated,
    .gather = cpu_gather,
};

rz_status rz_backend_cpu_new(struct rz_backend **out, unsigned n_threads, unsigned cpu_flags,
                             rz_error *err)
{
    *out = NULL;
    struct cpu_backend *c = calloc(1, sizeof *c);
    if (!c)
        return rz_fail_nomem(err, sizeof *c, "the CPU backend");
    rz_kernels_init(&c->k, cpu_flags);
    c->base = (struct rz_backend){.ops = &cpu_ops,
                                  .name = "cpu",
                                  .level = rz_cpu_level_name(c->k.cpu_flags),
                                  .n_threads = n_threads,
                                  .host_memory = true};
    rz_status status = rz_pool_new(&c->pool, n_threads, err);
    if (status) {
        free(c);
        return status;
    }
    *out = &c->base;
    return RZ_OK;
}

void rz_backend_free(struct rz_backend **b)
{
    if (!b || !*b)
        return;
    struct cpu_backend *c = cpu_of(*b);
    rz_cpu_release(*b, c->memory, c->memory_bytes);
    rz_cpu_weights_free(&c->weights);
    rz_pool_free(&c->pool);
    free(c);
    *b = NULL;
}
