/* resolve.c - what the hub lists today. Protocol: GET {endpoint}/api/models/{repo}/revision/{rev}
 * ?blobs=true gives the commit, and name, size and hash of every file. */
#include "base/fail.h"
#include "hub/cache.h"
#include "hub/files.h"
#include "hub/http.h"
#include "hub/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rz_hub_options rz_hub_options_default(void)
{
    return (rz_hub_options){.endpoint = "https://huggingface.co",
                            .n_jobs = 4,
                            .n_retries = 6,
                            .connect_ms = 20000,
                            .stall_ms = 30000,
                            .backoff_ms = 500,
                            .backoff_max_ms = 120000};
}

static rz_status get_listing(struct rz_listing *l, const rz_hub_ref *ref, const char *revision,
                             const rz_hub_options *o, rz_error *err)
{
    struct rz_buf url, answer;
    char what[3 * RZ_HUB_NAME_MAX];
    size_t n = strlen(o->endpoint);
    while (n > 0 && o->endpoint[n - 1] == '/')
        n--;
    rz_buf_init(&url, 16 << 10);
    rz_buf_init(&answer, RZ_LISTING_MAX_BYTES);
    rz_buf_printf(&url, "%.*s/api/models/%s/revision/", (int)n, o->endpoint, ref->repo);
    rz_name_escape(&url, revision, false);
    rz_buf_str(&url, "?blobs=true");
    snprintf(what, sizeof what, *ref->revision ? "%s, revision %s" : "%s", ref->repo, revision);
    rz_status status =
        url.failed ? rz_fail_nomem(err, 0, "a URL") : rz_http_get(&answer, url.data, what, o, err);
    if (!status) {
        snprintf(what, sizeof what, "the hub's answer about %s", ref->repo);
        status = rz_listing_parse(l, answer.data, answer.len, what, err);
    }
    rz_buf_fini(&url);
    rz_buf_fini(&answer);
    return status;
}

/* A model whose files belong under out_dir or into the cache. */
static rz_status place_model(rz_hub_model *m, const rz_hub_ref *ref, const struct rz_variant *v,
                             const rz_hub_options *o, rz_error *err)
{
    struct rz_place place = {o->out_dir, NULL};
    char *folder = NULL, *partial = NULL;
    rz_status status = RZ_OK;
    if (!o->out_dir) {
        m->store = rz_cache_store(o->cache_dir, ref);
        folder =
            m->store ? rz_path_join(m->store, v ? m->listing.commit : RZ_CACHE_URL_COMMIT) : NULL;
        partial = m->store && v ? rz_path_join(m->store, "partial") : NULL;
        place = (struct rz_place){folder, partial};
        if (!folder || (v && !partial))
            status = rz_fail_nomem(err, strlen(o->cache_dir), "a path");
    }
    if (!status)
        status = v ? rz_model_set_files(m, v, &m->listing, &place, err)
                   : rz_model_set_url(m, ref, &place, err);
    free(folder);
    free(partial);
    return status;
}

/* What Hugging Face's own cache has whole of this very commit need not be fetched again. */
static rz_status look_in_foreign(rz_hub_model **m, const rz_hub_ref *ref, const rz_hub_options *o,
                                 rz_error *err)
{
    if (o->out_dir || o->force || !o->hf_cache_dir || rz_hub_model_is_present(*m))
        return RZ_OK;
    struct rz_place place = {NULL, NULL};
    char *store = rz_hf_store(o->hf_cache_dir, ref->repo), *folder = NULL;
    rz_hub_model *theirs = NULL;
    struct rz_variants variants = {0};
    const struct rz_variant *v = NULL;
    if (!store || asprintf(&folder, "%s/snapshots/%s", store, (*m)->commit) < 0)
        folder = NULL;
    rz_status status = folder ? RZ_OK : rz_fail_nomem(err, 0, "a path");
    place.folder = folder;
    if (!status)
        status = rz_model_new(&theirs, ref->repo, err);
    if (!status)
        status = rz_variants_find(&variants, &(*m)->listing, err);
    if (!status)
        status = rz_variant_choose(&v, &variants, &(*m)->listing, ref, err);
    if (!status)
        status = rz_model_set_files(theirs, v, &(*m)->listing, &place, err);
    if (!status && rz_hub_model_is_present(theirs)) {
        theirs->foreign = true;
        rz_hub_model_free(m);
        *m = theirs;
        theirs = NULL;
    }
    rz_variants_fini(&variants);
    rz_hub_model_free(&theirs);
    free(store);
    free(folder);
    return status;
}

static rz_status resolve_repo(rz_hub_model *m, const rz_hub_ref *ref, const rz_hub_options *o,
                              rz_error *err)
{
    const char *revision = *ref->revision ? ref->revision : RZ_DEFAULT_REVISION;
    struct rz_variants variants = {0};
    const struct rz_variant *v = NULL;
    m->revision = strdup(revision);
    if (!m->revision)
        return rz_fail_nomem(err, strlen(revision), "a name");
    RZ_TRY(get_listing(&m->listing, ref, revision, o, err));
    rz_status status = rz_variants_find(&variants, &m->listing, err);
    if (!status)
        status = rz_variant_choose(&v, &variants, &m->listing, ref, err);
    if (!status)
        status = place_model(m, ref, v, o, err);
    rz_variants_fini(&variants);
    return status;
}

rz_status rz_hub_resolve(rz_hub_model **out, const rz_hub_ref *ref, const rz_hub_options *options,
                         rz_error *err)
{
    *out = NULL;
    if (options->offline)
        return rz_hub_find(out, ref, options, err);
    RZ_TRY(rz_model_new(out, *ref->repo ? ref->repo : ref->url, err));
    rz_status status = *ref->repo ? resolve_repo(*out, ref, options, err)
                                  : place_model(*out, ref, NULL, options, err);
    if (!status && *ref->repo)
        status = look_in_foreign(out, ref, options, err);
    if (status)
        rz_hub_model_free(out);
    return status;
}
