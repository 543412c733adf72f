/* spm.c - SentencePiece's BPE: the characters of a text are symbols, and neighbours whose joined
 * text is a piece are joined, the highest score first. A space is written U+2581. What is no piece
 * in the end becomes byte tokens, or the unknown token.
 * Source: Kudo, Richardson, "SentencePiece", 2018, and its published implementation's behaviour. */
#include "base/checked.h"
#include "base/f16.h"
#include "base/fail.h"
#include "tokenizer/internal.h"
#include "tokenizer/unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char space_mark[] = "\xE2\x96\x81";
enum {
    SPACE_MARK_LEN = 3
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of a token <0xXX>, or -1. */
static int parse_byte(rz_slice text)
{
    if (text.len != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>')
        return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool mark_at(const char *text, size_t i, size_t len)
{
    return len - i >= SPACE_MARK_LEN && memcmp(text + i, space_mark, SPACE_MARK_LEN) == 0;
}

bool rz_spm_decode(rz_slice text, enum rz_token_type type, char *out, size_t *len)
{
    size_t n = 0;
    if (type == RZ_TOKEN_BYTE) {
        int b = parse_byte(text);
        out[n++] = (char)b;
        *len = n;
        return b >= 0;
    }
    for (size_t i = 0; i < text.len;) {
        bool mark = mark_at(text.data, i, text.len);
        out[n++] = mark ? ' ' : text.data[i];
        i += mark ? SPACE_MARK_LEN : 1;
    }
    *len = n;
    return true;
}

/* A rank that is lower the higher the score; never RZ_RANK_NONE, since score is no NaN. */
static uint32_t rank_of_score(float score)
{
    uint32_t bits = rz_f32_bits(score + 0.0f); /* -0 is 0 */
    uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
    return ~ascending;
}

static bool mergeable(enum rz_token_type type)
{
    return type == RZ_TOKEN_NORMAL || type == RZ_TOKEN_USER_DEFINED || type == RZ_TOKEN_UNUSED ||
           type == RZ_TOKEN_UNDEFINED;
}

/* Whether text has a mark behind anything but a mark. */
static bool crosses_words(rz_slice text)
{
    for (size_t i = 1; i < text.len; i++)
        if (mark_at(text.data, i, text.len) &&
            (i < SPACE_MARK_LEN || !mark_at(text.data, i - SPACE_MARK_LEN, text.len)))
            return true;
    return false;
}

static rz_status load_scores(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    const rz_meta *scores;
    RZ_TRY(rz_file_get_array(file, "tokenizer.ggml.scores", RZ_META_F32, &scores, NULL, err));
    if (scores->count != tok->n_vocab)
        return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.scores: %llu entries for %u tokens",
                       (unsigned long long)scores->count, tok->n_vocab);
    tok->rank = malloc(tok->n_vocab * sizeof *tok->rank);
    if (!tok->rank)
        return rz_fail_nomem(err, tok->n_vocab * sizeof *tok->rank, "scores");
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        float score = (float)rz_meta_float(scores, id);
        if (isnan(score))
            return rz_fail(err, RZ_EFORMAT, "tokenizer.ggml.scores[%u]: not a number", id);
        tok->rank[id] = rank_of_score(score);
    }
    return RZ_OK;
}

rz_status rz_spm_load(rz_tokenizer *tok, const rz_file *file, rz_error *err)
{
    RZ_TRY(load_scores(tok, file, err));
    for (unsigned b = 0; b < 256; b++)
        tok->byte_id[b] = -1;
    tok->cut_words = true;
    for (uint32_t id = 0; id < tok->n_vocab; id++) {
        enum rz_token_type type = rz_token_type(tok, (int32_t)id);
        rz_slice text = rz_strings_get(&tok->keys, id);
        if (type == RZ_TOKEN_BYTE)
            tok->byte_id[parse_byte(text)] = (int32_t)id;
        if (!mergeable(type))
            continue;
        tok->max_piece = rz_max_size(tok->max_piece, text.len);
        if (crosses_words(text))
            tok->cut_words = false;
    }
    tok->add_space_prefix = true;
    return rz_file_get_bool(file, "tokenizer.ggml.add_space_prefix", &tok->add_space_prefix,
                            &(bool){false}, err);
}

static int32_t find_piece(const rz_tokenizer *tok, const char *text, size_t len)
{
    if (len > tok->max_piece)
        return -1;
    int32_t id = rz_vocab_find(&tok->vocab, text, len);
    return id >= 0 && mergeable(rz_token_type(tok, id)) ? id : -1;
}

static uint32_t join_text(const void *ctx, struct rz_joint joint, int32_t *joined)
{
    const rz_tokenizer *tok = ctx;
    int32_t id = find_piece(tok, joint.text, joint.len);
    if (id < 0)
        return RZ_RANK_NONE;
    *joined = id;
    return tok->rank[id];
}

static size_t chars_to_symbols(const rz_tokenizer *tok, const char *word, size_t len,
                               struct rz_symbol *s)
{
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        size_t start = i;
        rz_utf8_next(word, &i);
        s[n].start = (uint32_t)start;
        s[n].id = find_piece(tok, word + start, i - start);
    }
    s[n].start = (uint32_t)len;
    return n;
}

