/* attend_product.h - the inner loop of attention: C[row][column] = sum over k of A[row][k] *
 * B[k][column], for up to ATTEND_ROWS rows and 2 * LANES columns that stay in registers.
 *
 * Scores: A is q, B a block of keys (columns are positions). Values: A is the probabilities, B a
 * group of values (columns are dimensions). Invariant: an element of C is one chain of fused
 * multiply-adds in the order of k, whatever the rows next to it.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_PRODUCT_H
#define RZ_KERNELS_ATTEND_PRODUCT_H

#include "kernels/levels.h"

/* Rows whose sums fit the registers beside two vectors of B. */
enum {
    ATTEND_ROWS = LANES == 16 ? 12 : 6
};

/* LANES consecutive elements of a kv type as floats. */
typedef vflt load_kv_fn(const void *p);

struct kv_reader {
    uint32_t elem; /* bytes */
    load_kv_fn *load;
    bool scaled; /* RZ_KV_Q8_0 */
};

RZ_INLINE vflt load_kv_f32(const void *p)
{
    return vf_load((const float *)p);
}

RZ_INLINE vflt load_kv_f16(const void *p)
{
    return vf_load_f16(p);
}

RZ_INLINE vflt load_kv_i8(const void *p)
{
    return vf_load_i8((const int8_t *)p);
}

static const struct kv_reader reader_f32 = {4, load_kv_f32, false};
static const struct kv_reader reader_f16 = {2, load_kv_f16, false};
static const struct kv_reader reader_q8_0 = {1, load_kv_i8, true};

struct product {
    const float *a;      /* [rows][RZ_ATTEND_STRIDE] */
    const uint8_t *b;    /* its row 0, column 0 */
    size_t b_step;       /* bytes from a row of b to the next */
    uint32_t begin, end; /* k */
    float *c;            /* [rows][c_stride] */
    size_t c_stride;
    const uint8_t *ahead; /* asked for meanwhile, row by row */
    size_t ahead_step;
};

/* n rows, n_vecs vectors of columns; both constant. add: to what C holds, else from zero. What is
 * ahead is asked for into L2: into L1, binary16 from memory takes 1.5 times as long (Zen 4). */
RZ_INLINE void product(const struct product *t, int n, int n_vecs, bool add,
                       const struct kv_reader *kv)
{
    vflt c[2 * ATTEND_ROWS];
    RZ_UNROLL
    for (int r = 0; r < n; r++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            c[2 * r + v] = add ? vf_load(t->c + (size_t)r * t->c_stride + v * LANES) : vf_set1(0);
    }
    const uint8_t *b = t->b + t->begin * t->b_step, *ahead = t->ahead + t->begin * t->ahead_step;
    const float *a = t->a + t->begin;
    for (uint32_t k = t->begin; k < t->end; k++, a++) {
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
        ahead += t->ahead_step;
    }
    RZ_UNROLL
    for (int r = 0; r < n; r++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            vf_store(t->c + (size_t)r * t->c_stride + v * LANES, c[2 * r + v]);
    }
}

/* The number of rows becomes a constant here. */
RZ_INLINE void product_rows(const struct product *t, uint32_t n, int n_vecs, bool add,
                            const struct kv_reader *kv)
{
    switch (n) {
    case 1:
        product(t, 1, n_vecs, add, kv);
        return;
    case 2:
        product(t, 2, n_vecs, add, kv);
        return;
    case 3:
        product(t, 3, n_vecs, add, kv);
        return;
    case 4:
        product(t, 4, n_vecs, add, kv);
        return;
    case 5:
        product(t, 5, n_vecs, add, kv);
        return;
    case 6:
        product(t, 6, n_vecs, add, kv);
        return;
    default:
        break;
    }
    if (ATTEND_ROWS < 12)
        return;
    switch (n) {
    case 7:
        product(t, 7, n_vecs, add, kv);
        return;
    case 8:
        product(t, 8, n_vecs, add, kv);
        return;
    default:
        product(t, ATTEND_ROWS, n_vecs, add, kv);
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
