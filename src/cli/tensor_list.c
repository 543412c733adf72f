/* tensor_list.c - choosing tensors of a file, and telling what they are. */
#include "cli/tensor_list.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/load.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef rz_status open_fn(rz_file **out, const char *path, rz_error *err);

static rz_status open_operand(open_fn *open, rz_file **file, const char *operand, rz_error *err)
{
    char *path;
    *file = NULL;
    RZ_TRY(cli_model_path(&path, operand, err));
    rz_status status = open(file, path, err);
    free(path);
    return status;
}

rz_status cli_open_file(rz_file **file, const char *operand, rz_error *err)
{
    return open_operand(rz_file_open, file, operand, err);
}

rz_status cli_open_listing(rz_file **file, const char *operand, rz_error *err)
{
    return open_operand(rz_file_open_packed, file, operand, err);
}

bool cli_name_matches(const char *pattern, const char *name)
{
    if (!pattern)
        return true;
    if (strpbrk(pattern, "*?["))
        return fnmatch(pattern, name, 0) == 0;
    return strstr(name, pattern) != NULL;
}

enum cli_tensor_order cli_tensor_order(const char *word)
{
    static const char *const words[] = {"file", "name", "bytes", "elements", "dtype"};
    for (size_t i = 0; word && i < RZ_ARRAY_LEN(words); i++)
        if (!strcmp(word, words[i]))
            return (enum cli_tensor_order)i;
    return CLI_ORDER_FILE;
}

int cli_compare_names(const char *a, const char *b)
{
    return strverscmp(a, b);
}

/* The largest first. */
static int compare_down(uint64_t a, uint64_t b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

/* Names are different, so every order is total and qsort's instability does not show. */
static int by_order(const void *a, const void *b, void *order)
{
    const rz_tensor *x = *(const rz_tensor *const *)a, *y = *(const rz_tensor *const *)b;
    int d = 0;
    switch (*(enum cli_tensor_order *)order) {
    case CLI_ORDER_BYTES:
        d = compare_down(x->n_bytes, y->n_bytes);
        break;
    case CLI_ORDER_COUNT:
        d = compare_down(rz_tensor_count(x), rz_tensor_count(y));
        break;
    case CLI_ORDER_DTYPE:
        d = (int)x->dtype - (int)y->dtype;
        break;
    default:
        break;
    }
    if (!d)
        d = cli_compare_names(x->name, y->name);
    return d ? d : strcmp(x->name, y->name);
}

rz_status cli_select_tensors(struct cli_tensors *out, const rz_file *file, const char *pattern,
                             enum cli_tensor_order order, rz_error *err)
{
    size_t n = rz_file_n_tensors(file);
    *out = (struct cli_tensors){0};
    out->items = calloc(n + 1, sizeof(void *));
    if (!out->items)
        return rz_fail_nomem(err, n * sizeof(void *), "the list of tensors");
    for (size_t i = 0; i < n; i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        if (cli_name_matches(pattern, t->name))
            out->items[out->n++] = t;
    }
    if (pattern && out->n == 0)
        return rz_fail(err, RZ_ENOTFOUND, "none of the %zu tensors has a name that fits '%s'", n,
                       pattern);
    if (order != CLI_ORDER_FILE)
        qsort_r(out->items, out->n, sizeof(void *), by_order, &order);
    return RZ_OK;
}

rz_status cli_find_tensor(const rz_tensor **out, const rz_file *file, const char *name,
                          rz_error *err)
{
    *out = rz_file_tensor(file, name);
    if (*out)
        return RZ_OK;
    const char *nearest = NULL;
    unsigned best = CLI_FAR;
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const char *other = rz_file_tensor_at(file, i)->name;
        unsigned d = cli_distance(name, other);
        if (d < best) {
            best = d;
            nearest = other;
        }
    }
    if (nearest)
        return rz_fail(err, RZ_ENOTFOUND, "there is no tensor %s; did you mean %s?", name, nearest);
    return rz_fail(err, RZ_ENOTFOUND, "there is no tensor %s; `apr tensors` lists those there are",
                   name);
}

const char *cli_shape(char text[CLI_SHAPE_MAX], const rz_tensor *t)
{
    int n = 0;
    snprintf(text, CLI_SHAPE_MAX, "scalar");
    for (uint32_t d = 0; d < t->n_dims; d++)
        n += snprintf(text + n, CLI_SHAPE_MAX - (size_t)n, "%s%" PRIu64, d ? " x " : "",
                      t->shape[d]);
    return text;
}

json_t *cli_shape_json(const rz_tensor *t)
{
    json_t *shape = json_array();
    for (uint32_t d = 0; d < t->n_dims; d++)
        json_array_append_new(shape, cli_json_u64(t->shape[d]));
    return shape;
}

json_t *cli_json_real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *cli_json_u64(uint64_t v)
{
    return json_integer((json_int_t)v);
}

const char *cli_checksum(char text[CLI_CHECKSUM_MAX], uint64_t checksum)
{
    snprintf(text, CLI_CHECKSUM_MAX, "%016" PRIx64, checksum);
    return text;
}

/* An index, or null where there is none: it is then the count. */
static json_t *index_json(uint64_t i, uint64_t count)
{
    return i < count ? cli_json_u64(i) : json_null();
}

json_t *cli_stats_json(const rz_tensor_stats *s)
{
    char checksum[CLI_CHECKSUM_MAX];
    bool any = s->n_finite > 0;
    json_t *o = json_pack(
        "{so so so so so so sb so so so so so}", "count", cli_json_u64(s->count), "nan_count",
        cli_json_u64(s->n_nan), "inf_count", cli_json_u64(s->n_inf), "first_nan",
        index_json(s->first_nan, s->count), "first_inf", index_json(s->first_inf, s->count),
        "zero_count", cli_json_u64(s->n_zeros), "constant", s->constant, "zero_fraction",
        cli_json_real(s->zero_fraction), "density", cli_json_real(s->density), "rows",
        cli_json_u64(s->n_rows), "dead_rows", cli_json_u64(s->n_dead_rows), "first_dead_row",
        index_json(s->first_dead_row, s->n_rows));
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"mean", s->mean}, {"std", s->std}, {"min", s->min}, {"max", s->max}, {"l2", s->l2}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(reals); i++)
        json_object_set_new(o, reals[i].name, any ? cli_json_real(reals[i].value) : json_null());
    for (size_t i = 0; i < RZ_N_PERCENTILES; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", rz_percentile_ranks[i]);
        json_object_set_new(o, name, any ? cli_json_real(s->percentile[i]) : json_null());
    }
    json_object_set_new(o, "bits_sum", cli_json_u64(s->bits_sum));
    json_object_set_new(o, "checksum", json_string(cli_checksum(checksum, s->checksum)));
    return o;
}
