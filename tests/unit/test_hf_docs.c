/* test_hf_docs.c - the JSON documents of a Hugging Face model: one change at a time to a good set,
 * and what must become of it; shards and index that disagree; the real Qwen2 vocabulary. */
#include "base/fail.h"
#include "formats/hf.h"
#include "support/hf_build.h"
#include "support/tok_test.h"

#include <realizar/file.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

#define QWEN2_IN_JSON                                                                              \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}"                \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

/* The set that rows change. */
static const char *const good[RZ_HF_N_DOCS] = {
    [RZ_HF_CONFIG] =
        "{\"model_type\": \"qwen2\", \"architectures\": [\"Qwen2ForCausalLM\"],\n"
        "\"hidden_act\": \"silu\", \"hidden_size\": 2, \"intermediate_size\": 3,\n"
        "\"num_hidden_layers\": 2, \"num_attention_heads\": 1, \"num_key_value_heads\": 1,\n"
        "\"max_position_embeddings\": 16, \"rms_norm_eps\": 1e-6, \"rope_theta\": 1e6,\n"
        "\"use_sliding_window\": false, \"vocab_size\": 8, \"tie_word_embeddings\": true,\n"
        "\"bos_token_id\": 5, \"eos_token_id\": 6}",
    [RZ_HF_GENERATION] = "{\"do_sample\": true, \"temperature\": 0.5, \"eos_token_id\": [6, 5]}",
    [RZ_HF_TOKENIZER] =
        "{\"added_tokens\": [{\"id\": 5, \"content\": \"<s>\", \"special\": true},\n"
        "{\"content\": \"<t>\", \"id\": 4, \"special\": false},\n"
        "{\"id\": 6, \"content\": \"</s>\", \"lstrip\": false, \"special\": true}],\n"
        "\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"Sequence\",\n"
        "\"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" QWEN2_IN_JSON
        "\"},\n\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\",\n"
        "\"add_prefix_space\": false, \"use_regex\": false}]}, \"post_processor\": null,\n"
        "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"dropout\": "
        "null,\n"
        "\"byte_fallback\": false, \"ignore_merges\": false, \"end_of_word_suffix\": \"\",\n"
        "\"vocab\": {\"a\": 0, \"\\u0120b\": 1, \"c\": 2, \"ac\": 3}, \"merges\": [\"a c\"]}}",
    [RZ_HF_TOKENIZER_CONFIG] =
        "{\"bos_token\": null, \"eos_token\": {\"content\": \"</s>\"}, \"pad_token\": \"<s>\",\n"
        "\"add_bos_token\": false, \"chat_template\": \"{{ x }}\"}",
};

static struct st_build weights; /* an embedding of eight rows, and no head of its own */

static int setup(void **state)
{
    (void)state;
    st_init(&weights);
    st_tensor(&weights, &(struct st_entry){"model.embed_tokens.weight", "F32", 2,
                                           (const uint64_t[]){8, 2}, NULL, 64});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    st_fini(&weights);
    return 0;
}

/* The good set with document id replaced; text NULL: absent. */
static rz_status open_with(rz_file **file, enum rz_hf_doc_id id, const char *text, rz_error *err)
{
    rz_slice docs[RZ_HF_N_DOCS] = {{NULL, 0}}, bytes;
    bytes.data = (const char *)st_bytes(&weights, &bytes.len);
    for (int i = 0; i < RZ_HF_N_DOCS; i++) {
        const char *doc = i == (int)id ? text : good[i];
        if (doc)
            docs[i] = (rz_slice){.data = doc, .len = strlen(doc)};
    }
    rz_status status = rz_hf_open_memory(file, "m", bytes, docs, err);
    if (status)
        assert_null(*file);
    return status;
}

/* text with the first occurrence of from replaced; free it. */
static char *replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out = NULL;
    if (!at)
        fail_msg("\"%s\" is not in the document", from);
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    return out;
}

