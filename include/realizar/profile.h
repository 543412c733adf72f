/* profile.h - where the time of the real forward goes: per operation and layer, with the bytes that
 * each reads and the multiplications that it does.
 *
 * The profile stands between the forward and the backend and takes the time around each operation:
 * nothing is computed otherwise than without it. What that costs is measured too. */
#ifndef REALIZAR_PROFILE_H
#define REALIZAR_PROFILE_H

#include <realizar/bench.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rz_op {
    RZ_OP_EMBED,      /* rows of the embedding */
    RZ_OP_ROPE_TABLE, /* angles of a step */
    RZ_OP_NORM,
    RZ_OP_QKV,
    RZ_OP_ROPE,
    RZ_OP_KV_STORE,
    RZ_OP_ATTENTION,
    RZ_OP_OUTPUT, /* of attention */
    RZ_OP_GATE_UP,
    RZ_OP_SILU,
    RZ_OP_DOWN,
    RZ_OP_ROUTER,
    RZ_OP_EXPERTS, /* all routed experts of a layer */
    RZ_OP_RESIDUAL,
    RZ_OP_GATHER, /* rows whose logits are wanted */
    RZ_OP_HEAD,
    RZ_OP_DOWNLOAD, /* logits to the session */
    RZ_OP_SAMPLE,
    RZ_OP_OTHER, /* time of a step outside all operations */
    RZ_N_OPS
} rz_op;

RZ_API const char *rz_op_name(rz_op op); /* "qkv" ... */

typedef struct rz_op_figures {
    uint64_t calls;
    double seconds;
    double bytes; /* weights, KV cache and activations that it reads and writes, each once */
    double flops; /* multiplies and adds */
} rz_op_figures;

typedef enum rz_phase {
    RZ_PHASE_PREFILL,
    RZ_PHASE_DECODE,
    RZ_N_PHASES
} rz_phase;

RZ_API const char *rz_phase_name(rz_phase phase);

/* Readings of the counters over one phase; value NAN and a reason where one cannot be read. */
typedef struct rz_reading {
    const char *name;
    double value;
    char why_not[96]; /* "" if value is one */
} rz_reading;

enum {
    RZ_N_READINGS = 6
};

typedef struct rz_profile_phase {
    uint32_t n_layers, n_passes, n_tokens; /* n_tokens: of all passes */
    double seconds;                        /* of all passes, with timers */
    /* [n_layers + 1][RZ_N_OPS]: the last row holds what belongs to no layer. */
    rz_op_figures *figures;
    double *step_s; /* [n_steps] sorted: passes of a prefill, steps of a decode; with sampling */
    size_t n_steps;
    uint64_t n_timed; /* operations that were timed */
    rz_reading readings[RZ_N_READINGS];
    double joules; /* NAN where it is not readable or was not asked for */
} rz_profile_phase;

typedef struct rz_profile {
    rz_profile_phase phase[RZ_N_PHASES];
    double timer_s;  /* of one timer, measured */
    double overhead; /* timers' share of a decode step: their number times timer_s over its time */
    double overhead_ab; /* median step with timers over median step without, minus one; noisy */
    char why_no_energy[96];
} rz_profile;

typedef struct rz_profile_options {
    uint32_t prompt_tokens, tokens; /* of a prefill; decode steps after it; at least 1 */
    uint32_t depth;                 /* tokens in the cache before each */
    uint32_t warmup, measure;       /* passes of both phases; measure at least 1 */
    rz_dtype kv_type;               /* RZ_N_DTYPES: the engine's default */
    bool energy;
    const char *powercap; /* folder of the energy counters; NULL: "/sys/class/powercap" */
} rz_profile_options;

/* Runs and measures. While it runs nobody else may use the model. Free with rz_profile_free.
 * Errors: those of rz_bench_new and of runs. */
RZ_API RZ_MUST_USE rz_status rz_profile_run(rz_profile **out, const rz_model *model,
                                            const rz_profile_options *options, rz_error *err);
RZ_API void rz_profile_free(rz_profile **profile);

/* Sum over layers, or one layer's (n_layers: outside layers). */
RZ_API rz_op_figures rz_profile_op(const rz_profile_phase *p, rz_op op);
RZ_API const rz_op_figures *rz_profile_layer(const rz_profile_phase *p, uint32_t layer);

#ifdef __cplusplus
}
#endif
#endif
