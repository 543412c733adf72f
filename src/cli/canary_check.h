/* canary_check.h - a canary against the model of today. */
#ifndef RZ_CLI_CANARY_CHECK_H
#define RZ_CLI_CANARY_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct cli_canary_tolerance {
    double mean;  /* in recorded standard deviations */
    double std;   /* relative */
    double logit; /* absolute */
    bool exact;   /* a tensor whose checksum has changed fails */
};

enum {
    CLI_CANARY_TEXT_MAX = 320
};
/* Whether it passes; text says what was found. recorded and now: an entry of cli_canary_tensors;
 * one of them may be NULL: the tensor is missing, or new. */
bool cli_canary_check_tensor(const json_t *recorded, const json_t *now,
                             const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX]);

/* The same for the steps of a prompt (cli_canary_steps, now forced by recorded): logits within the
 * tolerance, and the same likeliest token wherever the recorded one led by more than twice that. */
bool cli_canary_check_logits(const json_t *recorded, const json_t *now,
                             const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX]);
bool cli_canary_check_tokens(const json_t *recorded, const json_t *now,
                             const struct cli_canary_tolerance *t, char text[CLI_CANARY_TEXT_MAX]);

#endif
