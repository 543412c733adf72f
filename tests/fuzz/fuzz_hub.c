/* fuzz_hub.c - what a hub sends and what a user types: no name that is not allowed becomes a part
 * of a path, and nothing is believed about lengths.
 *
 * The first byte chooses: 'l' a listing's JSON, 'r' a reference, 'h' the lines of a response's
 * head, 'u' a URL. */
#include "base/fail.h"
#include "hub/cache.h"
#include "hub/http_head.h"
#include "hub/names.h"
#include "hub/quant_label.h"
#include "hub/select.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_error(rz_status status, const rz_error *err)
{
    CHECK(err->code == status && *err->text);
}

/* ---- listings ---- */

static void check_variants(const struct rz_listing *l)
{
    static const char *const files[] = {"", "config.json", "model.gguf"};
    static const char *const quants[] = {"", "Q8_0"};
    for (size_t i = 0; i < RZ_ARRAY_LEN(files) * RZ_ARRAY_LEN(quants); i++) {
        struct rz_variants v;
        const struct rz_variant *chosen = NULL;
        rz_error err = {0};
        rz_hub_ref ref = {.repo = "org/repo"};
        memcpy(ref.file, files[i / 2], strlen(files[i / 2]));
        memcpy(ref.quant, quants[i % 2], strlen(quants[i % 2]));
        CHECK(!rz_variants_find(&v, l, &err));
        rz_status status = rz_variant_choose(&chosen, &v, l, &ref, &err);
        if (status)
            check_error(status, &err);
        else
            CHECK(chosen->n > 0);
        for (size_t k = 0; k < v.n; k++)
            for (size_t f = 0; f < v.items[k].n; f++)
                CHECK(v.items[k].files[f] < l->n);
        rz_variants_fini(&v);
    }
}

static void fuzz_listing(const char *data, size_t size)
{
    struct rz_listing l = {0};
    rz_error err = {0};
    rz_status status = rz_listing_parse(&l, data, size, "fuzz", &err);
    if (status) {
        check_error(status, &err);
        CHECK(status == RZ_EFORMAT && l.n == 0 && !l.items);
        return;
    }
    CHECK(rz_name_is_commit(l.commit));
    for (size_t i = 0; i < l.n; i++) {
        const struct rz_item *item = &l.items[i];
        CHECK(rz_name_is_file(item->name));
        CHECK(!*item->sha256 || rz_name_is_hex(item->sha256, 64));
        CHECK(!*item->git_sha1 || rz_name_is_hex(item->git_sha1, 40));
        CHECK(rz_listing_find(&l, item->name) == i);
        CHECK(i == 0 || strcmp(l.items[i - 1].name, item->name) < 0);
    }
    check_variants(&l);
    rz_listing_fini(&l);
}

/* ---- references ---- */

/* Where a repository goes: one folder, below the cache's, of which the name can be read back. */
static void check_place(const rz_hub_ref *ref)
{
    char repo[RZ_HUB_NAME_MAX];
    char *store = rz_cache_store("/cache", ref);
    CHECK(store && !strncmp(store, "/cache/", 7) && store[7] && !strchr(store + 7, '/'));
    if (*ref->repo)
        CHECK(rz_cache_repo_name(store + 7, repo) && !strcmp(repo, ref->repo));
    if (*ref->revision) {
        char *path = rz_cache_ref(store, ref->revision);
        size_t n = strlen(store);
        CHECK(path && !strncmp(path + n, "/refs/", 6) && !strchr(path + n + 6, '/'));
        CHECK(strcmp(path + n + 6, "..") != 0 && strcmp(path + n + 6, ".") != 0);
        free(path);
    }
    free(store);
}

static void check_ref(const char *text, const char *endpoint)
{
    rz_hub_ref ref;
    rz_error err = {0};
    rz_status status = rz_hub_ref_parse(&ref, text, endpoint, &err);
    if (status) {
        check_error(status, &err);
        CHECK(status == RZ_EUSAGE);
        return;
    }
    CHECK(!*ref.repo != !*ref.url);
    CHECK(!*ref.repo || rz_name_is_repo(ref.repo, strlen(ref.repo)));
    CHECK(!*ref.revision || rz_name_is_revision(ref.revision));
    CHECK(!*ref.file || rz_name_is_file(ref.file));
    CHECK(!*ref.quant || rz_quant_parse(ref.quant) != NULL);
    for (const char *p = ref.url; *p; p++)
        CHECK((unsigned char)*p > 0x20 && *p != 0x7F);
    check_place(&ref);
    status = rz_hub_ref_set(&ref, "v1", "q8_0", &err);
    if (!status)
        CHECK(!strcmp(ref.revision, "v1") && !strcmp(ref.quant, "Q8_0"));
}

static void fuzz_ref(const char *text)
{
    (void)rz_hub_is_ref(text);
    (void)rz_name_is_file(text);
    const char *label = rz_quant_label(text, strlen(text));
    CHECK(!label || rz_quant_parse(label) == label);
    check_ref(text, NULL);
    check_ref(text, "http://127.0.0.1:8080/hub/");
}

/* ---- heads ---- */

static void check_text(const char *text, size_t max)
{
    size_t n = strnlen(text, max);
    CHECK(n < max);
    for (size_t i = 0; i < n; i++)
        CHECK((unsigned char)text[i] >= 0x20 && text[i] != 0x7F);
}

static void fuzz_head(const char *data, size_t size)
{
    struct rz_http_head h;
    rz_http_head_init(&h);
    bool fits = true;
    size_t fed = 0;
    for (const char *end = data + size; data < end && fits;) {
        const char *stop = memchr(data, '\n', (size_t)(end - data));
        size_t n = (size_t)((stop ? stop + 1 : end) - data);
        fits = rz_http_head_line(&h, data, n);
        fed += n;
        data += n;
    }
    CHECK(fits == (fed <= RZ_HEAD_MAX_BYTES));
    check_text(h.etag, sizeof h.etag);
    check_text(h.linked_etag, sizeof h.linked_etag);
    check_text(h.error_code, sizeof h.error_code);
    check_text(h.error_message, sizeof h.error_message);
    if (h.has_range && !h.range_is_bad && h.range_first != RZ_HUB_SIZE_UNKNOWN)
        CHECK(h.range_first <= h.range_last && h.range_last < h.range_size);
    if (rz_etag_is_strong(h.etag))
        CHECK(h.etag[0] == '"' && h.etag[strlen(h.etag) - 1] == '"');
}

/* ---- URLs ---- */

static void fuzz_url(const char *text)
{
    char origin[64];
    if (!rz_url_origin(text, origin, sizeof origin))
        return;
    CHECK(strnlen(origin, sizeof origin) < sizeof origin);
    CHECK(!strncmp(origin, "http://", 7) || !strncmp(origin, "https://", 8));
    CHECK(strrchr(origin, ':') > strchr(origin, '/') && !strchr(origin, '@'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *rest = (const char *)data + 1;
    char *text = strndup(rest, size - 1);
    CHECK(text);
    switch (data[0]) {
    case 'l':
        fuzz_listing(rest, size - 1);
        break;
    case 'r':
        fuzz_ref(text);
        break;
    case 'h':
        fuzz_head(rest, size - 1);
        break;
    case 'u':
        fuzz_url(text);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
