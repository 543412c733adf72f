/* dtype.h - the element types that tensors are stored in.
 *
 * Block formats follow ggml's published layouts (docs/quantization.md describes each). A row of a
 * tensor is a whole number of blocks. */
#ifndef REALIZAR_DTYPE_H
#define REALIZAR_DTYPE_H

#include <realizar/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rz_dtype {
    RZ_F32,
    RZ_F16,
    RZ_BF16,
    RZ_Q4_0,
    RZ_Q4_1,
    RZ_Q5_0,
    RZ_Q5_1,
    RZ_Q8_0,
    RZ_Q2_K,
    RZ_Q3_K,
    RZ_Q4_K,
    RZ_Q5_K,
    RZ_Q6_K,
    RZ_IQ4_NL,
    RZ_IQ4_XS,
    RZ_N_DTYPES
} rz_dtype;

/* The type's usual name: "F32", "Q4_K", ... Never NULL for a valid dtype. */
RZ_API const char *rz_dtype_name(rz_dtype type);

/* Finds a type by its name, case ignored. Returns RZ_N_DTYPES if there is none. */
RZ_API rz_dtype rz_dtype_by_name(const char *name);

/* Elements in a block (1, 32 or 256) and bytes that a block takes. */
RZ_API uint32_t rz_dtype_block_len(rz_dtype type);
RZ_API uint32_t rz_dtype_block_bytes(rz_dtype type);

#ifdef __cplusplus
}
#endif
#endif
