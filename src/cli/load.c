/* load.c - from the MODEL argument to a session. */
#include "cli/load.h"

#include "base/clock.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/fetch.h"
#include "cli/io.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FEED_PART = 512, /* tokens between two looks at Ctrl-C */
    TREE_LEVELS = 4  /* folders above the executable that may be the source tree */
};

#define DEMO_FILE "models/demo.gguf"

#define FIELD(f) offsetof(struct cli_model_args, f)
const struct cli_option cli_model_options[] = {
    CLI_ROW_RANGE(CLI_UINT, 't', "threads", "N", 1, 256, FIELD(threads),
                  "threads to compute with (default: one per CPU that the process may use)"),
    CLI_ROW(CLI_CHOICE, 0, "cpu-level", "scalar|avx2|avx512|avx512+bf16|amx", FIELD(cpu_level),
            "use no newer instructions than these (default: the newest that the CPU has)"),
    CLI_ROW_FLAG(0, "no-packing", FIELD(no_packing),
                 "keep no rearranged copies of the weights in memory: slower, the same results"),
    CLI_ROW_FLAG(0, "no-gpu", FIELD(no_gpu), "compute on the CPU (always so in this build)"),
    CLI_ROW_FLAG(0, "gpu", FIELD(gpu),
                 "compute on a GPU; this build has no GPU backend and stops with exit code 9"),
    {0},
};

#undef FIELD
#define FIELD(f) offsetof(struct cli_engine_args, f)
const struct cli_option cli_engine_options[] = {
    CLI_ROW_RANGE(CLI_UINT, 0, "ctx", "N", 1, 1 << 24, FIELD(ctx),
                  "tokens that the context holds (default: as many as the model was trained for)"),
    CLI_ROW(CLI_CHOICE, 0, "kv", "f16|f32|q8_0", FIELD(kv),
            "type of the KV cache (default: f32 if all weights are floats, else f16)"),
    {0},
};

static bool is_file(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

/* Sets *path to the concatenation if that is a file; true if it is. */
static bool try_file(char **path, const char *folder, int folder_len, const char *name)
{
    if (asprintf(path, "%.*s/%s", folder_len, folder, name) < 0) {
        *path = NULL;
        return false;
    }
    if (is_file(*path))
        return true;
    free(*path);
    *path = NULL;
    return false;
}

/* The demo model, installed beside the program or in the source tree that it was built in. */
static rz_status find_demo(char **path, rz_error *err)
{
    const char *given = getenv("APR_DEMO_MODEL");
    if (given && *given) {
        *path = strdup(given);
        return *path ? RZ_OK : rz_fail_nomem(err, strlen(given), "a file's name");
    }
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe);
    int n = len > 0 && (size_t)len < sizeof exe ? (int)len : 0;
    while (n > 0 && exe[n - 1] != '/')
        n--;
    if (n > 0 && try_file(path, exe, n - 1, "../share/apr/" DEMO_FILE))
        return RZ_OK;
    for (int level = 0; level < TREE_LEVELS && n > 1; level++) {
        if (try_file(path, exe, n - 1, DEMO_FILE))
            return RZ_OK;
        for (n--; n > 0 && exe[n - 1] != '/'; n--)
            ;
    }
    static const char installed[] = RZ_INSTALL_DATADIR;
    if (try_file(path, installed, (int)sizeof installed - 1, DEMO_FILE))
        return RZ_OK;
    return rz_fail(err, RZ_ENOTFOUND,
                   "the demo model is not installed: no %s/" DEMO_FILE ", nor " DEMO_FILE
                   " above the program; APR_DEMO_MODEL may name it",
                   installed);
}

/* A name that is nothing on this machine's disk: of the hub, or a mistake. */
static rz_status not_a_path(char **path, const char *operand, bool quiet, bool *downloaded,
                            rz_error *err)
{
    int reason = errno;
    bool missing = reason == ENOENT || reason == ENOTDIR;
    if (missing && rz_hub_is_ref(operand))
        return cli_fetch(path, operand, quiet, downloaded, err);
    if (missing)
        return rz_fail(err, RZ_ENOTFOUND,
                       "there is no file %s; MODEL is a .gguf file, a SafeTensors model's folder, "
                       "org/repo, hf://..., a URL, an alias (tiny, small, medium, large) or demo",
                       operand);
    return rz_fail(err, RZ_EIO, "%s cannot be opened: %s", operand, strerror(reason));
}

static rz_status model_path(char **path, const char *operand, bool quiet, bool *downloaded,
                            rz_error *err)
{
    *path = NULL;
    *downloaded = false;
    if (!strcmp(operand, "demo"))
        return find_demo(path, err);
    struct stat st;
    if (stat(operand, &st))
        return not_a_path(path, operand, quiet, downloaded, err);
    char *config = NULL;
    if (S_ISDIR(st.st_mode) && !try_file(&config, operand, (int)strlen(operand), "config.json"))
        return rz_fail(err, RZ_ENOTFOUND,
                       "%s is a directory without config.json; MODEL is a .gguf file (of a split "
                       "one, any part), or a SafeTensors model's directory",
                       operand);
    free(config);
    *path = strdup(operand);
    return *path ? RZ_OK : rz_fail_nomem(err, strlen(operand), "a file's name");
}

rz_status cli_model_path(char **path, const char *operand, rz_error *err)
{
    bool downloaded;
    return model_path(path, operand, false, &downloaded, err);
}

