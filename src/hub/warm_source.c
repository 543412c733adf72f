/* warm_source.c - which files a model is read from, and their two names: an id from what the system
 * says of them (cheap, for finding), a key from all their bytes (for what a copy stands for).
 * Invariant: a model that reads other bytes has another key, and another id unless device, inode,
 * size and both times are the same, which needs a change within the clock's step: see
 * rz_warm_files_are_fresh. */
#include "hub/warm_source.h"

#include "base/fail.h"
#include "hub/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 20,
    FRESH_MS = 50,          /* above the step of any clock that stamps nanoseconds */
    COARSE_FRESH_MS = 3000, /* where whole seconds are stamped, or two */
    ID_TEXT_MAX = 256
};

void rz_warm_files_fini(struct rz_warm_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->items[i].path);
    free(f->items);
    *f = (struct rz_warm_files){0};
}

static bool ends_in(const char *name, const char *ending)
{
    size_t len = strlen(name), n = strlen(ending);
    return len > n && strcmp(name + len - n, ending) == 0;
}

static bool is_of_hf(const char *name)
{
    return ends_in(name, ".safetensors") || ends_in(name, ".json") || ends_in(name, ".jinja");
}

/* Takes path over. */
static rz_status add(struct rz_warm_files *f, char *path, rz_error *err)
{
    struct stat st;
    if (!path)
        return rz_fail_nomem(err, 0, "a path");
    if (stat(path, &st)) {
        rz_status status = rz_fail(err, RZ_EIO, "%s: %s", path, strerror(errno));
        free(path);
        return status;
    }
    if (!S_ISREG(st.st_mode)) {
        free(path);
        return RZ_OK;
    }
    if (f->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 16;
        struct rz_warm_file *items = realloc(f->items, cap * sizeof *items);
        if (!items || f->n >= RZ_WARM_MAX_FILES) {
            free(path);
            f->items = items ? items : f->items;
            return items ? rz_fail(err, RZ_EIO, "more than %d files", RZ_WARM_MAX_FILES)
                         : rz_fail_nomem(err, cap * sizeof *items, "a model's files");
        }
        f->items = items;
        f->cap = cap;
    }
    f->items[f->n++] = (struct rz_warm_file){.path = path, .st = st};
    f->n_bytes += (uint64_t)st.st_size;
    return RZ_OK;
}

/* Files of folder: those of a Hugging Face model, or (prefix not NULL) those that begin so. */
static rz_status add_folder(struct rz_warm_files *f, const char *folder, const char *prefix,
                            rz_error *err)
{
    DIR *d = opendir(folder);
    if (!d)
        return rz_fail(err, RZ_EIO, "%s: %s", folder, strerror(errno));
    rz_status status = RZ_OK;
    for (struct dirent *e; !status && (e = readdir(d));)
        if (prefix ? strncmp(e->d_name, prefix, strlen(prefix)) == 0 : is_of_hf(e->d_name))
            status = add(f, rz_path_join(folder, e->d_name), err);
    closedir(d);
    return status;
}

static int by_path(const void *a, const void *b)
{
    const struct rz_warm_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

/* "NAME-00001-of-00003.gguf" cut behind NAME; false: no part of a split file. */
static bool cut_part(char *name)
{
    char *of = strstr(name, "-of-");
    if (!of || of - name < 6 || of[-6] != '-')
        return false;
    of[-5] = '\0';
    return true;
}

rz_status rz_warm_files_scan(struct rz_warm_files *f, const char *path, rz_error *err)
{
    struct stat st;
    if (stat(path, &st))
        return rz_fail(err, RZ_EIO, "%s: %s", path, strerror(errno));
    const char *slash = strrchr(path, '/');
    char *name = strdup(slash ? slash + 1 : path);
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    rz_status status = RZ_OK;
    if (!name || !folder)
        status = rz_fail_nomem(err, strlen(path), "a path");
    else if (S_ISDIR(st.st_mode))
        status = add_folder(f, path, NULL, err);
    else if (is_of_hf(name))
        status = add_folder(f, folder, NULL, err);
    else if (cut_part(name))
        status = add_folder(f, folder, name, err);
    else
        status = add(f, strdup(path), err);
    free(name);
    free(folder);
    if (f->n > 1)
        qsort(f->items, f->n, sizeof *f->items, by_path);
    return status;
}

static int64_t age_ms(struct timespec now, struct timespec then)
{
    return ((int64_t)now.tv_sec - then.tv_sec) * 1000 + (now.tv_nsec - then.tv_nsec) / 1000000;
}

bool rz_warm_files_are_fresh(const struct rz_warm_files *f)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return true;
    for (size_t i = 0; i < f->n; i++) {
        const struct timespec changed = f->items[i].st.st_ctim;
        int64_t age = age_ms(now, changed);
        if (age < (changed.tv_nsec ? FRESH_MS : COARSE_FRESH_MS))
            return true;
    }
    return false;
}

