/* test_hub_faults.c - downloads from a hub that breaks off, stalls, lies and refuses: what arrives
 * under a file's name is that file, and what did not arrive is asked for again. The hub counts the
 * bytes that it sends, so that a resumed download is told from a repeated one. */
#include "support/hub_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_NAME "m-q4_k_m.gguf"

enum {
    LEN = 300000,
    CUT = 100001
};

/* A hub with one file. */
static struct fake_file *begin(struct hub_test *t)
{
    hub_test_init(t);
    return hub_test_add(t, FILE_NAME, LEN);
}

/* The file is where it belongs, and nothing else is left. */
static void assert_pulled(struct hub_test *t, const struct fake_file *f)
{
    rz_status status = hub_test_pull(t, "org/repo", NULL);
    if (status)
        print_error("%s\n", t->err.text);
    assert_int_equal(status, RZ_OK);
    hub_test_same(hub_test_path(t, f->name), f);
    assert_int_equal(hub_test_count(t->cache, ".partial"), 0);
    assert_int_equal(hub_test_count(t->cache, ".etag"), 0);
}

/* No file has the name; partial says how many unfinished ones are left. */
static void assert_absent(struct hub_test *t, unsigned partial)
{
    assert_false(hub_test_exists(hub_test_path(t, FILE_NAME)));
    assert_int_equal(hub_test_count(t->cache, ".partial"), partial);
    assert_int_equal(hub_test_count(t->cache, ".gguf"), 0);
}

static void test_plain(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    hub_test_start(&t);
    char *path = NULL;
    assert_int_equal(hub_test_pull(&t, "org/repo", &path), RZ_OK);
    assert_string_equal(path, hub_test_path(&t, FILE_NAME));
    free(path);
    hub_test_same(hub_test_path(&t, FILE_NAME), f);
    assert_int_equal(f->n_requests, 1);
    assert_int_equal(f->n_bytes, LEN);
    /* Again: the hub is asked what there is, and nothing is sent. */
    assert_pulled(&t, f);
    assert_int_equal(t.hub.n_listings, 2);
    assert_int_equal(f->n_requests, 1);
    /* By force. */
    t.options.force = true;
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, 2 * LEN);
    hub_test_fini(&t);
}

static void test_token_stays_with_the_hub(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->redirect = true;
    hub_test_start(&t);
    t.options.token = "secret";
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, LEN);
    assert_int_equal(t.hub.n_tokens_at_hub, 2); /* listing and file */
    assert_int_equal(t.hub.n_tokens_at_storage, 0);
    /* Two lines in a token would be a header of the caller's choice. */
    t.options.token = "secret\r\nX: y";
    hub_test_pull_fails(&t, "org/repo", RZ_EUSAGE, "HF_TOKEN");
    hub_test_fini(&t);
}

/* A connection that ends, is reset or stalls after CUT bytes, twice. */
static void interrupted(enum fake_fault fault, bool redirect)
{
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->fault = fault;
    f->fault_at = CUT;
    f->n_faults = 2;
    f->redirect = redirect;
    hub_test_start(&t);
    t.options.stall_ms = fault == FAKE_STALL ? 300 : t.options.stall_ms;
    assert_pulled(&t, f);
    /* A reset may overtake bytes; all else is sent exactly once. */
    if (fault != FAKE_RESET) {
        assert_int_equal(f->n_bytes, LEN);
        assert_int_equal(f->n_ranges, 2);
        assert_int_equal(f->last_from, 2 * CUT);
    }
    hub_test_fini(&t);
}

static void test_truncated(void **state)
{
    (void)state;
    interrupted(FAKE_CLOSE, false);
    interrupted(FAKE_CLOSE, true);
}

static void test_reset(void **state)
{
    (void)state;
    interrupted(FAKE_RESET, false);
}

static void test_stall(void **state)
{
    (void)state;
    interrupted(FAKE_STALL, false);
}

/* Retries come to an end; what came stays, and another run goes on from there. */
static void test_gives_up_and_goes_on(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->fault = FAKE_CLOSE;
    f->fault_at = 1000;
    f->n_faults = 100;
    hub_test_start(&t);
    t.options.n_retries = 3;
    hub_test_pull_fails(&t, "org/repo", RZ_ENET, "tried 4 times");
    assert_int_equal(f->n_requests, 4);
    assert_absent(&t, 1);
    f->n_faults = 0;
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, LEN);
    assert_int_equal(f->last_from, 4000);
    hub_test_fini(&t);
}

static void test_transient_statuses(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    static const int statuses[] = {429, 500, 502, 503, 504, 408};
    memcpy(f->status, statuses, sizeof statuses);
    hub_test_start(&t);
    assert_pulled(&t, f);
    assert_int_equal(f->n_requests, 7);
    assert_int_equal(f->n_bytes, LEN);
    hub_test_fini(&t);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->status[0] = 429;
    f->retry_after = "1";
    hub_test_start(&t);
    assert_pulled(&t, f);
    assert_int_equal(f->n_requests, 2);
    hub_test_fini(&t);
    /* Longer than the limit: no waiting, no second request. */
    f = begin(&t);
    f->status[0] = 429;
    f->retry_after = "86400";
    hub_test_start(&t);
    hub_test_pull_fails(&t, "org/repo", RZ_ENET, "86400 s");
    assert_int_equal(f->n_requests, 1);
    assert_absent(&t, 0);
    hub_test_fini(&t);
}