/* A symbol that is no token: its bytes, or one unknown token for a run of such symbols. */
static rz_status add_fallback(struct rz_encode *e, const char *text, size_t len, bool *was_unknown)
{
    const rz_tokenizer *tok = e->tok;
    bool all = true;
    for (size_t i = 0; i < len; i++)
        all = all && tok->byte_id[(uint8_t)text[i]] >= 0;
    if (all) {
        *was_unknown = false;
        for (size_t i = 0; i < len; i++)
            RZ_TRY(rz_ids_add(e->ids, tok->byte_id[(uint8_t)text[i]], e->err));
        return RZ_OK;
    }
    if (tok->unk < 0)
        return rz_fail(e->err, RZ_EFORMAT,
                       "the vocabulary has neither byte tokens nor an unknown token for \"%.*s\"",
                       (int)len, text);
    bool again = *was_unknown;
    *was_unknown = true;
    return again ? RZ_OK : rz_ids_add(e->ids, tok->unk, e->err);
}

static rz_status add_symbols(struct rz_encode *e, const char *word, const struct rz_symbol *s,
                             size_t n)
{
    bool was_unknown = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i].id < 0) {
            RZ_TRY(add_fallback(e, word + s[i].start, s[i + 1].start - s[i].start, &was_unknown));
            continue;
        }
        was_unknown = false;
        RZ_TRY(rz_ids_add(e->ids, s[i].id, e->err));
    }
    return RZ_OK;
}

static rz_status encode_word(struct rz_encode *e, size_t begin, size_t end)
{
    const char *word = e->other.data + begin;
    size_t len = end - begin;
    struct rz_word_cache_slot *slot;
    bool hit;
    RZ_TRY(rz_cache_get(e, begin, end, &hit, &slot));
    if (hit)
        return RZ_OK;
    size_t first_id = e->ids->len;
    if (len <= RZ_MERGE_SMALL) {
        struct rz_symbol s[RZ_MERGE_SMALL + 2];
        size_t n = chars_to_symbols(e->tok, word, len, s);
        n = rz_merge_small(s, n, word, join_text, e->tok);
        RZ_TRY(add_symbols(e, word, s, n));
    } else {
        RZ_TRY(rz_merge_reserve(&e->scratch, len, e->err));
        size_t n = chars_to_symbols(e->tok, word, len, e->scratch.symbols);
        n = rz_merge_large(&e->scratch, n, word, join_text, e->tok);
        RZ_TRY(add_symbols(e, word, e->scratch.symbols, n));
    }
    rz_cache_put(e, begin, end, first_id, slot);
    return RZ_OK;
}

static rz_status escape(struct rz_encode *e, size_t begin, size_t end)
{
    if (e->tok->add_space_prefix)
        rz_buf_add(&e->other, space_mark, SPACE_MARK_LEN);
    for (size_t i = begin; i < end;) {
        const char *space = memchr(e->text + i, ' ', end - i);
        size_t stop = space ? (size_t)(space - e->text) : end;
        rz_buf_add(&e->other, e->text + i, stop - i);
        if (space)
            rz_buf_add(&e->other, space_mark, SPACE_MARK_LEN);
        i = space ? stop + 1 : end;
    }
    return e->other.failed ? rz_fail_nomem(e->err, end - begin, "text") : RZ_OK;
}

rz_status rz_spm_encode(struct rz_encode *e, size_t begin, size_t end)
{
    e->in_other = true;
    size_t i = e->other.len;
    RZ_TRY(escape(e, begin, end));
    const char *text = e->other.data;
    size_t len = e->other.len;
    if (!e->tok->cut_words)
        return encode_word(e, i, len);
    while (i < len) {
        size_t stop = i;
        while (stop < len && mark_at(text, stop, len))
            stop += SPACE_MARK_LEN;
        while (stop < len && !mark_at(text, stop, len))
            stop++;
        RZ_TRY(encode_word(e, i, stop));
        i = stop;
    }
    return RZ_OK;
}
