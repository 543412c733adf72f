/* reference_forward.c - feed-forward, experts and the whole model in float64. Sources: gated linear
 * units, Shazeer 2002.05202; experts, Mixtral 2401.04088 section 2.1; the shared expert and its
 * gate, Qwen2 2407.10671 section 2.2.2; QK norm, Qwen3 2505.09388. */
#include "base/fail.h"
#include "model/reference_math.h"

#include <string.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* g = silu(g) * u in place, with d silu = (s + g s (1 - s)) dg. */
static void gate_rows(struct rz_ref_mat *g, const struct rz_ref_mat *u)
{
    size_t n = (size_t)g->n_rows * g->n_cols;
    for (size_t i = 0; i < n; i++) {
        double s = sigmoid(g->v[i]), silu = g->v[i] * s, slope = s + g->v[i] * s * (1 - s);
        double up = u->v[i], y = silu * up;
        if (g->var) {
            /* A float32 exp is off by the argument's own last place. */
            double own = ref_float_sigma(8 + fabs(g->v[i]), y);
            double by_gate = slope * slope * g->var[i];
            g->var[i] = by_gate * (up * up + u->var[i]) + silu * silu * u->var[i] + own * own;
        }
        g->v[i] = y;
    }
}

/* The three matrices of a feed-forward, one of each stack. */
struct ffn {
    const rz_tensor *gate, *up, *down;
    uint32_t i_stack;
};

static struct rz_ref_weight of_stack(const rz_tensor *w, const struct ffn *f)
{
    return (struct rz_ref_weight){.w = w, .i_stack = f->i_stack};
}

static rz_status gated(struct rz_ref *r, const struct ffn *f, const struct rz_ref_mat *x,
                       struct rz_ref_mat *out, rz_error *err)
{
    struct rz_ref_mat g = {0}, u = {0};
    rz_status status = rz_ref_linear(r, of_stack(f->gate, f), x, &g, err);
    if (!status)
        status = rz_ref_linear(r, of_stack(f->up, f), x, &u, err);
    if (!status) {
        gate_rows(&g, &u);
        status = rz_ref_linear(r, of_stack(f->down, f), &g, out, err);
    }
    rz_ref_mat_fini(&g);
    rz_ref_mat_fini(&u);
    return status;
}

/* ---- experts ------------------------------------------------------------------------------- */

/* Weights of the chosen experts of each row, 0 for the others: in place of the router's logits. */
static void route(const struct rz_ref *r, struct rz_ref_mat *logits, bool *unsure)
{
    uint32_t n = logits->n_cols, n_used = r->info->n_experts_used;
    for (uint32_t m = 0; m < logits->n_rows; m++) {
        double *x = logits->v + (size_t)m * n, *var = logits->var;
        double sum = 0, lowest_in = INFINITY, highest_out = -INFINITY, margin = 0;
        bool in[RZ_MAX_EXPERTS] = {false};
        for (uint32_t k = 0; k < n_used; k++) {
            uint32_t best = n;
            for (uint32_t e = 0; e < n; e++)
                if (!in[e] && (best == n || x[e] > x[best]))
                    best = e;
            in[best] = true;
            lowest_in = x[best];
        }
        for (uint32_t e = 0; e < n; e++) {
            if (!in[e])
                highest_out = fmax(highest_out, x[e]);
            if (var)
                margin = fmax(margin, RZ_REF_SIGMAS * sqrt(var[(size_t)m * n + e]));
        }
        if (unsure && var)
            unsure[m] = !(lowest_in - highest_out > 2 * margin);
        rz_ref_softmax(x, x, n);
        for (uint32_t e = 0; e < n; e++) {
            x[e] = in[e] ? x[e] : 0;
            sum += x[e];
        }
        for (uint32_t e = 0; r->info->norm_expert_weights && e < n; e++)
            x[e] /= sum;
    }
}

/* A router logit that is off by sigma moves an expert's weight by at most that share of it, twice
 * with all others. */
static double weight_sigma(const struct rz_ref_mat *logits, const double *var, uint32_t m)
{
    double most = 0;
    for (uint32_t e = 0; e < logits->n_cols; e++)
        most = fmax(most, var[(size_t)m * logits->n_cols + e]);
    return 2 * sqrt(most) + ref_float_sigma(16, 1);
}

/* out += weight * y, for the rows that chose the expert. */
static void add_expert(const struct rz_ref_mat *weights, uint32_t expert, const uint32_t *rows,
                       const struct rz_ref_mat *y, struct rz_ref_mat *out)
{
    for (uint32_t i = 0; i < y->n_rows; i++) {
        double w = weights->v[(size_t)rows[i] * weights->n_cols + expert];
        double sigma = weights->var ? weight_sigma(weights, weights->var, rows[i]) : 0;
        for (uint32_t c = 0; c < y->n_cols; c++) {
            size_t from = (size_t)i * y->n_cols + c, to = (size_t)rows[i] * y->n_cols + c;
            double part = w * y->v[from];
            out->v[to] += part;
            if (out->var)
                out->var[to] += w * w * y->var[from] + part * part * sigma * sigma +
                                pow(ref_float_sigma(4, part), 2);
        }
    }
}

