/* convert_rows.c - rows of a tensor through decode, check and encode, by several threads.
 *
 * A tensor goes in chunks of some MiB; threads take rows of the chunk as they come free, the first
 * of them after writing the chunk before. Sums are kept by row and added in order, so a report does
 * not depend on the number of threads. The result's bytes depend on nothing but the row: blocks are
 * the same whatever the container. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/convert.h"
#include "formats/file.h"
#include "quant/dtype.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CHUNK_ELEMENTS = 4 << 20,
    CHUNK_MAX_ROWS = 1 << 15,
    TAKE_ELEMENTS = 1 << 15, /* that a thread takes at once */
    N_BUFFERS = 2            /* one being written, one being filled */
};

/* What happened in a row. bad: index of the first value that stops the conversion. */
struct row_sum {
    double squares, errors;
    float worst;
    uint32_t bad;
    bool overflow; /* finite in the source, not in the result */
};

/* A chunk that is done and not yet written: in a buffer, or in the source where it is a copy. */
struct done_chunk {
    const void *data;
    size_t len; /* 0: none */
    const rz_file *file;
    const uint8_t *source; /* its pages are no longer needed then */
    size_t source_len;
};

struct rz_mover {
    struct rz_pool *pool;
    unsigned n_threads;
    float *scratch; /* [n_threads][2][cap_cols] */
    size_t cap_cols;
    uint8_t *out[N_BUFFERS];
    size_t cap_out[N_BUFFERS];
    unsigned i_out;       /* the one being filled */
    struct row_sum *sums; /* [CHUNK_MAX_ROWS] */
    struct done_chunk done;
};

/* One chunk: rows [first, first + n). */
struct chunk {
    struct rz_mover *m;
    const struct rz_move *move;
    struct rz_rows in;
    rz_dtype to;
    uint64_t out_row_bytes, first, n, rows_per_importance;
    uint32_t take;
    bool check_only;
    uint8_t *out;
    const struct rz_move_sink *sink;
    rz_status write_status;
    rz_error *err;
    atomic_uint next;
};

/* ---- order of rows ---- */

uint64_t rz_row_source(enum rz_row_order order, uint32_t head_dim, uint64_t i)
{
    if (order == RZ_ROWS_AS_THEY_ARE)
        return i;
    uint64_t head = i / head_dim, at = i % head_dim, half = head_dim / 2;
    if (order == RZ_ROWS_TO_PAIRS)
        return head * head_dim + (at % 2) * half + at / 2;
    return head * head_dim + 2 * (at % half) + at / half;
}

rz_status rz_rows_of(struct rz_rows *rows, const rz_tensor *t, enum rz_row_order order,
                     uint32_t head_dim, rz_error *err)
{
    uint64_t n_cols = t->shape[t->n_dims - 1], n_rows = 1, bytes = 0;
    if (t->n_dims == 1 && order != RZ_ROWS_AS_THEY_ARE) {
        n_rows = n_cols;
        n_cols = 1;
    }
    for (uint32_t i = 0; i + 1 < t->n_dims; i++)
        n_rows *= t->shape[i];
    if (n_cols > RZ_CONVERT_MAX_COLS || !rz_dtype_row_bytes(t->dtype, n_cols, &bytes))
        return rz_fail(err, RZ_ELOAD, "tensor %s has rows of %llu elements, at most %d are handled",
                       t->name, (unsigned long long)n_cols, RZ_CONVERT_MAX_COLS);
    *rows = (struct rz_rows){.data = t->data,
                             .type = t->dtype,
                             .n_rows = n_rows,
                             .n_cols = n_cols,
                             .row_bytes = bytes,
                             .order = order,
                             .head_dim = head_dim};
    return RZ_OK;
}

/* ---- the source's pages ---- */

