/* bpe.c - byte-level byte pair encoding: each byte of a word is a symbol, and the merges of the file
 * join neighbours, the earliest merge first, as Hugging Face's tokenizers does it.
 * Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units",
 * 2016; the byte alphabet is that of GPT-2 (Radford et al., 2019). */
#include "base/fail.h"
#include "tokenizer/internal.h"
#include "tokenizer/nfc.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>

enum {
    ALPHABET_END = 0x144 /* 256 plus the 68 bytes that do not stand for themselves */
};

/* Whether the alphabet writes byte b as the character U+00b. */
static bool writes_itself(unsigned b)
{
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xFF && b != 0xAD);
}

/* The byte that character cp of the alphabet stands for, or -1. The bytes that do not stand for
 * themselves are 00-20, 7F-A0 and AD, written in this order from U+0100. */
static int byte_of(uint32_t cp)
{
    if (cp < 0x100)
        return writes_itself(cp) ? (int)cp : -1;
    if (cp >= ALPHABET_END)
        return -1;
    unsigned i = cp - 0x100;
    if (i <= 0x20)
        return (int)i;
    return i <= 0x42 ? (int)(i + 0x7F - 0x21) : 0xAD;
}

bool rz_bpe_decode(rz_slice text, char *out, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len;) {
        uint8_t lead = (uint8_t)text.data[i];
        /* The whole alphabet lies below U+0800. */
        if (lead >= 0x80 && (lead < 0xC2 || lead >= 0xE0 || i + 1 >= text.len ||
                             ((uint8_t)text.data[i + 1] & 0xC0) != 0x80))
            return false;
        int b = byte_of(rz_utf8_next(text.data, &i));
        if (b < 0)
            return false;
        out[n++] = (char)b;
    }
    *len = n;
    return true;
}

static uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static uint64_t pair_slot(const rz_tokenizer *tok, uint64_t key)
{
    return (key ^ key >> 29) * 0x9E3779B97F4A7C15u >> tok->pair_shift;
}

static rz_status pair_add(rz_tokenizer *tok, struct rz_pair pair, rz_error *err)
{
    uint64_t i = pair_slot(tok, pair.key);
    for (unsigned n = 0; tok->pairs[i].key != UINT64_MAX; n++, i = (i + 1) & tok->pair_mask) {
        if (tok->pairs[i].key == pair.key)
            return RZ_OK; /* the earlier merge stands */
        if (n == RZ_MAX_PROBES)
            return rz_fail(err, RZ_EFORMAT,
                           "tokenizer.ggml.merges[%u]: more hash collisions than merges have",
                           pair.rank);
    }
    tok->pairs[i] = pair;
    return RZ_OK;
}

static rz_status pairs_init(rz_tokenizer *tok, uint64_t n, rz_error *err)
{
    unsigned bits = 4;
    while ((uint64_t)1 << bits < n + n / 2)
        bits++;
    size_t n_slots = (size_t)1 << bits;
    tok->pairs = malloc(n_slots * sizeof *tok->pairs);
    if (!tok->pairs)
        return rz_fail_nomem(err, n_slots * sizeof *tok->pairs, "the merges");
    memset(tok->pairs, 0xFF, n_slots * sizeof *tok->pairs);
    tok->pair_mask = n_slots - 1;
    tok->pair_shift = 64 - bits;
    return RZ_OK;
}

/* The id of a vocabulary entry that stands for these bytes, an added token only if no other does. */
static int32_t find_bytes(const rz_tokenizer *tok, const char *data, size_t len)
{
    int32_t id = rz_vocab_find(&tok->vocab, data, len);
    return id >= 0 ? id : rz_added_find(&tok->added, data, len);
}

/* Adds merge i, written "left right" in the byte alphabet. bytes: room for the text decoded.
 * *guess: the id that the merge gives if ids follow the merges, as they mostly do. */
static rz_status add_merge(rz_tokenizer *tok, uint32_t i, rz_slice text, char *bytes, int32_t *guess,
                           rz_error *err)
{
    const char *space = text.len > 2 ? memchr(text.data + 1, ' ', text.len - 2) : NULL;
    if (!space)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges[%u]: not two tokens and a space", i);
    rz_slice left = {text.data, (size_t)(space - text.data)};
    rz_slice right = {space + 1, text.len - left.len - 1};
    size_t n_left, n_right;
    if (!rz_bpe_decode(left, bytes, &n_left) || !rz_bpe_decode(right, bytes + n_left, &n_right))
        return rz_fail(err, RZ_EFORMAT,
                       "tokenizer.ggml.merges[%u]: a character is not of the byte alphabet", i);
    int32_t left_id = find_bytes(tok, bytes, n_left);
    int32_t right_id = find_bytes(tok, bytes + n_left, n_right);
    int32_t joined = *guess;
    if (joined >= (int32_t)tok->n_vocab || rz_token_is_added(rz_token_type(tok, joined)) ||
        !rz_slice_is(tok->bytes[joined], bytes, n_left + n_right))
        joined = find_bytes(tok, bytes, n_left + n_right);
    if (left_id < 0 || right_id < 0 || joined < 0)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges[%u]: %s is not in the vocabulary", i,
                       left_id < 0    ? "its left token"
                       : right_id < 0 ? "its right token"
                                      : "what it gives");
    *guess = joined + 1;
    return pair_add(tok, (struct rz_pair){pair_key(left_id, right_id), i, joined}, err);
}

