/* tokenizer.c - the public face: creation, look-ups, and the frame of encoding: BOS, the added
 * tokens and the text between them, EOS. Immutable after creation; a call keeps its state to
 * itself. */
#include <realizar/tokenizer.h>

#include "base/fail.h"
#include "base/utf8.h"
#include "tokenizer/internal.h"

#include <stdlib.h>

rz_status rz_tokenizer_new(rz_tokenizer **out, const rz_file *file, rz_error *err)
{
    *out = NULL;
    rz_tokenizer *tok = calloc(1, sizeof *tok);
    if (!tok)
        return rz_fail_nomem(err, sizeof *tok, "a tokenizer");
    rz_status status = rz_tokenizer_load(tok, file, err);
    if (status)
        rz_tokenizer_free(&tok);
    *out = tok;
    return status;
}

void rz_tokenizer_free(rz_tokenizer **tok)
{
    if (!tok || !*tok)
        return;
    rz_tokenizer *t = *tok;
    free(t->flags);
    free(t->merges);
    free(t->pair_slots);
    free(t->low_ranks);
    free(t->rank);
    rz_strings_fini(&t->bytes);
    rz_strings_fini(&t->keys);
    rz_vocab_fini(&t->vocab);
    rz_added_fini(&t->added);
    free(t);
    *tok = NULL;
}

uint32_t rz_tokenizer_n_vocab(const rz_tokenizer *tok)
{
    return tok->n_vocab;
}

const char *rz_tokenizer_model(const rz_tokenizer *tok)
{
    return tok->spm ? "llama" : "gpt2";
}

const char *rz_tokenizer_pre(const rz_tokenizer *tok)
{
    return tok->pre ? tok->pre->name : "";
}

int32_t rz_tokenizer_bos(const rz_tokenizer *tok)
{
    return tok->bos;
}

int32_t rz_tokenizer_eos(const rz_tokenizer *tok)
{
    return tok->eos;
}

bool rz_tokenizer_add_bos(const rz_tokenizer *tok)
{
    return tok->add_bos;
}

static bool in_vocab(const rz_tokenizer *tok, int32_t id)
{
    return id >= 0 && (uint32_t)id < tok->n_vocab;
}

bool rz_tokenizer_is_end(const rz_tokenizer *tok, int32_t id)
{
    return in_vocab(tok, id) && (tok->flags[id] & RZ_TOKEN_IS_END);
}

bool rz_tokenizer_is_special(const rz_tokenizer *tok, int32_t id)
{
    return in_vocab(tok, id) && rz_token_type_is_special(rz_token_type(tok, id));
}

rz_slice rz_tokenizer_bytes(const rz_tokenizer *tok, int32_t id)
{
    return in_vocab(tok, id) ? rz_strings_get(&tok->bytes, (uint32_t)id) : (rz_slice){"", 0};
}

int32_t rz_tokenizer_find(const rz_tokenizer *tok, const char *text)
{
    size_t len = strlen(text);
    int32_t id = rz_added_find(&tok->added, text, len);
    if (id >= 0 || len > RZ_MAX_TOKEN_BYTES)
        return id;
    if (tok->spm)
        return rz_vocab_find(&tok->vocab, text, len);
    /* The table holds what tokens stand for: look that up, then see how the file writes it. */
    char *bytes = malloc(len + 1);
    if (!bytes)
        return -1;
    size_t n;
    if (rz_bpe_decode((rz_slice){text, len}, bytes, &n))
        id = rz_vocab_find(&tok->vocab, bytes, n);
    else
        id = rz_vocab_find(&tok->vocab, text, len);
    free(bytes);
    return id >= 0 && rz_slice_is(rz_meta_string(tok->texts, (uint64_t)id), text, len) ? id : -1;
}

