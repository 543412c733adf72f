/* dotapr_index.c - the tensor index of an .apr file: packed entries, and where their data lies.
 *
 * Invariant of every tensor that is added: its type is one that the library computes with, its
 * bytes are as many as type and shape say, they lie in the data section, and no other tensor has
 * them. One exception: lm_head.weight may be the very bytes of the embedding; such a head is not
 * added, which is how the library says that it is tied.
 * Offsets need not rise with the index; a size is never taken from the next offset. */
#include "base/checked.h"
#include "base/fail.h"
#include "base/utf8.h"
#include "formats/dotapr.h"
#include "formats/safetensors.h"
#include "quant/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_SHOWN = 160,
    MIN_ENTRY_BYTES = 2 + 1 + 1 + 1 + 8 + 8
};

struct cursor {
    const struct rz_apr_reader *r;
    uint64_t at, end;
};

static int shown(rz_slice s)
{
    return (int)rz_min_size(s.len, NAME_SHOWN);
}

static bool slice_is(rz_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static bool starts_with(rz_slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.data, text, n) == 0;
}

static rz_status take(struct cursor *c, size_t n, const uint8_t **bytes)
{
    if (n > c->end - c->at)
        return rz_apr_bad(c->r, RZ_EFORMAT, c->at, "the tensor index ends inside an entry");
    *bytes = c->r->data + c->at;
    c->at += n;
    return RZ_OK;
}

static rz_status take_number(struct cursor *c, size_t n, uint64_t *value)
{
    const uint8_t *bytes;
    RZ_TRY(take(c, n, &bytes));
    *value = 0;
    memcpy(value, bytes, n);
    return RZ_OK;
}

static bool is_name(rz_slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7F)
            return false;
    return rz_utf8_valid(name.data, name.len) == name.len;
}

static rz_status read_entry(struct cursor *c, struct rz_apr_entry *e)
{
    uint64_t len, n, at = c->at;
    const uint8_t *bytes;
    RZ_TRY(take_number(c, 2, &len));
    if (len == 0 || len > RZ_MAX_TENSOR_NAME_BYTES)
        return rz_apr_bad(c->r, RZ_EFORMAT, at, "a tensor's name of %u bytes, must be 1 to %d",
                          (unsigned)len, RZ_MAX_TENSOR_NAME_BYTES);
    RZ_TRY(take(c, len, &bytes));
    e->name = (rz_slice){.data = (const char *)bytes, .len = len};
    if (!is_name(e->name))
        return rz_apr_bad(c->r, RZ_EFORMAT, at,
                          "a tensor's name is not UTF-8 text without control characters");
    RZ_TRY(take_number(c, 1, &n));
    e->code = (uint8_t)n;
    RZ_TRY(take_number(c, 1, &n));
    if (n > RZ_APR_MAX_DIMS)
        return rz_apr_bad(c->r, RZ_EFORMAT, at, "tensor %.*s: %u dimensions, at most %d",
                          shown(e->name), e->name.data, (unsigned)n, RZ_APR_MAX_DIMS);
    e->n_dims = (uint8_t)n;
    for (uint32_t i = 0; i < e->n_dims; i++)
        RZ_TRY(take_number(c, 8, &e->dims[i]));
    RZ_TRY(take_number(c, 8, &e->offset));
    RZ_TRY(take_number(c, 8, &e->size));
    uint64_t section = c->r->len - c->r->header.data_at;
    if (e->offset > section || e->size > section - e->offset)
        return rz_apr_bad(c->r, RZ_EFORMAT, at,
                          "tensor %.*s: %llu bytes at %llu of a data section of %llu bytes (the "
                          "file has %zu)",
                          shown(e->name), e->name.data, (unsigned long long)e->size,
                          (unsigned long long)e->offset, (unsigned long long)section, c->r->len);
    return RZ_OK;
}

