/* tensor_stats.c - what a tensor holds, in one pass over its decoded elements.
 *
 * Invariant: a chunk's sums depend on its elements alone, and chunks are joined in order, so the
 * figures do not depend on the threads. Deviations are summed from the chunk's first element, which
 * makes a constant tensor's std exactly 0, and joined as Chan, Golub and LeVeque do ("Updating
 * formulae and a pairwise algorithm for computing sample variances", 1979). */
#include "formats/tensor_scan.h"

#include "base/f16.h"
#include "base/fail.h"

#include <math.h>
#include <string.h>

enum {
    /* Percentiles come from a histogram over the leading bits of the pattern: sign, exponent and 8
     * bits of mantissa, so a bin is 2^-8 of its magnitude wide. */
    BIN_SHIFT = 15,
    N_BINS = 1 << (32 - BIN_SHIFT),
    LANES = 4 /* independent sums, for the processor's sake; part of the result's definition */
};

const int rz_percentile_ranks[RZ_N_PERCENTILES] = {5, 25, 50, 75, 95};

struct chunk {
    uint64_t n_finite, n_nan, n_inf, first_nan, first_inf, n_zeros;
    uint64_t n_dead_rows, first_dead_row, checksum;
    double shift, sum, squares; /* of x - shift */
    float min, max;
    uint32_t bits_sum;
};

struct scan_stats {
    const rz_tensor *tensor;
    struct rz_scan_grid grid;
    struct chunk *chunks;
};

/* Patterns in the order of their values: negative ones turned round. No branch, since signs cannot
 * be predicted. */
static uint32_t bin_of(float x)
{
    uint32_t bits = rz_f32_bits(x), sign = (uint32_t) - (int32_t)(bits >> 31);
    return (bits ^ (sign | 0x80000000u)) >> BIN_SHIFT;
}

/* The value with the least pattern of the bin, or of the one after the last: an infinity. */
static double bin_start(uint32_t bin)
{
    uint32_t key = bin << BIN_SHIFT;
    return (double)rz_bits_f32(key & 0x80000000u ? key & 0x7FFFFFFFu : ~key);
}

static void count_bits(struct chunk *c, const float *x, size_t n, uint64_t at)
{
    /* (pattern + 1) times an odd number of the position's own, so that exchanging elements or
     * moving a change along is seen. */
    const uint64_t golden = 0x9E3779B97F4A7C15u;
    uint64_t checksum = 0, factor = (2 * at + 1) * golden;
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++, factor += 2 * golden) {
        uint32_t bits = rz_f32_bits(x[i]);
        uint64_t z = ((uint64_t)bits + 1) * factor;
        sum += bits;
        checksum += z ^ z >> 32;
    }
    c->bits_sum += sum;
    c->checksum += checksum;
}

static bool all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= (rz_f32_bits(x[i]) & 0x7F800000u) == 0x7F800000u;
    return !bad;
}

/* Counts what is not finite and closes the gaps; returns how many elements are left. */
static size_t take_out(struct chunk *c, float *x, size_t n, uint64_t at)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            x[kept++] = x[i];
        } else if (isnan(x[i])) {
            if (c->n_nan++ == 0)
                c->first_nan = at + i;
        } else if (c->n_inf++ == 0) {
            c->first_inf = at + i;
        }
    }
    return kept;
}

/* Sums of every LANES-th element. */
struct lanes {
    double sum[LANES], squares[LANES];
    float min[LANES], max[LANES];
};

static inline void add_lane(struct lanes *l, size_t k, float v, double shift)
{
    double d = (double)v - shift;
    l->sum[k] += d;
    l->squares[k] += d * d;
    l->min[k] = v < l->min[k] ? v : l->min[k];
    l->max[k] = v > l->max[k] ? v : l->max[k];
}

static void add_sums(struct chunk *c, const float *x, size_t n)
{
    struct lanes l = {0};
    for (size_t k = 0; k < LANES; k++) {
        l.min[k] = c->min;
        l.max[k] = c->max;
    }
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        add_lane(&l, 0, x[i], c->shift);
        add_lane(&l, 1, x[i + 1], c->shift);
        add_lane(&l, 2, x[i + 2], c->shift);
        add_lane(&l, 3, x[i + 3], c->shift);
    }
    for (size_t k = 0; i < n; i++, k++)
        add_lane(&l, k, x[i], c->shift);
    c->sum += (l.sum[0] + l.sum[1]) + (l.sum[2] + l.sum[3]);
    c->squares += (l.squares[0] + l.squares[1]) + (l.squares[2] + l.squares[3]);
    for (size_t k = 0; k < LANES; k++) {
        c->min = l.min[k] < c->min ? l.min[k] : c->min;
        c->max = l.max[k] > c->max ? l.max[k] : c->max;
    }
}

