/* test_imatrix.c - importance matrices: both file formats, hostile files, and the sums themselves
 * against the forward's taps and against each other. */
#include "base/fail.h"
#include "engine/internal.h"
#include "formats/imatrix.h"
#include "support/gguf_build.h"
#include "support/golden.h"

#include <math.h>
#include <realizar/imatrix.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct scratch {
    char dir[64], path[128];
};

static void make_scratch(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%.40s/rz-imatrix-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/out", s->dir);
}

static void remove_scratch(const struct scratch *s)
{
    unlink(s->path);
    assert_int_equal(rmdir(s->dir), 0);
}

/* ---- formats ---- */

/* A dense weight and a stack of three experts of which the second was never used. */
static const double dense_sums[2] = {6, 600}, expert_sums[6] = {1, 2, 0, 0, 5, 10};
static const uint64_t dense_counts[1] = {6}, expert_counts[3] = {1, 0, 5}, no_counts[1] = {0};
static const struct rz_imatrix_sums two_weights[] = {
    {"b.weight", 1, 2, dense_sums, dense_counts},
    {"a.exps.weight", 3, 2, expert_sums, expert_counts},
    {"never.weight", 1, 2, (const double[2]){0, 0}, no_counts},
};

static void check_two_weights(const struct rz_imatrix *m)
{
    static const float experts[6] = {1, 2, 1, 1, 1, 2};
    uint64_t n;
    assert_int_equal(rz_imatrix_len(m), 2);
    assert_string_equal(rz_imatrix_name(m, 0), "a.exps.weight");
    assert_string_equal(rz_imatrix_name(m, 1), "b.weight");
    assert_int_equal(rz_imatrix_n_chunks(m), 3);
    const float *dense = rz_imatrix_find(m, "b.weight", &n);
    assert_non_null(dense);
    assert_int_equal(n, 2);
    assert_true(dense[0] == 1 && dense[1] == 100);
    const float *stack = rz_imatrix_find(m, "a.exps.weight", &n);
    assert_non_null(stack);
    assert_int_equal(n, 6);
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(stack[i] - experts[i]) < 1e-6f);
    assert_null(rz_imatrix_find(m, "b", &n));
    assert_null(rz_imatrix_find(m, "never.weight", &n));
    assert_null(rz_imatrix_find(m, "", &n));
    assert_null(rz_imatrix_find(m, "zz", &n));
}

static void both_formats_keep_the_means(void **state)
{
    (void)state;
    struct scratch s;
    rz_error err;
    make_scratch(&s);
    for (int gguf = 0; gguf < 2; gguf++) {
        const struct rz_imatrix_plan plan = {.path = s.path,
                                             .gguf = gguf,
                                             .sums = two_weights,
                                             .n = RZ_ARRAY_LEN(two_weights),
                                             .dataset = "some text",
                                             .n_chunks = 3,
                                             .chunk_size = 2};
        struct rz_imatrix *m;
        assert_int_equal(rz_imatrix_write(&plan, &err), RZ_OK);
        assert_int_equal(rz_imatrix_open(&m, s.path, &err), RZ_OK);
        check_two_weights(m);
        rz_imatrix_free(&m);
        assert_null(m);
    }
    remove_scratch(&s);
}

/* The .dat layout spelled out: the values are the means times the calls, 6 rows in chunks of 2
 * making 3 calls, 5 rows also 3. */
#define F(a, b) 0x00, 0x00, a, b
static const uint8_t dat_bytes[] = {
    2,
    0,
    0,
    0, /* matrices */
    8,
    0,
    0,
    0,
    'b',
    '.',
    'w',
    'e',
    'i',
    'g',
    'h',
    't', /* name */
    3,
    0,
    0,
    0, /* calls */
    2,
    0,
    0,
    0, /* values */
    F(0x40, 0x40),
    F(0x96, 0x43), /* 3, 300 */
    13,
    0,
    0,
    0,
    'a',
    '.',
    'e',
    'x',
    'p',
    's',
    '.',
    'w',
    'e',
    'i',
    'g',
    'h',
    't',
    3,
    0,
    0,
    0, /* calls */
    6,
    0,
    0,
    0, /* values */
    F(0x40, 0x40),
    F(0xC0, 0x40), /* 3, 6 */
    F(0x40, 0x40),
    F(0x40, 0x40), /* the unused expert: 3, 3 */
    F(0x40, 0x40),
    F(0xC0, 0x40), /* 3, 6 */
    3,
    0,
    0,
    0, /* chunks */
    4,
    0,
    0,
    0,
    't',
    'e',
    'x',
    't',
};
#undef F

