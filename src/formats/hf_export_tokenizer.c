/* hf_export_tokenizer.c - tokenizer.json of a byte-level BPE, as huggingface/tokenizers loads it.
 *
 * That library gives added tokens that are not in the vocabulary the ids after it, whatever id
 * stands in the document. So only the added tokens at the vocabulary's end are left out of it, and
 * every id before them is in it. Unused tokens [PADn] at the very end are not written: readers make
 * them from vocab_size. Source: tokenizers' serialization of AddedVocabulary and BPE. */
#include "base/fail.h"
#include "base/utf8.h"
#include "formats/hf.h"
#include "formats/hf_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { /* GGUF's token types */
    TYPE_NORMAL = 1,
    TYPE_CONTROL = 3,
    TYPE_USER_DEFINED = 4,
    TYPE_UNUSED = 5
};

struct vocab {
    struct rz_hf_export *x;
    const rz_meta *tokens, *types, *merges;
    uint32_t n_used;  /* ids from here on are [PADn] */
    uint32_t n_plain; /* ids from here to n_used are added tokens, and only that */
};

/* ---- text ---- */

static void put_string(struct rz_buf *b, rz_slice s)
{
    rz_buf_char(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c != '"' && c != '\\' && c >= 0x20)
            continue;
        rz_buf_add(b, s.data + from, i - from);
        if (c < 0x20)
            rz_buf_printf(b, "\\u%04x", c);
        else
            rz_buf_printf(b, "\\%c", c);
        from = i + 1;
    }
    rz_buf_add(b, s.data + from, s.len - from);
    rz_buf_char(b, '"');
}

/* Takes value over. */
static void put_json(struct rz_buf *b, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    if (text)
        rz_buf_str(b, text);
    else
        b->failed = true;
    free(text);
    json_decref(value);
}

/* ---- vocabulary ---- */

static int64_t type_of(const struct vocab *v, uint32_t id)
{
    return v->types ? rz_meta_int(v->types, id) : TYPE_NORMAL;
}

static bool is_added(const struct vocab *v, uint32_t id)
{
    int64_t type = type_of(v, id);
    return type == TYPE_CONTROL || type == TYPE_USER_DEFINED;
}

static bool is_padding(const struct vocab *v, uint32_t id)
{
    char pad[24];
    int n = snprintf(pad, sizeof pad, "[PAD%u]", id);
    rz_slice text = rz_meta_string(v->tokens, id);
    return type_of(v, id) == TYPE_UNUSED && text.len == (size_t)n &&
           memcmp(text.data, pad, text.len) == 0;
}

static rz_status find_arrays(struct vocab *v)
{
    struct rz_hf_export *x = v->x;
    bool found;
    RZ_TRY(rz_file_get_array(x->source, "tokenizer.ggml.tokens", RZ_META_STRING, &v->tokens, NULL,
                             x->err));
    RZ_TRY(rz_file_get_array(x->source, "tokenizer.ggml.merges", RZ_META_STRING, &v->merges, NULL,
                             x->err));
    RZ_TRY(rz_file_get_array(x->source, "tokenizer.ggml.token_type", RZ_META_I32, &v->types, &found,
                             x->err));
    if (v->tokens->count != x->n_vocab || (v->types && v->types->count != x->n_vocab))
        return rz_fail(x->err, RZ_EFORMAT, "%s: %llu tokens for %u rows of the embedding",
                       rz_file_path(x->source), (unsigned long long)v->tokens->count, x->n_vocab);
    v->n_used = x->n_vocab;
    while (v->n_used > 0 && is_padding(v, v->n_used - 1))
        v->n_used--;
    v->n_plain = v->n_used;
    while (v->n_plain > 0 && is_added(v, v->n_plain - 1))
        v->n_plain--;
    return RZ_OK;
}

