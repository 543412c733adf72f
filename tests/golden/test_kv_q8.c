/* test_kv_q8.c - the 8-bit KV cache: its size, and what it costs in perplexity on models whose K
 * projections have biases like Qwen2.5's, a few channels of which are a hundred times the keys.
 *
 * The subject is the demo model with such biases added (their norm per head is 1.2 to 1.4 thousand:
 * the demo's keys are large too). Those on slowly turning pairs add nearly the same to all scores
 * of a query, and so leave the model as good as it was; the others, which turn by 0.4 radians
 * within the text, do not. Either way the question is the difference from the same model with its
 * KV cache in F32. */
#include "engine/internal.h"
#include "formats/file.h"
#include "support/golden.h"

#include <jansson.h>
#include <math.h>
#include <realizar/check.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const double tolerance = 0.005;

struct added_bias {
    uint32_t pair; /* of rope: dimensions pair and pair + 32 of each head */
    float value[2];
};

static const struct added_bias slow[] = {{24, {-600, 390}}, {28, {610, -440}}, {31, {570, 660}}};
static const struct added_bias turning[] = {{18, {-680, 520}}, {19, {300, 600}}};

/* The demo model's bytes with n biases added in every layer and head, as a file of its own. */
static void write_biased(char path[GOLDEN_PATH_MAX], const struct added_bias *add, size_t n)
{
    char from[GOLDEN_PATH_MAX], name[64];
    rz_file *file;
    rz_error err;
    golden_repo_path(from, "models/demo.gguf");
    if (rz_file_open(&file, from, &err))
        fail_msg("%s", err.text);
    const struct rz_shard *shard = &file->shards[0];
    uint8_t *bytes = malloc(shard->len);
    memcpy(bytes, shard->data, shard->len);
    int layer = 0;
    for (;; layer++) {
        snprintf(name, sizeof name, "blk.%d.attn_k.bias", layer);
        const rz_tensor *t = rz_file_tensor(file, name);
        if (!t)
            break;
        uint8_t *at = bytes + ((const uint8_t *)t->data - shard->data);
        assert_int_equal(t->dtype, RZ_F32);
        for (uint64_t head = 0; head < t->shape[0] / 64; head++) {
            for (size_t i = 0; i < 2 * n; i++) {
                uint64_t d = head * 64 + add[i / 2].pair + i % 2 * 32;
                float x;
                memcpy(&x, at + d * sizeof x, sizeof x);
                x += add[i / 2].value[i % 2] * (layer % 2 ? 1 : -0.8f);
                memcpy(at + d * sizeof x, &x, sizeof x);
            }
        }
    }
    assert_true(layer > 1);
    const char *dir = getenv("TMPDIR");
    snprintf(path, GOLDEN_PATH_MAX, "%s/rz-kv-q8-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, bytes, shard->len) == (ssize_t)shard->len);
    close(fd);
    free(bytes);
    rz_file_close(&file);
}

/* naive: the bias is quantized with the keys. */
static double perplexity(const rz_model *model, rz_dtype kv_type, bool naive)
{
    char path[GOLDEN_PATH_MAX];
    rz_engine *engine;
    rz_perplexity p;
    rz_error err;
    size_t n;
    golden_repo_path(path, "tests/golden/data/demo.json");
    json_t *want = golden_json(path);
    int32_t *ids = golden_ids(json_object_get(want, "held_out_ids"), &n);
    rz_engine_options o = rz_engine_options_default();
    o.kv_type = kv_type;
    if (rz_engine_new(&engine, model, &o, &err))
        fail_msg("%s", err.text);
    if (kv_type == RZ_Q8_0)
        assert_non_null(engine->kv.bias);
    if (naive)
        engine->kv.bias = NULL;
    if (rz_eval_perplexity(engine, ids, n, 0, &p, &err))
        fail_msg("%s", err.text);
    rz_engine_free(&engine);
    free(ids);
    json_decref(want);
    return p.perplexity;
}

static void check_model(const char *what, const char *path, bool naive_fails)
{
    rz_model *model;
    rz_error err;
    if (rz_model_open(&model, path, NULL, &err))
        fail_msg("%s", err.text);
    double f32 = perplexity(model, RZ_F32, false), f16 = perplexity(model, RZ_F16, false);
    double q8 = perplexity(model, RZ_Q8_0, false), naive = perplexity(model, RZ_Q8_0, true);
    print_message("%-18s perplexity %.4f with F32; F16 %+.3f %%, Q8_0 %+.3f %%, and with the bias "
                  "quantized too %+.3f %%\n",
                  what, f32, 100 * (f16 / f32 - 1), 100 * (q8 / f32 - 1), 100 * (naive / f32 - 1));
    assert_true(fabs(q8 / f32 - 1) <= tolerance && fabs(q8 / f16 - 1) <= tolerance);
    if (naive_fails)
        assert_true(fabs(naive / f32 - 1) > 2 * tolerance);
    rz_model_close(&model);
}

static void test_perplexity(void **state)
{
    (void)state;
    char path[GOLDEN_PATH_MAX];
    golden_repo_path(path, "models/demo.gguf");
    check_model("demo", path, false);
    write_biased(path, slow, sizeof slow / sizeof slow[0]);
    check_model("slow pairs", path, true);
    unlink(path);
    write_biased(path, turning, sizeof turning / sizeof turning[0]);
    check_model("turning pairs", path, true);
    unlink(path);
}

/* 34 bytes for 32 numbers instead of 64. */
static void test_size(void **state)
{
    (void)state;
    struct golden_run r;
    char path[GOLDEN_PATH_MAX];
    rz_engine *engine;
    rz_error err;
    golden_repo_path(path, "models/demo.gguf");
    golden_open(&r, path, 0, 1);
    const uint64_t f16 = rz_model_kv_bytes(r.model, 1000, RZ_F16);
    assert_true(rz_model_kv_bytes(r.model, 1000, RZ_Q8_0) * 64 == f16 * 34);
    rz_engine_options o = rz_engine_options_default();
    o.n_ctx = 1000;
    o.kv_type = RZ_Q8_0;
    assert_int_equal(rz_engine_new(&engine, r.model, &o, &err), RZ_OK);
    assert_int_equal(rz_engine_kv_type(engine), RZ_Q8_0);
    assert_true(rz_engine_kv_bytes_reserved(engine) * 64 == f16 * 34);
    rz_engine_free(&engine);
    o.kv_type = RZ_Q4_0;
    assert_int_equal(rz_engine_new(&engine, r.model, &o, &err), RZ_EUSAGE);
    golden_close(&r);
}

/* Any threads, any feeds: the same bits, as with the other types; with and without a bias, for
 * heads of a group and a half too. */
static void test_same_bits(void **state)
{
    (void)state;
    enum {
        N = 600
    };
    static const char *const models[] = {"models/demo.gguf", "tests/golden/data/qwen2-yarn.gguf"};
    static const size_t parts[] = {512, 33, 1, 300};
    for (int i = 0; i < 2; i++) {
        float *want = NULL;
        for (uint32_t run = 0; run < 4; run++) {
            rz_model *model;
            rz_engine *engine;
            rz_session *session;
            rz_error err;
            char path[GOLDEN_PATH_MAX];
            int32_t ids[N];
            rz_model_options mo = rz_model_options_default();
            rz_engine_options o = rz_engine_options_default();
            mo.n_threads = 1 + run;
            o.kv_type = RZ_Q8_0;
            golden_repo_path(path, models[i]);
            if (rz_model_open(&model, path, &mo, &err) || rz_engine_new(&engine, model, &o, &err) ||
                rz_session_new(&session, engine, &err))
                fail_msg("%s", err.text);
            const uint32_t n_vocab = rz_model_get_info(model)->n_vocab;
            float *got = malloc((size_t)N * n_vocab * sizeof *got);
            for (size_t j = 0; j < N; j++)
                ids[j] = (int32_t)((j * 2654435761u + (j >> 2) * 97u) % n_vocab);
            for (size_t done = 0; done < N; done += parts[run]) {
                size_t n = N - done < parts[run] ? N - done : parts[run];
                float *to = got + done * n_vocab;
                if (rz_session_feed_all(session, ids + done, n, to, &err))
                    fail_msg("%s", err.text);
            }
            if (want)
                assert_memory_equal(got, want, (size_t)N * n_vocab * sizeof *got);
            free(want);
            want = got;
            rz_session_free(&session);
            rz_engine_free(&engine);
            rz_model_close(&model);
        }
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_perplexity),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
