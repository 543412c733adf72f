/* hf_index.c - model.safetensors.index.json: which shard holds which tensor.
 *
 * Invariant: only files of the index's own folder are opened, by plain names; when it is read,
 * index and shards name exactly the same tensors, each in the same shard. Source: transformers'
 * sharded checkpoints ("weight_map"). */
#include "base/fail.h"
#include "formats/hf.h"
#include "formats/json_scan.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN = 120,
    MAX_SHARD_NAME = 255 /* bytes; NAME_MAX */
};

struct reader {
    struct rz_hf *h;
    const char *label; /* of the index */
    rz_slice map;      /* weight_map's text */
    size_t map_at;
    rz_slice *shards; /* distinct names, as the index has them */
    size_t n_shards;
    bool *seen; /* by tensor of the file */
};

/* Called with every pair of weight_map. */
typedef rz_status pair_fn(struct reader *r, struct rz_json *j, size_t at, rz_slice name,
                          rz_slice shard);

static int shown(rz_slice s)
{
    return s.len < SHOWN ? (int)s.len : SHOWN;
}

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static rz_status find_map(struct reader *r, rz_slice text)
{
    struct rz_json j = {.data = text.data, .len = text.len, .label = r->label, .err = r->h->err};
    size_t n = 0;
    bool more;
    rz_slice key, value;
    RZ_TRY(rz_json_open(&j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '{', &n, &more));
        if (!more)
            break;
        size_t at = j.pos;
        RZ_TRY(rz_json_key(&j, &key));
        RZ_TRY(rz_json_skip(&j, &value));
        if (!slice_is(key, "weight_map"))
            continue;
        if (r->map.data)
            return rz_json_bad(&j, at, "weight_map occurs twice");
        r->map = value;
        r->map_at = (size_t)(value.data - text.data);
    }
    RZ_TRY(rz_json_end(&j));
    return r->map.data ? RZ_OK : rz_json_bad(&j, 0, "weight_map is missing");
}

static rz_status for_each_pair(struct reader *r, pair_fn *fn)
{
    struct rz_json j = {.data = r->map.data,
                        .len = r->map.len,
                        .label = r->label,
                        .base = r->map_at,
                        .err = r->h->err};
    size_t n = 0;
    bool more;
    rz_slice name, shard;
    RZ_TRY(rz_json_open(&j, '{'));
    for (;;) {
        RZ_TRY(rz_json_more(&j, '{', &n, &more));
        if (!more)
            return RZ_OK;
        rz_json_peek(&j);
        size_t at = j.pos;
        RZ_TRY(rz_json_key(&j, &name));
        RZ_TRY(rz_json_string(&j, &shard));
        RZ_TRY(fn(r, &j, at, name, shard));
    }
}

/* A file name of the same folder: no path, no escapes that might hide one. */
static bool is_plain_name(rz_slice s)
{
    static const char suffix[] = ".safetensors";
    size_t n = sizeof suffix - 1;
    if (s.len <= n || s.len > MAX_SHARD_NAME || memcmp(s.data + s.len - n, suffix, n) != 0)
        return false;
    return s.data[0] != '.' && !memchr(s.data, '/', s.len) && !memchr(s.data, '\\', s.len) &&
           !memmem(s.data, s.len, "..", 2);
}

