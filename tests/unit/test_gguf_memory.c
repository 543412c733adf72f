/* test_gguf_memory.c - what opening a GGUF file allocates: never more than the file explains,
 * nothing for what a header merely claims, and a clean refusal whichever allocation fails.
 *
 * The test replaces malloc and its kin by counting ones over glibc's own names for them; under a
 * sanitizer, which does the same, it is skipped. */
#include "base/fail.h"
#include "base/hash.h"
#include "formats/gguf.h"
#include "support/gguf_build.h"

#include <realizar/file.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define SANITIZED 1
#endif

#ifndef SANITIZED

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static struct {
    bool on;
    long n, fail_at; /* fail_at: the number of the call that fails, from 1; 0: none */
    size_t largest, total;
} counter;

static bool allow(size_t size)
{
    if (!counter.on)
        return true;
    counter.n++;
    counter.total += size;
    if (size > counter.largest)
        counter.largest = size;
    return counter.n != counter.fail_at;
}

void *malloc(size_t size)
{
    return allow(size) ? __libc_malloc(size) : NULL;
}

void *calloc(size_t n, size_t size)
{
    return allow(n * size) ? __libc_calloc(n, size) : NULL;
}

void *realloc(void *p, size_t size)
{
    return allow(size) ? __libc_realloc(p, size) : NULL;
}

/* Opens with the counter on; fail_at as above. */
static rz_status open_counted(struct gguf_build *b, long fail_at, rz_error *err)
{
    size_t len;
    const uint8_t *data = gb_build(b, &len);
    rz_file *file = NULL;
    memset(&counter, 0, sizeof counter);
    counter.fail_at = fail_at;
    counter.on = true;
    rz_status status = rz_gguf_open_memory(&file, "model.gguf", data, len, err);
    counter.on = false;
    assert_int_equal(file == NULL, status != RZ_OK);
    rz_file_close(&file);
    return status;
}

static void fill(struct gguf_build *b, int n)
{
    char key[32];
    static const char *const words[] = {"", "x", "yz"};
    gb_init(b);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "k%d", i);
        gb_u8(b, key, 1);
        gb_tensor_f32(b, key, 1, (const uint64_t[]){1}, NULL);
    }
    gb_strings(b, "words", words, 3);
}

/* Small claims, many entries: the worst ratio of bookkeeping to file. */
static void allocations_stay_in_proportion(void **state)
{
    (void)state;
    enum {
        FIXED_BYTES = 65536
    };
    for (int n = 1; n <= 3000; n = n * 3 + 1) {
        struct gguf_build b;
        rz_error err = {0};
        fill(&b, n);
        assert_int_equal(open_counted(&b, 0, &err), RZ_OK);
        assert_true(counter.largest <= FIXED_BYTES + 4 * b.file.len);
        assert_true(counter.total <= FIXED_BYTES + 12 * b.file.len);
        gb_fini(&b);
    }
}

/* An array of empty strings has the worst ratio for the index of strings: half the file. */
static void the_index_of_strings_is_half_the_file(void **state)
{
    (void)state;
    struct gguf_build b;
    rz_error err = {0};
    gb_init(&b);
    gb_key(&b, "empty", GB_ARRAY);
    gb_put_u32(&b.meta, GB_STRING);
    gb_put_u64(&b.meta, 1000000);
    gb_put(&b.meta, NULL, 8000000);
    assert_int_equal(open_counted(&b, 0, &err), RZ_OK);
    assert_true(counter.total <= b.file.len / 2 + 65536);
    gb_fini(&b);
}

/* Headers that claim the most the format can say, in files of some hundred bytes. */
static void claims_cost_nothing(void **state)
{
    (void)state;
    static const uint64_t claims[] = {1u << 20,          1u << 31,        (uint64_t)1 << 32,
                                      (uint64_t)1 << 61, UINT64_MAX / 72, UINT64_MAX};
    for (size_t i = 0; i < RZ_ARRAY_LEN(claims); i++) {
        for (int what = 0; what < 5; what++) {
            struct gguf_build b;
            rz_error err = {0};
            fill(&b, 4);
            if (what == 0) {
                b.n_tensors = claims[i];
            } else if (what == 1) {
                b.n_meta = claims[i];
            } else if (what == 4) {
                gb_info(&b, "evil", 1, &claims[i], 0, 4 * 32);
            } else {
                gb_key(&b, "evil", GB_ARRAY);
                gb_put_u32(&b.meta, what == 2 ? GB_STRING : GB_F64);
                gb_put_u64(&b.meta, claims[i]);
            }
            assert_int_equal(open_counted(&b, 0, &err), RZ_EFORMAT);
            assert_true(counter.total < 65536);
            gb_fini(&b);
        }
    }
}

/* Every allocation fails once: the status says so, and nothing is left or read. */
static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    struct gguf_build b;
    rz_error err = {0};
    fill(&b, 200);
    assert_int_equal(open_counted(&b, 0, &err), RZ_OK);
    long n = counter.n;
    assert_true(n > 5);
    for (long i = 1; i <= n; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(open_counted(&b, i, &err), RZ_ENOMEM);
        assert_int_equal(err.code, RZ_ENOMEM);
        assert_non_null(strstr(err.text, "no memory for"));
    }
    gb_fini(&b);
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    struct gguf_build b;
    rz_error err = {0};
    gb_init(&b);
    b.n_meta = RZ_MAX_META + 1;
    gb_put(&b.meta, NULL, 14 * (RZ_MAX_META + 2));
    assert_int_equal(open_counted(&b, 0, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "65537, more than the 65536 that are supported"));
    gb_fini(&b);
}

/* Names chosen so that all begin at one slot of the index would make opening quadratic. */
static void names_made_to_collide_are_refused(void **state)
{
    (void)state;
    struct gguf_build b;
    rz_error err = {0};
    gb_init(&b);
    for (unsigned n = 0, i = 0; n < 1100; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "%x", i);
        if ((rz_hash_bytes(name, (size_t)len, RZ_NAME_HASH_SEED) & 4095) != 0)
            continue;
        gb_u8(&b, name, 1);
        n++;
    }
    assert_int_equal(open_counted(&b, 0, &err), RZ_EFORMAT);
    assert_non_null(strstr(err.text, "too many keys that hash alike"));
    gb_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_stay_in_proportion),
        cmocka_unit_test(the_index_of_strings_is_half_the_file),
        cmocka_unit_test(claims_cost_nothing),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(names_made_to_collide_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void needs_the_plain_allocator(void **state)
{
    (void)state;
    print_message("skipped: the counting allocator and a sanitizer exclude each other\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(needs_the_plain_allocator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
