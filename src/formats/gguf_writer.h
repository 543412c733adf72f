/* gguf_writer.h - writes a GGUF version 3 file as a stream: metadata, tensor infos, then data.
 *
 * Order of calls: new; any puts; declares; begin; writes in the order of the declares, each tensor
 * in as many pieces as wanted; finish; free. The file is written beside its place under a temporary
 * name and renamed by finish, so that a reader never sees half of one; free before finish removes
 * it. Puts remember a failure of memory, begin reports it. One thread. */
#ifndef RZ_FORMATS_GGUF_WRITER_H
#define RZ_FORMATS_GGUF_WRITER_H

#include <realizar/file.h>

struct rz_gguf_writer;

/* Creates the temporary file. path may exist as a regular file: finish replaces it. Errors: RZ_EIO,
 * RZ_ENOMEM; RZ_EUSAGE when path is something else than a regular file. */
RZ_MUST_USE rz_status rz_gguf_writer_new(struct rz_gguf_writer **out, const char *path,
                                         rz_error *err);
void rz_gguf_writer_free(struct rz_gguf_writer **w);

/* Metadata. Keys are unique, which is the caller's duty; text is copied. */
void rz_gguf_put_u32(struct rz_gguf_writer *w, const char *key, uint32_t value);
void rz_gguf_put_u64(struct rz_gguf_writer *w, const char *key, uint64_t value);
void rz_gguf_put_f32(struct rz_gguf_writer *w, const char *key, float value);
void rz_gguf_put_bool(struct rz_gguf_writer *w, const char *key, bool value);
/* Any number or bool, as it lies in memory. */
void rz_gguf_put_scalar(struct rz_gguf_writer *w, const char *key, rz_meta_type type,
                        const void *value);
void rz_gguf_put_string(struct rz_gguf_writer *w, const char *key, const char *text);
void rz_gguf_put_slice(struct rz_gguf_writer *w, const char *key, rz_slice text);
void rz_gguf_put_strings(struct rz_gguf_writer *w, const char *key, const rz_slice *items,
                         uint64_t n);
/* n numbers of elem_type (not strings, not arrays) as they lie in memory. */
void rz_gguf_put_numbers(struct rz_gguf_writer *w, const char *key, rz_meta_type elem_type,
                         const void *items, uint64_t n);

/* Declares the next tensor. shape is in our order (rows first, contiguous last) and must be whole
 * blocks; name at most RZ_MAX_TENSOR_NAME_BYTES. */
void rz_gguf_declare(struct rz_gguf_writer *w, const char *name, rz_dtype dtype, uint32_t n_dims,
                     const uint64_t *shape);

/* Bytes that the finished file will have, as declared so far. */
uint64_t rz_gguf_writer_bytes(const struct rz_gguf_writer *w);

/* Reserves the whole file's space, so that a full disk shows here, and writes all but the data. */
RZ_MUST_USE rz_status rz_gguf_begin(struct rz_gguf_writer *w, rz_error *err);

/* The next len bytes of tensor data; must not cross the end of a tensor. Padding between tensors is
 * added. */
RZ_MUST_USE rz_status rz_gguf_write(struct rz_gguf_writer *w, const void *data, size_t len,
                                    rz_error *err);

/* All data written: the file is whole under a temporary name, *path (borrowed). */
RZ_MUST_USE rz_status rz_gguf_seal(struct rz_gguf_writer *w, const char **path, rz_error *err);

/* All data written: gives the file its name; seals it first if that was not done. */
RZ_MUST_USE rz_status rz_gguf_finish(struct rz_gguf_writer *w, rz_error *err);

#endif
