/* file.h - the struct behind rz_file, and the few functions by which a container's reader fills it.
 *
 * A reader creates nothing itself: rz_file_open hands it a file whose first shard is mapped, it
 * adds metadata and tensors that it has checked, and they are read through <realizar/file.h>. Names
 * are indexed as they are added, so a duplicate is found where it stands. */
#ifndef RZ_FORMATS_FILE_H
#define RZ_FORMATS_FILE_H

#include "base/arena.h"
#include "base/map.h"

#include <realizar/file.h>

enum {
    RZ_MAX_META = 1 << 16,
    RZ_MAX_TENSORS = 1 << 18,
    RZ_MAX_SHARDS = 1024,
    RZ_NAME_HASH_SEED = 0x67677566,
    RZ_MAX_KEY_BYTES = 65535,       /* GGUF's own limit */
    RZ_MAX_TENSOR_NAME_BYTES = 255, /* GGUF asks for 64 at most; some writers exceed it */
    RZ_MAX_PATH_SHOWN = 256         /* of a path in messages; its end is kept */
};

/* pub stays first: &entry->pub is what callers hold. */
struct rz_meta_entry {
    rz_meta pub;
    const uint8_t *data;    /* elements, little-endian, unaligned; a string is u64 length + bytes */
    const uint32_t *starts; /* array of strings: where element i begins, from data; else NULL */
    uint64_t file_offset;   /* of the value in its shard, for messages */
};

struct rz_shard {
    char *label;         /* path as messages show it */
    const uint8_t *data; /* the whole file */
    size_t len;
    struct rz_map map; /* owned; empty when data is borrowed memory */
    size_t stored_len; /* of a file that is compressed, whose unpacked image data is; else 0 */
};

/* Open addressing, load at most 1/2; a slot is hash << 32 | index + 1, or 0. */
struct rz_name_index {
    uint64_t *slots;
    uint32_t n_slots, n_used;
};

struct rz_file {
    char *path;
    const char *format; /* static */
    uint32_t version;
    struct rz_shard *shards;
    uint32_t n_shards;
    struct rz_meta_entry *meta;
    size_t n_meta, cap_meta;
    rz_tensor *tensors;
    size_t n_tensors, cap_tensors;
    struct rz_name_index meta_index, tensor_index;
    bool read_ahead; /* packed weights will be read soon */
    void *unpacked;  /* rows of tensors that stand only packed, an anonymous mapping; or NULL */
    size_t unpacked_bytes;
    struct rz_arena arena; /* names and string starts; its limit is the shards' bytes */
};

/* An empty file called path (for messages; copied). */
RZ_MUST_USE rz_status rz_file_new(struct rz_file **out, const char *path, rz_error *err);

/* Append a shard: mapped from path, or borrowed from memory that outlives the file. */
RZ_MUST_USE rz_status rz_file_map_shard(struct rz_file *file, const char *path, rz_error *err);
RZ_MUST_USE rz_status rz_file_borrow_shard(struct rz_file *file, const char *name, const void *data,
                                           size_t len, rz_error *err);

/* Drops metadata, tensors and shards; path and format stay. */
void rz_file_clear(struct rz_file *file);

enum rz_add_result {
    RZ_ADDED,
    RZ_ADD_DUPLICATE,
    RZ_ADD_CROWDED, /* so many names hash alike that only malice explains it */
    RZ_ADD_NOMEM
};

/* entry->pub.key and data are borrowed (mapping or arena); pub.impl is filled later. */
enum rz_add_result rz_file_add_meta(struct rz_file *file, const struct rz_meta_entry *entry);

/* tensor->name is borrowed (arena). */
enum rz_add_result rz_file_add_tensor(struct rz_file *file, const rz_tensor *tensor);

/* Ends the filling. */
void rz_file_seal(struct rz_file *file);

/* What a file is opened for: its names and types, its plain weights (rz_file_open), or products,
 * which read packed weights where they lie, and soon. Only the second gives matrices that stand
 * only packed their data. */
enum rz_file_use {
    RZ_FILE_LOOK,
    RZ_FILE_ROWS,
    RZ_FILE_PRODUCTS
};
RZ_MUST_USE rz_status rz_file_open_for(struct rz_file **out, const char *path, enum rz_file_use use,
                                       rz_error *err);

/* Gives the tensors that stand only packed their data, in memory as large as they are. For
 * RZ_FILE_ROWS, and for who opened for something else and needs rows after all; not while others
 * read the file. */
RZ_MUST_USE rz_status rz_file_unpack(struct rz_file *file, rz_error *err);

/* Bytes of an element as metadata stores it; 0 for strings, arrays and anything else. */
size_t rz_meta_elem_bytes(uint32_t type);

#endif
