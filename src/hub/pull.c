/* pull.c - getting the files of a resolved model: what is here already, whether there is room, the
 * downloads, and the notes that let the model be found again. */
#include "base/checked.h"
#include "base/fail.h"
#include "hub/cache.h"
#include "hub/files.h"
#include "hub/names.h"
#include "hub/part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    SPACE_MARGIN = 1 << 20 /* bytes that stay free */
};

struct pull {
    rz_hub_model *m;
    const rz_hub_options *o;
    struct rz_part *parts;    /* one per job */
    struct rz_http_job *jobs; /* the same */
    size_t *file_of;          /* job -> file */
    size_t n;                 /* jobs */
    struct rz_buf texts;      /* URLs and names of jobs, NUL between */
    struct rz_http_state state;
};

/* What all of it looks like from outside. False: stop. */
static bool report(void *user, const struct rz_http_state *state)
{
    struct pull *p = user;
    if (state)
        p->state = *state;
    if (!p->o->progress)
        return true;
    rz_hub_progress told = {.n_files = p->m->n,
                            .n_files_done = p->m->n - p->n,
                            .bytes_received = p->state.bytes_received,
                            .n_retries = p->state.n_retries,
                            .last_failure = p->state.last_failure ? p->state.last_failure : "",
                            .waiting = p->state.waiting};
    for (size_t i = 0; i < p->m->n; i++) {
        const rz_hub_file *f = &p->m->files[i].told;
        if (f->present && !p->o->force) {
            told.bytes_done += f->n_bytes;
            told.bytes_total += f->n_bytes;
        }
    }
    for (size_t i = 0; i < p->n; i++) {
        const struct rz_part *part = &p->parts[i];
        bool known = part->size != RZ_HUB_SIZE_UNKNOWN;
        told.n_files_done += part->done;
        told.bytes_done += part->done && known ? part->size : part->len;
        told.bytes_total += known ? part->size : 0;
    }
    return p->o->progress(p->o->user, &told);
}

static bool report_hashing(void *user)
{
    return report(user, NULL);
}

/* Enough space for what is missing, where it will lie? */
static rz_status check_space(const struct pull *p, rz_error *err)
{
    uint64_t missing = SPACE_MARGIN;
    for (size_t i = 0; i < p->n; i++) {
        const rz_hub_file *f = &p->m->files[p->file_of[i]].told;
        uint64_t here = f->present ? 0 : f->n_present;
        if (f->n_bytes != RZ_HUB_SIZE_UNKNOWN && f->n_bytes > here &&
            !rz_add_u64(missing, f->n_bytes - here, &missing))
            missing = UINT64_MAX;
    }
    struct statvfs fs;
    const char *target = p->m->files[p->file_of[0]].told.path;
    char *folder = strdup(target ? target : "");
    if (!folder)
        return rz_fail_nomem(err, 0, "a path");
    /* The nearest folder above that exists. */
    int failed = 1;
    for (char *slash; failed && (slash = strrchr(folder, '/'));) {
        slash[slash == folder] = '\0';
        failed = statvfs(folder, &fs);
        if (slash == folder)
            break;
    }
    if (failed)
        failed = statvfs(".", &fs);
    free(folder);
    if (failed)
        return RZ_OK; /* the system does not tell; writing will */
    uint64_t unit = fs.f_frsize ? fs.f_frsize : fs.f_bsize;
    uint64_t available;
    if (!rz_mul_u64(fs.f_bavail, unit, &available) || missing <= available)
        return RZ_OK;
    return rz_fail(
        err, RZ_EIO,
        "not enough space: %.1f MB are needed for %s, and %.1f MB are free where it goes",
        (double)missing * 1e-6, p->m->name, (double)available * 1e-6);
}

/* A file of the user's folder is only taken for the right one if its hash is (where none is told,
 * as of a URL, if it has the name), and never replaced unasked. */
