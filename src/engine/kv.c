/* kv.c - KV blocks are taken lowest index first and returned to a stack. Invariant: every block is
 * either on the stack or in exactly one session's table. */
#include "engine/kv.h"

#include "base/checked.h"
#include "base/fail.h"

#include <math.h>
#include <stdlib.h>

/* A pair of channels whose bias is smaller adds at most LARGE_BIAS / 254 to the rounding errors of
 * its keys, and is not worth the time that taking it off costs. */
static const float LARGE_BIAS = 2;

void rz_kv_pool_shape(struct rz_kv_pool *kv, const rz_model_info *m, rz_dtype kv_type)
{
    *kv = (struct rz_kv_pool){.n_layers = m->n_layers,
                              .n_kv_heads = m->n_kv_heads,
                              .head_dim = m->head_dim,
                              .kv_type = kv_type};
    /* A group of 32 dimensions that is not full has a scale of its own too. */
    const size_t n = (size_t)RZ_KV_BLOCK_LEN * m->head_dim;
    const size_t n_scales = (size_t)RZ_KV_BLOCK_LEN * ((m->head_dim + 31) / 32);
    kv->head_bytes = kv_type == RZ_Q8_0 ? n + 2 * n_scales : n * rz_dtype_block_bytes(kv_type);
    kv->block_bytes = (size_t)m->n_layers * 2 * m->n_kv_heads * kv->head_bytes;
}

/* Rope turns channels a and b by angle i; from n_rot on, there is none: the tables say 0. */
static struct rz_key_pair pair_at(const rz_model_info *m, uint32_t i)
{
    const uint32_t half = m->rope_n_rot / 2;
    uint32_t a = 2 * i, b = 2 * i + 1;
    if (i < half && m->rope_type == RZ_ROPE_NEOX) {
        a = i;
        b = i + half;
    }
    return (struct rz_key_pair){.a = (uint16_t)a, .b = (uint16_t)b, .i_angle = (uint16_t)i};
}

/* Lists the large pairs of a head's bias; returns how many. */
static uint32_t list_pairs(const rz_engine *e, const float *device_bias, struct rz_key_pair *out)
{
    const rz_model_info *m = &e->model->weights.config.info;
    struct rz_backend *b = e->model->backend;
    float bias[RZ_MAX_HEAD_DIM];
    uint32_t n = 0;
    b->ops->download(b, bias, device_bias, m->head_dim * sizeof *bias);
    for (uint32_t i = 0; i < m->head_dim / 2; i++) {
        struct rz_key_pair p = pair_at(m, i);
        p.bias[0] = bias[p.a];
        p.bias[1] = bias[p.b];
        if (hypotf(p.bias[0], p.bias[1]) >= LARGE_BIAS)
            out[n++] = p;
    }
    return n;
}

/* Lists those of all heads; returns how many, or 0 without memory. A norm of keys comes after the
 * bias and leaves nothing of it to be known here. */
static size_t list_bias(rz_engine *e)
{
    const struct rz_weights *w = &e->model->weights;
    const rz_model_info *m = &w->config.info;
    const size_t n_heads = (size_t)m->n_layers * m->n_kv_heads;
    struct rz_key_pair *pairs = calloc(n_heads * (m->head_dim / 2 + 1), sizeof *pairs);
    struct rz_head_bias *heads = calloc(n_heads, sizeof *heads);
    size_t n = 0;
    e->kv_heads = heads;
    e->kv_pairs = pairs;
    if (!heads || !pairs)
        return 0;
    for (size_t i = 0; i < n_heads; i++) {
        const struct rz_layer_weights *layer = &w->layers[i / m->n_kv_heads];
        if (!layer->bk || layer->k_norm)
            continue;
        heads[i].pairs = pairs + n;
        heads[i].n_pairs = list_pairs(e, layer->bk + i % m->n_kv_heads * m->head_dim, pairs + n);
        n += heads[i].n_pairs;
    }
    return n;
}

/* Cosines and sines, first of the blocks' first positions, then of the positions in a block. The
 * magnitude of a scaled rope is in the first alone: they are multiplied with each other. */
