/* arch.c - the table of architectures. Source: the models' papers and Hugging Face's
 * modeling files (Qwen2 2407.10671, Qwen3 2505.09388, Llama 2302.13971, Mixtral 2401.04088). */
#include "model/arch.h"

#include "base/fail.h"

#include <string.h>

static const struct rz_arch archs[] = {
    {.name = "llama",
     .rope_type = RZ_ROPE_ADJACENT,
     .experts = true, /* Mixtral */
     .norm_expert_weights = true},
    {.name = "qwen2", .rope_type = RZ_ROPE_NEOX},
    {.name = "qwen3", .rope_type = RZ_ROPE_NEOX, .qk_norm = true},
    {.name = "qwen2moe", .rope_type = RZ_ROPE_NEOX, .experts = true, .shared_expert = true},
    {.name = "qwen3moe",
     .rope_type = RZ_ROPE_NEOX,
     .qk_norm = true,
     .experts = true,
     .norm_expert_weights = true},
};

const struct rz_arch *rz_arch_find(rz_slice name)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(archs); i++) {
        if (strlen(archs[i].name) == name.len && memcmp(archs[i].name, name.data, name.len) == 0)
            return &archs[i];
    }
    return NULL;
}

const char *rz_arch_list(void)
{
    return "llama, qwen2, qwen3, qwen2moe, qwen3moe";
}