static void add_finite(struct chunk *c, const float *x, size_t n, uint64_t *histogram)
{
    if (n == 0)
        return;
    if (c->n_finite == 0) {
        c->shift = (double)x[0];
        c->min = c->max = x[0];
    }
    c->n_finite += n;
    add_sums(c, x, n);
    for (size_t i = 0; i < n; i++)
        histogram[bin_of(x[i])]++;
}

static size_t count_zeros(const float *x, size_t n)
{
    size_t zeros = 0;
    for (size_t i = 0; i < n; i++)
        zeros += rz_f32_bits(x[i]) << 1 == 0; /* either sign */
    return zeros;
}

/* Where a walk through rows stands: zeros of the row's elements before column are zero. */
struct rows {
    uint64_t row, column, zeros;
};

static void count_zero_rows(struct chunk *c, struct rows *r, const float *x, size_t n,
                            uint64_t cols)
{
    while (n > 0) {
        size_t part = cols - r->column < n ? (size_t)(cols - r->column) : n;
        size_t zeros = count_zeros(x, part);
        r->zeros += zeros;
        c->n_zeros += zeros;
        r->column += part;
        x += part;
        n -= part;
        if (r->column < cols)
            return;
        if (r->zeros == cols && c->n_dead_rows++ == 0)
            c->first_dead_row = r->row;
        *r = (struct rows){.row = r->row + 1};
    }
}

static void scan_chunk(void *ctx, uint64_t i_chunk, struct rz_scan_thread *thread)
{
    const struct scan_stats *s = ctx;
    const struct rz_scan_grid *g = &s->grid;
    struct rows rows = {.row = i_chunk * g->rows_per_chunk};
    uint64_t last_row =
        rows.row + g->rows_per_chunk < g->rows ? rows.row + g->rows_per_chunk : g->rows;
    uint64_t at = rows.row * g->cols, end = last_row * g->cols;
    struct chunk c = {.first_dead_row = g->rows};
    while (at < end) {
        size_t n = end - at < RZ_SCAN_PIECE ? (size_t)(end - at) : RZ_SCAN_PIECE;
        rz_scan_decode(s->tensor, at, n, thread->a);
        count_bits(&c, thread->a, n, at);
        count_zero_rows(&c, &rows, thread->a, n, g->cols);
        size_t finite = all_finite(thread->a, n) ? n : take_out(&c, thread->a, n, at);
        add_finite(&c, thread->a, finite, thread->histogram);
        at += n;
    }
    s->chunks[i_chunk] = c;
}

/* ---- joining ---- */

struct joined {
    double n, mean, squares; /* squares: of deviations from the mean */
};

static void join_moments(struct joined *j, const struct chunk *c)
{
    if (c->n_finite == 0)
        return;
    double n = (double)c->n_finite, mean = c->shift + c->sum / n;
    double squares = c->squares - c->sum * (c->sum / n);
    squares = squares > 0 ? squares : 0; /* rounding may leave a little less than nothing */
    double d = mean - j->mean, all = j->n + n;
    j->squares += squares + (j->n > 0 ? d * d * (j->n / all) * n : 0);
    j->mean = j->n > 0 ? j->mean + d * (n / all) : mean;
    j->n = all;
}

static void join_counts(rz_tensor_stats *out, const struct chunk *c)
{
    if (c->n_nan && !out->n_nan)
        out->first_nan = c->first_nan;
    if (c->n_inf && !out->n_inf)
        out->first_inf = c->first_inf;
    if (c->n_dead_rows && !out->n_dead_rows)
        out->first_dead_row = c->first_dead_row;
    if (c->n_finite) {
        bool first = out->n_finite == 0;
        out->min = first || (double)c->min < out->min ? (double)c->min : out->min;
        out->max = first || (double)c->max > out->max ? (double)c->max : out->max;
    }
    out->n_nan += c->n_nan;
    out->n_inf += c->n_inf;
    out->n_finite += c->n_finite;
    out->n_zeros += c->n_zeros;
    out->n_dead_rows += c->n_dead_rows;
    out->bits_sum += c->bits_sum;
    out->checksum += c->checksum;
}

