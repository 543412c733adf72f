/* merge.h - the loop that both tokenizer models share: of all neighbours that may be joined, join
 * those of the lowest rank, the leftmost first, until none may. */
#ifndef RZ_TOKENIZER_MERGE_H
#define RZ_TOKENIZER_MERGE_H

#include <realizar/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    /* Symbols of a word up to which a plain scan for the lowest rank beats a heap. */
    RZ_MERGE_SMALL = 48
};

static const uint32_t RZ_RANK_NONE = UINT32_MAX;

struct rz_symbol {
    uint32_t start; /* offset in the word; the symbol ends where the next begins */
    int32_t id;     /* -1: no token */
    uint32_t rank;  /* of joining it with the next; RZ_RANK_NONE: cannot be */
    int32_t joined; /* the id that gives */
};

/* Two neighbours and the text that they span. */
struct rz_joint {
    int32_t left, right;
    const char *text;
    size_t len;
};

/* The rank of a joint and the id it gives, or RZ_RANK_NONE. */
typedef uint32_t rz_join(const void *ctx, struct rz_joint joint, int32_t *joined);

static inline void rz_merge_rank(struct rz_symbol *s, const char *word, rz_join *join,
                                 const void *ctx)
{
    struct rz_joint joint = {s[0].id, s[1].id, word + s[0].start, s[2].start - s[0].start};
    s->rank = join(ctx, joint, &s->joined);
}

/* Merges n symbols, 1 <= n <= RZ_MERGE_SMALL, in place; s[n].start is the word's length, and s[n]
 * and s[n + 1] are overwritten. Returns how many are left. Inlined with join known. */
static inline size_t rz_merge_small(struct rz_symbol *s, size_t n, const char *word, rz_join *join,
                                    const void *ctx)
{
    for (size_t i = 0; i + 1 < n; i++)
        rz_merge_rank(&s[i], word, join, ctx);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (s[i].rank < s[best].rank)
                best = i;
        if (s[best].rank == RZ_RANK_NONE)
            break;
        s[best].id = s[best].joined;
        memmove(&s[best + 1], &s[best + 2], (n - best - 1) * sizeof *s);
        n--;
        if (best + 1 < n)
            rz_merge_rank(&s[best], word, join, ctx);
        if (best > 0)
            rz_merge_rank(&s[best - 1], word, join, ctx);
    }
    return n;
}

/* Scratch for long words; start from {0}. */
struct rz_merge_scratch {
    struct rz_symbol *symbols;
    struct rz_link *links;
    uint64_t *heap; /* rank << 32 | symbol */
    size_t n_heap, cap;
};

struct rz_link {
    uint32_t prev, next;
};

void rz_merge_fini(struct rz_merge_scratch *m);

/* Room for a word of n symbols, to be written to m->symbols[0..n) (start and id), with the word's
 * length in m->symbols[n].start. Errors: RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_merge_reserve(struct rz_merge_scratch *m, size_t n, rz_error *err);

/* Merges the n symbols in place, in O(n log n); returns how many are left. */
size_t rz_merge_large(struct rz_merge_scratch *m, size_t n, const char *word, rz_join *join,
                      const void *ctx);

#endif
