/* dotapr_decode.c - which type a code and a size mean, and tensors in forms that are not the
 * library's own.
 *
 * Two programs gave the codes 2, 3 and 6 to 9 different meanings; the size tells which was meant,
 * since no two of them take the same bytes for any number of elements. What has to be decoded
 * becomes F16: its rounding, 2^-12 of a value, is far below that of the 4 or 8 bits it was stored
 * in. AprQ4 whose rows are whole blocks becomes Q4_0 without any rounding: the same scales, nibbles
 * in another order.
 * Source: aprender's and realizar's readers, as docs/formats.md tells. */
#include "base/checked.h"
#include "base/f16.h"
#include "base/fail.h"
#include "formats/dotapr.h"
#include "quant/dtype.h"

#include <math.h>
#include <string.h>

enum {
    Q4_BLOCK = 32,
    Q4_BYTES = 18,
    DECODE_STEP = 256 /* elements: a whole number of blocks of any type */
};

/* In the order in which they are tried; OTHER: so many bytes an element. */
static const struct code {
    uint8_t code, bytes;
    enum rz_apr_form form;
    rz_dtype dtype;
    const char *name;
} codes[] = {
    {0, 0, RZ_APR_PLAIN, RZ_F32, "F32"},
    {1, 0, RZ_APR_PLAIN, RZ_F16, "F16"},
    {2, 0, RZ_APR_PLAIN, RZ_Q4_0, "Q4_0"},
    {2, 0, RZ_APR_PLAIN, RZ_BF16, "BF16"}, /* before aprender's issue 438 */
    {3, 0, RZ_APR_F64, RZ_F32, "F64"},
    {3, 0, RZ_APR_PLAIN, RZ_Q4_1, "Q4_1"},
    {4, 4, RZ_APR_OTHER, RZ_F32, "I32"},
    {5, 8, RZ_APR_OTHER, RZ_F32, "I64"},
    {6, 1, RZ_APR_OTHER, RZ_F32, "I8"},
    {6, 0, RZ_APR_PLAIN, RZ_Q5_0, "Q5_0"},
    {7, 1, RZ_APR_OTHER, RZ_F32, "U8"},
    {7, 0, RZ_APR_PLAIN, RZ_Q5_1, "Q5_1"},
    {8, 0, RZ_APR_Q4, RZ_Q4_0, "AprQ4"}, /* before issue 438 */
    {8, 0, RZ_APR_PLAIN, RZ_Q8_0, "Q8_0"},
    {9, 0, RZ_APR_Q8, RZ_F16, "AprQ8"}, /* before issue 438 */
    {10, 0, RZ_APR_PLAIN, RZ_Q2_K, "Q2_K"},
    {11, 0, RZ_APR_PLAIN, RZ_Q3_K, "Q3_K"},
    {12, 0, RZ_APR_PLAIN, RZ_Q4_K, "Q4_K"},
    {13, 0, RZ_APR_PLAIN, RZ_Q5_K, "Q5_K"},
    {14, 0, RZ_APR_PLAIN, RZ_Q6_K, "Q6_K"},
    {20, 0, RZ_APR_PLAIN, RZ_IQ4_NL, "IQ4_NL"},
    {23, 0, RZ_APR_PLAIN, RZ_IQ4_XS, "IQ4_XS"},
    {30, 0, RZ_APR_PLAIN, RZ_BF16, "BF16"},
    {128, 0, RZ_APR_Q4, RZ_Q4_0, "AprQ4"},
    {129, 0, RZ_APR_Q8, RZ_F16, "AprQ8"},
};

static uint64_t whole_blocks(uint64_t n, uint64_t block)
{
    return n / block + (n % block != 0);
}

