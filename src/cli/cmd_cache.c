/* cmd_cache.c - `apr cache list|clear`: the prepacked copies of models that `apr run` keeps. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"
#include "cli/warm.h"

#include <realizar/warm_cache.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct cache_args {
    const char *dir;
    bool json;
};

#define FIELD(f) offsetof(struct cache_args, f)

static const struct cli_option cache_options[] = {
    CLI_ROW(CLI_FILE, 0, "dir", "DIR", FIELD(dir),
            "the cache's folder (default: apr/packed in $XDG_CACHE_HOME or ~/.cache)"),
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

static void date(char out[32], int64_t time_s, bool json)
{
    time_t t = (time_t)time_s;
    struct tm parts;
    out[0] = '\0';
    if (json ? gmtime_r(&t, &parts) : localtime_r(&t, &parts))
        strftime(out, 32, json ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M", &parts);
}

static rz_status print_json(const rz_warm_entries *entries, const char *dir, uint64_t limit,
                            rz_error *err)
{
    json_t *items = json_array();
    for (size_t i = 0; i < entries->n; i++) {
        const rz_warm_entry *e = &entries->items[i];
        char when[32];
        date(when, e->used_s, true);
        json_array_append_new(
            items, json_pack("{so so sI ss}", "source",
                             *e->source ? cli_json_text(e->source, strlen(e->source)) : json_null(),
                             "path", cli_json_text(e->path, strlen(e->path)), "bytes",
                             (json_int_t)e->n_bytes, "used", when));
    }
    return cli_out_json(json_pack("{so so sI sI}", "copies", items, "dir",
                                  cli_json_text(dir, strlen(dir)), "bytes",
                                  (json_int_t)entries->n_bytes, "limit_bytes", (json_int_t)limit),
                        err);
}

static void print_table(const rz_warm_entries *entries, const char *dir, uint64_t limit)
{
    char size[CLI_BYTES_MAX], most[CLI_BYTES_MAX], when[32];
    if (entries->n)
        printf("%10s  %-16s  MODEL\n", "SIZE", "LAST USED");
    for (size_t i = 0; i < entries->n; i++) {
        const rz_warm_entry *e = &entries->items[i];
        date(when, e->used_s, false);
        printf("%10s  %-16s  ", cli_bytes(size, e->n_bytes), when);
        const char *source = *e->source ? e->source : "(changed since, or gone)";
        cli_put_clean(stdout, source, strlen(source), false);
        putchar('\n');
    }
    fflush(stdout);
    cli_note("%zu cop%s in %s: %s of %s", entries->n, entries->n == 1 ? "y" : "ies", dir,
             cli_bytes(size, entries->n_bytes), cli_bytes(most, limit));
}

static rz_status list(const struct cache_args *a, const char *dir, rz_error *err)
{
    rz_warm_entries entries;
    uint64_t limit;
    rz_status status = RZ_OK;
    RZ_TRY(cli_warm_limit(NULL, &limit, err));
    RZ_TRY(rz_warm_list(&entries, dir, err));
    if (a->json)
        status = print_json(&entries, dir, limit, err);
    else
        print_table(&entries, dir, limit);
    rz_warm_entries_free(&entries);
    return status;
}

static rz_status clear(const struct cache_args *a, const char *dir, rz_error *err)
{
    uint64_t n_bytes;
    char size[CLI_BYTES_MAX];
    RZ_TRY(rz_warm_clear(dir, &n_bytes, err));
    if (a->json)
        return cli_out_json(json_pack("{so sI}", "dir", cli_json_text(dir, strlen(dir)),
                                      "freed_bytes", (json_int_t)n_bytes),
                            err);
    cli_note("%s freed", cli_bytes(size, n_bytes));
    return RZ_OK;
}

static rz_status cache(const struct cli_call *call, rz_error *err)
{
    const struct cache_args *a = call->args;
    const char *action = call->operands[0];
    char *dir = NULL;
    bool is_list = !strcmp(action, "list");
    if (!is_list && strcmp(action, "clear") != 0)
        return rz_fail(err, RZ_EUSAGE, "cache takes list or clear, not '%s'", action);
    if (a->dir) {
        dir = strdup(a->dir);
        if (!dir)
            return rz_fail_nomem(err, strlen(a->dir), "a path");
    } else {
        RZ_TRY(cli_warm_dir(&dir, err));
    }
    rz_status status = is_list ? list(a, dir, err) : clear(a, dir, err);
    free(dir);
    return status;
}

const struct cli_command cmd_cache = {
    .name = "cache",
    .operands = "list|clear",
    .summary = "the prepacked copies of models, which start quickly",
    .details =
        "After the first answer of a SafeTensors model `apr run` and `apr chat` keep a copy whose\n"
        "weights stand as products read them; the next start uses it. --cache does so for any\n"
        "model, --no-cache for none. APR_CACHE_LIMIT bounds all copies (20G); those unused for\n"
        "longest make room for new ones.",
    .min_operands = 1,
    .max_operands = 1,
    .args_size = sizeof(struct cache_args),
    .groups = {{"Options", cache_options, 0}},
    .run = cache,
};
