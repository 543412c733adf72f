/* conversation.h - the messages of a chat: {"role", "content"} objects in a JSON array, as
 * templates and files take them. */
#ifndef RZ_CLI_CONVERSATION_H
#define RZ_CLI_CONVERSATION_H

#include <jansson.h>
#include <realizar/status.h>
#include <stdbool.h>

enum {
    CLI_MAX_MESSAGES = 10000
};

/* The system message's text, NULL if there is none; borrowed. */
const char *cli_system_of(const json_t *messages);
/* Sets, or with an empty text removes, the system message. Errors: RZ_ENOMEM, RZ_EFORMAT. */
rz_status cli_set_system(json_t *messages, const char *text, rz_error *err);

/* Whether the last message has this role. */
bool cli_last_is(const json_t *messages, const char *role);
/* Removes the last n messages. */
void cli_drop_last(json_t *messages, size_t n);

/* Writes {"model", "messages"} to a file, complete or not at all. Errors: RZ_EIO, RZ_ENOMEM. */
rz_status cli_save_conversation(const json_t *messages, const char *model, const char *path,
                                rz_error *err);
/* Reads such a file, or a bare array of messages. *messages is replaced only on success. Errors:
 * those of reading; RZ_EFORMAT: it is not JSON, or a message is not one. */
rz_status cli_load_conversation(json_t **messages, const char *path, rz_error *err);

#endif
