/* jinja_exec.c - executes statements: text, prints, if, set, macros, blocks; loops are in
 * jinja_loop.c.
 *
 * A statement writes to c->out; captures (set, filter and call blocks, macros) point c->out to a
 * buffer of their own for a while. All such buffers together stay under the output limit. */
#include "tokenizer/jinja_exec.h"

#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"

static bool emit(struct rz_j_ctx *c, const char *s, size_t len)
{
    if (len > c->max_output - c->live_bytes)
        return rz_j_fail(c, "the output is longer than %zu bytes", c->max_output);
    if (!rz_buf_add(c->out, s, len))
        return rz_j_fail(c, "no memory for the output");
    c->live_bytes += len;
    return rz_j_charge_bytes(c, len);
}

static bool emit_value(struct rz_j_ctx *c, struct rz_j_value v)
{
    struct rz_j_value text;
    if (v.kind == RZJ_UNDEF)
        return true;
    return rz_j_to_str(c, v, &text) && emit(c, text.u.s, text.len);
}

bool rz_j_capture_begin(struct rz_j_ctx *c, struct rz_j_capture *capture)
{
    rz_buf_init(&capture->b, c->max_output);
    capture->outer = c->out;
    c->out = &capture->b;
    return true;
}

bool rz_j_capture_end(struct rz_j_ctx *c, bool ok, struct rz_j_capture *capture,
                      struct rz_j_value *out)
{
    c->out = capture->outer;
    c->live_bytes -= capture->b.len;
    return rz_j_take(c, ok, &capture->b, out);
}

static bool exec_if(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    for (uint32_t i = 0; i < n->n; i += 2) {
        struct rz_j_value test;
        if (!rz_j_eval(c, n->list[i], &test))
            return false;
        if (rz_j_truth(test))
            return rz_j_exec(c, n->list[i + 1]);
    }
    return n->c ? rz_j_exec(c, n->c) : true;
}

/* ---------------------------------------------------------------- assignment */

static bool assign_attribute(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value v)
{
    struct rz_j_value object;
    if (!rz_j_eval(c, n->a, &object))
        return false;
    c->at = n;
    if (object.kind != RZJ_NAMESPACE)
        return rz_j_fail(c, "cannot assign attribute on non-namespace object");
    if (n->name[0] == '_')
        return rz_j_fail(c, "underscore-prefixed attributes cannot be stored on a namespace");
    return rz_j_dict_set(c, object.u.dict, rz_j_str(n->name, n->name_len), v);
}

bool rz_j_assign(struct rz_j_ctx *c, const struct rz_j_node *target, struct rz_j_value v)
{
    struct rz_j_list items;
    if (target->kind == RZJ_N_NAME)
        return rz_j_scope_set(c, c->scope, target->name, v);
    if (target->kind == RZJ_N_NSREF)
        return assign_attribute(c, target, v);
    c->at = target;
    if (!rz_j_enter(c) || !rz_j_items(c, v, &items))
        return false;
    if (items.n != target->n)
        return rz_j_fail(c, "cannot unpack %u values into %u names", items.n, target->n);
    for (uint32_t i = 0; i < items.n; i++)
        if (!rz_j_assign(c, target->list[i], items.items[i]))
            return false;
    c->depth--;
    return true;
}

static bool exec_set(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_value v;
    return rz_j_eval(c, n->b, &v) && rz_j_assign(c, n->a, v);
}

/* Runs n's body in a scope of its own, its output becomes *out, filtered by chain if given. */
static bool run_captured(struct rz_j_ctx *c, const struct rz_j_node *n,
                         const struct rz_j_node *chain, struct rz_j_value *out)
{
    struct rz_j_scope *outer = c->scope, *inner = rz_j_scope_new(c, outer);
    struct rz_j_capture capture;
    if (!inner)
        return false;
    c->scope = inner;
    bool ok = rz_j_capture_begin(c, &capture) && rz_j_exec(c, n->body);
    ok = rz_j_capture_end(c, ok, &capture, out);
    if (ok && chain && c->flow == RZJ_FLOW_NEXT) {
        struct rz_j_value pipe = c->pipe;
        c->pipe = *out;
        ok = rz_j_eval(c, chain, out);
        c->pipe = pipe;
    }
    c->scope = outer;
    return ok;
}

static bool exec_set_block(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_value v;
    if (!run_captured(c, n, n->b, &v))
        return false;
    return c->flow != RZJ_FLOW_NEXT || rz_j_assign(c, n->a, v); /* a break within: no value */
}

