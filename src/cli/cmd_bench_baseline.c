/* cmd_bench_baseline.c - other programs on the same file: llama.cpp's llama-bench, which is started
 * once per run with one repetition, so that its samples and ours see the same moments. Its JSON:
 * tools/llama-bench/README.md of llama.cpp. */
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
    MAX_ARGV = 24,
    LIST_TEXT = 256
};

static rz_status parse_baseline(struct bench_job *j, const char *text, rz_error *err)
{
    const char *where = strchr(text, '=');
    size_t len = where ? (size_t)(where - text) : strlen(text);
    if (len == 6 && !memcmp(text, "ollama", 6))
        return rz_fail(err, RZ_ENOTBUILT,
                       "--baseline ollama=URL needs HTTP, which this build of apr has not; "
                       "llama-cpp=PATH of a llama-bench works");
    if (len != 9 || memcmp(text, "llama-cpp", 9) != 0 || !where || !where[1])
        return rz_fail(err, RZ_EUSAGE, "--baseline takes llama-cpp=PATH or ollama=URL, not '%s'",
                       text);
    if (j->n_baselines == BENCH_MAX_BASELINES)
        return rz_fail(err, RZ_EUSAGE, "--baseline may be given %d times", BENCH_MAX_BASELINES);
    if (access(where + 1, X_OK))
        return rz_fail(err, RZ_ENOTFOUND, "%s cannot be run: %s", where + 1, strerror(errno));
    struct bench_baseline *b = &j->baseline[j->n_baselines++];
    b->path = where + 1;
    if (j->n_baselines == 1)
        snprintf(b->name, sizeof b->name, "llama-cpp");
    else
        snprintf(b->name, sizeof b->name, "llama-cpp-%zu", j->n_baselines);
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

static rz_status ask(const struct bench_job *j, const struct bench_baseline *b, uint32_t depth,
                     struct rz_buf *out, rz_error *err)
{
    char prompt[LIST_TEXT], gen[LIST_TEXT], threads[16], at[16];
    list_text(prompt, &j->prompt);
    list_text(gen, &j->gen);
    snprintf(threads, sizeof threads, "%u", rz_model_get_info(j->l.model)->n_threads);
    snprintf(at, sizeof at, "%u", depth);
    const char *argv[MAX_ARGV] = {b->path, "-m", j->l.path, "-p", prompt, "-n",   gen, "-t",
                                  threads, "-r", "1",       "-o", "json", "-ngl", "0"};
    size_t n = 15;
    if (depth) { /* older versions know no depth */
        argv[n++] = "-d";
        argv[n++] = at;
    }
    if (j->kv_type == RZ_F32) {
        argv[n++] = "-ctk";
        argv[n++] = "f32";
        argv[n++] = "-ctv";
        argv[n++] = "f32";
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
    double rate = json_number_value(json_object_get(entry, "avg_ts"));
    for (size_t i = 0; i < j->n_cases; i++) {
        struct bench_case *c = &j->cases[i];
        bool same = c->decode ? gen == c->n && prompt == 0 : prompt == c->n && gen == 0;
        if (same && c->depth == depth && theirs == depth && c->batch == 1)
            c->rival[at[0]].rate[at[1]] = rate;
    }
}

rz_status bench_run_baselines(struct bench_job *j, uint32_t depth, size_t i_run, rz_error *err)
{
    for (size_t b = 0; b < j->n_baselines; b++) {
        struct rz_buf out;
        rz_buf_init(&out, MAX_ANSWER);
        rz_status status = ask(j, &j->baseline[b], depth, &out, err);
        json_error_t why = {0};
        json_t *answer = status ? NULL : json_loadb(out.data ? out.data : "", out.len, 0, &why);
        rz_buf_fini(&out);
        if (!status && !json_is_array(answer))
            status = rz_fail(err, RZ_EFORMAT, "%s does not answer with a JSON array %s",
                             j->baseline[b].path, why.text);
        const size_t at[2] = {b, i_run};
        for (size_t i = 0; i < json_array_size(answer); i++)
            take(j, json_array_get(answer, i), at, depth);
        json_decref(answer);
        RZ_TRY(status);
    }
    return RZ_OK;
}
