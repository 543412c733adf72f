/* bench.h - how fast a model runs, and how fast it could run at most.
 *
 * A figure is only worth printing beside its limit: the time that the machine needs to read the
 * bytes and do the multiplications that the work cannot do without. rz_limits_measure measures the
 * machine on the model's own threads, rz_work_* counts, rz_bench_judge refuses a time below the
 * limit, since then the measurement is wrong. */
#ifndef REALIZAR_BENCH_H
#define REALIZAR_BENCH_H

#include <realizar/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- statistics ---- */

/* Of n samples. The interval of the median is by order statistics, for any distribution: the
 * narrowest symmetric pair of samples that holds the median with a probability of at least 95 %.
 * Fewer than 6 samples have no such pair: the interval is then their range, and coverage says what
 * it is worth. Source: David and Nagaraja, Order Statistics, 7.1. */
typedef struct rz_stats {
    size_t n;
    double median, lo, hi; /* lo ... hi holds the true median with probability coverage */
    double coverage;       /* in [0, 1); 0 for a single sample */
    double mean, cv;       /* cv: standard deviation (n - 1) over the mean; 0 for a single one */
    double min, max;
} rz_stats;

/* samples: [n], n >= 1, finite; sorted in place. */
RZ_API void rz_stats_of(double *samples, size_t n, rz_stats *out);

/* The q-quantile, 0 <= q <= 1, of sorted samples: the least one that at least a part q is not
 * above (nearest rank). */
RZ_API double rz_quantile(const double *sorted, size_t n, double q);

/* ---- limits ---- */

typedef struct rz_rate {
    const char *name; /* "int8, AVX-512 VNNI", static; NULL: no such instruction at this level */
    double ops_per_s; /* multiplies and adds */
} rz_rate;

typedef struct rz_limits {
    uint32_t n_threads;
    const char *cpu_level;
    uint64_t working_set; /* bytes that the reads went over: those that a token reads, or 1 GiB */
    double read_bytes_per_s; /* of all threads together */
    rz_rate f32, bf16, int8;
    rz_rate peak; /* the fastest of the three */
} rz_limits;

/* Measures on the threads and at the CPU level of the model; a third of a second. With again, the
 * figures of *limits are kept where they are better: a shared machine has slow moments, and a limit
 * is the most that was seen. Errors: RZ_ENOMEM. One thread at a time uses a model's threads. */
RZ_API RZ_MUST_USE rz_status rz_limits_measure(const rz_model *model, bool again, rz_limits *limits,
                                               rz_error *err);

/* The read bandwidth of a moment. A host moves its virtual CPUs about, and what two of them can
 * read changes by half with where they are: so it is measured again beside each run. Holds a buffer
 * of limits->working_set. Errors: RZ_ENOMEM. The model must outlive it. */
typedef struct rz_reads rz_reads;
RZ_API RZ_MUST_USE rz_status rz_reads_new(rz_reads **out, const rz_model *model,
                                          const rz_limits *limits, rz_error *err);
/* Bytes per second, the best pass over the buffer in about 60 ms (at least three passes). */
RZ_API double rz_reads_now(rz_reads *reads);
/* Resident bytes of the buffer. */
RZ_API uint64_t rz_reads_memory(const rz_reads *reads);
RZ_API void rz_reads_free(rz_reads **reads);

/* The least that a piece of work takes from the machine: weights and KV cache are read once per
 * step, whatever a step's batch; of experts, those of one token. */
typedef struct rz_work {
    double bytes;
    double flops; /* multiplies and adds of the weights' matrices and of attention */
} rz_work;

/* n tokens fed at once after depth tokens; logits after the last. */
RZ_API rz_work rz_work_prefill(const rz_model *model, rz_dtype kv_type, uint32_t n, uint32_t depth);
/* n steps of one token in each of batch sequences of depth tokens. */
RZ_API rz_work rz_work_decode(const rz_model *model, rz_dtype kv_type, const uint32_t n_depth[2],
                              uint32_t batch);

/* Seconds that the work takes at least; *memory_bound (may be NULL): reading takes longer than
 * multiplying. */
RZ_API double rz_work_limit_s(const rz_limits *limits, rz_work work, bool *memory_bound);

/* RZ_EINVALID if seconds is below limit_s: nothing is faster than its limit, so the harness is
 * wrong. what: "prefill of 512 tokens". */
RZ_API RZ_MUST_USE rz_status rz_bench_judge(const char *what, double seconds, double limit_s,
                                            rz_error *err);

/* ---- runs ---- */

typedef struct rz_bench rz_bench;

typedef struct rz_bench_options {
    uint32_t max_tokens; /* the longest prefill or generation; at least 1 */
    uint32_t max_depth;  /* tokens before it */
    uint32_t max_batch;  /* sequences at once; at least 1 */
    rz_dtype kv_type;    /* RZ_N_DTYPES: the engine's default */
    uint64_t seed;       /* of the token ids, which are random */
} rz_bench_options;

/* Makes an engine and its sessions. Errors: those of rz_engine_new; RZ_EUSAGE (the context would
 * be longer than the model was trained for). The model must outlive it. */
RZ_API RZ_MUST_USE rz_status rz_bench_new(rz_bench **out, const rz_model *model,
                                          const rz_bench_options *options, rz_error *err);
RZ_API void rz_bench_free(rz_bench **bench);
RZ_API rz_dtype rz_bench_kv_type(const rz_bench *bench);

/* Feeds n tokens after depth others: seconds[0] to the logits after the last, seconds[1] to the
 * token that they give, greedily. The depth's tokens stay in the cache for the next run. Errors:
 * those of feeding and sampling. */
RZ_API RZ_MUST_USE rz_status rz_bench_prefill(rz_bench *bench, uint32_t n, uint32_t depth,
                                              double seconds[2], rz_error *err);

/* n steps of batch sequences of depth tokens each, after one more that is not timed; step_s: [n]
 * seconds of each. */
RZ_API RZ_MUST_USE rz_status rz_bench_decode(rz_bench *bench, const uint32_t n_depth[2],
                                             uint32_t batch, double *step_s, rz_error *err);

/* The largest resident memory of this process so far, bytes (file pages that are mapped count), or
 * 0 where the system does not say; rz_peak_memory_reset starts again from the present. */
RZ_API uint64_t rz_peak_memory(void);
RZ_API void rz_peak_memory_reset(void);

#ifdef __cplusplus
}
#endif
#endif
