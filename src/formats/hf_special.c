/* hf_special.c - what tokenizer_config.json, generation_config.json and the template's file say:
 * special tokens, sampling, chat template.
 *
 * Where documents disagree the order is that of llama.cpp's converter: tokenizer_config.json names
 * the tokens, config.json's ids stand in for those that it does not, and its add_bos_token goes
 * before tokenizer.json's post_processor. Every id of generation_config.json's eos_token_id ends a
 * generation.
 * Source: transformers' GenerationConfig and PreTrainedTokenizerBase; tokenizers' post-processors.
 */
#include "base/fail.h"
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

enum {
    SHOWN = 80,
    MAX_END_TOKENS = 3 /* GGUF has keys for: end of sequence, of turn, of message */
};

/* What a post-processor puts before and behind a text; NULL: nothing. */
struct frame {
    const char *before, *after;
};

/* The id of a token's text, or -1. */
static int64_t token_id(const struct rz_hf *h, const char *text)
{
    const rz_meta *tokens = rz_file_meta(h->file, "tokenizer.ggml.tokens");
    /* The accessors need a sealed file. */
    const struct rz_meta_entry *entry = (const struct rz_meta_entry *)tokens;
    size_t len = strlen(text);
    for (uint64_t id = 0; id < tokens->count; id++) {
        const uint8_t *at = entry->data + entry->starts[id];
        uint64_t n;
        memcpy(&n, at, sizeof n);
        if (n == len && memcmp(at + sizeof n, text, len) == 0)
            return (int64_t)id;
    }
    return -1;
}

/* ---- special tokens ---- */

/* The text of a token that tokenizer_config.json names, plainly or as an object; NULL: none. */
static const char *token_text(const struct rz_hf *h, const char *key)
{
    const json_t *value = rz_hf_field(h->tokenizer_config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return json_string_value(value);
}

static rz_status check_id(struct rz_hf *h, enum rz_hf_doc_id doc, const char *key,
                          const json_t *value, int64_t *id)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || n >= h->n_vocab)
        return rz_hf_bad(h, RZ_EFORMAT, doc, "%s is not a token's id (there are %u)", key,
                         h->n_vocab);
    *id = n;
    return RZ_OK;
}

/* Token "bos" etc.: its id, or -1. */
static rz_status named_id(struct rz_hf *h, const char *key, int64_t *id)
{
    const char *text = token_text(h, key);
    *id = text ? token_id(h, text) : -1;
    if (text && *id < 0)
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_TOKENIZER_CONFIG, "%s %.*s is not in the vocabulary",
                         key, SHOWN, text);
    return RZ_OK;
}

/* The documents that hold ids, and the one where a key is found first. */
static const json_t *find_ids(const struct rz_hf *h, const char *key, enum rz_hf_doc_id *doc)
{
    const json_t *value = rz_hf_field(h->generation, key);
    *doc = RZ_HF_GENERATION;
    if (!value) {
        value = rz_hf_field(h->config, key);
        *doc = RZ_HF_CONFIG;
    }
    return value;
}

static rz_status add_end(struct rz_hf *h, int64_t ends[MAX_END_TOKENS], size_t *n, int64_t id)
{
    for (size_t i = 0; i < *n; i++)
        if (ends[i] == id)
            return RZ_OK;
    if (*n == MAX_END_TOKENS)
        return rz_hf_bad(h, RZ_ELOAD, RZ_HF_GENERATION, "more than %d end tokens are not supported",
                         MAX_END_TOKENS);
    ends[(*n)++] = id;
    return RZ_OK;
}

static rz_status put_ends(struct rz_hf *h)
{
    static const char *const keys[MAX_END_TOKENS] = {"tokenizer.ggml.eos_token_id",
                                                     "tokenizer.ggml.eot_token_id",
                                                     "tokenizer.ggml.eom_token_id"};
    int64_t ends[MAX_END_TOKENS], id = -1;
    size_t n = 0;
    enum rz_hf_doc_id doc;
    const json_t *value = find_ids(h, "eos_token_id", &doc);
    RZ_TRY(named_id(h, "eos_token", &id));
    if (id >= 0)
        RZ_TRY(add_end(h, ends, &n, id));
    size_t n_ids = json_is_array(value) ? json_array_size(value) : value != NULL;
    for (size_t i = 0; i < n_ids; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        RZ_TRY(check_id(h, doc, "eos_token_id", one, &id));
        RZ_TRY(add_end(h, ends, &n, id));
    }
    for (size_t i = 0; i < n; i++)
        RZ_TRY(rz_hf_put_u32(h, keys[i], (uint32_t)ends[i]));
    return RZ_OK;
}

