/* model.h - a loaded model, immutable. Its information, file, tokenizer and template may be read
 * from any thread; its engines compute with its threads, one engine at a time (engine.h). */
#ifndef REALIZAR_MODEL_H
#define REALIZAR_MODEL_H

#include <realizar/file.h>
#include <realizar/template.h>
#include <realizar/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rz_model rz_model;

typedef struct rz_model_options {
    uint32_t n_threads; /* 1 to 256; 0: one per CPU this process may use */
    unsigned cpu_mask;  /* ISA levels allowed (rz_cpu_level_mask); ~0u: all */
    bool no_packing;    /* keep no rearranged copies of the weights in memory: much slower, but the
                           file's pages are all that is needed */
    bool only_look;     /* nothing will be computed soon: no weights are read ahead */
} rz_model_options;

/* The default options: n_threads 0, cpu_mask ~0u, the others false. */
RZ_API rz_model_options rz_model_options_default(void);

/* "scalar", "avx2", "avx512", "avx512+bf16" or "amx" to the mask that allows that level and those
 * below. RZ_EUSAGE for another name. */
RZ_API RZ_MUST_USE rz_status rz_cpu_level_mask(const char *name, unsigned *mask, rz_error *err);

/* Opens a model file, binds its tensors, builds its tokenizer and parses its chat template.
 * options may be NULL. Errors: rz_file_open's; RZ_EFORMAT (a hyper-parameter or tensor is missing
 * or has the wrong shape); RZ_ELOAD (architecture, type or feature not supported: named, with the
 * list of those that are); RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_model_open(rz_model **out, const char *path,
                                           const rz_model_options *options, rz_error *err);
/* Closes and sets to NULL. All engines of the model must be gone. */
RZ_API void rz_model_close(rz_model **model);

typedef enum rz_rope_type {
    RZ_ROPE_NEOX,    /* halves: (x[i], x[i + n/2]) - Qwen */
    RZ_ROPE_ADJACENT /* pairs: (x[2i], x[2i+1]) - Llama in GGUF order */
} rz_rope_type;

typedef enum rz_rope_scaling {
    RZ_ROPE_SCALING_NONE,
    RZ_ROPE_SCALING_LINEAR,
    RZ_ROPE_SCALING_YARN,
    RZ_ROPE_SCALING_FACTORS /* one divisor per pair, from a tensor: Llama 3.1 */
} rz_rope_scaling;

/* Hyper-parameters, as the file declares them. Strings are borrowed from the model. */
typedef struct rz_model_info {
    const char *architecture; /* "qwen2", "llama", "qwen3", "qwen2moe", "qwen3moe" */
    const char *name;         /* general.name or "" */
    uint32_t n_vocab, n_ctx_train, n_layers, n_embd, n_ff;
    uint32_t n_heads, n_kv_heads, head_dim;
    rz_rope_type rope_type;
    rz_rope_scaling rope_scaling;
    float rope_theta, rope_factor, rms_eps;
    uint32_t rope_n_rot;     /* rotated dimensions of a head */
    uint32_t n_ctx_orig;     /* context before scaling; n_ctx_train if not scaled */
    uint32_t sliding_window; /* 0: none */
    bool qkv_bias, qk_norm, tied_head;
    uint32_t n_experts, n_experts_used, n_ff_expert, n_ff_shared; /* 0 if dense */
    bool norm_expert_weights;
    uint64_t n_params;     /* elements of all tensors */
    uint64_t weight_bytes; /* bytes of all tensors */
    uint32_t n_threads;
    const char *cpu_level; /* the kernels in use: "avx512" ... */
} rz_model_info;

RZ_API const rz_model_info *rz_model_get_info(const rz_model *model);
/* Its tensors have data NULL where the file holds a matrix only packed (rz_tensor.packed); who
 * reads weights opens the file with rz_file_open. */
RZ_API const rz_file *rz_model_get_file(const rz_model *model);
RZ_API const rz_tokenizer *rz_model_get_tokenizer(const rz_model *model);
/* NULL for a base model without a chat template. */
RZ_API const rz_template *rz_model_get_template(const rz_model *model);

/* Bytes of KV cache for n_tokens positions, whole blocks. */
RZ_API uint64_t rz_model_kv_bytes(const rz_model *model, uint64_t n_tokens, rz_dtype kv_type);

#ifdef __cplusplus
}
#endif
#endif