enum {
    /* Without the chunks and the text's name the file is whole too, as old writers left it. */
    DAT_END = sizeof dat_bytes - 12
};

static void dat_bytes_are_llama_cpps(void **state)
{
    (void)state;
    struct scratch s;
    rz_error err;
    uint8_t got[2 * sizeof dat_bytes];
    make_scratch(&s);
    const struct rz_imatrix_plan plan = {.path = s.path,
                                         .sums = two_weights,
                                         .n = RZ_ARRAY_LEN(two_weights),
                                         .dataset = "text",
                                         .n_chunks = 3,
                                         .chunk_size = 2};
    assert_int_equal(rz_imatrix_write(&plan, &err), RZ_OK);
    FILE *f = fopen(s.path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, sizeof got, f), sizeof dat_bytes);
    fclose(f);
    assert_memory_equal(got, dat_bytes, sizeof dat_bytes);
    struct rz_imatrix *m;
    assert_int_equal(rz_imatrix_open_memory(&m, "x", dat_bytes, sizeof dat_bytes, &err), RZ_OK);
    check_two_weights(m);
    rz_imatrix_free(&m);
    remove_scratch(&s);
}

static void dat_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof dat_bytes; len++) {
        /* Exactly sized, so that a read beyond is seen. */
        uint8_t *cut = malloc(len + 1);
        struct rz_imatrix *m;
        rz_error err = {0};
        assert_non_null(cut);
        memcpy(cut, dat_bytes, len);
        rz_status status = rz_imatrix_open_memory(&m, "cut.dat", cut, len, &err);
        /* What stands behind the chunks is not read. */
        if (len == DAT_END || len >= DAT_END + 4) {
            assert_int_equal(status, RZ_OK);
            rz_imatrix_free(&m);
        } else {
            assert_int_equal(status, RZ_EFORMAT);
            assert_null(m);
            assert_int_equal(strncmp(err.text, "cut.dat: ", 9), 0);
        }
        free(cut);
    }
}

static void expect_refused(const uint8_t *data, size_t len, const char *sentence)
{
    struct rz_imatrix *m;
    rz_error err = {0};
    assert_int_equal(rz_imatrix_open_memory(&m, "x", data, len, &err), RZ_EFORMAT);
    assert_null(m);
    if (!strstr(err.text, sentence))
        fail_msg("'%s' lacks '%s'", err.text, sentence);
}

static void wrong_dat_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t bytes[4];
        const char *sentence;
    } rows[] = {
        {0, {0, 0, 0, 0}, "the number of matrices"},
        {0, {255, 255, 255, 255}, "is -1, less than 1"},
        {0, {255, 255, 255, 127}, "matrix 2 has no valid name"}, /* two thousand million of them */
        {4, {0, 0, 0, 0}, "the length of a name"},
        {4, {255, 255, 255, 127}, "the file ends within a name"},
        {8, {'b', 0, 'w', 'e'}, "has no valid name"},
        {8, {'b', 0xFF, 'w', 'e'}, "has no valid name"},
        {16, {255, 255, 255, 255}, "the number of calls"},
        {20, {0, 0, 0, 0}, "the number of values"},
        {20, {255, 255, 255, 127}, "the file ends within the values"},
        {24, {0, 0, 0xC0, 0x7F}, "b.weight: value 0 is not a finite"}, /* NaN */
        {24, {0, 0, 0x80, 0x7F}, "value 0 is not a finite"},           /* infinity */
        {28, {0, 0, 0x80, 0xBF}, "value 1 is not a finite"},           /* -1 */
    };
    uint8_t file[sizeof dat_bytes];
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        memcpy(file, dat_bytes, sizeof file);
        memcpy(file + rows[i].at, rows[i].bytes, 4);
        expect_refused(file, sizeof file, rows[i].sentence);
    }
    /* The same name twice. */
    uint8_t twice[60] = {2};
    memcpy(twice + 4, dat_bytes + 4, 28);
    memcpy(twice + 32, dat_bytes + 4, 28);
    expect_refused(twice, sizeof twice, "b.weight stands in it twice");
}

static void begin_gguf(struct gguf_build *b)
{
    gb_init(b);
    gb_string(b, "general.type", "imatrix");
    gb_u32(b, "imatrix.chunk_count", 3);
}

static void expect_gguf_refused(struct gguf_build *b, const char *sentence)
{
    size_t len;
    const uint8_t *data = gb_build(b, &len);
    expect_refused(data, len, sentence);
    gb_fini(b);
}

