/* jinja_globals.c - global functions, and the search of all tables.
 *
 * dict and namespace are as transformers restricts them; lipsum, which is random, is left out. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"

#include "base/fail.h"

static bool global_range(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    int64_t start = 0, stop, step = 1;
    bool one = call->a[1].kind == RZJ_ABSENT;
    if (!rzj_arg_int(c, call->a[one ? 0 : 1], 0, &stop) ||
        (!one && !rzj_arg_int(c, call->a[0], 0, &start)) || !rzj_arg_int(c, call->a[2], 1, &step))
        return false;
    if (step == 0)
        return rzj_fail(c, "range() arg 3 must not be zero");
    /* unsigned: the distance of two int64 fits, their difference may not */
    uint64_t n = 0;
    if (step > 0 && start < stop)
        n = ((uint64_t)stop - (uint64_t)start - 1) / (uint64_t)step + 1;
    else if (step < 0 && start > stop)
        n = ((uint64_t)start - (uint64_t)stop - 1) / (0 - (uint64_t)step) + 1;
    if (n > RZJ_MAX_RANGE)
        return rzj_fail(c, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                        RZJ_MAX_RANGE);
    struct rzj_list *list = rzj_list_new(c, (size_t)n);
    if (!list)
        return false;
    list->start = start;
    list->stop = stop;
    list->step = step;
    for (uint64_t i = 0; i < n; i++)
        list->items[i] = rzj_int((int64_t)((uint64_t)start + i * (uint64_t)step));
    *out = rzj_of_list(RZJ_RANGE, list);
    return true;
}

/* dict(mapping or pairs, **names) */
static bool build_dict(struct rzj_ctx *c, const struct rzj_args *args, struct rzj_dict **out)
{
    struct rzj_dict *d = rzj_dict_new(c, args->n_kw);
    struct rzj_list items, pair;
    if (!d)
        return false;
    if (args->n_pos > 1)
        return rzj_fail(c, "dict expected at most 1 argument, got %u", args->n_pos);
    if (args->n_pos && args->pos[0].kind == RZJ_DICT) {
        const struct rzj_dict *from = args->pos[0].u.dict;
        for (uint32_t i = 0; i < from->n; i++)
            if (!rzj_dict_set(c, d, from->pairs[i].key, from->pairs[i].value))
                return false;
    } else if (args->n_pos) {
        if (!rzj_items(c, args->pos[0], &items))
            return false;
        for (uint32_t i = 0; i < items.n; i++) {
            if (!rzj_items(c, items.items[i], &pair))
                return false;
            if (pair.n != 2)
                return rzj_fail(c, "dict: an element has length %u; 2 is required", pair.n);
            if (!rzj_dict_set(c, d, pair.items[0], pair.items[1]))
                return false;
        }
    }
    for (uint32_t i = 0; i < args->n_kw; i++)
        if (!rzj_dict_set(c, d, args->kw[i].name, args->kw[i].value))
            return false;
    *out = d;
    return true;
}

static bool global_dict(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_dict *d = NULL;
    if (!build_dict(c, call->raw, &d) || !d)
        return false;
    *out = rzj_of_dict(d);
    return true;
}

static bool global_namespace(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_dict *d = NULL;
    if (!build_dict(c, call->raw, &d) || !d)
        return false;
    for (uint32_t i = 0; i < d->n; i++) {
        struct rzj_value key = d->pairs[i].key;
        if (key.kind == RZJ_STR && key.len && key.u.s[0] == '_')
            return rzj_fail(c, "underscore-prefixed attributes cannot be stored on a namespace");
    }
    *out = (struct rzj_value){.kind = RZJ_NAMESPACE, .u.dict = d};
    return true;
}

static bool new_cycler(struct rzj_ctx *c, enum rzj_kind kind, const struct rzj_value *items,
                       uint32_t n, struct rzj_value *out)
{
    struct rzj_cycler *cycler = rzj_alloc(c, 1, sizeof *cycler);
    struct rzj_list *copy = cycler ? rzj_list_new(c, n) : NULL;
    if (!copy)
        return false;
    memcpy(copy->items, items, n * sizeof *items);
    *cycler = (struct rzj_cycler){.items = copy->items, .n = n};
    *out = (struct rzj_value){.kind = (uint8_t)kind, .u.cycler = cycler};
    return true;
}

