/* safetensors.h - the SafeTensors reader's parts, and its entry for bytes in memory. */
#ifndef RZ_FORMATS_SAFETENSORS_H
#define RZ_FORMATS_SAFETENSORS_H

#include "formats/file.h"

enum {
    RZ_ST_MAX_HEADER_BYTES = 100 * 1000 * 1000, /* the reference implementation's limit */
    RZ_ST_PREFIX_BYTES = 8                      /* the header's length */
};

/* What the library calls a tensor of a Hugging Face model. */
enum rz_st_name {
    RZ_ST_NAMED,
    RZ_ST_IGNORED, /* known, but no weight: a buffer that a program saved along */
    RZ_ST_EXPERT,  /* one expert's matrix; GGUF has them stacked */
    RZ_ST_UNKNOWN
};
/* out: RZ_MAX_TENSOR_NAME_BYTES + 1 bytes, set if RZ_ST_NAMED. */
enum rz_st_name rz_st_gguf_name(rz_slice name, char *out);
/* The way back; false where Hugging Face has no such name. out: as above. */
bool rz_st_hf_name(const char *gguf, char *out);

enum rz_st_names {
    RZ_ST_MODEL, /* a model's: translated, unknown ones refused */
    RZ_ST_TIED,  /* the same where the head is tied: a separate one has no meaning */
    RZ_ST_AS_IS  /* anybody's, as they stand there */
};
/* Adds the tensors of shard i_shard to the file. Errors: RZ_EFORMAT, RZ_ELOAD, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_st_read_shard(struct rz_file *file, uint32_t i_shard,
                                       enum rz_st_names names, rz_error *err);

/* Opens the tensors of one file from memory, which must outlive *out; there is no metadata. name is
 * for messages. */
RZ_MUST_USE rz_status rz_st_open_memory(rz_file **out, const char *name, const void *data,
                                        size_t len, enum rz_st_names names, rz_error *err);

/* The readers of the formats table: a .safetensors file, and a model.safetensors.index.json. */
bool rz_st_probe(const uint8_t *data, size_t len);
RZ_MUST_USE rz_status rz_st_read(struct rz_file *file, rz_error *err);
bool rz_st_index_probe(const uint8_t *data, size_t len);
RZ_MUST_USE rz_status rz_st_index_read(struct rz_file *file, rz_error *err);

#endif
