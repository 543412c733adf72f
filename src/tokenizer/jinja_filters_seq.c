/* jinja_filters_seq.c - filters over sequences, lazily evaluated ones as generators: their value is
 * true even when empty, has no length and is iterated once, as in Jinja2. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

#include <stdio.h>

struct rz_j_args rz_j_args_from(const struct rz_j_args *args, uint32_t first)
{
    struct rz_j_args rest = *args;
    uint32_t skip = first < args->n_pos ? first : args->n_pos;
    rest.n_pos -= skip;
    rest.pos = skip ? rest.pos + skip : rest.pos;
    return rest;
}

static bool path_part(struct rz_j_ctx *c, struct rz_j_value item, const char *s, size_t len,
                      struct rz_j_value *out)
{
    bool digits = len > 0, overflow;
    int64_t i;
    for (size_t k = 0; k < len; k++)
        digits &= s[k] >= '0' && s[k] <= '9';
    if (digits && rz_j_parse_int(s, len, 10, &i, &overflow))
        return rz_j_getitem(c, item, rz_j_int(i), out);
    return rz_j_getitem(c, item, rz_j_str(s, len), out);
}

bool rz_j_attribute_path(struct rz_j_ctx *c, struct rz_j_value item, struct rz_j_value path,
                         struct rz_j_value otherwise, struct rz_j_value *out)
{
    bool replace = otherwise.kind != RZJ_ABSENT && otherwise.kind != RZJ_NONE;
    *out = item;
    if (path.kind == RZJ_NONE || path.kind == RZJ_ABSENT)
        return true;
    if (path.kind != RZJ_STR) {
        if (!rz_j_getitem(c, item, path, out))
            return false;
        if (replace && out->kind == RZJ_UNDEF)
            *out = otherwise;
        return true;
    }
    for (size_t i = 0; i <= path.len;) {
        const char *dot = i < path.len ? memchr(path.u.s + i, '.', path.len - i) : NULL;
        size_t end = dot ? (size_t)(dot - path.u.s) : path.len;
        if (!rz_j_charge(c, 1) || !path_part(c, *out, path.u.s + i, end - i, out))
            return false;
        if (replace && out->kind == RZJ_UNDEF)
            *out = otherwise;
        i = end + 1;
    }
    return true;
}

static bool new_gen(struct rz_j_ctx *c, const struct rz_j_list *items, const char *type_name,
                    struct rz_j_value *out)
{
    struct rz_j_list *list = rz_j_alloc(c, 1, sizeof *list);
    if (!list)
        return false;
    *list = (struct rz_j_list){
        .items = items->items, .n = items->n, .type_name = type_name, .poison = items->poison};
    *out = rz_j_of_list(RZJ_GEN, list);
    return true;
}

/* A lazy filter raises for something that is not iterable only when its result is iterated. */
static bool lazy_failure(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out)
{
    char text[80];
    struct rz_j_value copy;
    snprintf(text, sizeof text, "'%s' object is not iterable", rz_j_type_name(v));
    if (!rz_j_new_str(c, text, strlen(text), &copy))
        return false;
    struct rz_j_list none = {.poison = copy.u.s};
    return new_gen(c, &none, NULL, out);
}

/* ---------------------------------------------------------------- map, select */

static struct rz_j_value find_kw(const struct rz_j_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->n_kw; i++)
        if (rz_j_is_text(args->kw[i].name, name))
            return args->kw[i].value;
    return (struct rz_j_value){.kind = RZJ_ABSENT};
}

