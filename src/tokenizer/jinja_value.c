/* jinja_value.c - Python's truth, equality, order, iteration and dictionaries over rz_j_value.
 *
 * Numbers compare exactly across int, float and bool; strings by code point, which is the order of
 * UTF-8 bytes. Lists and dictionaries may nest as deep as a template builds them, so whatever
 * recurses counts its depth. */
#include "base/hash.h"
#include "tokenizer/jinja_run.h"
#include "tokenizer/jinja_text.h"

#include <math.h>

bool rz_j_is_number(struct rz_j_value v, double *f)
{
    int64_t i;
    bool is_int = rz_j_is_int(v, &i);
    *f = v.kind == RZJ_FLOAT ? v.u.f : (double)i;
    return is_int || v.kind == RZJ_FLOAT;
}

const char *rz_j_type_name(struct rz_j_value v)
{
    static const char *const names[] = {
        [RZJ_ABSENT] = "NoneType", [RZJ_UNDEF] = "Undefined",
        [RZJ_NONE] = "NoneType",   [RZJ_BOOL] = "bool",
        [RZJ_INT] = "int",         [RZJ_FLOAT] = "float",
        [RZJ_STR] = "str",         [RZJ_LIST] = "list",
        [RZJ_TUPLE] = "tuple",     [RZJ_RANGE] = "range",
        [RZJ_VIEW] = "dict_items", [RZJ_GEN] = "generator",
        [RZJ_DICT] = "dict",       [RZJ_NAMESPACE] = "Namespace",
        [RZJ_MACRO] = "Macro",     [RZJ_FUNC] = "function",
        [RZJ_METHOD] = "method",   [RZJ_LOOP] = "LoopContext",
        [RZJ_CYCLER] = "Cycler",   [RZJ_JOINER] = "Joiner",
    };
    if ((v.kind == RZJ_VIEW || v.kind == RZJ_GEN) && v.u.list->type_name)
        return v.u.list->type_name;
    if (v.kind == RZJ_STR && v.markup)
        return "Markup";
    return names[v.kind];
}

bool rz_j_truth(struct rz_j_value v)
{
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_ABSENT:
    case RZJ_UNDEF:
    case RZJ_NONE:
        return false;
    case RZJ_BOOL:
        return v.u.b;
    case RZJ_INT:
        return v.u.i != 0;
    case RZJ_FLOAT:
        return v.u.f != 0;
    case RZJ_STR:
        return v.len != 0;
    case RZJ_LIST:
    case RZJ_TUPLE:
    case RZJ_RANGE:
    case RZJ_VIEW:
        return v.u.list->n != 0;
    case RZJ_DICT:
        return v.u.dict->n != 0;
    default:
        return true;
    }
}

/* ---------------------------------------------------------------- comparison */

static int order_int_double(int64_t i, double f)
{
    if (f >= 0x1p63)
        return -1;
    if (f < -0x1p63)
        return 1;
    double whole = trunc(f);
    int64_t w = (int64_t)whole;
    if (i != w)
        return i < w ? -1 : 1;
    return f > whole ? -1 : f < whole ? 1 : 0;
}

int rz_j_number_order(struct rz_j_value a, struct rz_j_value b)
{
    int64_t i = 0, k = 0;
    bool int_a = rz_j_is_int(a, &i), int_b = rz_j_is_int(b, &k);
    if (int_a && int_b)
        return i < k ? -1 : i > k;
    double f = int_a ? 0 : a.u.f, g = int_b ? 0 : b.u.f;
    if (isnan(f) || isnan(g))
        return 2;
    if (int_a)
        return order_int_double(i, g);
    if (int_b)
        return -order_int_double(k, f);
    return f < g ? -1 : f > g;
}

static int order_str(struct rz_j_value a, struct rz_j_value b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.u.s, b.u.s, n) : 0;
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static bool equal_lists(struct rz_j_ctx *c, const struct rz_j_list *a, const struct rz_j_list *b,
                        bool *equal)
{
    *equal = a->n == b->n;
    for (uint32_t i = 0; *equal && i < a->n; i++)
        if (!rz_j_equal(c, a->items[i], b->items[i], equal))
            return false;
    return true;
}

