/* gguf_build.c - GGUF files in memory, for tests. Source: the GGUF specification. */
#include "support/gguf_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gb_init(struct gguf_build *b)
{
    *b = (struct gguf_build){.magic = {'G', 'G', 'U', 'F'}, .version = 3, .alignment = 32};
}

void gb_fini(struct gguf_build *b)
{
    free(b->meta.data);
    free(b->infos.data);
    free(b->data.data);
    free(b->file.data);
    *b = (struct gguf_build){0};
}

void gb_put(struct gb_bytes *bytes, const void *data, size_t len)
{
    if (bytes->len + len > bytes->cap) {
        bytes->cap = 2 * (bytes->len + len) + 64;
        bytes->data = realloc(bytes->data, bytes->cap);
        if (!bytes->data)
            abort();
    }
    if (len && data)
        memcpy(bytes->data + bytes->len, data, len);
    else if (len)
        memset(bytes->data + bytes->len, 0, len);
    bytes->len += len;
}

void gb_put_u32(struct gb_bytes *bytes, uint32_t value)
{
    gb_put(bytes, &value, sizeof value);
}

void gb_put_u64(struct gb_bytes *bytes, uint64_t value)
{
    gb_put(bytes, &value, sizeof value);
}

void gb_put_text(struct gb_bytes *bytes, const char *text)
{
    gb_put_u64(bytes, strlen(text));
    gb_put(bytes, text, strlen(text));
}

void gb_key(struct gguf_build *b, const char *key, uint32_t type)
{
    b->n_meta++;
    gb_put_text(&b->meta, key);
    gb_put_u32(&b->meta, type);
}

void gb_u8(struct gguf_build *b, const char *key, uint8_t value)
{
    gb_key(b, key, GB_U8);
    gb_put(&b->meta, &value, sizeof value);
}

void gb_u16(struct gguf_build *b, const char *key, uint16_t value)
{
    gb_key(b, key, GB_U16);
    gb_put(&b->meta, &value, sizeof value);
}

void gb_u32(struct gguf_build *b, const char *key, uint32_t value)
{
    gb_key(b, key, GB_U32);
    gb_put_u32(&b->meta, value);
}

void gb_i32(struct gguf_build *b, const char *key, int32_t value)
{
    gb_key(b, key, GB_I32);
    gb_put(&b->meta, &value, sizeof value);
}

void gb_u64(struct gguf_build *b, const char *key, uint64_t value)
{
    gb_key(b, key, GB_U64);
    gb_put_u64(&b->meta, value);
}

void gb_f32(struct gguf_build *b, const char *key, float value)
{
    gb_key(b, key, GB_F32);
    gb_put(&b->meta, &value, sizeof value);
}

void gb_bool(struct gguf_build *b, const char *key, bool value)
{
    const uint8_t byte = value;
    gb_key(b, key, GB_BOOL);
    gb_put(&b->meta, &byte, 1);
}

void gb_string(struct gguf_build *b, const char *key, const char *text)
{
    gb_key(b, key, GB_STRING);
    gb_put_text(&b->meta, text);
}

void gb_strings(struct gguf_build *b, const char *key, const char *const *items, size_t n)
{
    gb_key(b, key, GB_ARRAY);
    gb_put_u32(&b->meta, GB_STRING);
    gb_put_u64(&b->meta, n);
    for (size_t i = 0; i < n; i++)
        gb_put_text(&b->meta, items[i]);
}

void gb_numbers(struct gguf_build *b, const char *key, enum gb_type type, const void *items,
                size_t n)
{
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    gb_key(b, key, GB_ARRAY);
    gb_put_u32(&b->meta, type);
    gb_put_u64(&b->meta, n);
    gb_put(&b->meta, items, n * sizes[type]);
}

void gb_info(struct gguf_build *b, const char *name, uint32_t n_dims,
             const uint64_t *dims_as_stored, uint32_t type, uint64_t offset)
{
    b->n_tensors++;
    gb_put_text(&b->infos, name);
    gb_put_u32(&b->infos, n_dims);
    gb_put(&b->infos, dims_as_stored, n_dims * sizeof *dims_as_stored);
    gb_put_u32(&b->infos, type);
    gb_put_u64(&b->infos, offset);
}

static void pad(struct gb_bytes *bytes, uint64_t alignment)
{
    if (alignment > 1)
        gb_put(bytes, NULL, (alignment - bytes->len % alignment) % alignment);
}

void gb_tensor(struct gguf_build *b, const struct gb_tensor *t)
{
    uint64_t stored[4] = {0};
    for (uint32_t i = 0; i < t->n_dims; i++)
        stored[i] = t->shape[t->n_dims - 1 - i];
    pad(&b->data, b->alignment);
    gb_info(b, t->name, t->n_dims, stored, t->type, b->data.len);
    gb_put(&b->data, t->data, t->n_bytes);
}

void gb_tensor_f32(struct gguf_build *b, const char *name, uint32_t n_dims, const uint64_t *shape,
                   const float *data)
{
    struct gb_tensor t = {.name = name, .n_dims = n_dims, .data = data, .n_bytes = sizeof *data};
    for (uint32_t i = 0; i < n_dims; i++) {
        t.shape[i] = shape[i];
        t.n_bytes *= shape[i];
    }
    gb_tensor(b, &t);
}

const uint8_t *gb_build(struct gguf_build *b, size_t *len)
{
    b->file.len = 0;
    gb_put(&b->file, b->magic, 4);
    gb_put_u32(&b->file, b->version);
    gb_put_u64(&b->file, b->n_tensors);
    gb_put_u64(&b->file, b->n_meta);
    gb_put(&b->file, b->meta.data, b->meta.len);
    gb_put(&b->file, b->infos.data, b->infos.len);
    if (b->data.len) {
        pad(&b->file, b->alignment);
        gb_put(&b->file, b->data.data, b->data.len);
    }
    *len = b->file.len;
    return b->file.data;
}

bool gb_write(struct gguf_build *b, const char *path)
{
    size_t len;
    const uint8_t *data = gb_build(b, &len);
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool ok = fwrite(data, 1, len, f) == len;
    return fclose(f) == 0 && ok;
}
