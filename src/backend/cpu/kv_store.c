/* kv_store.c - the CPU's KV cache: where a head's keys and values lie, and putting them there.
 *
 * Keys of RZ_Q8_0 are stored without the turned bias of their projection (backend.h). What is taken
 * off here is what attention adds again, so the cache is right whatever the bias is; only how well
 * 8 bits fit depends on it. */
#include "backend/cpu/cpu.h"

#include "base/checked.h"
#include "base/f16.h"
#include "base/fail.h"

#include <string.h>

_Static_assert((int)RZ_KV_BLOCK == (int)RZ_KV_BLOCK_LEN, "kernels and pool agree on a block");

enum {
    MAX_DIM = 512, /* RZ_MAX_HEAD_DIM */
    /* Below, a barrier costs more than it saves: few, since each of a key goes to another line. */
    PARALLEL_ELEMENTS = 1 << 10
};

char *rz_cpu_kv_of(const struct rz_kv_pool *kv, uint32_t block, uint32_t layer, uint32_t is_v,
                   uint32_t head)
{
    size_t row = ((size_t)layer * 2 + is_v) * kv->n_kv_heads + head;
    return (char *)kv->data + block * kv->block_bytes + row * kv->head_bytes;
}

enum rz_kv_type rz_cpu_kv_type(const struct rz_kv_pool *kv)
{
    return kv->kv_type == RZ_F32 ? RZ_KV_F32 : kv->kv_type == RZ_F16 ? RZ_KV_F16 : RZ_KV_Q8_0;
}

struct rz_head_bias rz_cpu_head_bias(const struct rz_kv_pool *kv, uint32_t layer, uint32_t head)
{
    if (!kv->bias)
        return (struct rz_head_bias){0};
    return kv->bias->heads[(size_t)layer * kv->n_kv_heads + head];
}

static void turn(float x, float y, float cosine, float sine, float out[2])
{
    out[0] = x * cosine - y * sine;
    out[1] = x * sine + y * cosine;
}

void rz_cpu_turn_bias(const struct rz_kv_bias *bias, const struct rz_key_pair *pair, uint32_t i,
                      float out[2])
{
    const float *cs = bias->block_cs + ((size_t)i * bias->n_angles + pair->i_angle) * 2;
    turn(pair->bias[0], pair->bias[1], cs[0], cs[1], out);
}

struct store_job {
    const struct cpu_backend *c;
    const struct rz_kv_pool *kv;
    uint32_t layer;
    const float *k, *v;
    const struct rz_batch *batch;
};

/* x, of dim elements, without the bias as it is at the sequence's position pos. */
static void take_bias(const struct rz_kv_bias *bias, struct rz_head_bias head, uint32_t pos,
                      float *x)
{
    for (uint32_t i = 0; i < head.n_pairs; i++) {
        const struct rz_key_pair *pair = &head.pairs[i];
        const float *cs = bias->turn + (size_t)pair->i_angle * 2 * RZ_KV_BLOCK + pos % RZ_KV_BLOCK;
        float base[2];
        rz_cpu_turn_bias(bias, pair, pos / RZ_KV_BLOCK, base);
        turn(base[0], base[1], cs[0], cs[RZ_KV_BLOCK], base);
        x[pair->a] -= base[0];
        x[pair->b] -= base[1];
    }
}

/* One position of a block of keys, [head_dim][position]. */
static void scatter_key(const void *row, void *block, uint32_t pos, uint32_t head_dim, size_t elem)
{
    for (uint32_t d = 0; d < head_dim; d++)
        memcpy((char *)block + rz_kv_key_at(d, pos) * elem, (const char *)row + d * elem, elem);
}

/* Quantizes a row, followed by zeros up to a multiple of 32, and puts its scales into the block. */
static void quantize(const struct store_job *j, const float *row, void *block, uint32_t pos,
                     int8_t *codes)
{
    const uint32_t dim = j->kv->head_dim;
    _Alignas(4) char memory[MAX_DIM / RZ_ACT_BLOCK * RZ_ACT_FACTOR_BYTES];
    const struct rz_act_factors f = rz_act_factors_in(memory, MAX_DIM / RZ_ACT_BLOCK);
    j->c->k.quantize(row, (uint32_t)rz_align_up(dim, RZ_ACT_BLOCK), RZ_ACT_MAX, codes, &f, 1);
    for (uint32_t d = 0; d < dim; d += RZ_KV_GROUP) {
        rz_f16 scale = rz_f32_to_f16(f.scale[d / RZ_KV_GROUP]);
        size_t at = rz_kv_scales(dim) + rz_kv_scale_at(d, pos) * sizeof scale;
        memcpy((char *)block + at, &scale, sizeof scale);
    }
}

