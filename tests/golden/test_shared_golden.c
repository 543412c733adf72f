/* test_shared_golden.c - the shared fixtures: a trained model and its first layer alone, quantized
 * by an independent tool, against float64 arithmetic on the weights that each file holds. Their F32
 * reference has only safetensors: the test writes those weights into a GGUF file with the metadata
 * of the Q8_0 one. */
#include "support/gguf_build.h"
#include "support/golden.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <realizar/check.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const double float_tolerance = 1e-3; /* of a logit: F32, F16 */
static const double least_cosine = 0.9995;  /* quantized types */
static const double perplexity_tolerance = 0.005;

static char scratch[1024]; /* a folder for the F32 files */

/* ---- safetensors to GGUF ------------------------------------------------------------------- */

struct safetensors {
    uint8_t *data;
    size_t len;
    json_t *header;
    const uint8_t *tensors; /* where offsets count from */
};

static struct safetensors read_safetensors(const char *path)
{
    struct safetensors s = {0};
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    fseek(in, 0, SEEK_END);
    s.len = (size_t)ftell(in);
    rewind(in);
    s.data = malloc(s.len);
    assert_non_null(s.data);
    assert_int_equal(fread(s.data, 1, s.len, in), s.len);
    fclose(in);
    uint64_t n_header;
    memcpy(&n_header, s.data, sizeof n_header);
    assert_true(n_header + 8 <= s.len);
    s.header = json_loadb((const char *)s.data + 8, n_header, 0, NULL);
    assert_non_null(s.header);
    s.tensors = s.data + 8 + n_header;
    return s;
}

