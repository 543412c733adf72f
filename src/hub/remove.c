/* remove.c - taking models out of our cache. Every path is built from a checked reference below the
 * cache folder, and removal follows no symbolic link, so nothing else can be meant. */
#include "base/fail.h"
#include "hub/cache.h"
#include "hub/files.h"
#include "hub/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct removing {
    const rz_hub_ref *ref;
    const char *store;
    bool dry_run;
    rz_hub_removed *out;
    rz_error *err;
};

/* What a download has noted beside its unfinished file (part.h). */
static rz_status remove_etag(const struct removing *r, const char *partial)
{
    char *path;
    if (asprintf(&path, "%s.etag", partial) < 0)
        return rz_fail_nomem(r->err, strlen(partial), "a path");
    rz_status status = rz_remove_tree(path, r->dry_run, r->out, r->err);
    free(path);
    return status;
}

/* The files of one variant that are there, and what has come of those that are not. */
static rz_status remove_variant(const struct removing *r, const struct rz_variant *v,
                                const struct rz_listing *l, const char *folder)
{
    char *partial = rz_path_join(r->store, "partial");
    const struct rz_place place = {folder, partial};
    rz_hub_model *m = NULL;
    rz_status status = partial ? rz_model_new(&m, r->ref->repo, r->err)
                               : rz_fail_nomem(r->err, strlen(r->store), "a path");
    if (!status)
        status = rz_model_set_files(m, v, l, &place, r->err);
    for (size_t i = 0; !status && m && i < m->n; i++) {
        status = rz_remove_tree(m->files[i].told.path, r->dry_run, r->out, r->err);
        if (!status)
            status = rz_remove_tree(m->files[i].partial, r->dry_run, r->out, r->err);
        if (!status)
            status = remove_etag(r, m->files[i].partial);
    }
    rz_hub_model_free(&m);
    free(partial);
    return status;
}

/* Files of other variants that share a folder stay: SafeTensors' companions are not shared with
 * GGUF, and one commit has at most one SafeTensors model per folder. */
static rz_status remove_some(const struct removing *r, struct rz_listing *l, const char *folder)
{
    struct rz_variants variants = {0};
    const struct rz_variant *v = NULL;
    rz_error ignored;
    rz_status status = rz_variants_find(&variants, l, r->err);
    if (!status && *r->ref->file) {
        if (!rz_variant_choose(&v, &variants, l, r->ref, &ignored))
            status = remove_variant(r, v, l, folder);
    } else {
        for (size_t i = 0; i < variants.n && !status; i++) {
            v = &variants.items[i];
            if (v->quant && !strcmp(v->quant, r->ref->quant))
                status = remove_variant(r, v, l, folder);
        }
    }
    rz_variants_fini(&variants);
    return status;
}

static rz_status remove_commit(const struct removing *r, const char *commit)
{
    char *folder = rz_path_join(r->store, commit);
    char *listing = rz_cache_listing(r->store, commit);
    struct rz_listing l = {0};
    rz_error ignored;
    rz_status status =
        folder && listing ? RZ_OK : rz_fail_nomem(r->err, strlen(r->store), "a path");
    if (!status && !*r->ref->file && !*r->ref->quant) {
        status = rz_remove_tree(folder, r->dry_run, r->out, r->err);
        if (!r->dry_run)
            unlink(listing);
    } else if (!status && !rz_listing_load(&l, listing, &ignored)) {
        status = remove_some(r, &l, folder);
        if (!r->dry_run)
            rmdir(folder); /* if that was all */
    }
    rz_listing_fini(&l);
    free(folder);
    free(listing);
    return status;
}

static rz_status remove_from_repo(const struct removing *r)
{
    char wanted[RZ_HUB_COMMIT_MAX] = "";
    rz_error ignored;
    if (*r->ref->revision && rz_cache_commit(r->store, r->ref->revision, wanted, &ignored))
        return RZ_OK;
    char **names = NULL;
    rz_status status = rz_names_in(&names, r->store, r->err);
    for (size_t i = 0; !status && names[i]; i++)
        if (rz_name_is_commit(names[i]) && (!*wanted || !strcmp(names[i], wanted)))
            status = remove_commit(r, names[i]);
    rz_names_free(names);
    return status;
}

static rz_status not_here(const rz_hub_ref *ref, const rz_hub_options *options, rz_error *err)
{
    const char *name = *ref->repo ? ref->repo : ref->url;
    rz_hub_model *theirs = NULL;
    rz_error ignored;
    bool foreign = !rz_hub_find(&theirs, ref, options, &ignored) && theirs->foreign;
    rz_hub_model_free(&theirs);
    if (foreign)
        return rz_fail(err, RZ_ENOTFOUND,
                       "%s is in Hugging Face's cache (%s), which apr only reads", name,
                       options->hf_cache_dir);
    return rz_fail(err, RZ_ENOTFOUND, "%s is not in the cache (%s)", name, options->cache_dir);
}

rz_status rz_hub_remove(rz_hub_removed *out, const rz_hub_ref *ref, const rz_hub_options *options,
                        bool dry_run, rz_error *err)
{
    *out = (rz_hub_removed){0};
    char *store = rz_cache_store(options->cache_dir, ref);
    if (!store)
        return rz_fail_nomem(err, strlen(options->cache_dir), "a path");
    const struct removing r = {ref, store, dry_run, out, err};
    bool whole = !*ref->repo || (!*ref->revision && !*ref->quant && !*ref->file);
    rz_status status = whole ? rz_remove_tree(store, dry_run, out, err) : remove_from_repo(&r);
    if (!status && !out->n_files)
        status = not_here(ref, options, err);
    free(store);
    return status;
}
