/* arch.h - what an architecture's name implies and its metadata does not say. */
#ifndef RZ_MODEL_ARCH_H
#define RZ_MODEL_ARCH_H

#include <realizar/model.h>

struct rz_arch {
    const char *name; /* general.architecture */
    rz_rope_type rope_type;
    bool qk_norm;             /* RMSNorm of each head of Q and K before RoPE */
    bool experts;             /* may have experts */
    bool shared_expert;       /* of its experts layers, gated by a sigmoid */
    bool norm_expert_weights; /* default where the metadata is silent */
};

/* NULL if the architecture is not supported. */
const struct rz_arch *rz_arch_find(rz_slice name);

/* "llama, qwen2, ..." for messages; static. */
const char *rz_arch_list(void);

#endif