static int compare_texts(const void *a, const void *b)
{
    const rz_slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Texts that JSON can hold, each once: a document with one twice means another vocabulary. */
static rz_status check_texts(const struct vocab *v)
{
    const rz_file *source = v->x->source;
    rz_slice *texts = malloc((v->n_used + 1) * sizeof *texts);
    if (!texts)
        return rz_fail_nomem(v->x->err, v->n_used * sizeof *texts, "tokens");
    rz_status status = RZ_OK;
    for (uint32_t id = 0; !status && id < v->n_used; id++) {
        texts[id] = rz_meta_string(v->tokens, id);
        if (rz_utf8_valid(texts[id].data, texts[id].len) != texts[id].len)
            status =
                rz_fail(v->x->err, RZ_ELOAD, "%s: token %u is no UTF-8, which JSON cannot hold",
                        rz_file_path(source), id);
    }
    if (!status)
        qsort(texts, v->n_used, sizeof *texts, compare_texts);
    for (uint32_t i = 1; !status && i < v->n_used; i++)
        if (compare_texts(&texts[i - 1], &texts[i]) == 0)
            status = rz_fail(v->x->err, RZ_ELOAD,
                             "%s: two tokens have the text %.*s, which tokenizer.json cannot say",
                             rz_file_path(source), (int)(texts[i].len < 80 ? texts[i].len : 80),
                             texts[i].data);
    free(texts);
    return status;
}

static void put_added(const struct vocab *v, struct rz_buf *b)
{
    bool first = true;
    rz_buf_str(b, "\"added_tokens\": [");
    for (uint32_t id = 0; id < v->n_used; id++) {
        if (!is_added(v, id))
            continue;
        rz_buf_printf(b, "%s\n    {\"id\": %u, \"content\": ", first ? "" : ",", id);
        put_string(b, rz_meta_string(v->tokens, id));
        rz_buf_printf(b,
                      ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                      "\"normalized\": false, \"special\": %s}",
                      type_of(v, id) == TYPE_CONTROL ? "true" : "false");
        first = false;
    }
    rz_buf_str(b, first ? "],\n  " : "\n  ],\n  ");
}

/* ---- what surrounds a text ---- */

static json_t *template_token(rz_slice text)
{
    return json_pack("{s{sosi}}", "SpecialToken", "id", rz_hf_export_text(text), "type_id", 0);
}

/* single and pair of a TemplateProcessing: before, A, after. */
static json_t *template_side(rz_slice before, rz_slice after, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        if (before.data)
            json_array_append_new(list, template_token(before));
        json_array_append_new(
            list, json_pack("{s{sssi}}", "Sequence", "id", i ? "B" : "A", "type_id", 0));
        if (after.data)
            json_array_append_new(list, template_token(after));
    }
    return list;
}

static void add_special(json_t *tokens, rz_slice text, uint32_t id)
{
    char *key = text.data ? strndup(text.data, text.len) : NULL;
    if (key)
        json_object_set_new(tokens, key,
                            json_pack("{sos[i]s[o]}", "id", rz_hf_export_text(text), "ids", (int)id,
                                      "tokens", rz_hf_export_text(text)));
    free(key);
}

static rz_status put_post_processor(const struct vocab *v, bool add_bos, struct rz_buf *b)
{
    struct rz_hf_export *x = v->x;
    uint32_t bos = 0, eos = 0;
    bool add_eos = false, found;
    RZ_TRY(rz_file_get_bool(x->source, "tokenizer.ggml.add_bos_token", &add_bos, &found, x->err));
    RZ_TRY(rz_file_get_bool(x->source, "tokenizer.ggml.add_eos_token", &add_eos, &found, x->err));
    add_bos = rz_hf_export_id(x, "tokenizer.ggml.bos_token_id", &bos) && add_bos;
    add_eos = rz_hf_export_id(x, "tokenizer.ggml.eos_token_id", &eos) && add_eos;
    json_t *bytes = json_pack("{sssbsbsb}", "type", "ByteLevel", "add_prefix_space", 0,
                              "trim_offsets", 0, "use_regex", 0);
    rz_buf_str(b, "\"post_processor\": ");
    if (!add_bos && !add_eos) {
        put_json(b, bytes);
        return RZ_OK;
    }
    rz_slice before = {NULL, 0}, after = {NULL, 0};
    if (add_bos)
        before = rz_hf_export_token(x, bos);
    if (add_eos)
        after = rz_hf_export_token(x, eos);
    json_t *special = json_object();
    add_special(special, before, bos);
    add_special(special, after, eos);
    put_json(b, json_pack("{sss[o{sssososo}]}", "type", "Sequence", "processors", bytes, "type",
                          "TemplateProcessing", "single", template_side(before, after, 1), "pair",
                          template_side(before, after, 2), "special_tokens", special));
    return RZ_OK;
}