static rz_status check_existing(const struct pull *p, struct rz_model_file *f, rz_error *err)
{
    uint64_t n_bytes;
    bool same = false;
    if (!rz_is_present(f->told.path, RZ_HUB_SIZE_UNKNOWN, &n_bytes))
        return RZ_OK;
    struct rz_part part;
    rz_part_init(&part);
    part.size = f->told.n_bytes;
    part.tick = report_hashing;
    part.tick_user = (void *)(uintptr_t)p;
    memcpy(part.sha256, f->told.sha256, sizeof part.sha256);
    memcpy(part.git_sha1, f->git_sha1, sizeof part.git_sha1);
    rz_status status = rz_part_check(&part, f->told.path, &same, err);
    rz_part_fini(&part);
    if (!status && !same)
        status = rz_fail(err, RZ_EINVALID,
                         "%s is there already, with another content than %s has; --force replaces "
                         "it",
                         f->told.path, p->m->name);
    return status;
}

static rz_status end_text(struct pull *p, rz_error *err)
{
    return rz_buf_char(&p->texts, '\0') ? RZ_OK : rz_fail_nomem(err, 0, "a URL");
}

/* The URL of a file: {endpoint}/{repo}/resolve/{commit}/{file}; by commit, so that all files are of
 * one version, whatever happens to the branch meanwhile. */
static rz_status add_url(struct pull *p, const rz_hub_file *f, rz_error *err)
{
    const char *endpoint = p->o->endpoint;
    size_t n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/')
        n--;
    if (*p->m->commit) {
        rz_buf_printf(&p->texts, "%.*s/%s/resolve/%s/", (int)n, endpoint, p->m->name, p->m->commit);
        rz_name_escape(&p->texts, f->name, true);
    } else {
        rz_buf_str(&p->texts, p->m->name);
    }
    return end_text(p, err);
}

static rz_status add_job(struct pull *p, size_t i_file, rz_error *err)
{
    const struct rz_model_file *f = &p->m->files[i_file];
    struct rz_part *part = &p->parts[p->n];
    rz_part_init(part);
    p->file_of[p->n++] = i_file;
    part->target = strdup(f->told.path);
    part->partial = strdup(f->partial);
    if (!part->target || !part->partial || asprintf(&part->etag_path, "%s.etag", f->partial) < 0) {
        part->etag_path = NULL;
        return rz_fail_nomem(err, strlen(f->partial), "a path");
    }
    part->size = p->o->force && !*p->m->commit ? RZ_HUB_SIZE_UNKNOWN : f->told.n_bytes;
    part->force = p->o->force;
    part->tick = report_hashing;
    part->tick_user = p;
    memcpy(part->sha256, f->told.sha256, sizeof part->sha256);
    memcpy(part->git_sha1, f->git_sha1, sizeof part->git_sha1);
    RZ_TRY(add_url(p, &f->told, err));
    rz_buf_printf(&p->texts, "%s%s%s", p->m->name, *p->m->commit ? ", " : "",
                  *p->m->commit ? f->told.name : "");
    return end_text(p, err);
}

/* The buffer does not move any more: jobs may point into it. */
static void point_jobs(struct pull *p)
{
    const char *text = p->texts.data;
    for (size_t i = 0; i < p->n; i++) {
        struct rz_http_job *job = &p->jobs[i];
        *job = (struct rz_http_job){.url = text, .calls = &rz_part_calls, .user = &p->parts[i]};
        text += strlen(text) + 1;
        job->what = p->parts[i].what = text;
        text += strlen(text) + 1;
    }
}

static rz_status prepare(struct pull *p, rz_error *err)
{
    rz_hub_model *m = p->m;
    p->parts = calloc(m->n, sizeof *p->parts);
    p->jobs = calloc(m->n, sizeof *p->jobs);
    p->file_of = calloc(m->n, sizeof *p->file_of);
    if (!p->parts || !p->jobs || !p->file_of)
        return rz_fail_nomem(err, m->n * sizeof *p->parts, "downloads");
    for (size_t i = 0; i < m->n; i++) {
        if (p->o->out_dir && !p->o->force)
            RZ_TRY(check_existing(p, &m->files[i], err));
        if (!m->files[i].told.present || p->o->force)
            RZ_TRY(add_job(p, i, err));
    }
    point_jobs(p);
    return p->n ? check_space(p, err) : RZ_OK;
}

static bool same_content(const struct rz_item *item, const struct rz_model_file *f)
{
    if (item->size != f->told.n_bytes)
        return false;
    if (*f->told.sha256)
        return !strcmp(item->sha256, f->told.sha256);
    return *f->git_sha1 && !strcmp(item->git_sha1, f->git_sha1);
}

