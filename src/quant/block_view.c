/* block_view.c - the fields of every block layout (quant/blocks.h), for tools that show them.
 * Invariant: a type's fields cover its block without gaps; test_block_view.c holds it. */
#include <realizar/block_view.h>

#include "base/fail.h"
#include "quant/blocks.h"
#include "quant/dtype.h"

#define FIELD(type_, field_, kind_, meaning_)                                                      \
    {                                                                                              \
        .name = #field_, .kind = kind_, .offset = (uint32_t)offsetof(struct type_, field_),        \
        .n_bytes = (uint32_t)sizeof(((struct type_ *)0)->field_), .meaning = meaning_              \
    }
#define LOW4 "low 4 bits of two elements a byte"

static const rz_block_field f32_fields[] = {{"value", RZ_FIELD_VALUE, 0, 4, "binary32"}};
static const rz_block_field f16_fields[] = {{"value", RZ_FIELD_VALUE, 0, 2, "binary16"}};
static const rz_block_field bf16_fields[] = {{"value", RZ_FIELD_VALUE, 0, 2, "bfloat16"}};
static const rz_block_field q4_0_fields[] = {
    FIELD(rz_block_q4_0, d, RZ_FIELD_F16, "scale"),
    FIELD(rz_block_q4_0, qs, RZ_FIELD_CODES, "4 bits an element, 8 added"),
};
static const rz_block_field q4_1_fields[] = {
    FIELD(rz_block_q4_1, d, RZ_FIELD_F16, "scale"),
    FIELD(rz_block_q4_1, m, RZ_FIELD_F16, "smallest element"),
    FIELD(rz_block_q4_1, qs, RZ_FIELD_CODES, "4 bits an element"),
};
static const rz_block_field q5_0_fields[] = {
    FIELD(rz_block_q5_0, d, RZ_FIELD_F16, "scale"),
    FIELD(rz_block_q5_0, qh, RZ_FIELD_CODES, "fifth bit of each element, 16 added"),
    FIELD(rz_block_q5_0, qs, RZ_FIELD_CODES, LOW4),
};
static const rz_block_field q5_1_fields[] = {
    FIELD(rz_block_q5_1, d, RZ_FIELD_F16, "scale"),
    FIELD(rz_block_q5_1, m, RZ_FIELD_F16, "smallest element"),
    FIELD(rz_block_q5_1, qh, RZ_FIELD_CODES, "fifth bit of each element"),
    FIELD(rz_block_q5_1, qs, RZ_FIELD_CODES, LOW4),
};
static const rz_block_field q8_0_fields[] = {
    FIELD(rz_block_q8_0, d, RZ_FIELD_F16, "scale"),
    FIELD(rz_block_q8_0, qs, RZ_FIELD_CODES, "a signed byte an element"),
};
static const rz_block_field q2_k_fields[] = {
    FIELD(rz_block_q2_k, scales, RZ_FIELD_SCALES, "4 bits scale, 4 bits min of each group"),
    FIELD(rz_block_q2_k, qs, RZ_FIELD_CODES, "2 bits an element"),
    FIELD(rz_block_q2_k, d, RZ_FIELD_F16, "factor of the scales"),
    FIELD(rz_block_q2_k, dmin, RZ_FIELD_F16, "factor of the mins"),
};
static const rz_block_field q3_k_fields[] = {
    FIELD(rz_block_q3_k, hmask, RZ_FIELD_CODES, "third bit of each element, 4 added"),
    FIELD(rz_block_q3_k, qs, RZ_FIELD_CODES, "low 2 bits of each element"),
    FIELD(rz_block_q3_k, scales, RZ_FIELD_SCALES, "6 bits a group, 32 added"),
    FIELD(rz_block_q3_k, d, RZ_FIELD_F16, "factor of the scales"),
};
static const rz_block_field q4_k_fields[] = {
    FIELD(rz_block_q4_k, d, RZ_FIELD_F16, "factor of the scales"),
    FIELD(rz_block_q4_k, dmin, RZ_FIELD_F16, "factor of the mins"),
    FIELD(rz_block_q4_k, scales, RZ_FIELD_SCALES, "6 bits scale, 6 bits min of each 32 elements"),
    FIELD(rz_block_q4_k, qs, RZ_FIELD_CODES, "4 bits an element"),
};
static const rz_block_field q5_k_fields[] = {
    FIELD(rz_block_q5_k, d, RZ_FIELD_F16, "factor of the scales"),
    FIELD(rz_block_q5_k, dmin, RZ_FIELD_F16, "factor of the mins"),
    FIELD(rz_block_q5_k, scales, RZ_FIELD_SCALES, "6 bits scale, 6 bits min of each 32 elements"),
    FIELD(rz_block_q5_k, qh, RZ_FIELD_CODES, "fifth bit of each element"),
    FIELD(rz_block_q5_k, qs, RZ_FIELD_CODES, LOW4),
};
static const rz_block_field q6_k_fields[] = {
    FIELD(rz_block_q6_k, ql, RZ_FIELD_CODES, LOW4),
    FIELD(rz_block_q6_k, qh, RZ_FIELD_CODES, "high 2 bits of each element, 32 added"),
    FIELD(rz_block_q6_k, scales, RZ_FIELD_SCALES, "a signed byte a group"),
    FIELD(rz_block_q6_k, d, RZ_FIELD_F16, "factor of the scales"),
};
static const rz_block_field iq4_nl_fields[] = {
    FIELD(rz_block_iq4_nl, d, RZ_FIELD_F16, "scale"),
    FIELD(rz_block_iq4_nl, qs, RZ_FIELD_CODES, "number of one of 16 levels, 4 bits an element"),
};
static const rz_block_field iq4_xs_fields[] = {
    FIELD(rz_block_iq4_xs, d, RZ_FIELD_F16, "factor of the scales"),
    FIELD(rz_block_iq4_xs, scales_h, RZ_FIELD_SCALES, "high 2 bits of each scale, 32 added"),
    FIELD(rz_block_iq4_xs, scales_l, RZ_FIELD_SCALES, "low 4 bits of each scale"),
    FIELD(rz_block_iq4_xs, qs, RZ_FIELD_CODES, "number of one of 16 levels, 4 bits an element"),
};

