/* rosetta_chain.c - `rosetta chain` and `rosetta verify`: conversions one after the other, each
 * result compared with where the chain began. */
#include "base/fail.h"
#include "cli/load.h"
#include "cli/rosetta.h"
#include "cli/tensor_list.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct chain {
    const struct rosetta_args *args;
    const char *source; /* path of the beginning */
    char *dir;
    bool keep;
    bool widen; /* SafeTensors of block types are written as F32 */
    double tolerance;
    json_t *steps;
    bool lossless, metadata_kept;
    double worst; /* of the last step */
};

/* ---- the folder ---- */

static rz_status make_dir(struct chain *c, rz_error *err)
{
    const char *base = getenv("TMPDIR");
    if (c->args->work_dir) {
        c->keep = true;
        c->dir = strdup(c->args->work_dir);
        if (c->dir && mkdir(c->dir, 0777) && errno != EEXIST)
            return rz_fail(err, RZ_EIO, "%s: %s", c->dir, strerror(errno));
        return c->dir ? RZ_OK : rz_fail_nomem(err, 1, "a file name");
    }
    if (asprintf(&c->dir, "%s/apr-rosetta.XXXXXX", base && *base ? base : "/tmp") < 0) {
        c->dir = NULL;
        return rz_fail_nomem(err, 1, "a file name");
    }
    if (mkdtemp(c->dir))
        return RZ_OK;
    rz_status status = rz_fail(err, RZ_EIO, "%s: %s", c->dir, strerror(errno));
    free(c->dir);
    c->dir = NULL;
    return status;
}

/* Removes a file, or a directory of files: what a conversion makes. */
static void remove_result(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    if (d)
        rmdir(path);
    else
        unlink(path);
}

/* ---- a step ---- */

/* Compares with the source; what differs goes to the step's warnings. */
static rz_status compare(struct chain *c, const char *path, json_t *step, rz_error *err)
{
    rz_file *a = NULL, *b = NULL;
    rz_compare_report *r = NULL;
    rz_compare_options o = {.n_threads = (uint32_t)cli_uint_or(c->args->conversion.threads, 0)};
    rz_error lost = {0};
    rz_status status = rz_file_open(&a, c->source, err);
    if (!status)
        status = rz_file_open(&b, path, err);
    if (!status)
        status = rz_compare(a, b, &o, &r, err);
    if (!status) {
        json_t *warnings = json_array();
        bool fine = r->n_missing == 0 && r->n_shape == 0;
        c->worst = 0;
        for (size_t i = 0; i < r->n_tensors; i++)
            c->worst = r->tensors[i].worst > c->worst ? r->tensors[i].worst : c->worst;
        if (!fine)
            json_array_append_new(warnings, json_sprintf("%zu tensors missing or new, %zu of "
                                                         "another shape",
                                                         r->n_missing, r->n_shape));
        c->metadata_kept = !rz_compare_metadata(a, b, &lost);
        if (!c->metadata_kept)
            json_array_append_new(warnings, cli_json_text(lost.text, strlen(lost.text)));
        c->lossless = fine && c->worst <= c->tolerance;
        json_object_set_new(step, "source_tensors", json_integer((json_int_t)rz_file_n_tensors(a)));
        json_object_set_new(step, "target_tensors", json_integer((json_int_t)rz_file_n_tensors(b)));
        json_object_set_new(step, "same_bits", json_integer((json_int_t)r->n_same_bits));
        json_object_set_new(step, "largest_difference", cli_json_real(c->worst));
        json_object_set_new(step, "warnings", warnings);
        json_object_set_new(step, "lossless", json_boolean(c->lossless && c->metadata_kept));
    }
    rz_compare_report_free(&r);
    rz_file_close(&a);
    rz_file_close(&b);
    return status;
}

static bool has_blocks(const char *path)
{
    rz_file *f = NULL;
    bool blocks = false;
    if (rz_file_open(&f, path, NULL))
        return false;
    for (size_t i = 0; i < rz_file_n_tensors(f); i++)
        blocks = blocks || rz_dtype_block_len(rz_file_tensor_at(f, i)->dtype) > 1;
    rz_file_close(&f);
    return blocks;
}

static void print_step(const json_t *step)
{
    const json_t *warnings = json_object_get(step, "warnings");
    const json_t *worst = json_object_get(step, "largest_difference");
    printf("%lld  %-12s %9.1f ms  %lld -> %lld tensors, %lld with the source's bits, largest "
           "difference %.3g: %s\n",
           (long long)json_integer_value(json_object_get(step, "step")),
           json_string_value(json_object_get(step, "format")),
           json_real_value(json_object_get(step, "duration_ms")),
           (long long)json_integer_value(json_object_get(step, "source_tensors")),
           (long long)json_integer_value(json_object_get(step, "target_tensors")),
           (long long)json_integer_value(json_object_get(step, "same_bits")),
           json_is_real(worst) ? json_real_value(worst) : (double)INFINITY,
           json_is_true(json_object_get(step, "lossless")) ? "lossless" : "LOSSY");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const json_t *w = json_array_get(warnings, i);
        fputs("   ", stdout);
        cli_put_clean(stdout, json_string_value(w), json_string_length(w), false);
        putchar('\n');
    }
}