static bool exec_filter_block(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_value v;
    if (!run_captured(c, n, n->a, &v))
        return false;
    if (c->flow != RZJ_FLOW_NEXT)
        return true;
    if (v.kind != RZJ_STR)
        return rz_j_fail(c, "a filter block's text must stay str, not %s", rz_j_type_name(v));
    return emit_value(c, v);
}

/* A scope of its own; break and continue do not pass it, the parser saw to that. */
static bool exec_scope(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_scope *outer = c->scope;
    c->scope = rz_j_scope_new(c, outer);
    bool ok = c->scope && rz_j_exec(c, n->body);
    c->scope = outer;
    return ok;
}

static bool exec_with(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_scope *outer = c->scope, *inner = rz_j_scope_new(c, outer);
    bool ok = inner != NULL;
    for (uint32_t i = 0; ok && i < n->n; i += 2) {
        struct rz_j_value v;
        ok = rz_j_eval(c, n->list[i + 1], &v); /* the values see the outer scope only */
        c->scope = inner;
        ok = ok && rz_j_assign(c, n->list[i], v);
        c->scope = outer;
    }
    c->scope = inner;
    ok = ok && rz_j_exec(c, n->body);
    c->scope = outer;
    return ok;
}

/* ---------------------------------------------------------------- macros */

static bool new_macro(struct rz_j_ctx *c, const struct rz_j_node *def, struct rz_j_value *out)
{
    struct rz_j_macro *m = rz_j_alloc(c, 1, sizeof *m);
    if (!m)
        return false;
    *m = (struct rz_j_macro){.def = def, .scope = c->scope};
    *out = (struct rz_j_value){.kind = RZJ_MACRO, .u.macro = m};
    return true;
}

static bool exec_macro(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_value m;
    return new_macro(c, n, &m) && rz_j_scope_set(c, c->scope, n->name, m);
}

static bool exec_call_block(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_value f, caller, result;
    struct rz_j_args args;
    if (!new_macro(c, n, &caller) || !rz_j_eval(c, n->a->a, &f) || !rz_j_eval_args(c, n->a, &args))
        return false;
    c->at = n->a;
    struct rz_j_kwarg *kw = rz_j_alloc(c, (size_t)args.n_kw + 1, sizeof *kw);
    if (!kw)
        return false;
    if (args.n_kw)
        memcpy(kw, args.kw, args.n_kw * sizeof *kw);
    kw[args.n_kw++] = (struct rz_j_kwarg){.name = rz_j_cstr("caller"), .value = caller};
    args.kw = kw;
    return rz_j_call_value(c, f, &args, &result) && emit_value(c, result);
}

static const struct rz_j_kwarg *find_kw(const struct rz_j_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->n_kw; i++)
        if (rz_j_is_text(args->kw[i].name, name))
            return &args->kw[i];
    return NULL;
}

static bool is_param(const struct rz_j_node *def, struct rz_j_value name, uint32_t from)
{
    for (uint32_t i = from; i < def->n; i++)
        if (rz_j_is_text(name, def->list[i]->name))
            return true;
    return false;
}

static bool set_special(struct rz_j_ctx *c, enum rz_j_known_name name, struct rz_j_value v)
{
    return rz_j_scope_set(c, c->scope, c->t->known_names[name], v);
}

/* caller, kwargs, varargs: given to macros whose body names them, refused by others. */
static bool bind_specials(struct rz_j_ctx *c, const struct rz_j_node *def,
                          const struct rz_j_args *args)
{
    struct rz_j_dict *kwargs = rz_j_dict_new(c, args->n_kw);
    if (!kwargs)
        return false;
    bool wants_caller = (def->flags & RZJ_F_CALLER) && !is_param(def, rz_j_cstr("caller"), 0);
    for (uint32_t i = 0; i < args->n_kw; i++) {
        struct rz_j_value name = args->kw[i].name;
        if (is_param(def, name, args->n_pos))
            continue;
        if (wants_caller && rz_j_is_text(name, "caller")) {
            if (!set_special(c, RZJ_NAME_CALLER, args->kw[i].value))
                return false;
            continue;
        }
        if (!(def->flags & RZJ_F_KWARGS))
            return rz_j_fail(c, "macro '%s' takes no keyword argument '%.*s'",
                             def->name ? def->name : "caller", name.len < 60 ? (int)name.len : 60,
                             name.u.s);
        if (!rz_j_dict_set(c, kwargs, name, args->kw[i].value))
            return false;
    }
    struct rz_j_value caller;
    if (wants_caller && !find_kw(args, "caller") &&
        (!rz_j_undefined(c, "No caller defined", &caller) ||
         !set_special(c, RZJ_NAME_CALLER, caller)))
        return false;
    if ((def->flags & RZJ_F_KWARGS) && !set_special(c, RZJ_NAME_KWARGS, rz_j_of_dict(kwargs)))
        return false;
    uint32_t n_more = args->n_pos > def->n ? args->n_pos - def->n : 0;
    if (!(def->flags & RZJ_F_VARARGS))
        return !n_more || rz_j_fail(c, "macro '%s' takes not more than %u argument(s)",
                                    def->name ? def->name : "caller", def->n);
    struct rz_j_list *more = rz_j_list_new(c, n_more);
    if (!more)
        return false;
    if (n_more)
        memcpy(more->items, args->pos + def->n, n_more * sizeof *more->items);
    return set_special(c, RZJ_NAME_VARARGS, rz_j_of_list(RZJ_TUPLE, more));
}

