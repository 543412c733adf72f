/* out_dir.c - writing a directory under a temporary name.
 *
 * Invariant: temporary is not NULL exactly while a directory of that name is ours to remove. An
 * existing directory is exchanged with the new one in one step (renameat2), so there is no moment
 * without either; what was there is removed after that, file by file, and only files of the kinds
 * that such a directory holds. */
#include "formats/out_dir.h"

#include "base/fail.h"
#include "formats/out_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_TEMPORARY_NAMES = 100
};

struct rz_out_dir {
    char *path, *temporary;
    bool replaces;
};

static bool is_ours(const char *name)
{
    static const char *const endings[] = {".safetensors", ".json", ".jinja"};
    size_t len = strlen(name);
    for (size_t i = 0; i < RZ_ARRAY_LEN(endings); i++) {
        size_t n = strlen(endings[i]);
        if (len > n && !strcmp(name + len - n, endings[i]))
            return true;
    }
    return strstr(name, ".part") != NULL;
}

/* Calls fn for each entry; stops at the first that it returns false for. */
static bool each(const char *path, bool (*fn)(int folder, const char *name, void *ctx), void *ctx)
{
    DIR *d = opendir(path);
    bool going = d != NULL;
    struct dirent *e;
    while (going && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            going = fn(dirfd(d), e->d_name, ctx);
    if (d)
        closedir(d);
    return going;
}

static bool check_entry(int folder, const char *name, void *ctx)
{
    struct stat st;
    bool fine = is_ours(name) && !fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) &&
                (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode));
    if (!fine)
        snprintf(ctx, 256, "%s", name);
    return fine;
}

static bool remove_entry(int folder, const char *name, void *ctx)
{
    (void)ctx;
    if (is_ours(name))
        unlinkat(folder, name, 0);
    return true;
}

static void remove_dir(const char *path)
{
    each(path, remove_entry, NULL);
    rmdir(path);
}

/* What has the name already. */
static rz_status check_place(struct rz_out_dir *d, rz_error *err)
{
    struct stat st;
    char stranger[256] = "";
    if (lstat(d->path, &st) != 0)
        return errno == ENOENT ? RZ_OK : rz_fail(err, RZ_EIO, "%s: %s", d->path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return rz_fail(err, RZ_EUSAGE,
                       "%s: exists and is no directory, which SafeTensors are written as", d->path);
    if (!each(d->path, check_entry, stranger))
        return rz_fail(err, RZ_EUSAGE,
                       "%s: a directory that holds %s, and only one that holds nothing but a model "
                       "is replaced",
                       d->path, *stranger ? stranger : "what cannot be read");
    d->replaces = true;
    return RZ_OK;
}

static rz_status make_temporary(struct rz_out_dir *d, rz_error *err)
{
    size_t size = strlen(d->path) + 40;
    char *name = malloc(size);
    if (!name)
        return rz_fail_nomem(err, size, "a file name");
    int failed = -1;
    for (int i = 0; i < MAX_TEMPORARY_NAMES && failed; i++) {
        snprintf(name, size, "%s.%ld-%d.part", d->path, (long)getpid(), i);
        failed = mkdir(name, 0777);
        if (failed && errno != EEXIST)
            break;
    }
    if (failed) {
        rz_status status = rz_fail(err, RZ_EIO, "%s: cannot create: %s", d->path, strerror(errno));
        free(name);
        return status;
    }
    d->temporary = name;
    return RZ_OK;
}

rz_status rz_out_dir_new(struct rz_out_dir **out, const char *path, rz_error *err)
{
    size_t len = strlen(path);
    struct rz_out_dir *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        return rz_fail_nomem(err, sizeof *d, "an output directory");
    while (len > 1 && path[len - 1] == '/')
        len--;
    d->path = strndup(path, len);
    rz_status status = d->path ? RZ_OK : rz_fail_nomem(err, len, "a file name");
    if (!status)
        status = check_place(d, err);
    if (!status)
        status = make_temporary(d, err);
    if (status)
        rz_out_dir_free(&d);
    *out = d;
    return status;
}

void rz_out_dir_free(struct rz_out_dir **dir)
{
    if (!dir || !*dir)
        return;
    if ((*dir)->temporary)
        remove_dir((*dir)->temporary);
    free((*dir)->temporary);
    free((*dir)->path);
    free(*dir);
    *dir = NULL;
}

rz_status rz_out_dir_file(struct rz_out_dir *dir, const char *name, struct rz_out_file **out,
                          rz_error *err)
{
    char *path;
    *out = NULL;
    if (asprintf(&path, "%s/%s", dir->temporary, name) < 0)
        return rz_fail_nomem(err, strlen(name), "a file name");
    rz_status status = rz_out_file_new(out, path, err);
    free(path);
    return status;
}

rz_status rz_out_dir_put(struct rz_out_dir *dir, const char *name, const void *data, size_t len,
                         rz_error *err)
{
    struct rz_out_file *f;
    RZ_TRY(rz_out_dir_file(dir, name, &f, err));
    rz_status status = rz_out_file_write(f, data, len, err);
    if (!status)
        status = rz_out_file_finish(f, err);
    rz_out_file_free(&f);
    return status;
}

rz_status rz_out_dir_finish(struct rz_out_dir *dir, rz_error *err)
{
    unsigned flags = dir->replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    int failed = renameat2(AT_FDCWD, dir->temporary, AT_FDCWD, dir->path, flags);
    if (failed && (errno == EINVAL || errno == ENOSYS)) {
        /* A file system without these: an instant in which the name means nothing. */
        if (dir->replaces)
            remove_dir(dir->path);
        failed = rename(dir->temporary, dir->path);
        dir->replaces = false;
    }
    if (failed)
        return rz_fail(err, RZ_EIO, "%s: cannot create: %s", dir->path, strerror(errno));
    if (dir->replaces)
        remove_dir(dir->temporary); /* now what was there before */
    free(dir->temporary);
    dir->temporary = NULL;
    return RZ_OK;
}
