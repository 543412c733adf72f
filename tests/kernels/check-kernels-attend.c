/* check-kernels-attend.c - attention over chunks of blocks as the paged cache holds them, and the
 * merging of chunks.
 *
 * Checked against a plain softmax in double over all chunks. With u = 2^-24, a score s has an error
 * of at most e = (head_dim + 2) u max_j sum |q k|, which moves the probabilities by a factor of
 * exp(2e); sums over n positions add n u, and each merge a few u more. Keys with an offset are
 * themselves sums of three products: 4 u more of those products' magnitudes. Where probabilities
 * and values are rounded to bfloat16, 2^-9 more of each. */
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
    double *key_size;    /* [n][dim]: magnitudes that key is a sum of */
    uint32_t n_offsets;  /* a = 2 i, b = 2 i + 1 */
    float *base;         /* [n_offsets][n_blocks][2] */
    float *turn;         /* [n_offsets][2][RZ_KV_BLOCK] */
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

/* Puts x at element i of a block, for RZ_KV_Q8_0 as a code of the given scale; returns what it
 * holds then. */
static double put(enum rz_kv_type type, void *block, size_t i, float x, float scale)
{
    if (type == RZ_KV_F16) {
        rz_f16 h = rz_f32_to_f16(x);
        memcpy((rz_f16 *)block + i, &h, sizeof h);
        return (double)rz_f16_to_f32(h);
    }
    if (type == RZ_KV_Q8_0) {
        int8_t code = (int8_t)fmaxf(-127, fminf(127, roundf(x * 50)));
        memcpy((int8_t *)block + i, &code, sizeof code);
        return (double)(scale * (float)code);
    }
    memcpy((float *)block + i, &x, sizeof x);
    return (double)x;
}

/* Sets and returns a scale of a block of RZ_KV_Q8_0. */
static float put_scale(void *block, uint32_t dim, uint32_t d, uint32_t j, float scale)
{
    rz_f16 h = rz_f32_to_f16(scale);
    memcpy((char *)block + rz_kv_scales(dim) + 2 * rz_kv_scale_at(d, j), &h, sizeof h);
    return rz_f16_to_f32(h);
}

static void fill_block(struct check *c, struct attend_case *t, uint32_t b)
{
    const float size = ck_below(c, 2) ? 1 : 20;
    float key_scale = 0, value_scale = 0;
    void *k = ck_data(&t->k[b]), *v = ck_data(&t->v[b]);
    for (uint32_t j = 0; j < RZ_KV_BLOCK; j++) {
        size_t row = ((size_t)b * RZ_KV_BLOCK + j) * t->dim;
        for (uint32_t d = 0; d < t->dim; d++) {
            if (t->type == RZ_KV_Q8_0 && d % RZ_KV_GROUP == 0) {
                key_scale = put_scale(k, t->dim, d, j, size / 50 * ck_uniform(c, 0.1f, 2));
                value_scale = put_scale(v, t->dim, d, j, ck_uniform(c, 0, 0.04f));
            }
            t->key[row + d] = put(t->type, k, rz_kv_key_at(d, j), size * ck_normal(c), key_scale);
            t->value[row + d] =
                put(t->type, v, rz_kv_value_at(t->dim, d, j), ck_normal(c), value_scale);
            t->key_size[row + d] = fabs(t->key[row + d]);
        }
    }
}

/* Pairs that are large beside the keys. */
static void add_offsets(struct check *c, struct attend_case *t)
{
    const size_t n_base = (size_t)t->n_offsets * t->n_blocks * 2;
    t->base = malloc(n_base * sizeof *t->base);
    t->turn = malloc((size_t)t->n_offsets * 2 * RZ_KV_BLOCK * sizeof *t->turn);
    for (size_t i = 0; i < n_base; i++)
        t->base[i] = 30 * ck_normal(c);
    for (uint32_t i = 0; i < t->n_offsets; i++) {
        float *turn = t->turn + (size_t)i * 2 * RZ_KV_BLOCK;
        for (uint32_t j = 0; j < RZ_KV_BLOCK; j++) {
            float angle = 3 * ck_normal(c);
            turn[j] = cosf(angle);
            turn[RZ_KV_BLOCK + j] = sinf(angle);
        }
        for (uint32_t pos = 0; pos < t->n_blocks * RZ_KV_BLOCK; pos++) {
            const float *base = t->base + ((size_t)i * t->n_blocks + pos / RZ_KV_BLOCK) * 2;
            double *key = t->key + (size_t)pos * t->dim + 2 * i;
            double *size = t->key_size + (size_t)pos * t->dim + 2 * i;
            double x = (double)base[0], y = (double)base[1];
            double cosine = (double)turn[pos % RZ_KV_BLOCK];
            double sine = (double)turn[RZ_KV_BLOCK + pos % RZ_KV_BLOCK];
            key[0] += x * cosine - y * sine;
            key[1] += x * sine + y * cosine;
            size[0] += fabs(x * cosine) + fabs(y * sine);
            size[1] += fabs(x * sine) + fabs(y * cosine);
        }
    }
}

