/* cmd_inspect.c - `apr inspect FILE`: what is in a model file, as a page of text or as JSON. The
 * page is printed from the JSON document, so the two cannot tell different things. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/inspect_doc.h"
#include "cli/io.h"
#include "cli/load.h"

#include <string.h>

enum {
    TEMPLATE_LINES = 4,
    TEMPLATE_COLUMNS = 96
};

struct inspect_args {
    bool json, tensors, metadata;
    struct cli_uint ctx;
    const char *kv;
};

#define FIELD(f) offsetof(struct inspect_args, f)

static const struct cli_option inspect_options[] = {
    CLI_ROW_FLAG(0, "tensors", FIELD(tensors), "also list the tensors"),
    CLI_ROW_FLAG(0, "metadata", FIELD(metadata), "also list the metadata, long arrays shortened"),
    CLI_ROW_RANGE(CLI_UINT, 0, "ctx", "N", 1, 1 << 24, FIELD(ctx),
                  "tell the memory needed for a context of N tokens (default 4096, or the model's "
                  "own if that is smaller)"),
    CLI_ROW(CLI_CHOICE, 0, "kv", "f16|f32|q8_0", FIELD(kv),
            "type of the KV cache in that (default: f32 if all weights are floats, else f16)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print everything as a JSON object"),
    {0},
};

static uint64_t get_u64(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void put_json_string(const json_t *s)
{
    cli_put_clean(stdout, json_string_value(s), json_string_length(s), false);
}

static void put_value(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        put_json_string(v);
        break;
    case JSON_INTEGER:
        printf("%lld", (long long)json_integer_value(v));
        break;
    case JSON_REAL:
        printf("%.7g", json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        fputs(json_is_true(v) ? "yes" : "no", stdout);
        break;
    default:
        fputs("not known", stdout);
    }
}

static void print_header(const json_t *doc)
{
    char bytes[CLI_BYTES_MAX];
    printf("file            ");
    put_value(json_object_get(doc, "file"));
    printf("\nformat          ");
    put_value(json_object_get(doc, "format"));
    uint64_t version = get_u64(doc, "version");
    if (version) /* SafeTensors has none */
        printf(" version %u", (unsigned)version);
    printf(", %s", cli_bytes(bytes, get_u64(doc, "file_bytes")));
    uint64_t shards = get_u64(doc, "shards");
    if (shards > 1)
        printf(" in %u shards", (unsigned)shards);
    printf("\narchitecture    ");
    if (json_string_length(json_object_get(doc, "architecture")) > 0)
        put_value(json_object_get(doc, "architecture"));
    else
        fputs("none", stdout);
    const json_t *name = json_object_get(doc, "name");
    if (json_is_string(name)) {
        fputs(" (", stdout);
        put_value(name);
        putchar(')');
    }
    putchar('\n');
    const json_t *why = json_object_get(doc, "why_not_supported");
    if (json_is_string(why)) {
        fputs("not supported   ", stdout);
        put_value(why);
        puts(json_string_length(json_object_get(doc, "architecture")) > 0
                 ? "\n                hyper-parameters below are the bare metadata"
                 : "");
    }
}

static void print_parameters(json_t *doc)
{
    puts("\nhyper-parameters");
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(doc, "hyperparameters"), key, value)
    {
        printf("  %-32s", key);
        put_value(value);
        putchar('\n');
    }
}

static void print_quantization(const json_t *doc)
{
    char bytes[CLI_BYTES_MAX];
    printf("\nweights         %.2f M parameters in %u tensors, %s",
           (double)get_u64(doc, "parameters") * 1e-6, (unsigned)get_u64(doc, "num_tensors"),
           cli_bytes(bytes, get_u64(doc, "weight_bytes")));
    const json_t *bits = json_object_get(doc, "bits_per_weight");
    if (json_is_real(bits))
        printf(", %.2f bits per weight", json_real_value(bits));
    putchar('\n');
    const json_t *types = json_object_get(doc, "quantization");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const json_t *t = json_array_get(types, i);
        printf("  %-8s %5u tensors %10s %5.1f %%\n", json_string_value(json_object_get(t, "dtype")),
               (unsigned)get_u64(t, "tensors"), cli_bytes(bytes, get_u64(t, "bytes")),
               100 * json_real_value(json_object_get(t, "share")));
    }
}

