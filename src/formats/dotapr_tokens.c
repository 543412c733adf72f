/* dotapr_tokens.c - the tokenizer that an .apr file of aprender's or realizar's embeds, to GGUF's
 * keys.
 *
 * Rows of the embedding without a token become unused tokens, as everywhere else. Where no types
 * are given, special tokens are known by their shape, as realizar knows them.
 * Source: aprender's import code and realizar's apr/metadata.rs and mapped_apr_model.rs, as
 * docs/formats.md tells. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/dotapr_meta.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { /* GGUF's token types */
    TYPE_NORMAL = 1,
    TYPE_CONTROL = 3,
    TYPE_UNUSED = 5
};

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static rz_slice slice_of(const char *text)
{
    return (rz_slice){.data = text, .len = strlen(text)};
}

/* <|...|>, or <tag> and </tag> of lower-case letters and underscores. */
static bool looks_special(rz_slice s)
{
    if (s.len < 3 || s.data[0] != '<' || s.data[s.len - 1] != '>')
        return false;
    if (s.len > 4 && s.data[1] == '|' && s.data[s.len - 2] == '|')
        return true;
    size_t i = s.data[1] == '/' ? 2 : 1;
    if (s.len > 20 || i + 1 >= s.len)
        return false;
    for (; i + 1 < s.len; i++)
        if (s.data[i] != '_' && (s.data[i] < 'a' || s.data[i] > 'z'))
            return false;
    return true;
}

/* Texts and types up to the embedding's rows. */
static rz_status fill_up(struct rz_apr_meta *m, uint64_t n_rows)
{
    size_t n_given = m->tokens.n;
    if (n_rows && n_given > n_rows)
        return rz_apr_meta_bad(m, RZ_EFORMAT, "tokenizer.vocabulary",
                               "%zu tokens, and the embedding has %llu rows", n_given,
                               (unsigned long long)n_rows);
    if (m->has_types && m->types.len / 4 != n_given)
        return rz_apr_meta_bad(m, RZ_EFORMAT, "tokenizer.token_type", "%zu types for %zu tokens",
                               m->types.len / 4, n_given);
    for (size_t id = 0; !m->has_types && id < n_given; id++) {
        int32_t type = looks_special(rz_hf_strings_at(&m->tokens, id)) ? TYPE_CONTROL : TYPE_NORMAL;
        rz_buf_add(&m->types, &type, sizeof type);
    }
    for (uint64_t id = n_given; id < n_rows; id++) {
        char pad[32];
        int32_t type = TYPE_UNUSED;
        float score = 0;
        int len = snprintf(pad, sizeof pad, "[PAD%llu]", (unsigned long long)id);
        rz_hf_strings_begin(&m->tokens);
        rz_hf_strings_text(&m->tokens, pad, (size_t)len);
        RZ_TRY(rz_hf_strings_end(&m->h, &m->tokens));
        rz_buf_add(&m->types, &type, sizeof type);
        if (m->has_scores)
            rz_buf_add(&m->scores, &score, sizeof score);
    }
    return m->types.failed || m->scores.failed
               ? rz_fail_nomem(m->r->err, m->types.len, "token types")
               : RZ_OK;
}

/* GGUF's name of the kind of tokenizer. */
static rz_status put_model(struct rz_apr_meta *m)
{
    static const char *const spm[] = {"llama", "spm", "sentencepiece", "unigram"};
    static const char *const names[] = {"tokenizer.model", "tokenizer.model_type"};
    const char *model = NULL;
    for (size_t i = 0; i < RZ_ARRAY_LEN(names) && !model; i++) {
        const struct rz_apr_field *f = rz_apr_field(m, names[i]);
        rz_slice text;
        if (!f || !rz_apr_is_string(f->value))
            continue;
        RZ_TRY(rz_apr_to_text(m, f->value, &text));
        if (text.len == 4 && strncasecmp(text.data, "gpt2", 4) == 0)
            model = "gpt2";
        if (text.len == 3 && strncasecmp(text.data, "bpe", 3) == 0)
            model = "gpt2";
        for (size_t k = 0; k < RZ_ARRAY_LEN(spm); k++)
            if (text.len == strlen(spm[k]) && strncasecmp(text.data, spm[k], text.len) == 0)
                model = "llama";
        if (!model)
            return rz_apr_meta_bad(m, RZ_ELOAD, names[i], "tokenizer %.*s is not supported",
                                   (int)rz_min_size(f->value.len, 60), f->value.data);
    }
    if (!model)
        model = m->has_merges || !m->has_scores ? "gpt2" : "llama";
    return rz_apr_put_text(m, "tokenizer.ggml.model", slice_of(model));
}

/* The id of a token's text, or -1. */
static int64_t find_token(const struct rz_apr_meta *m, rz_slice text)
{
    for (size_t id = 0; id < m->tokens.n; id++) {
        rz_slice other = rz_hf_strings_at(&m->tokens, id);
        if (other.len == text.len && memcmp(other.data, text.data, text.len) == 0)
            return (int64_t)id;
    }
    return -1;
}

