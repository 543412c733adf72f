/* backend.h - the coarse operations that a forward pass is written in.
 *
 * Pointers named x, y, out ... are device memory from ops->alloc (host memory on the CPU). Every
 * operation takes all rows (tokens) of a step at once. An operation cannot fail once its inputs
 * exist: sizes were settled when the model was bound. One thread calls a backend at a time. */
#ifndef RZ_BACKEND_BACKEND_H
#define RZ_BACKEND_BACKEND_H

#include <realizar/dtype.h>
#include <realizar/file.h>
#include <stdbool.h>

struct rz_backend;

/* A matrix as the backend holds it: [n_rows][n_cols], or n_stack of them one after another
 * (experts). */
struct rz_weight {
    rz_dtype dtype;
    uint32_t n_rows, n_cols, n_stack;
    size_t row_bytes;
    const void *data;
    bool packed; /* data is in the layout of quant/pack.h, from a file that has it so */
    void *impl;  /* the backend's own state of the whole stack, owned by it; or NULL */
};

/* One output of a matmul: y[m][row] for every row m of the input. */
struct rz_linear {
    const struct rz_weight *w;
    const float *bias; /* [w->n_rows] or NULL */
    float *y;          /* [n][w->n_rows] */
};

/* Tokens of a step, grouped by sequence. Positions of a sequence are consecutive. */
struct rz_seq_span {
    uint32_t first, n; /* its rows in the step */
    uint32_t pos;      /* position of its first row: also the number of cached tokens before it */
    const uint32_t *blocks; /* its block table: pool index of block i, borrowed for the step */
};

struct rz_batch {
    uint32_t n_tokens, n_seqs;
    const int32_t *ids;             /* [n_tokens] */
    const uint32_t *pos;            /* [n_tokens] */
    const struct rz_seq_span *seqs; /* [n_seqs] */
};

/* The paged KV cache: one pool of blocks, each holding block_len positions of every layer.
 * Inside a block: [n_layers][2: k, v][n_kv_heads], and for each the block_len positions as the
 * backend likes to have them, in kv_type; only it reads them. */
enum {
    RZ_KV_BLOCK_LEN = 32
};

/* What RZ_Q8_0 keys are stored without: large channels of the K projection's bias, turned by rope.
 * They can be a hundred times larger than the keys themselves (Qwen2), and 8 bits of their sum
 * would leave nothing of the keys. Subtracted before rounding and added again when keys are read.
 */
struct rz_key_pair {
    uint16_t a, b;    /* channels of a head that rope turns together */
    uint16_t i_angle; /* in the tables */
    float bias[2];    /* of a and b */
};

struct rz_head_bias {
    const struct rz_key_pair *pairs;
    uint32_t n_pairs;
};

struct rz_kv_bias {
    const struct rz_head_bias *heads; /* [n_layers][n_kv_heads], in host memory as the pairs */
    /* Cosine and sine of n_angles at the first positions of a sequence's blocks:
     * [block][angle][2], and at positions 0, 1 ... block_len - 1: [angle][2][position]. */
    const float *block_cs, *turn;
    uint32_t n_angles;
};

struct rz_kv_pool {
    void *data;
    uint32_t n_blocks, n_layers, n_kv_heads, head_dim;
    rz_dtype kv_type;  /* RZ_F32, RZ_F16 or RZ_Q8_0 */
    size_t head_bytes; /* of block_len positions of one head's keys, or values */
    size_t block_bytes;
    const struct rz_kv_bias *bias; /* or NULL */
};

struct rz_rope_args {
    float *x;        /* [n_tokens][n_heads][head_dim], rotated in place */
    const float *cs; /* [n_tokens][n_rot] from rope_table */
    uint32_t n_tokens, n_heads, head_dim, n_rot;
    bool neox; /* halves, else adjacent pairs */
};

/* Largest sizes that the operations of a step will see; the backend's own scratch is made for them.
 */
struct rz_backend_need {
    uint32_t max_tokens;
    uint32_t max_cols; /* of any matmul input */
    uint32_t n_heads, n_kv_heads, head_dim;
    uint32_t n_embd, n_experts, n_experts_used, n_ff_expert; /* experts: 0 if dense */
};

struct rz_attention_args {
    const float *q; /* [n_tokens][n_heads][head_dim] */
    float *out;     /* the same shape */
    const struct rz_kv_pool *kv;
    uint32_t layer, n_heads, window; /* window 0: all before; else positions p - window < j <= p */
    float scale;                     /* of the scores: 1 / sqrt(head_dim) */
};

