/* synth-model.c - writes a GGUF file of exactly a Qwen2.5 model's shape with random blocks, as fast
 * as the disk takes it: for benchmarks, whose speed does not depend on the values, and for tests.
 *
 * Blocks are valid and scaled so that a matrix's weights have the standard deviation
 * 1/sqrt(columns) and the mean 0: activations stay finite through any number of layers. They come
 * from pools of a few MiB whose number of blocks is prime, so that rows do not repeat for that many
 * rows. The same arguments give the same file. Shapes: the config.json files of the Qwen2.5 and
 * Qwen2 models. */
#include "base/checked.h"
#include "base/f16.h"
#include "base/fail.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "formats/gguf_writer.h"
#include "formats/mix.h"
#include "quant/dtype.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POOL_BYTES = 8 << 20,
    MAX_POOLS = 12,
    MAX_TENSORS = 2048,
    MAX_DIR_FILE_BYTES = 64 << 20,
    N_BYTE_TOKENS = 256,
    TOKEN_NORMAL = 1, /* tokenizer.ggml.token_type */
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5
};

struct preset {
    const char *name, *label;
    uint32_t n_layers, hidden, n_heads, n_kv_heads, ffn, vocab, base_vocab;
    bool tied;
    uint32_t n_experts, n_experts_used, expert_ffn, shared_ffn;
};

#define QWEN_BASE 151643 /* tokens before the added ones */

static const struct preset presets[] = {
    {"test", "Test", 2, 256, 4, 2, 512, 512, 458, true, 0, 0, 0, 0},
    {"0.5b", "0.5B", 24, 896, 14, 2, 4864, 151936, QWEN_BASE, true, 0, 0, 0, 0},
    {"1.5b", "1.5B", 28, 1536, 12, 2, 8960, 151936, QWEN_BASE, true, 0, 0, 0, 0},
    {"3b", "3B", 36, 2048, 16, 2, 11008, 151936, QWEN_BASE, true, 0, 0, 0, 0},
    {"7b", "7B", 28, 3584, 28, 4, 18944, 152064, QWEN_BASE, false, 0, 0, 0, 0},
    {"14b", "14B", 48, 5120, 40, 8, 13824, 152064, QWEN_BASE, false, 0, 0, 0, 0},
    {"32b", "32B", 64, 5120, 40, 8, 27648, 152064, QWEN_BASE, false, 0, 0, 0, 0},
    {"72b", "72B", 80, 8192, 64, 8, 29568, 152064, QWEN_BASE, false, 0, 0, 0, 0},
    {"moe", "57B-A14B", 28, 3584, 28, 4, 18944, 151936, QWEN_BASE, false, 64, 8, 2560, 20480},
    {"test-moe", "Test-MoE", 2, 256, 4, 2, 512, 512, 458, false, 4, 2, 256, 512},
};

static const char *const added[] = {
    "<|endoftext|>",      "<|im_start|>",     "<|im_end|>",     "<|object_ref_start|>",
    "<|object_ref_end|>", "<|box_start|>",    "<|box_end|>",    "<|quad_start|>",
    "<|quad_end|>",       "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>",      "<|video_pad|>",    "<tool_call>",    "</tool_call>",
    "<|fim_prefix|>",     "<|fim_middle|>",   "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>",      "<|file_sep|>",
};

static const struct {
    const char *key;
    uint32_t i_added;
} special_ids[] = {
    {"tokenizer.ggml.bos_token_id", 0},      {"tokenizer.ggml.eos_token_id", 2},
    {"tokenizer.ggml.padding_token_id", 0},  {"tokenizer.ggml.fim_pre_token_id", 16},
    {"tokenizer.ggml.fim_mid_token_id", 17}, {"tokenizer.ggml.fim_suf_token_id", 18},
    {"tokenizer.ggml.fim_pad_token_id", 19}, {"tokenizer.ggml.fim_rep_token_id", 20},
    {"tokenizer.ggml.fim_sep_token_id", 21},
};

