/* prompt.c - from messages or plain text to ids. */
#include "cli/prompt.h"

#include "base/fail.h"
#include "cli/cli.h"

#include <string.h>
#include <time.h>

rz_status cli_add_message(json_t *messages, const char *role, const char *text, size_t len,
                          rz_error *err)
{
    json_t *message = json_pack("{ss ss%}", "role", role, "content", text ? text : "", len);
    if (!message || json_array_append_new(messages, message))
        return rz_fail_nomem(err, len, "a message");
    return RZ_OK;
}

json_t *cli_token_text(const rz_tokenizer *tok, int32_t id)
{
    rz_slice text = id < 0 ? (rz_slice){"", 0} : rz_tokenizer_bytes(tok, id);
    return cli_json_text(text.data, text.len);
}

int64_t cli_local_time(void)
{
    time_t now = time(NULL);
    struct tm local;
    if (!localtime_r(&now, &local))
        return now;
    return timegm(&local);
}

/* The template's variables as JSON text, malloc'ed. */
static char *variables(const rz_model *model, json_t *messages)
{
    const rz_tokenizer *tok = rz_model_get_tokenizer(model);
    json_t *vars = json_pack("{sO sb so so}", "messages", messages, "add_generation_prompt", 1,
                             "bos_token", cli_token_text(tok, rz_tokenizer_bos(tok)), "eos_token",
                             cli_token_text(tok, rz_tokenizer_eos(tok)));
    char *text = vars ? json_dumps(vars, JSON_COMPACT) : NULL;
    json_decref(vars);
    return text;
}

rz_status cli_encode_chat(const rz_model *model, json_t *messages, rz_ids *ids, rz_error *err)
{
    char *vars = variables(model, messages);
    if (!vars)
        return rz_fail_nomem(err, 0, "the template's variables");
    rz_render_options options = {.now_unix_s = cli_local_time()};
    rz_text rendered = {0};
    rz_status status = rz_template_render(rz_model_get_template(model), vars, strlen(vars),
                                          &options, &rendered, err);
    if (!status)
        status = rz_tokenizer_encode(rz_model_get_tokenizer(model), rendered.data, rendered.len,
                                     RZ_ENCODE_SPECIAL, ids, err);
    rz_text_free(&rendered);
    free(vars);
    return status;
}

rz_status cli_encode_raw(const rz_model *model, const char *text, size_t len, bool special,
                         rz_ids *ids, rz_error *err)
{
    const rz_tokenizer *tok = rz_model_get_tokenizer(model);
    rz_ids body = {0};
    rz_status status =
        rz_tokenizer_encode(tok, text, len, special ? RZ_ENCODE_SPECIAL : 0, &body, err);
    int32_t bos = rz_tokenizer_bos(tok);
    /* An EOS that the file wants at the end would be the end of what is to be completed: left out.
     * A BOS that the text itself begins with is not doubled. */
    bool add_bos = rz_tokenizer_add_bos(tok) && bos >= 0 && (body.len == 0 || body.data[0] != bos);
    size_t n = body.len + add_bos;
    if (!status && n > ids->cap - ids->len) {
        int32_t *data = realloc(ids->data, (ids->len + n) * sizeof *data);
        if (data) {
            ids->data = data;
            ids->cap = ids->len + n;
        } else {
            status = rz_fail_nomem(err, n * sizeof *data, "token ids");
        }
    }
    if (!status) {
        if (add_bos)
            ids->data[ids->len++] = bos;
        for (size_t i = 0; i < body.len; i++)
            ids->data[ids->len++] = body.data[i];
    }
    rz_ids_free(&body);
    return status;
}
