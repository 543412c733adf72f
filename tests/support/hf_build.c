/* hf_build.c - see hf_build.h. */
#include "support/hf_build.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- SafeTensors ---- */

void st_init(struct st_build *b)
{
    *b = (struct st_build){.header = json_object()};
    assert_non_null(b->header);
}

void st_fini(struct st_build *b)
{
    json_decref(b->header);
    free(b->data.data);
    free(b->file.data);
}

void st_tensor(struct st_build *b, const struct st_entry *t)
{
    json_t *dims = json_array();
    for (uint32_t i = 0; i < t->n_dims; i++)
        json_array_append_new(dims, json_integer((json_int_t)t->shape[i]));
    const size_t end = b->data.len + t->n_bytes;
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->dtype, "shape", dims,
                              "data_offsets", (json_int_t)b->data.len, (json_int_t)end);
    assert_non_null(entry);
    assert_int_equal(json_object_set_new(b->header, t->name, entry), 0);
    void *zeros = t->data ? NULL : calloc(1, t->n_bytes + 1);
    gb_put(&b->data, t->data ? t->data : zeros, t->n_bytes);
    free(zeros);
}

const uint8_t *st_bytes(struct st_build *b, size_t *len)
{
    char *header = json_dumps(b->header, JSON_COMPACT);
    assert_non_null(header);
    b->file.len = 0;
    gb_put_u64(&b->file, strlen(header) + b->n_spaces);
    gb_put(&b->file, header, strlen(header));
    for (size_t i = 0; i < b->n_spaces; i++)
        gb_put(&b->file, " ", 1);
    gb_put(&b->file, b->data.data, b->data.len);
    free(header);
    *len = b->file.len;
    return b->file.data;
}

static void write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char path[HF_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(data, 1, len, out) != len || fclose(out))
        fail_msg("cannot write %s", path);
}

void st_write(struct st_build *b, const char *dir, const char *name)
{
    size_t len;
    const uint8_t *bytes = st_bytes(b, &len);
    write_file(dir, name, bytes, len);
}

/* ---- folders ---- */

void hf_scratch(char dir[HF_PATH_MAX])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, HF_PATH_MAX, "%.900s/rz-hf-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
}

void hf_remove(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[HF_PATH_MAX + 300];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

void hf_put(const char *dir, const char *name, const char *text)
{
    write_file(dir, name, text, strlen(text));
}

void hf_put_json(const char *dir, const char *name, const json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(1));
    assert_non_null(text);
    hf_put(dir, name, text);
    free(text);
}

