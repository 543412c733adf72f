/* cmd_canary.c - `apr canary create|check FILE`: a record of a model's tensors and of what it says,
 * small enough to keep under version control, and the comparison of a model with it. */
#include "base/fail.h"
#include "cli/canary_check.h"
#include "cli/canary_doc.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/prompt.h"
#include "cli/tensor_list.h"

#include <string.h>

enum {
    DEFAULT_STEPS = 8,
    JSON_DIGITS = 17 /* a double is read back as it was */
};
static const char default_prompt[] = "The quick brown fox jumps over the lazy dog. 1 + 1 =";

struct canary_args {
    const char *input, *output, *canary;
    struct cli_uint tokens;
    struct cli_float mean, std, logit;
    bool exact, json, quiet;
    struct cli_model_args model;
};

#define FIELD(f) offsetof(struct canary_args, f)

static const struct cli_option create_options[] = {
    CLI_ROW(CLI_FILE, 'o', "output", "FILE", FIELD(output), "write the canary there"),
    CLI_ROW(CLI_FILE, 0, "input", "FILE", FIELD(input),
            "prompts, one a line (default: one that is built in)"),
    CLI_ROW_RANGE(CLI_UINT, 'n', "tokens", "N", 1, CLI_CANARY_MAX_STEPS, FIELD(tokens),
                  "greedy tokens to record after each prompt (default 8)"),
    {0},
};
static const struct cli_option check_options[] = {
    CLI_ROW(CLI_FILE, 0, "canary", "FILE", FIELD(canary), "the canary to check against"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "mean-tolerance", "X", 0, 1e6, FIELD(mean),
                  "a tensor's mean may move by X standard deviations (default 0.1)"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "std-tolerance", "X", 0, 1e6, FIELD(std),
                  "its standard deviation may change by X times itself (default 0.2)"),
    CLI_ROW_RANGE(CLI_FLOAT, 0, "logit-tolerance", "X", 0, 1e6, FIELD(logit),
                  "a logit may change by X (default 0.5); a likeliest token that led by 2 X or "
                  "less may be another"),
    CLI_ROW_FLAG(0, "exact", FIELD(exact),
                 "every tensor and likeliest token must be the very same"),
    CLI_ROW_FLAG('q', "quiet", FIELD(quiet), "print what failed, and the last line"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

struct job {
    const struct canary_args *args;
    const char *operand;
    rz_file *file;
    struct cli_loaded l;
    rz_error why; /* it does not run */
    rz_tensor_scan *scan;
    json_t *recorded, *items;
    size_t n_passed, n_failed;
};

/* The model, if it can be run, and its file: a model's own may have weights only packed. */
static rz_status open_any(struct job *j, rz_error *err)
{
    const struct canary_args *a = j->args;
    static const struct cli_engine_args engine = {0};
    rz_status status =
        cli_load(&j->l, j->operand, &a->model, &engine, a->quiet || a->json, &j->why);
    if (status && status != RZ_ELOAD && status != RZ_EFORMAT) {
        *err = j->why;
        return status;
    }
    RZ_TRY(cli_open_file(&j->file, j->operand, err));
    return rz_tensor_scan_new(&j->scan, (unsigned)a->model.threads.value, err);
}

/* ---- create ---- */

static json_t *ids_json(const rz_ids *ids)
{
    json_t *array = json_array();
    for (size_t i = 0; i < ids->len; i++)
        json_array_append_new(array, json_integer(ids->data[i]));
    return array;
}

static rz_status record_prompt(struct job *j, const char *text, size_t len, json_t *prompts,
                               rz_error *err)
{
    rz_ids ids = {0};
    json_t *steps = NULL;
    rz_status status = cli_check_utf8(text, len, "a prompt", err);
    if (!status)
        status = cli_encode_raw(j->l.model, text, len, true, &ids, err);
    if (!status && ids.len == 0)
        status = rz_fail(err, RZ_EUSAGE, "the prompt '%.40s' has no tokens", text);
    if (!status) {
        struct cli_canary_run run = {.l = &j->l,
                                     .ids = ids.data,
                                     .n_ids = ids.len,
                                     .n_steps =
                                         (size_t)cli_uint_or(j->args->tokens, DEFAULT_STEPS)};
        steps = cli_canary_steps(&run, err);
        status = steps ? RZ_OK : err->code;
    }
    if (!status &&
        json_array_append_new(prompts, json_pack("{so so so}", "prompt", cli_json_text(text, len),
                                                 "ids", ids_json(&ids), "steps", steps)))
        status = rz_fail_nomem(err, 0, "the canary");
    rz_ids_free(&ids);
    return status;
}

static rz_status record_prompts(struct job *j, json_t *prompts, rz_error *err)
{
    if (!j->args->input)
        return record_prompt(j, default_prompt, strlen(default_prompt), prompts, err);
    struct rz_buf text;
    rz_buf_init(&text, CLI_MAX_INPUT);
    rz_status status = cli_read_input(j->args->input, &text, err);
    for (const char *p = text.data, *end = p + text.len; !status && p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((stop ? stop : end) - p);
        if (len > 0 && json_array_size(prompts) == CLI_CANARY_MAX_PROMPTS)
            status = rz_fail(err, RZ_EUSAGE, "%s has more than %d prompts", j->args->input,
                             CLI_CANARY_MAX_PROMPTS);
        else if (len > 0)
            status = record_prompt(j, p, len, prompts, err);
        p += len + 1;
    }
    if (!status && json_array_size(prompts) == 0)
        status = rz_fail(err, RZ_EUSAGE, "%s has no prompts", j->args->input);
    rz_buf_fini(&text);
    return status;
}

static rz_status write_canary(const char *path, const json_t *doc, rz_error *err)
{
    struct cli_out_file f;
    RZ_TRY(cli_out_file_open(&f, path, err));
    if (json_dumpf(doc, f.stream, JSON_INDENT(1) | JSON_REAL_PRECISION(JSON_DIGITS)) ||
        fputc('\n', f.stream) == EOF) {
        cli_out_file_abandon(&f);
        return rz_fail(err, RZ_EIO, "%s cannot be written", path);
    }
    return cli_out_file_commit(&f, err);
}

static rz_status create(struct job *j, rz_error *err)
{
    const struct canary_args *a = j->args;
    if (!a->output)
        return rz_fail(err, RZ_EUSAGE, "canary create needs -o FILE");
    if (a->canary || a->exact || a->mean.set || a->std.set || a->logit.set)
        return rz_fail(err, RZ_EUSAGE, "that option belongs to canary check");
    RZ_TRY(cli_check_report(a->output, err));
    RZ_TRY(open_any(j, err));
    json_t *prompts = json_array();
    json_t *tensors = cli_canary_tensors(j->file, j->scan, err);
    rz_status status = tensors ? RZ_OK : err->code;
    if (!status && j->l.model)
        status = record_prompts(j, prompts, err);
    size_t n_prompts = json_array_size(prompts), n_tensors = json_object_size(tensors);
    const char *path = rz_file_path(j->file);
    json_t *doc = json_pack("{si so ss so so so}", "canary_version", CLI_CANARY_VERSION,
                            "model_name", cli_json_text(path, strlen(path)), "format",
                            rz_file_format(j->file), "tensor_count", cli_json_u64(n_tensors),
                            "tensors", tensors ? tensors : json_null(), "prompts", prompts);
    if (!status)
        status = doc ? write_canary(a->output, doc, err) : rz_fail_nomem(err, 0, "the canary");
    json_decref(doc);
    if (!status && !j->l.model)
        cli_note("statistics only, the model was not run: %s", j->why.text);
    if (!status && a->json)
        return cli_out_json(json_pack("{so si si}", "canary",
                                      cli_json_text(a->output, strlen(a->output)), "tensors",
                                      (int)n_tensors, "prompts", (int)n_prompts),
                            err);
    if (!status && !a->quiet)
        printf("%zu tensors and %zu prompts recorded\n", n_tensors, n_prompts);
    return status;
}

/* ---- check ---- */

static void tell(struct job *j, bool passed, const char *item, const char *name, const char *text)
{
    j->n_passed += passed;
    j->n_failed += !passed;
    if (j->items) {
        json_array_append_new(j->items, json_pack("{ss so ss so}", "item", item, "name",
                                                  cli_json_text(name, strlen(name)), "verdict",
                                                  passed ? "PASS" : "FAIL", "text",
                                                  cli_json_text(text, strlen(text))));
        return;
    }
    if (passed && j->args->quiet)
        return;
    printf("[%s] %-9s ", passed ? "PASS" : "FAIL", item);
    cli_put_clean(stdout, name, strlen(name), false);
    fputs(": ", stdout);
    cli_put_clean(stdout, text, strlen(text), false);
    putchar('\n');
}

static rz_status check_tensors(struct job *j, const struct cli_canary_tolerance *t, rz_error *err)
{
    json_t *now = cli_canary_tensors(j->file, j->scan, err);
    if (!now)
        return err->code;
    json_t *recorded = json_object_get(j->recorded, "tensors");
    char text[CLI_CANARY_TEXT_MAX];
    const char *name;
    json_t *value;
    json_object_foreach(recorded, name, value)
    {
        bool passed = cli_canary_check_tensor(value, json_object_get(now, name), t, text);
        tell(j, passed, "tensor", name, text);
    }
    json_object_foreach(now, name, value)
    {
        if (!json_object_get(recorded, name))
            tell(j, cli_canary_check_tensor(NULL, value, t, text), "tensor", name, text);
    }
    json_decref(now);
    return RZ_OK;
}

/* The recorded ids; empty if they are not ids. */
static void load_ids(const json_t *array, rz_ids *ids)
{
    size_t n = json_array_size(array);
    ids->data = calloc(n + 1, sizeof *ids->data);
    for (size_t i = 0; ids->data && i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(array, i));
        ids->data[ids->len++] = id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
    }
}

static void check_tokenization(struct job *j, const json_t *text, const char *name,
                               const rz_ids *recorded)
{
    rz_ids ids = {0};
    rz_error err = {0};
    rz_status status = cli_encode_raw(j->l.model, json_string_value(text), json_string_length(text),
                                      true, &ids, &err);
    bool same = !status && ids.len == recorded->len && ids.len > 0 &&
                !memcmp(ids.data, recorded->data, ids.len * sizeof *ids.data);
    tell(j, same, "tokenizer", name,
         status ? err.text
         : same ? "the ids are as recorded"
                : "the ids are others");
    rz_ids_free(&ids);
}

static void check_prompt(struct job *j, const json_t *prompt, const struct cli_canary_tolerance *t)
{
    const json_t *text = json_object_get(prompt, "prompt");
    const json_t *recorded = json_object_get(prompt, "steps");
    char words[CLI_CANARY_TEXT_MAX], name[64];
    size_t n = json_array_size(recorded);
    if (!json_is_string(text) || n == 0 || n > CLI_CANARY_MAX_STEPS) {
        tell(j, false, "prompt", "?", "the record is malformed");
        return;
    }
    snprintf(name, sizeof name, "\"%.40s%s\"", json_string_value(text),
             json_string_length(text) > 40 ? "..." : "");
    rz_ids ids = {0};
    load_ids(json_object_get(prompt, "ids"), &ids);
    check_tokenization(j, text, name, &ids);
    rz_error err = {0};
    struct cli_canary_run run = {
        .l = &j->l, .ids = ids.data, .n_ids = ids.len, .n_steps = n, .forced = recorded};
    json_t *now = cli_canary_steps(&run, &err);
    if (now) {
        bool passed = cli_canary_check_tokens(recorded, now, t, words);
        tell(j, passed, "tokens", name, words);
        passed = cli_canary_check_logits(recorded, now, t, words);
        tell(j, passed, "logits", name, words);
    } else {
        tell(j, false, "tokens", name, err.text);
    }
    json_decref(now);
    rz_ids_free(&ids);
}

static rz_status load_canary(struct job *j, rz_error *err)
{
    const char *path = j->args->canary;
    struct rz_buf text;
    json_error_t where;
    rz_buf_init(&text, CLI_MAX_INPUT);
    rz_status status = cli_read_input(path, &text, err);
    if (!status) {
        j->recorded = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &where);
        if (!j->recorded)
            status = rz_fail(err, RZ_EFORMAT, "%s is not JSON: line %d: %s", path, where.line,
                             where.text);
    }
    rz_buf_fini(&text);
    if (status)
        return status;
    const json_t *version = json_object_get(j->recorded, "canary_version");
    if (!json_is_integer(version) || json_integer_value(version) != CLI_CANARY_VERSION ||
        !json_is_object(json_object_get(j->recorded, "tensors")) ||
        !json_is_array(json_object_get(j->recorded, "prompts")))
        return rz_fail(err, RZ_EFORMAT, "%s is not a canary of version %d", path,
                       CLI_CANARY_VERSION);
    return RZ_OK;
}

