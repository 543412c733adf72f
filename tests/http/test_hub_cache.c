/* test_hub_cache.c - which files come, where they lie, how they are found again, shared between
 * commits and processes, listed and removed; and that names from outside stay outside. */
#include "support/hub_test.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LEN = 200000,
    CUT = 70001
};

static rz_status find(struct hub_test *t, const char *ref_text, char **path)
{
    rz_hub_ref ref;
    rz_hub_model *m = NULL;
    t->err = (rz_error){0};
    rz_status status = rz_hub_ref_parse(&ref, ref_text, t->options.endpoint, &t->err);
    if (!status)
        status = rz_hub_find(&m, &ref, &t->options, &t->err);
    *path = status ? NULL : strdup(rz_hub_model_path(m));
    rz_hub_model_free(&m);
    return status;
}

static void assert_found(struct hub_test *t, const char *ref, const char *wanted)
{
    char *path;
    assert_int_equal(find(t, ref, &path), RZ_OK);
    assert_string_equal(path, wanted);
    free(path);
}

static void assert_not_found(struct hub_test *t, const char *ref)
{
    char *path;
    assert_int_equal(find(t, ref, &path), RZ_ENOTFOUND);
    free(path);
}

static void test_found_again(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    const struct fake_file *q8 = hub_test_add(&t, "m-q8_0.gguf", 1000);
    const struct fake_file *q4 = hub_test_add(&t, "m-Q4_K_M.gguf", 2000);
    hub_test_start(&t);
    assert_not_found(&t, "org/repo");
    assert_int_equal(hub_test_pull(&t, "org/repo:q8_0", NULL), RZ_OK);
    assert_int_equal(q4->n_requests, 0);
    hub_test_same(hub_test_path(&t, q8->name), q8);
    /* The only one that is here is meant where nothing is said, but not for another. */
    assert_found(&t, "org/repo", hub_test_path(&t, q8->name));
    assert_found(&t, "hf://org/repo/m-q8_0.gguf", hub_test_path(&t, q8->name));
    assert_not_found(&t, "org/repo:Q4_K_M");
    assert_not_found(&t, "org/repo@v1");
    assert_found(&t, "org/repo@" HUB_COMMIT, hub_test_path(&t, q8->name));
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    assert_found(&t, "org/repo", hub_test_path(&t, q4->name));
    assert_found(&t, "org/repo:q8_0", hub_test_path(&t, q8->name));
    /* Offline the hub is not asked. */
    t.options.offline = true;
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    hub_test_pull_fails(&t, "org/other", RZ_ENOTFOUND, "not on this machine");
    assert_int_equal(t.hub.n_listings, 2);
    /* A file that shrank is no file. */
    assert_int_equal(truncate(hub_test_path(&t, q4->name), 1999), 0);
    assert_not_found(&t, "org/repo:Q4_K_M");
    hub_test_fini(&t);
}

static void test_revision(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    hub_test_add(&t, "m.gguf", 100);
    hub_test_start(&t);
    assert_int_equal(hub_test_pull(&t, "org/repo@refs/pr/7", NULL), RZ_OK);
    assert_not_found(&t, "org/repo");
    assert_found(&t, "org/repo@refs/pr/7", hub_test_path(&t, "m.gguf"));
    hub_test_fini(&t);
}

