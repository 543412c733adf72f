/* tokenizer_load.c - from tokenizer.ggml.* metadata to a tokenizer. The metadata is a stranger's:
 * each key is checked for type, length and range before use, and what is wrong is named with its
 * index. */
#include "base/fail.h"
#include "tokenizer/internal.h"

#include <stdio.h>
#include <stdlib.h>

static rz_status refuse_pre(rz_slice name, rz_error *err)
{
    char list[512] = "";
    size_t n = 0;
    for (size_t i = 0; rz_pre_name_at(i); i++) {
        int added = snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", rz_pre_name_at(i));
        if (added < 0 || (size_t)added >= sizeof list - n)
            break;
        n += (size_t)added;
    }
    return rz_fail(err, RZ_ELOAD,
                   "tokenizer.ggml.pre: pre-tokenizer \"%.*s\" is not supported (supported: %s)",
                   (int)(name.len < 64 ? name.len : 64), name.data, list);
}

/* Files from before tokenizer.ggml.pre existed: only where the architecture has had one pattern. */
static rz_status guess_pre(const rz_file *file, rz_slice *pre, rz_error *err)
{
    static const char *const archs[] = {"qwen2", "qwen2moe", "qwen3", "qwen3moe"};
    rz_slice arch = {"", 0};
    RZ_TRY(rz_file_get_string(file, "general.architecture", &arch, &(bool){false}, err));
    for (size_t i = 0; i < RZ_ARRAY_LEN(archs); i++)
        if (rz_slice_is(arch, archs[i], strlen(archs[i]))) {
            *pre = (rz_slice){"qwen2", 5};
            return RZ_OK;
        }
    return rz_fail(err, RZ_ELOAD,
                   "tokenizer.ggml.pre is missing, and architecture \"%.*s\" does not tell how its "
                   "tokenizer cuts words: convert the model again with a current converter",
                   (int)(arch.len < 64 ? arch.len : 64), arch.data);
}

static rz_status load_model(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    rz_slice model;
    RZ_TRY(rz_file_get_string(file, "tokenizer.ggml.model", &model, NULL, err));
    tok->spm = rz_slice_is(model, "llama", 5);
    if (tok->spm)
        return RZ_OK;
    if (!rz_slice_is(model, "gpt2", 4))
        return rz_fail(err, RZ_ELOAD,
                       "tokenizer.ggml.model: \"%.*s\" is not supported (supported: gpt2, llama)",
                       (int)(model.len < 64 ? model.len : 64), model.data);
    rz_slice pre;
    bool found;
    RZ_TRY(rz_file_get_string(file, "tokenizer.ggml.pre", &pre, &found, err));
    if (!found)
        RZ_TRY(guess_pre(file, &pre, err));
    tok->pre = rz_pre_find(pre);
    return tok->pre ? RZ_OK : refuse_pre(pre, err);
}

static bool is_integer(rz_meta_type type)
{
    return type <= RZ_META_I32 || type == RZ_META_U64 || type == RZ_META_I64;
}

static rz_status load_types(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    tok->flags = malloc(tok->n_vocab);
    if (!tok->flags)
        return rz_fail_nomem(err, tok->n_vocab, "token types");
    const rz_meta *types = rz_file_meta(file, "tokenizer.ggml.token_type");
    if (!types) {
        if (tok->spm)
            return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.token_type: key missing");
        memset(tok->flags, RZ_TOKEN_NORMAL, tok->n_vocab);
        return RZ_OK;
    }
    if (types->type != RZ_META_ARRAY || !is_integer(types->elem_type))
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.token_type: not an array of integers");
    if (types->count != tok->n_vocab)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.token_type: %llu entries for %u tokens",
                       (unsigned long long)types->count, tok->n_vocab);
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        int64_t type = rz_meta_int(types, id);
        if (type < 0 || type >= RZ_N_TOKEN_TYPES)
            return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.token_type[%u]: %lld, at most %d", id,
                           (long long)type, RZ_N_TOKEN_TYPES - 1);
        tok->flags[id] = (uint8_t)type;
    }
    return RZ_OK;
}

