/* reference_linear.c - float64 matrix products with the variance of the engine's rounding, and the
 * scan for damaged blocks. Invariant: a weight row is decoded once for all rows of activations. */
#include "base/checked.h"
#include "base/fail.h"
#include "model/reference_math.h"
#include "quant/dtype.h"

#include <math.h>
#include <string.h>

enum {
    TILE = 8,      /* rows of activations that one pass over a decoded weight row serves */
    ACT_BLOCK = 32 /* activations that share a scale when they are rounded to 8 bits */
};

struct job {
    rz_dtype dtype;
    const char *data; /* of the matrix */
    uint64_t row_bytes;
    uint32_t n_rows, n_cols, n_tiles;
    double *x, *var;   /* [n_tiles][n_cols][TILE]; var NULL: not tracked */
    double *norm;      /* [n_tiles * TILE] |x| of each row */
    const float *bias; /* [n_rows] or NULL */
    float *scratch;    /* [n_threads][2][n_cols] */
    struct rz_ref_mat *out;
};

/* acc[t] = sum over columns of w[c] * x[c][t] */
static void dot_tile(const float *w, const double *x, uint32_t n_cols, double acc[TILE])
{
    double a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0, a6 = 0, a7 = 0;
    for (uint32_t c = 0; c < n_cols; c++, x += TILE) {
        double wc = (double)w[c];
        a0 += wc * x[0];
        a1 += wc * x[1];
        a2 += wc * x[2];
        a3 += wc * x[3];
        a4 += wc * x[4];
        a5 += wc * x[5];
        a6 += wc * x[6];
        a7 += wc * x[7];
    }
    const double a[TILE] = {a0, a1, a2, a3, a4, a5, a6, a7};
    memcpy(acc, a, sizeof a);
}

static void store(const struct job *j, uint32_t row, uint32_t i_tile, const double y[TILE])
{
    uint32_t n = rz_min_u32(TILE, j->out->n_rows - i_tile * TILE);
    for (uint32_t t = 0; t < n; t++) {
        size_t at = ((size_t)i_tile * TILE + t) * j->n_rows + row;
        j->out->v[at] = y[t] + (j->bias ? (double)j->bias[row] : 0);
    }
}

/* The input's errors, the rounding of the float32 sum (Cauchy and Schwarz bound the sum of |w x|)
 * and that of the result. */
static void store_var(const struct job *j, uint32_t row, uint32_t i_tile, const double var[TILE],
                      double w_norm)
{
    uint32_t n = rz_min_u32(TILE, j->out->n_rows - i_tile * TILE);
    for (uint32_t t = 0; t < n; t++) {
        size_t m = (size_t)i_tile * TILE + t, at = m * j->n_rows + row;
        double sum = ref_float_sigma(ref_sum_ulps(j->n_cols), w_norm * j->norm[m]);
        double last = ref_float_sigma(2, j->out->v[at]);
        j->out->var[at] = var[t] + sum * sum + last * last;
    }
}

static void rows_part(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct job *j = ctx;
    unsigned begin, end;
    rz_pool_part(j->n_rows, 1, i_thread, n_threads, &begin, &end);
    float *w = j->scratch + (size_t)i_thread * 2 * j->n_cols, *squares = w + j->n_cols;
    const size_t tile_len = (size_t)j->n_cols * TILE;
    double acc[TILE];
    for (uint32_t row = begin; row < end; row++) {
        rz_dtype_info(j->dtype)->decode(j->data + row * j->row_bytes, w, j->n_cols);
        for (uint32_t i = 0; i < j->n_tiles; i++) {
            dot_tile(w, j->x + i * tile_len, j->n_cols, acc);
            store(j, row, i, acc);
        }
        if (!j->var)
            continue;
        double w_norm = 0;
        for (uint32_t c = 0; c < j->n_cols; c++) {
            squares[c] = w[c] * w[c];
            w_norm += (double)squares[c];
        }
        for (uint32_t i = 0; i < j->n_tiles; i++) {
            dot_tile(squares, j->var + i * tile_len, j->n_cols, acc);
            store_var(j, row, i, acc, sqrt(w_norm));
        }
    }
}

/* Writes row m of x into the tiles, with the error that rounding it for this type of weights makes:
 * as a variance, or at random in a noisy row. */
