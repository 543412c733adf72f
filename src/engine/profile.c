/* profile.c - runs the passes of a profile: prefill, then decode steps, with timers; between them
 * the same steps without, so that the timers' own cost shows. */
#include "engine/profile.h"

#include "base/clock.h"
#include "base/fail.h"
#include "base/perf_counters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const op_names[RZ_N_OPS] = {
    [RZ_OP_EMBED] = "embed",         [RZ_OP_ROPE_TABLE] = "rope_table",
    [RZ_OP_NORM] = "norm",           [RZ_OP_QKV] = "qkv",
    [RZ_OP_ROPE] = "rope",           [RZ_OP_KV_STORE] = "kv_store",
    [RZ_OP_ATTENTION] = "attention", [RZ_OP_OUTPUT] = "output",
    [RZ_OP_GATE_UP] = "gate_up",     [RZ_OP_SILU] = "silu",
    [RZ_OP_DOWN] = "down",           [RZ_OP_ROUTER] = "router",
    [RZ_OP_EXPERTS] = "experts",     [RZ_OP_RESIDUAL] = "residual",
    [RZ_OP_GATHER] = "gather",       [RZ_OP_HEAD] = "head",
    [RZ_OP_DOWNLOAD] = "download",   [RZ_OP_SAMPLE] = "sample",
    [RZ_OP_OTHER] = "other",
};

const char *rz_op_name(rz_op op)
{
    return op_names[op];
}

const char *rz_phase_name(rz_phase phase)
{
    return phase == RZ_PHASE_PREFILL ? "prefill" : "decode";
}

rz_op_figures rz_profile_op(const rz_profile_phase *p, rz_op op)
{
    rz_op_figures sum = {0};
    for (uint32_t i = 0; i <= p->n_layers; i++) {
        const rz_op_figures *f = &p->figures[(size_t)i * RZ_N_OPS + op];
        sum.calls += f->calls;
        sum.seconds += f->seconds;
        sum.bytes += f->bytes;
        sum.flops += f->flops;
    }
    return sum;
}

const rz_op_figures *rz_profile_layer(const rz_profile_phase *p, uint32_t layer)
{
    return &p->figures[(size_t)layer * RZ_N_OPS];
}

struct run {
    const rz_profile_options *o;
    rz_profile *p;
    rz_bench *bench;
    struct rz_timers timers;
    struct rz_counters counters;
    struct rz_energy energy;
    double *plain_s; /* [measure * tokens] decode steps without timers */
    size_t n_plain;
};

/* One step: feed n ids, pick the next token. The sampler is no operation of the backend. */
static rz_status step(struct run *r, const int32_t *ids, uint32_t n, double *seconds, rz_error *err)
{
    rz_bench *b = r->bench;
    rz_session *s = b->sessions[0];
    double start = rz_now_s();
    RZ_TRY(rz_session_feed(s, ids, n, err));
    double fed = rz_now_s();
    int32_t id;
    size_t n_history;
    const int32_t *history = rz_session_ids(s, &n_history);
    RZ_TRY(rz_sampler_sample(b->greedy, rz_session_logits(s), history, n_history, &id, err));
    double now = rz_now_s();
    *seconds = now - start;
    if (!r->timers.phase)
        return RZ_OK;
    rz_profile_phase *p = r->timers.phase;
    rz_op_figures *f = &p->figures[(size_t)p->n_layers * RZ_N_OPS + RZ_OP_SAMPLE];
    f->calls++;
    f->seconds += now - fed;
    f->bytes += 4.0 * b->engine->model->weights.config.info.n_vocab;
    p->n_timed++;
    return RZ_OK;
}

static rz_status prefill_pass(struct run *r, double *step_s, rz_error *err)
{
    RZ_TRY(rz_bench_set_depth(r->bench, 0, r->o->depth, err));
    r->timers.phase = step_s ? &r->p->phase[RZ_PHASE_PREFILL] : NULL;
    double seconds;
    RZ_TRY(step(r, r->bench->ids + r->o->depth, r->o->prompt_tokens, &seconds, err));
    if (step_s)
        *step_s = seconds;
    return RZ_OK;
}