static bool filter_map(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    const struct rz_j_args *raw = call->raw;
    struct rz_j_args rest = rz_j_args_from(raw, 1);
    struct rz_j_value path = find_kw(raw, "attribute"), otherwise = find_kw(raw, "default"), name;
    const struct rz_j_builtin *f = NULL;
    struct rz_j_list items, result = {0};
    uint32_t cap = 0;
    if (!rz_j_truth(call->self) && call->self.kind != RZJ_UNDEF)
        return new_gen(c, &result, NULL, out);
    if (raw->n_pos) {
        if (!rz_j_arg_str(c, raw->pos[0], &name))
            return false;
        if (!(f = rz_j_find_filter(name.u.s, name.len)))
            return rz_j_fail(c, "map: no filter is named '%.*s'", (int)name.len, name.u.s);
    } else if (path.kind == RZJ_ABSENT) {
        return rz_j_fail(c, "map requires a filter argument");
    } else if (raw->n_kw != 1u + (otherwise.kind != RZJ_ABSENT)) {
        return rz_j_fail(c, "map: unexpected keyword argument");
    }
    if (!rz_j_is_iterable(call->self))
        return lazy_failure(c, call->self, out);
    if (!rz_j_items(c, call->self, &items))
        return false;
    for (uint32_t i = 0; i < items.n; i++) {
        struct rz_j_value v;
        if (f ? !rz_j_call_builtin(c, f, items.items[i], &rest, &v)
              : !rz_j_attribute_path(c, items.items[i], path, otherwise, &v))
            return false;
        if (!rz_j_list_push(c, &result, &cap, v))
            return false;
    }
    return new_gen(c, &result, NULL, out);
}

/* select, reject (has_path false), selectattr, rejectattr: items whose test equals wanted. */
static bool choose(struct rz_j_ctx *c, struct rz_j_call *call, bool wanted, bool has_path,
                   struct rz_j_value *out)
{
    const struct rz_j_args *raw = call->raw;
    const struct rz_j_builtin *test = NULL;
    struct rz_j_value name, path = {.kind = RZJ_ABSENT};
    struct rz_j_list items, result = {0};
    uint32_t cap = 0, n_used = has_path;
    if (!rz_j_truth(call->self) && call->self.kind != RZJ_UNDEF)
        return new_gen(c, &result, NULL, out);
    if (raw->n_pos < n_used)
        return rz_j_fail(c, "missing parameter for attribute name");
    if (has_path)
        path = raw->pos[0];
    if (raw->n_pos > n_used) {
        if (!rz_j_arg_str(c, raw->pos[n_used], &name))
            return false;
        if (!(test = rz_j_find_test(name.u.s, name.len)))
            return rz_j_fail(c, "no test is named '%.*s'", (int)name.len, name.u.s);
        n_used++;
    }
    struct rz_j_args rest = rz_j_args_from(raw, n_used);
    if (!rz_j_is_iterable(call->self))
        return lazy_failure(c, call->self, out);
    if (!rz_j_items(c, call->self, &items))
        return false;
    for (uint32_t i = 0; i < items.n; i++) {
        struct rz_j_value v, answer;
        if (!rz_j_charge(c, 1) ||
            !rz_j_attribute_path(c, items.items[i], path, (struct rz_j_value){0}, &v))
            return false;
        answer = v;
        if (test && !rz_j_call_builtin(c, test, v, &rest, &answer))
            return false;
        if (rz_j_truth(answer) == wanted && !rz_j_list_push(c, &result, &cap, items.items[i]))
            return false;
    }
    return new_gen(c, &result, NULL, out);
}

static bool filter_select(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return choose(c, call, true, false, out);
}

static bool filter_reject(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return choose(c, call, false, false, out);
}

static bool filter_selectattr(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return choose(c, call, true, true, out);
}

static bool filter_rejectattr(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return choose(c, call, false, true, out);
}

/* ---------------------------------------------------------------- taking */

static bool filter_length(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    int64_t n;
    bool ok = rz_j_length(c, call->self, &n);
    *out = rz_j_int(ok ? n : 0);
    return ok;
}

static bool filter_list(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items;
    if (!rz_j_items(c, call->self, &items))
        return false;
    struct rz_j_list *list = rz_j_list_new(c, items.n);
    if (!list)
        return false;
    if (items.n)
        memcpy(list->items, items.items, items.n * sizeof *list->items);
    *out = rz_j_of_list(RZJ_LIST, list);
    return true;
}

static bool filter_first(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items;
    if (call->self.kind == RZJ_GEN && !call->self.u.list->poison) { /* takes one only */
        struct rz_j_list *gen = call->self.u.list;
        if (gen->pos < gen->n) {
            *out = gen->items[gen->pos++];
            return true;
        }
    } else if (!rz_j_items(c, call->self, &items)) {
        return false;
    } else if (items.n) {
        *out = items.items[0];
        return true;
    }
    return rz_j_undefined(c, "No first item, sequence was empty.", out);
}

