/* dtype.c - the table of storage types. Everything else asks here; nothing else lists them. */
#include "quant/dtype.h"

#include "base/fail.h"
#include "quant/blocks.h"

#include <strings.h>

/* w = scale * q - min, in float32, with the products rounded as written. */
static void decode_blocks(rz_dtype type, const void *blocks, float *out, size_t n)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const uint8_t *block = blocks;
    struct rz_int_block b;
    for (; n >= info->block_len; n -= info->block_len, block += info->block_bytes) {
        info->unpack(block, &b);
        for (uint32_t i = 0; i < info->block_len; i++)
            out[i] = b.scale[i / 16] * (float)b.q[i] - b.min[i / 16];
        out += info->block_len;
    }
}

static void decode_q4_0(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q4_0, blocks, out, n);
}

static void decode_q4_1(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q4_1, blocks, out, n);
}

static void decode_q5_0(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q5_0, blocks, out, n);
}

static void decode_q5_1(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q5_1, blocks, out, n);
}

static void decode_q8_0(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q8_0, blocks, out, n);
}

static void decode_q2_k(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q2_K, blocks, out, n);
}

static void decode_q3_k(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q3_K, blocks, out, n);
}

static void decode_q4_k(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q4_K, blocks, out, n);
}

static void decode_q5_k(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q5_K, blocks, out, n);
}

static void decode_q6_k(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_Q6_K, blocks, out, n);
}

static void decode_iq4_nl(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_IQ4_NL, blocks, out, n);
}

static void decode_iq4_xs(const void *blocks, float *out, size_t n)
{
    decode_blocks(RZ_IQ4_XS, blocks, out, n);
}

/* name, GGUF id, block length, block bytes, decode, encode, unpack */
static const struct rz_dtype_info dtypes[RZ_N_DTYPES] = {
    [RZ_F32] = {"F32", 0, 1, 4, rz_decode_f32, rz_encode_f32, NULL},
    [RZ_F16] = {"F16", 1, 1, 2, rz_decode_f16, rz_encode_f16, NULL},
    [RZ_BF16] = {"BF16", 30, 1, 2, rz_decode_bf16, rz_encode_bf16, NULL},
    [RZ_Q4_0] = {"Q4_0", 2, 32, 18, decode_q4_0, rz_encode_q4_0, rz_unpack_q4_0},
    [RZ_Q4_1] = {"Q4_1", 3, 32, 20, decode_q4_1, rz_encode_q4_1, rz_unpack_q4_1},
    [RZ_Q5_0] = {"Q5_0", 6, 32, 22, decode_q5_0, rz_encode_q5_0, rz_unpack_q5_0},
    [RZ_Q5_1] = {"Q5_1", 7, 32, 24, decode_q5_1, rz_encode_q5_1, rz_unpack_q5_1},
    [RZ_Q8_0] = {"Q8_0", 8, 32, 34, decode_q8_0, rz_encode_q8_0, rz_unpack_q8_0},
    [RZ_Q2_K] = {"Q2_K", 10, 256, 84, decode_q2_k, NULL, rz_unpack_q2_k},
    [RZ_Q3_K] = {"Q3_K", 11, 256, 110, decode_q3_k, NULL, rz_unpack_q3_k},
    [RZ_Q4_K] = {"Q4_K", 12, 256, 144, decode_q4_k, NULL, rz_unpack_q4_k},
    [RZ_Q5_K] = {"Q5_K", 13, 256, 176, decode_q5_k, NULL, rz_unpack_q5_k},
    [RZ_Q6_K] = {"Q6_K", 14, 256, 210, decode_q6_k, NULL, rz_unpack_q6_k},
    [RZ_IQ4_NL] = {"IQ4_NL", 20, 32, 18, decode_iq4_nl, NULL, rz_unpack_iq4_nl},
    [RZ_IQ4_XS] = {"IQ4_XS", 23, 256, 136, decode_iq4_xs, NULL, rz_unpack_iq4_xs},
};

