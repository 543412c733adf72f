/* warm_cache.c - a folder of prepacked copies: DIR/KEY.apr, DIR/ID.ref ("KEY\nSOURCE\n") and
 * DIR/lock.
 *
 * Invariant: whoever changes the folder holds the lock, but for using a copy (its time is set) and
 * removing one that cannot be opened. A .ref is written after its .apr has its name, so a copy that
 * is found is whole. */
#include "base/fail.h"
#include "hub/files.h"
#include "hub/warm_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REF_MAX_BYTES = PATH_MAX + RZ_WARM_HEX + 2,
    NAME_MAX_BYTES = RZ_WARM_HEX + 8
};

struct rz_warm_writer {
    rz_warm_source source; /* dir, path and settings are owned */
    struct rz_warm_files files;
    char id[RZ_WARM_HEX + 1], key[RZ_WARM_HEX + 1];
    char *path; /* of the copy */
    int lock;
};

/* DIR/NAME.ENDING */
static char *entry_path(const char *dir, const char *name, const char *ending)
{
    char file[NAME_MAX_BYTES];
    snprintf(file, sizeof file, "%s%s", name, ending);
    return rz_path_join(dir, file);
}

static bool is_hex_name(const char *name, const char *ending)
{
    size_t n = strspn(name, "0123456789abcdef");
    return n == RZ_WARM_HEX && strcmp(name + n, ending) == 0;
}

/* ---- refs ---- */

struct ref {
    char key[RZ_WARM_HEX + 1];
    char source[PATH_MAX];
};

/* False: it is not there, or not one. */
static bool read_ref(const char *path, struct ref *ref)
{
    struct rz_buf text;
    rz_error ignored;
    rz_buf_init(&text, REF_MAX_BYTES);
    bool fine = !rz_file_read(path, &text, &ignored) && rz_buf_char(&text, '\0');
    const char *line = fine ? strchr(text.data, '\n') : NULL;
    fine = line && line - text.data == RZ_WARM_HEX;
    if (fine) {
        snprintf(ref->key, sizeof ref->key, "%s", text.data);
        snprintf(ref->source, sizeof ref->source, "%s", line + 1);
        ref->source[strcspn(ref->source, "\n")] = '\0';
        fine = strspn(ref->key, "0123456789abcdef") == RZ_WARM_HEX;
    }
    rz_buf_fini(&text);
    return fine;
}

static rz_status write_ref(const rz_warm_writer *w, rz_error *err)
{
    char real[PATH_MAX], text[REF_MAX_BYTES];
    if (!realpath(w->source.path, real))
        return rz_fail(err, RZ_EIO, "%s: %s", w->source.path, strerror(errno));
    int n = snprintf(text, sizeof text, "%s\n%s\n", w->key, real);
    char *path = entry_path(w->source.dir, w->id, ".ref");
    if (!path)
        return rz_fail_nomem(err, 0, "a path");
    rz_status status = rz_file_replace(path, text, (size_t)n, err);
    free(path);
    return status;
}

/* ---- finding ---- */

static bool is_file(const char *path, struct stat *st)
{
    return !lstat(path, st) && S_ISREG(st->st_mode);
}

rz_status rz_warm_find(char **copy, const rz_warm_source *source, rz_error *err)
{
    struct rz_warm_files files = {0};
    char id[RZ_WARM_HEX + 1];
    struct ref ref;
    struct stat st;
    *copy = NULL;
    rz_status status = rz_warm_files_scan(&files, source->path, err);
    if (!status)
        status = rz_warm_id(&files, source, id, err);
    rz_warm_files_fini(&files);
    if (status)
        return status;
    char *path = entry_path(source->dir, id, ".ref");
    if (!path)
        return rz_fail_nomem(err, 0, "a path");
    bool found = read_ref(path, &ref);
    free(path);
    if (!found)
        return RZ_OK;
    path = entry_path(source->dir, ref.key, ".apr");
    if (!path)
        return rz_fail_nomem(err, 0, "a path");
    if (!is_file(path, &st)) {
        free(path);
        return RZ_OK;
    }
    /* Where this is refused the copy only looks older than it is. */
    (void)utimensat(AT_FDCWD, path, NULL, 0);
    *copy = path;
    return RZ_OK;
}

/* ---- listing ---- */

void rz_warm_entries_free(rz_warm_entries *entries)
{
    for (size_t i = 0; i < entries->n; i++) {
        free(entries->items[i].path);
        free(entries->items[i].source);
    }
    free(entries->items);
    *entries = (rz_warm_entries){0};
}

static int by_use(const void *a, const void *b)
{
    const rz_warm_entry *x = a, *y = b;
    return x->used_s != y->used_s ? (x->used_s > y->used_s ? -1 : 1) : strcmp(x->path, y->path);
}

