/* internal.h - the engine's own structs, seen by engine/ alone. */
#ifndef RZ_ENGINE_INTERNAL_H
#define RZ_ENGINE_INTERNAL_H

#include "model/forward.h"

#include <realizar/engine.h>

struct rz_model {
    rz_file *file;
    rz_tokenizer *tokenizer;
    rz_template *chat_template; /* NULL for a base model */
    struct rz_backend *backend;
    struct rz_weights weights;
    char name[256]; /* general.name, cut */
};

struct rz_engine {
    const rz_model *model;
    rz_engine_options options; /* defaults resolved */
    struct rz_kv_pool kv;
    struct rz_kv_bias kv_bias;
    struct rz_head_bias *kv_heads; /* owned as the pairs: kv_bias.heads */
    struct rz_key_pair *kv_pairs;
    void *kv_tables; /* the backend's: kv_bias.block_cs and turn */
    size_t kv_tables_bytes;
    uint32_t *free_blocks; /* stack of pool indices */
    uint32_t n_free;
    uint32_t n_sessions;
    struct rz_scratch scratch;
    uint32_t *pos;             /* [n_batch] */
    uint32_t *logit_rows;      /* [n_batch] */
    float **logit_to;          /* [n_batch] where the logits of each go */
    int32_t *ids;              /* [n_batch] */
    struct rz_seq_span *spans; /* [max_sessions] */
    /* Of every session, by slot: a step of sessions in the order in which they were opened computes
     * their logits where they stay. */
    float *logits;   /* [max_sessions][n_vocab] */
    bool *slot_used; /* [max_sessions] */
    rz_tap_fn *tap;  /* set by check and trace for the next steps */
    void *tap_ctx;
};

struct rz_session {
    rz_engine *engine;
    uint32_t *blocks; /* [max_blocks] the block table */
    uint32_t n_blocks;
    int32_t *ids; /* [n_ctx] */
    size_t n_ids;
    uint32_t slot;
    float *logits; /* [n_vocab], the engine's */
    bool has_logits;
};

#endif
