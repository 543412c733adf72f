/* test_check.c - apr check must pass every good model and catch every planted fault: operations
 * that are wrong in a way that still gives plausible text, and damaged blocks. A fault has to fail
 * the stage it is in, and besides that one only the comparison of the whole model may fail. */
#include "engine/internal.h"

#include <math.h>
#include <realizar/check.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum stage {
    TOKENIZER,
    EMBEDDING,
    ROPE,
    QKV,
    ATTENTION,
    FFN,
    NORM,
    HEAD,
    PROBABILITIES,
    SAMPLER
};
#define BIT(stage) (1u << (stage))

/* ---- models -------------------------------------------------------------------------------- */

/* Every kind of weights and of architecture that is at hand. Faults are planted into those that are
 * small enough for sanitizers to be quick. */
static const struct subject {
    const char *name;
    bool plant;
} models[] = {
    {"models/demo.gguf", true},
    {"tests/golden/data/llama.gguf", true},
    {"tests/golden/data/llama-window.gguf", true},
    {"tests/golden/data/qwen3.gguf", true},
    {"tests/golden/data/qwen2moe.gguf", true},
    {"tests/golden/data/qwen3moe.gguf", true},
    {"tests/golden/data/qwen2-yarn.gguf", true},
    {"fixtures/one-layer/gguf/one-q4_k_m.gguf", true},
    {"fixtures/one-layer/gguf/one-iq4_xs.gguf", false},
    {"fixtures/one-layer/gguf/one-bf16.gguf", false},
    {"fixtures/demo/gguf/demo-q4_k_m.gguf", false},
};

/* The path of a model, in the repository or in the shared fixtures; false if there are none. */
static bool find_model(const char *name, char *path, size_t n)
{
    bool is_shared = strncmp(name, "fixtures/", 9) == 0;
    const char *root = getenv(is_shared ? "RZ_SHARED" : "RZ_SOURCE_DIR");
    bool known = root && root[0];
    if (!known && is_shared)
        return false;
    snprintf(path, n, "%s/%s", known ? root : RZ_SOURCE_DIR, name);
    return true;
}

static rz_model *open_path(const char *path)
{
    rz_model *m;
    rz_error err;
    rz_model_options o = rz_model_options_default();
    o.n_threads = 2;
    if (rz_model_open(&m, path, &o, &err))
        fail_msg("%s", err.text);
    return m;
}

/* NULL where the shared fixtures are missing. */
static rz_model *open_model(const char *name)
{
    char path[4096];
    return find_model(name, path, sizeof path) ? open_path(path) : NULL;
}

static unsigned failed_stages(const rz_model *m, rz_check_report *r)
{
    rz_error err;
    if (rz_check_model(m, r, &err))
        fail_msg("%s", err.text);
    unsigned failed = 0, n_passed = 0;
    for (unsigned i = 0; i < RZ_N_CHECKS; i++) {
        failed |= r->stage[i].passed ? 0 : BIT(i);
        n_passed += r->stage[i].passed;
        assert_true(strlen(r->stage[i].detail) > 10);
        assert_true(strlen(r->stage[i].name) > 5);
    }
    assert_int_equal(n_passed, r->n_passed);
    assert_int_equal(r->all_passed, n_passed == RZ_N_CHECKS);
    return failed;
}

static void print_failed(const char *model, const rz_check_report *r)
{
    for (int i = 0; i < RZ_N_CHECKS; i++)
        if (!r->stage[i].passed)
            print_message("  %s: %s: %s\n", model, r->stage[i].name, r->stage[i].detail);
}

