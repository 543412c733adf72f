/* attend_simd.h - attention over one run of cached positions, TILE of them at a time.
 *
 * Per tile: K is transposed to a panel (positions in the lanes), once for all query rows; then, for
 * ATTEND_ROWS rows at once, scores, the online softmax's update (attend_ref.c) and the sum over V.
 * Invariant: a row's result depends on its own q, lo, hi and the run only, never on the rows next
 * to it; positions outside lo ... hi - 1 are not used, whatever they hold. Included once per level,
 * after vec_<level>_float.h. */
#ifndef RZ_KERNELS_ATTEND_SIMD_H
#define RZ_KERNELS_ATTEND_SIMD_H

#include "kernels/attend_tile.h"

/* Rows of a block that see the same positions. */
struct same_rows {
    uint32_t i; /* the first, in the arguments */
    int r, n;   /* the first, in the tile; how many, constant */
    uint32_t lo, hi;
};

/* acc of the rows, n_vecs vectors from dimension d on. */
RZ_INLINE void sum_values(const struct tile *t, const struct same_rows s, uint32_t d, int n_vecs,
                          const struct kv_reader *kv)
{
    const uint32_t dim = t->a->head_dim;
    float *out = t->a->acc + (size_t)s.i * dim + d;
    vflt acc[ATTEND_ROWS][2];
    RZ_UNROLL
    for (int x = 0; x < s.n; x++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            acc[x][v] =
                vf_mul(vf_load(out + (size_t)x * dim + v * LANES), vf_set1(t->fade[s.r + x]));
    }
    for (uint32_t j = s.lo; j < s.hi; j++) {
        const uint8_t *at = t->v + ((size_t)j * dim + d) * kv->elem;
        vflt value[2];
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            value[v] = kv->load_vec(at + (size_t)v * LANES * kv->elem);
        RZ_UNROLL
        for (int x = 0; x < s.n; x++) {
            vflt p = vf_set1(t->p[s.r + x][j]);
            RZ_UNROLL
            for (int v = 0; v < n_vecs; v++)
                acc[x][v] = vf_fma(p, value[v], acc[x][v]);
        }
    }
    RZ_UNROLL
    for (int x = 0; x < s.n; x++) {
        RZ_UNROLL
        for (int v = 0; v < n_vecs; v++)
            vf_store(out + (size_t)x * dim + v * LANES, acc[x][v]);
    }
}

RZ_INLINE void sum_dims(const struct tile *t, const struct same_rows s, const struct kv_reader *kv)
{
    if (s.lo >= s.hi)
        return;
    uint32_t d = 0;
    for (; d + 2 * LANES <= t->a->head_dim; d += 2 * LANES)
        sum_values(t, s, d, 2, kv);
    if (d < t->a->head_dim)
        sum_values(t, s, d, 1, kv);
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
        sum_dims(t, (struct same_rows){i, 0, n, lo[0], hi[0]}, kv);
        return;
    }
    for (int r = 0; r < n; r++)
        sum_dims(t, (struct same_rows){i + (uint32_t)r, r, 1, lo[r], hi[r]}, kv);
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
