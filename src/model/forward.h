/* forward.h - the forward pass, written once over the backend's operations. */
#ifndef RZ_MODEL_FORWARD_H
#define RZ_MODEL_FORWARD_H

#include "model/weights.h"

/* Points of the forward where a tap may look (check, trace, profile). data is device memory,
 * [n_rows][n_cols] f32, valid during the call. */
enum rz_tap_point {
    RZ_TAP_EMBED,      /* [n][n_embd] */
    RZ_TAP_ATTN_NORM,  /* [n][n_embd] */
    RZ_TAP_Q,          /* [n][q] after bias (and q norm), before rope */
    RZ_TAP_K,          /* [n][kv] likewise */
    RZ_TAP_V,          /* [n][kv] */
    RZ_TAP_Q_ROPE,     /* [n][q] */
    RZ_TAP_K_ROPE,     /* [n][kv] */
    RZ_TAP_ATTN,       /* [n][q] softmax(q k) v */
    RZ_TAP_ATTN_OUT,   /* [n][n_embd] after the output projection */
    RZ_TAP_ATTN_RESID, /* [n][n_embd] the stream after the attention block */
    RZ_TAP_FFN_NORM,   /* [n][n_embd] */
    RZ_TAP_FFN_OUT,    /* [n][n_embd] */
    RZ_TAP_LAYER,      /* [n][n_embd] the stream after the layer */
    RZ_TAP_FINAL_NORM, /* [n_logits][n_embd] */
    RZ_TAP_LOGITS,     /* [n_logits][n_vocab] */
    RZ_N_TAPS
};

/* layer: -1 outside layers. */
typedef void rz_tap_fn(void *ctx, enum rz_tap_point point, int layer, const float *data,
                       uint32_t n_rows, uint32_t n_cols);

/* Scratch of a step of at most max_tokens rows, with logits for max_logits rows at a time; device
 * memory. */
struct rz_scratch {
    struct rz_backend *backend;
    uint32_t max_tokens, max_logits;
    float *cs;          /* [max_tokens][rope_n_rot] */
    float *x;           /* [max_tokens][n_embd] the residual stream */
    float *norm;        /* [max_tokens][n_embd] */
    float *out;         /* [max_tokens][n_embd] */
    float *q, *attn;    /* [max_tokens][q] */
    float *k, *v;       /* [max_tokens][kv] */
    float *gate, *up;   /* [max_tokens][widest feed-forward that is dense or shared] */
    float *router;      /* [max_tokens][n_experts] */
    float *shared_gate; /* [max_tokens] */
    float *shared;      /* [max_tokens][n_embd] the shared expert's output */
    float *picked;      /* [max_logits][n_embd] */
    float *logits;      /* [max_logits][n_vocab] */
    void *memory;
    size_t bytes;
};
RZ_MUST_USE rz_status rz_scratch_init(struct rz_scratch *s, const struct rz_weights *w,
                                      uint32_t max_tokens, uint32_t max_logits, rz_error *err);
void rz_scratch_fini(struct rz_scratch *s);

struct rz_forward_args {
    const struct rz_weights *weights;
    struct rz_scratch *scratch;
    const struct rz_kv_pool *kv;
    const struct rz_batch *batch; /* at most max_tokens */
    rz_tap_fn *tap;               /* or NULL */
    void *tap_ctx;
};

/* Runs the layers: stores K and V, leaves the stream after the last layer in scratch->x. */
void rz_forward_layers(const struct rz_forward_args *a);

/* Logits of n (at most max_logits) rows of scratch->x, to out [n][n_vocab]: device memory, such as
 * scratch->logits. */
void rz_forward_logits(const struct rz_forward_args *a, const uint32_t *rows, uint32_t n,
                       float *out);

#endif
