/* model.h - a model that was found, from the inside. */
#ifndef RZ_HUB_MODEL_H
#define RZ_HUB_MODEL_H

#include "hub/select.h"

struct rz_model_file {
    rz_hub_file told; /* name and path are malloc'ed */
    char *partial;
    char git_sha1[RZ_HUB_COMMIT_MAX];
};

struct rz_hub_model {
    char *name; /* "org/repo" or the URL */
    char *path;
    char *store;    /* {cache_dir}/{org}--{repo}; NULL: not for the cache */
    char *revision; /* that was asked for; NULL: nothing to remember */
    char commit[RZ_HUB_COMMIT_MAX];
    char quant[RZ_HUB_QUANT_MAX];
    rz_hub_format format;
    struct rz_model_file *files;
    size_t n;
    struct rz_listing listing; /* to be kept beside the files */
    bool foreign;              /* in Hugging Face's cache */
};

/* Where the files of a model are. */
struct rz_place {
    const char *folder;  /* of this commit's files */
    const char *partial; /* folder of unfinished files; NULL: beside the file */
};

/* One of two makes the files of *out (zeroed, allocated by rz_model_new): a variant of a listing,
 * or the one file of a URL. Errors: RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_model_new(rz_hub_model **out, const char *name, rz_error *err);
RZ_MUST_USE rz_status rz_model_set_files(rz_hub_model *m, const struct rz_variant *v,
                                         const struct rz_listing *l, const struct rz_place *place,
                                         rz_error *err);
RZ_MUST_USE rz_status rz_model_set_url(rz_hub_model *m, const rz_hub_ref *ref,
                                       const struct rz_place *place, rz_error *err);

/* Looks again which files are there, and how much of them. */
void rz_model_look(rz_hub_model *m);

/* True if the file is there with this size. */
bool rz_is_present(const char *path, uint64_t size, uint64_t *n_bytes);

#endif
