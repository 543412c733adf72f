/* hf_tokenizer.c - tokenizer.json: vocabulary, merges, added tokens.
 *
 * The large parts, vocab and merges, are read as they stand (json_scan.h): jansson's tree of a
 * vocabulary of 151,936 tokens takes 40 MB and as long as the rest of loading. Ids that nothing
 * names, up to the rows of the embedding, become unused tokens, as llama.cpp's converter makes
 * them. Source: huggingface/tokenizers, tokenizer.json as its serialization writes it. */
#include "base/checked.h"
#include "base/fail.h"
#include "base/hash.h"
#include "formats/hf.h"
#include "formats/json_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN = 80,
    MAX_PROBES = 2048,
    HASH_SEED = 0x68667665
};

enum { /* GGUF's token types */
    TYPE_NORMAL = 1,
    TYPE_CONTROL = 3,
    TYPE_USER_DEFINED = 4,
    TYPE_UNUSED = 5
};

/* By id. */
struct token {
    const char *raw; /* in the document, escapes as they are; NULL: no such id */
    uint32_t len;
    int32_t type;
};

/* The text of each field of tokenizer.json, data NULL if absent. */
struct parts {
    rz_slice added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model;
};

/* And of its "model". */
struct bpe {
    rz_slice type, vocab, merges, unk_token, dropout, prefix, suffix, byte_fallback, ignore_merges;
};

struct reader {
    struct rz_hf *h;
    const char *label;
    struct token *tokens; /* [h->n_vocab] */
    struct rz_hf_strings texts, merges;
};

struct part {
    const char *key;
    rz_slice *out;
};

static int shown(rz_slice s)
{
    return (int)rz_min_size(s.len, SHOWN);
}

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

#define bad(r, code, ...) rz_hf_bad((r)->h, code, RZ_HF_TOKENIZER, __VA_ARGS__)

/* A scanner over a part of the document. */
static struct rz_json scan(const struct reader *r, rz_slice part)
{
    const char *document = r->h->docs[RZ_HF_TOKENIZER].text.data;
    return (struct rz_json){.data = part.data,
                            .len = part.len,
                            .label = r->label,
                            .base = (size_t)(part.data - document),
                            .err = r->h->err};
}

/* Notes where the fields of an object that are in the list stand. */
static rz_status find_parts(const struct reader *r, rz_slice object, const struct part *parts,
                            size_t n_parts)
{
    struct rz_json j = scan(r, object);
    size_t n = 0;
    bool more;
    rz_slice key, value;
    RZ_TRY(rz_json_open(&j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '{', &n, &more));
        if (!more)
            return rz_json_end(&j);
        size_t at = j.pos;
        RZ_TRY(rz_json_key(&j, &key));
        RZ_TRY(rz_json_skip(&j, &value));
        for (size_t i = 0; i < n_parts; i++) {
            if (!slice_is(key, parts[i].key))
                continue;
            if (parts[i].out->data)
                return rz_json_bad(&j, at, "%s occurs twice", parts[i].key);
            *parts[i].out = value;
        }
    }
}

static bool is_absent(rz_slice part)
{
    return !part.data || slice_is(part, "null");
}

/* ---- vocabulary ---- */

static rz_status set_token(const struct reader *r, struct rz_json *j, uint64_t id, rz_slice raw,
                           int32_t type)
{
    if (id >= r->h->n_vocab)
        return rz_json_bad(j, j->pos, "token %.*s has id %llu, and config.json's vocab_size is %u",
                           shown(raw), raw.data, (unsigned long long)id, r->h->n_vocab);
    struct token *t = &r->tokens[id];
    bool same = t->raw && t->len == raw.len && memcmp(t->raw, raw.data, raw.len) == 0;
    if (t->raw && (!same || type == TYPE_NORMAL))
        return rz_json_bad(j, j->pos, "tokens %.*s and %.*s have the same id %llu",
                           (int)rz_min_size(t->len, SHOWN), t->raw, shown(raw), raw.data,
                           (unsigned long long)id);
    if (raw.len > UINT32_MAX)
        return rz_json_bad(j, j->pos, "a token of %zu bytes", raw.len);
    *t = (struct token){.raw = raw.data, .len = (uint32_t)raw.len, .type = type};
    return RZ_OK;
}

