/* listing.c - what a repository holds, from the hub's JSON, from our copy of it, or from a folder.
 * Invariant: every name in a listing has passed rz_name_is_file. */
#include "hub/listing.h"

#include "base/fail.h"
#include "hub/files.h"
#include "hub/names.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAX_ITEMS = 100000,
    SCAN_LEVELS = 4
};

void rz_listing_fini(struct rz_listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct rz_listing){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct rz_item *)a)->name, ((const struct rz_item *)b)->name);
}

/* Sorts; two files of one name would make it a matter of luck which of them is meant. */
static rz_status finish(struct rz_listing *l, const char *what, rz_error *err)
{
    if (l->n)
        qsort(l->items, l->n, sizeof *l->items, by_name);
    for (size_t i = 1; i < l->n; i++)
        if (!strcmp(l->items[i - 1].name, l->items[i].name))
            return rz_fail(err, RZ_EFORMAT, "%s lists the file %s twice", what, l->items[i].name);
    return RZ_OK;
}

size_t rz_listing_find(const struct rz_listing *l, const char *name)
{
    struct rz_item key = {.name = (char *)(uintptr_t)name};
    const struct rz_item *found = l->n ? bsearch(&key, l->items, l->n, sizeof key, by_name) : NULL;
    return found ? (size_t)(found - l->items) : SIZE_MAX;
}

/* A JSON integer that is a size; what is absent is unknown. */
static bool get_size(const json_t *object, const char *key, uint64_t *size)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *size = (uint64_t)json_integer_value(v);
    return true;
}

/* A hash of n digits; what is absent is unknown. */
static bool get_hash(const json_t *object, const char *key, char *out, size_t n)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return true;
    const char *text = json_string_value(v);
    if (!text || !rz_name_is_hex(text, n))
        return false;
    memcpy(out, text, n + 1);
    return true;
}

static rz_status add_sibling(struct rz_listing *l, const json_t *sibling, const char *what,
                             rz_error *err)
{
    const json_t *name = json_object_get(sibling, "rfilename");
    if (!json_is_string(name))
        return rz_fail(err, RZ_EFORMAT, "%s: a file has no name", what);
    const char *text = json_string_value(name);
    if (strlen(text) != json_string_length(name) || !rz_name_is_file(text)) {
        l->n_refused++;
        return RZ_OK;
    }
    struct rz_item item = {.size = RZ_HUB_SIZE_UNKNOWN};
    const json_t *lfs = json_object_get(sibling, "lfs");
    bool ok = get_size(sibling, "size", &item.size);
    if (json_is_object(lfs)) {
        /* blobId is then that of the pointer that git holds instead of the file. */
        uint64_t size = RZ_HUB_SIZE_UNKNOWN;
        ok = ok && get_hash(lfs, "sha256", item.sha256, 64) && get_size(lfs, "size", &size);
        if (size != RZ_HUB_SIZE_UNKNOWN)
            item.size = size;
    } else {
        ok = ok && get_hash(sibling, "blobId", item.git_sha1, 40);
    }
    if (!ok)
        return rz_fail(err, RZ_EFORMAT, "%s: size or hash of %s is malformed", what, text);
    item.name = strdup(text);
    if (!item.name)
        return rz_fail_nomem(err, strlen(text), "a file's name");
    l->items[l->n++] = item;
    return RZ_OK;
}

static rz_status add_siblings(struct rz_listing *l, const json_t *doc, const char *what,
                              rz_error *err)
{
    const char *commit = json_string_value(json_object_get(doc, "sha"));
    const json_t *siblings = json_object_get(doc, "siblings");
    if (!commit || !rz_name_is_commit(commit))
        return rz_fail(err, RZ_EFORMAT, "%s does not say which commit it is of", what);
    if (!json_is_array(siblings))
        return rz_fail(err, RZ_EFORMAT, "%s has no list of files", what);
    memcpy(l->commit, commit, sizeof l->commit);
    size_t n = json_array_size(siblings);
    if (n > MAX_ITEMS)
        return rz_fail(err, RZ_EFORMAT, "%s lists %zu files; the limit is %d", what, n, MAX_ITEMS);
    l->items = calloc(n ? n : 1, sizeof *l->items);
    if (!l->items)
        return rz_fail_nomem(err, n * sizeof *l->items, "a list of files");
    for (size_t i = 0; i < n; i++)
        RZ_TRY(add_sibling(l, json_array_get(siblings, i), what, err));
    return finish(l, what, err);
}

