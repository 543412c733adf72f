/* block_view.h - a block of a tensor's storage laid open: for tools that show or check it.
 *
 * Every quantized type means, for each group of 16 elements of a block,
 *     element[i] = scale * code[i] - min
 * with small signed integers code[i]; how a type packs that into bytes is told by its fields. */
#ifndef REALIZAR_BLOCK_VIEW_H
#define REALIZAR_BLOCK_VIEW_H

#include <realizar/dtype.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RZ_VIEW_ELEMENTS = 256, /* of the largest block */
    RZ_VIEW_GROUP = 16      /* elements that share a scale and a min, at least */
};

typedef enum rz_field_kind {
    RZ_FIELD_VALUE,  /* an element itself, of a float type */
    RZ_FIELD_F16,    /* a binary16 */
    RZ_FIELD_SCALES, /* small integers, packed: factors of the block's d (and dmin) */
    RZ_FIELD_CODES   /* the elements' integers, or some bits of them, packed */
} rz_field_kind;

/* A run of bytes in a block. */
typedef struct rz_block_field {
    const char *name; /* "d", "dmin", "scales", "qs" ... */
    rz_field_kind kind;
    uint32_t offset, n_bytes; /* in the block */
    const char *meaning;      /* a few words: "factor of all scales" */
} rz_block_field;

/* The fields of a type's block in the order of their bytes, which they cover without gaps; static.
 * Returns their number. */
RZ_API size_t rz_dtype_fields(rz_dtype type, const rz_block_field **fields);

typedef struct rz_block_view {
    uint32_t n;                                    /* elements */
    int8_t code[RZ_VIEW_ELEMENTS];                 /* [n] */
    float scale[RZ_VIEW_ELEMENTS / RZ_VIEW_GROUP]; /* [n / RZ_VIEW_GROUP] */
    float min[RZ_VIEW_ELEMENTS / RZ_VIEW_GROUP];   /* likewise */
} rz_block_view;

/* Unpacks a block of a quantized type; false (and *out untouched) for a float type. block: any
 * alignment. */
RZ_API bool rz_block_unpack(rz_dtype type, const void *block, rz_block_view *out);

/* A binary16 at any address. */
RZ_API float rz_block_f16(const void *bytes);

#ifdef __cplusplus
}
#endif
#endif
