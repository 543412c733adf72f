/* files.h - the few things that the hub does with files and folders. */
#ifndef RZ_HUB_FILES_H
#define RZ_HUB_FILES_H

#include "base/buf.h"

#include <realizar/hub.h>

/* folder/name, malloc'ed; name "" is the folder. NULL: no memory. */
char *rz_path_join(const char *folder, const char *name);

/* Makes the folders above path (mkdir -p of its dirname). Errors: RZ_EIO. */
RZ_MUST_USE rz_status rz_make_parents(const char *path, rz_error *err);

/* The whole of a small file, appended. Errors: RZ_ENOTFOUND, RZ_EIO, RZ_EFORMAT (above out->max).*/
RZ_MUST_USE rz_status rz_file_read(const char *path, struct rz_buf *out, rz_error *err);

/* Writes a file beside its place and renames it there, making folders above. Errors: RZ_EIO. */
RZ_MUST_USE rz_status rz_file_replace(const char *path, const void *data, size_t len,
                                      rz_error *err);

/* rename() that is on the disk when it returns. Errors: RZ_EIO. */
RZ_MUST_USE rz_status rz_rename_synced(const char *from, const char *to, rz_error *err);

/* Removes a file, or a folder with all that is in it, without following symbolic links; counts what
 * it removes. dry_run: only counts. Nothing there: RZ_OK. Errors: RZ_EIO. */
RZ_MUST_USE rz_status rz_remove_tree(const char *path, bool dry_run, rz_hub_removed *removed,
                                     rz_error *err);

/* Bytes of files in a folder. 0 if there is none. */
uint64_t rz_tree_bytes(const char *path);

#endif
