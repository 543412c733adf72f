/* out_dir.c - writing a directory under a temporary name.
 *
 * Invariant: temporary is not NULL exactly while a directory of that name is ours to remove. An
 * existing directory is exchanged with the new one in one step (renameat2), so there is no moment
 * without either; what was there is removed after that, file by file, and only files whose names
 * such a directory has. */
#include "formats/out_dir.h"

#include "base/fail.h"
#include "formats/out_file.h"
#include "formats/out_temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rz_out_dir {
    char *path, *temporary;
    int fd; /* the temporary directory, locked; -1: none */
    bool replaces;
};

/* "model.safetensors", "model-00001-of-00002.safetensors". */
static bool is_weights(const char *name)
{
    static const char pattern[] = "model-#####-of-#####.safetensors";
    if (!strcmp(name, "model.safetensors"))
        return true;
    for (size_t i = 0; i < sizeof pattern; i++)
        if (pattern[i] == '#' ? name[i] < '0' || name[i] > '9' : name[i] != pattern[i])
            return false;
    return true;
}

/* By whole names: a folder of somebody's other JSON files must never look like a model. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.json",
                                        "chat_template.jinja",
                                        "model.safetensors.index.json"};
    size_t len = strlen(name);
    for (size_t i = 0; i < RZ_ARRAY_LEN(names); i++)
        if (!strcmp(name, names[i]))
            return true;
    /* A file that a killed process was writing (out_file.c). */
    return is_weights(name) || (len > 5 && !strcmp(name + len - 5, ".part"));
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

void rz_out_dir_remove(const char *path)
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

rz_status rz_out_dir_new(struct rz_out_dir **out, const char *path, rz_error *err)
{
    size_t len = strlen(path);
    struct rz_out_dir *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        return rz_fail_nomem(err, sizeof *d, "an output directory");
    d->fd = -1;
    while (len > 1 && path[len - 1] == '/')
        len--;
    d->path = strndup(path, len);
    rz_status status = d->path ? RZ_OK : rz_fail_nomem(err, len, "a file name");
    if (!status)
        status = check_place(d, err);
    if (!status) {
        rz_temporary_clean(d->path);
        status = rz_temporary_new(d->path, true, &d->temporary, &d->fd, err);
    }
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
        rz_out_dir_remove((*dir)->temporary);
    if ((*dir)->fd >= 0)
        close((*dir)->fd);
    free((*dir)->temporary);
    free((*dir)->path);
    free(*dir);
    *dir = NULL;
}

const char *rz_out_dir_temporary(const struct rz_out_dir *dir)
{
    return dir->temporary;
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

/* For a file system without renameat2's flags: what was there steps aside, and back if the new one
 * cannot take its name. In between the name means nothing for an instant. */
static bool replace_in_steps(struct rz_out_dir *dir)
{
    char *aside = NULL;
    if (asprintf(&aside, "%s.old.part", dir->temporary) < 0)
        return false;
    bool done = false;
    if (!dir->replaces || !rename(dir->path, aside)) {
        done = !rename(dir->temporary, dir->path);
        int reason = errno;
        if (!done && dir->replaces)
            (void)!rename(aside, dir->path);
        errno = reason;
    }
    if (done && dir->replaces)
        rz_out_dir_remove(aside);
    dir->replaces = dir->replaces && !done;
    free(aside);
    return done;
}

rz_status rz_out_dir_finish(struct rz_out_dir *dir, rz_error *err)
{
    unsigned flags = dir->replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    bool done = !renameat2(AT_FDCWD, dir->temporary, AT_FDCWD, dir->path, flags);
    if (!done && (errno == EINVAL || errno == ENOSYS))
        done = replace_in_steps(dir);
    if (!done)
        return rz_fail(err, RZ_EIO, "%s: cannot create: %s", dir->path, strerror(errno));
    if (dir->replaces)
        rz_out_dir_remove(dir->temporary); /* now what was there before */
    free(dir->temporary);
    dir->temporary = NULL;
    return RZ_OK;
}