static const char chat_template[] =
    "{%- for m in messages %}\n"
    "    {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n";

/* ---- vocabulary ---- */

struct vocab {
    uint32_t n_base, n_tokens, n_merges;
    rz_slice *tokens, *merges;
    int32_t *types;
    char *text;   /* what made-up tokens, merges and padding names point into */
    char *lines;  /* merges.txt */
    json_t *json; /* vocab.json */
};

static void vocab_fini(struct vocab *v)
{
    free(v->tokens);
    free(v->merges);
    free(v->types);
    free(v->text);
    free(v->lines);
    json_decref(v->json);
}

/* GPT-2's printable character for each byte; printable Latin-1 stands for itself, the rest follow
 * from U+0100. Letters come first here, so that the first made-up merges are of letters. */
static void byte_characters(char out[N_BYTE_TOKENS][4])
{
    static const char first[] = "\x20"
                                "etaoinshrdlucmfwypvbgkjqxz\nETAOINSHRDLUCM";
    bool done[256] = {false};
    uint32_t points[256], next = 256;
    for (uint32_t b = 0; b < 256; b++) {
        bool printable = (b > 32 && b < 127) || (b > 160 && b != 173);
        points[b] = printable ? b : next++;
    }
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof first - 1; i++) {
        uint8_t b = (uint8_t)first[i];
        done[b] = true;
        out[n][rz_utf8_encode(points[b], out[n])] = '\0';
        n++;
    }
    for (uint32_t b = 0; b < 256; b++)
        if (!done[b]) {
            out[n][rz_utf8_encode(points[b], out[n])] = '\0';
            n++;
        }
}

static rz_slice append(char **at, const char *text)
{
    size_t len = strlen(text);
    memcpy(*at, text, len + 1);
    rz_slice slice = {.data = *at, .len = len};
    *at += len + 1;
    return slice;
}

/* 256 byte tokens, then every pair of bytes, then triples made of a pair and one of the first 46
 * bytes: as many as are wanted. No two are alike, and each pair's merge comes before its triples'.
 */
static rz_status make_up_vocab(struct vocab *v, rz_error *err)
{
    enum {
        N_PAIRS = N_BYTE_TOKENS * N_BYTE_TOKENS,
        N_FIRST = 46 /* 46^3 + 65536 + 256 exceeds Qwen's 151,643 */
    };
    char bytes[N_BYTE_TOKENS][4];
    char *at = v->text;
    byte_characters(bytes);
    RZ_ASSERT(v->n_base >= N_BYTE_TOKENS && v->n_base < N_PAIRS + N_FIRST * N_FIRST * N_FIRST);
    v->n_merges = v->n_base - N_BYTE_TOKENS;
    v->merges = calloc(v->n_merges + 1, sizeof *v->merges);
    if (!v->merges)
        return rz_fail_nomem(err, v->n_merges * sizeof *v->merges, "merges");
    for (uint32_t i = 0; i < N_BYTE_TOKENS; i++)
        v->tokens[i] = append(&at, bytes[i]);
    for (uint32_t i = 0; i < v->n_merges; i++) {
        char left[12], right[4], both[16];
        uint32_t k = i < N_PAIRS ? i : i - N_PAIRS;
        if (i < N_PAIRS) {
            snprintf(left, sizeof left, "%s", bytes[k / N_BYTE_TOKENS]);
            snprintf(right, sizeof right, "%s", bytes[k % N_BYTE_TOKENS]);
        } else {
            snprintf(left, sizeof left, "%s%s", bytes[k / (N_FIRST * N_FIRST)],
                     bytes[k / N_FIRST % N_FIRST]);
            snprintf(right, sizeof right, "%s", bytes[k % N_FIRST]);
        }
        snprintf(both, sizeof both, "%s%s", left, right);
        v->tokens[N_BYTE_TOKENS + i] = append(&at, both);
        snprintf(both, sizeof both, "%s %s", left, right);
        v->merges[i] = append(&at, both);
    }
    return RZ_OK;
}

