/* model.c - the files of one model: names in the repository, places on this machine. */
#include "hub/model.h"

#include "base/fail.h"
#include "hub/digest.h"
#include "hub/files.h"
#include "hub/names.h"
#include "hub/quant_label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    ID_DIGITS = 40 /* of an unfinished file's name */
};

rz_status rz_model_new(rz_hub_model **out, const char *name, rz_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return rz_fail_nomem(err, sizeof **out, "a model's files");
    (*out)->name = strdup(name);
    if ((*out)->name)
        return RZ_OK;
    rz_hub_model_free(out);
    return rz_fail_nomem(err, strlen(name), "a name");
}

void rz_hub_model_free(rz_hub_model **model)
{
    rz_hub_model *m = model ? *model : NULL;
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        free((char *)(uintptr_t)m->files[i].told.name);
        free((char *)(uintptr_t)m->files[i].told.path);
        free(m->files[i].partial);
    }
    free(m->files);
    free(m->name);
    free(m->path);
    free(m->store);
    free(m->revision);
    rz_listing_fini(&m->listing);
    free(m);
    *model = NULL;
}

/* The unfinished file's name: by hash, so that two versions never share one. */
static char *partial_path(const struct rz_model_file *f, const char *seed,
                          const struct rz_place *place)
{
    char id[RZ_HUB_SHA256_MAX];
    const char *hash = *f->told.sha256 ? f->told.sha256 : f->git_sha1;
    char *path;
    int n;
    rz_error ignored;
    if (!*hash && rz_digest_text(seed, id, ID_DIGITS, &ignored))
        return NULL;
    if (*hash)
        snprintf(id, sizeof id, "%.*s", ID_DIGITS, hash);
    if (place->partial)
        n = asprintf(&path, "%s/%s" RZ_PARTIAL_SUFFIX, place->partial, id);
    else
        n = asprintf(&path, "%s.%.12s" RZ_PARTIAL_SUFFIX, f->told.path, id);
    return n < 0 ? NULL : path;
}

static rz_status add_file(rz_hub_model *m, const struct rz_item *item, const char *seed,
                          const struct rz_place *place, rz_error *err)
{
    struct rz_model_file *f = &m->files[m->n++];
    f->told.n_bytes = item->size;
    memcpy(f->told.sha256, item->sha256, sizeof f->told.sha256);
    memcpy(f->git_sha1, item->git_sha1, sizeof f->git_sha1);
    f->told.name = strdup(item->name);
    f->told.path = rz_path_join(place->folder, item->name);
    f->partial = f->told.path ? partial_path(f, seed, place) : NULL;
    if (!f->told.name || !f->partial)
        return rz_fail_nomem(err, strlen(item->name), "a file's name");
    return RZ_OK;
}

/* What is opened: the first file, or for SafeTensors the folder that it lies in. */
static rz_status set_path(rz_hub_model *m, rz_error *err)
{
    m->path = strdup(m->files[0].told.path);
    if (!m->path)
        return rz_fail_nomem(err, strlen(m->files[0].told.path), "a path");
    char *slash = strrchr(m->path, '/');
    if (m->format == RZ_HUB_SAFETENSORS && slash)
        *slash = '\0';
    rz_model_look(m);
    return RZ_OK;
}

rz_status rz_model_set_files(rz_hub_model *m, const struct rz_variant *v,
                             const struct rz_listing *l, const struct rz_place *place,
                             rz_error *err)
{
    m->format = v->format;
    memcpy(m->commit, l->commit, sizeof m->commit);
    if (v->quant)
        snprintf(m->quant, sizeof m->quant, "%s", v->quant);
    m->files = calloc(v->n, sizeof *m->files);
    if (!m->files)
        return rz_fail_nomem(err, v->n * sizeof *m->files, "a model's files");
    for (size_t i = 0; i < v->n; i++) {
        const struct rz_item *item = &l->items[v->files[i]];
        char seed[RZ_HUB_FILE_MAX + RZ_HUB_COMMIT_MAX + 1];
        snprintf(seed, sizeof seed, "%s/%s", l->commit, item->name);
        RZ_TRY(add_file(m, item, seed, place, err));
    }
    return set_path(m, err);
}

rz_status rz_model_set_url(rz_hub_model *m, const rz_hub_ref *ref, const struct rz_place *place,
                           rz_error *err)
{
    static const struct {
        const char *extension;
        rz_hub_format format;
    } known[] = {{".gguf", RZ_HUB_GGUF}, {".apr", RZ_HUB_APR}};
    struct rz_item item = {.name = (char *)(uintptr_t)ref->file, .size = RZ_HUB_SIZE_UNKNOWN};
    size_t len = strlen(ref->file);
    m->format = RZ_HUB_FILE;
    for (size_t i = 0; i < RZ_ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i].extension);
        if (len > n && !strcmp(ref->file + len - n, known[i].extension))
            m->format = known[i].format;
    }
    const char *label = m->format == RZ_HUB_GGUF ? rz_quant_label(ref->file, len) : NULL;
    if (label)
        snprintf(m->quant, sizeof m->quant, "%s", label);
    m->files = calloc(1, sizeof *m->files);
    if (!m->files)
        return rz_fail_nomem(err, sizeof *m->files, "a model's files");
    RZ_TRY(add_file(m, &item, ref->url, place, err));
    return set_path(m, err);
}

bool rz_is_present(const char *path, uint64_t size, uint64_t *n_bytes)
{
    struct stat st;
    *n_bytes = 0;
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return false;
    *n_bytes = (uint64_t)st.st_size;
    return size == RZ_HUB_SIZE_UNKNOWN || size == *n_bytes;
}

void rz_model_look(rz_hub_model *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct rz_model_file *f = &m->files[i];
        f->told.present = rz_is_present(f->told.path, f->told.n_bytes, &f->told.n_present);
        if (f->told.present)
            f->told.n_bytes = f->told.n_present;
        else
            (void)rz_is_present(f->partial, RZ_HUB_SIZE_UNKNOWN, &f->told.n_present);
    }
}

const char *rz_hub_format_name(rz_hub_format format)
{
    static const char *const names[] = {[RZ_HUB_GGUF] = "GGUF",
                                        [RZ_HUB_SAFETENSORS] = "SafeTensors",
                                        [RZ_HUB_APR] = "apr",
                                        [RZ_HUB_FILE] = "file"};
    return names[format];
}

const char *rz_hub_model_path(const rz_hub_model *m)
{
    return m->path;
}

const char *rz_hub_model_repo(const rz_hub_model *m)
{
    return m->name;
}

const char *rz_hub_model_commit(const rz_hub_model *m)
{
    return m->commit;
}

const char *rz_hub_model_quant(const rz_hub_model *m)
{
    return m->quant;
}

rz_hub_format rz_hub_model_format(const rz_hub_model *m)
{
    return m->format;
}

size_t rz_hub_model_n_files(const rz_hub_model *m)
{
    return m->n;
}

const rz_hub_file *rz_hub_model_file(const rz_hub_model *m, size_t i)
{
    return &m->files[i].told;
}

bool rz_hub_model_is_present(const rz_hub_model *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (!m->files[i].told.present)
            return false;
    return true;
}