static void print_token(const char *label, const json_t *token)
{
    if (!json_is_object(token))
        return;
    printf(", %s %u \"", label, (unsigned)get_u64(token, "id"));
    if (json_is_string(json_object_get(token, "text")))
        put_json_string(json_object_get(token, "text"));
    putchar('"');
}

static void print_tokenizer(const json_t *doc)
{
    const json_t *t = json_object_get(doc, "tokenizer");
    if (!json_is_object(t)) {
        puts("\ntokenizer       none");
        return;
    }
    printf("\ntokenizer       ");
    put_value(json_object_get(t, "model"));
    if (json_is_string(json_object_get(t, "pre"))) {
        fputs(", pre-tokenizer ", stdout);
        put_value(json_object_get(t, "pre"));
    }
    printf(", %u tokens, %u merges", (unsigned)get_u64(t, "vocab_size"),
           (unsigned)get_u64(t, "merges"));
    print_token("BOS", json_object_get(t, "bos"));
    if (json_is_true(json_object_get(t, "add_bos")))
        fputs(" (added)", stdout);
    print_token("EOS", json_object_get(t, "eos"));
    putchar('\n');
}

static void print_template(const json_t *doc)
{
    const json_t *t = json_object_get(doc, "chat_template");
    if (!json_is_string(t)) {
        puts("chat template   none: a base model");
        return;
    }
    const char *p = json_string_value(t), *end = p + json_string_length(t);
    printf("chat template   %zu bytes\n", json_string_length(t));
    for (int line = 0; line < TEMPLATE_LINES && p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((stop ? stop : end) - p);
        fputs("  | ", stdout);
        cli_put_clean(stdout, p, len < TEMPLATE_COLUMNS ? len : TEMPLATE_COLUMNS, false);
        puts(len < TEMPLATE_COLUMNS ? "" : " ...");
        p = stop ? stop + 1 : end;
    }
    if (p < end)
        puts("  | ...");
}

static void print_memory(const json_t *doc)
{
    const json_t *m = json_object_get(doc, "memory");
    if (!json_is_object(m))
        return;
    printf("memory          with a context of %u tokens: ", (unsigned)get_u64(m, "ctx"));
    const json_t *failed = json_object_get(m, "error");
    if (failed) {
        put_value(failed);
    } else {
        char weights[CLI_BYTES_MAX], kv[CLI_BYTES_MAX], scratch[CLI_BYTES_MAX], sum[CLI_BYTES_MAX];
        printf("%s = weights %s + KV cache (%s) %s + scratch %s",
               cli_bytes(sum, get_u64(m, "total_bytes")),
               cli_bytes(weights, get_u64(m, "weights_bytes")),
               json_string_value(json_object_get(m, "kv_type")),
               cli_bytes(kv, get_u64(m, "kv_bytes")),
               cli_bytes(scratch, get_u64(m, "scratch_bytes")));
    }
    putchar('\n');
}

static void print_tensors(const json_t *doc)
{
    puts("\n        offset        bytes  dtype   shape                name");
    const json_t *tensors = json_object_get(doc, "tensors");
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *t = json_array_get(tensors, i);
        const json_t *shape = json_object_get(t, "shape");
        char dims[RZ_MAX_DIMS * 24] = "";
        int n = 0;
        for (size_t d = 0; d < json_array_size(shape); d++)
            n += snprintf(dims + n, sizeof dims - (size_t)n, "%s%lld", d ? " x " : "",
                          (long long)json_integer_value(json_array_get(shape, d)));
        printf("%14llu %12llu  %-7s %-20s ", (unsigned long long)get_u64(t, "offset"),
               (unsigned long long)get_u64(t, "bytes"),
               json_string_value(json_object_get(t, "dtype")), dims);
        put_json_string(json_object_get(t, "name"));
        putchar('\n');
    }
}

