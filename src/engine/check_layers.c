/* check_layers.c - recomputes each stage of each layer from the engine's own input to it.
 * Invariant: inputs are values the engine had, so a stage is blamed for its own errors and not for
 * those of the stages before. */
#include "base/fail.h"
#include "engine/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A feed-forward's errors pass through three matrices, whose rows may be alike: what is rounded in
 * the first adds up in the last more than independent errors would. */
enum {
    FFN_SIGMAS = 2 * RZ_REF_SIGMAS
};

static const double float_sum_ulps = 2; /* of one addition */

void rz_check_note(struct check_finding *f, double error, double bound, int layer, const char *what)
{
    bool first = f->n_compared++ == 0, worse = error * f->bound > f->error * bound;
    if (!isfinite(error) ? isfinite(f->error) || first : first || (isfinite(f->error) && worse)) {
        f->error = isnan(error) ? INFINITY : error;
        f->bound = bound;
        f->layer = layer;
        snprintf(f->what, sizeof f->what, "%s", what);
    }
}

void rz_check_compare(struct check_finding *f, const struct check_pair *p)
{
    for (uint32_t m = 0; m < p->want->n_rows; m++) {
        for (uint32_t i = 0; (!p->skip || !p->skip[m]) && i < p->want->n_cols; i++) {
            size_t at = (size_t)m * p->want->n_cols + i;
            double want = p->want->v[at], sigma = sqrt(p->want->var[at]);
            if (!isfinite(want) || !isfinite(sigma))
                f->n_blocked++;
            else
                rz_check_note(f, fabs((double)p->got[at] - want), p->sigmas * sigma + 1e-30,
                              p->layer, p->what);
        }
    }
}

/* Compares the engine's values at a point. */
static void compare_at(struct check *c, enum check_stage stage, enum rz_tap_point point, int layer,
                       const struct rz_ref_mat *want, const char *what)
{
    const struct check_pair p = {.got = rz_check_values(c, point, layer),
                                 .want = want,
                                 .layer = layer,
                                 .what = what,
                                 .sigmas = RZ_REF_SIGMAS};
    rz_check_compare(&c->found[stage], &p);
}

/* The stream that enters a layer's attention block. */
static rz_status stream_before(struct check *c, int layer, struct rz_ref_mat *out, rz_error *err)
{
    return layer == 0 ? rz_check_point(c, RZ_TAP_EMBED, -1, out, err)
                      : rz_check_point(c, RZ_TAP_LAYER, layer - 1, out, err);
}

static rz_status check_embedding(struct check *c, rz_error *err)
{
    struct rz_ref_mat want;
    int32_t ids[CHECK_ROWS];
    for (uint32_t i = 0; i < c->capture.n_rows; i++)
        ids[i] = c->capture.ids[c->capture.pos[i]];
    RZ_TRY(rz_ref_embed(&c->ref, ids, c->capture.n_rows, true, &want, err));
    compare_at(c, CHECK_EMBEDDING, RZ_TAP_EMBED, -1, &want, "token_embd");
    rz_ref_mat_fini(&want);
    return RZ_OK;
}

/* x is consumed. */
static rz_status norm_of(struct check *c, struct rz_ref_mat *x, int layer, const char *weight,
                         enum rz_tap_point out, rz_error *err)
{
    rz_status status = rz_ref_norm(&c->ref, rz_ref_tensor(&c->ref, layer, weight), x, err);
    if (!status)
        compare_at(c, CHECK_NORM, out, layer, x, weight);
    rz_ref_mat_fini(x);
    return status;
}

static rz_status check_norms(struct check *c, int layer, rz_error *err)
{
    struct rz_ref_mat x;
    RZ_TRY(stream_before(c, layer, &x, err));
    RZ_TRY(norm_of(c, &x, layer, "attn_norm.weight", RZ_TAP_ATTN_NORM, err));
    RZ_TRY(rz_check_point(c, RZ_TAP_ATTN_RESID, layer, &x, err));
    return norm_of(c, &x, layer, "ffn_norm.weight", RZ_TAP_FFN_NORM, err);
}

