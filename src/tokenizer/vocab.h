/* vocab.h - strings by id, and from a string to its id: a hash table. Both are kept small, since
 * what a look-up costs is the memory it waits for. */
#ifndef RZ_TOKENIZER_VOCAB_H
#define RZ_TOKENIZER_VOCAB_H

#include <realizar/file.h>
#include <string.h>

enum {
    /* Longer runs of taken slots than any honest vocabulary's; more is a file made to collide. */
    RZ_MAX_PROBES = 2048
};

/* String id is pool[at[id]..at[id + 1]). */
struct rz_strings {
    char *pool;
    uint32_t *at;
};

static inline rz_slice rz_strings_get(const struct rz_strings *s, uint32_t id)
{
    return (rz_slice){s->pool + s->at[id], s->at[id + 1] - s->at[id]};
}

/* Room for n strings of n_bytes altogether, below 4 GiB; at[0] is 0. Free with rz_strings_fini,
 * which also takes {0}. */
RZ_MUST_USE rz_status rz_strings_init(struct rz_strings *s, size_t n, size_t n_bytes,
                                      rz_error *err);
void rz_strings_fini(struct rz_strings *s);

/* A slot holds the upper 40 bits of the hash and the id plus one; 0 is empty. */
struct rz_vocab {
    uint64_t *slots;
    uint64_t mask;
    const struct rz_strings *keys;
};

enum {
    RZ_VOCAB_ID_BITS = 24
};

static inline uint64_t rz_load_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t rz_load_u64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t rz_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A hash of short strings: two overlapping loads and one wide multiplication up to 16 bytes. (FNV
 * byte by byte took three times as long over the merges of a 151,936-token vocabulary.) */
static inline uint64_t rz_word_hash(const char *p, size_t n)
{
    const uint64_t c0 = 0x9E3779B97F4A7C15u, c1 = 0xD1B54A32D192ED03u;
    uint64_t h = n * c1, a, b;
    for (; n > 16; n -= 16, p += 16)
        h = rz_mix(rz_load_u64(p) ^ c0, rz_load_u64(p + 8) ^ h);
    if (n >= 8) {
        a = rz_load_u64(p);
        b = rz_load_u64(p + n - 8);
    } else if (n >= 4) {
        a = rz_load_u32(p);
        b = rz_load_u32(p + n - 4);
    } else {
        a = n ? (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1]
              : 0;
        b = 0;
    }
    return rz_mix(a ^ c0 ^ h, b ^ c1);
}

/* Room for n keys. keys is borrowed. Free with rz_vocab_fini. */
RZ_MUST_USE rz_status rz_vocab_init(struct rz_vocab *v, size_t n, const struct rz_strings *keys,
                                    rz_error *err);
void rz_vocab_fini(struct rz_vocab *v);

/* Adds string id, whose rz_word_hash is hash. A key that is there already keeps its first id.
 * Errors: RZ_EFORMAT (too many collisions). */
RZ_MUST_USE rz_status rz_vocab_add(struct rz_vocab *v, uint32_t id, uint64_t hash, rz_error *err);

static inline bool rz_slice_is(rz_slice s, const char *data, size_t len)
{
    if (s.len != len)
        return false;
    /* Most are short: a call to memcmp would cost more than the comparison. */
    if (len > 16)
        return memcmp(s.data, data, len) == 0;
    if (len >= 8)
        return rz_load_u64(s.data) == rz_load_u64(data) &&
               rz_load_u64(s.data + len - 8) == rz_load_u64(data + len - 8);
    if (len >= 4)
        return rz_load_u32(s.data) == rz_load_u32(data) &&
               rz_load_u32(s.data + len - 4) == rz_load_u32(data + len - 4);
    return len == 0 || (s.data[0] == data[0] && s.data[len / 2] == data[len / 2] &&
                        s.data[len - 1] == data[len - 1]);
}

/* Asks memory for the key that a search for hash will most likely compare with. */
static inline void rz_vocab_prefetch_key(const struct rz_vocab *v, uint64_t hash)
{
    uint64_t id_plus_1 = v->slots[hash & v->mask] & ((1u << RZ_VOCAB_ID_BITS) - 1);
    __builtin_prefetch(&v->keys->at[id_plus_1 ? id_plus_1 - 1 : 0]);
}

/* The id, or -1. */
static inline int32_t rz_vocab_find_hashed(const struct rz_vocab *v, const char *data, size_t len,
                                           uint64_t hash)
{
    uint64_t i = hash & v->mask;
    for (unsigned n = 0; n <= RZ_MAX_PROBES; n++, i = (i + 1) & v->mask) {
        uint64_t slot = v->slots[i];
        if (slot == 0)
            break;
        if ((slot ^ hash) >> RZ_VOCAB_ID_BITS == 0) {
            uint32_t id = (uint32_t)(slot & ((1u << RZ_VOCAB_ID_BITS) - 1)) - 1;
            if (rz_slice_is(rz_strings_get(v->keys, id), data, len))
                return (int32_t)id;
        }
    }
    return -1;
}

static inline int32_t rz_vocab_find(const struct rz_vocab *v, const char *data, size_t len)
{
    return rz_vocab_find_hashed(v, data, len, rz_word_hash(data, len));
}

#endif
