/* dotapr_build.c - .apr files for tests. Source: docs/formats.md. */
#include "support/dotapr_build.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void put(struct gb_bytes *b, uint64_t value, size_t n)
{
    gb_put(b, &value, n); /* little-endian */
}

static void pad(struct gb_bytes *b)
{
    while (b->len % 64)
        put(b, 0, 1);
}

void ab_init(struct dotapr_build *b, const char *json)
{
    *b = (struct dotapr_build){.json = json, .flags = 0x0400, .footer = true};
}

void ab_fini(struct dotapr_build *b)
{
    free(b->index.data);
    free(b->data.data);
    free(b->file.data);
}

void ab_entry(struct dotapr_build *b, const struct ab_tensor *t, uint64_t offset)
{
    put(&b->index, strlen(t->name), 2);
    gb_put(&b->index, t->name, strlen(t->name));
    put(&b->index, t->code, 1);
    put(&b->index, t->n_dims, 1);
    for (int i = 0; i < t->n_dims; i++)
        put(&b->index, i < 8 ? t->dims[i] : 1, 8);
    put(&b->index, offset, 8);
    put(&b->index, t->n_bytes, 8);
    b->n_tensors++;
}

void ab_tensor(struct dotapr_build *b, const struct ab_tensor *t)
{
    ab_entry(b, t, b->data.len);
    if (t->data)
        gb_put(&b->data, t->data, t->n_bytes);
    else
        for (size_t i = 0; i < t->n_bytes; i++)
            put(&b->data, 0, 1);
    pad(&b->data);
}

void ab_tensor_f32(struct dotapr_build *b, const char *name, uint64_t rows, uint64_t cols,
                   const float *data)
{
    struct ab_tensor t = {.name = name,
                          .n_dims = rows ? 2 : 1,
                          .dims = {rows ? rows : cols, cols},
                          .data = data,
                          .n_bytes = (size_t)((rows ? rows : 1) * cols * 4)};
    ab_tensor(b, &t);
}

void ab_seal(uint8_t *file)
{
    uint8_t bytes[60];
    memcpy(bytes, file, 40);
    memcpy(bytes + 40, file + 44, 20);
    uint32_t crc = (uint32_t)crc32(0, bytes, sizeof bytes);
    memcpy(file + 40, &crc, 4);
}

uint8_t *ab_build(struct dotapr_build *b, size_t *len)
{
    struct gb_bytes *f = &b->file;
    size_t json_len = strlen(b->json);
    f->len = 0;
    b->index_at = 64 + (json_len + 63) / 64 * 64;
    b->data_at = b->index_at + (b->index.len + 63) / 64 * 64;
    gb_put(f, "APR\0\2\0", 6);
    put(f, b->flags, 2);
    put(f, b->n_tensors, 4);
    put(f, 64, 8);
    put(f, json_len, 4);
    put(f, b->index_at, 8);
    put(f, b->data_at, 8);
    pad(f);
    ab_seal(f->data);
    gb_put(f, b->json, json_len);
    pad(f);
    if (b->index.len)
        gb_put(f, b->index.data, b->index.len);
    pad(f);
    if (b->data.len)
        gb_put(f, b->data.data, b->data.len);
    if (b->footer)
        put(f, crc32(0, f->data, (uInt)f->len), 4);
    *len = f->len;
    return f->data;
}
