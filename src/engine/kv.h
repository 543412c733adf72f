/* kv.h - the pool of KV blocks: a stack of free indices over one reservation. */
#ifndef RZ_ENGINE_KV_H
#define RZ_ENGINE_KV_H

#include "engine/internal.h"

/* Fills the shape fields (all but data and n_blocks). */
void rz_kv_pool_shape(struct rz_kv_pool *kv, const rz_model_info *m, rz_dtype kv_type);

RZ_MUST_USE rz_status rz_kv_pool_init(rz_engine *e, uint32_t n_blocks, rz_error *err);
void rz_kv_pool_fini(rz_engine *e);

/* Blocks needed for n positions. */
uint32_t rz_kv_blocks_for(size_t n_positions);

/* Grows the session's table to hold n positions in all. The pool is sized for every session's full
 * context, so there is always a free block. */
void rz_kv_grow(rz_session *s, size_t n_positions);

/* Gives back the blocks beyond those that n positions need. */
void rz_kv_shrink(rz_session *s, size_t n_positions);

#endif
