/* jinja_json.c - json.dumps as transformers' tojson calls it, and the variables' JSON as values.
 *
 * Reading is jansson's: UTF-8 is checked, key order kept, the last of equal keys wins, integers are
 * 64 bits. Writing follows Python's json module: separators, escapes, float repr, NaN. */
#include "base/checked.h"
#include "base/fail.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

/* ---------------------------------------------------------------- writing */

static void add_u16(struct rz_buf *b, uint32_t unit)
{
    rz_buf_printf(b, "\\u%04" PRIx32, unit);
}

static void add_json_char(struct rz_buf *b, uint32_t ch, bool ensure_ascii)
{
    static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; escapes[i]; i += 2)
        if ((uint32_t)escapes[i] == ch) {
            rz_buf_char(b, '\\');
            rz_buf_char(b, escapes[i + 1]);
            return;
        }
    if (ch < 0x20 || (ensure_ascii && ch > 0x7E && ch < 0x10000)) {
        add_u16(b, ch);
    } else if (ensure_ascii && ch >= 0x10000) {
        add_u16(b, 0xD800 + ((ch - 0x10000) >> 10));
        add_u16(b, 0xDC00 + ((ch - 0x10000) & 0x3FF));
    } else {
        rz_j_add_code_point(b, ch);
    }
}

static bool add_json_str(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v,
                         bool ensure_ascii)
{
    rz_buf_char(b, '"');
    for (size_t i = 0, n; i < v.len; i += n) {
        uint32_t ch = rz_j_text_at(v.u.s + i, v.len - i, &n);
        add_json_char(b, ch, ensure_ascii);
    }
    rz_buf_char(b, '"');
    return rz_j_charge_bytes(c, v.len);
}

static void add_json_float(struct rz_buf *b, double f)
{
    if (isnan(f))
        rz_buf_str(b, "NaN");
    else if (isinf(f))
        rz_buf_str(b, f < 0 ? "-Infinity" : "Infinity");
    else
        rz_j_add_float(b, f);
}

static void add_text(struct rz_buf *b, struct rz_j_value text)
{
    rz_buf_add(b, text.u.s, text.len);
}

/* A new line before an element of a container at level (0: the outermost's elements are at 1). */
static bool add_line(struct rz_j_ctx *c, struct rz_buf *b, const struct rz_j_json_style *style,
                     unsigned level)
{
    if (!style->is_indented)
        return true;
    rz_buf_char(b, '\n');
    for (unsigned i = 0; i < level; i++)
        add_text(b, style->indent);
    return rz_j_charge_bytes(c, (size_t)level * style->indent.len);
}

static bool add_value(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v,
                      const struct rz_j_json_style *style, unsigned level);

static bool add_key(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value key,
                    const struct rz_j_json_style *style)
{
    if (key.kind == RZJ_STR)
        return add_json_str(c, b, key, style->ensure_ascii);
    if (key.kind != RZJ_INT && key.kind != RZJ_BOOL && key.kind != RZJ_FLOAT &&
        key.kind != RZJ_NONE)
        return rz_j_fail(c, "tojson: keys must be str, int, float, bool or None, not %s",
                         rz_j_type_name(key));
    rz_buf_char(b, '"');
    if (!add_value(c, b, key, style, 0))
        return false;
    rz_buf_char(b, '"');
    return true;
}

/* Positions of pairs in the order of their keys: an insertion sort, charged per comparison. */
static bool sort_keys(struct rz_j_ctx *c, const struct rz_j_dict *d, uint32_t *order)
{
    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t k = i;
        for (; k > 0; k--) {
            bool less;
            if (!rz_j_less(c, d->pairs[i].key, d->pairs[order[k - 1]].key, &less))
                return false;
            if (!less)
                break;
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
    return true;
}

static bool add_dict(struct rz_j_ctx *c, struct rz_buf *b, const struct rz_j_dict *d,
                     const struct rz_j_json_style *style, unsigned level)
{
    if (!d->n) {
        rz_buf_str(b, "{}");
        return true;
    }
    uint32_t *order = NULL;
    if (style->sort_keys &&
        (!(order = rz_j_alloc(c, d->n, sizeof *order)) || !sort_keys(c, d, order)))
        return false;
    rz_buf_char(b, '{');
    for (uint32_t i = 0; i < d->n; i++) {
        const struct rz_j_pair *pair = &d->pairs[order ? order[i] : i];
        if (i)
            add_text(b, style->item_separator);
        if (!add_line(c, b, style, level + 1) || !add_key(c, b, pair->key, style))
            return false;
        add_text(b, style->key_separator);
        if (!add_value(c, b, pair->value, style, level + 1))
            return false;
    }
    if (!add_line(c, b, style, level))
        return false;
    rz_buf_char(b, '}');
    return true;
}

static bool add_list(struct rz_j_ctx *c, struct rz_buf *b, const struct rz_j_list *list,
                     const struct rz_j_json_style *style, unsigned level)
{
    if (!list->n) {
        rz_buf_str(b, "[]");
        return true;
    }
    rz_buf_char(b, '[');
    for (uint32_t i = 0; i < list->n; i++) {
        if (i)
            add_text(b, style->item_separator);
        if (!add_line(c, b, style, level + 1) || !add_value(c, b, list->items[i], style, level + 1))
            return false;
    }
    if (!add_line(c, b, style, level))
        return false;
    rz_buf_char(b, ']');
    return true;
}

static bool add_value(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v,
                      const struct rz_j_json_style *style, unsigned level)
{
    bool ok = true;
    if (b->failed)
        return rz_j_fail(c, "a text longer than %zu bytes", b->max);
    if (!rz_j_charge(c, 1) || !rz_j_enter(c))
        return false;
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_STR:
        ok = add_json_str(c, b, v, style->ensure_ascii);
        break;
    case RZJ_NONE:
        rz_buf_str(b, "null");
        break;
    case RZJ_BOOL:
        rz_buf_str(b, v.u.b ? "true" : "false");
        break;
    case RZJ_INT:
        rz_buf_printf(b, "%" PRId64, v.u.i);
        break;
    case RZJ_FLOAT:
        add_json_float(b, v.u.f);
        break;
    case RZJ_LIST:
    case RZJ_TUPLE:
        ok = add_list(c, b, v.u.list, style, level);
        break;
    case RZJ_DICT:
        ok = add_dict(c, b, v.u.dict, style, level);
        break;
    default:
        ok = rz_j_fail(c, "Object of type %s is not JSON serializable", rz_j_type_name(v));
    }
    c->depth--;
    return ok;
}

