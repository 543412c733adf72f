/* bench.c - timed runs: prefill, and decode of one or several sequences at once. Token ids are
 * random, so that nothing can be fast by luck. The KV cache of a depth is filled once; after a run
 * the sequence is cut back to it. */
#include "engine/bench.h"

#include "base/checked.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/rng.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static rz_status fill_ids(rz_bench *b, uint64_t seed, rz_error *err)
{
    const uint32_t n_vocab = b->engine->model->weights.config.info.n_vocab;
    b->ids = malloc(b->n_ids * sizeof *b->ids);
    if (!b->ids)
        return rz_fail_nomem(err, b->n_ids * sizeof *b->ids, "the tokens of a benchmark");
    struct rz_rng rng = {seed};
    for (uint32_t i = 0; i < b->n_ids; i++)
        b->ids[i] = (int32_t)rz_rng_below(&rng, n_vocab);
    return RZ_OK;
}

static rz_status open_sessions(rz_bench *b, uint32_t n, rz_error *err)
{
    b->sessions = calloc(n, sizeof(rz_session *));
    b->feeds = calloc(n, sizeof *b->feeds);
    if (!b->sessions || !b->feeds)
        return rz_fail_nomem(err, n * sizeof *b->feeds, "the sessions of a benchmark");
    for (; b->n_sessions < n; b->n_sessions++)
        RZ_TRY(rz_session_new(&b->sessions[b->n_sessions], b->engine, err));
    return RZ_OK;
}

static rz_status init(rz_bench *b, const rz_model *model, const rz_bench_options *o, rz_error *err)
{
    const rz_model_info *info = rz_model_get_info(model);
    uint64_t n_ctx = (uint64_t)o->max_tokens + o->max_depth;
    if (o->max_tokens == 0 || o->max_batch == 0)
        return rz_fail(err, RZ_EUSAGE, "a benchmark of no tokens or no sequences");
    if (n_ctx > info->n_ctx_train)
        return rz_fail(err, RZ_EUSAGE,
                       "%u tokens at a depth of %u are more than the %u tokens of context that the "
                       "model was trained for",
                       o->max_tokens, o->max_depth, info->n_ctx_train);
    rz_engine_options options = rz_engine_options_default();
    options.n_ctx = (uint32_t)n_ctx;
    options.max_sessions = o->max_batch;
    options.n_batch = options.n_batch > o->max_batch ? options.n_batch : o->max_batch;
    options.kv_type = o->kv_type;
    RZ_TRY(rz_engine_new(&b->engine, model, &options, err));
    b->n_ids = (uint32_t)n_ctx;
    RZ_TRY(fill_ids(b, o->seed, err));
    const rz_sampler_options greedy = rz_sampler_options_default();
    RZ_TRY(rz_sampler_new(&b->greedy, info->n_vocab, &greedy, err));
    return open_sessions(b, o->max_batch, err);
}

rz_status rz_bench_new(rz_bench **out, const rz_model *model, const rz_bench_options *options,
                       rz_error *err)
{
    *out = NULL;
    rz_bench *b = calloc(1, sizeof *b);
    if (!b)
        return rz_fail_nomem(err, sizeof *b, "a benchmark");
    rz_status status = init(b, model, options, err);
    if (status)
        rz_bench_free(&b);
    *out = b;
    return status;
}

void rz_bench_free(rz_bench **bench)
{
    if (!bench || !*bench)
        return;
    rz_bench *b = *bench;
    for (uint32_t i = 0; i < b->n_sessions; i++)
        rz_session_free(&b->sessions[i]);
    rz_engine_free(&b->engine);
    rz_sampler_free(&b->greedy);
    free(b->sessions);
    free(b->feeds);
    free(b->ids);
    free(b);
    *bench = NULL;
}

rz_dtype rz_bench_kv_type(const rz_bench *bench)
{
    return rz_engine_kv_type(bench->engine);
}

rz_status rz_bench_set_depth(rz_bench *b, uint32_t i_session, uint32_t depth, rz_error *err)
{
    rz_session *s = b->sessions[i_session];
    size_t have;
    (void)rz_session_ids(s, &have);
    rz_session_truncate(s, depth);
    return have < depth ? rz_session_feed(s, b->ids + have, depth - have, err) : RZ_OK;
}

rz_status rz_bench_prefill(rz_bench *b, uint32_t n, uint32_t depth, double seconds[2],
                           rz_error *err)
{
    rz_session *s = b->sessions[0];
    RZ_ASSERT(n >= 1 && n + depth <= b->n_ids);
    RZ_TRY(rz_bench_set_depth(b, 0, depth, err));
    double start = rz_now_s();
    RZ_TRY(rz_session_feed(s, b->ids + depth, n, err));
    seconds[0] = rz_now_s() - start;
    int32_t id;
    RZ_TRY(rz_sampler_sample(b->greedy, rz_session_logits(s), b->ids, n + depth, &id, err));
    seconds[1] = rz_now_s() - start;
    rz_session_truncate(s, depth);
    return RZ_OK;
}

static rz_status set_depths(rz_bench *b, uint32_t batch, uint32_t depth, rz_error *err)
{
    for (uint32_t i = 0; i < batch; i++)
        RZ_TRY(rz_bench_set_depth(b, i, depth, err));
    return RZ_OK;
}

static rz_status decode_step(rz_bench *b, uint32_t pos, uint32_t batch, rz_error *err)
{
    for (uint32_t i = 0; i < batch; i++) {
        /* Each sequence its own tokens: experts differ with them. */
        const int32_t *id = b->ids + (pos + 7 * (size_t)i) % b->n_ids;
        b->feeds[i] = (rz_feed){.session = b->sessions[i], .ids = id, .n = 1};
    }
    return rz_engine_step(b->engine, b->feeds, batch, err);
}

rz_status rz_bench_decode(rz_bench *b, const uint32_t n_depth[2], uint32_t batch, double *step_s,
                          rz_error *err)
{
    const uint32_t n = n_depth[0], depth = n_depth[1];
    RZ_ASSERT(n >= 1 && n + depth <= b->n_ids && batch >= 1 && batch <= b->n_sessions);
    RZ_TRY(set_depths(b, batch, depth, err));
    RZ_TRY(decode_step(b, depth, batch, err)); /* wakes threads, and brings the machine to speed */
    RZ_TRY(set_depths(b, batch, depth, err));
    for (uint32_t step = 0; step < n; step++) {
        double start = rz_now_s();
        RZ_TRY(decode_step(b, depth + step, batch, err));
        step_s[step] = rz_now_s() - start;
    }
    for (uint32_t i = 0; i < batch; i++)
        rz_session_truncate(b->sessions[i], depth);
    return RZ_OK;
}

uint64_t rz_peak_memory(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    if (!f)
        return 0;
    char line[256];
    unsigned long long kib = 0;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
            break;
    }
    fclose(f);
    return kib * 1024;
}

void rz_peak_memory_reset(void)
{
    /* proc(5): 5 sets the peak to the present. Where it is refused the old peak stays, which only
     * makes the figure larger. */
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = write(fd, "5", 1);
    (void)n;
    close(fd);
}
