/* imatrix.c - sums the squares of what enters each matrix product, from between the forward and the
 * backend, where the profile's timers stand too. Weights that share an input share their sums.
 *
 * Experts: the backend runs each through its own matmul operation on a slice of the stack, so that
 * the slice's data says which expert it is. */
#include "formats/imatrix.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/fail.h"
#include "engine/internal.h"

#include <math.h>
#include <realizar/imatrix.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 64,
    LOGITS_BYTES_MAX = 32 << 20 /* of a part of a chunk */
};

/* The sums of one input. */
struct input {
    uint32_t n_matrices, n_cols;
    double *sum2;     /* [n_matrices][n_cols] */
    uint64_t *counts; /* [n_matrices] */
};

/* A weight that is multiplied by an input. */
struct consumer {
    char name[NAME_MAX_BYTES];
    const struct rz_weight *w;
    uint32_t i_input;
};

/* Invariant: ops is the first member, and the backend's ops points to it while attached. */
struct collector {
    struct rz_backend_ops ops;
    const struct rz_backend_ops *inner;
    struct rz_backend *backend;
    struct input *inputs;
    struct consumer *consumers;
    uint32_t n_inputs, n_consumers;
    float *rows; /* [max_rows][max_cols] an input on the host */
    uint32_t max_rows, max_cols;
};

/* ---- what is collected ---- */

enum {
    NEW_INPUT = 1 /* otherwise the input of the consumer before */
};

static const struct layer_row {
    const char *suffix;
    size_t offset;
    unsigned flags;
} layer_rows[] = {
    {"attn_q", offsetof(struct rz_layer_weights, wq), NEW_INPUT},
    {"attn_k", offsetof(struct rz_layer_weights, wk), 0},
    {"attn_v", offsetof(struct rz_layer_weights, wv), 0},
    {"attn_output", offsetof(struct rz_layer_weights, wo), NEW_INPUT},
    {"ffn_gate", offsetof(struct rz_layer_weights, gate), NEW_INPUT},
    {"ffn_up", offsetof(struct rz_layer_weights, up), 0},
    {"ffn_down", offsetof(struct rz_layer_weights, down), NEW_INPUT},
    {"ffn_gate_inp", offsetof(struct rz_layer_weights, router), NEW_INPUT},
    {"ffn_gate_inp_shexp", offsetof(struct rz_layer_weights, shared_router), 0},
    {"ffn_gate_exps", offsetof(struct rz_layer_weights, gate_exps), NEW_INPUT},
    {"ffn_up_exps", offsetof(struct rz_layer_weights, up_exps), 0},
    {"ffn_down_exps", offsetof(struct rz_layer_weights, down_exps), NEW_INPUT},
    {"ffn_gate_shexp", offsetof(struct rz_layer_weights, shared_gate), NEW_INPUT},
    {"ffn_up_shexp", offsetof(struct rz_layer_weights, shared_up), 0},
    {"ffn_down_shexp", offsetof(struct rz_layer_weights, shared_down), NEW_INPUT},
};

static rz_status add_input(struct collector *c, const struct rz_weight *w, rz_error *err)
{
    struct input *in = &c->inputs[c->n_inputs++];
    *in = (struct input){.n_matrices = w->n_stack, .n_cols = w->n_cols};
    size_t n = (size_t)w->n_stack * w->n_cols;
    in->sum2 = calloc(n, sizeof *in->sum2);
    in->counts = calloc(w->n_stack, sizeof *in->counts);
    if (!in->sum2 || !in->counts)
        return rz_fail_nomem(err, n * sizeof *in->sum2, "the sums of an importance matrix");
    c->max_cols = w->n_cols > c->max_cols ? w->n_cols : c->max_cols;
    return RZ_OK;
}

static void add_consumer(struct collector *c, const char *name, const struct rz_weight *w)
{
    struct consumer *k = &c->consumers[c->n_consumers++];
    *k = (struct consumer){.w = w, .i_input = c->n_inputs - 1};
    snprintf(k->name, sizeof k->name, "%s", name);
}

static rz_status add_layer(struct collector *c, const struct rz_layer_weights *l, uint32_t i_layer,
                           rz_error *err)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(layer_rows); i++) {
        const struct layer_row *row = &layer_rows[i];
        const struct rz_weight *w =
            (const struct rz_weight *)(const void *)((const char *)l + row->offset);
        char name[NAME_MAX_BYTES];
        if (!w->data)
            continue;
        if (row->flags & NEW_INPUT)
            RZ_TRY(add_input(c, w, err));
        snprintf(name, sizeof name, "blk.%u.%s.weight", i_layer, row->suffix);
        add_consumer(c, name, w);
    }
    return RZ_OK;
}

