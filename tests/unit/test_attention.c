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
    MAX_SEQS = 3,
    MAX_BIASED = 32
};

/* Sequences that have n_old positions already and get n_new in the step. */
struct subject {
    rz_dtype kv_type;
    uint32_t n_heads, n_kv_heads, dim, window;
    uint32_t n_seqs, n_old[MAX_SEQS], n_new[MAX_SEQS];
    uint32_t n_biased; /* pairs of channels (2 i, 2 i + 1) whose keys have a turned bias */
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

/* Numbers that Q8_0 holds exactly: codes times a power of two, the largest of each 32 being 127. */
static float *random_codes(struct rz_rng *rng, const struct subject *s, size_t n, float scale)
{
    float *x = random_floats(rng, n * s->n_kv_heads * s->dim, 126.4f);
    for (size_t row = 0; row < n * s->n_kv_heads; row++) {
        for (uint32_t d = 0; d < s->dim; d++) {
            float *at = x + row * s->dim + d;
            *at = d % 32 == row % 16 ? 127 * scale : roundf(*at) * scale;
        }
    }
    return x;
}

static double angle_of(uint32_t pair, uint32_t pos)
{
    return pos / (1.0 + pair * pair);
}

static float bias_of(uint32_t channel)
{
    return channel % 3 ? 20 : -13;
}

/* Adds the bias of the first channels to the keys of n positions. */
static void add_bias(const struct subject *s, float *k, uint32_t n)
{
    for (size_t row = 0; row < (size_t)n * s->n_kv_heads; row++) {
        float *key = k + row * s->dim;
        for (uint32_t i = 0; i < s->n_biased; i++) {
            const double angle = angle_of(i, (uint32_t)(row / s->n_kv_heads));
            const double x = (double)bias_of(2 * i), y = (double)bias_of(2 * i + 1);
            key[2 * i] += (float)(x * cos(angle) - y * sin(angle));
            key[2 * i + 1] += (float)(x * sin(angle) + y * cos(angle));
        }
    }
}

static struct data make_data(const struct subject *s)
{
    struct rz_rng rng = {.state = 7};
    struct data d = {.s = s};
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        const uint32_t n = s->n_old[i] + s->n_new[i];
        const size_t n_floats = (size_t)n * s->n_kv_heads * s->dim;
        const bool codes = s->kv_type == RZ_Q8_0;
        d.k[i] = codes ? random_codes(&rng, s, n, 0x1p-5f) : random_floats(&rng, n_floats, 3);
        d.v[i] = codes ? random_codes(&rng, s, n, 0x1p-7f) : random_floats(&rng, n_floats, 1);
        add_bias(s, d.k[i], n);
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
    struct rz_kv_bias bias;
    struct rz_key_pair pairs[MAX_BIASED];
    float *tables;
};

/* What the cache is to store the keys without. */
static void set_bias(struct run *r, const struct subject *s, uint32_t n_blocks)
{
    const size_t n_heads = (size_t)r->kv.n_layers * s->n_kv_heads;
    struct rz_head_bias *heads = calloc(n_heads, sizeof *heads);
    float *at = r->tables = malloc((n_blocks + 32) * s->n_biased * 2 * sizeof *at);
    for (uint32_t i = 0; i < s->n_biased; i++)
        r->pairs[i] = (struct rz_key_pair){.a = (uint16_t)(2 * i),
                                           .b = (uint16_t)(2 * i + 1),
                                           .i_angle = (uint16_t)i,
                                           .bias = {bias_of(2 * i), bias_of(2 * i + 1)}};
    for (size_t i = s->n_kv_heads; i < n_heads; i++) /* not of layer 0 */
        heads[i] = (struct rz_head_bias){r->pairs, s->n_biased};
    for (uint32_t b = 0; b < n_blocks; b++) {
        for (uint32_t i = 0; i < s->n_biased; i++) {
            *at++ = (float)cos(angle_of(i, b * RZ_KV_BLOCK_LEN));
            *at++ = (float)sin(angle_of(i, b * RZ_KV_BLOCK_LEN));
        }
    }
    r->bias = (struct rz_kv_bias){
        .heads = heads, .block_cs = r->tables, .turn = at, .n_angles = s->n_biased};
    for (uint32_t i = 0; i < s->n_biased; i++) {
        for (uint32_t j = 0; j < RZ_KV_BLOCK_LEN; j++, at++) {
            at[0] = (float)cos(angle_of(i, j));
            at[RZ_KV_BLOCK_LEN] = (float)sin(angle_of(i, j));
        }
        at += RZ_KV_BLOCK_LEN;
    }
}

static size_t head_bytes(const struct subject *s)
{
    if (s->kv_type == RZ_Q8_0)
        return (size_t)RZ_KV_BLOCK_LEN * (s->dim + 2 * ((s->dim + 31) / 32));
    return (size_t)RZ_KV_BLOCK_LEN * s->dim * (s->kv_type == RZ_F16 ? 2 : 4);
}

static void start(struct run *r, const struct data *d, uint32_t n_threads)
{
    const struct subject *s = d->s;
    *r = (struct run){
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
        r->blocks[i] = malloc(most * sizeof *r->blocks[i]);
        for (uint32_t j = 0; j < most; j++)
            r->blocks[i][j] = j * s->n_seqs + i;
    }
    r->kv.n_blocks = most * s->n_seqs;
    r->kv.head_bytes = head_bytes(s);
    r->kv.block_bytes = r->kv.n_layers * 2 * r->kv.n_kv_heads * r->kv.head_bytes;
    if (rz_backend_cpu_new(&r->b, n_threads, rz_cpu_detect(RZ_CPU_ALL), &err) ||
        r->b->ops->reserve(r->b, &need, &err) ||
        r->b->ops->alloc(r->b, r->kv.n_blocks * r->kv.block_bytes, &r->kv.data, &err))
        fail_msg("%s", err.text);
    if (s->n_biased) {
        set_bias(r, s, most);
        r->kv.bias = &r->bias;
    }
    /* What an earlier sequence may have left there. */
    memset(r->kv.data, 0xFF, r->kv.n_blocks * r->kv.block_bytes);
    for (uint32_t i = 0; i < s->n_seqs; i++) {
        const struct rz_seq_span span = {.n = s->n_old[i] + s->n_new[i], .blocks = r->blocks[i]};
        const struct rz_batch all = {.n_tokens = span.n, .n_seqs = 1, .seqs = &span};
        r->b->ops->kv_store(r->b, &r->kv, 1, d->k[i], d->v[i], &all);
    }
}

static void stop(struct run *r, const struct data *d)
{
    r->b->ops->release(r->b, r->kv.data, r->kv.n_blocks * r->kv.block_bytes);
    rz_backend_free(&r->b);
    free((void *)(uintptr_t)r->bias.heads);
    free(r->tables);
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
    struct run r;
    start(&r, d, n_threads);
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
        {RZ_F16, 14, 2, 64, 0, 1, {1500}, {1}, 0},
        {RZ_F32, 6, 1, 80, 0, 1, {511}, {1}, 0},
        {RZ_F16, 8, 8, 32, 300, 2, {900, 0}, {1, 1}, 0},
        {RZ_F32, 12, 2, 128, 0, 3, {255, 256, 257}, {1, 2, 3}, 0},
    };
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        check_subject(&s[i]);
}