static void test_good_models_pass(void **state)
{
    (void)state;
    int n_skipped = 0;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        rz_model *m = open_model(models[i].name);
        rz_check_report r;
        if (!m) {
            n_skipped++;
            continue;
        }
        unsigned failed = failed_stages(m, &r);
        if (failed)
            print_failed(models[i].name, &r);
        assert_int_equal(failed, 0);
        for (int s = 0; s < RZ_N_CHECKS; s++)
            assert_true(r.stage[s].error <= r.stage[s].bound && r.stage[s].bound > 0);
        rz_model_close(&m);
    }
    if (n_skipped)
        print_message("skipped: %d models need the shared fixtures\n", n_skipped);
}

/* ---- operations that are wrong ------------------------------------------------------------- */

static const struct rz_backend_ops *right; /* what the planted operations stand on */

static float *copy_of(const float *x, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, x, n * sizeof *copy);
    return copy;
}

static void swapped_rope(struct rz_backend *b, const struct rz_rope_args *a)
{
    struct rz_rope_args wrong = *a;
    wrong.neox = !a->neox;
    right->rope(b, &wrong);
}

static void keys_not_rotated(struct rz_backend *b, const struct rz_rope_args *a)
{
    static bool is_key;
    if (!is_key)
        right->rope(b, a);
    is_key = !is_key; /* queries and keys come in turn */
}

static void rope_one_late(struct rz_backend *b, const struct rz_batch *batch, const float *freqs,
                          uint32_t n_rot, float magnitude, float *cs)
{
    uint32_t pos[64];
    struct rz_batch late = *batch;
    for (uint32_t i = 0; i < batch->n_tokens; i++)
        pos[i] = batch->pos[i] + 1;
    late.pos = pos;
    right->rope_table(b, &late, freqs, n_rot, magnitude, cs);
}

/* [n_kv_heads][head_dim] stored as [head_dim][n_kv_heads]. */
static void transposed_k(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                         const float *k, const float *v, const struct rz_batch *batch)
{
    uint32_t n_heads = kv->n_kv_heads, dim = kv->head_dim;
    float *wrong = copy_of(k, (size_t)batch->n_tokens * n_heads * dim);
    for (size_t t = 0; t < batch->n_tokens; t++)
        for (size_t h = 0; h < n_heads; h++)
            for (size_t d = 0; d < dim; d++)
                wrong[(t * dim + d) * n_heads + h] = k[(t * n_heads + h) * dim + d];
    right->kv_store(b, kv, layer, wrong, v, batch);
    free(wrong);
}

static void swapped_kv(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                       const float *k, const float *v, const struct rz_batch *batch)
{
    right->kv_store(b, kv, layer, v, k, batch);
}

/* K and V of the second block of positions end up in the first. */
static void wrong_block(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                        const float *k, const float *v, const struct rz_batch *batch)
{
    uint32_t blocks[2] = {batch->seqs[0].blocks[0], batch->seqs[0].blocks[0]};
    struct rz_seq_span seq = batch->seqs[0];
    struct rz_batch wrong = *batch;
    seq.blocks = blocks;
    wrong.seqs = &seq;
    right->kv_store(b, kv, layer, k, v, &wrong);
}

/* Query head h uses kv head h % n_kv_heads, not h / group: by letting the right attention see the
 * heads in another order. */
static void wrong_kv_head(struct rz_backend *b, const struct rz_attention_args *a,
                          const struct rz_batch *batch)
{
    uint32_t n_kv = a->kv->n_kv_heads, group = a->n_heads / n_kv, dim = a->kv->head_dim;
    size_t n = (size_t)batch->n_tokens * a->n_heads * dim;
    float *q = copy_of(a->q, n), *out = copy_of(a->q, n);
    struct rz_attention_args wrong = *a;
    wrong.q = q;
    wrong.out = out;
    for (int back = 0; back < 2; back++) {
        for (size_t t = 0; t < batch->n_tokens; t++) {
            for (size_t h = 0; h < a->n_heads; h++) {
                size_t slot = (h % n_kv) * group + h / n_kv;
                size_t own = (t * a->n_heads + h) * dim, moved = (t * a->n_heads + slot) * dim;
                if (back)
                    memcpy(a->out + own, out + moved, dim * sizeof *q);
                else
                    memcpy(q + moved, a->q + own, dim * sizeof *q);
            }
        }
        if (!back)
            right->attention(b, &wrong, batch);
    }
    free(q);
    free(out);
}

