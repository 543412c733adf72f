/* mix.h - named mixes of tensor types: which type each tensor of a model gets. */
#ifndef RZ_FORMATS_MIX_H
#define RZ_FORMATS_MIX_H

#include <realizar/dtype.h>
#include <stdbool.h>

struct rz_mix;

/* What a mix asks about the model. */
struct rz_mix_model {
    uint32_t n_layers, n_heads, n_kv_heads;
    bool tied; /* no output.weight: token_embd is the head as well */
};

/* By name ("q4_k_m", "q6_k", "f16" ..., case ignored); NULL if there is none. */
const struct rz_mix *rz_mix_by_name(const char *name);

/* The i-th name, NULL after the last. */
const char *rz_mix_name(unsigned i);

/* general.file_type, as llama.cpp numbers mixes. */
uint32_t rz_mix_file_type(const struct rz_mix *mix);

/* The type of a tensor by its name (blk.N. gives the layer) and row length. Vectors, norms and the
 * experts' router stay F32; n_dims and n_cols are the tensor's. */
rz_dtype rz_mix_choose(const struct rz_mix *mix, const struct rz_mix_model *model, const char *name,
                       uint32_t n_dims, uint64_t n_cols);

#endif