/* A token id under key: absent, -1 as any integer type: *id stays. */
static rz_status load_id(const rz_tokenizer *tok, const rz_file *file, const char *key, int32_t *id,
                         rz_error *err)
{
    const rz_meta *meta = rz_file_meta(file, key);
    if (!meta)
        return RZ_OK;
    if (!is_integer(meta->type))
        return rz_fail(err, RZ_EFORMAT, "%s: %s where an integer is expected", key,
                       rz_meta_type_name(meta->type));
    int64_t value = rz_meta_int(meta, 0);
    if (value == -1 || (meta->type == RZ_META_U32 && value == UINT32_MAX)) {
        *id = -1;
        return RZ_OK;
    }
    if (value < 0 || value >= tok->n_vocab)
        return rz_fail(err, RZ_EFORMAT, "%s: %lld, but there are %u tokens", key, (long long)value,
                       tok->n_vocab);
    *id = (int32_t)value;
    return RZ_OK;
}

static rz_status load_ids(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    tok->bos = tok->eos = tok->eot = tok->eom = tok->unk = -1;
    if (tok->spm && tok->n_vocab > 2) { /* where SentencePiece's trainer puts them */
        tok->unk = 0;
        tok->bos = 1;
        tok->eos = 2;
    }
    RZ_TRY(load_id(tok, file, "tokenizer.ggml.bos_token_id", &tok->bos, err));
    RZ_TRY(load_id(tok, file, "tokenizer.ggml.eos_token_id", &tok->eos, err));
    RZ_TRY(load_id(tok, file, "tokenizer.ggml.eot_token_id", &tok->eot, err));
    RZ_TRY(load_id(tok, file, "tokenizer.ggml.eom_token_id", &tok->eom, err));
    RZ_TRY(load_id(tok, file, "tokenizer.ggml.unknown_token_id", &tok->unk, err));
    bool bos_stated, eos_stated;
    tok->add_bos = tok->spm || tok->pre->add_bos;
    RZ_TRY(rz_file_get_bool(file, "tokenizer.ggml.add_bos_token", &tok->add_bos, &bos_stated, err));
    RZ_TRY(rz_file_get_bool(file, "tokenizer.ggml.add_eos_token", &tok->add_eos, &eos_stated, err));
    if (bos_stated && tok->add_bos && tok->bos < 0)
        return rz_fail(err, RZ_EFORMAT,
                       "tokenizer.ggml.add_bos_token is true, but there is no "
                       "tokenizer.ggml.bos_token_id");
    if (eos_stated && tok->add_eos && tok->eos < 0)
        return rz_fail(err, RZ_EFORMAT,
                       "tokenizer.ggml.add_eos_token is true, but there is no "
                       "tokenizer.ggml.eos_token_id");
    tok->add_bos = tok->add_bos && tok->bos >= 0;
    return RZ_OK;
}

static rz_status load_texts(rz_tokenizer *tok, const rz_file *file, size_t *n_bytes, rz_error *err)
{
    RZ_TRY(
        rz_file_get_array(file, "tokenizer.ggml.tokens", RZ_META_STRING, &tok->texts, NULL, err));
    if (tok->texts->count == 0 || tok->texts->count > RZ_MAX_VOCAB)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.tokens: %llu tokens, 1 to %d expected",
                       (unsigned long long)tok->texts->count, RZ_MAX_VOCAB);
    tok->n_vocab = (uint32_t)tok->texts->count;
    *n_bytes = 0;
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        size_t len = rz_meta_string(tok->texts, id).len;
        if (len > RZ_MAX_TOKEN_BYTES)
            return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.tokens[%u]: %zu bytes, at most %d", id,
                           len, RZ_MAX_TOKEN_BYTES);
        *n_bytes += len;
    }
    if (*n_bytes > UINT32_MAX)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.tokens: %zu bytes, at most %u", *n_bytes,
                       UINT32_MAX);
    return RZ_OK;
}

