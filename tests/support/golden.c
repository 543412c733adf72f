/* golden.c - see golden.h. */
#include "support/golden.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void golden_repo_path(char path[GOLDEN_PATH_MAX], const char *name)
{
    const char *root = getenv("RZ_SOURCE_DIR");
    snprintf(path, GOLDEN_PATH_MAX, "%s/%s", root ? root : RZ_SOURCE_DIR, name);
}

bool golden_shared_path(char path[GOLDEN_PATH_MAX], const char *name)
{
    const char *root = getenv("RZ_SHARED");
    if (!root || !root[0]) {
        print_message("skipped: %s needs the shared fixtures\n", name);
        return false;
    }
    snprintf(path, GOLDEN_PATH_MAX, "%s/fixtures/%s", root, name);
    return true;
}

struct json_t *golden_json(const char *path)
{
    json_error_t e;
    json_t *json = json_load_file(path, 0, &e);
    if (!json)
        fail_msg("%s:%d: %s", path, e.line, e.text);
    return json;
}

int32_t *golden_ids(const struct json_t *array, size_t *n)
{
    assert_true(json_is_array(array));
    *n = json_array_size(array);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

float *golden_floats(const char *path, size_t n)
{
    FILE *in = fopen(path, "rb");
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    if (!in || fread(x, sizeof *x, n, in) != n)
        fail_msg("cannot read %zu values from %s", n, path);
    fclose(in);
    return x;
}

void golden_open(struct golden_run *r, const char *path, uint32_t n_ctx, uint32_t n_threads)
{
    rz_error err;
    rz_model_options mo = rz_model_options_default();
    rz_engine_options eo = rz_engine_options_default();
    mo.n_threads = n_threads;
    eo.n_ctx = n_ctx;
    *r = (struct golden_run){0};
    if (rz_model_open(&r->model, path, &mo, &err) ||
        rz_engine_new(&r->engine, r->model, &eo, &err) ||
        rz_session_new(&r->session, r->engine, &err))
        fail_msg("%s: %s", path, err.text);
    r->n_vocab = rz_model_get_info(r->model)->n_vocab;
}

void golden_close(struct golden_run *r)
{
    rz_session_free(&r->session);
    rz_engine_free(&r->engine);
    rz_model_close(&r->model);
}

const float *golden_logits(struct golden_run *r, const int32_t *ids, size_t n)
{
    rz_error err;
    rz_session_truncate(r->session, 0);
    if (rz_session_feed(r->session, ids, n, &err))
        fail_msg("%s", err.text);
    return rz_session_logits(r->session);
}

size_t golden_greedy(struct golden_run *r, const int32_t *ids, size_t n, int32_t *out, size_t n_max)
{
    const rz_tokenizer *tok = rz_model_get_tokenizer(r->model);
    const float *logits = golden_logits(r, ids, n);
    size_t n_out = 0;
    rz_error err;
    while (n_out < n_max) {
        int32_t id = golden_argmax(logits, r->n_vocab);
        out[n_out++] = id;
        if (rz_tokenizer_is_end(tok, id) || n_out == n_max)
            break;
        if (rz_session_feed(r->session, &id, 1, &err))
            fail_msg("%s", err.text);
        logits = rz_session_logits(r->session);
    }
    return n_out;
}

double golden_max_diff(const float *a, const float *b, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        max = d > max || isnan(d) ? d : max;
        if (isnan(d))
            break;
    }
    return max;
}

double golden_cosine(const float *a, const float *b, size_t n)
{
    double aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < n; i++) {
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        ab += (double)a[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

int32_t golden_argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return (int32_t)best;
}
