/* split.c - GGUF files in shards, NAME-00001-of-00003.gguf.
 *
 * Every shard says its number (split.no, from 0), their count and the total of tensors; all are
 * checked against each other and against the file names. Metadata is the first shard's. Any shard's
 * name opens all of them, and only names made from it are opened.
 * Source: llama.cpp's gguf-split; the keys stand in the GGUF specification under "split". */
#include "base/fail.h"
#include "formats/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUFFIX_BYTES = sizeof "-00001-of-00003.gguf" - 1
};

static void make_suffix(char out[SUFFIX_BYTES + 16], uint32_t no, uint32_t count)
{
    snprintf(out, SUFFIX_BYTES + 16, "-%05u-of-%05u.gguf", no + 1, count);
}

/* The path's length without the suffix, checked against what the shard says of itself. */
static rz_status check_name(struct gguf_reader *r, const char *path, size_t *prefix, rz_error *err)
{
    char suffix[SUFFIX_BYTES + 16];
    size_t len = strlen(path);
    if (r->split_no >= r->split_count)
        return rz_fail(err, RZ_EFORMAT, "%s: key split.no is %u, must be below split.count %u",
                       r->label, r->split_no, r->split_count);
    if (r->split_count > RZ_MAX_SHARDS)
        return rz_fail(err, RZ_EFORMAT, "%s: key split.count is %u, must be 1 to %d", r->label,
                       r->split_count, RZ_MAX_SHARDS);
    make_suffix(suffix, r->split_no, r->split_count);
    if (len < SUFFIX_BYTES || strcmp(path + len - SUFFIX_BYTES, suffix) != 0)
        return rz_fail(err, RZ_EFORMAT,
                       "%s: shard %u of %u by its key split.no, so its name must end in %s",
                       r->label, r->split_no + 1, r->split_count, suffix);
    *prefix = len - SUFFIX_BYTES;
    return RZ_OK;
}

static rz_status check_shard(const struct gguf_reader *r, uint32_t no, uint32_t count,
                             uint64_t n_tensors, rz_error *err)
{
    if (r->split_no != no || r->split_count != count)
        return rz_fail(err, RZ_EFORMAT, "%s: shard %u of %u by its keys, %u of %u by its name",
                       r->label, r->split_no + 1, r->split_count, no + 1, count);
    if (r->split_tensors != n_tensors)
        return rz_fail(
            err, RZ_EFORMAT, "%s: key split.tensors.count is %llu, the shard named first has %llu",
            r->label, (unsigned long long)r->split_tensors, (unsigned long long)n_tensors);
    return RZ_OK;
}

/* Maps and reads shard no; path's suffix is rewritten to its name. */
static rz_status read_one(struct rz_file *file, char *path, size_t prefix, uint32_t no,
                          const struct gguf_reader *named, rz_error *err)
{
    char suffix[SUFFIX_BYTES + 16];
    struct gguf_reader r;
    make_suffix(suffix, no, named->split_count);
    memcpy(path + prefix, suffix, SUFFIX_BYTES);
    rz_status status = rz_file_map_shard(file, path, err);
    if (status == RZ_ENOTFOUND) {
        const char *base = strrchr(path, '/');
        return rz_fail(err, RZ_ENOTFOUND, "%s: shard %u of %u is missing: %s", file->path, no + 1,
                       named->split_count, base ? base + 1 : path);
    }
    if (status)
        return status;
    RZ_TRY(rz_gguf_read_shard(&r, file, no, no == 0, err));
    return check_shard(&r, no, named->split_count, named->split_tensors, err);
}

rz_status rz_gguf_read_split(struct gguf_reader *r, struct rz_file *file, rz_error *err)
{
    /* A copy: clearing the file frees what r points into. */
    const struct gguf_reader named = *r;
    size_t prefix;
    RZ_TRY(check_name(r, file->path, &prefix, err));
    char *path = strdup(file->path);
    if (!path)
        return rz_fail_nomem(err, strlen(file->path) + 1, "a file name");
    rz_file_clear(file);
    rz_status status = RZ_OK;
    for (uint32_t no = 0; !status && no < named.split_count; no++)
        status = read_one(file, path, prefix, no, &named, err);
    if (!status && file->n_tensors != named.split_tensors)
        status = rz_fail(
            err, RZ_EFORMAT, "%s: key split.tensors.count is %llu, the shards hold %zu tensors",
            file->shards[0].label, (unsigned long long)named.split_tensors, file->n_tensors);
    free(path);
    return status;
}