static bool filter_last(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items;
    if (call->self.kind == RZJ_GEN)
        return rz_j_fail(c, "'%s' object is not reversible", rz_j_type_name(call->self));
    if (!rz_j_items(c, call->self, &items))
        return false;
    if (!items.n)
        return rz_j_undefined(c, "No last item, sequence was empty.", out);
    *out = items.items[items.n - 1];
    return true;
}

static bool filter_items(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list none = {0};
    struct rz_j_value view;
    struct rz_j_call method = {.self = call->self};
    if (call->self.kind == RZJ_UNDEF)
        return new_gen(c, &none, NULL, out);
    if (call->self.kind != RZJ_DICT) {
        none.poison = "Can only get item pairs from a mapping.";
        return new_gen(c, &none, NULL, out);
    }
    return rz_j_find_method(call->self, "items", 5)->fn(c, &method, &view) &&
           new_gen(c, view.u.list, NULL, out);
}

static bool filter_join(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value separator = rz_j_cstr("");
    struct rz_j_list items;
    if ((call->a[0].kind != RZJ_ABSENT && !rz_j_to_str(c, call->a[0], &separator)) ||
        !rz_j_items(c, call->self, &items))
        return false;
    struct rz_buf b;
    bool ok = true;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (uint32_t i = 0; ok && i < items.n; i++) {
        struct rz_j_value v;
        if (i)
            rz_buf_add(&b, separator.u.s, separator.len);
        ok = !b.failed &&
             rz_j_attribute_path(c, items.items[i],
                                 rz_j_truth(call->a[1]) || call->a[1].kind == RZJ_INT ? call->a[1]
                                                                                      : rz_j_none(),
                                 (struct rz_j_value){0}, &v) &&
             rz_j_charge_bytes(c, separator.len) && rz_j_add_str(c, &b, v);
    }
    return rz_j_take(c, ok || b.failed, &b, out);
}

static bool reverse_str(struct rz_j_ctx *c, struct rz_j_value s, struct rz_j_value *out)
{
    struct rz_j_value bounds[3] = {rz_j_none(), rz_j_none(), rz_j_int(-1)};
    return rz_j_getslice(c, s, bounds, out);
}

static bool filter_reverse(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items;
    if (call->self.kind == RZJ_STR)
        return reverse_str(c, call->self, out);
    if (!rz_j_items(c, call->self, &items))
        return false;
    struct rz_j_list *list = rz_j_list_new(c, items.n);
    if (!list)
        return false;
    for (uint32_t i = 0; i < items.n; i++)
        list->items[i] = items.items[items.n - 1 - i];
    if (call->self.kind != RZJ_GEN)
        return new_gen(c, list, "list_reverseiterator", out);
    *out = rz_j_of_list(RZJ_LIST, list); /* what cannot be reversed lazily becomes a list */
    return true;
}

static bool filter_sum(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items;
    struct rz_j_value sum = call->a[1].kind == RZJ_ABSENT ? rz_j_int(0) : call->a[1];
    if (!rz_j_items(c, call->self, &items))
        return false;
    if (sum.kind == RZJ_STR)
        return rz_j_fail(c, "sum() can't sum strings");
    for (uint32_t i = 0; i < items.n; i++) {
        struct rz_j_value v;
        if (!rz_j_attribute_path(c, items.items[i], call->a[0], (struct rz_j_value){0}, &v) ||
            !rz_j_charge(c, 1) || !rz_j_binary(c, RZJ_OP_ADD, sum, v, &sum))
            return false;
    }
    *out = sum;
    return true;
}

/* What batch and slice cut out of their input: items from..to, then n_fill times fill. */
struct cut {
    uint32_t from, to, n_fill;
    struct rz_j_value fill;
};

static bool push_cut(struct rz_j_ctx *c, const struct rz_j_list *items, const struct cut *cut,
                     struct rz_j_list *result, uint32_t *cap)
{
    struct rz_j_list *part = rz_j_list_new(c, (size_t)(cut->to - cut->from) + cut->n_fill);
    if (!part)
        return false;
    for (uint32_t i = 0; i < part->n; i++)
        part->items[i] = cut->from + i < cut->to ? items->items[cut->from + i] : cut->fill;
    return rz_j_list_push(c, result, cap, rz_j_of_list(RZJ_LIST, part));
}