/* Decode steps from depth on; step_s: [tokens], NULL while warming up. */
static rz_status decode_pass(struct run *r, double *step_s, bool timed, rz_error *err)
{
    r->timers.phase = NULL;
    RZ_TRY(rz_bench_set_depth(r->bench, 0, r->o->depth, err));
    r->timers.phase = timed ? &r->p->phase[RZ_PHASE_DECODE] : NULL;
    for (uint32_t i = 0; i < r->o->tokens; i++) {
        double seconds;
        RZ_TRY(step(r, r->bench->ids + r->o->depth + i, 1, &seconds, err));
        if (step_s)
            step_s[i] = seconds;
    }
    return RZ_OK;
}

static void phase_begin(struct run *r)
{
    rz_counters_start(&r->counters);
    rz_energy_start(&r->energy);
}

static void phase_end(struct run *r, rz_profile_phase *p)
{
    double joules;
    rz_counters_stop(&r->counters);
    p->joules =
        r->o->energy && rz_energy_read(&r->energy, &joules) ? p->joules + joules : (double)NAN;
}

static rz_status prefill_phase(struct run *r, rz_error *err)
{
    rz_profile_phase *p = &r->p->phase[RZ_PHASE_PREFILL];
    for (uint32_t i = 0; i < r->o->warmup; i++)
        RZ_TRY(prefill_pass(r, NULL, err));
    RZ_TRY(rz_bench_set_depth(r->bench, 0, r->o->depth, err));
    phase_begin(r);
    for (uint32_t i = 0; i < r->o->measure; i++)
        RZ_TRY(prefill_pass(r, &p->step_s[p->n_steps++], err));
    phase_end(r, p);
    return RZ_OK;
}

/* Passes with and without timers take turns, so that a slow moment of the machine meets both. Only
 * the former are counted. */
static rz_status decode_phase(struct run *r, const rz_model *model, rz_error *err)
{
    rz_profile_phase *p = &r->p->phase[RZ_PHASE_DECODE];
    const uint32_t n = r->o->tokens;
    for (uint32_t i = 0; i < r->o->warmup; i++)
        RZ_TRY(decode_pass(r, NULL, false, err));
    for (uint32_t i = 0; i < r->o->measure; i++) {
        phase_begin(r);
        RZ_TRY(decode_pass(r, p->step_s + p->n_steps, true, err));
        phase_end(r, p);
        p->n_steps += n;
        rz_timers_detach(&r->timers);
        rz_status status = decode_pass(r, r->plain_s + r->n_plain, false, err);
        rz_timers_attach(&r->timers, model);
        RZ_TRY(status);
        r->n_plain += n;
    }
    return RZ_OK;
}

static void explain(char why[96], int reason)
{
    char text[64];
    const char *s = strerror_r(reason, text, sizeof text);
    snprintf(why, 96, "not readable here: %s", s);
}

