/* check-kernels-data.c - exactly sized buffers and worst-case weights. */
#include "check-kernels.h"

#include "base/f16.h"
#include "quant/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    CANARY = 0xA5,
    CANARY_BYTES = 64
};

struct ck_buf ck_alloc(size_t bytes, size_t align)
{
    size_t room = (bytes + align - 1) / align * align;
    size_t pages = (room + CANARY_BYTES + PAGE - 1) / PAGE;
    struct ck_buf b = {.bytes = bytes, .map_bytes = (pages + 1) * PAGE};
    b.map = mmap(NULL, b.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b.map == MAP_FAILED || mprotect(b.map + pages * PAGE, PAGE, PROT_NONE) != 0) {
        perror("check-kernels: mmap");
        exit(1);
    }
    memset(b.map, CANARY, pages * PAGE);
    b.data = b.map + pages * PAGE - room;
    return b;
}

void *ck_data(const struct ck_buf *b)
{
    return b->data;
}

bool ck_intact(const struct ck_buf *b)
{
    const uint8_t *start = b->data, *end = b->map + b->map_bytes - PAGE;
    for (int i = 1; i <= CANARY_BYTES; i++) {
        if (start[-i] != CANARY)
            return false;
    }
    for (const uint8_t *p = start + b->bytes; p < end; p++) {
        if (*p != CANARY)
            return false;
    }
    return true;
}

void ck_free(struct ck_buf *b)
{
    munmap(b->map, b->map_bytes);
}

/* Where a block has its binary16 factors: the others are codes, free to be anything. */
static int half_offsets(rz_dtype type, int offset[2])
{
    static const struct {
        rz_dtype type;
        int n, offset[2];
    } halves[] = {
        {RZ_Q4_0, 1, {0}},    {RZ_Q4_1, 2, {0, 2}},   {RZ_Q5_0, 1, {0}},   {RZ_Q5_1, 2, {0, 2}},
        {RZ_Q8_0, 1, {0}},    {RZ_Q2_K, 2, {80, 82}}, {RZ_Q3_K, 1, {108}}, {RZ_Q4_K, 2, {0, 2}},
        {RZ_Q5_K, 2, {0, 2}}, {RZ_Q6_K, 1, {208}},    {RZ_IQ4_NL, 1, {0}}, {RZ_IQ4_XS, 1, {0}},
    };
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        if (halves[i].type == type) {
            memcpy(offset, halves[i].offset, sizeof halves[i].offset);
            return halves[i].n;
        }
    }
    return 0;
}

static float scale_of(struct check *c, enum ck_weights kind)
{
    float sign = ck_below(c, 2) ? 1.0f : -1.0f;
    switch (kind) {
    case CK_W_HUGE:
        return sign * 65504;
    case CK_W_SUBNORMAL:
        return sign * (float)(1 + ck_below(c, 1023)) * 0x1p-24f;
    default:
        return sign * ck_uniform(c, 1e-4f, 0.05f);
    }
}

static void fill_floats(struct check *c, rz_dtype type, enum ck_weights kind, uint8_t *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float f = kind == CK_W_RANDOM ? ck_normal(c) : scale_of(c, kind);
        f = kind == CK_W_ZEROS ? 0 : f;
        rz_dtype_info(type)->encode(&f, w + i * rz_dtype_info(type)->block_bytes, 1);
    }
}

void ck_fill_weights(struct check *c, rz_dtype type, enum ck_weights kind, uint8_t *w,
                     size_t n_blocks)
{
    int offset[2], n_halves = half_offsets(type, offset);
    size_t block_bytes = rz_dtype_info(type)->block_bytes;
    if (n_halves == 0) {
        fill_floats(c, type, kind, w, n_blocks);
        return;
    }
    for (size_t i = 0; i < n_blocks * block_bytes; i++)
        w[i] = kind == CK_W_ONES ? 0xFF : kind == CK_W_ZEROS ? 0 : (uint8_t)rz_rng_u64(&c->rng);
    for (size_t b = 0; b < n_blocks; b++) {
        for (int i = 0; i < n_halves; i++) {
            rz_f16 h = rz_f32_to_f16(scale_of(c, kind));
            memcpy(w + b * block_bytes + offset[i], &h, sizeof h);
        }
    }
}

void ck_copy_factors(const struct rz_act_factors *to, size_t at, const struct rz_act_factors *from,
                     size_t i)
{
    to->scale[at] = from->scale[i];
    to->min_factor[at] = from->min_factor[i];
    to->neg_sum[at] = from->neg_sum[i];
    memcpy(to->min_factor16 + 2 * at, from->min_factor16 + 2 * i, 2 * sizeof *to->min_factor16);
    memcpy(to->neg_sum16 + 2 * at, from->neg_sum16 + 2 * i, 2 * sizeof *to->neg_sum16);
}