static rz_status read_text(const char *path, char **text, size_t *len, rz_error *err)
{
    rz_status status = RZ_OK;
    FILE *f = fopen(path, "rb");
    *text = NULL;
    if (!f)
        return rz_fail(err, errno == ENOENT ? RZ_ENOTFOUND : RZ_EIO, "%s: %s", path,
                       strerror(errno));
    size_t cap = MAX_DIR_FILE_BYTES;
    *text = malloc(cap);
    *len = *text ? fread(*text, 1, cap - 1, f) : 0;
    if (!*text)
        status = rz_fail_nomem(err, cap, path);
    else if (ferror(f))
        status = rz_fail(err, RZ_EIO, "%s: cannot read", path);
    else if (!feof(f))
        status = rz_fail(err, RZ_EFORMAT, "%s: longer than %zu bytes", path, cap - 1);
    else
        (*text)[*len] = '\0';
    fclose(f);
    return status;
}

/* A line is LEFT SPACE RIGHT; the first may be a #version. */
static rz_status read_merges(struct vocab *v, const char *path, rz_error *err)
{
    size_t len, n_lines = 1;
    RZ_TRY(read_text(path, &v->lines, &len, err));
    for (size_t i = 0; i < len; i++)
        n_lines += v->lines[i] == '\n';
    v->merges = calloc(n_lines, sizeof *v->merges);
    if (!v->merges)
        return rz_fail_nomem(err, n_lines * sizeof *v->merges, "merges");
    char *line = v->lines;
    for (size_t i = 1; line < v->lines + len; i++) {
        size_t n = strcspn(line, "\r\n");
        char *next = line + n + strspn(line + n, "\r") + (line[n + strspn(line + n, "\r")] == '\n');
        bool is_header = i == 1 && strncmp(line, "#version", 8) == 0;
        const char *space = memchr(line, ' ', n);
        if (n > 0 && !is_header) {
            if (!space || memchr(space + 1, ' ', n - (size_t)(space + 1 - line)))
                return rz_fail(err, RZ_EFORMAT, "%s: line %zu is not two tokens", path, i);
            v->merges[v->n_merges++] = (rz_slice){.data = line, .len = n};
        }
        line = next;
    }
    return RZ_OK;
}

static rz_status open_vocab_json(struct vocab *v, const char *path, rz_error *err)
{
    json_error_t e;
    v->json = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    if (!v->json)
        return rz_fail(
            err, json_error_code(&e) == json_error_cannot_open_file ? RZ_ENOTFOUND : RZ_EFORMAT,
            "%s: %s", path, e.text);
    size_t n = json_object_size(v->json);
    if (n == 0 || n > 1 << 24)
        return rz_fail(err, RZ_EFORMAT, "%s: not an object of tokens", path);
    v->n_base = (uint32_t)n;
    return RZ_OK;
}

static rz_status read_vocab(struct vocab *v, const char *path, rz_error *err)
{
    const char *token;
    json_t *value;
    json_object_foreach(v->json, token, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= v->n_base || v->tokens[id].data)
            return rz_fail(err, RZ_EFORMAT, "%s: the id of %s is not a number of its own below %u",
                           path, token, v->n_base);
        v->tokens[id] = (rz_slice){.data = token, .len = strlen(token)};
    }
    return RZ_OK;
}

/* The added tokens, and names for what pads the vocabulary to the embedding's rows. */
static void finish_vocab(struct vocab *v, char *at)
{
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        v->types[i] = TOKEN_NORMAL;
        if (i >= v->n_base + RZ_ARRAY_LEN(added)) {
            char name[24];
            snprintf(name, sizeof name, "[PAD%u]", i);
            v->tokens[i] = append(&at, name);
            v->types[i] = TOKEN_UNUSED;
        } else if (i >= v->n_base) {
            const char *name = added[i - v->n_base];
            v->tokens[i] = (rz_slice){.data = name, .len = strlen(name)};
            v->types[i] = name[1] == '|' ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
        }
    }
}