/* The index's order: bytes ascending. */
static int compare_names(rz_slice a, rz_slice b)
{
    int order = memcmp(a.data, b.data, rz_min_size(a.len, b.len));
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static bool same_data(const struct rz_apr_entry *a, const struct rz_apr_entry *b)
{
    return a->offset == b->offset && a->size == b->size && a->code == b->code &&
           a->n_dims == b->n_dims && memcmp(a->dims, b->dims, a->n_dims * sizeof *a->dims) == 0;
}

static bool is_embedding(rz_slice name)
{
    return slice_is(name, "model.embed_tokens.weight") || slice_is(name, "token_embd.weight");
}

static bool is_head(rz_slice name)
{
    return slice_is(name, "lm_head.weight") || slice_is(name, "output.weight");
}

/* Of data that two tensors may have together. */
static bool is_tied(const struct rz_apr_entry *a, const struct rz_apr_entry *b)
{
    return same_data(a, b) && ((is_head(a->name) && is_embedding(b->name)) ||
                               (is_head(b->name) && is_embedding(a->name)));
}

/* An entry's place in the order of data. */
struct place {
    const struct rz_apr_entry *entry;
};

static int by_offset(const void *a, const void *b)
{
    const struct rz_apr_entry *x = ((const struct place *)a)->entry;
    const struct rz_apr_entry *y = ((const struct place *)b)->entry;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return compare_names(x->name, y->name);
}

/* The entries in the order of their data. Owned by the caller. */
static rz_status order_by_data(const struct rz_apr_reader *r, struct place **out)
{
    uint32_t n = r->header.n_tensors;
    struct place *order = malloc(((size_t)n + 1) * sizeof *order);
    *out = order;
    if (!order)
        return rz_fail_nomem(r->err, n * sizeof *order, "the tensor index");
    for (uint32_t i = 0; i < n; i++)
        order[i].entry = &r->entries[i];
    if (n > 1)
        qsort(order, n, sizeof *order, by_offset);
    return RZ_OK;
}

static rz_status check_overlap(const struct rz_apr_reader *r)
{
    struct place *order;
    RZ_TRY(order_by_data(r, &order));
    rz_status status = RZ_OK;
    const struct rz_apr_entry *last = NULL; /* the one that reaches farthest */
    for (uint32_t i = 0; i < r->header.n_tensors && !status; i++) {
        const struct rz_apr_entry *e = order[i].entry;
        if (e->size == 0)
            continue;
        if (last && e->offset < last->offset + last->size && !is_tied(last, e))
            status =
                rz_fail(r->err, RZ_EFORMAT, "%s: tensors %.*s and %.*s have the same bytes at %llu",
                        r->label, shown(last->name), last->name.data, shown(e->name), e->name.data,
                        (unsigned long long)(r->header.data_at + e->offset));
        if (!last || e->offset + e->size > last->offset + last->size)
            last = e;
    }
    free(order);
    return status;
}

rz_status rz_apr_read_index(struct rz_apr_reader *r)
{
    const struct rz_apr_header *h = &r->header;
    struct cursor c = {.r = r, .at = h->index_at, .end = h->data_at};
    uint64_t bytes = h->data_at - h->index_at;
    if (bytes >= 2 && r->data[h->index_at] == '[' && r->data[h->index_at + 1] == '{')
        return rz_apr_bad(r, RZ_ELOAD, h->index_at,
                          "a tensor index in JSON, as only a converter of old realizar releases "
                          "wrote it, is not supported");
    if (h->n_tensors > bytes / MIN_ENTRY_BYTES || h->n_tensors > RZ_MAX_TENSORS)
        return rz_apr_bad(r, RZ_EFORMAT, 8, "%u tensors do not fit an index of %llu bytes",
                          h->n_tensors, (unsigned long long)bytes);
    r->entries = calloc((size_t)h->n_tensors + 1, sizeof *r->entries);
    if (!r->entries)
        return rz_fail_nomem(r->err, h->n_tensors * sizeof *r->entries, "the tensor index");
    for (uint32_t i = 0; i < h->n_tensors; i++) {
        struct rz_apr_entry *e = &r->entries[i];
        uint64_t at = c.at;
        RZ_TRY(read_entry(&c, e));
        int order = i ? compare_names(e[-1].name, e->name) : -1;
        if (order >= 0)
            return rz_apr_bad(r, RZ_EFORMAT, at, "tensor %.*s %s", shown(e->name), e->name.data,
                              order ? "stands behind one of a later name: the index is not sorted"
                                    : "occurs twice");
    }
    return check_overlap(r);
}

const struct rz_apr_entry *rz_apr_find(const struct rz_apr_reader *r, const char *gguf_name)
{
    char name[RZ_MAX_TENSOR_NAME_BYTES + 1];
    for (uint32_t i = 0; i < r->header.n_tensors; i++) {
        const struct rz_apr_entry *e = &r->entries[i];
        if (slice_is(e->name, gguf_name) ||
            (rz_st_gguf_name(e->name, name) == RZ_ST_NAMED && strcmp(name, gguf_name) == 0))
            return e;
    }
    return NULL;
}

/* ---- from entries to tensors ---- */

static rz_status set_shape(const struct rz_apr_reader *r, const struct rz_apr_entry *e,
                           rz_tensor *t, uint64_t *n_rows)
{
    uint64_t n = 1;
    if (e->n_dims > RZ_MAX_DIMS)
        return rz_fail(r->err, RZ_ELOAD, "%s: tensor %.*s has %u dimensions, at most %d", r->label,
                       shown(e->name), e->name.data, e->n_dims, RZ_MAX_DIMS);
    t->n_dims = e->n_dims ? e->n_dims : 1; /* a scalar is one element */
    for (uint32_t i = 0; i < RZ_MAX_DIMS; i++)
        t->shape[i] = i < e->n_dims ? e->dims[i] : 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (t->shape[i] == 0 || !rz_mul_u64(n, t->shape[i], &n) || n > INT64_MAX / 8)
            return rz_fail(r->err, RZ_EFORMAT, "%s: tensor %.*s: dimension %u is %llu", r->label,
                           shown(e->name), e->name.data, i, (unsigned long long)t->shape[i]);
    }
    *n_rows = n / t->shape[t->n_dims - 1];
    return RZ_OK;
}

