/* gguf_tensors.c - tensor infos, and where their data lies.
 *
 * Invariant of every tensor that is added: its dimensions are not zero and their product and its
 * bytes fit 63 bits; a row is a whole number of blocks; its data is aligned, lies inside the file
 * and overlaps no other's. Gaps between tensors are allowed, and bytes after the last. */
#include "base/checked.h"
#include "base/fail.h"
#include "formats/gguf.h"
#include "quant/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIELD_BYTES = RZ_MAX_TENSOR_NAME_BYTES + 16
};

/* Where a tensor lies, in file offsets. */
struct extent {
    uint64_t begin, end;
    const char *name;
};

static rz_status read_dims(struct gguf_reader *r, const char *field, rz_tensor *t)
{
    size_t at = r->pos;
    RZ_TRY(rz_gguf_u32(r, field, &t->n_dims));
    if (t->n_dims == 0 || t->n_dims > RZ_MAX_DIMS)
        return rz_gguf_bad(r, at, field, "%u dimensions, must be 1 to %d", t->n_dims, RZ_MAX_DIMS);
    for (uint32_t i = 0; i < RZ_MAX_DIMS; i++)
        t->shape[i] = 1;
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        /* The file's first dimension is the contiguous one, ours is the last. */
        uint64_t *dim = &t->shape[t->n_dims - 1 - i];
        at = r->pos;
        RZ_TRY(rz_gguf_u64(r, field, dim));
        if (*dim == 0)
            return rz_gguf_bad(r, at, field, "dimension %u is 0", i);
        if (!rz_mul_u64(n, *dim, &n) || n > INT64_MAX)
            return rz_gguf_bad(r, at, field, "dimension %u is %llu: more than 2^63 elements", i,
                               (unsigned long long)*dim);
    }
    return RZ_OK;
}

static rz_status unsupported(struct gguf_reader *r, size_t at, const char *field, const char *name,
                             uint32_t id)
{
    return rz_fail(r->err, RZ_ELOAD,
                   "%s: %s at byte %zu: type %s (%u) is not supported (supported: %s)", r->label,
                   field, at, name, id, rz_dtype_list());
}

static rz_status read_type(struct gguf_reader *r, const char *field, rz_tensor *t)
{
    size_t at = r->pos;
    uint32_t id;
    uint64_t bytes;
    RZ_TRY(rz_gguf_u32(r, field, &id));
    if (!rz_dtype_from_gguf(id, &t->dtype)) {
        const char *name = rz_gguf_type_name(id);
        if (name)
            return unsupported(r, at, field, name, id);
        return rz_gguf_bad(r, at, field, "type %u is unknown or was withdrawn from GGUF", id);
    }
    uint64_t cols = t->shape[t->n_dims - 1], block_len = rz_dtype_block_len(t->dtype);
    if (cols % block_len != 0)
        return rz_gguf_bad(r, at, field, "rows of %llu are not whole %s blocks of %llu",
                           (unsigned long long)cols, rz_dtype_name(t->dtype),
                           (unsigned long long)block_len);
    bool fits = rz_dtype_row_bytes(t->dtype, cols, &bytes);
    for (uint32_t i = 0; fits && i + 1 < t->n_dims; i++)
        fits = rz_mul_u64(bytes, t->shape[i], &bytes);
    if (!fits || bytes > INT64_MAX)
        return rz_gguf_bad(r, at, field, "takes more than 2^63 bytes");
    t->n_bytes = bytes;
    return RZ_OK;
}

static rz_status keep_tensor(struct gguf_reader *r, size_t at, const char *field,
                             const rz_tensor *t)
{
    switch (rz_file_add_tensor(r->file, t)) {
    case RZ_ADD_DUPLICATE:
        return rz_gguf_bad(r, at, field, "the name occurs twice");
    case RZ_ADD_CROWDED:
        return rz_gguf_bad(r, at, field, "too many names that hash alike");
    case RZ_ADD_NOMEM:
        return rz_fail_nomem(r->err, sizeof *t, "tensors");
    case RZ_ADDED:
        break;
    }
    return RZ_OK;
}

