/* jinja_eval.c - evaluates expressions by walking the tree.
 *
 * Every node costs one step and, while its operands are evaluated, one level of depth. c->at is the
 * node that a failure is reported at: set again after the operands, since they moved it. */
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"

/* ---------------------------------------------------------------- names */

static bool lookup(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    uint32_t n_seen = 0;
    for (const struct rz_j_scope *s = c->scope; s; s = s->parent)
        for (uint32_t i = 0; i < s->n; i++, n_seen++)
            if (s->vars[i].name == n->name) {
                *out = s->vars[i].value;
                return rz_j_charge(c, n_seen / 8);
            }
    struct rz_j_value *found;
    if (!rz_j_charge(c, n_seen / 8) ||
        !rz_j_dict_get(c, c->vars, rz_j_str(n->name, n->name_len), &found))
        return false;
    if (found) {
        *out = *found;
        return true;
    }
    const struct rz_j_builtin *global = rz_j_find_global(n->name, n->name_len);
    if (global) {
        *out = (struct rz_j_value){.kind = RZJ_FUNC, .u.func = global};
        return true;
    }
    struct rz_j_undef *u = rz_j_alloc(c, 1, sizeof *u);
    if (!u)
        return false;
    u->name = rz_j_str(n->name, n->name_len);
    *out = (struct rz_j_value){.kind = RZJ_UNDEF, .u.undef = u};
    return true;
}

/* ---------------------------------------------------------------- calls */

static bool spread(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_args *args)
{
    struct rz_j_list items;
    if (!rz_j_items(c, v, &items))
        return false;
    struct rz_j_value *pos = rz_j_alloc(c, (size_t)args->n_pos + items.n, sizeof *pos);
    if (!pos || !rz_j_charge(c, (uint64_t)args->n_pos + items.n))
        return false;
    if (args->n_pos)
        memcpy(pos, args->pos, args->n_pos * sizeof *pos);
    if (items.n)
        memcpy(pos + args->n_pos, items.items, items.n * sizeof *pos);
    args->pos = pos;
    args->n_pos += items.n;
    return true;
}

static bool spread_kw(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_args *args,
                      uint32_t room)
{
    if (v.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, v);
    if (v.kind != RZJ_DICT)
        return rz_j_fail(c, "the value after ** must be a mapping, not %s", rz_j_type_name(v));
    const struct rz_j_dict *d = v.u.dict;
    struct rz_j_kwarg *kw = rz_j_alloc(c, (size_t)args->n_kw + d->n + room, sizeof *kw);
    if (!kw || !rz_j_charge(c, (uint64_t)args->n_kw + d->n))
        return false;
    if (args->n_kw)
        memcpy(kw, args->kw, args->n_kw * sizeof *kw);
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->pairs[i].key.kind != RZJ_STR)
            return rz_j_fail(c, "keywords must be strings");
        for (uint32_t k = 0; k < args->n_kw; k++) {
            bool equal;
            if (!rz_j_equal(c, args->kw[k].name, d->pairs[i].key, &equal))
                return false;
            if (equal)
                return rz_j_fail(c, "a keyword argument is given twice");
        }
        kw[args->n_kw + i].name = d->pairs[i].key;
        kw[args->n_kw + i].value = d->pairs[i].value;
    }
    args->kw = kw;
    args->n_kw += d->n;
    return true;
}

/* The arguments of a call, filter or test node. */
bool rz_j_eval_args(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_args *out)
{
    *out = (struct rz_j_args){0};
    if (!n->n)
        return true;
    out->pos = rz_j_alloc(c, n->n, sizeof *out->pos);
    out->kw = rz_j_alloc(c, n->n, sizeof *out->kw);
    if (!out->pos || !out->kw)
        return false;
    for (uint32_t i = 0; i < n->n; i++) {
        const struct rz_j_node *arg = n->list[i];
        bool is_plain =
            arg->kind != RZJ_N_KWARG && arg->kind != RZJ_N_STAR && arg->kind != RZJ_N_STAR2;
        struct rz_j_value v;
        if (!rz_j_eval(c, is_plain ? arg : arg->a, &v))
            return false;
        c->at = arg;
        if (is_plain) {
            out->pos[out->n_pos++] = v;
        } else if (arg->kind == RZJ_N_STAR) {
            if (!spread(c, v, out))
                return false;
        } else if (arg->kind == RZJ_N_STAR2) {
            if (!spread_kw(c, v, out, n->n))
                return false;
        } else {
            out->kw[out->n_kw].name = rz_j_str(arg->name, arg->name_len);
            out->kw[out->n_kw++].value = v;
        }
    }
    return true;
}

/* Position of name among f's parameters, or -1. */
static int param_index(const char *params, struct rz_j_value name)
{
    int i = 0;
    while (params && *params) {
        size_t len = strcspn(params, ",");
        if (len == name.len && memcmp(params, name.u.s, len) == 0)
            return i;
        params += len + (params[len] == ',');
        i++;
    }
    return -1;
}