static void gguf_is_read_and_wrong_ones_are_refused(void **state)
{
    (void)state;
    const uint64_t two[2] = {3, 2}, three[2] = {3, 1}, one[1] = {2}, count[1] = {1}, odd[1] = {5};
    const float exps[6] = {1, 2, 0, 0, 5, 10}, counts[3] = {1, 0, 5};
    const float sums[2] = {6, 600}, six = 6, minus = -1, nan = NAN, huge[2] = {1, INFINITY};
    struct gguf_build b;
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.weight.counts", 1, count, &six); /* either may come first */
    gb_tensor_f32(&b, "b.weight.in_sum2", 1, one, sums);
    gb_tensor_f32(&b, "a.exps.weight.in_sum2", 2, two, exps);
    gb_tensor_f32(&b, "a.exps.weight.counts", 2, three, counts);
    size_t len;
    const uint8_t *data = gb_build(&b, &len);
    struct rz_imatrix *m;
    rz_error err;
    assert_int_equal(rz_imatrix_open_memory(&m, "x", data, len, &err), RZ_OK);
    check_two_weights(m);
    rz_imatrix_free(&m);
    gb_fini(&b);

    gb_init(&b);
    gb_string(&b, "general.type", "model");
    expect_gguf_refused(&b, "no importance matrix");
    gb_init(&b);
    expect_gguf_refused(&b, "no importance matrix");
    begin_gguf(&b);
    expect_gguf_refused(&b, "no matrices");
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.weight.in_sum2", 1, one, sums);
    expect_gguf_refused(&b, "b.weight.in_sum2 has no counterpart");
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.weight.counts", 1, one, sums);
    expect_gguf_refused(&b, "b.weight.counts has no counterpart");
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.weight", 1, one, sums);
    expect_gguf_refused(&b, "b.weight has no counterpart");
    begin_gguf(&b);
    gb_tensor_f32(&b, ".counts", 1, count, &six);
    expect_gguf_refused(&b, ".counts has no counterpart");
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.in_sum2", 1, odd, exps);
    gb_tensor_f32(&b, "b.counts", 1, one, sums);
    expect_gguf_refused(&b, "do not fit together");
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.in_sum2", 1, one, sums);
    gb_tensor(&b, &(struct gb_tensor){"b.counts", 1, 1, {1}, NULL, 2}); /* F16 */
    expect_gguf_refused(&b, "must be F32");
    const float *bad_counts[] = {&minus, &nan};
    for (size_t i = 0; i < RZ_ARRAY_LEN(bad_counts); i++) {
        begin_gguf(&b);
        gb_tensor_f32(&b, "b.in_sum2", 1, one, sums);
        gb_tensor_f32(&b, "b.counts", 1, count, bad_counts[i]);
        expect_gguf_refused(&b, "is no count");
    }
    begin_gguf(&b);
    gb_tensor_f32(&b, "b.in_sum2", 1, one, huge);
    gb_tensor_f32(&b, "b.counts", 1, count, &six);
    expect_gguf_refused(&b, "not a finite number");
}

static void missing_file(void **state)
{
    (void)state;
    struct rz_imatrix *m;
    rz_error err;
    assert_int_equal(rz_imatrix_open(&m, "/nonexistent/imatrix", &err), RZ_ENOTFOUND);
    assert_null(m);
}

/* ---- computing ---- */

/* Ids that look like a text: any will do, they must only differ. */
static int32_t *make_ids(const rz_model *model, size_t n)
{
    const uint32_t n_vocab = rz_model_get_info(model)->n_vocab;
    int32_t *ids = calloc(n, sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * i * 31 + i * 7 + 5) % (n_vocab < 200 ? n_vocab : 200));
    return ids;
}

struct tapped {
    double norm[2048], attn[2048], ffn[2048]; /* of the last layer */
    int layer;
};

static void on_tap(void *ctx, enum rz_tap_point point, int layer, const float *data,
                   uint32_t n_rows, uint32_t n_cols)
{
    struct tapped *t = ctx;
    double *sums = point == RZ_TAP_ATTN_NORM  ? t->norm
                   : point == RZ_TAP_ATTN     ? t->attn
                   : point == RZ_TAP_FFN_NORM ? t->ffn
                                              : NULL;
    if (!sums || layer != t->layer)
        return;
    assert_true(n_cols <= 2048);
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t i = 0; i < n_cols; i++)
            sums[i] += (double)data[r * n_cols + i] * (double)data[r * n_cols + i];
}

