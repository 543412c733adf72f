/* fetch.c - the command's side of the hub: only here are HF_TOKEN and its kin read. */
#include "cli/fetch.h"

#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/progress.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

static bool is_offline;

void cli_set_offline(void)
{
    is_offline = true;
}

/* An environment variable that is set and not empty, or NULL. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool cli_is_offline(void)
{
    const char *value = env("HF_HUB_OFFLINE");
    return is_offline || (value && (!strcmp(value, "1") || !strcasecmp(value, "true") ||
                                    !strcasecmp(value, "yes") || !strcasecmp(value, "on")));
}

static char *join(const char *a, const char *b)
{
    char *text;
    return asprintf(&text, "%s%s", a, b) < 0 ? NULL : text;
}

char *cli_cache_folder(const char *behind)
{
    const char *xdg = env("XDG_CACHE_HOME"), *home = env("HOME");
    if (xdg && *xdg == '/') /* the specification ignores a relative one */
        return join(xdg, behind);
    char *cache = home ? join(home, "/.cache") : NULL;
    char *folder = cache ? join(cache, behind) : NULL;
    free(cache);
    return folder;
}

/* Where Hugging Face's tools keep things, and what is behind it. */
static char *hf_folder(const char *behind)
{
    const char *home = env("HF_HOME");
    if (home)
        return join(home, behind);
    char *folder = cli_cache_folder("/huggingface");
    char *path = folder ? join(folder, behind) : NULL;
    free(folder);
    return path;
}

/* The token that `hf auth login` has left, without its line end. */
static char *token_of_file(void)
{
    const char *given = env("HF_TOKEN_PATH");
    char *path = given ? strdup(given) : hf_folder("/token");
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[512] = "";
    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    free(path);
    line[strcspn(line, " \r\n")] = '\0';
    return *line ? strdup(line) : NULL;
}

rz_status cli_hub_init(struct cli_hub *hub, rz_error *err)
{
    rz_hub_options *o = &hub->options;
    *o = rz_hub_options_default();
    if (env("HF_ENDPOINT"))
        o->endpoint = env("HF_ENDPOINT");
    o->ca_file = env("SSL_CERT_FILE");
    o->offline = cli_is_offline();
    hub->cache_dir = cli_cache_folder("/apr/hub");
    if (!hub->cache_dir)
        return rz_fail(err, RZ_EUSAGE,
                       "there is no place for downloaded models: neither XDG_CACHE_HOME nor HOME "
                       "is set");
    const char *hf_cache = env("HF_HUB_CACHE");
    hub->hf_cache_dir = hf_cache ? strdup(hf_cache) : hf_folder("/hub");
    const char *token = env("HF_TOKEN");
    hub->token = token ? strdup(token) : token_of_file();
    if (hub->token)
        hub->token[strcspn(hub->token, "\r\n")] = '\0';
    o->cache_dir = hub->cache_dir;
    o->hf_cache_dir = hub->hf_cache_dir;
    o->token = hub->token && *hub->token ? hub->token : NULL;
    return RZ_OK;
}

void cli_hub_fini(struct cli_hub *hub)
{
    free(hub->cache_dir);
    free(hub->hf_cache_dir);
    free(hub->token);
    *hub = (struct cli_hub){0};
}

/* What is shown while files come. */
struct show {
    struct cli_progress bar;
    bool quiet, began, said_waiting;
    unsigned n_retries;
    uint64_t received;
};

static void say(struct show *s, const char *format, const char *text)
{
    bool shown = s->bar.shown;
    if (s->quiet)
        return;
    cli_progress_stop(&s->bar);
    s->bar.shown = shown;
    cli_note(format, text);
}

static bool show(void *user, const rz_hub_progress *p)
{
    struct show *s = user;
    char what[48];
    if (!s->began)
        s->bar.begin_bytes = p->bytes_done - p->bytes_received;
    s->began = true;
    s->received = p->bytes_received;
    if (p->n_retries > s->n_retries)
        say(s, "trying again: %s", p->last_failure);
    s->n_retries = p->n_retries;
    if (p->waiting && !s->said_waiting)
        say(s, "%s", "another process downloads this too; waiting for it");
    s->said_waiting |= p->waiting;
    snprintf(what, sizeof what, "%zu of %zu files", p->n_files_done, p->n_files);
    uint64_t total = p->bytes_total > p->bytes_done ? p->bytes_total : p->bytes_done;
    cli_progress_draw(&s->bar, p->n_files > 1 ? what : "", p->bytes_done, total);
    return !cli_interrupted();
}

rz_status cli_hub_pull(rz_hub_model *model, struct cli_hub *hub, bool quiet, uint64_t *received,
                       rz_error *err)
{
    struct show s = {.quiet = quiet};
    struct sigaction before;
    rz_hub_options options = hub->options;
    options.progress = show;
    options.user = &s;
    cli_progress_start(&s.bar, quiet);
    sigaction(SIGINT, NULL, &before);
    cli_interrupt_catch();
    rz_status status = rz_hub_pull(model, &options, err);
    sigaction(SIGINT, &before, NULL);
    cli_progress_stop(&s.bar);
    if (received)
        *received = s.received;
    return status;
}

/* "org/repo, Q4_K_M" and how much of it is to come. */
static void announce(const rz_hub_model *m)
{
    uint64_t missing = 0;
    char size[CLI_BYTES_MAX];
    for (size_t i = 0; i < rz_hub_model_n_files(m); i++) {
        const rz_hub_file *f = rz_hub_model_file(m, i);
        if (!f->present && f->n_bytes != RZ_HUB_SIZE_UNKNOWN && f->n_bytes > f->n_present)
            missing += f->n_bytes - f->n_present;
    }
    const char *quant = rz_hub_model_quant(m);
    cli_note("downloading %s%s%s%s%s", rz_hub_model_repo(m), *quant ? ", " : "", quant,
             missing ? ", " : "", missing ? cli_bytes(size, missing) : "");
}

static rz_status fetch(rz_hub_model **model, const rz_hub_ref *ref, struct cli_hub *hub, bool quiet,
                       bool *downloaded, rz_error *err)
{
    rz_error missing = {0};
    rz_status status = rz_hub_find(model, ref, &hub->options, &missing);
    if (!status)
        return RZ_OK;
    if (status != RZ_ENOTFOUND)
        return rz_fail(err, status, "%s", missing.text);
    if (hub->options.offline)
        return rz_fail(err, RZ_ENOTFOUND, "%s, and --offline forbids to download it", missing.text);
    RZ_TRY(rz_hub_resolve(model, ref, &hub->options, err));
    if (!quiet && !rz_hub_model_is_present(*model))
        announce(*model);
    *downloaded = !rz_hub_model_is_present(*model);
    return cli_hub_pull(*model, hub, quiet, NULL, err);
}

rz_status cli_fetch(char **path, const char *ref_text, bool quiet, bool *downloaded, rz_error *err)
{
    struct cli_hub hub = {0};
    rz_hub_ref ref;
    rz_hub_model *model = NULL;
    *path = NULL;
    *downloaded = false;
    rz_status status = cli_hub_init(&hub, err);
    if (!status)
        status = rz_hub_ref_parse(&ref, ref_text, hub.options.endpoint, err);
    if (!status)
        status = fetch(&model, &ref, &hub, quiet, downloaded, err);
    if (!status) {
        *path = strdup(rz_hub_model_path(model));
        if (!*path)
            status = rz_fail_nomem(err, 0, "a path");
    }
    rz_hub_model_free(&model);
    cli_hub_fini(&hub);
    return status;
}