static void unscaled_scores(struct rz_backend *b, const struct rz_attention_args *a,
                            const struct rz_batch *batch)
{
    struct rz_attention_args wrong = *a;
    wrong.scale *= 1.25f;
    right->attention(b, &wrong, batch);
}

static void no_window(struct rz_backend *b, const struct rz_attention_args *a,
                      const struct rz_batch *batch)
{
    struct rz_attention_args wrong = *a;
    wrong.window = a->window ? a->window + 1 : 8;
    right->attention(b, &wrong, batch);
}

/* LayerNorm: the mean is taken off first. */
static void layer_norm(struct rz_backend *b, const float *x, const float *w, float *y,
                       const uint32_t shape[2], float eps)
{
    float *centred = copy_of(x, (size_t)shape[0] * shape[1]);
    for (size_t m = 0; m < shape[0]; m++) {
        double mean = 0;
        for (size_t i = 0; i < shape[1]; i++)
            mean += (double)x[m * shape[1] + i] / shape[1];
        for (size_t i = 0; i < shape[1]; i++)
            centred[m * shape[1] + i] -= (float)mean;
    }
    right->rms_norm(b, centred, w, y, shape, eps);
    free(centred);
}

static void large_eps(struct rz_backend *b, const float *x, const float *w, float *y,
                      const uint32_t shape[2], float eps)
{
    right->rms_norm(b, x, w, y, shape, eps + 1e-3f);
}

static void gelu_for_silu(struct rz_backend *b, float *gate, const float *up, size_t n)
{
    (void)b;
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] * 0.5f * (1 + erff(gate[i] * 0.70710678f)) * up[i];
}

static void gate_and_up_swapped(struct rz_backend *b, float *gate, const float *up, size_t n)
{
    float *first = copy_of(gate, n);
    memcpy(gate, up, n * sizeof *gate);
    right->silu_mul(b, gate, first, n);
    free(first);
}

static void next_embedding(struct rz_backend *b, const struct rz_weight *table, const int32_t *ids,
                           uint32_t n, float *out)
{
    int32_t wrong[64];
    for (uint32_t i = 0; i < n; i++)
        wrong[i] = ids[i] ? ids[i] - 1 : 0;
    right->embed(b, table, wrong, n, out);
}

static void first_row_only(struct rz_backend *b, const float *x, const uint32_t *rows, uint32_t n,
                           uint32_t n_cols, float *out)
{
    uint32_t wrong[64] = {0};
    (void)rows;
    right->gather(b, x, wrong, n, n_cols, out);
}

static void no_residual(struct rz_backend *b, float *x, const float *y, size_t n)
{
    (void)b;
    memcpy(x, y, n * sizeof *x);
}

/* A product that loses 16 of the columns of its input: what a kernel's tail handling may do. */
static void lost_tail(struct rz_backend *b, const float *x, uint32_t n_rows,
                      const struct rz_linear *out, uint32_t n_out, uint32_t only_rows)
{
    uint32_t n_cols = out[0].w->n_cols;
    float *cut = copy_of(x, (size_t)n_rows * n_cols);
    for (size_t m = 0; m < n_rows && out[0].w->n_rows == only_rows; m++)
        memset(cut + (m + 1) * n_cols - 16, 0, 16 * sizeof *cut);
    right->matmul(b, cut, n_rows, out, n_out);
    free(cut);
}

static uint32_t head_rows; /* rows of the head's matrix */

static void lost_tail_in_head(struct rz_backend *b, const float *x, uint32_t n_rows,
                              const struct rz_linear *out, uint32_t n_out)
{
    lost_tail(b, x, n_rows, out, n_out, head_rows);
}

