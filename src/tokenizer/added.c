/* added.c - leftmost-longest search for the added tokens, as Hugging Face's AddedVocabulary does
 * it. The tokens are sorted, so that those that share what has been read of the text are a range,
 * which each further byte narrows. Most positions end at the first byte. */
#include "tokenizer/added.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b, void *ctx)
{
    const struct rz_strings *keys = ctx;
    int32_t ia = *(const int32_t *)a, ib = *(const int32_t *)b;
    rz_slice ka = rz_strings_get(keys, (uint32_t)ia), kb = rz_strings_get(keys, (uint32_t)ib);
    int order = memcmp(ka.data, kb.data, rz_min_size(ka.len, kb.len));
    if (order == 0)
        order = (ka.len > kb.len) - (ka.len < kb.len);
    return order ? order : (ia > ib) - (ia < ib);
}

static rz_slice key_at(const struct rz_added *added, size_t i)
{
    return rz_strings_get(added->keys, (uint32_t)added->ids[i]);
}

void rz_added_init(struct rz_added *added, const struct rz_strings *keys, int32_t *ids, size_t n)
{
    added->keys = keys;
    added->ids = ids;
    added->n = n;
    if (n > 0)
        qsort_r(ids, n, sizeof *ids, compare, (void *)(uintptr_t)keys);
    memset(added->first, 0, sizeof added->first);
    for (size_t i = 0; i < n; i++)
        added->first[(uint8_t)key_at(added, i).data[0] + 1]++;
    for (size_t b = 0; b < 256; b++)
        added->first[b + 1] += added->first[b];
}

void rz_added_fini(struct rz_added *added)
{
    free(added->ids);
    added->ids = NULL;
}

/* The first of ids[low..high) whose byte at depth is not below b; a token that ends at depth counts
 * as below every byte. */
static size_t lower_bound(const struct rz_added *added, size_t low, size_t high, size_t depth,
                          unsigned b)
{
    while (low < high) {
        size_t mid = (low + high) / 2;
        rz_slice key = key_at(added, mid);
        if (key.len <= depth || (uint8_t)key.data[depth] < b)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The longest token at text[0..len): its length, 0 if none. */
static size_t longest(const struct rz_added *added, const char *text, size_t len, int32_t *id)
{
    size_t low = added->first[(uint8_t)text[0]], high = added->first[(uint8_t)text[0] + 1u];
    size_t found = 0;
    for (size_t depth = 1; low < high; depth++) {
        /* The shortest of a range comes first. */
        if (key_at(added, low).len == depth) {
            found = depth;
            *id = added->ids[low];
        }
        if (depth == len)
            break;
        unsigned b = (uint8_t)text[depth];
        low = lower_bound(added, low, high, depth, b);
        high = lower_bound(added, low, high, depth, b + 1);
    }
    return found;
}

bool rz_added_next(const struct rz_added *added, const char *text, size_t pos, size_t end,
                   struct rz_added_match *match)
{
    if (added->n == 0)
        return false;
    for (; pos < end; pos++) {
        unsigned b = (uint8_t)text[pos];
        if (added->first[b] == added->first[b + 1])
            continue;
        size_t len = longest(added, text + pos, end - pos, &match->id);
        if (len > 0) {
            match->begin = pos;
            match->end = pos + len;
            return true;
        }
    }
    return false;
}

int32_t rz_added_find(const struct rz_added *added, const char *text, size_t len)
{
    int32_t id = -1;
    if (added->n == 0 || len == 0)
        return -1;
    return longest(added, text, len, &id) == len ? id : -1;
}
