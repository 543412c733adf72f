/* arena.c - a list of chunks, each at least twice the last, never moved. */
#include "base/arena.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_CHUNK_BYTES = 4096,
    MAX_CHUNK_BYTES = 1 << 20,
    ALIGN = 16
};

struct rz_arena_chunk {
    struct rz_arena_chunk *next;
    size_t used, cap;
    _Alignas(16) unsigned char data[];
};

void rz_arena_init(struct rz_arena *a, size_t max_bytes)
{
    *a = (struct rz_arena){.max_bytes = max_bytes};
}

void rz_arena_fini(struct rz_arena *a)
{
    struct rz_arena_chunk *chunk = a->head;
    while (chunk) {
        struct rz_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    a->head = NULL;
    a->used_bytes = 0;
}

static struct rz_arena_chunk *new_chunk(struct rz_arena *a, size_t need)
{
    size_t cap = a->head ? a->head->cap * 2 : FIRST_CHUNK_BYTES;
    cap = rz_max_size(rz_min_size(cap, MAX_CHUNK_BYTES), need);
    size_t total;
    if (!rz_add_size(cap, sizeof(struct rz_arena_chunk), &total))
        return NULL;
    struct rz_arena_chunk *chunk = calloc(1, total);
    if (!chunk)
        return NULL;
    chunk->cap = cap;
    chunk->next = a->head;
    a->head = chunk;
    return chunk;
}

void *rz_arena_alloc(struct rz_arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (!rz_mul_size(n, size, &bytes) || !rz_add_size(bytes, ALIGN - 1, &bytes))
        return NULL;
    bytes &= ~(size_t)(ALIGN - 1);
    if (bytes > a->max_bytes - a->used_bytes)
        return NULL;
    struct rz_arena_chunk *chunk = a->head;
    if (!chunk || chunk->cap - chunk->used < bytes)
        chunk = new_chunk(a, bytes);
    if (!chunk)
        return NULL;
    void *p = chunk->data + chunk->used;
    chunk->used += bytes;
    a->used_bytes += bytes;
    return p;
}

char *rz_arena_strdup(struct rz_arena *a, const char *data, size_t len)
{
    size_t bytes;
    if (!rz_add_size(len, 1, &bytes))
        return NULL;
    char *copy = rz_arena_alloc(a, bytes, 1);
    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}