static void read_counters(const struct rz_counters *c, rz_profile_phase *p)
{
    for (int i = 0; i < RZ_N_COUNTERS; i++) {
        rz_reading *r = &p->readings[i];
        r->name = rz_counter_name((enum rz_counter)i);
        if (rz_counters_read(c, (enum rz_counter)i, &r->value))
            continue;
        r->value = (double)NAN;
        if (c->reason[i])
            explain(r->why_not, c->reason[i]);
        else
            snprintf(r->why_not, sizeof r->why_not, "not readable here: it never counts");
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the steps; what no operation accounts for is the rest. */
static void finish_phase(rz_profile_phase *p, uint32_t tokens_per_step)
{
    double in_ops = 0;
    for (size_t i = 0; i < p->n_steps; i++)
        p->seconds += p->step_s[i];
    p->n_tokens = (uint32_t)p->n_steps * tokens_per_step;
    for (int op = 0; op < RZ_N_OPS; op++)
        in_ops += rz_profile_op(p, (rz_op)op).seconds;
    rz_op_figures *other = &p->figures[(size_t)p->n_layers * RZ_N_OPS + RZ_OP_OTHER];
    other->calls += p->n_steps;
    other->seconds += fmax(p->seconds - in_ops, 0);
    qsort(p->step_s, p->n_steps, sizeof *p->step_s, ascending);
}

static rz_status init_phases(struct run *r, const rz_model *model, rz_error *err)
{
    const uint32_t n_layers = model->weights.config.info.n_layers;
    for (int i = 0; i < RZ_N_PHASES; i++) {
        rz_profile_phase *p = &r->p->phase[i];
        size_t n_steps = (size_t)r->o->measure * (i == RZ_PHASE_DECODE ? r->o->tokens : 1);
        *p = (rz_profile_phase){.n_layers = n_layers, .n_passes = r->o->measure};
        p->figures = calloc((n_layers + 1) * (size_t)RZ_N_OPS, sizeof *p->figures);
        p->step_s = calloc(n_steps, sizeof *p->step_s);
        if (!p->figures || !p->step_s)
            return rz_fail_nomem(err, n_steps * sizeof *p->step_s, "the profile");
    }
    size_t n_plain = (size_t)r->o->measure * r->o->tokens;
    r->plain_s = calloc(n_plain, sizeof *r->plain_s);
    return r->plain_s ? RZ_OK : rz_fail_nomem(err, n_plain * sizeof *r->plain_s, "the profile");
}

static void measure_overhead(struct run *r)
{
    const rz_profile_phase *p = &r->p->phase[RZ_PHASE_DECODE];
    qsort(r->plain_s, r->n_plain, sizeof *r->plain_s, ascending);
    r->p->timer_s = rz_timers_cost();
    r->p->overhead = (double)p->n_timed * r->p->timer_s / p->seconds;
    r->p->overhead_ab =
        rz_quantile(p->step_s, p->n_steps, 0.5) / rz_quantile(r->plain_s, r->n_plain, 0.5) - 1;
}

static rz_status run(struct run *r, const rz_model *model, rz_error *err)
{
    const rz_profile_options *o = r->o;
    rz_profile_phase *phase = r->p->phase;
    const rz_bench_options b = {.max_tokens =
                                    o->tokens > o->prompt_tokens ? o->tokens : o->prompt_tokens,
                                .max_depth = o->depth,
                                .max_batch = 1,
                                .kv_type = o->kv_type,
                                .seed = 1};
    if (o->prompt_tokens == 0 || o->tokens == 0 || o->measure == 0)
        return rz_fail(err, RZ_EUSAGE, "a profile of no tokens or no passes");
    RZ_TRY(rz_bench_new(&r->bench, model, &b, err));
    RZ_TRY(init_phases(r, model, err));
    rz_energy_open(&r->energy, o->powercap ? o->powercap : "/sys/class/powercap");
    if (r->energy.n == 0)
        explain(r->p->why_no_energy, r->energy.reason);
    rz_timers_attach(&r->timers, model);
    rz_counters_open(&r->counters);
    RZ_TRY(prefill_phase(r, err));
    read_counters(&r->counters, &phase[RZ_PHASE_PREFILL]);
    rz_counters_close(&r->counters);
    rz_counters_open(&r->counters);
    RZ_TRY(decode_phase(r, model, err));
    read_counters(&r->counters, &phase[RZ_PHASE_DECODE]);
    finish_phase(&phase[RZ_PHASE_PREFILL], o->prompt_tokens);
    finish_phase(&phase[RZ_PHASE_DECODE], 1);
    measure_overhead(r);
    return RZ_OK;
}

rz_status rz_profile_run(rz_profile **out, const rz_model *model, const rz_profile_options *options,
                         rz_error *err)
{
    *out = NULL;
    struct run *r = calloc(1, sizeof *r);
    if (!r)
        return rz_fail_nomem(err, sizeof *r, "the profile");
    r->o = options;
    r->p = calloc(1, sizeof *r->p);
    memset(r->counters.fd, -1, sizeof r->counters.fd);
    rz_status status = r->p ? run(r, model, err) : rz_fail_nomem(err, sizeof *r->p, "the profile");
    rz_timers_detach(&r->timers);
    rz_counters_close(&r->counters);
    rz_bench_free(&r->bench);
    free(r->plain_s);
    if (status)
        rz_profile_free(&r->p);
    *out = r->p;
    free(r);
    return status;
}

void rz_profile_free(rz_profile **profile)
{
    if (!profile || !*profile)
        return;
    for (int i = 0; i < RZ_N_PHASES; i++) {
        free((*profile)->phase[i].figures);
        free((*profile)->phase[i].step_s);
    }
    free(*profile);
    *profile = NULL;
}
