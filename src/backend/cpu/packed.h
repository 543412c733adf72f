/* packed.h - packed copies of the weights (kernels/pack.h), made by the first product of each.
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
    bool ready[];        /* [w.n_stack] packed wholly */
};

/* All weights of a backend. */
struct cpu_weights {
    struct cpu_packed *first;
    uint8_t *memory; /* of all packed copies; NULL until settled, or for good */
    size_t bytes;
    bool settled;
};

/* Remembers w in w->impl. mapped: w->data lies in a read-only file mapping. */
RZ_MUST_USE rz_status rz_cpu_weights_add(struct cpu_backend *c, struct rz_weight *w, bool mapped,
                                         rz_error *err);

/* The first time, after the weights were added, decides whether there is memory for packed copies
 * and reserves address space for them. Sets c->strip_bytes for the largest strips of the weights
 * that have none: each product packs theirs a few at a time. */
void rz_cpu_weights_settle(struct cpu_backend *c);

/* Where the packed copy of w's matrix is or is to be made; NULL if there is none. */
uint8_t *rz_cpu_packed_data(const struct rz_weight *w, bool *ready);

/* After the first product with the packed copy: all strips are there. */
void rz_cpu_packed_done(const struct rz_weight *w);

/* Rows begin ... end - 1 of w have been packed: gives back the file's pages that they fill. So a
 * large matrix is never in memory twice. */
void rz_cpu_packed_drop(const struct rz_weight *w, uint32_t begin, uint32_t end);

void rz_cpu_weights_free(struct cpu_weights **weights);

#endif
