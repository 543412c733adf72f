/* check-kernels-attend.c - attention over chunks of blocks as the paged cache holds them, and the
 * merging of chunks.
 *
 * Checked against a plain softmax in double over all chunks. With u = 2^-24, a score s has an error
 * of at most e = (head_dim + 2) u max_j sum |q k|, which moves the probabilities by a factor of
 * exp(2e); sums over n positions add n u, and each merge a few u more. */
#include "check-kernels.h"

#include "base/f16.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CHUNKS = 3,
    MAX_BLOCKS = MAX_CHUNKS * RZ_ATTEND_BLOCKS,
    MAX_N = MAX_CHUNKS * RZ_ATTEND_CHUNK,
    MAX_Q = 27
};

struct attend_case {
    enum rz_kv_type type;
    uint32_t n_q, dim, n_chunks, n_blocks; /* the last chunk may have fewer than RZ_ATTEND_BLOCKS */
    uint32_t lo[MAX_Q], hi[MAX_Q];         /* over all chunks */
    struct ck_buf q, k[MAX_BLOCKS], v[MAX_BLOCKS];
    double *key, *value; /* [n][dim]: what the blocks hold */
};

struct state {
    float max[MAX_Q], sum[MAX_Q];
    struct ck_buf acc;
};

static struct rz_attend_state view(const struct attend_case *t, struct state *s, uint32_t first)
{
    return (struct rz_attend_state){s->max + first, s->sum + first,
                                    (float *)s->acc.data + (size_t)first * t->dim};
}

static struct state state_new(const struct attend_case *t)
{
    struct state s = {.acc = ck_alloc((size_t)t->n_q * t->dim * sizeof(float), 4)};
    memset(s.acc.data, 0xFF, s.acc.bytes);
    return s;
}

static size_t block_bytes(enum rz_kv_type type, uint32_t dim)
{
    return (size_t)RZ_KV_BLOCK * dim * (type == RZ_KV_F16 ? 2 : 4);
}

/* Puts x at element i of a block; returns what it holds then. */
static double put(enum rz_kv_type type, struct ck_buf *b, size_t i, float x)
{
    if (type == RZ_KV_F16) {
        rz_f16 h = rz_f32_to_f16(x);
        memcpy((rz_f16 *)b->data + i, &h, sizeof h);
        return (double)rz_f16_to_f32(h);
    }
    memcpy((float *)b->data + i, &x, sizeof x);
    return (double)x;
}

static void fill(struct check *c, struct attend_case *t)
{
    const size_t bytes = block_bytes(t->type, t->dim), align = t->type == RZ_KV_F16 ? 2 : 4;
    t->q = ck_alloc((size_t)t->n_q * RZ_ATTEND_STRIDE * sizeof(float), 4);
    memset(t->q.data, 0xFF, t->q.bytes);
    for (uint32_t i = 0; i < t->n_q; i++) {
        for (uint32_t d = 0; d < t->dim; d++)
            ((float *)t->q.data)[(size_t)i * RZ_ATTEND_STRIDE + d] =
                ck_normal(c) / sqrtf((float)t->dim);
    }
    t->key = malloc((size_t)t->n_blocks * RZ_KV_BLOCK * t->dim * sizeof *t->key);
    t->value = malloc((size_t)t->n_blocks * RZ_KV_BLOCK * t->dim * sizeof *t->value);
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        const float size = ck_below(c, 2) ? 1 : 20;
        t->k[b] = ck_alloc(bytes, align);
        t->v[b] = ck_alloc(bytes, align);
        for (uint32_t j = 0; j < RZ_KV_BLOCK; j++) {
            size_t row = ((size_t)b * RZ_KV_BLOCK + j) * t->dim;
            for (uint32_t d = 0; d < t->dim; d++) {
                t->key[row + d] = put(t->type, &t->k[b], rz_kv_key_at(d, j), size * ck_normal(c));
                t->value[row + d] =
                    put(t->type, &t->v[b], rz_kv_value_at(t->dim, d, j), ck_normal(c));
            }
        }
    }
}

static void release(struct attend_case *t)
{
    ck_free(&t->q);
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        ck_free(&t->k[b]);
        ck_free(&t->v[b]);
    }
    free(t->key);
    free(t->value);
}

