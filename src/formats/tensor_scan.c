/* tensor_scan.c - what the statistics and the comparison of tensors share: threads, chunks,
 * decoding. */
#include "formats/tensor_scan.h"

#include "base/checked.h"
#include "base/cpu.h"
#include "base/fail.h"

#include <string.h>

enum {
    MAX_BLOCK_LEN = 256
};

uint64_t rz_tensor_count(const rz_tensor *t)
{
    uint64_t n = 1; /* the reader has checked that this fits */
    for (uint32_t d = 0; d < t->n_dims; d++)
        n *= t->shape[d];
    return n;
}

uint64_t rz_tensor_cols(const rz_tensor *t)
{
    return t->n_dims ? t->shape[t->n_dims - 1] : 1;
}

uint64_t rz_tensor_rows(const rz_tensor *t)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d + 1 < t->n_dims; d++)
        n *= t->shape[d];
    return n;
}

bool rz_tensor_same_shape(const rz_tensor *a, const rz_tensor *b)
{
    if (a->n_dims != b->n_dims)
        return false;
    for (uint32_t d = 0; d < a->n_dims; d++)
        if (a->shape[d] != b->shape[d])
            return false;
    return true;
}

void rz_scan_decode(const rz_tensor *t, uint64_t first, size_t n, float *out)
{
    const struct rz_dtype_info *info = rz_dtype_info(t->dtype);
    RZ_ASSERT(first % info->block_len == 0 && n % info->block_len == 0);
    const char *data = t->data;
    info->decode(data + first / info->block_len * info->block_bytes, out, n);
}

void rz_tensor_decode(const rz_tensor *t, uint64_t first, size_t n, float *out)
{
    RZ_ASSERT(first <= rz_tensor_count(t) && n <= rz_tensor_count(t) - first);
    uint32_t len = rz_dtype_block_len(t->dtype);
    RZ_ASSERT(len <= MAX_BLOCK_LEN);
    float block[MAX_BLOCK_LEN];
    while (n > 0) {
        size_t skip = (size_t)(first % len), part;
        if (skip == 0 && n >= len) {
            part = n - n % len;
            rz_scan_decode(t, first, part, out);
        } else {
            part = rz_min_size(len - skip, n);
            rz_scan_decode(t, first - skip, len, block);
            memcpy(out, block + skip, part * sizeof *out);
        }
        first += part;
        out += part;
        n -= part;
    }
}

void rz_scan_grid_init(struct rz_scan_grid *g, const rz_tensor *t)
{
    *g = (struct rz_scan_grid){.rows = rz_tensor_rows(t), .cols = rz_tensor_cols(t)};
    if (g->rows == 0 || g->cols == 0)
        return;
    g->rows_per_chunk = g->cols < RZ_SCAN_CHUNK ? RZ_SCAN_CHUNK / g->cols : 1;
    g->n_chunks = (g->rows - 1) / g->rows_per_chunk + 1;
}

rz_status rz_tensor_scan_new(rz_tensor_scan **out, unsigned n_threads, rz_error *err)
{
    *out = NULL;
    if (n_threads > RZ_MAX_THREADS)
        return rz_fail(err, RZ_EUSAGE, "%u threads, at most %d can be used", n_threads,
                       RZ_MAX_THREADS);
    if (n_threads == 0)
        n_threads = rz_min_u32(rz_cpu_count(), RZ_MAX_THREADS);
    rz_tensor_scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return rz_fail_nomem(err, sizeof *scan, "reading tensors");
    scan->n_threads = n_threads;
    scan->threads = calloc(n_threads, sizeof *scan->threads);
    rz_status status = RZ_OK;
    if (!scan->threads)
        status = rz_fail_nomem(err, n_threads * sizeof *scan->threads, "reading tensors");
    size_t bytes = (size_t)RZ_SCAN_TILE * RZ_SCAN_TILE * sizeof(float);
    for (unsigned i = 0; !status && i < n_threads; i++) {
        struct rz_scan_thread *t = &scan->threads[i];
        t->a = malloc(bytes);
        t->b = malloc(bytes);
        if (!t->a || !t->b)
            status = rz_fail_nomem(err, bytes, "reading tensors");
    }
    if (!status)
        status = rz_pool_new(&scan->pool, n_threads, err);
    if (status)
        rz_tensor_scan_free(&scan);
    *out = scan;
    return status;
}

void rz_tensor_scan_free(rz_tensor_scan **scan)
{
    if (!scan || !*scan)
        return;
    rz_pool_free(&(*scan)->pool);
    for (unsigned i = 0; (*scan)->threads && i < (*scan)->n_threads; i++) {
        free((*scan)->threads[i].a);
        free((*scan)->threads[i].b);
        free((*scan)->threads[i].histogram);
    }
    free((*scan)->threads);
    free((*scan)->results);
    free(*scan);
    *scan = NULL;
}

rz_status rz_scan_results(rz_tensor_scan *scan, uint64_t n, size_t size, void **out, rz_error *err)
{
    size_t bytes;
    if (n > SIZE_MAX || !rz_mul_size((size_t)n, size, &bytes))
        return rz_fail(err, RZ_ENOMEM, "no memory for the sums of %llu parts of a tensor",
                       (unsigned long long)n);
    if (bytes > scan->results_bytes) {
        void *p = realloc(scan->results, bytes);
        if (!p)
            return rz_fail_nomem(err, bytes, "the sums of a tensor");
        scan->results = p;
        scan->results_bytes = bytes;
    }
    *out = scan->results;
    return RZ_OK;
}

static void run_thread(void *ctx, unsigned i_thread, unsigned n_threads)
{
    (void)n_threads;
    struct rz_scan_job *job = ctx;
    for (;;) {
        uint64_t i = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (i >= job->n_chunks)
            return;
        job->work(job->ctx, i, &job->scan->threads[i_thread]);
    }
}

void rz_scan_run(struct rz_scan_job *job)
{
    atomic_store_explicit(&job->next, job->first, memory_order_relaxed);
    if (job->n_chunks - job->first > 1)
        rz_pool_run(job->scan->pool, run_thread, job);
    else
        run_thread(job, 0, 1); /* a norm or bias: not worth waking anybody */
}