/* All parts or none: a model of which one part is missing is not here. */
static void test_split(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    struct fake_file *one = hub_test_add(&t, "m-q4_k_m-00001-of-00003.gguf", LEN);
    struct fake_file *two = hub_test_add(&t, "m-q4_k_m-00002-of-00003.gguf", LEN);
    struct fake_file *three = hub_test_add(&t, "m-q4_k_m-00003-of-00003.gguf", LEN);
    two->status[0] = 404;
    hub_test_start(&t);
    t.options.n_jobs = 1;
    hub_test_pull_fails(&t, "org/repo", RZ_EREMOTE, "m-q4_k_m-00002-of-00003.gguf");
    assert_true(hub_test_exists(hub_test_path(&t, one->name)));
    assert_not_found(&t, "org/repo");
    t.options.n_jobs = 3;
    char *path = NULL;
    assert_int_equal(hub_test_pull(&t, "org/repo", &path), RZ_OK);
    assert_string_equal(path, hub_test_path(&t, one->name));
    free(path);
    assert_int_equal(one->n_requests, 1);
    hub_test_same(hub_test_path(&t, two->name), two);
    hub_test_same(hub_test_path(&t, three->name), three);
    hub_test_fini(&t);
}

static void test_safetensors(void **state)
{
    (void)state;
    static const char *const texts[] = {"config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "generation_config.json",
                                        "model.safetensors.index.json",
                                        "README.md",
                                        "pytorch_model.bin"};
    struct hub_test t;
    hub_test_init(&t);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        hub_test_add_text(&t, texts[i], texts[i]);
    hub_test_add(&t, "model-00001-of-00002.safetensors", LEN);
    hub_test_add(&t, "model-00002-of-00002.safetensors", LEN);
    hub_test_add(&t, "original/consolidated.safetensors", LEN);
    hub_test_start(&t);
    char *path = NULL;
    assert_int_equal(hub_test_pull(&t, "org/repo", &path), RZ_OK);
    assert_true(hub_test_exists(hub_test_path(&t, "config.json")));
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/", path);
    assert_string_equal(folder, hub_test_path(&t, ""));
    free(path);
    for (size_t i = 0; i < t.hub.n_files; i++) {
        bool wanted = i < 5 || (i > 6 && i < 9);
        assert_int_equal(hub_test_exists(hub_test_path(&t, t.hub.files[i].name)), wanted);
        if (wanted)
            hub_test_same(hub_test_path(&t, t.hub.files[i].name), &t.hub.files[i]);
    }
    hub_test_fini(&t);
}

/* What is in another commit with the same hash is not sent again. */
static void test_commits_share(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    const struct fake_file *f = hub_test_add(&t, "m.gguf", LEN);
    hub_test_start(&t);
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    memset(t.hub.commit, 'e', 40);
    char *path = NULL;
    assert_int_equal(hub_test_pull(&t, "org/repo", &path), RZ_OK);
    assert_non_null(strstr(path, t.hub.commit));
    hub_test_same(path, f);
    assert_int_equal(f->n_requests, 1);
    assert_found(&t, "org/repo", path);
    free(path);
    hub_test_fini(&t);
}

