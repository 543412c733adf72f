/* unpack.c - weights from the packed layout (pack.h, docs/packed.md) back to that of files: each
 * function here undoes the one of its name in pack.c. Invariant: unpacking what was packed gives
 * the same bits, whatever they are. */
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/pack.h"

enum {
    ROWS = RZ_STRIP_ROWS,
    MAX_BLOCK_BYTES = 256
};

/* One 32-bit word of each of the 16 rows. */
struct words {
    uint32_t row[ROWS];
};

/* Where the 16 blocks of a tile go. */
struct target {
    uint8_t *row[ROWS];
    size_t off;
};

static const uint8_t *get(const uint8_t *from, struct words *w, int n)
{
    memcpy(w, from, (size_t)n * sizeof *w);
    return from + (size_t)n * sizeof *w;
}

static void store_words(const struct target *t, size_t off, const struct words *in, int n)
{
    for (int r = 0; r < ROWS; r++) {
        uint8_t *p = t->row[r] + t->off + off;
        for (int j = 0; j < n; j++)
            memcpy(p + 4 * j, &in[j].row[r], sizeof(uint32_t));
    }
}

static const uint8_t *take_words(const uint8_t *from, const struct target *t, size_t off, int n)
{
    struct words w[8];
    from = get(from, w, n);
    store_words(t, off, w, n);
    return from;
}

static const uint8_t *take_halves(const uint8_t *from, const struct target *t, size_t off)
{
    for (int r = 0; r < ROWS; r++)
        memcpy(t->row[r] + t->off + off, from + 2 * r, 2);
    return from + 2 * ROWS;
}

static const uint8_t *take_bytes(const uint8_t *from, const struct target *t, size_t off, int n)
{
    for (int i = 0; i < n; i++) {
        for (int r = 0; r < ROWS; r++)
            t->row[r][t->off + off + (size_t)i] = *from++;
    }
    return from;
}

/* These add their bits to codes that begin as zeros. */
static const uint8_t *take_nibbles(const uint8_t *from, struct words code[8], int shift)
{
    for (int j = 0; j < 4; j++) {
        struct words in;
        from = get(from, &in, 1);
        for (int r = 0; r < ROWS; r++) {
            code[j].row[r] |= (in.row[r] & 0x0F0F0F0F) << shift;
            code[4 + j].row[r] |= (in.row[r] >> 4 & 0x0F0F0F0F) << shift;
        }
    }
    return from;
}

static const uint8_t *take_pairs(const uint8_t *from, struct words code[8], int shift)
{
    for (int k = 0; k < 2; k++) {
        struct words in;
        from = get(from, &in, 1);
        for (int j = 0; j < 4; j++) {
            for (int r = 0; r < ROWS; r++)
                code[4 * k + j].row[r] |= (in.row[r] >> 2 * j & 0x03030303) << shift;
        }
    }
    return from;
}

static const uint8_t *take_bits(const uint8_t *from, struct words code[8], int shift)
{
    struct words in;
    from = get(from, &in, 1);
    for (int j = 0; j < 8; j++) {
        for (int r = 0; r < ROWS; r++)
            code[j].row[r] |= (in.row[r] >> j & 0x01010101) << shift;
    }
    return from;
}

/* Bit j of byte c is bit 4 * j + c of the file's word. */
static const uint8_t *take_bit_word(const uint8_t *from, const struct target *t, size_t off)
{
    struct words in, out = {0};
    from = get(from, &in, 1);
    for (int c = 0; c < 4; c++) {
        for (int j = 0; j < 8; j++) {
            for (int r = 0; r < ROWS; r++)
                out.row[r] |= (in.row[r] >> (8 * c + j) & 1) << (4 * j + c);
        }
    }
    store_words(t, off, &out, 1);
    return from;
}

static void unpack_q4_0(const uint8_t *from, const struct target *t)
{
    take_words(take_halves(from, t, 0), t, 2, 4);
}

static void unpack_q4_1(const uint8_t *from, const struct target *t)
{
    take_words(take_halves(take_halves(from, t, 0), t, 2), t, 4, 4);
}

static void unpack_q5_0(const uint8_t *from, const struct target *t)
{
    take_words(take_bit_word(take_halves(from, t, 0), t, 2), t, 6, 4);
}

static void unpack_q5_1(const uint8_t *from, const struct target *t)
{
    from = take_halves(take_halves(from, t, 0), t, 2);
    take_words(take_bit_word(from, t, 4), t, 8, 4);
}

