/* internal.h - the tokenizer's own structures. */
#ifndef RZ_TOKENIZER_INTERNAL_H
#define RZ_TOKENIZER_INTERNAL_H

#include "base/buf.h"
#include "tokenizer/added.h"
#include "tokenizer/merge.h"
#include "tokenizer/pretok.h"
#include "tokenizer/vocab.h"
#include <realizar/tokenizer.h>

enum {
    RZ_MAX_VOCAB = 1 << 23,       /* tokens */
    RZ_MAX_TOKEN_BYTES = 65535,   /* of one token's text */
    RZ_MAX_TEXT_BYTES = 1 << 30,  /* of one encode call: three times that fits 32 bits */
    RZ_WORD_CACHE_MIN_TEXT = 512, /* bytes of text from which the cache earns its allocation */
    RZ_WORD_CACHE_SLOTS = 8192,
    RZ_WORD_CACHE_MAX_LEN = 48,
    RZ_LOW_IDS = 256 /* the bytes, in most vocabularies: what every word begins with */
};

enum rz_token_type { /* GGUF's numbers */
    RZ_TOKEN_UNDEFINED = 0,
    RZ_TOKEN_NORMAL,
    RZ_TOKEN_UNKNOWN,
    RZ_TOKEN_CONTROL,
    RZ_TOKEN_USER_DEFINED,
    RZ_TOKEN_UNUSED,
    RZ_TOKEN_BYTE,
    RZ_N_TOKEN_TYPES
};

enum {
    RZ_TOKEN_TYPE_MASK = 0x07,
    RZ_TOKEN_IS_END = 0x08
};

struct rz_merge {
    uint64_t key; /* left id << 32 | right id */
    int32_t joined;
};

struct rz_tokenizer {
    bool spm;                 /* SentencePiece; else byte-level BPE */
    const struct rz_pre *pre; /* NULL for SentencePiece */
    uint32_t n_vocab;
    const rz_meta *texts;    /* the tokens as the file has them */
    uint8_t *flags;          /* by id: enum rz_token_type, RZ_TOKEN_IS_END */
    struct rz_strings bytes; /* what each token stands for */
    struct rz_vocab vocab;   /* by bytes; for SentencePiece by text */
    struct rz_added added;
    int32_t bos, eos, eot, eom, unk; /* -1: none */
    bool add_bos, add_eos;
    /* byte-level BPE */
    struct rz_merge *merges; /* by rank */
    uint64_t *pair_slots;    /* pair -> rank: upper half of the pair's hash, rank + 1; 0: empty */
    uint64_t pair_mask;
    uint32_t *low_ranks;  /* rank + 1 of the pairs of ids below RZ_LOW_IDS, by left and right */
    int32_t byte_id[256]; /* -1: no such token */
    /* SentencePiece */
    struct rz_strings keys; /* the tokens as the file has them */
    uint32_t *rank;         /* by id: lower merges earlier */
    size_t max_piece;
    bool add_space_prefix;
    bool cut_words; /* no token continues a word across a space: words merge by themselves */
};

/* The state of one encode call. */
struct rz_encode {
    const rz_tokenizer *tok;
    rz_ids *ids;
    size_t first_id; /* ids->len when the call began */
    rz_error *err;
    const char *text;    /* the caller's */
    struct rz_buf other; /* normalized or escaped text; only grows */
    bool in_other;       /* words are offsets into other, not text */
    struct rz_merge_scratch scratch;
    struct rz_word_cache_slot *cache; /* NULL: none */
};

struct rz_word_cache_slot {
    uint32_t at; /* of the word in text or other */
    uint32_t first_id;
    uint16_t len; /* 0: empty */
    uint16_t n_ids;
    bool in_other;
};

static inline enum rz_token_type rz_token_type(const rz_tokenizer *tok, int32_t id)
{
    return (enum rz_token_type)(tok->flags[id] & RZ_TOKEN_TYPE_MASK);
}

/* Added tokens are split from the text before anything else. */
static inline bool rz_token_is_added(enum rz_token_type type)
{
    return type == RZ_TOKEN_CONTROL || type == RZ_TOKEN_USER_DEFINED || type == RZ_TOKEN_UNKNOWN;
}

static inline bool rz_token_type_is_special(enum rz_token_type type)
{
    return type == RZ_TOKEN_CONTROL || type == RZ_TOKEN_UNKNOWN;
}

/* tokenizer_load.c: everything but what the two models keep for themselves. */
RZ_MUST_USE rz_status rz_tokenizer_load(rz_tokenizer *tok, const rz_file *file, rz_error *err);

/* Room for n more ids. */
RZ_MUST_USE rz_status rz_ids_reserve(rz_ids *ids, size_t n, rz_error *err);
RZ_MUST_USE rz_status rz_text_add(rz_text *text, const char *data, size_t len, rz_error *err);

/* A word seen before in this call: its ids are appended and *hit is set. Otherwise *slot is where
 * rz_cache_put may remember it, or NULL. */
RZ_MUST_USE rz_status rz_cache_get(struct rz_encode *e, size_t begin, size_t end, bool *hit,
                                   struct rz_word_cache_slot **slot);
void rz_cache_put(struct rz_encode *e, size_t begin, size_t end, size_t first_id,
                  struct rz_word_cache_slot *slot);

/* bpe.c */
RZ_MUST_USE rz_status rz_bpe_load(rz_tokenizer *tok, const rz_file *file, rz_error *err);
RZ_MUST_USE rz_status rz_bpe_encode(struct rz_encode *e, size_t begin, size_t end);
/* The bytes that text in the byte-level alphabet stands for, to out (text.len bytes are enough);
 * false if a character is not of the alphabet. */
bool rz_bpe_decode(rz_slice text, char *out, size_t *len);

/* spm.c */
RZ_MUST_USE rz_status rz_spm_load(rz_tokenizer *tok, const rz_file *file, rz_error *err);
RZ_MUST_USE rz_status rz_spm_encode(struct rz_encode *e, size_t begin, size_t end);
/* Likewise for a piece: U+2581 is a space, <0xXX> of type BYTE that byte. */
bool rz_spm_decode(rz_slice text, enum rz_token_type type, char *out, size_t *len);

#endif