/* Printable ASCII is written as it is in both models' files. */
static bool is_plain(rz_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7E)
            return false;
    return true;
}

/* What token id stands for, to out; its length. A token of byte-level BPE that is outside the byte
 * alphabet stands for itself, as in Hugging Face's decoder. */
static rz_status decode_token(const rz_tokenizer *tok, uint32_t id, rz_slice text, char *out,
                              size_t *len, rz_error *err)
{
    enum rz_token_type type = rz_token_type(tok, (int32_t)id);
    bool raw = type == RZ_TOKEN_CONTROL || type == RZ_TOKEN_UNKNOWN ||
               (type == RZ_TOKEN_USER_DEFINED && !tok->spm);
    if (!raw && (type == RZ_TOKEN_BYTE || !is_plain(text))) {
        if (tok->spm ? rz_spm_decode(text, type, out, len) : rz_bpe_decode(text, out, len))
            return RZ_OK;
        if (tok->spm)
            return rz_fail(err, RZ_EFORMAT,
                           "tokenizer.ggml.tokens[%u]: of type byte, but not written <0xXX>", id);
    }
    *len = text.len;
    if (text.len > 0)
        memcpy(out, text.data, text.len);
    return RZ_OK;
}

static rz_status load_tokens(rz_tokenizer *tok, size_t n_bytes, rz_error *err)
{
    RZ_TRY(rz_strings_init(&tok->bytes, tok->n_vocab, n_bytes, err));
    if (tok->spm)
        RZ_TRY(rz_strings_init(&tok->keys, tok->n_vocab, n_bytes, err));
    struct rz_strings *bytes = &tok->bytes, *keys = &tok->keys;
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        rz_slice text = rz_meta_string(tok->texts, id);
        size_t len;
        RZ_TRY(decode_token(tok, id, text, bytes->pool + bytes->at[id], &len, err));
        bytes->at[id + 1] = bytes->at[id] + (uint32_t)len;
        if (tok->spm) {
            if (text.len > 0)
                memcpy(keys->pool + keys->at[id], text.data, text.len);
            keys->at[id + 1] = keys->at[id] + (uint32_t)text.len;
        }
    }
    return RZ_OK;
}

/* Enters all but the added and the empty tokens in the table, each slot asked of memory some tokens
 * before it is written. */
static rz_status load_vocab(rz_tokenizer *tok, rz_error *err)
{
    enum {
        AHEAD = 16
    };
    uint64_t hashes[AHEAD] = {0};
    const struct rz_strings *keys = tok->spm ? &tok->keys : &tok->bytes;
    RZ_TRY(rz_vocab_init(&tok->vocab, tok->n_vocab, keys, err));
    for (uint32_t i = 0; i < tok->n_vocab + AHEAD; i++) {
        if (i >= AHEAD) {
            uint32_t id = i - AHEAD;
            bool added = rz_token_is_added(rz_token_type(tok, (int32_t)id));
            if (!added && keys->at[id + 1] > keys->at[id])
                RZ_TRY(rz_vocab_add(&tok->vocab, id, hashes[id % AHEAD], err));
        }
        if (i < tok->n_vocab) {
            rz_slice key = rz_strings_get(keys, i);
            uint64_t hash = rz_word_hash(key.data, key.len);
            hashes[i % AHEAD] = hash;
            __builtin_prefetch(&tok->vocab.slots[hash & tok->vocab.mask], 1);
        }
    }
    return RZ_OK;
}

static rz_status load_added(rz_tokenizer *tok, rz_error *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < tok->n_vocab; id++)
        n += rz_token_is_added(rz_token_type(tok, (int32_t)id)) &&
             rz_strings_get(&tok->bytes, id).len > 0;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    if (!ids)
        return rz_fail_nomem(err, n * sizeof *ids, "added tokens");
    n = 0;
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        size_t len = rz_strings_get(&tok->bytes, id).len;
        if (!rz_token_is_added(rz_token_type(tok, (int32_t)id)) || len == 0)
            continue;
        if (len > RZ_MAX_ADDED_BYTES) {
            free(ids);
            return rz_fail(err, RZ_EFORMAT,
                           "tokenizer.ggml.tokens[%u]: an added token of %zu bytes, at most %d", id,
                           len, RZ_MAX_ADDED_BYTES);
        }
        ids[n++] = (int32_t)id;
    }
    rz_added_init(&tok->added, &tok->bytes, ids, n);
    return RZ_OK;
}

