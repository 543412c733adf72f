/* check-kernels-many.c - products of many rows of x with many rows of weights: more of both than
 * any kernel takes at once. check-kernels-matmul.c has shown what one row gives; all bits must be
 * the same here. */
#include "check-kernels.h"

#include "base/f16.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_ROWS = 3 * 256 / 2 + 5,
    N_TOKENS = 149,
    N_COLS = 512,
    BEGIN = RZ_STRIP_ROWS /* the first row asked for */
};

struct many {
    rz_dtype type;
    struct rz_act x;
    struct ck_buf packed, q, factors, y;
    float one[N_ROWS];
};

static void make_weights(struct check *c, struct many *m)
{
    const struct rz_dtype_info *info = rz_dtype_info(m->type);
    const size_t row_bytes = N_COLS / info->block_len * info->block_bytes;
    struct ck_buf w = ck_alloc(N_ROWS * row_bytes, 1);
    ck_fill_weights(c, m->type, CK_W_RANDOM, w.data, (size_t)N_ROWS * N_COLS / info->block_len);
    m->packed = ck_alloc(rz_packed_bytes(m->type, N_ROWS, N_COLS), RZ_PACKED_ALIGN);
    const struct rz_pack_args a = {.type = m->type,
                                   .n_rows = N_ROWS,
                                   .n_cols = N_COLS,
                                   .w = w.data,
                                   .w_row_bytes = row_bytes,
                                   .packed = m->packed.data};
    rz_pack_strips(&a, 0, (N_ROWS + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS);
    ck_free(&w);
}

static void make_x(struct check *c, struct many *m)
{
    const uint32_t n_blocks = N_COLS / RZ_ACT_BLOCK;
    float x[N_COLS];
    m->q = ck_alloc((size_t)N_TOKENS * N_COLS, 64);
    m->factors = ck_alloc((size_t)N_TOKENS * n_blocks * RZ_ACT_FACTOR_BYTES, 4);
    const struct rz_act_factors all = rz_act_factors_in(m->factors.data, N_TOKENS * n_blocks);
    for (uint32_t t = 0; t < N_TOKENS; t++) {
        const struct rz_act_place at = rz_act_at(t, N_TOKENS, n_blocks, c->now.tile_rows);
        for (int i = 0; i < N_COLS; i++)
            x[i] = ck_uniform(c, -1, 1);
        const struct rz_act_factors f = rz_act_factors_from(all, at.first);
        c->now.quantize(x, N_COLS, c->now.max_q[m->type],
                        (int8_t *)m->q.data + at.first * RZ_ACT_BLOCK, &f, at.step);
    }
    m->x = (struct rz_act){.n_rows = N_TOKENS,
                           .n_cols = N_COLS,
                           .q = m->q.data,
                           .factors = all,
                           .tile_rows = c->now.tile_rows};
}

/* Row t of x by itself. */
static void multiply_one(const struct check *c, struct many *m, uint32_t t)
{
    const uint32_t n_blocks = N_COLS / RZ_ACT_BLOCK;
    const struct rz_act_place at = rz_act_at(t, N_TOKENS, n_blocks, c->now.tile_rows);
    _Alignas(64) int8_t q[N_COLS];
    _Alignas(4) char memory[N_COLS / RZ_ACT_BLOCK * RZ_ACT_FACTOR_BYTES];
    const struct rz_act_factors f = rz_act_factors_in(memory, n_blocks);
    for (uint32_t b = 0; b < n_blocks; b++) {
        const size_t from = at.first + (size_t)b * at.step;
        memcpy(q + (size_t)b * RZ_ACT_BLOCK, m->x.q + from * RZ_ACT_BLOCK, RZ_ACT_BLOCK);
        ck_copy_factors(&f, b, &m->x.factors, from);
    }
    struct rz_act x = m->x;
    x.n_rows = 1;
    x.q = q;
    x.factors = f;
    const struct rz_matmul_args a = {.w = m->packed.data,
                                     .w_row_bytes = rz_packed_row_bytes(m->type, N_COLS),
                                     .row_begin = BEGIN,
                                     .row_end = N_ROWS,
                                     .x = &x,
                                     .y = m->one};
    c->now.matmul_packed[m->type](&a);
}

static void check_type(struct check *c, rz_dtype type, const char *name)
{
    struct many m = {.type = type};
    make_weights(c, &m);
    make_x(c, &m);
    m.y = ck_alloc((size_t)N_TOKENS * N_ROWS * sizeof(float), 4);
    memset(m.y.data, 0xC3, m.y.bytes);
    const struct rz_matmul_args a = {.w = m.packed.data,
                                     .w_row_bytes = rz_packed_row_bytes(type, N_COLS),
                                     .row_begin = BEGIN,
                                     .row_end = N_ROWS,
                                     .x = &m.x,
                                     .y = m.y.data,
                                     .y_stride = N_ROWS};
    c->now.matmul_packed[type](&a);
    const float *y = m.y.data;
    for (uint32_t t = 0; t < N_TOKENS; t++) {
        multiply_one(c, &m, t);
        for (uint32_t r = 0; r < N_ROWS; r++) {
            const uint32_t got = rz_f32_bits(y[(size_t)t * N_ROWS + r]);
            const uint32_t want = r < BEGIN ? 0xC3C3C3C3u : rz_f32_bits(m.one[r]);
            if (!ck_expect(c, got == want, "%s of many: token %u row %u: %08x, not %08x", name, t,
                           r, got, want))
                break;
        }
    }
    ck_expect(c, ck_intact(&m.y), "%s of many wrote outside of y", name);
    ck_free(&m.packed);
    ck_free(&m.q);
    ck_free(&m.factors);
    ck_free(&m.y);
}

void check_many(struct check *c)
{
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        char name[64];
        snprintf(name, sizeof name, "matmul_%s", rz_dtype_name((rz_dtype)i));
        if (c->now.quantized[i] &&
            ck_wants(c, name, c->now.matmul_packed[i] != c->below.matmul_packed[i]))
            check_type(c, (rz_dtype)i, name);
    }
}
