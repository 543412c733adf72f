/* kv.c - KV blocks are taken lowest index first and returned to a stack. Invariant: every block is
 * either on the stack or in exactly one session's table. */
#include "engine/kv.h"

#include "base/checked.h"
#include "base/fail.h"

#include <stdlib.h>

void rz_kv_pool_shape(struct rz_kv_pool *kv, const rz_model_info *m, rz_dtype kv_type)
{
    *kv = (struct rz_kv_pool){.n_layers = m->n_layers,
                              .n_kv_heads = m->n_kv_heads,
                              .head_dim = m->head_dim,
                              .kv_type = kv_type};
    kv->head_bytes = (size_t)RZ_KV_BLOCK_LEN * m->head_dim * rz_dtype_block_bytes(kv_type);
    kv->block_bytes = (size_t)m->n_layers * 2 * m->n_kv_heads * kv->head_bytes;
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
    return RZ_OK;
}

void rz_kv_pool_fini(rz_engine *e)
{
    struct rz_backend *b = e->model->backend;
    b->ops->release(b, e->kv.data, e->kv.n_blocks * e->kv.block_bytes);
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