static void the_good_set_is_read(void **state)
{
    (void)state;
    rz_file *file;
    rz_error err = {0};
    rz_slice s;
    const rz_meta *m;
    uint32_t id = 0;
    if (open_with(&file, RZ_HF_TEMPLATE, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(
        rz_file_get_array(file, "tokenizer.ggml.tokens", RZ_META_STRING, &m, NULL, NULL), RZ_OK);
    assert_int_equal(m->count, 8);
    static const char *const texts[] = {"a",   "\304\240b", "c",    "ac",
                                        "<t>", "<s>",       "</s>", "[PAD7]"};
    static const int types[] = {1, 1, 1, 1, 4, 3, 3, 5};
    const rz_meta *t = rz_file_meta(file, "tokenizer.ggml.token_type");
    for (uint64_t i = 0; i < 8; i++) {
        s = rz_meta_string(m, i);
        assert_int_equal(s.len, strlen(texts[i]));
        assert_memory_equal(s.data, texts[i], s.len);
        assert_int_equal(rz_meta_int(t, i), types[i]);
    }
    assert_int_equal(rz_file_get_u32(file, "tokenizer.ggml.eot_token_id", &id, NULL, NULL), RZ_OK);
    assert_int_equal(id, 5);
    assert_null(rz_file_meta(file, "tokenizer.ggml.eom_token_id"));
    assert_null(rz_file_meta(file, "qwen2.attention.sliding_window"));
    assert_null(rz_file_meta(file, "general.sampling.top_k"));
    assert_null(rz_file_meta(file, "qwen2.rope.neox"));
    rz_file_close(&file);
}

#define C RZ_HF_CONFIG
#define G RZ_HF_GENERATION
#define T RZ_HF_TOKENIZER
#define K RZ_HF_TOKENIZER_CONFIG

static const struct row {
    enum rz_hf_doc_id id;
    rz_status status;
    const char *from, *to, *says;
} rows[] = {
    /* what would change the result */
    {C, RZ_ELOAD, "\"qwen2\"", "\"gemma\"", "model_type \"gemma\" is not supported"},
    {C, RZ_ELOAD, "\"qwen2\"", "\"qwen3_moe\"", "a mixture of experts, is not supported"},
    {C, RZ_EFORMAT, "\"qwen2\"", "7", "model_type is missing, or no string"},
    {C, RZ_ELOAD, "Qwen2ForCausalLM", "Qwen2ForSequenceClassification", "only Qwen2ForCausalLM"},
    {C, RZ_ELOAD, "\"silu\"", "\"gelu\"", "hidden_act: \"gelu\" is not supported"},
    {C, RZ_ELOAD, "\"rope_theta\"", "\"attention_bias\": true, \"rope_theta\"",
     "attention_bias: true is not supported"},
    {C, RZ_ELOAD, "\"rope_theta\"", "\"mlp_bias\": true, \"rope_theta\"", "mlp_bias: true"},
    {C, RZ_ELOAD, "\"rope_theta\"", "\"partial_rotary_factor\": 0.5, \"rope_theta\"",
     "partial_rotary_factor: 0.5"},
    {C, RZ_ELOAD, "\"rope_theta\"", "\"quantization_config\": {\"bits\": 4}, \"rope_theta\"",
     "quantization_config: {\"bits\":4}"},
    {C, RZ_ELOAD, "\"rope_theta\"", "\"auto_map\": {}, \"rope_theta\"", "auto_map: {}"},
    {C, RZ_ELOAD, "\"rope_theta\"",
     "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}, \"rope_theta\"",
     "rope_type \"dynamic\" is not supported"},
    {C, RZ_ELOAD, "\"rope_theta\"",
     "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"mscale\": 1}, \"a\"",
     "YaRN with mscale"},
    {C, RZ_EFORMAT, "\"rope_theta\"",
     "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}, \"a\"", "factor of 0.5, below 1"},
    {C, RZ_EFORMAT, "\"rope_theta\"", "\"rope_scaling\": {\"type\": \"linear\"}, \"a\"",
     "factor is missing"},
    {C, RZ_EFORMAT, "\"rope_theta\"",
     "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8,"
     " \"low_freq_factor\": 4, \"high_freq_factor\": 1, \"original_max_position_embeddings\": 8},"
     " \"a\"",
     "llama3 scaling with frequency factors 4 and 1"},
    {C, RZ_ELOAD, "\"rope_theta\"", "\"rope_parameters\": {\"full_attention\": {}}, \"a\"",
     "no plain object"},
    {C, RZ_ELOAD, "\"use_sliding_window\": false",
     "\"use_sliding_window\": true, \"max_window_layers\": 1", "sliding windows in 1 of 2 layers"},
    {C, RZ_ELOAD, "\"use_sliding_window\": false",
     "\"layer_types\": [\"full_attention\", \"chunked\"]", "layer_types[1] is not supported"},
    {C, RZ_EFORMAT, "\"use_sliding_window\": false", "\"layer_types\": [\"full_attention\"]",
     "not a list of 2 entries"},
    /* numbers */
    {C, RZ_EFORMAT, "\"hidden_size\": 2,", "", "m/config.json: hidden_size is missing"},
    {C, RZ_EFORMAT, "\"hidden_size\": 2", "\"hidden_size\": -2", "hidden_size is not an integer"},
    {C, RZ_EFORMAT, "\"hidden_size\": 2", "\"hidden_size\": 2.5", "hidden_size is not an integer"},
    {C, RZ_EFORMAT, "\"hidden_size\": 2", "\"hidden_size\": \"2\"",
     "hidden_size is not an integer"},
    {C, RZ_EFORMAT, "\"hidden_size\": 2", "\"hidden_size\": 4294967296", "not an integer from 0"},
    {C, RZ_EFORMAT, "\"hidden_size\": 2", "\"hidden_size\": 3", "a head dimension of 3"},
    {C, RZ_EFORMAT, "\"num_attention_heads\": 1", "\"num_attention_heads\": 0", "is 0"},
    {C, RZ_EFORMAT, "1e-6", "1e300", "rms_norm_eps is not a number that a float32 holds"},
    {C, RZ_EFORMAT, "1e-6", "true", "rms_norm_eps is not a number"},
    {C, RZ_EFORMAT, "\"vocab_size\": 8", "\"vocab_size\": 9",
     "vocab_size is 9, and model.embed_tokens.weight has 8 rows"},
    {C, RZ_EFORMAT, "\"vocab_size\": 8", "\"vocab_size\": 4294967295", "has 8 rows"},
    {C, RZ_EFORMAT, "embeddings\": true", "embeddings\": false", "lm_head.weight is missing"},
    {C, RZ_EFORMAT, "embeddings\": true", "embeddings\": 1", "neither true nor false"},
    /* JSON */
    {C, RZ_EFORMAT, "{", "", "m/config.json: JSON at byte"},
    {C, RZ_EFORMAT, "\"rope_theta\"", "\"hidden_size\": 3, \"rope_theta\"", "duplicate object key"},
    {G, RZ_EFORMAT, "{", "[", "m/generation_config.json: JSON"},
    {G, RZ_EFORMAT, "true", "\"yes\"", "do_sample is neither true nor false"},
    {G, RZ_EFORMAT, "0.5", "\"hot\"", "temperature is not a number"},
    {G, RZ_EFORMAT, "[6, 5]", "[6, 8]", "eos_token_id is not a token's id (there are 8)"},
    {G, RZ_EFORMAT, "[6, 5]", "\"</s>\"", "eos_token_id is not a token's id"},
    {G, RZ_ELOAD, "[6, 5]", "[6, 5, 0, 1]", "more than 3 end tokens"},
    {K, RZ_EFORMAT, "</s>", "</S>", "eos_token </S> is not in the vocabulary"},
    {K, RZ_EFORMAT, "\"{{ x }}\"", "{}", "chat_template is not a text"},
    {K, RZ_EFORMAT, "false", "0", "add_bos_token is neither true nor false"},
    /* tokenizer.json */
    {T, RZ_ELOAD, "\"BPE\"", "\"Unigram\"", "model type \"Unigram\" is not supported, only BPE"},
    {T, RZ_ELOAD, "\"byte_fallback\": false", "\"byte_fallback\": true", "SentencePiece's manner"},
    {T, RZ_ELOAD, "\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": {\"type\": \"Fuse\"}",
     "SentencePiece's manner"},
    {T, RZ_ELOAD, "suffix\": \"\"", "suffix\": \"</w>\"", "end_of_word_suffix"},
    {T, RZ_ELOAD, "\"dropout\": null", "\"dropout\": 0.1", "dropout"},
    {T, RZ_ELOAD, "\"ignore_merges\": false", "\"ignore_merges\": true", "ignore_merges true"},
    {T, RZ_ELOAD, "{\"type\": \"NFC\"}", "null", "but not with no normalization"},
    {T, RZ_ELOAD, "{\"type\": \"NFC\"}", "{\"type\": \"Lowercase\"}",
     "this normalizer is not supported: {\"type\":\"Lowercase\"}"},
    {T, RZ_ELOAD, "\\\\p{N}|", "\\\\p{N}{1,2}|",
     "the pre-tokenizer's pattern is not supported: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r"},
    {T, RZ_ELOAD, "\"Isolated\"", "\"Removed\"", "this Split is not supported"},
    {T, RZ_ELOAD, "\"add_prefix_space\": false", "\"add_prefix_space\": true", "a prefix space"},
    {T, RZ_ELOAD, "\"Split\"", "\"Whitespace\"", "this pre-tokenizer is not supported"},
    {T, RZ_ELOAD, "\"post_processor\": null",
     "\"post_processor\": {\"type\": \"RobertaProcessing\"}",
     "post_processor: type RobertaProcessing is not supported"},
    {T, RZ_ELOAD, "\"post_processor\": null",
     "\"post_processor\": {\"type\": \"TemplateProcessing\","
     "\"single\": [{\"SpecialToken\": {\"id\": \"<t>\"}}, {\"Sequence\": {\"id\": \"A\"}}]}",
     "a first token that is not bos_token"},
    {T, RZ_ELOAD, "\"special\": true}", "\"rstrip\": true}", "added token <s> has rstrip"},
    {T, RZ_EFORMAT, "\"id\": 5, ", "", "an added token without content or id"},
    {T, RZ_EFORMAT, "\"id\": 5", "\"id\": 8",
     "token <s> has id 8, and config.json's vocab_size is 8"},
    {T, RZ_EFORMAT, "\"id\": 5", "\"id\": 6", "tokens <s> and </s> have the same id 6"},
    {T, RZ_EFORMAT, "\"c\": 2", "\"c\": 0", "tokens a and c have the same id 0"},
    {T, RZ_EFORMAT, "\"c\": 2", "\"a\": 2", "token a has the ids 0 and 2"},
    {T, RZ_EFORMAT, "\"c\": 2", "\"\\u0061\": 7", "token a has the ids 0 and 7"},
    {T, RZ_EFORMAT, "\"c\": 2", "\"c\": -2", "a non-negative integer is expected"},
    {T, RZ_EFORMAT, "\"c\": 2", "\"c\": 99999999999", "has id 99999999999"},
    {T, RZ_EFORMAT, "\"merges\": [\"a c\"]", "\"m\": []", "model has no merges"},
    {T, RZ_EFORMAT, "\"vocab\"", "\"v\"", "model has no vocab"},
    {T, RZ_EFORMAT, "[\"a c\"]", "[[\"a\"]]", "a merge of 1 tokens"},
    {T, RZ_EFORMAT, "[\"a c\"]", "[[\"a\", \"c\", \"c\"]]", "a merge of more than two tokens"},
    {T, RZ_EFORMAT, "[\"a c\"]", "[[\"a\", \" c\"]]", "a merge with a space in a token"},
    {T, RZ_EFORMAT, "[\"a c\"]", "[7]", "'7' where '\"' is expected"},
    {T, RZ_EFORMAT, "\"merges\"", "\"vocab\": {}, \"merges\"", "vocab occurs twice"},
    {T, RZ_EFORMAT, "\"model\"", "\"modem\"", "model is missing"},
};

static void changes_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        char *text = replace(good[r->id], r->from, r->to);
        rz_file *file = NULL;
        rz_error err = {0};
        rz_status status = open_with(&file, r->id, text, &err);
        if (status != r->status || !strstr(err.text, r->says))
            fail_msg("row %zu: status %d, \"%s\" where \"%s\" is expected", i, status, err.text,
                     r->says);
        free(text);
    }
}

/* Every beginning of tokenizer.json: the reader never runs past an end. */
static void truncated_documents_are_refused(void **state)
{
    (void)state;
    for (int id = 0; id <= RZ_HF_TOKENIZER_CONFIG; id++)
        for (size_t n = 0; n < strlen(good[id]); n++) {
            char *text = strndup(good[id], n);
            rz_file *file = NULL;
            rz_error err = {0};
            assert_non_null(text);
            assert_int_equal(open_with(&file, (enum rz_hf_doc_id)id, text, &err), RZ_EFORMAT);
            free(text);
        }
}

/* A tree of JSON takes many times its text, so there is a limit to it. */
static void large_documents_are_refused(void **state)
{
    (void)state;
    size_t n = RZ_HF_MAX_TREE_BYTES + 1;
    char *spaces = malloc(n + 1), *text = NULL;
    assert_non_null(spaces);
    memset(spaces, ' ', n);
    spaces[n] = '\0';
    rz_file *file = NULL;
    rz_error err = {0};
    assert_int_equal(open_with(&file, RZ_HF_CONFIG, spaces, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "m/config.json: 4194305 bytes, at most 4194304"));
    assert_true(asprintf(&text, "{\"type\": \"NFC\"%s}", spaces) > 0);
    char *doc = replace(good[RZ_HF_TOKENIZER], "{\"type\": \"NFC\"}", text);
    assert_int_equal(open_with(&file, RZ_HF_TOKENIZER, doc, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "a JSON value of 4194320 bytes, at most 4194304"));
    free(doc);
    free(text);
    free(spaces);
}

static void missing_documents_are_named(void **state)
{
    (void)state;
    rz_file *file = NULL;
    rz_error err = {0};
    assert_int_equal(open_with(&file, RZ_HF_CONFIG, NULL, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "m: config.json is missing"));
    assert_int_equal(open_with(&file, RZ_HF_TOKENIZER, NULL, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "m: tokenizer.json is missing"));
    assert_int_equal(open_with(&file, RZ_HF_GENERATION, NULL, &err), RZ_OK);
    rz_file_close(&file);
    assert_int_equal(open_with(&file, RZ_HF_TOKENIZER_CONFIG, NULL, &err), RZ_OK);
    rz_file_close(&file);
}

static void the_first_token_follows_the_documents(void **state)
{
    (void)state;
    static const char post[] =
        "\"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"},"
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}},"
        "{\"Sequence\": {\"id\": \"A\"}}]}]}";
    char *text = replace(good[RZ_HF_TOKENIZER], "\"post_processor\": null", post);
    rz_file *file = NULL;
    rz_error err = {0};
    bool add = true;
    /* tokenizer_config.json's add_bos_token goes before the template ... */
    if (open_with(&file, RZ_HF_TOKENIZER, text, &err))
        fail_msg("%s", err.text);
    assert_int_equal(rz_file_get_bool(file, "tokenizer.ggml.add_bos_token", &add, NULL, NULL),
                     RZ_OK);
    assert_false(add);
    rz_file_close(&file);
    /* ... which counts where there is none. */
    rz_slice docs[RZ_HF_N_DOCS] = {{NULL, 0}}, bytes;
    bytes.data = (const char *)st_bytes(&weights, &bytes.len);
    docs[RZ_HF_CONFIG] = (rz_slice){good[RZ_HF_CONFIG], strlen(good[RZ_HF_CONFIG])};
    docs[RZ_HF_TOKENIZER] = (rz_slice){text, strlen(text)};
    assert_int_equal(rz_hf_open_memory(&file, "m", bytes, docs, &err), RZ_OK);
    assert_int_equal(rz_file_get_bool(file, "tokenizer.ggml.add_bos_token", &add, NULL, NULL),
                     RZ_OK);
    assert_true(add);
    rz_file_close(&file);
    free(text);
}

