/* profile_ops.c - a timer around each of the backend's operations, and what each had to read and
 * multiply. Which operation of the model a matrix product is, and of which layer, is told by where
 * its weights stand in struct rz_weights. */
#include "base/checked.h"
#include "base/clock.h"
#include "base/fail.h"
#include "engine/profile.h"

#include <stddef.h>

static struct rz_timers *timers_of(const struct rz_backend *b)
{
    return (struct rz_timers *)(uintptr_t)b->ops;
}

struct span {
    struct rz_timers *t;
    double start;
};

static struct span begin(const struct rz_backend *b)
{
    struct rz_timers *t = timers_of(b);
    return (struct span){t, t->nesting++ ? 0 : rz_now_s()};
}

static void end(struct span s, rz_op op, double bytes, double flops)
{
    struct rz_timers *t = s.t;
    if (--t->nesting || !t->phase)
        return;
    rz_op_figures *f = &t->phase->figures[(size_t)t->layer * RZ_N_OPS + op];
    f->seconds += rz_now_s() - s.start;
    f->calls++;
    f->bytes += bytes;
    f->flops += flops;
    t->phase->n_timed++;
}

/* The layer that p stands in, or n_layers. */
static uint32_t layer_of(const struct rz_timers *t, const void *p)
{
    const uintptr_t first = (uintptr_t)t->weights->layers, at = (uintptr_t)p;
    const uint32_t n_layers = t->weights->config.info.n_layers;
    const uintptr_t n = n_layers * sizeof *t->weights->layers;
    if (at < first || at - first >= n)
        return n_layers;
    return (uint32_t)((at - first) / sizeof *t->weights->layers);
}

static rz_op op_of_weight(const struct rz_timers *t, uint32_t layer, const struct rz_weight *w)
{
    if (layer == t->weights->config.info.n_layers)
        return w == &t->weights->head ? RZ_OP_HEAD : RZ_OP_OTHER;
    const struct rz_layer_weights *l = &t->weights->layers[layer];
    const struct {
        const struct rz_weight *w;
        rz_op op;
    } table[] = {{&l->wq, RZ_OP_QKV},
                 {&l->wk, RZ_OP_QKV},
                 {&l->wv, RZ_OP_QKV},
                 {&l->wo, RZ_OP_OUTPUT},
                 {&l->gate, RZ_OP_GATE_UP},
                 {&l->up, RZ_OP_GATE_UP},
                 {&l->down, RZ_OP_DOWN},
                 {&l->router, RZ_OP_ROUTER},
                 {&l->shared_router, RZ_OP_ROUTER},
                 {&l->shared_gate, RZ_OP_GATE_UP},
                 {&l->shared_up, RZ_OP_GATE_UP},
                 {&l->shared_down, RZ_OP_DOWN}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(table); i++) {
        if (table[i].w == w)
            return table[i].op;
    }
    return RZ_OP_OTHER;
}

static void time_matmul(struct rz_backend *b, const float *x, uint32_t n_rows,
                        const struct rz_linear *out, uint32_t n_out)
{
    struct span s = begin(b);
    s.t->inner->matmul(b, x, n_rows, out, n_out);
    uint32_t layer = layer_of(s.t, out[0].w);
    if (s.t->nesting == 1)
        s.t->layer = layer;
    double bytes = 4.0 * n_rows * out[0].w->n_cols, flops = 0;
    for (uint32_t i = 0; i < n_out; i++) {
        bytes += rz_weight_bytes(out[i].w) + 4.0 * n_rows * out[i].w->n_rows;
        flops += n_rows * rz_weight_flops(out[i].w);
    }
    end(s, op_of_weight(s.t, layer, out[0].w), bytes, flops);
}

static void time_embed(struct rz_backend *b, const struct rz_weight *table, const int32_t *ids,
                       uint32_t n, float *out)
{
    struct span s = begin(b);
    s.t->layer = s.t->weights->config.info.n_layers;
    s.t->inner->embed(b, table, ids, n, out);
    double row = rz_weight_bytes(table) / table->n_rows;
    end(s, RZ_OP_EMBED, n * (row + 4.0 * table->n_cols), 0);
}

static uint32_t layer_of_norm(const struct rz_timers *t, const float *w)
{
    const uint32_t n_layers = t->weights->config.info.n_layers;
    if (w == t->weights->output_norm)
        return n_layers;
    /* The forward goes up the layers: it is this one's or the next one's. */
    uint32_t i = t->layer == n_layers ? 0 : t->layer;
    if (i + 1 < n_layers && w == t->weights->layers[i + 1].attn_norm)
        i++;
    return i;
}

static void time_rms_norm(struct rz_backend *b, const float *x, const float *w, float *y,
                          const uint32_t shape[2], float eps)
{
    struct span s = begin(b);
    s.t->inner->rms_norm(b, x, w, y, shape, eps);
    if (s.t->nesting == 1)
        s.t->layer = layer_of_norm(s.t, w);
    double n = (double)shape[0] * shape[1];
    end(s, RZ_OP_NORM, 8 * n + 4.0 * shape[1], 4 * n);
}

static void time_rope_table(struct rz_backend *b, const struct rz_batch *batch, const float *freqs,
                            uint32_t n_rot, float magnitude, float *cs)
{
    struct span s = begin(b);
    s.t->inner->rope_table(b, batch, freqs, n_rot, magnitude, cs);
    end(s, RZ_OP_ROPE_TABLE, 4.0 * batch->n_tokens * n_rot, 2.0 * batch->n_tokens * n_rot);
}

static void time_rope(struct rz_backend *b, const struct rz_rope_args *a)
{
    struct span s = begin(b);
    s.t->inner->rope(b, a);
    double n = (double)a->n_tokens * a->n_heads * a->n_rot;
    end(s, RZ_OP_ROPE, 8 * n + 4.0 * a->n_tokens * a->n_rot, 3 * n);
}