static void print_metadata(const json_t *doc)
{
    puts("\nmetadata");
    const json_t *metadata = json_object_get(doc, "metadata");
    for (size_t i = 0; i < json_array_size(metadata); i++) {
        const json_t *m = json_array_get(metadata, i);
        fputs("  ", stdout);
        put_json_string(json_object_get(m, "key"));
        const json_t *count = json_object_get(m, "count");
        const json_t *value = json_object_get(m, "value");
        if (!count) {
            printf(" (%s) = ", json_string_value(json_object_get(m, "type")));
            put_value(value);
            putchar('\n');
            continue;
        }
        printf(" (%s x %lld) = [", json_string_value(json_object_get(m, "element_type")),
               (long long)json_integer_value(count));
        const json_t *first = value ? value : json_object_get(m, "first");
        for (size_t k = 0; k < json_array_size(first); k++) {
            fputs(k ? ", " : "", stdout);
            put_value(json_array_get(first, k));
        }
        puts(value ? "]" : ", ...]");
    }
}

/* What an .apr file says of itself beside the model. */
static void print_container(const json_t *doc)
{
    json_t *o = json_object_get(doc, "container");
    const char *key;
    json_t *value;
    if (!json_is_object(o))
        return;
    puts("\ncontainer");
    json_object_foreach(o, key, value)
    {
        fputs("  ", stdout);
        cli_put_clean(stdout, key, strlen(key), false);
        printf("%*s", (int)(strlen(key) < 31 ? 32 - strlen(key) : 1), "");
        put_value(value);
        putchar('\n');
    }
}

static void print_page(json_t *doc, const struct inspect_args *a)
{
    /* A file that names none holds no language model. */
    bool language = json_string_length(json_object_get(doc, "architecture")) > 0;
    print_header(doc);
    print_container(doc);
    if (language)
        print_parameters(doc);
    print_quantization(doc);
    if (language) {
        print_tokenizer(doc);
        print_template(doc);
    }
    print_memory(doc);
    if (a->metadata)
        print_metadata(doc);
    if (a->tensors)
        print_tensors(doc);
}

/* The model, if this build can run it: only that is worth a report, so any other failure to open
 * what has just been opened is an error. */
static rz_status open_model(rz_model **model, const char *path, rz_error *why, rz_error *err)
{
    rz_model_options options = rz_model_options_default();
    options.n_threads = 1;
    options.only_look = true;
    rz_status status = rz_model_open(model, path, &options, why);
    if (status && status != RZ_ELOAD && status != RZ_EFORMAT) {
        *err = *why;
        return status;
    }
    return RZ_OK;
}

static rz_status inspect(const struct cli_call *call, rz_error *err)
{
    const struct inspect_args *a = call->args;
    char *path = NULL;
    rz_file *file = NULL;
    rz_model *model = NULL;
    rz_error why;
    json_t *doc = NULL;
    rz_status status = cli_model_path(&path, call->operands[0], err);
    if (!status)
        status = rz_file_open_packed(&file, path, err);
    if (!status)
        status = open_model(&model, path, &why, err);
    if (!status) {
        struct inspect in = {.file = file,
                             .model = model,
                             .why = model ? NULL : why.text,
                             .n_ctx = (uint32_t)a->ctx.value,
                             .kv = a->kv};
        doc = cli_inspect_document(&in);
        if (!doc)
            status = rz_fail_nomem(err, 0, "the report");
    }
    if (!status && a->json)
        status = cli_out_json(json_incref(doc), err);
    else if (!status)
        print_page(doc, a);
    json_decref(doc);
    rz_model_close(&model);
    rz_file_close(&file);
    free(path);
    return status;
}

const struct cli_command cmd_inspect = {
    .name = "inspect",
    .operands = "FILE",
    .summary = "show what a model file holds and the memory that it needs",
    .details = "Any well-formed file can be inspected, also one that this build cannot run: its\n"
               "hyper-parameters are then those that its metadata spells out.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct inspect_args),
    .groups = {{"Options", inspect_options, 0}},
    .run = inspect,
};