/* ---- shards ---- */

static void write_docs(const char *dir)
{
    for (int id = 0; id < RZ_HF_N_DOCS; id++)
        if (good[id])
            hf_put(dir, rz_hf_doc_name((enum rz_hf_doc_id)id), good[id]);
}

static void one_tensor(const char *dir, const char *file, const char *name)
{
    struct st_build b;
    bool embed = strstr(name, "embed") != NULL;
    st_init(&b);
    st_tensor(&b, &(struct st_entry){name, "F32", embed ? 2 : 1, (const uint64_t[]){8, 2}, NULL,
                                     embed ? 64 : 32});
    st_write(&b, dir, file);
    st_fini(&b);
}

#define EMBED "\"model.embed_tokens.weight\": \"a.safetensors\""
#define NORM  "\"model.norm.weight\": \"b.safetensors\""

static const struct {
    const char *index;
    rz_status status;
    const char *says;
} indexes[] = {
    {"{\"weight_map\": {" EMBED ", " NORM "}}", RZ_OK, ""},
    {"{\"weight_map\": {" EMBED ", " NORM ", \"lm_head.weight\": \"b.safetensors\"}}", RZ_OK, ""},
    {"{\"weight_map\": {" EMBED "}}", RZ_OK, ""}, /* b is not of this model */
    {"{\"weight_map\": {" NORM "}}", RZ_EFORMAT, "embed_tokens.weight is missing"},
    {"{\"weight_map\": {}}", RZ_EFORMAT, "embed_tokens.weight is missing"},
    {"{\"weights\": {}}", RZ_EFORMAT, "weight_map is missing"},
    {"{\"weight_map\": []}", RZ_EFORMAT, "'[' where '{' is expected"},
    {"{\"weight_map\": {}, \"weight_map\": {}}", RZ_EFORMAT, "weight_map occurs twice"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"a.safetensors\"}}", RZ_EFORMAT,
     "tensor model.norm.weight is not in shard a.safetensors"},
    {"{\"weight_map\": {" EMBED ", " NORM ", \"model.layers.0.mlp.up_proj.weight\":"
     " \"b.safetensors\"}}",
     RZ_EFORMAT, "up_proj.weight is not in shard b.safetensors"},
    {"{\"weight_map\": {" EMBED ", " NORM ", " NORM "}}", RZ_EFORMAT, "occurs twice"},
    {"{\"weight_map\": {" EMBED ", \"lm_head.weight\": \"b.safetensors\"}}", RZ_EFORMAT,
     "lacks the tensor that GGUF calls output_norm.weight"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"c.safetensors\"}}", RZ_ENOTFOUND,
     "shard c.safetensors is missing"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"../b.safetensors\"}}", RZ_EFORMAT,
     "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"/b.safetensors\"}}", RZ_EFORMAT,
     "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"x/b.safetensors\"}}", RZ_EFORMAT,
     "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"\\u002e\\u002e/b.safetensors\"}}",
     RZ_EFORMAT, "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \".safetensors\"}}", RZ_EFORMAT,
     "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"config.json\"}}", RZ_EFORMAT,
     "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": \"\"}}", RZ_EFORMAT, "no plain name"},
    {"{\"weight_map\": {" EMBED ", \"model.norm.weight\": 2}}", RZ_EFORMAT, "'2' where"},
};

