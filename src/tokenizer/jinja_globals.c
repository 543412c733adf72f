/* jinja_globals.c - global functions, and the search of all tables.
 *
 * dict and namespace are as transformers restricts them; lipsum, which is random, is left out. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"

#include "base/fail.h"

static bool global_range(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    int64_t start = 0, stop, step = 1;
    bool one = call->a[1].kind == RZJ_ABSENT;
    if (!rz_j_arg_int(c, call->a[one ? 0 : 1], 0, &stop) ||
        (!one && !rz_j_arg_int(c, call->a[0], 0, &start)) || !rz_j_arg_int(c, call->a[2], 1, &step))
        return false;
    if (step == 0)
        return rz_j_fail(c, "range() arg 3 must not be zero");
    /* unsigned: the distance of two int64 fits, their difference may not */
    uint64_t n = 0;
    if (step > 0 && start < stop)
        n = ((uint64_t)stop - (uint64_t)start - 1) / (uint64_t)step + 1;
    else if (step < 0 && start > stop)
        n = ((uint64_t)start - (uint64_t)stop - 1) / (0 - (uint64_t)step) + 1;
    if (n > RZJ_MAX_RANGE)
        return rz_j_fail(c, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                         RZJ_MAX_RANGE);
    struct rz_j_list *list = rz_j_list_new(c, (size_t)n);
    if (!list)
        return false;
    list->start = start;
    list->stop = stop;
    list->step = step;
    for (uint64_t i = 0; i < n; i++)
        list->items[i] = rz_j_int((int64_t)((uint64_t)start + i * (uint64_t)step));
    *out = rz_j_of_list(RZJ_RANGE, list);
    return true;
}

/* dict(mapping or pairs, **names) */
static bool build_dict(struct rz_j_ctx *c, const struct rz_j_args *args, struct rz_j_dict **out)
{
    struct rz_j_dict *d = rz_j_dict_new(c, args->n_kw);
    struct rz_j_list items, pair;
    if (!d)
        return false;
    if (args->n_pos > 1)
        return rz_j_fail(c, "dict expected at most 1 argument, got %u", args->n_pos);
    if (args->n_pos && args->pos[0].kind == RZJ_DICT) {
        const struct rz_j_dict *from = args->pos[0].u.dict;
        for (uint32_t i = 0; i < from->n; i++)
            if (!rz_j_dict_set(c, d, from->pairs[i].key, from->pairs[i].value))
                return false;
    } else if (args->n_pos) {
        if (!rz_j_items(c, args->pos[0], &items))
            return false;
        for (uint32_t i = 0; i < items.n; i++) {
            if (!rz_j_items(c, items.items[i], &pair))
                return false;
            if (pair.n != 2)
                return rz_j_fail(c, "dict: an element has length %u; 2 is required", pair.n);
            if (!rz_j_dict_set(c, d, pair.items[0], pair.items[1]))
                return false;
        }
    }
    for (uint32_t i = 0; i < args->n_kw; i++)
        if (!rz_j_dict_set(c, d, args->kw[i].name, args->kw[i].value))
            return false;
    *out = d;
    return true;
}

static bool global_dict(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_dict *d = NULL;
    if (!build_dict(c, call->raw, &d) || !d)
        return false;
    *out = rz_j_of_dict(d);
    return true;
}

static bool global_namespace(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_dict *d = NULL;
    if (!build_dict(c, call->raw, &d) || !d)
        return false;
    for (uint32_t i = 0; i < d->n; i++) {
        struct rz_j_value key = d->pairs[i].key;
        if (key.kind == RZJ_STR && key.len && key.u.s[0] == '_')
            return rz_j_fail(c, "underscore-prefixed attributes cannot be stored on a namespace");
    }
    *out = (struct rz_j_value){.kind = RZJ_NAMESPACE, .u.dict = d};
    return true;
}

static bool new_cycler(struct rz_j_ctx *c, enum rz_j_kind kind, const struct rz_j_value *items,
                       uint32_t n, struct rz_j_value *out)
{
    struct rz_j_cycler *cycler = rz_j_alloc(c, 1, sizeof *cycler);
    struct rz_j_list *copy = cycler ? rz_j_list_new(c, n) : NULL;
    if (!copy)
        return false;
    memcpy(copy->items, items, n * sizeof *items);
    *cycler = (struct rz_j_cycler){.items = copy->items, .n = n};
    *out = (struct rz_j_value){.kind = (uint8_t)kind, .u.cycler = cycler};
    return true;
}