static void refused(int status, const char *token, const char *words)
{
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->status[0] = status;
    hub_test_start(&t);
    t.options.token = token;
    hub_test_pull_fails(&t, "org/repo", RZ_EREMOTE, words);
    assert_int_equal(f->n_requests, 1); /* trying again would not help */
    assert_absent(&t, 0);
    hub_test_fini(&t);
    /* The same about the repository itself. */
    f = begin(&t);
    t.hub.listing_status = status;
    hub_test_start(&t);
    t.options.token = token;
    hub_test_pull_fails(&t, "org/repo", RZ_EREMOTE, words);
    assert_int_equal(t.hub.n_listings, 1);
    assert_int_equal(f->n_requests, 0);
    hub_test_fini(&t);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(401, NULL, "HF_TOKEN may open it");
    refused(401, "wrong", "HF_TOKEN does not open it");
    refused(403, NULL, "set HF_TOKEN");
    refused(403, "other", "has to be let in");
    refused(404, NULL, "there is no such thing");
    refused(410, NULL, "there is no such thing");
}

static void test_wrong_hash(void **state)
{
    (void)state;
    for (int lfs = 0; lfs < 2; lfs++) {
        struct hub_test t;
        struct fake_file *f = begin(&t);
        f->lfs = lfs;
        f->wrong_hash = true;
        hub_test_start(&t);
        hub_test_pull_fails(&t, "org/repo", RZ_EINVALID, "the hub lists");
        assert_int_equal(f->n_requests, 1);
        assert_absent(&t, 0);
        /* The redirect tells another hash than the listing: no byte is fetched. */
        f->redirect = true;
        f->n_bytes = 0;
        hub_test_pull_fails(&t, "org/repo", RZ_EINVALID, "the hub lists");
        if (lfs)
            assert_int_equal(f->n_bytes, 0);
        assert_absent(&t, 0);
        hub_test_fini(&t);
    }
}

static void test_wrong_length(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->lie_length = 5;
    hub_test_start(&t);
    hub_test_pull_fails(&t, "org/repo", RZ_EINVALID, "300005");
    assert_absent(&t, 0);
    f->lie_length = -5;
    hub_test_pull_fails(&t, "org/repo", RZ_EINVALID, "299995");
    assert_absent(&t, 0);
    /* More than was listed, without a length. */
    f->lie_length = 0;
    f->extra = true;
    hub_test_pull_fails(&t, "org/repo", RZ_EINVALID, "300000");
    assert_absent(&t, 0);
    /* Less than was listed: as broken off; and there is nothing behind it to go on with. */
    f->extra = false;
    f->listed_len = LEN + 10;
    f->lie_length = 10;
    t.options.n_retries = 1;
    hub_test_pull_fails(&t, "org/repo", RZ_ENET, "tried 2 times");
    assert_absent(&t, 0);
    hub_test_fini(&t);
}

/* An unfinished file of LEN - 7 bytes, all but the first good right. */
static void leave_partial(struct hub_test *t, const struct fake_file *f, size_t good,
                          const char *etag)
{
    char hash[65], path[512];
    char *data = fake_bytes(LEN - 7, 99);
    assert_non_null(data);
    memcpy(data, f->data, good);
    fake_sha256(f->data, f->len, hash);
    snprintf(path, sizeof path, "%s/org--repo/partial/%.40s.partial", t->cache, hash);
    hub_test_write(path, data, LEN - 7);
    snprintf(path, sizeof path, "%s/org--repo/partial/%.40s.partial.etag", t->cache, hash);
    if (etag)
        hub_test_write(path, etag, strlen(etag));
    free(data);
}

static void test_partial_from_before(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    hub_test_start(&t);
    leave_partial(&t, f, LEN - 7, "\"v1\"");
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, 7);
    hub_test_fini(&t);
    /* Damaged: found by its hash, fetched from the beginning. */
    f = begin(&t);
    hub_test_start(&t);
    leave_partial(&t, f, 1000, "\"v1\"");
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, LEN + 7);
    assert_int_equal(f->n_requests, 2);
    hub_test_fini(&t);
    /* Of another version, as the ETag shows: the server answers 200. */
    f = begin(&t);
    hub_test_start(&t);
    leave_partial(&t, f, 1000, "\"v0\"");
    assert_pulled(&t, f);
    assert_int_equal(f->n_requests, 1);
    assert_int_equal(f->n_bytes, LEN);
    hub_test_fini(&t);
    /* The server does not mind If-Range, but names another version. */
    f = begin(&t);
    f->ignore_if_range = true;
    hub_test_start(&t);
    leave_partial(&t, f, 1000, "\"v0\"");
    assert_pulled(&t, f);
    assert_int_equal(f->n_requests, 2);
    hub_test_fini(&t);
    /* No ETag was kept: the hash alone decides. */
    f = begin(&t);
    hub_test_start(&t);
    leave_partial(&t, f, LEN - 7, NULL);
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, 7);
    hub_test_fini(&t);
}

