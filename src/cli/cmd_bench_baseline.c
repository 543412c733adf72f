/* cmd_bench_baseline.c - other programs on the same file: llama.cpp's llama-bench and its like,
 * started once per run with one repetition, so that its samples and ours see the same moments. Its
 * JSON: tools/llama-bench/README.md of llama.cpp. */
#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/cmd_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAX_ANSWER = 16 << 20,
    MAX_ARGV = 24 + 2 * BENCH_MAX_LIST,
    LIST_TEXT = 256
};

/* Programs that answer as llama-bench does. */
static const char *const bench_programs[] = {"llama-cpp", "ik-llama-cpp"};

static bool is_program(const char *name, size_t len)
{
    for (size_t i = 0; i < RZ_ARRAY_LEN(bench_programs); i++)
        if (strlen(bench_programs[i]) == len && !memcmp(bench_programs[i], name, len))
            return true;
    return false;
}

static rz_status parse_baseline(struct bench_job *j, const char *text, rz_error *err)
{
    const char *where = strchr(text, '=');
    size_t len = where ? (size_t)(where - text) : strlen(text);
    bool ollama = len == 6 && !memcmp(text, "ollama", 6), program = is_program(text, len);
    if (!where || !where[1] || (!ollama && !program))
        return rz_fail(err, RZ_EUSAGE,
                       "--baseline takes llama-cpp=PATH, ik-llama-cpp=PATH or ollama=URL/MODEL, "
                       "not '%s'",
                       text);
    if (j->n_baselines == BENCH_MAX_BASELINES)
        return rz_fail(err, RZ_EUSAGE, "--baseline may be given %d times", BENCH_MAX_BASELINES);
    struct bench_baseline *b = &j->baseline[j->n_baselines];
    if (ollama)
        RZ_TRY(bench_parse_ollama(b, where + 1, err));
    else if (access(where + 1, X_OK))
        return rz_fail(err, RZ_ENOTFOUND, "%s cannot be run: %s", where + 1, strerror(errno));
    else
        b->path = where + 1;
    size_t same = 1;
    for (size_t i = 0; i < j->n_baselines; i++)
        same += !strncmp(j->baseline[i].name, text, len);
    snprintf(b->name, sizeof b->name, "%.*s", (int)len, text);
    if (same > 1)
        snprintf(b->name, sizeof b->name, "%.*s-%zu", (int)len, text, same);
    j->n_baselines++;
    return RZ_OK;
}

rz_status bench_parse_baselines(struct bench_job *j, rz_error *err)
{
    for (size_t i = 0; i < j->args->baselines.n; i++)
        RZ_TRY(parse_baseline(j, j->args->baselines.items[i], err));
    return RZ_OK;
}

static rz_status read_all(int fd, struct rz_buf *out, const char *name, rz_error *err)
{
    char part[1 << 14];
    for (;;) {
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR && !cli_interrupted())
            continue;
        if (n < 0)
            return errno == EINTR
                       ? RZ_ECANCEL
                       : rz_fail(err, RZ_EIO, "%s cannot be read: %s", name, strerror(errno));
        if (n == 0)
            return RZ_OK;
        if (!rz_buf_add(out, part, (size_t)n))
            return rz_fail(err, RZ_EFORMAT, "%s answers more than %d bytes", name, MAX_ANSWER);
    }
}

/* Runs argv[0] without a shell, its standard output to out. */
static rz_status run_program(char *const *argv, struct rz_buf *out, rz_error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return rz_fail(err, RZ_EIO, "a pipe cannot be made: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int failed = posix_spawn(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (failed) {
        close(fds[0]);
        return rz_fail(err, RZ_ENOTFOUND, "%s cannot be run: %s", argv[0], strerror(failed));
    }
    rz_status status = read_all(fds[0], out, argv[0], err);
    close(fds[0]);
    int how = 0;
    while (waitpid(child, &how, 0) < 0 && errno == EINTR)
        ;
    if (!status && (!WIFEXITED(how) || WEXITSTATUS(how) != 0))
        return rz_fail(err, RZ_EIO, "%s failed with %s %d; run by hand it says why", argv[0],
                       WIFEXITED(how) ? "exit code" : "signal",
                       WIFEXITED(how) ? WEXITSTATUS(how) : WTERMSIG(how));
    return status;
}