static rz_status list_weights(struct collector *c, const struct rz_weights *weights, bool output,
                              rz_error *err)
{
    const rz_model_info *m = &weights->config.info;
    size_t n = (size_t)m->n_layers * RZ_ARRAY_LEN(layer_rows) + 1;
    c->inputs = calloc(n, sizeof *c->inputs);
    c->consumers = calloc(n, sizeof *c->consumers);
    if (!c->inputs || !c->consumers)
        return rz_fail_nomem(err, n * sizeof *c->consumers, "the list of weights");
    for (uint32_t i = 0; i < m->n_layers; i++)
        RZ_TRY(add_layer(c, &weights->layers[i], i, err));
    if (output) {
        RZ_TRY(add_input(c, &weights->head, err));
        add_consumer(c, m->tied_head ? "token_embd.weight" : "output.weight", &weights->head);
    }
    size_t n_values = (size_t)c->max_rows * c->max_cols;
    c->rows = calloc(n_values + 1, sizeof *c->rows);
    return c->rows ? RZ_OK
                   : rz_fail_nomem(err, n_values * sizeof *c->rows, "a copy of activations");
}

/* ---- collecting ---- */

/* The input that w is multiplied by, and which matrix of a stack w is; NULL if none is wanted. */
static struct input *find_input(const struct collector *c, const struct rz_weight *w,
                                uint32_t *i_matrix)
{
    for (uint32_t i = 0; i < c->n_consumers; i++) {
        const struct rz_weight *k = c->consumers[i].w;
        uintptr_t first = (uintptr_t)k->data, at = (uintptr_t)w->data;
        size_t matrix_bytes = (size_t)k->n_rows * k->row_bytes;
        bool inside = at >= first && at - first < matrix_bytes * k->n_stack;
        if (inside && k->n_cols == w->n_cols) {
            *i_matrix = (uint32_t)((at - first) / matrix_bytes);
            return &c->inputs[c->consumers[i].i_input];
        }
    }
    return NULL;
}

static void add_squares(struct input *in, uint32_t i_matrix, const float *rows, uint32_t n_rows)
{
    double *sum2 = in->sum2 + (size_t)i_matrix * in->n_cols;
    for (uint32_t r = 0; r < n_rows; r++, rows += in->n_cols)
        for (uint32_t i = 0; i < in->n_cols; i++)
            sum2[i] += (double)rows[i] * (double)rows[i];
    in->counts[i_matrix] += n_rows;
}

static void collect_matmul(struct rz_backend *b, const float *x, uint32_t n_rows,
                           const struct rz_linear *out, uint32_t n_out)
{
    struct collector *c = (struct collector *)(uintptr_t)b->ops;
    uint32_t i_matrix = 0;
    struct input *in = find_input(c, out[0].w, &i_matrix);
    for (uint32_t done = 0; in && done < n_rows;) {
        uint32_t now = rz_min_u32(n_rows - done, c->max_rows);
        c->inner->download(b, c->rows, x + (size_t)done * in->n_cols,
                           (size_t)now * in->n_cols * sizeof *x);
        add_squares(in, i_matrix, c->rows, now);
        done += now;
    }
    c->inner->matmul(b, x, n_rows, out, n_out);
}

static void attach(struct collector *c, struct rz_backend *b)
{
    c->backend = b;
    c->inner = b->ops;
    c->ops = *b->ops;
    c->ops.matmul = collect_matmul;
    b->ops = &c->ops;
}

static void collector_fini(struct collector *c)
{
    if (c->backend)
        c->backend->ops = c->inner;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        free(c->inputs[i].sum2);
        free(c->inputs[i].counts);
    }
    free(c->inputs);
    free(c->consumers);
    free(c->rows);
}

/* ---- running ---- */

struct maker {
    const rz_model *model;
    const rz_imatrix_options *o;
    rz_engine *engine;
    rz_session *session;
    int32_t *chunk; /* [n_ctx] */
    float *logits;  /* [n_part][n_vocab], with the output weight */
    size_t n_part;
};

/* The head sees only rows whose logits are asked for. */
static rz_status feed_chunk(struct maker *m, size_t n, rz_error *err)
{
    rz_session_truncate(m->session, 0);
    if (!m->logits)
        return rz_session_feed(m->session, m->chunk, n, err);
    for (size_t done = 0; done < n; done += m->n_part)
        RZ_TRY(rz_session_feed_all(m->session, m->chunk + done, rz_min_size(m->n_part, n - done),
                                   m->logits, err));
    return RZ_OK;
}

static rz_status run_chunks(struct maker *m, const int32_t *ids, size_t n,
                            rz_imatrix_report *report, rz_error *err)
{
    const rz_tokenizer *tok = rz_model_get_tokenizer(m->model);
    const size_t len = rz_min_size(m->o->n_ctx, n);
    uint64_t n_chunks = n / len;
    if (m->o->max_chunks && m->o->max_chunks < n_chunks)
        n_chunks = m->o->max_chunks;
    for (uint64_t i = 0; i < n_chunks; i++) {
        if (m->o->progress && !m->o->progress(m->o->progress_ctx, i, n_chunks))
            return rz_fail(err, RZ_ECANCEL, "stopped");
        memcpy(m->chunk, ids + i * len, len * sizeof *ids);
        if (rz_tokenizer_add_bos(tok) && rz_tokenizer_bos(tok) >= 0)
            m->chunk[0] = rz_tokenizer_bos(tok);
        RZ_TRY(feed_chunk(m, len, err));
    }
    if (m->o->progress && !m->o->progress(m->o->progress_ctx, n_chunks, n_chunks))
        return rz_fail(err, RZ_ECANCEL, "stopped");
    report->n_chunks = n_chunks;
    report->n_tokens = n_chunks * len;
    return RZ_OK;
}

