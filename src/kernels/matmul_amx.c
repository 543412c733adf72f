/* matmul_amx.c - matrix products of many tokens on AMX: bfloat16 weights and activations, float
 * sums.
 *
 * Three strips of weights (48 rows) by 256 columns are unpacked to bfloat16 tiles, 24 KB that stay
 * in the L1 cache while all tokens pass, 16 at a time (mul_amx.h). The vector units are idle
 * meanwhile: after each 16 tokens they add up the products before and unpack a share of the next
 * weights, little enough for the reorder buffer to hold both. The next weights are those of the
 * same columns in the next 48 rows, four times in all: the activations of 256 columns, 256 KB for
 * 512 tokens, and the four's sums, 384 KB, stay in the L2 cache. All columns of a wide matrix would
 * not, and would come from beyond it once per 48 rows, 8 KB in 500 cycles.
 * Invariant: y[m][row] is, for chunks of 256 columns in order, the sum of
 *     chunk = for 32 columns in order: chunk + (even columns' sum + odd columns' sum)
 * of bf16(w) bf16(x), both sums fused in order from zero, then bias. The same bits for any number
 * of tokens, split of the rows or number of threads, not those of the other levels.
 * Subnormal numbers count as zeros everywhere. Source: Intel SDM volume 2, TDPBF16PS. */
#include "base/cpu.h"
#include "base/f16.h"
#include "base/fail.h"
#include "kernels/kernels.h"
#include "kernels/levels.h"
#include "kernels/tiles_amx.h"
#include "kernels/vec_avx512_float.h"

#include "kernels/mul_amx.h"
#include "kernels/weights_amx.h"

enum {
    STRIPS = RZ_WIDE_ROWS / RZ_STRIP_ROWS, /* multiplied at once */
    CHUNK_TILES = 256 / TILE_COLS,         /* also the length of the longest blocks */
    PASS_TOKENS = 512,                     /* whose sums stay in the L2 cache */
    TOKEN_STRIPS = PASS_TOKENS / TILE_ROWS,
    GROUP = 4,     /* times STRIPS, which take a chunk of columns in turn */
    WIDE_FROM = 32 /* fewer tokens than unpacking to bfloat16 is worth */
};

/* Tile `tile` of a strip to bfloat16; called in order of the tiles of a block. */
struct wide;
typedef void unpack_fn(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out);

/* Some strips of weights by one chunk of columns. */
struct unit {
    uint32_t row, n_strips;
    uint32_t tile, n_tiles;       /* of 32 columns */
    uint32_t group_row, in_group; /* the first unit's row of its group; units before it there */
};

typedef uint8_t panel[STRIPS][CHUNK_TILES][TILE_BYTES];
typedef float sums[STRIPS][TILE_ROWS][RZ_STRIP_ROWS]; /* [strip][token][row] */

struct wide {
    const struct rz_matmul_args *a;
    unpack_fn *unpack;
    uint32_t n_tiles;         /* of a row */
    uint32_t token, n_passes; /* from this one on, 16 at a time */
    struct factors factors;   /* of the block being unpacked */
    _Alignas(64) panel panel[2];
    _Alignas(64) sums product[2], sum[GROUP][TOKEN_STRIPS];
};

/* Products that are still to be added up. */
struct pending {
    struct unit u;
    uint32_t i_pass;
    const sums *product; /* NULL: none */
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* From row and tile on. Four strips are twice two: one alone would wait for itself. */
static struct unit unit_at(const struct wide *w, uint32_t row, uint32_t tile)
{
    const uint32_t left = (w->a->row_end - row + RZ_STRIP_ROWS - 1) / RZ_STRIP_ROWS;
    return (struct unit){.row = row,
                         .n_strips = left == 4 ? 2 : min_u32(left, STRIPS),
                         .tile = tile,
                         .n_tiles = min_u32(w->n_tiles - tile, CHUNK_TILES),
                         .group_row = row};
}

/* A group's rows for each chunk of columns, group by group. False after the last. */
static bool next_unit(const struct wide *w, struct unit *u)
{
    const struct unit now = *u;
    const uint32_t next_row = now.row + now.n_strips * RZ_STRIP_ROWS;
    const bool more_rows = next_row < w->a->row_end;
    if (more_rows && now.in_group + 1 < GROUP) {
        *u = unit_at(w, next_row, now.tile);
        u->group_row = now.group_row;
        u->in_group = now.in_group + 1;
    } else if (now.tile + now.n_tiles < w->n_tiles) {
        *u = unit_at(w, now.group_row, now.tile + now.n_tiles);
    } else if (more_rows) {
        *u = unit_at(w, next_row, 0);
    } else {
        return false;
    }
    return true;
}

/* Tiles begin ... end - 1 of the unit's, counted strip by strip. */
static void unpack_part(struct wide *w, const struct unit *u, panel *to, uint32_t begin,
                        uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        const uint32_t s = i / u->n_tiles, t = i % u->n_tiles;
        const uint8_t *strip =
            (const uint8_t *)w->a->w + (u->row + s * RZ_STRIP_ROWS) * w->a->w_row_bytes;
        w->unpack(w, strip, u->tile + t, (*to)[s][t]);
    }
}

