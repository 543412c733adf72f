/* cmd_hex.c - `apr hex FILE`: the bytes of a model file and what they mean. --header and --raw read
 * the bytes as they are, so they work on files that no reader would open. */
#include "base/fail.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/hex_parts.h"
#include "cli/load.h"
#include "cli/tensor_list.h"

#include <inttypes.h>
#include <string.h>

enum {
    DEFAULT_BYTES = 256,
    DEFAULT_VALUES = 64,
    DEFAULT_BLOCKS = 1,
    DEFAULT_ENTRIES = 16,
    DEFAULT_WIDTH = 16,
    DEFAULT_VALUES_WIDTH = 8,
    MAX_WIDTH = 64
};

struct hex_args {
    const char *tensor;
    struct cli_uint offset, limit, width;
    bool header, raw, blocks, values, entropy, distribution;
};

#define FIELD(f) offsetof(struct hex_args, f)

static const struct cli_option hex_options[] = {
    CLI_ROW_FLAG(0, "header", FIELD(header),
                 "the container's header, field by field, and its first --limit entries (default "
                 "16); also without any option"),
    CLI_ROW_FLAG(0, "raw", FIELD(raw), "bytes of the file"),
    CLI_ROW(CLI_STRING, 0, "tensor", "NAME", FIELD(tensor), "bytes of a tensor"),
    CLI_ROW_FLAG(0, "blocks", FIELD(blocks),
                 "with --tensor: its blocks, field by field: scales, mins, codes"),
    CLI_ROW_FLAG(0, "values", FIELD(values), "with --tensor: its decoded elements"),
    CLI_ROW_FLAG(0, "entropy", FIELD(entropy),
                 "entropy of the bytes of the tensor, or of the file"),
    CLI_ROW_FLAG(0, "distribution", FIELD(distribution),
                 "with --tensor: a histogram of its elements"),
    CLI_ROW(CLI_UINT, 0, "offset", "N", FIELD(offset),
            "begin N bytes (blocks, elements) after the start (default 0)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "limit", "N", 1, 1e12, FIELD(limit),
                  "show N bytes (default 256), blocks (1), elements (64), header entries (16)"),
    CLI_ROW_RANGE(CLI_UINT, 0, "width", "N", 1, MAX_WIDTH, FIELD(width),
                  "bytes (default 16) or elements (8) in a row"),
    {0},
};

/* The part of n items that --offset and --limit choose. */
struct part {
    uint64_t first, n;
};

static rz_status choose(const struct hex_args *a, uint64_t n, uint64_t otherwise, const char *what,
                        struct part *out, rz_error *err)
{
    uint64_t first = a->offset.value, limit = cli_uint_or(a->limit, otherwise);
    if (first > n || (first == n && n > 0))
        return rz_fail(err, RZ_EUSAGE,
                       "--offset %" PRIu64 " is beyond the end: there are %" PRIu64 " %s", first, n,
                       what);
    *out = (struct part){first, n - first < limit ? n - first : limit};
    return RZ_OK;
}

static void tell_rest(const struct part *p, uint64_t n, const char *what)
{
    if (p->first + p->n < n)
        printf("%" PRIu64 " more %s\n", n - p->first - p->n, what);
}

static rz_status dump(const struct hex_args *a, const void *data, uint64_t n, rz_error *err)
{
    struct part p;
    RZ_TRY(choose(a, n, DEFAULT_BYTES, "bytes", &p, err));
    cli_hex_dump((const uint8_t *)data + p.first, (size_t)p.n, p.first,
                 (unsigned)cli_uint_or(a->width, DEFAULT_WIDTH));
    tell_rest(&p, n, "bytes");
    return RZ_OK;
}

static void print_tensor(const rz_tensor *t)
{
    char shape[CLI_SHAPE_MAX];
    cli_put_clean(stdout, t->name, strlen(t->name), false);
    printf("  %s [%s], %zu bytes", rz_dtype_name(t->dtype), cli_shape(shape, t), t->n_bytes);
    if (t->file_offset)
        printf(" from byte %" PRIu64 " of its file", t->file_offset);
    putchar('\n');
}