/* Not of memory, nor of an unpacked image. */
static bool is_mapped(const struct rz_apr_reader *r)
{
    const struct rz_shard *shard = &r->file->shards[0];
    return shard->map.data && !shard->stored_len;
}

static rz_status set_data(struct rz_apr_reader *r, const struct rz_apr_entry *e, rz_tensor *t)
{
    uint64_t n_rows, n_cols;
    struct rz_apr_layout layout;
    RZ_TRY(set_shape(r, e, t, &n_rows));
    n_cols = t->shape[t->n_dims - 1];
    if (!rz_apr_layout_of(e->code, n_rows, n_cols, e->size, &layout)) {
        if (!layout.name)
            return rz_fail(r->err, RZ_EFORMAT, "%s: tensor %.*s has type code %u, which is none",
                           r->label, shown(e->name), e->name.data, e->code);
        return rz_fail(r->err, RZ_EFORMAT,
                       "%s: tensor %.*s: %llu rows of %llu elements of type code %u (%s) do not "
                       "take %llu bytes",
                       r->label, shown(e->name), e->name.data, (unsigned long long)n_rows,
                       (unsigned long long)n_cols, e->code, layout.name,
                       (unsigned long long)e->size);
    }
    if (layout.form == RZ_APR_OTHER)
        return rz_fail(r->err, RZ_ELOAD, "%s: tensor %.*s: type %s is not supported", r->label,
                       shown(e->name), e->name.data, layout.name);
    t->file_offset = r->header.data_at + e->offset;
    const uint8_t *data = r->data + t->file_offset;
    if (layout.form != RZ_APR_PLAIN)
        return rz_apr_decode(r, &layout, data, e->size, t);
    t->dtype = layout.dtype;
    t->data = data;
    t->mapped = is_mapped(r);
    t->n_bytes = e->size;
    return RZ_OK;
}

