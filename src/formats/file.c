/* file.c - the struct behind rz_file: filling it, and closing it.
 *
 * Invariant: everything reachable from a sealed file has been checked by its reader, so the
 * accessors only assert. */
#include "formats/file.h"

#include "base/checked.h"
#include "base/fail.h"
#include "base/hash.h"
#include "quant/pack.h"

#include <realizar/tensor_stats.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FIRST_SLOTS = 64,
    /* At load 1/2 a run of this length has no honest explanation (linear probing of a random hash:
     * below 200 for 2^18 names), and it bounds what names made to collide can cost. */
    MAX_PROBES = 1024,
    ARENA_SLACK_BYTES = 65536,
    UNPACKED_ALIGN = 64
};

rz_status rz_file_new(struct rz_file **out, const char *path, rz_error *err)
{
    *out = NULL;
    struct rz_file *file = calloc(1, sizeof *file);
    if (!file)
        return rz_fail_nomem(err, sizeof *file, "a model file");
    file->path = strdup(path);
    if (!file->path) {
        free(file);
        return rz_fail_nomem(err, strlen(path) + 1, "a file name");
    }
    file->format = "";
    rz_arena_init(&file->arena, ARENA_SLACK_BYTES);
    *out = file;
    return RZ_OK;
}

/* The path, or its end when it is so long that it would push the rest out of an error's text. */
static char *make_label(const char *path)
{
    size_t len = strlen(path);
    if (len <= RZ_MAX_PATH_SHOWN)
        return strdup(path);
    char *label = strdup(path + len - RZ_MAX_PATH_SHOWN);
    if (label)
        memset(label, '.', 3);
    return label;
}

static rz_status add_shard(struct rz_file *file, const char *path, struct rz_shard **out,
                           rz_error *err)
{
    if (file->n_shards >= RZ_MAX_SHARDS)
        return rz_fail(err, RZ_EFORMAT, "%s: more than %d shards", path, RZ_MAX_SHARDS);
    size_t n = file->n_shards + 1;
    struct rz_shard *shards = realloc(file->shards, n * sizeof *shards);
    if (!shards)
        return rz_fail_nomem(err, n * sizeof *shards, "the list of shards");
    file->shards = shards;
    char *label = make_label(path);
    if (!label)
        return rz_fail_nomem(err, strlen(path) + 1, "a file name");
    shards[file->n_shards] = (struct rz_shard){.label = label};
    *out = &shards[file->n_shards++];
    return RZ_OK;
}

static void set_shard_data(struct rz_file *file, struct rz_shard *shard, const void *data,
                           size_t len)
{
    shard->data = data;
    shard->len = len;
    file->arena.max_bytes += len;
}

rz_status rz_file_map_shard(struct rz_file *file, const char *path, rz_error *err)
{
    struct rz_shard *shard;
    RZ_TRY(add_shard(file, path, &shard, err));
    RZ_TRY(rz_map_open(&shard->map, path, err));
    set_shard_data(file, shard, shard->map.data, shard->map.len);
    return RZ_OK;
}

rz_status rz_file_borrow_shard(struct rz_file *file, const char *name, const void *data, size_t len,
                               rz_error *err)
{
    struct rz_shard *shard;
    RZ_TRY(add_shard(file, name, &shard, err));
    set_shard_data(file, shard, data, len);
    return RZ_OK;
}

static void index_clear(struct rz_name_index *index)
{
    free(index->slots);
    *index = (struct rz_name_index){0};
}

void rz_file_clear(struct rz_file *file)
{
    for (uint32_t i = 0; i < file->n_shards; i++) {
        rz_map_close(&file->shards[i].map);
        free(file->shards[i].label);
    }
    free(file->shards);
    free(file->meta);
    free(file->tensors);
    index_clear(&file->meta_index);
    index_clear(&file->tensor_index);
    rz_arena_fini(&file->arena);
    if (file->unpacked)
        munmap(file->unpacked, file->unpacked_bytes);
    *file = (struct rz_file){.path = file->path, .format = file->format, .version = file->version};
    rz_arena_init(&file->arena, ARENA_SLACK_BYTES);
}

