/* convert_check.c - is a source whole before it is converted: do its metadata and its tensors say
 * the same?
 *
 * A reader has checked the container; this checks the model, so that a contradiction is not
 * written into a second file. For architectures that the table does not hold only what is true of
 * every model is checked. */
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_LAYERS = 4096
};

struct sizes {
    uint32_t n_embd, n_layers, n_heads, n_kv_heads, head_dim, n_ff;
};

const char *rz_arch_key(const rz_file *file, const char *suffix, char key[RZ_ARCH_KEY_MAX])
{
    rz_slice arch = {"", 0};
    bool found;
    if (rz_file_get_string(file, "general.architecture", &arch, &found, NULL) || arch.len > 64)
        arch = (rz_slice){"", 0};
    snprintf(key, RZ_ARCH_KEY_MAX, "%.*s.%s", (int)arch.len, arch.data, suffix);
    return key;
}

rz_status rz_arch_u32(const rz_file *file, const char *suffix, uint32_t *value, bool *found,
                      rz_error *err)
{
    char key[RZ_ARCH_KEY_MAX];
    return rz_file_get_u32(file, rz_arch_key(file, suffix, key), value, found, err);
}

bool rz_arch_is(const rz_file *file, const char *name)
{
    rz_slice arch = {"", 0};
    bool found = false;
    return !rz_file_get_string(file, "general.architecture", &arch, &found, NULL) && found &&
           arch.len == strlen(name) && memcmp(arch.data, name, arch.len) == 0;
}

/* What the metadata says of a tensor that may be absent; 0: nothing. */
struct wanted {
    const char *name;
    uint64_t rows;
    const char *rows_what;
    uint64_t cols;
    const char *cols_what;
};

static rz_status check_shape(const rz_file *file, const struct wanted *w, rz_error *err)
{
    static const char said[] = "%s: tensor %s has %llu %s, and the metadata's %s says %llu";
    const rz_tensor *t = rz_file_tensor(file, w->name);
    if (!t)
        return RZ_OK;
    uint64_t cols = t->shape[t->n_dims - 1], rows = t->n_dims > 1 ? t->shape[t->n_dims - 2] : 1;
    if (w->cols && cols != w->cols)
        return rz_fail(err, RZ_EINVALID, said, rz_file_path(file), t->name,
                       (unsigned long long)cols, "columns", w->cols_what,
                       (unsigned long long)w->cols);
    if (w->rows && rows != w->rows)
        return rz_fail(err, RZ_EINVALID, said, rz_file_path(file), t->name,
                       (unsigned long long)rows, "rows", w->rows_what, (unsigned long long)w->rows);
    return RZ_OK;
}

static rz_status check_vocabulary(const rz_file *file, rz_error *err)
{
    const rz_tensor *embed = rz_file_tensor(file, "token_embd.weight");
    const rz_meta *tokens = NULL;
    bool found = false;
    RZ_TRY(rz_file_get_array(file, "tokenizer.ggml.tokens", RZ_META_STRING, &tokens, &found, err));
    if (!embed || !found || embed->n_dims != 2)
        return RZ_OK;
    if (tokens->count != embed->shape[0])
        return rz_fail(err, RZ_EINVALID,
                       "%s: the vocabulary has %llu tokens, and token_embd.weight %llu rows",
                       rz_file_path(file), (unsigned long long)tokens->count,
                       (unsigned long long)embed->shape[0]);
    const struct wanted head = {
        .name = "output.weight", .rows = tokens->count, .rows_what = "vocabulary"};
    return check_shape(file, &head, err);
}

static rz_status read_sizes(const rz_file *file, struct sizes *s, rz_error *err)
{
    bool found, has_dim;
    RZ_TRY(rz_arch_u32(file, "embedding_length", &s->n_embd, &found, err));
    RZ_TRY(rz_arch_u32(file, "block_count", &s->n_layers, &found, err));
    RZ_TRY(rz_arch_u32(file, "attention.head_count", &s->n_heads, &found, err));
    s->n_kv_heads = s->n_heads;
    RZ_TRY(rz_arch_u32(file, "attention.head_count_kv", &s->n_kv_heads, &found, err));
    RZ_TRY(rz_arch_u32(file, "feed_forward_length", &s->n_ff, &found, err));
    s->head_dim = s->n_heads ? s->n_embd / s->n_heads : 0;
    RZ_TRY(rz_arch_u32(file, "attention.key_length", &s->head_dim, &has_dim, err));
    return RZ_OK;
}

/* "blk.N.": N, or -1. */
static long layer_of(const char *name)
{
    char *end;
    if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9')
        return -1;
    unsigned long n = strtoul(name + 4, &end, 10);
    return *end == '.' && n < MAX_LAYERS ? (long)n : -1;
}

