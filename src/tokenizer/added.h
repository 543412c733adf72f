/* added.h - tokens that are split from the text before anything else. */
#ifndef RZ_TOKENIZER_ADDED_H
#define RZ_TOKENIZER_ADDED_H

#include "tokenizer/vocab.h"

enum {
    RZ_MAX_ADDED_BYTES = 1024 /* of one such token: bounds the time spent at each position */
};

/* Sorted by text; keys is borrowed. Start from {0}. */
struct rz_added {
    const struct rz_strings *keys;
    int32_t *ids;
    size_t n;
    uint32_t first[257]; /* ids[first[b]..first[b + 1]) begin with byte b */
};

/* ids: n of them, owned by added from here on, in any order; none is empty. */
void rz_added_init(struct rz_added *added, const struct rz_strings *keys, int32_t *ids, size_t n);
void rz_added_fini(struct rz_added *added);

struct rz_added_match {
    size_t begin, end;
    int32_t id;
};

/* The first place in text[pos..end) where a token stands, and the longest there. False: none. */
bool rz_added_next(const struct rz_added *added, const char *text, size_t pos, size_t end,
                   struct rz_added_match *match);

/* The token written exactly so, or -1. */
int32_t rz_added_find(const struct rz_added *added, const char *text, size_t len);

#endif