/* Gives files of another commit, whose content is the same, a second name in this one. */
static void link_from(rz_hub_model *m, const char *commit)
{
    struct rz_listing l = {0};
    rz_error ignored;
    char *listing = rz_cache_listing(m->store, commit);
    bool loaded = listing && !rz_listing_load(&l, listing, &ignored);
    for (size_t i = 0; loaded && i < m->n; i++) {
        struct rz_model_file *f = &m->files[i];
        size_t index = rz_listing_find(&l, f->told.name);
        char *from;
        uint64_t n_bytes;
        if (f->told.present || index == SIZE_MAX || !same_content(&l.items[index], f) ||
            asprintf(&from, "%s/%s/%s", m->store, commit, f->told.name) < 0)
            continue;
        /* What cannot be linked is downloaded. */
        if (rz_is_present(from, f->told.n_bytes, &n_bytes) &&
            !rz_make_parents(f->told.path, &ignored) && !link(from, f->told.path))
            f->told.present = true;
        free(from);
    }
    rz_listing_fini(&l);
    free(listing);
}

static rz_status link_known(rz_hub_model *m, rz_error *err)
{
    char **names = NULL;
    rz_status status = rz_names_in(&names, m->store, err);
    for (size_t i = 0; !status && names[i] && !rz_hub_model_is_present(m); i++)
        if (rz_name_is_commit(names[i]) && strcmp(names[i], m->commit) != 0)
            link_from(m, names[i]);
    rz_names_free(names);
    if (!status)
        rz_model_look(m);
    return status;
}

/* What the files are of is noted before they come, so that those which did are found. */
static rz_status note_listing(const rz_hub_model *m, rz_error *err)
{
    if (!m->store)
        return RZ_OK;
    char *path = *m->commit ? rz_cache_listing(m->store, m->commit) : rz_path_join(m->store, "url");
    if (!path)
        return rz_fail_nomem(err, strlen(m->store), "a path");
    rz_status status = *m->commit ? rz_listing_save(&m->listing, path, err)
                                  : rz_file_replace(path, m->name, strlen(m->name), err);
    free(path);
    return status;
}

/* The revision stands for this commit from now on, as all that was wanted of it is here. */
static rz_status note_revision(const rz_hub_model *m, rz_error *err)
{
    if (!m->store || !m->revision || rz_name_is_commit(m->revision))
        return RZ_OK;
    char *path = rz_cache_ref(m->store, m->revision);
    rz_status status = path ? rz_file_replace(path, m->commit, strlen(m->commit), err)
                            : rz_fail_nomem(err, strlen(m->store), "a path");
    free(path);
    return status;
}

static rz_status download(struct pull *p, rz_error *err)
{
    RZ_TRY(prepare(p, err));
    const struct rz_http_run run = {
        .options = p->o, .jobs = p->jobs, .n = p->n, .tick = report, .user = p};
    RZ_TRY(rz_http_run(&run, err));
    report(p, NULL);
    for (size_t i = 0; i < p->n; i++) {
        rz_hub_file *f = &p->m->files[p->file_of[i]].told;
        memcpy(f->sha256, p->parts[i].sha256, sizeof f->sha256);
        f->unverified = p->parts[i].unverified;
    }
    return RZ_OK;
}

rz_status rz_hub_pull(rz_hub_model *model, const rz_hub_options *options, rz_error *err)
{
    if (model->foreign || (options->offline && rz_hub_model_is_present(model)))
        return RZ_OK;
    if (options->offline)
        return rz_fail(err, RZ_ENOTFOUND, "%s is not on this machine", model->name);
    struct pull p = {.m = model, .o = options};
    rz_buf_init(&p.texts, 256 << 20);
    rz_status status = note_listing(model, err);
    if (!status && model->store && *model->commit && !options->force)
        status = link_known(model, err);
    if (!status)
        status = download(&p, err);
    for (size_t i = 0; i < p.n; i++)
        rz_part_fini(&p.parts[i]);
    free(p.parts);
    free(p.jobs);
    free(p.file_of);
    rz_buf_fini(&p.texts);
    rz_model_look(model);
    return status ? status : note_revision(model, err);
}
