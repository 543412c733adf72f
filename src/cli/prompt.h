/* prompt.h - from messages or plain text to the ids that the model is fed. */
#ifndef RZ_CLI_PROMPT_H
#define RZ_CLI_PROMPT_H

#include <jansson.h>
#include <realizar/model.h>

/* Appends {"role": role, "content": text} to the array messages. Errors: RZ_ENOMEM. The text must
 * be UTF-8. */
rz_status cli_add_message(json_t *messages, const char *role, const char *text, size_t len,
                          rz_error *err);

/* Renders the model's chat template with messages, add_generation_prompt, and the texts of its BOS
 * and EOS tokens, and appends the ids to ids. Special tokens written in the result count as such,
 * in the template's part and in the messages' (as Hugging Face's apply_chat_template does), and no
 * BOS is added: it is the template's business. Errors: those of rz_template_render and
 * rz_tokenizer_encode. */
rz_status cli_encode_chat(const rz_model *model, json_t *messages, rz_ids *ids, rz_error *err);

/* Appends the ids of plain text, after BOS if the model's file wants one. */
rz_status cli_encode_raw(const rz_model *model, const char *text, size_t len, bool special,
                         rz_ids *ids, rz_error *err);

/* The written form of the BOS or EOS token as JSON; "" if there is none. */
json_t *cli_token_text(const rz_tokenizer *tok, int32_t id);

/* The local wall clock, as rz_render_options wants it. */
int64_t cli_local_time(void);

#endif