static void unpack_q8_0(const uint8_t *from, const struct target *t)
{
    struct words v[8];
    get(take_halves(from, t, 0), v, 8);
    for (int j = 0; j < 8; j++) {
        for (int r = 0; r < ROWS; r++)
            v[j].row[r] ^= 0x80808080;
    }
    store_words(t, 2, v, 8);
}

static void unpack_q2_k(const uint8_t *from, const struct target *t)
{
    struct words v[16] = {0};
    from = take_halves(take_halves(from, t, 80), t, 82);
    from = take_bytes(from, t, 0, 16);
    for (int b = 0; b < 8; b++)
        from = take_pairs(from, v + b / 4 * 8, b % 4 * 2);
    store_words(t, 16, v, 16);
}

static const uint8_t *take_six(const uint8_t *from, struct words six[16])
{
    six[15] = (struct words){0};
    for (int k = 0; k < 3; k++) {
        struct words in;
        from = get(from, &in, 1);
        for (int f = 0; f < 5; f++) {
            for (int r = 0; r < ROWS; r++)
                six[5 * k + f].row[r] = in.row[r] >> 6 * f & 63;
        }
        for (int r = 0; r < ROWS; r++)
            six[15].row[r] |= in.row[r] >> 30 << 2 * k;
    }
    return from;
}

static const uint8_t *take_scales_q3_k(const uint8_t *from, const struct target *t)
{
    struct words w[3] = {0}, six[16];
    from = take_six(from, six);
    for (int i = 0; i < 16; i++) {
        for (int r = 0; r < ROWS; r++) {
            w[i % 8 / 4].row[r] |= (six[i].row[r] & 15) << (8 * (i % 4) + i / 8 * 4);
            w[2].row[r] |= six[i].row[r] >> 4 << (8 * (i % 4) + i / 4 * 2);
        }
    }
    store_words(t, 96, w, 3);
    return from;
}

static void unpack_q3_k(const uint8_t *from, const struct target *t)
{
    struct words h[8] = {0}, v[16] = {0};
    from = take_halves(from, t, 108);
    from = take_scales_q3_k(from, t);
    for (int b = 0; b < 8; b++) {
        from = take_bits(from, h, b);
        from = take_pairs(from, v + b / 4 * 8, b % 4 * 2);
    }
    store_words(t, 0, h, 8);
    store_words(t, 32, v, 16);
}

static const uint8_t *take_factors_q4_k(const uint8_t *from, const struct target *t)
{
    struct words w[3] = {0}, six[16];
    from = take_halves(take_halves(from, t, 0), t, 2);
    from = take_six(from, six);
    for (int g = 0; g < 4; g++) {
        for (int r = 0; r < ROWS; r++) {
            const uint32_t low_scale = six[g].row[r], low_min = six[8 + g].row[r];
            const uint32_t scale = six[4 + g].row[r], min = six[12 + g].row[r];
            w[0].row[r] |= (low_scale | scale >> 4 << 6) << 8 * g;
            w[1].row[r] |= (low_min | min >> 4 << 6) << 8 * g;
            w[2].row[r] |= ((scale & 15) | (min & 15) << 4) << 8 * g;
        }
    }
    store_words(t, 4, w, 3);
    return from;
}

static void unpack_q4_k(const uint8_t *from, const struct target *t)
{
    from = take_factors_q4_k(from, t);
    for (size_t b = 0; b < 8; b += 2) {
        struct words v[8] = {0};
        from = take_nibbles(take_nibbles(from, v, 0), v, 4);
        store_words(t, 16 + 16 * b, v, 8);
    }
}

static void unpack_q5_k(const uint8_t *from, const struct target *t)
{
    struct words h[8] = {0};
    from = take_factors_q4_k(from, t);
    for (int b = 0; b < 8; b += 2) {
        struct words v[8] = {0};
        from = take_nibbles(take_bits(from, h, b), v, 0);
        from = take_nibbles(take_bits(from, h, b + 1), v, 4);
        store_words(t, 48 + 16 * (size_t)b, v, 8);
    }
    store_words(t, 16, h, 8);
}

static void unpack_q6_k(const uint8_t *from, const struct target *t)
{
    from = take_halves(from, t, 208);
    from = take_bytes(from, t, 192, 16);
    for (size_t half = 0; half < 2; half++) {
        struct words low[16] = {0}, high[8] = {0};
        for (int b = 0; b < 4; b++) {
            from = take_pairs(from, high, 2 * b);
            from = take_nibbles(from, low + b % 2 * 8, b / 2 * 4);
        }
        store_words(t, 64 * half, low, 16);
        store_words(t, 128 + 32 * half, high, 8);
    }
}

