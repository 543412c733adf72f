/* load.h - from the MODEL argument and its options to a session that can be fed. */
#ifndef RZ_CLI_LOAD_H
#define RZ_CLI_LOAD_H

#include "cli/options.h"
#include "cli/warm.h"

#include <realizar/engine.h>

/* Options of every command that computes with a model. */
struct cli_model_args {
    struct cli_uint threads;
    const char *cpu_level;
    bool gpu, no_gpu, no_packing;
};
extern const struct cli_option cli_model_options[];

/* Options of every command that keeps a sequence. */
struct cli_engine_args {
    struct cli_uint ctx;
    const char *kv;
};
extern const struct cli_option cli_engine_options[];

/* The file that a MODEL argument means: a path, the alias "demo", or a name that is looked for in
 * the caches and downloaded if it is in none. *path is malloc'ed. Errors: RZ_ENOTFOUND, RZ_EIO,
 * RZ_ENOMEM, those of rz_hub_pull. */
rz_status cli_model_path(char **path, const char *operand, rz_error *err);

/* Start from {0}, and set cache if copies are used. */
struct cli_loaded {
    rz_model *model;
    rz_engine *engine;
    rz_session *session;
    char *path;
    const struct cli_cache_args *cache; /* of a command that keeps prepacked copies; else NULL */
    char *copy;                         /* the one in use; NULL: none */
    bool keep_copy;                     /* one should be made after the answer */
    bool downloaded;                    /* it was not on this machine before */
    double load_s;                      /* everything below cli_load */
};

/* Opens the model; with engine_args also makes an engine and a session. Shows a spinner unless
 * quiet. What was loaded is released by cli_unload, on failure too. */
rz_status cli_load(struct cli_loaded *l, const char *operand, const struct cli_model_args *args,
                   const struct cli_engine_args *engine_args, bool quiet, rz_error *err);
void cli_unload(struct cli_loaded *l);

/* Makes the session's sequence ids[0..n), keeping what it has of it (*n_reused, may be NULL).
 * Ctrl-C is looked for between parts. Errors: RZ_EINFER (the context is too small: nothing is fed;
 * or the forward failed), RZ_ECANCEL (err untouched). */
rz_status cli_feed(const struct cli_loaded *l, const rz_ids *ids, size_t *n_reused, rz_error *err);

/* The part of cli_feed that looks whether n tokens fit. Errors: RZ_EINFER, with both numbers. */
rz_status cli_check_context(const struct cli_loaded *l, size_t n, rz_error *err);

/* What --verbose says about a loaded model, on stderr. */
void cli_describe(const struct cli_loaded *l);
void cli_describe_memory(const struct cli_loaded *l);

#endif
