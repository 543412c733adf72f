/* out_dir.h - a directory that appears under its name only when it is whole; the mirror of
 * out_file.h for models of several files. One thread. */
#ifndef RZ_FORMATS_OUT_DIR_H
#define RZ_FORMATS_OUT_DIR_H

#include <realizar/status.h>
#include <stddef.h>

struct rz_out_dir;
struct rz_out_file;

/* Makes PATH.PID-N.part. path may exist as a directory that holds nothing but .safetensors, .json
 * and .jinja files, which finish replaces as a whole. Errors: RZ_EIO, RZ_ENOMEM; RZ_EUSAGE when
 * path is anything else. */
RZ_MUST_USE rz_status rz_out_dir_new(struct rz_out_dir **out, const char *path, rz_error *err);

/* Removes what finish did not give its name. */
void rz_out_dir_free(struct rz_out_dir **dir);

/* Where it lies until it is finished. */
const char *rz_out_dir_temporary(const struct rz_out_dir *dir);

/* A file in it, for the caller to write, finish and free. */
RZ_MUST_USE rz_status rz_out_dir_file(struct rz_out_dir *dir, const char *name,
                                      struct rz_out_file **out, rz_error *err);
/* A whole file in it. */
RZ_MUST_USE rz_status rz_out_dir_put(struct rz_out_dir *dir, const char *name, const void *data,
                                     size_t len, rz_error *err);

/* Removes the files of the kinds above from a directory, and the directory if nothing is left. */
void rz_out_dir_remove(const char *path);

/* Gives the directory its name. */
RZ_MUST_USE rz_status rz_out_dir_finish(struct rz_out_dir *dir, rz_error *err);

#endif
