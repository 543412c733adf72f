/* cpu.h - the CPU backend's own state, seen by backend/cpu alone. */
#ifndef RZ_BACKEND_CPU_CPU_H
#define RZ_BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/share.h"
#include "base/pool.h"
#include "kernels/kernels.h"

/* Quantized activations of up to max_tokens rows (rz_act's arrays, owned). */
struct cpu_act {
    int8_t *q;
    struct rz_act_factors factors;
    uint16_t *bf16; /* tiles; NULL where no product is wide, and of a single row */
};

enum {
    CPU_SUM_ROWS = 4096 /* sums put together before they are copied to where others read them */
};

/* One thread's scratch: a single row of quantized activations, and a tile of attention. */
struct cpu_thread {
    struct cpu_share share;
    struct cpu_act row;
    float *q;                            /* [tile_rows][RZ_ATTEND_STRIDE] scaled queries */
    float *scores;                       /* [tile_rows][RZ_ATTEND_STRIDE] */
    uint32_t *lo, *hi;                   /* [tile_rows] */
    struct rz_key_offset *offsets;       /* [head_dim / 2] */
    struct rz_attend_state total, chunk; /* of tile_rows rows */
    float *sums;                         /* [CPU_SUM_ROWS] of a single row's product */
    uint8_t *strips; /* [strip_bytes]: strips of weights packed for one product */
};

/* Attention split over the cached positions: the tiles, and the results of their chunks. */
struct cpu_split {
    struct cpu_tile *tiles; /* a few per thread */
    struct rz_attend_state slots;
    size_t n_slots; /* rows */
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
    struct cpu_split split;
    struct cpu_moe moe;
    struct cpu_weights *weights; /* packed copies (packed.h) */
    size_t strip_bytes;          /* 0 where products do not need a thread's strips */
    bool any_wide;               /* products of some weight can be (rz_kernels.matmul_wide) */
    uint32_t step_rows; /* while experts run: the step's rows, which say if they are wide */
    void *memory;       /* owns all of the above */
    size_t memory_bytes;
};

static inline struct cpu_backend *cpu_of(struct rz_backend *b)
{
    return (struct cpu_backend *)b;
}

/* Rows of n columns as the act of a matmul: q and factors from a (may be NULL for float types). */
struct rz_act rz_cpu_act_view(const struct cpu_backend *c, const struct cpu_act *a, const float *x,
                              uint32_t n_rows, uint32_t n_cols);

/* Elements of 16 rows of bfloat16 tiles. */
size_t rz_cpu_bf16_strip(uint32_t n_cols);

void rz_cpu_matmul(struct rz_backend *b, const float *x, uint32_t n_rows,
                   const struct rz_linear *out, uint32_t n_out);
/* Keys or values of one head in one block of the pool. */
char *rz_cpu_kv_of(const struct rz_kv_pool *kv, uint32_t block, uint32_t layer, uint32_t is_v,
                   uint32_t head);
enum rz_kv_type rz_cpu_kv_type(const struct rz_kv_pool *kv);
/* What a head's keys are stored without; and a pair of it at the first position of the sequence's
 * block i. */
struct rz_head_bias rz_cpu_head_bias(const struct rz_kv_pool *kv, uint32_t layer, uint32_t head);
void rz_cpu_turn_bias(const struct rz_kv_bias *bias, const struct rz_key_pair *pair, uint32_t i,
                      float out[2]);
/* Lays out the scratch of attention at base (NULL: only counts); returns its bytes. */
size_t rz_cpu_attention_place(struct cpu_backend *c, char *base);
void rz_cpu_attention(struct rz_backend *b, const struct rz_attention_args *a,
                      const struct rz_batch *batch);
void rz_cpu_kv_store(struct rz_backend *b, const struct rz_kv_pool *kv, uint32_t layer,
                     const float *k, const float *v, const struct rz_batch *batch);
void rz_cpu_moe(struct rz_backend *b, const struct rz_moe_args *a, uint32_t n_tokens);

#endif