static bool is_end_text(rz_slice text)
{
    static const char *const ends[] = {"</s>",
                                       "<EOT>",
                                       "<eos>",
                                       "<end_of_turn>",
                                       "<end_of_text>",
                                       "<turn|>",
                                       "<|EOT|>",
                                       "<|call|>",
                                       "<|end_of_text|>",
                                       "<|end|>",
                                       "<|endofturn|>",
                                       "<|endoftext|>",
                                       "<|eom_id|>",
                                       "<|eot_id|>",
                                       "<|im_end|>",
                                       "<|return|>",
                                       "[EOS]",
                                       "[EOT]",
                                       "<end_of_utterance>",
                                       "<｜end▁of▁sentence｜>"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(ends); i++)
        if (rz_slice_is(text, ends[i], strlen(ends[i])))
            return true;
    return false;
}

/* Files are found that call <|im_end|> and the like normal tokens: no text could become them then,
 * and a chat would not end. Without any token types (stated false), the tokens that the file names
 * by id are control tokens as well. */
static void mend_types(rz_tokenizer *tok, bool stated)
{
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        rz_slice text = rz_meta_string(tok->texts, id);
        bool marked = text.len > 4 && text.data[0] == '<' && text.data[1] == '|';
        if (tok->flags[id] == RZ_TOKEN_NORMAL && marked && is_end_text(text))
            tok->flags[id] = RZ_TOKEN_CONTROL;
    }
    const int32_t ids[] = {tok->bos, tok->eos, tok->eot, tok->eom, tok->unk};
    for (size_t i = 0; i < RZ_ARRAY_LEN(ids) && !stated; i++)
        if (ids[i] >= 0)
            tok->flags[ids[i]] = RZ_TOKEN_CONTROL;
}

static void mark_ends(rz_tokenizer *tok)
{
    for (size_t i = 0; i < tok->added.n; i++) {
        int32_t id = tok->added.ids[i];
        if (is_end_text(rz_strings_get(&tok->bytes, (uint32_t)id)))
            tok->flags[id] |= RZ_TOKEN_IS_END;
    }
    /* The harmony format: <|end|> closes one message of an answer, <|return|> or <|call|> all. */
    int32_t end = rz_added_find(&tok->added, "<|end|>", 7);
    if (end >= 0 && rz_added_find(&tok->added, "<|return|>", 10) >= 0 &&
        rz_added_find(&tok->added, "<|call|>", 8) >= 0)
        tok->flags[end] &= RZ_TOKEN_TYPE_MASK;
    const int32_t ids[] = {tok->eos, tok->eot, tok->eom};
    for (size_t i = 0; i < RZ_ARRAY_LEN(ids); i++)
        if (ids[i] >= 0)
            tok->flags[ids[i]] |= RZ_TOKEN_IS_END;
}

rz_status rz_tokenizer_load(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    size_t n_bytes;
    RZ_TRY(load_model(tok, file, err));
    RZ_TRY(load_texts(tok, file, &n_bytes, err));
    RZ_TRY(load_types(tok, file, err));
    RZ_TRY(load_ids(tok, file, err));
    mend_types(tok, rz_file_meta(file, "tokenizer.ggml.token_type"));
    RZ_TRY(load_tokens(tok, n_bytes, err));
    RZ_TRY(load_vocab(tok, err));
    RZ_TRY(load_added(tok, err));
    mark_ends(tok);
    return tok->spm ? rz_spm_load(tok, file, err) : rz_bpe_load(tok, file, err);
}