static bool equal_dicts(struct rz_j_ctx *c, const struct rz_j_dict *a, const struct rz_j_dict *b,
                        bool *equal)
{
    *equal = a->n == b->n;
    for (uint32_t i = 0; *equal && i < a->n; i++) {
        struct rz_j_value *other;
        if (!rz_j_dict_get(c, b, a->pairs[i].key, &other))
            return false;
        *equal = other != NULL;
        if (other && !rz_j_equal(c, a->pairs[i].value, *other, equal))
            return false;
    }
    return true;
}

static bool is_same_object(struct rz_j_value a, struct rz_j_value b)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == RZJ_METHOD)
        return a.u.bound->method == b.u.bound->method &&
               a.u.bound->self.u.list == b.u.bound->self.u.list;
    return a.u.list == b.u.list;
}

bool rz_j_equal(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b, bool *equal)
{
    double f;
    *equal = false;
    if (rz_j_is_number(a, &f)) {
        *equal = rz_j_is_number(b, &f) && rz_j_number_order(a, b) == 0;
        return rz_j_charge(c, 1);
    }
    if (a.kind != b.kind)
        return rz_j_charge(c, 1);
    switch ((enum rz_j_kind)a.kind) {
    case RZJ_STR:
        *equal = a.len == b.len && memcmp(a.u.s, b.u.s, a.len) == 0;
        return rz_j_charge_bytes(c, *equal ? a.len : 0);
    case RZJ_NONE:
    case RZJ_ABSENT:
    case RZJ_UNDEF:
        *equal = true;
        return true;
    case RZJ_LIST:
    case RZJ_TUPLE:
    case RZJ_RANGE: {
        bool ok = rz_j_enter(c) && equal_lists(c, a.u.list, b.u.list, equal);
        c->depth--;
        return ok;
    }
    case RZJ_DICT: {
        bool ok = rz_j_enter(c) && equal_dicts(c, a.u.dict, b.u.dict, equal);
        c->depth--;
        return ok;
    }
    default:
        *equal = is_same_object(a, b);
        return true;
    }
}

static bool less_lists(struct rz_j_ctx *c, const struct rz_j_list *a, const struct rz_j_list *b,
                       bool *less)
{
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        bool equal;
        if (!rz_j_equal(c, a->items[i], b->items[i], &equal))
            return false;
        if (!equal)
            return rz_j_less(c, a->items[i], b->items[i], less);
    }
    *less = a->n < b->n;
    return true;
}

bool rz_j_less(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b, bool *less)
{
    double f;
    if (rz_j_is_number(a, &f) && rz_j_is_number(b, &f)) {
        *less = rz_j_number_order(a, b) == -1;
        return rz_j_charge(c, 1);
    }
    if (a.kind == RZJ_STR && b.kind == RZJ_STR) {
        *less = order_str(a, b) < 0;
        return rz_j_charge_bytes(c, a.len < b.len ? a.len : b.len);
    }
    if (a.kind == b.kind && (a.kind == RZJ_LIST || a.kind == RZJ_TUPLE)) {
        bool ok = rz_j_enter(c) && less_lists(c, a.u.list, b.u.list, less);
        c->depth--;
        return ok;
    }
    if (a.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, a);
    if (b.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, b);
    return rz_j_fail(c, "'%s' and '%s' have no order", rz_j_type_name(a), rz_j_type_name(b));
}

/* ---------------------------------------------------------------- lists and iteration */

struct rz_j_list *rz_j_list_new(struct rz_j_ctx *c, size_t n)
{
    if (n > RZJ_MAX_VALUE_BYTES / sizeof(struct rz_j_value)) {
        rz_j_fail(c, "a list of %zu elements is too long", n);
        return NULL;
    }
    if (!rz_j_charge(c, n))
        return NULL;
    struct rz_j_list *list = rz_j_alloc(c, 1, sizeof *list);
    if (!list || !(list->items = rz_j_alloc(c, n, sizeof *list->items)))
        return NULL;
    list->n = (uint32_t)n;
    return list;
}