static rz_status tell_verdict(struct job *j, rz_error *err)
{
    size_t total = j->n_passed + j->n_failed;
    if (j->items) {
        const char *path = rz_file_path(j->file), *canary = j->args->canary;
        json_t *doc =
            json_pack("{so so sb so so sO}", "file", cli_json_text(path, strlen(path)), "canary",
                      cli_json_text(canary, strlen(canary)), "passed", j->n_failed == 0, "total",
                      cli_json_u64(total), "failed", cli_json_u64(j->n_failed), "items", j->items);
        RZ_TRY(cli_out_json(doc, err));
    } else {
        printf("%s: %zu of %zu items as recorded\n", j->n_failed ? "FAIL" : "PASS", j->n_passed,
               total);
    }
    return j->n_failed ? RZ_EINVALID : RZ_OK; /* the report has said it */
}

static rz_status check(struct job *j, rz_error *err)
{
    const struct canary_args *a = j->args;
    if (!a->canary)
        return rz_fail(err, RZ_EUSAGE, "canary check needs --canary FILE");
    if (a->input || a->output || a->tokens.set)
        return rz_fail(err, RZ_EUSAGE, "that option belongs to canary create");
    struct cli_canary_tolerance t = {.mean = a->mean.set ? a->mean.value : 0.1,
                                     .std = a->std.set ? a->std.value : 0.2,
                                     .logit = a->logit.set ? a->logit.value : 0.5,
                                     .exact = a->exact};
    RZ_TRY(load_canary(j, err));
    RZ_TRY(open_any(j, err));
    j->items = a->json ? json_array() : NULL;
    RZ_TRY(check_tensors(j, &t, err));
    const json_t *prompts = json_object_get(j->recorded, "prompts");
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        if (j->l.model)
            check_prompt(j, json_array_get(prompts, i), &t);
        else
            tell(j, false, "prompt", "all", j->why.text);
        if (!j->l.model)
            break;
    }
    return tell_verdict(j, err);
}

static rz_status canary(const struct cli_call *call, rz_error *err)
{
    struct job j = {.args = call->args, .operand = call->operands[1]};
    const char *action = call->operands[0];
    rz_status status;
    if (!strcmp(action, "create"))
        status = create(&j, err);
    else if (!strcmp(action, "check"))
        status = check(&j, err);
    else
        status = rz_fail(err, RZ_EUSAGE, "canary can create or check, not '%s'", action);
    json_decref(j.recorded);
    json_decref(j.items);
    rz_tensor_scan_free(&j.scan);
    rz_file_close(&j.file);
    cli_unload(&j.l);
    return status;
}

const struct cli_command cmd_canary = {
    .name = "canary",
    .operands = "create|check FILE",
    .summary = "record what a model holds and says, and check a model against that",
    .details =
        "create records statistics of every tensor, and after each prompt the greedy tokens\n"
        "and the top logits. check repeats that, on another day, machine or format. Exit\n"
        "code 5 if an item is outside its tolerance.",
    .min_operands = 2,
    .max_operands = 2,
    .args_size = sizeof(struct canary_args),
    .groups = {{"To create", create_options, 0},
               {"To check", check_options, 0},
               {"Computing", cli_model_options, FIELD(model)}},
    .run = canary,
};