static rz_status check_projection(struct check *c, int layer, const struct rz_ref_mat *x, int which,
                                  rz_error *err)
{
    static const char *const weights[] = {"attn_q.weight", "attn_k.weight", "attn_v.weight"};
    static const char *const biases[] = {"attn_q.bias", "attn_k.bias", "attn_v.bias"};
    static const char *const norms[] = {"attn_q_norm.weight", "attn_k_norm.weight", NULL};
    static const enum rz_tap_point points[] = {RZ_TAP_Q, RZ_TAP_K, RZ_TAP_V};
    struct rz_ref *r = &c->ref;
    struct rz_ref_mat y;
    const rz_tensor *norm = norms[which] ? rz_ref_tensor(r, layer, norms[which]) : NULL;
    const struct rz_ref_weight w = {.w = rz_ref_tensor(r, layer, weights[which]),
                                    .bias = rz_ref_tensor(r, layer, biases[which])};
    RZ_TRY(rz_ref_linear(r, w, x, &y, err));
    rz_status status = norm ? rz_ref_norm(r, norm, &y, err) : RZ_OK;
    if (!status)
        compare_at(c, CHECK_QKV, points[which], layer, &y, weights[which]);
    rz_ref_mat_fini(&y);
    return status;
}

static rz_status check_qkv(struct check *c, int layer, rz_error *err)
{
    struct rz_ref_mat x;
    RZ_TRY(rz_check_point(c, RZ_TAP_ATTN_NORM, layer, &x, err));
    rz_status status = RZ_OK;
    for (int i = 0; !status && i < 3; i++)
        status = check_projection(c, layer, &x, i, err);
    rz_ref_mat_fini(&x);
    return status;
}

static rz_status check_rope(struct check *c, int layer, rz_error *err)
{
    static const enum rz_tap_point from[] = {RZ_TAP_Q, RZ_TAP_K};
    static const enum rz_tap_point to[] = {RZ_TAP_Q_ROPE, RZ_TAP_K_ROPE};
    static const char *const what[] = {"rotated queries", "rotated keys"};
    for (int i = 0; i < 2; i++) {
        struct rz_ref_mat x;
        RZ_TRY(rz_check_point(c, from[i], layer, &x, err));
        rz_ref_rope(&c->ref, &x, c->capture.pos);
        compare_at(c, CHECK_ROPE, to[i], layer, &x, what[i]);
        rz_ref_mat_fini(&x);
    }
    return RZ_OK;
}

/* What entered the block plus what the block adds, against the stream after it. */
static rz_status check_residual(struct check *c, enum check_stage stage, int layer,
                                const struct rz_ref_mat *before, rz_error *err)
{
    bool attention = stage == CHECK_ATTENTION;
    enum rz_tap_point added = attention ? RZ_TAP_ATTN_OUT : RZ_TAP_FFN_OUT;
    enum rz_tap_point after = attention ? RZ_TAP_ATTN_RESID : RZ_TAP_LAYER;
    struct rz_ref_mat y;
    RZ_TRY(rz_check_point(c, added, layer, &y, err));
    for (size_t i = 0; i < (size_t)y.n_rows * y.n_cols; i++) {
        y.v[i] += before->v[i];
        y.var[i] = pow(float_sum_ulps * 0x1p-23 / RZ_REF_SIGMAS * y.v[i], 2);
    }
    compare_at(c, stage, after, layer, &y, "the residual stream");
    rz_ref_mat_fini(&y);
    return RZ_OK;
}

static rz_status all_positions(struct check *c, const float *data, int layer,
                               struct rz_ref_mat *out, rz_error *err)
{
    const struct check_capture *cap = &c->capture;
    uint32_t n_cols = cap->cols[RZ_TAP_V];
    RZ_TRY(rz_ref_mat_init(out, cap->n_tokens, n_cols, false, err));
    size_t n = (size_t)cap->n_tokens * n_cols;
    for (size_t i = 0; i < n; i++)
        out->v[i] = (double)data[(size_t)layer * n + i];
    return RZ_OK;
}

