/* pool.h - a fork-join thread pool for the forward pass.
 *
 * rz_pool_run calls fn(ctx, i_thread, n_threads) once on every thread, the caller's being number 0,
 * and returns when all are done. Workers spin briefly before they sleep, since the next job of a
 * decode step comes within microseconds. One caller at a time. */
#ifndef RZ_BASE_POOL_H
#define RZ_BASE_POOL_H

#include <realizar/status.h>

enum {
    RZ_MAX_THREADS = 256
};

struct rz_pool;
typedef void rz_pool_fn(void *ctx, unsigned i_thread, unsigned n_threads);

/* n_threads: 1 to RZ_MAX_THREADS, the caller's included. Errors: RZ_ENOMEM, RZ_EIO (no thread). */
RZ_MUST_USE rz_status rz_pool_new(struct rz_pool **out, unsigned n_threads, rz_error *err);
void rz_pool_free(struct rz_pool **pool);
unsigned rz_pool_threads(const struct rz_pool *pool);
void rz_pool_run(struct rz_pool *pool, rz_pool_fn *fn, void *ctx);

/* The part [*begin, *end) of n items in units of unit that thread i of n_threads takes: contiguous
 * and a function of the arguments alone. */
void rz_pool_part(unsigned n, unsigned unit, unsigned i_thread, unsigned n_threads, unsigned *begin,
                  unsigned *end);

#endif
