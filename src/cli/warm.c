/* warm.c - prepacked copies of models that would otherwise be packed at every start. */
#include "cli/warm.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/conversion.h"
#include "cli/fetch.h"
#include "cli/load.h"
#include "cli/progress.h"

#include <fcntl.h>
#include <realizar/convert.h>
#include <realizar/warm_cache.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_LIMIT 20000000000u

#define FIELD(f) offsetof(struct cli_cache_args, f)
const struct cli_option cli_cache_options[] = {
    CLI_ROW_FLAG(0, "no-cache", FIELD(no_cache),
                 "neither use nor make a prepacked copy of the model (`apr cache`)"),
    CLI_ROW_FLAG(0, "cache", FIELD(cache),
                 "make one of any model (default: of SafeTensors, after the answer)"),
    CLI_ROW(CLI_STRING, 0, "cache-limit", "SIZE", FIELD(limit),
            "bytes that all copies may take (500M, 5G; 0: none; default: 20G)"),
    {0},
};

rz_status cli_warm_dir(char **dir, rz_error *err)
{
    *dir = cli_cache_folder("/apr/packed");
    if (*dir)
        return RZ_OK;
    return rz_fail(err, RZ_EUSAGE,
                   "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is set");
}

rz_status cli_warm_limit(const char *text, uint64_t *bytes, rz_error *err)
{
    const char *given = text ? text : getenv("APR_CACHE_LIMIT");
    rz_error ignored;
    *bytes = DEFAULT_LIMIT;
    if (!given || (!text && !*given))
        return RZ_OK;
    if (!strcmp(given, "0")) {
        *bytes = 0;
        return RZ_OK;
    }
    if (cli_parse_bytes(given, bytes, &ignored))
        return rz_fail(err, RZ_EUSAGE, "%s takes bytes as 500M or 5G, or 0, not '%s'",
                       text ? "--cache-limit" : "APR_CACHE_LIMIT", given);
    return RZ_OK;
}

/* Whether products read packed weights at all. */
static bool is_packing(const struct cli_model_args *args)
{
    return !args->no_packing && !(args->cpu_level && !strcmp(args->cpu_level, "scalar"));
}

rz_status cli_check_cache(const struct cli_cache_args *a, const struct cli_model_args *model,
                          rz_error *err)
{
    uint64_t limit;
    if (a->cache && a->no_cache)
        return rz_fail(err, RZ_EUSAGE, "--cache and --no-cache contradict each other");
    if (a->cache && !is_packing(model))
        return rz_fail(err, RZ_EUSAGE, "--cache keeps packed weights, which %s does not use",
                       model->no_packing ? "--no-packing" : "--cpu-level scalar");
    return cli_warm_limit(a->limit, &limit, err);
}

static bool ends_in(const char *path, const char *ending)
{
    size_t len = strlen(path), n = strlen(ending);
    return len > n && !strcmp(path + len - n, ending);
}

/* SafeTensors: a model that is trained or tried, run again and again, and read from several files.
 * What is one file in its last form, as GGUF and .apr are, is copied only where that is asked for:
 * it would stand on the disk twice. */
static bool is_wanted(const struct cli_loaded *l, const struct cli_model_args *args)
{
    struct stat st;
    const struct cli_cache_args *a = l->cache;
    if (!a || a->no_cache || !is_packing(args))
        return false;
    return a->cache || ends_in(l->path, ".safetensors") || ends_in(l->path, ".json") ||
           (!stat(l->path, &st) && S_ISDIR(st.st_mode));
}

static rz_warm_source source_of(const char *dir, const char *path)
{
    return (rz_warm_source){.dir = dir, .path = path, .settings = rz_packed_layout()};
}

char *cli_warm_find(struct cli_loaded *l, const struct cli_model_args *args)
{
    char *dir = NULL, *copy = NULL;
    rz_error why = {0};
    uint64_t limit = 0;
    if (!is_wanted(l, args))
        return NULL;
    rz_status status = cli_warm_limit(l->cache->limit, &limit, &why);
    if (!status && limit == 0)
        return NULL;
    if (!status)
        status = cli_warm_dir(&dir, &why);
    if (!status) {
        const rz_warm_source source = source_of(dir, l->path);
        status = rz_warm_find(&copy, &source, &why);
    }
    if (status)
        cli_note("no prepacked copy is used: %s", why.text);
    l->keep_copy = !status && !copy;
    free(dir);
    return copy;
}

void cli_warm_drop(const char *copy, const rz_error *why)
{
    cli_note("the prepacked copy is removed: %s", why->text);
    unlink(copy);
}

struct show {
    struct cli_progress bar;
};

static bool on_progress(void *ctx, const rz_convert_progress *progress)
{
    struct show *s = ctx;
    cli_progress_draw(&s->bar, "keeping a prepacked copy", progress->done_bytes,
                      progress->total_bytes);
    return !cli_interrupted();
}

static rz_status make_copy(const rz_warm_writer *w, const char *from, bool quiet, rz_error *err)
{
    struct show show;
    rz_file *file = NULL;
    rz_convert_options o = rz_convert_options_default();
    o.format = "apr";
    o.packing = RZ_PACK_ONLY;
    o.overwrite = true;
    o.progress = on_progress;
    o.progress_ctx = &show;
    RZ_TRY(rz_file_open(&file, from, err));
    cli_progress_start(&show.bar, quiet);
    rz_status status = rz_convert(file, rz_warm_writer_path(w), &o, NULL, err);
    cli_progress_stop(&show.bar);
    rz_file_close(&file);
    return status;
}

/* Lets the reader of a pipe go on: for it the command has ended. */
static void end_stdout(void)
{
    rz_error ignored;
    if (isatty(STDOUT_FILENO) || cli_out_flush(&ignored))
        return;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && dup2(fd, STDOUT_FILENO) < 0)
        cli_note("stdout stays open");
    if (fd >= 0)
        close(fd);
}

void cli_warm_keep(struct cli_loaded *l, bool quiet)
{
    char *dir = NULL;
    rz_error why = {0};
    uint64_t limit = 0;
    rz_warm_writer *writer = NULL;
    if (!l->keep_copy || cli_interrupted() ||
        !strcmp(rz_model_get_info(l->model)->cpu_level, "scalar"))
        return;
    l->keep_copy = false;
    end_stdout();
    rz_session_free(&l->session);
    rz_engine_free(&l->engine);
    rz_model_close(&l->model);
    rz_status status = cli_warm_limit(l->cache->limit, &limit, &why);
    if (!status)
        status = cli_warm_dir(&dir, &why);
    if (!status) {
        const rz_warm_source source = source_of(dir, l->path);
        status = rz_warm_begin(&writer, &source, limit, &why);
    }
    if (!status && writer)
        status = make_copy(writer, l->path, quiet, &why);
    if (!status && writer)
        status = rz_warm_end(writer, &why);
    rz_warm_writer_free(&writer);
    free(dir);
    if (status && status != RZ_ECANCEL)
        cli_note("no prepacked copy is kept: %s (--no-cache: none is tried)", why.text);
}