/* The vocabulary of p, or of dir if that is not NULL. */
static rz_status make_vocab(struct vocab *v, const struct preset *p, const char *dir, rz_error *err)
{
    enum {
        TEXT_BYTES_PER_TOKEN = 32
    };
    char path[4096];
    v->n_base = p->base_vocab;
    if (dir) {
        snprintf(path, sizeof path, "%s/vocab.json", dir);
        RZ_TRY(open_vocab_json(v, path, err));
    }
    uint32_t n_used = v->n_base + (uint32_t)RZ_ARRAY_LEN(added);
    v->n_tokens = p->vocab;
    if (n_used > v->n_tokens && p->vocab < QWEN_BASE)
        v->n_tokens = (uint32_t)rz_align_up(n_used, 64); /* the test shapes take any vocabulary */
    if (n_used > v->n_tokens)
        return rz_fail(err, RZ_EUSAGE, "%s: %u tokens and %zu added ones, %s has %u", dir,
                       v->n_base, RZ_ARRAY_LEN(added), p->name, v->n_tokens);
    size_t text_bytes = (size_t)v->n_tokens * TEXT_BYTES_PER_TOKEN * 2;
    v->tokens = calloc(v->n_tokens, sizeof *v->tokens);
    v->types = calloc(v->n_tokens, sizeof *v->types);
    v->text = malloc(text_bytes);
    if (!v->tokens || !v->types || !v->text)
        return rz_fail_nomem(err, text_bytes, "the vocabulary");
    /* Made-up tokens take the first half of the text, names of padding the second. */
    finish_vocab(v, v->text + text_bytes / 2);
    if (!dir)
        return make_up_vocab(v, err);
    RZ_TRY(read_vocab(v, path, err));
    snprintf(path, sizeof path, "%s/merges.txt", dir);
    return read_merges(v, path, err);
}

/* ---- random blocks ---- */

/* Where a block's scale and minimum stand. The minimum is ratio times the scale in the sense that
 * makes the mean 0; the formats without one get a random sign instead. */
struct block_scale {
    int d_at, m_at;
    float ratio;
};

static const struct block_scale block_scales[RZ_N_DTYPES] = {
    [RZ_Q4_0] = {0, -1, 0},     [RZ_Q4_1] = {0, 2, -7.5f}, [RZ_Q5_0] = {0, -1, 0},
    [RZ_Q5_1] = {0, 2, -15.5f}, [RZ_Q8_0] = {0, -1, 0},    [RZ_Q2_K] = {80, 82, 1.5f},
    [RZ_Q3_K] = {108, -1, 0},   [RZ_Q4_K] = {0, 2, 7.5f},  [RZ_Q5_K] = {0, 2, 15.5f},
    [RZ_Q6_K] = {208, -1, 0},   [RZ_IQ4_NL] = {0, -1, 0},  [RZ_IQ4_XS] = {0, -1, 0},
};

struct pool {
    rz_dtype type;
    uint64_t n_cols; /* 0: unused entry */
    uint8_t *blocks;
    size_t n_blocks;
};

struct pools {
    struct pool all[MAX_POOLS];
    unsigned next; /* to be replaced when all are in use */
    struct rz_rng rng;
};

static size_t prime_at_most(size_t n)
{
    for (;; n--) {
        size_t d = 2;
        while (d * d <= n && n % d != 0)
            d++;
        if (d * d > n)
            return n;
    }
}

static void store_f16(uint8_t *at, float value)
{
    rz_f16 h = rz_f32_to_f16(value);
    memcpy(at, &h, sizeof h);
}

/* What random bytes must not be: codes that no quantizer makes, and sub-block minimums that differ
 * from the sub-block scales, which would shift the mean. */