/* Tokens that nothing computed depends on: left out where the vocabulary lacks them. */
static rz_status put_minor(struct rz_hf *h, const char *key, const char *gguf_key)
{
    const char *text = token_text(h, key);
    int64_t id = text ? token_id(h, text) : -1;
    return id >= 0 ? rz_hf_put_u32(h, gguf_key, (uint32_t)id) : RZ_OK;
}

/* ---- what surrounds a text ---- */

static rz_status refuse_processor(struct rz_hf *h, const char *what)
{
    return rz_hf_bad(h, RZ_ELOAD, RZ_HF_TOKENIZER, "post_processor: %s is not supported", what);
}

/* "single" of a TemplateProcessing: at most one special token on each side of sequence A. */
static rz_status read_template(struct rz_hf *h, const json_t *processor, struct frame *f)
{
    const json_t *single = json_object_get(processor, "single");
    bool seen = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const char *token =
            json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        if (json_object_get(item, "Sequence") && !seen) {
            seen = true;
            continue;
        }
        const char **side = seen ? &f->after : &f->before;
        if (!token || *side)
            return refuse_processor(h, "a template of this form");
        *side = token;
    }
    return seen ? RZ_OK : refuse_processor(h, "a template without the text");
}

static rz_status read_processor(struct rz_hf *h, const json_t *processor, struct frame *f)
{
    const char *type = json_string_value(json_object_get(processor, "type"));
    if (!type)
        return refuse_processor(h, "one without a type");
    if (!strcmp(type, "ByteLevel")) /* trims offsets, which nobody asks for */
        return RZ_OK;
    if (!strcmp(type, "TemplateProcessing"))
        return read_template(h, processor, f);
    char what[SHOWN + 16];
    snprintf(what, sizeof what, "type %.*s", SHOWN, type);
    return refuse_processor(h, what);
}

static rz_status read_frame(struct rz_hf *h, const json_t *post, struct frame *f)
{
    if (!post || json_is_null(post))
        return RZ_OK;
    const char *type = json_string_value(json_object_get(post, "type"));
    if (!type || strcmp(type, "Sequence") != 0)
        return read_processor(h, post, f);
    const json_t *list = json_object_get(post, "processors");
    for (size_t i = 0; i < json_array_size(list); i++)
        RZ_TRY(read_processor(h, json_array_get(list, i), f));
    return RZ_OK;
}

static rz_status put_bos(struct rz_hf *h, const struct frame *f)
{
    int64_t id = -1;
    enum rz_hf_doc_id doc;
    bool add = f->before != NULL;
    const json_t *value = find_ids(h, "bos_token_id", &doc);
    RZ_TRY(named_id(h, "bos_token", &id));
    if (id < 0 && json_is_integer(value))
        RZ_TRY(check_id(h, doc, "bos_token_id", value, &id));
    if (f->before) {
        int64_t before = token_id(h, f->before);
        if (before < 0 || (id >= 0 && before != id))
            return refuse_processor(h, "a first token that is not bos_token");
        id = before;
    }
    RZ_TRY(rz_hf_get_bool(h, RZ_HF_TOKENIZER_CONFIG, h->tokenizer_config, "add_bos_token", &add,
                          &(bool){false}));
    if (id >= 0)
        RZ_TRY(rz_hf_put_u32(h, "tokenizer.ggml.bos_token_id", (uint32_t)id));
    return rz_hf_put_bool(h, "tokenizer.ggml.add_bos_token", add && id >= 0);
}