rz_status rz_cache_get(struct rz_encode *e, size_t begin, size_t end, bool *hit,
                       struct rz_word_cache_slot **slot)
{
    *hit = false;
    *slot = NULL;
    size_t len = end - begin;
    if (!e->cache || len > RZ_WORD_CACHE_MAX_LEN || len < 2)
        return RZ_OK;
    const char *word = (e->in_other ? e->other.data : e->text) + begin;
    uint64_t hash = rz_word_hash(word, len);
    struct rz_word_cache_slot *s = &e->cache[hash % RZ_WORD_CACHE_SLOTS];
    *slot = s;
    if (s->len != len || memcmp((s->in_other ? e->other.data : e->text) + s->at, word, len) != 0)
        return RZ_OK;
    *hit = true;
    RZ_TRY(rz_ids_reserve(e->ids, s->n_ids, e->err));
    const int32_t *from = e->ids->data + e->first_id + s->first_id;
    for (size_t i = 0; i < s->n_ids; i++)
        e->ids->data[e->ids->len++] = from[i];
    return RZ_OK;
}

void rz_cache_put(struct rz_encode *e, size_t begin, size_t end, size_t first_id,
                  struct rz_word_cache_slot *slot)
{
    if (!slot)
        return;
    *slot = (struct rz_word_cache_slot){.at = (uint32_t)begin,
                                        .first_id = (uint32_t)(first_id - e->first_id),
                                        .len = (uint16_t)(end - begin),
                                        .n_ids = (uint16_t)(e->ids->len - first_id),
                                        .in_other = e->in_other};
}

static rz_status encode_piece(struct rz_encode *e, size_t begin, size_t end)
{
    if (begin == end)
        return RZ_OK;
    return e->tok->spm ? rz_spm_encode(e, begin, end) : rz_bpe_encode(e, begin, end);
}

/* The text with its added tokens. One that is found but not wanted stays text; the search goes on
 * behind it, so that nothing inside it is found either. */
static rz_status encode_text(struct rz_encode *e, size_t len, bool special)
{
    const struct rz_added *added = &e->tok->added;
    struct rz_added_match match;
    size_t piece = 0, pos = 0;
    for (; rz_added_next(added, e->text, pos, len, &match); pos = match.end) {
        if (!special && rz_token_type_is_special(rz_token_type(e->tok, match.id)))
            continue;
        RZ_TRY(encode_piece(e, piece, match.begin));
        RZ_TRY(rz_ids_add(e->ids, match.id, e->err));
        piece = match.end;
    }
    return encode_piece(e, piece, len);
}

/* Bytes of valid UTF-8 at the start of text: eight ASCII bytes at a time where there are. */
static size_t valid_prefix(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        while (len - i >= 8 && (rz_load_u64(text + i) & 0x8080808080808080u) == 0)
            i += 8;
        if (i == len)
            break;
        uint32_t cp;
        int n = (uint8_t)text[i] < 0x80 ? 1 : rz_utf8_decode(text + i, len - i, &cp);
        if (n <= 0)
            break;
        i += (size_t)n;
    }
    return i;
}

rz_status rz_tokenizer_encode(const rz_tokenizer *tok, const char *text, size_t len, unsigned flags,
                              rz_ids *ids, rz_error *err)
{
    if (len > RZ_MAX_TEXT_BYTES)
        return rz_fail(err, RZ_EUSAGE, "a text of %zu bytes; at most %d can be encoded at once",
                       len, RZ_MAX_TEXT_BYTES);
    size_t valid = valid_prefix(text, len);
    if (valid < len)
        return rz_fail(err, RZ_EFORMAT, "invalid UTF-8 at byte %zu of the text", valid);
    struct rz_encode e = {.tok = tok, .ids = ids, .first_id = ids->len, .err = err, .text = text};
    rz_buf_init(&e.other, UINT32_MAX);
    if (len >= RZ_WORD_CACHE_MIN_TEXT) /* without it everything works, slower */
        e.cache = calloc(RZ_WORD_CACHE_SLOTS, sizeof *e.cache);
    bool ends = flags & RZ_ENCODE_BOS_EOS;
    rz_status status = RZ_OK;
    if (ends && tok->add_bos)
        status = rz_ids_add(ids, tok->bos, err);
    if (!status)
        status = encode_text(&e, len, flags & RZ_ENCODE_SPECIAL);
    if (!status && ends && tok->add_eos && tok->eos >= 0)
        status = rz_ids_add(ids, tok->eos, err);
    if (status)
        ids->len = e.first_id;
    rz_merge_fini(&e.scratch);
    rz_buf_fini(&e.other);
    free(e.cache);
    return status;
}