static rz_status add_entry(rz_warm_entries *entries, const char *dir, const char *name,
                           rz_error *err)
{
    struct stat st;
    rz_warm_entry *items = realloc(entries->items, (entries->n + 1) * sizeof *items);
    if (!items)
        return rz_fail_nomem(err, sizeof *items, "the cache's entries");
    entries->items = items;
    rz_warm_entry e = {.path = rz_path_join(dir, name), .source = strdup("")};
    if (!e.path || !e.source || !is_file(e.path, &st)) {
        bool nomem = !e.path || !e.source;
        free(e.path);
        free(e.source);
        return nomem ? rz_fail_nomem(err, 0, "the cache's entries") : RZ_OK;
    }
    e.n_bytes = (uint64_t)st.st_size;
    e.used_s = st.st_mtim.tv_sec;
    entries->n_bytes += e.n_bytes;
    items[entries->n++] = e;
    return RZ_OK;
}

/* Calls fn with each file of the folder whose name is hexadecimal and ends so. */
typedef rz_status each_fn(void *ctx, const char *dir, const char *name, rz_error *err);

static rz_status each(const char *dir, const char *ending, each_fn *fn, void *ctx, rz_error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? RZ_OK : rz_fail(err, RZ_EIO, "%s: %s", dir, strerror(errno));
    rz_status status = RZ_OK;
    for (struct dirent *e; !status && (e = readdir(d));)
        if (is_hex_name(e->d_name, ending))
            status = fn(ctx, dir, e->d_name, err);
    closedir(d);
    return status;
}

static rz_status list_copy(void *ctx, const char *dir, const char *name, rz_error *err)
{
    return add_entry(ctx, dir, name, err);
}

/* Says of a copy whose it is. */
static rz_status list_ref(void *ctx, const char *dir, const char *name, rz_error *err)
{
    rz_warm_entries *entries = ctx;
    struct ref ref;
    char *path = rz_path_join(dir, name);
    bool fine = path && read_ref(path, &ref);
    free(path);
    for (size_t i = 0; fine && i < entries->n; i++) {
        rz_warm_entry *e = &entries->items[i];
        const char *slash = strrchr(e->path, '/');
        if (strncmp(slash + 1, ref.key, RZ_WARM_HEX) != 0)
            continue;
        char *source = strdup(ref.source);
        if (!source)
            return rz_fail_nomem(err, strlen(ref.source), "the cache's entries");
        free(e->source);
        e->source = source;
    }
    return RZ_OK;
}

rz_status rz_warm_list(rz_warm_entries *entries, const char *dir, rz_error *err)
{
    *entries = (rz_warm_entries){0};
    rz_status status = each(dir, ".apr", list_copy, entries, err);
    if (!status)
        status = each(dir, ".ref", list_ref, entries, err);
    if (status)
        rz_warm_entries_free(entries);
    else if (entries->n > 1)
        qsort(entries->items, entries->n, sizeof *entries->items, by_use);
    return status;
}

/* ---- the lock ---- */

/* *lock -1: somebody else has it. */
static rz_status take_lock(const char *dir, int *lock, rz_error *err)
{
    char *path = rz_path_join(dir, "lock");
    *lock = -1;
    if (!path)
        return rz_fail_nomem(err, 0, "a path");
    rz_status status = rz_make_parents(path, err);
    if (!status) {
        *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (*lock < 0)
            status = rz_fail(err, RZ_EIO, "%s: %s", path, strerror(errno));
    }
    free(path);
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB)) {
        close(*lock);
        *lock = -1;
    }
    return status;
}

/* ---- removing ---- */

/* With the lock held no other process writes: what is unfinished was left by one that died. */
static uint64_t remove_unfinished(const char *dir)
{
    DIR *d = opendir(dir);
    uint64_t n_bytes = 0;
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        size_t len = strlen(e->d_name);
        char *path =
            len > 5 && !strcmp(e->d_name + len - 5, ".part") ? rz_path_join(dir, e->d_name) : NULL;
        if (path && is_file(path, &st) && !unlink(path))
            n_bytes += (uint64_t)st.st_size;
        free(path);
    }
    closedir(d);
    return n_bytes;
}

struct sweep {
    const char *keep_id;     /* of this source; NULL: every ref goes */
    const char *keep_source; /* its path: other refs of it are of an older state */
};

static rz_status sweep_ref(void *ctx, const char *dir, const char *name, rz_error *err)
{
    const struct sweep *s = ctx;
    struct ref ref;
    struct stat st;
    (void)err;
    char *path = rz_path_join(dir, name);
    bool stale = path && (!s->keep_id || !read_ref(path, &ref));
    if (path && !stale && strncmp(name, s->keep_id, RZ_WARM_HEX) != 0) {
        char *copy = entry_path(dir, ref.key, ".apr");
        stale = !strcmp(ref.source, s->keep_source) || (copy && !is_file(copy, &st));
        free(copy);
    }
    if (stale)
        unlink(path);
    free(path);
    return RZ_OK;
}

