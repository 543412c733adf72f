/* imatrix.h - importance matrices: for each weight matrix the mean of the squared activations that
 * entered each of its columns. An error in a column costs in proportion to it.
 *
 * Both of llama.cpp's files are read and written: GGUF (general.type "imatrix", per matrix a tensor
 * NAME.in_sum2 of sums and NAME.counts of how many rows were summed) and the older .dat, a list of
 * names and values. docs/quantization.md has both layouts. */
#ifndef RZ_FORMATS_IMATRIX_H
#define RZ_FORMATS_IMATRIX_H

#include <realizar/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rz_imatrix;

/* Maps and validates. Values are finite and not negative; where an expert was never used they are
 * all 1. Errors: RZ_ENOTFOUND, RZ_EIO, RZ_EFORMAT, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_imatrix_open(struct rz_imatrix **out, const char *path, rz_error *err);
/* The same from memory, which is not needed afterwards. name is for messages. */
RZ_MUST_USE rz_status rz_imatrix_open_memory(struct rz_imatrix **out, const char *name,
                                             const void *data, size_t len, rz_error *err);
void rz_imatrix_free(struct rz_imatrix **m);

/* The means for a weight under GGUF's name ("blk.0.attn_q.weight"), [n_matrices][n_cols] with
 * *n_values in all: n_matrices is 1, or the number of experts of a stack. NULL: it has none. */
const float *rz_imatrix_find(const struct rz_imatrix *m, const char *name, uint64_t *n_values);

/* Matrices, in the order of their names. */
size_t rz_imatrix_len(const struct rz_imatrix *m);
const char *rz_imatrix_name(const struct rz_imatrix *m, size_t i);
/* Chunks of text that it was made from, 0 if the file does not say. */
uint32_t rz_imatrix_n_chunks(const struct rz_imatrix *m);

/* ---- writing ---- */

/* What was summed for one weight. */
struct rz_imatrix_sums {
    const char *name;
    uint32_t n_matrices, n_cols;
    const double *sum2;     /* [n_matrices][n_cols] */
    const uint64_t *counts; /* [n_matrices] rows summed */
};

struct rz_imatrix_plan {
    const char *path;
    bool gguf; /* else .dat */
    const struct rz_imatrix_sums *sums;
    size_t n;
    const char *dataset; /* name of the text */
    uint32_t n_chunks, chunk_size;
};

/* The file gets its name when it is complete. Matrices without any row are left out. Errors:
 * RZ_EIO, RZ_EUSAGE (path is no regular file), RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_imatrix_write(const struct rz_imatrix_plan *plan, rz_error *err);

#endif