/* The rows of x that chose the expert, in a matrix of their own. */
static rz_status pick_rows(const struct rz_ref_mat *x, const struct rz_ref_mat *weights,
                           uint32_t expert, uint32_t *rows, struct rz_ref_mat *picked,
                           rz_error *err)
{
    uint32_t n = 0;
    *picked = (struct rz_ref_mat){0};
    for (uint32_t m = 0; m < x->n_rows; m++)
        if (weights->v[(size_t)m * weights->n_cols + expert] > 0)
            rows[n++] = m;
    if (n == 0)
        return RZ_OK;
    RZ_TRY(rz_ref_mat_init(picked, n, x->n_cols, x->var != NULL, err));
    for (uint32_t i = n; i-- > 0;) {
        size_t to = (size_t)i * x->n_cols, from = (size_t)rows[i] * x->n_cols;
        memcpy(picked->v + to, x->v + from, x->n_cols * sizeof *x->v);
        if (x->var)
            memcpy(picked->var + to, x->var + from, x->n_cols * sizeof *x->v);
        if (rows[i] >= x->noisy_from)
            picked->noisy_from = i;
    }
    return RZ_OK;
}

static rz_status routed(struct rz_ref *r, int layer, const struct rz_ref_mat *x,
                        const struct rz_ref_mat *weights, struct rz_ref_mat *out, rz_error *err)
{
    struct ffn f = {.gate = rz_ref_tensor(r, layer, "ffn_gate_exps.weight"),
                    .up = rz_ref_tensor(r, layer, "ffn_up_exps.weight"),
                    .down = rz_ref_tensor(r, layer, "ffn_down_exps.weight")};
    uint32_t *rows = calloc(x->n_rows, sizeof *rows);
    if (!rows)
        return rz_fail_nomem(err, x->n_rows * sizeof *rows, "an expert's rows");
    rz_status status = RZ_OK;
    for (f.i_stack = 0; !status && f.i_stack < r->info->n_experts; f.i_stack++) {
        struct rz_ref_mat picked = {0}, y = {0};
        status = pick_rows(x, weights, f.i_stack, rows, &picked, err);
        if (!status && picked.n_rows > 0) {
            status = gated(r, &f, &picked, &y, err);
            if (!status)
                add_expert(weights, f.i_stack, rows, &y, out);
        }
        rz_ref_mat_fini(&picked);
        rz_ref_mat_fini(&y);
    }
    free(rows);
    return status;
}

static rz_status shared(struct rz_ref *r, int layer, const struct rz_ref_mat *x,
                        struct rz_ref_mat *out, rz_error *err)
{
    const struct ffn f = {.gate = rz_ref_tensor(r, layer, "ffn_gate_shexp.weight"),
                          .up = rz_ref_tensor(r, layer, "ffn_up_shexp.weight"),
                          .down = rz_ref_tensor(r, layer, "ffn_down_shexp.weight")};
    const rz_tensor *gate = rz_ref_tensor(r, layer, "ffn_gate_inp_shexp.weight");
    struct rz_ref_mat y = {0}, g = {0};
    rz_status status = gated(r, &f, x, &y, err);
    if (!status)
        status = rz_ref_linear(r, (struct rz_ref_weight){.w = gate}, x, &g, err);
    for (uint32_t m = 0; !status && m < x->n_rows; m++) {
        double s = sigmoid(g.v[m]), slope = s * (1 - s), var_s = 0;
        if (g.var)
            var_s = slope * slope * g.var[m] + pow(ref_float_sigma(8 + fabs(g.v[m]), s), 2);
        for (size_t c = (size_t)m * y.n_cols; c < (size_t)(m + 1) * y.n_cols; c++) {
            out->v[c] += s * y.v[c];
            if (out->var)
                out->var[c] += s * s * y.var[c] + y.v[c] * y.v[c] * var_s +
                               pow(ref_float_sigma(4, out->v[c]), 2);
        }
    }
    rz_ref_mat_fini(&y);
    rz_ref_mat_fini(&g);
    return status;
}

