/* merge.c - merging long words: a heap of joints by rank and place, over a linked list of symbols.
 * A joint that has changed since it entered the heap is known by its rank, which no longer is its
 * symbol's, and skipped. */
#include "tokenizer/merge.h"

#include "base/fail.h"

#include <stdlib.h>

void rz_merge_fini(struct rz_merge_scratch *m)
{
    free(m->symbols);
    free(m->links);
    free(m->heap);
    *m = (struct rz_merge_scratch){0};
}

rz_status rz_merge_reserve(struct rz_merge_scratch *m, size_t n, rz_error *err)
{
    if (n <= m->cap)
        return RZ_OK;
    RZ_ASSERT(n < UINT32_MAX);
    size_t cap = n + n / 4 + 64;
    rz_merge_fini(m);
    m->symbols = malloc((cap + 2) * sizeof *m->symbols);
    m->links = malloc((cap + 2) * sizeof *m->links);
    /* Each of at most cap - 1 merges takes one entry and adds two to cap - 1. */
    m->heap = malloc(2 * cap * sizeof *m->heap);
    if (!m->symbols || !m->links || !m->heap) {
        rz_merge_fini(m);
        return rz_fail_nomem(err, cap * (sizeof *m->symbols + sizeof *m->links + 16), "a word");
    }
    m->cap = cap;
    return RZ_OK;
}

static void sift_down(uint64_t *heap, size_t n, size_t i)
{
    uint64_t entry = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (entry <= heap[child])
            break;
        heap[i] = heap[child];
    }
    heap[i] = entry;
}

static void push(struct rz_merge_scratch *m, uint64_t entry)
{
    size_t i = m->n_heap++;
    for (size_t parent; i > 0 && entry < m->heap[parent = (i - 1) / 2]; i = parent)
        m->heap[i] = m->heap[parent];
    m->heap[i] = entry;
}

static uint64_t pop(struct rz_merge_scratch *m)
{
    uint64_t top = m->heap[0];
    m->heap[0] = m->heap[--m->n_heap];
    if (m->n_heap > 0)
        sift_down(m->heap, m->n_heap, 0);
    return top;
}

/* Ranks the joint of symbol i and its next; n marks the end. */
static void rank_joint(struct rz_merge_scratch *m, uint32_t i, size_t n, const char *word,
                       rz_join *join, const void *ctx)
{
    struct rz_symbol *s = m->symbols;
    uint32_t next = m->links[i].next;
    s[i].rank = RZ_RANK_NONE;
    if (next == n)
        return;
    uint32_t end = s[m->links[next].next].start;
    struct rz_joint joint = {s[i].id, s[next].id, word + s[i].start, end - s[i].start};
    s[i].rank = join(ctx, joint, &s[i].joined);
}

static void heap_all(struct rz_merge_scratch *m, size_t n, const char *word, rz_join *join,
                     const void *ctx)
{
    for (size_t i = 0; i <= n; i++)
        m->links[i] = (struct rz_link){(uint32_t)(i - 1), (uint32_t)(i + 1)};
    m->n_heap = 0;
    for (uint32_t i = 0; i < n; i++) {
        rank_joint(m, i, n, word, join, ctx);
        if (m->symbols[i].rank != RZ_RANK_NONE)
            m->heap[m->n_heap++] = (uint64_t)m->symbols[i].rank << 32 | i;
    }
    for (size_t i = m->n_heap / 2; i-- > 0;)
        sift_down(m->heap, m->n_heap, i);
}

size_t rz_merge_large(struct rz_merge_scratch *m, size_t n, const char *word, rz_join *join,
                      const void *ctx)
{
    RZ_ASSERT(n > 0 && n <= m->cap);
    struct rz_symbol *s = m->symbols;
    heap_all(m, n, word, join, ctx);
    while (m->n_heap > 0) {
        uint64_t entry = pop(m);
        uint32_t i = (uint32_t)entry, rank = (uint32_t)(entry >> 32);
        if (s[i].rank != rank)
            continue;
        uint32_t gone = m->links[i].next, prev = m->links[i].prev;
        s[i].id = s[i].joined;
        s[gone].rank = RZ_RANK_NONE;
        m->links[i].next = m->links[gone].next;
        m->links[m->links[i].next].prev = i;
        rank_joint(m, i, n, word, join, ctx);
        if (s[i].rank != RZ_RANK_NONE)
            push(m, (uint64_t)s[i].rank << 32 | i);
        if (prev == UINT32_MAX)
            continue;
        rank_joint(m, prev, n, word, join, ctx);
        if (s[prev].rank != RZ_RANK_NONE)
            push(m, (uint64_t)s[prev].rank << 32 | prev);
    }
    size_t left = 0;
    for (uint32_t i = 0; i < n; i = m->links[i].next)
        s[left++] = s[i];
    s[left].start = s[n].start;
    return left;
}
