/* conversation.c - the messages of a chat, and their file. */
#include "cli/conversation.h"

#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/prompt.h"

#include <string.h>

static const char *role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role ? role : "";
}

const char *cli_system_of(const json_t *messages)
{
    const json_t *first = json_array_get(messages, 0);
    if (!first || strcmp(role_of(first), "system") != 0)
        return NULL;
    return json_string_value(json_object_get(first, "content"));
}

rz_status cli_set_system(json_t *messages, const char *text, rz_error *err)
{
    size_t len = strlen(text);
    RZ_TRY(cli_check_utf8(text, len, "the system message", err));
    if (cli_system_of(messages))
        json_array_remove(messages, 0);
    if (!len)
        return RZ_OK;
    json_t *message = json_pack("{ss ss}", "role", "system", "content", text);
    if (!message || json_array_insert_new(messages, 0, message))
        return rz_fail_nomem(err, len, "a message");
    return RZ_OK;
}

bool cli_last_is(const json_t *messages, const char *role)
{
    size_t n = json_array_size(messages);
    return n && !strcmp(role_of(json_array_get(messages, n - 1)), role);
}

void cli_drop_last(json_t *messages, size_t n)
{
    for (size_t size = json_array_size(messages); n && size; n--)
        json_array_remove(messages, --size);
}

rz_status cli_save_conversation(const json_t *messages, const char *model, const char *path,
                                rz_error *err)
{
    json_t *doc = json_pack("{so so}", "model", cli_json_text(model, strlen(model)), "messages",
                            json_deep_copy(messages));
    if (!doc)
        return rz_fail_nomem(err, 0, "the conversation's JSON");
    struct cli_out_file file;
    rz_status status = cli_out_file_open(&file, path, err);
    if (!status) {
        if (json_dumpf(doc, file.stream, JSON_INDENT(2)) || fputc('\n', file.stream) == EOF)
            status = rz_fail(err, RZ_EIO, "%s cannot be written", path);
        else
            status = cli_out_file_commit(&file, err);
        cli_out_file_abandon(&file);
    }
    json_decref(doc);
    return status;
}

/* Appends copies of the messages that have the shape of one: what else a file's message holds is
 * not carried on. */
static rz_status copy_messages(json_t *to, const json_t *from, const char *path, rz_error *err)
{
    if (!json_is_array(from))
        return rz_fail(err, RZ_EFORMAT, "%s holds no array of messages", path);
    size_t n = json_array_size(from);
    if (n > CLI_MAX_MESSAGES)
        return rz_fail(err, RZ_EFORMAT, "%s holds %zu messages; the limit is %d", path, n,
                       CLI_MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(from, i), *content = json_object_get(m, "content");
        const char *role = role_of(m);
        bool known = !strcmp(role, "user") || !strcmp(role, "assistant") ||
                     (!strcmp(role, "system") && i == 0);
        if (!known)
            return rz_fail(err, RZ_EFORMAT,
                           "%s: message %zu has the role '%.32s'; user, assistant, and system in "
                           "the first are known",
                           path, i, role);
        if (!json_is_string(content))
            return rz_fail(err, RZ_EFORMAT, "%s: message %zu has no text as its content", path, i);
        RZ_TRY(cli_add_message(to, role, json_string_value(content), json_string_length(content),
                               err));
    }
    return RZ_OK;
}

rz_status cli_load_conversation(json_t **messages, const char *path, rz_error *err)
{
    struct rz_buf text;
    rz_buf_init(&text, CLI_MAX_INPUT);
    json_t *doc = NULL, *copy = json_array();
    rz_status status = copy ? RZ_OK : rz_fail_nomem(err, 0, "messages");
    if (!status)
        status = cli_read_input(path, &text, err);
    if (!status) {
        json_error_t why;
        doc = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
        if (!doc)
            status = rz_fail(err, RZ_EFORMAT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    }
    if (!status)
        status = copy_messages(copy, json_is_object(doc) ? json_object_get(doc, "messages") : doc,
                               path, err);
    if (!status) {
        json_decref(*messages);
        *messages = json_incref(copy);
    }
    json_decref(copy);
    json_decref(doc);
    rz_buf_fini(&text);
    return status;
}