static rz_status read_vocab(const struct reader *r, rz_slice vocab)
{
    struct rz_json j = scan(r, vocab);
    size_t n = 0;
    bool more;
    rz_slice key;
    uint64_t id = 0;
    RZ_TRY(rz_json_open(&j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '{', &n, &more));
        if (!more)
            return RZ_OK;
        RZ_TRY(rz_json_key(&j, &key));
        RZ_TRY(rz_json_u64(&j, &id));
        RZ_TRY(set_token(r, &j, id, key, TYPE_NORMAL));
    }
}

/* One of added_tokens. lstrip, rstrip and single_word change what surrounds a token. */
static rz_status read_added(const struct reader *r, struct rz_json *j)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "special"};
    bool set[RZ_ARRAY_LEN(flags)] = {false}, has_id = false, more;
    size_t n = 0;
    rz_slice key, content = {NULL, 0}, value = {NULL, 0};
    uint64_t id = 0;
    RZ_TRY(rz_json_open(j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(j, '{', &n, &more));
        if (!more)
            break;
        RZ_TRY(rz_json_key(j, &key));
        if (slice_is(key, "content")) {
            RZ_TRY(rz_json_string(j, &content));
        } else if (slice_is(key, "id")) {
            RZ_TRY(rz_json_u64(j, &id));
            has_id = true;
        } else {
            RZ_TRY(rz_json_skip(j, &value));
        }
        for (size_t i = 0; i < RZ_ARRAY_LEN(flags); i++)
            set[i] = set[i] || (slice_is(key, flags[i]) && slice_is(value, "true"));
    }
    if (!content.data || !has_id)
        return rz_json_bad(j, j->pos, "an added token without content or id");
    for (size_t i = 0; i < 3; i++)
        if (set[i])
            return bad(r, RZ_ELOAD, "added token %.*s has %s, which is not supported",
                       shown(content), content.data, flags[i]);
    return set_token(r, j, id, content, set[3] ? TYPE_CONTROL : TYPE_USER_DEFINED);
}

static rz_status read_added_tokens(const struct reader *r, rz_slice list)
{
    struct rz_json j = scan(r, list);
    size_t n = 0;
    bool more;
    if (is_absent(list))
        return RZ_OK;
    RZ_TRY(rz_json_open(&j, '['));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '[', &n, &more));
        if (!more)
            return RZ_OK;
        RZ_TRY(read_added(r, &j));
    }
}

/* ---- merges ---- */

/* "a b", or ["a", "b"]. */
static rz_status read_merge(struct reader *r, struct rz_json *j)
{
    rz_slice raw;
    bool more;
    rz_hf_strings_begin(&r->merges);
    if (rz_json_peek(j) != '[') {
        RZ_TRY(rz_json_string(j, &raw));
        rz_hf_strings_raw(&r->merges, raw);
        return rz_hf_strings_end(r->h, &r->merges);
    }
    size_t n = 0, at = j->pos;
    RZ_TRY(rz_json_open(j, '['));
    for (;;) {
        RZ_TRY(rz_json_more(j, '[', &n, &more));
        if (!more)
            break;
        if (n > 2)
            return rz_json_bad(j, at, "a merge of more than two tokens");
        RZ_TRY(rz_json_string(j, &raw));
        /* A byte-level token has no space, so GGUF's form says the same. */
        if (memchr(raw.data, ' ', raw.len))
            return rz_json_bad(j, at, "a merge with a space in a token");
        if (n == 2)
            rz_hf_strings_text(&r->merges, " ", 1);
        rz_hf_strings_raw(&r->merges, raw);
    }
    if (n != 2)
        return rz_json_bad(j, at, "a merge of %zu tokens", n);
    return rz_hf_strings_end(r->h, &r->merges);
}

static rz_status read_merges(struct reader *r, rz_slice list)
{
    struct rz_json j = scan(r, list);
    size_t n = 0;
    bool more;
    RZ_TRY(rz_json_open(&j, '['));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '[', &n, &more));
        if (!more)
            return RZ_OK;
        RZ_TRY(read_merge(r, &j));
    }
}