static void expect_means(const struct rz_imatrix *m, int layer, const char *weight,
                         const double *sums, size_t n_tokens)
{
    char name[64];
    uint64_t n;
    snprintf(name, sizeof name, "blk.%d.%s.weight", layer, weight);
    const float *means = rz_imatrix_find(m, name, &n);
    assert_non_null(means);
    for (uint64_t i = 0; i < n; i++)
        assert_true(fabs((double)means[i] - sums[i] / (double)n_tokens) <= 1e-6 * sums[i]);
}

/* The inputs that taps show, fed by hand in the same chunks. */
static void sums_are_those_of_the_taps(void **state)
{
    (void)state;
    enum {
        N_CTX = 40,
        N_CHUNKS = 3,
        N = N_CTX * N_CHUNKS
    };
    char path[GOLDEN_PATH_MAX];
    struct scratch s;
    struct golden_run run;
    struct tapped t = {0};
    rz_error err;
    make_scratch(&s);
    golden_repo_path(path, "models/demo.gguf");
    golden_open(&run, path, 64, 2);
    int32_t *ids = make_ids(run.model, N + 7); /* the last 7 fill no chunk */
    t.layer = (int)rz_model_get_info(run.model)->n_layers - 1;
    run.engine->tap = on_tap;
    run.engine->tap_ctx = &t;
    for (int i = 0; i < N_CHUNKS; i++) {
        rz_session_truncate(run.session, 0);
        assert_int_equal(rz_session_feed(run.session, ids + i * N_CTX, N_CTX, &err), RZ_OK);
    }
    run.engine->tap = NULL;
    for (int format = 0; format < 2; format++) {
        rz_imatrix_options o = rz_imatrix_options_default();
        rz_imatrix_report report;
        struct rz_imatrix *m;
        o.path = s.path;
        o.n_ctx = N_CTX;
        o.format = format ? RZ_IMATRIX_DAT : RZ_IMATRIX_GGUF;
        assert_int_equal(rz_imatrix_make(run.model, ids, N + 7, &o, &report, &err), RZ_OK);
        assert_int_equal(report.n_chunks, N_CHUNKS);
        assert_int_equal(report.n_tokens, N);
        assert_int_equal(report.n_matrices, 7 * (t.layer + 1));
        assert_int_equal(rz_imatrix_open(&m, s.path, &err), RZ_OK);
        assert_int_equal(rz_imatrix_len(m), report.n_matrices);
        expect_means(m, t.layer, "attn_q", t.norm, N);
        expect_means(m, t.layer, "attn_k", t.norm, N);
        expect_means(m, t.layer, "attn_v", t.norm, N);
        expect_means(m, t.layer, "attn_output", t.attn, N);
        expect_means(m, t.layer, "ffn_gate", t.ffn, N);
        expect_means(m, t.layer, "ffn_up", t.ffn, N);
        rz_imatrix_free(&m);
    }
    free(ids);
    golden_close(&run);
    remove_scratch(&s);
}

static const float *values(const rz_file *f, const char *name, uint64_t *n)
{
    const rz_tensor *t = rz_file_tensor(f, name);
    if (!t) {
        fail_msg("%s is missing", name);
        abort(); /* not reached */
    }
    *n = t->n_bytes / sizeof(float);
    return t->data;
}

/* Each token goes to n_used experts, so the experts' sums add up to n_used times the router's,
 * which sees every token once; and every expert that gate has, down has. */
