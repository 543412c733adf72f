/* memory.c - all scratch of the CPU backend lies in one mapping, laid out twice by the same
 * function: once to count, once to place. */
#include "backend/cpu/memory.h"

#include "backend/cpu/packed.h"
#include "base/checked.h"
#include "base/fail.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Query rows of an attention tile: so many that a chunk of K and V, read from L2 for every dozen of
 * them, is seldom read from memory. */
enum {
    MIN_TILE_ROWS = 96
};

rz_status rz_cpu_alloc(struct rz_backend *b, size_t bytes, void **out, rz_error *err)
{
    (void)b;
    *out = NULL;
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return rz_fail(err, RZ_ENOMEM, "cannot map %zu bytes: %s", bytes, strerror(errno));
    *out = p;
    return RZ_OK;
}

void rz_cpu_release(struct rz_backend *b, void *p, size_t bytes)
{
    (void)b;
    if (p)
        munmap(p, bytes ? bytes : 1);
}

/* Attention reads a few kilobytes here and there: with pages of 4 KiB, decoding at depth 4096
 * spends a third of attention's time in looking up addresses. */
void rz_cpu_use_large_pages(struct rz_backend *b, void *p, size_t bytes)
{
    (void)b;
    if (bytes)
        (void)madvise(p, bytes, MADV_HUGEPAGE);
}

/* Hands out cache-line aligned pieces; with base NULL it only counts. */
struct layout {
    char *base;
    size_t used;
};

static void *place(struct layout *l, size_t n, size_t size)
{
    void *p = l->base ? l->base + l->used : NULL;
    l->used += rz_align_up(n * size, 64);
    return p;
}

static void place_act(struct layout *l, struct cpu_act *a, size_t n_rows, size_t n_cols)
{
    const size_t n_blocks = n_rows * ((n_cols + RZ_ACT_BLOCK - 1) / RZ_ACT_BLOCK);
    a->q = place(l, n_blocks, RZ_ACT_BLOCK);
    void *factors = place(l, n_blocks, RZ_ACT_FACTOR_BYTES);
    if (factors)
        a->factors = rz_act_factors_in(factors, n_blocks);
}

static void place_thread(struct layout *l, struct cpu_thread *t, const struct cpu_backend *c)
{
    place_act(l, &t->row, 1, c->need.max_cols);
    t->sums = place(l, CPU_SUM_ROWS, sizeof *t->sums);
    t->strips = place(l, c->strip_bytes, 1);
}

static void place_moe(struct layout *l, struct cpu_moe *m, const struct rz_backend_need *need)
{
    size_t t = need->n_experts ? need->max_tokens : 0, used = need->n_experts_used;
    m->chosen = place(l, t * used, sizeof(uint32_t));
    m->weight = place(l, t * used, sizeof(float));
    m->rows = place(l, t, sizeof(uint32_t));
    m->row_weight = place(l, t, sizeof(float));
    m->x = place(l, t * need->n_embd, sizeof(float));
    m->gate = place(l, t * need->n_ff_expert, sizeof(float));
    m->up = place(l, t * need->n_ff_expert, sizeof(float));
    m->down = place(l, t * need->n_embd, sizeof(float));
}

static size_t place_all(struct cpu_backend *c, char *base)
{
    struct layout l = {.base = base};
    c->threads = place(&l, c->base.n_threads, sizeof *c->threads);
    place_act(&l, &c->act, c->need.max_tokens, c->need.max_cols);
    if (c->any_wide)
        c->act.bf16 =
            place(&l, (c->need.max_tokens + 15) / 16 * rz_cpu_bf16_strip(c->need.max_cols),
                  sizeof *c->act.bf16);
    place_moe(&l, &c->moe, &c->need);
    struct cpu_thread none;
    for (unsigned i = 0; i < c->base.n_threads; i++)
        place_thread(&l, base ? &c->threads[i] : &none, c);
    l.used += rz_cpu_attention_place(c, base ? base + l.used : NULL);
    return l.used;
}

static void keep_larger(uint32_t *have, uint32_t want)
{
    if (*have < want)
        *have = want;
}

/* Grown beside the old memory: engines that share this backend go on if there is none for more. */
rz_status rz_cpu_reserve(struct rz_backend *b, const struct rz_backend_need *need, rz_error *err)
{
    struct cpu_backend *c = cpu_of(b), grown = *c;
    struct rz_backend_need *have = &grown.need;
    keep_larger(&have->max_tokens, need->max_tokens);
    keep_larger(&have->max_cols, need->max_cols);
    keep_larger(&have->head_dim, need->head_dim);
    keep_larger(&have->n_embd, need->n_embd);
    keep_larger(&have->n_experts, need->n_experts);
    keep_larger(&have->n_experts_used, need->n_experts_used);
    keep_larger(&have->n_ff_expert, need->n_ff_expert);
    keep_larger(&grown.tile_rows, MIN_TILE_ROWS);
    keep_larger(&grown.tile_rows, need->n_heads / need->n_kv_heads);
    rz_cpu_weights_settle(&grown);
    grown.memory_bytes = place_all(&grown, NULL);
    RZ_TRY(rz_cpu_alloc(b, grown.memory_bytes, &grown.memory, err));
    place_all(&grown, grown.memory);
    rz_cpu_release(b, c->memory, c->memory_bytes);
    *c = grown;
    return RZ_OK;
}