/* Rows first ... first + n - 1 over one chunk. */
static void run_chunk(const struct check *c, const struct attend_case *t, uint32_t chunk,
                      uint32_t first, uint32_t n, struct rz_attend_state out)
{
    const void *k[RZ_ATTEND_BLOCKS] = {0}, *v[RZ_ATTEND_BLOCKS] = {0};
    const uint32_t block = chunk * RZ_ATTEND_BLOCKS, base = chunk * RZ_ATTEND_CHUNK;
    uint32_t lo[MAX_Q], hi[MAX_Q];
    struct ck_buf scores = ck_alloc((size_t)n * RZ_ATTEND_STRIDE * sizeof(float), 4);
    for (uint32_t b = 0; b < RZ_ATTEND_BLOCKS && block + b < t->n_blocks; b++) {
        k[b] = t->k[block + b].data;
        v[b] = t->v[block + b].data;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t l = t->lo[first + i], h = t->hi[first + i];
        hi[i] = h > base ? h - base : 0;
        hi[i] = hi[i] < RZ_ATTEND_CHUNK ? hi[i] : RZ_ATTEND_CHUNK;
        lo[i] = l > base ? l - base : 0;
        lo[i] = lo[i] < hi[i] ? lo[i] : hi[i];
    }
    const struct rz_attend_args a = {.n_q = n,
                                     .head_dim = t->dim,
                                     .q = (float *)t->q.data + (size_t)first * RZ_ATTEND_STRIDE,
                                     .k = k,
                                     .v = v,
                                     .next = k[0],
                                     .lo = lo,
                                     .hi = hi,
                                     .scores = scores.data,
                                     .out = out};
    c->now.attend[t->type](&a);
    ck_free(&scores);
}

/* Rows first ... first + n - 1 over all chunks. */
static void run_rows(const struct check *c, const struct attend_case *t, struct state *s,
                     uint32_t first, uint32_t n)
{
    struct state part = state_new(t);
    const struct rz_attend_state to = view(t, s, first), chunk = view(t, &part, first);
    run_chunk(c, t, 0, first, n, to);
    for (uint32_t i = 1; i < t->n_chunks; i++) {
        run_chunk(c, t, i, first, n, chunk);
        c->now.attend_merge(&to, &chunk, n, t->dim);
    }
    ck_free(&part.acc);
}

/* The scores of row i and the error bound of the largest. */
static void row_scores(const struct attend_case *t, uint32_t i, double *score, double *error)
{
    const float *q = (const float *)t->q.data + (size_t)i * RZ_ATTEND_STRIDE;
    *error = 0;
    for (uint32_t j = t->lo[i]; j < t->hi[i]; j++) {
        double dot = 0, size = 0;
        for (uint32_t d = 0; d < t->dim; d++) {
            double term = (double)q[d] * t->key[(size_t)j * t->dim + d];
            dot += term;
            size += fabs(term);
        }
        score[j] = dot;
        *error = fmax(*error, (t->dim + 2) * 0x1p-24 * size + fabs(dot) * 0x1p-23);
    }
}

static void compare_row(struct check *c, const char *name, const struct attend_case *t,
                        const struct state *s, uint32_t i)
{
    double score[MAX_N], error, max = -INFINITY, sum = 0;
    const uint32_t lo = t->lo[i], hi = t->hi[i], n = hi > lo ? hi - lo : 0;
    row_scores(t, i, score, &error);
    if (n == 0) {
        const float *acc = (const float *)s->acc.data + (size_t)i * t->dim;
        ck_expect(c, s->sum[i] == 0 && acc[0] == 0 && acc[t->dim - 1] == 0,
                  "%s: a row without positions has sum %g", name, (double)s->sum[i]);
        return;
    }
    for (uint32_t j = lo; j < hi; j++)
        max = fmax(max, score[j]);
    for (uint32_t j = lo; j < hi; j++)
        sum += score[j] = exp(score[j] - max);
    double factor = expm1(2 * error) + (n + 40 + 8 * MAX_CHUNKS) * 0x1p-24;
    for (uint32_t d = 0; d < t->dim; d++) {
        double want = 0, size = 0;
        for (uint32_t j = lo; j < hi; j++) {
            double term = score[j] / sum * t->value[(size_t)j * t->dim + d];
            want += term;
            size += fabs(term);
        }
        float got = ((float *)s->acc.data)[(size_t)i * t->dim + d] / s->sum[i];
        if (!ck_expect(c, ck_near(got, want, 2 * factor * size),
                       "%s dim %u n_q %u row %u of %u to %u, d %u: %.9g, not %.9g +- %.2g", name,
                       t->dim, t->n_q, i, lo, hi, d, (double)got, want, 2 * factor * size))
            return;
    }
}

static bool same_bits(const float *a, const float *b, size_t n)
{
    size_t i = 0;
    while (i < n && rz_f32_bits(a[i]) == rz_f32_bits(b[i]))
        i++;
    return i == n;
}

