/* dtype.h - the dtype table: everything the rest of the code needs to know of a storage type.
 *
 * Adding a format: quant/<name>.c with its block layout, unpack and encode, and one row in
 * dtype.c. It then loads, converts and runs through the reference kernels at once. */
#ifndef RZ_QUANT_DTYPE_H
#define RZ_QUANT_DTYPE_H

#include <realizar/dtype.h>
#include <stdbool.h>

struct rz_int_block;

struct rz_dtype_info {
    const char *name;
    uint32_t gguf_id;
    uint32_t block_len;   /* elements in a block */
    uint32_t block_bytes; /* bytes of a block */
    /* n elements, n a multiple of block_len. blocks: any alignment. Exact in the sense that each
     * element is the format's published formula evaluated in float32. */
    void (*decode)(const void *blocks, float *out, size_t n);
    /* Round to nearest, without a search; NULL for the K and IQ types, which have no such form.
     * What writes a model's weights calls rz_encode_row, which every type has. */
    void (*encode)(const float *in, void *blocks, size_t n);
    /* One block to its integer form (quant/blocks.h); NULL for the float types. */
    void (*unpack)(const void *block, struct rz_int_block *out);
};

/* type must be valid. */
const struct rz_dtype_info *rz_dtype_info(rz_dtype type);

/* False if the GGUF type id is not supported (or does not exist). */
bool rz_dtype_from_gguf(uint32_t gguf_id, rz_dtype *type);

/* The name of any type id that GGUF ever assigned, supported here or not; NULL if there is none. */
const char *rz_gguf_type_name(uint32_t gguf_id);

/* "F32, F16, BF16, ..." for messages; static. */
const char *rz_dtype_list(void);

/* Bytes of a row of n_cols elements; false if n_cols is no multiple of the block length or the
 * result does not fit. */
bool rz_dtype_row_bytes(rz_dtype type, uint64_t n_cols, uint64_t *bytes);

/* The blocks of least error for a row: of sum(importance * (in - decoded)^2), or unweighted if
 * importance is NULL. in, importance: [n_cols], n_cols a multiple of block_len; importance as an
 * imatrix has it (mean squared activation per column), only its ratios within a block matter.
 * blocks: any alignment. Q8_0, Q4_0 and Q5_0 without importance give ggml's reference bytes.
 * Deterministic, no allocation, any number of threads. Infinity counts as the largest float, NaN
 * as 0: whoever must not lose them looks before. */
void rz_encode_row(rz_dtype type, const float *in, const float *importance, void *blocks,
                   size_t n_cols);

/* What a row loses by its encoding, unweighted: of sums of squares in double, those of at most 32
 * columns in float. */
struct rz_row_loss {
    double squares; /* of the row */
    double errors;  /* sum (in - decoded)^2 */
    float worst;    /* largest |in - decoded| */
    bool finite;    /* the row has neither NaN nor infinity; otherwise the rest says nothing */
};

/* rz_encode_row, and what was lost, known by the way: without decoding what was written. */
struct rz_row_loss rz_encode_row_measured(rz_dtype type, const float *in, const float *importance,
                                          void *blocks, size_t n_cols);

/* Sum of squares, in double: infinite or NaN exactly if one of them is not finite. */
double rz_row_squares(const float *x, size_t n);

#endif
