/* test_hub.c - src/hub without a network: names that may become paths, references, labels of
 * quantizations, the choice of files, heads of responses, the policy of retries, hashes. */
#include "base/fail.h"
#include "hub/digest.h"
#include "hub/files.h"
#include "hub/http_head.h"
#include "hub/names.h"
#include "hub/quant_label.h"
#include "hub/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_file_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a",
                                       "model.gguf",
                                       "sub/dir/m.gguf",
                                       ".gitattributes",
                                       "a b (1).gguf",
                                       "\xE4\xB8\xAD.gguf",
                                       "...x",
                                       "x..",
                                       "a..b"};
    static const char *const bad[] = {"",     "/",        "/a",        "a/",
                                      "a//b", ".",        "..",        "../a",
                                      "a/..", "a/../b",   "./a",       "a/./b",
                                      "a\\b", "a\nb",     "a\tb",      "a\x7F",
                                      "\xFF", "\xC0\xAF", "x.partial", "a/b/c/d/e/f/g/h/i"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(good); i++)
        if (!rz_name_is_file(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < RZ_ARRAY_LEN(bad); i++)
        if (rz_name_is_file(bad[i]))
            fail_msg("taken: %s", bad[i]);
    char long_name[1024];
    memset(long_name, 'a', sizeof long_name);
    long_name[180] = '\0';
    assert_true(rz_name_is_file(long_name));
    long_name[180] = 'a';
    long_name[181] = '\0';
    assert_false(rz_name_is_file(long_name));
}

