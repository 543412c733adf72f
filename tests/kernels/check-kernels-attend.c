/* check-kernels-attend.c - attention, over several runs of positions as a paged cache gives them.
 *
 * Checked against a plain softmax in double. With u = 2^-24, a score s has an error of at most
 * e = (head_dim + 2) u max_j sum |q k|, which moves the probabilities by a factor of exp(2e); sums
 * over n positions add n u. */
#include "check-kernels.h"

#include "base/f16.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_RUNS = 3,
    MAX_N = 70,
    MAX_Q = 13
};

struct attend_case {
    enum rz_kv_type type;
    uint32_t n_q, head_dim, n_runs;
    uint32_t n[MAX_RUNS];
    uint32_t lo[MAX_RUNS][MAX_Q], hi[MAX_RUNS][MAX_Q];
    struct ck_buf q, k[MAX_RUNS], v[MAX_RUNS];
};

struct state {
    float max[MAX_Q], sum[MAX_Q];
    struct ck_buf acc;
};

static double kv_at(enum rz_kv_type type, const struct ck_buf *b, size_t i)
{
    return (double)(type == RZ_KV_F16 ? rz_f16_to_f32(((rz_f16 *)b->data)[i])
                                      : ((float *)b->data)[i]);
}

static struct ck_buf make_kv(struct check *c, enum rz_kv_type type, size_t n, float size)
{
    struct ck_buf b = ck_alloc(n * (type == RZ_KV_F16 ? 2 : 4), 2);
    for (size_t i = 0; i < n; i++) {
        float f = size * ck_normal(c);
        if (type == RZ_KV_F16)
            ((rz_f16 *)b.data)[i] = rz_f32_to_f16(f);
        else
            ((float *)b.data)[i] = f;
    }
    return b;
}

/* Rows first ... first + n - 1 over all runs. */
static void run_rows(const struct check *c, struct attend_case *t, struct state *s, uint32_t first,
                     uint32_t n)
{
    float scores[MAX_N];
    for (uint32_t r = 0; r < t->n_runs; r++) {
        struct rz_attend_args a = {.n_q = n,
                                   .n = t->n[r],
                                   .head_dim = t->head_dim,
                                   .q = (float *)t->q.data + (size_t)first * t->head_dim,
                                   .q_stride = t->head_dim,
                                   .k = t->k[r].data,
                                   .v = t->v[r].data,
                                   .lo = t->lo[r] + first,
                                   .hi = t->hi[r] + first,
                                   .max = s->max + first,
                                   .sum = s->sum + first,
                                   .acc = (float *)s->acc.data + (size_t)first * t->head_dim,
                                   .scores = scores};
        c->now.attend[t->type](&a);
    }
}

static struct state state_new(const struct attend_case *t)
{
    struct state s = {.acc = ck_alloc((size_t)t->n_q * t->head_dim * sizeof(float), 4)};
    memset(s.acc.data, 0, s.acc.bytes);
    for (int i = 0; i < MAX_Q; i++) {
        s.max[i] = -INFINITY;
        s.sum[i] = 0;
    }
    return s;
}

/* The scores of row i, the number of them, and the error bound of the largest. */
static uint32_t row_scores(const struct attend_case *t, uint32_t i, double *score, double *error)
{
    const float *q = (const float *)t->q.data + (size_t)i * t->head_dim;
    uint32_t n = 0;
    *error = 0;
    for (uint32_t r = 0; r < t->n_runs; r++) {
        for (uint32_t j = t->lo[r][i]; j < t->hi[r][i]; j++) {
            double dot = 0, size = 0;
            for (uint32_t d = 0; d < t->head_dim; d++) {
                double term = (double)q[d] * kv_at(t->type, &t->k[r], (size_t)j * t->head_dim + d);
                dot += term;
                size += fabs(term);
            }
            score[n++] = dot;
            *error = fmax(*error, (t->head_dim + 2) * 0x1p-24 * size + fabs(dot) * 0x1p-23);
        }
    }
    return n;
}

