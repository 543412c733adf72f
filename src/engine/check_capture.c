/* check_capture.c - runs the engine on a short prompt with a tap and keeps the intermediate values
 * of a few tokens, and K and V of all. Invariant: memory is filled with NaN first, so a value that
 * the engine never computed cannot pass for one. */
#include "base/checked.h"
#include "base/fail.h"
#include "engine/check.h"

#include <math.h>
#include <string.h>

const char rz_check_text[] =
    "def f(x):\n    return x ** 2  # caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x99\x82\n\n"
    "The quick brown fox jumps over 13 lazy dogs; isn't it? <b>\"Yes\"</b>, 3.14159 & more.\n";

static uint32_t point_cols(const rz_model_info *m, enum rz_tap_point point)
{
    switch (point) {
    case RZ_TAP_Q:
    case RZ_TAP_Q_ROPE:
    case RZ_TAP_ATTN:
        return m->n_heads * m->head_dim;
    case RZ_TAP_K:
    case RZ_TAP_V:
    case RZ_TAP_K_ROPE:
        return m->n_kv_heads * m->head_dim;
    case RZ_TAP_LOGITS:
        return m->n_vocab;
    default:
        return m->n_embd;
    }
}

static bool per_layer(enum rz_tap_point point)
{
    return point != RZ_TAP_EMBED && point != RZ_TAP_FINAL_NORM && point != RZ_TAP_LOGITS;
}

static float *alloc_nan(size_t n)
{
    float *p = malloc(n * sizeof *p);
    for (size_t i = 0; p && i < n; i++)
        p[i] = NAN;
    return p;
}

static rz_status alloc_capture(struct check *c, rz_error *err)
{
    struct check_capture *cap = &c->capture;
    const rz_model_info *m = c->info;
    size_t n_kv = (size_t)m->n_layers * cap->n_tokens * m->n_kv_heads * m->head_dim;
    bool ok = true;
    for (int p = 0; p < RZ_N_TAPS; p++) {
        cap->cols[p] = point_cols(m, (enum rz_tap_point)p);
        size_t n_layers = per_layer((enum rz_tap_point)p) ? m->n_layers : 1;
        cap->point[p] = alloc_nan(n_layers * cap->n_rows * cap->cols[p]);
        ok = ok && cap->point[p];
    }
    cap->k = alloc_nan(n_kv);
    cap->v = alloc_nan(n_kv);
    if (!ok || !cap->k || !cap->v)
        return rz_fail_nomem(err, n_kv * sizeof *cap->k, "the values to check");
    return RZ_OK;
}

void rz_check_capture_fini(struct check_capture *c)
{
    for (int p = 0; p < RZ_N_TAPS; p++)
        free(c->point[p]);
    free(c->k);
    free(c->v);
    *c = (struct check_capture){0};
}

const float *rz_check_values(const struct check *c, enum rz_tap_point point, int layer)
{
    size_t row = per_layer(point) ? (size_t)layer * c->capture.n_rows : 0;
    return c->capture.point[point] + row * c->capture.cols[point];
}

rz_status rz_check_point(const struct check *c, enum rz_tap_point point, int layer,
                         struct rz_ref_mat *out, rz_error *err)
{
    const float *values = rz_check_values(c, point, layer);
    RZ_TRY(rz_ref_mat_init(out, c->capture.n_rows, c->capture.cols[point], true, err));
    for (size_t i = 0; i < (size_t)out->n_rows * out->n_cols; i++)
        out->v[i] = (double)values[i];
    return RZ_OK;
}

/* ---- the tap ------------------------------------------------------------------------------- */

static void keep_kv(struct check *c, float *to, int layer, const float *data, uint32_t n_rows)
{
    const struct check_capture *cap = &c->capture;
    size_t n_cols = cap->cols[RZ_TAP_V];
    struct rz_backend *b = c->model->backend;
    b->ops->download(b, to + ((size_t)layer * cap->n_tokens + cap->step_pos) * n_cols, data,
                     n_rows * n_cols * sizeof *to);
}