static void fill_tables(const struct rz_weights *w, uint32_t n_blocks, float *out)
{
    const uint32_t n = w->config.info.head_dim / 2, n_turned = w->config.info.rope_n_rot / 2;
    for (uint32_t b = 0; b < n_blocks; b++) {
        for (uint32_t i = 0; i < n; i++) {
            const double freq = i < n_turned ? (double)w->rope_freqs[i] : 0;
            const double size = i < n_turned ? (double)w->rope_magnitude : 1;
            *out++ = (float)(cos(b * freq * RZ_KV_BLOCK_LEN) * size);
            *out++ = (float)(sin(b * freq * RZ_KV_BLOCK_LEN) * size);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const double freq = i < n_turned ? (double)w->rope_freqs[i] : 0;
        for (uint32_t j = 0; j < RZ_KV_BLOCK_LEN; j++) {
            out[j] = (float)cos(j * freq);
            out[RZ_KV_BLOCK_LEN + j] = (float)sin(j * freq);
        }
        out += 2 * RZ_KV_BLOCK_LEN;
    }
}

static rz_status init_bias(rz_engine *e, rz_error *err)
{
    const struct rz_weights *w = &e->model->weights;
    struct rz_backend *b = e->model->backend;
    const uint32_t n_blocks = rz_kv_blocks_for(e->options.n_ctx);
    const uint32_t n_angles = w->config.info.head_dim / 2;
    const size_t n = ((size_t)n_blocks + RZ_KV_BLOCK_LEN) * n_angles * 2;
    const size_t n_pairs = list_bias(e);
    if (!e->kv_heads || !e->kv_pairs)
        return rz_fail_nomem(err, w->config.info.n_layers * sizeof *e->kv_heads, "the K bias");
    if (n_pairs == 0 || n == 0)
        return RZ_OK;
    float *host = malloc(n * sizeof *host);
    if (!host)
        return rz_fail_nomem(err, n * sizeof *host, "the tables of the K bias");
    rz_status status = b->ops->alloc(b, n * sizeof *host, &e->kv_tables, err);
    if (!status) {
        e->kv_tables_bytes = n * sizeof *host;
        fill_tables(w, n_blocks, host);
        b->ops->upload(b, e->kv_tables, host, n * sizeof *host);
        const float *tables = e->kv_tables;
        e->kv_bias = (struct rz_kv_bias){.heads = e->kv_heads,
                                         .block_cs = tables,
                                         .turn = tables + (size_t)n_blocks * n_angles * 2,
                                         .n_angles = n_angles};
        e->kv.bias = &e->kv_bias;
    }
    free(host);
    return status;
}

rz_status rz_kv_pool_init(rz_engine *e, uint32_t n_blocks, rz_error *err)
{
    struct rz_backend *b = e->model->backend;
    size_t bytes;
    rz_kv_pool_shape(&e->kv, &e->model->weights.config.info, e->options.kv_type);
    if (!rz_mul_size(n_blocks, e->kv.block_bytes, &bytes))
        return rz_fail(err, RZ_EUSAGE, "%u KV blocks of %zu bytes are more than can be addressed",
                       n_blocks, e->kv.block_bytes);
    e->free_blocks = malloc(n_blocks * sizeof *e->free_blocks);
    if (!e->free_blocks)
        return rz_fail_nomem(err, n_blocks * sizeof *e->free_blocks, "the KV block table");
    for (uint32_t i = 0; i < n_blocks; i++)
        e->free_blocks[i] = n_blocks - 1 - i;
    e->n_free = n_blocks;
    RZ_TRY(b->ops->alloc(b, bytes, &e->kv.data, err));
    e->kv.n_blocks = n_blocks;
    b->ops->use_large_pages(b, e->kv.data, bytes);
    if (e->kv.kv_type == RZ_Q8_0)
        return init_bias(e, err);
    return RZ_OK;
}

void rz_kv_pool_fini(rz_engine *e)
{
    struct rz_backend *b = e->model->backend;
    b->ops->release(b, e->kv.data, e->kv.n_blocks * e->kv.block_bytes);
    b->ops->release(b, e->kv_tables, e->kv_tables_bytes);
    free(e->kv_heads);
    free(e->kv_pairs);
    free(e->free_blocks);
}

uint32_t rz_kv_blocks_for(size_t n_positions)
{
    return (uint32_t)((n_positions + RZ_KV_BLOCK_LEN - 1) / RZ_KV_BLOCK_LEN);
}

void rz_kv_grow(rz_session *s, size_t n_positions)
{
    uint32_t need = rz_kv_blocks_for(n_positions);
    while (s->n_blocks < need) {
        RZ_ASSERT(s->engine->n_free > 0);
        s->blocks[s->n_blocks++] = s->engine->free_blocks[--s->engine->n_free];
    }
}

void rz_kv_shrink(rz_session *s, size_t n_positions)
{
    uint32_t keep = rz_kv_blocks_for(n_positions);
    while (s->n_blocks > keep)
        s->engine->free_blocks[s->engine->n_free++] = s->blocks[--s->n_blocks];
}