rz_status rz_bpe_load(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    for (unsigned b = 0; b < 256; b++) {
        char byte = (char)b;
        tok->byte_id[b] = find_bytes(tok, &byte, 1);
    }
    const rz_meta *merges;
    RZ_TRY(rz_file_get_array(file, "tokenizer.ggml.merges", RZ_META_STRING, &merges, NULL, err));
    if (merges->count >= UINT32_MAX / 2)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges: %llu entries, at most %u",
                       (unsigned long long)merges->count, UINT32_MAX / 2);
    RZ_TRY(pairs_init(tok, merges->count, err));
    char *bytes = malloc(2 * (size_t)RZ_MAX_TOKEN_BYTES + 1);
    if (!bytes)
        return rz_fail_nomem(err, 2 * (size_t)RZ_MAX_TOKEN_BYTES, "merges");
    rz_status status = RZ_OK;
    int32_t guess = 0;
    for (uint32_t i = 0; i < merges->count && !status; i++) {
        rz_slice text = rz_meta_string(merges, i);
        if (text.len > 2 * (size_t)RZ_MAX_TOKEN_BYTES + 1)
            status = rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges[%u]: %zu bytes long", i,
                             text.len);
        else
            status = add_merge(tok, i, text, bytes, &guess, err);
    }
    free(bytes);
    return status;
}

static uint32_t join_ids(const void *ctx, struct rz_joint joint, int32_t *joined)
{
    const rz_tokenizer *tok = ctx;
    uint64_t key = pair_key(joint.left, joint.right);
    for (uint64_t i = pair_slot(tok, key);; i = (i + 1) & tok->pair_mask) {
        const struct rz_pair *p = &tok->pairs[i];
        if (p->key == key) {
            *joined = p->joined;
            return p->rank;
        }
        if (p->key == UINT64_MAX)
            return RZ_RANK_NONE;
    }
}

static rz_status add_symbols(struct rz_encode *e, const struct rz_symbol *s, size_t n)
{
    RZ_TRY(rz_ids_reserve(e->ids, n, e->err));
    for (size_t i = 0; i < n; i++)
        e->ids->data[e->ids->len++] = s[i].id;
    return RZ_OK;
}

/* Writes the bytes of a word as symbols. */
static rz_status bytes_to_symbols(struct rz_encode *e, const char *word, size_t n,
                                  struct rz_symbol *s)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = e->tok->byte_id[(uint8_t)word[i]];
        if (id < 0)
            return rz_fail(e->err, RZ_EFORMAT, "the vocabulary has no token for byte 0x%02X",
                           (unsigned)(uint8_t)word[i]);
        s[i].start = (uint32_t)i;
        s[i].id = id;
    }
    s[n].start = (uint32_t)n;
    return RZ_OK;
}

static rz_status encode_long(struct rz_encode *e, const char *word, size_t n)
{
    RZ_TRY(rz_merge_reserve(&e->scratch, n, e->err));
    RZ_TRY(bytes_to_symbols(e, word, n, e->scratch.symbols));
    size_t left = rz_merge_large(&e->scratch, n, word, join_ids, e->tok);
    return add_symbols(e, e->scratch.symbols, left);
}

/* One word of the pre-tokenizer. */
static rz_status encode_word(void *ctx, size_t begin, size_t end)
{
    struct rz_encode *e = ctx;
    const char *word = (e->in_other ? e->other.data : e->text) + begin;
    size_t n = end - begin;
    struct rz_word_cache_slot *slot;
    bool hit;
    RZ_TRY(rz_cache_get(e, begin, end, &hit, &slot));
    if (hit)
        return RZ_OK;
    size_t first_id = e->ids->len;
    int32_t whole = e->tok->pre->ignore_merges ? rz_vocab_find(&e->tok->vocab, word, n) : -1;
    if (whole >= 0) {
        RZ_TRY(rz_ids_add(e->ids, whole, e->err));
    } else if (n <= RZ_MERGE_SMALL) {
        struct rz_symbol s[RZ_MERGE_SMALL + 2];
        RZ_TRY(bytes_to_symbols(e, word, n, s));
        RZ_TRY(add_symbols(e, s, rz_merge_small(s, n, word, join_ids, e->tok)));
    } else {
        RZ_TRY(encode_long(e, word, n));
    }
    rz_cache_put(e, begin, end, first_id, slot);
    return RZ_OK;
}

rz_status rz_bpe_encode(struct rz_encode *e, size_t begin, size_t end)
{
    e->in_other = false;
    if (e->tok->pre->nfc && rz_nfc_prefix(e->text + begin, end - begin) < end - begin) {
        size_t other_begin = e->other.len;
        RZ_TRY(rz_nfc_append(e->text + begin, end - begin, &e->other, e->err));
        begin = other_begin;
        end = e->other.len;
        e->in_other = true;
    }
    const char *base = e->in_other ? e->other.data : e->text;
    return rz_pre_split(e->tok->pre, base, begin, end, encode_word, e);
}
