/* read_all.c - see read_all.h. */
#include "support/read_all.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static volatile uint64_t sink;

static void read_element(const rz_meta *meta, uint64_t i)
{
    if (meta->elem_type == RZ_META_STRING) {
        rz_slice s = rz_meta_string(meta, i);
        if (s.len)
            sink += (uint8_t)s.data[0] + (uint8_t)s.data[s.len - 1];
    } else if (meta->elem_type == RZ_META_F32 || meta->elem_type == RZ_META_F64) {
        sink += rz_meta_float(meta, i) > 0;
    } else if (meta->elem_type != RZ_META_ARRAY) {
        sink += (uint64_t)rz_meta_int(meta, i);
        sink += rz_meta_float(meta, i) > 0;
    }
}

static void read_meta(const rz_file *file, const rz_meta *meta)
{
    char key[128];
    uint32_t u;
    float f;
    bool flag;
    rz_slice s;
    const rz_meta *array;
    for (uint64_t i = 0; i < meta->count; i++)
        read_element(meta, i);
    if (meta->key.len >= sizeof key)
        return;
    memcpy(key, meta->key.data, meta->key.len);
    key[meta->key.len] = '\0';
    CHECK(rz_file_meta(file, key) == meta);
    if (!rz_file_get_u32(file, key, &u, NULL, NULL))
        sink += u;
    if (!rz_file_get_f32(file, key, &f, NULL, NULL))
        sink += f > 0;
    if (!rz_file_get_bool(file, key, &flag, NULL, NULL))
        sink += flag;
    if (!rz_file_get_string(file, key, &s, NULL, NULL))
        sink += s.len;
    CHECK(rz_file_get_array(file, key, meta->elem_type, &array, NULL, NULL) ==
          (meta->type == RZ_META_ARRAY ? RZ_OK : RZ_EFORMAT));
}

static void read_tensor(const rz_file *file, const rz_tensor *t)
{
    const uint8_t *bytes = t->data;
    CHECK(t->n_bytes > 0 && t->n_dims >= 1 && t->n_dims <= RZ_MAX_DIMS);
    sink += bytes[0] + bytes[t->n_bytes - 1];
    uint64_t n = 1;
    for (uint32_t i = 0; i < RZ_MAX_DIMS; i++)
        n *= t->shape[i];
    CHECK(n / rz_dtype_block_len(t->dtype) * rz_dtype_block_bytes(t->dtype) == t->n_bytes);
    CHECK(rz_file_tensor(file, t->name) == t);
}

void read_all(const rz_file *file)
{
    for (size_t i = 0; i < rz_file_n_meta(file); i++)
        read_meta(file, rz_file_meta_at(file, i));
    for (size_t i = 0; i < rz_file_n_tensors(file); i++)
        read_tensor(file, rz_file_tensor_at(file, i));
}
