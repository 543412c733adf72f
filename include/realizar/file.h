/* file.h - a model file: its metadata and its tensors, whatever the container.
 *
 * The one shape that the rest of the library sees: metadata under GGUF's key names
 * ("general.architecture", "qwen2.block_count", "tokenizer.ggml.tokens", "tokenizer.chat_template")
 * and tensors under GGUF's names ("blk.0.attn_q.weight"). A reader of another container
 * translates to these. Everything has been validated when rz_file_open returns: sizes, offsets,
 * types, that tensors do not overlap and lie inside the file.
 *
 * A file is immutable after opening and may be read from any thread. All pointers into it are
 * borrowed and valid until rz_file_close. */
#ifndef REALIZAR_FILE_H
#define REALIZAR_FILE_H

#include <realizar/dtype.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RZ_MAX_DIMS = 4
};

typedef struct rz_file rz_file;

/* A borrowed run of bytes, not NUL-terminated. */
typedef struct rz_slice {
    const char *data;
    size_t len;
} rz_slice;

typedef enum rz_meta_type { /* GGUF's numbers */
    RZ_META_U8 = 0,
    RZ_META_I8,
    RZ_META_U16,
    RZ_META_I16,
    RZ_META_U32,
    RZ_META_I32,
    RZ_META_F32,
    RZ_META_BOOL,
    RZ_META_STRING,
    RZ_META_ARRAY,
    RZ_META_U64,
    RZ_META_I64,
    RZ_META_F64,
    RZ_N_META_TYPES
} rz_meta_type;

/* One metadata entry. For an array, elem_type and count describe it and the accessors below read
 * its elements; otherwise count is 1. */
typedef struct rz_meta {
    rz_slice key;
    rz_meta_type type;
    rz_meta_type elem_type; /* of an array; equal to type otherwise */
    uint64_t count;
    const void *impl; /* private to the reader */
} rz_meta;

/* One tensor. Row-major: shape[0] is the outermost (rows, "out"), shape[n_dims - 1] the
 * contiguous one (columns, "in"); unused entries are 1. A weight matrix is [out][in], a stack of
 * experts [n_experts][out][in]. (GGUF stores the reverse order; the reader turns it round and
 * moves no data.) */
typedef struct rz_tensor {
    const char *name; /* NUL-terminated UTF-8 */
    rz_dtype dtype;
    uint32_t n_dims;
    uint64_t shape[RZ_MAX_DIMS];
    const void *data;   /* borrowed, mostly from the mapping; alignment at least 1 */
    const void *packed; /* the same weights in the layout that products read (docs/packed.md), where
                           the file has them so; else NULL */
    bool mapped;        /* data lies in a read-only mapping of a file: its pages can be dropped from
                           memory and come back by themselves */
    size_t n_bytes;
    uint64_t file_offset; /* of data in its file, for messages; 0: computed by the reader */
} rz_tensor;

/* Opens and validates a model: a GGUF file (of a split one, any shard's name opens all of them), or
 * a Hugging Face model by its directory, one of its .safetensors files or its index. A .safetensors
 * file without config.json beside it has no metadata, and its tensors keep their names. On success
 * *out is owned by the caller and is closed with rz_file_close. Errors: RZ_ENOTFOUND, RZ_EIO,
 * RZ_EFORMAT (sentence with file, field and offset), RZ_ELOAD (well-formed, but a tensor type is
 * not supported), RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_file_open(rz_file **out, const char *path, rz_error *err);

/* The same for who reads no plain weights: a matrix that the file has only packed
 * (rz_tensor.packed) keeps data NULL, and takes no memory. */
RZ_API RZ_MUST_USE rz_status rz_file_open_packed(rz_file **out, const char *path, rz_error *err);

/* Closes *file and sets it to NULL. NULL and pointer to NULL are allowed. */
RZ_API void rz_file_close(rz_file **file);

RZ_API const char *rz_file_path(const rz_file *file);
RZ_API const char *rz_file_format(const rz_file *file); /* "GGUF", "SafeTensors" */
RZ_API uint32_t rz_file_version(const rz_file *file);   /* container's; 0: it has none */
RZ_API uint64_t rz_file_bytes(const rz_file *file);     /* all shards together */
RZ_API uint32_t rz_file_n_shards(const rz_file *file);  /* 1 unless split */

/* Metadata by index, in file order, or by key (NULL if absent). */
RZ_API size_t rz_file_n_meta(const rz_file *file);
RZ_API const rz_meta *rz_file_meta_at(const rz_file *file, size_t i);
RZ_API const rz_meta *rz_file_meta(const rz_file *file, const char *key);

/* Typed getters. Absent key: RZ_OK with *found false and *value untouched, so a default can stand
 * in it; found may be NULL, then an absent key is RZ_EFORMAT ("key missing"). A value of the wrong
 * type or out of range is RZ_EFORMAT, never converted silently (any integer type is accepted for an
 * integer, F32 and F64 for a float). */
RZ_API RZ_MUST_USE rz_status rz_file_get_u32(const rz_file *file, const char *key, uint32_t *value,
                                             bool *found, rz_error *err);
RZ_API RZ_MUST_USE rz_status rz_file_get_f32(const rz_file *file, const char *key, float *value,
                                             bool *found, rz_error *err);
RZ_API RZ_MUST_USE rz_status rz_file_get_bool(const rz_file *file, const char *key, bool *value,
                                              bool *found, rz_error *err);
RZ_API RZ_MUST_USE rz_status rz_file_get_string(const rz_file *file, const char *key,
                                                rz_slice *value, bool *found, rz_error *err);
/* Requires an array whose element type is elem_type; *value is the entry. */
RZ_API RZ_MUST_USE rz_status rz_file_get_array(const rz_file *file, const char *key,
                                               rz_meta_type elem_type, const rz_meta **value,
                                               bool *found, rz_error *err);

/* Element i (below meta->count; 0 for a scalar) of an entry. The entry's elem_type must fit the
 * accessor: rz_meta_int any integer type or bool (U64 above INT64_MAX saturates), rz_meta_float
 * F32/F64 or integer, rz_meta_string STRING. A caller's mistake is an assertion. String elements
 * are O(1). */
RZ_API int64_t rz_meta_int(const rz_meta *meta, uint64_t i);
RZ_API double rz_meta_float(const rz_meta *meta, uint64_t i);
RZ_API rz_slice rz_meta_string(const rz_meta *meta, uint64_t i);
RZ_API const char *rz_meta_type_name(rz_meta_type type);

/* Tensors by index, in file order, or by name (NULL if absent; O(1)). */
RZ_API size_t rz_file_n_tensors(const rz_file *file);
RZ_API const rz_tensor *rz_file_tensor_at(const rz_file *file, size_t i);
RZ_API const rz_tensor *rz_file_tensor(const rz_file *file, const char *name);

/* Compares the matrices that the file has twice, as rows and packed (rz_tensor.packed): *n_both is
 * how many, *differs the first whose copies do not hold the same bits, or NULL, and *row the first
 * such row, counted through all matrices of a stack. Reads all of them. Errors: RZ_ENOMEM. */
RZ_API RZ_MUST_USE rz_status rz_file_compare_packed(const rz_file *file, size_t *n_both,
                                                    const rz_tensor **differs, uint64_t *row,
                                                    rz_error *err);

#ifdef __cplusplus
}
#endif
#endif
