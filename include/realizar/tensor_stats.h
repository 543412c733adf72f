/* tensor_stats.h - what a tensor holds, and how two of them differ: one pass over the decoded
 * elements, any storage type, in memory that does not grow with the tensor beyond a few bytes per
 * 65,536 elements.
 *
 * Every figure is the same for any number of threads, bit for bit: tensors are cut into chunks by
 * their shape alone and the chunks' sums are joined in order. */
#ifndef REALIZAR_TENSOR_STATS_H
#define REALIZAR_TENSOR_STATS_H

#include <realizar/file.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RZ_N_PERCENTILES = 5
};
/* 5, 25, 50, 75, 95: the ranks of rz_tensor_stats.percentile, in percent. */
RZ_API extern const int rz_percentile_ranks[RZ_N_PERCENTILES];

/* Elements that are NaN or infinite are counted and then left out of every other figure but the
 * checksums. Where a figure has nothing to be computed from (no finite element) it is 0. */
typedef struct rz_tensor_stats {
    uint64_t count;        /* elements, all of them */
    uint64_t n_finite;     /* count - n_nan - n_inf */
    uint64_t n_nan, n_inf; /* NaNs; infinities of both signs */
    uint64_t first_nan;    /* index of the first in row-major order; count if there is none */
    uint64_t first_inf;    /* likewise */
    uint64_t n_zeros;      /* +0 and -0 */
    double zero_fraction;  /* n_zeros / count */
    double density;        /* (n_finite - n_zeros) / count */
    double mean, std;      /* std: of the population (divided by n, not n - 1) */
    double min, max, l2;   /* l2: square root of the sum of squares */
    /* Of the finite elements, interpolated between neighbours as numpy's default does. Each
     * neighbour is known to 2^-8 of its magnitude, never outside min ... max. */
    double percentile[RZ_N_PERCENTILES];
    bool constant;           /* all elements are finite and equal */
    uint64_t n_rows;         /* product of the shape without its last dimension, which is a row */
    uint64_t n_dead_rows;    /* rows of zeros alone */
    uint64_t first_dead_row; /* n_rows if there is none */
    uint32_t bits_sum;       /* sum of the float32 bit patterns modulo 2^32: aprender's
                              * "checksum"; the order of elements does not matter to it */
    uint64_t checksum;       /* of the float32 bit patterns with their positions: a hash against
                              * accidents, not against an adversary; independent of the storage
                              * type where the values are equal */
} rz_tensor_stats;

/* How b's elements differ from a's. Pairs in which one or both are not finite are left out of the
 * figures from max_abs on. */
typedef struct rz_tensor_diff {
    uint64_t count;          /* pairs */
    uint64_t n_equal_bits;   /* pairs of equal float32 bit patterns */
    bool identical;          /* n_equal_bits == count */
    bool same_bytes;         /* of one type and stored alike (never told of a transpose) */
    uint64_t n_not_finite_a; /* elements that are NaN or infinite */
    uint64_t n_not_finite_b;
    uint64_t n_odd;     /* pairs of different bits that are not both finite */
    uint64_t first_odd; /* index of the first in a; count if there is none */
    uint64_t n_finite_pairs;
    double max_abs;      /* largest |a - b| */
    uint64_t max_at;     /* its first index in a, row-major; count if there are no pairs */
    double max_a, max_b; /* the two values there */
    double mean_abs, rmse;
    double rms_a;  /* root mean square of a, to put rmse into relation */
    double cosine; /* 1 where both are all zeros, 0 where one is */
} rz_tensor_diff;

/* Threads and scratch memory for any number of tensors, one after the other. Used by one thread at
 * a time. */
typedef struct rz_tensor_scan rz_tensor_scan;

/* n_threads: 1 to 256; 0: one per CPU this process may use. Errors: RZ_EUSAGE, RZ_ENOMEM, RZ_EIO
 * (no thread). */
RZ_API RZ_MUST_USE rz_status rz_tensor_scan_new(rz_tensor_scan **out, unsigned n_threads,
                                                rz_error *err);
RZ_API void rz_tensor_scan_free(rz_tensor_scan **scan);

/* Errors: RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_tensor_scan_stats(rz_tensor_scan *scan, const rz_tensor *t,
                                                  rz_tensor_stats *out, rz_error *err);

/* Compares element by element; storage types may differ. Errors: RZ_EUSAGE (the shapes differ),
 * RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_tensor_scan_diff(rz_tensor_scan *scan, const rz_tensor *a,
                                                 const rz_tensor *b, rz_tensor_diff *out,
                                                 rz_error *err);

typedef struct rz_tensor_of {
    const rz_file *file;
    const rz_tensor *tensor;
} rz_tensor_of;

/* The same by what the tensors mean in their files: where these have llama's Q and K rows in
 * different orders (GGUF's pairs, Hugging Face's halves), b's rows are taken in a's order. Errors:
 * also RZ_ELOAD (a vector of blocks that would have to be reordered). */
RZ_API RZ_MUST_USE rz_status rz_tensor_scan_diff_in(rz_tensor_scan *scan, const rz_tensor_of *a,
                                                    const rz_tensor_of *b, rz_tensor_diff *out,
                                                    rz_error *err);

/* Compares a: [rows][cols] with the transpose of b: [cols][rows], two matrices. max_at is an index
 * into a. Errors: RZ_EUSAGE (not two matrices of swapped shapes), RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_tensor_scan_diff_transposed(rz_tensor_scan *scan,
                                                            const rz_tensor *a, const rz_tensor *b,
                                                            rz_tensor_diff *out, rz_error *err);

/* Elements of a tensor, its rows (all dimensions but the last) and a row's elements. A tensor
 * without dimensions has one row of one element. */
RZ_API uint64_t rz_tensor_count(const rz_tensor *t);
RZ_API uint64_t rz_tensor_rows(const rz_tensor *t);
RZ_API uint64_t rz_tensor_cols(const rz_tensor *t);
RZ_API bool rz_tensor_same_shape(const rz_tensor *a, const rz_tensor *b);

/* Decodes elements first ... first + n - 1 (within the tensor, in row-major order, not necessarily
 * at a block's border) to out: [n] f32. */
RZ_API void rz_tensor_decode(const rz_tensor *t, uint64_t first, size_t n, float *out);

#ifdef __cplusplus
}
#endif
#endif