static void load_row(struct rz_ref *r, const struct job *j, const struct rz_ref_mat *x, uint32_t m)
{
    const double *v = x->v + (size_t)m * x->n_cols;
    size_t base = (size_t)(m / TILE) * x->n_cols * TILE + m % TILE;
    double sum = 0, max = 0;
    for (uint32_t c = 0; c < x->n_cols; c++) {
        if (c % ACT_BLOCK == 0) {
            max = 0;
            for (uint32_t i = c; i < c + ACT_BLOCK && i < x->n_cols; i++)
                max = fmax(max, fabs(v[i]));
        }
        double sigma = ref_act_sigma(j->dtype, v[c], max), value = v[c];
        if (m >= x->noisy_from)
            value += (2 * rz_rng_unit(&r->rng) - 1) *
                     fmax(sigma * sqrt(3), 0x1p-21 * fabs(value)); /* uniform */
        j->x[base + (size_t)c * TILE] = value;
        sum += value * value;
        if (j->var)
            j->var[base + (size_t)c * TILE] = sigma * sigma + x->var[(size_t)m * x->n_cols + c];
    }
    j->norm[m] = sqrt(sum);
}

static rz_status prepare(struct rz_ref *r, struct job *j, const struct rz_ref_mat *x,
                         double **memory, rz_error *err)
{
    size_t tile_len = (size_t)x->n_cols * TILE, n_threads = rz_pool_threads(r->pool);
    size_t n_x = j->n_tiles * tile_len, n_all = (x->var ? 2 : 1) * n_x + j->n_tiles * TILE;
    *memory = calloc(n_all + n_threads * x->n_cols, sizeof **memory);
    if (!*memory)
        return rz_fail_nomem(err, n_all * sizeof **memory, "the float64 reference");
    j->x = *memory;
    j->var = x->var ? *memory + n_x : NULL;
    j->norm = *memory + n_all - j->n_tiles * TILE;
    j->scratch = (float *)(void *)(*memory + n_all); /* two floats where a double would be */
    for (uint32_t m = 0; m < x->n_rows; m++)
        load_row(r, j, x, m);
    return RZ_OK;
}

rz_status rz_ref_linear(struct rz_ref *r, struct rz_ref_weight weight, const struct rz_ref_mat *x,
                        struct rz_ref_mat *out, rz_error *err)
{
    const rz_tensor *w = weight.w, *bias = weight.bias;
    struct job j = {
        .dtype = w->dtype,
        .n_rows = w->n_dims > 1 ? (uint32_t)w->shape[w->n_dims - 2] : 1,
        .n_cols = (uint32_t)w->shape[w->n_dims - 1],
        .n_tiles = (x->n_rows + TILE - 1) / TILE,
        .out = out,
    };
    RZ_ASSERT(j.n_cols == x->n_cols);
    j.row_bytes =
        (uint64_t)j.n_cols / rz_dtype_block_len(w->dtype) * rz_dtype_block_bytes(w->dtype);
    j.data = (const char *)w->data + (size_t)weight.i_stack * j.n_rows * j.row_bytes;
    RZ_TRY(rz_ref_mat_init(out, x->n_rows, j.n_rows, x->var != NULL, err));
    out->noisy_from = x->noisy_from;
    double *memory = NULL;
    float *decoded_bias = NULL;
    rz_status status = prepare(r, &j, x, &memory, err);
    if (!status && bias) {
        decoded_bias = malloc(j.n_rows * sizeof *decoded_bias);
        if (!decoded_bias)
            status = rz_fail_nomem(err, j.n_rows * sizeof *decoded_bias, bias->name);
        else
            rz_dtype_info(bias->dtype)->decode(bias->data, decoded_bias, j.n_rows);
        j.bias = decoded_bias;
    }
    if (!status)
        rz_pool_run(r->pool, rows_part, &j);
    else
        rz_ref_mat_fini(out);
    free(decoded_bias);
    free(memory);
    return status;
}

/* ---- damaged blocks ------------------------------------------------------------------------ */

/* Blocks by the logarithm of their largest weight: eight bins per factor of two over the range of
 * float32, subnormals included; bin 0 is for zeros. */
