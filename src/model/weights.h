/* weights.h - a model's tensors bound to named fields; after binding no code looks up strings, and
 * every shape has been checked. */
#ifndef RZ_MODEL_WEIGHTS_H
#define RZ_MODEL_WEIGHTS_H

#include "backend/backend.h"
#include "model/config.h"

/* q = n_heads * head_dim, kv = n_kv_heads * head_dim. Matrices are [out][in]; an absent one has
 * data NULL. Vectors are f32 in device memory. */
struct rz_layer_weights {
    const float *attn_norm;          /* [n_embd] */
    struct rz_weight wq, wk, wv, wo; /* [q][n_embd], [kv][n_embd], [kv][n_embd], [n_embd][q] */
    const float *bq, *bk, *bv;       /* [q], [kv], [kv] or NULL */
    const float *q_norm, *k_norm;    /* [head_dim] or NULL */
    const float *ffn_norm;           /* [n_embd] */
    struct rz_weight gate, up, down; /* [n_ff][n_embd] x2, [n_embd][n_ff]; dense layers */
    struct rz_weight router;         /* [n_experts][n_embd] */
    struct rz_weight gate_exps, up_exps,
        down_exps; /* stacks of n_experts: [n_ff_expert][n_embd] x2, [n_embd][n_ff_expert] */
    struct rz_weight shared_router; /* [1][n_embd] */
    struct rz_weight shared_gate, shared_up,
        shared_down; /* [n_ff_shared][n_embd] x2, [n_embd][n_ff_shared] */
};

struct rz_weights {
    struct rz_config config;
    struct rz_backend *backend; /* borrowed */
    struct rz_weight embed;     /* [n_vocab][n_embd] */
    struct rz_weight head;      /* the same data as embed when tied */
    const float *output_norm;   /* [n_embd] */
    float *rope_freqs;          /* [rope_n_rot / 2] */
    float rope_magnitude;
    struct rz_layer_weights *layers; /* [n_layers] */
    float *vectors;                  /* owns every vector above */
    size_t vectors_bytes;
};

/* Reads the configuration and binds every tensor. The file must outlive the weights. Errors:
 * RZ_EFORMAT (missing tensor, wrong shape), RZ_ELOAD, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_weights_bind(struct rz_weights *w, const rz_file *file,
                                      struct rz_backend *backend, rz_error *err);
void rz_weights_fini(struct rz_weights *w);

#endif
