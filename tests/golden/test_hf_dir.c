/* test_hf_dir.c - models read from SafeTensors: the demo model's Hugging Face directory, in
 * bfloat16 and float32, whole and in shards, against the float64 golden logits; and each dense
 * architecture of tests/golden/data turned into a directory, against the golden logits of its GGUF
 * file (for llama with Q and K in Hugging Face's order, so that the rotary pairs are halves of a
 * head). */
#include "support/golden.h"
#include "support/hf_build.h"
#include "support/tok_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double float_tolerance = 1e-3; /* of the demo model's logits */
static const double tiny_tolerance = 2e-4;  /* as in test_architectures.c */

static const char *const documents[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json"};

/* ---- the demo model ---- */

static void check_case(struct golden_run *r, const json_t *c, double *worst)
{
    char name[256], path[GOLDEN_PATH_MAX];
    size_t n, n_greedy;
    int32_t *ids = golden_ids(json_object_get(c, "ids"), &n);
    int32_t *greedy = golden_ids(json_object_get(c, "greedy"), &n_greedy);
    snprintf(name, sizeof name, "demo/golden/%s", json_string_value(json_object_get(c, "logits")));
    assert_true(golden_shared_path(path, name));
    float *want = golden_floats(path, r->n_vocab);
    *worst = fmax(*worst, golden_max_diff(golden_logits(r, ids, n), want, r->n_vocab));
    int32_t *out = malloc(n_greedy * sizeof *out);
    assert_non_null(out);
    assert_int_equal(golden_greedy(r, ids, n, out, n_greedy), n_greedy);
    assert_memory_equal(out, greedy, n_greedy * sizeof *out);
    free(out);
    free(want);
    free(greedy);
    free(ids);
}

static void check_demo(const char *model, const char *what, uint32_t n_shards)
{
    char path[GOLDEN_PATH_MAX];
    struct golden_run r;
    double worst = 0;
    assert_true(golden_shared_path(path, "demo/golden/index.json"));
    json_t *index = golden_json(path);
    const json_t *cases =
        json_object_get(json_object_get(json_object_get(index, "types"), "f32"), "cases");
    assert_true(json_array_size(cases) == 4);
    golden_open(&r, model, 0, 0);
    const rz_file *file = rz_model_get_file(r.model);
    assert_string_equal(rz_file_format(file), "SafeTensors");
    assert_int_equal(rz_file_n_shards(file), n_shards);
    assert_int_equal(rz_file_n_tensors(file), 50);
    assert_true(rz_model_get_info(r.model)->tied_head);
    assert_int_equal(rz_model_get_info(r.model)->sliding_window, 0);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(&r, json_array_get(cases, i), &worst);
    print_message("%-24s logits within %.2g, greedy texts equal\n", what, worst);
    assert_true(worst <= float_tolerance);
    golden_close(&r);
    json_decref(index);
}

static void copy_documents(const char *from, const char *to)
{
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++)
        hf_copy(from, to, documents[i]);
}

/* The tensors of a file that the library has read, from..to of them, as F32 if widen. */
static void add_tensors(struct st_build *b, const rz_file *file, size_t from, size_t to, bool widen)
{
    for (size_t i = from; i < to; i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        char name[128];
        hf_tensor_name(t->name, name, sizeof name);
        assert_int_equal(t->dtype, RZ_BF16);
        if (!widen) {
            st_tensor(b,
                      &(struct st_entry){name, "BF16", t->n_dims, t->shape, t->data, t->n_bytes});
            continue;
        }
        uint32_t *wide = malloc(2 * t->n_bytes);
        assert_non_null(wide);
        for (size_t k = 0; k < t->n_bytes / 2; k++) {
            uint16_t half;
            memcpy(&half, (const uint8_t *)t->data + 2 * k, sizeof half);
            wide[k] = (uint32_t)half << 16;
        }
        st_tensor(b, &(struct st_entry){name, "F32", t->n_dims, t->shape, wide, 2 * t->n_bytes});
        free(wide);
    }
}