static void tame(rz_dtype type, uint8_t *block)
{
    if (type == RZ_Q8_0) {
        for (int i = 2; i < 34; i++)
            if (block[i] == 0x80)
                block[i] = 0x81;
    } else if (type == RZ_Q2_K) {
        for (int i = 0; i < 16; i++)
            block[i] = (uint8_t)((block[i] & 15) * 17);
    } else if (type == RZ_Q4_K || type == RZ_Q5_K) {
        for (int i = 4; i < 8; i++)
            block[i + 4] = block[i];
        for (int i = 12; i < 16; i++)
            block[i] = (uint8_t)((block[i] & 15) * 17);
    }
}

static void set_scale(const struct pool *p, uint8_t *block, float d)
{
    const struct block_scale *s = &block_scales[p->type];
    store_f16(block + s->d_at, d);
    if (s->m_at >= 0)
        store_f16(block + s->m_at, d * s->ratio);
}

/* The root mean square of the first blocks, decoded with scale 1. */
static double unit_rms(const struct pool *p)
{
    enum {
        SAMPLE = 256
    };
    float out[256];
    double sum = 0;
    uint32_t len = rz_dtype_block_len(p->type), bytes = rz_dtype_block_bytes(p->type);
    for (size_t i = 0; i < SAMPLE; i++) {
        set_scale(p, p->blocks + i * bytes, 1.0f);
        rz_dtype_info(p->type)->decode(p->blocks + i * bytes, out, len);
        for (uint32_t k = 0; k < len; k++)
            sum += (double)out[k] * (double)out[k];
    }
    return sqrt(sum / (SAMPLE * len));
}

static void fill_random(struct rz_rng *rng, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t r = rz_rng_u64(rng);
        memcpy(bytes + i, &r, rz_min_size(8, n - i));
    }
}

static float uniform(struct rz_rng *rng, float low, float high)
{
    return low + (high - low) * (float)rz_rng_unit(rng);
}

static void fill_floats(struct rz_rng *rng, struct pool *p, float limit)
{
    uint32_t bytes = rz_dtype_block_bytes(p->type);
    for (size_t i = 0; i < p->n_blocks; i++) {
        float value = uniform(rng, -limit, limit);
        rz_dtype_info(p->type)->encode(&value, p->blocks + i * bytes, 1);
    }
}

static void fill_blocks(struct rz_rng *rng, struct pool *p, double deviation)
{
    uint32_t bytes = rz_dtype_block_bytes(p->type);
    fill_random(rng, p->blocks, p->n_blocks * bytes);
    for (size_t i = 0; i < p->n_blocks; i++)
        tame(p->type, p->blocks + i * bytes);
    float d = (float)(deviation / unit_rms(p));
    for (size_t i = 0; i < p->n_blocks; i++) {
        uint64_t r = rz_rng_u64(rng);
        float scale = d * (0.75f + 0.5f * (float)(r >> 40) * 0x1p-24f);
        bool negative = block_scales[p->type].m_at < 0 && (r & 1);
        set_scale(p, p->blocks + i * bytes, negative ? -scale : scale);
    }
}

/* Weights for rows of n_cols: standard deviation 1/sqrt(n_cols). NULL: no memory. */
static const struct pool *get_pool(struct pools *pools, rz_dtype type, uint64_t n_cols)
{
    struct pool *p = NULL;
    for (unsigned i = 0; i < MAX_POOLS; i++)
        if (pools->all[i].n_cols == n_cols && pools->all[i].type == type)
            return &pools->all[i];
    p = &pools->all[pools->next];
    pools->next = (pools->next + 1) % MAX_POOLS;
    p->n_cols = 0;
    if (!p->blocks)
        p->blocks = malloc(POOL_BYTES);
    if (!p->blocks)
        return NULL;
    *p = (struct pool){.type = type,
                       .n_cols = n_cols,
                       .blocks = p->blocks,
                       .n_blocks = prime_at_most(POOL_BYTES / rz_dtype_block_bytes(type))};
    if (rz_dtype_block_len(type) == 1)
        fill_floats(&pools->rng, p, sqrtf(3.0f / (float)n_cols));
    else
        fill_blocks(&pools->rng, p, sqrt(1.0 / (double)n_cols));
    return p;
}

