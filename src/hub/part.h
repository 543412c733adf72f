/* part.h - one file on its way: a job of http.h that ends with a verified file under its name.
 *
 * The bytes grow in `partial`, which is locked while somebody works on it; beside it `etag` keeps
 * what the server called the version they are of. The target's name appears by rename, after size
 * and hash were found right and everything was synced. */
#ifndef RZ_HUB_PART_H
#define RZ_HUB_PART_H

#include "hub/digest.h"
#include "hub/http.h"

/* Set by the caller, zero but for: */
struct rz_part {
    const char *what;                 /* for sentences */
    char *target, *partial;           /* malloc'ed */
    char *etag_path;                  /* malloc'ed */
    uint64_t size;                    /* RZ_HUB_SIZE_UNKNOWN: not told */
    char sha256[RZ_HUB_SHA256_MAX];   /* "": not told; on return what was found */
    char git_sha1[RZ_HUB_COMMIT_MAX]; /* "": not told */
    bool force;                       /* a target that exists is replaced */
    bool (*tick)(void *user);         /* while hashing; false: stop */
    void *tick_user;
    /* The part's own. */
    int fd;           /* of partial, -1: closed */
    bool is_locked;   /* and the name is that of our file */
    uint64_t len;     /* bytes in partial that are hashed; the file's own length too */
    bool is_hashing;  /* digest has the first len bytes */
    bool was_resumed; /* some of the bytes are from an earlier run or another version */
    bool no_resume;   /* the server's ranges are of no use */
    bool done;
    bool unverified; /* done, and there was no hash to compare with */
    struct rz_digest digest;
    char etag[RZ_ETAG_MAX];
};

extern const struct rz_http_calls rz_part_calls;

void rz_part_init(struct rz_part *p);
void rz_part_fini(struct rz_part *p);

/* Whether the file at path is the one that size and hash tell (hashes it). */
RZ_MUST_USE rz_status rz_part_check(struct rz_part *p, const char *path, bool *same, rz_error *err);

#endif
