/* warm_cache.h - prepacked copies of models, so that the next start is quick: a folder of .apr
 * files named by what they were made from.
 *
 * DIR/KEY.apr is a copy; KEY is the SHA-256 of all bytes of the source's files and of the settings
 * that it was made with, so that it stands for exactly these. DIR/ID.ref says which key belongs to
 * files of certain names, sizes, times, inodes and devices: a source that did not change since is
 * found without reading it, and one that did is never mistaken for the old one. Hashing happens
 * only when a copy is made. A copy that breaks is found when it is opened, but not damage to its
 * weights on the disk.
 *
 * Writers take turns by a lock on DIR/lock; a copy gets its name when it is whole. Copies unused
 * for longest make room for new ones. Readers need no lock: a copy that is removed while it is
 * mapped stays until it is closed. All functions may be called from any thread. */
#ifndef REALIZAR_WARM_CACHE_H
#define REALIZAR_WARM_CACHE_H

#include <realizar/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whose copy, and made how. The strings are borrowed. */
typedef struct rz_warm_source {
    const char *dir;      /* of the cache; made when the first copy is */
    const char *path;     /* of the model: a file, or the folder of a Hugging Face model */
    const char *settings; /* anything else that the copy depends on */
} rz_warm_source;

/* The copy's path, malloc'ed and free()d by the caller, or NULL if there is none; the copy counts
 * as used now. Reads no file of the model. Errors: RZ_ENOMEM, RZ_EIO (the source cannot be looked
 * at).
 */
RZ_API RZ_MUST_USE rz_status rz_warm_find(char **copy, const rz_warm_source *source, rz_error *err);

/* A copy that is being made. */
typedef struct rz_warm_writer rz_warm_writer;

/* Begins a copy: takes the lock, reads the whole source for the key, and removes what would exceed
 * max_bytes together with a copy of the source's size. *writer NULL and RZ_OK: there is nothing to
 * do, because another process is at it, the copy exists, the source changed a moment ago, or it is
 * larger than max_bytes. Errors: RZ_EIO (no folder, no space ...), RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_warm_begin(rz_warm_writer **writer, const rz_warm_source *source,
                                           uint64_t max_bytes, rz_error *err);
/* Where the copy is to be put, whole, under a temporary name that ends in .part and then renamed.
 */
RZ_API const char *rz_warm_writer_path(const rz_warm_writer *writer);
/* It is there: from now on it is found. A source that changed meanwhile: the copy is removed,
 * RZ_OK. Errors: RZ_EIO, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_warm_end(rz_warm_writer *writer, rz_error *err);
/* Gives the lock back; without rz_warm_end before, nothing is found. Sets to NULL. */
RZ_API void rz_warm_writer_free(rz_warm_writer **writer);

typedef struct rz_warm_entry {
    char *path, *source; /* source "": it has changed or gone, the copy is not used any more */
    uint64_t n_bytes;
    int64_t used_s; /* Unix time of its last use */
} rz_warm_entry;

typedef struct rz_warm_entries {
    rz_warm_entry *items;
    size_t n;
    uint64_t n_bytes;
} rz_warm_entries;

/* The copies, last used first. A folder that is not there has none. Errors: RZ_EIO, RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_warm_list(rz_warm_entries *entries, const char *dir, rz_error *err);
RZ_API void rz_warm_entries_free(rz_warm_entries *entries);

/* Removes all copies, and what killed writers left. *n_bytes: freed. Errors: RZ_EIO (one is being
 * written, or the system refuses). */
RZ_API RZ_MUST_USE rz_status rz_warm_clear(const char *dir, uint64_t *n_bytes, rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
