/* pack.c - weights from the file's layout to the packed one (pack.h, docs/packed.md). Plain C: a
 * tile is transposed word by word, then bits are moved in loops over the 16 rows, which compilers
 * vectorize. Invariant: a rearrangement of bits only, nothing is rounded. */
#include "quant/pack.h"

#include "quant/blocks.h"
#include "quant/dtype.h"

enum {
    ROWS = RZ_STRIP_ROWS
};

/* One 32-bit word of each of the 16 rows: 64 bytes of a tile. */
struct words {
    uint32_t row[ROWS];
};

/* Where the 16 blocks of a tile lie. */
struct source {
    const uint8_t *row[ROWS];
    size_t off;
};

static void load_words(const struct source *s, size_t off, struct words *out, int n)
{
    for (int r = 0; r < ROWS; r++) {
        const uint8_t *p = s->row[r] + s->off + off;
        for (int j = 0; j < n; j++)
            memcpy(&out[j].row[r], p + 4 * j, sizeof(uint32_t));
    }
}

static uint8_t *put(uint8_t *to, const struct words *w, int n)
{
    memcpy(to, w, (size_t)n * sizeof *w);
    return to + (size_t)n * sizeof *w;
}

/* The 16-bit word at off of each row: 32 bytes. */
static uint8_t *put_halves(uint8_t *to, const struct source *s, size_t off)
{
    for (int r = 0; r < ROWS; r++)
        memcpy(to + 2 * r, s->row[r] + s->off + off, 2);
    return to + 2 * ROWS;
}

/* n bytes of each row: [n][16]. */
static uint8_t *put_bytes(uint8_t *to, const struct source *s, size_t off, int n)
{
    for (int i = 0; i < n; i++) {
        for (int r = 0; r < ROWS; r++)
            *to++ = s->row[r][s->off + off + (size_t)i];
    }
    return to;
}

/* 4 vectors of nibbles from the words of 32 columns' codes, which stand in the bits from shift on
 * of each byte: columns 0-15 to the low nibbles, 16-31 to the high. */
static uint8_t *put_nibbles(uint8_t *to, const struct words code[8], int shift)
{
    for (int j = 0; j < 4; j++) {
        struct words out;
        for (int r = 0; r < ROWS; r++)
            out.row[r] = (code[j].row[r] >> shift & 0x0F0F0F0F) |
                         (code[4 + j].row[r] >> shift & 0x0F0F0F0F) << 4;
        to = put(to, &out, 1);
    }
    return to;
}

/* 2 vectors of bit pairs: word j's to bits 2 * (j % 4) of vector j / 4. */
static uint8_t *put_pairs(uint8_t *to, const struct words code[8], int shift)
{
    for (int k = 0; k < 2; k++) {
        struct words out = {0};
        for (int j = 0; j < 4; j++) {
            for (int r = 0; r < ROWS; r++)
                out.row[r] |= (code[4 * k + j].row[r] >> shift & 0x03030303) << 2 * j;
        }
        to = put(to, &out, 1);
    }
    return to;
}

/* 1 vector of single bits: word j's to bit j. */
static uint8_t *put_bits(uint8_t *to, const struct words code[8], int shift)
{
    struct words out = {0};
    for (int j = 0; j < 8; j++) {
        for (int r = 0; r < ROWS; r++)
            out.row[r] |= (code[j].row[r] >> shift & 0x01010101) << j;
    }
    return put(to, &out, 1);
}

/* The same from 32 bits in the order of columns, as the 5-bit formats of 32 columns have them: bit
 * 4 * j + c goes to bit j of byte c. */
static uint8_t *put_bit_word(uint8_t *to, const struct words *bits)
{
    struct words out = {0};
    for (int c = 0; c < 4; c++) {
        for (int r = 0; r < ROWS; r++) {
            uint32_t v = bits->row[r] >> c & 0x11111111;
            v = (v | v >> 3) & 0x03030303;
            v = (v | v >> 6) & 0x000F000F;
            out.row[r] |= ((v | v >> 12) & 0xFF) << 8 * c;
        }
    }
    return put(to, &out, 1);
}

static void pack_q4_0(const struct source *s, uint8_t *to)
{
    struct words v[4];
    to = put_halves(to, s, 0);
    load_words(s, 2, v, 4);
    put(to, v, 4);
}

static void pack_q4_1(const struct source *s, uint8_t *to)
{
    struct words v[4];
    to = put_halves(put_halves(to, s, 0), s, 2);
    load_words(s, 4, v, 4);
    put(to, v, 4);
}

