/* jinja_methods.c - methods of list, tuple, range and dict, and the simpler half of str's: those
 * that answer about a text. What changes its object has no function: the sandbox refuses it. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_text.h"

/* ---------------------------------------------------------------- dict */

static bool dict_get(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value *found;
    if (!rz_j_dict_get(c, call->self.u.dict, call->a[0], &found))
        return false;
    *out = found ? *found : call->a[1].kind == RZJ_ABSENT ? rz_j_none() : call->a[1];
    return true;
}

enum view {
    KEYS,
    VALUES,
    ITEMS
};

static bool dict_view(struct rz_j_ctx *c, const struct rz_j_dict *d, enum view view,
                      struct rz_j_value *out)
{
    static const char *const names[] = {"dict_keys", "dict_values", "dict_items"};
    struct rz_j_list *list = rz_j_list_new(c, d->n);
    if (!list)
        return false;
    list->type_name = names[view];
    for (uint32_t i = 0; i < d->n; i++) {
        if (view == ITEMS) {
            struct rz_j_list *pair = rz_j_list_new(c, 2);
            if (!pair)
                return false;
            pair->items[0] = d->pairs[i].key;
            pair->items[1] = d->pairs[i].value;
            list->items[i] = rz_j_of_list(RZJ_TUPLE, pair);
        } else {
            list->items[i] = view == KEYS ? d->pairs[i].key : d->pairs[i].value;
        }
    }
    *out = rz_j_of_list(RZJ_VIEW, list);
    return true;
}

static bool dict_keys(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return dict_view(c, call->self.u.dict, KEYS, out);
}

static bool dict_values(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return dict_view(c, call->self.u.dict, VALUES, out);
}

static bool dict_items(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return dict_view(c, call->self.u.dict, ITEMS, out);
}

static bool dict_fromkeys(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list keys;
    struct rz_j_dict *d = rz_j_dict_new(c, 0);
    struct rz_j_value value = call->a[1].kind == RZJ_ABSENT ? rz_j_none() : call->a[1];
    if (!d || !rz_j_items(c, call->a[0], &keys))
        return false;
    for (uint32_t i = 0; i < keys.n; i++)
        if (!rz_j_dict_set(c, d, keys.items[i], value))
            return false;
    *out = rz_j_of_dict(d);
    return true;
}

/* Nothing can change it, so a copy is the thing itself. */
static bool copy(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    *out = call->self;
    return true;
}

const struct rz_j_builtin rz_j_dict_methods[] = {
    {"clear", NULL, NULL, 0},
    {"copy", copy, NULL, 0},
    {"fromkeys", dict_fromkeys, "iterable,value", 1},
    {"get", dict_get, "key,default", 1},
    {"items", dict_items, NULL, 0},
    {"keys", dict_keys, NULL, 0},
    {"pop", NULL, NULL, 0},
    {"popitem", NULL, NULL, 0},
    {"setdefault", NULL, NULL, 0},
    {"update", NULL, NULL, 0},
    {"values", dict_values, NULL, 0},
    {NULL, NULL, NULL, 0},
};

/* ---------------------------------------------------------------- list, tuple, range */

static bool list_count(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    const struct rz_j_list *list = call->self.u.list;
    int64_t n = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        bool equal;
        if (!rz_j_equal(c, list->items[i], call->a[0], &equal))
            return false;
        n += equal;
    }
    *out = rz_j_int(n);
    return true;
}

/* A start or end argument as an offset within n elements. */
static bool clip(struct rz_j_ctx *c, struct rz_j_value v, int64_t n, int64_t otherwise,
                 int64_t *out)
{
    if (v.kind == RZJ_NONE)
        v.kind = RZJ_ABSENT;
    if (!rz_j_arg_int(c, v, otherwise, out))
        return false;
    if (*out < 0)
        *out = *out < -n ? 0 : *out + n;
    if (*out > n)
        *out = v.kind == RZJ_ABSENT || otherwise == n ? n : n + 1;
    return true;
}

static bool list_index(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    const struct rz_j_list *list = call->self.u.list;
    int64_t from, to;
    if (!clip(c, call->a[1], list->n, 0, &from) || !clip(c, call->a[2], list->n, list->n, &to))
        return false;
    for (int64_t i = from; i < to; i++) {
        bool equal;
        if (!rz_j_equal(c, list->items[i], call->a[0], &equal))
            return false;
        if (equal) {
            *out = rz_j_int(i);
            return true;
        }
    }
    return rz_j_fail(c, "the value is not in the list");
}