static void test_strange_ranges(void **state)
{
    (void)state;
    static const long shifts[] = {-1, 1, -1000};
    for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
        struct hub_test t;
        struct fake_file *f = begin(&t);
        f->shift_range = shifts[i];
        hub_test_start(&t);
        leave_partial(&t, f, LEN - 7, "\"v1\"");
        assert_pulled(&t, f);
        assert_int_equal(f->n_requests, 2);
        assert_int_equal(f->n_ranges, 1); /* no second trust in its ranges */
        hub_test_fini(&t);
    }
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->answer_416 = true;
    hub_test_start(&t);
    leave_partial(&t, f, LEN - 7, "\"v1\"");
    assert_pulled(&t, f);
    hub_test_fini(&t);
    f = begin(&t);
    f->ignore_range = true;
    hub_test_start(&t);
    leave_partial(&t, f, LEN - 7, "\"v1\"");
    assert_pulled(&t, f);
    assert_int_equal(f->n_bytes, LEN);
    hub_test_fini(&t);
}

/* The version changes while it is being fetched: nothing is mixed. */
static void test_etag_changes(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->fault = FAKE_CLOSE;
    f->fault_at = CUT;
    f->n_faults = 1;
    hub_test_start(&t);
    t.options.n_retries = 0;
    hub_test_pull_fails(&t, "org/repo", RZ_ENET, "");
    f->etag = "\"v2\"";
    assert_pulled(&t, f);
    assert_int_equal(f->n_ranges, 1);
    assert_int_equal(f->n_bytes, CUT + LEN);
    hub_test_fini(&t);
}

static void test_redirects(void **state)
{
    (void)state;
    static const struct {
        const char *location, *words;
    } rows[] = {
        {"file:///etc/passwd", "not HTTP"},
        {"ftp://127.0.0.1/x", "not HTTP"},
        {"/org/repo/resolve/" HUB_COMMIT "/" FILE_NAME, "more than 8 redirects"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hub_test t;
        struct fake_file *f = begin(&t);
        f->location = rows[i].location;
        hub_test_start(&t);
        hub_test_pull_fails(&t, "org/repo", RZ_ENET, rows[i].words);
        assert_absent(&t, 0);
        hub_test_fini(&t);
    }
}

static void test_huge_head(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->huge_head = true;
    hub_test_start(&t);
    hub_test_pull_fails(&t, "org/repo", RZ_ENET, "head is larger");
    assert_absent(&t, 0);
    hub_test_fini(&t);
}

static void test_no_space(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->listed_len = (uint64_t)1 << 60;
    hub_test_start(&t);
    hub_test_pull_fails(&t, "org/repo", RZ_EIO, "not enough space");
    assert_int_equal(f->n_requests, 0);
    assert_absent(&t, 0);
    hub_test_fini(&t);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct hub_test t;
    begin(&t);
    hub_test_start(&t);
    char endpoint[64];
    memcpy(endpoint, t.hub.endpoint, sizeof endpoint);
    hub_test_fini(&t);
    begin(&t);
    fake_hub_start(&t.hub);
    t.options.endpoint = endpoint; /* where the first one was */
    hub_test_pull_fails(&t, "org/repo", RZ_ENET, "tried 3 times");
    t.options.endpoint = "ftp://127.0.0.1";
    hub_test_pull_fails(&t, "org/repo", RZ_EUSAGE, "not an http");
    hub_test_fini(&t);
}

static bool stop_after_some(void *user, const rz_hub_progress *p)
{
    uint64_t *seen = user;
    *seen = p->bytes_received;
    return p->bytes_received == 0;
}

static void test_cancel(void **state)
{
    (void)state;
    struct hub_test t;
    struct fake_file *f = begin(&t);
    f->fault = FAKE_STALL;
    f->fault_at = CUT;
    f->n_faults = 1;
    uint64_t seen = 0;
    hub_test_start(&t);
    t.options.progress = stop_after_some;
    t.options.user = &seen;
    hub_test_pull_fails(&t, "org/repo", RZ_ECANCEL, "stopped");
    assert_true(seen > 0 && seen <= CUT);
    assert_absent(&t, 1);
    t.options.progress = NULL;
    assert_pulled(&t, f);
    assert_int_equal(f->last_from, seen);
    hub_test_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_token_stays_with_the_hub),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_gives_up_and_goes_on),
        cmocka_unit_test(test_transient_statuses),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_wrong_hash),
        cmocka_unit_test(test_wrong_length),
        cmocka_unit_test(test_partial_from_before),
        cmocka_unit_test(test_strange_ranges),
        cmocka_unit_test(test_etag_changes),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_huge_head),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
