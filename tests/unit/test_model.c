/* test_model.c - hyper-parameters and tensors of a model file against what they must be: what would
 * be computed wrongly is refused by name, and how a writer spells a shape does not matter. */
#include "base/fail.h"
#include "formats/gguf.h"
#include "model/weights.h"
#include "support/gguf_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    EMBD = 32,
    HEADS = 4,
    KV_HEADS = 2,
    HEAD_DIM = 16,
    FF = 48,
    VOCAB = 8,
    EXPERTS = 4,
    Q = HEADS * HEAD_DIM,
    KV = KV_HEADS * HEAD_DIM
};

/* What a file is made to be; zeros: a good dense one. */
struct plan {
    const char *arch;   /* NULL: "qwen2" */
    uint32_t n_leading; /* dimensions of 1 before each tensor's own, at most 3 */
    bool experts;
    const char *without; /* this tensor or key is left out */
    const char *key;     /* this key, with arch in front, is ... */
    uint32_t value;      /* ... this u32 ... */
    const char *text;    /* ... or, if not NULL, this string ... */
    bool is_bool;        /* ... or value as a bool */
    const char *tensor;  /* this tensor ... */
    uint32_t rows, cols; /* ... has this shape; added if it is no usual one */
    bool rope_factors;
};

static bool is_left_out(const struct plan *p, const char *name)
{
    return p->without && strcmp(p->without, name) == 0;
}

static void key(struct gguf_build *b, const struct plan *p, const char *name, uint32_t value)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", p->arch ? p->arch : "qwen2", name);
    bool planned = p->key && strcmp(p->key, name) == 0;
    if (is_left_out(p, name))
        return;
    if (planned && p->text)
        gb_string(b, full, p->text);
    else if (planned && p->is_bool)
        gb_bool(b, full, p->value != 0);
    else
        gb_u32(b, full, planned ? p->value : value);
}

/* shape: zeros are absent dimensions. Elements count up from 1, so that no two are alike. */
static void tensor(struct gguf_build *b, const struct plan *p, const char *name,
                   const uint32_t shape[3])
{
    struct gb_tensor t = {.name = name, .type = 0};
    size_t n = 1;
    if (is_left_out(p, name))
        return;
    uint32_t own = shape[0] ? 3 : shape[1] ? 2 : 1;
    for (uint32_t i = 0; i < p->n_leading && own + t.n_dims < RZ_MAX_DIMS; i++)
        t.shape[t.n_dims++] = 1;
    for (int i = 0; i < 3; i++) {
        if (shape[i])
            t.shape[t.n_dims++] = shape[i];
        n *= shape[i] ? shape[i] : 1;
    }
    if (p->tensor && strcmp(p->tensor, name) == 0) {
        t.n_dims = 2;
        t.shape[0] = p->rows;
        t.shape[1] = p->cols;
        n = (size_t)p->rows * p->cols;
    }
    float *data = malloc(n * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)(i + 1);
    t.data = data;
    t.n_bytes = n * sizeof *data;
    gb_tensor(b, &t);
    free(data);
}

#define VECTOR(name, n)       tensor(b, p, name, (const uint32_t[3]){0, 0, n})
#define MATRIX(name, n, m)    tensor(b, p, name, (const uint32_t[3]){0, n, m})
#define STACK(name, n, m, mm) tensor(b, p, name, (const uint32_t[3]){n, m, mm})

static void put_keys(struct gguf_build *b, const struct plan *p)
{
    static const char *const tokens[VOCAB] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    char full[64];
    const char *arch = p->arch ? p->arch : "qwen2";
    gb_string(b, "general.architecture", arch);
    key(b, p, "context_length", 64);
    key(b, p, "embedding_length", EMBD);
    key(b, p, "block_count", 1);
    key(b, p, "feed_forward_length", FF);
    key(b, p, "attention.head_count", HEADS);
    key(b, p, "attention.head_count_kv", KV_HEADS);
    key(b, p, "attention.key_length", HEAD_DIM);
    key(b, p, "attention.value_length", HEAD_DIM);
    if (p->experts) {
        key(b, p, "expert_count", EXPERTS);
        key(b, p, "expert_used_count", 2);
        key(b, p, "expert_feed_forward_length", FF);
    }
    if (p->key && (!strcmp(p->key, "attention.causal") || !strcmp(p->key, "rope.scaling.type")))
        key(b, p, p->key, 0);
    snprintf(full, sizeof full, "%s.rope.scaling.factor", arch);
    if (p->rope_factors && p->text)
        gb_f32(b, full, 4);
    snprintf(full, sizeof full, "%s.attention.layer_norm_rms_epsilon", arch);
    gb_f32(b, full, 1e-6f);
    gb_strings(b, "tokenizer.ggml.tokens", tokens, VOCAB);
}