static rz_status open_model(struct cli_loaded *l, const struct cli_model_args *args, rz_error *err)
{
    rz_model_options options = rz_model_options_default();
    options.n_threads = (uint32_t)args->threads.value;
    options.no_packing = args->no_packing;
    if (args->cpu_level)
        RZ_TRY(rz_cpu_level_mask(args->cpu_level, &options.cpu_mask, err));
    l->copy = cli_warm_find(l, args);
    rz_error why = {0};
    if (l->copy && rz_model_open(&l->model, l->copy, &options, &why)) {
        cli_warm_drop(l->copy, &why);
        free(l->copy);
        l->copy = NULL;
        l->keep_copy = true;
    }
    return l->model ? RZ_OK : rz_model_open(&l->model, l->path, &options, err);
}

static rz_status open_session(struct cli_loaded *l, const struct cli_engine_args *args,
                              rz_error *err)
{
    rz_engine_options options = rz_engine_options_default();
    options.n_ctx = (uint32_t)args->ctx.value;
    if (args->kv)
        options.kv_type = rz_dtype_by_name(args->kv);
    RZ_TRY(rz_engine_new(&l->engine, l->model, &options, err));
    return rz_session_new(&l->session, l->engine, err);
}

rz_status cli_load(struct cli_loaded *l, const char *operand, const struct cli_model_args *args,
                   const struct cli_engine_args *engine_args, bool quiet, rz_error *err)
{
    if (args->gpu && args->no_gpu)
        return rz_fail(err, RZ_EUSAGE, "--gpu and --no-gpu contradict each other");
    if (args->gpu)
        return rz_fail(err, RZ_ENOTBUILT, "this build of apr has no GPU backend; leave out --gpu");
    RZ_TRY(model_path(&l->path, operand, quiet, &l->downloaded, err));
    double start = rz_now_s();
    if (!quiet)
        cli_spinner_start("loading the model");
    rz_status status = open_model(l, args, err);
    if (!status && engine_args)
        status = open_session(l, engine_args, err);
    cli_spinner_stop();
    l->load_s = rz_now_s() - start;
    return status;
}

void cli_unload(struct cli_loaded *l)
{
    rz_session_free(&l->session);
    rz_engine_free(&l->engine);
    rz_model_close(&l->model);
    free(l->path);
    free(l->copy);
    *l = (struct cli_loaded){0};
}

rz_status cli_check_context(const struct cli_loaded *l, size_t n, rz_error *err)
{
    uint32_t n_ctx = rz_engine_n_ctx(l->engine);
    uint32_t n_train = rz_model_get_info(l->model)->n_ctx_train;
    if (n <= n_ctx)
        return RZ_OK;
    if (n_ctx < n_train)
        return rz_fail(err, RZ_EINFER,
                       "the prompt has %zu tokens and the context holds %u: --ctx can be up to %u",
                       n, n_ctx, n_train);
    return rz_fail(err, RZ_EINFER,
                   "the prompt has %zu tokens and the context holds %u, which is all that the "
                   "model was trained for",
                   n, n_ctx);
}

rz_status cli_feed(const struct cli_loaded *l, const rz_ids *ids, size_t *n_reused, rz_error *err)
{
    RZ_TRY(cli_check_context(l, ids->len, err));
    size_t n_had;
    const int32_t *had = rz_session_ids(l->session, &n_had);
    size_t done = 0;
    while (done < n_had && done < ids->len && had[done] == ids->data[done])
        done++;
    /* The session keeps what it has of each prefix, so each part feeds only what is new in it. */
    bool first = true;
    do {
        if (cli_interrupted())
            return RZ_ECANCEL;
        size_t end = ids->len - done > FEED_PART ? done + FEED_PART : ids->len;
        RZ_TRY(rz_session_sync(l->session, ids->data, end, first ? n_reused : NULL, err));
        first = false;
        done = end;
    } while (done < ids->len);
    return RZ_OK;
}

void cli_describe(const struct cli_loaded *l)
{
    const rz_model_info *info = rz_model_get_info(l->model);
    char size[CLI_BYTES_MAX];
    uint64_t bytes = rz_file_bytes(rz_model_get_file(l->model));
    cli_note("model     %s%s%s, %u layers, %u wide, %u heads, %u KV heads, vocabulary %u",
             info->architecture, *info->name ? ": " : "", info->name, info->n_layers, info->n_embd,
             info->n_heads, info->n_kv_heads, info->n_vocab);
    cli_note("file      %s, %.1f M parameters, %.2f bits per weight", cli_bytes(size, bytes),
             (double)info->n_params * 1e-6,
             8.0 * (double)info->weight_bytes / (double)info->n_params);
    if (l->copy)
        cli_note("cache     %s", l->copy);
    cli_note("load      %.1f ms", l->load_s * 1e3);
    cli_note("compute   CPU, %u thread%s, %s kernels", info->n_threads,
             info->n_threads == 1 ? "" : "s", info->cpu_level);
}

void cli_describe_memory(const struct cli_loaded *l)
{
    char reserved[CLI_BYTES_MAX], used[CLI_BYTES_MAX], scratch[CLI_BYTES_MAX];
    cli_note("context   %u tokens; KV cache (%s) %s reserved, %s used; scratch %s",
             rz_engine_n_ctx(l->engine), rz_dtype_name(rz_engine_kv_type(l->engine)),
             cli_bytes(reserved, rz_engine_kv_bytes_reserved(l->engine)),
             cli_bytes(used, rz_engine_kv_bytes_used(l->engine)),
             cli_bytes(scratch, rz_engine_scratch_bytes(l->engine)));
}