static void experts_add_up(const char *model_path)
{
    enum {
        N = 96
    };
    char path[GOLDEN_PATH_MAX];
    struct scratch s;
    rz_model *model;
    rz_file *file;
    rz_error err;
    make_scratch(&s);
    golden_repo_path(path, model_path);
    assert_int_equal(rz_model_open(&model, path, NULL, &err), RZ_OK);
    const rz_model_info *info = rz_model_get_info(model);
    int32_t *ids = make_ids(model, N);
    rz_imatrix_options o = rz_imatrix_options_default();
    rz_imatrix_report report;
    o.path = s.path;
    o.n_ctx = 32;
    o.output_weight = true;
    assert_int_equal(rz_imatrix_make(model, ids, N, &o, &report, &err), RZ_OK);
    assert_int_equal(rz_file_open(&file, s.path, &err), RZ_OK);
    uint64_t n, n_cols, n_experts, n_down;
    const float *router = values(file, "blk.0.ffn_gate_inp.weight.in_sum2", &n_cols);
    const float *gate = values(file, "blk.0.ffn_gate_exps.weight.in_sum2", &n);
    const float *counts = values(file, "blk.0.ffn_gate_exps.weight.counts", &n_experts);
    const float *down = values(file, "blk.0.ffn_down_exps.weight.counts", &n_down);
    assert_int_equal(n_cols, info->n_embd);
    assert_int_equal(n_experts, info->n_experts);
    assert_int_equal(n, n_cols * n_experts);
    assert_int_equal(n_down, n_experts);
    float rows = 0;
    for (uint64_t e = 0; e < n_experts; e++) {
        rows += counts[e];
        assert_true(counts[e] == down[e]);
    }
    assert_true(rows == (float)(N * info->n_experts_used));
    for (uint64_t i = 0; i < n_cols; i++) {
        double sum = 0, want = (double)router[i] * info->n_experts_used;
        for (uint64_t e = 0; e < n_experts; e++)
            sum += (double)gate[e * n_cols + i];
        assert_true(fabs(sum - want) <= 1e-5 * want);
    }
    /* The head saw every token. */
    const float *head =
        values(file, info->tied_head ? "token_embd.weight.counts" : "output.weight.counts", &n);
    assert_true(n == 1 && head[0] == N);
    rz_file_close(&file);
    rz_model_close(&model);
    free(ids);
    remove_scratch(&s);
}

static void sums_of_experts(void **state)
{
    (void)state;
    experts_add_up("tests/golden/data/qwen2moe.gguf");
    experts_add_up("tests/golden/data/qwen3moe.gguf");
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t chunks)
{
    *(int *)ctx += 1;
    return done == chunks; /* never */
}

/* What cannot be done leaves no file and the model as it was. */
static void failures_leave_nothing(void **state)
{
    (void)state;
    char path[GOLDEN_PATH_MAX];
    struct scratch s;
    rz_model *model;
    rz_error err;
    int calls = 0;
    make_scratch(&s);
    golden_repo_path(path, "tests/golden/data/qwen2.gguf");
    assert_int_equal(rz_model_open(&model, path, NULL, &err), RZ_OK);
    const struct rz_backend_ops *ops = model->backend->ops;
    int32_t *ids = make_ids(model, 64), bad[2] = {0, 1 << 30};
    rz_imatrix_options o = rz_imatrix_options_default();
    o.path = s.path;
    o.n_ctx = 32;
    assert_int_equal(rz_imatrix_make(model, ids, 0, &o, NULL, &err), RZ_EUSAGE);
    assert_int_equal(rz_imatrix_make(model, bad, 2, &o, NULL, &err), RZ_EUSAGE);
    o.n_ctx = 0;
    assert_int_equal(rz_imatrix_make(model, ids, 64, &o, NULL, &err), RZ_EUSAGE);
    o.n_ctx = 1 << 30;
    assert_int_equal(rz_imatrix_make(model, ids, 64, &o, NULL, &err), RZ_EUSAGE);
    o.n_ctx = 32;
    o.progress = stop_at_once;
    o.progress_ctx = &calls;
    assert_int_equal(rz_imatrix_make(model, ids, 64, &o, NULL, &err), RZ_ECANCEL);
    assert_int_equal(calls, 1);
    o.progress = NULL;
    o.path = s.dir;
    assert_int_equal(rz_imatrix_make(model, ids, 64, &o, NULL, &err), RZ_EUSAGE);
    assert_ptr_equal(model->backend->ops, ops);
    assert_int_equal(access(s.path, F_OK), -1);
    /* A text shorter than a chunk is one. */
    rz_imatrix_report report;
    o.path = s.path;
    assert_int_equal(rz_imatrix_make(model, ids, 5, &o, &report, &err), RZ_OK);
    assert_int_equal(report.n_tokens, 5);
    o.max_chunks = 1;
    assert_int_equal(rz_imatrix_make(model, ids, 64, &o, &report, &err), RZ_OK);
    assert_int_equal(report.n_tokens, 32);
    assert_ptr_equal(model->backend->ops, ops);
    free(ids);
    rz_model_close(&model);
    remove_scratch(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_formats_keep_the_means),
        cmocka_unit_test(dat_bytes_are_llama_cpps),
        cmocka_unit_test(dat_cut_anywhere_is_refused),
        cmocka_unit_test(wrong_dat_is_refused),
        cmocka_unit_test(gguf_is_read_and_wrong_ones_are_refused),
        cmocka_unit_test(missing_file),
        cmocka_unit_test(sums_are_those_of_the_taps),
        cmocka_unit_test(sums_of_experts),
        cmocka_unit_test(failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