void hf_copy(const char *from, const char *to, const char *name)
{
    char path[HF_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", from, name);
    FILE *in = fopen(path, "rb");
    if (!in)
        fail_msg("cannot read %s", path);
    struct gb_bytes bytes = {0};
    char part[65536];
    for (size_t n; (n = fread(part, 1, sizeof part, in)) > 0;)
        gb_put(&bytes, part, n);
    fclose(in);
    write_file(to, name, bytes.data, bytes.len);
    free(bytes.data);
}

json_t *hf_get_json(const char *dir, const char *name)
{
    char path[HF_PATH_MAX + 64];
    json_error_t e;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    json_t *json = json_load_file(path, 0, &e);
    if (!json)
        fail_msg("%s: %s", path, e.text);
    return json;
}

/* ---- from GGUF ---- */

void hf_tensor_name(const char *gguf, char *out, size_t size)
{
    static const char *const parts[][2] = {
        {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
        {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
        {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
        {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
        {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"},
    };
    int layer;
    char part[64], kind[16];
    snprintf(out, size, "?");
    if (strcmp(gguf, "token_embd.weight") == 0)
        snprintf(out, size, "model.embed_tokens.weight");
    else if (strcmp(gguf, "output_norm.weight") == 0)
        snprintf(out, size, "model.norm.weight");
    else if (strcmp(gguf, "output.weight") == 0)
        snprintf(out, size, "lm_head.weight");
    else if (sscanf(gguf, "blk.%d.%63[a-z_].%15s", &layer, part, kind) == 3)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (strcmp(parts[i][0], part) == 0)
                snprintf(out, size, "model.layers.%d.%s.%s", layer, parts[i][1], kind);
}

static uint32_t meta_u32(const rz_file *gguf, const char *suffix, uint32_t fallback)
{
    char key[128];
    rz_slice arch;
    assert_int_equal(rz_file_get_string(gguf, "general.architecture", &arch, NULL, NULL), RZ_OK);
    snprintf(key, sizeof key, "%.*s.%s", (int)arch.len, arch.data, suffix);
    assert_int_equal(rz_file_get_u32(gguf, key, &fallback, &(bool){false}, NULL), RZ_OK);
    return fallback;
}

static double meta_f64(const rz_file *gguf, const char *suffix)
{
    char key[128];
    rz_slice arch;
    float value = 0;
    assert_int_equal(rz_file_get_string(gguf, "general.architecture", &arch, NULL, NULL), RZ_OK);
    snprintf(key, sizeof key, "%.*s.%s", (int)arch.len, arch.data, suffix);
    assert_int_equal(rz_file_get_f32(gguf, key, &value, NULL, NULL), RZ_OK);
    return (double)value;
}

json_t *hf_config_of(const rz_file *gguf, const char *model_type, const char *class_name)
{
    const rz_tensor *embed = rz_file_tensor(gguf, "token_embd.weight");
    assert_non_null(embed);
    json_t *config = json_pack(
        "{s:s, s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b}", "model_type",
        model_type, "architectures", class_name, "hidden_act", "silu", "max_position_embeddings",
        (int)meta_u32(gguf, "context_length", 0), "hidden_size",
        (int)meta_u32(gguf, "embedding_length", 0), "num_hidden_layers",
        (int)meta_u32(gguf, "block_count", 0), "intermediate_size",
        (int)meta_u32(gguf, "feed_forward_length", 0), "num_attention_heads",
        (int)meta_u32(gguf, "attention.head_count", 0), "num_key_value_heads",
        (int)meta_u32(gguf, "attention.head_count_kv", 0), "vocab_size", (int)embed->shape[0],
        "rms_norm_eps", meta_f64(gguf, "attention.layer_norm_rms_epsilon"), "rope_theta",
        meta_f64(gguf, "rope.freq_base"), "tie_word_embeddings",
        rz_file_tensor(gguf, "output.weight") == NULL);
    assert_non_null(config);
    uint32_t head_dim = meta_u32(gguf, "attention.key_length", 0);
    if (head_dim)
        json_object_set_new(config, "head_dim", json_integer(head_dim));
    return config;
}

json_t *hf_pre_tokenizer(const char *pattern)
{
    json_t *pre = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type",
                            "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex",
                            pattern, "behavior", "Isolated", "invert", 0, "type", "ByteLevel",
                            "add_prefix_space", 0, "trim_offsets", 0, "use_regex", 0);
    assert_non_null(pre);
    return pre;
}

static json_t *merge_of(rz_slice text, bool pair)
{
    const char *space = memchr(text.data, ' ', text.len);
    assert_non_null(space);
    if (!pair)
        return json_stringn(text.data, text.len);
    size_t n = (size_t)(space - text.data);
    return json_pack("[s%, s%]", text.data, n, space + 1, text.len - n - 1);
}

json_t *hf_tokenizer_of(const rz_file *gguf, bool pairs)
{
    const rz_meta *tokens, *merges, *types;
    assert_int_equal(
        rz_file_get_array(gguf, "tokenizer.ggml.tokens", RZ_META_STRING, &tokens, NULL, NULL),
        RZ_OK);
    assert_int_equal(
        rz_file_get_array(gguf, "tokenizer.ggml.merges", RZ_META_STRING, &merges, NULL, NULL),
        RZ_OK);
    types = rz_file_meta(gguf, "tokenizer.ggml.token_type");
    assert_non_null(types);
    json_t *vocab = json_object(), *added = json_array(), *list = json_array();
    for (uint64_t id = 0; id < tokens->count; id++) {
        rz_slice text = rz_meta_string(tokens, id);
        int64_t type = rz_meta_int(types, id);
        if (type == 1)
            json_object_setn_new(vocab, text.data, text.len, json_integer((json_int_t)id));
        else
            json_array_append_new(added,
                                  json_pack("{s:I, s:s%, s:b}", "id", (json_int_t)id, "content",
                                            text.data, text.len, "special", type == 3));
    }
    for (uint64_t i = 0; i < merges->count; i++)
        json_array_append_new(list, merge_of(rz_meta_string(merges, i), pairs));
    json_t *t =
        json_pack("{s:s, s:o, s:n, s:{s:s}, s:{s:s, s:b, s:o, s:o}}", "version", "1.0",
                  "added_tokens", added, "normalizer", "decoder", "type", "ByteLevel", "model",
                  "type", "BPE", "byte_fallback", 0, "vocab", vocab, "merges", list);
    assert_non_null(t);
    return t;
}

/* Rows of Q or K from pairs of neighbours to pairs of halves: what llama.cpp's converter undoes. */
static float *unpermute(const rz_tensor *t, uint32_t n_heads)
{
    uint64_t n_rows = t->shape[0], n_cols = t->shape[1], head = n_rows / n_heads;
    float *out = malloc(t->n_bytes);
    assert_non_null(out);
    for (uint64_t row = 0; row < n_rows; row++) {
        uint64_t in_head = row % head, pair = in_head % (head / 2), half = in_head / (head / 2);
        uint64_t from = row - in_head + 2 * pair + half;
        memcpy(out + row * n_cols, (const float *)t->data + from * n_cols, n_cols * sizeof *out);
    }
    return out;
}

void st_add_gguf(struct st_build *b, const rz_file *gguf)
{
    rz_slice arch;
    assert_int_equal(rz_file_get_string(gguf, "general.architecture", &arch, NULL, NULL), RZ_OK);
    bool permuted = arch.len == 5 && memcmp(arch.data, "llama", 5) == 0;
    for (size_t i = 0; i < rz_file_n_tensors(gguf); i++) {
        const rz_tensor *t = rz_file_tensor_at(gguf, i);
        char name[128];
        if (strcmp(t->name, "rope_freqs.weight") == 0)
            continue;
        assert_int_equal(t->dtype, RZ_F32);
        hf_tensor_name(t->name, name, sizeof name);
        float *moved = NULL;
        if (permuted && strstr(t->name, "attn_q.weight"))
            moved = unpermute(t, meta_u32(gguf, "attention.head_count", 0));
        else if (permuted && strstr(t->name, "attn_k.weight"))
            moved = unpermute(t, meta_u32(gguf, "attention.head_count_kv", 0));
        st_tensor(b, &(struct st_entry){name, "F32", t->n_dims, t->shape, moved ? moved : t->data,
                                        t->n_bytes});
        free(moved);
    }
}