/* ---- the model ---- */

struct tensor {
    char name[48];
    rz_dtype type;
    uint32_t n_dims;
    uint64_t shape[RZ_MAX_DIMS];
};

struct model {
    const struct preset *preset;
    const struct rz_mix *mix;
    struct vocab vocab;
    struct tensor *tensors;
    unsigned n_tensors;
    struct pools pools;
};

static void add(struct model *m, const char *name, uint32_t n_dims, uint64_t a, uint64_t b,
                uint64_t c)
{
    const struct preset *p = m->preset;
    const struct rz_mix_model facts = {p->n_layers, p->n_heads, p->n_kv_heads, p->tied};
    RZ_ASSERT(m->n_tensors < MAX_TENSORS);
    struct tensor *t = &m->tensors[m->n_tensors++];
    *t = (struct tensor){.n_dims = n_dims, .shape = {a, b, c, 1}};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->type = rz_mix_choose(m->mix, &facts, name, n_dims, t->shape[n_dims - 1]);
}

static void add_block(struct model *m, uint32_t layer, const char *what, uint32_t n_dims,
                      const uint64_t shape[3])
{
    char name[48];
    snprintf(name, sizeof name, "blk.%u.%s", layer, what);
    add(m, name, n_dims, shape[0], shape[1], shape[2]);
}

#define BLOCK1(what, a)       add_block(m, layer, what, 1, (const uint64_t[3]){a, 1, 1})
#define BLOCK2(what, a, b)    add_block(m, layer, what, 2, (const uint64_t[3]){a, b, 1})
#define BLOCK3(what, a, b, c) add_block(m, layer, what, 3, (const uint64_t[3]){a, b, c})

static void add_layer(struct model *m, uint32_t layer)
{
    const struct preset *p = m->preset;
    uint64_t hidden = p->hidden, kv = hidden / p->n_heads * p->n_kv_heads;
    uint64_t experts = p->n_experts;
    BLOCK1("attn_norm.weight", hidden);
    if (experts) {
        BLOCK3("ffn_down_exps.weight", experts, hidden, p->expert_ffn);
        BLOCK3("ffn_gate_exps.weight", experts, p->expert_ffn, hidden);
        BLOCK3("ffn_up_exps.weight", experts, p->expert_ffn, hidden);
        BLOCK2("ffn_gate_inp.weight", experts, hidden);
        BLOCK2("ffn_down_shexp.weight", hidden, p->shared_ffn);
        BLOCK2("ffn_gate_shexp.weight", p->shared_ffn, hidden);
        BLOCK2("ffn_up_shexp.weight", p->shared_ffn, hidden);
        BLOCK1("ffn_gate_inp_shexp.weight", hidden);
    } else {
        BLOCK2("ffn_down.weight", hidden, p->ffn);
        BLOCK2("ffn_gate.weight", p->ffn, hidden);
        BLOCK2("ffn_up.weight", p->ffn, hidden);
    }
    BLOCK1("ffn_norm.weight", hidden);
    BLOCK1("attn_k.bias", kv);
    BLOCK2("attn_k.weight", kv, hidden);
    BLOCK2("attn_output.weight", hidden, hidden);
    BLOCK1("attn_q.bias", hidden);
    BLOCK2("attn_q.weight", hidden, hidden);
    BLOCK1("attn_v.bias", kv);
    BLOCK2("attn_v.weight", kv, hidden);
}

static void add_tensors(struct model *m)
{
    const struct preset *p = m->preset;
    if (!p->tied)
        add(m, "output.weight", 2, m->vocab.n_tokens, p->hidden, 1);
    add(m, "token_embd.weight", 2, m->vocab.n_tokens, p->hidden, 1);
    for (uint32_t layer = 0; layer < p->n_layers; layer++)
        add_layer(m, layer);
    add(m, "output_norm.weight", 1, p->hidden, 1, 1);
}