static void no_bias(struct rz_backend *b, const float *x, uint32_t n_rows,
                    const struct rz_linear *out, uint32_t n_out)
{
    struct rz_linear bare[4];
    memcpy(bare, out, n_out * sizeof *out);
    for (uint32_t i = 0; i < n_out; i++)
        bare[i].bias = NULL;
    right->matmul(b, x, n_rows, bare, n_out);
}

static void wrong_expert_norm(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens)
{
    struct rz_moe_args wrong = *a;
    wrong.norm_weights = !a->norm_weights;
    right->moe(b, &wrong, n_tokens);
}

static void one_expert_less(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens)
{
    struct rz_moe_args wrong = *a;
    wrong.n_experts_used--;
    right->moe(b, &wrong, n_tokens);
}

static void ungated_shared_expert(struct rz_backend *b, float *x, const float *y, const float *gate,
                                  const uint32_t shape[2])
{
    (void)gate;
    right->add(b, x, y, (size_t)shape[0] * shape[1]);
}

/* ---- planting them ------------------------------------------------------------------------- */

enum needs {
    ANY,
    GROUPS, /* of query heads, of more than one kv head */
    BIAS,
    EXPERTS,
    SHARED_EXPERT
};

struct fault {
    const char *name;
    struct rz_backend_ops ops; /* what is set replaces the right operation */
    enum stage stage;
    enum needs needs;
};

static const struct fault faults[] = {
    {"swapped rope order", {.rope = swapped_rope}, ROPE, ANY},
    {"keys not rotated", {.rope = keys_not_rotated}, ROPE, ANY},
    {"positions off by one", {.rope_table = rope_one_late}, ROPE, ANY},
    {"transposed K", {.kv_store = transposed_k}, ATTENTION, GROUPS},
    {"K and V swapped", {.kv_store = swapped_kv}, ATTENTION, ANY},
    {"second KV block stored in the first", {.kv_store = wrong_block}, ATTENTION, ANY},
    {"wrong kv-head mapping", {.attention = wrong_kv_head}, ATTENTION, GROUPS},
    {"scores scaled by another width", {.attention = unscaled_scores}, ATTENTION, ANY},
    {"wrong window", {.attention = no_window}, ATTENTION, ANY},
    {"LayerNorm for RMSNorm", {.rms_norm = layer_norm}, NORM, ANY},
    {"another epsilon", {.rms_norm = large_eps}, NORM, ANY},
    {"GELU for SiLU", {.silu_mul = gelu_for_silu}, FFN, ANY},
    {"gate and up swapped", {.silu_mul = gate_and_up_swapped}, FFN, ANY},
    {"embeddings off by one", {.embed = next_embedding}, EMBEDDING, ANY},
    {"logits of the first token", {.gather = first_row_only}, NORM, ANY},
    {"no residual", {.add = no_residual}, ATTENTION, ANY},
    {"a head that loses 16 columns", {.matmul = lost_tail_in_head}, HEAD, ANY},
    {"no bias", {.matmul = no_bias}, QKV, BIAS},
    {"expert weights normed wrongly", {.moe = wrong_expert_norm}, FFN, EXPERTS},
    {"one expert less", {.moe = one_expert_less}, FFN, EXPERTS},
    {"shared expert not gated", {.add_gated = ungated_shared_expert}, FFN, SHARED_EXPERT},
};

#define REPLACE(op)                                                                                \
    if (f->ops.op)                                                                                 \
    ops.op = f->ops.op

static struct rz_backend_ops with_fault(const struct fault *f)
{
    struct rz_backend_ops ops = *right;
    REPLACE(embed);
    REPLACE(rms_norm);
    REPLACE(matmul);
    REPLACE(rope_table);
    REPLACE(rope);
    REPLACE(kv_store);
    REPLACE(attention);
    REPLACE(add);
    REPLACE(silu_mul);
    REPLACE(moe);
    REPLACE(add_gated);
    REPLACE(gather);
    return ops;
}

