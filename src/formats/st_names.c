/* st_names.c - from Hugging Face's tensor names to GGUF's, and back.
 *
 * The table is that of the architectures in docs/formats.md; a name that is not in it is refused by
 * the caller, so nothing that a file holds is dropped unsaid.
 * Source: transformers' modeling files of Qwen2, Qwen3, Llama and Mistral; the GGUF specification's
 * standardized tensor names. */
#include "base/fail.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_LAYER_DIGITS = 5
};

struct renaming {
    const char *hf, *gguf;
};

static const struct renaming globals[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

static const struct renaming in_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"self_attn.q_proj.weight", "attn_q.weight"},
    {"self_attn.q_proj.bias", "attn_q.bias"},
    {"self_attn.k_proj.weight", "attn_k.weight"},
    {"self_attn.k_proj.bias", "attn_k.bias"},
    {"self_attn.v_proj.weight", "attn_v.weight"},
    {"self_attn.v_proj.bias", "attn_v.bias"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
};

static bool is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* Takes text from the front of *s. */
static bool take(rz_slice *s, const char *text)
{
    size_t n = strlen(text);
    if (s->len < n || memcmp(s->data, text, n) != 0)
        return false;
    s->data += n;
    s->len -= n;
    return true;
}

/* Takes "N." without leading zeros; *digits is N. */
static bool take_number(rz_slice *s, rz_slice *digits)
{
    size_t n = 0;
    while (n < s->len && s->data[n] >= '0' && s->data[n] <= '9')
        n++;
    if (n == 0 || n > MAX_LAYER_DIGITS || (n > 1 && s->data[0] == '0') || n == s->len ||
        s->data[n] != '.')
        return false;
    *digits = (rz_slice){.data = s->data, .len = n};
    s->data += n + 1;
    s->len -= n + 1;
    return true;
}

enum rz_st_name rz_st_gguf_name(rz_slice name, char *out)
{
    rz_slice layer;
    for (size_t i = 0; i < RZ_ARRAY_LEN(globals); i++)
        if (is(name, globals[i].hf)) {
            snprintf(out, RZ_MAX_TENSOR_NAME_BYTES + 1, "%s", globals[i].gguf);
            return RZ_ST_NAMED;
        }
    if (is(name, "model.rotary_emb.inv_freq"))
        return RZ_ST_IGNORED;
    if (!take(&name, "model.layers.") || !take_number(&name, &layer))
        return RZ_ST_UNKNOWN;
    for (size_t i = 0; i < RZ_ARRAY_LEN(in_layer); i++)
        if (is(name, in_layer[i].hf)) {
            snprintf(out, RZ_MAX_TENSOR_NAME_BYTES + 1, "blk.%.*s.%s", (int)layer.len, layer.data,
                     in_layer[i].gguf);
            return RZ_ST_NAMED;
        }
    if (is(name, "self_attn.rotary_emb.inv_freq"))
        return RZ_ST_IGNORED;
    return take(&name, "mlp.experts.") || take(&name, "block_sparse_moe.experts.") ? RZ_ST_EXPERT
                                                                                   : RZ_ST_UNKNOWN;
}

bool rz_st_hf_name(const char *gguf, char *out)
{
    rz_slice rest = {.data = gguf, .len = strlen(gguf)}, layer;
    for (size_t i = 0; i < RZ_ARRAY_LEN(globals); i++)
        if (is(rest, globals[i].gguf)) {
            snprintf(out, RZ_MAX_TENSOR_NAME_BYTES + 1, "%s", globals[i].hf);
            return true;
        }
    if (!take(&rest, "blk.") || !take_number(&rest, &layer))
        return false;
    for (size_t i = 0; i < RZ_ARRAY_LEN(in_layer); i++)
        if (is(rest, in_layer[i].gguf)) {
            snprintf(out, RZ_MAX_TENSOR_NAME_BYTES + 1, "model.layers.%.*s.%s", (int)layer.len,
                     layer.data, in_layer[i].hf);
            return true;
        }
    return false;
}
