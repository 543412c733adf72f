/* matvec_simd.h - quantized weights times one row of x: decoding's inner loop, bound by memory.
 *
 * Eight rows at a time, block by block: integer dots from the rows as they lie (row_avx2.h),
 * factors and the float steps of mul_simd.h, so the bits are those of the panel products. Included
 * once per level, after vec_<level>.h. */
#ifndef RZ_KERNELS_MATVEC_SIMD_H
#define RZ_KERNELS_MATVEC_SIMD_H

#include "kernels/ahead.h"
#include "kernels/load_super.h"
#include "kernels/row_avx2.h"

/* How a format is read here. */
struct row_format {
    load_fn *factors; /* scale and min of LANES rows */
    row_fn *row;      /* codes of one */
    uint32_t block_len, block_bytes;
    int offset;
    struct kind kind;
};

/* The dots of columns 32 * i ... of the blocks at row[] + off: dot[0] of all 32, or one per 16. */
RZ_INLINE void dot_rows(const uint8_t *const row[LANES], size_t off, int i, const int8_t *q,
                        vint dot[2], const struct row_format *f)
{
    const vint x = load32((const uint8_t *)q);
    vint d[LANES];
    RZ_UNROLL
    for (int r = 0; r < LANES; r++)
        d[r] = dot_256(f->row(row[r] + off, i), x, f->kind.max_code);
    sum_across(d, &dot[0], &dot[1]);
    if (!f->kind.per16)
        dot[0] = vi_add(dot[0], dot[1]);
}

RZ_INLINE vflt finish_part(vint dot, const int16_t *sum, vflt p, const struct panel_block *b,
                           int half, const struct row_format *f)
{
    const struct kind k = f->kind;
    const bool low = !k.per16 || half == 0, high = !k.per16 || half == 1;
    const vint sums = vi_bcast(sum);
    if (k.has_offset)
        dot = vi_add(dot, vi_madd16(sums, sum_factors(-f->offset, low, high)));
    vint s = k.has_min ? vi_madd16(sums, sum_factors(1, low, high)) : vi_set1(0);
    return apply_factors(dot, s, p, b->scale[half], b->min[half], k);
}

/* What is asked for in advance, measured from memory on one Zen 4 core, AVX-512, in GB/s; without
 * any: Q5_0 9, Q8_0 13, Q4_K 8, Q6_K 4.5.
 * Small blocks of 32 columns, short rows: the next group of rows to L1. Q5_0 with 896 columns 16.5,
 * which is what it makes of L2 too; 9.1 if it goes to L2.
 * Other blocks of 32: 16 KB ahead to L2. Q8_0 with 896 columns 19.6; 17.1 with only the next group.
 * Blocks of 256: the next group to L2, and a block ahead in each row to L1. Q4_K with 2048 columns
 * 15.4, Q6_K 17.8; 9.6 and 10.0 with the group straight to L1. */
RZ_INLINE struct ahead ahead_of_format(const struct rz_matmul_args *a, uint32_t row,
                                       const struct row_format *f)
{
    bool near = f->block_bytes <= 24 && LANES * a->w_row_bytes <= 14 << 10;
    return ahead_of(a, row, near, f->block_len > 32 || near ? 0 : 16 << 10);
}

/* The block of 256 columns after the one at off, and a little more: a part of the rows for each of
 * its 8 blocks of 32, i. */
RZ_INLINE void prefetch_rows(const uint8_t *const row[LANES], size_t off, uint32_t i,
                             const struct row_format *f)
{
    for (uint32_t r = i * (LANES / 8); r < (i + 1) * (LANES / 8); r++) {
        for (uint32_t o = 64; o < f->block_bytes + 64; o += 64)
            __builtin_prefetch(row[r] + off + f->block_bytes + o, 0, 3);
    }
}

/* Rows r ... of y, n_rows of them. */
RZ_INLINE void matvec_rows(const struct rz_matmul_args *a, const uint8_t *const row[LANES],
                           uint32_t r, uint32_t n_rows, const struct row_format *f)
{
    struct ahead ahead = ahead_of_format(a, r, f);
    const struct rz_act *x = a->x;
    struct panel_block factors[8];
    vflt acc = vf_set1(0);
    size_t off = 0;
    for (uint32_t col = 0; col < x->n_cols; off += f->block_bytes) {
        f->factors(row, off, factors);
        for (uint32_t i = 0; i < f->block_len / 32; i++, col += 32) {
            const int16_t *sum = x->sum + col / RZ_ACT_SUM;
            vint dot[2];
            prefetch_run(&ahead, LANES * f->block_bytes / (f->block_len / 32));
            if (f->block_len > 32)
                prefetch_rows(row, off, i, f);
            dot_rows(row, off, (int)i, x->q + col, dot, f);
            vflt p = finish_part(dot[0], sum, vf_set1(0), &factors[i], 0, f);
            if (f->kind.per16)
                p = finish_part(dot[1], sum, p, &factors[i], 1, f);
            acc = vf_fma(p, vf_set1(x->scale[col / RZ_ACT_BLOCK]), acc);
        }
    }
    if (a->bias)
        acc = vf_add(acc, vf_loadn(a->bias + r, n_rows));
    vf_storen(a->y + r, acc, n_rows);
}

RZ_INLINE void matvec(const struct rz_matmul_args *a, const struct row_format f)
{
    const uint8_t *row[LANES];
    for (uint32_t r = a->row_begin; r < a->row_end; r += LANES) {
        uint32_t n_rows = a->row_end - r < LANES ? a->row_end - r : LANES;
        for (uint32_t i = 0; i < LANES; i++) /* lanes without a row repeat the last; not stored */
            row[i] = (const uint8_t *)a->w + (r + (i < n_rows ? i : n_rows - 1)) * a->w_row_bytes;
        matvec_rows(a, row, r, n_rows, &f);
    }
}

static void matvec_q4_0(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_d, row_q4_0, 32, 18, 8, kind_sym32()});
}

static void matvec_q4_1(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_dm, row_q4_1, 32, 20, 0, kind_min32()});
}

static void matvec_q5_0(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_d, row_q5_0, 32, 22, 16, kind_sym32()});
}

static void matvec_q5_1(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_dm, row_q5_1, 32, 24, 0, kind_min32()});
}

static void matvec_q8_0(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_d, row_q8_0, 32, 34, SIGNED_OFFSET, kind_byte32()});
}

static void matvec_q2_k(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_q2_k, row_q2_k, 256, 84, 0, kind_min16()});
}

static void matvec_q3_k(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_q3_k, row_q3_k, 256, 110, 4, kind_sym16()});
}

static void matvec_q4_k(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_q4_k, row_q4_k, 256, 144, 0, kind_min32()});
}

static void matvec_q5_k(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_q4_k, row_q5_k, 256, 176, 0, kind_min32()});
}

static void matvec_q6_k(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_q6_k, row_q6_k, 256, 210, 32, kind_sym16()});
}

static void matvec_iq4_nl(const struct rz_matmul_args *a)
{
    matvec(a, (struct row_format){factors_d, row_iq4_nl, 32, 18, SIGNED_OFFSET, kind_byte32()});
}

static void matvec_iq4_xs(const struct rz_matmul_args *a)
{
    matvec(a,
           (struct row_format){factors_iq4_xs, row_iq4_xs, 256, 136, SIGNED_OFFSET, kind_byte32()});
}

#endif
