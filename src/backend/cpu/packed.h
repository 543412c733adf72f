/* packed.h - packed weights (quant/pack.h): those that the file has so, and copies of the others,
 * made by the first product of each. Those of the file are copied too, by a later product: decoding
 * from pages of 4 KiB takes a quarter longer than from huge ones (1.5B model), but the first token
 * need not wait for it.
 *
 * Every thread packs the strips that it multiplies, and multiplies each at once, while it is in the
 * cache. When all are packed, the file's pages are given back, so that memory does not grow. */
#ifndef RZ_BACKEND_CPU_PACKED_H
#define RZ_BACKEND_CPU_PACKED_H

#include "backend/cpu/cpu.h"

/* One stack of matrices; rz_weight.impl points to it. */
struct cpu_packed {
    struct cpu_packed *next;
    struct rz_weight w;  /* as loaded */
    size_t matrix_bytes; /* packed */
    size_t at;           /* in the memory of all */
    uint8_t *data;       /* NULL: products take weights as they lie */
    bool mapped;         /* w.data's pages can be dropped */
    uint8_t copy_at;     /* the product that makes the copy */
    uint8_t uses[];      /* [w.n_stack] products so far, up to copy_at + 1: data is whole */
};

/* All weights of a backend. */
struct cpu_weights {
    struct cpu_packed *first;
    uint8_t *memory; /* of all packed copies; NULL until settled, or for good */
    size_t bytes, n;
    bool settled, from_file; /* some are multiplied where they lie in the file, packed */
};

/* Remembers w in w->impl, and in c whether products can be wide. mapped: w->data lies in a
 * read-only file mapping. */
RZ_MUST_USE rz_status rz_cpu_weights_add(struct cpu_backend *c, struct rz_weight *w, bool mapped,
                                         rz_error *err);

/* The first time, after the weights were added, decides whether there is memory for packed copies
 * and reserves address space for them. Sets c->strip_bytes for the largest strips of the weights
 * that have none: each product packs theirs a few at a time. */
void rz_cpu_weights_settle(struct cpu_backend *c);

/* Where w's matrix stands packed, *ready set, or where this product is to make the copy: from rows,
 * or from w->data if that is packed. NULL: there is none. */
uint8_t *rz_cpu_packed_data(const struct rz_weight *w, bool *ready);

/* After a product of w: if it made the copy, all strips are there. */
void rz_cpu_packed_done(const struct rz_weight *w);

/* Rows begin ... end - 1 of w have been packed: gives back the file's pages that they fill. So a
 * large matrix is never in memory twice. */
void rz_cpu_packed_drop(const struct rz_weight *w, uint32_t begin, uint32_t end);

void rz_cpu_weights_free(struct cpu_weights **weights);

#endif