static void store_key(const struct store_job *j, const float *x, struct rz_head_bias head,
                      uint32_t pos, void *block)
{
    const uint32_t dim = j->kv->head_dim, at = pos % RZ_KV_BLOCK;
    const enum rz_kv_type type = rz_cpu_kv_type(j->kv);
    float row[MAX_DIM] = {0};
    if (type == RZ_KV_Q8_0) {
        _Alignas(64) int8_t codes[MAX_DIM];
        memcpy(row, x, dim * sizeof *x);
        take_bias(j->kv->bias, head, pos, row);
        quantize(j, row, block, at, codes);
        scatter_key(codes, block, at, dim, 1);
        return;
    }
    j->c->k.kv_store[type](x, row, dim);
    if (type == RZ_KV_F16)
        scatter_key(row, block, at, dim, 2);
    else
        scatter_key(row, block, at, dim, 4);
}

static void store_value(const struct store_job *j, const float *x, uint32_t pos, void *block)
{
    const uint32_t dim = j->kv->head_dim, at = pos % RZ_KV_BLOCK;
    const enum rz_kv_type type = rz_cpu_kv_type(j->kv);
    _Alignas(64) int8_t codes[MAX_DIM];
    if (type == RZ_KV_Q8_0) {
        float row[MAX_DIM] = {0};
        memcpy(row, x, dim * sizeof *x);
        quantize(j, row, block, at, codes);
    }
    for (uint32_t d = 0; d < dim; d += RZ_KV_GROUP) {
        const uint32_t width = rz_kv_group_width(dim, d);
        char *to = (char *)block + rz_kv_value_at(dim, d, at) * rz_kv_elem(type);
        if (type == RZ_KV_Q8_0)
            memcpy(to, codes + d, width);
        else
            j->c->k.kv_store[type](x + d, to, width);
    }
}

static void store_head(const struct store_job *j, uint32_t is_v, uint32_t head)
{
    const uint32_t n_heads = j->kv->n_kv_heads;
    const struct rz_head_bias bias = rz_cpu_head_bias(j->kv, j->layer, head);
    for (uint32_t i = 0; i < j->batch->n_seqs; i++) {
        const struct rz_seq_span *seq = &j->batch->seqs[i];
        for (uint32_t t = 0; t < seq->n; t++) {
            uint32_t pos = seq->pos + t;
            char *block = rz_cpu_kv_of(j->kv, seq->blocks[pos / RZ_KV_BLOCK], j->layer, is_v, head);
            size_t from = ((size_t)(seq->first + t) * n_heads + head) * j->kv->head_dim;
            if (is_v)
                store_value(j, j->v + from, pos, block);
            else
                store_key(j, j->k + from, bias, pos, block);
        }
    }
}

/* Split by heads: positions next to each other share cache lines. */
static void store_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct store_job *j = ctx;
    const uint32_t n_heads = j->kv->n_kv_heads;
    uint32_t begin, end;
    rz_pool_part(2 * n_heads, 1, i_thread, n_threads, &begin, &end);
    for (uint32_t part = begin; part < end; part++)
        store_head(j, part % 2, part / 2);
}

void rz_cpu_kv_store(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                     const float *k, const float *v, const struct rz_batch *batch)
{
    struct store_job j = {.c = cpu_of(b), .kv = kv, .layer = layer, .k = k, .v = v, .batch = batch};
    RZ_ASSERT(kv->head_dim <= MAX_DIM);
    if ((size_t)batch->n_tokens * kv->n_kv_heads * kv->head_dim < PARALLEL_ELEMENTS)
        store_part(&j, 0, 1);
    else
        rz_pool_run(j.c->pool, store_part, &j);
}
