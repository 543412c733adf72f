/* forward.c - the decoder's forward pass over any backend, for any batch of sequences. Shapes are
 * in forward.h. Sources: Vaswani et al. 1706.03762, Llama 2302.13971 (RMSNorm, SwiGLU, RoPE),
 * GQA 2305.13245, Qwen2 2407.10671 (QKV bias, shared expert), Qwen3 2505.09388 (QK norm). */
#include "model/forward.h"

#include "base/checked.h"
#include "base/fail.h"

struct step {
    const struct rz_forward_args *a;
    const struct rz_weights *w;
    const rz_model_info *m;
    struct rz_scratch *s;
    struct rz_backend *b;
    const struct rz_backend_ops *ops;
    const struct rz_batch *batch;
    uint32_t n;     /* tokens */
    uint32_t q, kv; /* widths of the projections */
};

static void tap(const struct step *p, enum rz_tap_point point, int layer, const float *data,
                uint32_t n_cols)
{
    if (p->a->tap)
        p->a->tap(p->a->tap_ctx, point, layer, data, p->n, n_cols);
}

static void rope(const struct step *p, float *x, uint32_t n_heads)
{
    const rz_model_info *m = p->m;
    struct rz_rope_args a = {.x = x,
                             .cs = p->s->cs,
                             .n_tokens = p->n,
                             .n_heads = n_heads,
                             .head_dim = m->head_dim,
                             .n_rot = m->rope_n_rot,
                             .neox = m->rope_type == RZ_ROPE_NEOX};
    p->ops->rope(p->b, &a);
}

static void head_norm(const struct step *p, float *x, const float *w, uint32_t n_heads)
{
    const uint32_t shape[2] = {p->n * n_heads, p->m->head_dim};
    if (w)
        p->ops->rms_norm(p->b, x, w, x, shape, p->m->rms_eps);
}

/* scratch->norm to q, k, v, rotated and stored. */
static void project_qkv(const struct step *p, const struct rz_layer_weights *l, int layer)
{
    struct rz_scratch *s = p->s;
    const struct rz_linear out[3] = {
        {&l->wq, l->bq, s->q}, {&l->wk, l->bk, s->k}, {&l->wv, l->bv, s->v}};
    p->ops->matmul(p->b, s->norm, p->n, out, 3);
    head_norm(p, s->q, l->q_norm, p->m->n_heads);
    head_norm(p, s->k, l->k_norm, p->m->n_kv_heads);
    tap(p, RZ_TAP_Q, layer, s->q, p->q);
    tap(p, RZ_TAP_K, layer, s->k, p->kv);
    tap(p, RZ_TAP_V, layer, s->v, p->kv);
    rope(p, s->q, p->m->n_heads);
    rope(p, s->k, p->m->n_kv_heads);
    tap(p, RZ_TAP_Q_ROPE, layer, s->q, p->q);
    tap(p, RZ_TAP_K_ROPE, layer, s->k, p->kv);
    p->ops->kv_store(p->b, p->a->kv, (uint32_t)layer, s->k, s->v, p->batch);
}

static void attention_block(const struct step *p, const struct rz_layer_weights *l, int layer)
{
    struct rz_scratch *s = p->s;
    const rz_model_info *m = p->m;
    const uint32_t shape[2] = {p->n, m->n_embd};
    p->ops->rms_norm(p->b, s->x, l->attn_norm, s->norm, shape, m->rms_eps);
    tap(p, RZ_TAP_ATTN_NORM, layer, s->norm, m->n_embd);
    project_qkv(p, l, layer);
    struct rz_attention_args a = {.q = s->q,
                                  .out = s->attn,
                                  .kv = p->a->kv,
                                  .layer = (uint32_t)layer,
                                  .n_heads = m->n_heads,
                                  .window = m->sliding_window,
                                  .scale = p->w->config.kq_scale};
    p->ops->attention(p->b, &a, p->batch);
    tap(p, RZ_TAP_ATTN, layer, s->attn, p->q);
    const struct rz_linear out = {&l->wo, NULL, s->out};
    p->ops->matmul(p->b, s->attn, p->n, &out, 1);
    tap(p, RZ_TAP_ATTN_OUT, layer, s->out, m->n_embd);
    p->ops->add(p->b, s->x, s->out, (size_t)p->n * m->n_embd);
    tap(p, RZ_TAP_ATTN_RESID, layer, s->x, m->n_embd);
}

