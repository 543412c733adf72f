/* listing.h - the files of one commit of a repository. */
#ifndef RZ_HUB_LISTING_H
#define RZ_HUB_LISTING_H

#include <realizar/hub.h>

enum {
    RZ_LISTING_MAX_BYTES = 16 << 20 /* of JSON */
};

struct rz_item {
    char *name; /* rz_name_is_file() */
    uint64_t size;
    char sha256[RZ_HUB_SHA256_MAX];   /* "": not told */
    char git_sha1[RZ_HUB_COMMIT_MAX]; /* "": not told, or it is of a pointer to the file */
};

/* Start from {0}. Items are sorted by name and have different names. */
struct rz_listing {
    char commit[RZ_HUB_COMMIT_MAX];
    struct rz_item *items;
    size_t n;
    size_t n_refused; /* files whose names may not become paths; they are left out */
};

void rz_listing_fini(struct rz_listing *l);

/* Parses the hub's answer to /api/models/{repo}/revision/{rev}?blobs=true: {"sha", "siblings":
 * [{"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}]}. what: its source, for the
 * sentence. Errors: RZ_EFORMAT, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_listing_parse(struct rz_listing *l, const char *data, size_t len,
                                       const char *what, rz_error *err);

/* The files that lie in a folder (no hashes; symbolic links to files count as files).
 * Errors: RZ_ENOTFOUND (no such folder), RZ_EIO, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_listing_scan(struct rz_listing *l, const char *folder, rz_error *err);

/* In the hub's form, to be parsed again. Errors: RZ_EIO, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_listing_save(const struct rz_listing *l, const char *path, rz_error *err);
RZ_MUST_USE rz_status rz_listing_load(struct rz_listing *l, const char *path, rz_error *err);

/* Index of a name; SIZE_MAX if there is none. */
size_t rz_listing_find(const struct rz_listing *l, const char *name);

#endif
