/* ahead.h - asking for the weights that a kernel reads next.
 * Included once per level, after vec_<level>.h. */
#ifndef RZ_KERNELS_AHEAD_H
#define RZ_KERNELS_AHEAD_H

#include "kernels/kernels.h"

/* The weights after the current group of rows, which are asked for while it is worked on: the LANES
 * rows of a group are more streams than the CPU's prefetchers follow. */
struct ahead {
    const uint8_t *at, *end;
    bool near; /* to the L1 cache, otherwise to L2 */
};

/* From the end of the group at row on, but at least min_bytes from its start. */
RZ_INLINE struct ahead ahead_of(const struct rz_matmul_args *a, uint32_t row, bool near,
                                size_t min_bytes)
{
    const uint8_t *w = a->w;
    size_t at = row * a->w_row_bytes, end = a->row_end * a->w_row_bytes;
    at += LANES * a->w_row_bytes > min_bytes ? LANES * a->w_row_bytes : min_bytes;
    return (struct ahead){.at = w + (at < end ? at : end), .end = w + end, .near = near};
}

/* The next n bytes, in the order of addresses. */
RZ_INLINE void prefetch_run(struct ahead *p, size_t n)
{
    const uint8_t *stop = (size_t)(p->end - p->at) < n ? p->end : p->at + n;
    if (p->near) {
        for (; p->at < stop; p->at += 64)
            __builtin_prefetch(p->at, 0, 3);
    } else {
        for (; p->at < stop; p->at += 64)
            __builtin_prefetch(p->at, 0, 2);
    }
    p->at = p->at < stop ? stop : p->at;
}

#endif