/* n is below 2^60, so no product here overflows but those with block_bytes, which are checked. */
static bool fits(const struct code *c, uint64_t n_rows, uint64_t n_cols, uint64_t size,
                 struct rz_apr_layout *layout)
{
    const struct rz_dtype_info *info = rz_dtype_info(c->dtype);
    uint64_t n = n_rows * n_cols, bytes;
    switch (c->form) {
    case RZ_APR_F64:
        return size / 8 == n && size % 8 == 0;
    case RZ_APR_Q4:
        return rz_mul_u64(whole_blocks(n, Q4_BLOCK), Q4_BYTES, &bytes) && bytes == size;
    case RZ_APR_Q8:
        return size >= 4 && size - 4 == n;
    case RZ_APR_OTHER:
        return size / c->bytes == n && size % c->bytes == 0;
    default:
        break;
    }
    if (rz_dtype_row_bytes(c->dtype, n_cols, &bytes))
        return rz_mul_u64(bytes, n_rows, &bytes) && bytes == size;
    if (rz_mul_u64(whole_blocks(n_cols, info->block_len), info->block_bytes, &bytes) &&
        rz_mul_u64(bytes, n_rows, &bytes) && bytes == size) {
        layout->form = RZ_APR_PADDED;
        return true;
    }
    layout->form = RZ_APR_FLAT;
    return rz_mul_u64(whole_blocks(n, info->block_len), info->block_bytes, &bytes) && bytes == size;
}

bool rz_apr_layout_of(uint8_t code, uint64_t n_rows, uint64_t n_cols, uint64_t size,
                      struct rz_apr_layout *layout)
{
    const char *first = NULL;
    for (size_t i = 0; i < RZ_ARRAY_LEN(codes); i++) {
        const struct code *c = &codes[i];
        if (c->code != code)
            continue;
        if (!first)
            first = c->name;
        *layout = (struct rz_apr_layout){.form = c->form, .dtype = c->dtype, .name = c->name};
        if (fits(c, n_rows, n_cols, size, layout))
            return true;
    }
    *layout = (struct rz_apr_layout){.form = RZ_APR_OTHER, .dtype = RZ_F32, .name = first};
    return false;
}

/* ---- decoding ---- */

static rz_status too_large(const struct rz_apr_reader *r, const rz_tensor *t, double value)
{
    return rz_apr_bad(r, RZ_ELOAD, t->file_offset, "a value of %g, which its type here cannot hold",
                      value);
}

static rz_status put_f16(const struct rz_apr_reader *r, const rz_tensor *t, const float *in,
                         uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(in[i]) < 65520)) /* rounds to infinity from there */
            return too_large(r, t, (double)in[i]);
        out[i] = rz_f32_to_f16(in[i]);
    }
    return RZ_OK;
}

/* n elements of whole blocks of a dtype, the last block's rest unused. */
static rz_status decode_blocks(const struct rz_apr_reader *r, const rz_tensor *t,
                               const struct rz_dtype_info *info, const uint8_t *data, uint16_t *out,
                               uint64_t n)
{
    float values[DECODE_STEP];
    while (n > 0) {
        size_t step = (size_t)(n < DECODE_STEP ? n : DECODE_STEP);
        size_t blocks = (size_t)whole_blocks(step, info->block_len);
        info->decode(data, values, blocks * info->block_len);
        RZ_TRY(put_f16(r, t, values, out, step));
        data += blocks * info->block_bytes;
        out += step;
        n -= step;
    }
    return RZ_OK;
}

static rz_status decode_rows(const struct rz_apr_reader *r, const rz_tensor *t,
                             const struct rz_apr_layout *layout, const uint8_t *data, uint16_t *out,
                             uint64_t n)
{
    const struct rz_dtype_info *info = rz_dtype_info(layout->dtype);
    if (layout->form == RZ_APR_FLAT)
        return decode_blocks(r, t, info, data, out, n);
    uint64_t n_cols = t->shape[t->n_dims - 1];
    uint64_t stride = whole_blocks(n_cols, info->block_len) * info->block_bytes;
    for (uint64_t i = 0; i < n / n_cols; i++)
        RZ_TRY(decode_blocks(r, t, info, data + i * stride, out + i * n_cols, n_cols));
    return RZ_OK;
}

