/* out_temporary.h - the temporary names of files and directories in the making: NAME.PID-N.part.
 *
 * Whoever writes one holds a lock on it (flock), which the kernel drops when the process ends in
 * any way; so what has such a name and no lock was left by a process that was killed, and the next
 * that makes NAME removes it. One thread. */
#ifndef RZ_FORMATS_OUT_TEMPORARY_H
#define RZ_FORMATS_OUT_TEMPORARY_H

#include <realizar/status.h>
#include <stdbool.h>

/* A new regular file or directory beside path, locked. *fd: open for writing, or the directory;
 * closing it gives up the lock. *name: the caller's to free. Errors: RZ_EIO, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_temporary_new(const char *path, bool directory, char **name, int *fd,
                                       rz_error *err);

/* Removes what killed processes left beside path. Whatever hinders it is passed over: it is in
 * nobody's way but the disk's. */
void rz_temporary_clean(const char *path);

#endif
