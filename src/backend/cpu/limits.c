/* limits.c - read bandwidth and multiplication peaks with the backend's own threads, which share
 * the work as the forward's do: each reads a contiguous part of one buffer. */
#include "backend/limits.h"

#include "backend/cpu/cpu.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/fail.h"
#include "kernels/peak.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    N_READS = 12,      /* passes over the buffer, of which the best counts */
    N_MULTIPLIES = 12, /* the same of multiplications */
    HUGE_PAGE = 2 << 20,
    WARM_ITERATIONS = 1 << 12
};

/* A pass must be long beside the start of the threads (some microseconds). */
static const double pass_s = 0.008;

/* Of reads between runs: short beside a run, long enough for several passes. */
static const double now_s = 0.06;

struct job {
    const struct rz_peaks *peaks;
    const char *data;
    unsigned n_units; /* of the buffer, RZ_PEAK_READ_UNIT bytes each */
    uint64_t n_times;
    rz_peak_fn *multiply;
    uint64_t digest[RZ_MAX_THREADS]; /* so that no loop is left out */
};

static void read_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    struct job *j = ctx;
    unsigned begin, end;
    rz_pool_part(j->n_units, 1, i_thread, n_threads, &begin, &end);
    uint64_t digest = 0;
    for (uint64_t i = 0; i < j->n_times && begin < end; i++)
        digest += j->peaks->read(j->data + (size_t)begin * RZ_PEAK_READ_UNIT,
                                 (size_t)(end - begin) * RZ_PEAK_READ_UNIT);
    j->digest[i_thread] = digest;
}

static void multiply_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    struct job *j = ctx;
    (void)n_threads;
    j->digest[i_thread] = j->multiply(j->n_times);
}

static double pass(struct cpu_backend *c, rz_pool_fn *fn, struct job *j)
{
    double start = rz_now_s();
    rz_pool_run(c->pool, fn, j);
    return rz_now_s() - start;
}

/* Times per second that the job is done, at best. */
static double best_rate(struct cpu_backend *c, rz_pool_fn *fn, struct job *j, int n_passes)
{
    double s = pass(c, fn, j);
    while (s < pass_s) {
        j->n_times *= 2;
        s = pass(c, fn, j);
    }
    double best = s;
    for (int i = 1; i < n_passes; i++) {
        s = pass(c, fn, j);
        best = s < best ? s : best;
    }
    return (double)j->n_times / best;
}

struct rz_backend_reads {
    struct cpu_backend *c;
    struct rz_peaks peaks;
    size_t bytes; /* of the buffer */
    struct job j;
};

rz_status rz_backend_cpu_reads_new(struct rz_backend_reads **out, struct rz_backend *b,
                                   size_t working_set, rz_error *err)
{
    RZ_ASSERT(working_set >= RZ_PEAK_READ_UNIT);
    RZ_ASSERT(working_set / RZ_PEAK_READ_UNIT <= UINT32_MAX);
    *out = NULL;
    struct rz_backend_reads *r = calloc(1, sizeof *r);
    if (!r)
        return rz_fail_nomem(err, sizeof *r, "measuring the read bandwidth");
    r->c = cpu_of(b);
    r->bytes = rz_align_up(working_set, HUGE_PAGE);
    void *data = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        rz_status status = rz_fail_nomem(err, r->bytes, "measuring the read bandwidth");
        free(r);
        return status;
    }
    /* Large pages, where the system has them: this is to be the most that can be had. */
    (void)madvise(data, r->bytes, MADV_HUGEPAGE);
    memset(data, 1, r->bytes);
    rz_peaks_init(&r->peaks, r->c->k.cpu_flags);
    r->j = (struct job){.peaks = &r->peaks,
                        .data = data,
                        .n_units = (unsigned)(working_set / RZ_PEAK_READ_UNIT),
                        .n_times = 1};
    *out = r;
    return RZ_OK;
}

size_t rz_backend_cpu_reads_bytes(const struct rz_backend_reads *r)
{
    return r->bytes;
}

void rz_backend_cpu_reads_free(struct rz_backend_reads **reads)
{
    if (!reads || !*reads)
        return;
    munmap((void *)(uintptr_t)(*reads)->j.data, (*reads)->bytes);
    free(*reads);
    *reads = NULL;
}

static double reads_best(struct rz_backend_reads *r, int n_passes)
{
    return (double)r->j.n_units * RZ_PEAK_READ_UNIT * best_rate(r->c, read_part, &r->j, n_passes);
}

double rz_backend_cpu_reads_now(struct rz_backend_reads *r)
{
    const double start = rz_now_s();
    double best = reads_best(r, 1);
    for (int i = 1; i < 3 || rz_now_s() - start < now_s; i++) {
        const double rate = reads_best(r, 1);
        best = rate > best ? rate : best;
    }
    return best;
}

static rz_status read_limit(struct rz_backend *b, size_t working_set, double *bytes_per_s,
                            rz_error *err)
{
    struct rz_backend_reads *r;
    RZ_TRY(rz_backend_cpu_reads_new(&r, b, working_set, err));
    *bytes_per_s = reads_best(r, N_READS);
    rz_backend_cpu_reads_free(&r);
    return RZ_OK;
}

static double multiply_limit(struct cpu_backend *c, struct job *j, const struct rz_peak *peak)
{
    if (!peak->name)
        return 0;
    j->multiply = peak->run;
    j->n_times = WARM_ITERATIONS;
    double rate = best_rate(c, multiply_part, j, N_MULTIPLIES);
    return rate * peak->ops_per_iter * rz_pool_threads(c->pool);
}

rz_status rz_backend_cpu_limits(struct rz_backend *b, size_t working_set,
                                struct rz_backend_limits *out, rz_error *err)
{
    struct cpu_backend *c = cpu_of(b);
    struct rz_peaks peaks;
    rz_peaks_init(&peaks, c->k.cpu_flags);
    struct job j = {.peaks = &peaks};
    *out = (struct rz_backend_limits){0};
    RZ_TRY(read_limit(b, working_set, &out->read_bytes_per_s, err));
    out->f32.name = peaks.peak[RZ_PEAK_F32].name;
    out->f32.ops_per_s = multiply_limit(c, &j, &peaks.peak[RZ_PEAK_F32]);
    out->bf16.name = peaks.peak[RZ_PEAK_BF16].name;
    out->bf16.ops_per_s = multiply_limit(c, &j, &peaks.peak[RZ_PEAK_BF16]);
    out->int8.name = peaks.peak[RZ_PEAK_INT8].name;
    out->int8.ops_per_s = multiply_limit(c, &j, &peaks.peak[RZ_PEAK_INT8]);
    return RZ_OK;
}
