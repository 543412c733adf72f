/* bench_work.c - what a piece of work needs at least, and how long the machine takes for that at
 * least. Invariant: every count is a lower bound, so that a limit is never too slow. */
#include "backend/limits.h"
#include "base/checked.h"
#include "base/fail.h"
#include "engine/bench.h"

#include <stdlib.h>

enum {
    MIN_WORKING_SET = 1 << 20,
    MAX_WORKING_SET = 1 << 30
};

double rz_weight_bytes(const struct rz_weight *w)
{
    if (!w->data)
        return 0;
    /* From the type, not from row_bytes: a backend may hold the rows in another layout. */
    return (double)w->n_stack * w->n_rows * w->n_cols / rz_dtype_block_len(w->dtype) *
           rz_dtype_block_bytes(w->dtype);
}

double rz_weight_flops(const struct rz_weight *w)
{
    return w->data ? 2.0 * w->n_stack * w->n_rows * w->n_cols : 0;
}

static void add(rz_work *sum, const struct rz_weight *w, double part)
{
    sum->bytes += part * rz_weight_bytes(w);
    sum->flops += part * rz_weight_flops(w);
}

/* One token's matrices of a layer: of the experts, those that are used. */
static void add_layer(rz_work *sum, const struct rz_layer_weights *l, const rz_model_info *m)
{
    const struct rz_weight *whole[] = {&l->wq,          &l->wk,        &l->wv,
                                       &l->wo,          &l->gate,      &l->up,
                                       &l->down,        &l->router,    &l->shared_router,
                                       &l->shared_gate, &l->shared_up, &l->shared_down};
    const struct rz_weight *experts[] = {&l->gate_exps, &l->up_exps, &l->down_exps};
    for (size_t i = 0; i < RZ_ARRAY_LEN(whole); i++)
        add(sum, whole[i], 1);
    for (size_t i = 0; i < RZ_ARRAY_LEN(experts); i++)
        add(sum, experts[i], m->n_experts ? (double)m->n_experts_used / m->n_experts : 0);
}

static rz_work layers_work(const rz_model *model)
{
    rz_work sum = {0};
    const rz_model_info *m = &model->weights.config.info;
    for (uint32_t i = 0; i < m->n_layers; i++)
        add_layer(&sum, &model->weights.layers[i], m);
    return sum;
}

static rz_work head_work(const rz_model *model)
{
    rz_work sum = {0};
    add(&sum, &model->weights.head, 1);
    return sum;
}

/* Positions that n tokens after depth others see, added up over the tokens. */
static double positions_seen(const rz_model_info *m, uint32_t n, uint32_t depth)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t seen = depth + i + 1;
        sum += m->sliding_window && seen > m->sliding_window ? m->sliding_window : seen;
    }
    return sum;
}

static double position_bytes(const rz_model *model, rz_dtype kv_type)
{
    return (double)rz_model_kv_bytes(model, RZ_KV_BLOCK_LEN, kv_type) / RZ_KV_BLOCK_LEN;
}

/* q k and the weighted sum of v, all layers, per token and position seen. */
static double position_flops(const rz_model_info *m)
{
    return 4.0 * m->n_heads * m->head_dim * m->n_layers;
}

rz_work rz_work_prefill(const rz_model *model, rz_dtype kv_type, uint32_t n, uint32_t depth)
{
    const rz_model_info *m = &model->weights.config.info;
    const rz_work layers = layers_work(model), head = head_work(model);
    double seen = positions_seen(m, n, depth);
    uint32_t cached = m->sliding_window ? rz_min_u32(depth, m->sliding_window - 1) : depth;
    return (rz_work){.bytes = layers.bytes + head.bytes + cached * position_bytes(model, kv_type),
                     .flops = n * layers.flops + head.flops + seen * position_flops(m)};
}