static void shards_and_index_must_agree(void **state)
{
    (void)state;
    char dir[HF_PATH_MAX];
    hf_scratch(dir);
    write_docs(dir);
    one_tensor(dir, "a.safetensors", "model.embed_tokens.weight");
    one_tensor(dir, "b.safetensors", "model.norm.weight");
    for (size_t i = 0; i < RZ_ARRAY_LEN(indexes); i++) {
        rz_file *file = NULL;
        rz_error err = {0};
        hf_put(dir, "model.safetensors.index.json", indexes[i].index);
        rz_status status = rz_file_open(&file, dir, &err);
        if (status != indexes[i].status || !strstr(err.text, indexes[i].says))
            fail_msg("index %zu: status %d, \"%s\" where \"%s\" is expected", i, status, err.text,
                     indexes[i].says);
        rz_file_close(&file);
    }
    hf_remove(dir);
}

static void folders_without_a_model_are_refused(void **state)
{
    (void)state;
    char dir[HF_PATH_MAX], path[HF_PATH_MAX + 64];
    rz_file *file = NULL;
    rz_error err = {0};
    hf_scratch(dir);
    write_docs(dir);
    assert_int_equal(rz_file_open(&file, dir, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "neither model.safetensors nor"));
    one_tensor(dir, "model.safetensors", "model.embed_tokens.weight");
    assert_int_equal(rz_file_open(&file, dir, &err), RZ_OK);
    rz_file_close(&file);
    snprintf(path, sizeof path, "%s///", dir);
    assert_int_equal(rz_file_open(&file, path, &err), RZ_OK);
    rz_file_close(&file);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rz_file_open(&file, dir, &err), RZ_ENOTFOUND);
    assert_non_null(strstr(err.text, "config.json is missing"));
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(rz_file_open(&file, path, &err), RZ_OK); /* tensors, but no model */
    assert_non_null(rz_file_tensor(file, "model.embed_tokens.weight"));
    assert_null(rz_file_tensor(file, "token_embd.weight"));
    assert_null(rz_file_meta(file, "general.architecture"));
    rz_file_close(&file);
    hf_remove(dir);
}

