/* dotapr_build.h - an .apr file of version 2 put together in memory, for tests: well-formed ones in
 * a few calls, and by changing the fields ones that are wrong. Independent of the library's writer.
 * Memory that runs out ends the test program. */
#ifndef RZ_TESTS_SUPPORT_DOTAPR_BUILD_H
#define RZ_TESTS_SUPPORT_DOTAPR_BUILD_H

#include "support/gguf_build.h"

/* Start from ab_init. Tensors are to be added in the order of their names. */
struct dotapr_build {
    const char *json;
    uint16_t flags;
    bool footer;
    uint32_t n_tensors;
    struct gb_bytes index, data, file;
    /* Places as ab_build found them, for tests that overwrite; ab_seal mends the header's CRC. */
    size_t index_at, data_at;
};

void ab_init(struct dotapr_build *b, const char *json); /* flags 0x0400, with a footer */
void ab_fini(struct dotapr_build *b);

struct ab_tensor {
    const char *name;
    uint8_t code, n_dims;
    uint64_t dims[8];
    const void *data; /* NULL: zeros */
    size_t n_bytes;
};
/* Adds a tensor, its data behind the last's. */
void ab_tensor(struct dotapr_build *b, const struct ab_tensor *t);
void ab_tensor_f32(struct dotapr_build *b, const char *name, uint64_t rows, uint64_t cols,
                   const float *data); /* rows 0: a vector */
/* Only an index entry. */
void ab_entry(struct dotapr_build *b, const struct ab_tensor *t, uint64_t offset);

/* The whole file; borrowed, and may be changed, until the next ab_build or ab_fini. */
uint8_t *ab_build(struct dotapr_build *b, size_t *len);

/* Writes the right CRC into a header. */
void ab_seal(uint8_t *file);

#endif