/* Copies that no ref names, then those unused for longest, until the rest and wanted bytes fit. */
static rz_status make_room(const char *dir, uint64_t wanted, uint64_t max_bytes, const char *keep,
                           rz_error *err)
{
    rz_warm_entries entries;
    RZ_TRY(rz_warm_list(&entries, dir, err));
    uint64_t n_bytes = entries.n_bytes;
    for (size_t i = entries.n; i-- > 0;) {
        const rz_warm_entry *e = &entries.items[i];
        const bool is_kept = keep && strstr(e->path, keep);
        const bool full = n_bytes > max_bytes || wanted > max_bytes - n_bytes;
        if (!is_kept && (!*e->source || full) && !unlink(e->path))
            n_bytes -= e->n_bytes;
    }
    rz_warm_entries_free(&entries);
    return RZ_OK;
}

rz_status rz_warm_clear(const char *dir, uint64_t *n_bytes, rz_error *err)
{
    struct stat st;
    int lock;
    const struct sweep all = {0};
    rz_warm_entries entries;
    *n_bytes = 0;
    if (stat(dir, &st) && errno == ENOENT)
        return RZ_OK;
    RZ_TRY(take_lock(dir, &lock, err));
    if (lock < 0)
        return rz_fail(err, RZ_EIO, "%s: another process is writing a copy", dir);
    *n_bytes = remove_unfinished(dir);
    rz_status status = rz_warm_list(&entries, dir, err);
    for (size_t i = 0; !status && i < entries.n; i++) {
        if (unlink(entries.items[i].path))
            status = rz_fail(err, RZ_EIO, "%s: %s", entries.items[i].path, strerror(errno));
        else
            *n_bytes += entries.items[i].n_bytes;
    }
    if (!status)
        rz_warm_entries_free(&entries);
    if (!status)
        status = each(dir, ".ref", sweep_ref, (void *)(uintptr_t)&all, err);
    close(lock);
    return status;
}

/* ---- writing ---- */

void rz_warm_writer_free(rz_warm_writer **writer)
{
    if (!writer || !*writer)
        return;
    rz_warm_writer *w = *writer;
    rz_warm_files_fini(&w->files);
    free((void *)(uintptr_t)w->source.dir);
    free((void *)(uintptr_t)w->source.path);
    free((void *)(uintptr_t)w->source.settings);
    free(w->path);
    if (w->lock >= 0)
        close(w->lock);
    free(w);
    *writer = NULL;
}

const char *rz_warm_writer_path(const rz_warm_writer *writer)
{
    return writer->path;
}

/* The writer with the lock, or *ready false. */
static rz_status begin(rz_warm_writer *w, uint64_t max_bytes, bool *ready, rz_error *err)
{
    struct stat st;
    *ready = false;
    RZ_TRY(rz_warm_files_scan(&w->files, w->source.path, err));
    if (w->files.n == 0 || w->files.n_bytes > max_bytes || rz_warm_files_are_fresh(&w->files))
        return RZ_OK;
    RZ_TRY(rz_warm_id(&w->files, &w->source, w->id, err));
    RZ_TRY(take_lock(w->source.dir, &w->lock, err));
    if (w->lock < 0)
        return RZ_OK;
    (void)remove_unfinished(w->source.dir);
    RZ_TRY(rz_warm_key(&w->files, &w->source, w->key, err));
    w->path = entry_path(w->source.dir, w->key, ".apr");
    if (!w->path)
        return rz_fail_nomem(err, 0, "a path");
    /* The same bytes as another model's, or as before they were touched. */
    if (is_file(w->path, &st))
        return rz_warm_end(w, err);
    RZ_TRY(make_room(w->source.dir, w->files.n_bytes, max_bytes, NULL, err));
    *ready = true;
    return RZ_OK;
}

rz_status rz_warm_begin(rz_warm_writer **writer, const rz_warm_source *source, uint64_t max_bytes,
                        rz_error *err)
{
    bool ready = false;
    rz_warm_writer *w = calloc(1, sizeof *w);
    *writer = NULL;
    if (!w)
        return rz_fail_nomem(err, sizeof *w, "a cache's writer");
    w->lock = -1;
    w->source =
        (rz_warm_source){strdup(source->dir), strdup(source->path), strdup(source->settings)};
    rz_status status = RZ_OK;
    if (!w->source.dir || !w->source.path || !w->source.settings)
        status = rz_fail_nomem(err, 0, "a cache's writer");
    else
        status = begin(w, max_bytes, &ready, err);
    if (status || !ready)
        rz_warm_writer_free(&w);
    *writer = w;
    return status;
}

rz_status rz_warm_end(rz_warm_writer *w, rz_error *err)
{
    struct rz_warm_files now = {0};
    char id[RZ_WARM_HEX + 1] = "", real[PATH_MAX];
    rz_status status = rz_warm_files_scan(&now, w->source.path, err);
    if (!status)
        status = rz_warm_id(&now, &w->source, id, err);
    rz_warm_files_fini(&now);
    if (status || strcmp(id, w->id) != 0) {
        unlink(w->path);
        return status;
    }
    RZ_TRY(write_ref(w, err));
    if (!realpath(w->source.path, real))
        return RZ_OK;
    struct sweep s = {.keep_id = w->id, .keep_source = real};
    RZ_TRY(each(w->source.dir, ".ref", sweep_ref, &s, err));
    return make_room(w->source.dir, 0, UINT64_MAX, w->key, err);
}