/* Writes the demo's weights in n_shards files with their index. */
static void write_shards(const char *hf, const char *dir, size_t n_shards)
{
    rz_file *file;
    assert_int_equal(rz_file_open(&file, hf, NULL), RZ_OK);
    size_t n = rz_file_n_tensors(file);
    json_t *map = json_object();
    for (size_t i = 0; i < n_shards; i++) {
        struct st_build b;
        char name[64];
        st_init(&b);
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, n_shards);
        add_tensors(&b, file, n * i / n_shards, n * (i + 1) / n_shards, false);
        const char *key;
        json_t *value;
        json_object_foreach(b.header, key, value)
        {
            json_object_set_new(map, key, json_string(name));
        }
        st_write(&b, dir, name);
        st_fini(&b);
    }
    json_t *index = json_pack("{s:{s:i}, s:o}", "metadata", "total_size", 0, "weight_map", map);
    hf_put_json(dir, "model.safetensors.index.json", index);
    json_decref(index);
    rz_file_close(&file);
}

static void test_demo_bf16(void **state)
{
    char hf[GOLDEN_PATH_MAX], path[GOLDEN_PATH_MAX + 64];
    (void)state;
    if (!golden_shared_path(hf, "demo/hf"))
        skip();
    check_demo(hf, "BF16 directory", 1);
    snprintf(path, sizeof path, "%s/model.safetensors", hf);
    check_demo(path, "BF16 file", 1);
}

static void test_demo_shards(void **state)
{
    char hf[GOLDEN_PATH_MAX], dir[HF_PATH_MAX], path[HF_PATH_MAX + 64];
    (void)state;
    if (!golden_shared_path(hf, "demo/hf"))
        skip();
    hf_scratch(dir);
    copy_documents(hf, dir);
    write_shards(hf, dir, 3);
    check_demo(dir, "BF16 in 3 shards", 3);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
    check_demo(path, "by the index", 3);
    snprintf(path, sizeof path, "%s/model-00002-of-00003.safetensors", dir);
    check_demo(path, "by the second shard", 3);
    hf_remove(dir);
}

/* With the data at an odd address, which the format does not forbid. */
static void test_demo_f32(void **state)
{
    char hf[GOLDEN_PATH_MAX], dir[HF_PATH_MAX];
    struct st_build b;
    rz_file *file;
    (void)state;
    if (!golden_shared_path(hf, "demo/hf"))
        skip();
    hf_scratch(dir);
    copy_documents(hf, dir);
    assert_int_equal(rz_file_open(&file, hf, NULL), RZ_OK);
    st_init(&b);
    add_tensors(&b, file, 0, rz_file_n_tensors(file), true);
    size_t len;
    for (b.n_spaces = 0; st_bytes(&b, &len), (len - b.data.len) % 2 == 0;)
        b.n_spaces++;
    st_write(&b, dir, "model.safetensors");
    st_fini(&b);
    rz_file_close(&file);
    check_demo(dir, "F32 at odd addresses", 1);
    hf_remove(dir);
}

/* The directory's tokenizer and metadata against those of the GGUF file made from it. */
static void test_demo_same_as_gguf(void **state)
{
    static const char *const keys[] = {
        "qwen2.context_length",        "qwen2.embedding_length",
        "qwen2.block_count",           "qwen2.feed_forward_length",
        "qwen2.attention.head_count",  "qwen2.attention.head_count_kv",
        "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token",
        "tokenizer.ggml.token_type",
    };
    char path[TT_PATH_MAX];
    struct tok_model hf, gguf;
    (void)state;
    if (!tt_shared_path("fixtures/demo/hf", path))
        skip();
    tt_open(&hf, path);
    tt_open(&gguf, tt_shared_path("fixtures/demo/gguf/demo-q8_0.gguf", path));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const rz_meta *a = rz_file_meta(hf.file, keys[i]), *b = rz_file_meta(gguf.file, keys[i]);
        assert_true(a && b && a->type == b->type && a->count == b->count);
        for (uint64_t k = 0; k < a->count; k++)
            assert_int_equal(rz_meta_int(a, k), rz_meta_int(b, k));
    }
    static const char *const texts[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.merges",
                                        "tokenizer.ggml.pre", "tokenizer.chat_template"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const rz_meta *a = rz_file_meta(hf.file, texts[i]), *b = rz_file_meta(gguf.file, texts[i]);
        assert_true(a && b && a->count == b->count);
        for (uint64_t k = 0; k < a->count; k++) {
            rz_slice s = rz_meta_string(a, k), t = rz_meta_string(b, k);
            assert_int_equal(s.len, t.len);
            assert_memory_equal(s.data, t.data, s.len);
        }
    }
    json_t *cases = tt_load_json(tt_repo_path("tests/unit/data/tokenizer-demo-cases.json", path));
    rz_ids ids = {0};
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *text = json_object_get(c, "text");
        tt_encode(hf.tok, json_string_value(text), json_string_length(text), RZ_ENCODE_SPECIAL,
                  &ids);
        assert_true(tt_same_ids(&ids, json_object_get(c, "ids"), json_string_value(text)));
    }
    print_message("%zu texts tokenize alike\n", json_array_size(cases));
    rz_ids_free(&ids);
    json_decref(cases);
    tt_close(&hf);
    tt_close(&gguf);
}