static void put_tensors(struct gguf_build *b, const struct plan *p)
{
    MATRIX("token_embd.weight", VOCAB, EMBD);
    VECTOR("output_norm.weight", EMBD);
    VECTOR("blk.0.attn_norm.weight", EMBD);
    MATRIX("blk.0.attn_q.weight", Q, EMBD);
    MATRIX("blk.0.attn_k.weight", KV, EMBD);
    MATRIX("blk.0.attn_v.weight", KV, EMBD);
    MATRIX("blk.0.attn_output.weight", EMBD, Q);
    VECTOR("blk.0.attn_q.bias", Q);
    VECTOR("blk.0.attn_k.bias", KV);
    VECTOR("blk.0.attn_v.bias", KV);
    VECTOR("blk.0.ffn_norm.weight", EMBD);
    if (p->rope_factors)
        VECTOR("rope_freqs.weight", HEAD_DIM / 2);
    if (!p->experts) {
        MATRIX("blk.0.ffn_gate.weight", FF, EMBD);
        MATRIX("blk.0.ffn_up.weight", FF, EMBD);
        MATRIX("blk.0.ffn_down.weight", EMBD, FF);
    } else {
        MATRIX("blk.0.ffn_gate_inp.weight", EXPERTS, EMBD);
        STACK("blk.0.ffn_gate_exps.weight", EXPERTS, FF, EMBD);
        STACK("blk.0.ffn_up_exps.weight", EXPERTS, FF, EMBD);
        STACK("blk.0.ffn_down_exps.weight", EXPERTS, EMBD, FF);
        VECTOR("blk.0.ffn_gate_inp_shexp.weight", EMBD);
        MATRIX("blk.0.ffn_gate_shexp.weight", FF, EMBD);
        MATRIX("blk.0.ffn_up_shexp.weight", FF, EMBD);
        MATRIX("blk.0.ffn_down_shexp.weight", EMBD, FF);
    }
    if (p->tensor && strcmp(p->tensor, "blk.0.surplus.weight") == 0)
        MATRIX(p->tensor, p->rows, p->cols);
}

struct bound {
    struct gguf_build build;
    rz_file *file;
    struct rz_backend *backend;
    struct rz_weights w;
};

static rz_status bind(struct bound *m, const struct plan *p, rz_error *err)
{
    size_t len;
    gb_init(&m->build);
    put_keys(&m->build, p);
    put_tensors(&m->build, p);
    const uint8_t *data = gb_build(&m->build, &len);
    if (rz_gguf_open_memory(&m->file, "model", data, len, err))
        fail_msg("%s", err->text);
    assert_int_equal(rz_backend_cpu_new(&m->backend, 1, 0, err), RZ_OK);
    return rz_weights_bind(&m->w, m->file, m->backend, err);
}

static void unbind(struct bound *m)
{
    rz_weights_fini(&m->w);
    rz_backend_free(&m->backend);
    rz_file_close(&m->file);
    gb_fini(&m->build);
}

/* ---- what is bound ------------------------------------------------------------------------- */

/* The vector holds 1, 2, 3 ... inside of the memory that there is for vectors, and shares no
 * element with one that was looked at before: those become negative. */
static void check_vector(const struct rz_weights *w, const float *v, size_t n)
{
    const char *begin = (const char *)w->vectors, *at = (const char *)v;
    assert_true(at >= begin && at + n * sizeof *v <= begin + w->vectors_bytes);
    for (size_t i = 0; i < n; i++) {
        assert_true(v[i] == (float)(i + 1));
        w->vectors[v - w->vectors + (ptrdiff_t)i] = -1;
    }
}

static void check_matrix(const struct rz_weight *w, uint32_t n_stack, uint32_t rows, uint32_t cols)
{
    assert_int_equal(w->n_stack, n_stack);
    assert_int_equal(w->n_rows, rows);
    assert_int_equal(w->n_cols, cols);
    assert_int_equal(w->row_bytes, cols * sizeof(float));
}

static void test_leading_ones(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= 3; n++) {
        for (int experts = 0; experts <= 1; experts++) {
            struct bound m;
            rz_error err;
            const struct plan p = {
                .arch = experts ? "qwen2moe" : NULL, .experts = experts, .n_leading = n};
            if (bind(&m, &p, &err))
                fail_msg("%u leading ones: %s", n, err.text);
            const struct rz_layer_weights *l = &m.w.layers[0];
            check_vector(&m.w, m.w.output_norm, EMBD);
            check_vector(&m.w, l->attn_norm, EMBD);
            check_vector(&m.w, l->ffn_norm, EMBD);
            check_vector(&m.w, l->bq, Q);
            check_vector(&m.w, l->bk, KV);
            check_vector(&m.w, l->bv, KV);
            const char *end = (const char *)m.w.vectors + m.w.vectors_bytes;
            assert_true((const char *)(m.w.rope_freqs + HEAD_DIM / 2) <= end);
            check_matrix(&m.w.embed, 1, VOCAB, EMBD);
            check_matrix(&l->wk, 1, KV, EMBD);
            if (experts) {
                check_matrix(&l->gate_exps, EXPERTS, FF, EMBD);
                check_matrix(&l->down_exps, EXPERTS, EMBD, FF);
                check_matrix(&l->router, 1, EXPERTS, EMBD);
                check_matrix(&l->shared_router, 1, 1, EMBD);
            } else {
                check_matrix(&l->gate, 1, FF, EMBD);
            }
            unbind(&m);
        }
    }
}

