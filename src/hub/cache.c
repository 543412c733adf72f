/* cache.c - finding models on this machine: in our cache, then in Hugging Face's (layout:
 * huggingface.co/docs/huggingface_hub/guides/manage-cache). Nothing is asked of any network,
 * nothing is written. A model counts as there only if all its files are, with the sizes of its
 * listing. */
#include "hub/cache.h"

#include "base/fail.h"
#include "hub/digest.h"
#include "hub/files.h"
#include "hub/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    URL_DIGITS = 16,
    MAX_NAMES = 100000
};

char *rz_cache_store(const char *cache_dir, const rz_hub_ref *ref)
{
    char *path;
    int n;
    if (*ref->repo) {
        const char *slash = strchr(ref->repo, '/');
        n = asprintf(&path, "%s/%.*s" RZ_CACHE_REPO_MARK "%s", cache_dir, (int)(slash - ref->repo),
                     ref->repo, slash + 1);
    } else {
        char id[URL_DIGITS + 1];
        rz_error ignored;
        if (rz_digest_text(ref->url, id, URL_DIGITS, &ignored))
            return NULL;
        n = asprintf(&path, "%s/" RZ_CACHE_URL_MARK "%s", cache_dir, id);
    }
    return n < 0 ? NULL : path;
}

bool rz_cache_repo_name(const char *folder, char repo[RZ_HUB_NAME_MAX])
{
    const char *mark = strstr(folder, RZ_CACHE_REPO_MARK);
    if (!mark)
        return false;
    int n = snprintf(repo, RZ_HUB_NAME_MAX, "%.*s/%s", (int)(mark - folder), folder,
                     mark + strlen(RZ_CACHE_REPO_MARK));
    return n > 0 && n < RZ_HUB_NAME_MAX && rz_name_is_repo(repo, (size_t)n);
}

char *rz_cache_listing(const char *store, const char *commit)
{
    char *path;
    return asprintf(&path, "%s/listings/%s.json", store, commit) < 0 ? NULL : path;
}

char *rz_cache_ref(const char *store, const char *revision)
{
    struct rz_buf path;
    rz_buf_init(&path, 64 << 10);
    rz_buf_printf(&path, "%s/refs/", store);
    /* In our cache a slash is %2F, so that refs is one flat folder. */
    rz_name_escape(&path, revision, false);
    if (path.failed)
        rz_buf_fini(&path);
    return path.data;
}

char *rz_hf_store(const char *hf_cache_dir, const char *repo)
{
    const char *slash = strchr(repo, '/');
    char *path;
    int n =
        asprintf(&path, "%s/models--%.*s--%s", hf_cache_dir, (int)(slash - repo), repo, slash + 1);
    return n < 0 ? NULL : path;
}

/* The commit in the file at path (taken over), which is NULL if there was no memory for it. */
static rz_status read_commit(char *path, char commit[RZ_HUB_COMMIT_MAX], rz_error *err)
{
    if (!path)
        return rz_fail_nomem(err, 0, "a path");
    struct rz_buf text;
    rz_buf_init(&text, RZ_HUB_NAME_MAX);
    rz_status status = rz_file_read(path, &text, err);
    while (text.len && strchr(" \r\n", text.data[text.len - 1]))
        text.data[--text.len] = '\0';
    if (!status && (!text.data || !rz_name_is_commit(text.data)))
        status = rz_fail(err, RZ_EFORMAT, "%s does not hold a commit", path);
    if (!status)
        memcpy(commit, text.data, RZ_HUB_COMMIT_MAX);
    rz_buf_fini(&text);
    free(path);
    return status;
}