/* generation_config.json's recommendation, and a token that ends a generation only by it. */
static void test_demo_generation_config(void **state)
{
    char hf[GOLDEN_PATH_MAX], dir[HF_PATH_MAX];
    rz_file *file;
    rz_tokenizer *tok;
    float temp = -1, top_p = -1, penalty = -1;
    uint32_t top_k = 0;
    (void)state;
    if (!golden_shared_path(hf, "demo/hf"))
        skip();
    hf_scratch(dir);
    copy_documents(hf, dir);
    hf_copy(hf, dir, "model.safetensors");
    assert_int_equal(rz_file_open(&file, dir, NULL), RZ_OK);
    assert_int_equal(rz_file_get_f32(file, "general.sampling.temp", &temp, NULL, NULL), RZ_OK);
    assert_int_equal(rz_file_get_f32(file, "general.sampling.top_p", &top_p, NULL, NULL), RZ_OK);
    assert_int_equal(rz_file_get_u32(file, "general.sampling.top_k", &top_k, NULL, NULL), RZ_OK);
    assert_int_equal(rz_file_get_f32(file, "general.sampling.penalty_repeat", &penalty, NULL, NULL),
                     RZ_OK);
    assert_true(temp == 0.7f && top_p == 0.8f && top_k == 20 && penalty == 1.05f);
    rz_file_close(&file);
    hf_put(dir, "generation_config.json",
           "{\"do_sample\": false, \"temperature\": 0.9, \"eos_token_id\": [4076, 17, 23]}");
    hf_put(dir, "chat_template.jinja", "{{ messages[0].content }}");
    assert_int_equal(rz_file_open(&file, dir, NULL), RZ_OK);
    assert_int_equal(rz_file_get_f32(file, "general.sampling.temp", &temp, NULL, NULL), RZ_OK);
    assert_true(temp == 0);
    rz_slice text;
    assert_int_equal(rz_file_get_string(file, "tokenizer.chat_template", &text, NULL, NULL), RZ_OK);
    assert_int_equal(text.len, strlen("{{ messages[0].content }}"));
    assert_int_equal(rz_tokenizer_new(&tok, file, NULL), RZ_OK);
    assert_true(rz_tokenizer_is_end(tok, 4076) && rz_tokenizer_is_end(tok, 17));
    assert_true(rz_tokenizer_is_end(tok, 23) && !rz_tokenizer_is_end(tok, 18));
    rz_tokenizer_free(&tok);
    rz_file_close(&file);
    hf_remove(dir);
}

/* ---- every dense architecture ---- */

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
#define REST        "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char qwen2_pattern[] = CONTRACTION "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" REST;
static const char llama3_pattern[] = CONTRACTION "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST;

