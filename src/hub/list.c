/* list.c - the models that are on this machine, in our cache and in Hugging Face's. */
#include "base/fail.h"
#include "hub/cache.h"
#include "hub/files.h"
#include "hub/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct listing_up {
    rz_hub_entries *out;
    size_t cap;
    rz_error *err;
};

void rz_hub_entries_free(rz_hub_entries *entries)
{
    for (size_t i = 0; i < entries->n; i++) {
        free(entries->items[i].name);
        free(entries->items[i].path);
    }
    free(entries->items);
    *entries = (rz_hub_entries){0};
}

static rz_status add_model(struct listing_up *u, const rz_hub_model *m)
{
    rz_hub_entries *out = u->out;
    if (out->n == u->cap) {
        size_t cap = u->cap ? 2 * u->cap : 16;
        rz_hub_entry *items = realloc(out->items, cap * sizeof *items);
        if (!items)
            return rz_fail_nomem(u->err, cap * sizeof *items, "a list of models");
        out->items = items;
        u->cap = cap;
    }
    rz_hub_entry e = {.format = m->format, .foreign = m->foreign};
    struct stat st;
    e.name = strdup(m->name);
    e.path = strdup(m->path);
    memcpy(e.commit, m->commit, sizeof e.commit);
    memcpy(e.quant, m->quant, sizeof e.quant);
    for (size_t i = 0; i < m->n; i++)
        e.n_bytes += m->files[i].told.n_present;
    if (!stat(m->files[0].told.path, &st))
        e.time_s = st.st_mtim.tv_sec;
    out->items[out->n++] = e;
    return e.name && e.path ? RZ_OK : rz_fail_nomem(u->err, strlen(m->path), "a path");
}

/* The whole models of one commit's folder. */
static rz_status add_commit(struct listing_up *u, const char *repo, const char *folder,
                            struct rz_listing *l, bool foreign)
{
    struct rz_variants variants = {0};
    const struct rz_place place = {folder, NULL};
    rz_status status = rz_variants_find(&variants, l, u->err);
    for (size_t i = 0; i < variants.n && !status; i++) {
        const struct rz_variant *v = &variants.items[i];
        if (foreign ? !rz_hf_variant_is_usable(v, l) : !rz_variant_is_present(v, l, folder))
            continue;
        rz_hub_model *m = NULL;
        status = rz_model_new(&m, repo, u->err);
        if (!status)
            status = rz_model_set_files(m, v, l, &place, u->err);
        if (!status) {
            m->foreign = foreign;
            status = add_model(u, m);
        }
        rz_hub_model_free(&m);
    }
    rz_variants_fini(&variants);
    return status;
}

static rz_status add_repo(struct listing_up *u, const char *repo, const char *store)
{
    char **names = NULL;
    rz_status status = rz_names_in(&names, store, u->err);
    for (size_t i = 0; !status && names[i]; i++) {
        if (!rz_name_is_commit(names[i]))
            continue;
        struct rz_listing l = {0};
        rz_error ignored;
        char *listing = rz_cache_listing(store, names[i]);
        char *folder = rz_path_join(store, names[i]);
        if (!listing || !folder)
            status = rz_fail_nomem(u->err, strlen(store), "a path");
        else if (!rz_listing_load(&l, listing, &ignored))
            status = add_commit(u, repo, folder, &l, false);
        rz_listing_fini(&l);
        free(listing);
        free(folder);
    }
    rz_names_free(names);
    char *partial = rz_path_join(store, "partial");
    if (partial)
        u->out->partial_bytes += rz_tree_bytes(partial);
    free(partial);
    return status;
}

