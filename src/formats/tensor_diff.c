/* tensor_diff.c - how two tensors of one shape differ, element by element, with b's rows in another
 * order if need be, and whether one is the other transposed. Same invariant as tensor_stats.c:
 * chunks' sums, joined in order. */
#include "base/checked.h"
#include "base/f16.h"
#include "base/fail.h"
#include "formats/tensor_scan.h"

#include <math.h>
#include <string.h>

enum {
    CHUNKS_AT_ONCE = 64 /* between two calls of rz_scan_pair.done */
};

struct sums {
    uint64_t n_equal_bits, n_not_finite_a, n_not_finite_b, n_pairs, max_at;
    uint64_t n_odd, first_odd; /* of different bits, not both finite */
    bool other_bytes;          /* stored */
    double sum_abs, sum_squares, aa, bb, ab;
    float max_a, max_b;
    double max_abs; /* -1: no pair yet */
};

struct scan_diff {
    const rz_tensor *a, *b;
    enum rz_row_order order; /* of b's rows */
    uint32_t head_dim;
    struct rz_scan_grid grid; /* of a */
    struct sums *chunks;
};

static const struct sums no_sums = {.max_abs = -1};

/* A run of elements of a and the same run of b, b's stride elements apart. */
static void add_run(struct sums *s, const float *a, const float *b, size_t stride, size_t n,
                    uint64_t at)
{
    for (size_t i = 0; i < n; i++) {
        float x = a[i], y = b[i * stride];
        bool equal = rz_f32_bits(x) == rz_f32_bits(y);
        s->n_equal_bits += equal;
        bool finite_x = isfinite(x), finite_y = isfinite(y);
        s->n_not_finite_a += !finite_x;
        s->n_not_finite_b += !finite_y;
        if (!finite_x || !finite_y) {
            if (!equal && (s->n_odd++ == 0 || at + i < s->first_odd))
                s->first_odd = at + i;
            continue;
        }
        double dx = (double)x, dy = (double)y, d = fabs(dx - dy);
        s->n_pairs++;
        s->sum_abs += d;
        s->sum_squares += d * d;
        s->aa += dx * dx;
        s->bb += dy * dy;
        s->ab += dx * dy;
        /* Tiles do not come in the order of elements: the first of equals is the lowest. */
        if (d > s->max_abs || (d == s->max_abs && at + i < s->max_at)) {
            s->max_abs = d;
            s->max_at = at + i;
            s->max_a = x;
            s->max_b = y;
        }
    }
}

static const char *stored(const rz_tensor *t, uint64_t first)
{
    const struct rz_dtype_info *info = rz_dtype_info(t->dtype);
    return (const char *)t->data + first / info->block_len * info->block_bytes;
}

/* Elements of a from at on, and as many of b from other on. */
static void diff_elements(const struct scan_diff *d, uint64_t at, uint64_t other, uint64_t n,
                          struct rz_scan_thread *thread, struct sums *s)
{
    for (size_t part; n > 0; at += part, other += part, n -= part) {
        part = n < RZ_SCAN_PIECE ? (size_t)n : RZ_SCAN_PIECE;
        const char *a = stored(d->a, at), *b = stored(d->b, other);
        bool same =
            d->a->dtype == d->b->dtype && !memcmp(a, b, (size_t)(stored(d->a, at + part) - a));
        rz_scan_decode(d->a, at, part, thread->a);
        if (!same)
            rz_scan_decode(d->b, other, part, thread->b);
        add_run(s, thread->a, same ? thread->a : thread->b, 1, part, at);
        s->other_bytes = s->other_bytes || !same;
    }
}

static void diff_chunk(void *ctx, uint64_t i_chunk, struct rz_scan_thread *thread)
{
    const struct scan_diff *d = ctx;
    const struct rz_scan_grid *g = &d->grid;
    uint64_t row = i_chunk * g->rows_per_chunk;
    uint64_t last = row + g->rows_per_chunk < g->rows ? row + g->rows_per_chunk : g->rows;
    struct sums s = no_sums;
    uint64_t n_rows = d->order == RZ_ROWS_AS_THEY_ARE ? last - row : 1;
    for (; row < last; row += n_rows)
        diff_elements(d, row * g->cols, rz_row_source(d->order, d->head_dim, row) * g->cols,
                      n_rows * g->cols, thread, &s);
    d->chunks[i_chunk] = s;
}