/* ---- what is refused ----------------------------------------------------------------------- */

static const struct refused {
    struct plan plan;
    rz_status status;
    const char *says;
} refused[] = {
    {{.arch = "gpt2"}, RZ_ELOAD, "supported: llama, qwen2"},
    {{.key = "attention.causal", .is_bool = true, .value = 0}, RZ_ELOAD, "sees later tokens"},
    {{.key = "attention.value_length", .value = 32}, RZ_ELOAD, "different key and value lengths"},
    {{.key = "attention.key_length", .value = 24}, RZ_ELOAD, "head dimension 24"},
    {{.key = "attention.key_length", .value = 1024}, RZ_EFORMAT, "attention.key_length is 1024"},
    {{.key = "attention.head_count", .value = 3}, RZ_EFORMAT, "3 heads are no multiple of 2"},
    {{.key = "attention.head_count", .value = 0}, RZ_EFORMAT, "attention.head_count is 0"},
    {{.key = "attention.head_count_kv", .value = 0}, RZ_EFORMAT, "attention.head_count_kv is 0"},
    {{.key = "context_length", .value = 0}, RZ_EFORMAT, "context_length is 0"},
    {{.key = "context_length", .value = UINT32_MAX}, RZ_EFORMAT, "context_length is 4294967295"},
    {{.key = "block_count", .value = 0}, RZ_EFORMAT, "block_count is 0"},
    {{.key = "block_count", .value = 2}, RZ_EFORMAT, "blk.1.attn_norm.weight is missing"},
    {{.key = "feed_forward_length", .value = 1 << 20},
     RZ_EFORMAT,
     "feed_forward_length is 1048576"},
    {{.key = "embedding_length", .value = 64}, RZ_EFORMAT, "token_embd.weight has 2 dimensions"},
    {{.without = "embedding_length"}, RZ_EFORMAT, "key qwen2.embedding_length is missing"},
    {{.without = "token_embd.weight"}, RZ_EFORMAT, "token_embd.weight is missing"},
    {{.without = "blk.0.attn_k.bias"}, RZ_EFORMAT, "only some of the Q, K and V biases"},
    {{.without = "blk.0.ffn_down.weight"}, RZ_EFORMAT, "blk.0.ffn_down.weight is missing"},
    {{.tensor = "token_embd.weight", .rows = VOCAB + 1, .cols = EMBD}, RZ_EFORMAT, "[9, 32, 1]"},
    {{.tensor = "blk.0.attn_k.weight", .rows = EMBD, .cols = KV + 1}, RZ_EFORMAT, "attn_k.weight"},
    {{.tensor = "blk.0.attn_norm.weight", .rows = 2, .cols = EMBD}, RZ_EFORMAT, "attn_norm.weight"},
    {{.tensor = "blk.0.surplus.weight", .rows = 2, .cols = 2}, RZ_ELOAD, "surplus"},
    {{.key = "rope.scaling.type", .text = "longrope"}, RZ_ELOAD, "\"longrope\" is not supported"},
    {{.key = "rope.scaling.type", .text = "yarn"}, RZ_EFORMAT, "rope.scaling.factor is missing"},
    {{.rope_factors = true, .key = "rope.scaling.type", .text = "yarn"},
     RZ_ELOAD,
     "beside another rope scaling"},
    {{.experts = true}, RZ_ELOAD, "qwen2 with experts is not supported"},
    {{.arch = "qwen2moe", .experts = true, .key = "expert_used_count", .value = EXPERTS + 1},
     RZ_EFORMAT,
     "expert_used_count is 5"},
    {{.arch = "qwen2moe",
      .experts = true,
      .tensor = "blk.0.ffn_up_exps.weight",
      .rows = EXPERTS * FF,
      .cols = EMBD},
     RZ_EFORMAT,
     "ffn_up_exps.weight has 2 dimensions"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(refused); i++) {
        const struct refused *r = &refused[i];
        struct bound m;
        rz_error err = {0};
        rz_status status = bind(&m, &r->plan, &err);
        if (status != r->status || !strstr(err.text, r->says))
            fail_msg("case %zu: %d, wanted %d with \"%s\": %s", i, status, r->status, r->says,
                     err.text);
        unbind(&m);
    }
}

/* Llama 3.1's factors alone are a scaling of their own. */
static void test_rope_factors(void **state)
{
    (void)state;
    struct bound m;
    rz_error err;
    const struct plan p = {.rope_factors = true};
    if (bind(&m, &p, &err))
        fail_msg("%s", err.text);
    assert_int_equal(m.w.config.info.rope_scaling, RZ_ROPE_SCALING_FACTORS);
    assert_true(m.w.rope_freqs[0] == 1.0f);
    assert_float_equal(m.w.rope_freqs[4], 1e-2 / 5, 1e-9); /* 10000^(-2 * 4 / 16), by factor 5 */
    unbind(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leading_ones),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rope_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