static rz_status put_add_eos(struct rz_hf *h, const struct frame *f)
{
    const char *eos = token_text(h, "eos_token");
    bool add = f->after != NULL;
    if (f->after && (!eos || strcmp(eos, f->after) != 0))
        return refuse_processor(h, "a last token that is not eos_token");
    RZ_TRY(rz_hf_get_bool(h, RZ_HF_TOKENIZER_CONFIG, h->tokenizer_config, "add_eos_token", &add,
                          &(bool){false}));
    return add ? rz_hf_put_bool(h, "tokenizer.ggml.add_eos_token", true) : RZ_OK;
}

/* ---- sampling ---- */

static rz_status copy_f32(struct rz_hf *h, const char *from, const char *key)
{
    double value = 0;
    bool found;
    RZ_TRY(rz_hf_get_f64(h, RZ_HF_GENERATION, h->generation, from, &value, &found));
    return found ? rz_hf_put_f32(h, key, value) : RZ_OK;
}

/* Without do_sample true, transformers takes the likeliest token; a file that says nothing at all
 * of sampling leaves the choice to the program. */
static rz_status put_sampling(struct rz_hf *h)
{
    bool sample = true, found;
    uint32_t top_k = 0;
    double penalty = 1;
    if (!h->generation)
        return RZ_OK;
    RZ_TRY(rz_hf_get_bool(h, RZ_HF_GENERATION, h->generation, "do_sample", &sample, &found));
    RZ_TRY(
        rz_hf_get_f64(h, RZ_HF_GENERATION, h->generation, "repetition_penalty", &penalty, &found));
    if (found) {
        RZ_TRY(rz_hf_put_f32(h, "general.sampling.penalty_repeat", penalty));
        RZ_TRY(rz_hf_put_i32(h, "general.sampling.penalty_last_n", -1)); /* all that went before */
    }
    if (!sample)
        return rz_hf_put_f32(h, "general.sampling.temp", 0);
    RZ_TRY(copy_f32(h, "temperature", "general.sampling.temp"));
    RZ_TRY(copy_f32(h, "top_p", "general.sampling.top_p"));
    RZ_TRY(copy_f32(h, "min_p", "general.sampling.min_p"));
    RZ_TRY(rz_hf_get_u32(h, RZ_HF_GENERATION, h->generation, "top_k", &top_k, &found));
    return found ? rz_hf_put_u32(h, "general.sampling.top_k", top_k) : RZ_OK;
}

/* ---- chat template ---- */

/* The template, or of a list of named ones that called "default". NULL: none. */
static const json_t *default_template(const json_t *value)
{
    if (!json_is_array(value))
        return value;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && !strcmp(name, "default"))
            return json_object_get(item, "template");
    }
    return NULL;
}

static rz_status put_template(struct rz_hf *h)
{
    static const char key[] = "tokenizer.chat_template";
    rz_slice file = h->docs[RZ_HF_TEMPLATE].text;
    if (file.data)
        return rz_hf_put_string(h, key, file.data, file.len);
    const json_t *value = default_template(rz_hf_field(h->tokenizer_config, "chat_template"));
    if (!value)
        return RZ_OK;
    if (!json_is_string(value))
        return rz_hf_bad(h, RZ_EFORMAT, RZ_HF_TOKENIZER_CONFIG, "chat_template is not a text");
    return rz_hf_put_string(h, key, json_string_value(value), json_string_length(value));
}

rz_status rz_hf_read_special(struct rz_hf *h, rz_slice post_processor)
{
    json_t *post = NULL;
    struct frame f = {NULL, NULL};
    rz_status status = RZ_OK;
    if (post_processor.data)
        status = rz_hf_parse(h, RZ_HF_TOKENIZER, post_processor, &post);
    if (!status)
        status = read_frame(h, post, &f);
    if (!status)
        status = put_bos(h, &f);
    if (!status)
        status = put_add_eos(h, &f);
    json_decref(post);
    RZ_TRY(status);
    RZ_TRY(put_ends(h));
    RZ_TRY(put_minor(h, "pad_token", "tokenizer.ggml.padding_token_id"));
    RZ_TRY(put_minor(h, "unk_token", "tokenizer.ggml.unknown_token_id"));
    RZ_TRY(put_sampling(h));
    return put_template(h);
}