static rz_status experts(struct rz_ref *r, int layer, const struct rz_ref_mat *x,
                         struct rz_ref_mat *out, bool *unsure, rz_error *err)
{
    struct rz_ref_mat weights = {0};
    const struct rz_ref_weight router = {.w = rz_ref_tensor(r, layer, "ffn_gate_inp.weight")};
    rz_status status = rz_ref_linear(r, router, x, &weights, err);
    if (!status)
        status = rz_ref_mat_init(out, x->n_rows, x->n_cols, x->var != NULL, err);
    if (!status) {
        out->noisy_from = x->noisy_from;
        route(r, &weights, unsure);
        status = routed(r, layer, x, &weights, out, err);
    }
    if (!status && r->info->n_ff_shared)
        status = shared(r, layer, x, out, err);
    rz_ref_mat_fini(&weights);
    if (status)
        rz_ref_mat_fini(out);
    return status;
}

rz_status rz_ref_ffn(struct rz_ref *r, int layer, const struct rz_ref_mat *x,
                     struct rz_ref_mat *out, bool *unsure, rz_error *err)
{
    *out = (struct rz_ref_mat){0};
    for (uint32_t m = 0; unsure && m < x->n_rows; m++)
        unsure[m] = false;
    if (r->info->n_experts)
        return experts(r, layer, x, out, unsure, err);
    const struct ffn f = {.gate = rz_ref_tensor(r, layer, "ffn_gate.weight"),
                          .up = rz_ref_tensor(r, layer, "ffn_up.weight"),
                          .down = rz_ref_tensor(r, layer, "ffn_down.weight")};
    return gated(r, &f, x, out, err);
}

/* ---- the whole model ----------------------------------------------------------------------- */

/* x holds the exact rows of all tokens and after them the noisy ones. */
struct run {
    struct rz_ref *r;
    uint32_t n;    /* tokens */
    uint32_t *pos; /* [2 n] */
    struct rz_ref_mat x;
};

static struct rz_ref_mat half(const struct rz_ref_mat *m, uint32_t n, bool noisy)
{
    struct rz_ref_mat h = *m;
    h.n_rows = n;
    h.v += noisy ? (size_t)n * m->n_cols : 0;
    return h;
}

/* What rounding to the cache's type does to the noisy rows of K or V. */
static void store_noise(struct run *run, struct rz_ref_mat *kv)
{
    if (run->r->kv_type != RZ_F16)
        return;
    for (size_t i = (size_t)run->n * kv->n_cols; i < (size_t)kv->n_rows * kv->n_cols; i++)
        kv->v[i] += (2 * rz_rng_unit(&run->r->rng) - 1) * sqrt(3) * ref_f16_sigma(kv->v[i]);
}

static rz_status copy_mat(const struct rz_ref_mat *from, struct rz_ref_mat *to, rz_error *err)
{
    RZ_TRY(rz_ref_mat_init(to, from->n_rows, from->n_cols, false, err));
    memcpy(to->v, from->v, (size_t)from->n_rows * from->n_cols * sizeof *to->v);
    to->noisy_from = from->noisy_from;
    return RZ_OK;
}

static void add_mat(struct rz_ref_mat *x, const struct rz_ref_mat *y)
{
    for (size_t i = 0; i < (size_t)x->n_rows * x->n_cols; i++)
        x->v[i] += y->v[i];
}

/* Q, K or V: projection, norm of the heads where the model has one. */
static rz_status project(struct run *run, int layer, const struct rz_ref_mat *normed, char which,
                         struct rz_ref_mat *out, rz_error *err)
{
    struct rz_ref *r = run->r;
    char name[] = "attn_?.weight", bias[] = "attn_?.bias", norm[] = "attn_?_norm.weight";
    name[5] = bias[5] = norm[5] = which;
    const struct rz_ref_weight w = {.w = rz_ref_tensor(r, layer, name),
                                    .bias = rz_ref_tensor(r, layer, bias)};
    RZ_TRY(rz_ref_linear(r, w, normed, out, err));
    const rz_tensor *norm_weight = rz_ref_tensor(r, layer, norm);
    return norm_weight ? rz_ref_norm(r, norm_weight, out, err) : RZ_OK;
}

static rz_status attend_half(struct run *run, struct rz_ref_mat qkv[3], bool noisy,
                             struct rz_ref_mat *to, rz_error *err)
{
    struct rz_ref_mat q = half(&qkv[0], run->n, noisy), k = half(&qkv[1], run->n, noisy);
    struct rz_ref_mat v = half(&qkv[2], run->n, noisy), out;
    const struct rz_ref_attention a = {.q = &q, .k = &k, .v = &v, .pos = run->pos};
    RZ_TRY(rz_ref_attend(run->r, &a, &out, err));
    memcpy(to->v + (noisy ? (size_t)run->n * out.n_cols : 0), out.v,
           (size_t)run->n * out.n_cols * sizeof *out.v);
    rz_ref_mat_fini(&out);
    return RZ_OK;
}