static void fill(struct check *c, struct attend_case *t)
{
    const size_t bytes = rz_kv_block_bytes(t->type, t->dim), align = t->type == RZ_KV_F32 ? 4 : 2;
    const size_t n = (size_t)t->n_blocks * RZ_KV_BLOCK * t->dim;
    t->q = ck_alloc((size_t)t->n_q * RZ_ATTEND_STRIDE * sizeof(float), 4);
    float *q = ck_data(&t->q);
    memset(q, 0xFF, t->q.bytes);
    for (uint32_t i = 0; i < t->n_q; i++) {
        for (uint32_t d = 0; d < t->dim; d++)
            q[(size_t)i * RZ_ATTEND_STRIDE + d] = ck_normal(c) / sqrtf((float)t->dim);
    }
    t->key = calloc(n, sizeof *t->key);
    t->value = calloc(n, sizeof *t->value);
    t->key_size = calloc(n, sizeof *t->key_size);
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        t->k[b] = ck_alloc(bytes, align);
        t->v[b] = ck_alloc(bytes, align);
        fill_block(c, t, b);
    }
    t->base = t->turn = NULL;
    if (t->n_offsets)
        add_offsets(c, t);
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
    free(t->key_size);
    free(t->base);
    free(t->turn);
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
    struct rz_key_offset *offsets = calloc(t->n_offsets + 1, sizeof *offsets);
    const uint32_t n_blocks = t->n_blocks - block;
    for (uint32_t i = 0; i < t->n_offsets; i++) {
        offsets[i] = (struct rz_key_offset){
            .a = 2 * i, .b = 2 * i + 1, .turn = t->turn + (size_t)i * 2 * RZ_KV_BLOCK};
        memcpy(offsets[i].base, t->base + ((size_t)i * t->n_blocks + block) * 2,
               (n_blocks < RZ_ATTEND_BLOCKS ? n_blocks : RZ_ATTEND_BLOCKS) *
                   sizeof offsets[i].base[0]);
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
                                     .offsets = offsets,
                                     .n_offsets = t->n_offsets,
                                     .out = out};
    c->now.attend[t->type](&a);
    free(offsets);
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
            const size_t at = (size_t)j * t->dim + d;
            dot += (double)q[d] * t->key[at];
            size += fabs((double)q[d]) * t->key_size[at];
        }
        score[j] = dot;
        *error = fmax(*error, (t->dim + 6) * 0x1p-24 * size + fabs(dot) * 0x1p-23);
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
        sum += score[j] = exp2(score[j] - max);
    double factor = expm1(2 * error) + (n + 40 + 8 * MAX_CHUNKS) * 0x1p-24;
    for (uint32_t d = 0; d < t->dim; d++) {
        double want = 0, size = 0x1p-126 / factor * n; /* below: probabilities underflow */
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
        for (int b = 0; b < 2; b++) {
            const uint32_t j = b ? 37 - 32 : 4;
            if (type == RZ_KV_Q8_0) {
                (void)put_scale(t.k[b].data, t.dim, d, j, NAN);
                (void)put_scale(t.v[b].data, t.dim, d, j, NAN);
                continue;
            }
            (void)put(type, t.k[b].data, rz_kv_key_at(d, j), NAN, 0);
            (void)put(type, t.v[b].data, rz_kv_value_at(t.dim, d, j), NAN, 0);
        }
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
        if (type == RZ_KV_Q8_0 && ck_below(c, 2))
            t->n_offsets = (uint32_t)ck_below(c, t->dim / 2 + 1);
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
    static const char *const names[RZ_N_KV_TYPES] = {"attend_f32", "attend_f16", "attend_q8_0"};
    for (int i = 0; i < RZ_N_KV_TYPES; i++) {
        if (ck_wants(c, names[i], c->now.attend[i] != c->below.attend[i]))
            check_type(c, names[i], (enum rz_kv_type)i);
    }
}