/* Parameters in order: a default may name those before it. */
static bool bind_params(struct rz_j_ctx *c, const struct rz_j_node *def,
                        const struct rz_j_args *args)
{
    for (uint32_t i = 0; i < def->n; i++) {
        const struct rz_j_node *param = def->list[i];
        const struct rz_j_kwarg *kw = i < args->n_pos ? NULL : find_kw(args, param->name);
        struct rz_j_value v;
        if (i < args->n_pos) {
            v = args->pos[i];
        } else if (kw) {
            v = kw->value;
        } else if (param->a) {
            if (!rz_j_eval(c, param->a, &v))
                return false;
        } else if (!rz_j_undefined(c, "a macro's parameter was not provided", &v)) {
            return false;
        }
        if (!rz_j_scope_set(c, c->scope, param->name, v))
            return false;
    }
    return true;
}

bool rz_j_call_macro(struct rz_j_ctx *c, const struct rz_j_macro *m, const struct rz_j_args *args,
                     struct rz_j_value *out)
{
    struct rz_j_scope *outer = c->scope, *inner = rz_j_scope_new(c, m->scope);
    enum rz_j_flow flow = c->flow;
    struct rz_j_capture capture;
    if (!inner)
        return false;
    c->scope = inner;
    bool ok = rz_j_capture_begin(c, &capture) && bind_specials(c, m->def, args) &&
              bind_params(c, m->def, args) && rz_j_exec(c, m->def->body);
    ok = rz_j_capture_end(c, ok, &capture, out);
    c->scope = outer;
    c->flow = flow;
    return ok;
}

/* ---------------------------------------------------------------- statements */

static bool exec_print(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    for (uint32_t i = 0; i < n->n; i++) {
        struct rz_j_value v;
        if (!rz_j_eval(c, n->list[i], &v))
            return false;
        c->at = n;
        if (!emit_value(c, v))
            return false;
    }
    return true;
}

static bool exec_block(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    for (uint32_t i = 0; i < n->n && c->flow == RZJ_FLOW_NEXT; i++)
        if (!rz_j_exec(c, n->list[i]))
            return false;
    return true;
}

static bool exec_node(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    switch ((enum rz_j_node_kind)n->kind) {
    case RZJ_N_BLOCK:
        return exec_block(c, n);
    case RZJ_N_DATA:
        return emit(c, n->value.u.s, n->value.len);
    case RZJ_N_PRINT:
        return exec_print(c, n);
    case RZJ_N_IF:
        return exec_if(c, n);
    case RZJ_N_FOR:
        return rz_j_exec_for(c, n);
    case RZJ_N_SET:
        return exec_set(c, n);
    case RZJ_N_SETBLOCK:
        return exec_set_block(c, n);
    case RZJ_N_MACRO:
        return exec_macro(c, n);
    case RZJ_N_CALLBLOCK:
        return exec_call_block(c, n);
    case RZJ_N_FILTERBLOCK:
        return exec_filter_block(c, n);
    case RZJ_N_WITH:
        return exec_with(c, n);
    case RZJ_N_SCOPE:
        return exec_scope(c, n);
    case RZJ_N_BREAK:
        c->flow = RZJ_FLOW_BREAK;
        return true;
    case RZJ_N_CONTINUE:
        c->flow = RZJ_FLOW_CONTINUE;
        return true;
    default:
        return rz_j_fail(c, "not a statement");
    }
}

bool rz_j_exec(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    c->at = n;
    if (!rz_j_charge(c, 1) || !rz_j_enter(c))
        return false;
    bool ok = exec_node(c, n);
    c->depth--;
    return ok;
}
