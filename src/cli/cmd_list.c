/* cmd_list.c - `apr list`: the models that were downloaded. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/fetch.h"
#include "cli/io.h"

#include <string.h>
#include <time.h>

struct list_args {
    bool json;
};

#define FIELD(f) offsetof(struct list_args, f)

static const struct cli_option list_options[] = {
    CLI_ROW_FLAG(0, "json", FIELD(json), "print a JSON object"),
    {0},
};

/* "2026-11-21 13:02", local; with zone: RFC 3339, UTC. */
static const char *date(char out[32], int64_t time_s, bool zone)
{
    time_t t = (time_t)time_s;
    struct tm parts;
    out[0] = '\0';
    if (zone ? gmtime_r(&t, &parts) : localtime_r(&t, &parts))
        strftime(out, 32, zone ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M", &parts);
    return out;
}

static rz_status print_json(const rz_hub_entries *entries, const char *cache_dir, rz_error *err)
{
    json_t *models = json_array();
    for (size_t i = 0; i < entries->n; i++) {
        const rz_hub_entry *e = &entries->items[i];
        char when[32];
        json_array_append_new(models,
                              json_pack("{so ss so so sI ss so ss}", "name",
                                        cli_json_text(e->name, strlen(e->name)), "format",
                                        rz_hub_format_name(e->format), "quant",
                                        *e->quant ? json_string(e->quant) : json_null(), "commit",
                                        *e->commit ? json_string(e->commit) : json_null(), "bytes",
                                        (json_int_t)e->n_bytes, "date", date(when, e->time_s, true),
                                        "path", cli_json_text(e->path, strlen(e->path)), "cache",
                                        e->foreign ? "huggingface" : "apr"));
    }
    json_t *doc = json_pack("{so so sI}", "models", models, "cache_dir",
                            cli_json_text(cache_dir, strlen(cache_dir)), "unfinished_bytes",
                            (json_int_t)entries->partial_bytes);
    return cli_out_json(doc, err);
}

static void print_table(const rz_hub_entries *entries, const char *cache_dir)
{
    int widest = 4;
    for (size_t i = 0; i < entries->n; i++) {
        int len = (int)strnlen(entries->items[i].name, 60);
        widest = len > widest ? len : widest;
    }
    if (entries->n)
        printf("%-*s  %-11s  %-8s  %10s  %-16s  PATH\n", widest, "NAME", "FORMAT", "QUANT", "SIZE",
               "DATE");
    for (size_t i = 0; i < entries->n; i++) {
        const rz_hub_entry *e = &entries->items[i];
        char size[CLI_BYTES_MAX], when[32];
        size_t len = strlen(e->name);
        cli_put_clean(stdout, e->name, len, false);
        printf("%*s  %-11s  %-8s  %10s  %-16s  ", len < (size_t)widest ? widest - (int)len : 0, "",
               rz_hub_format_name(e->format), *e->quant ? e->quant : "-",
               cli_bytes(size, e->n_bytes), date(when, e->time_s, false));
        cli_put_clean(stdout, e->path, strlen(e->path), false);
        puts(e->foreign ? "  (Hugging Face's cache)" : "");
    }
    char size[CLI_BYTES_MAX];
    fflush(stdout);
    if (!entries->n)
        cli_note("no models in %s; `apr pull` gets some", cache_dir);
    if (entries->partial_bytes)
        cli_note("unfinished downloads: %s; `apr pull` goes on with them",
                 cli_bytes(size, entries->partial_bytes));
}

static rz_status list(const struct cli_call *call, rz_error *err)
{
    const struct list_args *a = call->args;
    struct cli_hub hub = {0};
    rz_hub_entries entries = {0};
    rz_status status = cli_hub_init(&hub, err);
    if (!status)
        status = rz_hub_list(&entries, &hub.options, err);
    if (!status && a->json)
        status = print_json(&entries, hub.cache_dir, err);
    else if (!status)
        print_table(&entries, hub.cache_dir);
    rz_hub_entries_free(&entries);
    cli_hub_fini(&hub);
    return status;
}

const struct cli_command cmd_list = {
    .name = "list",
    .operands = "",
    .summary = "list the models that were downloaded",
    .details = "Also those in Hugging Face's own cache, which apr reads and never changes.",
    .min_operands = 0,
    .max_operands = 0,
    .args_size = sizeof(struct list_args),
    .groups = {{"Options", list_options, 0}},
    .run = list,
};