static void multiply(const struct wide *w, const struct unit *u, const panel *p, uint32_t i_pass,
                     sums *product)
{
    const size_t strip = w->token / TILE_ROWS + i_pass;
    const struct mul_tiles m = {.a = (const uint8_t *)w->a->x->bf16 +
                                     (strip * w->n_tiles + u->tile) * TILE_BYTES,
                                .b = (const uint8_t *)*p,
                                .b_stride = sizeof(*p)[0],
                                .n = u->n_tiles,
                                .sum = (uint8_t *)*product};
    mul_strips(&m, u->n_strips);
}

/* One strip's products of 16 tokens: to the sums, or after the last columns to y. */
static void add_strip(struct wide *w, const struct pending *p, uint32_t s)
{
    const struct rz_matmul_args *a = w->a;
    const bool first = p->u.tile == 0, last = p->u.tile + p->u.n_tiles == w->n_tiles;
    const uint32_t row = p->u.row + s * RZ_STRIP_ROWS, token = w->token + p->i_pass * TILE_ROWS;
    const uint32_t n_rows = min_u32(a->row_end - row, RZ_STRIP_ROWS);
    const uint32_t n = min_u32(a->x->n_rows - token, TILE_ROWS);
    const vflt bias = last && a->bias ? vf_loadn(a->bias + row, n_rows) : vf_set1(0);
    for (uint32_t t = 0; t < n; t++) {
        float *sum = w->sum[p->u.in_group][p->i_pass][s][t];
        vflt v = vf_load((*p->product)[s][t]);
        if (!first)
            v = vf_add(vf_load(sum), v);
        if (!last) {
            vf_store(sum, v);
            continue;
        }
        if (a->bias)
            v = vf_add(v, bias);
        vf_storen(a->y + (token + t) * a->y_stride + row, v, n_rows);
    }
}

static void add_pending(struct wide *w, const struct pending *p)
{
    for (uint32_t s = 0; p->product && s < p->u.n_strips; s++)
        add_strip(w, p, s);
}

/* Every unit for the tokens from w->token on. */
static void multiply_tokens(struct wide *w)
{
    struct unit u = unit_at(w, w->a->row_begin, 0);
    struct pending p = {.product = NULL};
    unsigned now = 0, toggle = 0;
    unpack_part(w, &u, &w->panel[now], 0, u.n_strips * u.n_tiles);
    for (bool more = true; more; now ^= 1) {
        struct unit next = u;
        more = next_unit(w, &next);
        const uint32_t n_unpack = more ? next.n_strips * next.n_tiles : 0;
        for (uint32_t i = 0; i < w->n_passes; i++) {
            sums *product = &w->product[toggle ^= 1];
            multiply(w, &u, &w->panel[now], i, product);
            add_pending(w, &p);
            p = (struct pending){.u = u, .i_pass = i, .product = product};
            unpack_part(w, &next, &w->panel[now ^ 1], n_unpack * i / w->n_passes,
                        n_unpack * (i + 1) / w->n_passes);
        }
        u = next;
    }
    add_pending(w, &p);
}

static void matmul_wide(const struct rz_matmul_args *a, unpack_fn *unpack)
{
    struct wide w;
    w.a = a;
    w.unpack = unpack;
    w.n_tiles = (a->x->n_cols + TILE_COLS - 1) / TILE_COLS;
    tiles_begin();
    for (w.token = 0; w.token < a->x->n_rows; w.token += PASS_TOKENS) {
        const uint32_t n = min_u32(a->x->n_rows - w.token, PASS_TOKENS);
        w.n_passes = (n + TILE_ROWS - 1) / TILE_ROWS;
        multiply_tokens(&w);
    }
    tiles_end();
}

static void unpack_q4_0(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q4_0());
}

static void unpack_q4_1(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q4_1());
}

static void unpack_q5_0(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q5_0());
}

static void unpack_q5_1(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q5_1());
}

static void unpack_q8_0(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q8_0());
}

static void unpack_q2_k(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q2_k());
}

static void unpack_q3_k(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q3_k());
}

static void unpack_q4_k(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q4_k());
}

static void unpack_q5_k(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q5_k());
}

static void unpack_q6_k(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_q6_k());
}

static void unpack_iq4_nl(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_iq4_nl());
}

static void unpack_iq4_xs(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    unpack_tile(strip, tile, &w->factors, out, format_iq4_xs());
}

/* Packed rows are of whole pairs of columns, as the tile's are. */
static void unpack_bf16(struct wide *w, const uint8_t *strip, uint32_t tile, uint8_t *out)
{
    const uint32_t n_pairs = (w->a->x->n_cols + 1) / 2 - tile * TILE_ROWS;
    const uint8_t *from = strip + (size_t)tile * TILE_BYTES;
    for (uint32_t k = 0; k < TILE_ROWS; k++)
        vi_store(out + k * TILE_ROW_BYTES,
                 k < n_pairs ? vi_load(from + k * TILE_ROW_BYTES) : vi_set1(0));
}

