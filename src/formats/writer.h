/* writer.h - writing a model file, whatever the container: the table of writers.
 *
 * The mirror of <realizar/file.h>: metadata under GGUF's keys and tensors under GGUF's names go in,
 * the container's writer translates both. A writer streams: it is told everything but the tensors'
 * bytes first, then gets the bytes in the order of the plan, in pieces of any size that do not
 * cross the end of a tensor. The file (or directory) is made under a temporary name beside its
 * place; seal makes it whole there, so that it can be read, and finish renames it. free before
 * finish leaves nothing behind. One thread. */
#ifndef RZ_FORMATS_WRITER_H
#define RZ_FORMATS_WRITER_H

#include <realizar/convert.h>

/* A change to the source's metadata. */
struct rz_meta_edit {
    const char *key;
    rz_meta_type type; /* U32, U64, F32, BOOL or STRING */
    bool drop;         /* the key is left out; the value is not read */
    union {
        uint64_t u;
        double f;
        bool b;
        const char *text;
    } value;
};

struct rz_out_tensor {
    const char *name; /* GGUF's */
    rz_dtype dtype;
    uint32_t n_dims;
    uint64_t shape[RZ_MAX_DIMS]; /* rows first, contiguous last */
};

enum rz_compression {
    RZ_COMPRESS_NONE,
    RZ_COMPRESS_LZ4,
    RZ_COMPRESS_ZSTD
};

/* All borrowed until the writer is freed. */
struct rz_writer_plan {
    const char *path;
    const rz_file *source;            /* its metadata is written, changed by edits */
    const struct rz_meta_edit *edits; /* replace a key of the source, add one, or drop one */
    size_t n_edits;
    const struct rz_out_tensor *tensors;
    size_t n_tensors;
    enum rz_compression compression; /* .apr only; elsewhere RZ_EUSAGE */
    rz_packing packing;              /* .apr only */
    uint64_t shard_bytes;            /* SafeTensors only: split above this; 0: one file */
};

struct rz_writer;

struct rz_writer_ops {
    const char *format;      /* "gguf", "safetensors", "apr": as --format takes it */
    const char *file_format; /* as rz_file_format says it: "GGUF", ... */
    /* Whether it can hold the type; SafeTensors has only floats. */
    bool (*holds)(rz_dtype type);
    RZ_MUST_USE rz_status (*begin)(struct rz_writer **out, const struct rz_writer_plan *plan,
                                   rz_error *err);
    RZ_MUST_USE rz_status (*write)(struct rz_writer *w, const void *data, size_t len,
                                   rz_error *err);
    /* All bytes written: *path, borrowed, is where the result lies. */
    RZ_MUST_USE rz_status (*seal)(struct rz_writer *w, const char **path, rz_error *err);
    /* Seals first where that was not done. */
    RZ_MUST_USE rz_status (*finish)(struct rz_writer *w, rz_error *err);
    void (*free)(struct rz_writer **w);
};

extern const struct rz_writer_ops rz_write_gguf, rz_write_safetensors, rz_write_apr;

/* By format name, case ignored; NULL if there is none. */
const struct rz_writer_ops *rz_writer_by_name(const char *format);

/* By the path's ending: .gguf, .safetensors, .apr; a path without a known ending: NULL. */
const struct rz_writer_ops *rz_writer_by_path(const char *path);

#endif