static bool has_fill(struct rz_j_value fill)
{
    return fill.kind != RZJ_ABSENT && fill.kind != RZJ_NONE;
}

static bool filter_batch(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items, result = {0};
    struct cut cut = {.fill = call->a[1]};
    uint32_t cap = 0;
    int64_t size;
    if (!rz_j_is_iterable(call->self))
        return lazy_failure(c, call->self, out);
    if (!rz_j_items(c, call->self, &items) || !rz_j_arg_int(c, call->a[0], 1, &size))
        return false;
    if (size > (int64_t)items.n + RZJ_MAX_RANGE)
        return rz_j_fail(c, "batch: the size is too large");
    /* Jinja2 starts a new batch whenever the last one has exactly that size */
    if (size == 0 && items.n && !push_cut(c, &items, &cut, &result, &cap))
        return false;
    bool fills = has_fill(call->a[1]) && size > 0;
    if (size <= 0)
        size = items.n;
    for (; cut.from < items.n; cut.from = cut.to) {
        uint32_t left = items.n - cut.from, take = size < left ? (uint32_t)size : left;
        cut.to = cut.from + take;
        cut.n_fill = fills ? (uint32_t)(size - take) : 0;
        if (!push_cut(c, &items, &cut, &result, &cap))
            return false;
    }
    return new_gen(c, &result, NULL, out);
}

static bool filter_slice(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items, result = {0};
    struct cut cut = {.fill = call->a[1]};
    uint32_t cap = 0;
    int64_t n;
    if (!rz_j_is_iterable(call->self))
        return lazy_failure(c, call->self, out);
    if (!rz_j_items(c, call->self, &items) || !rz_j_arg_int(c, call->a[0], 1, &n))
        return false;
    if (n == 0)
        return rz_j_fail(c, "integer division or modulo by zero");
    if (n > RZJ_MAX_RANGE)
        return rz_j_fail(c, "slice: too many slices");
    for (int64_t i = 0; i < n; i++, cut.from = cut.to) {
        bool is_longer = i < items.n % n;
        cut.to = cut.from + (uint32_t)(items.n / n) + is_longer;
        cut.n_fill = has_fill(call->a[1]) && !is_longer;
        if (!push_cut(c, &items, &cut, &result, &cap))
            return false;
    }
    return new_gen(c, &result, NULL, out);
}

static bool filter_unique(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items, result = {0};
    uint32_t cap = 0;
    struct rz_j_dict *seen = rz_j_dict_new(c, 0);
    if (!rz_j_is_iterable(call->self))
        return lazy_failure(c, call->self, out);
    if (!seen || !rz_j_items(c, call->self, &items))
        return false;
    for (uint32_t i = 0; i < items.n; i++) {
        struct rz_j_value key, *found;
        if (!rz_j_attribute_path(c, items.items[i], call->a[1], (struct rz_j_value){0}, &key) ||
            (!rz_j_truth(call->a[0]) && !rz_j_ignore_case(c, key, &key)) ||
            !rz_j_dict_get(c, seen, key, &found))
            return false;
        if (found)
            continue;
        if (!rz_j_dict_set(c, seen, key, rz_j_none()) ||
            !rz_j_list_push(c, &result, &cap, items.items[i]))
            return false;
    }
    return new_gen(c, &result, NULL, out);
}

const struct rz_j_builtin rz_j_seq_filters[] = {
    {"batch", filter_batch, "linecount,fill_with", 1},
    {"count", filter_length, NULL, 0},
    {"first", filter_first, NULL, 0},
    {"items", filter_items, NULL, 0},
    {"join", filter_join, "d,attribute", 0},
    {"last", filter_last, NULL, 0},
    {"length", filter_length, NULL, 0},
    {"list", filter_list, NULL, 0},
    {"map", filter_map, "*", 0},
    {"reject", filter_reject, "*", 0},
    {"rejectattr", filter_rejectattr, "*", 0},
    {"reverse", filter_reverse, NULL, 0},
    {"select", filter_select, "*", 0},
    {"selectattr", filter_selectattr, "*", 0},
    {"slice", filter_slice, "slices,fill_with", 1},
    {"sum", filter_sum, "attribute,start", 0},
    {"unique", filter_unique, "case_sensitive,attribute", 0},
    {NULL, NULL, NULL, 0},
};
