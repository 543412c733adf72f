/* canary_doc.h - what a canary file holds: statistics of every tensor, and what the model says to a
 * few prompts. */
#ifndef RZ_CLI_CANARY_DOC_H
#define RZ_CLI_CANARY_DOC_H

#include "cli/load.h"

#include <jansson.h>
#include <realizar/tensor_stats.h>

enum {
    CLI_CANARY_VERSION = 1,
    CLI_CANARY_TOP = 5,          /* likeliest tokens kept of each step */
    CLI_CANARY_MAX_PROMPTS = 64, /* lines of --input */
    CLI_CANARY_MAX_STEPS = 256
};

/* {"name": {"dtype", "shape", "count", "mean", ...}} of all tensors; NULL with err on failure. */
json_t *cli_canary_tensors(const rz_file *file, rz_tensor_scan *scan, rz_error *err);

/* Feeds the ids of one prompt, then n_steps tokens: forced's if not NULL, else the likeliest.
 * Returns [{"token", "top": [{"id", "logit"}]}], one per step: the token that is likeliest there
 * and the logits it was chosen by. extra: ids whose logits are wanted too, per step, or NULL. */
struct cli_canary_run {
    const struct cli_loaded *l;
    const int32_t *ids;
    size_t n_ids, n_steps;
    const json_t *forced; /* the same array of an earlier run, or NULL */
};
json_t *cli_canary_steps(const struct cli_canary_run *run, rz_error *err);

#endif