static void test_hostile_listings(void **state)
{
    (void)state;
    static const struct {
        rz_status status;
        const char *words, *listing;
    } rows[] = {
        {RZ_EFORMAT, "not JSON", "nonsense"},
        {RZ_EFORMAT, "not JSON", "{\"sha\": 1, \"sha\": 2}"},
        {RZ_EFORMAT, "which commit", "{\"siblings\": []}"},
        {RZ_EFORMAT, "which commit", "{\"sha\": \"../../../../etc\", \"siblings\": []}"},
        {RZ_EFORMAT, "no list", "{\"sha\": \"" HUB_COMMIT "\"}"},
        {RZ_EFORMAT, "has no name", "{\"sha\": \"" HUB_COMMIT "\", \"siblings\": [{}]}"},
        {RZ_EFORMAT, "malformed",
         "{\"sha\": \"" HUB_COMMIT
         "\", \"siblings\": [{\"rfilename\": \"m.gguf\", \"size\": -1}]}"},
        {RZ_EFORMAT, "malformed",
         "{\"sha\": \"" HUB_COMMIT "\", \"siblings\": [{\"rfilename\": \"m.gguf\", \"lfs\": "
         "{\"sha256\": \"../../x\"}}]}"},
        {RZ_EFORMAT, "twice",
         "{\"sha\": \"" HUB_COMMIT
         "\", \"siblings\": [{\"rfilename\": \"m.gguf\"}, {\"rfilename\": \"m.gguf\"}]}"},
        {RZ_ELOAD, "no model",
         "{\"sha\": \"" HUB_COMMIT "\", \"siblings\": [{\"rfilename\": \"a.txt\"}]}"},
        {RZ_ELOAD, "11 of its files",
         "{\"sha\": \"" HUB_COMMIT "\", \"siblings\": ["
         "{\"rfilename\": \"../m.gguf\"}, {\"rfilename\": \"/m.gguf\"}, "
         "{\"rfilename\": \"a/../../m.gguf\"}, {\"rfilename\": \"a\\\\m.gguf\"}, "
         "{\"rfilename\": \"a//m.gguf\"}, {\"rfilename\": \"a\\nm.gguf\"}, "
         "{\"rfilename\": \"m.gguf\\u0000.txt\"}, {\"rfilename\": \"./m.gguf\"}, "
         "{\"rfilename\": \"\"}, {\"rfilename\": \"..\"}, {\"rfilename\": \"a/m.gguf/\"}]}"},
    };
    struct hub_test t;
    hub_test_init(&t);
    hub_test_start(&t);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t.hub.listing = rows[i].listing;
        hub_test_pull_fails(&t, "org/repo", rows[i].status, rows[i].words);
    }
    assert_int_equal(hub_test_count(t.dir, ""), 0); /* nothing was written, here or there */
    t.hub.listing = fake_bytes((17 << 20), 1);
    t.hub.listing_len = 17 << 20;
    hub_test_pull_fails(&t, "org/repo", RZ_EFORMAT, "larger than");
    free((char *)(uintptr_t)t.hub.listing);
    hub_test_fini(&t);
}

/* One process fetches, the other waits for it. */
struct puller {
    struct hub_test *t;
    rz_hub_options options;
    rz_status status;
};

static void *pull_in_thread(void *user)
{
    struct puller *p = user;
    rz_hub_ref ref;
    rz_hub_model *m = NULL;
    rz_error err;
    p->status = rz_hub_ref_parse(&ref, "org/repo", p->options.endpoint, &err);
    if (!p->status)
        p->status = rz_hub_resolve(&m, &ref, &p->options, &err);
    if (!p->status)
        p->status = rz_hub_pull(m, &p->options, &err);
    rz_hub_model_free(&m);
    return NULL;
}