void rz_file_close(rz_file **file)
{
    if (!file || !*file)
        return;
    rz_file_clear(*file);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

/* ---- tensors that stand only packed ---- */

static void unpack_tensor(const rz_tensor *t, uint8_t *to)
{
    const uint64_t n_rows = t->shape[t->n_dims - 2], n_stack = t->n_dims > 2 ? t->shape[0] : 1;
    const size_t matrix_bytes = t->n_bytes / n_stack;
    const struct rz_unpack_args a = {.type = t->dtype,
                                     .n_rows = (uint32_t)n_rows,
                                     .n_cols = (uint32_t)t->shape[t->n_dims - 1],
                                     .w_row_bytes = matrix_bytes / n_rows};
    for (uint64_t i = 0; i < n_stack; i++) {
        struct rz_unpack_args one = a;
        one.packed = (const uint8_t *)t->packed + i * matrix_bytes;
        one.w = to + i * matrix_bytes;
        rz_unpack_strips(&one, 0, (uint32_t)(n_rows / RZ_STRIP_ROWS));
    }
}

rz_status rz_file_unpack(struct rz_file *file, rz_error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!file->tensors[i].data)
            total += rz_align_up(file->tensors[i].n_bytes, UNPACKED_ALIGN);
    if (total == 0)
        return RZ_OK;
    /* No more than the file has: each of them stands there in as many bytes. */
    uint8_t *to = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (to == MAP_FAILED)
        return rz_fail_nomem(err, total, "the rows of packed weights");
    RZ_ASSERT(!file->unpacked);
    file->unpacked = to;
    file->unpacked_bytes = total;
    for (size_t i = 0; i < file->n_tensors; i++) {
        rz_tensor *t = &file->tensors[i];
        if (t->data)
            continue;
        unpack_tensor(t, to);
        t->data = to;
        t->mapped = false;
        to += rz_align_up(t->n_bytes, UNPACKED_ALIGN);
    }
    (void)mprotect(file->unpacked, total, PROT_READ);
    return RZ_OK;
}

/* Bytes of a strip of a matrix that the file has twice; 0 of any other tensor. */
static size_t twice_bytes(const struct rz_file *file, const rz_tensor *t)
{
    const uint8_t *data = t->data, *unpacked = file->unpacked;
    if (!t->packed || !data ||
        (unpacked && data >= unpacked && data < unpacked + file->unpacked_bytes))
        return 0;
    return t->n_bytes / rz_tensor_rows(t) * RZ_STRIP_ROWS;
}

/* Matrices are of whole strips, and so is a stack. */
static bool same_packed(const rz_tensor *t, size_t strip_bytes, uint8_t *rows, uint64_t *row)
{
    const size_t row_bytes = strip_bytes / RZ_STRIP_ROWS;
    for (size_t at = 0; at < t->n_bytes; at += strip_bytes) {
        const struct rz_unpack_args a = {.type = t->dtype,
                                         .n_rows = RZ_STRIP_ROWS,
                                         .n_cols = (uint32_t)rz_tensor_cols(t),
                                         .packed = (const uint8_t *)t->packed + at,
                                         .w = rows,
                                         .w_row_bytes = row_bytes};
        rz_unpack_strips(&a, 0, 1);
        const uint8_t *want = (const uint8_t *)t->data + at;
        for (uint32_t r = 0; r < RZ_STRIP_ROWS; r++) {
            *row = at / row_bytes + r;
            if (memcmp(rows + r * row_bytes, want + r * row_bytes, row_bytes) != 0)
                return false;
        }
    }
    return true;
}

rz_status rz_file_compare_packed(const rz_file *file, size_t *n_both, const rz_tensor **differs,
                                 uint64_t *row, rz_error *err)
{
    size_t room = 0;
    *n_both = 0;
    *differs = NULL;
    *row = 0;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const size_t bytes = twice_bytes(file, &file->tensors[i]);
        *n_both += bytes > 0;
        room = bytes > room ? bytes : room;
    }
    uint8_t *rows = malloc(room + 1);
    if (!rows)
        return rz_fail_nomem(err, room, "the rows of packed weights");
    for (size_t i = 0; i < file->n_tensors && !*differs; i++) {
        const rz_tensor *t = &file->tensors[i];
        const size_t bytes = twice_bytes(file, t);
        if (bytes && !same_packed(t, bytes, rows, row))
            *differs = t;
    }
    free(rows);
    return RZ_OK;
}

/* ---- names ---- */

typedef rz_slice name_fn(const struct rz_file *file, uint32_t i);

static rz_slice meta_key(const struct rz_file *file, uint32_t i)
{
    return file->meta[i].pub.key;
}

static rz_slice tensor_name(const struct rz_file *file, uint32_t i)
{
    const char *name = file->tensors[i].name;
    return (rz_slice){.data = name, .len = strlen(name)};
}

static bool index_grow(struct rz_name_index *index)
{
    uint32_t n = index->n_slots ? index->n_slots * 2 : FIRST_SLOTS;
    uint64_t *slots = calloc(n, sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = 0; i < index->n_slots; i++) {
        uint64_t slot = index->slots[i];
        if (!slot)
            continue;
        uint32_t at = (uint32_t)(slot >> 32) & (n - 1);
        while (slots[at])
            at = (at + 1) & (n - 1);
        slots[at] = slot;
    }
    free(index->slots);
    index->slots = slots;
    index->n_slots = n;
    return true;
}

/* The index of the name, or UINT32_MAX; *free_slot is where it would go, or UINT32_MAX if the run
 * is too long. n_slots must not be 0. */
static uint32_t index_find(const struct rz_file *file, const struct rz_name_index *index,
                           name_fn *name_of, rz_slice name, uint32_t hash, uint32_t *free_slot)
{
    uint32_t at = hash & (index->n_slots - 1);
    for (uint32_t probe = 0; probe < MAX_PROBES && probe < index->n_slots; probe++) {
        uint64_t slot = index->slots[at];
        if (!slot) {
            *free_slot = at;
            return UINT32_MAX;
        }
        if (slot >> 32 == hash) {
            uint32_t i = (uint32_t)slot - 1;
            rz_slice other = name_of(file, i);
            if (other.len == name.len && memcmp(other.data, name.data, name.len) == 0)
                return i;
        }
        at = (at + 1) & (index->n_slots - 1);
    }
    *free_slot = UINT32_MAX;
    return UINT32_MAX;
}

