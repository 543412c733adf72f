/* pretok.h - cutting text into the words inside which byte-level BPE merges. */
#ifndef RZ_TOKENIZER_PRETOK_H
#define RZ_TOKENIZER_PRETOK_H

#include <realizar/file.h>

struct rz_pre_stage;

/* One pre-tokenizer, as tokenizer.ggml.pre names it. The stages cut one after the other, each what
 * the one before left, matches and gaps alike. */
struct rz_pre {
    const char *name;
    const struct rz_pre_stage *const *stages; /* NULL-terminated */
    bool nfc;                                 /* the text is normalized to NFC first */
    bool ignore_merges; /* a word that is a token is that token, whatever the merges */
    bool add_bos;       /* the default of add_bos_token */
};

enum {
    RZ_PRE_MAX_STAGES = 6
};

/* NULL if the name is not known. */
const struct rz_pre *rz_pre_find(rz_slice name);

/* The known names, by index; NULL behind the last. */
const char *rz_pre_name_at(size_t i);

/* Called with the bounds of each word, in order. */
typedef rz_status rz_pre_emit(void *ctx, size_t begin, size_t end);

/* Cuts text[begin..end), valid UTF-8, into words that cover it. Stops at and returns the first
 * status of emit that is not RZ_OK. */
RZ_MUST_USE rz_status rz_pre_split(const struct rz_pre *pre, const char *text, size_t begin,
                                   size_t end, rz_pre_emit *emit, void *ctx);

/* --- between pretok.c, which knows the names, and pretok_match.c, which knows the patterns --- */

struct rz_code_range {
    uint32_t first, last;
};

/* The first match in text[pos..end), pos < end. False: none; else *begin < *stop. A stage sees
 * nothing before pos or behind end, as if the piece were the whole text. */
typedef bool rz_pre_match(const struct rz_pre_stage *stage, const char *text, size_t pos,
                          size_t end, size_t *begin, size_t *stop);

enum rz_contraction { /* 's 't 're 've 'm 'll 'd */
    RZ_CONTRACTION_NONE = 0,
    RZ_CONTRACTION_WORD,  /* a word of its own, in any case */
    RZ_CONTRACTION_SUFFIX /* stays with the word before, in any case */
};

struct rz_pre_stage {
    rz_pre_match *match;
    unsigned set;                       /* classes (unicode.h) that a run or a word holds */
    unsigned prefix_set;                /* classes of the one character that may stand before it */
    uint8_t max_digits;                 /* that make one word */
    uint8_t contraction;                /* enum rz_contraction */
    bool slash_trails;                  /* '/' may follow punctuation as a newline may */
    bool single;                        /* each character is a match */
    const char *also;                   /* ASCII characters that belong to the set */
    const struct rz_code_range *ranges; /* characters that belong to the set, sorted */
    size_t n_ranges;
};

rz_pre_match rz_match_gpt2;      /* GPT-2's pattern; covers everything */
rz_pre_match rz_match_cl100k;    /* the shape of Llama 3's and Qwen2's; covers everything */
rz_pre_match rz_match_o200k;     /* words by letter case; covers everything */
rz_pre_match rz_match_deepseek3; /* the main pattern of DeepSeek-V3 */
rz_pre_match rz_match_run;       /* [prefix]? set+ */
rz_pre_match rz_match_tail;      /* white space at the end */
rz_pre_match rz_match_triple;    /* [0-9][0-9][0-9] */

#endif