static void test_concurrent(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    struct fake_file *a = hub_test_add(&t, "m-00001-of-00002.gguf", LEN);
    struct fake_file *b = hub_test_add(&t, "m-00002-of-00002.gguf", LEN);
    a->fault = b->fault = FAKE_CLOSE;
    a->fault_at = b->fault_at = CUT;
    a->n_faults = b->n_faults = 2;
    hub_test_start(&t);
    struct puller pullers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pullers[i] = (struct puller){.t = &t, .options = t.options};
        assert_int_equal(pthread_create(&threads[i], NULL, pull_in_thread, &pullers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(pullers[i].status, RZ_OK);
    }
    fake_hub_settle(&t.hub);
    hub_test_same(hub_test_path(&t, a->name), a);
    hub_test_same(hub_test_path(&t, b->name), b);
    assert_int_equal(a->n_bytes + b->n_bytes, 2 * LEN);
    assert_int_equal(hub_test_count(t.cache, ".partial"), 0);
    hub_test_fini(&t);
}

static pid_t start_apr(struct hub_test *t, const char *apr)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv("HF_ENDPOINT", t->hub.endpoint, 1);
        setenv("XDG_CACHE_HOME", t->dir, 1);
        setenv("HOME", t->dir, 1);
        setenv("no_proxy", "127.0.0.1", 1);
        execl(apr, apr, "pull", "-q", "org/repo", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : st.st_size;
}

static void test_killed(void **state)
{
    (void)state;
    const char *apr = getenv("APR");
    if (!apr) {
        print_message("skipped: killing `apr pull` needs APR\n");
        skip();
        return;
    }
    struct hub_test t;
    hub_test_init(&t);
    struct fake_file *f = hub_test_add(&t, "m.gguf", LEN);
    f->fault = FAKE_STALL;
    f->fault_at = CUT;
    f->n_faults = 2;
    hub_test_start(&t);
    char hash[65], partial[512];
    int exit_status;
    fake_sha256(f->data, f->len, hash);
    snprintf(partial, sizeof partial, "%s/org--repo/partial/%.40s.partial", t.cache, hash);
    for (int i = 1; i <= 2; i++) {
        pid_t pid = start_apr(&t, apr);
        for (int tries = 0; size_of(partial) != (off_t)i * CUT && tries < 3000; tries++)
            usleep(10000);
        assert_int_equal(size_of(partial), i * CUT);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &exit_status, 0), pid);
        assert_true(WIFSIGNALED(exit_status));
        assert_false(hub_test_exists(hub_test_path(&t, f->name)));
        assert_not_found(&t, "org/repo");
    }
    pid_t pid = start_apr(&t, apr);
    assert_int_equal(waitpid(pid, &exit_status, 0), pid);
    assert_true(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0);
    fake_hub_settle(&t.hub);
    hub_test_same(hub_test_path(&t, f->name), f);
    assert_int_equal(f->n_bytes, LEN);
    assert_int_equal(f->n_ranges, 2);
    assert_int_equal(f->last_from, 2 * CUT);
    assert_int_equal(hub_test_count(t.dir, ".partial"), 0);
    hub_test_fini(&t);
}

static void test_out_dir(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    struct fake_file *f = hub_test_add(&t, "sub/m.gguf", LEN);
    f->fault = FAKE_CLOSE;
    f->fault_at = CUT;
    f->n_faults = 1;
    hub_test_start(&t);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s/sub/m.gguf", t.out);
    t.options.out_dir = t.out;
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    hub_test_same(wanted, f);
    assert_int_equal(f->n_bytes, LEN);
    assert_int_equal(hub_test_count(t.dir, ""), 1); /* neither cache nor leftovers */
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    assert_int_equal(f->n_bytes, LEN);
    /* Another content, also one of the same size, is not overwritten unasked. */
    char *other = fake_bytes(LEN, 77);
    assert_non_null(other);
    for (size_t len = LEN - 1; len <= LEN; len++) {
        hub_test_write(wanted, other, len);
        hub_test_pull_fails(&t, "org/repo", RZ_EINVALID, "--force");
        assert_int_equal(size_of(wanted), len);
    }
    free(other);
    t.options.force = true;
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    hub_test_same(wanted, f);
    hub_test_fini(&t);
}

static void test_url(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    struct fake_file *f = hub_test_add(&t, "m-q4_0.gguf", LEN);
    f->fault = FAKE_CLOSE;
    f->fault_at = CUT;
    f->n_faults = 1;
    hub_test_start(&t);
    char url[256];
    snprintf(url, sizeof url, "%s/org/repo/resolve/%s/m-q4_0.gguf", t.hub.endpoint, HUB_COMMIT);
    char *path = NULL;
    /* A URL of the hub is a reference like any other; of another host it is just a file. */
    assert_int_equal(hub_test_pull(&t, url, &path), RZ_OK);
    assert_string_equal(path, hub_test_path(&t, "m-q4_0.gguf"));
    free(path);
    const char *endpoint = t.options.endpoint;
    t.options.endpoint = "http://127.0.0.1:1";
    f->n_bytes = f->n_faults = 0;
    t.options.token = "secret";
    unsigned n_tokens = t.hub.n_tokens_at_hub;
    assert_not_found(&t, url);
    f->n_faults = 1;
    assert_int_equal(hub_test_pull(&t, url, &path), RZ_OK);
    assert_non_null(strstr(path, "/url+"));
    hub_test_same(path, f);
    assert_int_equal(f->n_bytes, LEN);
    assert_int_equal(t.hub.n_tokens_at_hub, n_tokens);
    assert_found(&t, url, path);
    free(path);
    t.options.endpoint = endpoint;
    /* Without an ETag, and no hash either, nothing can be resumed. */
    f->etag = NULL;
    f->n_faults = 1;
    f->n_bytes = 0;
    t.options.endpoint = "http://127.0.0.1:1";
    t.options.force = true;
    assert_int_equal(hub_test_pull(&t, url, &path), RZ_OK);
    hub_test_same(path, f);
    assert_int_equal(f->n_bytes, LEN + CUT);
    free(path);
    hub_test_fini(&t);
}

