/* out_file.h - a file that appears under its name only when it is whole.
 *
 * It is written under a temporary name in the same folder, NAME.PID-N.part; finish brings it to the
 * disk and renames it over NAME, which is atomic. A process killed half-way leaves NAME as it was
 * and the part file, which the next that writes NAME removes; free before finish removes the part
 * file too. One thread. */
#ifndef RZ_FORMATS_OUT_FILE_H
#define RZ_FORMATS_OUT_FILE_H

#include <realizar/status.h>
#include <stddef.h>
#include <stdint.h>

struct rz_out_file;

/* path may exist as a regular file, which finish replaces. Errors: RZ_EIO, RZ_ENOMEM; RZ_EUSAGE
 * when path is something else than a regular file. */
RZ_MUST_USE rz_status rz_out_file_new(struct rz_out_file **out, const char *path, rz_error *err);
void rz_out_file_free(struct rz_out_file **f);

/* The path as it was given. Borrowed. */
const char *rz_out_file_path(const struct rz_out_file *f);

/* Reserves space, so that a full disk shows before the work is done; not where the file system
 * cannot. What stays unwritten of it is cut off by finish. */
RZ_MUST_USE rz_status rz_out_file_reserve(struct rz_out_file *f, uint64_t bytes, rz_error *err);

/* Appends; zeros, n of them. */
RZ_MUST_USE rz_status rz_out_file_write(struct rz_out_file *f, const void *data, size_t len,
                                        rz_error *err);
RZ_MUST_USE rz_status rz_out_file_zeros(struct rz_out_file *f, size_t n, rz_error *err);

/* Bytes appended so far. */
uint64_t rz_out_file_bytes(const struct rz_out_file *f);

/* Overwrites bytes that have been appended, such as a header whose sizes come last. */
RZ_MUST_USE rz_status rz_out_file_patch(struct rz_out_file *f, uint64_t at, const void *data,
                                        size_t len, rz_error *err);

/* Brings the file to the disk under its temporary name, where it can be read; nothing is written
 * after that. finish does it where it has not been done. After a failure there is no file. */
RZ_MUST_USE rz_status rz_out_file_seal(struct rz_out_file *f, rz_error *err);
const char *rz_out_file_temporary(const struct rz_out_file *f);

/* Gives the file its name. After a failure there is none. */
RZ_MUST_USE rz_status rz_out_file_finish(struct rz_out_file *f, rz_error *err);

#endif