static void compare_row(struct check *c, const char *name, const struct attend_case *t,
                        const struct state *s, uint32_t i)
{
    double score[MAX_RUNS * MAX_N], error, max = -INFINITY, sum = 0;
    uint32_t n = row_scores(t, i, score, &error);
    for (uint32_t j = 0; j < n; j++)
        max = fmax(max, score[j]);
    for (uint32_t j = 0; j < n; j++)
        sum += score[j] = exp(score[j] - max);
    if (n == 0) {
        ck_expect(c, s->sum[i] == 0, "%s: a row without positions has sum %g", name,
                  (double)s->sum[i]);
        return;
    }
    double factor = expm1(2 * error) + (n + 40) * 0x1p-24;
    for (uint32_t d = 0; d < t->head_dim; d++) {
        double want = 0, size = 0;
        uint32_t at = 0;
        for (uint32_t r = 0; r < t->n_runs; r++) {
            for (uint32_t j = t->lo[r][i]; j < t->hi[r][i]; j++, at++) {
                double term =
                    score[at] / sum * kv_at(t->type, &t->v[r], (size_t)j * t->head_dim + d);
                want += term;
                size += fabs(term);
            }
        }
        float got = ((float *)s->acc.data)[(size_t)i * t->head_dim + d] / s->sum[i];
        if (!ck_expect(c, ck_near(got, want, 2 * factor * size),
                       "%s dim %u n_q %u row %u d %u: %.9g, not %.9g +- %.2g", name, t->head_dim,
                       t->n_q, i, d, (double)got, want, 2 * factor * size))
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
    t->q = ck_alloc((size_t)t->n_q * t->head_dim * sizeof(float), 4);
    float *q = ck_data(&t->q);
    for (size_t i = 0; i < (size_t)t->n_q * t->head_dim; i++)
        q[i] = ck_normal(c) / sqrtf((float)t->head_dim);
    for (uint32_t r = 0; r < t->n_runs; r++) {
        t->k[r] = make_kv(c, t->type, (size_t)t->n[r] * t->head_dim, ck_below(c, 2) ? 1 : 20);
        t->v[r] = make_kv(c, t->type, (size_t)t->n[r] * t->head_dim, 1);
    }
    struct state all = state_new(t), single = state_new(t);
    run_rows(c, t, &all, 0, t->n_q);
    for (uint32_t i = 0; i < t->n_q; i++)
        compare_row(c, name, t, &all, i);
    for (uint32_t i = 0; i < t->n_q;) {
        uint32_t n = 1 + (uint32_t)ck_below(c, t->n_q - i);
        run_rows(c, t, &single, i, n);
        i += n;
    }
    bool same = same_bits(all.acc.data, single.acc.data, all.acc.bytes / sizeof(float)) &&
                same_bits(all.sum, single.sum, MAX_Q);
    ck_expect(c, same, "%s dim %u n_q %u: bits depend on the rows next to a row", name, t->head_dim,
              t->n_q);
    ck_expect(c, ck_intact(&all.acc), "%s canary", name);
    ck_free(&all.acc);
    ck_free(&single.acc);
    ck_free(&t->q);
    for (uint32_t r = 0; r < t->n_runs; r++) {
        ck_free(&t->k[r]);
        ck_free(&t->v[r]);
    }
}

/* A value that row 0 does not see is NaN: row 0 must not notice, row 1 must. */
static void check_hidden_nan(struct check *c, const char *name, enum rz_kv_type type)
{
    struct attend_case t = {.type = type, .n_q = 2, .head_dim = 32, .n_runs = 1, .n = {20}};
    t.q = ck_alloc(2 * 32 * sizeof(float), 4);
    memset(t.q.data, 0, t.q.bytes);
    t.k[0] = make_kv(c, type, 20 * 32, 1);
    t.v[0] = make_kv(c, type, 20 * 32, 1);
    memset((uint8_t *)t.v[0].data + t.v[0].bytes / 20 * 17, 0xFF, 4);
    t.hi[0][0] = 17;
    t.hi[0][1] = 20;
    struct state s = state_new(&t);
    run_rows(c, &t, &s, 0, 2);
    const float *acc = s.acc.data;
    ck_expect(c, !isnan(acc[0]) && isnan(acc[32]), "%s: hidden NaN seen, or visible one lost",
              name);
    ck_free(&s.acc);
    ck_free(&t.q);
    ck_free(&t.k[0]);
    ck_free(&t.v[0]);
}

static void check_type(struct check *c, const char *name, enum rz_kv_type type)
{
    static const uint32_t dims[] = {16, 32, 48, 64, 80, 128, 256, 320};
    struct attend_case *t = malloc(sizeof *t);
    for (int round = 0; round < (c->quick ? 40 : 240); round++) {
        *t = (struct attend_case){.type = type,
                                  .n_q = 1 + (uint32_t)ck_below(c, MAX_Q),
                                  .head_dim = dims[round % 8],
                                  .n_runs = 1 + (uint32_t)ck_below(c, MAX_RUNS)};
        for (uint32_t r = 0; r < t->n_runs; r++) {
            t->n[r] = round % 3 ? 1 + (uint32_t)ck_below(c, MAX_N) : 32;
            for (uint32_t i = 0; i < t->n_q; i++) {
                t->hi[r][i] = round % 2 ? t->n[r] : (uint32_t)ck_below(c, t->n[r] + 1);
                t->lo[r][i] = round % 5 ? 0 : (uint32_t)ck_below(c, t->n[r] + 1);
            }
        }
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
