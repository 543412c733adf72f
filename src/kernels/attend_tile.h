/* attend_tile.h - TILE positions of a run: scores, probabilities, running maximum and sum.
 * Included once per level, after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_TILE_H
#define RZ_KERNELS_ATTEND_TILE_H

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
    _Alignas(64) float k[TILE_VECS][MAX_DIM * LANES]; /* [positions / LANES][dim][position] */
    float p[ATTEND_ROWS][TILE];                       /* scores, then probabilities */
    float fade[ATTEND_ROWS];                          /* what acc is to be multiplied with */
    const struct rz_attend_args *a;
    const uint8_t *v;  /* the tile's first position */
    uint32_t first, n; /* positions in the run */
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

#endif
