/* attend_simd.h - attention over one run of cached positions, TILE of them at a time.
 *
 * Per tile: K is transposed to a panel (positions in the lanes), once for all query rows; then, for
 * ATTEND_ROWS rows at once, scores, the online softmax's update (attend_ref.c) and the sum over V.
 * Invariant: a row's result depends on its own q, lo, hi and the run only, never on the rows next
 * to it; positions outside lo ... hi - 1 are not used, whatever they hold. Included once per level,
 * after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_SIMD_H
#define RZ_KERNELS_ATTEND_SIMD_H

#include "kernels/levels.h"
#include "kernels/math_simd.h"
#include "kernels/transpose_simd.h"

#include <math.h>

enum {
    TILE = 32,
    TILE_VECS = TILE / LANES,
    MAX_DIM = 256, /* the panel's size: 32 KB; larger heads go to the reference */
    ATTEND_ROWS = 4
};

/* How a kv type is read. */
struct kv_reader {
    size_t elem;
    load_float_fn *load;            /* 16 bytes of LANES rows, transposed */
    vflt (*load_vec)(const void *); /* LANES consecutive elements */
};

struct tile {
    const struct rz_attend_args *a;
    _Alignas(64) float k[TILE_VECS][MAX_DIM * LANES]; /* [positions / LANES][dim][position] */
    float p[ATTEND_ROWS][TILE];                       /* scores, then probabilities */
    float fade[ATTEND_ROWS];                          /* what acc is to be multiplied with */
    const uint8_t *v;                                 /* the tile's first position */
    uint32_t first, n;                                /* positions in the run */
};

RZ_INLINE vflt load_vec_f32(const void *p)
{
    return vf_load((const float *)p);
}

RZ_INLINE vflt load_vec_f16(const void *p)
{
    return vf_load_f16(p);
}

static const struct kv_reader reader_f32 = {4, load_f32, load_vec_f32};
static const struct kv_reader reader_f16 = {2, load_f16, load_vec_f16};

RZ_INLINE void pack_keys(struct tile *t, const struct kv_reader *kv)
{
    const uint32_t dim = t->a->head_dim;
    const uint8_t *k = (const uint8_t *)t->a->k + (size_t)t->first * dim * kv->elem;
    for (uint32_t g = 0; g < TILE_VECS; g++) {
        const uint8_t *row[LANES];
        for (uint32_t i = 0; i < LANES; i++) {
            uint32_t j = g * LANES + i; /* positions past the end repeat the last; not used */
            row[i] = k + (size_t)(j < t->n ? j : t->n - 1) * dim * kv->elem;
        }
        pack_floats(row, 0, dim, kv->elem, t->k[g], kv->load);
    }
}

/* Scores of rows i ... i + n - 1, n constant, for all positions of the tile. */
RZ_INLINE void score_rows(struct tile *t, uint32_t i, int n)
{
    const float *q = t->a->q + i * t->a->q_stride;
    const uint32_t dim = t->a->head_dim;
    for (int g = 0; g < TILE_VECS; g += 2) {
        vflt s[2 * ATTEND_ROWS];
        RZ_UNROLL
        for (int r = 0; r < 2 * n; r++)
            s[r] = vf_set1(0);
        for (uint32_t d = 0; d < dim; d++) {
            vflt k0 = vf_load(t->k[g] + d * LANES), k1 = vf_load(t->k[g + 1] + d * LANES);
            RZ_UNROLL
            for (int r = 0; r < n; r++) {
                vflt qd = vf_set1(q[(size_t)r * t->a->q_stride + d]);
                s[2 * r] = vf_fma(k0, qd, s[2 * r]);
                s[2 * r + 1] = vf_fma(k1, qd, s[2 * r + 1]);
            }
        }
        RZ_UNROLL
        for (int r = 0; r < n; r++) {
            vf_store(t->p[r] + g * LANES, s[2 * r]);
            vf_store(t->p[r] + (g + 1) * LANES, s[2 * r + 1]);
        }
    }
}

/* Positions of the tile that row i sees. */
RZ_INLINE void row_range(const struct tile *t, uint32_t i, uint32_t *lo, uint32_t *hi)
{
    uint32_t l = t->a->lo[i], h = t->a->hi[i];
    *lo = l > t->first ? l - t->first : 0;
    *hi = h > t->first ? h - t->first : 0;
    *hi = *hi < t->n ? *hi : t->n;
}

/* Scores to probabilities relative to the new maximum; the row's max and sum. */
RZ_INLINE void update_row(struct tile *t, uint32_t i, int r)
{
    uint32_t lo, hi;
    row_range(t, i, &lo, &hi);
    t->fade[r] = 1;
    if (lo >= hi)
        return;
    vflt s[TILE_VECS], max_v = vf_set1(t->a->max[i]), sum_v = vf_set1(0);
    RZ_UNROLL
    for (int g = 0; g < TILE_VECS; g++) {
        uint32_t from = lo > (uint32_t)g * LANES ? lo - (uint32_t)g * LANES : 0;
        uint32_t to = hi > (uint32_t)g * LANES ? hi - (uint32_t)g * LANES : 0;
        s[g] = vf_keep(vf_load(t->p[r] + g * LANES), from, to, -INFINITY);
        max_v = vf_max(s[g], max_v);
    }
    float max = vf_hmax(max_v);
    RZ_UNROLL
    for (int g = 0; g < TILE_VECS; g++) {
        s[g] = vf_exp(vf_sub(s[g], vf_set1(max)));
        vf_store(t->p[r] + g * LANES, s[g]);
        sum_v = vf_add(sum_v, s[g]);
    }
    float fade[LANES];
    vf_store(fade, vf_exp(vf_set1(t->a->max[i] - max)));
    t->fade[r] = fade[0];
    t->a->sum[i] = t->a->sum[i] * fade[0] + vf_sum(sum_v);
    t->a->max[i] = max;
}