/* Converts from to format, as step i; *path is the result, the caller's. */
static rz_status do_step(struct chain *c, size_t i, const char *from, const char *format,
                         char **path, rz_error *err)
{
    struct cli_conversion_args a = c->args->conversion;
    struct cli_conversion conversion = {.args = &a};
    a.format = format;
    a.verify = false;
    if (i > 0)
        a.quantize = NULL; /* the first step's types stay */
    if (c->widen && !strcasecmp(format, "safetensors") && has_blocks(from))
        a.quantize = "f32";
    if (asprintf(path, "%s/step-%zu.%s", c->dir, i + 1, format) < 0) {
        *path = NULL;
        return rz_fail_nomem(err, 1, "a file name");
    }
    rz_status status = cli_convert(&conversion, from, *path, err);
    json_t *step = NULL;
    const json_int_t number = (json_int_t)i + 1;
    if (!status)
        step =
            json_pack("{sI ss so sf}", "step", number, "format", format, "path",
                      cli_json_text(*path, strlen(*path)), "duration_ms", 1e3 * conversion.seconds);
    if (!status)
        status = compare(c, *path, step, err);
    if (!status && !a.json && !a.quiet)
        print_step(step);
    if (step)
        json_array_append_new(c->steps, step);
    cli_conversion_fini(&conversion);
    return status;
}

static rz_status run_steps(struct chain *c, char *const *formats, size_t n, rz_error *err)
{
    char *from = strdup(c->source);
    rz_status status = from ? make_dir(c, err) : rz_fail_nomem(err, 1, "a file name");
    for (size_t i = 0; !status && i < n; i++) {
        char *path = NULL;
        status = do_step(c, i, from, formats[i], &path, err);
        if (!c->keep && i > 0)
            remove_result(from);
        free(from);
        from = path;
    }
    if (!c->keep && c->dir && from && strcmp(from, c->source) != 0)
        remove_result(from);
    if (!c->keep && c->dir)
        rmdir(c->dir);
    free(from);
    return status;
}

static void fini(struct chain *c, char *source)
{
    json_decref(c->steps);
    free(c->dir);
    free(source);
}

rz_status rosetta_chain(const struct rosetta_call *call, rz_error *err)
{
    struct chain c = {.args = call->args, .lossless = true, .metadata_kept = true};
    char *source = NULL;
    size_t n = call->n_operands - 1;
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(call->operands[i + 1], "gguf") != 0 &&
            strcasecmp(call->operands[i + 1], "safetensors") != 0 &&
            strcasecmp(call->operands[i + 1], "apr") != 0)
            return rz_fail(err, RZ_EUSAGE, "there is no format %s (gguf, safetensors, apr)",
                           call->operands[i + 1]);
    RZ_TRY(cli_model_path(&source, call->operands[0], err));
    c.source = source;
    c.steps = json_array();
    rz_status status = run_steps(&c, call->operands + 1, n, err);
    bool success = c.metadata_kept && (c.lossless || call->args->conversion.quantize);
    if (!status && call->args->conversion.json)
        status = cli_out_json(json_pack("{so sO sI sb}", "chain",
                                        cli_json_text(source, strlen(source)), "steps", c.steps,
                                        "total_steps", (json_int_t)n, "success", success),
                              err);
    fini(&c, source);
    return !status && !success ? RZ_EINVALID : status; /* the report has said it */
}

/* The format that a file is in, as --format takes it. */
static const char *format_of(const char *path, rz_error *err)
{
    rz_file *f = NULL;
    const char *name = NULL;
    if (rz_file_open(&f, path, err))
        return NULL;
    const char *format = rz_file_format(f);
    name = !strcmp(format, "GGUF")          ? "gguf"
           : !strcmp(format, "SafeTensors") ? "safetensors"
                                            : "apr";
    rz_file_close(&f);
    return name;
}

rz_status rosetta_verify(const struct rosetta_call *call, rz_error *err)
{
    struct chain c = {.args = call->args, .widen = true};
    char *source = NULL;
    c.tolerance = call->args->tolerance.set ? call->args->tolerance.value : 1e-5;
    RZ_TRY(cli_model_path(&source, call->operands[0], err));
    const char *back = format_of(source, err);
    if (!back) {
        free(source);
        return err->code;
    }
    const char *through = call->args->intermediate ? call->args->intermediate : "safetensors";
    char first[16], second[16];
    snprintf(first, sizeof first, "%s", through);
    snprintf(second, sizeof second, "%s", back);
    char *formats[] = {first, second};
    c.source = source;
    c.steps = json_array();
    rz_status status = run_steps(&c, formats, RZ_ARRAY_LEN(formats), err);
    bool passed = c.lossless && c.metadata_kept;
    if (!status && call->args->conversion.json)
        status = cli_out_json(
            json_pack("{so ss sO so sf sb}", "file", cli_json_text(source, strlen(source)),
                      "intermediate", through, "steps", c.steps, "largest_difference",
                      cli_json_real(c.worst), "tolerance", c.tolerance, "passed", passed),
            err);
    else if (!status)
        printf("%s: largest difference %.3g, tolerance %.3g\n", passed ? "PASS" : "FAIL", c.worst,
               c.tolerance);
    fini(&c, source);
    return !status && !passed ? RZ_EINVALID : status;
}
