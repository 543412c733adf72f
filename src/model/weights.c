/* weights.c - binds tensors to fields. Invariant: when rz_weights_bind returns RZ_OK every tensor
 * of the file is bound exactly once, so nothing the file holds is ignored. */
#include "model/weights.h"

#include "base/checked.h"
#include "base/fail.h"
#include "model/arch.h"
#include "quant/dtype.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 96
};

struct binder {
    struct rz_weights *w;
    const rz_file *file;
    rz_error *err;
    int layer;          /* names get "blk.N." in front unless it is -1 */
    float *next;        /* free part of w->vectors */
    const char **bound; /* [n_tensors] names taken so far */
    size_t n_bound;
    char name[NAME_MAX_BYTES];
};

/* The tensor of that name, or NULL. */
static const rz_tensor *find(struct binder *b, const char *suffix)
{
    if (b->layer < 0)
        snprintf(b->name, sizeof b->name, "%s", suffix);
    else
        snprintf(b->name, sizeof b->name, "blk.%d.%s", b->layer, suffix);
    const rz_tensor *t = rz_file_tensor(b->file, b->name);
    if (t)
        b->bound[b->n_bound++] = t->name;
    return t;
}

static rz_status missing(struct binder *b)
{
    return rz_fail(b->err, RZ_EFORMAT, "%s: tensor %s is missing", rz_file_path(b->file), b->name);
}

/* Expects shape [s0][s1][s2] without the leading zeros (an absent dimension is given as 0). Leading
 * dimensions of 1 in the file do not count, since writers differ on [n] and [1][n]: *out is the
 * tensor without them. */
static rz_status check_shape(struct binder *b, const rz_tensor *t, const uint32_t s[3],
                             rz_tensor *out)
{
    uint64_t want[3] = {1, 1, 1}, have[3] = {1, 1, 1};
    uint32_t n = 0, n_have = 0, first = 0;
    for (int i = 0; i < 3; i++) {
        if (s[i])
            want[n++] = s[i];
    }
    while (first < t->n_dims && t->n_dims - first > n && t->shape[first] == 1)
        first++;
    for (uint32_t i = first; i < t->n_dims && n_have < 3; i++)
        have[n_have++] = t->shape[i];
    if (t->n_dims - first == n && memcmp(want, have, sizeof want) == 0) {
        *out = *t;
        out->n_dims = n;
        for (uint32_t i = 0; i < RZ_MAX_DIMS; i++)
            out->shape[i] = i < n ? want[i] : 1;
        return RZ_OK;
    }
    return rz_fail(b->err, RZ_EFORMAT,
                   "%s: tensor %s has %u dimensions [%" PRIu64 ", %" PRIu64 ", %" PRIu64
                   "], expected %u: [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]",
                   rz_file_path(b->file), t->name, t->n_dims, have[0], have[1], have[2], n, want[0],
                   want[1], want[2]);
}

static rz_status bind_stack(struct binder *b, const char *suffix, const uint32_t shape[3],
                            struct rz_weight *out)
{
    rz_tensor plain;
    const rz_tensor *t = find(b, suffix);
    if (!t)
        return missing(b);
    RZ_TRY(check_shape(b, t, shape, &plain));
    return b->w->backend->ops->load(b->w->backend, &plain, out, b->err);
}

static rz_status bind_matrix(struct binder *b, const char *suffix, uint32_t n_rows, uint32_t n_cols,
                             struct rz_weight *out)
{
    return bind_stack(b, suffix, (const uint32_t[3]){0, n_rows, n_cols}, out);
}

/* A vector is decoded to f32 whatever its type. An absent optional one leaves *out NULL. */
static rz_status bind_vector(struct binder *b, const char *suffix, uint32_t n, bool optional,
                             const float **out)
{
    rz_tensor plain;
    const rz_tensor *t = find(b, suffix);
    *out = NULL;
    if (!t)
        return optional ? RZ_OK : missing(b);
    RZ_TRY(check_shape(b, t, (const uint32_t[3]){0, 0, n}, &plain));
    float *host = malloc(n * sizeof *host);
    if (!host)
        return rz_fail_nomem(b->err, n * sizeof *host, t->name);
    rz_dtype_info(t->dtype)->decode(t->data, host, n);
    struct rz_backend *be = b->w->backend;
    be->ops->upload(be, b->next, host, n * sizeof *host);
    free(host);
    *out = b->next;
    b->next += n;
    return RZ_OK;
}