bool rz_j_add_json(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v,
                   const struct rz_j_json_style *style)
{
    return add_value(c, b, v, style, 0);
}

/* ---------------------------------------------------------------- reading */

static bool from_json(struct rz_j_ctx *c, json_t *json, struct rz_j_value *out);

static bool from_array(struct rz_j_ctx *c, json_t *json, struct rz_j_value *out)
{
    struct rz_j_list *list = rz_j_list_new(c, json_array_size(json));
    if (!list)
        return false;
    for (uint32_t i = 0; i < list->n; i++)
        if (!from_json(c, json_array_get(json, i), &list->items[i]))
            return false;
    *out = rz_j_of_list(RZJ_LIST, list);
    return true;
}

static bool from_object(struct rz_j_ctx *c, json_t *json, struct rz_j_value *out)
{
    struct rz_j_dict *d = rz_j_dict_new(c, json_object_size(json));
    if (!d)
        return false;
    for (void *i = json_object_iter(json); i; i = json_object_iter_next(json, i)) {
        struct rz_j_value key, value;
        const char *name = json_object_iter_key(i);
        if (!rz_j_new_str(c, name, strlen(name), &key) ||
            !from_json(c, json_object_iter_value(i), &value) || !rz_j_dict_set(c, d, key, value))
            return false;
    }
    *out = rz_j_of_dict(d);
    return true;
}

/* jansson refuses to nest deeper than 2048; rz_j_enter is stricter. */
static bool from_json(struct rz_j_ctx *c, json_t *json, struct rz_j_value *out)
{
    bool ok = true;
    if (!rz_j_enter(c))
        return false;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        ok = from_object(c, json, out);
        break;
    case JSON_ARRAY:
        ok = from_array(c, json, out);
        break;
    case JSON_STRING:
        ok = rz_j_new_str(c, json_string_value(json), json_string_length(json), out);
        break;
    case JSON_INTEGER:
        *out = rz_j_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = rz_j_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = rz_j_bool(json_is_true(json));
        break;
    case JSON_NULL:
        *out = rz_j_none();
        break;
    }
    c->depth--;
    return ok;
}

static bool bad_json(struct rz_j_ctx *c, const char *what)
{
    c->status = rz_fail(c->err, RZ_EFORMAT, "%s: the variables are not a JSON object: %s",
                        c->t->name, what);
    return false;
}

/* How many values a JSON text holds at most: jansson needs about 150 bytes for each. */
static size_t count_values(const char *json, size_t len)
{
    size_t n = 1;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char ch = json[i];
        if (in_string && ch == '\\')
            i++;
        else if (ch == '"')
            in_string = !in_string;
        else if (!in_string)
            n += ch == ',' || ch == '[' || ch == '{';
    }
    return n;
}

bool rz_j_read_json(struct rz_j_ctx *c, const char *json, size_t len, struct rz_j_dict **out)
{
    json_error_t error;
    struct rz_j_value v = {0};
    if (len > RZJ_MAX_JSON_BYTES)
        return bad_json(c, "longer than 16 MiB");
    if (count_values(json, len) > RZJ_MAX_JSON_VALUES)
        return bad_json(c, "more than 500,000 values");
    json_t *root = json_loadb(json, len, JSON_ALLOW_NUL, &error);
    if (!root)
        return bad_json(c, error.text);
    bool ok = json_is_object(root) ? from_json(c, root, &v) : bad_json(c, "not an object");
    json_decref(root);
    if (ok)
        *out = v.u.dict;
    return ok;
}
