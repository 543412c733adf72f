/* cmd_template.c - `apr template`: renders a chat template and prints exactly what came out. */
#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/load.h"
#include "cli/prompt.h"

#include <string.h>
#include <time.h>

struct template_args {
    const char *file, *input, *now;
    bool json;
};

#define FIELD(f) offsetof(struct template_args, f)

static const struct cli_option template_options[] = {
    CLI_ROW(CLI_FILE, 'f', "file", "T.jinja", FIELD(file),
            "the template, instead of a model's own"),
    CLI_ROW(CLI_FILE, 'i', "input", "CASE.json", FIELD(input),
            "the variables: messages, tools, add_generation_prompt ...; -: standard input"),
    CLI_ROW(CLI_STRING, 0, "now", "TIME", FIELD(now),
            "what strftime_now sees, as 2026-11-20 or 2026-11-20T12:00:00 (default: local time)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object: prompt"),
    {0},
};

static rz_status parse_now(const char *text, int64_t *now, rz_error *err)
{
    struct tm t = {0};
    const char *end = strptime(text, "%Y-%m-%d", &t);
    if (end && (*end == 'T' || *end == ' ')) {
        const char *minutes = strptime(end + 1, "%H:%M", &t);
        end = minutes && *minutes == ':' ? strptime(minutes + 1, "%S", &t) : minutes;
    }
    if (end && *end == 'Z')
        end++;
    if (!end || *end)
        return rz_fail(err, RZ_EUSAGE, "--now takes a time such as 2026-11-20T12:00:00, not '%s'",
                       text);
    *now = timegm(&t);
    return RZ_OK;
}

/* Puts the texts of the model's BOS and EOS tokens before the variables that the user gave, unless
 * these name them. The rest stays byte for byte: numbers are the template's to read. */
static rz_status add_token_texts(struct rz_buf *vars, const rz_file *file, const char *path,
                                 rz_error *err)
{
    json_error_t why;
    json_t *given =
        json_loadb(vars->data, vars->len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    if (!json_is_object(given)) {
        rz_status status =
            given ? rz_fail(err, RZ_EFORMAT, "%s is not a JSON object", path)
                  : rz_fail(err, RZ_EFORMAT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
        json_decref(given);
        return status;
    }
    rz_tokenizer *tok = NULL;
    rz_status status = rz_tokenizer_new(&tok, file, err);
    json_t *extra = json_object();
    if (!status && !json_object_get(given, "bos_token"))
        json_object_set_new(extra, "bos_token", cli_token_text(tok, rz_tokenizer_bos(tok)));
    if (!status && !json_object_get(given, "eos_token"))
        json_object_set_new(extra, "eos_token", cli_token_text(tok, rz_tokenizer_eos(tok)));
    if (!status && json_object_size(extra)) {
        char *text = json_dumps(extra, JSON_COMPACT);
        struct rz_buf joined;
        rz_buf_init(&joined, SIZE_MAX);
        const char *brace = strchr(vars->data, '{') + 1;
        size_t len = text ? strlen(text) - 1 : 0; /* without its closing brace */
        bool comma = json_object_size(given) > 0;
        if (text && rz_buf_add(&joined, text, len) && (!comma || rz_buf_char(&joined, ',')) &&
            rz_buf_add(&joined, brace, vars->len - (size_t)(brace - vars->data))) {
            rz_buf_fini(vars);
            *vars = joined;
        } else {
            rz_buf_fini(&joined);
            status = rz_fail_nomem(err, vars->len, "the template's variables");
        }
        free(text);
    }
    json_decref(extra);
    json_decref(given);
    rz_tokenizer_free(&tok);
    return status;
}

static rz_status print(const struct template_args *a, const rz_template *t,
                       const struct rz_buf *vars, rz_error *err)
{
    rz_render_options options = {.now_unix_s = cli_local_time()};
    if (a->now)
        RZ_TRY(parse_now(a->now, &options.now_unix_s, err));
    rz_text out = {0};
    rz_status status = rz_template_render(t, vars->data, vars->len, &options, &out, err);
    if (!status && a->json)
        status = cli_out_json(json_pack("{so}", "prompt", cli_json_text(out.data, out.len)), err);
    else if (!status)
        status = cli_out_answer(out.data, out.len, err);
    rz_text_free(&out);
    return status;
}

/* The template of a model's file. */
static rz_status model_template(rz_template **t, const rz_file *file, rz_error *err)
{
    rz_slice source = {0};
    bool found = false;
    RZ_TRY(rz_file_get_string(file, "tokenizer.chat_template", &source, &found, err));
    if (!found)
        return rz_fail(err, RZ_ELOAD, "%s has no chat template", rz_file_path(file));
    return rz_template_new(t, "chat_template", source.data, source.len, err);
}

static rz_status file_template(rz_template **t, const char *path, rz_error *err)
{
    struct rz_buf source;
    rz_buf_init(&source, CLI_MAX_INPUT);
    rz_status status = cli_read_input(path, &source, err);
    if (!status)
        status = rz_template_new(t, path, source.data, source.len, err);
    rz_buf_fini(&source);
    return status;
}

static rz_status template(const struct cli_call *call, rz_error *err)
{
    const struct template_args *a = call->args;
    if ((call->n_operands > 0) == (a->file != NULL))
        return rz_fail(err, RZ_EUSAGE, "give a MODEL or --file T.jinja, one of the two");
    if (!a->input)
        return rz_fail(err, RZ_EUSAGE, "--input is missing: the JSON file with the variables");
    struct rz_buf vars;
    rz_buf_init(&vars, CLI_MAX_INPUT);
    rz_file *file = NULL;
    rz_template *t = NULL;
    char *path = NULL;
    rz_status status = RZ_OK;
    if (a->file) {
        status = file_template(&t, a->file, err);
    } else {
        status = cli_model_path(&path, call->operands[0], err);
        if (!status)
            status = rz_file_open_packed(&file, path, err);
        if (!status)
            status = model_template(&t, file, err);
    }
    if (!status)
        status = cli_read_input(a->input, &vars, err);
    if (!status && file)
        status = add_token_texts(&vars, file, a->input, err);
    if (!status)
        status = print(a, t, &vars, err);
    rz_template_free(&t);
    rz_file_close(&file);
    rz_buf_fini(&vars);
    free(path);
    return status;
}

const struct cli_command cmd_template = {
    .name = "template",
    .operands = "(MODEL | --file T.jinja) --input CASE.json",
    .summary = "render a chat template and print the prompt, exactly",
    .details = "CASE.json is an object with the template's variables. A model's bos_token and\n"
               "eos_token are added unless it names them. Nothing is added to the output.",
    .min_operands = 0,
    .max_operands = 1,
    .args_size = sizeof(struct template_args),
    .groups = {{"Options", template_options, 0}},
    .run = template,
};
