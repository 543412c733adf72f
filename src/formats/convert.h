/* convert.h - the conversion's parts: a plan made before anything is written, and the loop that
 * moves rows.
 *
 * convert_check.c: is the source whole; convert_plan.c: which type and which order of rows each
 * tensor gets, which metadata changes; convert_rows.c: rows through decode, check, encode. */
#ifndef RZ_FORMATS_CONVERT_H
#define RZ_FORMATS_CONVERT_H

#include "base/pool.h"
#include "formats/mix.h"
#include "formats/writer.h"

#include <realizar/convert.h>

struct rz_imatrix;

enum {
    RZ_CONVERT_MAX_COLS = 1 << 24, /* of a row, which is decoded whole */
    RZ_CONVERT_MAX_EDITS = 8
};

/* ---- what the architecture's name implies ---- */

/* "arch.suffix" as a number: RZ_EFORMAT if it is there and no number. Absent: *value stays. */
RZ_MUST_USE rz_status rz_arch_u32(const rz_file *file, const char *suffix, uint32_t *value,
                                  bool *found, rz_error *err);
/* "arch.suffix" in key, which is returned; the architecture is cut at 64 bytes. */
enum {
    RZ_ARCH_KEY_MAX = 192
};
const char *rz_arch_key(const rz_file *file, const char *suffix, char key[RZ_ARCH_KEY_MAX]);
bool rz_arch_is(const rz_file *file, const char *name);

/* ---- rows ---- */

/* Llama's rotary pairs: neighbours in GGUF, the two halves of a head in Hugging Face's files. */
enum rz_row_order {
    RZ_ROWS_AS_THEY_ARE,
    RZ_ROWS_TO_PAIRS,
    RZ_ROWS_TO_HALVES
};

/* The order that t of a must be read in to stand as in a file whose heads are halves or pairs;
 * *head_dim is set unless the order stays. */
enum rz_row_order rz_row_order_of(const rz_file *a, const rz_tensor *t, bool halves,
                                  uint32_t *head_dim);
/* Are Q and K of llama halves in this file? */
bool rz_rows_are_halves(const rz_file *file);
/* The row of the source that row i of the result is. */
uint64_t rz_row_source(enum rz_row_order order, uint32_t head_dim, uint64_t i);

/* A tensor as rows. A vector is one row; where its elements move, each is a row. */
struct rz_rows {
    const uint8_t *data;
    rz_dtype type;
    uint64_t n_rows, n_cols, row_bytes;
    enum rz_row_order order;
    uint32_t head_dim;
};
RZ_MUST_USE rz_status rz_rows_of(struct rz_rows *rows, const rz_tensor *t, enum rz_row_order order,
                                 uint32_t head_dim, rz_error *err);
static inline const uint8_t *rz_rows_at(const struct rz_rows *r, uint64_t i)
{
    return r->data + rz_row_source(r->order, r->head_dim, i) * r->row_bytes;
}

/* The index of the first value that is NaN or infinite, n if none is. */
size_t rz_first_not_finite(const float *values, size_t n);

/* The pages of a file that is about to be read once, in order; and of part of a tensor that is no
 * longer needed. Where the bytes are no file's mapping nothing happens. */
void rz_source_stream(const rz_file *file);
void rz_source_release(const rz_file *file, const void *data, size_t len);

/* One tensor's way. importance: [n_importance][n_cols], row group by row group (an expert each), or
 * NULL. */
struct rz_move {
    const rz_file *file;
    const rz_tensor *in;
    const struct rz_out_tensor *out;
    enum rz_row_order order;
    uint32_t head_dim;
    const float *importance;
    uint64_t n_importance;
};

struct rz_mover; /* threads and their scratch */
RZ_MUST_USE rz_status rz_mover_new(struct rz_mover **out, unsigned n_threads, rz_error *err);
void rz_mover_free(struct rz_mover **m);

/* What receives the result, in order, and hears how many of the source's bytes are done. */
struct rz_move_sink {
    void *ctx;
    rz_status (*write)(void *ctx, const void *data, size_t len, rz_error *err);
    rz_status (*done)(void *ctx, uint64_t source_bytes, rz_error *err);
};

/* Fills rms, rmse and worst of *stats. The tensor's last part is written with the next tensor, or
 * by rz_mover_flush. sink is called on the calling thread. Errors: RZ_EINVALID (a value that is not
 * finite, or that the result's type cannot hold), the sink's. */
RZ_MUST_USE rz_status rz_move_tensor(struct rz_mover *m, const struct rz_move *move,
                                     const struct rz_move_sink *sink, rz_convert_tensor *stats,
                                     rz_error *err);

RZ_MUST_USE rz_status rz_mover_flush(struct rz_mover *m, const struct rz_move_sink *sink,
                                     rz_error *err);

/* ---- plan ---- */

struct rz_plan {
    const struct rz_writer_ops *writer;
    const struct rz_mix *mix;  /* NULL: types stay */
    struct rz_out_tensor *out; /* [n] */
    struct rz_move *moves;     /* [n] */
    size_t n;
    struct rz_meta_edit edits[RZ_CONVERT_MAX_EDITS];
    size_t n_edits;
    char neox_key[RZ_ARCH_KEY_MAX];
    bool requantizes;
};

/* Start from {0}; fini also after a failure. */
RZ_MUST_USE rz_status rz_plan_make(struct rz_plan *p, const rz_file *source,
                                   const struct rz_writer_ops *writer, const char *type,
                                   rz_error *err);
void rz_plan_fini(struct rz_plan *p);

/* RZ_EINVALID where metadata and tensors contradict each other. */
RZ_MUST_USE rz_status rz_convert_check(const rz_file *source, rz_error *err);

#endif
