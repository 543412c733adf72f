/* imatrix.c - reading importance matrices. Invariant: what has been opened holds finite values that
 * are not negative, under unique names in ascending order.
 *
 * The .dat layout, little-endian: i32 number of entries; per entry i32 length of the name, the
 * name, i32 calls, i32 number of values, the values as f32, each `calls` times the mean; then,
 * where the writer was new enough, i32 chunks, i32 length of the text's name, the name. Source:
 * llama.cpp, tools/imatrix; the GGUF layout likewise. */
#include "formats/imatrix.h"

#include "base/checked.h"
#include "base/fail.h"
#include "base/map.h"
#include "base/utf8.h"
#include "formats/file.h"
#include "formats/gguf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct entry {
    char *name;
    float *values;
    uint64_t n_values;
};

struct rz_imatrix {
    struct entry *entries;
    size_t n, cap;
    uint32_t n_chunks;
};

/* What is being read. */
struct reader {
    struct rz_imatrix *m;
    const char *label;
    const uint8_t *data;
    size_t len, pos;
    rz_error *err;
};

#define bad(r, ...) RZ_NOT_OK(bad_fill(r, __VA_ARGS__))

static rz_status __attribute__((format(printf, 2, 3)))
bad_fill(struct reader *r, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rz_fail(r->err, RZ_EFORMAT, "%s: %s", r->label, text);
}

/* Appends an entry with room for n_values, which must not exceed what the file holds. */
static rz_status add_entry(struct reader *r, const char *name, size_t name_len, uint64_t n_values)
{
    struct rz_imatrix *m = r->m;
    if (m->n == RZ_MAX_TENSORS)
        return bad(r, "more than %d matrices", RZ_MAX_TENSORS);
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 64;
        struct entry *grown = realloc(m->entries, cap * sizeof *grown);
        if (!grown)
            return rz_fail_nomem(r->err, cap * sizeof *grown, "an importance matrix");
        m->entries = grown;
        m->cap = cap;
    }
    struct entry *e = &m->entries[m->n++];
    *e = (struct entry){.name = strndup(name, name_len), .n_values = n_values};
    e->values = calloc(n_values, sizeof *e->values);
    if (!e->name || !e->values)
        return rz_fail_nomem(r->err, n_values * sizeof *e->values, "an importance matrix");
    return RZ_OK;
}

/* The one that was added last. */
static struct entry *last_entry(const struct reader *r)
{
    return &r->m->entries[r->m->n - 1];
}

/* The means of n values from their sums; a count of 0 makes them neutral. */
static rz_status set_means(struct reader *r, const struct entry *e, uint64_t first, uint64_t n,
                           double count)
{
    for (uint64_t i = first; i < first + n; i++) {
        float mean = count > 0 ? (float)((double)e->values[i] / count) : 1;
        if (!(mean >= 0) || isinf(mean))
            return bad(r, "matrix %s: value %llu is not a finite number of at least 0", e->name,
                       (unsigned long long)i);
        e->values[i] = mean;
    }
    return RZ_OK;
}

static bool good_name(const char *name, size_t len)
{
    if (len == 0 || len > RZ_MAX_TENSOR_NAME_BYTES || rz_utf8_valid(name, len) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < ' ')
            return false;
    return true;
}

/* ---- .dat ---- */

static rz_status take(struct reader *r, size_t n, const char *what, const uint8_t **bytes)
{
    if (n > r->len - r->pos)
        return bad(r, "the file ends within %s, at byte %zu", what, r->len);
    *bytes = r->data + r->pos;
    r->pos += n;
    return RZ_OK;
}

