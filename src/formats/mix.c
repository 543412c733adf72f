/* mix.c - the published mixes, as the files on model hubs have them.
 *
 * A mix gives most matrices its base type, and more bits to the tensors whose errors cost most: the
 * head, attn_v and ffn_down, in some or all layers. A row that is no multiple of a type's block
 * goes to a type with blocks of 32 and more bits. Source: the choices of llama.cpp's quantizer
 * (src/llama-quant.cpp), without an importance matrix, for the types that this library has. */
#include "formats/mix.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Layers that get the better type. */
enum where {
    NOWHERE,
    EVERYWHERE,
    FIRST_2,
    FIRST_4,
    FIRST_8TH,
    FIRST_16TH,
    MORE_BITS /* the first and last eighth, and every third between */
};

/* best where says, other elsewhere. */
struct choice {
    enum where where;
    rz_dtype best, other;
};

struct rz_mix {
    const char *name;
    rz_dtype base;
    uint32_t file_type;
    bool pure; /* the base type for every matrix, the head included */
    struct choice attn_v, ffn_down, attn_output;
};

#define PLAIN(type)                                                                                \
    {                                                                                              \
        NOWHERE, type, type                                                                        \
    }
#define ALL(type)                                                                                  \
    {                                                                                              \
        EVERYWHERE, type, type                                                                     \
    }
#define SOME(where, best, rest)                                                                    \
    {                                                                                              \
        where, best, rest                                                                          \
    }

static const struct rz_mix mixes[] = {
    {"f32", RZ_F32, 0, true, PLAIN(RZ_F32), PLAIN(RZ_F32), PLAIN(RZ_F32)},
    {"f16", RZ_F16, 1, true, PLAIN(RZ_F16), PLAIN(RZ_F16), PLAIN(RZ_F16)},
    {"bf16", RZ_BF16, 32, true, PLAIN(RZ_BF16), PLAIN(RZ_BF16), PLAIN(RZ_BF16)},
    {"q4_0", RZ_Q4_0, 2, false, PLAIN(RZ_Q4_0), PLAIN(RZ_Q4_0), PLAIN(RZ_Q4_0)},
    {"q4_1", RZ_Q4_1, 3, false, PLAIN(RZ_Q4_1), PLAIN(RZ_Q4_1), PLAIN(RZ_Q4_1)},
    {"q5_0", RZ_Q5_0, 8, false, PLAIN(RZ_Q5_0), PLAIN(RZ_Q5_0), PLAIN(RZ_Q5_0)},
    {"q5_1", RZ_Q5_1, 9, false, PLAIN(RZ_Q5_1), PLAIN(RZ_Q5_1), PLAIN(RZ_Q5_1)},
    {"q8_0", RZ_Q8_0, 7, false, PLAIN(RZ_Q8_0), PLAIN(RZ_Q8_0), PLAIN(RZ_Q8_0)},
    {"q2_k", RZ_Q2_K, 10, false, ALL(RZ_Q4_K), ALL(RZ_Q3_K), ALL(RZ_Q3_K)},
    {"q3_k_s", RZ_Q3_K, 11, false, PLAIN(RZ_Q3_K), PLAIN(RZ_Q3_K), PLAIN(RZ_Q3_K)},
    {"q3_k_m", RZ_Q3_K, 12, false, SOME(FIRST_2, RZ_Q5_K, RZ_Q4_K),
     SOME(FIRST_16TH, RZ_Q5_K, RZ_Q4_K), ALL(RZ_Q4_K)},
    {"q3_k_l", RZ_Q3_K, 13, false, ALL(RZ_Q5_K), ALL(RZ_Q5_K), ALL(RZ_Q5_K)},
    {"q4_k_s", RZ_Q4_K, 14, false, SOME(FIRST_4, RZ_Q5_K, RZ_Q4_K),
     SOME(FIRST_8TH, RZ_Q5_K, RZ_Q4_K), PLAIN(RZ_Q4_K)},
    {"q4_k_m", RZ_Q4_K, 15, false, SOME(MORE_BITS, RZ_Q6_K, RZ_Q4_K),
     SOME(MORE_BITS, RZ_Q6_K, RZ_Q4_K), PLAIN(RZ_Q4_K)},
    {"q5_k_s", RZ_Q5_K, 16, false, PLAIN(RZ_Q5_K), PLAIN(RZ_Q5_K), PLAIN(RZ_Q5_K)},
    {"q5_k_m", RZ_Q5_K, 17, false, SOME(MORE_BITS, RZ_Q6_K, RZ_Q5_K),
     SOME(MORE_BITS, RZ_Q6_K, RZ_Q5_K), PLAIN(RZ_Q5_K)},
    {"q6_k", RZ_Q6_K, 18, false, PLAIN(RZ_Q6_K), PLAIN(RZ_Q6_K), PLAIN(RZ_Q6_K)},
    {"iq4_nl", RZ_IQ4_NL, 25, false, ALL(RZ_Q5_K), SOME(FIRST_8TH, RZ_Q5_K, RZ_IQ4_NL),
     PLAIN(RZ_IQ4_NL)},
    {"iq4_xs", RZ_IQ4_XS, 30, false, ALL(RZ_Q5_K), SOME(FIRST_8TH, RZ_Q5_K, RZ_IQ4_XS),
     PLAIN(RZ_IQ4_XS)},
    /* Of one K type throughout, which no hub has: to measure the type alone. */
    {"q3_k", RZ_Q3_K, 11, true, PLAIN(RZ_Q3_K), PLAIN(RZ_Q3_K), PLAIN(RZ_Q3_K)},
    {"q4_k", RZ_Q4_K, 14, true, PLAIN(RZ_Q4_K), PLAIN(RZ_Q4_K), PLAIN(RZ_Q4_K)},
    {"q5_k", RZ_Q5_K, 16, true, PLAIN(RZ_Q5_K), PLAIN(RZ_Q5_K), PLAIN(RZ_Q5_K)},
};

