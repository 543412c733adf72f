/* jinja_filters_order.c - sort, dictsort, groupby, min, max: filters that compare keys.
 *
 * The sort is a stable merge sort that only asks whether a key is less than another, as Python's
 * does, so the same lists are refused for having no order. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_text.h"

struct keyed {
    struct rz_j_value key, item;
};

bool rz_j_ignore_case(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out)
{
    *out = v;
    if (v.kind != RZJ_STR)
        return true;
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    rz_j_add_lower(&b, v.u.s, v.len);
    return rz_j_take(c, rz_j_charge_bytes(c, v.len), &b, out);
}

/* Merges from[low..mid) and from[mid..high) into to. */
static bool merge(struct rz_j_ctx *c, const struct keyed *from, struct keyed *to,
                  const size_t bounds[3])
{
    size_t i = bounds[0], k = bounds[1];
    for (size_t n = bounds[0]; n < bounds[2]; n++) {
        bool right = i == bounds[1];
        if (!right && k < bounds[2] && !rz_j_less(c, from[k].key, from[i].key, &right))
            return false;
        to[n] = right ? from[k++] : from[i++];
    }
    return true;
}

/* Bottom-up; the result is in *data, which may become the scratch array. */
static bool sort(struct rz_j_ctx *c, struct keyed **data, size_t n)
{
    struct keyed *other = rz_j_alloc(c, n, sizeof *other);
    if (!other)
        return false;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t mid = low + width < n ? low + width : n;
            size_t high = mid + width < n ? mid + width : n;
            if (!merge(c, *data, other, (size_t[3]){low, mid, high}))
                return false;
        }
        struct keyed *swap = *data;
        *data = other;
        other = swap;
    }
    return true;
}

static void flip(struct keyed *data, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct keyed swap = data[i];
        data[i] = data[n - 1 - i];
        data[n - 1 - i] = swap;
    }
}

/* Reversed as Python does it: equal items keep their order. */
static bool sort_both_ways(struct rz_j_ctx *c, struct keyed **data, size_t n, bool reverse)
{
    if (reverse)
        flip(*data, n);
    if (!sort(c, data, n))
        return false;
    if (reverse)
        flip(*data, n);
    return true;
}

/* The key for attribute="a,b" is a list of both, and so is that of one path or none: lists compare
 * their elements for equality first, so that equal elements need no order. */
static bool list_key(struct rz_j_ctx *c, struct rz_j_value item, struct rz_j_value path,
                     bool ignore_case, struct rz_j_value *out)
{
    size_t n = 1;
    bool is_str = path.kind == RZJ_STR;
    for (uint32_t i = 0; is_str && i < path.len; i++)
        n += path.u.s[i] == ',';
    struct rz_j_list *keys = rz_j_list_new(c, n);
    for (size_t i = 0, k = 0; keys && k < n; k++) {
        const char *comma = is_str && k + 1 < n ? memchr(path.u.s + i, ',', path.len - i) : NULL;
        size_t end = comma ? (size_t)(comma - path.u.s) : path.len;
        struct rz_j_value part = is_str ? rz_j_str(path.u.s + i, end - i) : path,
                          *v = &keys->items[k];
        if (!rz_j_attribute_path(c, item, part, (struct rz_j_value){0}, v) ||
            (ignore_case && !rz_j_ignore_case(c, *v, v)))
            return false;
        i = end + 1;
    }
    *out = rz_j_of_list(RZJ_LIST, keys);
    return keys != NULL;
}

static bool with_keys(struct rz_j_ctx *c, struct rz_j_value seq, struct rz_j_value path,
                      bool ignore_case, struct keyed **data, size_t *n)
{
    struct rz_j_list items;
    if (!rz_j_items(c, seq, &items) || !(*data = rz_j_alloc(c, items.n, sizeof **data)))
        return false;
    *n = items.n;
    for (uint32_t i = 0; i < items.n; i++) {
        (*data)[i].item = items.items[i];
        if (!list_key(c, items.items[i], path, ignore_case, &(*data)[i].key))
            return false;
    }
    return true;
}

static bool filter_sort(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct keyed *data;
    size_t n;
    if (!with_keys(c, call->self, call->a[2], !rz_j_truth(call->a[1]), &data, &n) ||
        !sort_both_ways(c, &data, n, rz_j_truth(call->a[0])))
        return false;
    struct rz_j_list *list = rz_j_list_new(c, n);
    if (!list)
        return false;
    for (size_t i = 0; i < n; i++)
        list->items[i] = data[i].item;
    *out = rz_j_of_list(RZJ_LIST, list);
    return true;
}

static bool new_pair(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b,
                     struct rz_j_value *out)
{
    struct rz_j_list *pair = rz_j_list_new(c, 2);
    if (!pair)
        return false;
    pair->items[0] = a;
    pair->items[1] = b;
    *out = rz_j_of_list(RZJ_TUPLE, pair);
    return true;
}