static rz_status take_i32(struct reader *r, int32_t min, const char *what, int32_t *value)
{
    const uint8_t *b;
    RZ_TRY(take(r, sizeof *value, what, &b));
    *value = (int32_t)(b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
    if (*value < min)
        return bad(r, "%s at byte %zu is %d, less than %d", what, r->pos - 4, *value, min);
    return RZ_OK;
}

static rz_status read_dat_entry(struct reader *r)
{
    int32_t name_len, calls, n_values;
    const uint8_t *name, *values;
    RZ_TRY(take_i32(r, 1, "the length of a name", &name_len));
    RZ_TRY(take(r, (size_t)name_len, "a name", &name));
    if (!good_name((const char *)name, (size_t)name_len))
        return bad(r, "matrix %zu has no valid name", r->m->n);
    RZ_TRY(take_i32(r, 0, "the number of calls", &calls));
    RZ_TRY(take_i32(r, 1, "the number of values", &n_values));
    RZ_TRY(take(r, (size_t)n_values * sizeof(float), "the values of a matrix", &values));
    RZ_TRY(add_entry(r, (const char *)name, (size_t)name_len, (uint64_t)n_values));
    struct entry *e = last_entry(r);
    memcpy(e->values, values, (size_t)n_values * sizeof(float));
    /* Very old writers left the calls 0 and wrote the means themselves. */
    return set_means(r, e, 0, e->n_values, calls > 0 ? calls : 1);
}

static rz_status read_dat(struct reader *r)
{
    int32_t n, n_chunks = 0;
    RZ_TRY(take_i32(r, 1, "the number of matrices", &n));
    for (int32_t i = 0; i < n; i++)
        RZ_TRY(read_dat_entry(r));
    if (r->pos == r->len)
        return RZ_OK;
    RZ_TRY(take_i32(r, 0, "the number of chunks", &n_chunks));
    r->m->n_chunks = (uint32_t)n_chunks;
    return RZ_OK;
}

/* ---- GGUF ---- */

static const char sums_end[] = ".in_sum2", counts_end[] = ".counts";

/* name without the ending, or 0. */
static size_t stem(const char *name, const char *ending)
{
    size_t len = strlen(name), end_len = strlen(ending);
    return len > end_len && strcmp(name + len - end_len, ending) == 0 ? len - end_len : 0;
}

static uint64_t n_elements(const rz_tensor *t)
{
    return t->n_bytes / sizeof(float); /* of an F32 tensor */
}

static rz_status read_gguf_pair(struct reader *r, const rz_tensor *sums, const rz_tensor *counts,
                                size_t name_len)
{
    if (sums->dtype != RZ_F32 || counts->dtype != RZ_F32)
        return bad(r, "tensors %s and %s must be F32", sums->name, counts->name);
    uint64_t n_values = n_elements(sums), n_counts = n_elements(counts);
    if (n_values == 0 || n_counts == 0 || n_values % n_counts)
        return bad(r, "tensors %s and %s do not fit together", sums->name, counts->name);
    RZ_TRY(add_entry(r, sums->name, name_len, n_values));
    struct entry *e = last_entry(r);
    memcpy(e->values, sums->data, sums->n_bytes);
    for (uint64_t i = 0, n = n_values / n_counts; i < n_counts; i++) {
        float count;
        memcpy(&count, (const char *)counts->data + i * sizeof count, sizeof count);
        if (!(count >= 0) || isinf(count))
            return bad(r, "tensor %s: element %llu is no count", counts->name,
                       (unsigned long long)i);
        RZ_TRY(set_means(r, e, i * n, n, (double)count));
    }
    return RZ_OK;
}

static rz_status read_gguf_tensors(struct reader *r, const rz_file *file)
{
    rz_slice type = {0};
    bool found;
    RZ_TRY(rz_file_get_string(file, "general.type", &type, &found, r->err));
    if (!found || type.len != 7 || memcmp(type.data, "imatrix", 7) != 0)
        return bad(r, "this is a GGUF file, but no importance matrix (general.type)");
    RZ_TRY(rz_file_get_u32(file, "imatrix.chunk_count", &r->m->n_chunks, &found, r->err));
    for (size_t i = 0; i < rz_file_n_tensors(file); i++) {
        const rz_tensor *t = rz_file_tensor_at(file, i);
        size_t len = stem(t->name, sums_end), of_counts = stem(t->name, counts_end);
        char other[RZ_MAX_TENSOR_NAME_BYTES + sizeof sums_end];
        snprintf(other, sizeof other, "%.*s%s", (int)(len ? len : of_counts), t->name,
                 len ? counts_end : sums_end);
        const rz_tensor *pair = len || of_counts ? rz_file_tensor(file, other) : NULL;
        if (!pair)
            return bad(r, "tensor %s has no counterpart", t->name);
        if (len)
            RZ_TRY(read_gguf_pair(r, t, pair, len));
    }
    return r->m->n ? RZ_OK : bad(r, "there are no matrices in it");
}

static rz_status read_gguf(struct reader *r)
{
    rz_file *file = NULL;
    RZ_TRY(rz_gguf_open_memory(&file, r->label, r->data, r->len, r->err));
    rz_status status = read_gguf_tensors(r, file);
    rz_file_close(&file);
    return status;
}

/* ---- both ---- */

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static rz_status sort_entries(struct reader *r)
{
    struct rz_imatrix *m = r->m;
    qsort(m->entries, m->n, sizeof *m->entries, by_name);
    for (size_t i = 1; i < m->n; i++)
        if (strcmp(m->entries[i - 1].name, m->entries[i].name) == 0)
            return bad(r, "matrix %s stands in it twice", m->entries[i].name);
    return RZ_OK;
}

rz_status rz_imatrix_open_memory(struct rz_imatrix **out, const char *name, const void *data,
                                 size_t len, rz_error *err)
{
    *out = NULL;
    struct rz_imatrix *m = calloc(1, sizeof *m);
    if (!m)
        return rz_fail_nomem(err, sizeof *m, "an importance matrix");
    struct reader r = {.m = m, .label = name, .data = data, .len = len, .err = err};
    rz_status status = len && rz_gguf_probe(data, len) ? read_gguf(&r) : read_dat(&r);
    if (!status)
        status = sort_entries(&r);
    if (status)
        rz_imatrix_free(&m);
    *out = m;
    return status;
}

rz_status rz_imatrix_open(struct rz_imatrix **out, const char *path, rz_error *err)
{
    struct rz_map map;
    *out = NULL;
    RZ_TRY(rz_map_open(&map, path, err));
    rz_status status = rz_imatrix_open_memory(out, path, map.data, map.len, err);
    rz_map_close(&map);
    return status;
}

void rz_imatrix_free(struct rz_imatrix **m)
{
    if (!*m)
        return;
    for (size_t i = 0; i < (*m)->n; i++) {
        free((*m)->entries[i].name);
        free((*m)->entries[i].values);
    }
    free((*m)->entries);
    free(*m);
    *m = NULL;
}

const float *rz_imatrix_find(const struct rz_imatrix *m, const char *name, uint64_t *n_values)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(name, m->entries[mid].name);
        if (order == 0) {
            *n_values = m->entries[mid].n_values;
            return m->entries[mid].values;
        }
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

size_t rz_imatrix_len(const struct rz_imatrix *m)
{
    return m->n;
}

const char *rz_imatrix_name(const struct rz_imatrix *m, size_t i)
{
    RZ_ASSERT(i < m->n);
    return m->entries[i].name;
}

uint32_t rz_imatrix_n_chunks(const struct rz_imatrix *m)
{
    return m->n_chunks;
}
