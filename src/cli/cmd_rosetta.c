/* cmd_rosetta.c - `apr rosetta ACTION`: between formats, and whether anything was lost on the way.
 * Every verdict here comes from reading files and computing; none from names. */
#include "base/fail.h"
#include "cli/io.h"
#include "cli/rosetta.h"
#include "cli/tensor_list.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(f)      offsetof(struct rosetta_args, f)
#define CONVERSION(f) offsetof(struct rosetta_args, conversion.f)

static const struct cli_option rosetta_options[] = {
    CLI_ROW(CLI_STRING, 0, "quantize", "TYPE", CONVERSION(quantize),
            "convert, chain: type or mix of the weights (default: keep)"),
    CLI_ROW_FLAG(0, "verify", CONVERSION(verify), "convert: read the result again and compare"),
    CLI_ROW_FLAG('f', "force", CONVERSION(force), "convert: replace DST if it exists"),
    CLI_ROW(CLI_FILE, 0, "work-dir", "DIR", FIELD(work_dir),
            "chain, verify: keep the files there (default: a temporary one, removed)"),
    CLI_ROW(CLI_CHOICE, 0, "intermediate", "gguf|safetensors|apr", FIELD(intermediate),
            "verify: the format to go through (default: safetensors)"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "tolerance", "X", 0, 1e9, FIELD(tolerance),
                  "verify: largest difference of a weight (default: 1e-5); compare-inference: of a "
                  "logit (default: 0.1)"),
    CLI_ROW(CLI_STRING, 'p', "prompt", "TEXT", FIELD(prompt),
            "compare-inference: the text (default: 2+2=)"),
    CLI_ROW_RANGE(CLI_UINT, 'n', "max-tokens", "N", 0, 1024, FIELD(max_tokens),
                  "compare-inference: tokens to generate (default: 5)"),
    CLI_ROW_FLAG(0, "mismatches-only", FIELD(mismatches_only),
                 "diff-tensors: leave out what is the same"),
    CLI_ROW_FLAG(0, "show-values", FIELD(show_values),
                 "diff-tensors: the two values that differ most"),
    CLI_ROW(CLI_STRING, 0, "filter", "NAME", FIELD(filter),
            "diff-tensors, fingerprint: only tensors whose name has NAME in it"),
    CLI_ROW(CLI_FILE, 'o', "output", "FILE", FIELD(output), "fingerprint: write the JSON to FILE"),
    CLI_ROW_RANGE(CLI_UINT, 't', "threads", "N", 1, 256, CONVERSION(threads),
                  "threads (default: one per CPU that the process may use)"),
    CLI_ROW_FLAG(0, "json", CONVERSION(json), "print a JSON object"),
    CLI_ROW_FLAG('q', "quiet", CONVERSION(quiet), "no progress bar; convert: no report"),
    {0},
};

/* ---- inspect, convert ---- */

static json_t *types_json(const rz_file *file)
{
    uint64_t n[RZ_N_DTYPES] = {0}, bytes[RZ_N_DTYPES] = {0};
    json_t *list = json_array();
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        n[t->dtype]++;
        bytes[t->dtype] += t->n_bytes;
    }
    for (int i = 0; i < RZ_N_DTYPES; i++)
        if (n[i])
            json_array_append_new(list, json_pack("{sssIsI}", "dtype", rz_dtype_name((rz_dtype)i),
                                                  "tensors", (json_int_t)n[i], "bytes",
                                                  (json_int_t)bytes[i]));
    return list;
}

static json_t *inspect_json(const rz_file *file)
{
    rz_slice arch = {"", 0};
    bool found;
    if (rz_file_get_string(file, "general.architecture", &arch, &found, NULL))
        arch = (rz_slice){"", 0};
    const char *path = rz_file_path(file);
    return json_pack("{so ss so sI sI sI sI so}", "file", cli_json_text(path, strlen(path)),
                     "format", rz_file_format(file), "architecture",
                     cli_json_text(arch.data, arch.len), "size_bytes",
                     (json_int_t)rz_file_bytes(file), "shards", (json_int_t)rz_file_n_shards(file),
                     "tensor_count", (json_int_t)rz_file_n_tensors(file), "metadata_count",
                     (json_int_t)rz_file_n_meta(file), "types", types_json(file));
}

static void print_inspected(const json_t *doc)
{
    static const char *const keys[] = {"file",   "format",       "architecture",  "size_bytes",
                                       "shards", "tensor_count", "metadata_count"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(keys); i++) {
        const json_t *v = json_object_get(doc, keys[i]);
        printf("%-16s ", keys[i]);
        if (json_is_string(v))
            cli_put_clean(stdout, json_string_value(v), json_string_length(v), false);
        else
            printf("%lld", (long long)json_integer_value(v));
        putchar('\n');
    }
    const json_t *types = json_object_get(doc, "types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const json_t *t = json_array_get(types, i);
        char bytes[CLI_BYTES_MAX];
        printf("%-16s %lld tensors, %s\n", json_string_value(json_object_get(t, "dtype")),
               (long long)json_integer_value(json_object_get(t, "tensors")),
               cli_bytes(bytes, (uint64_t)json_integer_value(json_object_get(t, "bytes"))));
    }
}

