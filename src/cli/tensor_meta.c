/* tensor_meta.c - metadata of two files, compared by key. Containers keep a number in different
 * widths, so numbers are equal if their values are. */
#include "cli/tensor_meta.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    SHOWN_BYTES = 72 /* of a value */
};

static bool is_float(rz_meta_type type)
{
    return type == RZ_META_F32 || type == RZ_META_F64;
}

static bool same_element(const rz_meta *a, const rz_meta *b, uint64_t i)
{
    if (a->elem_type == RZ_META_STRING || b->elem_type == RZ_META_STRING) {
        if (a->elem_type != b->elem_type)
            return false;
        rz_slice x = rz_meta_string(a, i), y = rz_meta_string(b, i);
        return x.len == y.len && (x.len == 0 || !memcmp(x.data, y.data, x.len));
    }
    if (a->elem_type == RZ_META_ARRAY || b->elem_type == RZ_META_ARRAY)
        return a->elem_type == b->elem_type; /* arrays of arrays: no key that is used has one */
    if (is_float(a->elem_type) || is_float(b->elem_type)) {
        double x = rz_meta_float(a, i), y = rz_meta_float(b, i);
        return x == y || (isnan(x) && isnan(y));
    }
    return rz_meta_int(a, i) == rz_meta_int(b, i);
}

/* The first element that differs, or the count. */
static uint64_t first_difference(const rz_meta *a, const rz_meta *b)
{
    uint64_t i = 0;
    while (i < a->count && same_element(a, b, i))
        i++;
    return i;
}

static bool same(const rz_meta *a, const rz_meta *b)
{
    return (a->type == RZ_META_ARRAY) == (b->type == RZ_META_ARRAY) && a->count == b->count &&
           first_difference(a, b) == a->count;
}

static void put_element(FILE *to, const rz_meta *m, uint64_t i)
{
    switch (m->elem_type) {
    case RZ_META_STRING: {
        rz_slice s = rz_meta_string(m, i);
        fwrite(s.data, 1, s.len < SHOWN_BYTES ? s.len : SHOWN_BYTES, to);
        if (s.len > SHOWN_BYTES)
            fprintf(to, "... (%zu bytes)", s.len);
        break;
    }
    case RZ_META_ARRAY:
        fputs("(an array)", to);
        break;
    case RZ_META_BOOL:
        fputs(rz_meta_int(m, i) ? "true" : "false", to);
        break;
    case RZ_META_F32:
    case RZ_META_F64:
        fprintf(to, "%.9g", rz_meta_float(m, i));
        break;
    default:
        fprintf(to, "%" PRId64, rz_meta_int(m, i));
    }
}

/* m as text; of an array the element at. */
static json_t *value_json(const rz_meta *m, uint64_t at)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return NULL;
    if (m->type == RZ_META_ARRAY) {
        fprintf(to, "%" PRIu64 " x %s", m->count, rz_meta_type_name(m->elem_type));
        if (at < m->count) {
            fprintf(to, ", [%" PRIu64 "] = ", at);
            put_element(to, m, at);
        }
    } else {
        put_element(to, m, 0);
    }
    json_t *value = fclose(to) ? NULL : cli_json_text(text, len);
    free(text);
    return value;
}

static bool add(json_t *array, rz_slice key, const rz_meta *a, const rz_meta *b)
{
    uint64_t at =
        a && b && a->type == RZ_META_ARRAY && b->type == RZ_META_ARRAY && a->count == b->count
            ? first_difference(a, b)
            : UINT64_MAX;
    const char *status = !b ? "only_in_a" : !a ? "only_in_b" : "differs";
    json_t *o = json_pack("{so ss}", "key", cli_json_text(key.data, key.len), "status", status);
    if (o && a)
        json_object_set_new(o, "a", value_json(a, at));
    if (o && b)
        json_object_set_new(o, "b", value_json(b, at));
    return !json_array_append_new(array, o);
}

/* The entry of file with the key of m. */
static const rz_meta *partner(const rz_file *file, const rz_meta *m)
{
    char *key = strndup(m->key.data, m->key.len);
    const rz_meta *found = key ? rz_file_meta(file, key) : NULL;
    free(key);
    return found;
}

json_t *cli_meta_differences(const rz_file *a, const rz_file *b)
{
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < rz_file_n_meta(a); i++) {
        const rz_meta *x = rz_file_meta_at(a, i), *y = partner(b, x);
        if (!y || !same(x, y))
            ok = add(array, x->key, x, y);
    }
    for (size_t i = 0; ok && i < rz_file_n_meta(b); i++) {
        const rz_meta *y = rz_file_meta_at(b, i);
        if (!partner(a, y))
            ok = add(array, y->key, NULL, y);
    }
    if (ok)
        return array;
    json_decref(array);
    return NULL;
}
