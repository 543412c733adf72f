/* warm_source.h - a model's files as the cache of prepacked copies sees them. */
#ifndef RZ_HUB_WARM_SOURCE_H
#define RZ_HUB_WARM_SOURCE_H

#include "hub/digest.h"

#include <realizar/warm_cache.h>
#include <sys/stat.h>

enum {
    RZ_WARM_HEX = 32, /* digits of keys and ids: 128 bits of a SHA-256 */
    RZ_WARM_MAX_FILES = 4096
};

struct rz_warm_file {
    char *path;
    struct stat st;
};

/* Start from {0}. */
struct rz_warm_files {
    struct rz_warm_file *items; /* sorted by path */
    size_t n, cap;
    uint64_t n_bytes;
};

/* The files that a model at path may be read from: itself and the other parts of a split one; of a
 * Hugging Face model all .safetensors, .json and .jinja of its folder. Errors: RZ_EIO, RZ_ENOMEM.
 */
RZ_MUST_USE rz_status rz_warm_files_scan(struct rz_warm_files *f, const char *path, rz_error *err);
void rz_warm_files_fini(struct rz_warm_files *f);

/* Was one of them changed so lately that a change after this look might leave the same times? */
bool rz_warm_files_are_fresh(const struct rz_warm_files *f);

/* By what the system says of the files, and by what they hold. */
RZ_MUST_USE rz_status rz_warm_id(const struct rz_warm_files *f, const rz_warm_source *source,
                                 char id[RZ_WARM_HEX + 1], rz_error *err);
RZ_MUST_USE rz_status rz_warm_key(const struct rz_warm_files *f, const rz_warm_source *source,
                                  char key[RZ_WARM_HEX + 1], rz_error *err);

#endif
