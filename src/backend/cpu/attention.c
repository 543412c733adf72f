/* attention.c - paged causal attention with grouped queries. A tile is the query heads of one kv
 * head for a few tokens of one sequence; it walks the sequence's blocks in order, so a row's result
 * does not depend on the tile it is in. Source: FlashAttention's online softmax, 2205.14135. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"
#include "base/fail.h"

#include <math.h>
#include <string.h>

struct job {
    struct cpu_backend *c;
    const struct rz_attention_args *a;
    const struct rz_batch *batch;
    uint32_t group;       /* query heads per kv head */
    uint32_t tile_tokens; /* tokens of a tile */
};

struct tile {
    const struct rz_seq_span *seq;
    uint32_t first, n; /* tokens, relative to the sequence's span */
    uint32_t kv_head;
};

static char *kv_of(const struct rz_kv_pool *kv, uint32_t block, uint32_t layer, uint32_t is_v,
                   uint32_t head)
{
    size_t row = ((size_t)layer * 2 + is_v) * kv->n_kv_heads + head;
    return (char *)kv->data + block * kv->block_bytes + row * kv->head_bytes;
}

static size_t position_bytes(const struct rz_kv_pool *kv)
{
    return kv->head_bytes / RZ_KV_BLOCK_LEN;
}

static enum rz_kv_type kernel_kv(const struct rz_kv_pool *kv)
{
    return kv->kv_type == RZ_F16 ? RZ_KV_F16 : RZ_KV_F32;
}

/* The query rows of a tile are ordered token by token, head by head. */
static void load_tile(const struct job *j, const struct tile *t, const struct cpu_thread *s)
{
    const uint32_t dim = j->a->kv->head_dim, n_rows = t->n * j->group;
    for (uint32_t i = 0; i < n_rows; i++) {
        size_t token = t->seq->first + t->first + i / j->group;
        size_t head = t->kv_head * j->group + i % j->group;
        const float *q = j->a->q + (token * j->a->n_heads + head) * dim;
        for (uint32_t d = 0; d < dim; d++)
            s->q[(size_t)i * dim + d] = q[d] * j->a->scale;
        s->max[i] = -INFINITY;
        s->sum[i] = 0;
    }
    memset(s->acc, 0, (size_t)n_rows * dim * sizeof *s->acc);
}

/* Which positions of the block that begins at base each row sees. */
static void set_limits(const struct job *j, const struct tile *t, const struct cpu_thread *s,
                       uint32_t base)
{
    for (uint32_t i = 0; i < t->n * j->group; i++) {
        uint32_t pos = t->seq->pos + t->first + i / j->group, end = pos + 1;
        uint32_t begin = j->a->window && end > j->a->window ? end - j->a->window : 0;
        s->lo[i] = begin > base ? rz_min_u32(begin - base, RZ_KV_BLOCK_LEN) : 0;
        s->hi[i] = end > base ? rz_min_u32(end - base, RZ_KV_BLOCK_LEN) : 0;
        s->lo[i] = rz_min_u32(s->lo[i], s->hi[i]);
    }
}

static void store_tile(const struct job *j, const struct tile *t, const struct cpu_thread *s)
{
    const uint32_t dim = j->a->kv->head_dim;
    for (uint32_t i = 0; i < t->n * j->group; i++) {
        size_t token = t->seq->first + t->first + i / j->group;
        size_t head = t->kv_head * j->group + i % j->group;
        float *out = j->a->out + (token * j->a->n_heads + head) * dim;
        float scale = 1 / s->sum[i];
        for (uint32_t d = 0; d < dim; d++)
            out[d] = s->acc[(size_t)i * dim + d] * scale;
    }
}

static void run_tile(const struct job *j, const struct tile *t, const struct cpu_thread *s)
{
    const struct rz_kv_pool *kv = j->a->kv;
    load_tile(j, t, s);
    struct rz_attend_args args = {.n_q = t->n * j->group,
                                  .head_dim = kv->head_dim,
                                  .q = s->q,
                                  .q_stride = kv->head_dim,
                                  .lo = s->lo,
                                  .hi = s->hi,
                                  .max = s->max,
                                  .sum = s->sum,
                                  .acc = s->acc,
                                  .scores = s->scores};
    uint32_t first_pos = t->seq->pos + t->first, end = first_pos + t->n;
    uint32_t begin =
        j->a->window && first_pos + 1 > j->a->window ? first_pos + 1 - j->a->window : 0;
    for (uint32_t i = begin / RZ_KV_BLOCK_LEN; i * RZ_KV_BLOCK_LEN < end; i++) {
        uint32_t base = i * RZ_KV_BLOCK_LEN;
        set_limits(j, t, s, base);
        args.n = rz_min_u32(RZ_KV_BLOCK_LEN, end - base);
        args.k = kv_of(kv, t->seq->blocks[i], j->a->layer, 0, t->kv_head);
        args.v = kv_of(kv, t->seq->blocks[i], j->a->layer, 1, t->kv_head);
        j->c->k.attend[kernel_kv(kv)](&args);
    }
    store_tile(j, t, s);
}

/* Tiles are numbered through all sequences and kv heads and dealt out round robin: the later
 * tiles of a prompt see more positions, and so each thread gets a like share. */
static void attention_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    const struct cpu_thread *scratch = &j->c->threads[i_thread];
    uint32_t i_tile = 0;
    for (uint32_t i = 0; i < j->batch->n_seqs; i++) {
        const struct rz_seq_span *seq = &j->batch->seqs[i];
        for (uint32_t first = 0; first < seq->n; first += j->tile_tokens) {
            for (uint32_t head = 0; head < j->a->kv->n_kv_heads; head++) {
                if (i_tile++ % n_threads != i_thread)
                    continue;
                const struct tile t = {.seq = seq,
                                       .first = first,
                                       .n = rz_min_u32(j->tile_tokens, seq->n - first),
                                       .kv_head = head};
                run_tile(j, &t, scratch);
            }
        }
    }
}

void rz_cpu_attention(struct rz_backend *b, const struct rz_attention_args *a,
                      const struct rz_batch *batch)
{
    struct cpu_backend *c = cpu_of(b);
    struct job j = {.c = c, .a = a, .batch = batch, .group = a->n_heads / a->kv->n_kv_heads};
    RZ_ASSERT(j.group <= c->tile_rows);
    j.tile_tokens = c->tile_rows / j.group;
    rz_pool_run(c->pool, attention_part, &j);
}

void rz_cpu_kv_store(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                     const float *k, const float *v, const struct rz_batch *batch)
{
    const struct cpu_backend *c = cpu_of(b);
    for (uint32_t i = 0; i < batch->n_seqs; i++) {
        const struct rz_seq_span *seq = &batch->seqs[i];
        for (uint32_t t = 0; t < seq->n; t++) {
            uint32_t pos = seq->pos + t, block = seq->blocks[pos / RZ_KV_BLOCK_LEN];
            size_t offset = pos % RZ_KV_BLOCK_LEN * position_bytes(kv);
            for (uint32_t head = 0; head < kv->n_kv_heads; head++) {
                size_t from = ((size_t)(seq->first + t) * kv->n_kv_heads + head) * kv->head_dim;
                c->k.kv_store[kernel_kv(kv)](k + from, kv_of(kv, block, layer, 0, head) + offset,
                                             kv->head_dim);
                c->k.kv_store[kernel_kv(kv)](v + from, kv_of(kv, block, layer, 1, head) + offset,
                                             kv->head_dim);
            }
        }
    }
}
