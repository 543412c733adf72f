/* test_formats.c - one model in every container: Hugging Face's BF16 (one file, shards) and F32,
 * GGUF, .apr, packed or not, and conversions between them. Invariant: the same greedy tokens,
 * logits within 1e-3 of float64 arithmetic, and Q4_K blocks that are the same bits whichever way
 * the weights came. */
#include "support/golden.h"

#include <jansson.h>
#include <math.h>
#include <realizar/convert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const double tolerance = 1e-3; /* of a logit */

/* Each is made from an earlier one, or from the fixture. */
static const struct subject {
    const char *name, *from, *type;
    uint64_t shard_bytes;
    rz_packing packing;
} subjects[] = {
    {.name = "bf16.safetensors"},
    {.name = "shards.safetensors", .shard_bytes = 2 << 20},
    {.name = "f32.safetensors", .type = "f32"},
    {.name = "f32.gguf", .type = "f32"},
    {.name = "bf16.gguf"},
    {.name = "bf16.apr"},
    {.name = "f32.apr", .from = "f32.safetensors"},
    {.name = "packed.apr", .packing = RZ_PACK_ALSO},
    {.name = "packed-only.apr", .from = "f32.gguf", .packing = RZ_PACK_ONLY},
    {.name = "apr.gguf", .from = "bf16.apr"},
    {.name = "packed.gguf", .from = "packed-only.apr"},
    {.name = "shards.apr", .from = "shards.safetensors"},
    {.name = "apr.safetensors", .from = "packed.apr"},
    {.name = "gguf.safetensors", .from = "f32.gguf"},
    {.name = "gguf.apr", .from = "apr.gguf"},
};

enum {
    N_SUBJECTS = sizeof subjects / sizeof subjects[0],
    MAX_CASES = 8
};

static char scratch[512];

static void at(char path[GOLDEN_PATH_MAX], const char *name)
{
    snprintf(path, GOLDEN_PATH_MAX, "%s/%s", scratch, name);
}

static void convert(const char *from, const char *to, const rz_convert_options *o)
{
    rz_file *file = NULL;
    rz_error err = {0};
    if (rz_file_open(&file, from, &err) || rz_convert(file, to, o, NULL, &err))
        fail_msg("%s: %s", to, err.text);
    rz_file_close(&file);
}

static void make(const struct subject *s, const char *fixture)
{
    char from[GOLDEN_PATH_MAX], to[GOLDEN_PATH_MAX];
    rz_convert_options o = rz_convert_options_default();
    o.type = s->type;
    o.shard_bytes = s->shard_bytes;
    o.packing = s->packing;
    if (s->from)
        at(from, s->from);
    at(to, s->name);
    convert(s->from ? from : fixture, to, &o);
}

/* In SafeTensors all are of one type: the fixture's vectors lose nothing in BF16. */
static void check_types(const struct subject *s)
{
    char path[GOLDEN_PATH_MAX];
    rz_file *file = NULL;
    rz_error err = {0};
    at(path, s->name);
    if (rz_file_open(&file, path, &err))
        fail_msg("%s", err.text);
    const bool one = strcmp(rz_file_format(file), "SafeTensors") == 0;
    for (size_t i = 1; one && i < rz_file_n_tensors(file); i++)
        assert_int_equal(rz_file_tensor_at(file, i)->dtype, rz_file_tensor_at(file, 0)->dtype);
    rz_file_close(&file);
}

/* ---- what it computes ---- */

struct found {
    double worst;
    size_t n_greedy[MAX_CASES];
    int32_t greedy[MAX_CASES][64];
};

static void run_case(struct golden_run *r, const json_t *c, size_t i, struct found *f)
{
    char name[256], path[GOLDEN_PATH_MAX];
    size_t n, n_greedy;
    int32_t *ids = golden_ids(json_object_get(c, "ids"), &n);
    int32_t *greedy = golden_ids(json_object_get(c, "greedy"), &n_greedy);
    snprintf(name, sizeof name, "demo/golden/%s", json_string_value(json_object_get(c, "logits")));
    assert_true(golden_shared_path(path, name));
    float *want = golden_floats(path, r->n_vocab);
    f->worst = fmax(f->worst, golden_max_diff(golden_logits(r, ids, n), want, r->n_vocab));
    assert_true(n_greedy <= 64);
    f->n_greedy[i] = golden_greedy(r, ids, n, f->greedy[i], n_greedy);
    assert_int_equal(f->n_greedy[i], n_greedy);
    assert_memory_equal(f->greedy[i], greedy, n_greedy * sizeof *greedy);
    free(want);
    free(greedy);
    free(ids);
}