/* ---- the document ---- */

static void put_vocab(const struct vocab *v, struct rz_buf *b)
{
    rz_buf_str(b, "\"vocab\": {");
    for (uint32_t id = 0; id < v->n_plain; id++) {
        rz_buf_str(b, id ? ",\n      " : "\n      ");
        put_string(b, rz_meta_string(v->tokens, id));
        rz_buf_printf(b, ": %u", id);
    }
    rz_buf_str(b, "\n    },\n    \"merges\": [");
    for (uint64_t i = 0; i < v->merges->count; i++) {
        rz_buf_str(b, i ? ",\n      " : "\n      ");
        put_string(b, rz_meta_string(v->merges, i));
    }
    rz_buf_str(b, "\n    ]");
}

/* Whether a model adds BOS where its file does not say, which is a matter of the pre-tokenizer. */
static bool adds_bos(bool ignore_merges)
{
    return ignore_merges;
}

static rz_status put_document(const struct vocab *v, rz_slice pre, struct rz_buf *b)
{
    struct rz_hf_export *x = v->x;
    bool nfc = false, ignore_merges = false;
    json_t *steps = rz_hf_pre_json(pre, &nfc, &ignore_merges);
    if (!steps)
        return rz_fail(x->err, RZ_ELOAD,
                       "%s: the pre-tokenizer \"%.*s\" cannot be written as tokenizer.json",
                       rz_file_path(x->source), (int)(pre.len < 64 ? pre.len : 64), pre.data);
    rz_buf_str(b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  ");
    put_added(v, b);
    rz_buf_printf(
        b, "\"normalizer\": %s,\n  \"pre_tokenizer\": ", nfc ? "{\"type\": \"NFC\"}" : "null");
    put_json(b, steps);
    rz_buf_str(b, ",\n  ");
    RZ_TRY(put_post_processor(v, adds_bos(ignore_merges), b));
    rz_buf_str(b, ",\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                  "\"trim_offsets\": false, \"use_regex\": false},\n  \"model\": {\n    "
                  "\"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n    "
                  "\"continuing_subword_prefix\": \"\",\n    \"end_of_word_suffix\": \"\",\n    "
                  "\"fuse_unk\": false,\n    \"byte_fallback\": false,\n    ");
    rz_buf_printf(b, "\"ignore_merges\": %s,\n    ", ignore_merges ? "true" : "false");
    put_vocab(v, b);
    rz_buf_str(b, "\n  }\n}\n");
    return b->failed ? rz_fail_nomem(x->err, b->len, "tokenizer.json") : RZ_OK;
}

rz_status rz_hf_export_tokenizer(struct rz_hf_export *x, struct rz_buf *out)
{
    struct vocab v = {.x = x};
    rz_slice model, pre = {"", 0};
    bool found;
    RZ_TRY(rz_file_get_string(x->source, "tokenizer.ggml.model", &model, NULL, x->err));
    if (model.len != 4 || memcmp(model.data, "gpt2", 4) != 0)
        return rz_fail(x->err, RZ_ELOAD,
                       "%s: a vocabulary of the kind \"%.*s\" (SentencePiece) is not written as "
                       "tokenizer.json, only byte-level BPE",
                       rz_file_path(x->source), (int)(model.len < 32 ? model.len : 32), model.data);
    RZ_TRY(rz_file_get_string(x->source, "tokenizer.ggml.pre", &pre, &found, x->err));
    if (!found && x->arch.len > 4 && !memcmp(x->arch.data, "qwen", 4))
        pre = (rz_slice){"qwen2", 5};
    RZ_TRY(find_arrays(&v));
    RZ_TRY(check_texts(&v));
    return put_document(&v, pre, out);
}