static void put_arch_u32(struct rz_gguf_writer *w, const char *arch, const char *what,
                         uint32_t value)
{
    char key[80];
    snprintf(key, sizeof key, "%s.%s", arch, what);
    rz_gguf_put_u32(w, key, value);
}

static void put_hyper_parameters(struct rz_gguf_writer *w, const struct preset *p)
{
    const char *arch = p->n_experts ? "qwen2moe" : "qwen2";
    char key[80];
    put_arch_u32(w, arch, "block_count", p->n_layers);
    put_arch_u32(w, arch, "context_length", p->vocab < QWEN_BASE ? 2048 : 32768);
    put_arch_u32(w, arch, "embedding_length", p->hidden);
    put_arch_u32(w, arch, "feed_forward_length", p->ffn);
    put_arch_u32(w, arch, "attention.head_count", p->n_heads);
    put_arch_u32(w, arch, "attention.head_count_kv", p->n_kv_heads);
    snprintf(key, sizeof key, "%s.rope.freq_base", arch);
    rz_gguf_put_f32(w, key, 1e6f);
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch);
    rz_gguf_put_f32(w, key, 1e-6f);
    if (p->n_experts) {
        put_arch_u32(w, arch, "expert_count", p->n_experts);
        put_arch_u32(w, arch, "expert_used_count", p->n_experts_used);
        put_arch_u32(w, arch, "expert_feed_forward_length", p->expert_ffn);
        put_arch_u32(w, arch, "expert_shared_feed_forward_length", p->shared_ffn);
    }
}