static bool global_cycler(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    if (!call->raw->n_pos || call->raw->n_kw)
        return rz_j_fail(c, "at least one item has to be provided");
    return new_cycler(c, RZJ_CYCLER, call->raw->pos, call->raw->n_pos, out);
}

static bool global_joiner(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value separator = call->a[0].kind == RZJ_ABSENT ? rz_j_cstr(", ") : call->a[0];
    return new_cycler(c, RZJ_JOINER, &separator, 1, out);
}

static bool cycler_next(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_cycler *cycler = call->self.u.cycler;
    (void)c;
    *out = cycler->items[cycler->pos];
    cycler->pos = (cycler->pos + 1) % cycler->n;
    return true;
}

static bool cycler_reset(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    call->self.u.cycler->pos = 0;
    *out = rz_j_none();
    return true;
}

/* The template's own refusal: its sentence goes to the user as it is. */
static bool global_raise(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value text;
    (void)out;
    if (!rz_j_to_str(c, call->a[0], &text))
        return false;
    int len = text.len < RZ_ERROR_TEXT_MAX ? (int)text.len : RZ_ERROR_TEXT_MAX - 1;
    c->status = rz_fail(c->err, RZ_EINFER, "%.*s", len, text.u.s);
    return false;
}

static bool global_strftime_now(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value format;
    return rz_j_arg_str(c, call->a[0], &format) && rz_j_strftime(c, c->now_unix_s, format, out);
}

const struct rz_j_builtin rz_j_cycler_methods[] = {
    {"next", cycler_next, NULL, 0},
    {"reset", cycler_reset, NULL, 0},
    {NULL, NULL, NULL, 0},
};

const struct rz_j_builtin rz_j_globals[] = {
    {"cycler", global_cycler, "*", 0},
    {"dict", global_dict, "*", 0},
    {"joiner", global_joiner, "sep", 0},
    {"namespace", global_namespace, "*", 0},
    {"raise_exception", global_raise, "message", 1},
    {"range", global_range, "start,stop,step", 1},
    {"strftime_now", global_strftime_now, "format", 1},
    {NULL, NULL, NULL, 0},
};

/* ---------------------------------------------------------------- search */

const struct rz_j_builtin *rz_j_find_in(const struct rz_j_builtin *table, const char *name,
                                        size_t len)
{
    for (; table->name; table++)
        if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
            return table;
    return NULL;
}

static const struct rz_j_builtin *find_any(const struct rz_j_builtin *const *tables, size_t n,
                                           const char *name, size_t len)
{
    const struct rz_j_builtin *found = NULL;
    for (size_t i = 0; i < n && !found; i++)
        found = rz_j_find_in(tables[i], name, len);
    return found;
}

const struct rz_j_builtin *rz_j_find_filter(const char *name, size_t len)
{
    static const struct rz_j_builtin *const tables[] = {rz_j_text_filters, rz_j_value_filters,
                                                        rz_j_seq_filters, rz_j_order_filters};
    return find_any(tables, RZ_ARRAY_LEN(tables), name, len);
}

const struct rz_j_builtin *rz_j_find_test(const char *name, size_t len)
{
    return rz_j_find_in(rz_j_tests, name, len);
}

const struct rz_j_builtin *rz_j_find_global(const char *name, size_t len)
{
    return rz_j_find_in(rz_j_globals, name, len);
}

const struct rz_j_builtin *rz_j_find_method(struct rz_j_value self, const char *name, size_t len)
{
    static const struct rz_j_builtin *const str_tables[] = {rz_j_str_methods,
                                                            rz_j_str_more_methods};
    switch ((enum rz_j_kind)self.kind) {
    case RZJ_STR:
        return find_any(str_tables, RZ_ARRAY_LEN(str_tables), name, len);
    case RZJ_LIST:
        return rz_j_find_in(rz_j_list_methods, name, len);
    case RZJ_TUPLE:
    case RZJ_RANGE:
        return rz_j_find_in(rz_j_tuple_methods, name, len);
    case RZJ_DICT:
        return rz_j_find_in(rz_j_dict_methods, name, len);
    case RZJ_LOOP:
        return rz_j_find_in(rz_j_loop_methods, name, len);
    case RZJ_CYCLER:
        return rz_j_find_in(rz_j_cycler_methods, name, len);
    default:
        return NULL;
    }
}

/* Only a dictionary's methods can hide keys of the same name. */
bool rz_j_is_method_name(const char *name, size_t len)
{
    return rz_j_find_in(rz_j_dict_methods, name, len) != NULL;
}
