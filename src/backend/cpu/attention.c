/* attention.c - paged causal attention with grouped queries.
 *
 * A tile is the query heads of one kv head for a few tokens of one sequence. Its cached positions
 * are cut into chunks of RZ_ATTEND_CHUNK, counted from position 0, whose results are merged in
 * order: so a row's result depends neither on the tile it is in nor on who computed which chunk.
 * With many tiles each is one thread's; with few, their chunks are dealt out. Sources: online
 * softmax 1805.02867, FlashAttention 2205.14135, Flash-Decoding (Dao et al., 2023). */
#include "backend/cpu/cpu.h"

#include "base/checked.h"
#include "base/fail.h"

#include <math.h>
#include <string.h>

enum {
    SPLIT_TILES = 4, /* per thread: fewer tiles than this are split into chunks */
    SLOTS_PER_ROW = 8,
    KERNEL_ROWS = 12, /* that the kernels like best: attend_product.h */
    ROW_UNIT = 16     /* elements */
};

struct cpu_tile {
    const struct rz_seq_span *seq;
    uint32_t first, n; /* tokens, relative to the sequence's span */
    uint32_t kv_head;
    uint32_t chunk, chunk_end; /* those that it sees; chunk: the first not merged yet */
    uint32_t n_left;           /* of the round: not computed yet */
    size_t slot;               /* its total's rows; its chunks' follow */
};

struct job {
    struct cpu_backend *c;
    const struct rz_attention_args *a;
    const struct rz_batch *batch;
    uint32_t group;       /* query heads per kv head */
    uint32_t tile_tokens; /* most tokens of a tile */
    uint32_t next_tile;   /* not split: the next to be taken */
    uint32_t n_tiles;     /* split: of c->split.tiles */
    uint32_t round;       /* split: most chunks of a tile at a time */
};

static uint32_t n_rows(const struct job *j, const struct cpu_tile *t)
{
    return t->n * j->group;
}

/* Row 0 of a token of a tile in q and out. A tile's rows are ordered token by token, head by head.
 */
static size_t token_at(const struct job *j, const struct cpu_tile *t, uint32_t i_token)
{
    size_t token = t->seq->first + t->first + i_token;
    return (token * j->a->n_heads + (size_t)t->kv_head * j->group) * j->a->kv->head_dim;
}

/* head_dim is a multiple of ROW_UNIT: loops of a constant length become vectors. */
static void scale_row(const float *restrict x, float *restrict y, size_t n, float factor)
{
    for (size_t d = 0; d < n; d += ROW_UNIT) {
        for (size_t i = 0; i < ROW_UNIT; i++)
            y[d + i] = x[d + i] * factor;
    }
}

/* Kernels take powers of two. */
static void load_queries(const struct job *j, const struct cpu_tile *t, const struct cpu_thread *s)
{
    const uint32_t dim = j->a->kv->head_dim;
    const float factor = (float)((double)j->a->scale * M_LOG2E);
    float *to = s->q;
    for (uint32_t i = 0; i < t->n; i++) {
        const float *q = j->a->q + token_at(j, t, i);
        for (uint32_t head = 0; head < j->group; head++, q += dim, to += RZ_ATTEND_STRIDE)
            scale_row(q, to, dim, factor);
    }
}

/* Which positions of the chunk that begins at base each row sees. */
static void set_limits(const struct job *j, const struct cpu_tile *t, const struct cpu_thread *s,
                       uint32_t base)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t end = t->seq->pos + t->first + i + 1;
        uint32_t begin = j->a->window && end > j->a->window ? end - j->a->window : 0;
        uint32_t hi = end > base ? rz_min_u32(end - base, RZ_ATTEND_CHUNK) : 0;
        uint32_t lo = begin > base ? rz_min_u32(begin - base, hi) : 0;
        for (uint32_t head = 0; head < j->group; head++, row++) {
            s->lo[row] = lo;
            s->hi[row] = hi;
        }
    }
}

/* What the head's keys lack in the chunk that begins with block first; returns of how many pairs.
 */