static unsigned param_count(const char *params)
{
    unsigned n = params && *params;
    for (; params && *params; params++)
        n += *params == ',';
    return n;
}

static bool bind(struct rz_j_ctx *c, const struct rz_j_builtin *f, const struct rz_j_args *args,
                 struct rz_j_value a[RZJ_MAX_PARAMS])
{
    unsigned n_params = param_count(f->params);
    if (args->n_pos > n_params)
        return rz_j_fail(c, "%s takes at most %u arguments, %u are given", f->name, n_params,
                         args->n_pos);
    for (uint32_t i = 0; i < args->n_pos; i++)
        a[i] = args->pos[i];
    for (uint32_t i = 0; i < args->n_kw; i++) {
        int k = param_index(f->params, args->kw[i].name);
        if (k < 0)
            return rz_j_fail(c, "%s takes no argument named '%.*s'", f->name,
                             args->kw[i].name.len < 60 ? (int)args->kw[i].name.len : 60,
                             args->kw[i].name.u.s);
        if (a[k].kind != RZJ_ABSENT)
            return rz_j_fail(c, "%s is given an argument twice", f->name);
        a[k] = args->kw[i].value;
    }
    for (unsigned i = 0; i < f->n_required; i++)
        if (a[i].kind == RZJ_ABSENT)
            return rz_j_fail(c, "%s misses a required argument (it takes: %s)", f->name, f->params);
    return true;
}

bool rz_j_call_builtin(struct rz_j_ctx *c, const struct rz_j_builtin *f, struct rz_j_value self,
                       const struct rz_j_args *args, struct rz_j_value *out)
{
    struct rz_j_call call = {.self = self, .raw = args};
    bool is_raw = f->params && f->params[0] == '*';
    if (!is_raw && !bind(c, f, args, call.a))
        return false;
    return f->fn(c, &call, out);
}

static bool call_joiner(struct rz_j_ctx *c, struct rz_j_cycler *joiner,
                        const struct rz_j_args *args, struct rz_j_value *out)
{
    if (args->n_pos || args->n_kw)
        return rz_j_fail(c, "a joiner takes no arguments");
    *out = joiner->pos ? joiner->items[0] : rz_j_cstr("");
    joiner->pos = 1;
    return true;
}

bool rz_j_call_value(struct rz_j_ctx *c, struct rz_j_value f, const struct rz_j_args *args,
                     struct rz_j_value *out)
{
    switch ((enum rz_j_kind)f.kind) {
    case RZJ_FUNC:
        return rz_j_call_builtin(c, f.u.func, rz_j_none(), args, out);
    case RZJ_METHOD:
        return rz_j_call_builtin(c, f.u.bound->method, f.u.bound->self, args, out);
    case RZJ_MACRO:
        return rz_j_call_macro(c, f.u.macro, args, out);
    case RZJ_LOOP:
        return rz_j_call_loop(c, f.u.loop, args, out);
    case RZJ_JOINER:
        return call_joiner(c, f.u.cycler, args, out);
    case RZJ_UNDEF:
        return rz_j_fail_undefined(c, f);
    default:
        return rz_j_fail(c, "'%s' object is not callable", rz_j_type_name(f));
    }
}

static bool eval_call(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value f;
    struct rz_j_args args;
    if (!rz_j_eval(c, n->a, &f) || !rz_j_eval_args(c, n, &args))
        return false;
    c->at = n;
    return rz_j_call_value(c, f, &args, out);
}

static bool eval_builtin(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value self = c->pipe; /* the head of a filter block's chain has no operand */
    struct rz_j_args args;
    if (n->a && !rz_j_eval(c, n->a, &self))
        return false;
    if (!rz_j_eval_args(c, n, &args))
        return false;
    c->at = n;
    if (!n->builtin)
        return rz_j_fail(c, "no %s is named '%s'", n->kind == RZJ_N_FILTER ? "filter" : "test",
                         n->name);
    return rz_j_call_builtin(c, n->builtin, self, &args, out);
}

/* ---------------------------------------------------------------- other nodes */

static bool eval_sequence(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_list *list = rz_j_list_new(c, n->n);
    if (!list)
        return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (!rz_j_eval(c, n->list[i], &list->items[i]))
            return false;
    *out = rz_j_of_list(n->kind == RZJ_N_LIST ? RZJ_LIST : RZJ_TUPLE, list);
    return true;
}

static bool eval_dict(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_dict *d = rz_j_dict_new(c, n->n / 2);
    if (!d)
        return false;
    for (uint32_t i = 0; i < n->n; i += 2) {
        struct rz_j_value key, value;
        if (!rz_j_eval(c, n->list[i], &key) || !rz_j_eval(c, n->list[i + 1], &value))
            return false;
        c->at = n;
        if (!rz_j_dict_set(c, d, key, value))
            return false;
    }
    *out = rz_j_of_dict(d);
    return true;
}

