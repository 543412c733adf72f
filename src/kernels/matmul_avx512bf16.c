/* matmul_avx512bf16.c - products of BF16 weights and many tokens on AVX-512 BF16.
 *
 * VDPBF16PS multiplies pairs of bfloat16 at twice the rate of floats, and a packed strip is what it
 * takes: pairs of columns of 16 rows. Three strips by eight tokens are 24 sums in registers, each
 * weight loaded once per eight tokens and each pair of x broadcast once per three strips. All
 * tokens pass 48 rows by 256 columns, 24 KB that stay in the L1 cache.
 * Invariant: y[m][row] is, for chunks of 256 columns in order, the sum of
 *     chunk = for pairs of columns in order: chunk + odd column's product, + even column's
 * each fused, then bias. The same bits for any number of tokens, split of the rows or number of
 * threads, not those of the other levels. Subnormal numbers count as zeros.
 * Source: Intel SDM volume 2, VDPBF16PS and VCVTNE2PS2BF16. */
#include "kernels/kernels.h"
#include "kernels/levels.h"
#include "kernels/vec_avx512_float.h"
#include "quant/pack.h"

enum {
    STRIPS = RZ_WIDE_ROWS / RZ_STRIP_ROWS, /* multiplied at once */
    TOKENS = 8,                            /* at once */
    /* Of x, as rz_act.bf16 has it. */
    TILE_TOKENS = 16,
    TILE_COLS = 32,
    TILE_BYTES = TILE_TOKENS * TILE_COLS * 2,
    CHUNK_TILES = 256 / TILE_COLS,
    PAIR_BYTES = 2 * RZ_STRIP_ROWS * 2, /* of a strip */
    PASS_TOKENS = 512,                  /* whose columns of a chunk stay in the L2 cache */
    WIDE_FROM = 32                      /* as with AMX, so that classes of steps are the same */
};

/* The sums of a chunk and those before it. */
typedef float sums[STRIPS][TOKENS][RZ_STRIP_ROWS];

/* Up to STRIPS strips of weights, and tokens from `token` on. */
struct wide {
    const struct rz_matmul_args *a;
    uint32_t row, token, n_tokens;
    uint32_t n_tiles; /* of a row of x */
    sums sum[PASS_TOKENS / TOKENS];
};

