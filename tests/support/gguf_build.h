/* gguf_build.h - a GGUF file put together in memory, for tests: well-formed ones in a few calls,
 * and by the raw functions ones that are wrong in any way. Independent of the library's writer.
 * Memory that runs out ends the test program. */
#ifndef RZ_TESTS_SUPPORT_GGUF_BUILD_H
#define RZ_TESTS_SUPPORT_GGUF_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gb_bytes {
    uint8_t *data;
    size_t len, cap;
};

/* The three sections grow by the calls below; the fields may be overwritten before gb_build. */
struct gguf_build {
    char magic[4];
    uint32_t version;
    uint64_t n_tensors, n_meta; /* as the header will say; the calls count them up */
    uint64_t alignment;         /* of tensor data; gb_init sets 32 and writes no key for it */
    struct gb_bytes meta, infos, data, file;
};

/* GGUF's numbers for value types. */
enum gb_type {
    GB_U8,
    GB_I8,
    GB_U16,
    GB_I16,
    GB_U32,
    GB_I32,
    GB_F32,
    GB_BOOL,
    GB_STRING,
    GB_ARRAY,
    GB_U64,
    GB_I64,
    GB_F64
};

void gb_init(struct gguf_build *b); /* version 3, no metadata, no tensors */
void gb_fini(struct gguf_build *b);

/* Metadata. */
void gb_u8(struct gguf_build *b, const char *key, uint8_t value);
void gb_u16(struct gguf_build *b, const char *key, uint16_t value);
void gb_u32(struct gguf_build *b, const char *key, uint32_t value);
void gb_i32(struct gguf_build *b, const char *key, int32_t value);
void gb_u64(struct gguf_build *b, const char *key, uint64_t value);
void gb_f32(struct gguf_build *b, const char *key, float value);
void gb_bool(struct gguf_build *b, const char *key, bool value);
void gb_string(struct gguf_build *b, const char *key, const char *text);
void gb_strings(struct gguf_build *b, const char *key, const char *const *items, size_t n);
/* n numbers of a fixed-size type, as they lie in memory. */
void gb_numbers(struct gguf_build *b, const char *key, enum gb_type type, const void *items,
                size_t n);

/* type is GGUF's number, shape in the library's order (contiguous dimension last), data n_bytes
 * bytes (NULL: zeros). */
struct gb_tensor {
    const char *name;
    uint32_t type, n_dims;
    uint64_t shape[4];
    const void *data;
    size_t n_bytes;
};

/* Adds a tensor; its data is placed after the last's, with padding. */
void gb_tensor(struct gguf_build *b, const struct gb_tensor *t);
void gb_tensor_f32(struct gguf_build *b, const char *name, uint32_t n_dims, const uint64_t *shape,
                   const float *data);

/* Raw pieces, for files that are wrong. gb_key begins an entry: key, value type. */
void gb_key(struct gguf_build *b, const char *key, uint32_t type);
void gb_info(struct gguf_build *b, const char *name, uint32_t n_dims,
             const uint64_t *dims_as_stored, uint32_t type, uint64_t offset);
void gb_put(struct gb_bytes *bytes, const void *data, size_t len);
void gb_put_u32(struct gb_bytes *bytes, uint32_t value);
void gb_put_u64(struct gb_bytes *bytes, uint64_t value);
void gb_put_text(struct gb_bytes *bytes, const char *text); /* length and bytes */

/* The whole file; borrowed until the next gb_build or gb_fini. */
const uint8_t *gb_build(struct gguf_build *b, size_t *len);

/* Builds and writes it to path; false with errno set if that fails. */
bool gb_write(struct gguf_build *b, const char *path);

#endif