static rz_status bind_attention(struct binder *b, struct rz_layer_weights *l)
{
    rz_model_info *m = &b->w->config.info;
    uint32_t q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    RZ_TRY(bind_vector(b, "attn_norm.weight", m->n_embd, false, &l->attn_norm));
    RZ_TRY(bind_matrix(b, "attn_q.weight", q, m->n_embd, &l->wq));
    RZ_TRY(bind_matrix(b, "attn_k.weight", kv, m->n_embd, &l->wk));
    RZ_TRY(bind_matrix(b, "attn_v.weight", kv, m->n_embd, &l->wv));
    RZ_TRY(bind_matrix(b, "attn_output.weight", m->n_embd, q, &l->wo));
    RZ_TRY(bind_vector(b, "attn_q.bias", q, true, &l->bq));
    RZ_TRY(bind_vector(b, "attn_k.bias", kv, true, &l->bk));
    RZ_TRY(bind_vector(b, "attn_v.bias", kv, true, &l->bv));
    if (!l->bq != !l->bk || !l->bq != !l->bv)
        return rz_fail(b->err, RZ_EFORMAT, "%s: layer %d has only some of the Q, K and V biases",
                       rz_file_path(b->file), b->layer);
    m->qkv_bias = m->qkv_bias || l->bq;
    if (m->qk_norm) {
        RZ_TRY(bind_vector(b, "attn_q_norm.weight", m->head_dim, false, &l->q_norm));
        RZ_TRY(bind_vector(b, "attn_k_norm.weight", m->head_dim, false, &l->k_norm));
    }
    return RZ_OK;
}

static rz_status bind_ffn(struct binder *b, struct rz_layer_weights *l)
{
    const rz_model_info *m = &b->w->config.info;
    uint32_t d = m->n_embd, n = m->n_experts;
    RZ_TRY(bind_vector(b, "ffn_norm.weight", d, false, &l->ffn_norm));
    if (n == 0) {
        RZ_TRY(bind_matrix(b, "ffn_gate.weight", m->n_ff, d, &l->gate));
        RZ_TRY(bind_matrix(b, "ffn_up.weight", m->n_ff, d, &l->up));
        return bind_matrix(b, "ffn_down.weight", d, m->n_ff, &l->down);
    }
    const uint32_t in[3] = {n, m->n_ff_expert, d}, out[3] = {n, d, m->n_ff_expert};
    RZ_TRY(bind_matrix(b, "ffn_gate_inp.weight", n, d, &l->router));
    RZ_TRY(bind_stack(b, "ffn_gate_exps.weight", in, &l->gate_exps));
    RZ_TRY(bind_stack(b, "ffn_up_exps.weight", in, &l->up_exps));
    RZ_TRY(bind_stack(b, "ffn_down_exps.weight", out, &l->down_exps));
    if (m->n_ff_shared == 0)
        return RZ_OK;
    RZ_TRY(bind_stack(b, "ffn_gate_inp_shexp.weight", (const uint32_t[3]){0, 0, d},
                      &l->shared_router));
    RZ_TRY(bind_matrix(b, "ffn_gate_shexp.weight", m->n_ff_shared, d, &l->shared_gate));
    RZ_TRY(bind_matrix(b, "ffn_up_shexp.weight", m->n_ff_shared, d, &l->shared_up));
    return bind_matrix(b, "ffn_down_shexp.weight", d, m->n_ff_shared, &l->shared_down);
}

/* Llama 3.1 scales each rotated pair by a divisor of its own, which the file holds as a tensor. */
static rz_status bind_rope(struct binder *b)
{
    struct rz_weights *w = b->w;
    rz_model_info *m = &w->config.info;
    uint32_t n = m->rope_n_rot / 2;
    const float *factors;
    RZ_TRY(bind_vector(b, "rope_freqs.weight", n, true, &factors));
    float *host = malloc(2 * n * sizeof *host);
    if (!host)
        return rz_fail_nomem(b->err, 2 * n * sizeof *host, "the rotary frequencies");
    struct rz_backend *be = w->backend;
    rz_status status = RZ_OK;
    if (factors && m->rope_scaling != RZ_ROPE_SCALING_NONE && m->rope_factor != 1) {
        status = rz_fail(b->err, RZ_ELOAD,
                         "%s: rope_freqs.weight beside another rope scaling is not supported",
                         rz_file_path(b->file));
    } else if (factors) {
        be->ops->download(be, host + n, factors, n * sizeof *host);
        m->rope_scaling = RZ_ROPE_SCALING_FACTORS;
        m->rope_factor = 1;
    }
    for (uint32_t i = 0; factors && !status && i < n; i++) {
        if (!(host[n + i] > 0))
            status = rz_fail(b->err, RZ_EFORMAT, "%s: rope_freqs.weight element %u is not positive",
                             rz_file_path(b->file), i);
    }
    if (!status) {
        w->rope_magnitude = rz_rope_freqs(&w->config, factors ? host + n : NULL, host);
        be->ops->upload(be, b->next, host, n * sizeof *host);
        w->rope_freqs = b->next;
        b->next += n;
    }
    free(host);
    return status;
}

