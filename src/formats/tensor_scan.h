/* tensor_scan.h - the parts of tensor_stats.c and tensor_diff.c.
 *
 * A tensor is cut into chunks of whole rows by its shape alone. Threads take chunks in any order;
 * each chunk's sums go to its own place and are joined in order afterwards. */
#ifndef RZ_FORMATS_TENSOR_SCAN_H
#define RZ_FORMATS_TENSOR_SCAN_H

#include "base/pool.h"
#include "formats/convert.h"
#include "quant/dtype.h"

#include <realizar/tensor_stats.h>
#include <stdatomic.h>

enum {
    RZ_SCAN_PIECE = 4096,  /* elements decoded at a time: whole blocks of every type */
    RZ_SCAN_CHUNK = 65536, /* elements of a chunk, if a row is not longer */
    RZ_SCAN_TILE = 256     /* rows and columns of a tile that is transposed: whole blocks */
};

struct rz_scan_thread {
    float *a, *b;        /* RZ_SCAN_PIECE elements each, or a tile */
    uint64_t *histogram; /* RZ_SCAN_BINS; all zeros between tensors */
};

struct rz_tensor_scan {
    struct rz_pool *pool;
    unsigned n_threads;
    struct rz_scan_thread *threads;
    void *results; /* one per chunk */
    size_t results_bytes;
};

/* The chunks of a tensor. */
struct rz_scan_grid {
    uint64_t rows, cols, rows_per_chunk, n_chunks;
};

void rz_scan_grid_init(struct rz_scan_grid *g, const rz_tensor *t);

/* n items of size bytes for the chunks' results, not cleared, kept for the next tensor. */
RZ_MUST_USE rz_status rz_scan_results(rz_tensor_scan *scan, uint64_t n, size_t size, void **out,
                                      rz_error *err);

/* A job over chunks first ... n_chunks - 1: the pool's threads call work until there are no more.
 */
struct rz_scan_job {
    rz_tensor_scan *scan;
    _Atomic uint64_t next;
    uint64_t first, n_chunks;
    void (*work)(void *ctx, uint64_t i_chunk, struct rz_scan_thread *thread);
    void *ctx;
};
void rz_scan_run(struct rz_scan_job *job);

/* Two tensors of one shape; b's rows are read in another order. */
struct rz_scan_pair {
    const rz_tensor *a, *b;
    enum rz_row_order order;
    uint32_t head_dim; /* of the order */
    /* Called now and then, when n elements of each from the first on are done; what it returns ends
     * the comparison. NULL: nobody wants to know. */
    rz_status (*done)(void *ctx, uint64_t first, uint64_t n, rz_error *err);
    void *ctx;
};
RZ_MUST_USE rz_status rz_scan_diff(rz_tensor_scan *scan, const struct rz_scan_pair *pair,
                                   rz_tensor_diff *out, rz_error *err);

/* Decodes n elements from first on; both at the borders of blocks. */
void rz_scan_decode(const rz_tensor *t, uint64_t first, size_t n, float *out);

#endif