/* ---- packed tensors ---- */

static bool is_packed(rz_slice name)
{
    return starts_with(name, RZ_APR_PACKED_PREFIX);
}

static rz_slice without_prefix(rz_slice name)
{
    const size_t n = strlen(RZ_APR_PACKED_PREFIX);
    return (rz_slice){.data = name.data + n, .len = name.len - n};
}

/* The entry of exactly that name; NULL: none. */
static const struct rz_apr_entry *find_entry(const struct rz_apr_reader *r, rz_slice name)
{
    size_t low = 0, high = r->header.n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(r->entries[middle].name, name);
        if (order == 0)
            return &r->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct rz_apr_entry *find_packed(const struct rz_apr_reader *r, rz_slice name)
{
    char packed[RZ_MAX_TENSOR_NAME_BYTES + 1];
    int n = snprintf(packed, sizeof packed, RZ_APR_PACKED_PREFIX "%.*s", (int)name.len, name.data);
    return n > 0 && n < (int)sizeof packed
               ? find_entry(r, (rz_slice){.data = packed, .len = (size_t)n})
               : NULL;
}

static rz_status set_packed(const struct rz_apr_reader *r, const struct rz_apr_entry *e,
                            rz_tensor *t)
{
    uint64_t n_rows, at = r->header.data_at + e->offset;
    struct rz_apr_layout layout;
    RZ_TRY(set_shape(r, e, t, &n_rows));
    const uint64_t n_cols = t->shape[t->n_dims - 1];
    if (at % RZ_APR_ALIGNMENT)
        return rz_fail(r->err, RZ_EFORMAT, "%s: tensor %.*s is at byte %llu, no multiple of %d",
                       r->label, shown(e->name), e->name.data, (unsigned long long)at,
                       RZ_APR_ALIGNMENT);
    if (!rz_apr_layout_of(e->code, n_rows, n_cols, e->size, &layout) ||
        layout.form != RZ_APR_PLAIN || t->n_dims < 2 || t->n_dims > 3 ||
        !rz_packed_fits(layout.dtype, t->shape[t->n_dims - 2], n_cols))
        return rz_fail(r->err, RZ_EFORMAT,
                       "%s: tensor %.*s: %llu bytes of type code %u are no matrix of whole strips",
                       r->label, shown(e->name), e->name.data, (unsigned long long)e->size,
                       e->code);
    t->dtype = layout.dtype;
    t->n_bytes = e->size;
    t->packed = r->data + at;
    return RZ_OK;
}

/* The packed copy of a tensor that stands in the file plainly too. */
static rz_status add_packed(const struct rz_apr_reader *r, const struct rz_apr_entry *plain,
                            rz_tensor *t)
{
    const struct rz_apr_entry *e = find_packed(r, plain->name);
    rz_tensor packed = {0};
    if (!e || r->packed_version != RZ_PACKED_VERSION)
        return RZ_OK;
    RZ_TRY(set_packed(r, e, &packed));
    if (packed.dtype != t->dtype || packed.n_dims != t->n_dims || packed.n_bytes != t->n_bytes ||
        memcmp(packed.shape, t->shape, sizeof packed.shape) != 0)
        return rz_fail(r->err, RZ_EFORMAT, "%s: tensor %.*s has another type or shape than %.*s",
                       r->label, shown(e->name), e->name.data, shown(plain->name),
                       plain->name.data);
    t->packed = packed.packed;
    return RZ_OK;
}

static rz_status add_only_packed(const struct rz_apr_reader *r, const struct rz_apr_entry *e,
                                 rz_tensor *t)
{
    if (r->packed_version != RZ_PACKED_VERSION)
        return rz_fail(r->err, RZ_ELOAD,
                       "%s: tensor %.*s stands only packed, in a layout that is not supported "
                       "(supported: " RZ_APR_PACKED_LAYOUT " version %d)",
                       r->label, shown(e->name), e->name.data, RZ_PACKED_VERSION);
    t->mapped = is_mapped(r);
    t->file_offset = r->header.data_at + e->offset;
    return set_packed(r, e, t);
}

void rz_apr_touch_packed(const struct rz_apr_reader *r)
{
    struct rz_shard *shard = &r->file->shards[0];
    uint64_t begin = UINT64_MAX, end = 0;
    if (!r->file->read_ahead || !is_mapped(r))
        return;
    for (uint32_t i = 0; i < r->header.n_tensors; i++) {
        const struct rz_apr_entry *e = &r->entries[i];
        if (!is_packed(e->name))
            continue;
        begin = e->offset < begin ? e->offset : begin;
        end = e->offset + e->size > end ? e->offset + e->size : end;
    }
    if (begin < end)
        rz_map_touch(&shard->map, (size_t)(r->header.data_at + begin),
                     (size_t)(r->header.data_at + end));
}

/* Optimizer state of a training run, and what other programs packed for themselves. */
static bool is_private(const struct rz_apr_reader *r, rz_slice name)
{
    if (!is_packed(name))
        return starts_with(name, "__training__.");
    return r->packed_version == 0 || find_entry(r, without_prefix(name));
}

static rz_status add_tensor(struct rz_apr_reader *r, const struct rz_apr_entry *e)
{
    char buffer[RZ_MAX_TENSOR_NAME_BYTES + 1];
    rz_tensor t = {0};
    rz_slice name = e->name;
    if (is_private(r, name))
        return RZ_OK;
    if (is_packed(name))
        name = without_prefix(name);
    enum rz_st_name known = rz_st_gguf_name(name, buffer);
    if (known == RZ_ST_IGNORED)
        return RZ_OK;
    if (name.len == 0)
        return rz_fail(r->err, RZ_EFORMAT, "%s: a packed tensor without a name", r->label);
    if (known == RZ_ST_NAMED)
        name = (rz_slice){.data = buffer, .len = strlen(buffer)};
    if (is_packed(e->name)) {
        RZ_TRY(add_only_packed(r, e, &t));
    } else {
        RZ_TRY(set_data(r, e, &t));
        RZ_TRY(add_packed(r, e, &t));
    }
    t.name = rz_arena_strdup(&r->file->arena, name.data, name.len);
    if (!t.name)
        return rz_fail_nomem(r->err, name.len + 1, "a tensor's name");
    switch (rz_file_add_tensor(r->file, &t)) {
    case RZ_ADD_DUPLICATE:
        return rz_fail(r->err, RZ_EFORMAT, "%s: tensor %.*s stands in the file under two names",
                       r->label, shown(name), name.data);
    case RZ_ADD_CROWDED:
        return rz_fail(r->err, RZ_EFORMAT, "%s: too many names that hash alike", r->label);
    case RZ_ADD_NOMEM:
        return rz_fail_nomem(r->err, sizeof t, "tensors");
    case RZ_ADDED:
        break;
    }
    return RZ_OK;
}

/* Data order is the order in which the tensors were written, whatever the names. */
rz_status rz_apr_add_tensors(struct rz_apr_reader *r)
{
    struct place *order;
    const struct rz_apr_entry *embedding = rz_apr_find(r, "token_embd.weight");
    const uint32_t n = r->header.n_tensors;
    RZ_TRY(order_by_data(r, &order));
    rz_status status = RZ_OK;
    for (uint32_t i = 0; i < n && !status; i++)
        if (!embedding || !is_head(order[i].entry->name) || !is_tied(embedding, order[i].entry))
            status = add_tensor(r, order[i].entry);
    free(order);
    return status;
}
