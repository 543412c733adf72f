/* text.c - the growable arrays that the tokenizer's callers own. */
#include "base/checked.h"
#include "base/fail.h"
#include "tokenizer/internal.h"

#include <stdlib.h>

void rz_ids_free(rz_ids *ids)
{
    if (!ids)
        return;
    free(ids->data);
    *ids = (rz_ids){0};
}

rz_status rz_ids_reserve(rz_ids *ids, size_t n, rz_error *err)
{
    size_t need, n_bytes;
    if (!rz_add_size(ids->len, n, &need))
        return rz_fail_nomem(err, n, "token ids");
    if (need <= ids->cap)
        return RZ_OK;
    size_t cap = rz_max_size(need, ids->cap + ids->cap / 2 + 64);
    if (!rz_mul_size(cap, sizeof *ids->data, &n_bytes))
        return rz_fail_nomem(err, cap, "token ids");
    int32_t *data = realloc(ids->data, n_bytes);
    if (!data)
        return rz_fail_nomem(err, n_bytes, "token ids");
    ids->data = data;
    ids->cap = cap;
    return RZ_OK;
}

rz_status rz_ids_add(rz_ids *ids, int32_t id, rz_error *err)
{
    RZ_TRY(rz_ids_reserve(ids, 1, err));
    ids->data[ids->len++] = id;
    return RZ_OK;
}

void rz_text_free(rz_text *text)
{
    if (!text)
        return;
    free(text->data);
    *text = (rz_text){0};
}

rz_status rz_text_add(rz_text *text, const char *data, size_t len, rz_error *err)
{
    size_t need;
    if (!rz_add_size(text->len, len, &need) || !rz_add_size(need, 1, &need))
        return rz_fail_nomem(err, len, "text");
    if (need > text->cap) {
        size_t cap = rz_max_size(need, text->cap + text->cap / 2 + 64);
        char *grown = realloc(text->data, cap);
        if (!grown)
            return rz_fail_nomem(err, cap, "text");
        text->data = grown;
        text->cap = cap;
    }
    if (len > 0)
        memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
    return RZ_OK;
}