rz_status rz_listing_parse(struct rz_listing *l, const char *data, size_t len, const char *what,
                           rz_error *err)
{
    json_error_t reason;
    json_t *doc =
        json_loadb(data ? data : "", len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &reason);
    if (!doc)
        return rz_fail(err, RZ_EFORMAT, "%s is not JSON: %s", what, reason.text);
    rz_status status = add_siblings(l, doc, what, err);
    json_decref(doc);
    if (status)
        rz_listing_fini(l);
    return status;
}

static rz_status scan(struct rz_listing *l, const char *folder, const char *prefix, int levels,
                      rz_error *err);

/* One entry of a folder: a file is added, a folder scanned. What cannot be read is left out. */
static rz_status scan_entry(struct rz_listing *l, const char *folder, const char *name, int levels,
                            rz_error *err)
{
    struct stat st;
    char *path = rz_path_join(folder, name);
    rz_status status = RZ_OK;
    if (!path)
        return rz_fail_nomem(err, strlen(name), "a path");
    bool exists = !stat(path, &st); /* a symbolic link may lead nowhere */
    if (exists && S_ISREG(st.st_mode) && l->n < MAX_ITEMS) {
        struct rz_item *items = realloc(l->items, (l->n + 1) * sizeof *items);
        if (items)
            l->items = items;
        struct rz_item item = {.name = strdup(name), .size = (uint64_t)st.st_size};
        if (items && item.name)
            l->items[l->n++] = item;
        else {
            free(item.name);
            status = rz_fail_nomem(err, sizeof item, "a list of files");
        }
    } else if (exists && S_ISDIR(st.st_mode) && levels > 1) {
        status = scan(l, folder, name, levels - 1, err);
    }
    free(path);
    return status;
}

static rz_status scan(struct rz_listing *l, const char *folder, const char *prefix, int levels,
                      rz_error *err)
{
    char *path = rz_path_join(folder, prefix);
    DIR *dir = path ? opendir(path) : NULL;
    int reason = errno;
    free(path);
    if (!dir)
        return rz_fail(err, reason == ENOENT || reason == ENOTDIR ? RZ_ENOTFOUND : RZ_EIO,
                       "the folder %s/%s cannot be read: %s", folder, prefix, strerror(reason));
    rz_status status = RZ_OK;
    for (const struct dirent *e; !status && (e = readdir(dir));) {
        char name[RZ_HUB_FILE_MAX];
        int n = snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
        if (n > 0 && (size_t)n < sizeof name && rz_name_is_file(name))
            status = scan_entry(l, folder, name, levels, err);
    }
    closedir(dir);
    return status;
}

rz_status rz_listing_scan(struct rz_listing *l, const char *folder, rz_error *err)
{
    rz_status status = scan(l, folder, "", SCAN_LEVELS, err);
    if (!status)
        status = finish(l, folder, err);
    if (status)
        rz_listing_fini(l);
    return status;
}

static json_t *sibling_json(const struct rz_item *item)
{
    json_t *sibling = json_pack("{ss}", "rfilename", item->name);
    if (item->size != RZ_HUB_SIZE_UNKNOWN)
        json_object_set_new(sibling, "size", json_integer((json_int_t)item->size));
    if (*item->git_sha1)
        json_object_set_new(sibling, "blobId", json_string(item->git_sha1));
    if (*item->sha256)
        json_object_set_new(sibling, "lfs", json_pack("{ss}", "sha256", item->sha256));
    return sibling;
}

rz_status rz_listing_save(const struct rz_listing *l, const char *path, rz_error *err)
{
    json_t *siblings = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(siblings, sibling_json(&l->items[i]));
    json_t *doc = json_pack("{ss so}", "sha", l->commit, "siblings", siblings);
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL;
    rz_status status = text ? rz_file_replace(path, text, strlen(text), err)
                            : rz_fail_nomem(err, 0, "a list of files");
    free(text);
    json_decref(doc);
    return status;
}

rz_status rz_listing_load(struct rz_listing *l, const char *path, rz_error *err)
{
    struct rz_buf text;
    rz_buf_init(&text, RZ_LISTING_MAX_BYTES);
    rz_status status = rz_file_read(path, &text, err);
    if (!status)
        status = rz_listing_parse(l, text.data, text.len, path, err);
    rz_buf_fini(&text);
    return status;
}