static void test_repo_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a/b", "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "x_1/y__2",
                                       "0/1.0"};
    static const char *const bad[] = {"",           "a",    "/",     "a/",     "/b",     "a/b/c",
                                      "./b",        "../b", "a/..",  "a--b/c", "a/b--c", "a..b/c",
                                      "-a/b",       "a/.b", "a b/c", "a/b\n",  "a\\b/c", "a/b:c",
                                      "\xC3\xA9/b", "a-/b", "a./b",  "a/b-",   "a/b."};
    for (size_t i = 0; i < RZ_ARRAY_LEN(good); i++)
        if (!rz_name_is_repo(good[i], strlen(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < RZ_ARRAY_LEN(bad); i++)
        if (rz_name_is_repo(bad[i], strlen(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_true(rz_name_is_revision("main") && rz_name_is_revision("refs/pr/1"));
    assert_true(rz_name_is_revision("v1.0-rc_2"));
    static const char *const not_revisions[] = {"",    "..",    "a..b",    "/a",   "a/", "a//b",
                                                "a b", "a%2Fb", ".hidden", "a/.b", "-x"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(not_revisions); i++)
        if (rz_name_is_revision(not_revisions[i]))
            fail_msg("taken: %s", not_revisions[i]);
}

static void test_escape(void **state)
{
    (void)state;
    struct rz_buf b;
    rz_buf_init(&b, 1000);
    assert_true(rz_name_escape(&b, "a b/c#?%\xC3\xA9~", true));
    assert_string_equal(b.data, "a%20b/c%23%3F%25%C3%A9~");
    b.len = 0;
    assert_true(rz_name_escape(&b, "refs/pr/1", false));
    assert_string_equal(b.data, "refs%2Fpr%2F1");
    rz_buf_fini(&b);
}

static void test_refs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *repo, *revision, *quant, *file, *url;
    } rows[] = {
        {"org/repo", "org/repo", "", "", "", ""},
        {"org/repo:q4_k_m", "org/repo", "", "Q4_K_M", "", ""},
        {"org/repo@v1:fp16", "org/repo", "v1", "F16", "", ""},
        {"org/repo@refs/pr/1", "org/repo", "refs/pr/1", "", "", ""},
        {"hf://org/repo", "org/repo", "", "", "", ""},
        {"hf://org/repo/", "org/repo", "", "", "", ""},
        {"hf://org/repo:Q8_0", "org/repo", "", "Q8_0", "", ""},
        {"hf://org/repo@dev/sub/m.gguf", "org/repo", "dev", "", "sub/m.gguf", ""},
        {"HF://org/repo/a:b@c.gguf", "org/repo", "", "", "a:b@c.gguf", ""},
        {"tiny", "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "", "", "", ""},
        {"Large", "Qwen/Qwen2.5-Coder-32B-Instruct-GGUF", "", "", "", ""},
        {"qwen2.5-coder:14b", "Qwen/Qwen2.5-Coder-14B-Instruct-GGUF", "", "", "", ""},
        {"https://huggingface.co/org/repo", "org/repo", "", "", "", ""},
        {"https://huggingface.co/org/repo/tree/main", "org/repo", "main", "", "", ""},
        {"https://huggingface.co/org/repo/blob/main/sub/m.gguf?download=true", "org/repo", "main",
         "", "sub/m.gguf", ""},
        {"https://huggingface.co/org/repo/resolve/v1/m.gguf", "org/repo", "v1", "", "m.gguf", ""},
        {"https://example.org/x/m.gguf?key=1#frag", "", "", "", "m.gguf",
         "https://example.org/x/m.gguf?key=1"},
        {"http://[::1]:80/m.gguf", "", "", "", "m.gguf", "http://[::1]:80/m.gguf"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        rz_hub_ref ref;
        rz_error err = {0};
        if (rz_hub_ref_parse(&ref, rows[i].text, NULL, &err))
            fail_msg("%s", err.text);
        assert_string_equal(ref.repo, rows[i].repo);
        assert_string_equal(ref.revision, rows[i].revision);
        assert_string_equal(ref.quant, rows[i].quant);
        assert_string_equal(ref.file, rows[i].file);
        assert_string_equal(ref.url, rows[i].url);
        assert_true(rz_hub_is_ref(rows[i].text));
    }
}

static void test_bad_refs(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "org/repo/file",
                                      "org/repo:QX",
                                      "org/repo@",
                                      "org/repo@a..b",
                                      "../x",
                                      "./a",
                                      "hf://",
                                      "hf://org",
                                      "hf://org/repo/../x",
                                      "hf://org/repo//x",
                                      "hf://org/repo/a\\b",
                                      "hf://../repo",
                                      "https://",
                                      "https://example.org",
                                      "https://example.org/",
                                      "https://example.org/..",
                                      "https://example.org/a%2Fb",
                                      "https://u:p@example.org/m.gguf",
                                      "https://example.org/a b",
                                      "file:///etc/passwd",
                                      "ftp://example.org/m.gguf",
                                      "https://example.org/x\n/m.gguf",
                                      "org/repo\n"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(bad); i++) {
        rz_hub_ref ref;
        rz_error err = {0};
        if (rz_hub_ref_parse(&ref, bad[i], NULL, &err) != RZ_EUSAGE)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, RZ_EUSAGE);
    }
    static const char *const paths[] = {"models/demo.gguf",
                                        "a/b.safetensors",
                                        "/a/b",
                                        "./a/b",
                                        "model.gguf",
                                        "a/b/c",
                                        "demo",
                                        "x",
                                        "~/m"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(paths); i++)
        if (rz_hub_is_ref(paths[i]))
            fail_msg("not a path: %s", paths[i]);
    rz_hub_ref ref;
    assert_int_equal(rz_hub_ref_parse(&ref, "org/repo:Q8_0", NULL, NULL), RZ_OK);
    assert_int_equal(rz_hub_ref_set(&ref, "v2", "q8_0", NULL), RZ_OK);
    assert_string_equal(ref.revision, "v2");
    assert_int_equal(rz_hub_ref_set(&ref, "v3", NULL, NULL), RZ_EUSAGE);
    assert_int_equal(rz_hub_ref_set(&ref, NULL, "Q4_0", NULL), RZ_EUSAGE);
    assert_int_equal(rz_hub_ref_set(&ref, NULL, "best", NULL), RZ_EUSAGE);
}

static void test_labels(void **state)
{
    (void)state;
    static const struct {
        const char *name, *label;
    } rows[] = {{"qwen2.5-coder-0.5b-instruct-q4_k_m", "Q4_K_M"},
                {"Model-Q4_K_M", "Q4_K_M"},
                {"model.Q8_0", "Q8_0"},
                {"model-UD-Q4_K_XL", "Q4_K_XL"},
                {"model-IQ4_XS", "IQ4_XS"},
                {"model-iq2_xxs", "IQ2_XXS"},
                {"model-fp16", "F16"},
                {"BF16/Model-BF16", "BF16"},
                {"model-f16-q5_k_s", "Q5_K_S"},
                {"Q4_0/model-Q4_0_4_4", "Q4_0_4_4"},
                {"model", NULL},
                {"if16x", NULL},
                {"q4_0x", NULL}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        const char *label = rz_quant_label(rows[i].name, strlen(rows[i].name));
        if (!rows[i].label)
            assert_null(label);
        else
            assert_string_equal(label ? label : "none", rows[i].label);
    }
    assert_int_equal(rz_quant_rank("Q4_K_M"), 0);
    assert_true(rz_quant_rank("Q8_0") < rz_quant_rank("F16"));
    assert_true(rz_quant_rank(NULL) > rz_quant_rank("IQ1_S"));
}

/* The first file of what is chosen among names (NULL ends), or the status as text. */
static const char *chosen(const char *const *names, const char *ref_text, size_t *n)
{
    static char text[RZ_HUB_FILE_MAX];
    struct rz_item items[16] = {0};
    struct rz_listing l = {.items = items};
    struct rz_variants v;
    const struct rz_variant *variant;
    rz_hub_ref ref;
    rz_error err = {0};
    assert_int_equal(rz_hub_ref_parse(&ref, ref_text, NULL, &err), RZ_OK);
    for (; names[l.n]; l.n++)
        items[l.n].name = (char *)(uintptr_t)names[l.n]; /* sorted in the tables below */
    assert_int_equal(rz_variants_find(&v, &l, &err), RZ_OK);
    rz_status status = rz_variant_choose(&variant, &v, &l, &ref, &err);
    snprintf(text, sizeof text, "%d", (int)status);
    if (!status) {
        snprintf(text, sizeof text, "%s", items[variant->files[0]].name);
        *n = variant->n;
    }
    rz_variants_fini(&v);
    return text;
}

static void test_choice(void **state)
{
    (void)state;
    static const char *const qwen[] = {"README.md",
                                       "c-7b-fp16-00001-of-00002.gguf",
                                       "c-7b-fp16-00002-of-00002.gguf",
                                       "c-7b-q4_k_m-00001-of-00002.gguf",
                                       "c-7b-q4_k_m-00002-of-00002.gguf",
                                       "c-7b-q4_k_m.gguf",
                                       "c-7b-q8_0-00001-of-00003.gguf",
                                       "c-7b-q8_0-00003-of-00003.gguf",
                                       "mmproj-f16.gguf",
                                       NULL};
    static const char *const no_q4[] = {"a-f16.gguf", "a-q2_k.gguf", "a-q8_0.gguf", NULL};
    static const char *const two[] = {"a-q4_k_m.gguf", "b-q4_k_m.gguf", NULL};
    static const char *const deep[] = {"a-q4_k_m.gguf", "old/a-q4_k_m.gguf", NULL};
    static const char *const one[] = {"ggml-model.gguf", NULL};
    static const char *const both[] = {"a-q4_0.gguf", "config.json", "model.safetensors",
                                       "tokenizer.json", NULL};
    static const char *const bare[] = {"adapter.safetensors", "model.safetensors", NULL};
    static const struct {
        const char *const *names;
        const char *ref, *file;
        size_t n;
    } rows[] = {
        {qwen, "o/r", "c-7b-q4_k_m.gguf", 1},
        {qwen, "o/r:F16", "c-7b-fp16-00001-of-00002.gguf", 2},
        {qwen, "o/r:Q8_0", "11", 0}, /* a part is missing */
        {qwen, "o/r:Q5_K_M", "11", 0},
        {qwen, "hf://o/r/c-7b-q4_k_m-00002-of-00002.gguf", "c-7b-q4_k_m-00001-of-00002.gguf", 2},
        {qwen, "hf://o/r/mmproj-f16.gguf", "mmproj-f16.gguf", 1},
        {qwen, "hf://o/r/README.md", "README.md", 1},
        {qwen, "hf://o/r/none.gguf", "11", 0},
        {no_q4, "o/r", "a-q8_0.gguf", 1},
        {two, "o/r", "2", 0},
        {two, "hf://o/r/b-q4_k_m.gguf", "b-q4_k_m.gguf", 1},
        {deep, "o/r", "a-q4_k_m.gguf", 1},
        {one, "o/r", "ggml-model.gguf", 1},
        {one, "o/r:Q4_K_M", "11", 0},
        {both, "o/r", "a-q4_0.gguf", 1},
        {both, "hf://o/r/model.safetensors", "model.safetensors", 3},
        {both, "hf://o/r/config.json", "config.json", 1},
        {bare, "o/r", "6", 0},
        {bare, "hf://o/r/adapter.safetensors", "adapter.safetensors", 1},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        size_t n = 0;
        assert_string_equal(chosen(rows[i].names, rows[i].ref, &n), rows[i].file);
        assert_int_equal(n, rows[i].n);
    }
}

static struct rz_http_head head_of(const char *lines)
{
    struct rz_http_head h;
    rz_http_head_init(&h);
    for (const char *line = lines; *line;) {
        size_t len = strcspn(line, "\n") + 1;
        assert_true(rz_http_head_line(&h, line, len));
        line += len;
    }
    return h;
}

static void test_heads(void **state)
{
    (void)state;
    struct rz_http_head h = head_of("HTTP/1.1 206 OK\r\nContent-Length: 5\r\nCONTENT-RANGE:bytes "
                                    "5-9/10\r\nETag: \"abc\"\r\nX-Linked-Etag: \"def\"\r\n"
                                    "X-Linked-Size: 77\r\nX-Error-Code: RepoNotFound\r\n\r\n");
    assert_int_equal(h.content_length, 5);
    assert_true(h.has_range && !h.range_is_bad);
    assert_int_equal(h.range_first, 5);
    assert_int_equal(h.range_last, 9);
    assert_int_equal(h.range_size, 10);
    assert_string_equal(h.etag, "\"abc\"");
    assert_string_equal(h.linked_etag, "def");
    assert_int_equal(h.linked_size, 77);
    assert_string_equal(h.error_code, "RepoNotFound");
    /* A new status line forgets what an interim answer said. */
    h = head_of("HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\nHTTP/1.1 200 OK\r\n");
    assert_int_equal(h.content_length, RZ_HUB_SIZE_UNKNOWN);
    h = head_of("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4/*\r\nETag: W/\"x\"\r\n");
    assert_true(h.has_range && !h.range_is_bad && h.range_size == RZ_HUB_SIZE_UNKNOWN);
    assert_false(rz_etag_is_strong(h.etag));
    static const char *const bad[] = {"Content-Range: bytes 9-5/10\n",
                                      "Content-Range: bytes 5-10/10\n",
                                      "Content-Range: items 0-1/2\n",
                                      "Content-Range: bytes 0-1\n",
                                      "Content-Range: bytes -1-1/2\n",
                                      "Content-Range: bytes 0-1/2x\n",
                                      "Content-Range: bytes 0-1/\n",
                                      "Content-Range:\n",
                                      "Content-Range: bytes 99999999999999999999-1/2\n"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(bad); i++) {
        h = head_of(bad[i]);
        assert_true(h.has_range && h.range_is_bad);
    }
    h = head_of("Content-Length: 18446744073709551616\nX-Linked-Size: -1\nETag: \"a\x01\"\n");
    assert_int_equal(h.content_length, RZ_HUB_SIZE_UNKNOWN);
    assert_int_equal(h.linked_size, RZ_HUB_SIZE_UNKNOWN);
    assert_string_equal(h.etag, "");
    rz_http_head_init(&h);
    unsigned n = 0;
    while (rz_http_head_line(&h, "X: y\r\n", 6))
        n++;
    assert_int_equal(n, RZ_HEAD_MAX_BYTES / 6);
    assert_true(rz_etag_is_strong("\"a\"") && !rz_etag_is_strong("\"a") &&
                !rz_etag_is_strong("\"a\", \"b\"") && !rz_etag_is_strong(""));
}

static void test_policy(void **state)
{
    (void)state;
    rz_hub_options o = rz_hub_options_default();
    o.backoff_ms = 100;
    o.backoff_max_ms = 3000;
    static const struct {
        unsigned i, ok;
        int64_t after_s;
        uint64_t wait_ms;
    } rows[] = {{0, 1, -1, 100},  {1, 1, -1, 200},     {4, 1, -1, 1600},
                {5, 1, -1, 3000}, {4000, 1, -1, 3000}, {0, 1, 2, 2000},
                {5, 1, 1, 3000},  {0, 1, 3, 3000},     {0, 0, 4, 0}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        uint64_t wait_ms = 0;
        assert_int_equal(rz_http_backoff(&o, rows[i].i, rows[i].after_s, &wait_ms), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(wait_ms, rows[i].wait_ms);
    }
    static const long transient[] = {408, 425, 429, 500, 502, 503, 504};
    for (long code = 100; code < 600; code++) {
        bool wanted = false;
        for (size_t i = 0; i < RZ_ARRAY_LEN(transient); i++)
            wanted |= transient[i] == code;
        assert_int_equal(rz_http_is_transient(code), wanted);
    }
}

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin;
    } rows[] = {{"https://Huggingface.co/x", "https://huggingface.co:443"},
                {"http://h", "http://h:80"},
                {"http://h:8080?x", "http://h:8080"},
                {"https://[::1]/x", "https://[::1]:443"},
                {"https://[::1]:5/x", "https://[::1]:5"},
                {"https://good.org@evil.org/", NULL},
                {"https://good.org\\@evil.org/", "https://good.org:443"},
                {"https:///x", NULL},
                {"ftp://h/", NULL},
                {"", NULL}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        char origin[64];
        bool ok = rz_url_origin(rows[i].url, origin, sizeof origin);
        assert_int_equal(ok, rows[i].origin != NULL);
        if (ok)
            assert_string_equal(origin, rows[i].origin);
    }
    char tight[8];
    assert_false(rz_url_origin("https://host/", tight, sizeof tight));
}

static void test_digests(void **state)
{
    (void)state;
    /* FIPS 180-4's example, and git's names of the empty file and of "hello\n". */
    static const struct {
        enum rz_digest_kind kind;
        const char *data, *hex;
    } rows[] = {
        {RZ_DIGEST_SHA256, "abc",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {RZ_DIGEST_GIT, "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
        {RZ_DIGEST_GIT, "hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"},
    };
    for (size_t i = 0; i < RZ_ARRAY_LEN(rows); i++) {
        struct rz_digest d = {0};
        char hex[RZ_HUB_SHA256_MAX];
        size_t len = strlen(rows[i].data);
        assert_int_equal(rz_digest_start(&d, rows[i].kind, len, NULL), RZ_OK);
        for (size_t j = 0; j < len; j++)
            assert_int_equal(rz_digest_add(&d, rows[i].data + j, 1, NULL), RZ_OK);
        assert_int_equal(rz_digest_end(&d, hex, NULL), RZ_OK);
        assert_string_equal(hex, rows[i].hex);
        rz_digest_fini(&d);
    }
}

/* A folder as Hugging Face's cache has them: files behind symbolic links, of which one leads to a
 * file that is gone. It is left out, and neither it nor what was looked at before it is taken for
 * something else. */
static void test_scan(void **state)
{
    (void)state;
    char folder[] = "/tmp/rz-test-hub.XXXXXX", path[256];
    rz_error err = {0};
    struct rz_listing l = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sub", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/sub/real", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs("12345", f) >= 0 && fclose(f) == 0, 1);
    static const char *const links[][2] = {{"real", "sub/here"},
                                           {"nowhere", "sub/gone"},
                                           {"nowhere", "a"},
                                           {"sub/real", "b"},
                                           {"nowhere", "z"}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(links); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, links[i][1]);
        assert_int_equal(symlink(links[i][0], path), 0);
    }
    if (rz_listing_scan(&l, folder, &err))
        fail_msg("%s", err.text);
    static const char *const names[] = {"b", "sub/here", "sub/real"};
    assert_int_equal(l.n, RZ_ARRAY_LEN(names));
    for (size_t i = 0; i < l.n; i++) {
        assert_string_equal(l.items[i].name, names[i]);
        assert_int_equal(l.items[i].size, 5);
    }
    rz_listing_fini(&l);
    rz_hub_removed removed = {0};
    assert_int_equal(rz_remove_tree(folder, false, &removed, &err), RZ_OK);
    assert_int_equal(removed.n_files, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_names), cmocka_unit_test(test_repo_names),
        cmocka_unit_test(test_scan),       cmocka_unit_test(test_escape),
        cmocka_unit_test(test_refs),       cmocka_unit_test(test_bad_refs),
        cmocka_unit_test(test_labels),     cmocka_unit_test(test_choice),
        cmocka_unit_test(test_heads),      cmocka_unit_test(test_policy),
        cmocka_unit_test(test_origins),    cmocka_unit_test(test_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
