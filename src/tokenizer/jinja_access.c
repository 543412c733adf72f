/* jinja_access.c - attributes, items and slices as SandboxedEnvironment's getattr and getitem.
 *
 * Methods come before a dictionary's keys with a dot (x.items is the method) and after them in
 * brackets. What changes an object, and whatever starts with an underscore, is undefined: using it
 * raises, testing it does not. */
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_text.h"

#include <stdio.h>

/* Undefined because object has no name (any kind of value). */
static bool missing(struct rz_j_ctx *c, struct rz_j_value object, struct rz_j_value name,
                    struct rz_j_value *out)
{
    struct rz_j_undef *u = rz_j_alloc(c, 1, sizeof *u);
    if (!u)
        return false;
    u->type_name = object.kind == RZJ_NONE ? "None" : rz_j_type_name(object);
    u->name = name;
    *out = (struct rz_j_value){.kind = RZJ_UNDEF, .u.undef = u};
    return true;
}

static bool unsafe(struct rz_j_ctx *c, struct rz_j_value object, const char *name, size_t len,
                   struct rz_j_value *out)
{
    char hint[200];
    struct rz_j_value copy;
    int shown = len < 60 ? (int)len : 60;
    snprintf(hint, sizeof hint, "access to attribute '%.*s' of '%s' object is unsafe", shown, name,
             rz_j_type_name(object));
    return rz_j_new_str(c, hint, strlen(hint), &copy) && rz_j_undefined(c, copy.u.s, out);
}

/* What Python's getattr finds; *known false if nothing. */
static bool attribute(struct rz_j_ctx *c, struct rz_j_value object, const char *name, size_t len,
                      struct rz_j_value *out, bool *known)
{
    *known = true;
    if (object.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, object);
    if (object.kind == RZJ_NAMESPACE) {
        struct rz_j_value *found;
        if (!rz_j_dict_get(c, object.u.dict, rz_j_str(name, len), &found))
            return false;
        *known = found != NULL;
        if (found)
            *out = *found;
        return true;
    }
    if (object.kind == RZJ_LOOP) {
        if (!rz_j_loop_attr(c, object, name, len, out, known) || *known)
            return c->status == RZ_OK;
        *known = true;
    }
    if (object.kind == RZJ_CYCLER && len == 7 && memcmp(name, "current", 7) == 0) {
        *out = object.u.cycler->items[object.u.cycler->pos];
        return true;
    }
    if (object.kind == RZJ_TUPLE && object.u.list->type_name) { /* groupby's pairs */
        bool is_list = len == 4 && memcmp(name, "list", 4) == 0;
        if (is_list || (len == 7 && memcmp(name, "grouper", 7) == 0)) {
            *out = object.u.list->items[is_list];
            return true;
        }
    }
    const struct rz_j_builtin *method = rz_j_find_method(object, name, len);
    *known = method != NULL;
    if (!method)
        return true;
    if (!method->fn)
        return unsafe(c, object, name, len, out);
    struct rz_j_bound *bound = rz_j_alloc(c, 1, sizeof *bound);
    if (!bound)
        return false;
    *bound = (struct rz_j_bound){.self = object, .method = method};
    *out = (struct rz_j_value){.kind = RZJ_METHOD, .u.bound = bound};
    return true;
}

bool rz_j_getattr(struct rz_j_ctx *c, struct rz_j_value object, const char *name, size_t len,
                  bool may_be_method, struct rz_j_value *out)
{
    bool known = false;
    if ((may_be_method || object.kind != RZJ_DICT) && !attribute(c, object, name, len, out, &known))
        return false;
    if (known)
        return true;
    if (object.kind == RZJ_DICT) {
        struct rz_j_value *found;
        if (!rz_j_dict_get(c, object.u.dict, rz_j_str(name, len), &found))
            return false;
        if (found) {
            *out = *found;
            return true;
        }
    }
    return missing(c, object, rz_j_str(name, len), out);
}

/* object[key] where Python would not raise; *found false where it would. */
static bool item(struct rz_j_ctx *c, struct rz_j_value object, struct rz_j_value key,
                 struct rz_j_value *out, bool *found)
{
    int64_t i, n;
    *found = false;
    if (object.kind == RZJ_DICT) {
        struct rz_j_value *value = NULL;
        bool hashable = key.kind != RZJ_LIST && key.kind != RZJ_DICT;
        if (hashable && !rz_j_dict_get(c, object.u.dict, key, &value))
            return false;
        *found = value != NULL;
        if (value)
            *out = *value;
        return true;
    }
    bool is_sequence = object.kind == RZJ_STR || object.kind == RZJ_LIST ||
                       object.kind == RZJ_TUPLE || object.kind == RZJ_RANGE;
    if (!is_sequence || !rz_j_is_int(key, &i))
        return true;
    if (!rz_j_length(c, object, &n))
        return false;
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return true;
    *found = true;
    if (object.kind != RZJ_STR) {
        *out = object.u.list->items[i];
        return true;
    }
    size_t at = object.len == n ? (size_t)i : rz_j_text_offset(object.u.s, object.len, (size_t)i);
    size_t bytes;
    rz_j_text_at(object.u.s + at, object.len - at, &bytes);
    *out = rz_j_str(object.u.s + at, bytes);
    out->markup = object.markup;
    return true;
}

