/* files.c - paths, small files, removal. Removal works relative to open folders and opens none
 * through a symbolic link, so that nothing outside the named tree can be reached. */
#include "hub/files.h"

#include "base/fail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TREE_LEVELS = 16
};

char *rz_path_join(const char *folder, const char *name)
{
    char *path;
    if (asprintf(&path, "%s%s%s", folder, *name ? "/" : "", name) < 0)
        return NULL;
    return path;
}

rz_status rz_make_parents(const char *path, rz_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return rz_fail_nomem(err, strlen(path), "a path");
    rz_status status = RZ_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && !status; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST) {
            int reason = errno;
            struct stat st;
            /* On a read-only file system mkdir says so before it sees that the folder is there. */
            if (stat(copy, &st) || !S_ISDIR(st.st_mode))
                status = rz_fail(err, RZ_EIO, "the folder %s cannot be made: %s", copy,
                                 strerror(reason));
        }
        *slash = '/';
    }
    free(copy);
    return status;
}

rz_status rz_file_read(const char *path, struct rz_buf *out, rz_error *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return rz_fail(err, errno == ENOENT || errno == ENOTDIR ? RZ_ENOTFOUND : RZ_EIO,
                       "%s cannot be opened: %s", path, strerror(errno));
    char part[8192];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        rz_buf_add(out, part, n);
    bool failed = ferror(f);
    fclose(f);
    if (failed)
        return rz_fail(err, RZ_EIO, "%s cannot be read", path);
    return out->failed ? rz_fail(err, RZ_EFORMAT, "%s is larger than %zu bytes", path, out->max)
                       : RZ_OK;
}

static rz_status sync_folder_of(const char *path, rz_error *err)
{
    char *folder = strdup(path);
    if (!folder)
        return rz_fail_nomem(err, strlen(path), "a path");
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    int fd = open(!slash ? "." : *folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems do not sync folders; the file itself has been synced. */
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
    return RZ_OK;
}

rz_status rz_rename_synced(const char *from, const char *to, rz_error *err)
{
    if (rename(from, to))
        return rz_fail(err, RZ_EIO, "%s cannot be renamed to %s: %s", from, to, strerror(errno));
    return sync_folder_of(to, err);
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

rz_status rz_file_replace(const char *path, const void *data, size_t len, rz_error *err)
{
    RZ_TRY(rz_make_parents(path, err));
    char *temp = NULL;
    static atomic_uint serial;
    if (asprintf(&temp, "%s.%ld-%u.new", path, (long)getpid(), atomic_fetch_add(&serial, 1)) < 0)
        return rz_fail_nomem(err, strlen(path), "a path");
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write_all(fd, data, len) && !fsync(fd);
    int reason = errno;
    if (fd >= 0 && close(fd))
        ok = false;
    rz_status status =
        ok ? rz_rename_synced(temp, path, err)
           : rz_fail(err, RZ_EIO, "%s cannot be written: %s", path, strerror(reason));
    if (status && fd >= 0)
        unlink(temp);
    free(temp);
    return status;
}

/* Empties the open folder (and closes it). False: errno says why. */
static bool empty_folder(int fd, int levels, bool dry_run, rz_hub_removed *removed)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return false;
    }
    bool ok = levels > 0;
    if (!ok)
        errno = ELOOP;
    for (const struct dirent *e; ok && (e = readdir(dir));) {
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        ok = !fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW);
        if (ok && S_ISDIR(st.st_mode)) {
            int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            ok = sub >= 0 && empty_folder(sub, levels - 1, dry_run, removed) &&
                 (dry_run || !unlinkat(fd, e->d_name, AT_REMOVEDIR));
        } else if (ok) {
            ok = dry_run || !unlinkat(fd, e->d_name, 0);
            removed->n_files += ok;
            /* A name of several of one file frees nothing. */
            removed->n_bytes += ok && st.st_nlink == 1 ? (uint64_t)st.st_size : 0;
        }
    }
    int reason = errno;
    closedir(dir);
    errno = reason;
    return ok;
}

rz_status rz_remove_tree(const char *path, bool dry_run, rz_hub_removed *removed, rz_error *err)
{
    struct stat st;
    if (lstat(path, &st)) {
        if (errno == ENOENT || errno == ENOTDIR)
            return RZ_OK;
        return rz_fail(err, RZ_EIO, "%s cannot be removed: %s", path, strerror(errno));
    }
    bool ok;
    if (S_ISDIR(st.st_mode)) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        ok =
            fd >= 0 && empty_folder(fd, TREE_LEVELS, dry_run, removed) && (dry_run || !rmdir(path));
    } else {
        ok = dry_run || !unlink(path);
        removed->n_files += ok;
        removed->n_bytes += ok && st.st_nlink == 1 ? (uint64_t)st.st_size : 0;
    }
    return ok ? RZ_OK : rz_fail(err, RZ_EIO, "%s cannot be removed: %s", path, strerror(errno));
}

uint64_t rz_tree_bytes(const char *path)
{
    rz_hub_removed counted = {0};
    rz_error ignored;
    return rz_remove_tree(path, true, &counted, &ignored) ? 0 : counted.n_bytes;
}
