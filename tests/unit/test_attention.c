/* test_attention.c - the CPU backend's attention over a paged cache, against a softmax in double,
 * and the same bits however many threads share it and whatever else is in the step. */
#include "backend/backend.h"
#include "base/cpu.h"
#include "base/f16.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MAX_SEQS = 3
};

/* Sequences that have n_old positions already and get n_new in the step. */
struct subject {
    rz_dtype kv_type;
    uint32_t n_heads, n_kv_heads, dim, window;
    uint32_t n_seqs, n_old[MAX_SEQS], n_new[MAX_SEQS];
};

struct data {
    const struct subject *s;
    float *q, *k[MAX_SEQS], *v[MAX_SEQS]; /* q: of the step; k, v: of all positions */
    float *out;
    uint32_t n_tokens;
};

static float *random_floats(struct rz_rng *rng, size_t n, float size)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = size * (float)(2 * rz_rng_unit(rng) - 1);
    return x;
}

static struct data make_data(const struct subject *s)
{
    struct rz_rng rng = {.state = 7};
    struct data d = {.s = s};
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        size_t n = (size_t)(s->n_old[i] + s->n_new[i]) * s->n_kv_heads * s->dim;
        d.k[i] = random_floats(&rng, n, 3);
        d.v[i] = random_floats(&rng, n, 1);
        d.n_tokens += s->n_new[i];
    }
    d.q = random_floats(&rng, (size_t)d.n_tokens * s->n_heads * s->dim, 3);
    d.out = random_floats(&rng, (size_t)d.n_tokens * s->n_heads * s->dim, 1);
    return d;
}

static void free_data(struct data *d)
{
    for (uint32_t i = 0; i < d->s->n_seqs; i++) {
        free(d->k[i]);
        free(d->v[i]);
    }
    free(d->q);
    free(d->out);
}

/* One backend and pool, whose blocks the sequences hold in turns. */
struct run {
    struct rz_backend *b;
    struct rz_kv_pool kv;
    uint32_t *blocks[MAX_SEQS];
};

static struct run start(const struct data *d, uint32_t n_threads)
{
    const struct subject *s = d->s;
    struct run r = {
        .kv = {
            .n_layers = 2, .n_kv_heads = s->n_kv_heads, .head_dim = s->dim, .kv_type = s->kv_type}};
    const struct rz_backend_need need = {.max_tokens = d->n_tokens,
                                         .max_cols = 32,
                                         .n_heads = s->n_heads,
                                         .n_kv_heads = s->n_kv_heads,
                                         .head_dim = s->dim};
    rz_error err;
    uint32_t most = 0;
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        uint32_t n = (s->n_old[i] + s->n_new[i]) / RZ_KV_BLOCK_LEN + 1;
        most = n > most ? n : most;
    }
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        r.blocks[i] = malloc(most * sizeof *r.blocks[i]);
        for (uint32_t j = 0; j < most; j++)
            r.blocks[i][j] = j * s->n_seqs + i;
    }
    r.kv.n_blocks = most * s->n_seqs;
    r.kv.head_bytes = (size_t)RZ_KV_BLOCK_LEN * s->dim * (s->kv_type == RZ_F16 ? 2 : 4);
    r.kv.block_bytes = r.kv.n_layers * 2 * r.kv.n_kv_heads * r.kv.head_bytes;
    if (rz_backend_cpu_new(&r.b, n_threads, rz_cpu_detect(RZ_CPU_ALL), &err) ||
        r.b->ops->reserve(r.b, &need, &err) ||
        r.b->ops->alloc(r.b, r.kv.n_blocks * r.kv.block_bytes, &r.kv.data, &err))
        fail_msg("%s", err.text);
    /* What an earlier sequence may have left there. */
    memset(r.kv.data, 0xFF, r.kv.n_blocks * r.kv.block_bytes);
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        const struct rz_seq_span span = {.n = s->n_old[i] + s->n_new[i], .blocks = r.blocks[i]};
        const struct rz_batch all = {.n_tokens = span.n, .n_seqs = 1, .seqs = &span};
        r.b->ops->kv_store(r.b, &r.kv, 1, d->k[i], d->v[i], &all);
    }
    return r;
}

static void stop(struct run *r, const struct data *d)
{
    r->b->ops->release(r->b, r->kv.data, r->kv.n_blocks * r->kv.block_bytes);
    rz_backend_free(&r->b);
    for (uint32_t i = 0; i < d->s->n_seqs; i++)
        free(r->blocks[i]);
}

static void attend(const struct run *r, const struct data *d, const struct rz_seq_span *spans,
                   uint32_t n_seqs, float *out)
{
    const struct subject *s = d->s;
    struct rz_batch batch = {.n_seqs = n_seqs, .seqs = spans};
    for (uint32_t i = 0; i < n_seqs; i++)
        batch.n_tokens += spans[i].n;
    const struct rz_attention_args a = {.q = d->q,
                                        .out = out,
                                        .kv = &r->kv,
                                        .layer = 1,
                                        .n_heads = s->n_heads,
                                        .window = s->window,
                                        .scale = 1 / sqrtf((float)s->dim)};
    r->b->ops->attention(r->b, &a, &batch);
}

