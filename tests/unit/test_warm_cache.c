/* test_warm_cache.c - the cache of prepacked copies: what counts as the same source, who may write,
 * what is removed. The copies here are texts; what is in them is not the cache's concern. */
#include <realizar/warm_cache.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch[128], cache[160];

static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned i;
    char *path = paths[i++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

/* Writes a file, and waits until it no longer counts as changed this moment. */
static void put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    nanosleep(&(struct timespec){.tv_nsec = 80000000}, NULL);
}

static rz_warm_source source(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return (rz_warm_source){.dir = cache, .path = path, .settings = "test 1"};
}

/* "" or the text of the copy. */
static const char *find(const char *name)
{
    static char text[64];
    const rz_warm_source s = source(name);
    char *copy = NULL;
    rz_error err = {0};
    if (rz_warm_find(&copy, &s, &err))
        fail_msg("%s", err.text);
    text[0] = '\0';
    FILE *f = copy ? fopen(copy, "r") : NULL;
    if (f) {
        assert_non_null(fgets(text, sizeof text, f));
        fclose(f);
    }
    free(copy);
    return text;
}

static rz_warm_writer *begin(const char *name, uint64_t max_bytes)
{
    const rz_warm_source s = source(name);
    rz_warm_writer *w = NULL;
    rz_error err = {0};
    if (rz_warm_begin(&w, &s, max_bytes, &err))
        fail_msg("%s", err.text);
    return w;
}

static void end(rz_warm_writer *w, const char *text)
{
    rz_error err = {0};
    FILE *f = fopen(rz_warm_writer_path(w), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    if (rz_warm_end(w, &err))
        fail_msg("%s", err.text);
    rz_warm_writer_free(&w);
}

static size_t n_copies(void)
{
    rz_warm_entries e;
    rz_error err = {0};
    if (rz_warm_list(&e, cache, &err))
        fail_msg("%s", err.text);
    const size_t n = e.n;
    rz_warm_entries_free(&e);
    return n;
}

static void test_keep_and_find(void **state)
{
    (void)state;
    put("a.gguf", "weights");
    assert_string_equal(find("a.gguf"), "");
    rz_warm_writer *w = begin("a.gguf", 1000);
    assert_non_null(w);
    assert_string_equal(find("a.gguf"), ""); /* not before it is whole */
    end(w, "copy of a");
    assert_string_equal(find("a.gguf"), "copy of a");
    assert_null(begin("a.gguf", 1000)); /* it exists */
    put("a.gguf", "weightS");           /* the same size */
    assert_string_equal(find("a.gguf"), "");
    end(begin("a.gguf", 1000), "copy of A");
    assert_string_equal(find("a.gguf"), "copy of A");
    assert_int_equal(n_copies(), 1); /* the old one has no owner any more */
}

/* Times put back, as a careful tool does: the time of change still tells. */
static void test_forged_times(void **state)
{
    (void)state;
    struct stat st;
    put("b.gguf", "one");
    end(begin("b.gguf", 1000), "copy of one");
    assert_int_equal(stat(at("b.gguf"), &st), 0);
    put("b.gguf", "two");
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(-1, at("b.gguf"), times, 0), 0);
    assert_string_equal(find("b.gguf"), "");
}

static void test_same_bytes(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("one"), 0700) | mkdir(at("two"), 0700), 0);
    for (int i = 0; i < 2; i++) {
        put(i ? "two/config.json" : "one/config.json", "{}");
        put(i ? "two/model.safetensors" : "one/model.safetensors", "tensors");
        put(i ? "two/notes.txt" : "one/notes.txt", i ? "x" : "y"); /* no part of a model */
    }
    end(begin("one", 1000), "copy of both");
    assert_string_equal(find("two"), "");
    assert_null(begin("two", 1000)); /* found by its bytes; nothing to write */
    assert_string_equal(find("two"), "copy of both");
    assert_string_equal(find("one"), "copy of both");
    put("two/config.json", "{ }");
    assert_string_equal(find("two"), "");
    assert_string_equal(find("one"), "copy of both");
    put("one/tokenizer.json", "{}"); /* a file more */
    assert_string_equal(find("one"), "");
}

static void test_turns(void **state)
{
    (void)state;
    put("c.gguf", "c");
    put("d.gguf", "d");
    rz_warm_writer *w = begin("c.gguf", 1000);
    uint64_t n_bytes;
    rz_error err = {0};
    assert_non_null(w);
    assert_null(begin("d.gguf", 1000)); /* the other writes */
    assert_int_equal(rz_warm_clear(cache, &n_bytes, &err), RZ_EIO);
    rz_warm_writer_free(&w); /* given up */
    assert_string_equal(find("c.gguf"), "");
    w = begin("c.gguf", 1000);
    put("c.gguf", "C"); /* while it is written */
    end(w, "copy of c");
    assert_string_equal(find("c.gguf"), "");
}

static void test_bound(void **state)
{
    (void)state;
    uint64_t n_bytes;
    rz_error err = {0};
    assert_int_equal(rz_warm_clear(cache, &n_bytes, &err), RZ_OK);
    put("e.gguf", "0123456789");
    put("f.gguf", "abcdefghij");
    put("g.gguf", "ABCDEFGHIJ");
    assert_null(begin("e.gguf", 9)); /* larger than all that is allowed */
    end(begin("e.gguf", 25), "0123456789");
    end(begin("f.gguf", 25), "abcdefghij");
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    rz_warm_entries entries;
    assert_int_equal(rz_warm_list(&entries, cache, &err), RZ_OK);
    assert_int_equal(entries.n_bytes, 20);
    for (size_t i = 0; i < entries.n; i++)
        assert_int_equal(utimensat(-1, entries.items[i].path, old, 0), 0);
    rz_warm_entries_free(&entries);
    assert_string_equal(find("e.gguf"), "0123456789"); /* used now */
    end(begin("g.gguf", 25), "ABCDEFGHIJ");
    assert_string_equal(find("f.gguf"), "");
    assert_string_equal(find("e.gguf"), "0123456789");
    assert_string_equal(find("g.gguf"), "ABCDEFGHIJ");
    FILE *f = fopen(at("cache/left.part"), "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rz_warm_clear(cache, &n_bytes, &err), RZ_OK);
    assert_int_equal(n_bytes, 20);
    assert_int_equal(n_copies(), 0);
    assert_string_equal(find("g.gguf"), "");
    assert_int_not_equal(access(at("cache/left.part"), F_OK), 0);
}

static void test_no_source(void **state)
{
    (void)state;
    const rz_warm_source s = source("nothing");
    char *copy = NULL;
    rz_error err = {0};
    assert_int_equal(rz_warm_find(&copy, &s, &err), RZ_EIO);
    assert_null(copy);
    assert_non_null(strstr(err.text, "nothing"));
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(scratch, sizeof scratch, "%.80s/rz-warm-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"a.gguf",
                                        "b.gguf",
                                        "c.gguf",
                                        "d.gguf",
                                        "e.gguf",
                                        "f.gguf",
                                        "g.gguf",
                                        "cache/lock",
                                        "one/config.json",
                                        "one/notes.txt",
                                        "two/notes.txt",
                                        "one/model.safetensors",
                                        "two/config.json",
                                        "one/tokenizer.json",
                                        "two/model.safetensors"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        unlink(at(files[i]));
    return rmdir(at("one")) | rmdir(at("two")) | rmdir(cache) | rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_and_find), cmocka_unit_test(test_forged_times),
        cmocka_unit_test(test_same_bytes),    cmocka_unit_test(test_turns),
        cmocka_unit_test(test_bound),         cmocka_unit_test(test_no_source),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
