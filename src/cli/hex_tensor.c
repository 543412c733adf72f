/* hex_tensor.c - bytes, blocks and values of a tensor, and what they are like as a whole. */
#include "base/fail.h"
#include "cli/cli.h"
#include "cli/hex_parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <realizar/block_view.h>
#include <string.h>

enum {
    VALUES_AT_A_TIME = 4096,
    N_BARS = 20,
    BAR_COLUMNS = 50,
    CODES_PER_ROW = 32
};

void cli_hex_dump(const uint8_t *data, size_t len, uint64_t base, unsigned width)
{
    for (size_t at = 0; at < len; at += width) {
        printf("%010" PRIx64 " ", base + at);
        for (size_t i = 0; i < width; i++) {
            if (i % 8 == 0)
                putchar(' ');
            if (at + i < len)
                printf("%02x ", data[at + i]);
            else
                fputs("   ", stdout);
        }
        fputs(" |", stdout);
        for (size_t i = 0; i < width && at + i < len; i++)
            putchar(data[at + i] >= 0x20 && data[at + i] < 0x7F ? data[at + i] : '.');
        puts("|");
    }
}

/* ---- blocks ---- */

static void print_field(const rz_block_field *f, const uint8_t *block)
{
    printf("    +%-4u %-9s", f->offset, f->name);
    if (f->kind == RZ_FIELD_F16) {
        const uint8_t *p = block + f->offset;
        printf(" %02x %02x = %.9g", p[0], p[1], (double)rz_block_f16(p));
    } else {
        for (uint32_t i = 0; i < f->n_bytes; i++) {
            if (i > 0 && i % CODES_PER_ROW == 0)
                printf("\n%*s", 18, "");
            printf(" %02x", block[f->offset + i]);
        }
    }
    printf("   (%s)\n", f->meaning);
}

static float field_f16(rz_dtype type, const uint8_t *block, const char *name)
{
    const rz_block_field *f;
    size_t n = rz_dtype_fields(type, &f);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(f[i].name, name))
            return rz_block_f16(block + f[i].offset);
    return 0;
}

/* "= d x 37": a group's scale is exactly a small integer times the block's factor. */
static void print_factor(const char *name, float factor, float value)
{
    if (factor != 0 && isfinite(value / factor))
        printf(" (%s x %.0f)", name, (double)(value / factor));
}

static void print_codes(rz_dtype type, const uint8_t *block)
{
    rz_block_view v;
    if (!rz_block_unpack(type, block, &v))
        return;
    float d = field_f16(type, block, "d"), dmin = field_f16(type, block, "dmin");
    bool has_min = false, super = v.n == RZ_VIEW_ELEMENTS;
    for (uint32_t g = 0; g < v.n / RZ_VIEW_GROUP; g++)
        has_min = has_min || v.min[g] != 0;
    for (uint32_t g = 0; g < v.n / RZ_VIEW_GROUP; g++) {
        printf("    elements %3u-%-3u  scale %.9g", g * RZ_VIEW_GROUP,
               g * RZ_VIEW_GROUP + RZ_VIEW_GROUP - 1, (double)v.scale[g]);
        if (super)
            print_factor("d", d, v.scale[g]);
        if (has_min) {
            printf("  min %.9g", (double)v.min[g]);
            if (super)
                print_factor("dmin", dmin, v.min[g]);
        }
        fputs("\n      codes", stdout);
        for (uint32_t i = 0; i < RZ_VIEW_GROUP; i++)
            printf(" %4d", v.code[g * RZ_VIEW_GROUP + i]);
        putchar('\n');
    }
}

void cli_hex_blocks(const rz_tensor *t, uint64_t first, uint64_t n)
{
    uint32_t bytes = rz_dtype_block_bytes(t->dtype), len = rz_dtype_block_len(t->dtype);
    const rz_block_field *fields;
    size_t n_fields = rz_dtype_fields(t->dtype, &fields);
    printf("%s: blocks of %u elements in %u bytes", rz_dtype_name(t->dtype), len, bytes);
    puts(len > 1 ? "; element = scale x code - min" : "");
    uint64_t per_row = rz_tensor_cols(t) / len;
    for (uint64_t i = first; i < first + n; i++) {
        const uint8_t *block = (const uint8_t *)t->data + i * bytes;
        printf("  block %" PRIu64 ": row %" PRIu64 ", columns %" PRIu64 "-%" PRIu64
               ", byte %" PRIu64 "\n",
               i, i / per_row, i % per_row * len, i % per_row * len + len - 1, i * bytes);
        for (size_t k = 0; k < n_fields; k++)
            print_field(&fields[k], block);
        print_codes(t->dtype, block);
        if (len == 1) {
            float value;
            rz_tensor_decode(t, i, 1, &value);
            printf("    value %.9g\n", (double)value);
        }
    }
}