static void pack_q5_0(const struct source *s, uint8_t *to)
{
    struct words v[5];
    to = put_halves(to, s, 0);
    load_words(s, 2, v, 5);
    to = put_bit_word(to, v);
    put(to, v + 1, 4);
}

static void pack_q5_1(const struct source *s, uint8_t *to)
{
    struct words v[5];
    to = put_halves(put_halves(to, s, 0), s, 2);
    load_words(s, 4, v, 5);
    to = put_bit_word(to, v);
    put(to, v + 1, 4);
}

static void pack_q8_0(const struct source *s, uint8_t *to)
{
    struct words v[8];
    to = put_halves(to, s, 0);
    load_words(s, 2, v, 8);
    for (int j = 0; j < 8; j++) {
        for (int r = 0; r < ROWS; r++)
            v[j].row[r] ^= 0x80808080;
    }
    put(to, v, 8);
}

static void pack_q2_k(const struct source *s, uint8_t *to)
{
    struct words v[16];
    to = put_halves(put_halves(to, s, 80), s, 82);
    to = put_bytes(to, s, 0, 16);
    load_words(s, 16, v, 16);
    for (int b = 0; b < 8; b++)
        to = put_pairs(to, v + b / 4 * 8, b % 4 * 2);
}

/* 16 numbers of 6 bits per row to 3 vectors: number e < 15 at bit 6 * (e % 5) of vector e / 5, the
 * last in bits 30 and 31 of the three, lowest first. */
static uint8_t *put_six(uint8_t *to, const struct words six[16])
{
    for (int k = 0; k < 3; k++) {
        struct words out = {0};
        for (int f = 0; f < 5; f++) {
            for (int r = 0; r < ROWS; r++)
                out.row[r] |= six[5 * k + f].row[r] << 6 * f;
        }
        for (int r = 0; r < ROWS; r++)
            out.row[r] |= (six[15].row[r] >> 2 * k & 3) << 30;
        to = put(to, &out, 1);
    }
    return to;
}

static uint8_t *put_scales_q3_k(uint8_t *to, const struct source *s)
{
    struct words w[3], six[16];
    load_words(s, 96, w, 3);
    for (int i = 0; i < 16; i++) {
        for (int r = 0; r < ROWS; r++)
            six[i].row[r] = (w[i % 8 / 4].row[r] >> (8 * (i % 4) + i / 8 * 4) & 15) |
                            (w[2].row[r] >> (8 * (i % 4) + i / 4 * 2) & 3) << 4;
    }
    return put_six(to, six);
}

static void pack_q3_k(const struct source *s, uint8_t *to)
{
    struct words h[8], v[16];
    to = put_halves(to, s, 108);
    to = put_scales_q3_k(to, s);
    load_words(s, 0, h, 8);
    load_words(s, 32, v, 16);
    for (int b = 0; b < 8; b++) {
        to = put_bits(to, h, b);
        to = put_pairs(to, v + b / 4 * 8, b % 4 * 2);
    }
}

/* d, dmin and the 6-bit factors of Q4_K and Q5_K: scales are numbers 0-7, mins 8-15. */
static uint8_t *put_factors_q4_k(uint8_t *to, const struct source *s)
{
    struct words w[3], six[16];
    to = put_halves(put_halves(to, s, 0), s, 2);
    load_words(s, 4, w, 3);
    for (int g = 0; g < 4; g++) {
        for (int r = 0; r < ROWS; r++) {
            uint32_t a = w[0].row[r] >> 8 * g, b = w[1].row[r] >> 8 * g, c = w[2].row[r] >> 8 * g;
            six[g].row[r] = a & 63;
            six[8 + g].row[r] = b & 63;
            six[4 + g].row[r] = (c & 15) | (a >> 6 & 3) << 4;
            six[12 + g].row[r] = (c >> 4 & 15) | (b >> 6 & 3) << 4;
        }
    }
    return put_six(to, six);
}

static void pack_q4_k(const struct source *s, uint8_t *to)
{
    struct words v[8];
    to = put_factors_q4_k(to, s);
    for (size_t b = 0; b < 8; b += 2) {
        load_words(s, 16 + 16 * b, v, 8);
        to = put_nibbles(put_nibbles(to, v, 0), v, 4);
    }
}