/* Rows row ... row + rows - 1 of t, columns column ... column + cols - 1, to out: [rows][cols]. */
static void decode_tile(const rz_tensor *t, uint64_t row, size_t rows, uint64_t column, size_t cols,
                        float *out)
{
    for (size_t i = 0; i < rows; i++)
        rz_scan_decode(t, (row + i) * rz_tensor_cols(t) + column, cols, out + i * cols);
}

/* One band of RZ_SCAN_TILE rows of a, against as many columns of b. */
static void diff_band(void *ctx, uint64_t i_band, struct rz_scan_thread *thread)
{
    const struct scan_diff *d = ctx;
    const struct rz_scan_grid *g = &d->grid;
    uint64_t row = i_band * RZ_SCAN_TILE;
    size_t rows = g->rows - row < RZ_SCAN_TILE ? (size_t)(g->rows - row) : RZ_SCAN_TILE;
    struct sums s = no_sums;
    s.other_bytes = true;
    for (uint64_t column = 0; column < g->cols; column += RZ_SCAN_TILE) {
        size_t cols = g->cols - column < RZ_SCAN_TILE ? (size_t)(g->cols - column) : RZ_SCAN_TILE;
        decode_tile(d->a, row, rows, column, cols, thread->a);
        decode_tile(d->b, column, cols, row, rows, thread->b);
        for (size_t i = 0; i < rows; i++)
            add_run(&s, thread->a + i * cols, thread->b + i, rows, cols,
                    (row + i) * g->cols + column);
    }
    d->chunks[i_band] = s;
}

static void join(struct sums *all, const struct sums *s)
{
    if (s->n_odd && (!all->n_odd || s->first_odd < all->first_odd))
        all->first_odd = s->first_odd;
    all->n_odd += s->n_odd;
    all->other_bytes = all->other_bytes || s->other_bytes;
    all->n_equal_bits += s->n_equal_bits;
    all->n_not_finite_a += s->n_not_finite_a;
    all->n_not_finite_b += s->n_not_finite_b;
    all->n_pairs += s->n_pairs;
    all->sum_abs += s->sum_abs;
    all->sum_squares += s->sum_squares;
    all->aa += s->aa;
    all->bb += s->bb;
    all->ab += s->ab;
    if (s->max_abs > all->max_abs) {
        all->max_abs = s->max_abs;
        all->max_at = s->max_at;
        all->max_a = s->max_a;
        all->max_b = s->max_b;
    }
}

static double cosine(const struct sums *s)
{
    if (s->aa == 0 || s->bb == 0)
        return s->aa == s->bb ? 1 : 0;
    double c = s->ab / (sqrt(s->aa) * sqrt(s->bb));
    return c > 1 ? 1 : c < -1 ? -1 : c;
}

static void finish(const struct sums *s, uint64_t count, rz_tensor_diff *out)
{
    *out = (rz_tensor_diff){.count = count,
                            .n_equal_bits = s->n_equal_bits,
                            .identical = s->n_equal_bits == count,
                            .same_bytes = !s->other_bytes,
                            .n_odd = s->n_odd,
                            .first_odd = s->n_odd ? s->first_odd : count,
                            .n_not_finite_a = s->n_not_finite_a,
                            .n_not_finite_b = s->n_not_finite_b,
                            .n_finite_pairs = s->n_pairs,
                            .max_at = count,
                            .cosine = cosine(s)};
    if (s->n_pairs == 0)
        return;
    double n = (double)s->n_pairs;
    out->max_abs = s->max_abs;
    out->max_at = s->max_at;
    out->max_a = (double)s->max_a;
    out->max_b = (double)s->max_b;
    out->mean_abs = s->sum_abs / n;
    out->rmse = sqrt(s->sum_squares / n);
    out->rms_a = sqrt(s->aa / n);
    /* Equal pairs are exactly alike, whatever the square roots' rounding. */
    if (s->sum_squares == 0 && s->max_abs == 0)
        out->cosine = 1;
}