/* A store of one URL: the URL is noted in it, the file's name is its end. */
static rz_status add_url(struct listing_up *u, const char *store)
{
    struct rz_buf text;
    rz_error ignored;
    rz_hub_ref ref;
    rz_hub_model *m = NULL;
    rz_buf_init(&text, RZ_HUB_URL_MAX);
    char *path = rz_path_join(store, "url");
    char *folder = rz_path_join(store, RZ_CACHE_URL_COMMIT);
    rz_status status = path && folder ? RZ_OK : rz_fail_nomem(u->err, strlen(store), "a path");
    const struct rz_place place = {folder, NULL};
    if (!status && !rz_file_read(path, &text, &ignored) && text.data &&
        !rz_hub_ref_parse(&ref, text.data, "", &ignored) && *ref.url) {
        status = rz_model_new(&m, ref.url, u->err);
        if (!status)
            status = rz_model_set_url(m, &ref, &place, u->err);
        if (!status && rz_hub_model_is_present(m))
            status = add_model(u, m);
        else if (!status)
            u->out->partial_bytes += m->files[0].told.n_present;
    }
    rz_hub_model_free(&m);
    rz_buf_fini(&text);
    free(path);
    free(folder);
    return status;
}

static rz_status add_ours(struct listing_up *u, const char *cache_dir)
{
    char **names = NULL;
    rz_status status = rz_names_in(&names, cache_dir, u->err);
    for (size_t i = 0; !status && names[i]; i++) {
        char repo[RZ_HUB_NAME_MAX];
        char *store = rz_path_join(cache_dir, names[i]);
        if (!store)
            status = rz_fail_nomem(u->err, strlen(cache_dir), "a path");
        else if (!strncmp(names[i], RZ_CACHE_URL_MARK, strlen(RZ_CACHE_URL_MARK)))
            status = add_url(u, store);
        else if (rz_cache_repo_name(names[i], repo))
            status = add_repo(u, repo, store);
        free(store);
    }
    rz_names_free(names);
    return status;
}

static rz_status add_snapshots(struct listing_up *u, const char *repo, const char *snapshots)
{
    char **names = NULL;
    rz_status status = rz_names_in(&names, snapshots, u->err);
    for (size_t i = 0; !status && names[i]; i++) {
        struct rz_listing l = {0};
        rz_error ignored;
        char *folder = rz_path_join(snapshots, names[i]);
        if (!folder)
            status = rz_fail_nomem(u->err, strlen(snapshots), "a path");
        else if (rz_name_is_commit(names[i]) && !rz_listing_scan(&l, folder, &ignored)) {
            memcpy(l.commit, names[i], sizeof l.commit);
            status = add_commit(u, repo, folder, &l, true);
        }
        rz_listing_fini(&l);
        free(folder);
    }
    rz_names_free(names);
    return status;
}

static rz_status add_theirs(struct listing_up *u, const char *hf_cache_dir)
{
    static const char mark[] = "models--";
    char **names = NULL;
    rz_status status = rz_names_in(&names, hf_cache_dir, u->err);
    for (size_t i = 0; !status && names[i]; i++) {
        char repo[RZ_HUB_NAME_MAX];
        char *snapshots;
        if (strncmp(names[i], mark, sizeof mark - 1) != 0 ||
            !rz_cache_repo_name(names[i] + sizeof mark - 1, repo))
            continue;
        if (asprintf(&snapshots, "%s/%s/snapshots", hf_cache_dir, names[i]) < 0)
            status = rz_fail_nomem(u->err, strlen(hf_cache_dir), "a path");
        else {
            status = add_snapshots(u, repo, snapshots);
            free(snapshots);
        }
    }
    rz_names_free(names);
    return status;
}

rz_status rz_hub_list(rz_hub_entries *out, const rz_hub_options *options, rz_error *err)
{
    *out = (rz_hub_entries){0};
    struct listing_up u = {.out = out, .err = err};
    rz_status status = add_ours(&u, options->cache_dir);
    if (!status && options->hf_cache_dir)
        status = add_theirs(&u, options->hf_cache_dir);
    if (status)
        rz_hub_entries_free(out);
    return status;
}