static bool global_cycler(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    if (!call->raw->n_pos || call->raw->n_kw)
        return rzj_fail(c, "at least one item has to be provided");
    return new_cycler(c, RZJ_CYCLER, call->raw->pos, call->raw->n_pos, out);
}

static bool global_joiner(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_value separator = call->a[0].kind == RZJ_ABSENT ? rzj_cstr(", ") : call->a[0];
    return new_cycler(c, RZJ_JOINER, &separator, 1, out);
}

static bool cycler_next(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_cycler *cycler = call->self.u.cycler;
    (void)c;
    *out = cycler->items[cycler->pos];
    cycler->pos = (cycler->pos + 1) % cycler->n;
    return true;
}

static bool cycler_reset(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    call->self.u.cycler->pos = 0;
    *out = rzj_none();
    return true;
}

/* The template's own refusal: its sentence goes to the user as it is. */
static bool global_raise(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_value text;
    (void)out;
    if (!rzj_to_str(c, call->a[0], &text))
        return false;
    int len = text.len < RZ_ERROR_TEXT_MAX ? (int)text.len : RZ_ERROR_TEXT_MAX - 1;
    c->status = rz_fail(c->err, RZ_EINFER, "%.*s", len, text.u.s);
    return false;
}

static bool global_strftime_now(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_value format;
    return rzj_arg_str(c, call->a[0], &format) && rzj_strftime(c, c->now_unix_s, format, out);
}

const struct rzj_builtin rzj_cycler_methods[] = {
    {"next", cycler_next, NULL, 0},
    {"reset", cycler_reset, NULL, 0},
    {NULL, NULL, NULL, 0},
};

const struct rzj_builtin rzj_globals[] = {
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

const struct rzj_builtin *rzj_find_in(const struct rzj_builtin *table, const char *name, size_t len)
{
    for (; table->name; table++)
        if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
            return table;
    return NULL;
}

static const struct rzj_builtin *find_any(const struct rzj_builtin *const *tables, size_t n,
                                          const char *name, size_t len)
{
    const struct rzj_builtin *found = NULL;
    for (size_t i = 0; i < n && !found; i++)
        found = rzj_find_in(tables[i], name, len);
    return found;
}

const struct rzj_builtin *rzj_find_filter(const char *name, size_t len)
{
    static const struct rzj_builtin *const tables[] = {rzj_text_filters, rzj_value_filters,
                                                       rzj_seq_filters, rzj_order_filters};
    return find_any(tables, RZ_ARRAY_LEN(tables), name, len);
}

const struct rzj_builtin *rzj_find_test(const char *name, size_t len)
{
    return rzj_find_in(rzj_tests, name, len);
}

const struct rzj_builtin *rzj_find_global(const char *name, size_t len)
{
    return rzj_find_in(rzj_globals, name, len);
}

const struct rzj_builtin *rzj_find_method(struct rzj_value self, const char *name, size_t len)
{
    static const struct rzj_builtin *const str_tables[] = {rzj_str_methods, rzj_str_more_methods};
    switch ((enum rzj_kind)self.kind) {
    case RZJ_STR:
        return find_any(str_tables, RZ_ARRAY_LEN(str_tables), name, len);
    case RZJ_LIST:
        return rzj_find_in(rzj_list_methods, name, len);
    case RZJ_TUPLE:
    case RZJ_RANGE:
        return rzj_find_in(rzj_tuple_methods, name, len);
    case RZJ_DICT:
        return rzj_find_in(rzj_dict_methods, name, len);
    case RZJ_LOOP:
        return rzj_find_in(rzj_loop_methods, name, len);
    case RZJ_CYCLER:
        return rzj_find_in(rzj_cycler_methods, name, len);
    default:
        return NULL;
    }
}

/* Only a dictionary's methods can hide keys of the same name. */
bool rzj_is_method_name(const char *name, size_t len)
{
    return rzj_find_in(rzj_dict_methods, name, len) != NULL;
}
