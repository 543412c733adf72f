/* cpu.h - the CPU backend's own state, seen by backend/cpu alone. */
#ifndef RZ_BACKEND_CPU_CPU_H
#define RZ_BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "base/pool.h"
#include "kernels/kernels.h"

/* Quantized activations of up to max_tokens rows (rz_act's arrays, owned). */
struct cpu_act {
    int8_t *q;
    float *scale;
    int16_t *sum;
};

/* One thread's scratch: a single row of quantized activations, and a tile of attention. */
struct cpu_thread {
    struct cpu_act row;
    float *q;      /* [tile_rows][head_dim] scaled queries */
    float *acc;    /* [tile_rows][head_dim] */
    float *max;    /* [tile_rows] */
    float *sum;    /* [tile_rows] */
    uint32_t *lo;  /* [tile_rows] */
    uint32_t *hi;  /* [tile_rows] */
    float *scores; /* [RZ_KV_BLOCK_LEN] */
};

/* Experts: routing of a step and the rows gathered for one expert. */
struct cpu_moe {
    uint32_t *chosen;  /* [max_tokens][n_experts_used], ascending within a token */
    float *weight;     /* [max_tokens][n_experts_used] */
    uint32_t *rows;    /* [max_tokens] tokens of the expert at hand */
    float *row_weight; /* [max_tokens] their weights for it */
    float *x;          /* [max_tokens][n_embd] their inputs */
    float *gate, *up;  /* [max_tokens][n_ff_expert] */
    float *down;       /* [max_tokens][n_embd] */
};

struct cpu_backend {
    struct rz_backend base;
    struct rz_kernels k;
    struct rz_pool *pool;
    struct rz_backend_need need; /* what the scratch below is made for */
    uint32_t tile_rows;          /* query rows of an attention tile */
    struct cpu_act act;
    struct cpu_thread *threads;
    struct cpu_moe moe;
    void *memory; /* owns all of the above */
    size_t memory_bytes;
};

static inline struct cpu_backend *cpu_of(struct rz_backend *b)
{
    return (struct cpu_backend *)b;
}

/* Rows of n columns as the act of a matmul: q, scale and sum from a (may be NULL for float types).
 */
struct rz_act rz_cpu_act_view(const struct cpu_backend *c, const struct cpu_act *a, const float *x,
                              uint32_t n_rows, uint32_t n_cols);

void rz_cpu_matmul(struct rz_backend *b, const float *x, uint32_t n_rows,
                   const struct rz_linear *out, uint32_t n_out);
void rz_cpu_attention(struct rz_backend *b, const struct rz_attention_args *a,
                      const struct rz_batch *batch);
void rz_cpu_kv_store(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                     const float *k, const float *v, const struct rz_batch *batch);
void rz_cpu_moe(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens);

#endif