static bool filter_dictsort(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value by = call->a[1].kind == RZJ_ABSENT ? rz_j_cstr("key") : call->a[1];
    bool by_value = rz_j_is_text(by, "value");
    if (!by_value && !rz_j_is_text(by, "key"))
        return rz_j_fail(c, "dictsort: you can only sort by either \"key\" or \"value\"");
    if (call->self.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, call->self);
    if (call->self.kind != RZJ_DICT)
        return rz_j_fail(c, "'%s' object has no attribute 'items'", rz_j_type_name(call->self));
    const struct rz_j_dict *d = call->self.u.dict;
    struct keyed *data = rz_j_alloc(c, d->n, sizeof *data);
    struct rz_j_list *list = rz_j_list_new(c, d->n);
    if (!data || !list)
        return false;
    for (uint32_t i = 0; i < d->n; i++) {
        data[i].key = by_value ? d->pairs[i].value : d->pairs[i].key;
        if ((!rz_j_truth(call->a[0]) && !rz_j_ignore_case(c, data[i].key, &data[i].key)) ||
            !new_pair(c, d->pairs[i].key, d->pairs[i].value, &data[i].item))
            return false;
    }
    if (!sort_both_ways(c, &data, d->n, rz_j_truth(call->a[2])))
        return false;
    for (uint32_t i = 0; i < d->n; i++)
        list->items[i] = data[i].item;
    *out = rz_j_of_list(RZJ_LIST, list);
    return true;
}

static bool filter_groupby(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value path = call->a[0], otherwise = call->a[1];
    bool ignore_case = !rz_j_truth(call->a[2]);
    struct rz_j_list items, *result = rz_j_list_new(c, 0);
    uint32_t cap = 0, group_cap = 0;
    if (!result || !rz_j_items(c, call->self, &items))
        return false;
    struct keyed *data = rz_j_alloc(c, items.n, sizeof *data);
    for (uint32_t i = 0; i < items.n; i++) {
        if (!data || !rz_j_attribute_path(c, items.items[i], path, otherwise, &data[i].key) ||
            (ignore_case && !rz_j_ignore_case(c, data[i].key, &data[i].key)))
            return false;
        data[i].item = items.items[i];
    }
    if (!data || !sort(c, &data, items.n))
        return false;
    struct rz_j_list *group = NULL;
    for (uint32_t i = 0; i < items.n; i++) {
        bool same = false;
        if (i && !rz_j_equal(c, data[i - 1].key, data[i].key, &same))
            return false;
        if (!same) {
            struct rz_j_value key, pair;
            group_cap = 0;
            if (!(group = rz_j_list_new(c, 0)) ||
                !rz_j_attribute_path(c, data[i].item, path, otherwise, &key) ||
                !new_pair(c, key, rz_j_of_list(RZJ_LIST, group), &pair) ||
                !rz_j_list_push(c, result, &cap, pair))
                return false;
            pair.u.list->type_name = "_GroupTuple";
        }
        if (!rz_j_list_push(c, group, &group_cap, data[i].item))
            return false;
    }
    *out = rz_j_of_list(RZJ_LIST, result);
    return true;
}

static bool extreme(struct rz_j_ctx *c, struct rz_j_call *call, bool want_max,
                    struct rz_j_value *out)
{
    struct rz_j_list items;
    struct rz_j_value best = rz_j_none();
    if (!rz_j_items(c, call->self, &items))
        return false;
    if (!items.n)
        return rz_j_undefined(c, "No aggregated item, sequence was empty.", out);
    for (uint32_t i = 0; i < items.n; i++) {
        struct rz_j_value key;
        bool better = i == 0;
        if (!rz_j_attribute_path(c, items.items[i], call->a[1], (struct rz_j_value){0}, &key) ||
            (!rz_j_truth(call->a[0]) && !rz_j_ignore_case(c, key, &key)))
            return false;
        if (i && !rz_j_less(c, want_max ? best : key, want_max ? key : best, &better))
            return false;
        if (better) {
            best = key;
            *out = items.items[i];
        }
    }
    return true;
}

static bool filter_min(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return extreme(c, call, false, out);
}

static bool filter_max(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return extreme(c, call, true, out);
}

const struct rz_j_builtin rz_j_order_filters[] = {
    {"dictsort", filter_dictsort, "case_sensitive,by,reverse", 0},
    {"groupby", filter_groupby, "attribute,default,case_sensitive", 1},
    {"max", filter_max, "case_sensitive,attribute", 0},
    {"min", filter_min, "case_sensitive,attribute", 0},
    {"sort", filter_sort, "reverse,case_sensitive,attribute", 0},
    {NULL, NULL, NULL, 0},
};