static void advise(const rz_file *file, const void *data, size_t len, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uint8_t *at = data;
    for (uint32_t i = 0; i < file->n_shards; i++) {
        const struct rz_map *map = &file->shards[i].map;
        /* An unpacked image is memory of its own: what is dropped of it is lost. */
        if (file->shards[i].stored_len || !map->data || at < map->data ||
            at + len > map->data + map->len)
            continue;
        uintptr_t from = ((uintptr_t)at + page - 1) & ~(page - 1);
        uintptr_t to = ((uintptr_t)at + len) & ~(page - 1);
        /* A hint: whether it is taken changes nothing but memory and time. */
        if (to > from)
            (void)madvise((void *)from, to - from, advice);
        return;
    }
}

/* Not MADV_WILLNEED of what comes next: that fills the page cache with single pages (a conversion
 * of 15 GB: 53 s of processor time with it, 43 without; Linux 6.18). Read-ahead on a fault takes
 * large ones, and for maps of huge pages some MiB at once, however little the device is set to. */
void rz_source_stream(const rz_file *file)
{
    for (uint32_t i = 0; i < file->n_shards; i++)
        advise(file, file->shards[i].map.data, file->shards[i].map.len, MADV_HUGEPAGE);
}

static bool outgrows_memory(const rz_file *file)
{
    const long page = sysconf(_SC_PAGESIZE), n_pages = sysconf(_SC_PHYS_PAGES);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < file->n_shards; i++)
        bytes += file->shards[i].map.len;
    return page > 0 && n_pages > 0 && bytes / (uint64_t)page > (uint64_t)n_pages / 2;
}

/* A file of more than half the memory would push out all else, the result too, and itself before it
 * is read again. Its pages go, and are used again while they are warm (15 GB in a virtual machine:
 * 40 s of processor time instead of 44). */
void rz_source_release(const rz_file *file, const void *data, size_t len)
{
    if (outgrows_memory(file))
        advise(file, data, len, MADV_PAGEOUT);
    advise(file, data, len, MADV_DONTNEED);
}

/* ---- threads ---- */

rz_status rz_mover_new(struct rz_mover **out, unsigned n_threads, rz_error *err)
{
    struct rz_mover *m = calloc(1, sizeof *m);
    *out = m;
    if (!m)
        return rz_fail_nomem(err, sizeof *m, "a conversion");
    m->n_threads = n_threads;
    m->sums = calloc(CHUNK_MAX_ROWS, sizeof *m->sums);
    rz_status status = m->sums ? RZ_OK : rz_fail_nomem(err, sizeof *m->sums, "a conversion");
    if (!status)
        status = rz_pool_new(&m->pool, n_threads, err);
    if (status)
        rz_mover_free(out);
    return status;
}

void rz_mover_free(struct rz_mover **mover)
{
    if (!*mover)
        return;
    rz_pool_free(&(*mover)->pool);
    free((*mover)->scratch);
    for (int i = 0; i < N_BUFFERS; i++)
        free((*mover)->out[i]);
    free((*mover)->sums);
    free(*mover);
    *mover = NULL;
}

static rz_status reserve_rows(struct rz_mover *m, size_t n_cols, rz_error *err)
{
    if (n_cols > m->cap_cols) {
        free(m->scratch);
        m->cap_cols = 0;
        m->scratch = calloc(m->n_threads, 2 * n_cols * sizeof *m->scratch);
        if (!m->scratch)
            return rz_fail_nomem(err, n_cols * sizeof *m->scratch, "rows");
        m->cap_cols = n_cols;
    }
    return RZ_OK;
}

static rz_status reserve_out(struct rz_mover *m, size_t out_bytes, rz_error *err)
{
    if (out_bytes > m->cap_out[m->i_out] || !m->out[m->i_out]) {
        free(m->out[m->i_out]);
        m->cap_out[m->i_out] = 0;
        m->out[m->i_out] = malloc(out_bytes + 1);
        if (!m->out[m->i_out])
            return rz_fail_nomem(err, out_bytes, "rows");
        m->cap_out[m->i_out] = out_bytes;
    }
    return RZ_OK;
}

/* ---- a row ---- */

/* Infinity and NaN are the exponents of all ones. The largest magnitude says whether there is one;
 * only then is it looked for. */