static void matmul_q4_0(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q4_0);
}

static void matmul_q4_1(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q4_1);
}

static void matmul_q5_0(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q5_0);
}

static void matmul_q5_1(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q5_1);
}

static void matmul_q8_0(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q8_0);
}

static void matmul_q2_k(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q2_k);
}

static void matmul_q3_k(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q3_k);
}

static void matmul_q4_k(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q4_k);
}

static void matmul_q5_k(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q5_k);
}

static void matmul_q6_k(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_q6_k);
}

static void matmul_iq4_nl(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_iq4_nl);
}

static void matmul_iq4_xs(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_iq4_xs);
}

static void matmul_bf16(const struct rz_matmul_args *a)
{
    matmul_wide(a, unpack_bf16);
}

/* Whether the tile unit does what the manual says, on small integers, whose products are exact.
 * A hypervisor or a kernel may offer AMX and not save its registers rightly; then the level below
 * is used, and named. */
static bool tiles_work(const struct rz_kernels *k)
{
    enum {
        N_ROWS = STRIPS * RZ_STRIP_ROWS,
        N_TOKENS = TILE_ROWS + 1,
        N_COLS = 2 * TILE_COLS
    };
    static const float w_cycle[] = {-3, 1, 4, -1, 5, 9, 2, -6, 5, 3, 7};
    static const float x_cycle[] = {2, 7, -1, 8, -2, 4, 6};
    _Alignas(64) uint16_t w[STRIPS][N_COLS / 2][RZ_STRIP_ROWS][2], tiles[2 * TILE_ROWS * N_COLS];
    float x[N_TOKENS * N_COLS], y[N_TOKENS * N_ROWS];
    float w_float[N_ROWS][N_COLS];
    for (uint32_t r = 0; r < N_ROWS; r++) {
        for (uint32_t c = 0; c < N_COLS; c++) {
            w_float[r][c] = w_cycle[(7 * r + c) % RZ_ARRAY_LEN(w_cycle)];
            const uint32_t bits = rz_f32_bits(w_float[r][c]);
            w[r / RZ_STRIP_ROWS][c / 2][r % RZ_STRIP_ROWS][c % 2] = (uint16_t)(bits >> 16);
        }
    }
    for (uint32_t i = 0; i < N_TOKENS * N_COLS; i++)
        x[i] = x_cycle[(i + i / N_COLS) % RZ_ARRAY_LEN(x_cycle)];
    k->bf16_tiles(x, N_COLS, TILE_ROWS, N_COLS, tiles);
    k->bf16_tiles(x + TILE_ROWS * N_COLS, N_COLS, N_TOKENS - TILE_ROWS, N_COLS,
                  tiles + TILE_ROWS * N_COLS);
    const struct rz_act act = {.n_rows = N_TOKENS, .n_cols = N_COLS, .bf16 = tiles};
    matmul_bf16(&(struct rz_matmul_args){.w = w,
                                         .w_row_bytes = 2 * N_COLS,
                                         .row_end = N_ROWS,
                                         .x = &act,
                                         .y = y,
                                         .y_stride = N_ROWS});
    for (uint32_t i = 0; i < N_TOKENS * N_ROWS; i++) {
        float want = 0;
        for (uint32_t c = 0; c < N_COLS; c++)
            want += w_float[i % N_ROWS][c] * x[i / N_ROWS * N_COLS + c];
        if (y[i] != want)
            return false;
    }
    return true;
}

void rz_kernels_matmul_amx(struct rz_kernels *k)
{
    if (!tiles_work(k)) {
        k->cpu_flags = (k->cpu_flags & ~(unsigned)RZ_CPU_AMX) | RZ_CPU_AMX_FAULTY;
        return;
    }
    k->wide_from = WIDE_FROM;
    k->matmul_wide[RZ_Q4_0] = matmul_q4_0;
    k->matmul_wide[RZ_Q4_1] = matmul_q4_1;
    k->matmul_wide[RZ_Q5_0] = matmul_q5_0;
    k->matmul_wide[RZ_Q5_1] = matmul_q5_1;
    k->matmul_wide[RZ_Q8_0] = matmul_q8_0;
    k->matmul_wide[RZ_Q2_K] = matmul_q2_k;
    k->matmul_wide[RZ_Q3_K] = matmul_q3_k;
    k->matmul_wide[RZ_Q4_K] = matmul_q4_k;
    k->matmul_wide[RZ_Q5_K] = matmul_q5_k;
    k->matmul_wide[RZ_Q6_K] = matmul_q6_k;
    k->matmul_wide[RZ_IQ4_NL] = matmul_iq4_nl;
    k->matmul_wide[RZ_IQ4_XS] = matmul_iq4_xs;
    k->matmul_wide[RZ_BF16] = matmul_bf16;
}
