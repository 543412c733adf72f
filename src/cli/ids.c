/* ids.c - token ids on the command line and in files. */
#include "cli/ids.h"

#include "base/buf.h"
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/io.h"

#include <string.h>

rz_status cli_parse_ids(const char *text, uint32_t n_vocab, rz_ids *ids, rz_error *err)
{
    static const char space[] = " \t\n";
    const char *p = text + strspn(text, space);
    while (*p) {
        size_t len = strcspn(p, ", \t\n");
        char word[16] = "";
        uint64_t v;
        if (len < sizeof word)
            memcpy(word, p, len);
        if (!cli_parse_uint(word, &v))
            return rz_fail(err, RZ_EUSAGE, "'%.*s' is not a token id; ids are written as 1,2,3",
                           (int)(len < 40 ? len : 40), p);
        if (v >= n_vocab)
            return rz_fail(err, RZ_EUSAGE, "token id %s is outside the vocabulary of %u", word,
                           n_vocab);
        RZ_TRY(rz_ids_add(ids, (int32_t)v, err));
        p += len;
        p += strspn(p, space);
        if (*p == ',') {
            p += 1 + strspn(p + 1, space);
            if (!*p)
                return rz_fail(err, RZ_EUSAGE, "no token id after the last comma");
        }
    }
    return RZ_OK;
}

static rz_status add_json_ids(const char *path, const json_t *array, uint32_t n_vocab, rz_ids *ids,
                              rz_error *err)
{
    if (!json_is_array(array))
        return rz_fail(err, RZ_EFORMAT, "%s is not a JSON array of token ids", path);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *v = json_array_get(array, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= n_vocab)
            return rz_fail(err, RZ_EFORMAT,
                           "%s: element %zu is not a token id below %u, the vocabulary's size",
                           path, i, n_vocab);
        RZ_TRY(rz_ids_add(ids, (int32_t)json_integer_value(v), err));
    }
    return RZ_OK;
}

rz_status cli_read_ids(const char *path, uint32_t n_vocab, rz_ids *ids, rz_error *err)
{
    struct rz_buf text;
    rz_buf_init(&text, CLI_MAX_INPUT);
    json_t *array = NULL;
    rz_status status = cli_read_input(path, &text, err);
    if (!status) {
        json_error_t why;
        array = json_loadb(text.data, text.len, 0, &why);
        status =
            array ? add_json_ids(path, array, n_vocab, ids, err)
                  : rz_fail(err, RZ_EFORMAT, "%s:%d:%d: %s", path, why.line, why.column, why.text);
    }
    json_decref(array);
    rz_buf_fini(&text);
    return status;
}