size_t rz_first_not_finite(const float *values, size_t n)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits &= 0x7FFFFFFF;
        largest = bits > largest ? bits : largest;
    }
    if (largest < 0x7F800000)
        return n;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return i;
    return n;
}

static const float *importance_of(const struct chunk *c, uint64_t row)
{
    if (!c->move->importance)
        return NULL;
    return c->move->importance + row / c->rows_per_importance * c->in.n_cols;
}

static void do_row(const struct chunk *c, uint64_t i, float *values, float *back)
{
    size_t n = (size_t)c->in.n_cols;
    uint64_t row = c->first + i;
    const uint8_t *from = rz_rows_at(&c->in, row);
    uint8_t *to = c->out + i * c->out_row_bytes;
    struct row_sum *s = &c->m->sums[i];
    *s = (struct row_sum){.bad = UINT32_MAX};
    rz_dtype_info(c->in.type)->decode(from, values, n);
    if (c->in.type == c->to) {
        s->squares = rz_row_squares(values, n);
        if (!isfinite(s->squares))
            s->bad = (uint32_t)rz_first_not_finite(values, n);
        else if (!c->check_only)
            memcpy(to, from, c->out_row_bytes);
        return;
    }
    struct rz_row_loss loss = rz_encode_row_measured(c->to, values, importance_of(c, row), to, n);
    s->squares = loss.squares;
    s->errors = loss.errors;
    s->worst = loss.worst;
    if (!loss.finite) {
        s->bad = (uint32_t)rz_first_not_finite(values, n);
    } else if (!isfinite(s->errors)) {
        rz_dtype_info(c->to)->decode(to, back, n);
        s->bad = (uint32_t)rz_first_not_finite(back, n);
        s->overflow = true;
    }
}

/* Writes what is done, if there is something. */
static rz_status write_done(struct rz_mover *m, const struct rz_move_sink *sink, rz_error *err)
{
    struct done_chunk done = m->done;
    if (done.len == 0)
        return RZ_OK;
    m->done.len = 0;
    RZ_TRY(sink->write(sink->ctx, done.data, done.len, err));
    rz_source_release(done.file, done.source, done.source_len);
    return RZ_OK;
}

static void work(void *ctx, unsigned i_thread, unsigned n_threads)
{
    struct chunk *c = ctx;
    struct rz_mover *m = c->m;
    float *values = m->scratch + 2 * (size_t)i_thread * m->cap_cols;
    (void)n_threads;
    if (i_thread == 0)
        c->write_status = write_done(m, c->sink, c->err);
    for (;;) {
        uint64_t first = atomic_fetch_add(&c->next, c->take);
        if (first >= c->n)
            return;
        uint64_t end = first + c->take < c->n ? first + c->take : c->n;
        for (uint64_t i = first; i < end; i++)
            do_row(c, i, values, values + m->cap_cols);
    }
}

/* ---- a tensor ---- */

struct totals {
    double squares, errors;
    float worst;
};

static rz_status refuse_value(const struct chunk *c, uint64_t i, rz_error *err)
{
    const struct row_sum *s = &c->m->sums[i];
    uint64_t row = rz_row_source(c->in.order, c->in.head_dim, c->first + i);
    uint64_t element = row * c->in.n_cols + s->bad;
    const rz_tensor *t = c->move->in;
    float *values = c->m->scratch;
    rz_dtype_info(t->dtype)->decode(rz_rows_at(&c->in, c->first + i), values, c->in.n_cols);
    double v = (double)values[s->bad];
    if (s->overflow)
        return rz_fail(err, RZ_EINVALID, "tensor %s, element %llu: %g does not fit in %s", t->name,
                       (unsigned long long)element, v, rz_dtype_name(c->to));
    return rz_fail(err, RZ_EINVALID, "tensor %s (%s), element %llu: %s", t->name,
                   rz_dtype_name(t->dtype), (unsigned long long)element,
                   isnan(v) ? "not a number (NaN)" : "infinite");
}

