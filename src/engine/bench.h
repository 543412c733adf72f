/* bench.h - what the parts of benchmarking and profiling share. */
#ifndef RZ_ENGINE_BENCH_H
#define RZ_ENGINE_BENCH_H

#include "engine/internal.h"

#include <realizar/bench.h>
#include <realizar/sampler.h>

/* Bytes of a matrix (all of a stack) as its file has it, and the multiplies and adds of one row of
 * input; 0 for an absent one. */
double rz_weight_bytes(const struct rz_weight *w);
double rz_weight_flops(const struct rz_weight *w);

struct rz_bench {
    rz_engine *engine;
    rz_session **sessions; /* [n_sessions] */
    uint32_t n_sessions;
    rz_feed *feeds; /* [n_sessions] */
    int32_t *ids;   /* [n_ids] random */
    uint32_t n_ids;
    rz_sampler *greedy;
};

/* Makes a session's sequence exactly depth tokens of ids, whatever it was. */
RZ_MUST_USE rz_status rz_bench_set_depth(rz_bench *b, uint32_t i_session, uint32_t depth,
                                         rz_error *err);

#endif