static rz_status show_tensor(const struct hex_args *a, const rz_tensor *t, rz_error *err)
{
    struct part p;
    print_tensor(t);
    bool whole = a->entropy || a->distribution;
    if (a->entropy)
        cli_hex_entropy(t->data, t->n_bytes);
    if (a->distribution)
        RZ_TRY(cli_hex_distribution(t, err));
    if (a->blocks) {
        uint64_t n = t->n_bytes / rz_dtype_block_bytes(t->dtype);
        RZ_TRY(choose(a, n, DEFAULT_BLOCKS, "blocks", &p, err));
        cli_hex_blocks(t, p.first, p.n);
        tell_rest(&p, n, "blocks");
    }
    if (a->values) {
        uint64_t n = rz_tensor_count(t);
        RZ_TRY(choose(a, n, DEFAULT_VALUES, "elements", &p, err));
        RZ_TRY(cli_hex_values(t, p.first, p.n,
                              (unsigned)cli_uint_or(a->width, DEFAULT_VALUES_WIDTH), err));
        tell_rest(&p, n, "elements");
    }
    return whole || a->blocks || a->values ? RZ_OK : dump(a, t->data, t->n_bytes, err);
}

static rz_status hex_of_tensor(const struct hex_args *a, const char *operand, rz_error *err)
{
    rz_file *file;
    const rz_tensor *t;
    RZ_TRY(cli_open_file(&file, operand, err));
    rz_status status = cli_find_tensor(&t, file, a->tensor, err);
    if (!status)
        status = show_tensor(a, t, err);
    rz_file_close(&file);
    return status;
}

static rz_status hex_of_file(const struct hex_args *a, const char *operand, rz_error *err)
{
    char *path;
    struct rz_map map = {0};
    RZ_TRY(cli_model_path(&path, operand, err));
    rz_status status = rz_map_open(&map, path, err);
    if (!status && a->entropy)
        cli_hex_entropy(map.data, map.len);
    if (!status && a->raw)
        status = dump(a, map.data, map.len, err);
    if (!status && (a->header || (!a->raw && !a->entropy)))
        status =
            cli_hex_header(path, map.data, map.len, cli_uint_or(a->limit, DEFAULT_ENTRIES), err);
    rz_map_close(&map);
    free(path);
    return status;
}

/* Options that would do nothing. */
static rz_status check_effects(const struct hex_args *a, rz_error *err)
{
    bool parts = a->raw || (a->tensor && (a->blocks || a->values));
    bool whole = a->entropy || a->distribution;
    if ((a->offset.set || a->width.set) && !parts && (whole || !a->tensor))
        return rz_fail(err, RZ_EUSAGE, "--%s has no effect here: give --raw or --tensor NAME",
                       a->offset.set ? "offset" : "width");
    if (a->limit.set && !parts && !a->header && whole)
        return rz_fail(err, RZ_EUSAGE, "--limit has no effect here: all of it is counted");
    return RZ_OK;
}

/* Options that contradict each other, or would do nothing. */
static rz_status check_args(const struct hex_args *a, rz_error *err)
{
    if (a->tensor && (a->raw || a->header))
        return rz_fail(err, RZ_EUSAGE, "--tensor does not go with --raw or --header");
    if (!a->tensor && (a->blocks || a->values || a->distribution))
        return rz_fail(err, RZ_EUSAGE, "--%s needs --tensor NAME",
                       a->blocks   ? "blocks"
                       : a->values ? "values"
                                   : "distribution");
    if (a->raw && a->header)
        return rz_fail(err, RZ_EUSAGE, "--raw and --header: one of the two");
    return check_effects(a, err);
}

static rz_status hex(const struct cli_call *call, rz_error *err)
{
    const struct hex_args *a = call->args;
    RZ_TRY(check_args(a, err));
    return a->tensor ? hex_of_tensor(a, call->operands[0], err)
                     : hex_of_file(a, call->operands[0], err);
}

const struct cli_command cmd_hex = {
    .name = "hex",
    .operands = "FILE",
    .summary = "show a model file's bytes and what they mean",
    .details = "--header and --raw work on damaged files too; --header tells where the damage is.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct hex_args),
    .groups = {{"Options", hex_options, 0}},
    .run = hex,
};