/* All threads' counts in the first thread's histogram; the others are cleared. */
static uint64_t *join_histograms(rz_tensor_scan *scan)
{
    uint64_t *all = scan->threads[0].histogram;
    for (unsigned t = 1; t < scan->n_threads; t++) {
        uint64_t *h = scan->threads[t].histogram;
        for (size_t i = 0; i < N_BINS; i++) {
            if (h[i]) {
                all[i] += h[i];
                h[i] = 0;
            }
        }
    }
    return all;
}

/* A walk over a histogram to elements of rising rank. */
struct walk {
    const uint64_t *histogram;
    uint32_t bin;
    uint64_t before; /* elements in the bins before */
};

/* Where the element of a rank (0: the smallest) lies, if a bin's elements lie evenly in it. */
static double ranked(struct walk *w, uint64_t rank, const rz_tensor_stats *s)
{
    while (w->before + w->histogram[w->bin] <= rank) {
        w->before += w->histogram[w->bin++];
        RZ_ASSERT(w->bin < N_BINS);
    }
    /* Zeros, whose bins they share with magnitudes below 2^-134 alone. */
    if (w->bin == bin_of(0.0f) || w->bin == bin_of(-0.0f))
        return 0;
    double from = bin_start(w->bin), to = bin_start(w->bin + 1);
    double part = ((double)(rank - w->before) + 0.5) / (double)w->histogram[w->bin];
    double x = from + (to - from) * part;
    return x < s->min ? s->min : x > s->max ? s->max : x;
}

static void find_percentiles(rz_tensor_stats *out, const uint64_t *histogram)
{
    uint64_t n = out->n_finite;
    struct walk w = {.histogram = histogram};
    for (size_t i = 0; n > 0 && i < RZ_N_PERCENTILES; i++) {
        double rank = (double)(n - 1) * rz_percentile_ranks[i] / 100;
        uint64_t below = (uint64_t)rank;
        double x = ranked(&w, below, out);
        struct walk next = w;
        double y = below + 1 < n ? ranked(&next, below + 1, out) : x;
        out->percentile[i] = x + (y - x) * (rank - (double)below);
    }
}

static rz_status need_histograms(rz_tensor_scan *scan, rz_error *err)
{
    for (unsigned t = 0; t < scan->n_threads; t++) {
        struct rz_scan_thread *thread = &scan->threads[t];
        if (!thread->histogram)
            thread->histogram = calloc(N_BINS, sizeof *thread->histogram);
        if (!thread->histogram)
            return rz_fail_nomem(err, N_BINS * sizeof *thread->histogram, "a histogram");
    }
    return RZ_OK;
}

rz_status rz_tensor_scan_stats(rz_tensor_scan *scan, const rz_tensor *t, rz_tensor_stats *out,
                               rz_error *err)
{
    struct scan_stats s = {.tensor = t};
    rz_scan_grid_init(&s.grid, t);
    void *results;
    RZ_TRY(need_histograms(scan, err));
    RZ_TRY(rz_scan_results(scan, s.grid.n_chunks, sizeof *s.chunks, &results, err));
    s.chunks = results;
    struct rz_scan_job job = {
        .scan = scan, .n_chunks = s.grid.n_chunks, .work = scan_chunk, .ctx = &s};
    rz_scan_run(&job);

    uint64_t count = rz_tensor_count(t);
    *out = (rz_tensor_stats){.count = count,
                             .first_nan = count,
                             .first_inf = count,
                             .n_rows = s.grid.rows,
                             .first_dead_row = s.grid.rows};
    struct joined j = {0};
    for (uint64_t i = 0; i < s.grid.n_chunks; i++) {
        join_moments(&j, &s.chunks[i]);
        join_counts(out, &s.chunks[i]);
    }
    if (j.n > 0) {
        out->mean = j.mean;
        out->std = sqrt(j.squares / j.n);
        out->l2 = sqrt(j.squares + j.n * j.mean * j.mean);
    }
    if (count > 0) {
        out->zero_fraction = (double)out->n_zeros / (double)count;
        out->density = (double)(out->n_finite - out->n_zeros) / (double)count;
    }
    out->constant = count > 0 && out->n_finite == count && out->min == out->max;
    uint64_t *histogram = join_histograms(scan);
    find_percentiles(out, histogram);
    memset(histogram, 0, N_BINS * sizeof *histogram);
    return RZ_OK;
}