static rz_status maker_init(struct maker *m, rz_error *err)
{
    const uint32_t n_vocab = rz_model_get_info(m->model)->n_vocab;
    rz_engine_options options = rz_engine_options_default();
    options.n_ctx = m->o->n_ctx;
    RZ_TRY(rz_engine_new(&m->engine, m->model, &options, err));
    RZ_TRY(rz_session_new(&m->session, m->engine, err));
    m->n_part = rz_max_size(LOGITS_BYTES_MAX / ((size_t)n_vocab * sizeof *m->logits), 1);
    m->n_part = rz_min_size(m->n_part, m->o->n_ctx);
    m->chunk = calloc(m->o->n_ctx, sizeof *m->chunk);
    if (!m->chunk)
        return rz_fail_nomem(err, m->o->n_ctx * sizeof *m->chunk, "a chunk of tokens");
    if (!m->o->output_weight)
        return RZ_OK;
    m->logits = calloc(m->n_part * n_vocab, sizeof *m->logits);
    return m->logits ? RZ_OK
                     : rz_fail_nomem(err, m->n_part * n_vocab * sizeof *m->logits, "logits");
}

static void maker_fini(struct maker *m)
{
    free(m->logits);
    free(m->chunk);
    rz_session_free(&m->session);
    rz_engine_free(&m->engine);
}

/* ---- writing ---- */

static rz_status check_sums(const struct collector *c, rz_imatrix_report *report, rz_error *err)
{
    for (uint32_t i = 0; i < c->n_consumers; i++) {
        const struct input *in = &c->inputs[c->consumers[i].i_input];
        uint32_t n_unused = 0;
        for (size_t k = 0; k < (size_t)in->n_matrices * in->n_cols; k++)
            if (!(in->sum2[k] <= (double)3.4e38f))
                return rz_fail(err, RZ_EINFER, "the inputs of %s are not finite",
                               c->consumers[i].name);
        for (uint32_t k = 0; k < in->n_matrices; k++)
            n_unused += in->counts[k] == 0;
        report->n_matrices += n_unused < in->n_matrices;
        /* Once per layer, although its three stacks lack the same experts. */
        if (strstr(c->consumers[i].name, "ffn_gate_exps"))
            report->n_unused_experts += n_unused;
    }
    return RZ_OK;
}

static rz_status write_file(const struct collector *c, const rz_imatrix_options *o,
                            const rz_imatrix_report *report, rz_error *err)
{
    struct rz_imatrix_sums *sums = calloc(c->n_consumers + 1, sizeof *sums);
    if (!sums)
        return rz_fail_nomem(err, c->n_consumers * sizeof *sums, "a list of matrices");
    for (uint32_t i = 0; i < c->n_consumers; i++) {
        const struct input *in = &c->inputs[c->consumers[i].i_input];
        sums[i] = (struct rz_imatrix_sums){.name = c->consumers[i].name,
                                           .n_matrices = in->n_matrices,
                                           .n_cols = in->n_cols,
                                           .sum2 = in->sum2,
                                           .counts = in->counts};
    }
    struct rz_imatrix_plan plan = {.path = o->path,
                                   .gguf = o->format == RZ_IMATRIX_GGUF,
                                   .sums = sums,
                                   .n = c->n_consumers,
                                   .dataset = o->dataset,
                                   .n_chunks = (uint32_t)report->n_chunks,
                                   .chunk_size = o->n_ctx};
    rz_status status = rz_imatrix_write(&plan, err);
    free(sums);
    return status;
}

rz_imatrix_options rz_imatrix_options_default(void)
{
    return (rz_imatrix_options){.n_ctx = 512, .dataset = ""};
}

rz_status rz_imatrix_make(const rz_model *model, const int32_t *ids, size_t n,
                          const rz_imatrix_options *options, rz_imatrix_report *report,
                          rz_error *err)
{
    struct maker m = {.model = model, .o = options};
    struct collector c = {0};
    rz_imatrix_report made = {0};
    if (n == 0)
        return rz_fail(err, RZ_EUSAGE, "an importance matrix needs a text, there are no tokens");
    if (options->n_ctx == 0)
        return rz_fail(err, RZ_EUSAGE, "a chunk needs at least 1 token");
    double start = rz_now_s();
    rz_status status = maker_init(&m, err);
    if (!status) {
        c.max_rows = m.engine->options.n_batch; /* no step has more */
        status = list_weights(&c, &model->weights, options->output_weight, err);
    }
    if (!status) {
        attach(&c, model->backend);
        status = run_chunks(&m, ids, n, &made, err);
    }
    if (!status)
        status = check_sums(&c, &made, err);
    if (!status)
        status = write_file(&c, options, &made, err);
    collector_fini(&c);
    maker_fini(&m);
    made.seconds = rz_now_s() - start;
    if (!status && report)
        *report = made;
    return status;
}