/* One info. file_offset is still relative to the data section, whose start is not known yet. */
static rz_status read_info(struct gguf_reader *r, uint64_t i)
{
    char field[FIELD_BYTES];
    rz_tensor t = {0};
    rz_slice name;
    size_t at = r->pos;
    snprintf(field, sizeof field, "tensor %llu of %llu", (unsigned long long)i,
             (unsigned long long)r->n_tensors);
    RZ_TRY(rz_gguf_name(r, RZ_MAX_TENSOR_NAME_BYTES, field, &name));
    t.name = rz_arena_strdup(&r->file->arena, name.data, name.len);
    if (!t.name)
        return rz_fail_nomem(r->err, name.len + 1, "a tensor's name");
    snprintf(field, sizeof field, "tensor %s", t.name);
    RZ_TRY(read_dims(r, field, &t));
    RZ_TRY(read_type(r, field, &t));
    size_t offset_at = r->pos;
    RZ_TRY(rz_gguf_u64(r, field, &t.file_offset));
    if (t.file_offset % r->alignment != 0)
        return rz_gguf_bad(r, offset_at, field,
                           "offset %llu is not a multiple of the alignment %llu",
                           (unsigned long long)t.file_offset, (unsigned long long)r->alignment);
    return keep_tensor(r, at, field, &t);
}

static rz_status place(struct gguf_reader *r, uint64_t data_begin, rz_tensor *t)
{
    char field[FIELD_BYTES];
    uint64_t begin, end;
    if (!rz_add_u64(data_begin, t->file_offset, &begin) || !rz_add_u64(begin, t->n_bytes, &end) ||
        end > r->len) {
        snprintf(field, sizeof field, "tensor %s", t->name);
        return rz_fail(r->err, RZ_EFORMAT,
                       "%s: %s: offset %llu and size %zu from the data section at byte %llu end "
                       "after the file's %zu bytes",
                       r->label, field, (unsigned long long)t->file_offset, t->n_bytes,
                       (unsigned long long)data_begin, r->len);
    }
    t->file_offset = begin;
    t->data = r->data + begin;
    t->mapped = r->mapped;
    return RZ_OK;
}

static int by_begin(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static rz_status check_neighbours(struct gguf_reader *r, const struct extent *extents, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (extents[i].begin < extents[i - 1].end)
            return rz_fail(r->err, RZ_EFORMAT,
                           "%s: tensor %s at byte %llu overlaps tensor %s that ends at byte %llu",
                           r->label, extents[i].name, (unsigned long long)extents[i].begin,
                           extents[i - 1].name, (unsigned long long)extents[i - 1].end);
    return RZ_OK;
}

static rz_status check_overlap(struct gguf_reader *r, const rz_tensor *tensors, size_t n)
{
    if (n < 2)
        return RZ_OK;
    struct extent *extents = malloc(n * sizeof *extents);
    if (!extents)
        return rz_fail_nomem(r->err, n * sizeof *extents, "tensor extents");
    bool sorted = true; /* as every known writer leaves them */
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = tensors[i].file_offset;
        extents[i] = (struct extent){begin, begin + tensors[i].n_bytes, tensors[i].name};
        sorted = sorted && (i == 0 || extents[i - 1].begin <= begin);
    }
    if (!sorted)
        qsort(extents, n, sizeof *extents, by_begin);
    rz_status status = check_neighbours(r, extents, n);
    free(extents);
    return status;
}

rz_status rz_gguf_read_tensors(struct gguf_reader *r)
{
    size_t first = r->file->n_tensors;
    for (uint64_t i = 0; i < r->n_tensors; i++)
        RZ_TRY(read_info(r, i));
    if (r->n_tensors == 0)
        return RZ_OK;
    uint64_t data_begin = rz_align_up(r->pos, r->alignment);
    rz_tensor *tensors = r->file->tensors + first;
    for (size_t i = 0; i < r->n_tensors; i++)
        RZ_TRY(place(r, data_begin, &tensors[i]));
    return check_overlap(r, tensors, r->n_tensors);
}
