/* dotapr_test.c - what the tests of reading .apr files share. */
#include "support/dotapr_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

rz_file *at_open(const uint8_t *data, size_t len)
{
    rz_file *file = NULL;
    rz_error err = {0};
    if (rz_apr_open_memory(&file, "x.apr", data, len, &err))
        fail_msg("%s", err.text);
    return file;
}

void at_refuse(const uint8_t *data, size_t len, rz_status code, const char *words)
{
    rz_file *file = NULL;
    rz_error err = {0};
    rz_status status = rz_apr_open_memory(&file, "x.apr", data, len, &err);
    if (status != code || !strstr(err.text, words))
        fail_msg("%d \"%s\" where %d \"%s\" is expected", status, err.text, code, words);
    assert_null(file);
}

int64_t at_integer(const rz_file *file, const char *key)
{
    const rz_meta *m = rz_file_meta(file, key);
    if (!m)
        fail_msg("%s is missing", key);
    return rz_meta_int(m, 0);
}

double at_number(const rz_file *file, const char *key)
{
    const rz_meta *m = rz_file_meta(file, key);
    if (!m)
        fail_msg("%s is missing", key);
    return rz_meta_float(m, 0);
}

void at_text_is(const rz_file *file, const char *key, uint64_t i, const char *expected)
{
    const rz_meta *m = rz_file_meta(file, key);
    if (!m)
        fail_msg("%s is missing", key);
    rz_slice s = rz_meta_string(m, i);
    if (s.len != strlen(expected) || memcmp(s.data, expected, s.len) != 0)
        fail_msg("%s is %.*s, not %s", key, (int)s.len, s.data, expected);
}

/* Whatever is cut off or damaged: a sentence, or the file opens with what is left whole. */
void at_probe(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1); /* so that a sanitizer sees a step too far */
    rz_file *file = NULL;
    rz_error err = {0};
    assert_non_null(copy);
    if (len)
        memcpy(copy, data, len);
    rz_status status = rz_apr_open_memory(&file, "x.apr", copy, len, &err);
    if (status) {
        assert_true(status == RZ_EFORMAT || status == RZ_ELOAD);
        assert_non_null(strstr(err.text, "x.apr: "));
    }
    rz_file_close(&file);
    free(copy);
}

bool at_footer_is_right(const rz_file *file)
{
    const struct rz_shard *shard = &file->shards[0];
    const uint8_t *last = shard->data + shard->len - 4;
    uint32_t stored = (uint32_t)last[0] | (uint32_t)last[1] << 8 | (uint32_t)last[2] << 16 |
                      (uint32_t)last[3] << 24;
    return crc32_z(0, shard->data, shard->len - 4) == stored;
}

void at_scratch_make(struct at_scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%.40s/rz-apr-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/out.apr", s->dir);
}

void at_scratch_remove(const struct at_scratch *s)
{
    unlink(s->path);
    assert_int_equal(rmdir(s->dir), 0); /* nothing else was left */
}