/* Hugging Face's name of a GGUF tensor of Qwen2. */
static void hf_name(const char *gguf, char *out, size_t n)
{
    static const char *const parts[][2] = {
        {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
        {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
        {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
        {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"},
    };
    int layer;
    char part[64], kind[16];
    if (strcmp(gguf, "token_embd.weight") == 0)
        snprintf(out, n, "model.embed_tokens.weight");
    else if (strcmp(gguf, "output_norm.weight") == 0)
        snprintf(out, n, "model.norm.weight");
    else if (sscanf(gguf, "blk.%d.%63[a-z_].%15s", &layer, part, kind) == 3)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (strcmp(parts[i][0], part) == 0)
                snprintf(out, n, "model.layers.%d.%s.%s", layer, parts[i][1], kind);
}

/* A bfloat16 tensor as float32, exactly; owned by the caller. */
static float *tensor_floats(const struct safetensors *s, const rz_tensor *like, size_t *n)
{
    char name[128] = "?";
    hf_name(like->name, name, sizeof name);
    const json_t *entry = json_object_get(s->header, name);
    if (!entry)
        fail_msg("no tensor %s for %s", name, like->name);
    assert_string_equal(json_string_value(json_object_get(entry, "dtype")), "BF16");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
    *n = (end - begin) / 2;
    size_t want = 1;
    for (uint32_t d = 0; d < like->n_dims; d++)
        want *= like->shape[d];
    assert_int_equal(*n, want);
    float *x = malloc(*n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < *n; i++) {
        uint16_t half;
        memcpy(&half, s->tensors + begin + 2 * i, 2);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&x[i], &bits, 4);
    }
    return x;
}

/* The metadata that the model needs, as it is in another file. */
static void copy_meta(struct gguf_build *b, const rz_file *from)
{
    for (size_t i = 0; i < rz_file_n_meta(from); i++) {
        const rz_meta *m = rz_file_meta_at(from, i);
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)m->key.len, m->key.data);
        if (m->type == RZ_META_ARRAY && m->elem_type == RZ_META_STRING) {
            char **items = calloc(m->count, sizeof *items);
            assert_non_null(items);
            for (uint64_t j = 0; j < m->count; j++)
                items[j] = strndup(rz_meta_string(m, j).data, rz_meta_string(m, j).len);
            gb_strings(b, key, (const char *const *)items, m->count);
            for (uint64_t j = 0; j < m->count; j++)
                free(items[j]);
            free(items);
        } else if (m->type == RZ_META_ARRAY && m->elem_type == RZ_META_I32) {
            int32_t *items = calloc(m->count, sizeof *items);
            assert_non_null(items);
            for (uint64_t j = 0; j < m->count; j++)
                items[j] = (int32_t)rz_meta_int(m, j);
            gb_numbers(b, key, GB_I32, items, m->count);
            free(items);
        } else if (m->type == RZ_META_STRING) {
            char *text = strndup(rz_meta_string(m, 0).data, rz_meta_string(m, 0).len);
            gb_string(b, key, text);
            free(text);
        } else if (m->type == RZ_META_F32) {
            gb_f32(b, key, (float)rz_meta_float(m, 0));
        } else if (m->type == RZ_META_BOOL) {
            gb_bool(b, key, rz_meta_int(m, 0) != 0);
        } else if (m->type == RZ_META_U32 || m->type == RZ_META_I32) {
            gb_u32(b, key, (uint32_t)rz_meta_int(m, 0));
        } else {
            fail_msg("metadata %s is of type %s", key, rz_meta_type_name(m->type));
        }
    }
}

/* Writes hf/model.safetensors with the metadata and the tensors' names of the GGUF file like. */
static void make_f32(char path[GOLDEN_PATH_MAX], const char *name, const char *like_path)
{
    char weights[GOLDEN_PATH_MAX];
    rz_file *like;
    rz_error err;
    struct gguf_build b;
    assert_true(golden_shared_path(weights, "demo/hf/model.safetensors"));
    struct safetensors s = read_safetensors(weights);
    if (rz_file_open(&like, like_path, &err))
        fail_msg("%s", err.text);
    gb_init(&b);
    copy_meta(&b, like);
    for (size_t i = 0; i < rz_file_n_tensors(like); i++) {
        const rz_tensor *t = rz_file_tensor_at(like, i);
        size_t n;
        float *x = tensor_floats(&s, t, &n);
        gb_tensor_f32(&b, t->name, t->n_dims, t->shape, x);
        free(x);
    }
    snprintf(path, GOLDEN_PATH_MAX, "%s/%s", scratch, name);
    if (!gb_write(&b, path))
        fail_msg("%s: %s", path, strerror(errno));
    gb_fini(&b);
    rz_file_close(&like);
    json_decref(s.header);
    free(s.data);
}

/* ---- the cases ----------------------------------------------------------------------------- */

struct figures {
    double max_diff, cosine;
    size_t n_greedy_same, n_cases;
    double perplexity_ratio;
};

static void check_case(struct golden_run *r, const json_t *c, const char *folder, struct figures *f)
{
    char name[256], path[GOLDEN_PATH_MAX];
    size_t n, n_greedy;
    rz_ids encoded = {0};
    rz_error err;
    const char *prompt = json_string_value(json_object_get(c, "prompt"));
    int32_t *ids = golden_ids(json_object_get(c, "ids"), &n);
    int32_t *greedy = golden_ids(json_object_get(c, "greedy"), &n_greedy);
    if (rz_tokenizer_encode(rz_model_get_tokenizer(r->model), prompt, strlen(prompt),
                            RZ_ENCODE_SPECIAL, &encoded, &err))
        fail_msg("%s", err.text);
    assert_int_equal(encoded.len, n);
    assert_memory_equal(encoded.data, ids, n * sizeof *ids);
    snprintf(name, sizeof name, "%s/golden/%s", folder,
             json_string_value(json_object_get(c, "logits")));
    assert_true(golden_shared_path(path, name));
    float *want = golden_floats(path, r->n_vocab);
    const float *got = golden_logits(r, ids, n);
    f->max_diff = fmax(f->max_diff, golden_max_diff(got, want, r->n_vocab));
    f->cosine = fmin(f->cosine, golden_cosine(got, want, r->n_vocab));
    int32_t *out = malloc(n_greedy * sizeof *out);
    assert_non_null(out);
    size_t n_out = golden_greedy(r, ids, n, out, n_greedy);
    f->n_greedy_same += n_out == n_greedy && memcmp(out, greedy, n_out * sizeof *out) == 0;
    f->n_cases++;
    rz_ids_free(&encoded);
    free(out);
    free(want);
    free(greedy);
    free(ids);
}

static struct figures measure(const char *path, const json_t *type, const json_t *held_out,
                              const char *folder)
{
    struct golden_run r;
    struct figures f = {.cosine = 1};
    const json_t *cases = json_object_get(type, "cases");
    size_t n;
    golden_open(&r, path, 0, 0);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(&r, json_array_get(cases, i), folder, &f);
    int32_t *ids = golden_ids(held_out, &n);
    rz_perplexity p;
    rz_error err;
    rz_session_free(&r.session);
    if (rz_eval_perplexity(r.engine, ids, n, 0, &p, &err))
        fail_msg("%s", err.text);
    assert_int_equal(p.n_scored, n - 1);
    f.perplexity_ratio = p.perplexity / json_number_value(json_object_get(type, "perplexity"));
    free(ids);
    golden_close(&r);
    return f;
}

static void check_type(const char *folder, const char *name, const json_t *type,
                       const json_t *held_out)
{
    char path[GOLDEN_PATH_MAX], file[256];
    bool is_f32 = strcmp(name, "f32") == 0;
    bool is_float = is_f32 || strcmp(name, "f16") == 0;
    const char *stored = json_string_value(json_object_get(type, "file"));
    snprintf(file, sizeof file, "%s/%s", folder,
             is_f32 && strcmp(folder, "demo") == 0 ? "gguf/demo-q8_0.gguf"
             : is_f32                              ? "gguf/one-q8_0.gguf"
                                                   : stored);
    assert_true(golden_shared_path(path, file));
    if (is_f32) {
        char like[GOLDEN_PATH_MAX];
        memcpy(like, path, sizeof like);
        snprintf(file, sizeof file, "%s-f32.gguf", folder);
        make_f32(path, file, like);
    }
    struct figures f = measure(path, type, held_out, folder);
    print_message("%-9s %-7s max |diff| %.2e  cosine %.7f  greedy %zu/%zu  perplexity %+.4f %%\n",
                  folder, name, f.max_diff, f.cosine, f.n_greedy_same, f.n_cases,
                  100 * (f.perplexity_ratio - 1));
    if (is_float) {
        assert_true(f.max_diff <= float_tolerance);
        assert_int_equal(f.n_greedy_same, f.n_cases);
    }
    assert_true(f.cosine >= least_cosine);
    assert_true(fabs(f.perplexity_ratio - 1) <= perplexity_tolerance);
    if (is_f32)
        unlink(path);
}

static void check_folder(const char *folder, size_t n_types)
{
    char path[GOLDEN_PATH_MAX], name[64];
    snprintf(name, sizeof name, "%s/golden/index.json", folder);
    if (!golden_shared_path(path, name))
        skip();
    json_t *index = golden_json(path), *types = json_object_get(index, "types");
    assert_int_equal(json_object_size(types), n_types);
    for (void *it = json_object_iter(types); it; it = json_object_iter_next(types, it))
        check_type(folder, json_object_iter_key(it), json_object_iter_value(it),
                   json_object_get(index, "held_out_ids"));
    json_decref(index);
}

static void test_demo(void **state)
{
    (void)state;
    check_folder("demo", 4);
}

static void test_one_layer(void **state)
{
    (void)state;
    check_folder("one-layer", 15);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(scratch, sizeof scratch, "%s/rz-golden-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),
        cmocka_unit_test(test_one_layer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
