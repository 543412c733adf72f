/* dotapr.h - the parts of the .apr container: version 2 ("APR\0", models) and version 1 ("APRN",
 * classical machine learning).
 *
 * Reading version 2: dotapr.c header and order of steps, dotapr_unpack.c compressed files,
 * dotapr_index.c the tensor index, dotapr_meta.c and its kin the metadata. Writing:
 * dotapr_writer.c, dotapr_json.c. Version 1: dotapr_v1.c. docs/formats.md describes all of it. */
#ifndef RZ_FORMATS_DOTAPR_H
#define RZ_FORMATS_DOTAPR_H

#include "formats/file.h"

enum {
    RZ_APR_ALIGNMENT = 64,
    RZ_APR_HEADER_BYTES = 64,
    RZ_APR_FOOTER_BYTES = 4,
    RZ_APR_MAX_DIMS = 8,
    RZ_APR_MAX_META_BYTES = 256 << 20
};

enum { /* header flags */
    RZ_APR_LZ4 = 0x0001,
    RZ_APR_ZSTD = 0x0002,
    RZ_APR_ENCRYPTED = 0x0004,
    RZ_APR_SIGNED = 0x0008,
    RZ_APR_SHARDED = 0x0010,
    RZ_APR_QUANTIZED = 0x0020,
    RZ_APR_HAS_VOCAB = 0x0200,
    RZ_APR_ROW_MAJOR = 0x0400,
    RZ_APR_COLUMN_MAJOR = 0x0800
};

/* One entry of the tensor index. */
struct rz_apr_entry {
    rz_slice name; /* as the file has it, borrowed from its bytes */
    uint8_t code;  /* of the type */
    uint8_t n_dims;
    uint64_t dims[RZ_APR_MAX_DIMS];
    uint64_t offset, size; /* of the data, from data_at */
};

struct rz_apr_header {
    uint16_t flags;
    uint32_t n_tensors;
    uint64_t meta_at, index_at, data_at;
    uint32_t meta_len;
};

/* The extension of packed tensors (docs/packed.md): an entry of this name before the tensor's holds
 * its matrix in the layout that these two metadata fields say. */
#define RZ_APR_PACKED_PREFIX        "__packed__."
#define RZ_APR_PACKED_FIELD         "packed_layout"
#define RZ_APR_PACKED_VERSION_FIELD "packed_version"
#define RZ_APR_PACKED_LAYOUT        "strips16"
enum {
    RZ_APR_PAGE = 4096 /* where they begin */
};

struct rz_apr_reader {
    struct rz_file *file;
    const char *label;
    const uint8_t *data; /* the image: what the file says when it is not compressed */
    size_t len;
    struct rz_apr_header header;
    struct rz_apr_entry *entries; /* [header.n_tensors], in the index's order */
    uint64_t packed_version;      /* of RZ_APR_PACKED_LAYOUT; 0: the file names no layout */
    rz_error *err;
};

/* "FILE: FIELD at byte AT: ..." as code. */
#define rz_apr_bad(...) RZ_NOT_OK(rz_apr_bad_fill(__VA_ARGS__))
rz_status rz_apr_bad_fill(const struct rz_apr_reader *r, rz_status code, uint64_t at,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* ---- the formats table's readers ---- */

bool rz_apr_probe(const uint8_t *data, size_t len);
RZ_MUST_USE rz_status rz_apr_read(struct rz_file *file, rz_error *err);
bool rz_apr1_probe(const uint8_t *data, size_t len);
RZ_MUST_USE rz_status rz_apr1_read(struct rz_file *file, rz_error *err);

/* Opens either version from memory, which must outlive *out. name is for messages. */
RZ_MUST_USE rz_status rz_apr_open_memory(rz_file **out, const char *name, const void *data,
                                         size_t len, rz_error *err);

/* ---- reading version 2 ---- */

/* Replaces the file's only shard by its decompressed image in memory of its own. */
RZ_MUST_USE rz_status rz_apr_unpack(struct rz_file *file, uint16_t flags, rz_error *err);

/* Fills r->entries (freed by the caller), and checks where the tensors lie. */
RZ_MUST_USE rz_status rz_apr_read_index(struct rz_apr_reader *r);

/* Brings the packed tensors into memory while the rest is read, where products will want them. */
void rz_apr_touch_packed(const struct rz_apr_reader *r);

/* The entry of the tensor that is called name in GGUF; NULL if there is none. */
const struct rz_apr_entry *rz_apr_find(const struct rz_apr_reader *r, const char *gguf_name);

/* Adds the tensors to the file, in the order of their data. */
RZ_MUST_USE rz_status rz_apr_add_tensors(struct rz_apr_reader *r);

/* What a type code and a size say together; docs/formats.md has the table. */
enum rz_apr_form {
    RZ_APR_PLAIN,  /* the library's own layout of dtype */
    RZ_APR_PADDED, /* rows padded to whole blocks of dtype */
    RZ_APR_FLAT,   /* blocks of dtype run on over the ends of rows */
    RZ_APR_Q4,     /* aprender's own */
    RZ_APR_Q8,
    RZ_APR_F64,
    RZ_APR_OTHER /* a type of the format that nothing here computes with */
};
struct rz_apr_layout {
    enum rz_apr_form form;
    rz_dtype dtype;
    const char *name; /* of the type, for messages */
};
/* False if no type of that code has size bytes; layout->name is then the code's first type, or NULL
 * for a code that is none. */
bool rz_apr_layout_of(uint8_t code, uint64_t n_rows, uint64_t n_cols, uint64_t size,
                      struct rz_apr_layout *layout);

/* The tensor t, whose shape is set, from size bytes at data in a form that is not plain: sets
 * dtype, data (in the file's arena) and n_bytes. */
RZ_MUST_USE rz_status rz_apr_decode(struct rz_apr_reader *r, const struct rz_apr_layout *layout,
                                    const uint8_t *data, uint64_t size, rz_tensor *t);

/* Translates the metadata; the index has been read. */
RZ_MUST_USE rz_status rz_apr_read_meta(struct rz_apr_reader *r);

/* ---- writing version 2 ---- */

struct rz_buf;

/* Appends header, JSON, index and padding: a file up to its data. entries need not be sorted; their
 * offsets are given. */
void rz_apr_put_head(struct rz_buf *out, rz_slice json, const struct rz_apr_entry *entries,
                     size_t n, uint16_t flags);

/* Bytes that rz_apr_put_head will append. */
uint64_t rz_apr_head_bytes(size_t json_len, const struct rz_apr_entry *entries, size_t n);

/* zlib's CRC-32 of len bytes, any len, going on from crc (0 to begin). */
uint32_t rz_apr_crc(uint32_t crc, const void *data, size_t len);

/* Hugging Face's name of a GGUF tensor in out (RZ_MAX_TENSOR_NAME_BYTES + 1 bytes), or its own
 * where there is none. */
void rz_apr_hf_name(const char *gguf, char *out);

#endif