static bool fits(const struct fault *f, const rz_model_info *m)
{
    switch (f->needs) {
    case GROUPS:
        return m->n_kv_heads > 1 && m->n_heads > m->n_kv_heads;
    case BIAS:
        return m->qkv_bias;
    case EXPERTS:
        return m->n_experts > 0;
    case SHARED_EXPERT:
        return m->n_ff_shared > 0;
    default:
        return true;
    }
}

/* Stages that a fault may fail besides its own: the whole model always, and where an operation is
 * used in several places, those. */
static unsigned may_fail(const struct fault *f, const rz_model_info *m)
{
    unsigned mask = BIT(f->stage) | BIT(PROBABILITIES);
    if (f->stage == HEAD)
        mask |= BIT(SAMPLER);
    if (f->ops.rms_norm && m->qk_norm)
        mask |= BIT(QKV);
    if (f->ops.add)
        mask |= BIT(FFN);
    if (f->ops.matmul == lost_tail_in_head)
        mask |= BIT(QKV) | BIT(ATTENTION) | BIT(FFN);
    return mask;
}

static int plant_all(rz_model *m, const char *name)
{
    const rz_model_info *info = rz_model_get_info(m);
    int n_planted = 0;
    right = m->backend->ops;
    head_rows = info->n_vocab;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const struct fault *f = &faults[i];
        rz_check_report r;
        if (!fits(f, info))
            continue;
        const struct rz_backend_ops ops = with_fault(f);
        m->backend->ops = &ops;
        unsigned failed = failed_stages(m, &r);
        m->backend->ops = right;
        if (!(failed & BIT(f->stage)) || failed & ~may_fail(f, info)) {
            print_failed(name, &r);
            fail_msg("%s, %s: failed stages are 0x%x", name, f->name, failed);
        }
        n_planted++;
    }
    assert_true(n_planted >= 14);
    return n_planted;
}

static void test_planted_faults(void **state)
{
    (void)state;
    int n = 0;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        rz_model *m = models[i].plant ? open_model(models[i].name) : NULL;
        rz_check_report r;
        if (!m)
            continue;
        n += plant_all(m, models[i].name);
        assert_int_equal(failed_stages(m, &r), 0); /* and without them it passes again */
        rz_model_close(&m);
    }
    print_message("%d planted faults caught\n", n);
}

/* ---- damaged blocks ------------------------------------------------------------------------ */

struct bytes {
    char *data;
    size_t len;
};

static struct bytes read_all(const char *path)
{
    FILE *in = fopen(path, "rb");
    struct bytes b = {0};
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    b.len = (size_t)ftell(in);
    rewind(in);
    b.data = malloc(b.len);
    assert_non_null(b.data);
    assert_int_equal(fread(b.data, 1, b.len, in), b.len);
    fclose(in);
    return b;
}

/* One damage: bytes of a tensor's block, and the stage that must fail. */
struct damage {
    const char *model, *tensor;
    uint64_t block;
    const char *bytes;        /* xored into what is there, if flip; else put there */
    uint32_t offset, n_bytes; /* of the bytes in the block */
    unsigned stages;          /* must fail */
    bool flip;
};

#define DEMO "models/demo.gguf"
#define Q4_K "fixtures/demo/gguf/demo-q4_k_m.gguf"
#define TINY "tests/golden/data/qwen3.gguf"
#define ALL_ONES                                                                                   \
    "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" \
    "\xFF\xFF"                                                                                     \
    "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"

/* Q8_0 and Q4_K begin with a float16 scale, little-endian: its exponent is in bits 2 to 6 of the
 * second byte. Damage that keeps the scale's size (sign, mantissa, quants) is not in the list: it
 * cannot be told from other weights. */