/* pair: whom to tell, NULL: nobody. */
static rz_status run(rz_tensor_scan *scan, struct scan_diff *d, struct rz_scan_job *job,
                     const struct rz_scan_pair *pair, rz_tensor_diff *out, rz_error *err)
{
    void *results;
    const uint64_t n_chunks = job->n_chunks, per_chunk = d->grid.rows_per_chunk * d->grid.cols;
    const uint64_t count = rz_tensor_count(d->a);
    const bool told = pair && pair->done;
    RZ_TRY(rz_scan_results(scan, n_chunks, sizeof *d->chunks, &results, err));
    d->chunks = results;
    job->scan = scan;
    job->ctx = d;
    for (job->first = 0; job->first < n_chunks; job->first = job->n_chunks) {
        uint64_t left = n_chunks - job->first;
        job->n_chunks = told && left > CHUNKS_AT_ONCE ? job->first + CHUNKS_AT_ONCE : n_chunks;
        rz_scan_run(job);
        uint64_t first = job->first * per_chunk;
        uint64_t end = job->n_chunks < n_chunks ? job->n_chunks * per_chunk : count;
        if (told)
            RZ_TRY(pair->done(pair->ctx, first, end - first, err));
    }
    struct sums all = no_sums;
    for (uint64_t i = 0; i < n_chunks; i++)
        join(&all, &d->chunks[i]);
    finish(&all, count, out);
    return RZ_OK;
}

rz_status rz_scan_diff(rz_tensor_scan *scan, const struct rz_scan_pair *pair, rz_tensor_diff *out,
                       rz_error *err)
{
    rz_tensor a = *pair->a, b = *pair->b;
    if (!rz_tensor_same_shape(&a, &b))
        return rz_fail(err, RZ_EUSAGE, "%s and %s have different shapes", a.name, b.name);
    if (pair->order != RZ_ROWS_AS_THEY_ARE && a.n_dims == 1) {
        /* Each element of a bias is a row. */
        if (rz_dtype_block_len(a.dtype) > 1 || rz_dtype_block_len(b.dtype) > 1)
            return rz_fail(err, RZ_ELOAD, "tensor %s: a vector of blocks", a.name);
        a.n_dims = b.n_dims = 2;
        a.shape[1] = b.shape[1] = 1;
    }
    struct scan_diff d = {.a = &a, .b = &b, .order = pair->order, .head_dim = pair->head_dim};
    rz_scan_grid_init(&d.grid, &a);
    struct rz_scan_job job = {.n_chunks = d.grid.n_chunks, .work = diff_chunk};
    return run(scan, &d, &job, pair, out, err);
}

rz_status rz_tensor_scan_diff(rz_tensor_scan *scan, const rz_tensor *a, const rz_tensor *b,
                              rz_tensor_diff *out, rz_error *err)
{
    const struct rz_scan_pair pair = {.a = a, .b = b};
    return rz_scan_diff(scan, &pair, out, err);
}

rz_status rz_tensor_scan_diff_in(rz_tensor_scan *scan, const rz_tensor_of *a, const rz_tensor_of *b,
                                 rz_tensor_diff *out, rz_error *err)
{
    struct rz_scan_pair pair = {.a = a->tensor, .b = b->tensor};
    pair.order = rz_row_order_of(b->file, b->tensor, rz_rows_are_halves(a->file), &pair.head_dim);
    return rz_scan_diff(scan, &pair, out, err);
}

rz_status rz_tensor_scan_diff_transposed(rz_tensor_scan *scan, const rz_tensor *a,
                                         const rz_tensor *b, rz_tensor_diff *out, rz_error *err)
{
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[0] != b->shape[1] ||
        a->shape[1] != b->shape[0])
        return rz_fail(err, RZ_EUSAGE, "%s and %s are not two matrices of swapped shapes", a->name,
                       b->name);
    struct scan_diff d = {.a = a, .b = b};
    rz_scan_grid_init(&d.grid, a);
    uint64_t n_bands = d.grid.cols ? (d.grid.rows + RZ_SCAN_TILE - 1) / RZ_SCAN_TILE : 0;
    struct rz_scan_job job = {.n_chunks = n_bands, .work = diff_band};
    return run(scan, &d, &job, NULL, out, err);
}