/* down(silu(gate(x)) * up(x)) of scratch->norm to y. */
static void gated_ffn(const struct step *p, const struct rz_weight *gate,
                      const struct rz_weight *up, const struct rz_weight *down, float *y)
{
    struct rz_scratch *s = p->s;
    const struct rz_linear in[2] = {{gate, NULL, s->gate}, {up, NULL, s->up}};
    const struct rz_linear out = {down, NULL, y};
    p->ops->matmul(p->b, s->norm, p->n, in, 2);
    p->ops->silu_mul(p->b, s->gate, s->up, (size_t)p->n * gate->n_rows);
    p->ops->matmul(p->b, s->gate, p->n, &out, 1);
}

/* The routed experts' weighted sum plus, where there is one, the shared expert times its sigmoid.
 */
static void expert_ffn(const struct step *p, const struct rz_layer_weights *l)
{
    struct rz_scratch *s = p->s;
    const rz_model_info *m = p->m;
    const struct rz_linear router[2] = {{&l->router, NULL, s->router},
                                        {&l->shared_router, NULL, s->shared_gate}};
    p->ops->matmul(p->b, s->norm, p->n, router, m->n_ff_shared ? 2 : 1);
    struct rz_moe_args a = {.x = s->norm,
                            .y = s->out,
                            .router = s->router,
                            .n_experts_used = m->n_experts_used,
                            .norm_weights = m->norm_expert_weights,
                            .gate = &l->gate_exps,
                            .up = &l->up_exps,
                            .down = &l->down_exps};
    p->ops->moe(p->b, &a, p->n);
    if (m->n_ff_shared == 0)
        return;
    gated_ffn(p, &l->shared_gate, &l->shared_up, &l->shared_down, s->shared);
    const uint32_t shape[2] = {p->n, m->n_embd};
    p->ops->add_gated(p->b, s->out, s->shared, s->shared_gate, shape);
}

static void ffn_block(const struct step *p, const struct rz_layer_weights *l, int layer)
{
    struct rz_scratch *s = p->s;
    const rz_model_info *m = p->m;
    const uint32_t shape[2] = {p->n, m->n_embd};
    p->ops->rms_norm(p->b, s->x, l->ffn_norm, s->norm, shape, m->rms_eps);
    tap(p, RZ_TAP_FFN_NORM, layer, s->norm, m->n_embd);
    if (m->n_experts)
        expert_ffn(p, l);
    else
        gated_ffn(p, &l->gate, &l->up, &l->down, s->out);
    tap(p, RZ_TAP_FFN_OUT, layer, s->out, m->n_embd);
    p->ops->add(p->b, s->x, s->out, (size_t)p->n * m->n_embd);
    tap(p, RZ_TAP_LAYER, layer, s->x, m->n_embd);
}

static struct step begin(const struct rz_forward_args *a, uint32_t n)
{
    const rz_model_info *m = &a->weights->config.info;
    return (struct step){.a = a,
                         .w = a->weights,
                         .m = m,
                         .s = a->scratch,
                         .b = a->weights->backend,
                         .ops = a->weights->backend->ops,
                         .batch = a->batch,
                         .n = n,
                         .q = m->n_heads * m->head_dim,
                         .kv = m->n_kv_heads * m->head_dim};
}

void rz_forward_layers(const struct rz_forward_args *a)
{
    RZ_ASSERT(a->batch->n_tokens >= 1 && a->batch->n_tokens <= a->scratch->max_tokens);
    struct step p = begin(a, a->batch->n_tokens);
    p.ops->embed(p.b, &p.w->embed, a->batch->ids, p.n, p.s->x);
    tap(&p, RZ_TAP_EMBED, -1, p.s->x, p.m->n_embd);
    p.ops->rope_table(p.b, a->batch, p.w->rope_freqs, p.m->rope_n_rot, p.w->rope_magnitude,
                      p.s->cs);
    for (uint32_t i = 0; i < p.m->n_layers; i++) {
        attention_block(&p, &p.w->layers[i], (int)i);
        ffn_block(&p, &p.w->layers[i], (int)i);
    }
}