/* Of these, a chunk of columns and TOKENS tokens. */
struct part {
    const uint8_t *w, *x; /* the first strip's first pair, the first token's */
    size_t strip_bytes;
    uint32_t n_pairs;
    uint32_t token, n_tokens; /* that there are */
    bool first, last;         /* chunk */
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

RZ_INLINE void multiply_pairs(const struct part *p, int n_strips, vflt s[STRIPS][TOKENS])
{
    const uint8_t *w = p->w;
    for (uint32_t left = p->n_pairs, tile = 0; left; tile++) {
        const uint8_t *x = p->x + (size_t)tile * TILE_BYTES;
        const uint32_t n = min_u32(left, TILE_COLS / 2);
        for (uint32_t i = 0; i < n; i++, x += 4, w += PAIR_BYTES) {
            __m512bh rows[STRIPS];
            RZ_UNROLL
            for (int h = 0; h < n_strips; h++)
                rows[h] = (__m512bh)vi_load(w + (size_t)h * p->strip_bytes);
            RZ_UNROLL
            for (int t = 0; t < TOKENS; t++) {
                const __m512bh token = (__m512bh)vi_bcast(x + t * TILE_COLS * 2);
                RZ_UNROLL
                for (int h = 0; h < n_strips; h++)
                    s[h][t] = _mm512_dpbf16_ps(s[h][t], token, rows[h]);
            }
        }
        left -= n;
    }
}

/* To y, where row and token are. */
RZ_INLINE void store(const struct wide *w, const struct part *p, int h, int t, vflt v)
{
    const struct rz_matmul_args *a = w->a;
    const uint32_t row = w->row + (uint32_t)h * RZ_STRIP_ROWS, n = a->row_end - row;
    if ((uint32_t)t >= p->n_tokens)
        return;
    if (a->bias)
        v = vf_add(v, vf_loadn(a->bias + row, n));
    vf_storen(a->y + (p->token + (uint32_t)t) * a->y_stride + row, v, n);
}

RZ_INLINE void multiply_part(struct wide *w, const struct part *p, int n_strips)
{
    sums *sum = &w->sum[(p->token - w->token) / TOKENS];
    vflt s[STRIPS][TOKENS];
    RZ_UNROLL
    for (int h = 0; h < n_strips; h++) {
        RZ_UNROLL
        for (int t = 0; t < TOKENS; t++)
            s[h][t] = vf_set1(0);
    }
    multiply_pairs(p, n_strips, s);
    RZ_UNROLL
    for (int h = 0; h < n_strips; h++) {
        RZ_UNROLL
        for (int t = 0; t < TOKENS; t++) {
            if (!p->first)
                s[h][t] = vf_add(vf_load((*sum)[h][t]), s[h][t]);
            if (p->last)
                store(w, p, h, t, s[h][t]);
            else
                vf_store((*sum)[h][t], s[h][t]);
        }
    }
}

RZ_INLINE void multiply_strips(struct wide *w, int n_strips)
{
    const struct rz_matmul_args *a = w->a;
    const uint8_t *strips = (const uint8_t *)a->w + w->row * a->w_row_bytes;
    const uint8_t *x = (const uint8_t *)a->x->bf16;
    for (uint32_t tile = 0; tile < w->n_tiles; tile += CHUNK_TILES) {
        const uint32_t col = tile * TILE_COLS, left = a->x->n_cols - col;
        for (uint32_t t = 0; t < w->n_tokens; t += TOKENS) {
            const uint32_t token = w->token + t;
            const size_t x_tile = (size_t)token / TILE_TOKENS * w->n_tiles + tile;
            const struct part p = {.w = strips + (size_t)col / 2 * PAIR_BYTES,
                                   .x = x + x_tile * TILE_BYTES +
                                        token % TILE_TOKENS * (TILE_COLS * 2),
                                   .strip_bytes = RZ_STRIP_ROWS * a->w_row_bytes,
                                   .n_pairs = (min_u32(left, CHUNK_TILES * TILE_COLS) + 1) / 2,
                                   .token = token,
                                   .n_tokens = min_u32(w->n_tokens - t, TOKENS),
                                   .first = tile == 0,
                                   .last = tile + CHUNK_TILES >= w->n_tiles};
            multiply_part(w, &p, n_strips);
        }
    }
}

static void matmul_bf16(const struct rz_matmul_args *a)
{
    struct wide w;
    w.a = a;
    w.n_tiles = (a->x->n_cols + TILE_COLS - 1) / TILE_COLS;
    for (w.token = 0; w.token < a->x->n_rows; w.token += PASS_TOKENS) {
        w.n_tokens = min_u32(a->x->n_rows - w.token, PASS_TOKENS);
        for (w.row = a->row_begin; w.row < a->row_end; w.row += RZ_WIDE_ROWS) {
            const uint32_t n_rows = a->row_end - w.row;
            if (n_rows > 2 * RZ_STRIP_ROWS)
                multiply_strips(&w, 3);
            else if (n_rows > RZ_STRIP_ROWS)
                multiply_strips(&w, 2);
            else
                multiply_strips(&w, 1);
        }
    }
}

static void bf16_tiles(const float *x, size_t x_stride, uint32_t n_rows, uint32_t n_cols,
                       uint16_t *tiles)
{
    for (uint32_t r = 0; r < TILE_TOKENS; r++) {
        uint16_t *to = tiles + r * TILE_COLS;
        for (uint32_t c = 0; c < n_cols; c += TILE_COLS, to += TILE_TOKENS * TILE_COLS) {
            const uint32_t n = r < n_rows ? min_u32(n_cols - c, TILE_COLS) : 0;
            const float *from = x + (r < n_rows ? r : 0) * x_stride + c;
            const vflt low = vf_loadn(from, min_u32(n, LANES));
            const vflt high = vf_loadn(from + LANES, n > LANES ? n - LANES : 0);
            vi_store(to, (vint)_mm512_cvtne2ps_pbh(high, low));
        }
    }
}

void rz_kernels_matmul_avx512bf16(struct rz_kernels *k)
{
    k->wide_from = WIDE_FROM;
    k->bf16_tiles = bf16_tiles;
    k->matmul_wide[RZ_BF16] = matmul_bf16;
}