enum {
    N_MIXES = sizeof mixes / sizeof mixes[0]
};

const struct rz_mix *rz_mix_by_name(const char *name)
{
    for (unsigned i = 0; i < N_MIXES; i++)
        if (strcasecmp(name, mixes[i].name) == 0)
            return &mixes[i];
    return NULL;
}

const char *rz_mix_name(unsigned i)
{
    return i < N_MIXES ? mixes[i].name : NULL;
}

uint32_t rz_mix_file_type(const struct rz_mix *mix)
{
    return mix->file_type;
}

static bool is_there(enum where where, uint32_t layer, uint32_t n_layers)
{
    uint32_t eighth = n_layers / 8;
    switch (where) {
    case NOWHERE:
        return false;
    case EVERYWHERE:
        return true;
    case FIRST_2:
        return layer < 2;
    case FIRST_4:
        return layer < 4;
    case FIRST_8TH:
        return layer < eighth;
    case FIRST_16TH:
        return layer < n_layers / 16;
    case MORE_BITS:
        return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
    }
    return false;
}

static rz_dtype pick(const struct choice *c, const struct rz_mix_model *model, const char *name)
{
    uint32_t layer = 0;
    if (strncmp(name, "blk.", 4) == 0)
        layer = (uint32_t)strtoul(name + 4, NULL, 10);
    return is_there(c->where, layer, model->n_layers) ? c->best : c->other;
}

/* Rows that the type's blocks do not divide. */
static rz_dtype fall_back(rz_dtype type, uint64_t n_cols)
{
    if (n_cols % rz_dtype_block_len(type) == 0)
        return type;
    switch (type) {
    case RZ_Q4_K:
        type = RZ_Q5_0;
        break;
    case RZ_Q5_K:
        type = RZ_Q5_1;
        break;
    case RZ_Q6_K:
        type = RZ_Q8_0;
        break;
    case RZ_Q2_K:
    case RZ_Q3_K:
    case RZ_IQ4_XS:
        type = RZ_IQ4_NL;
        break;
    default:
        return RZ_F16;
    }
    return n_cols % rz_dtype_block_len(type) == 0 ? type : RZ_F16;
}

static bool stays_f32(const char *name, uint32_t n_dims)
{
    return n_dims < 2 || strstr(name, "_norm.weight") || strstr(name, "ffn_gate_inp.weight") ||
           strcmp(name + strlen(name) - 6, "weight") != 0;
}

static rz_dtype head_type(const struct rz_mix *mix, uint64_t n_cols)
{
    if (mix->base == RZ_Q8_0 || n_cols % rz_dtype_block_len(mix->base) != 0)
        return RZ_Q8_0;
    return RZ_Q6_K;
}

static rz_dtype attn_v_type(const struct rz_mix *mix, const struct rz_mix_model *model,
                            const char *name)
{
    uint32_t n_gqa = model->n_kv_heads ? model->n_heads / model->n_kv_heads : 1;
    rz_dtype type = pick(&mix->attn_v, model, name);
    if (mix->base == RZ_Q2_K && n_gqa < 4)
        return RZ_Q3_K;
    if ((mix->base == RZ_IQ4_NL || mix->base == RZ_IQ4_XS) && n_gqa < 4)
        return mix->base;
    /* 70B and 72B: eight heads share attn_v, so it is small and worth more. */
    if (model->n_layers == 80 && (type == RZ_Q3_K || type == RZ_Q4_K))
        return RZ_Q5_K;
    return type;
}

rz_dtype rz_mix_choose(const struct rz_mix *mix, const struct rz_mix_model *model, const char *name,
                       uint32_t n_dims, uint64_t n_cols)
{
    if (strlen(name) < 6 || stays_f32(name, n_dims))
        return RZ_F32;
    rz_dtype type = mix->base;
    if (mix->pure)
        return fall_back(type, n_cols);
    if (strcmp(name, "output.weight") == 0 ||
        (model->tied && strcmp(name, "token_embd.weight") == 0))
        type = head_type(mix, n_cols);
    else if (strstr(name, "attn_v.weight"))
        type = attn_v_type(mix, model, name);
    else if (strstr(name, "ffn_down"))
        type = pick(&mix->ffn_down, model, name);
    else if (strstr(name, "attn_output.weight"))
        type = pick(&mix->attn_output, model, name);
    return fall_back(type, n_cols);
}