/* ---- the real vocabulary of Qwen2 ---- */

static json_t *read_merges(const char *path)
{
    FILE *in = fopen(path, "r");
    json_t *merges = json_array();
    char line[1024];
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && strncmp(line, "#version", 8) != 0)
            json_array_append_new(merges, json_string(line));
    }
    fclose(in);
    return merges;
}

/* tokenizer.json as Qwen2 is published, put together from its vocab.json and merges.txt. */
static json_t *qwen2_tokenizer(const json_t *config)
{
    char path[TT_PATH_MAX];
    json_t *added = json_array(), *value;
    const char *id;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), id, value)
    {
        json_t *token = json_deep_copy(value);
        json_object_set_new(token, "id", json_integer(strtol(id, NULL, 10)));
        json_array_append_new(added, token);
    }
    json_t *vocab = tt_load_json(tt_shared_path("fixtures/qwen2-tokenizer/vocab.json", path));
    json_t *merges = read_merges(tt_shared_path("fixtures/qwen2-tokenizer/merges.txt", path));
    json_t *tok = json_pack("{s:o, s:{s:s}, s:o, s:{s:s}, s:{s:s, s:o, s:o}}", "added_tokens",
                            added, "normalizer", "type", "NFC", "pre_tokenizer",
                            hf_pre_tokenizer(qwen2_pattern), "decoder", "type", "ByteLevel",
                            "model", "type", "BPE", "vocab", vocab, "merges", merges);
    assert_non_null(tok);
    return tok;
}

