/* check-kernels-pack.c - the packed layout against docs/packed.md: an independent reading, number
 * by number, must give the integers and factors that quant/ unpacks from the file's blocks. */
#include "check-kernels.h"

#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/pack.h"

#include <stdlib.h>

/* Where a type's tile has its parts; -1: none. */
struct layout {
    rz_dtype type;
    int codes, codes_bytes; /* of block 0, of each */
    int nibbles, pairs, bits, bytes;
    int pairs_shift, bits_shift; /* bit of the code at which they stand */
};

static const struct layout layouts[] = {
    {RZ_Q4_0, 32, 256, 0, -1, -1, -1, 0, 0},   {RZ_Q4_1, 64, 256, 0, -1, -1, -1, 0, 0},
    {RZ_Q5_0, 32, 320, 64, -1, 0, -1, 0, 4},   {RZ_Q5_1, 64, 320, 64, -1, 0, -1, 0, 4},
    {RZ_Q8_0, 32, 512, -1, -1, -1, 0, 0, 0},   {RZ_Q2_K, 320, 128, -1, 0, -1, -1, 0, 0},
    {RZ_Q3_K, 224, 192, -1, 64, 0, -1, 0, 2},  {RZ_Q4_K, 256, 256, 0, -1, -1, -1, 0, 0},
    {RZ_Q5_K, 256, 320, 64, -1, 0, -1, 0, 4},  {RZ_Q6_K, 288, 384, 128, 0, -1, -1, 4, 0},
    {RZ_IQ4_NL, 32, 256, 0, -1, -1, -1, 0, 0}, {RZ_IQ4_XS, 128, 256, 0, -1, -1, -1, 0, 0},
};

/* The code of column col of a tile's row, without offset. */
static int code_at(const struct layout *l, const uint8_t *tile, uint32_t row, uint32_t col)
{
    const uint8_t *p = tile + l->codes + col / 32 * (uint32_t)l->codes_bytes;
    const uint32_t g = col % 32 / 4, byte = 4 * row + col % 4;
    int code = 0;
    if (l->bytes >= 0)
        code = p[(uint32_t)l->bytes + 64 * g + byte];
    if (l->nibbles >= 0)
        code = p[(uint32_t)l->nibbles + 64 * (g % 4) + byte] >> (g < 4 ? 0 : 4) & 15;
    if (l->pairs >= 0)
        code |= (p[(uint32_t)l->pairs + 64 * (g / 4) + byte] >> (2 * (g % 4)) & 3)
                << l->pairs_shift;
    if (l->bits >= 0)
        code |= (p[(uint32_t)l->bits + byte] >> g & 1) << l->bits_shift;
    return code;
}

static int weight_of(rz_dtype type, int code)
{
    switch (type) {
    case RZ_Q4_0:
        return code - 8;
    case RZ_Q5_0:
        return code - 16;
    case RZ_Q8_0:
        return code - 128;
    case RZ_Q3_K:
        return code - 4;
    case RZ_Q6_K:
        return code - 32;
    case RZ_IQ4_NL:
    case RZ_IQ4_XS:
        return rz_iq4_levels[code];
    default:
        return code;
    }
}

static uint32_t word_at(const uint8_t *p, uint32_t vector, uint32_t row)
{
    uint32_t w;
    memcpy(&w, p + 64 * vector + 4 * row, sizeof w);
    return w;
}

static int six_at(const uint8_t *p, uint32_t e, uint32_t row)
{
    if (e < 15)
        return (int)(word_at(p, e / 5, row) >> (6 * (e % 5)) & 63);
    return (int)(word_at(p, 0, row) >> 30 | word_at(p, 1, row) >> 30 << 2 |
                 word_at(p, 2, row) >> 30 << 4);
}

/* scale and min of 16 columns, number g of the tile's row. */
static void factors_at(rz_dtype type, const uint8_t *t, uint32_t row, uint32_t g, float out[2])
{
    const float d = rz_load_f16(t + 2 * row), second = rz_load_f16(t + 32 + 2 * row);
    int scale = 1, high;
    out[1] = 0;
    switch (type) {
    case RZ_Q4_1:
    case RZ_Q5_1:
        out[1] = -second;
        break;
    case RZ_Q2_K:
        scale = t[64 + 16 * g + row] & 15;
        out[1] = second * (float)(t[64 + 16 * g + row] >> 4);
        break;
    case RZ_Q3_K:
        scale = six_at(t + 32, g, row) - 32;
        break;
    case RZ_Q4_K:
    case RZ_Q5_K:
        scale = six_at(t + 64, g / 2, row);
        out[1] = second * (float)six_at(t + 64, 8 + g / 2, row);
        break;
    case RZ_Q6_K:
        scale = (t[32 + 16 * g + row] ^ 128) - 128; /* of two's complement */
        break;
    case RZ_IQ4_XS:
        high = (t[32 + 2 * row] | t[33 + 2 * row] << 8) >> (g / 2 * 2) & 3;
        scale = (int)(word_at(t + 64, 0, row) >> (g / 2 * 4) & 15) + 16 * high - 32;
        break;
    default:
        break;
    }
    out[0] = d * (float)scale;
}