/* A snapshot as huggingface_hub leaves it: links into blobs. */
static void make_hf_cache(struct hub_test *t, const char *name, const void *data, size_t len)
{
    char path[512], target[512];
    snprintf(path, sizeof path, "%s/models--org--repo/refs/main", t->hf_cache);
    hub_test_write(path, HUB_COMMIT, 40);
    snprintf(path, sizeof path, "%s/models--org--repo/blobs/b-%s", t->hf_cache, name);
    hub_test_write(path, data, len);
    snprintf(path, sizeof path, "%s/models--org--repo/snapshots/" HUB_COMMIT "/x", t->hf_cache);
    hub_test_write(path, "", 0);
    snprintf(target, sizeof target, "../../blobs/b-%s", name);
    snprintf(path, sizeof path, "%s/models--org--repo/snapshots/" HUB_COMMIT "/%s", t->hf_cache,
             name);
    assert_int_equal(symlink(target, path), 0);
}

static void test_foreign_cache(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    const struct fake_file *f = hub_test_add(&t, "m-q4_k_m.gguf", LEN);
    hub_test_start(&t);
    make_hf_cache(&t, f->name, f->data, f->len);
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%s/models--org--repo/snapshots/" HUB_COMMIT "/%s", t.hf_cache,
             f->name);
    assert_found(&t, "org/repo", wanted);
    char *path = NULL;
    assert_int_equal(hub_test_pull(&t, "org/repo", &path), RZ_OK);
    assert_string_equal(path, wanted);
    assert_int_equal(f->n_requests, 0);
    free(path);
    /* It is listed as theirs, and not ours to remove. */
    rz_hub_entries entries;
    assert_int_equal(rz_hub_list(&entries, &t.options, &t.err), RZ_OK);
    assert_int_equal(entries.n, 1);
    assert_true(entries.items[0].foreign);
    assert_int_equal(entries.items[0].n_bytes, LEN);
    rz_hub_entries_free(&entries);
    rz_hub_ref ref;
    rz_hub_removed removed;
    assert_int_equal(rz_hub_ref_parse(&ref, "org/repo", NULL, &t.err), RZ_OK);
    assert_int_equal(rz_hub_remove(&removed, &ref, &t.options, false, &t.err), RZ_ENOTFOUND);
    assert_non_null(strstr(t.err.text, "Hugging Face's cache"));
    hub_test_same(wanted, f);
    /* Of another size than the hub lists: fetched into our own cache. */
    hub_test_write(wanted, "short", 5);
    assert_int_equal(hub_test_pull(&t, "org/repo", &path), RZ_OK);
    assert_string_equal(path, hub_test_path(&t, f->name));
    free(path);
    hub_test_fini(&t);
}

static void remove_ref(struct hub_test *t, const char *text, bool dry, uint64_t n_bytes,
                       size_t n_files)
{
    rz_hub_ref ref;
    rz_hub_removed removed;
    assert_int_equal(rz_hub_ref_parse(&ref, text, t->options.endpoint, &t->err), RZ_OK);
    assert_int_equal(rz_hub_remove(&removed, &ref, &t->options, dry, &t->err), RZ_OK);
    assert_int_equal(removed.n_bytes, n_bytes);
    assert_int_equal(removed.n_files, n_files);
}

