/* flow_steps.c - what the engine does with a model, step by step. It follows model/forward.c: the
 * steps are those of the hyper-parameters and tensors that were bound, and no others. */
#include "cli/flow_steps.h"

#include "base/fail.h"

#include <inttypes.h>
#include <realizar/tensor_stats.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct builder {
    struct cli_flow *flow;
    const rz_file *file;
    const rz_model_info *info;
    uint32_t layer;
};

const char *cli_flow_stage_name(enum cli_flow_stage stage)
{
    static const char *const names[] = {"input", "layer", "output"};
    return names[stage];
}

static struct cli_flow_step *step(struct builder *b, enum cli_flow_stage stage, const char *op)
{
    RZ_ASSERT(b->flow->n_steps < CLI_FLOW_MAX_STEPS);
    struct cli_flow_step *s = &b->flow->steps[b->flow->n_steps++];
    *s = (struct cli_flow_step){.stage = stage, .op = op};
    return s;
}

static void __attribute__((format(printf, 2, 3))) note(struct cli_flow_step *s, const char *f, ...)
{
    va_list args;
    va_start(args, f);
    vsnprintf(s->note, sizeof s->note, f, args);
    va_end(args);
}

static void vector(struct cli_flow_step *s, uint32_t width)
{
    snprintf(s->output, sizeof s->output, "n x %u", width);
}

static void heads(struct cli_flow_step *s, uint32_t n, uint32_t width)
{
    snprintf(s->output, sizeof s->output, "n x %u x %u", n, width);
}

/* Adds a tensor of the layer, or of the model for other stages, if the file has it. of_all experts
 * a token uses n_used; 0 of 0: all of it is read. */