static bool same_block(const struct layout *l, const uint8_t *tile, uint32_t row,
                       const struct rz_int_block *want)
{
    for (uint32_t i = 0; i < rz_dtype_info(l->type)->block_len; i++) {
        float f[2];
        factors_at(l->type, tile, row, i / 16, f);
        if (weight_of(l->type, code_at(l, tile, row, i)) != want->q[i] ||
            f[0] != want->scale[i / 16] || f[1] != want->min[i / 16])
            return false;
    }
    return true;
}

enum {
    ROWS = 21,
    BLOCKS = 3
};

/* Packs ROWS x BLOCKS blocks of w to an exactly sized buffer. */
static struct ck_buf pack(rz_dtype type, uint32_t n_cols, size_t row_bytes, const uint8_t *w)
{
    struct ck_buf b = ck_alloc(rz_packed_bytes(type, ROWS, n_cols), RZ_PACKED_ALIGN);
    const struct rz_pack_args a = {.type = type,
                                   .n_rows = ROWS,
                                   .n_cols = n_cols,
                                   .w = w,
                                   .w_row_bytes = row_bytes,
                                   .packed = b.data};
    rz_pack_strips(&a, 0, (ROWS + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS);
    return b;
}

static void check_layout(struct check *c, const struct layout *l)
{
    const struct rz_dtype_info *info = rz_dtype_info(l->type);
    const size_t row_bytes = BLOCKS * info->block_bytes, tile_bytes = 16 * info->block_bytes;
    struct ck_buf w = ck_alloc(ROWS * row_bytes, 1);
    ck_fill_weights(c, l->type, CK_W_RANDOM, w.data, ROWS * BLOCKS);
    struct ck_buf packed = pack(l->type, BLOCKS * info->block_len, row_bytes, w.data);
    for (uint32_t row = 0; row < 32; row++) {
        for (uint32_t b = 0; b < BLOCKS; b++) {
            struct rz_int_block want;
            uint32_t source = row < ROWS ? row : ROWS - 1;
            info->unpack((const uint8_t *)w.data + source * row_bytes + b * info->block_bytes,
                         &want);
            const uint8_t *tile =
                (const uint8_t *)packed.data + (row / 16 * BLOCKS + b) * tile_bytes;
            ck_expect(c, same_block(l, tile, row % 16, &want), "packed %s row %u block %u",
                      info->name, row, b);
        }
    }
    ck_expect(c, ck_intact(&packed), "packing %s wrote outside", info->name);
    ck_free(&w);
    ck_free(&packed);
}

/* Element (row, col) of a packed matrix of 2- or 4-byte floats. */
static size_t float_at(rz_dtype type, uint32_t n_cols, uint32_t row, uint32_t col)
{
    const size_t strip = row / 16 * 16 * rz_packed_row_bytes(type, n_cols), r = row % 16;
    switch (type) {
    case RZ_F32:
        return strip + 64 * (size_t)col + 4 * r;
    case RZ_F16:
        return strip + 32 * (size_t)col + 2 * r;
    default:
        return strip + 64 * (size_t)(col / 2) + 4 * r + 2 * (col % 2);
    }
}

static void check_floats(struct check *c, rz_dtype type, uint32_t n_cols)
{
    const size_t elem = rz_dtype_info(type)->block_bytes, row_bytes = n_cols * elem;
    struct ck_buf w = ck_alloc(ROWS * row_bytes, 1);
    ck_fill_weights(c, type, CK_W_RANDOM, w.data, (size_t)ROWS * n_cols);
    struct ck_buf packed = pack(type, n_cols, row_bytes, w.data);
    bool same = true;
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t col = 0; col < n_cols; col++)
            same = same && memcmp((uint8_t *)packed.data + float_at(type, n_cols, row, col),
                                  (uint8_t *)w.data + row * row_bytes + col * elem, elem) == 0;
    }
    ck_expect(c, same && ck_intact(&packed), "packed %s, %u columns", rz_dtype_name(type), n_cols);
    ck_free(&w);
    ck_free(&packed);
}

void check_pack(struct check *c)
{
    if (!ck_wants(c, "pack", !c->now.cpu_flags))
        return;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
            check_layout(c, &layouts[i]);
    }
    for (uint32_t n_cols = 1; n_cols < 40; n_cols++) {
        check_floats(c, RZ_F32, n_cols);
        check_floats(c, RZ_F16, n_cols);
        check_floats(c, RZ_BF16, n_cols);
    }
}