static uint32_t hash_name(rz_slice name)
{
    return (uint32_t)rz_hash_bytes(name.data, name.len, RZ_NAME_HASH_SEED);
}

/* Enters name as number i. */
static enum rz_add_result index_add(const struct rz_file *file, struct rz_name_index *index,
                                    name_fn *name_of, rz_slice name, uint32_t i)
{
    if (2 * (index->n_used + 1) > index->n_slots && !index_grow(index))
        return RZ_ADD_NOMEM;
    uint32_t at, hash = hash_name(name);
    if (index_find(file, index, name_of, name, hash, &at) != UINT32_MAX)
        return RZ_ADD_DUPLICATE;
    if (at == UINT32_MAX)
        return RZ_ADD_CROWDED;
    index->slots[at] = (uint64_t)hash << 32 | (i + 1);
    index->n_used++;
    return RZ_ADDED;
}

/* Room for one more of size bytes in *items; the array doubles, so it stays in proportion to what
 * has been read, whatever a header announced. */
static bool grow(void **items, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t new_cap = *cap ? *cap * 2 : 16;
    void *p = realloc(*items, new_cap * size);
    if (!p)
        return false;
    *items = p;
    *cap = new_cap;
    return true;
}

enum rz_add_result rz_file_add_meta(struct rz_file *file, const struct rz_meta_entry *entry)
{
    RZ_ASSERT(file->n_meta < RZ_MAX_META);
    void *items = file->meta;
    if (!grow(&items, &file->cap_meta, file->n_meta, sizeof *entry))
        return RZ_ADD_NOMEM;
    file->meta = items;
    enum rz_add_result result =
        index_add(file, &file->meta_index, meta_key, entry->pub.key, (uint32_t)file->n_meta);
    if (result == RZ_ADDED)
        file->meta[file->n_meta++] = *entry;
    return result;
}

enum rz_add_result rz_file_add_tensor(struct rz_file *file, const rz_tensor *tensor)
{
    RZ_ASSERT(file->n_tensors < RZ_MAX_TENSORS);
    void *items = file->tensors;
    if (!grow(&items, &file->cap_tensors, file->n_tensors, sizeof *tensor))
        return RZ_ADD_NOMEM;
    file->tensors = items;
    rz_slice name = {.data = tensor->name, .len = strlen(tensor->name)};
    enum rz_add_result result =
        index_add(file, &file->tensor_index, tensor_name, name, (uint32_t)file->n_tensors);
    if (result == RZ_ADDED)
        file->tensors[file->n_tensors++] = *tensor;
    return result;
}

void rz_file_seal(struct rz_file *file)
{
    for (size_t i = 0; i < file->n_meta; i++)
        file->meta[i].pub.impl = &file->meta[i];
}

static uint32_t lookup(const struct rz_file *file, const struct rz_name_index *index,
                       name_fn *name_of, const char *name)
{
    rz_slice slice = {.data = name, .len = strlen(name)};
    uint32_t free_slot;
    if (index->n_slots == 0)
        return UINT32_MAX;
    return index_find(file, index, name_of, slice, hash_name(slice), &free_slot);
}

const rz_meta *rz_file_meta(const rz_file *file, const char *key)
{
    uint32_t i = lookup(file, &file->meta_index, meta_key, key);
    return i == UINT32_MAX ? NULL : &file->meta[i].pub;
}

const rz_tensor *rz_file_tensor(const rz_file *file, const char *name)
{
    uint32_t i = lookup(file, &file->tensor_index, tensor_name, name);
    return i == UINT32_MAX ? NULL : &file->tensors[i];
}

/* ---- plain accessors ---- */

const char *rz_file_path(const rz_file *file)
{
    return file->path;
}

const char *rz_file_format(const rz_file *file)
{
    return file->format;
}

uint32_t rz_file_version(const rz_file *file)
{
    return file->version;
}

uint64_t rz_file_bytes(const rz_file *file)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < file->n_shards; i++)
        bytes += file->shards[i].stored_len ? file->shards[i].stored_len : file->shards[i].len;
    return bytes;
}

uint32_t rz_file_n_shards(const rz_file *file)
{
    return file->n_shards;
}

size_t rz_file_n_meta(const rz_file *file)
{
    return file->n_meta;
}

const rz_meta *rz_file_meta_at(const rz_file *file, size_t i)
{
    RZ_ASSERT(i < file->n_meta);
    return &file->meta[i].pub;
}

size_t rz_file_n_tensors(const rz_file *file)
{
    return file->n_tensors;
}

const rz_tensor *rz_file_tensor_at(const rz_file *file, size_t i)
{
    RZ_ASSERT(i < file->n_tensors);
    return &file->tensors[i];
}
