/* hub_test.c - shared ground of the tests of downloads. */
#include "support/hub_test.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void hub_test_init(struct hub_test *t)
{
    const char *tmp = getenv("TMPDIR");
    memset(t, 0, sizeof *t);
    snprintf(t->dir, sizeof t->dir, "%s/rz-hub-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(t->dir));
    snprintf(t->cache, sizeof t->cache, "%s/apr/hub", t->dir);
    snprintf(t->hf_cache, sizeof t->hf_cache, "%s/hf", t->dir);
    snprintf(t->out, sizeof t->out, "%s/out", t->dir);
    t->hub.repo = "org/repo";
    t->options = rz_hub_options_default();
    t->options.cache_dir = t->cache;
    t->options.hf_cache_dir = t->hf_cache;
    t->options.backoff_ms = 1;
    t->options.backoff_max_ms = 5000;
    t->options.stall_ms = 10000;
    t->options.n_jobs = 3;
}

struct fake_file *hub_test_add(struct hub_test *t, const char *name, size_t len)
{
    size_t i = t->hub.n_files++;
    assert_true(i < FAKE_MAX_FILES);
    t->data[i] = fake_bytes(len, (unsigned)i + 1);
    assert_non_null(t->data[i]);
    struct fake_file *f = &t->hub.files[i];
    *f = (struct fake_file){
        .name = name, .data = t->data[i], .len = len, .lfs = true, .etag = "\"v1\""};
    return f;
}

struct fake_file *hub_test_add_text(struct hub_test *t, const char *name, const char *text)
{
    struct fake_file *f = &t->hub.files[t->hub.n_files++];
    *f = (struct fake_file){.name = name, .data = text, .len = strlen(text)};
    return f;
}

void hub_test_start(struct hub_test *t)
{
    fake_hub_start(&t->hub);
    t->options.endpoint = t->hub.endpoint;
}

static void remove_tree(const char *path)
{
    struct stat st;
    if (lstat(path, &st))
        return;
    DIR *dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char sub[1024];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        remove_tree(sub);
    }
    if (dir)
        closedir(dir);
    remove(path);
}

void hub_test_fini(struct hub_test *t)
{
    fake_hub_stop(&t->hub);
    for (size_t i = 0; i < FAKE_MAX_FILES; i++)
        free(t->data[i]);
    remove_tree(t->dir);
}

rz_status hub_test_pull(struct hub_test *t, const char *ref_text, char **path)
{
    rz_hub_ref ref;
    rz_hub_model *m = NULL;
    t->err = (rz_error){0};
    rz_status status = rz_hub_ref_parse(&ref, ref_text, t->options.endpoint, &t->err);
    if (!status)
        status = rz_hub_resolve(&m, &ref, &t->options, &t->err);
    if (!status)
        status = rz_hub_pull(m, &t->options, &t->err);
    fake_hub_settle(&t->hub);
    assert_int_equal(status, t->err.code);
    if (!status && path)
        *path = strdup(rz_hub_model_path(m));
    if (!status)
        assert_true(rz_hub_model_is_present(m));
    rz_hub_model_free(&m);
    return status;
}

void hub_test_pull_fails(struct hub_test *t, const char *ref, rz_status wanted, const char *words)
{
    rz_status status = hub_test_pull(t, ref, NULL);
    if (status != wanted || !strstr(t->err.text, words))
        print_error("status %d: %s\n", (int)status, t->err.text);
    assert_int_equal(status, wanted);
    assert_non_null(strstr(t->err.text, words));
}

const char *hub_test_path(struct hub_test *t, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/org--repo/" HUB_COMMIT "/%s", t->cache, name);
    return path;
}

bool hub_test_exists(const char *path)
{
    struct stat st;
    return !lstat(path, &st);
}

void hub_test_same(const char *path, const struct fake_file *f)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *data = malloc(f->len + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, f->len + 1, file), f->len);
    assert_memory_equal(data, f->data, f->len);
    free(data);
    fclose(file);
}

unsigned hub_test_count(const char *folder, const char *end)
{
    unsigned n = 0;
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char sub[1024];
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(sub, sizeof sub, "%s/%s", folder, e->d_name);
        size_t len = strlen(sub), n_end = strlen(end);
        if (!lstat(sub, &st) && S_ISDIR(st.st_mode))
            n += hub_test_count(sub, end);
        else
            n += len >= n_end && !strcmp(sub + len - n_end, end);
    }
    if (dir)
        closedir(dir);
    return n;
}

void hub_test_write(const char *path, const void *data, size_t len)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(folder, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}