/* ---- names ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static rz_status add_text(struct rz_digest *d, const char *text, rz_error *err)
{
    return rz_digest_add(d, text, strlen(text) + 1, err);
}

/* The settings, and which of a folder's files was asked for. */
static rz_status start(struct rz_digest *d, const rz_warm_source *source, rz_error *err)
{
    struct stat st;
    bool folder = !stat(source->path, &st) && S_ISDIR(st.st_mode);
    RZ_TRY(rz_digest_start(d, RZ_DIGEST_SHA256, 0, err));
    RZ_TRY(add_text(d, source->settings, err));
    return add_text(d, folder ? "" : base_name(source->path), err);
}

static rz_status end(struct rz_digest *d, rz_status status, char out[RZ_WARM_HEX + 1],
                     rz_error *err)
{
    char hex[RZ_HUB_SHA256_MAX];
    if (!status)
        status = rz_digest_end(d, hex, err);
    rz_digest_fini(d);
    if (!status)
        snprintf(out, RZ_WARM_HEX + 1, "%.*s", RZ_WARM_HEX, hex);
    return status;
}

rz_status rz_warm_id(const struct rz_warm_files *f, const rz_warm_source *source,
                     char id[RZ_WARM_HEX + 1], rz_error *err)
{
    struct rz_digest d = {0};
    rz_status status = start(&d, source, err);
    for (size_t i = 0; !status && i < f->n; i++) {
        const struct stat *st = &f->items[i].st;
        char text[ID_TEXT_MAX];
        snprintf(text, sizeof text, "%llu %llu %llu %lld.%09ld %lld.%09ld",
                 (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
                 (unsigned long long)st->st_size, (long long)st->st_mtim.tv_sec,
                 st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
        status = add_text(&d, base_name(f->items[i].path), err);
        if (!status)
            status = add_text(&d, text, err);
    }
    return end(&d, status, id, err);
}

static rz_status add_bytes(struct rz_digest *d, const struct rz_warm_file *file, void *buffer,
                           rz_error *err)
{
    char size[32];
    snprintf(size, sizeof size, "%llu", (unsigned long long)file->st.st_size);
    RZ_TRY(add_text(d, base_name(file->path), err));
    RZ_TRY(add_text(d, size, err));
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rz_fail(err, RZ_EIO, "%s: %s", file->path, strerror(errno));
    rz_status status = RZ_OK;
    ssize_t n = 1;
    while (!status && n > 0) {
        n = read(fd, buffer, READ_BYTES);
        if (n < 0 && errno != EINTR)
            status = rz_fail(err, RZ_EIO, "%s: %s", file->path, strerror(errno));
        else if (n > 0)
            status = rz_digest_add(d, buffer, (size_t)n, err);
        else if (n < 0)
            n = 1;
    }
    close(fd);
    return status;
}

rz_status rz_warm_key(const struct rz_warm_files *f, const rz_warm_source *source,
                      char key[RZ_WARM_HEX + 1], rz_error *err)
{
    struct rz_digest d = {0};
    void *buffer = malloc(READ_BYTES);
    rz_status status = buffer ? start(&d, source, err) : rz_fail_nomem(err, READ_BYTES, "a file");
    for (size_t i = 0; !status && i < f->n; i++)
        status = add_bytes(&d, &f->items[i], buffer, err);
    free(buffer);
    return end(&d, status, key, err);
}
