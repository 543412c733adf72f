/* arena.h - memory that is freed all at once: one arena per request or per loaded object. */
#ifndef RZ_BASE_ARENA_H
#define RZ_BASE_ARENA_H

#include <stddef.h>

struct rz_arena_chunk;

/* Start from rz_arena_init. Allocation is zeroed and aligned to 16; NULL once the limit is reached
 * or memory is out. Single-threaded. */
struct rz_arena {
    struct rz_arena_chunk *head;
    size_t used_bytes; /* handed out, rounding included */
    size_t max_bytes;
};

void rz_arena_init(struct rz_arena *a, size_t max_bytes);
void rz_arena_fini(struct rz_arena *a);

/* n * size bytes, checked. n == 0 gives a valid pointer. */
void *rz_arena_alloc(struct rz_arena *a, size_t n, size_t size);

/* A NUL-terminated copy of len bytes. */
char *rz_arena_strdup(struct rz_arena *a, const char *data, size_t len);

#endif