/* aprender takes a scale that is no normal number as 0. */
static uint16_t normal_or_0(const uint8_t *at)
{
    uint16_t h;
    memcpy(&h, at, sizeof h);
    unsigned exponent = h >> 10 & 31;
    return exponent == 0 || exponent == 31 ? 0 : h;
}

/* Elements 2i and 2i + 1 in byte i; Q4_0 has i and i + 16. */
static void q4_to_q4_0(const uint8_t *data, uint8_t *out, uint64_t n_blocks)
{
    for (uint64_t b = 0; b < n_blocks; b++, data += Q4_BYTES, out += Q4_BYTES) {
        uint16_t scale = normal_or_0(data);
        memcpy(out, &scale, sizeof scale);
        for (unsigned i = 0; i < 16; i++) {
            unsigned low = data[2 + i / 2] >> (i % 2 * 4) & 15;
            unsigned high = data[2 + 8 + i / 2] >> (i % 2 * 4) & 15;
            out[2 + i] = (uint8_t)(low | high << 4);
        }
    }
}

static rz_status q4_to_f16(const struct rz_apr_reader *r, const rz_tensor *t, const uint8_t *data,
                           uint16_t *out, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *block = data + i / Q4_BLOCK * Q4_BYTES;
        unsigned at = (unsigned)(i % Q4_BLOCK);
        int nibble = block[2 + at / 2] >> (at % 2 * 4) & 15;
        float value = (float)(nibble - 8) * rz_f16_to_f32(normal_or_0(block));
        RZ_TRY(put_f16(r, t, &value, out + i, 1));
    }
    return RZ_OK;
}

static rz_status q8_to_f16(const struct rz_apr_reader *r, const rz_tensor *t, const uint8_t *data,
                           uint16_t *out, uint64_t n)
{
    float scale;
    memcpy(&scale, data, sizeof scale);
    for (uint64_t i = 0; i < n; i++) {
        float value = (float)(int8_t)data[4 + i] * scale;
        RZ_TRY(put_f16(r, t, &value, out + i, 1));
    }
    return RZ_OK;
}

static rz_status f64_to_f32(const struct rz_apr_reader *r, const rz_tensor *t, const uint8_t *data,
                            float *out, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, data + 8 * i, sizeof value);
        out[i] = (float)value;
        if (isinf(out[i]) && !isinf(value))
            return too_large(r, t, value);
    }
    return RZ_OK;
}

rz_status rz_apr_decode(struct rz_apr_reader *r, const struct rz_apr_layout *layout,
                        const uint8_t *data, uint64_t size, rz_tensor *t)
{
    uint64_t n = 1, n_cols = t->shape[t->n_dims - 1];
    for (uint32_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i];
    bool as_q4_0 = layout->form == RZ_APR_Q4 && n_cols % Q4_BLOCK == 0;
    t->dtype = as_q4_0 ? RZ_Q4_0 : layout->form == RZ_APR_F64 ? RZ_F32 : RZ_F16;
    t->n_bytes = as_q4_0 ? size : n * rz_dtype_info(t->dtype)->block_bytes;
    /* Bounded by the file: n is at most 256 / 84 of the bytes of the smallest type. */
    r->file->arena.max_bytes += t->n_bytes + 64;
    void *out = rz_arena_alloc(&r->file->arena, t->n_bytes, 1);
    if (!out)
        return rz_fail_nomem(r->err, t->n_bytes, "a tensor's values");
    t->data = out;
    switch (layout->form) {
    case RZ_APR_Q4:
        if (!as_q4_0)
            return q4_to_f16(r, t, data, out, n);
        q4_to_q4_0(data, out, size / Q4_BYTES);
        return RZ_OK;
    case RZ_APR_Q8:
        return q8_to_f16(r, t, data, out, n);
    case RZ_APR_F64:
        return f64_to_f32(r, t, data, out, n);
    default:
        return decode_rows(r, t, layout, data, out, n);
    }
}