static void list_text(char text[LIST_TEXT], const struct bench_list *list)
{
    size_t used = 0;
    snprintf(text, LIST_TEXT, "0");
    for (size_t i = 0; i < list->n && used < LIST_TEXT; i++) {
        int n = snprintf(text + used, LIST_TEXT - used, "%s%u", i ? "," : "", list->item[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* ik_llama.cpp has no -d, but generates after a prompt, without counting its time: -gp depth,n. */
static bool knows_pairs(const struct bench_baseline *b)
{
    return strcmp(b->name, "ik-llama-cpp") == 0;
}

static rz_status ask(const struct bench_job *j, const struct bench_baseline *b, uint32_t depth,
                     struct rz_buf *out, rz_error *err)
{
    char prompt[LIST_TEXT], gen[LIST_TEXT], threads[16], at[16];
    list_text(prompt, &j->prompt);
    list_text(gen, &j->gen);
    snprintf(threads, sizeof threads, "%u", rz_model_get_info(j->l.model)->n_threads);
    snprintf(at, sizeof at, "%u", depth);
    const char *argv[MAX_ARGV] = {b->path, "-m", j->l.path, "-t",   threads, "-r",
                                  "1",     "-o", "json",    "-ngl", "0"};
    size_t n = 11;
    const bool pairs = depth && knows_pairs(b);
    argv[n++] = "-p";
    argv[n++] = pairs ? "0" : prompt;
    argv[n++] = "-n";
    argv[n++] = pairs ? "0" : gen;
    char pair[BENCH_MAX_LIST][32];
    for (size_t i = 0; pairs && i < j->gen.n; i++) {
        snprintf(pair[i], sizeof pair[i], "%u,%u", depth, j->gen.item[i]);
        argv[n++] = "-gp";
        argv[n++] = pair[i];
    }
    if (depth && !pairs) { /* older versions know no depth */
        argv[n++] = "-d";
        argv[n++] = at;
    }
    if (j->kv_type == RZ_Q8_0) { /* a quantized V needs flash attention */
        argv[n++] = "-ctk";
        argv[n++] = "q8_0";
        argv[n++] = "-ctv";
        argv[n++] = "q8_0";
        argv[n++] = "-fa";
        argv[n++] = "1";
    }
    argv[n] = NULL;
    return run_program((char *const *)(uintptr_t)argv, out, err);
}

/* Puts one entry of its answer to the case that it is of. */
static void take(struct bench_job *j, const json_t *entry, const size_t at[2], uint32_t depth)
{
    json_int_t prompt = json_integer_value(json_object_get(entry, "n_prompt"));
    json_int_t gen = json_integer_value(json_object_get(entry, "n_gen"));
    json_int_t theirs = json_integer_value(json_object_get(entry, "n_depth"));
    if (depth && knows_pairs(&j->baseline[at[0]]) && gen) {
        theirs = prompt;
        prompt = 0;
    }
    double rate = json_number_value(json_object_get(entry, "avg_ts"));
    for (size_t i = 0; i < j->n_cases; i++) {
        struct bench_case *c = &j->cases[i];
        bool same = c->decode ? gen == c->n && prompt == 0 : prompt == c->n && gen == 0;
        if (same && c->depth == depth && theirs == depth && c->batch == 1)
            c->rival[at[0]].rate[at[1]] = rate;
    }
}

static rz_status run_program_once(struct bench_job *j, uint32_t depth, const size_t at[2],
                                  rz_error *err)
{
    if (depth && knows_pairs(&j->baseline[at[0]]) && j->gen.n == 0)
        return RZ_OK; /* nothing that it can measure */
    struct rz_buf out;
    rz_buf_init(&out, MAX_ANSWER);
    rz_status status = ask(j, &j->baseline[at[0]], depth, &out, err);
    json_error_t why = {0};
    json_t *answer = status ? NULL : json_loadb(out.data ? out.data : "", out.len, 0, &why);
    rz_buf_fini(&out);
    if (!status && !json_is_array(answer))
        status = rz_fail(err, RZ_EFORMAT, "%s does not answer with a JSON array%s%s",
                         j->baseline[at[0]].path, *why.text ? ": " : "", why.text);
    for (size_t i = 0; i < json_array_size(answer); i++)
        take(j, json_array_get(answer, i), at, depth);
    json_decref(answer);
    return status;
}

rz_status bench_check_baselines(const struct bench_job *j, rz_error *err)
{
    for (size_t b = 0; b < j->n_baselines; b++)
        if (j->baseline[b].path && j->kv_type == RZ_F32)
            return rz_fail(err, RZ_EUSAGE,
                           "llama-bench has no F32 KV cache, %s: give --kv f16 to compare",
                           j->args->kv ? "as --kv asks for" : "the default for a model of floats");
    return RZ_OK;
}

rz_status bench_run_baselines(struct bench_job *j, uint32_t depth, size_t i_run, rz_error *err)
{
    for (size_t b = 0; b < j->n_baselines; b++) {
        const size_t at[2] = {b, i_run};
        j->read_before = rz_reads_now(j->reads);
        RZ_TRY(j->baseline[b].path ? run_program_once(j, depth, at, err)
                                   : bench_run_ollama(j, depth, at, err));
        const double read = bench_read_beside(j);
        for (size_t i = 0; i < j->n_cases; i++)
            if (j->cases[i].depth == depth)
                j->cases[i].rival[b].read[i_run] = read;
    }
    return RZ_OK;
}
