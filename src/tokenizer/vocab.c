/* vocab.c - building the table of vocab.h. It is at most two thirds full, so that a search ends at
 * an empty slot soon. */
#include "tokenizer/vocab.h"

#include "base/fail.h"

#include <stdlib.h>

rz_status rz_strings_init(struct rz_strings *s, size_t n, size_t n_bytes, rz_error *err)
{
    RZ_ASSERT(n_bytes <= UINT32_MAX);
    s->pool = malloc(n_bytes + 1);
    s->at = malloc((n + 1) * sizeof *s->at);
    if (!s->pool || !s->at) {
        rz_strings_fini(s);
        return rz_fail_nomem(err, n_bytes + (n + 1) * sizeof *s->at, "tokens");
    }
    s->at[0] = 0;
    return RZ_OK;
}

void rz_strings_fini(struct rz_strings *s)
{
    free(s->pool);
    free(s->at);
    *s = (struct rz_strings){0};
}

rz_status rz_vocab_init(struct rz_vocab *v, size_t n, const struct rz_strings *keys, rz_error *err)
{
    RZ_ASSERT(n < 1u << RZ_VOCAB_ID_BITS);
    size_t n_slots = 16;
    while (n_slots < n + n / 2)
        n_slots *= 2;
    v->slots = calloc(n_slots, sizeof *v->slots);
    if (!v->slots)
        return rz_fail_nomem(err, n_slots * sizeof *v->slots, "the vocabulary");
    v->mask = n_slots - 1;
    v->keys = keys;
    return RZ_OK;
}

void rz_vocab_fini(struct rz_vocab *v)
{
    free(v->slots);
    v->slots = NULL;
}

rz_status rz_vocab_add(struct rz_vocab *v, uint32_t id, uint64_t hash, rz_error *err)
{
    rz_slice key = rz_strings_get(v->keys, id);
    const uint64_t id_mask = (1u << RZ_VOCAB_ID_BITS) - 1;
    uint64_t i = hash & v->mask;
    for (unsigned n = 0; v->slots[i]; n++, i = (i + 1) & v->mask) {
        if (n == RZ_MAX_PROBES)
            return rz_fail(err, RZ_EFORMAT,
                           "tokenizer.ggml.tokens[%u]: more hash collisions than words have", id);
        uint32_t other = (uint32_t)(v->slots[i] & id_mask) - 1;
        if ((v->slots[i] ^ hash) >> RZ_VOCAB_ID_BITS == 0 &&
            rz_slice_is(rz_strings_get(v->keys, other), key.data, key.len))
            return RZ_OK;
    }
    v->slots[i] = (hash & ~id_mask) | (id + 1);
    return RZ_OK;
}