static uint32_t set_offsets(const struct job *j, const struct cpu_tile *t,
                            const struct cpu_thread *s, uint32_t first, uint32_t n_blocks)
{
    const struct rz_kv_bias *bias = j->a->kv->bias;
    const struct rz_head_bias head = rz_cpu_head_bias(j->a->kv, j->a->layer, t->kv_head);
    for (uint32_t i = 0; i < head.n_pairs; i++) {
        const struct rz_key_pair *pair = &head.pairs[i];
        struct rz_key_offset *o = &s->offsets[i];
        o->a = pair->a;
        o->b = pair->b;
        o->turn = bias->turn + (size_t)pair->i_angle * 2 * RZ_KV_BLOCK;
        for (uint32_t b = 0; b < rz_min_u32(n_blocks, RZ_ATTEND_BLOCKS); b++)
            rz_cpu_turn_bias(bias, pair, first + b, o->base[b]);
    }
    return head.n_pairs;
}

/* The tile's queries are in s. */
static void attend_chunk(const struct job *j, const struct cpu_tile *t, const struct cpu_thread *s,
                         uint32_t chunk, struct rz_attend_state out)
{
    const struct rz_kv_pool *kv = j->a->kv;
    const uint32_t first = chunk * RZ_ATTEND_BLOCKS;
    const uint32_t n_blocks =
        (t->seq->pos + t->first + t->n + RZ_KV_BLOCK - 1) / RZ_KV_BLOCK - first;
    const void *k[RZ_ATTEND_BLOCKS + 1], *v[RZ_ATTEND_BLOCKS];
    for (uint32_t b = 0; b <= RZ_ATTEND_BLOCKS; b++) {
        uint32_t block = t->seq->blocks[first + rz_min_u32(b, n_blocks - 1)];
        k[b] = rz_cpu_kv_of(kv, block, j->a->layer, 0, t->kv_head);
        if (b < RZ_ATTEND_BLOCKS)
            v[b] = rz_cpu_kv_of(kv, block, j->a->layer, 1, t->kv_head);
    }
    set_limits(j, t, s, chunk * RZ_ATTEND_CHUNK);
    const struct rz_attend_args args = {.n_q = n_rows(j, t),
                                        .head_dim = kv->head_dim,
                                        .q = s->q,
                                        .k = k,
                                        .v = v,
                                        .next = k[RZ_ATTEND_BLOCKS],
                                        .lo = s->lo,
                                        .hi = s->hi,
                                        .scores = s->scores,
                                        .offsets = s->offsets,
                                        .n_offsets = set_offsets(j, t, s, first, n_blocks),
                                        .out = out};
    j->c->k.attend[rz_cpu_kv_type(kv)](&args);
}

static void merge(const struct job *j, const struct cpu_tile *t, const struct rz_attend_state *to,
                  const struct rz_attend_state *chunk)
{
    j->c->k.attend_merge(to, chunk, n_rows(j, t), j->a->kv->head_dim);
}

static void store_tile(const struct job *j, const struct cpu_tile *t,
                       const struct rz_attend_state *total)
{
    const uint32_t dim = j->a->kv->head_dim;
    const float *acc = total->acc, *sum = total->sum;
    for (uint32_t i = 0; i < t->n; i++) {
        float *out = j->a->out + token_at(j, t, i);
        for (uint32_t head = 0; head < j->group; head++, acc += dim, out += dim, sum++)
            scale_row(acc, out, dim, 1 / *sum);
    }
}

/* A tile of the sequence: tokens from first on. */
static struct cpu_tile make_tile(const struct job *j, const struct rz_seq_span *seq, uint32_t first,
                                 uint32_t kv_head)
{
    struct cpu_tile t = {.seq = seq,
                         .first = first,
                         .n = rz_min_u32(j->tile_tokens, seq->n - first),
                         .kv_head = kv_head};
    uint32_t pos = seq->pos + first, begin = 0;
    if (j->a->window && pos + 1 > j->a->window)
        begin = pos + 1 - j->a->window;
    t.chunk = begin / RZ_ATTEND_CHUNK;
    t.chunk_end = (pos + t.n - 1) / RZ_ATTEND_CHUNK + 1;
    return t;
}

