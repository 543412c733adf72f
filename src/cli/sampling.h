/* sampling.h - sampler and generation options of `run` and `chat`, and an answer as it streams. */
#ifndef RZ_CLI_SAMPLING_H
#define RZ_CLI_SAMPLING_H

#include "cli/load.h"

#include <realizar/generate.h>

struct cli_sampling_args {
    struct cli_uint max_tokens, top_k, repeat_last_n, seed;
    struct cli_float temperature, top_p, min_p, repeat_penalty, frequency_penalty, presence_penalty;
    struct cli_list logit_bias, stops;
};
extern const struct cli_option cli_sampling_options[];

enum {
    CLI_MAX_TOKENS = 512 /* of an answer, unless --max-tokens says otherwise */
};

/* What is in force, and whose word it is. */
struct cli_sampling {
    rz_sampler_options options; /* points into bias */
    rz_logit_bias bias[CLI_MAX_LIST];
    const char *source;
};

/* The model's own recommendation (its metadata, else the generation_config.json beside it), else
 * greedy; options given override. s must stay where it is. Errors: RZ_EUSAGE, RZ_EFORMAT. */
rz_status cli_sampling_resolve(struct cli_sampling *s, const struct cli_sampling_args *args,
                               const struct cli_loaded *l, rz_error *err);
void cli_describe_sampling(const struct cli_sampling *s);

/* Checks --stop and fills the fields that come from options. */
rz_status cli_generate_options(rz_generate_options *g, const struct cli_sampling_args *args,
                               rz_error *err);

/* Generates from the session, streaming to stdout if stream is set, until the end, a limit or
 * Ctrl-C. out is valid in every case: free with rz_generation_free. Errors: RZ_EIO (stdout), those
 * of rz_generate. Ctrl-C is not an error: out->finish is RZ_FINISH_CANCEL. */
rz_status cli_generate(const struct cli_loaded *l, rz_sampler *sampler,
                       const struct cli_sampling_args *args, bool stream, rz_generation *out,
                       rz_error *err);

/* "stopped at --max-tokens 512" and the like on stderr; nothing if the answer is complete. */
void cli_note_cut(const struct cli_loaded *l, const struct cli_sampling_args *args,
                  const rz_generation *g);

/* Generated tokens per second, the first not counted (its forward was the prompt's); 0 if unknown.
 */
double cli_generation_rate(const rz_generation *g);

#endif