static rz_status add_up(const struct chunk *c, struct totals *t, rz_error *err)
{
    for (uint64_t i = 0; i < c->n; i++) {
        const struct row_sum *s = &c->m->sums[i];
        if (s->bad != UINT32_MAX)
            return refuse_value(c, i, err);
        t->squares += s->squares;
        t->errors += s->errors;
        t->worst = s->worst > t->worst ? s->worst : t->worst;
    }
    return RZ_OK;
}

/* Rows that move stay within their head, so a chunk of whole heads reads a contiguous part. */
static uint64_t rows_at_once(const struct chunk *c)
{
    uint64_t n = CHUNK_ELEMENTS / c->in.n_cols;
    n = n > CHUNK_MAX_ROWS ? CHUNK_MAX_ROWS : n;
    if (c->in.order != RZ_ROWS_AS_THEY_ARE)
        n = n < c->in.head_dim ? c->in.head_dim : n - n % c->in.head_dim;
    return n ? n : 1;
}

static rz_status do_chunk(struct chunk *c, struct totals *t)
{
    struct rz_mover *m = c->m;
    const uint8_t *from = c->in.data + c->first * c->in.row_bytes;
    size_t n_bytes = (size_t)(c->n * c->in.row_bytes);
    if (!c->check_only)
        RZ_TRY(reserve_out(m, (size_t)(c->n * c->out_row_bytes), c->err));
    c->out = m->out[m->i_out];
    atomic_store(&c->next, 0);
    rz_pool_run(m->pool, work, c);
    RZ_TRY(c->write_status);
    RZ_TRY(add_up(c, t, c->err));
    m->done = (struct done_chunk){.data = c->check_only ? from : c->out,
                                  .len = (size_t)(c->n * c->out_row_bytes),
                                  .file = c->move->file,
                                  .source = from,
                                  .source_len = n_bytes};
    if (!c->check_only)
        m->i_out = (m->i_out + 1) % N_BUFFERS;
    return c->sink->done(c->sink->ctx, n_bytes, c->err);
}

rz_status rz_mover_flush(struct rz_mover *m, const struct rz_move_sink *sink, rz_error *err)
{
    return write_done(m, sink, err);
}

rz_status rz_move_tensor(struct rz_mover *m, const struct rz_move *move,
                         const struct rz_move_sink *sink, rz_convert_tensor *stats, rz_error *err)
{
    struct chunk c = {.m = m, .move = move, .to = move->out->dtype, .sink = sink, .err = err};
    struct totals t = {0};
    RZ_TRY(rz_rows_of(&c.in, move->in, move->order, move->head_dim, err));
    bool fits = rz_dtype_row_bytes(c.to, c.in.n_cols, &c.out_row_bytes);
    RZ_ASSERT(fits);
    if (!fits)
        return rz_fail(err, RZ_EUSAGE, "tensor %s: rows of %llu elements are no whole %s blocks",
                       move->in->name, (unsigned long long)c.in.n_cols, rz_dtype_name(c.to));
    c.check_only = c.in.type == c.to && move->order == RZ_ROWS_AS_THEY_ARE;
    c.rows_per_importance = move->n_importance ? c.in.n_rows / move->n_importance : c.in.n_rows;
    uint64_t at_once = rows_at_once(&c);
    c.take = (uint32_t)(TAKE_ELEMENTS / c.in.n_cols ? TAKE_ELEMENTS / c.in.n_cols : 1);
    RZ_TRY(reserve_rows(m, (size_t)c.in.n_cols, err));
    for (c.first = 0; c.first < c.in.n_rows; c.first += c.n) {
        c.n = c.in.n_rows - c.first < at_once ? c.in.n_rows - c.first : at_once;
        RZ_TRY(do_chunk(&c, &t));
    }
    double n = (double)(c.in.n_rows * c.in.n_cols);
    stats->rms = sqrt(t.squares / n);
    stats->rmse = sqrt(t.errors / n);
    stats->worst = (double)t.worst;
    return RZ_OK;
}
