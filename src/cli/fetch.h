/* fetch.h - models by name: the environment's word about hub and caches, downloads with progress.
 */
#ifndef RZ_CLI_FETCH_H
#define RZ_CLI_FETCH_H

#include <realizar/hub.h>
#include <stdbool.h>

/* Nothing is downloaded: --offline was given, or HF_HUB_OFFLINE is set. */
void cli_set_offline(void);
bool cli_is_offline(void);

/* What the environment says; the strings are owned here. Start from {0}. */
struct cli_hub {
    rz_hub_options options;
    char *cache_dir, *hf_cache_dir, *token;
};

/* Reads HF_ENDPOINT, HF_TOKEN (or the file that `hf auth login` writes), HF_HOME, HF_HUB_CACHE,
 * XDG_CACHE_HOME, HOME, SSL_CERT_FILE. Errors: RZ_EUSAGE (no place for a cache), RZ_ENOMEM. */
rz_status cli_hub_init(struct cli_hub *hub, rz_error *err);
void cli_hub_fini(struct cli_hub *hub);

/* rz_hub_pull with a progress bar on a terminal, notes about retries unless quiet, and Ctrl-C.
 * *received (may be NULL): bytes over the network. */
rz_status cli_hub_pull(rz_hub_model *model, struct cli_hub *hub, bool quiet, uint64_t *received,
                       rz_error *err);

/* The path of the model that a reference means: from a cache, else downloaded (unless offline).
 * *path is malloc'ed. *downloaded: something came over the network. */
rz_status cli_fetch(char **path, const char *ref, bool quiet, bool *downloaded, rz_error *err);

/* $XDG_CACHE_HOME or ~/.cache, and what is behind it, malloc'ed. NULL: there is neither, or no
 * memory. */
char *cli_cache_folder(const char *behind);

#endif
