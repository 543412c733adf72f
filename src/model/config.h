/* config.h - a decoder model's hyper-parameters: architectures are data. */
#ifndef RZ_MODEL_CONFIG_H
#define RZ_MODEL_CONFIG_H

#include <realizar/model.h>

/* Limits on what a file may declare; each is well above any published model's. The widest row times
 * the engine's largest batch (2^14) still fits 32 bits, in which elementwise work is counted. */
enum {
    RZ_MAX_LAYERS = 512,
    RZ_MAX_HEADS = 1024,
    RZ_MAX_HEAD_DIM = 512,
    RZ_MAX_EMBD = 1 << 17,
    RZ_MAX_FF = 1 << 17,
    RZ_MAX_VOCAB = 1 << 22,
    RZ_MAX_CTX = 1 << 24,
    RZ_MAX_EXPERTS = 1024
};

struct rz_config {
    rz_model_info info;                                     /* all public hyper-parameters */
    float kq_scale;                                         /* 1 / sqrt(head_dim) */
    float rope_beta_fast, rope_beta_slow, rope_attn_factor; /* YaRN */
};

/* Reads the configuration from the file's metadata. Errors: RZ_EFORMAT, RZ_ELOAD. */
RZ_MUST_USE rz_status rz_config_read(struct rz_config *c, const rz_file *file, rz_error *err);

/* Fills freqs [rope_n_rot / 2] with the angle per position of each pair, scaling applied, and
 * returns the factor on cosine and sine. factors: [rope_n_rot / 2] divisors or NULL. */
float rz_rope_freqs(const struct rz_config *c, const float *factors, float *freqs);

#endif
