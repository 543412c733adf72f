/* pack.h - the packed layout of weights, the one that the SIMD matrix products read, and which .apr
 * files may hold.
 *
 * A matrix is cut into strips of 16 rows, a strip into tiles of 16 rows x one block (32 or 256
 * columns; 1 or 2 of the float types), in the order of columns. A tile has the bits of its 16
 * blocks, rearranged so that lanes are rows and unpacking is masks and shifts: docs/packed.md has
 * every layout. It takes as many bytes as the rows do in the file, so strip s begins at 16 * s
 * packed rows. Rows missing in the last strip repeat the last row. One layout for all CPUs. */
#ifndef RZ_QUANT_PACK_H
#define RZ_QUANT_PACK_H

#include <realizar/dtype.h>
#include <stdbool.h>

enum {
    RZ_PACKED_VERSION = 1, /* of the layout, for files that hold it */
    RZ_STRIP_ROWS = 16,
    RZ_PACKED_ALIGN = 32 /* of strip 0; every tile is a multiple of 32 bytes */
};

/* Bytes of a row of n_cols columns: the file's, but a BF16 row is of an even number of columns.
 * n_cols must be a whole number of blocks. */
size_t rz_packed_row_bytes(rz_dtype type, uint32_t n_cols);

/* Bytes of a matrix: whole strips. */
size_t rz_packed_bytes(rz_dtype type, uint32_t n_rows, uint32_t n_cols);

struct rz_pack_args {
    rz_dtype type;
    uint32_t n_rows, n_cols;
    const void *w; /* row 0 as in the file, any alignment */
    size_t w_row_bytes;
    void *packed; /* strip 0, aligned to RZ_PACKED_ALIGN */
};

/* Writes strips first ... end - 1 to packed. */
void rz_pack_strips(const struct rz_pack_args *a, uint32_t first, uint32_t end);

/* Can the matrix stand packed in a file in exactly its bytes: whole strips, no odd BF16 column? */
bool rz_packed_fits(rz_dtype type, uint64_t n_rows, uint64_t n_cols);

/* The way back, bit for bit. */
struct rz_unpack_args {
    rz_dtype type;
    uint32_t n_rows, n_cols;
    const void *packed; /* strip 0, any alignment */
    void *w;            /* row 0, any alignment */
    size_t w_row_bytes;
};

/* Writes the rows of strips first ... end - 1 to w. */
void rz_unpack_strips(const struct rz_unpack_args *a, uint32_t first, uint32_t end);

/* Decodes one row of a packed matrix to n_cols floats. */
void rz_packed_decode_row(rz_dtype type, const void *packed, uint32_t n_cols, uint32_t row,
                          float *out);

#endif