static bool eval_getitem(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value object, key;
    if (!rz_j_eval(c, n->a, &object))
        return false;
    if (n->b->kind != RZJ_N_SLICE) {
        if (!rz_j_eval(c, n->b, &key))
            return false;
        c->at = n;
        return rz_j_getitem(c, object, key, out);
    }
    struct rz_j_value bounds[3] = {0};
    const struct rz_j_node *parts[3] = {n->b->a, n->b->b, n->b->c};
    for (int i = 0; i < 3; i++)
        if (parts[i] && !rz_j_eval(c, parts[i], &bounds[i]))
            return false;
    c->at = n;
    return rz_j_getslice(c, object, bounds, out);
}

static bool eval_compare(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value left, right;
    bool holds = true;
    if (!rz_j_eval(c, n->a, &left))
        return false;
    for (uint32_t i = 0; i < n->n && holds; i++, left = right) {
        if (!rz_j_eval(c, n->list[i]->a, &right))
            return false;
        c->at = n->list[i];
        if (!rz_j_compare(c, n->list[i]->op, left, right, &holds))
            return false;
    }
    *out = rz_j_bool(holds);
    return true;
}

static bool eval_cond(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value test;
    if (!rz_j_eval(c, n->a, &test))
        return false;
    if (rz_j_truth(test))
        return rz_j_eval(c, n->b, out);
    if (n->c)
        return rz_j_eval(c, n->c, out);
    return rz_j_undefined(c, "the inline if-expression evaluated to false and has no else", out);
}

static bool eval_concat(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_list *parts = rz_j_list_new(c, n->n);
    struct rz_j_value sum = rz_j_str("", 0);
    if (!parts)
        return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (!rz_j_eval(c, n->list[i], &parts->items[i]))
            return false;
    c->at = n;
    for (uint32_t i = 0; i < n->n; i++) {
        struct rz_j_value text;
        if (!rz_j_to_str(c, parts->items[i], &text) || !rz_j_concat(c, sum, text, &sum))
            return false;
    }
    *out = sum;
    return true;
}

static bool eval_binary(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value a, b;
    if (!rz_j_eval(c, n->a, &a) || !rz_j_eval(c, n->b, &b))
        return false;
    c->at = n;
    return rz_j_binary(c, n->op, a, b, out);
}

static bool eval_logic(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    if (!rz_j_eval(c, n->a, out))
        return false;
    if (rz_j_truth(*out) == (n->kind == RZJ_N_OR))
        return true;
    return rz_j_eval(c, n->b, out);
}

static bool eval_unary(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value v;
    if (!rz_j_eval(c, n->a, &v))
        return false;
    c->at = n;
    if (n->kind != RZJ_N_NOT)
        return rz_j_negate(c, n->kind, v, out);
    *out = rz_j_bool(!rz_j_truth(v));
    return true;
}

static bool eval_getattr(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    struct rz_j_value object;
    if (!rz_j_eval(c, n->a, &object))
        return false;
    c->at = n;
    return rz_j_getattr(c, object, n->name, n->name_len, n->flags & RZJ_F_METHOD, out);
}

static bool eval_node(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    switch ((enum rz_j_node_kind)n->kind) {
    case RZJ_N_CONST:
        *out = n->value;
        return true;
    case RZJ_N_NAME:
        return lookup(c, n, out);
    case RZJ_N_LIST:
    case RZJ_N_TUPLE:
        return eval_sequence(c, n, out);
    case RZJ_N_DICT:
        return eval_dict(c, n, out);
    case RZJ_N_GETATTR:
        return eval_getattr(c, n, out);
    case RZJ_N_GETITEM:
        return eval_getitem(c, n, out);
    case RZJ_N_CALL:
        return eval_call(c, n, out);
    case RZJ_N_FILTER:
    case RZJ_N_TEST:
        return eval_builtin(c, n, out);
    case RZJ_N_BINARY:
        return eval_binary(c, n, out);
    case RZJ_N_NEG:
    case RZJ_N_POS:
    case RZJ_N_NOT:
        return eval_unary(c, n, out);
    case RZJ_N_AND:
    case RZJ_N_OR:
        return eval_logic(c, n, out);
    case RZJ_N_COMPARE:
        return eval_compare(c, n, out);
    case RZJ_N_COND:
        return eval_cond(c, n, out);
    case RZJ_N_CONCAT:
        return eval_concat(c, n, out);
    default:
        return rz_j_fail(c, "not an expression");
    }
}

bool rz_j_eval(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out)
{
    c->at = n;
    *out = rz_j_none();
    if (!rz_j_charge(c, 1) || !rz_j_enter(c))
        return false;
    bool ok = eval_node(c, n, out);
    c->depth--;
    return ok;
}
