/* hf_export.c - the documents of a Hugging Face model: all of them, in order; here those about
 * special tokens, sampling and the chat template.
 *
 * generation_config.json's list of end tokens is GGUF's three keys; the reader (hf_special.c) turns
 * it back. Source: transformers' GenerationConfig and PreTrainedTokenizerBase. */
#include "formats/hf_export.h"

#include "base/fail.h"
#include "formats/file.h"
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DOC_BYTES = 512 << 20,
    FLOAT_DIGITS = 9
};

/* ---- shared ---- */

json_t *rz_hf_export_f32(float value)
{
    char text[32];
    for (int digits = 1; digits <= FLOAT_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

json_t *rz_hf_export_text(rz_slice text)
{
    return json_stringn(text.data ? text.data : "", text.len);
}

rz_slice rz_hf_export_token(const struct rz_hf_export *x, uint32_t id)
{
    const rz_meta *tokens = rz_file_meta(x->source, "tokenizer.ggml.tokens");
    if (!tokens || tokens->elem_type != RZ_META_STRING || id >= tokens->count)
        return (rz_slice){NULL, 0};
    return rz_meta_string(tokens, id);
}

bool rz_hf_export_id(const struct rz_hf_export *x, const char *key, uint32_t *id)
{
    uint32_t value = 0;
    bool found;
    /* -1 of any integer type means that there is none. */
    if (rz_file_get_u32(x->source, key, &value, &found, NULL) || !found || value >= x->n_vocab)
        return false;
    *id = value;
    return true;
}

/* ---- generation_config.json ---- */

static void put_ids(const struct rz_hf_export *x, json_t *doc)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    uint32_t id;
    json_t *list = json_array();
    if (rz_hf_export_id(x, "tokenizer.ggml.bos_token_id", &id))
        json_object_set_new(doc, "bos_token_id", json_integer(id));
    for (size_t i = 0; i < RZ_ARRAY_LEN(ends); i++)
        if (rz_hf_export_id(x, ends[i], &id))
            json_array_append_new(list, json_integer(id));
    if (json_array_size(list))
        json_object_set(doc, "eos_token_id", list);
    json_decref(list);
    if (rz_hf_export_id(x, "tokenizer.ggml.padding_token_id", &id))
        json_object_set_new(doc, "pad_token_id", json_integer(id));
}

static rz_status put_sampling(const struct rz_hf_export *x, json_t *doc)
{
    static const struct {
        const char *from, *to;
    } floats[] = {{"general.sampling.top_p", "top_p"},
                  {"general.sampling.min_p", "min_p"},
                  {"general.sampling.penalty_repeat", "repetition_penalty"}};
    float value = 0;
    uint32_t top_k = 0;
    bool found, has_temperature;
    RZ_TRY(rz_file_get_f32(x->source, "general.sampling.temp", &value, &has_temperature, x->err));
    bool greedy = has_temperature && value == 0;
    if (has_temperature && !greedy)
        json_object_set_new(doc, "temperature", rz_hf_export_f32(value));
    for (size_t i = 0; i < RZ_ARRAY_LEN(floats); i++) {
        RZ_TRY(rz_file_get_f32(x->source, floats[i].from, &value, &found, x->err));
        if (found)
            json_object_set_new(doc, floats[i].to, rz_hf_export_f32(value));
    }
    /* As any integer type: some converters write -1 for no limit. */
    const rz_meta *k = rz_file_meta(x->source, "general.sampling.top_k");
    if (k && !rz_file_get_u32(x->source, "general.sampling.top_k", &top_k, &found, NULL))
        json_object_set_new(doc, "top_k", json_integer(top_k));
    if (greedy || json_object_get(doc, "temperature") || json_object_get(doc, "top_p") || k)
        json_object_set_new(doc, "do_sample", json_boolean(!greedy));
    return RZ_OK;
}

/* ---- tokenizer_config.json ---- */

static void put_token(const struct rz_hf_export *x, json_t *doc, const char *key, const char *to)
{
    uint32_t id;
    if (rz_hf_export_id(x, key, &id))
        json_object_set_new(doc, to, rz_hf_export_text(rz_hf_export_token(x, id)));
}

static rz_status put_tokenizer_config(const struct rz_hf_export *x, json_t *doc)
{
    bool add = false, found;
    rz_slice text;
    json_object_set_new(doc, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    json_object_set_new(doc, "clean_up_tokenization_spaces", json_false());
    json_object_set_new(doc, "model_max_length", json_integer(x->n_ctx));
    put_token(x, doc, "tokenizer.ggml.bos_token_id", "bos_token");
    put_token(x, doc, "tokenizer.ggml.eos_token_id", "eos_token");
    put_token(x, doc, "tokenizer.ggml.padding_token_id", "pad_token");
    put_token(x, doc, "tokenizer.ggml.unknown_token_id", "unk_token");
    RZ_TRY(rz_file_get_bool(x->source, "tokenizer.ggml.add_bos_token", &add, &found, x->err));
    if (found)
        json_object_set_new(doc, "add_bos_token", json_boolean(add));
    RZ_TRY(rz_file_get_bool(x->source, "tokenizer.ggml.add_eos_token", &add, &found, x->err));
    if (found)
        json_object_set_new(doc, "add_eos_token", json_boolean(add));
    RZ_TRY(rz_file_get_string(x->source, "tokenizer.chat_template", &text, &found, x->err));
    if (found)
        json_object_set_new(doc, "chat_template", rz_hf_export_text(text));
    return RZ_OK;
}

/* ---- all ---- */

/* Writes doc, unless it is empty, and takes it over. */
static rz_status put_doc(struct rz_hf_export *x, enum rz_hf_doc_id id, json_t *doc,
                         rz_hf_sink *sink, void *ctx)
{
    rz_status status = RZ_OK;
    char *text = json_dumps(doc, JSON_INDENT(2) | JSON_REAL_PRECISION(FLOAT_DIGITS));
    if (!text)
        status = rz_fail_nomem(x->err, 0, rz_hf_doc_name(id));
    else if (json_object_size(doc))
        status = sink(ctx, rz_hf_doc_name(id), text, strlen(text), x->err);
    free(text);
    json_decref(doc);
    return status;
}

static rz_status put_docs(struct rz_hf_export *x, rz_hf_sink *sink, void *ctx)
{
    json_t *config = json_object(), *generation = json_object(), *tokenizer = json_object();
    rz_status status = rz_hf_export_config(x, config);
    if (!status) {
        put_ids(x, generation);
        status = put_sampling(x, generation);
    }
    if (!status)
        status = put_tokenizer_config(x, tokenizer);
    rz_status first = status;
    json_t *docs[] = {config, generation, tokenizer};
    static const enum rz_hf_doc_id ids[] = {RZ_HF_CONFIG, RZ_HF_GENERATION, RZ_HF_TOKENIZER_CONFIG};
    for (size_t i = 0; i < RZ_ARRAY_LEN(docs); i++) {
        if (first || status)
            json_decref(docs[i]);
        else
            status = put_doc(x, ids[i], docs[i], sink, ctx);
    }
    return status;
}

rz_status rz_hf_export(const struct rz_writer_plan *plan, rz_hf_sink *sink, void *ctx,
                       rz_error *err)
{
    struct rz_hf_export x = {.source = plan->source, .plan = plan, .err = err};
    const rz_tensor *embed = rz_file_tensor(plan->source, "token_embd.weight");
    RZ_TRY(rz_file_get_string(plan->source, "general.architecture", &x.arch, NULL, err));
    if (!embed || embed->n_dims != 2 || embed->shape[0] > INT32_MAX)
        return rz_fail(err, RZ_EFORMAT, "%s: tensor token_embd.weight is missing",
                       rz_file_path(plan->source));
    x.n_vocab = (uint32_t)embed->shape[0];
    x.tied = !rz_file_tensor(plan->source, "output.weight");
    RZ_TRY(put_docs(&x, sink, ctx));
    struct rz_buf text;
    rz_buf_init(&text, MAX_DOC_BYTES);
    rz_status status = rz_hf_export_tokenizer(&x, &text);
    if (!status)
        status = sink(ctx, rz_hf_doc_name(RZ_HF_TOKENIZER), text.data, text.len, err);
    rz_buf_fini(&text);
    return status;
}