const struct rz_j_builtin rz_j_list_methods[] = {
    {"append", NULL, NULL, 0}, {"clear", NULL, NULL, 0},
    {"copy", copy, NULL, 0},   {"count", list_count, "value", 1},
    {"extend", NULL, NULL, 0}, {"index", list_index, "value,start,stop", 1},
    {"insert", NULL, NULL, 0}, {"pop", NULL, NULL, 0},
    {"remove", NULL, NULL, 0}, {"reverse", NULL, NULL, 0},
    {"sort", NULL, NULL, 0},   {NULL, NULL, NULL, 0},
};

const struct rz_j_builtin rz_j_tuple_methods[] = {
    {"count", list_count, "value", 1},
    {"index", list_index, "value,start,stop", 1},
    {NULL, NULL, NULL, 0},
};

/* ---------------------------------------------------------------- str: questions */

/* The byte range of self that start and end (in code points) select; *valid is false where start
 * lies beyond the end. */
static bool str_range(struct rz_j_ctx *c, struct rz_j_value s, const struct rz_j_value *bounds,
                      size_t range[2], bool *valid)
{
    int64_t n = (int64_t)rz_j_text_count(s.u.s, s.len), from, to;
    if (!rz_j_charge_bytes(c, s.len) || !clip(c, bounds[0], n, 0, &from) ||
        !clip(c, bounds[1], n, n, &to))
        return false;
    *valid = from <= n && from <= to;
    range[0] = *valid ? rz_j_text_offset(s.u.s, s.len, (size_t)from) : 0;
    range[1] = *valid ? rz_j_text_offset(s.u.s, s.len, (size_t)to) : 0;
    return true;
}

static bool has_affix(struct rz_j_ctx *c, struct rz_j_call *call, bool at_end,
                      struct rz_j_value *out)
{
    struct rz_j_list one = {.items = &call->a[0], .n = 1}, *affixes = &one;
    struct rz_j_value s = call->self;
    size_t range[2];
    bool valid, found = false;
    if (call->a[0].kind == RZJ_TUPLE)
        affixes = call->a[0].u.list;
    if (!str_range(c, s, &call->a[1], range, &valid))
        return false;
    for (uint32_t i = 0; i < affixes->n && !found; i++) {
        struct rz_j_value affix;
        if (!rz_j_arg_str(c, affixes->items[i], &affix) || !rz_j_charge_bytes(c, affix.len))
            return false;
        size_t from = at_end ? range[1] - affix.len : range[0];
        found = valid && affix.len <= range[1] - range[0] &&
                memcmp(s.u.s + from, affix.u.s, affix.len) == 0;
    }
    *out = rz_j_bool(found);
    return true;
}

static bool str_startswith(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return has_affix(c, call, false, out);
}

static bool str_endswith(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return has_affix(c, call, true, out);
}

/* The code point index of the first or last occurrence, or -1. */
static bool find(struct rz_j_ctx *c, struct rz_j_call *call, bool last, int64_t *index)
{
    struct rz_j_value s = call->self, needle;
    size_t range[2], at = SIZE_MAX;
    bool valid;
    if (!rz_j_arg_str(c, call->a[0], &needle) || !str_range(c, s, &call->a[1], range, &valid) ||
        !rz_j_charge_product(c, s.len, last ? needle.len : 0))
        return false;
    const char *text = s.u.s + range[0];
    size_t len = range[1] - range[0];
    if (valid && last)
        at = rz_j_text_rfind(text, len, needle.u.s, needle.len);
    else if (valid)
        at = rz_j_text_find(text, len, needle.u.s, needle.len, 0);
    *index = at == SIZE_MAX ? -1 : (int64_t)rz_j_text_count(s.u.s, range[0] + at);
    return true;
}

static bool str_find(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    int64_t i;
    bool ok = find(c, call, false, &i);
    *out = rz_j_int(ok ? i : -1);
    return ok;
}

static bool str_rfind(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    int64_t i;
    bool ok = find(c, call, true, &i);
    *out = rz_j_int(ok ? i : -1);
    return ok;
}