static bool same(rz_slice a, rz_slice b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* The shard's number, or r->n_shards. */
static size_t find_shard(const struct reader *r, rz_slice name)
{
    size_t i = 0;
    while (i < r->n_shards && !same(r->shards[i], name))
        i++;
    return i;
}

static rz_status note_shard(struct reader *r, struct rz_json *j, size_t at, rz_slice name,
                            rz_slice shard)
{
    if (!is_plain_name(shard))
        return rz_json_bad(j, at,
                           "tensor %.*s lies in \"%.*s\", which is no plain name of a "
                           ".safetensors file",
                           shown(name), name.data, shown(shard), shard.data);
    /* Tensors of a shard mostly follow each other. */
    if (r->n_shards && same(r->shards[r->n_shards - 1], shard))
        return RZ_OK;
    if (find_shard(r, shard) < r->n_shards)
        return RZ_OK;
    if (r->n_shards == RZ_MAX_SHARDS)
        return rz_json_bad(j, at, "more than %d shards", RZ_MAX_SHARDS);
    r->shards[r->n_shards++] = shard;
    return RZ_OK;
}

static rz_status read_shards(struct reader *r, const char *folder)
{
    for (size_t i = 0; i < r->n_shards; i++) {
        char *path;
        if (asprintf(&path, "%s/%.*s", folder, (int)r->shards[i].len, r->shards[i].data) < 0)
            return rz_fail_nomem(r->h->err, strlen(folder) + r->shards[i].len, "a file name");
        rz_status status = rz_file_map_shard(r->h->file, path, r->h->err);
        free(path);
        if (status == RZ_ENOTFOUND)
            return rz_fail(r->h->err, RZ_ENOTFOUND, "%s: shard %.*s is missing", r->label,
                           shown(r->shards[i]), r->shards[i].data);
        RZ_TRY(status);
        RZ_TRY(rz_st_read_shard(r->h->file, (uint32_t)i, r->h->tied ? RZ_ST_TIED : RZ_ST_MODEL,
                                r->h->err));
    }
    return RZ_OK;
}

/* A pair of the index against the tensors that the shards hold. */
static rz_status check_pair(struct reader *r, struct rz_json *j, size_t at, rz_slice name,
                            rz_slice shard)
{
    char decoded[RZ_MAX_TENSOR_NAME_BYTES], gguf[RZ_MAX_TENSOR_NAME_BYTES + 1];
    if (name.len > sizeof decoded)
        return rz_json_bad(j, at, "a tensor name of %zu bytes", name.len);
    rz_slice plain = {.data = decoded, .len = rz_json_unescape(name, decoded)};
    enum rz_st_name kind = rz_st_gguf_name(plain, gguf);
    if (kind == RZ_ST_IGNORED || (r->h->tied && slice_is(plain, "lm_head.weight")))
        return RZ_OK;
    struct rz_file *file = r->h->file;
    const rz_tensor *t = kind == RZ_ST_NAMED ? rz_file_tensor(file, gguf) : NULL;
    const struct rz_shard *s = &file->shards[find_shard(r, shard)];
    const uint8_t *data = t ? t->data : NULL;
    if (!t || data < s->data || data >= s->data + s->len)
        return rz_json_bad(j, at, "tensor %.*s is not in shard %.*s", shown(name), name.data,
                           shown(shard), shard.data);
    size_t i = (size_t)(t - file->tensors);
    if (r->seen[i])
        return rz_json_bad(j, at, "tensor %.*s occurs twice", shown(name), name.data);
    r->seen[i] = true;
    return RZ_OK;
}

static rz_status check_seen(const struct reader *r)
{
    const struct rz_file *file = r->h->file;
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!r->seen[i])
            return rz_fail(
                r->h->err, RZ_EFORMAT,
                "%s: weight_map lacks the tensor that GGUF calls %s, which a shard holds "
                "at byte %llu",
                r->label, file->tensors[i].name, (unsigned long long)file->tensors[i].file_offset);
    return RZ_OK;
}

rz_status rz_hf_read_index(struct rz_hf *h, const char *folder, rz_slice text, const char *label)
{
    struct reader r = {.h = h, .label = label};
    rz_status status = find_map(&r, text);
    if (!status) {
        r.shards = calloc(RZ_MAX_SHARDS, sizeof *r.shards);
        if (!r.shards)
            status = rz_fail_nomem(h->err, RZ_MAX_SHARDS * sizeof *r.shards, "the shards");
    }
    if (!status)
        status = for_each_pair(&r, note_shard);
    if (!status)
        status = read_shards(&r, folder);
    if (!status) {
        r.seen = calloc(h->file->n_tensors + 1, sizeof *r.seen);
        if (!r.seen)
            status = rz_fail_nomem(h->err, h->file->n_tensors, "the tensors");
    }
    if (!status)
        status = for_each_pair(&r, check_pair);
    if (!status)
        status = check_seen(&r);
    free(r.seen);
    free(r.shards);
    return status;
}