static void the_qwen2_vocabulary_tokenizes(void **state)
{
    enum {
        N_ROWS = 151936
    };
    char path[TT_PATH_MAX], dir[HF_PATH_MAX];
    (void)state;
    if (!tt_shared_path("fixtures/qwen2-tokenizer/tokenizer_config.qwen2.json", path)) {
        print_message("skipped: the vocabulary of Qwen2 needs the shared fixtures\n");
        skip();
    }
    json_t *tokenizer_config = tt_load_json(path);
    json_t *config = json_loads(good[RZ_HF_CONFIG], 0, NULL);
    json_t *tok = qwen2_tokenizer(tokenizer_config);
    json_object_set_new(config, "vocab_size", json_integer(N_ROWS));
    json_object_set_new(config, "bos_token_id", json_integer(151643));
    json_object_set_new(config, "eos_token_id", json_integer(151645));
    hf_scratch(dir);
    hf_put_json(dir, "config.json", config);
    hf_put_json(dir, "tokenizer.json", tok);
    hf_put_json(dir, "tokenizer_config.json", tokenizer_config);
    struct st_build b;
    st_init(&b);
    st_tensor(&b, &(struct st_entry){"model.embed_tokens.weight", "BF16", 2,
                                     (const uint64_t[]){N_ROWS, 2}, NULL, N_ROWS * 4});
    st_write(&b, dir, "model.safetensors");
    st_fini(&b);
    struct tok_model m;
    tt_open(&m, dir);
    json_t *cases =
        tt_load_json(tt_shared_path("fixtures/qwen2-tokenizer/encode-cases.json", path));
    const json_t *list = json_is_array(cases) ? cases : json_object_get(cases, "cases");
    size_t n = 0;
    rz_ids ids = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *text = json_object_get(json_array_get(list, i), "text");
        const char *s = json_string_value(text);
        /* The fixture's ids know 22 added tokens, this tokenizer_config.json the first three. */
        if (strstr(s, "<tool") || strstr(s, "</tool") || strstr(s, "<|fim") ||
            strstr(s, "<|repo") || strstr(s, "<|file") || strstr(s, "<|box") ||
            strstr(s, "<|vision"))
            continue;
        tt_encode(m.tok, s, json_string_length(text), RZ_ENCODE_SPECIAL, &ids);
        assert_true(tt_same_ids(&ids, json_object_get(json_array_get(list, i), "ids"), s));
        n++;
    }
    print_message("%zu texts of Qwen2's tokenizer\n", n);
    assert_true(n >= 200);
    rz_ids_free(&ids);
    json_decref(cases);
    tt_close(&m);
    json_decref(tok);
    json_decref(config);
    json_decref(tokenizer_config);
    hf_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_good_set_is_read),
        cmocka_unit_test(changes_are_refused_by_name),
        cmocka_unit_test(truncated_documents_are_refused),
        cmocka_unit_test(large_documents_are_refused),
        cmocka_unit_test(missing_documents_are_named),
        cmocka_unit_test(the_first_token_follows_the_documents),
        cmocka_unit_test(shards_and_index_must_agree),
        cmocka_unit_test(folders_without_a_model_are_refused),
        cmocka_unit_test(the_qwen2_vocabulary_tokenizes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