/* ---- to metadata ---- */

/* Two ids with one text: which of them a text gets would depend on the reader. */
static rz_status check_distinct(const struct reader *r)
{
    const struct rz_hf_strings *s = &r->texts;
    size_t n_slots = 16;
    while (n_slots < s->n + s->n / 2)
        n_slots *= 2;
    uint64_t *slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return rz_fail_nomem(r->h->err, n_slots * sizeof *slots, "the vocabulary");
    rz_status status = RZ_OK;
    for (size_t id = 0; !status && id < s->n; id++) {
        if (r->tokens[id].type == TYPE_UNUSED)
            continue;
        rz_slice text = rz_hf_strings_at(s, id);
        uint64_t hash = rz_hash_bytes(text.data, text.len, HASH_SEED) & 0xFFFFFFFF00000000u;
        size_t at = (hash >> 32) & (n_slots - 1);
        for (unsigned n = 0; slots[at] && !status; n++, at = (at + 1) & (n_slots - 1)) {
            size_t other = (slots[at] & UINT32_MAX) - 1;
            if (n == MAX_PROBES)
                status = bad(r, RZ_EFORMAT, "too many tokens that hash alike");
            else if ((slots[at] ^ hash) >> 32 == 0) {
                rz_slice o = rz_hf_strings_at(s, other);
                if (o.len == text.len && memcmp(o.data, text.data, o.len) == 0)
                    status = bad(r, RZ_EFORMAT, "token %.*s has the ids %zu and %zu", shown(text),
                                 text.data, other, id);
            }
        }
        slots[at] = hash | (id + 1);
    }
    free(slots);
    return status;
}

static rz_status add_texts(struct reader *r)
{
    for (uint32_t id = 0; id < r->h->n_vocab; id++) {
        struct token *t = &r->tokens[id];
        rz_hf_strings_begin(&r->texts);
        if (t->raw) {
            rz_hf_strings_raw(&r->texts, (rz_slice){.data = t->raw, .len = t->len});
        } else {
            char pad[24];
            int len = snprintf(pad, sizeof pad, "[PAD%u]", id);
            rz_hf_strings_text(&r->texts, pad, (size_t)len);
            t->type = TYPE_UNUSED;
        }
        RZ_TRY(rz_hf_strings_end(r->h, &r->texts));
    }
    return check_distinct(r);
}

static rz_status put_types(const struct reader *r)
{
    uint32_t n = r->h->n_vocab;
    int32_t *types = malloc(((size_t)n + 1) * sizeof *types);
    if (!types)
        return rz_fail_nomem(r->h->err, n * sizeof *types, "token types");
    for (uint32_t id = 0; id < n; id++)
        types[id] = r->tokens[id].type;
    rz_status status = rz_hf_put_i32s(r->h, "tokenizer.ggml.token_type", types, n);
    free(types);
    return status;
}

static rz_status put_pre(const struct reader *r, const struct parts *p, bool ignore_merges)
{
    json_t *pre = NULL, *normalizer = NULL;
    const char *name = NULL;
    rz_status status = RZ_OK;
    if (p->pre_tokenizer.data)
        status = rz_hf_parse(r->h, RZ_HF_TOKENIZER, p->pre_tokenizer, &pre);
    if (!status && p->normalizer.data)
        status = rz_hf_parse(r->h, RZ_HF_TOKENIZER, p->normalizer, &normalizer);
    if (!status)
        status = rz_hf_find_pre(r->h, pre, normalizer, ignore_merges, &name);
    if (!status)
        status = rz_hf_put_string(r->h, "tokenizer.ggml.pre", name, strlen(name));
    json_decref(pre);
    json_decref(normalizer);
    return status;
}