static rz_status inspect(const struct rosetta_call *call, rz_error *err)
{
    rz_file *file = NULL;
    RZ_TRY(cli_open_listing(&file, call->operands[0], err));
    json_t *doc = inspect_json(file);
    rz_file_close(&file);
    if (!doc)
        return rz_fail_nomem(err, 0, "the JSON document");
    if (call->args->conversion.json)
        return cli_out_json(doc, err);
    print_inspected(doc);
    json_decref(doc);
    return RZ_OK;
}

static rz_status convert(const struct rosetta_call *call, rz_error *err)
{
    struct cli_conversion c = {.args = &call->args->conversion};
    rz_status status = cli_convert(&c, call->operands[0], call->operands[1], err);
    if (!status)
        status = cli_conversion_print(&c, call->operands[0], call->operands[1], err);
    cli_conversion_fini(&c);
    return status;
}

/* ---- which action, and with which options ---- */

enum {
    QUANTIZE = 1 << 0,
    VERIFY = 1 << 1,
    FORCE = 1 << 2,
    WORK_DIR = 1 << 3,
    INTERMEDIATE = 1 << 4,
    TOLERANCE = 1 << 5,
    PROMPT = 1 << 6,
    MAX_TOKENS = 1 << 7,
    MISMATCHES = 1 << 8,
    VALUES = 1 << 9,
    FILTER = 1 << 10,
    OUTPUT = 1 << 11
};

static const struct action {
    const char *name, *operands;
    size_t min, max;
    unsigned options; /* that it takes, besides threads, json and quiet */
    rz_status (*run)(const struct rosetta_call *call, rz_error *err);
} actions[] = {
    {"inspect", "FILE", 1, 1, 0, inspect},
    {"convert", "SRC DST", 2, 2, QUANTIZE | VERIFY | FORCE, convert},
    {"chain", "SRC FORMAT...", 2, 17, QUANTIZE | WORK_DIR, rosetta_chain},
    {"verify", "FILE", 1, 1, WORK_DIR | INTERMEDIATE | TOLERANCE, rosetta_verify},
    {"fingerprint", "A [B]", 1, 2, FILTER | OUTPUT, rosetta_fingerprint},
    {"diff-tensors", "A B", 2, 2, MISMATCHES | VALUES | FILTER, rosetta_diff_tensors},
    {"compare-inference", "A B", 2, 2, PROMPT | MAX_TOKENS | TOLERANCE, rosetta_compare_inference},
};

static rz_status check_options(const struct action *action, const struct rosetta_args *a,
                               rz_error *err)
{
    const struct {
        bool given;
        unsigned bit;
        const char *name;
    } options[] = {
        {a->conversion.quantize != NULL, QUANTIZE, "quantize"},
        {a->conversion.verify, VERIFY, "verify"},
        {a->conversion.force, FORCE, "force"},
        {a->work_dir != NULL, WORK_DIR, "work-dir"},
        {a->intermediate != NULL, INTERMEDIATE, "intermediate"},
        {a->tolerance.set, TOLERANCE, "tolerance"},
        {a->prompt != NULL, PROMPT, "prompt"},
        {a->max_tokens.set, MAX_TOKENS, "max-tokens"},
        {a->mismatches_only, MISMATCHES, "mismatches-only"},
        {a->show_values, VALUES, "show-values"},
        {a->filter != NULL, FILTER, "filter"},
        {a->output != NULL, OUTPUT, "output"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(options); i++)
        if (options[i].given && !(action->options & options[i].bit))
            return rz_fail(err, RZ_EUSAGE, "rosetta %s has no option --%s", action->name,
                           options[i].name);
    return RZ_OK;
}

static rz_status rosetta(const struct cli_call *call, rz_error *err)
{
    const struct action *action = NULL;
    for (size_t i = 0; i < RZ_ARRAY_LEN(actions); i++)
        if (!strcmp(actions[i].name, call->operands[0]))
            action = &actions[i];
    if (!action)
        return rz_fail(err, RZ_EUSAGE,
                       "rosetta has no action %s; `apr help rosetta` lists those it has",
                       call->operands[0]);
    const struct rosetta_call inner = {
        .args = call->args, .operands = call->operands + 1, .n_operands = call->n_operands - 1};
    if (inner.n_operands < action->min || inner.n_operands > action->max)
        return rz_fail(err, RZ_EUSAGE, "usage: apr rosetta %s %s", action->name, action->operands);
    RZ_TRY(check_options(action, call->args, err));
    return action->run(&inner, err);
}

const struct cli_command cmd_rosetta = {
    .name = "rosetta",
    .operands = "ACTION ...",
    .summary = "convert between formats and prove that nothing was lost",
    .details = "  inspect FILE            format, architecture, tensors by type\n"
               "  convert SRC DST         as `apr convert`\n"
               "  chain SRC FORMAT...     from format to format, every step compared with SRC\n"
               "  verify FILE             to another format and back, compared with FILE\n"
               "  fingerprint A [B]       statistics and checksum of every tensor; with B: what\n"
               "                          differs by more than rounding\n"
               "  diff-tensors A B        tensor by tensor: missing, shapes, values\n"
               "  compare-inference A B   the same tokens through both: likeliest tokens, logits\n"
               "Exit code 5 if something was lost or differs.",
    .min_operands = 1,
    .max_operands = 18,
    .args_size = sizeof(struct rosetta_args),
    .groups = {{"Options", rosetta_options, 0}},
    .run = rosetta,
};