static void check_answers(const struct subject *s, const json_t *cases)
{
    struct golden_run r;
    struct found f = {0};
    char path[GOLDEN_PATH_MAX];
    at(path, s->name);
    golden_open(&r, path, 0, 0);
    assert_true(json_array_size(cases) > 0 && json_array_size(cases) <= MAX_CASES);
    for (size_t i = 0; i < json_array_size(cases); i++)
        run_case(&r, json_array_get(cases, i), i, &f);
    golden_close(&r);
    print_message("%-20s max |diff| %.2e, greedy %zu of %zu as float64\n", s->name, f.worst,
                  json_array_size(cases), json_array_size(cases));
    assert_true(f.worst <= tolerance);
}

/* ---- Q4_K ---- */

/* Its quantized form has the blocks of the first one's; returns how many tensors. */
static size_t check_blocks(const struct subject *s, const rz_file *first)
{
    char from[GOLDEN_PATH_MAX], to[GOLDEN_PATH_MAX];
    rz_convert_options o = rz_convert_options_default();
    rz_file *file = NULL;
    rz_error err = {0};
    size_t n = 0;
    o.type = "q4_k";
    o.overwrite = true;
    at(from, s->name);
    at(to, "q4_k.gguf");
    convert(from, to, &o);
    if (rz_file_open(&file, to, &err))
        fail_msg("%s", err.text);
    assert_int_equal(rz_file_n_tensors(file), rz_file_n_tensors(first));
    for (size_t i = 0; i < rz_file_n_tensors(first); i++) {
        const rz_tensor *a = rz_file_tensor_at(first, i), *b = rz_file_tensor(file, a->name);
        if (!b) {
            fail_msg("%s: no tensor %s", s->name, a->name);
            return 0;
        }
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->n_bytes, b->n_bytes);
        if (memcmp(a->data, b->data, a->n_bytes) != 0)
            fail_msg("%s: tensor %s has other blocks", s->name, a->name);
        n += a->dtype == RZ_Q4_K;
    }
    rz_file_close(&file);
    return n;
}

static void test_all(void **state)
{
    (void)state;
    char path[GOLDEN_PATH_MAX], first[GOLDEN_PATH_MAX], fixture[GOLDEN_PATH_MAX];
    if (!golden_shared_path(path, "demo/golden/index.json") ||
        !golden_shared_path(fixture, "demo/hf"))
        skip();
    json_t *index = golden_json(path);
    const json_t *type = json_object_get(json_object_get(index, "types"), "f32");
    rz_convert_options o = rz_convert_options_default();
    rz_file *blocks = NULL;
    rz_error err = {0};
    o.type = "q4_k";
    at(first, "first.gguf");
    convert(fixture, first, &o);
    if (rz_file_open(&blocks, first, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < N_SUBJECTS; i++) {
        make(&subjects[i], fixture);
        check_types(&subjects[i]);
        check_answers(&subjects[i], json_object_get(type, "cases"));
        size_t n = check_blocks(&subjects[i], blocks);
        assert_true(n > 20);
    }
    rz_file_close(&blocks);
    json_decref(index);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(scratch, sizeof scratch, "%.400s/rz-formats-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

/* Folders of SafeTensors hold these and nothing else. */
static void remove_folder(const char *path)
{
    static const char *const documents[] = {"config.json",
                                            "tokenizer.json",
                                            "tokenizer_config.json",
                                            "generation_config.json",
                                            "chat_template.jinja",
                                            "model.safetensors",
                                            "model.safetensors.index.json"};
    char file[GOLDEN_PATH_MAX + 64];
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        snprintf(file, sizeof file, "%s/%s", path, documents[i]);
        unlink(file);
    }
    for (unsigned n = 1; n < 32; n++) {
        for (unsigned i = 1; i <= n; i++) {
            snprintf(file, sizeof file, "%s/model-%05u-of-%05u.safetensors", path, i, n);
            unlink(file);
        }
    }
    rmdir(path);
}

static int teardown(void **state)
{
    char path[GOLDEN_PATH_MAX];
    (void)state;
    for (size_t i = 0; i < N_SUBJECTS; i++) {
        at(path, subjects[i].name);
        if (unlink(path))
            remove_folder(path);
    }
    at(path, "first.gguf");
    unlink(path);
    at(path, "q4_k.gguf");
    unlink(path);
    return rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
