/* io.h - files that the user names: input read whole, output that is complete or absent. */
#ifndef RZ_CLI_IO_H
#define RZ_CLI_IO_H

#include "base/buf.h"

#include <realizar/status.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Appends the whole of a file, or of stdin if path is "-", to out. Errors: RZ_ENOTFOUND, RZ_EIO,
 * RZ_EUSAGE (more than out->max bytes). */
rz_status cli_read_input(const char *path, struct rz_buf *out, rz_error *err);

/* RZ_EFORMAT with the offset unless text is UTF-8. what: "the prompt". */
rz_status cli_check_utf8(const char *text, size_t len, const char *what, rz_error *err);

/* A file being written: it gets its name when it is complete. A path that exists and is not a
 * regular file (a device, a pipe) is written directly. */
struct cli_out_file {
    FILE *stream;
    char *path, *temp; /* temp: NULL when written directly */
};

/* RZ_EUSAGE if path is "-": what becomes a file only when it is complete cannot go to stdout. A
 * file of that name is "./-". */
rz_status cli_check_output(const char *path, rz_error *err);

/* The same, RZ_EUSAGE for what is no regular file, and RZ_EIO if nothing can be written under that
 * name: said before the work is done. */
rz_status cli_check_writable(const char *path, rz_error *err);
/* For a report, which may go to a device or a pipe: RZ_EINVALID if it would replace a model. path
 * NULL: nothing is checked. */
rz_status cli_check_report(const char *path, rz_error *err);

/* Whether both names are there and are the same file's. */
bool cli_same_file(const char *a, const char *b);

/* Errors: RZ_EINVALID (the file is there, and a model: no report replaces one), RZ_EIO, RZ_ENOMEM,
 * cli_check_output's. */
rz_status cli_out_file_open(struct cli_out_file *f, const char *path, rz_error *err);
/* Gives the file its name, closes it. On failure the file that had the name is as it was. */
rz_status cli_out_file_commit(struct cli_out_file *f, rz_error *err);
/* Closes and removes what was written; a no-op after commit. */
void cli_out_file_abandon(struct cli_out_file *f);

/* "4.4 MiB" in text, which is returned. */
enum {
    CLI_BYTES_MAX = 24
};
const char *cli_bytes(char text[CLI_BYTES_MAX], uint64_t bytes);

#endif
