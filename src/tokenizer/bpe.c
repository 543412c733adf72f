/* bpe.c - byte-level byte pair encoding: each byte of a word is a symbol, and the merges of the
 * file join neighbours, the earliest merge first, as Hugging Face's tokenizers does it. Source:
 * Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", 2016; the
 * byte alphabet is that of GPT-2 (Radford et al., 2019). */
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
        if (lead >= 0x21 && lead <= 0x7E) {
            out[n++] = text.data[i++];
            continue;
        }
        /* The rest of the alphabet is two bytes long in UTF-8. */
        if (lead < 0xC2 || lead >= 0xE0 || i + 1 >= text.len ||
            ((uint8_t)text.data[i + 1] & 0xC0) != 0x80)
            return false;
        int b = byte_of((uint32_t)(lead & 0x1F) << 6 | ((uint8_t)text.data[i + 1] & 0x3Fu));
        if (b < 0)
            return false;
        out[n++] = (char)b;
        i += 2;
    }
    *len = n;
    return true;
}

static uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static uint64_t pair_hash(uint64_t key)
{
    return rz_mix(key ^ 0xD1B54A32D192ED03u, 0x9E3779B97F4A7C15u);
}

/* The slot of a pair, or the empty one where it would stand; SIZE_MAX: too many probes. */
static size_t pair_find(const rz_tokenizer *tok, uint64_t key, uint64_t hash)
{
    size_t i = hash & tok->pair_mask;
    for (unsigned n = 0; n <= RZ_MAX_PROBES; n++, i = (i + 1) & tok->pair_mask) {
        uint64_t slot = tok->pair_slots[i];
        if (slot == 0 || ((slot ^ hash) >> 32 == 0 && tok->merges[(uint32_t)slot - 1].key == key))
            return i;
    }
    return SIZE_MAX;
}

/* Enters merge rank, which stands in tok->merges, in the table; of equal pairs the first stands. */
static rz_status pair_add(rz_tokenizer *tok, uint32_t rank, rz_error *err)
{
    uint64_t hash = pair_hash(tok->merges[rank].key);
    size_t i = pair_find(tok, tok->merges[rank].key, hash);
    if (i == SIZE_MAX)
        return rz_fail(err, RZ_EFORMAT,
                       "tokenizer.ggml.merges[%u]: more hash collisions than merges have", rank);
    if (tok->pair_slots[i] != 0)
        return RZ_OK;
    tok->pair_slots[i] = (hash & 0xFFFFFFFF00000000u) | (rank + 1);
    uint64_t left = tok->merges[rank].key >> 32, right = tok->merges[rank].key & UINT32_MAX;
    if (left < RZ_LOW_IDS && right < RZ_LOW_IDS)
        tok->low_ranks[left * RZ_LOW_IDS + right] = rank + 1;
    return RZ_OK;
}

static rz_status pairs_init(rz_tokenizer *tok, uint64_t n, rz_error *err)
{
    unsigned bits = 4;
    while ((uint64_t)1 << bits < n + n / 2)
        bits++;
    size_t n_slots = (size_t)1 << bits;
    tok->pair_slots = calloc(n_slots, sizeof *tok->pair_slots);
    tok->merges = malloc((n + 1) * sizeof *tok->merges);
    tok->low_ranks = calloc((size_t)RZ_LOW_IDS * RZ_LOW_IDS, sizeof *tok->low_ranks);
    if (!tok->pair_slots || !tok->merges || !tok->low_ranks)
        return rz_fail_nomem(err, n_slots * sizeof *tok->pair_slots + n * sizeof *tok->merges,
                             "the merges");
    tok->pair_mask = n_slots - 1;
    return RZ_OK;
}

/* The id of a vocabulary entry that stands for these bytes, an added token only if no other does.
 */
static int32_t find_bytes(const rz_tokenizer *tok, const char *data, size_t len, uint64_t hash)
{
    int32_t id = rz_vocab_find_hashed(&tok->vocab, data, len, hash);
    return id >= 0 ? id : rz_added_find(&tok->added, data, len);
}

/* Merges are read in batches: what each step looks up is asked of memory a step earlier, since most
 * of the time would go to waiting for tables larger than the caches. */
enum {
    BATCH = 32,
    BATCH_BYTES = 2 * RZ_MAX_TOKEN_BYTES
};

struct merge_text {
    uint32_t rank;
    uint32_t at; /* in the batch's bytes: left, then right */
    uint32_t n_left, n_right;
    uint64_t left_hash, right_hash;
};

struct batch {
    struct merge_text merges[BATCH];
    size_t n;
    char *bytes; /* BATCH_BYTES */
    size_t n_bytes;
    int32_t guess; /* the next merge's result, if ids follow the merges, as they mostly do */
};