rz_status rz_cache_commit(const char *store, const char *revision, char commit[RZ_HUB_COMMIT_MAX],
                          rz_error *err)
{
    if (!rz_name_is_commit(revision))
        return read_commit(rz_cache_ref(store, revision), commit, err);
    memcpy(commit, revision, RZ_HUB_COMMIT_MAX);
    return RZ_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rz_names_free(char **names)
{
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

rz_status rz_names_in(char ***out, const char *folder, rz_error *err)
{
    size_t n = 0, cap = 16;
    char **names = calloc(cap, sizeof *names);
    *out = names;
    if (!names)
        return rz_fail_nomem(err, cap * sizeof *names, "a list of names");
    DIR *dir = opendir(folder);
    if (!dir) {
        if (errno == ENOENT || errno == ENOTDIR)
            return RZ_OK;
        return rz_fail(err, RZ_EIO, "%s cannot be read: %s", folder, strerror(errno));
    }
    rz_status status = RZ_OK;
    for (const struct dirent *e; !status && n < MAX_NAMES && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        if (n + 2 > cap) {
            char **more = realloc(names, 2 * cap * sizeof *names);
            if (!more) {
                status = rz_fail_nomem(err, 2 * cap * sizeof *names, "a list of names");
                break;
            }
            names = *out = more;
            cap *= 2;
        }
        names[n] = strdup(e->d_name);
        if (!names[n++])
            status = rz_fail_nomem(err, strlen(e->d_name), "a name");
        names[n] = NULL;
    }
    closedir(dir);
    if (!status && n)
        qsort(names, n, sizeof *names, by_text);
    return status;
}

bool rz_variant_is_present(const struct rz_variant *v, const struct rz_listing *l,
                           const char *folder)
{
    bool present = true;
    for (size_t i = 0; i < v->n && present; i++) {
        uint64_t n_bytes;
        char *path = rz_path_join(folder, l->items[v->files[i]].name);
        present = path && rz_is_present(path, l->items[v->files[i]].size, &n_bytes);
        free(path);
    }
    return present;
}

bool rz_hf_variant_is_usable(const struct rz_variant *v, const struct rz_listing *l)
{
    if (v->format != RZ_HUB_SAFETENSORS)
        return true;
    for (size_t i = 0; i < v->n; i++) {
        const char *name = l->items[v->files[i]].name;
        const char *slash = strrchr(name, '/');
        if (!strcmp(slash ? slash + 1 : name, "tokenizer.json"))
            return true;
    }
    return false;
}

/* One of the two caches, with a commit chosen. */
struct shelf {
    const char *folder; /* of the commit's files */
    const char *partial;
    bool foreign;
    struct rz_listing listing;
    struct rz_variants variants;
};

static bool is_there(const struct shelf *s, const struct rz_variant *v)
{
    return s->foreign ? rz_hf_variant_is_usable(v, &s->listing)
                      : rz_variant_is_present(v, &s->listing, s->folder);
}

/* The variant that is meant, if it is there; NULL if not. */
static rz_status choose(const struct rz_variant **out, struct shelf *s, const rz_hub_ref *ref,
                        rz_error *err)
{
    const struct rz_variant *v = NULL;
    *out = NULL;
    RZ_TRY(rz_variants_find(&s->variants, &s->listing, err));
    rz_status status = rz_variant_choose(&v, &s->variants, &s->listing, ref, err);
    if (status == RZ_ENOMEM)
        return status;
    if (!status && is_there(s, v)) {
        *out = v;
        return RZ_OK;
    }
    if (*ref->file || *ref->quant)
        return RZ_OK;
    /* Not the default one: the only one that somebody wanted to have here. */
    size_t n = 0;
    for (size_t i = 0; i < s->variants.n; i++) {
        const struct rz_variant *x = &s->variants.items[i];
        if (!x->auxiliary && is_there(s, x)) {
            *out = x;
            n++;
        }
    }
    if (n > 1)
        *out = NULL;
    return RZ_OK;
}

static rz_status find_on(rz_hub_model **out, struct shelf *s, const rz_hub_ref *ref, rz_error *err)
{
    const struct rz_variant *v = NULL;
    const struct rz_place place = {s->folder, s->partial};
    RZ_TRY(choose(&v, s, ref, err));
    if (!v)
        return RZ_OK;
    RZ_TRY(rz_model_new(out, ref->repo, err));
    rz_status status = rz_model_set_files(*out, v, &s->listing, &place, err);
    (*out)->foreign = s->foreign;
    if (status)
        rz_hub_model_free(out);
    return status;
}

/* *out stays NULL if the model is not here; what is unreadable counts as not here. */
static rz_status find_ours(rz_hub_model **out, const rz_hub_ref *ref, const char *store,
                           rz_error *err)
{
    char commit[RZ_HUB_COMMIT_MAX];
    rz_error ignored;
    struct shelf s = {0};
    if (rz_cache_commit(store, *ref->revision ? ref->revision : RZ_DEFAULT_REVISION, commit,
                        &ignored))
        return RZ_OK;
    char *listing = rz_cache_listing(store, commit);
    char *folder = rz_path_join(store, commit);
    char *partial = rz_path_join(store, "partial");
    rz_status status = RZ_OK;
    if (!listing || !folder || !partial) {
        status = rz_fail_nomem(err, strlen(store), "a path");
    } else if (!rz_listing_load(&s.listing, listing, &ignored)) {
        s.folder = folder;
        s.partial = partial;
        status = find_on(out, &s, ref, err);
    }
    rz_variants_fini(&s.variants);
    rz_listing_fini(&s.listing);
    free(listing);
    free(folder);
    free(partial);
    return status;
}

static rz_status find_theirs(rz_hub_model **out, const rz_hub_ref *ref, const char *hf_cache_dir,
                             rz_error *err)
{
    const char *revision = *ref->revision ? ref->revision : RZ_DEFAULT_REVISION;
    char commit[RZ_HUB_COMMIT_MAX];
    char *store = rz_hf_store(hf_cache_dir, ref->repo), *path = NULL, *folder = NULL;
    struct shelf s = {.foreign = true};
    rz_error ignored;
    if (!store)
        return rz_fail_nomem(err, strlen(hf_cache_dir), "a path");
    rz_status status = RZ_OK;
    if (rz_name_is_commit(revision))
        memcpy(commit, revision, sizeof commit);
    else if (asprintf(&path, "%s/refs/%s", store, revision) < 0 ||
             read_commit(path, commit, &ignored))
        goto done;
    if (asprintf(&folder, "%s/snapshots/%s", store, commit) < 0) {
        folder = NULL;
        goto done;
    }
    if (rz_listing_scan(&s.listing, folder, &ignored))
        goto done;
    memcpy(s.listing.commit, commit, sizeof commit);
    s.folder = folder;
    status = find_on(out, &s, ref, err);
done:
    rz_variants_fini(&s.variants);
    rz_listing_fini(&s.listing);
    free(folder);
    free(store);
    return status;
}

static rz_status find_url(rz_hub_model **out, const rz_hub_ref *ref, const char *store,
                          rz_error *err)
{
    char *folder = rz_path_join(store, RZ_CACHE_URL_COMMIT);
    const struct rz_place place = {folder, NULL};
    rz_hub_model *m = NULL;
    rz_status status =
        folder ? rz_model_new(&m, ref->url, err) : rz_fail_nomem(err, strlen(store), "a path");
    if (!status)
        status = rz_model_set_url(m, ref, &place, err);
    if (!status && rz_hub_model_is_present(m)) {
        *out = m;
        m = NULL;
    }
    rz_hub_model_free(&m);
    free(folder);
    return status;
}

rz_status rz_hub_find(rz_hub_model **out, const rz_hub_ref *ref, const rz_hub_options *options,
                      rz_error *err)
{
    *out = NULL;
    char *store = rz_cache_store(options->cache_dir, ref);
    if (!store)
        return rz_fail_nomem(err, strlen(options->cache_dir), "a path");
    rz_status status =
        *ref->repo ? find_ours(out, ref, store, err) : find_url(out, ref, store, err);
    free(store);
    if (!status && !*out && *ref->repo && options->hf_cache_dir)
        status = find_theirs(out, ref, options->hf_cache_dir, err);
    if (!status && !*out)
        status = rz_fail(
            err, RZ_ENOTFOUND, "%s%s%s%s%s is not on this machine (no whole one in %s)",
            *ref->repo ? ref->repo : ref->url, *ref->quant ? ", " : "", ref->quant,
            *ref->repo && *ref->file ? ", " : "", *ref->repo ? ref->file : "", options->cache_dir);
    return status;
}