static void tap(void *ctx, enum rz_tap_point point, int layer, const float *data, uint32_t n_rows,
                uint32_t n_cols)
{
    struct check *c = ctx;
    struct check_capture *cap = &c->capture;
    struct rz_backend *b = c->model->backend;
    bool final = point == RZ_TAP_FINAL_NORM || point == RZ_TAP_LOGITS;
    uint32_t first = final ? cap->logit_pos : cap->step_pos;
    RZ_ASSERT(n_cols == cap->cols[point]);
    float *to = cap->point[point] + (per_layer(point) ? (size_t)layer * cap->n_rows * n_cols : 0);
    for (uint32_t i = 0; i < cap->n_rows; i++)
        if (cap->pos[i] >= first && cap->pos[i] < first + n_rows)
            b->ops->download(b, to + (size_t)i * n_cols,
                             data + (size_t)(cap->pos[i] - first) * n_cols, n_cols * sizeof *to);
    if (point == RZ_TAP_K_ROPE)
        keep_kv(c, cap->k, layer, data, n_rows);
    if (point == RZ_TAP_V)
        keep_kv(c, cap->v, layer, data, n_rows);
    if (point == RZ_TAP_LOGITS)
        cap->logit_pos += n_rows;
}

/* ---- the run ------------------------------------------------------------------------------- */

/* The text's tokens; where it has too few of them, made-up ones. */
static rz_status make_prompt(struct check *c, rz_error *err)
{
    struct check_capture *cap = &c->capture;
    rz_ids ids = {0};
    rz_error ignored; /* a tokenizer that fails here fails its own stage */
    rz_status status =
        rz_tokenizer_encode(c->model->tokenizer, rz_check_text, strlen(rz_check_text),
                            RZ_ENCODE_BOS_EOS, &ids, &ignored);
    if (status == RZ_ENOMEM) {
        rz_ids_free(&ids);
        return rz_fail(err, status, "%s", ignored.text);
    }
    cap->n_tokens = rz_min_u32(CHECK_TOKENS, c->info->n_ctx_train);
    for (uint32_t i = 0; i < cap->n_tokens; i++) {
        bool use = i < ids.len && ids.data[i] >= 0 && (uint32_t)ids.data[i] < c->info->n_vocab;
        cap->ids[i] = use ? ids.data[i] : (int32_t)((i * 7919u + 13) % c->info->n_vocab);
    }
    rz_ids_free(&ids);
    return RZ_OK;
}

/* The first tokens, the border of the KV block, the last of the batch, the single ones. */
static void choose_rows(struct check_capture *c)
{
    uint32_t n = c->n_tokens;
    c->n_prefill = n > 2 * CHECK_STEPS ? n - CHECK_STEPS : n;
    const uint32_t wanted[] = {0, 5, 11, RZ_KV_BLOCK_LEN - 1, RZ_KV_BLOCK_LEN, n - 3, n - 2, n - 1};
    for (size_t i = 0; i < RZ_ARRAY_LEN(wanted); i++) {
        bool later = c->n_rows == 0 || wanted[i] > c->pos[c->n_rows - 1];
        if (wanted[i] < n && later)
            c->pos[c->n_rows++] = wanted[i];
    }
    c->n_whole = rz_min_u32(c->n_rows, 3);
}

/* Damaged weights make logits that are not finite, which feeding reports: that is a finding of the
 * stages and no reason to stop. */
static rz_status feed(struct check *c, rz_session *s, rz_error *err)
{
    struct check_capture *cap = &c->capture;
    size_t n_bytes = (size_t)cap->n_prefill * c->info->n_vocab * sizeof(float);
    float *all = malloc(n_bytes);
    if (!all)
        return rz_fail_nomem(err, n_bytes, "logits");
    rz_status status = rz_session_feed_all(s, cap->ids, cap->n_prefill, all, err);
    free(all);
    for (uint32_t i = cap->n_prefill; !status && i < cap->n_tokens; i++) {
        cap->step_pos = cap->logit_pos = i;
        status = rz_session_feed(s, &cap->ids[i], 1, err);
    }
    return status == RZ_EINFER ? RZ_OK : status;
}

rz_status rz_check_capture_run(struct check *c, rz_error *err)
{
    RZ_TRY(make_prompt(c, err));
    choose_rows(&c->capture);
    RZ_TRY(alloc_capture(c, err));
    rz_engine_options o = rz_engine_options_default();
    o.n_ctx = rz_min_u32(2 * RZ_KV_BLOCK_LEN, c->info->n_ctx_train);
    o.n_batch = CHECK_TOKENS;
    rz_engine *engine = NULL;
    rz_session *session = NULL;
    rz_status status = rz_engine_new(&engine, c->model, &o, err);
    if (!status)
        status = rz_session_new(&session, engine, err);
    if (!status) {
        c->ref.kv_type = rz_engine_kv_type(engine);
        engine->tap = tap;
        engine->tap_ctx = c;
        status = feed(c, session, err);
    }
    rz_session_free(&session);
    rz_engine_free(&engine);
    return status;
}