static rz_status check_scores(struct check *c, int layer, rz_error *err)
{
    struct rz_ref_mat q = {0}, k = {0}, v = {0}, out = {0};
    rz_status status = rz_check_point(c, RZ_TAP_Q_ROPE, layer, &q, err);
    if (!status)
        status = all_positions(c, c->capture.k, layer, &k, err);
    if (!status)
        status = all_positions(c, c->capture.v, layer, &v, err);
    if (!status) {
        const struct rz_ref_attention a = {
            .q = &q, .k = &k, .v = &v, .pos = c->capture.pos, .with_var = true};
        status = rz_ref_attend(&c->ref, &a, &out, err);
    }
    if (!status)
        compare_at(c, CHECK_ATTENTION, RZ_TAP_ATTN, layer, &out, "softmax(QK)V");
    rz_ref_mat_fini(&q);
    rz_ref_mat_fini(&k);
    rz_ref_mat_fini(&v);
    rz_ref_mat_fini(&out);
    return status;
}

static rz_status check_attention(struct check *c, int layer, rz_error *err)
{
    const struct rz_ref_weight wo = {.w = rz_ref_tensor(&c->ref, layer, "attn_output.weight")};
    struct rz_ref_mat x = {0}, y = {0};
    RZ_TRY(check_scores(c, layer, err));
    rz_status status = rz_check_point(c, RZ_TAP_ATTN, layer, &x, err);
    if (!status)
        status = rz_ref_linear(&c->ref, wo, &x, &y, err);
    if (!status)
        compare_at(c, CHECK_ATTENTION, RZ_TAP_ATTN_OUT, layer, &y, "attn_output.weight");
    rz_ref_mat_fini(&x);
    rz_ref_mat_fini(&y);
    if (!status)
        status = stream_before(c, layer, &x, err);
    if (!status)
        status = check_residual(c, CHECK_ATTENTION, layer, &x, err);
    rz_ref_mat_fini(&x);
    return status;
}

static rz_status check_ffn(struct check *c, int layer, rz_error *err)
{
    struct rz_ref_mat x = {0}, y = {0};
    bool unsure[CHECK_ROWS];
    rz_status status = rz_check_point(c, RZ_TAP_FFN_NORM, layer, &x, err);
    if (!status)
        status = rz_ref_ffn(&c->ref, layer, &x, &y, unsure, err);
    if (!status) {
        const struct check_pair p = {.got = rz_check_values(c, RZ_TAP_FFN_OUT, layer),
                                     .want = &y,
                                     .skip = unsure,
                                     .layer = layer,
                                     .what = "the feed-forward",
                                     .sigmas = FFN_SIGMAS};
        rz_check_compare(&c->found[CHECK_FFN], &p);
    }
    rz_ref_mat_fini(&x);
    rz_ref_mat_fini(&y);
    if (!status)
        status = rz_check_point(c, RZ_TAP_ATTN_RESID, layer, &x, err);
    if (!status)
        status = check_residual(c, CHECK_FFN, layer, &x, err);
    rz_ref_mat_fini(&x);
    return status;
}

static rz_status check_head(struct check *c, rz_error *err)
{
    struct rz_ref_mat x;
    int last = (int)c->info->n_layers - 1;
    RZ_TRY(rz_check_point(c, RZ_TAP_LAYER, last, &x, err));
    RZ_TRY(norm_of(c, &x, -1, "output_norm.weight", RZ_TAP_FINAL_NORM, err));
    RZ_TRY(rz_check_point(c, RZ_TAP_FINAL_NORM, -1, &x, err));
    rz_status status = rz_ref_head(&c->ref, &x, &c->logits, err);
    if (!status)
        compare_at(c, CHECK_HEAD, RZ_TAP_LOGITS, -1, &c->logits, "logits");
    rz_ref_mat_fini(&x);
    return status;
}

rz_status rz_check_layers(struct check *c, rz_error *err)
{
    RZ_TRY(check_embedding(c, err));
    for (int i = 0; i < (int)c->info->n_layers; i++) {
        RZ_TRY(check_norms(c, i, err));
        RZ_TRY(check_qkv(c, i, err));
        RZ_TRY(check_rope(c, i, err));
        RZ_TRY(check_attention(c, i, err));
        RZ_TRY(check_ffn(c, i, err));
    }
    return check_head(c, err);
}
