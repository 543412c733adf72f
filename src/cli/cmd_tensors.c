/* cmd_tensors.c - `apr tensors FILE`: the tensors of any well-formed model file, and what their
 * elements are like. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/tensor_list.h"

#include <inttypes.h>
#include <string.h>

struct tensors_args {
    const char *filter, *sort;
    struct cli_uint limit, threads;
    bool stats, json;
};

#define FIELD(f) offsetof(struct tensors_args, f)

static const struct cli_option tensors_options[] = {
    CLI_ROW(CLI_STRING, 0, "filter", "NAME", FIELD(filter),
            "only tensors whose name has NAME in it, or that a pattern like 'blk.*.attn_?.weight' "
            "fits"),
    CLI_ROW(CLI_CHOICE, 0, "sort", CLI_ORDER_WORDS, FIELD(sort),
            "the order (default: file); sizes fall"),
    CLI_ROW_RANGE(CLI_UINT, 0, "limit", "N", 1, 1e9, FIELD(limit), "show the first N"),
    CLI_ROW_FLAG(0, "stats", FIELD(stats),
                 "decode each and tell mean, standard deviation, range, zeros, NaN, infinities"),
    CLI_ROW_RANGE(CLI_UINT, 't', "threads", "N", 1, 256, FIELD(threads),
                  "threads for --stats (default: one per CPU)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

struct job {
    const struct tensors_args *args;
    rz_file *file;
    struct cli_tensors chosen;
    size_t n_shown;
    rz_tensor_scan *scan;
};

static void print_stats_line(const rz_tensor_stats *s)
{
    if (s->n_finite == 0)
        printf("%14s", "no finite element");
    else
        printf("%14smean %.5g  std %.5g  min %.5g  median %.5g  max %.5g  L2 %.5g  zeros %.2f %%",
               "", s->mean, s->std, s->min, s->percentile[2], s->max, s->l2,
               100 * s->zero_fraction);
    if (s->n_nan)
        printf("  %" PRIu64 " NaN, the first at %" PRIu64, s->n_nan, s->first_nan);
    if (s->n_inf)
        printf("  %" PRIu64 " infinite, the first at %" PRIu64, s->n_inf, s->first_inf);
    if (s->constant)
        fputs("  constant", stdout);
    if (s->n_dead_rows)
        printf("  %" PRIu64 " of %" PRIu64 " rows all zero", s->n_dead_rows, s->n_rows);
    putchar('\n');
}

static void print_tensor(const rz_tensor *t, const rz_tensor_stats *s)
{
    char shape[CLI_SHAPE_MAX];
    printf("%12zu  %-7s %-20s ", t->n_bytes, rz_dtype_name(t->dtype), cli_shape(shape, t));
    cli_put_clean(stdout, t->name, strlen(t->name), false);
    putchar('\n');
    if (s)
        print_stats_line(s);
}

static json_t *tensor_json(const rz_tensor *t, const rz_tensor_stats *s)
{
    json_t *o = json_pack("{so ss so so so so}", "name", cli_json_text(t->name, strlen(t->name)),
                          "dtype", rz_dtype_name(t->dtype), "shape", cli_shape_json(t), "elements",
                          cli_json_u64(rz_tensor_count(t)), "bytes", cli_json_u64(t->n_bytes),
                          "offset", cli_json_u64(t->file_offset));
    if (s)
        json_object_set_new(o, "stats", cli_stats_json(s));
    return o;
}

/* Each tensor as it comes, so that a long --stats is seen at work. */
static rz_status tell_tensors(struct job *j, json_t *array, rz_error *err)
{
    for (size_t i = 0; i < j->n_shown; i++) {
        const rz_tensor *t = j->chosen.items[i];
        rz_tensor_stats stats;
        if (j->scan)
            RZ_TRY(rz_tensor_scan_stats(j->scan, t, &stats, err));
        const rz_tensor_stats *s = j->scan ? &stats : NULL;
        if (!array)
            print_tensor(t, s);
        else if (json_array_append_new(array, tensor_json(t, s)))
            return rz_fail_nomem(err, 0, "the JSON document");
    }
    return RZ_OK;
}

static rz_status tell(struct job *j, rz_error *err)
{
    uint64_t bytes = 0, elements = 0;
    for (size_t i = 0; i < j->chosen.n; i++) {
        bytes += j->chosen.items[i]->n_bytes;
        elements += rz_tensor_count(j->chosen.items[i]);
    }
    if (!j->args->json) {
        puts("       bytes  dtype   shape                name");
        RZ_TRY(tell_tensors(j, NULL, err));
        char text[CLI_BYTES_MAX];
        printf("%zu of %zu tensors", j->chosen.n, rz_file_n_tensors(j->file));
        if (j->n_shown < j->chosen.n)
            printf(" (%zu shown)", j->n_shown);
        printf(", %" PRIu64 " parameters, %s\n", elements, cli_bytes(text, bytes));
        return RZ_OK;
    }
    json_t *array = json_array();
    rz_status status = tell_tensors(j, array, err);
    if (status) {
        json_decref(array);
        return status;
    }
    const char *path = rz_file_path(j->file);
    return cli_out_json(
        json_pack("{so ss so so so so so so}", "file", cli_json_text(path, strlen(path)), "format",
                  rz_file_format(j->file), "num_tensors", cli_json_u64(rz_file_n_tensors(j->file)),
                  "matched", cli_json_u64(j->chosen.n), "shown", cli_json_u64(j->n_shown),
                  "parameters", cli_json_u64(elements), "bytes", cli_json_u64(bytes), "tensors",
                  array),
        err);
}

static rz_status tensors(const struct cli_call *call, rz_error *err)
{
    struct job j = {.args = call->args};
    const struct tensors_args *a = j.args;
    rz_status status = a->stats ? cli_open_file(&j.file, call->operands[0], err)
                                : cli_open_listing(&j.file, call->operands[0], err);
    if (!status)
        status = cli_select_tensors(&j.chosen, j.file, a->filter, cli_tensor_order(a->sort), err);
    if (!status && a->stats)
        status = rz_tensor_scan_new(&j.scan, (unsigned)a->threads.value, err);
    if (!status) {
        j.n_shown = j.chosen.n;
        if (a->limit.set && a->limit.value < j.n_shown)
            j.n_shown = (size_t)a->limit.value;
        status = tell(&j, err);
    }
    rz_tensor_scan_free(&j.scan);
    free(j.chosen.items);
    rz_file_close(&j.file);
    return status;
}

const struct cli_command cmd_tensors = {
    .name = "tensors",
    .operands = "FILE",
    .summary = "list a model file's tensors, with statistics if asked for",
    .details = "Works for any well-formed file, also of a model that this build cannot run.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct tensors_args),
    .groups = {{"Options", tensors_options, 0}},
    .run = tensors,
};