bool rz_j_list_push(struct rz_j_ctx *c, struct rz_j_list *list, uint32_t *cap, struct rz_j_value v)
{
    if (list->n >= *cap) {
        uint32_t more = list->n * 2 + 8; /* n is below 2^23: the arena is that small */
        struct rz_j_value *items = rz_j_alloc(c, more, sizeof *items);
        if (!items)
            return false;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        *cap = more;
    }
    list->items[list->n++] = v;
    return rz_j_charge(c, 1);
}

static bool items_of_str(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_list *out)
{
    size_t n = rz_j_text_count(v.u.s, v.len), k = 0;
    struct rz_j_list *list = rz_j_list_new(c, n);
    if (!list)
        return false;
    for (size_t i = 0, bytes; i < v.len; i += bytes) {
        rz_j_text_at(v.u.s + i, v.len - i, &bytes);
        list->items[k] = rz_j_str(v.u.s + i, bytes);
        list->items[k++].markup = v.markup;
    }
    *out = *list;
    return true;
}

static bool items_of_dict(struct rz_j_ctx *c, const struct rz_j_dict *d, struct rz_j_list *out)
{
    struct rz_j_list *list = rz_j_list_new(c, d->n);
    if (!list)
        return false;
    for (uint32_t i = 0; i < d->n; i++)
        list->items[i] = d->pairs[i].key;
    *out = *list;
    return true;
}

bool rz_j_is_iterable(struct rz_j_value v)
{
    return v.kind == RZJ_UNDEF || (v.kind >= RZJ_STR && v.kind <= RZJ_DICT);
}

bool rz_j_items(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_list *out)
{
    *out = (struct rz_j_list){0};
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_UNDEF:
        return true;
    case RZJ_STR:
        return items_of_str(c, v, out);
    case RZJ_DICT:
        return items_of_dict(c, v.u.dict, out);
    case RZJ_LIST:
    case RZJ_TUPLE:
    case RZJ_RANGE:
    case RZJ_VIEW:
        *out = *v.u.list;
        return rz_j_charge(c, 1);
    case RZJ_GEN:
        if (v.u.list->poison)
            return rz_j_fail(c, "%s", v.u.list->poison);
        out->n = v.u.list->n - v.u.list->pos;
        if (out->n)
            out->items = v.u.list->items + v.u.list->pos;
        v.u.list->pos = v.u.list->n;
        return rz_j_charge(c, 1);
    default:
        return rz_j_fail(c, "'%s' object is not iterable", rz_j_type_name(v));
    }
}

bool rz_j_length(struct rz_j_ctx *c, struct rz_j_value v, int64_t *n)
{
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_UNDEF:
        *n = 0;
        return true;
    case RZJ_STR:
        *n = (int64_t)rz_j_text_count(v.u.s, v.len);
        return rz_j_charge_bytes(c, v.len);
    case RZJ_DICT:
        *n = v.u.dict->n;
        return true;
    case RZJ_LIST:
    case RZJ_TUPLE:
    case RZJ_RANGE:
    case RZJ_VIEW:
        *n = v.u.list->n;
        return true;
    default:
        return rz_j_fail(c, "object of type '%s' has no len()", rz_j_type_name(v));
    }
}

/* ---------------------------------------------------------------- dictionaries */

static uint64_t hash_int(int64_t i)
{
    return rz_hash_bytes(&i, sizeof i, 3);
}

static bool hash_value(struct rz_j_ctx *c, struct rz_j_value v, uint64_t *hash)
{
    int64_t i;
    *hash = 0;
    if (rz_j_is_int(v, &i)) {
        *hash = hash_int(i);
        return true;
    }
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_STR:
        *hash = rz_hash_bytes(v.u.s, v.len, 1);
        return rz_j_charge_bytes(c, v.len);
    case RZJ_FLOAT: /* equal numbers hash equally */
        if (v.u.f >= -0x1p63 && v.u.f < 0x1p63 && trunc(v.u.f) == v.u.f)
            *hash = hash_int((int64_t)v.u.f);
        else
            *hash = rz_hash_bytes(&v.u.f, sizeof v.u.f, 5);
        return true;
    case RZJ_TUPLE: {
        uint64_t h = 11;
        if (!rz_j_enter(c))
            return false;
        for (uint32_t k = 0; k < v.u.list->n; k++) {
            uint64_t item;
            if (!rz_j_charge(c, 1) || !hash_value(c, v.u.list->items[k], &item))
                return false;
            h = rz_hash_bytes(&item, sizeof item, h);
        }
        c->depth--;
        *hash = h;
        return true;
    }
    case RZJ_LIST:
    case RZJ_DICT:
        return rz_j_fail(c, "unhashable type: '%s'", rz_j_type_name(v));
    case RZJ_UNDEF:
    case RZJ_NONE:
        *hash = v.kind;
        return true;
    default:
        *hash = hash_int((int64_t)(intptr_t)v.u.list);
        return true;
    }
}