static rz_status attention_block(struct run *run, int layer, rz_error *err)
{
    struct rz_ref *r = run->r;
    const struct rz_ref_weight wo = {.w = rz_ref_tensor(r, layer, "attn_output.weight")};
    struct rz_ref_mat normed = {0}, qkv[3] = {{0}}, mixed = {0}, out = {0};
    rz_status status = copy_mat(&run->x, &normed, err);
    if (!status)
        status = rz_ref_norm(r, rz_ref_tensor(r, layer, "attn_norm.weight"), &normed, err);
    for (int i = 0; !status && i < 3; i++)
        status = project(run, layer, &normed, "qkv"[i], &qkv[i], err);
    if (!status) {
        rz_ref_rope(r, &qkv[0], run->pos);
        rz_ref_rope(r, &qkv[1], run->pos);
        store_noise(run, &qkv[1]);
        store_noise(run, &qkv[2]);
        status = rz_ref_mat_init(&mixed, 2 * run->n, qkv[0].n_cols, false, err);
    }
    mixed.noisy_from = run->n;
    for (int noisy = 0; !status && noisy < 2; noisy++)
        status = attend_half(run, qkv, noisy, &mixed, err);
    if (!status)
        status = rz_ref_linear(r, wo, &mixed, &out, err);
    if (!status)
        add_mat(&run->x, &out);
    rz_ref_mat_fini(&normed);
    for (int i = 0; i < 3; i++)
        rz_ref_mat_fini(&qkv[i]);
    rz_ref_mat_fini(&mixed);
    rz_ref_mat_fini(&out);
    return status;
}

static rz_status ffn_block(struct run *run, int layer, rz_error *err)
{
    struct rz_ref_mat normed = {0}, out = {0};
    rz_status status = copy_mat(&run->x, &normed, err);
    if (!status)
        status = rz_ref_norm(run->r, rz_ref_tensor(run->r, layer, "ffn_norm.weight"), &normed, err);
    if (!status)
        status = rz_ref_ffn(run->r, layer, &normed, &out, NULL, err);
    if (!status)
        add_mat(&run->x, &out);
    rz_ref_mat_fini(&normed);
    rz_ref_mat_fini(&out);
    return status;
}

rz_status rz_ref_head(struct rz_ref *r, const struct rz_ref_mat *x, struct rz_ref_mat *out,
                      rz_error *err)
{
    const rz_tensor *head = rz_ref_tensor(r, -1, "output.weight");
    if (!head)
        head = rz_ref_tensor(r, -1, "token_embd.weight");
    return rz_ref_linear(r, (struct rz_ref_weight){.w = head}, x, out, err);
}

/* Final norm and head of the wanted rows, exact and noisy. */
static rz_status wanted_logits(struct run *run, const struct rz_ref_prompt *prompt,
                               struct rz_ref_mat *out, rz_error *err)
{
    struct rz_ref_mat x;
    uint32_t d = run->x.n_cols, n = prompt->n_rows;
    RZ_TRY(rz_ref_mat_init(&x, 2 * n, d, false, err));
    x.noisy_from = n;
    for (uint32_t i = 0; i < 2 * n; i++) {
        size_t row = i < n ? prompt->rows[i] : prompt->rows[i - n] + prompt->n;
        memcpy(x.v + (size_t)i * d, run->x.v + row * d, d * sizeof *x.v);
    }
    rz_status status =
        rz_ref_norm(run->r, rz_ref_tensor(run->r, -1, "output_norm.weight"), &x, err);
    if (!status)
        status = rz_ref_head(run->r, &x, out, err);
    rz_ref_mat_fini(&x);
    return status;
}

rz_status rz_ref_forward(struct rz_ref *r, const struct rz_ref_prompt *prompt,
                         struct rz_ref_mat *out, rz_error *err)
{
    uint32_t n = prompt->n;
    struct run run = {.r = r, .n = n};
    *out = (struct rz_ref_mat){0};
    int32_t *twice = calloc(2 * (size_t)n, sizeof *twice);
    run.pos = calloc(2 * (size_t)n, sizeof *run.pos);
    rz_status status = RZ_OK;
    if (!twice || !run.pos) {
        status = rz_fail_nomem(err, 2 * n * sizeof *twice, "the float64 forward");
        goto done;
    }
    for (uint32_t i = 0; i < 2 * n; i++) {
        run.pos[i] = i < n ? i : i - n;
        twice[i] = prompt->ids[run.pos[i]];
    }
    status = rz_ref_embed(r, twice, 2 * n, false, &run.x, err);
    run.x.noisy_from = n;
    for (uint32_t i = 0; !status && i < r->info->n_layers; i++) {
        status = attention_block(&run, (int)i, err);
        if (!status)
            status = ffn_block(&run, (int)i, err);
    }
    if (!status)
        status = wanted_logits(&run, prompt, out, err);
done:
    rz_ref_mat_fini(&run.x);
    free(twice);
    free(run.pos);
    return status;
}