#define ROW(fields_)                                                                               \
    {                                                                                              \
        .fields = fields_, .n = RZ_ARRAY_LEN(fields_)                                              \
    }
static const struct {
    const rz_block_field *fields;
    size_t n;
} table[RZ_N_DTYPES] = {
    [RZ_F32] = ROW(f32_fields),       [RZ_F16] = ROW(f16_fields),
    [RZ_BF16] = ROW(bf16_fields),     [RZ_Q4_0] = ROW(q4_0_fields),
    [RZ_Q4_1] = ROW(q4_1_fields),     [RZ_Q5_0] = ROW(q5_0_fields),
    [RZ_Q5_1] = ROW(q5_1_fields),     [RZ_Q8_0] = ROW(q8_0_fields),
    [RZ_Q2_K] = ROW(q2_k_fields),     [RZ_Q3_K] = ROW(q3_k_fields),
    [RZ_Q4_K] = ROW(q4_k_fields),     [RZ_Q5_K] = ROW(q5_k_fields),
    [RZ_Q6_K] = ROW(q6_k_fields),     [RZ_IQ4_NL] = ROW(iq4_nl_fields),
    [RZ_IQ4_XS] = ROW(iq4_xs_fields),
};

size_t rz_dtype_fields(rz_dtype type, const rz_block_field **fields)
{
    RZ_ASSERT((unsigned)type < RZ_N_DTYPES);
    *fields = table[type].fields;
    return table[type].n;
}

bool rz_block_unpack(rz_dtype type, const void *block, rz_block_view *out)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    _Static_assert((int)RZ_VIEW_ELEMENTS == (int)RZ_SUPERBLOCK, "the view holds any block");
    if (!info->unpack)
        return false;
    struct rz_int_block b;
    info->unpack(block, &b);
    out->n = info->block_len;
    memcpy(out->code, b.q, out->n);
    memcpy(out->scale, b.scale, out->n / RZ_VIEW_GROUP * sizeof *out->scale);
    memcpy(out->min, b.min, out->n / RZ_VIEW_GROUP * sizeof *out->min);
    return true;
}

float rz_block_f16(const void *bytes)
{
    return rz_load_f16(bytes);
}