/* The whole step at once, or (parts) one sequence and a few tokens after another. */
static void run_step(const struct data *d, uint32_t n_threads, uint32_t part, float *out)
{
    struct run r = start(d, n_threads);
    struct rz_seq_span spans[MAX_SEQS] = {{0}};
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->s->n_seqs; i++) {
        spans[i] = (struct rz_seq_span){
            .first = n, .n = d->s->n_new[i], .pos = d->s->n_old[i], .blocks = r.blocks[i]};
        n += spans[i].n;
    }
    if (part == 0)
        attend(&r, d, spans, d->s->n_seqs, out);
    for (uint32_t i = 0; part && i < d->s->n_seqs; i++) {
        for (uint32_t done = 0; done < spans[i].n; done += part) {
            struct rz_seq_span one = spans[i];
            one.first += done;
            one.pos += done;
            one.n = one.n - done < part ? one.n - done : part;
            attend(&r, d, &one, 1, out);
        }
    }
    stop(&r, d);
}

static double stored(const struct data *d, float x)
{
    return (double)(d->s->kv_type == RZ_F16 ? rz_f16_to_f32(rz_f32_to_f16(x)) : x);
}

/* Largest difference of one row from a softmax in double. */
static double row_error(const struct data *d, uint32_t seq, uint32_t token, uint32_t row,
                        uint32_t head)
{
    const struct subject *s = d->s;
    const uint32_t pos = s->n_old[seq] + token, kv_head = head / (s->n_heads / s->n_kv_heads);
    const uint32_t from = s->window && pos + 1 > s->window ? pos + 1 - s->window : 0;
    const size_t stride = (size_t)s->n_kv_heads * s->dim;
    const float *q = d->q + ((size_t)row * s->n_heads + head) * s->dim;
    double *p = calloc(pos + 1, sizeof *p), max = -INFINITY, sum = 0, worst = 0;
    for (uint32_t j = from; j <= pos; j++) {
        for (uint32_t c = 0; c < s->dim; c++)
            p[j] += (double)q[c] * stored(d, d->k[seq][j * stride + kv_head * s->dim + c]);
        p[j] /= sqrt(s->dim);
        max = fmax(max, p[j]);
    }
    for (uint32_t j = from; j <= pos; j++)
        sum += p[j] = exp(p[j] - max);
    for (uint32_t c = 0; c < s->dim; c++) {
        double want = 0;
        for (uint32_t j = from; j <= pos; j++)
            want += p[j] / sum * stored(d, d->v[seq][j * stride + kv_head * s->dim + c]);
        double got = (double)d->out[((size_t)row * s->n_heads + head) * s->dim + c];
        worst = fmax(worst, fabs(got - want));
    }
    free(p);
    return worst;
}

static void check_subject(const struct subject *s)
{
    struct data d = make_data(s);
    const size_t bytes = (size_t)d.n_tokens * s->n_heads * s->dim * sizeof(float);
    float *again = malloc(bytes);
    run_step(&d, 1, 0, d.out);
    uint32_t row = 0;
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        for (uint32_t t = 0; t < s->n_new[i]; t++, row++) {
            if (t % 7 && t + 1 < s->n_new[i])
                continue; /* a sample, and the last */
            for (uint32_t head = 0; head < s->n_heads; head++)
                assert_true(row_error(&d, i, t, row, head) < 2e-5);
        }
    }
    for (uint32_t n_threads = 1; n_threads <= 5; n_threads++) {
        static const uint32_t parts[] = {0, 1, 13};
        for (int i = 0; i < 3; i++) {
            memset(again, 0xFF, bytes);
            run_step(&d, n_threads, parts[i], again);
            assert_memory_equal(again, d.out, bytes);
        }
    }
    free(again);
    free_data(&d);
}

static void test_decode(void **state)
{
    (void)state;
    static const struct subject s[] = {
        {RZ_F16, 14, 2, 64, 0, 1, {1500}, {1}},
        {RZ_F32, 6, 1, 80, 0, 1, {511}, {1}},
        {RZ_F16, 8, 8, 32, 300, 2, {900, 0}, {1, 1}},
        {RZ_F32, 12, 2, 128, 0, 3, {255, 256, 257}, {1, 2, 3}},
    };
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        check_subject(&s[i]);
}

static void test_prompt(void **state)
{
    (void)state;
    static const struct subject s[] = {
        {RZ_F16, 7, 1, 64, 0, 1, {0}, {300}},
        {RZ_F32, 4, 2, 48, 100, 1, {333}, {150}},
        {RZ_F32, 10, 2, 96, 0, 2, {250, 17}, {40, 9}},
    };
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        check_subject(&s[i]);
}

/* Few tiles of many rows over many chunks: more partial results than there is room for at once. */
static void test_rounds(void **state)
{
    (void)state;
    static const struct subject s = {RZ_F16, 2, 2, 16, 0, 3, {2000, 1500, 700}, {96, 90, 96}};
    check_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