static void test_list_and_remove(void **state)
{
    (void)state;
    struct hub_test t;
    hub_test_init(&t);
    hub_test_add(&t, "m-q4_k_m.gguf", 1000);
    hub_test_add(&t, "m-q8_0-00001-of-00002.gguf", 2000);
    hub_test_add(&t, "m-q8_0-00002-of-00002.gguf", 3000);
    struct fake_file *f16 = hub_test_add(&t, "m-f16.gguf", 4000);
    hub_test_start(&t);
    /* Beside the cache, and linked from inside it: not to be touched. */
    char bystander[128], link_path[256];
    snprintf(bystander, sizeof bystander, "%s/precious/file", t.dir);
    hub_test_write(bystander, "x", 1);
    assert_int_equal(hub_test_pull(&t, "org/repo", NULL), RZ_OK);
    assert_int_equal(hub_test_pull(&t, "org/repo:Q8_0", NULL), RZ_OK);
    f16->fault = FAKE_CLOSE;
    f16->fault_at = 500;
    f16->n_faults = 1;
    t.options.n_retries = 0;
    hub_test_pull_fails(&t, "org/repo:F16", RZ_ENET, "");
    rz_hub_entries entries;
    assert_int_equal(rz_hub_list(&entries, &t.options, &t.err), RZ_OK);
    assert_int_equal(entries.n, 2);
    assert_string_equal(entries.items[0].name, "org/repo");
    assert_string_equal(entries.items[0].quant, "Q4_K_M");
    assert_string_equal(entries.items[0].path, hub_test_path(&t, "m-q4_k_m.gguf"));
    assert_int_equal(entries.items[1].n_bytes, 5000);
    assert_int_equal(entries.partial_bytes, 500 + 4); /* and its ETag */
    rz_hub_entries_free(&entries);
    remove_ref(&t, "org/repo:Q8_0", true, 5000, 2);
    assert_found(&t, "org/repo:Q8_0", hub_test_path(&t, "m-q8_0-00001-of-00002.gguf"));
    remove_ref(&t, "org/repo:Q8_0", false, 5000, 2);
    assert_not_found(&t, "org/repo:Q8_0");
    assert_found(&t, "org/repo", hub_test_path(&t, "m-q4_k_m.gguf"));
    snprintf(link_path, sizeof link_path, "%s/org--repo/out", t.cache);
    char folder[128];
    snprintf(folder, sizeof folder, "%s/precious", t.dir);
    assert_int_equal(symlink(folder, link_path), 0);
    rz_hub_ref ref;
    rz_hub_removed removed;
    assert_int_equal(rz_hub_ref_parse(&ref, "org/repo", NULL, &t.err), RZ_OK);
    assert_int_equal(rz_hub_remove(&removed, &ref, &t.options, false, &t.err), RZ_OK);
    assert_true(removed.n_bytes >= 1500);
    assert_true(hub_test_exists(bystander));
    assert_int_equal(hub_test_count(t.cache, ""), 0);
    assert_int_equal(rz_hub_remove(&removed, &ref, &t.options, false, &t.err), RZ_ENOTFOUND);
    hub_test_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_again),   cmocka_unit_test(test_revision),
        cmocka_unit_test(test_split),         cmocka_unit_test(test_safetensors),
        cmocka_unit_test(test_commits_share), cmocka_unit_test(test_hostile_listings),
        cmocka_unit_test(test_concurrent),    cmocka_unit_test(test_killed),
        cmocka_unit_test(test_out_dir),       cmocka_unit_test(test_url),
        cmocka_unit_test(test_foreign_cache), cmocka_unit_test(test_list_and_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
