/* history.c - the file of remembered lines: XDG Base Directory Specification 0.8, "state". */
#include "cli/history.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *cli_history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n = -1;
    if (state && *state == '/')
        n = asprintf(&path, "%s/apr/history", state);
    else if (home && *home == '/')
        n = asprintf(&path, "%s/.local/state/apr/history", home);
    return n < 0 ? NULL : path;
}

/* Makes the folders above path that are missing. */
static bool make_folders(const char *path)
{
    char folder[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof folder)
        return false;
    memcpy(folder, path, len + 1);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return true;
}

static bool temporary_name(char name[PATH_MAX], const char *path)
{
    int n = snprintf(name, PATH_MAX, "%s.%ld", path, (long)getpid());
    return n > 0 && n < PATH_MAX;
}

FILE *cli_history_create(const char *path)
{
    char name[PATH_MAX];
    if (!make_folders(path) || !temporary_name(name, path))
        return NULL;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    FILE *file = fdopen(fd, "w");
    if (!file)
        close(fd);
    return file;
}

bool cli_history_finish(const char *path, FILE *file, bool ok)
{
    char name[PATH_MAX];
    if (!file)
        return false;
    if (fflush(file) || ferror(file))
        ok = false;
    if (fclose(file))
        ok = false;
    if (!temporary_name(name, path))
        return false;
    if (ok && !rename(name, path))
        return true;
    unlink(name);
    return false;
}
