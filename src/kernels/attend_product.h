/* attend_product.h - the inner loop of attention: C[row][column] = sum over k of A[row][k] *
 * B[k][column], for up to ATTEND_ROWS rows and 2 * LANES columns that stay in registers while B's
 * blocks stream by.
 *
 * Scores: A is q, B a block of keys (columns are positions). Values: A is the probabilities, B a
 * group of values (columns are dimensions) of all blocks of a chunk. Invariant: an element of C is
 * one chain of fused multiply-adds from zero in the order of k, whatever the rows next to it.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_PRODUCT_H
#define RZ_KERNELS_ATTEND_PRODUCT_H

#include "kernels/attend_reader.h"

/* Rows whose sums fit the registers beside two vectors of B. */
enum {
    ATTEND_ROWS = LANES == 16 ? 12 : 6
};

struct product {
    const float *a;       /* [rows][RZ_ATTEND_STRIDE] */
    const void *const *b; /* blocks of block_len rows each; k begins in number first */
    uint32_t block_len, first;
    size_t b_at;             /* bytes from a block's begin to its row 0, column 0 */
    size_t b_step;           /* bytes from a row of b to the next */
    uint32_t begin, end;     /* k */
    uint32_t all_lo, all_hi; /* k that concern all rows, none if all_lo >= all_hi */
    const uint32_t *lo, *hi; /* [rows] k that concern each; unused if all do */
    float *c;                /* [rows][c_stride] */
    size_t c_stride;
    const void *const *ahead; /* like b: asked for meanwhile, row by row */
    size_t ahead_at;
};

/* Rows [k, end) of block i. */
struct run {
    uint32_t i, k, end;
};

/* What is ahead is asked for into L2: into L1, binary16 from memory takes 1.5 times as long
 * (Zen 4). */
RZ_INLINE void add_run(vflt *c, const struct product *t, struct run s, int n, int n_vecs,
                       const struct kv_reader *kv)
{
    const size_t from = (s.k - s.i * t->block_len) * t->b_step;
    const uint8_t *b = (const uint8_t *)t->b[s.i] + t->b_at + from;
    const uint8_t *ahead = (const uint8_t *)t->ahead[s.i] + t->ahead_at + from;
    const float *a = t->a + s.k;
    for (; s.k < s.end; s.k++, a++) {
        vflt x[2];
        __builtin_prefetch(ahead, 0, 2);
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            x[v] = kv->load(b + (size_t)v * LANES * kv->elem);
        RZ_UNROLL
        for (int r = 0; r < n; r++) {
            RZ_UNROLL
            for (int v = 0; v < n_vecs; v++)
                c[2 * r + v] = vf_fma_bcast(a + r * RZ_ATTEND_STRIDE, x[v], c[2 * r + v]);
        }
        b += t->b_step;
        ahead += t->b_step;
    }
}

/* The same where not all rows of A are concerned. */
RZ_INLINE void add_ragged_run(vflt *c, const struct product *t, struct run s, int n, int n_vecs,
                              const struct kv_reader *kv)
{
    const size_t from = (s.k - s.i * t->block_len) * t->b_step;
    const uint8_t *b = (const uint8_t *)t->b[s.i] + t->b_at + from;
    const float *a = t->a + s.k;
    for (; s.k < s.end; s.k++, a++) {
        vflt x[2];
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            x[v] = kv->load(b + (size_t)v * LANES * kv->elem);
        RZ_UNROLL
        for (int r = 0; r < n; r++) {
            if (s.k < t->lo[r] || s.k >= t->hi[r])
                continue;
            RZ_UNROLL
            for (int v = 0; v < n_vecs; v++)
                c[2 * r + v] = vf_fma_bcast(a + r * RZ_ATTEND_STRIDE, x[v], c[2 * r + v]);
        }
        b += t->b_step;
    }
}

/* n rows, n_vecs vectors of columns; both constant. */
RZ_INLINE void product(const struct product *t, int n, int n_vecs, const struct kv_reader *kv)
{
    vflt c[2 * ATTEND_ROWS];
    RZ_UNROLL
    for (int r = 0; r < n; r++)
        c[2 * r] = c[2 * r + 1] = vf_set1(0);
    struct run s = {.i = t->first, .k = t->begin};
    while (s.k < t->end) {
        const uint32_t next = (s.i + 1) * t->block_len;
        s.end = next < t->end ? next : t->end;
        if (s.k >= t->all_lo && s.k < t->all_hi) {
            s.end = t->all_hi < s.end ? t->all_hi : s.end;
            add_run(c, t, s, n, n_vecs, kv);
        } else {
            s.end = s.k < t->all_lo && t->all_lo < s.end ? t->all_lo : s.end;
            add_ragged_run(c, t, s, n, n_vecs, kv);
        }
        s.k = s.end;
        s.i += s.k == next;
    }
    RZ_UNROLL
    for (int r = 0; r < n; r++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            vf_store(t->c + (size_t)r * t->c_stride + v * LANES, c[2 * r + v]);
    }
}

/* The number of rows becomes a constant here. */
RZ_INLINE void product_rows(const struct product *t, uint32_t n, int n_vecs,
                            const struct kv_reader *kv)
{
    switch (n) {
    case 1:
        product(t, 1, n_vecs, kv);
        return;
    case 2:
        product(t, 2, n_vecs, kv);
        return;
    case 3:
        product(t, 3, n_vecs, kv);
        return;
    case 4:
        product(t, 4, n_vecs, kv);
        return;
    case 5:
        product(t, 5, n_vecs, kv);
        return;
    case 6:
        product(t, 6, n_vecs, kv);
        return;
    default:
        break;
    }
    if (ATTEND_ROWS < 12)
        return;
    switch (n) {
    case 7:
        product(t, 7, n_vecs, kv);
        return;
    case 8:
        product(t, 8, n_vecs, kv);
        return;
    default:
        product(t, ATTEND_ROWS, n_vecs, kv);
        return;
    }
}

/* How many of n rows are taken at once: as many as fit, a rest in parts of like size. */
RZ_INLINE uint32_t rows_at_once(uint32_t n)
{
    const uint32_t most = LANES == 16 ? 8 : 6; /* of a rest: product_rows */
    if (n == ATTEND_ROWS || n >= 2 * ATTEND_ROWS)
        return ATTEND_ROWS;
    return n <= most ? n : (n + 1) / 2 < most ? (n + 1) / 2 : most;
}

#endif
