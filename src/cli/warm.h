/* warm.h - the command's side of the cache of prepacked copies (<realizar/warm_cache.h>): where it
 * is, for which models, and making a copy after the answer. */
#ifndef RZ_CLI_WARM_H
#define RZ_CLI_WARM_H

#include "cli/options.h"

#include <stdint.h>

struct cli_loaded;
struct cli_model_args;

/* Options of commands that start models for answers. */
struct cli_cache_args {
    const char *limit;
    bool no_cache, cache;
};
extern const struct cli_option cli_cache_options[];

/* $XDG_CACHE_HOME/apr/packed, or ~/.cache/...; malloc'ed. Errors: RZ_EUSAGE (no home). */
rz_status cli_warm_dir(char **dir, rz_error *err);

/* --cache-limit or text (NULL: the default), APR_CACHE_LIMIT, or 20 GB. Errors: RZ_EUSAGE. */
rz_status cli_warm_limit(const char *text, uint64_t *bytes, rz_error *err);

/* RZ_EUSAGE if the options contradict each other, or say something that would not happen. */
rz_status cli_check_cache(const struct cli_cache_args *a, const struct cli_model_args *model,
                          rz_error *err);

/* The copy of l->path, malloc'ed, or NULL: none, none wanted, or none for these options. Sets
 * l->keep_copy if one should be made. What fails is a note. */
char *cli_warm_find(struct cli_loaded *l, const struct cli_model_args *args);

/* A copy that cannot be opened: a note, and it is removed. */
void cli_warm_drop(const char *copy, const rz_error *why);

/* After the answer: closes the model and makes the copy if one is wanted. Who reads stdout through
 * a pipe need not wait. Ctrl-C ends it. What fails is a note. */
void cli_warm_keep(struct cli_loaded *l, bool quiet);

#endif
