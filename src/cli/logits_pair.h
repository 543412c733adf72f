/* logits_pair.h - what two models say to the same tokens. */
#ifndef RZ_CLI_LOGITS_PAIR_H
#define RZ_CLI_LOGITS_PAIR_H

#include "cli/load.h"

#include <realizar/tokenizer.h>

struct cli_logits_position {
    int32_t top_a, top_b; /* likeliest token after this position */
    double worst, kl;     /* largest |a - b|; KL divergence of b from a, nats */
};

struct cli_logits_pair {
    struct cli_logits_position *positions; /* [n] */
    size_t n;
    double worst, mean_kl;
    size_t n_same_top;
};

struct cli_logits_question {
    const char *path_a, *path_b, *prompt;
    size_t max_tokens; /* of a's greedy answer */
    struct cli_model_args model;
};

/* Feeds prompt and a's answer to both, one after the other: only one model is loaded at a time. ids
 * gets the tokens. fini in any case. Errors: those of loading; RZ_EINVALID (vocabularies of
 * different sizes, or the prompt has other tokens in b); RZ_EINFER. */
rz_status cli_logits_pair(struct cli_logits_pair *out, const struct cli_logits_question *q,
                          rz_ids *ids, rz_error *err);
void cli_logits_pair_fini(struct cli_logits_pair *pair);

#endif