void rz_forward_logits(const struct rz_forward_args *a, const uint32_t *rows, uint32_t n,
                       float *out)
{
    RZ_ASSERT(n >= 1 && n <= a->scratch->max_logits);
    struct step p = begin(a, n);
    const uint32_t shape[2] = {n, p.m->n_embd};
    p.ops->gather(p.b, p.s->x, rows, n, p.m->n_embd, p.s->picked);
    p.ops->rms_norm(p.b, p.s->picked, p.w->output_norm, p.s->picked, shape, p.m->rms_eps);
    tap(&p, RZ_TAP_FINAL_NORM, -1, p.s->picked, p.m->n_embd);
    const struct rz_linear head = {&p.w->head, NULL, out};
    p.ops->matmul(p.b, p.s->picked, n, &head, 1);
    tap(&p, RZ_TAP_LOGITS, -1, out, p.m->n_vocab);
}

/* The widest feed-forward that runs through scratch->gate and up. */
static size_t ffn_width(const rz_model_info *m)
{
    return m->n_experts ? m->n_ff_shared : m->n_ff;
}

static struct rz_backend_need need_of(const rz_model_info *m, uint32_t max_tokens)
{
    size_t cols = rz_max_size(m->n_embd, (size_t)m->n_heads * m->head_dim);
    cols = rz_max_size(cols, rz_max_size(ffn_width(m), m->n_ff_expert));
    return (struct rz_backend_need){.max_tokens = max_tokens,
                                    .max_cols = (uint32_t)cols,
                                    .n_heads = m->n_heads,
                                    .n_kv_heads = m->n_kv_heads,
                                    .head_dim = m->head_dim,
                                    .n_embd = m->n_embd,
                                    .n_experts = m->n_experts,
                                    .n_experts_used = m->n_experts_used,
                                    .n_ff_expert = m->n_ff_expert};
}

struct part {
    float **at;
    size_t n_rows, n_cols;
};

rz_status rz_scratch_init(struct rz_scratch *s, const struct rz_weights *w, uint32_t max_tokens,
                          uint32_t max_logits, rz_error *err)
{
    const rz_model_info *m = &w->config.info;
    struct rz_backend *b = w->backend;
    *s = (struct rz_scratch){.backend = b, .max_tokens = max_tokens, .max_logits = max_logits};
    size_t t = max_tokens, d = m->n_embd, ff = ffn_width(m);
    size_t q = (size_t)m->n_heads * m->head_dim, kv = (size_t)m->n_kv_heads * m->head_dim;
    const struct part parts[] = {
        {&s->cs, t, m->rope_n_rot},
        {&s->x, t, d},
        {&s->norm, t, d},
        {&s->out, t, d},
        {&s->q, t, q},
        {&s->attn, t, q},
        {&s->k, t, kv},
        {&s->v, t, kv},
        {&s->gate, t, ff},
        {&s->up, t, ff},
        {&s->router, t, m->n_experts},
        {&s->shared_gate, t, m->n_ff_shared ? 1 : 0},
        {&s->shared, t, m->n_ff_shared ? d : 0},
        {&s->picked, max_logits, d},
        {&s->logits, max_logits, m->n_vocab},
    };
    /* Each part starts on a cache line. Sizes fit: RZ_MAX_* and the engine's limit on tokens. */
    size_t total = 0;
    for (size_t i = 0; i < RZ_ARRAY_LEN(parts); i++)
        total += rz_align_up(parts[i].n_rows * parts[i].n_cols * sizeof(float), 64);
    const struct rz_backend_need need = need_of(m, max_tokens);
    RZ_TRY(b->ops->reserve(b, &need, err));
    RZ_TRY(b->ops->alloc(b, total, &s->memory, err));
    s->bytes = total;
    char *next = s->memory;
    for (size_t i = 0; i < RZ_ARRAY_LEN(parts); i++) {
        *parts[i].at = (float *)(void *)next;
        next += rz_align_up(parts[i].n_rows * parts[i].n_cols * sizeof(float), 64);
    }
    return RZ_OK;
}

void rz_scratch_fini(struct rz_scratch *s)
{
    if (s->memory)
        s->backend->ops->release(s->backend, s->memory, s->bytes);
    *s = (struct rz_scratch){0};
}