static void run_tile(const struct job *j, const struct cpu_tile *t, const struct cpu_thread *s)
{
    load_queries(j, t, s);
    for (uint32_t chunk = t->chunk; chunk < t->chunk_end; chunk++) {
        const bool is_first = chunk == t->chunk;
        attend_chunk(j, t, s, chunk, is_first ? s->total : s->chunk);
        if (!is_first)
            merge(j, t, &s->total, &s->chunk);
    }
    store_tile(j, t, &s->total);
}

/* Tiles are numbered through all sequences and kv heads, the last tokens of a sequence first: these
 * see most, and what ends last should be short. Each thread takes the next. */
static void whole_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    (void)n_threads;
    struct job *j = ctx;
    const struct cpu_thread *scratch = &j->c->threads[i_thread];
    uint32_t i_tile = 0, mine = __atomic_fetch_add(&j->next_tile, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < j->batch->n_seqs; i++) {
        const struct rz_seq_span *seq = &j->batch->seqs[i];
        for (uint32_t n = (seq->n + j->tile_tokens - 1) / j->tile_tokens; n-- > 0;) {
            for (uint32_t head = 0; head < j->a->kv->n_kv_heads; head++) {
                if (i_tile++ != mine)
                    continue;
                const struct cpu_tile t = make_tile(j, seq, n * j->tile_tokens, head);
                run_tile(j, &t, scratch);
                mine = __atomic_fetch_add(&j->next_tile, 1, __ATOMIC_RELAXED);
            }
        }
    }
}

/* The rows of a tile's total (i = 0) or of the i-th chunk of the round. */
static struct rz_attend_state slot(const struct job *j, const struct cpu_tile *t, uint32_t i)
{
    const struct rz_attend_state *s = &j->c->split.slots;
    size_t row = t->slot + (size_t)i * n_rows(j, t);
    return (struct rz_attend_state){s->max + row, s->sum + row, s->acc + row * j->a->kv->head_dim};
}

/* All chunks of the tile's round are there. */
static void finish_round(const struct job *j, const struct cpu_tile *t, uint32_t n)
{
    const struct rz_attend_state total = slot(j, t, 0);
    for (uint32_t i = 1; i <= n; i++) {
        const struct rz_attend_state chunk = slot(j, t, i);
        merge(j, t, &total, &chunk);
    }
    if (t->chunk + n == t->chunk_end)
        store_tile(j, t, &total);
}

static uint32_t round_of(const struct job *j, const struct cpu_tile *t)
{
    return rz_min_u32(t->chunk_end - t->chunk, j->round);
}

/* The round's chunks, tile by tile, in runs of like length; who ends a tile's round merges it. */
static void split_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    const struct cpu_thread *scratch = &j->c->threads[i_thread];
    uint32_t n_items = 0, begin, end;
    for (uint32_t i = 0; i < j->n_tiles; i++)
        n_items += round_of(j, &j->c->split.tiles[i]);
    rz_pool_part(n_items, 1, i_thread, n_threads, &begin, &end);
    uint32_t item = 0;
    for (uint32_t i = 0; i < j->n_tiles && item < end; i++) {
        struct cpu_tile *t = &j->c->split.tiles[i];
        const uint32_t n = round_of(j, t), from = begin > item ? begin - item : 0;
        const uint32_t to = rz_min_u32(end - item, n);
        item += n;
        if (from >= to)
            continue;
        load_queries(j, t, scratch);
        for (uint32_t chunk = from; chunk < to; chunk++)
            attend_chunk(j, t, scratch, t->chunk + chunk, slot(j, t, chunk + 1));
        if (__atomic_sub_fetch(&t->n_left, to - from, __ATOMIC_ACQ_REL) == 0)
            finish_round(j, t, n);
    }
}