static const struct damage damages[] = {
    {DEMO, "blk.2.ffn_up.weight", 777, "\x00\x7E", 0, 2, BIT(FFN), false}, /* NaN */
    {DEMO, "blk.0.attn_v.weight", 3, "\x00\xFC", 0, 2, BIT(QKV), false},   /* -infinity */
    {DEMO, "blk.3.attn_output.weight", 100, ALL_ONES, 0, 34, BIT(ATTENTION), false},
    {DEMO, "token_embd.weight", 32000, "\x01\x7C", 0, 2, BIT(EMBEDDING) | BIT(HEAD), false},
    {DEMO, "blk.1.ffn_down.weight", 6143, "\x40", 1, 1, BIT(FFN), true}, /* scale * 65536 */
    {DEMO, "blk.1.attn_k.weight", 0, "\x20", 1, 1, BIT(QKV), true},      /* scale * 256 */
    {DEMO, "token_embd.weight", 5, "\x40", 1, 1, BIT(EMBEDDING) | BIT(HEAD), true},
    {DEMO, "blk.2.ffn_norm.weight", 7, "\xC0\x7F", 31 * 4 + 2, 2, BIT(NORM), false}, /* NaN */
    {DEMO, "output_norm.weight", 0, "\x7D", 3, 1, BIT(NORM), false}, /* about 1e37 */
    {DEMO, "blk.0.attn_q.bias", 1, "\xFF\x7F", 3, 1, BIT(QKV), false},
    {TINY, "blk.1.attn_q.weight", 2, "\x40", 3, 1, BIT(QKV), true}, /* float exponent + 128 */
    {TINY, "blk.0.ffn_gate.weight", 9, "\x80\x7F", 2, 2, BIT(FFN), false},
    {TINY, "blk.0.attn_k_norm.weight", 0, "\x80\x7F", 2, 2, BIT(QKV), false},
    {Q4_K, "blk.1.ffn_gate.weight", 50, "\x40", 1, 1, BIT(FFN), true},
    {Q4_K, "blk.1.attn_q.weight", 50, "\x7E", 3, 1, BIT(QKV), false},  /* NaN minimum */
    {Q4_K, "blk.3.attn_v.weight", 20, "\x40", 209, 1, BIT(QKV), true}, /* Q6_K's scale is last */
};

/* Bytes of a block as the check numbers them: 32 elements where the type has no blocks. */
static uint64_t block_bytes(rz_dtype type)
{
    uint32_t len = rz_dtype_block_len(type);
    return (uint64_t)rz_dtype_block_bytes(type) * (len < 32 ? 32 : 1);
}

static void apply(const struct damage *d, struct bytes *file, const rz_model *m)
{
    const rz_tensor *t = rz_file_tensor(rz_model_get_file(m), d->tensor);
    assert_non_null(t);
    uint64_t at = t->file_offset + d->block * block_bytes(t->dtype) + d->offset;
    assert_true(at + d->n_bytes <= t->file_offset + t->n_bytes);
    for (uint32_t i = 0; i < d->n_bytes; i++) {
        char old = d->flip ? file->data[at + i] : 0;
        file->data[at + i] = (char)(old ^ d->bytes[i]);
    }
}

static void check_damage(const struct damage *d, const char *path, const char *copy)
{
    struct bytes file = read_all(path);
    rz_model *m = open_path(path);
    rz_check_report r;
    char block[32];
    apply(d, &file, m);
    rz_model_close(&m);
    FILE *out = fopen(copy, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(file.data, 1, file.len, out), file.len);
    assert_int_equal(fclose(out), 0);
    free(file.data);
    m = open_path(copy);
    unsigned failed = failed_stages(m, &r);
    rz_model_close(&m);
    snprintf(block, sizeof block, "block %llu", (unsigned long long)d->block);
    for (unsigned s = 0; s < RZ_N_CHECKS; s++) {
        if (!(d->stages & BIT(s)))
            continue;
        bool named = strstr(r.stage[s].detail, d->tensor) && strstr(r.stage[s].detail, block);
        if (!(failed & BIT(s)) || !named)
            fail_msg("%s %s: %s: %s", d->tensor, block, r.stage[s].name, r.stage[s].detail);
    }
}