static const struct model {
    const char *name, *model_type, *class_name;
    const char *extra; /* of config.json, in JSON */
} models[] = {
    {"qwen2", "qwen2", "Qwen2ForCausalLM",
     "{\"use_sliding_window\": false, \"sliding_window\": 16, \"max_window_layers\": 0}"},
    {"qwen2-untied", "qwen2", "Qwen2ForCausalLM",
     "{\"layer_types\": [\"full_attention\", \"full_attention\"], \"rope_scaling\": null}"},
    {"qwen2-yarn", "qwen2", "Qwen2ForCausalLM",
     "{\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0,"
     " \"original_max_position_embeddings\": 1024}}"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", "{\"attention_bias\": false}"},
    {"llama", "llama", "LlamaForCausalLM", "{\"mlp_bias\": false, \"pretraining_tp\": 1}"},
    {"llama-linear", "llama", "LlamaForCausalLM",
     "{\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4.0, \"rope_theta\": 1e4}}"},
    {"llama-llama3", "llama", "LlamaForCausalLM",
     "{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,"
     " \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}}"},
    {"llama-window", "mistral", "MistralForCausalLM", "{\"sliding_window\": 8}"},
};

static void write_model(const char *dir, const struct model *m, const char *gguf_path, bool pairs)
{
    rz_file *gguf;
    struct st_build b;
    bool llama = strncmp(m->name, "llama", 5) == 0;
    assert_int_equal(rz_file_open(&gguf, gguf_path, NULL), RZ_OK);
    st_init(&b);
    st_add_gguf(&b, gguf);
    st_write(&b, dir, "model.safetensors");
    st_fini(&b);
    json_t *config = hf_config_of(gguf, m->model_type, m->class_name);
    json_t *extra = json_loads(m->extra, 0, NULL);
    assert_non_null(extra);
    assert_int_equal(json_object_update(config, extra), 0);
    hf_put_json(dir, "config.json", config);
    json_t *tok = hf_tokenizer_of(gguf, pairs);
    json_object_set_new(tok, "pre_tokenizer",
                        hf_pre_tokenizer(llama ? llama3_pattern : qwen2_pattern));
    if (llama)
        json_object_set_new(json_object_get(tok, "model"), "ignore_merges", json_true());
    else
        json_object_set_new(tok, "normalizer", json_pack("{s:s}", "type", "NFC"));
    hf_put_json(dir, "tokenizer.json", tok);
    json_decref(tok);
    json_decref(extra);
    json_decref(config);
    rz_file_close(&gguf);
}

static void check_logits(struct golden_run *r, const json_t *want, double *worst)
{
    size_t n, n_top;
    int32_t *ids = golden_ids(json_object_get(want, "ids"), &n);
    int32_t *top = golden_ids(json_object_get(want, "top1"), &n_top);
    float *all = malloc(n * r->n_vocab * sizeof *all);
    rz_error err;
    assert_non_null(all);
    assert_int_equal(n_top, n);
    if (rz_session_feed_all(r->session, ids, n, all, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(golden_argmax(all + i * r->n_vocab, r->n_vocab), top[i]);
    const char *key;
    json_t *row;
    json_object_foreach(json_object_get(want, "logits"), key, row)
    {
        size_t at = strtoul(key, NULL, 10);
        assert_true(at < n && json_array_size(row) == r->n_vocab);
        for (uint32_t i = 0; i < r->n_vocab; i++) {
            double x = json_number_value(json_array_get(row, i));
            *worst = fmax(*worst, fabs((double)all[at * r->n_vocab + i] - x));
        }
    }
    free(all);
    free(top);
    free(ids);
}

static void test_architectures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        char dir[HF_PATH_MAX], path[GOLDEN_PATH_MAX], file[64];
        struct golden_run r;
        double worst = 0;
        hf_scratch(dir);
        snprintf(file, sizeof file, "tests/golden/data/%s.gguf", models[i].name);
        golden_repo_path(path, file);
        write_model(dir, &models[i], path, i % 2);
        snprintf(file, sizeof file, "tests/golden/data/%s.json", models[i].name);
        golden_repo_path(path, file);
        json_t *want = golden_json(path);
        golden_open(&r, dir, 0, 0);
        assert_int_equal(rz_model_get_info(r.model)->rope_type, RZ_ROPE_NEOX);
        check_logits(&r, want, &worst);
        print_message("%-14s as SafeTensors: logits within %.2g\n", models[i].name, worst);
        assert_true(worst <= tiny_tolerance);
        golden_close(&r);
        json_decref(want);
        hf_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo_bf16),
        cmocka_unit_test(test_demo_shards),
        cmocka_unit_test(test_demo_f32),
        cmocka_unit_test(test_demo_same_as_gguf),
        cmocka_unit_test(test_demo_generation_config),
        cmocka_unit_test(test_architectures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