_Static_assert(sizeof(struct rz_block_q4_0) == 18, "layout");
_Static_assert(sizeof(struct rz_block_q4_1) == 20, "layout");
_Static_assert(sizeof(struct rz_block_q5_0) == 22, "layout");
_Static_assert(sizeof(struct rz_block_q5_1) == 24, "layout");
_Static_assert(sizeof(struct rz_block_q8_0) == 34, "layout");
_Static_assert(sizeof(struct rz_block_q2_k) == 84, "layout");
_Static_assert(sizeof(struct rz_block_q3_k) == 110, "layout");
_Static_assert(sizeof(struct rz_block_q4_k) == 144, "layout");
_Static_assert(sizeof(struct rz_block_q5_k) == 176, "layout");
_Static_assert(sizeof(struct rz_block_q6_k) == 210, "layout");
_Static_assert(sizeof(struct rz_block_iq4_nl) == 18, "layout");
_Static_assert(sizeof(struct rz_block_iq4_xs) == 136, "layout");

/* Every id that GGUF ever assigned; those with a comment were withdrawn from the format. */
static const char *const gguf_names[] = {
    "F32",        "F16",   "Q4_0",       "Q4_1",    "Q4_2", /* 2023 */
    "Q4_3",                                                 /* 2023 */
    "Q5_0",       "Q5_1",  "Q8_0",       "Q8_1",    "Q2_K",     "Q3_K",    "Q4_K",
    "Q5_K",       "Q6_K",  "Q8_K",       "IQ2_XXS", "IQ2_XS",   "IQ3_XXS", "IQ1_S",
    "IQ4_NL",     "IQ3_S", "IQ2_S",      "IQ4_XS",  "I8",       "I16",     "I32",
    "I64",        "F64",   "IQ1_M",      "BF16",    "Q4_0_4_4", /* 2024 */
    "Q4_0_4_8",                                                 /* 2024 */
    "Q4_0_8_8",                                                 /* 2024 */
    "TQ1_0",      "TQ2_0", "IQ4_NL_4_4",                        /* 2024 */
    "IQ4_NL_4_8",                                               /* 2024 */
    "IQ4_NL_8_8",                                               /* 2024 */
    "MXFP4",      "NVFP4", "Q1_0",
};

const struct rz_dtype_info *rz_dtype_info(rz_dtype type)
{
    RZ_ASSERT((unsigned)type < RZ_N_DTYPES);
    return &dtypes[type];
}

bool rz_dtype_from_gguf(uint32_t gguf_id, rz_dtype *type)
{
    for (int i = 0; i < RZ_N_DTYPES; i++) {
        if (dtypes[i].gguf_id == gguf_id) {
            *type = (rz_dtype)i;
            return true;
        }
    }
    return false;
}

const char *rz_gguf_type_name(uint32_t gguf_id)
{
    return gguf_id < RZ_ARRAY_LEN(gguf_names) ? gguf_names[gguf_id] : NULL;
}

const char *rz_dtype_list(void)
{
    return "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, "
           "IQ4_XS";
}

bool rz_dtype_row_bytes(rz_dtype type, uint64_t n_cols, uint64_t *bytes)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    if (n_cols % info->block_len != 0)
        return false;
    return !__builtin_mul_overflow(n_cols / info->block_len, info->block_bytes, bytes);
}

const char *rz_dtype_name(rz_dtype type)
{
    return rz_dtype_info(type)->name;
}

rz_dtype rz_dtype_by_name(const char *name)
{
    int i = 0;
    while (i < RZ_N_DTYPES && strcasecmp(name, dtypes[i].name) != 0)
        i++;
    return (rz_dtype)i;
}

uint32_t rz_dtype_block_len(rz_dtype type)
{
    return rz_dtype_info(type)->block_len;
}

uint32_t rz_dtype_block_bytes(rz_dtype type)
{
    return rz_dtype_info(type)->block_bytes;
}