/* What a byte-level BPE has. */
static rz_status check_model(const struct reader *r, const struct parts *p, const struct bpe *b)
{
    static const char spm[] = "a tokenizer in SentencePiece's manner is not supported from "
                              "tokenizer.json (convert the model to GGUF)";
    if (b->type.data && !slice_is(b->type, "\"BPE\""))
        return bad(r, RZ_ELOAD, "model type %.*s is not supported, only BPE", shown(b->type),
                   b->type.data);
    if (slice_is(b->byte_fallback, "true"))
        return bad(r, RZ_ELOAD, "byte_fallback: %s", spm);
    if (p->decoder.data && !memmem(p->decoder.data, p->decoder.len, "\"ByteLevel\"", 11))
        return bad(r, RZ_ELOAD, "no ByteLevel decoder: %s", spm);
    bool affix = !(is_absent(b->prefix) || slice_is(b->prefix, "\"\"")) ||
                 !(is_absent(b->suffix) || slice_is(b->suffix, "\"\""));
    if (affix || !is_absent(b->dropout))
        return bad(r, RZ_ELOAD,
                   "dropout, continuing_subword_prefix and end_of_word_suffix are not "
                   "supported");
    if (!b->vocab.data || !b->merges.data)
        return bad(r, RZ_EFORMAT, "model has no %s", b->vocab.data ? "merges" : "vocab");
    return RZ_OK;
}

static rz_status read_all(struct reader *r)
{
    struct rz_hf *h = r->h;
    struct parts p = {0};
    struct bpe b = {0};
    const struct part parts[] = {
        {"added_tokens", &p.added_tokens},
        {"normalizer", &p.normalizer},
        {"pre_tokenizer", &p.pre_tokenizer},
        {"post_processor", &p.post_processor},
        {"decoder", &p.decoder},
        {"model", &p.model},
    };
    const struct part fields[] = {
        {"type", &b.type},
        {"vocab", &b.vocab},
        {"merges", &b.merges},
        {"unk_token", &b.unk_token},
        {"dropout", &b.dropout},
        {"continuing_subword_prefix", &b.prefix},
        {"end_of_word_suffix", &b.suffix},
        {"byte_fallback", &b.byte_fallback},
        {"ignore_merges", &b.ignore_merges},
    };
    RZ_TRY(find_parts(r, h->docs[RZ_HF_TOKENIZER].text, parts, RZ_ARRAY_LEN(parts)));
    if (!p.model.data)
        return bad(r, RZ_EFORMAT, "model is missing");
    RZ_TRY(find_parts(r, p.model, fields, RZ_ARRAY_LEN(fields)));
    RZ_TRY(check_model(r, &p, &b));
    RZ_TRY(rz_hf_put_string(h, "tokenizer.ggml.model", "gpt2", 4));
    RZ_TRY(put_pre(r, &p, slice_is(b.ignore_merges, "true")));
    RZ_TRY(read_vocab(r, b.vocab));
    RZ_TRY(read_added_tokens(r, p.added_tokens));
    RZ_TRY(add_texts(r));
    RZ_TRY(rz_hf_put_strings(h, "tokenizer.ggml.tokens", &r->texts));
    RZ_TRY(put_types(r));
    RZ_TRY(read_merges(r, b.merges));
    RZ_TRY(rz_hf_put_strings(h, "tokenizer.ggml.merges", &r->merges));
    return rz_hf_read_special(h, p.post_processor);
}

rz_status rz_hf_read_tokenizer(struct rz_hf *h)
{
    char label[RZ_MAX_PATH_SHOWN + 32];
    snprintf(label, sizeof label, "%s/%s", h->dir, rz_hf_doc_name(RZ_HF_TOKENIZER));
    struct reader r = {.h = h, .label = label};
    if (!h->docs[RZ_HF_TOKENIZER].text.data)
        return rz_fail(h->err, RZ_ENOTFOUND,
                       "%s: tokenizer.json is missing; a SafeTensors model is read with it, not "
                       "with vocab.json or tokenizer.model",
                       h->dir);
    r.tokens = calloc((size_t)h->n_vocab + 1, sizeof *r.tokens);
    rz_status status =
        r.tokens ? RZ_OK : rz_fail_nomem(h->err, h->n_vocab * sizeof *r.tokens, "tokens");
    if (!status)
        status = rz_hf_strings_init(h, &r.texts);
    if (!status)
        status = rz_hf_strings_init(h, &r.merges);
    if (!status)
        status = read_all(&r);
    rz_hf_strings_fini(&r.texts);
    rz_hf_strings_fini(&r.merges);
    free(r.tokens);
    return status;
}