static void unpack_iq4_xs(const uint8_t *from, const struct target *t)
{
    from = take_halves(take_halves(from, t, 0), t, 2);
    from = take_words(from, t, 4, 1);
    for (size_t b = 0; b < 8; b++)
        from = take_words(from, t, 8 + 16 * b, 4);
}

static void unpack_f32(const uint8_t *from, const struct target *t)
{
    take_words(from, t, 0, 1);
}

static void unpack_f16(const uint8_t *from, const struct target *t)
{
    take_halves(from, t, 0);
}

typedef void unpack_fn(const uint8_t *from, const struct target *t);

static unpack_fn *const unpackers[RZ_N_DTYPES] = {
    [RZ_F32] = unpack_f32,   [RZ_F16] = unpack_f16,     [RZ_BF16] = unpack_f32,
    [RZ_Q4_0] = unpack_q4_0, [RZ_Q4_1] = unpack_q4_1,   [RZ_Q5_0] = unpack_q5_0,
    [RZ_Q5_1] = unpack_q5_1, [RZ_Q8_0] = unpack_q8_0,   [RZ_Q2_K] = unpack_q2_k,
    [RZ_Q3_K] = unpack_q3_k, [RZ_Q4_K] = unpack_q4_k,   [RZ_Q5_K] = unpack_q5_k,
    [RZ_Q6_K] = unpack_q6_k, [RZ_IQ4_NL] = unpack_q4_0, [RZ_IQ4_XS] = unpack_iq4_xs,
};

/* BF16 goes by pairs of columns. */
static size_t tile_block_bytes(rz_dtype type)
{
    return type == RZ_BF16 ? 4 : rz_dtype_info(type)->block_bytes;
}

bool rz_packed_fits(rz_dtype type, uint64_t n_rows, uint64_t n_cols)
{
    return n_rows > 0 && n_rows % ROWS == 0 && n_rows <= UINT32_MAX && n_cols <= UINT32_MAX &&
           n_cols % rz_dtype_info(type)->block_len == 0 && (type != RZ_BF16 || n_cols % 2 == 0);
}

static void unpack_last_bf16(const uint8_t *from, const struct target *t)
{
    for (int r = 0; r < ROWS; r++)
        memcpy(t->row[r] + t->off, from + 4 * r, 2);
}

void rz_unpack_strips(const struct rz_unpack_args *a, uint32_t first, uint32_t end)
{
    const struct rz_dtype_info *info = rz_dtype_info(a->type);
    const size_t block = tile_block_bytes(a->type);
    const size_t strip_bytes = ROWS * rz_packed_row_bytes(a->type, a->n_cols);
    const size_t len = (size_t)a->n_cols / info->block_len * info->block_bytes;
    struct target t;
    for (uint32_t i = first; i < end; i++) {
        const uint8_t *from = (const uint8_t *)a->packed + i * strip_bytes;
        for (uint32_t r = 0; r < ROWS; r++) {
            /* Rows that the last strip lacks repeat the last row: they write the same bits. */
            uint32_t row = i * ROWS + r < a->n_rows ? i * ROWS + r : a->n_rows - 1;
            t.row[r] = (uint8_t *)a->w + row * a->w_row_bytes;
        }
        for (t.off = 0; t.off + block <= len; t.off += block, from += ROWS * block)
            unpackers[a->type](from, &t);
        if (t.off < len)
            unpack_last_bf16(from, &t);
    }
}

void rz_packed_decode_row(rz_dtype type, const void *packed, uint32_t n_cols, uint32_t row,
                          float *out)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    const size_t block = tile_block_bytes(type);
    const uint32_t step = type == RZ_BF16 ? 2 : info->block_len;
    const uint8_t *tile =
        (const uint8_t *)packed + row / ROWS * (ROWS * rz_packed_row_bytes(type, n_cols));
    uint8_t blocks[ROWS * MAX_BLOCK_BYTES];
    struct target t = {.off = 0};
    for (uint32_t r = 0; r < ROWS; r++)
        t.row[r] = blocks + r * block;
    for (uint32_t col = 0; col < n_cols; col += step, tile += ROWS * block) {
        unpackers[type](tile, &t);
        info->decode(t.row[row % ROWS], out + col, n_cols - col < step ? n_cols - col : step);
    }
}