static void test_damaged_blocks(void **state)
{
    (void)state;
    char folder[1024], copy[1100], path[4096];
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/rz-check-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(copy, sizeof copy, "%s/damaged.gguf", folder);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++)
        if (find_model(damages[i].model, path, sizeof path))
            check_damage(&damages[i], path, copy);
    unlink(copy);
    rmdir(folder);
}

/* ---- perplexity ---------------------------------------------------------------------------- */

/* Against a naive sum over logits of one token at a time, over two windows and a rest of one. */
static void test_perplexity(void **state)
{
    (void)state;
    enum {
        N = 41,
        WINDOW = 20
    };
    rz_model *m = open_model("tests/golden/data/qwen2.gguf");
    const uint32_t n_vocab = rz_model_get_info(m)->n_vocab;
    rz_engine *e;
    rz_session *s;
    rz_error err;
    rz_perplexity p;
    int32_t ids[N];
    rz_engine_options o = rz_engine_options_default();
    o.n_ctx = 64;
    for (int i = 0; i < N; i++)
        ids[i] = i * 37 % (int32_t)n_vocab;
    assert_int_equal(rz_engine_new(&e, m, &o, &err), RZ_OK);
    assert_int_equal(rz_eval_perplexity(e, ids, N, WINDOW, &p, &err), RZ_OK);
    assert_int_equal(rz_session_new(&s, e, &err), RZ_OK);
    double x[N], mean = 0, square = 0;
    int n = 0;
    for (int i = 0; i + 1 < N; i++) {
        if (i % WINDOW == 0)
            rz_session_truncate(s, 0);
        if (i % WINDOW == WINDOW - 1)
            continue;
        assert_int_equal(rz_session_feed(s, &ids[i], 1, &err), RZ_OK);
        const float *logits = rz_session_logits(s);
        double sum = 0;
        for (uint32_t t = 0; t < n_vocab; t++)
            sum += exp((double)logits[t]);
        x[n++] = log(sum) - (double)logits[ids[i + 1]];
        mean += x[n - 1];
    }
    mean /= n;
    for (int i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    double deviation = sqrt(square / (n - 1) / n);
    assert_int_equal(p.n_scored, n);
    assert_int_equal(p.n_windows, 2);
    assert_true(fabs(p.mean_nll - mean) < 1e-5);
    assert_true(fabs(p.perplexity / exp(mean) - 1) < 1e-5);
    assert_true(fabs(p.standard_error / (exp(mean) * deviation) - 1) < 1e-4);
    assert_true(p.seconds >= 0);
    rz_session_free(&s);

    assert_int_equal(rz_eval_perplexity(e, ids, 1, 0, &p, &err), RZ_EUSAGE);
    assert_int_equal(rz_eval_perplexity(e, ids, N, 65, &p, &err), RZ_EUSAGE);
    assert_int_equal(rz_eval_perplexity(e, ids, N, 1, &p, &err), RZ_EUSAGE);
    ids[N - 1] = (int32_t)n_vocab; /* never fed, only predicted */
    assert_int_equal(rz_eval_perplexity(e, ids, N, 0, &p, &err), RZ_EUSAGE);
    assert_int_equal(rz_eval_perplexity(e, ids, 2, 0, &p, &err), RZ_OK);
    assert_int_equal(p.n_scored, 1);
    assert_true(p.standard_error == 0);
    rz_engine_free(&e);
    rz_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_models_pass),
        cmocka_unit_test(test_planted_faults),
        cmocka_unit_test(test_damaged_blocks),
        cmocka_unit_test(test_perplexity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
