/* gguf.h - the GGUF reader's parts, and its entry for bytes in memory. */
#ifndef RZ_FORMATS_GGUF_H
#define RZ_FORMATS_GGUF_H

#include "formats/file.h"

/* GGUF's constants. */
enum {
    GGUF_HEADER_BYTES = 24, /* magic, version u32, tensor count u64, metadata count u64 */
    GGUF_DEFAULT_ALIGNMENT = 32,
    GGUF_MIN_ALIGNMENT = 8,
    GGUF_MAX_ALIGNMENT = 65536, /* the largest page in use */
    GGUF_MAX_ARRAY_DEPTH = 4
};

/* One shard being read. pos never exceeds len; everything before it has been checked. */
struct gguf_reader {
    struct rz_file *file; /* receives what is read */
    const char *label;    /* of this shard, for messages */
    const uint8_t *data;
    size_t len, pos;
    bool mapped;                /* data is a file mapping */
    uint64_t n_tensors, n_meta; /* as the header announces them */
    uint64_t alignment;
    uint32_t split_no, split_count; /* count 0: not a shard */
    uint64_t split_tensors;
    rz_error *err;
};

/* "FILE: FIELD at byte AT: ..." as RZ_EFORMAT. */
#define rz_gguf_bad(...) RZ_NOT_OK(rz_gguf_bad_fill(__VA_ARGS__))
rz_status rz_gguf_bad_fill(struct gguf_reader *r, size_t at, const char *field, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));

/* Takes n bytes of field; fails when the file ends before. */
RZ_MUST_USE rz_status rz_gguf_take(struct gguf_reader *r, size_t n, const char *field,
                                   const uint8_t **bytes);
RZ_MUST_USE rz_status rz_gguf_u32(struct gguf_reader *r, const char *field, uint32_t *value);
RZ_MUST_USE rz_status rz_gguf_u64(struct gguf_reader *r, const char *field, uint64_t *value);
/* A name: 1 to max bytes of UTF-8 without control characters. */
RZ_MUST_USE rz_status rz_gguf_name(struct gguf_reader *r, size_t max, const char *field,
                                   rz_slice *name);

/* r->n_meta entries from pos. keep: add them to the file; either way they are checked, duplicates
 * apart, and alignment and split fields are set. */
RZ_MUST_USE rz_status rz_gguf_read_meta(struct gguf_reader *r, bool keep);

/* r->n_tensors tensor infos from pos, and their extents in the data section. */
RZ_MUST_USE rz_status rz_gguf_read_tensors(struct gguf_reader *r);

/* Reads shard i_shard of the file into it. keep_meta false: of its metadata only the split fields
 * are used. The reader is filled for the caller's checks. */
RZ_MUST_USE rz_status rz_gguf_read_shard(struct gguf_reader *r, struct rz_file *file,
                                         uint32_t i_shard, bool keep_meta, rz_error *err);

/* A split file: file holds the shard that was named, r what it says of itself. Fills the file
 * from all shards. */
RZ_MUST_USE rz_status rz_gguf_read_split(struct gguf_reader *r, struct rz_file *file,
                                         rz_error *err);

/* The reader of the formats table: shard 0 of the file is mapped. */
bool rz_gguf_probe(const uint8_t *data, size_t len);
RZ_MUST_USE rz_status rz_gguf_read(struct rz_file *file, rz_error *err);

/* Opens a GGUF file from memory, which must outlive *out. name is for messages. A shard of a split
 * file is refused. */
RZ_MUST_USE rz_status rz_gguf_open_memory(rz_file **out, const char *name, const void *data,
                                          size_t len, rz_error *err);

#endif
