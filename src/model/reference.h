/* reference.h - every stage of a decoder in scalar float64: what apr check and the tests compare
 * the engine with. Written from the papers; shares no arithmetic with forward.c or the kernels, and
 * reads weights from the file rather than from the backend, so that a packed layout cannot hide an
 * error. Rotary frequencies come from the metadata on a way of its own.
 *
 * Each value may carry the variance of the error that a right engine makes in it by rounding:
 * activations to 8 bits where weights are quantized, K and V to 16 bits, sums to float32. A
 * difference of more than RZ_REF_SIGMAS standard deviations is no rounding. docs/check.md derives
 * each term. */
#ifndef RZ_MODEL_REFERENCE_H
#define RZ_MODEL_REFERENCE_H

#include "base/pool.h"
#include "base/rng.h"
#include "model/weights.h"

enum {
    RZ_REF_SIGMAS = 8
};

struct rz_ref {
    const rz_file *file;       /* borrowed */
    const rz_model_info *info; /* borrowed: sizes and flags */
    struct rz_pool *pool;      /* owned */
    bool adjacent;             /* rotary pairs (2i, 2i+1), else (i, i + n_rot / 2) */
    uint32_t n_rot;
    double *freqs; /* owned, [n_rot / 2] */
    double magnitude;
    rz_dtype kv_type;
    struct rz_rng rng; /* of the noise in noisy rows */
};

/* Rows of values. var is NULL where no error is tracked. Rows from noisy_from on are perturbed by
 * random rounding errors wherever the engine rounds. */
struct rz_ref_mat {
    uint32_t n_rows, n_cols;
    double *v, *var; /* [n_rows][n_cols], one allocation */
    uint32_t noisy_from;
};

/* config and file are borrowed. Errors: RZ_EFORMAT, RZ_ENOMEM, RZ_EIO. */
RZ_MUST_USE rz_status rz_ref_init(struct rz_ref *r, const rz_file *file, const rz_model_info *info,
                                  unsigned n_threads, rz_error *err);
void rz_ref_fini(struct rz_ref *r);

/* Zeroed; with_var: and all variances zero. */
RZ_MUST_USE rz_status rz_ref_mat_init(struct rz_ref_mat *m, uint32_t n_rows, uint32_t n_cols,
                                      bool with_var, rz_error *err);
void rz_ref_mat_fini(struct rz_ref_mat *m);

/* "blk.<layer>.<suffix>", or suffix where layer is -1; NULL if the file has none. */
const rz_tensor *rz_ref_tensor(const struct rz_ref *r, int layer, const char *suffix);

/* Every out below is initialized by the call, with variances if the input has them (embed and
 * attention: if with_var), and is the caller's to free on success. */

RZ_MUST_USE rz_status rz_ref_embed(const struct rz_ref *r, const int32_t *ids, uint32_t n,
                                   bool with_var, struct rz_ref_mat *out, rz_error *err);

/* A matrix: number i_stack of the tensor; bias may be NULL. */
struct rz_ref_weight {
    const rz_tensor *w, *bias;
    uint32_t i_stack;
};
/* y = W x + bias */
RZ_MUST_USE rz_status rz_ref_linear(struct rz_ref *r, struct rz_ref_weight weight,
                                    const struct rz_ref_mat *x, struct rz_ref_mat *out,
                                    rz_error *err);

/* In place: RMSNorm of each run of as many columns as the weight is long. */
RZ_MUST_USE rz_status rz_ref_norm(const struct rz_ref *r, const rz_tensor *weight,
                                  struct rz_ref_mat *x, rz_error *err);

/* In place: rotary embedding of each head by the row's position. */
void rz_ref_rope(const struct rz_ref *r, struct rz_ref_mat *x, const uint32_t *pos);

/* Causal attention of query rows [n][n_heads * head_dim] at positions pos over the rows
 * 0 ... pos of k and v [n_positions][n_kv_heads * head_dim], as if k and v had been stored. */
struct rz_ref_attention {
    const struct rz_ref_mat *q, *k, *v;
    const uint32_t *pos;
    bool with_var;
};
RZ_MUST_USE rz_status rz_ref_attend(const struct rz_ref *r, const struct rz_ref_attention *a,
                                    struct rz_ref_mat *out, rz_error *err);

/* The feed-forward of a layer, dense or experts, of normed rows. unsure [n_rows] (may be NULL) is
 * set where rounding may have chosen another expert: such a row cannot be compared. */
RZ_MUST_USE rz_status rz_ref_ffn(struct rz_ref *r, int layer, const struct rz_ref_mat *x,
                                 struct rz_ref_mat *out, bool *unsure, rz_error *err);

/* The head's logits of final-normed rows. */
RZ_MUST_USE rz_status rz_ref_head(struct rz_ref *r, const struct rz_ref_mat *x,
                                  struct rz_ref_mat *out, rz_error *err);

/* The whole model on n tokens from position 0: out [2 n_rows][n_vocab] is the logits after the
 * tokens rows[0 ... n_rows), exact ones first, then with random rounding errors. */
struct rz_ref_prompt {
    const int32_t *ids;
    uint32_t n;
    const uint32_t *rows;
    uint32_t n_rows;
};
RZ_MUST_USE rz_status rz_ref_forward(struct rz_ref *r, const struct rz_ref_prompt *prompt,
                                     struct rz_ref_mat *out, rz_error *err);

/* p = softmax(x); p may be x. */
void rz_ref_softmax(const double *x, double *p, size_t n);

/* The block of a tensor whose largest weight is farthest out. */
struct rz_ref_scan {
    uint64_t n_bad; /* blocks with a NaN or an infinity */
    uint64_t block; /* the first bad one, else the one with the largest weight */
    double largest; /* its largest |weight|; infinity if bad */
    double typical; /* the tensor's median over blocks of that (to 10 %); 0 if all are zero */
};
RZ_MUST_USE rz_status rz_ref_scan_tensor(struct rz_ref *r, const rz_tensor *t,
                                         struct rz_ref_scan *out, rz_error *err);

#endif