/* All layers of these architectures have the same tensors. */
static rz_status check_layers(const rz_file *file, uint32_t n_layers, rz_error *err)
{
    size_t in_first = 0, in_layers = 0;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        long layer = layer_of(t->name);
        if (layer < 0)
            continue;
        if (layer >= (long)n_layers)
            return rz_fail(err, RZ_EINVALID,
                           "%s: tensor %s is of layer %ld, and the metadata's block_count is %u",
                           rz_file_path(file), t->name, layer, n_layers);
        in_layers++;
        in_first += layer == 0;
        const char *suffix = strchr(t->name + 4, '.');
        char name[RZ_MAX_TENSOR_NAME_BYTES + 16];
        snprintf(name, sizeof name, "blk.0%s", suffix);
        if (!rz_file_tensor(file, name))
            return rz_fail(err, RZ_EINVALID, "%s: tensor %s has no counterpart in layer 0",
                           rz_file_path(file), t->name);
    }
    if (in_layers != in_first * n_layers)
        return rz_fail(err, RZ_EINVALID,
                       "%s: %zu tensors in %u layers, where layer 0 has %zu: some are missing",
                       rz_file_path(file), in_layers, n_layers, in_first);
    return RZ_OK;
}

static rz_status check_layer(const rz_file *file, uint32_t i, const struct sizes *s, rz_error *err)
{
    uint64_t q = (uint64_t)s->n_heads * s->head_dim, kv = (uint64_t)s->n_kv_heads * s->head_dim;
    const struct wanted wanted[] = {
        {"attn_norm.weight", 0, NULL, s->n_embd, "embedding_length"},
        {"ffn_norm.weight", 0, NULL, s->n_embd, "embedding_length"},
        {"attn_q.weight", q, "attention.head_count", s->n_embd, "embedding_length"},
        {"attn_k.weight", kv, "attention.head_count_kv", s->n_embd, "embedding_length"},
        {"attn_v.weight", kv, "attention.head_count_kv", s->n_embd, "embedding_length"},
        {"attn_output.weight", s->n_embd, "embedding_length", q, "attention.head_count"},
        {"attn_q.bias", 0, NULL, q, "attention.head_count"},
        {"attn_k.bias", 0, NULL, kv, "attention.head_count_kv"},
        {"attn_v.bias", 0, NULL, kv, "attention.head_count_kv"},
        {"ffn_gate.weight", s->n_ff, "feed_forward_length", s->n_embd, "embedding_length"},
        {"ffn_up.weight", s->n_ff, "feed_forward_length", s->n_embd, "embedding_length"},
        {"ffn_down.weight", s->n_embd, "embedding_length", s->n_ff, "feed_forward_length"},
    };
    for (size_t k = 0; k < RZ_ARRAY_LEN(wanted); k++) {
        char name[64];
        struct wanted w = wanted[k];
        snprintf(name, sizeof name, "blk.%u.%s", i, w.name);
        w.name = name;
        RZ_TRY(check_shape(file, &w, err));
    }
    return RZ_OK;
}

rz_status rz_convert_check(const rz_file *source, rz_error *err)
{
    static const char *const known[] = {"llama", "qwen2", "qwen3", "qwen2moe", "qwen3moe"};
    struct sizes s = {0};
    rz_slice arch;
    bool found, is_known = false;
    RZ_TRY(rz_file_get_string(source, "general.architecture", &arch, &found, err));
    if (!found)
        return rz_fail(err, RZ_EINVALID, "%s: the metadata has no general.architecture",
                       rz_file_path(source));
    if (rz_file_n_tensors(source) == 0)
        return rz_fail(err, RZ_EINVALID, "%s: no tensors", rz_file_path(source));
    RZ_TRY(check_vocabulary(source, err));
    for (size_t i = 0; i < RZ_ARRAY_LEN(known); i++)
        is_known = is_known || rz_arch_is(source, known[i]);
    if (!is_known)
        return RZ_OK;
    RZ_TRY(read_sizes(source, &s, err));
    if (s.n_layers == 0 || s.n_layers > MAX_LAYERS)
        return rz_fail(err, RZ_EINVALID,
                       "%s: the metadata's block_count is %u, 1 to %d are possible",
                       rz_file_path(source), s.n_layers, MAX_LAYERS);
    if (!rz_file_tensor(source, "token_embd.weight"))
        return rz_fail(err, RZ_EINVALID, "%s: tensor token_embd.weight is missing",
                       rz_file_path(source));
    static const char *const wide[] = {"token_embd.weight", "output_norm.weight", "output.weight"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(wide); i++) {
        const struct wanted w = {
            .name = wide[i], .cols = s.n_embd, .cols_what = "embedding_length"};
        RZ_TRY(check_shape(source, &w, err));
    }
    RZ_TRY(check_layers(source, s.n_layers, err));
    for (uint32_t i = 0; i < s.n_layers; i++)
        RZ_TRY(check_layer(source, i, &s, err));
    return RZ_OK;
}
