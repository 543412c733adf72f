/* tok_test.c - see tok_test.h. */
#include "support/tok_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *tt_repo_path(const char *relative, char path[TT_PATH_MAX])
{
    const char *root = getenv("RZ_SOURCE_DIR");
    snprintf(path, TT_PATH_MAX, "%s/%s", root ? root : RZ_SOURCE_DIR, relative);
    return path;
}

const char *tt_shared_path(const char *relative, char path[TT_PATH_MAX])
{
    const char *root = getenv("RZ_SHARED");
    if (!root)
        return NULL;
    snprintf(path, TT_PATH_MAX, "%s/%s", root, relative);
    return path;
}

json_t *tt_load_json(const char *path)
{
    json_error_t error;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!json)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return json;
}

void tt_open(struct tok_model *m, const char *path)
{
    rz_error err = {0};
    if (rz_file_open(&m->file, path, &err) || rz_tokenizer_new(&m->tok, m->file, &err))
        fail_msg("%s: %s", path, err.text);
}

void tt_close(struct tok_model *m)
{
    rz_tokenizer_free(&m->tok);
    rz_file_close(&m->file);
}

void tt_encode(const rz_tokenizer *tok, const char *text, size_t len, unsigned flags, rz_ids *ids)
{
    rz_error err = {0};
    ids->len = 0;
    if (rz_tokenizer_encode(tok, text, len, flags, ids, &err))
        fail_msg("encode: %s", err.text);
}

bool tt_same_ids(const rz_ids *ids, const json_t *expected, const char *text)
{
    size_t n = json_array_size(expected);
    for (size_t i = 0; i < n || i < ids->len; i++) {
        long long want = i < n ? json_integer_value(json_array_get(expected, i)) : -1;
        long long have = i < ids->len ? ids->data[i] : -1;
        if (want != have) {
            print_error("\"%s\": id %zu is %lld, expected %lld\n", text, i, have, want);
            return false;
        }
    }
    return true;
}

void tt_decode(const rz_tokenizer *tok, const rz_ids *ids, bool keep_special, rz_text *out)
{
    rz_error err = {0};
    rz_detok d;
    rz_detok_init(&d, tok, keep_special);
    for (size_t i = 0; i < ids->len; i++)
        if (rz_detok_feed(&d, ids->data[i], out, &err))
            fail_msg("decode: %s", err.text);
    if (rz_detok_finish(&d, out, &err))
        fail_msg("decode: %s", err.text);
}