/* The text of special_tokens' field, or data NULL. */
static rz_status special_text(struct rz_apr_meta *m, const char *name, rz_slice *text)
{
    const struct rz_apr_field *f = rz_apr_field(m, "special_tokens");
    size_t n = 0;
    bool more;
    rz_slice key, value;
    *text = (rz_slice){NULL, 0};
    if (!f || f->value.data[0] != '{')
        return RZ_OK;
    struct rz_json j = rz_apr_scan(m, f->value);
    RZ_TRY(rz_json_open(&j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '{', &n, &more));
        if (!more)
            return RZ_OK;
        RZ_TRY(rz_json_key(&j, &key));
        RZ_TRY(rz_json_skip(&j, &value));
        if (slice_is(key, name) && rz_apr_is_string(value))
            return rz_apr_to_text(m, value, text);
    }
}

/* A token by its id's field, else by its text in special_tokens. */
static rz_status put_id(struct rz_apr_meta *m, const char *field, const char *special,
                        const char *key)
{
    const struct rz_apr_field *f = rz_apr_field(m, field);
    uint64_t id;
    rz_slice text;
    if (f) {
        if (!rz_apr_to_u64(f->value, &id) || id >= m->tokens.n)
            return rz_apr_meta_bad(m, RZ_EFORMAT, field, "%.*s is not a token's id",
                                   (int)rz_min_size(f->value.len, 60), f->value.data);
        return rz_apr_put_u32(m, key, id);
    }
    RZ_TRY(special_text(m, special, &text));
    int64_t found = text.data ? find_token(m, text) : -1;
    return found >= 0 ? rz_apr_put_u32(m, key, (uint64_t)found) : RZ_OK;
}

static rz_status put_bool(struct rz_apr_meta *m, const char *field, const char *key)
{
    const struct rz_apr_field *f = rz_apr_field(m, field);
    bool value;
    if (!f)
        return RZ_OK;
    if (!rz_apr_to_bool(f->value, &value))
        return rz_apr_meta_bad(m, RZ_EFORMAT, field, "neither true nor false");
    return rz_apr_put_bool(m, key, value);
}

static rz_status put_text(struct rz_apr_meta *m, const char *field, const char *key)
{
    const struct rz_apr_field *f = rz_apr_field(m, field);
    rz_slice text;
    if (!f || rz_apr_has_key(m, key))
        return RZ_OK;
    if (!rz_apr_is_string(f->value))
        return rz_apr_meta_bad(m, RZ_EFORMAT, field, "not a string");
    RZ_TRY(rz_apr_to_text(m, f->value, &text));
    return rz_apr_put_text(m, key, text);
}

rz_status rz_apr_read_tokens(struct rz_apr_meta *m, uint64_t n_rows)
{
    RZ_TRY(put_text(m, "chat_template", "tokenizer.chat_template"));
    RZ_TRY(put_text(m, "tokenizer.chat_template", "tokenizer.chat_template"));
    if (!m->has_tokens)
        return RZ_OK;
    if (m->has_scores && m->scores.len / 4 != m->tokens.n)
        return rz_apr_meta_bad(m, RZ_EFORMAT, "tokenizer.scores", "%zu scores for %zu tokens",
                               m->scores.len / 4, m->tokens.n);
    RZ_TRY(fill_up(m, n_rows));
    RZ_TRY(put_model(m));
    RZ_TRY(put_text(m, "tokenizer.pre_type", "tokenizer.ggml.pre"));
    RZ_TRY(rz_apr_put_strings(m, slice_of("tokenizer.ggml.tokens"), &m->tokens));
    RZ_TRY(rz_apr_put_numbers(m, slice_of("tokenizer.ggml.token_type"), RZ_META_I32, &m->types));
    if (m->has_scores)
        RZ_TRY(rz_apr_put_numbers(m, slice_of("tokenizer.ggml.scores"), RZ_META_F32, &m->scores));
    if (m->has_merges)
        RZ_TRY(rz_apr_put_strings(m, slice_of("tokenizer.ggml.merges"), &m->merges));
    RZ_TRY(put_id(m, "tokenizer.bos_token_id", "bos_token", "tokenizer.ggml.bos_token_id"));
    RZ_TRY(put_id(m, "tokenizer.eos_token_id", "eos_token", "tokenizer.ggml.eos_token_id"));
    RZ_TRY(put_id(m, "tokenizer.padding_token_id", "pad_token", "tokenizer.ggml.padding_token_id"));
    RZ_TRY(put_id(m, "tokenizer.unknown_token_id", "unk_token", "tokenizer.ggml.unknown_token_id"));
    return put_bool(m, "tokenizer.add_bos_token", "tokenizer.ggml.add_bos_token");
}
