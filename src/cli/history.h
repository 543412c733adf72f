/* history.h - where the lines of `apr chat` are remembered: a file that only its owner can read. */
#ifndef RZ_CLI_HISTORY_H
#define RZ_CLI_HISTORY_H

#include <stdbool.h>
#include <stdio.h>

enum {
    CLI_HISTORY_LINES = 1000
};

/* $XDG_STATE_HOME/apr/history, else ~/.local/state/apr/history; malloc'ed, NULL if there is no
 * home. */
char *cli_history_path(void);

/* Opens path's temporary neighbour for writing, mode 0600, making the folders; NULL on failure.
 * cli_history_finish closes it (NULL is allowed) and, if ok, gives it its name; false if the
 * history was not written. */
FILE *cli_history_create(const char *path);
bool cli_history_finish(const char *path, FILE *file, bool ok);

#endif