static void put_metadata(struct rz_gguf_writer *w, const struct model *m)
{
    const struct preset *p = m->preset;
    const struct vocab *v = &m->vocab;
    char name[64];
    snprintf(name, sizeof name, "Synthetic Qwen2.5 %s", p->label);
    rz_gguf_put_string(w, "general.architecture", p->n_experts ? "qwen2moe" : "qwen2");
    rz_gguf_put_string(w, "general.type", "model");
    rz_gguf_put_string(w, "general.name", name);
    rz_gguf_put_string(w, "general.size_label", p->label);
    put_hyper_parameters(w, p);
    rz_gguf_put_u32(w, "general.file_type", rz_mix_file_type(m->mix));
    rz_gguf_put_string(w, "tokenizer.ggml.model", "gpt2");
    rz_gguf_put_string(w, "tokenizer.ggml.pre", "qwen2");
    rz_gguf_put_strings(w, "tokenizer.ggml.tokens", v->tokens, v->n_tokens);
    rz_gguf_put_numbers(w, "tokenizer.ggml.token_type", RZ_META_I32, v->types, v->n_tokens);
    rz_gguf_put_strings(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    for (size_t i = 0; i < RZ_ARRAY_LEN(special_ids); i++)
        rz_gguf_put_u32(w, special_ids[i].key, v->n_base + special_ids[i].i_added);
    rz_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    rz_gguf_put_string(w, "tokenizer.chat_template", chat_template);
    rz_gguf_put_u32(w, "general.quantization_version", 2);
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static rz_status write_vector(struct model *m, struct rz_gguf_writer *w, const struct tensor *t,
                              rz_error *err)
{
    float out[1024];
    float low = -0.05f, high = 0.05f; /* a bias */
    if (strstr(t->name, "norm"))
        low = 0.9f, high = 1.1f;
    for (uint64_t i = 0; i < t->shape[0];) {
        size_t n = rz_min_size(RZ_ARRAY_LEN(out), t->shape[0] - i);
        for (size_t k = 0; k < n; k++)
            out[k] = uniform(&m->pools.rng, low, high);
        RZ_TRY(rz_gguf_write(w, out, n * sizeof *out, err));
        i += n;
    }
    return RZ_OK;
}

static rz_status write_tensor(struct model *m, struct rz_gguf_writer *w, const struct tensor *t,
                              rz_error *err)
{
    if (t->n_dims == 1)
        return write_vector(m, w, t, err);
    uint64_t n_cols = t->shape[t->n_dims - 1], left;
    const struct pool *p = get_pool(&m->pools, t->type, n_cols);
    if (!p)
        return rz_fail_nomem(err, POOL_BYTES, "random blocks");
    uint32_t bytes = rz_dtype_block_bytes(t->type);
    left = n_cols / rz_dtype_block_len(t->type);
    for (uint32_t i = 0; i + 1 < t->n_dims; i++)
        left *= t->shape[i];
    size_t at = rz_rng_below(&m->pools.rng, p->n_blocks);
    while (left > 0) {
        if (interrupted)
            return rz_fail(err, RZ_ECANCEL, "interrupted");
        size_t n = rz_min_size(left, p->n_blocks - at);
        RZ_TRY(rz_gguf_write(w, p->blocks + at * bytes, n * bytes, err));
        left -= n;
        at = 0;
    }
    return RZ_OK;
}

static rz_status write_model(struct model *m, const char *dir, const char *path, rz_error *err)
{
    struct rz_gguf_writer *w = NULL;
    rz_status status = make_vocab(&m->vocab, m->preset, dir, err);
    if (!status)
        status = rz_gguf_writer_new(&w, path, err);
    if (status)
        return status;
    put_metadata(w, m);
    add_tensors(m);
    for (unsigned i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        rz_gguf_declare(w, t->name, t->type, t->n_dims, t->shape);
    }
    status = rz_gguf_begin(w, err);
    for (unsigned i = 0; !status && i < m->n_tensors; i++)
        status = write_tensor(m, w, &m->tensors[i], err);
    if (!status)
        status = rz_gguf_finish(w, err);
    if (!status)
        printf("%s: %u tensors, %llu bytes\n", path, m->n_tensors,
               (unsigned long long)rz_gguf_writer_bytes(w));
    rz_gguf_writer_free(&w);
    return status;
}

static int usage(FILE *out)
{
    fputs("usage: synth-model PRESET TYPE OUT.gguf [--tokenizer DIR]\n"
          "Writes a GGUF file of a Qwen2.5 model's exact shape with random weights.\n"
          "PRESET:",
          out);
    for (size_t i = 0; i < RZ_ARRAY_LEN(presets); i++)
        fprintf(out, " %s", presets[i].name);
    fputs("\nTYPE:  ", out);
    for (unsigned i = 0; rz_mix_name(i); i++)
        fprintf(out, " %s", rz_mix_name(i));
    fputs(
        "\nDIR:    a folder with vocab.json and merges.txt; without it the vocabulary is made up\n",
        out);
    return RZ_EUSAGE;
}

int main(int argc, char **argv)
{
    const char *words[3], *dir = NULL;
    int n_words = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout), 0;
        if (strcmp(argv[i], "--tokenizer") == 0 && i + 1 < argc)
            dir = argv[++i];
        else if (n_words < 3 && argv[i][0] != '-')
            words[n_words++] = argv[i];
        else
            return usage(stderr);
    }
    struct model m = {.pools.rng.state = 1};
    for (size_t i = 0; n_words == 3 && i < RZ_ARRAY_LEN(presets); i++)
        if (strcmp(words[0], presets[i].name) == 0)
            m.preset = &presets[i];
    m.mix = n_words == 3 ? rz_mix_by_name(words[1]) : NULL;
    if (!m.preset || !m.mix)
        return usage(stderr);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes: writing then fails with a message */
    rz_error err = {0};
    rz_status status = RZ_ENOMEM;
    m.tensors = calloc(MAX_TENSORS, sizeof *m.tensors);
    if (m.tensors)
        status = write_model(&m, dir, words[2], &err);
    if (status)
        fprintf(stderr, "synth-model: %s\n", err.text);
    vocab_fini(&m.vocab);
    for (unsigned i = 0; i < MAX_POOLS; i++)
        free(m.pools.all[i].blocks);
    free(m.tensors);
    return (int)status;
}