static void list_tiles(struct job *j)
{
    size_t rows = 0;
    for (uint32_t i = 0; i < j->batch->n_seqs; i++) {
        const struct rz_seq_span *seq = &j->batch->seqs[i];
        for (uint32_t first = 0; first < seq->n; first += j->tile_tokens) {
            for (uint32_t head = 0; head < j->a->kv->n_kv_heads; head++) {
                struct cpu_tile *t = &j->c->split.tiles[j->n_tiles++];
                *t = make_tile(j, seq, first, head);
                rows += n_rows(j, t);
            }
        }
    }
    if (rows == 0)
        return;
    j->round = (uint32_t)rz_min_size(j->c->split.n_slots / rows, 1u << 20) - 1;
    RZ_ASSERT(j->round >= 1);
    for (uint32_t i = 0, row = 0; i < j->n_tiles; i++) {
        struct cpu_tile *t = &j->c->split.tiles[i];
        t->slot = row;
        row += n_rows(j, t) * (j->round + 1);
        memset(slot(j, t, 0).sum, 0, n_rows(j, t) * sizeof(float));
    }
}

static void run_split(struct job *j)
{
    list_tiles(j);
    for (bool more = true; more;) {
        for (uint32_t i = 0; i < j->n_tiles; i++)
            j->c->split.tiles[i].n_left = round_of(j, &j->c->split.tiles[i]);
        rz_pool_run(j->c->pool, split_part, j);
        more = false;
        for (uint32_t i = 0; i < j->n_tiles; i++) {
            struct cpu_tile *t = &j->c->split.tiles[i];
            t->chunk += round_of(j, t);
            more = more || t->chunk < t->chunk_end;
        }
    }
}

/* At most max tokens whose rows are a multiple of KERNEL_ROWS, if few less will do. */
static uint32_t tile_tokens(uint32_t max, uint32_t group)
{
    for (uint32_t n = max; n > max / 2; n--) {
        if (n * group % KERNEL_ROWS == 0)
            return n;
    }
    return max;
}

void rz_cpu_attention(struct rz_backend *b, const struct rz_attention_args *a,
                      const struct rz_batch *batch)
{
    struct cpu_backend *c = cpu_of(b);
    struct job j = {.c = c, .a = a, .batch = batch, .group = a->n_heads / a->kv->n_kv_heads};
    RZ_ASSERT(j.group <= c->tile_rows);
    j.tile_tokens = tile_tokens(c->tile_rows / j.group, j.group);
    uint32_t n_tiles = 0;
    for (uint32_t i = 0; i < batch->n_seqs; i++)
        n_tiles += (batch->seqs[i].n + j.tile_tokens - 1) / j.tile_tokens;
    if (b->n_threads > 1 && n_tiles * a->kv->n_kv_heads < SPLIT_TILES * b->n_threads)
        run_split(&j);
    else
        rz_pool_run(c->pool, whole_part, &j);
}

/* Hands out cache-line aligned pieces; with base NULL it only counts. */
static void *place(char *base, size_t *used, size_t n, size_t size)
{
    void *p = base ? base + *used : NULL;
    *used += rz_align_up(n * size, 64);
    return p;
}

static struct rz_attend_state place_state(char *base, size_t *used, size_t rows, uint32_t dim)
{
    struct rz_attend_state s;
    s.max = place(base, used, rows, sizeof(float));
    s.sum = place(base, used, rows, sizeof(float));
    s.acc = place(base, used, rows * dim, sizeof(float));
    return s;
}

size_t rz_cpu_attention_place(struct cpu_backend *c, char *base)
{
    const size_t rows = c->tile_rows, n_threads = c->base.n_threads;
    const uint32_t dim = c->need.head_dim;
    size_t used = 0;
    struct cpu_thread none = {0};
    for (size_t i = 0; i < n_threads; i++) {
        struct cpu_thread *t = base ? &c->threads[i] : &none;
        t->q = place(base, &used, rows * RZ_ATTEND_STRIDE, sizeof(float));
        t->scores = place(base, &used, rows * RZ_ATTEND_STRIDE, sizeof(float));
        t->lo = place(base, &used, rows, sizeof(uint32_t));
        t->hi = place(base, &used, rows, sizeof(uint32_t));
        t->offsets = place(base, &used, dim / 2, sizeof *t->offsets);
        t->total = place_state(base, &used, rows, dim);
        t->chunk = place_state(base, &used, rows, dim);
    }
    c->split.tiles = place(base, &used, SPLIT_TILES * n_threads, sizeof *c->split.tiles);
    c->split.n_slots = SLOTS_PER_ROW * n_threads * rows;
    c->split.slots = place_state(base, &used, c->split.n_slots, dim);
    return used;
}
