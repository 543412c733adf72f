/* cache.h - where things lie in the cache: {store}/{commit}/{file}, {store}/listings/{commit}.json,
 * {store}/refs/{revision}, {store}/partial/{hash}.partial, {store}/url, with {store} =
 * {cache_dir}/{org}--{repo} or {cache_dir}/url+{hash}. */
#ifndef RZ_HUB_CACHE_H
#define RZ_HUB_CACHE_H

#include "hub/model.h"

#define RZ_CACHE_REPO_MARK  "--"
#define RZ_CACHE_URL_MARK   "url+"
#define RZ_CACHE_URL_COMMIT "0"
#define RZ_DEFAULT_REVISION "main"

/* All malloc'ed; NULL: no memory. */
char *rz_cache_store(const char *cache_dir, const rz_hub_ref *ref);
char *rz_cache_listing(const char *store, const char *commit);
char *rz_cache_ref(const char *store, const char *revision);

/* The commit that a revision stood for when it was last complete. Errors: RZ_ENOTFOUND, ... */
RZ_MUST_USE rz_status rz_cache_commit(const char *store, const char *revision,
                                      char commit[RZ_HUB_COMMIT_MAX], rz_error *err);

/* The names in a folder, sorted; NULL-terminated. None if there is no such folder. */
RZ_MUST_USE rz_status rz_names_in(char ***out, const char *folder, rz_error *err);
void rz_names_free(char **names);

/* True if all files of the variant lie under folder with the listing's sizes. */
bool rz_variant_is_present(const struct rz_variant *v, const struct rz_listing *l,
                           const char *folder);

/* Hugging Face's: {hf_cache_dir}/models--{org}--{repo}. */
char *rz_hf_store(const char *hf_cache_dir, const char *repo);
/* A model of a snapshot that apr could open: with SafeTensors the tokenizer must be there. */
bool rz_hf_variant_is_usable(const struct rz_variant *v, const struct rz_listing *l);

/* "org/repo" from "org--repo"; false if it is none. */
bool rz_cache_repo_name(const char *folder, char repo[RZ_HUB_NAME_MAX]);

#endif