static void weight(struct builder *b, struct cli_flow_step *s, const char *name, uint32_t n_used,
                   uint32_t of_all)
{
    char full[64];
    if (s->stage == CLI_FLOW_LAYER)
        snprintf(full, sizeof full, "blk.%u.%s", b->layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    const rz_tensor *t = rz_file_tensor(b->file, full);
    if (!t)
        return;
    RZ_ASSERT(s->n_weights < CLI_FLOW_MAX_WEIGHTS);
    s->weights[s->n_weights++] = t;
    uint64_t elements = rz_tensor_count(t), bytes = t->n_bytes;
    if (of_all) {
        elements = elements / of_all * n_used;
        bytes = bytes / of_all * n_used;
    }
    s->bytes += bytes;
    /* The gate of the shared expert is a matrix of one row, which files keep as a vector. */
    s->mul_adds += t->n_dims >= 2 || strstr(name, "gate_inp") ? elements : 0;
}

static void norm(struct builder *b, enum cli_flow_stage stage, const char *op, const char *name)
{
    struct cli_flow_step *s = step(b, stage, op);
    vector(s, b->info->n_embd);
    note(s, "RMSNorm, eps %.6g", (double)b->info->rms_eps);
    weight(b, s, name, 0, 0);
}

static void projection(struct builder *b, const char *op, uint32_t n_heads, const char *w,
                       const char *bias)
{
    struct cli_flow_step *s = step(b, CLI_FLOW_LAYER, op);
    heads(s, n_heads, b->info->head_dim);
    weight(b, s, w, 0, 0);
    weight(b, s, bias, 0, 0);
    note(s, s->n_weights > 1 ? "matrix product and bias" : "matrix product, no bias");
}

static void head_norms(struct builder *b)
{
    if (!b->info->qk_norm)
        return;
    struct cli_flow_step *s = step(b, CLI_FLOW_LAYER, "Q/K norm");
    heads(s, b->info->n_heads + b->info->n_kv_heads, b->info->head_dim);
    note(s, "RMSNorm of each head of Q and K");
    weight(b, s, "attn_q_norm.weight", 0, 0);
    weight(b, s, "attn_k_norm.weight", 0, 0);
}

static void rope(struct builder *b)
{
    static const char *const scalings[] = {"", ", linear scaling by ", ", YaRN scaling by ",
                                           ", a factor for each pair"};
    const rz_model_info *m = b->info;
    struct cli_flow_step *s = step(b, CLI_FLOW_LAYER, "RoPE");
    heads(s, m->n_heads + m->n_kv_heads, m->head_dim);
    char scaling[48] = "";
    bool by = m->rope_scaling == RZ_ROPE_SCALING_LINEAR || m->rope_scaling == RZ_ROPE_SCALING_YARN;
    snprintf(scaling, sizeof scaling, by ? "%s%.6g" : "%s", scalings[m->rope_scaling],
             (double)m->rope_factor);
    note(s, "theta %.9g, pairs %s, %u of %u dimensions turned%s", (double)m->rope_theta,
         m->rope_type == RZ_ROPE_NEOX ? "(i, i + half)" : "(2i, 2i + 1)", m->rope_n_rot,
         m->head_dim, scaling);
}

static void attention(struct builder *b)
{
    const rz_model_info *m = b->info;
    norm(b, CLI_FLOW_LAYER, "attention norm", "attn_norm.weight");
    projection(b, "Q", m->n_heads, "attn_q.weight", "attn_q.bias");
    projection(b, "K", m->n_kv_heads, "attn_k.weight", "attn_k.bias");
    projection(b, "V", m->n_kv_heads, "attn_v.weight", "attn_v.bias");
    head_norms(b);
    rope(b);
    struct cli_flow_step *s = step(b, CLI_FLOW_LAYER, "KV cache");
    heads(s, m->n_kv_heads, m->head_dim);
    note(s, "K and V of %u heads kept: 2 x %u numbers a token", m->n_kv_heads,
         m->n_kv_heads * m->head_dim);
    s = step(b, CLI_FLOW_LAYER, "attention");
    heads(s, m->n_heads, m->head_dim);
    char window[48] = "causal";
    if (m->sliding_window)
        snprintf(window, sizeof window, "causal, the last %u tokens", m->sliding_window);
    uint32_t group = m->n_heads / m->n_kv_heads;
    note(s, "softmax(Q K / sqrt(%u)) V, %s; %u head%s to a KV head (%s)", m->head_dim, window,
         group, group == 1 ? "" : "s",
         group == 1           ? "multi-head"
         : m->n_kv_heads == 1 ? "multi-query"
                              : "grouped-query");
    s = step(b, CLI_FLOW_LAYER, "attention output");
    vector(s, m->n_embd);
    note(s, "matrix product, added to the layer's input");
    weight(b, s, "attn_output.weight", 0, 0);
}

static void dense_ffn(struct builder *b)
{
    const rz_model_info *m = b->info;
    struct cli_flow_step *s = step(b, CLI_FLOW_LAYER, "gate and up");
    vector(s, m->n_ff);
    note(s, "SiLU(gate x) * (up x)");
    weight(b, s, "ffn_gate.weight", 0, 0);
    weight(b, s, "ffn_up.weight", 0, 0);
    s = step(b, CLI_FLOW_LAYER, "down");
    vector(s, m->n_embd);
    note(s, "matrix product, added to the attention's output");
    weight(b, s, "ffn_down.weight", 0, 0);
}

static void expert_ffn(struct builder *b)
{
    const rz_model_info *m = b->info;
    struct cli_flow_step *s = step(b, CLI_FLOW_LAYER, "router");
    snprintf(s->output, sizeof s->output, "n x %u of %u", m->n_experts_used, m->n_experts);
    note(s, "softmax over %u experts, the best %u%s", m->n_experts, m->n_experts_used,
         m->norm_expert_weights ? ", their weights made to sum to 1" : "");
    weight(b, s, "ffn_gate_inp.weight", 0, 0);
    s = step(b, CLI_FLOW_LAYER, "experts");
    vector(s, m->n_embd);
    note(s, "SiLU(gate x) * (up x), %u wide, down; weighted sum", m->n_ff_expert);
    weight(b, s, "ffn_gate_exps.weight", m->n_experts_used, m->n_experts);
    weight(b, s, "ffn_up_exps.weight", m->n_experts_used, m->n_experts);
    weight(b, s, "ffn_down_exps.weight", m->n_experts_used, m->n_experts);
    if (!m->n_ff_shared)
        return;
    s = step(b, CLI_FLOW_LAYER, "shared expert");
    vector(s, m->n_embd);
    note(s, "as an expert, %u wide, times sigmoid(gate x), added", m->n_ff_shared);
    weight(b, s, "ffn_gate_inp_shexp.weight", 0, 0);
    weight(b, s, "ffn_gate_shexp.weight", 0, 0);
    weight(b, s, "ffn_up_shexp.weight", 0, 0);
    weight(b, s, "ffn_down_shexp.weight", 0, 0);
}

void cli_flow_build(struct cli_flow *flow, const rz_model *model, uint32_t i_layer)
{
    struct builder b = {.flow = flow,
                        .file = rz_model_get_file(model),
                        .info = rz_model_get_info(model),
                        .layer = i_layer};
    flow->n_steps = 0;
    struct cli_flow_step *s = step(&b, CLI_FLOW_INPUT, "embedding");
    vector(s, b.info->n_embd);
    weight(&b, s, "token_embd.weight", 1, b.info->n_vocab); /* one row */
    s->mul_adds = 0;
    note(s, "a row of %u for each token", b.info->n_vocab);
    attention(&b);
    norm(&b, CLI_FLOW_LAYER, "feed-forward norm", "ffn_norm.weight");
    char router[64];
    snprintf(router, sizeof router, "blk.%u.ffn_gate_inp.weight", i_layer);
    if (rz_file_tensor(b.file, router))
        expert_ffn(&b);
    else
        dense_ffn(&b);
    norm(&b, CLI_FLOW_OUTPUT, "final norm", "output_norm.weight");
    s = step(&b, CLI_FLOW_OUTPUT, "head");
    vector(s, b.info->n_vocab);
    weight(&b, s, b.info->tied_head ? "token_embd.weight" : "output.weight", 0, 0);
    note(s, "matrix product: logits%s", b.info->tied_head ? "; the embedding again" : "");
}