/* ---- values ---- */

rz_status cli_hex_values(const rz_tensor *t, uint64_t first, uint64_t n, unsigned per_row,
                         rz_error *err)
{
    float *values = malloc(VALUES_AT_A_TIME * sizeof *values);
    if (!values)
        return rz_fail_nomem(err, VALUES_AT_A_TIME * sizeof *values, "values");
    uint64_t cols = rz_tensor_cols(t), column = 0;
    size_t at = 0, have = 0;
    for (uint64_t i = first; i < first + n; i++) {
        if (at == have) {
            uint64_t left = first + n - i;
            have = left < VALUES_AT_A_TIME ? (size_t)left : VALUES_AT_A_TIME;
            rz_tensor_decode(t, i, have, values);
            at = 0;
        }
        /* A row of the tensor begins a row here, so that columns stand below each other. */
        if (i == first || i % cols == 0 || column == per_row) {
            printf("%s[%" PRIu64 ", %" PRIu64 "]", i == first ? "" : "\n", i / cols, i % cols);
            column = 0;
        }
        printf(" %.9g", (double)values[at++]);
        column++;
    }
    putchar('\n');
    free(values);
    return RZ_OK;
}

/* ---- as a whole ---- */

void cli_hex_entropy(const uint8_t *data, size_t len)
{
    uint64_t counts[256] = {0};
    for (size_t i = 0; i < len; i++)
        counts[data[i]]++;
    double bits = 0;
    unsigned commonest = 0, distinct = 0;
    for (unsigned i = 0; i < 256; i++) {
        if (counts[i]) {
            double p = (double)counts[i] / (double)len;
            bits -= p * log2(p);
            distinct++;
        }
        commonest = counts[i] > counts[commonest] ? i : commonest;
    }
    printf("entropy: %.4f bits a byte over %zu bytes, %u distinct bytes, the commonest 0x%02x "
           "(%.2f %%)\n",
           bits, len, distinct, commonest, len ? 100 * (double)counts[commonest] / (double)len : 0);
}

/* Counts of N_BARS equal parts of min ... max. */
static void count_bars(const rz_tensor *t, const rz_tensor_stats *s, uint64_t bars[N_BARS],
                       float *values)
{
    double width = (s->max - s->min) / N_BARS;
    for (uint64_t at = 0; at < s->count; at += VALUES_AT_A_TIME) {
        uint64_t left = s->count - at;
        size_t n = left < VALUES_AT_A_TIME ? (size_t)left : VALUES_AT_A_TIME;
        rz_tensor_decode(t, at, n, values);
        for (size_t i = 0; i < n; i++) {
            if (!isfinite(values[i]))
                continue;
            double bar = width > 0 ? ((double)values[i] - s->min) / width : 0;
            bars[bar < N_BARS ? (size_t)bar : N_BARS - 1]++;
        }
    }
}

rz_status cli_hex_distribution(const rz_tensor *t, rz_error *err)
{
    rz_tensor_scan *scan = NULL;
    rz_tensor_stats s;
    uint64_t bars[N_BARS] = {0}, highest = 1;
    float *values = malloc(VALUES_AT_A_TIME * sizeof *values);
    rz_status status = values ? rz_tensor_scan_new(&scan, 0, err)
                              : rz_fail_nomem(err, VALUES_AT_A_TIME * sizeof *values, "values");
    if (!status)
        status = rz_tensor_scan_stats(scan, t, &s, err);
    if (!status) {
        count_bars(t, &s, bars, values);
        printf("distribution: %" PRIu64 " elements, mean %.6g, std %.6g, %" PRIu64 " NaN, %" PRIu64
               " infinite\n",
               s.count, s.mean, s.std, s.n_nan, s.n_inf);
        for (int i = 0; i < N_BARS; i++)
            highest = bars[i] > highest ? bars[i] : highest;
        for (int i = 0; i < N_BARS && s.n_finite > 0; i++) {
            double from = s.min + (s.max - s.min) * i / N_BARS;
            printf("  %13.6g %12" PRIu64 " %6.2f %% ", from, bars[i],
                   100 * (double)bars[i] / (double)s.n_finite);
            for (uint64_t k = 0; k < bars[i] * BAR_COLUMNS / highest; k++)
                putchar('#');
            putchar('\n');
        }
        if (s.n_finite > 0)
            printf("  %13.6g\n", s.max);
    }
    rz_tensor_scan_free(&scan);
    free(values);
    return status;
}