/* Bytes of K and V of one layer and position. */
static double kv_bytes(const struct rz_kv_pool *kv)
{
    return 2.0 * (double)kv->head_bytes / RZ_KV_BLOCK_LEN * kv->n_kv_heads;
}

static void time_kv_store(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                          const float *k, const float *v, const struct rz_batch *batch)
{
    struct span s = begin(b);
    s.t->inner->kv_store(b, kv, layer, k, v, batch);
    s.t->layer = layer;
    double n = batch->n_tokens;
    end(s, RZ_OP_KV_STORE, n * (kv_bytes(kv) + 8.0 * kv->n_kv_heads * kv->head_dim), 0);
}

static void time_attention(struct rz_backend *b, const struct rz_attention_args *a,
                           const struct rz_batch *batch)
{
    struct span s = begin(b);
    s.t->inner->attention(b, a, batch);
    s.t->layer = a->layer;
    double cached = 0, seen = 0; /* positions read once, and pairs of query and position */
    for (uint32_t i = 0; i < batch->n_seqs; i++) {
        const struct rz_seq_span *q = &batch->seqs[i];
        const uint32_t end_pos = q->pos + q->n;
        const uint32_t before = a->window ? rz_min_u32(q->pos, a->window - 1) : q->pos;
        cached += before + q->n;
        for (uint32_t p = q->pos; p < end_pos; p++)
            seen += a->window && p + 1 > a->window ? a->window : p + 1;
    }
    const double q_dim = (double)a->n_heads * a->kv->head_dim;
    end(s, RZ_OP_ATTENTION, cached * kv_bytes(a->kv) + 8 * q_dim * batch->n_tokens,
        4 * q_dim * seen);
}

static void time_add(struct rz_backend *b, float *x, const float *y, size_t n)
{
    struct span s = begin(b);
    s.t->inner->add(b, x, y, n);
    end(s, RZ_OP_RESIDUAL, 12.0 * (double)n, (double)n);
}

static void time_silu_mul(struct rz_backend *b, float *gate, const float *up, size_t n)
{
    struct span s = begin(b);
    s.t->inner->silu_mul(b, gate, up, n);
    end(s, RZ_OP_SILU, 12.0 * (double)n, 4.0 * (double)n);
}

static void time_moe(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens)
{
    struct span s = begin(b);
    s.t->inner->moe(b, a, n_tokens);
    const struct rz_weight *w[] = {a->gate, a->up, a->down};
    s.t->layer = layer_of(s.t, a->gate);
    /* At least the experts of one token are read, at most all of them. */
    const double used = rz_min_u32(a->n_experts_used * n_tokens, a->gate->n_stack);
    double bytes = 8.0 * n_tokens * a->gate->n_cols, flops = 0;
    for (size_t i = 0; i < RZ_ARRAY_LEN(w); i++) {
        bytes += rz_weight_bytes(w[i]) / w[i]->n_stack * used;
        flops += rz_weight_flops(w[i]) / w[i]->n_stack * a->n_experts_used * n_tokens;
    }
    end(s, RZ_OP_EXPERTS, bytes, flops);
}

static void time_add_gated(struct rz_backend *b, float *x, const float *y, const float *gate,
                           const uint32_t shape[2])
{
    struct span s = begin(b);
    s.t->inner->add_gated(b, x, y, gate, shape);
    double n = (double)shape[0] * shape[1];
    end(s, RZ_OP_RESIDUAL, 12 * n, 2 * n);
}

static void time_gather(struct rz_backend *b, const float *x, const uint32_t *rows, uint32_t n,
                        uint32_t n_cols, float *out)
{
    struct span s = begin(b);
    s.t->layer = s.t->weights->config.info.n_layers;
    s.t->inner->gather(b, x, rows, n, n_cols, out);
    end(s, RZ_OP_GATHER, 8.0 * n * n_cols, 0);
}

static void time_download(struct rz_backend *b, void *dst, const void *src, size_t bytes)
{
    struct span s = begin(b);
    s.t->inner->download(b, dst, src, bytes);
    end(s, RZ_OP_DOWNLOAD, 2.0 * (double)bytes, 0);
}

void rz_timers_attach(struct rz_timers *t, const rz_model *model)
{
    struct rz_backend *b = model->backend;
    *t = (struct rz_timers){.ops = *b->ops,
                            .inner = b->ops,
                            .backend = b,
                            .weights = &model->weights,
                            .layer = model->weights.config.info.n_layers};
    t->ops.embed = time_embed;
    t->ops.rms_norm = time_rms_norm;
    t->ops.matmul = time_matmul;
    t->ops.rope_table = time_rope_table;
    t->ops.rope = time_rope;
    t->ops.kv_store = time_kv_store;
    t->ops.attention = time_attention;
    t->ops.add = time_add;
    t->ops.silu_mul = time_silu_mul;
    t->ops.moe = time_moe;
    t->ops.add_gated = time_add_gated;
    t->ops.gather = time_gather;
    t->ops.download = time_download;
    b->ops = &t->ops;
}

void rz_timers_detach(struct rz_timers *t)
{
    if (t->backend)
        t->backend->ops = t->inner;
    t->backend = NULL;
}

double rz_timers_cost(void)
{
    enum {
        N_TIMERS = 20000
    };
    double sum = 0, start = rz_now_s();
    for (int i = 0; i < N_TIMERS; i++) {
        double before = rz_now_s();
        sum += rz_now_s() - before;
    }
    double s = rz_now_s() - start;
    return sum >= 0 ? s / N_TIMERS : 0;
}