/* *slot: where key is or would be. Each probe is a step, so that planted collisions run out. */
static bool find_slot(struct rz_j_ctx *c, const struct rz_j_dict *d, struct rz_j_value key,
                      uint64_t hash, uint32_t **slot)
{
    uint32_t mask = d->n_slots - 1, i = (uint32_t)hash & mask;
    for (; d->slots[i]; i = (i + 1) & mask) {
        const struct rz_j_pair *pair = &d->pairs[d->slots[i] - 1];
        bool equal = false;
        if (!rz_j_charge(c, 1) || (pair->hash == hash && !rz_j_equal(c, pair->key, key, &equal)))
            return false;
        if (equal)
            break;
    }
    *slot = &d->slots[i];
    return true;
}

static bool grow(struct rz_j_ctx *c, struct rz_j_dict *d, size_t cap)
{
    size_t n_slots = 8;
    while (n_slots < cap * 2)
        n_slots *= 2;
    struct rz_j_pair *pairs = rz_j_alloc(c, cap, sizeof *pairs);
    uint32_t *slots = pairs ? rz_j_alloc(c, n_slots, sizeof *slots) : NULL;
    if (!slots || !rz_j_charge(c, d->n))
        return false;
    if (d->n)
        memcpy(pairs, d->pairs, d->n * sizeof *pairs);
    for (uint32_t k = 0; k < d->n; k++) {
        size_t i = pairs[k].hash & (n_slots - 1);
        while (slots[i])
            i = (i + 1) & (n_slots - 1);
        slots[i] = k + 1;
    }
    d->pairs = pairs;
    d->cap = (uint32_t)cap;
    d->slots = slots;
    d->n_slots = (uint32_t)n_slots;
    return true;
}

struct rz_j_dict *rz_j_dict_new(struct rz_j_ctx *c, size_t cap)
{
    if (cap > RZJ_MAX_VALUE_BYTES / sizeof(struct rz_j_pair)) {
        rz_j_fail(c, "a dictionary of %zu keys is too large", cap);
        return NULL;
    }
    struct rz_j_dict *d = rz_j_alloc(c, 1, sizeof *d);
    if (!d || (cap && !grow(c, d, cap)))
        return NULL;
    return d;
}

bool rz_j_dict_set(struct rz_j_ctx *c, struct rz_j_dict *d, struct rz_j_value key,
                   struct rz_j_value value)
{
    uint64_t hash;
    uint32_t *slot;
    if (!hash_value(c, key, &hash))
        return false;
    if (d->n == d->cap && !grow(c, d, d->cap ? (size_t)d->cap * 2 : 4))
        return false;
    if (!find_slot(c, d, key, hash, &slot))
        return false;
    if (*slot) {
        d->pairs[*slot - 1].value = value;
        return true;
    }
    d->pairs[d->n] = (struct rz_j_pair){.key = key, .value = value, .hash = hash};
    *slot = ++d->n;
    return true;
}

bool rz_j_dict_get(struct rz_j_ctx *c, const struct rz_j_dict *d, struct rz_j_value key,
                   struct rz_j_value **found)
{
    uint64_t hash;
    uint32_t *slot;
    *found = NULL;
    if (!hash_value(c, key, &hash))
        return false;
    if (!d->n)
        return true;
    if (!find_slot(c, d, key, hash, &slot))
        return false;
    *found = *slot ? &d->pairs[*slot - 1].value : NULL;
    return true;
}