enum {
    BINS_PER_OCTAVE = 8,
    LOWEST_OCTAVE = -149,
    N_BINS = 1 + BINS_PER_OCTAVE * (128 - LOWEST_OCTAVE + 1),
    SCAN_BLOCK = 32, /* of float types, which have none of their own */
    MAX_BLOCK = 256
};

struct scan_part {
    struct rz_ref_scan found;
    uint64_t bins[N_BINS];
};

struct scan_job {
    const rz_tensor *t;
    uint64_t n_elements;
    uint32_t block_len;
    struct scan_part *parts; /* [n_threads] */
};

static unsigned bin_of(double max)
{
    return max > 0 ? 1 + (unsigned)(BINS_PER_OCTAVE * (log2(max) - LOWEST_OCTAVE)) : 0;
}

static void scan_block(const struct scan_job *j, uint64_t block, struct scan_part *p)
{
    float w[MAX_BLOCK];
    const struct rz_dtype_info *info = rz_dtype_info(j->t->dtype);
    uint64_t first = block * j->block_len;
    uint32_t n =
        (uint32_t)(j->n_elements - first < j->block_len ? j->n_elements - first : j->block_len);
    info->decode((const char *)j->t->data + first / info->block_len * info->block_bytes, w, n);
    double max = 0;
    bool bad = false;
    for (uint32_t i = 0; i < n; i++) {
        bad = bad || !isfinite(w[i]);
        max = fmax(max, fabs((double)w[i]));
    }
    if (bad) {
        if (p->found.n_bad++ == 0)
            p->found.block = block;
        return;
    }
    p->bins[bin_of(max)]++;
    if (max > p->found.largest && p->found.n_bad == 0) {
        p->found.largest = max;
        p->found.block = block;
    }
}

static void scan_range(void *ctx, unsigned i_thread, unsigned n_threads)
{
    const struct scan_job *j = ctx;
    uint64_t n_blocks = (j->n_elements + j->block_len - 1) / j->block_len;
    uint64_t begin = n_blocks / n_threads * i_thread;
    uint64_t end = i_thread + 1 == n_threads ? n_blocks : n_blocks / n_threads * (i_thread + 1);
    for (uint64_t b = begin; b < end; b++)
        scan_block(j, b, &j->parts[i_thread]);
}

static void merge(struct scan_part *into, const struct scan_part *from)
{
    bool first_bad = from->found.n_bad > 0 && into->found.n_bad == 0;
    bool larger = into->found.n_bad == 0 && from->found.largest > into->found.largest;
    uint64_t n_bad = into->found.n_bad + from->found.n_bad;
    if (first_bad || larger)
        into->found = from->found;
    into->found.n_bad = n_bad;
    for (int i = 0; i < N_BINS; i++)
        into->bins[i] += from->bins[i];
}

static double median(const uint64_t bins[N_BINS])
{
    uint64_t n = 0, seen = 0;
    for (int i = 0; i < N_BINS; i++)
        n += bins[i];
    for (int i = 0; i < N_BINS; i++) {
        seen += bins[i];
        if (2 * seen >= n)
            return i == 0 ? 0 : exp2(LOWEST_OCTAVE + (i - 0.5) / BINS_PER_OCTAVE);
    }
    return 0;
}

rz_status rz_ref_scan_tensor(struct rz_ref *r, const rz_tensor *t, struct rz_ref_scan *out,
                             rz_error *err)
{
    unsigned n_threads = rz_pool_threads(r->pool);
    struct scan_job j = {.t = t, .n_elements = 1, .block_len = rz_dtype_block_len(t->dtype)};
    for (uint32_t d = 0; d < t->n_dims; d++)
        j.n_elements *= t->shape[d];
    if (j.block_len < SCAN_BLOCK)
        j.block_len = SCAN_BLOCK;
    j.parts = calloc(n_threads, sizeof *j.parts);
    if (!j.parts)
        return rz_fail_nomem(err, n_threads * sizeof *j.parts, "the scan of the weights");
    rz_pool_run(r->pool, scan_range, &j);
    for (unsigned i = 1; i < n_threads; i++)
        merge(&j.parts[0], &j.parts[i]);
    *out = j.parts[0].found;
    out->typical = median(j.parts[0].bins);
    if (out->n_bad)
        out->largest = INFINITY;
    free(j.parts);
    return RZ_OK;
}