static void test_prompt(void **state)
{
    (void)state;
    static const struct subject s[] = {
        {RZ_F16, 7, 1, 64, 0, 1, {0}, {300}, 0},
        {RZ_F32, 4, 2, 48, 100, 1, {333}, {150}, 0},
        {RZ_F32, 10, 2, 96, 0, 2, {250, 17}, {40, 9}, 0},
    };
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        check_subject(&s[i]);
}

/* Few tiles of many rows over many chunks: more partial results than there is room for at once. */
static void test_rounds(void **state)
{
    (void)state;
    static const struct subject s = {RZ_F16, 2, 2, 16, 0, 3, {2000, 1500, 700}, {96, 90, 96}, 0};
    check_subject(&s);
}

/* 8 bits with and without a bias; the last group of 32 channels full or not. */
static void test_eight_bits(void **state)
{
    (void)state;
    static const struct subject s[] = {
        {RZ_Q8_0, 14, 2, 64, 0, 1, {700}, {1}, 0},
        {RZ_Q8_0, 6, 2, 128, 0, 2, {300, 31}, {1, 40}, 5},
        {RZ_Q8_0, 3, 3, 48, 100, 2, {513, 256}, {2, 1}, 24},
        {RZ_Q8_0, 7, 1, 64, 0, 1, {33}, {230}, 32},
    };
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++)
        check_subject(&s[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_eight_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
