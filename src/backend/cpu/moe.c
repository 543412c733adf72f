/* moe.c - mixture of experts: softmax over the router's logits, the top experts of each token, and
 * one gated feed-forward per expert over all tokens that chose it. Invariant: a token's experts are
 * added in ascending order, so its result does not depend on the other tokens of the step. Source:
 * Mixtral 2401.04088, section 2.1; Qwen2 2407.10671, section 2.2.2. */
#include "backend/cpu/cpu.h"

#include "base/fail.h"

#include <string.h>

/* Takes the n_used largest of the probabilities p[0..n), lower index first on ties, in ascending
 * order of index. What is taken becomes TAKEN in p, so that even NaN is never taken twice. */
static void pick_experts(float *p, uint32_t n, uint32_t n_used, uint32_t *chosen, float *weight)
{
    const float TAKEN = -1;
    for (uint32_t used = 0; used < n_used; used++) {
        uint32_t best = n;
        for (uint32_t e = 0; e < n; e++) {
            if (p[e] != TAKEN && (best == n || p[e] > p[best]))
                best = e;
        }
        uint32_t at = used; /* insertion sort: n_used is about 8 */
        for (; at > 0 && chosen[at - 1] > best; at--) {
            chosen[at] = chosen[at - 1];
            weight[at] = weight[at - 1];
        }
        chosen[at] = best;
        weight[at] = p[best];
        p[best] = TAKEN;
    }
}

/* Router logits to experts and weights; the logits are used up. */
static void route(const struct cpu_backend *c, const struct rz_moe_args *a, float *logits,
                  uint32_t n_tokens)
{
    const uint32_t n = a->gate->n_stack, n_used = a->n_experts_used;
    for (uint32_t t = 0; t < n_tokens; t++) {
        float *p = logits + (size_t)t * n;
        c->k.softmax(p, n);
        uint32_t *chosen = c->moe.chosen + (size_t)t * n_used;
        float *weight = c->moe.weight + (size_t)t * n_used;
        pick_experts(p, n, n_used, chosen, weight);
        float sum = 0;
        for (uint32_t i = 0; i < n_used; i++)
            sum += weight[i];
        for (uint32_t i = 0; a->norm_weights && i < n_used; i++)
            weight[i] /= sum;
    }
}

/* Tokens that chose the expert: their rows are gathered into moe.x. */
static uint32_t gather_tokens(const struct cpu_backend *c, const struct rz_moe_args *a,
                              uint32_t expert, uint32_t n_tokens)
{
    const struct cpu_moe *m = &c->moe;
    const size_t d = a->gate->n_cols;
    uint32_t n = 0;
    for (uint32_t t = 0; t < n_tokens; t++) {
        for (uint32_t i = 0; i < a->n_experts_used; i++) {
            size_t at = (size_t)t * a->n_experts_used + i;
            if (m->chosen[at] != expert)
                continue;
            memcpy(m->x + n * d, a->x + t * d, d * sizeof *m->x);
            m->rows[n] = t;
            m->row_weight[n++] = m->weight[at];
        }
    }
    return n;
}

static struct rz_weight slice(const struct rz_weight *stack, uint32_t expert)
{
    struct rz_weight w = *stack;
    w.n_stack = 1;
    w.data = (const char *)stack->data + (size_t)expert * stack->n_rows * stack->row_bytes;
    return w;
}

static void run_expert(struct rz_backend *b, const struct rz_moe_args *a, uint32_t expert,
                       uint32_t n)
{
    const struct cpu_backend *c = cpu_of(b);
    const struct cpu_moe *m = &c->moe;
    const struct rz_weight gate = slice(a->gate, expert), up = slice(a->up, expert);
    const struct rz_weight down = slice(a->down, expert);
    const struct rz_linear in[2] = {{&gate, NULL, m->gate}, {&up, NULL, m->up}};
    const struct rz_linear out = {&down, NULL, m->down};
    b->ops->matmul(b, m->x, n, in, 2);
    b->ops->silu_mul(b, m->gate, m->up, (size_t)n * gate.n_rows);
    b->ops->matmul(b, m->gate, n, &out, 1);
    for (uint32_t i = 0; i < n; i++)
        c->k.add_scaled(a->y + (size_t)m->rows[i] * down.n_rows, m->down + (size_t)i * down.n_rows,
                        down.n_rows, m->row_weight[i]);
}

void rz_cpu_moe(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens)
{
    struct cpu_backend *c = cpu_of(b);
    RZ_ASSERT(n_tokens <= c->need.max_tokens && a->n_experts_used <= c->need.n_experts_used);
    route(c, a, a->router, n_tokens);
    memset(a->y, 0, (size_t)n_tokens * a->down->n_rows * sizeof *a->y);
    c->step_rows = n_tokens; /* not how many happened to choose the same expert */
    for (uint32_t e = 0; e < a->gate->n_stack; e++) {
        uint32_t n = gather_tokens(c, a, e, n_tokens);
        if (n)
            run_expert(b, a, e, n);
    }
    c->step_rows = 0;
}