struct rz_moe_args {
    const float *x; /* [n_tokens][n_embd], normed */
    float *y;       /* [n_tokens][n_embd], set to the experts' weighted sum */
    float *router;  /* [n_tokens][n_experts] logits, used up */
    uint32_t n_experts_used;
    bool norm_weights; /* the chosen experts' probabilities are scaled to sum 1 */
    const struct rz_weight *gate, *up, *down; /* stacks of n_experts */
};

struct rz_backend_ops {
    rz_status (*alloc)(struct rz_backend *b, size_t bytes, void **out, rz_error *err);
    void (*release)(struct rz_backend *b, void *p, size_t bytes);
    /* p is filled from its begin on and read whole at each step: large pages are worth it. */
    void (*use_large_pages)(struct rz_backend *b, void *p, size_t bytes);
    void (*upload)(struct rz_backend *b, void *dst, const void *src, size_t bytes);
    void (*download)(struct rz_backend *b, void *dst, const void *src, size_t bytes);
    /* Makes room for steps of these sizes; keeps the largest asked for so far. */
    rz_status (*reserve)(struct rz_backend *b, const struct rz_backend_need *need, rz_error *err);
    /* Takes a tensor of 1 to 3 dimensions, of 3: a stack; may keep borrowing t->data and t->packed,
     * not t. One of the two may be NULL. */
    rz_status (*load)(struct rz_backend *b, const rz_tensor *t, struct rz_weight *w, rz_error *err);

    void (*embed)(struct rz_backend *b, const struct rz_weight *table, const int32_t *ids,
                  uint32_t n, float *out);
    /* Rows of n columns; y may be x. */
    void (*rms_norm)(struct rz_backend *b, const float *x, const float *w, float *y,
                     const uint32_t shape[2], float eps);
    /* Up to four outputs of the same input x [n_rows][w->n_cols]. */
    void (*matmul)(struct rz_backend *b, const float *x, uint32_t n_rows,
                   const struct rz_linear *out, uint32_t n_out);
    /* Cosines and sines of a step: cs[m][2i], cs[m][2i+1] = magnitude * (cos, sin) of pos[m] *
     * freqs[i], i < n_rot / 2. */
    void (*rope_table)(struct rz_backend *b, const struct rz_batch *batch, const float *freqs,
                       uint32_t n_rot, float magnitude, float *cs);
    void (*rope)(struct rz_backend *b, const struct rz_rope_args *a);
    /* k, v: [n_tokens][n_kv_heads][head_dim] */
    void (*kv_store)(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                     const float *k, const float *v, const struct rz_batch *batch);
    void (*attention)(struct rz_backend *b, const struct rz_attention_args *a,
                      const struct rz_batch *batch);
    /* x += y, n elements. */
    void (*add)(struct rz_backend *b, float *x, const float *y, size_t n);
    /* gate = silu(gate) * up, n elements. */
    void (*silu_mul)(struct rz_backend *b, float *gate, const float *up, size_t n);
    void (*moe)(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens);
    /* x[m][...] += sigmoid(gate[m]) * y[m][...] for rows of n columns: the shared expert. */
    void (*add_gated)(struct rz_backend *b, float *x, const float *y, const float *gate,
                      const uint32_t shape[2]);
    /* out[i] = x[rows[i]] */
    void (*gather)(struct rz_backend *b, const float *x, const uint32_t *rows, uint32_t n,
                   uint32_t n_cols, float *out);
};

struct rz_backend {
    const struct rz_backend_ops *ops;
    const char *name;  /* "cpu" */
    const char *level; /* kernels in use: "avx512" */
    unsigned n_threads;
    bool host_memory; /* its operations read and write the host's memory as well as their own */
    bool no_packing;  /* set before weights are loaded: multiply them as they lie in the file */
    bool packed;      /* products read rearranged copies of the weights; settled by ops->reserve */
};

/* The CPU backend: n_threads 1 ... RZ_MAX_THREADS. scratch grows with the largest step. */
RZ_MUST_USE rz_status rz_backend_cpu_new(struct rz_backend **out, unsigned n_threads,
                                         unsigned cpu_flags, rz_error *err);
void rz_backend_free(struct rz_backend **b);

#endif