bool rz_j_getitem(struct rz_j_ctx *c, struct rz_j_value object, struct rz_j_value key,
                  struct rz_j_value *out)
{
    bool found;
    if (object.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, object);
    if (!item(c, object, key, out, &found))
        return false;
    if (!found && key.kind == RZJ_STR && !attribute(c, object, key.u.s, key.len, out, &found))
        return false;
    return found || missing(c, object, key, out);
}

/* ---------------------------------------------------------------- slices */

/* PySlice_AdjustIndices: *low and *high become valid for n elements; returns how many are taken. */
static int64_t adjust(int64_t n, int64_t *low, int64_t *high, int64_t step)
{
    int64_t first = step < 0 ? -1 : 0, last = step < 0 ? n - 1 : n;
    int64_t *bounds[] = {low, high};
    for (int i = 0; i < 2; i++) {
        int64_t b = *bounds[i];
        if (b < 0)
            b = b < -n ? -1 : b + n; /* -1: below the first element */
        *bounds[i] = b < first ? first : b > last ? last : b;
    }
    if (step < 0)
        return *high < *low ? (*low - *high - 1) / -step + 1 : 0;
    return *low < *high ? (*high - *low - 1) / step + 1 : 0;
}

static bool bound(struct rz_j_ctx *c, struct rz_j_value v, int64_t otherwise, int64_t *out)
{
    if (v.kind == RZJ_NONE || v.kind == RZJ_ABSENT)
        *out = otherwise;
    else if (!rz_j_is_int(v, out))
        return rz_j_fail(c, "slice bounds must be integers or none, not %s", rz_j_type_name(v));
    return true;
}

static bool slice_str(struct rz_j_ctx *c, struct rz_j_value s, int64_t low, int64_t step, int64_t n,
                      struct rz_j_value *out)
{
    if (step == 1) {
        size_t from = rz_j_text_offset(s.u.s, s.len, (size_t)low);
        size_t len = rz_j_text_offset(s.u.s + from, s.len - from, (size_t)n);
        *out = rz_j_str(s.u.s + from, len);
        out->markup = s.markup;
        return rz_j_charge_bytes(c, s.len);
    }
    struct rz_j_list chars;
    struct rz_buf b;
    if (!rz_j_items(c, s, &chars))
        return false;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (int64_t i = 0; i < n; i++)
        rz_buf_add(&b, chars.items[low + i * step].u.s, chars.items[low + i * step].len);
    bool ok = rz_j_take(c, true, &b, out);
    out->markup = s.markup;
    return ok;
}

bool rz_j_getslice(struct rz_j_ctx *c, struct rz_j_value object, const struct rz_j_value bounds[3],
                   struct rz_j_value *out)
{
    int64_t n, low, high, step;
    if (object.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, object);
    if (object.kind != RZJ_STR && object.kind != RZJ_LIST && object.kind != RZJ_TUPLE &&
        object.kind != RZJ_RANGE)
        return rz_j_fail(c, "'%s' object cannot be sliced", rz_j_type_name(object));
    if (!rz_j_length(c, object, &n) || !bound(c, bounds[2], 1, &step))
        return false;
    if (step == 0)
        return rz_j_fail(c, "slice step cannot be zero");
    if (step < -INT64_MAX)
        step = -INT64_MAX;
    if (!bound(c, bounds[0], step < 0 ? INT64_MAX : 0, &low) ||
        !bound(c, bounds[1], step < 0 ? INT64_MIN : INT64_MAX, &high))
        return false;
    int64_t taken = adjust(n, &low, &high, step);
    if (object.kind == RZJ_STR)
        return slice_str(c, object, low, step, taken, out);
    struct rz_j_list *list = rz_j_list_new(c, (size_t)taken);
    if (!list)
        return false;
    for (int64_t i = 0; i < taken; i++)
        list->items[i] = object.u.list->items[low + i * step];
    if (object.kind == RZJ_RANGE) {
        /* unsigned: the fields of an empty or one-element result may wrap, and are only printed */
        const struct rz_j_list *r = object.u.list;
        uint64_t by = (uint64_t)r->step * (uint64_t)step;
        uint64_t start = (uint64_t)r->start + (uint64_t)low * (uint64_t)r->step;
        list->start = (int64_t)start;
        list->step = (int64_t)by;
        list->stop = (int64_t)(start + (uint64_t)taken * by);
    }
    *out = rz_j_of_list(object.kind, list);
    return true;
}