static void pack_q5_k(const struct source *s, uint8_t *to)
{
    struct words h[8], v[8];
    to = put_factors_q4_k(to, s);
    load_words(s, 16, h, 8);
    for (int b = 0; b < 8; b += 2) {
        load_words(s, 48 + 16 * (size_t)b, v, 8);
        to = put_nibbles(put_bits(to, h, b), v, 0);
        to = put_nibbles(put_bits(to, h, b + 1), v, 4);
    }
}

static void pack_q6_k(const struct source *s, uint8_t *to)
{
    struct words low[16], high[8];
    to = put_halves(to, s, 208);
    to = put_bytes(to, s, 192, 16);
    for (size_t half = 0; half < 2; half++) {
        load_words(s, 64 * half, low, 16);
        load_words(s, 128 + 32 * half, high, 8);
        for (int b = 0; b < 4; b++) {
            to = put_pairs(to, high, 2 * b);
            to = put_nibbles(to, low + b % 2 * 8, b / 2 * 4);
        }
    }
}

static void pack_iq4_xs(const struct source *s, uint8_t *to)
{
    struct words v[4];
    to = put_halves(put_halves(to, s, 0), s, 2);
    load_words(s, 4, v, 1);
    to = put(to, v, 1);
    for (int b = 0; b < 8; b++) {
        load_words(s, 8 + 16 * (size_t)b, v, 4);
        to = put(to, v, 4);
    }
}

static void pack_f32(const struct source *s, uint8_t *to)
{
    struct words v;
    load_words(s, 0, &v, 1);
    put(to, &v, 1);
}

static void pack_f16(const struct source *s, uint8_t *to)
{
    put_halves(to, s, 0);
}

typedef void pack_fn(const struct source *s, uint8_t *to);

static pack_fn *const packers[RZ_N_DTYPES] = {
    [RZ_F32] = pack_f32,   [RZ_F16] = pack_f16,     [RZ_BF16] = pack_f32,
    [RZ_Q4_0] = pack_q4_0, [RZ_Q4_1] = pack_q4_1,   [RZ_Q5_0] = pack_q5_0,
    [RZ_Q5_1] = pack_q5_1, [RZ_Q8_0] = pack_q8_0,   [RZ_Q2_K] = pack_q2_k,
    [RZ_Q3_K] = pack_q3_k, [RZ_Q4_K] = pack_q4_k,   [RZ_Q5_K] = pack_q5_k,
    [RZ_Q6_K] = pack_q6_k, [RZ_IQ4_NL] = pack_q4_0, [RZ_IQ4_XS] = pack_iq4_xs,
};

size_t rz_packed_row_bytes(rz_dtype type, uint32_t n_cols)
{
    const struct rz_dtype_info *info = rz_dtype_info(type);
    if (type == RZ_BF16)
        n_cols += n_cols % 2;
    return (size_t)n_cols / info->block_len * info->block_bytes;
}

size_t rz_packed_bytes(rz_dtype type, uint32_t n_rows, uint32_t n_cols)
{
    size_t n_strips = ((size_t)n_rows + ROWS - 1) / ROWS;
    return n_strips * ROWS * rz_packed_row_bytes(type, n_cols);
}

/* The odd last column of a BF16 matrix, beside zeros. */
static void pack_last_bf16(const struct source *s, uint8_t *to)
{
    memset(to, 0, 4 * ROWS);
    for (int r = 0; r < ROWS; r++)
        memcpy(to + 4 * r, s->row[r] + s->off, 2);
}

void rz_pack_strips(const struct rz_pack_args *a, uint32_t first, uint32_t end)
{
    /* BF16 goes by pairs of columns, as 32-bit words. */
    const size_t block = a->type == RZ_BF16 ? 4 : rz_dtype_info(a->type)->block_bytes;
    const size_t strip_bytes = ROWS * rz_packed_row_bytes(a->type, a->n_cols);
    const size_t len =
        (size_t)a->n_cols / rz_dtype_info(a->type)->block_len * rz_dtype_info(a->type)->block_bytes;
    struct source s;
    for (uint32_t i = first; i < end; i++) {
        uint8_t *to = (uint8_t *)a->packed + i * strip_bytes;
        for (uint32_t r = 0; r < ROWS; r++) {
            uint32_t row = i * ROWS + r < a->n_rows ? i * ROWS + r : a->n_rows - 1;
            s.row[r] = (const uint8_t *)a->w + row * a->w_row_bytes;
        }
        for (s.off = 0; s.off + block <= len; s.off += block, to += ROWS * block)
            packers[a->type](&s, to);
        if (s.off < len)
            pack_last_bf16(&s, to);
    }
}