/* Decodes merge i, written "left right" in the byte alphabet, to the batch. */
static rz_status batch_add(const rz_tokenizer *tok, struct batch *b, uint32_t i, rz_slice text,
                           rz_error *err)
{
    const char *space = text.len > 2 ? memchr(text.data + 1, ' ', text.len - 2) : NULL;
    if (!space)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges[%u]: not two tokens and a space", i);
    rz_slice left = {text.data, (size_t)(space - text.data)};
    rz_slice right = {space + 1, text.len - left.len - 1};
    char *bytes = b->bytes + b->n_bytes;
    size_t n_left, n_right;
    if (!rz_bpe_decode(left, bytes, &n_left) || !rz_bpe_decode(right, bytes + n_left, &n_right))
        return rz_fail(err, RZ_EFORMAT,
                       "tokenizer.ggml.merges[%u]: a character is not of the byte alphabet", i);
    struct merge_text *m = &b->merges[b->n++];
    *m = (struct merge_text){.rank = i,
                             .at = (uint32_t)b->n_bytes,
                             .n_left = (uint32_t)n_left,
                             .n_right = (uint32_t)n_right,
                             .left_hash = rz_word_hash(bytes, n_left),
                             .right_hash = rz_word_hash(bytes + n_left, n_right)};
    b->n_bytes += n_left + n_right;
    __builtin_prefetch(&tok->vocab.slots[m->left_hash & tok->vocab.mask]);
    __builtin_prefetch(&tok->vocab.slots[m->right_hash & tok->vocab.mask]);
    return RZ_OK;
}

/* The three ids of a merge. */
static rz_status merge_resolve(rz_tokenizer *tok, struct batch *b, const struct merge_text *m,
                               rz_error *err)
{
    const char *bytes = b->bytes + m->at;
    size_t len = m->n_left + m->n_right;
    int32_t left = find_bytes(tok, bytes, m->n_left, m->left_hash);
    int32_t right = find_bytes(tok, bytes + m->n_left, m->n_right, m->right_hash);
    int32_t joined = b->guess;
    if (joined >= (int32_t)tok->n_vocab || rz_token_is_added(rz_token_type(tok, joined)) ||
        !rz_slice_is(rz_strings_get(&tok->bytes, (uint32_t)joined), bytes, len))
        joined = find_bytes(tok, bytes, len, rz_word_hash(bytes, len));
    if (left < 0 || right < 0 || joined < 0)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges[%u]: %s is not in the vocabulary",
                       m->rank,
                       left < 0    ? "its left token"
                       : right < 0 ? "its right token"
                                   : "what it gives");
    b->guess = joined + 1;
    uint64_t key = pair_key(left, right);
    tok->merges[m->rank] = (struct rz_merge){key, joined};
    __builtin_prefetch(&tok->pair_slots[pair_hash(key) & tok->pair_mask], 1);
    return RZ_OK;
}

static rz_status batch_flush(rz_tokenizer *tok, struct batch *b, rz_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        rz_vocab_prefetch_key(&tok->vocab, b->merges[i].left_hash);
        rz_vocab_prefetch_key(&tok->vocab, b->merges[i].right_hash);
    }
    for (size_t i = 0; i < b->n; i++)
        RZ_TRY(merge_resolve(tok, b, &b->merges[i], err));
    for (size_t i = 0; i < b->n; i++)
        RZ_TRY(pair_add(tok, b->merges[i].rank, err));
    b->n = b->n_bytes = 0;
    return RZ_OK;
}

static rz_status load_merges(rz_tokenizer *tok, const rz_meta *merges, struct batch *b,
                             rz_error *err)
{
    for (uint32_t i = 0; i < merges->count; i++) {
        rz_slice text = rz_meta_string(merges, i);
        if (text.len > BATCH_BYTES)
            return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges[%u]: %zu bytes long, at most %d",
                           i, text.len, BATCH_BYTES);
        if (b->n == BATCH || text.len > BATCH_BYTES - b->n_bytes)
            RZ_TRY(batch_flush(tok, b, err));
        RZ_TRY(batch_add(tok, b, i, text, err));
    }
    return batch_flush(tok, b, err);
}

rz_status rz_bpe_load(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    for (unsigned i = 0; i < 256; i++) {
        const char byte[2] = {(char)i};
        tok->byte_id[i] = find_bytes(tok, byte, 1, rz_word_hash(byte, 1));
    }
    const rz_meta *merges;
    RZ_TRY(rz_file_get_array(file, "tokenizer.ggml.merges", RZ_META_STRING, &merges, NULL, err));
    if (merges->count >= UINT32_MAX / 2)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.merges: %llu entries, at most %u",
                       (unsigned long long)merges->count, UINT32_MAX / 2);
    RZ_TRY(pairs_init(tok, merges->count, err));
    struct batch batch = {.bytes = malloc(BATCH_BYTES)};
    if (!batch.bytes)
        return rz_fail_nomem(err, BATCH_BYTES, "merges");
    rz_status status = load_merges(tok, merges, &batch, err);
    free(batch.bytes);
    return status;
}

static uint32_t join_ids(const void *ctx, struct rz_joint joint, int32_t *joined)
{
    const rz_tokenizer *tok = ctx;
    uint64_t key = pair_key(joint.left, joint.right);
    uint32_t rank;
    if (joint.left < RZ_LOW_IDS && joint.right < RZ_LOW_IDS) {
        rank = tok->low_ranks[joint.left * RZ_LOW_IDS + joint.right] - 1;
    } else {
        size_t i = pair_find(tok, key, pair_hash(key));
        rank = i == SIZE_MAX ? RZ_RANK_NONE : (uint32_t)tok->pair_slots[i] - 1;
    }
    if (rank != RZ_RANK_NONE)
        *joined = tok->merges[rank].joined;
    return rank;
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