rz_work rz_work_decode(const rz_model *model, rz_dtype kv_type, const uint32_t n_depth[2],
                       uint32_t batch)
{
    const rz_model_info *m = &model->weights.config.info;
    const rz_work layers = layers_work(model), head = head_work(model);
    double n = n_depth[0], b = batch, seen = positions_seen(m, n_depth[0], n_depth[1]);
    return (rz_work){.bytes = n * (layers.bytes + head.bytes) +
                              b * seen * position_bytes(model, kv_type),
                     .flops = b * (n * (layers.flops + head.flops) + seen * position_flops(m))};
}

double rz_work_limit_s(const rz_limits *limits, rz_work work, bool *memory_bound)
{
    double read_s = work.bytes / limits->read_bytes_per_s;
    double multiply_s = work.flops / limits->peak.ops_per_s;
    if (memory_bound)
        *memory_bound = read_s >= multiply_s;
    return read_s >= multiply_s ? read_s : multiply_s;
}

rz_status rz_bench_judge(const char *what, double seconds, double limit_s, rz_error *err)
{
    if (seconds >= limit_s)
        return RZ_OK;
    return rz_fail(err, RZ_EINVALID,
                   "%s was measured to take %.6g s, but this machine needs %.6g s to read the "
                   "bytes and do the multiplications: one of the two measurements is wrong (other "
                   "programs running meanwhile?), so the figure is not reported",
                   what, seconds, limit_s);
}

static void keep_best(rz_rate *best, const char *name, double ops_per_s)
{
    best->name = name;
    best->ops_per_s = ops_per_s > best->ops_per_s ? ops_per_s : best->ops_per_s;
}

rz_status rz_limits_measure(const rz_model *model, bool again, rz_limits *limits, rz_error *err)
{
    const rz_model_info *m = &model->weights.config.info;
    if (!again)
        *limits = (rz_limits){.n_threads = m->n_threads, .cpu_level = m->cpu_level};
    double per_token = layers_work(model).bytes + head_work(model).bytes;
    size_t set = per_token > MAX_WORKING_SET ? MAX_WORKING_SET : (size_t)per_token;
    limits->working_set = rz_align_up(rz_max_size(set, MIN_WORKING_SET), 4096);
    struct rz_backend_limits now;
    RZ_TRY(rz_backend_cpu_limits(model->backend, limits->working_set, &now, err));
    if (now.read_bytes_per_s > limits->read_bytes_per_s)
        limits->read_bytes_per_s = now.read_bytes_per_s;
    keep_best(&limits->f32, now.f32.name, now.f32.ops_per_s);
    keep_best(&limits->bf16, now.bf16.name, now.bf16.ops_per_s);
    keep_best(&limits->int8, now.int8.name, now.int8.ops_per_s);
    limits->peak = limits->f32;
    if (limits->bf16.ops_per_s > limits->peak.ops_per_s)
        limits->peak = limits->bf16;
    if (limits->int8.ops_per_s > limits->peak.ops_per_s)
        limits->peak = limits->int8;
    return RZ_OK;
}

struct rz_reads {
    struct rz_backend_reads *reads;
};

rz_status rz_reads_new(rz_reads **out, const rz_model *model, const rz_limits *limits,
                       rz_error *err)
{
    *out = NULL;
    rz_reads *r = calloc(1, sizeof *r);
    if (!r)
        return rz_fail_nomem(err, sizeof *r, "measuring the read bandwidth");
    rz_status status =
        rz_backend_cpu_reads_new(&r->reads, model->backend, limits->working_set, err);
    if (status)
        rz_reads_free(&r);
    *out = r;
    return status;
}

double rz_reads_now(rz_reads *reads)
{
    return rz_backend_cpu_reads_now(reads->reads);
}

uint64_t rz_reads_memory(const rz_reads *reads)
{
    return rz_backend_cpu_reads_bytes(reads->reads);
}

void rz_reads_free(rz_reads **reads)
{
    if (!reads || !*reads)
        return;
    rz_backend_cpu_reads_free(&(*reads)->reads);
    free(*reads);
    *reads = NULL;
}
