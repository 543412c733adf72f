/* out_temporary.c - names for files in the making, and an end to those that nobody makes any more.
 *
 * A file is made and then locked, and a cleaner that came between has removed it: so the maker
 * looks whether the name still means its file, and takes the next one if not. */
#include "formats/out_temporary.h"

#include "base/fail.h"
#include "formats/out_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_NAMES = 100
};

static int make(const char *name, bool directory)
{
    if (!directory)
        return open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (mkdir(name, 0777) != 0)
        return -1;
    return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool is_still(const char *name, int fd)
{
    struct stat by_name, by_fd;
    return !lstat(name, &by_name) && !fstat(fd, &by_fd) && by_name.st_dev == by_fd.st_dev &&
           by_name.st_ino == by_fd.st_ino;
}

rz_status rz_temporary_new(const char *path, bool directory, char **name, int *fd, rz_error *err)
{
    size_t size = strlen(path) + 40;
    *fd = -1;
    *name = malloc(size);
    if (!*name)
        return rz_fail_nomem(err, size, "a file name");
    for (int i = 0; i < MAX_NAMES; i++) {
        snprintf(*name, size, "%s.%ld-%d.part", path, (long)getpid(), i);
        *fd = make(*name, directory);
        if (*fd < 0 && errno != EEXIST && errno != ENOENT)
            break;
        /* Where there are no locks nobody cleans, and the file is ours. */
        if (*fd >= 0 && (flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
            is_still(*name, *fd))
            return RZ_OK;
        int e = errno;
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        errno = e;
    }
    rz_status status = rz_fail(err, RZ_EIO, "%s: cannot create: %s", path, strerror(errno));
    free(*name);
    *name = NULL;
    return status;
}

/* ---- cleaning ---- */

static const char *skip_digits(const char *p)
{
    return p + strspn(p, "0123456789");
}

/* "base.PID-N.part" */
static bool is_temporary(const char *name, const char *base)
{
    size_t len = strlen(base);
    if (strncmp(name, base, len) != 0 || name[len] != '.')
        return false;
    const char *pid = name + len + 1, *dash = skip_digits(pid);
    if (dash == pid || *dash != '-')
        return false;
    const char *end = skip_digits(dash + 1);
    return end > dash + 1 && strcmp(end, ".part") == 0;
}

static void clean_entry(int folder, const char *folder_path, const char *name)
{
    struct stat st;
    char path[4096];
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    int n = snprintf(path, sizeof path, "%s/%s", folder_path, name);
    if (n > 0 && (size_t)n < sizeof path && !fstat(fd, &st) && !flock(fd, LOCK_EX | LOCK_NB)) {
        if (S_ISDIR(st.st_mode))
            rz_out_dir_remove(path);
        else if (S_ISREG(st.st_mode))
            unlinkat(folder, name, 0);
    }
    close(fd);
}

void rz_temporary_clean(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder_path = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    DIR *folder = folder_path ? opendir(*folder_path ? folder_path : "/") : NULL;
    struct dirent *e;
    while (folder && (e = readdir(folder)) != NULL)
        if (is_temporary(e->d_name, slash ? slash + 1 : path))
            clean_entry(dirfd(folder), folder_path, e->d_name);
    if (folder)
        closedir(folder);
    free(folder_path);
}