static void check_case(struct check *c, const char *name, struct attend_case *t)
{
    fill(c, t);
    struct state all = state_new(t), parts = state_new(t);
    run_rows(c, t, &all, 0, t->n_q);
    for (uint32_t i = 0; i < t->n_q; i++)
        compare_row(c, name, t, &all, i);
    for (uint32_t i = 0; i < t->n_q;) {
        uint32_t n = 1 + (uint32_t)ck_below(c, t->n_q - i);
        run_rows(c, t, &parts, i, n);
        i += n;
    }
    bool same = same_bits(all.acc.data, parts.acc.data, all.acc.bytes / sizeof(float)) &&
                same_bits(all.sum, parts.sum, t->n_q) && same_bits(all.max, parts.max, t->n_q);
    ck_expect(c, same, "%s dim %u n_q %u: bits depend on the rows next to a row", name, t->dim,
              t->n_q);
    ck_expect(c, ck_intact(&all.acc), "%s canary", name);
    ck_free(&all.acc);
    ck_free(&parts.acc);
    release(t);
}

/* Values that row 0 does not see are NaN, before and after its positions: row 0 must not notice,
 * row 1 must. */
static void check_hidden_nan(struct check *c, const char *name, enum rz_kv_type type)
{
    struct attend_case t = {
        .type = type, .n_q = 2, .dim = 48, .n_chunks = 1, .n_blocks = 2, .lo = {5}, .hi = {37, 60}};
    fill(c, &t);
    for (uint32_t d = 0; d < t.dim; d++) {
        (void)put(type, &t.k[0], rz_kv_key_at(d, 4), NAN);
        (void)put(type, &t.v[0], rz_kv_value_at(t.dim, d, 4), NAN);
        (void)put(type, &t.k[1], rz_kv_key_at(d, 37 - 32), NAN);
        (void)put(type, &t.v[1], rz_kv_value_at(t.dim, d, 37 - 32), NAN);
    }
    struct state s = state_new(&t);
    run_rows(c, &t, &s, 0, 2);
    compare_row(c, name, &t, &s, 0);
    ck_expect(c, isnan(((float *)s.acc.data)[t.dim]), "%s: a visible NaN is lost", name);
    ck_free(&s.acc);
    release(&t);
}

/* Row i's positions: all, as in a prompt, none, or any. */
static void make_limits(struct check *c, struct attend_case *t, int round)
{
    const uint32_t n = t->n_blocks * RZ_KV_BLOCK, last = n - (uint32_t)ck_below(c, RZ_KV_BLOCK);
    const uint32_t group = 1 + (uint32_t)ck_below(c, 8);
    for (uint32_t i = 0; i < t->n_q; i++) {
        uint32_t behind = (t->n_q - 1 - i) / group;
        t->hi[i] = round % 3 == 0 ? last : last > behind ? last - behind : 0;
        t->lo[i] = 0;
        if (round % 3 == 2) {
            t->hi[i] = (uint32_t)ck_below(c, n + 1);
            t->lo[i] = (uint32_t)ck_below(c, n + 1);
        } else if (round % 5 == 0) {
            t->lo[i] = t->hi[i] > 70 ? t->hi[i] - 70 : 0;
        }
    }
}

static void check_type(struct check *c, const char *name, enum rz_kv_type type)
{
    static const uint32_t dims[] = {16, 32, 48, 64, 80, 96, 128, 256, 320, 512};
    struct attend_case *t = malloc(sizeof *t);
    for (int round = 0; round < (c->quick ? 30 : 160); round++) {
        *t = (struct attend_case){.type = type,
                                  .n_q = 1 + (uint32_t)ck_below(c, MAX_Q),
                                  .dim = dims[round % 10],
                                  .n_chunks = 1 + (uint32_t)ck_below(c, MAX_CHUNKS)};
        uint32_t most = t->dim > 128 ? 2 : RZ_ATTEND_BLOCKS;
        t->n_blocks = (t->n_chunks - 1) * RZ_ATTEND_BLOCKS + 1 + (uint32_t)ck_below(c, most);
        make_limits(c, t, round);
        check_case(c, name, t);
    }
    free(t);
    check_hidden_nan(c, name, type);
}

void check_attend(struct check *c)
{
    static const char *const names[RZ_N_KV_TYPES] = {"attend_f32", "attend_f16"};
    for (int i = 0; i < RZ_N_KV_TYPES; i++) {
        if (ck_wants(c, names[i], c->now.attend[i] != c->below.attend[i]))
            check_type(c, names[i], (enum rz_kv_type)i);
    }
}