static rz_status bind_globals(struct binder *b)
{
    struct rz_weights *w = b->w;
    rz_model_info *m = &w->config.info;
    b->layer = -1;
    RZ_TRY(bind_matrix(b, "token_embd.weight", m->n_vocab, m->n_embd, &w->embed));
    RZ_TRY(bind_vector(b, "output_norm.weight", m->n_embd, false, &w->output_norm));
    m->tied_head = rz_file_tensor(b->file, "output.weight") == NULL;
    if (m->tied_head)
        w->head = w->embed;
    else
        RZ_TRY(bind_matrix(b, "output.weight", m->n_vocab, m->n_embd, &w->head));
    return bind_rope(b);
}

/* One device allocation for every vector: those of the file and the rotary frequencies. Counts
 * whatever check_shape takes for a vector, that is [n], [1][n] ... */
static rz_status alloc_vectors(struct binder *b)
{
    size_t n = b->w->config.info.rope_n_rot / 2;
    for (size_t i = 0; i < rz_file_n_tensors(b->file); i++) {
        const rz_tensor *t = rz_file_tensor_at(b->file, i);
        b->w->config.info.weight_bytes += t->n_bytes;
        uint64_t n_elements = 1;
        for (uint32_t d = 0; d < t->n_dims; d++)
            n_elements *= t->shape[d]; /* fits: the file was validated */
        b->w->config.info.n_params += n_elements;
        if (n_elements == t->shape[t->n_dims - 1])
            n += (size_t)n_elements;
    }
    struct rz_backend *be = b->w->backend;
    void *memory;
    b->w->vectors_bytes = n * sizeof(float);
    RZ_TRY(be->ops->alloc(be, b->w->vectors_bytes, &memory, b->err));
    b->w->vectors = b->next = memory;
    return RZ_OK;
}

static rz_status refuse_leftovers(struct binder *b)
{
    size_t n = rz_file_n_tensors(b->file);
    for (size_t i = 0; b->n_bound < n && i < n; i++) {
        const char *name = rz_file_tensor_at(b->file, i)->name;
        size_t j = 0;
        while (j < b->n_bound && b->bound[j] != name)
            j++;
        if (j == b->n_bound)
            return rz_fail(b->err, RZ_ELOAD, "%s: tensor %s has no place in architecture %s",
                           rz_file_path(b->file), name, b->w->config.info.architecture);
    }
    return RZ_OK;
}

static rz_status bind_all(struct binder *b)
{
    struct rz_weights *w = b->w;
    uint32_t n_layers = w->config.info.n_layers;
    size_t n_names = rz_file_n_tensors(b->file);
    b->bound = calloc(n_names + 1, sizeof *b->bound);
    w->layers = calloc(n_layers, sizeof *w->layers);
    if (!b->bound || !w->layers)
        return rz_fail_nomem(b->err, n_layers * sizeof *w->layers, "the layer table");
    RZ_TRY(alloc_vectors(b));
    RZ_TRY(bind_globals(b));
    for (uint32_t i = 0; i < n_layers; i++) {
        b->layer = (int)i;
        RZ_TRY(bind_attention(b, &w->layers[i]));
        RZ_TRY(bind_ffn(b, &w->layers[i]));
    }
    return refuse_leftovers(b);
}

rz_status rz_weights_bind(struct rz_weights *w, const rz_file *file, struct rz_backend *backend,
                          rz_error *err)
{
    *w = (struct rz_weights){.backend = backend};
    RZ_TRY(rz_config_read(&w->config, file, err));
    struct binder b = {.w = w, .file = file, .err = err, .layer = -1};
    rz_status status = bind_all(&b);
    free(b.bound);
    if (status)
        rz_weights_fini(w);
    return status;
}

void rz_weights_fini(struct rz_weights *w)
{
    if (w->vectors)
        w->backend->ops->release(w->backend, w->vectors, w->vectors_bytes);
    free(w->layers);
    *w = (struct rz_weights){0};
}
