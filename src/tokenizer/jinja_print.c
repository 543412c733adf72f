/* jinja_print.c - Python's str() and repr(): templates print lists and dictionaries as they are. */
#include "tokenizer/jinja_print.h"

#include "tokenizer/jinja_text.h"

#include <inttypes.h>

static void add_repr_char(struct rz_buf *b, uint32_t ch, char quote)
{
    if (ch == (uint32_t)quote || ch == '\\') {
        rz_buf_char(b, '\\');
        rz_buf_char(b, (char)ch);
    } else if (ch == '\n') {
        rz_buf_str(b, "\\n");
    } else if (ch == '\r') {
        rz_buf_str(b, "\\r");
    } else if (ch == '\t') {
        rz_buf_str(b, "\\t");
    } else if (rz_j_is_printable(ch)) {
        rz_j_add_code_point(b, ch);
    } else if (ch < 0x100) {
        rz_buf_printf(b, "\\x%02" PRIx32, ch);
    } else if (ch < 0x10000) {
        rz_buf_printf(b, "\\u%04" PRIx32, ch);
    } else {
        rz_buf_printf(b, "\\U%08" PRIx32, ch);
    }
}

static bool add_repr_str(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v)
{
    bool has_single = v.len && memchr(v.u.s, '\'', v.len);
    char quote = has_single && !memchr(v.u.s, '"', v.len) ? '"' : '\'';
    if (v.markup)
        rz_buf_str(b, "Markup(");
    rz_buf_char(b, quote);
    for (size_t i = 0, n; i < v.len; i += n)
        add_repr_char(b, rz_j_text_at(v.u.s + i, v.len - i, &n), quote);
    rz_buf_char(b, quote);
    if (v.markup)
        rz_buf_char(b, ')');
    return rz_j_charge_bytes(c, v.len);
}

static bool add_items(struct rz_j_ctx *c, struct rz_buf *b, const struct rz_j_list *list,
                      const char *open, const char *close)
{
    if (!rz_j_enter(c))
        return false;
    rz_buf_str(b, open);
    for (uint32_t i = 0; i < list->n; i++) {
        if (i)
            rz_buf_str(b, ", ");
        if (!rz_j_charge(c, 1) || !rz_j_add_repr(c, b, list->items[i]))
            return false;
    }
    rz_buf_str(b, close);
    c->depth--;
    return true;
}

static bool add_repr_dict(struct rz_j_ctx *c, struct rz_buf *b, const struct rz_j_dict *d)
{
    if (!rz_j_enter(c))
        return false;
    rz_buf_char(b, '{');
    for (uint32_t i = 0; i < d->n; i++) {
        if (i)
            rz_buf_str(b, ", ");
        if (!rz_j_charge(c, 1) || !rz_j_add_repr(c, b, d->pairs[i].key))
            return false;
        rz_buf_str(b, ": ");
        if (!rz_j_add_repr(c, b, d->pairs[i].value))
            return false;
    }
    rz_buf_char(b, '}');
    c->depth--;
    return true;
}

static void add_range(struct rz_buf *b, const struct rz_j_list *r)
{
    rz_buf_printf(b, "range(%" PRId64 ", %" PRId64, r->start, r->stop);
    if (r->step != 1)
        rz_buf_printf(b, ", %" PRId64, r->step);
    rz_buf_char(b, ')');
}

/* Objects without a value of their own. */
static bool add_object(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v)
{
    struct rz_j_value index, length;
    bool known;
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_NAMESPACE:
        rz_buf_str(b, "<Namespace ");
        if (!add_repr_dict(c, b, v.u.dict))
            return false;
        rz_buf_char(b, '>');
        return true;
    case RZJ_MACRO:
        if (v.u.macro->def->name)
            rz_buf_printf(b, "<Macro '%s'>", v.u.macro->def->name);
        else
            rz_buf_str(b, "<Macro 'caller'>");
        return true;
    case RZJ_LOOP:
        if (!rz_j_loop_attr(c, v, "index", 5, &index, &known) ||
            !rz_j_loop_attr(c, v, "length", 6, &length, &known))
            return false;
        rz_buf_printf(b, "<LoopContext %" PRId64 "/%" PRId64 ">", index.u.i, length.u.i);
        return true;
    case RZJ_FUNC:
        rz_buf_printf(b, "<function %s>", v.u.func->name);
        return true;
    case RZJ_METHOD:
        rz_buf_printf(b, "<built-in method %s of %s object>", v.u.bound->method->name,
                      rz_j_type_name(v.u.bound->self));
        return true;
    default:
        rz_buf_printf(b, "<%s object>", rz_j_type_name(v));
        return true;
    }
}

bool rz_j_add_repr(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v)
{
    if (b->failed) /* stop early; rz_j_take tells */
        return rz_j_fail(c, "a text longer than %zu bytes", b->max);
    switch ((enum rz_j_kind)v.kind) {
    case RZJ_UNDEF:
        return rz_buf_str(b, "Undefined") || true;
    case RZJ_STR:
        return add_repr_str(c, b, v);
    case RZJ_ABSENT:
    case RZJ_NONE:
        rz_buf_str(b, "None");
        return true;
    case RZJ_BOOL:
        rz_buf_str(b, v.u.b ? "True" : "False");
        return true;
    case RZJ_INT:
        rz_buf_printf(b, "%" PRId64, v.u.i);
        return true;
    case RZJ_FLOAT:
        rz_j_add_float(b, v.u.f);
        return true;
    case RZJ_LIST:
        return add_items(c, b, v.u.list, "[", "]");
    case RZJ_TUPLE:
        return add_items(c, b, v.u.list, "(", v.u.list->n == 1 ? ",)" : ")");
    case RZJ_RANGE:
        add_range(b, v.u.list);
        return true;
    case RZJ_VIEW:
        rz_buf_str(b, rz_j_type_name(v));
        return add_items(c, b, v.u.list, "([", "])");
    case RZJ_DICT:
        return add_repr_dict(c, b, v.u.dict);
    default:
        return add_object(c, b, v);
    }
}

bool rz_j_add_str(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v)
{
    if (v.kind == RZJ_UNDEF)
        return true;
    if (v.kind != RZJ_STR)
        return rz_j_add_repr(c, b, v);
    rz_buf_add(b, v.u.s, v.len);
    return rz_j_charge_bytes(c, v.len);
}

bool rz_j_to_str(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out)
{
    if (v.kind == RZJ_STR) {
        *out = v;
        return true;
    }
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    return rz_j_take(c, rz_j_add_str(c, &b, v), &b, out);
}