/* acc of n rows from i on, dimensions d ... d + n_vecs * LANES - 1; the rows see lo ... hi - 1.
 * r: the first row's place in the tile. */
RZ_INLINE void sum_values(const struct tile *t, uint32_t i, int r, int n, uint32_t d, int n_vecs,
                          uint32_t lo, uint32_t hi, const struct kv_reader *kv)
{
    const uint32_t dim = t->a->head_dim;
    vflt acc[ATTEND_ROWS][2];
    RZ_UNROLL
    for (int x = 0; x < n; x++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            acc[x][v] = vf_mul(
                vf_load(t->a->acc + (size_t)(i + (uint32_t)x) * dim + d + (uint32_t)v * LANES),
                vf_set1(t->fade[r + x]));
    }
    for (uint32_t j = lo; j < hi; j++) {
        vflt value[2];
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            value[v] = kv->load_vec(t->v + ((size_t)j * dim + d + (uint32_t)v * LANES) * kv->elem);
        RZ_UNROLL
        for (int x = 0; x < n; x++) {
            vflt p = vf_set1(t->p[r + x][j]);
            RZ_UNROLL
            for (int v = 0; v < n_vecs; v++)
                acc[x][v] = vf_fma(p, value[v], acc[x][v]);
        }
    }
    RZ_UNROLL
    for (int x = 0; x < n; x++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            vf_store(t->a->acc + (size_t)(i + (uint32_t)x) * dim + d + (uint32_t)v * LANES,
                     acc[x][v]);
    }
}

/* Rows r ... r + n - 1 of the block that starts at row i see lo ... hi - 1. */
RZ_INLINE void sum_dims(const struct tile *t, uint32_t i, int r, int n, uint32_t lo, uint32_t hi,
                        const struct kv_reader *kv)
{
    if (lo >= hi)
        return;
    uint32_t d = 0;
    for (; d + 2 * LANES <= t->a->head_dim; d += 2 * LANES)
        sum_values(t, i + (uint32_t)r, r, n, d, 2, lo, hi, kv);
    if (d < t->a->head_dim)
        sum_values(t, i + (uint32_t)r, r, n, d, 1, lo, hi, kv);
}

/* n rows from i on, n constant. Rows that see the same positions share the reading of V. */
RZ_INLINE void attend_rows(struct tile *t, uint32_t i, int n, const struct kv_reader *kv)
{
    uint32_t lo[ATTEND_ROWS], hi[ATTEND_ROWS];
    bool same = true, any = false;
    for (int r = 0; r < n; r++) {
        row_range(t, i + (uint32_t)r, &lo[r], &hi[r]);
        same = same && lo[r] == lo[0] && hi[r] == hi[0];
        any = any || lo[r] < hi[r];
    }
    if (!any)
        return;
    score_rows(t, i, n);
    for (int r = 0; r < n; r++)
        update_row(t, i + (uint32_t)r, r);
    if (same) {
        sum_dims(t, i, 0, n, lo[0], hi[0], kv);
        return;
    }
    for (int r = 0; r < n; r++)
        sum_dims(t, i, r, 1, lo[r], hi[r], kv);
}

RZ_INLINE void attend(const struct rz_attend_args *a, const struct kv_reader *kv)
{
    struct tile t;
    t.a = a;
    for (t.first = 0; t.first < a->n; t.first += TILE) {
        t.n = a->n - t.first < TILE ? a->n - t.first : TILE;
        t.v = (const uint8_t *)a->v + (size_t)t.first * a->head_dim * kv->elem;
        pack_keys(&t, kv);
        uint32_t i = 0;
        for (; i + ATTEND_ROWS <= a->n_q; i += ATTEND_ROWS)
            attend_rows(&t, i, ATTEND_ROWS, kv);
        for (; i < a->n_q; i++)
            attend_rows(&t, i, 1, kv);
    }
}

static void attend_f32(const struct rz_attend_args *a)
{
    if (a->head_dim <= MAX_DIM)
        attend(a, &reader_f32);
    else
        rz_attend_f32_ref(a);
}

static void attend_f16(const struct rz_attend_args *a)
{
    if (a->head_dim <= MAX_DIM)
        attend(a, &reader_f16);
    else
        rz_attend_f16_ref(a);
}

RZ_INLINE void set_attend(struct rz_kernels *k)
{
    k->attend[RZ_KV_F32] = attend_f32;
    k->attend[RZ_KV_F16] = attend_f16;
}

#endif