static bool str_index(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return str_find(c, call, out) && (out->u.i >= 0 || rz_j_fail(c, "substring not found"));
}

static bool str_rindex(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return str_rfind(c, call, out) && (out->u.i >= 0 || rz_j_fail(c, "substring not found"));
}

static bool str_count(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self, needle;
    size_t range[2];
    bool valid;
    int64_t n = 0;
    if (!rz_j_arg_str(c, call->a[0], &needle) || !str_range(c, s, &call->a[1], range, &valid))
        return false;
    const char *text = s.u.s + range[0];
    size_t len = range[1] - range[0], i = 0;
    if (valid && !needle.len)
        n = (int64_t)rz_j_text_count(text, len) + 1;
    else if (valid)
        while ((i = rz_j_text_find(text, len, needle.u.s, needle.len, i)) != SIZE_MAX) {
            i += needle.len;
            n++;
        }
    *out = rz_j_int(n);
    return rz_j_charge(c, (uint64_t)n);
}

typedef bool class_fn(uint32_t c);

static bool all_of(struct rz_j_ctx *c, struct rz_j_call *call, class_fn *is, struct rz_j_value *out)
{
    struct rz_j_value s = call->self;
    bool all = s.len != 0;
    for (size_t i = 0, n; all && i < s.len; i += n)
        all = is(rz_j_text_at(s.u.s + i, s.len - i, &n));
    *out = rz_j_bool(all);
    return rz_j_charge_bytes(c, s.len);
}

static bool is_alnum(uint32_t ch)
{
    return rz_j_is_alpha(ch) || rz_j_is_digit(ch);
}

static bool is_ascii(uint32_t ch)
{
    return ch < 0x80;
}

static bool str_isalnum(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_of(c, call, is_alnum, out);
}

static bool str_isalpha(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_of(c, call, rz_j_is_alpha, out);
}

static bool str_isascii(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    bool ok = all_of(c, call, is_ascii, out);
    out->u.b |= call->self.len == 0;
    return ok;
}

static bool str_isdecimal(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_of(c, call, rz_j_is_decimal, out);
}

static bool str_isdigit(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_of(c, call, rz_j_is_digit, out);
}

static bool str_isspace(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_of(c, call, rz_j_is_space, out);
}

static bool str_isprintable(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    bool ok = all_of(c, call, rz_j_is_printable, out);
    out->u.b |= call->self.len == 0;
    return ok;
}

static bool str_islower(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return rz_j_find_test("lower", 5)->fn(c, call, out);
}

static bool str_isupper(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return rz_j_find_test("upper", 5)->fn(c, call, out);
}

/* Upper case only after uncased characters, lower case only after cased ones. */
static bool str_istitle(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self;
    bool in_word = false, any = false, ok = true;
    for (size_t i = 0, n; ok && i < s.len; i += n) {
        uint32_t ch = rz_j_text_at(s.u.s + i, s.len - i, &n);
        bool upper = rz_j_is_upper(ch), lower = rz_j_is_lower(ch);
        ok = !(upper && in_word) && !(lower && !in_word);
        in_word = upper || lower;
        any |= in_word;
    }
    *out = rz_j_bool(ok && any);
    return rz_j_charge_bytes(c, s.len);
}

const struct rz_j_builtin rz_j_str_methods[] = {
    {"count", str_count, "sub,start,end", 1},
    {"endswith", str_endswith, "suffix,start,end", 1},
    {"find", str_find, "sub,start,end", 1},
    {"index", str_index, "sub,start,end", 1},
    {"isalnum", str_isalnum, NULL, 0},
    {"isalpha", str_isalpha, NULL, 0},
    {"isascii", str_isascii, NULL, 0},
    {"isdecimal", str_isdecimal, NULL, 0},
    {"isdigit", str_isdigit, NULL, 0},
    {"islower", str_islower, NULL, 0},
    {"isnumeric", str_isdigit, NULL, 0},
    {"isprintable", str_isprintable, NULL, 0},
    {"isspace", str_isspace, NULL, 0},
    {"istitle", str_istitle, NULL, 0},
    {"isupper", str_isupper, NULL, 0},
    {"rfind", str_rfind, "sub,start,end", 1},
    {"rindex", str_rindex, "sub,start,end", 1},
    {"startswith", str_startswith, "prefix,start,end", 1},
    {NULL, NULL, NULL, 0},
};
