/* jinja_exec.c - executes statements: text, prints, if, set, macros, blocks; loops are in
 * jinja_loop.c.
 *
 * A statement writes to c->out; captures (set, filter and call blocks, macros) point c->out to a
 * buffer of their own for a while. All such buffers together stay under the output limit. */
#include "tokenizer/jinja_exec.h"

#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"

static bool emit(struct rzj_ctx *c, const char *s, size_t len)
{
    if (len > c->max_output - c->live_bytes)
        return rzj_fail(c, "the output is longer than %zu bytes", c->max_output);
    if (!rz_buf_add(c->out, s, len))
        return rzj_fail(c, "no memory for the output");
    c->live_bytes += len;
    return rzj_charge_bytes(c, len);
}

static bool emit_value(struct rzj_ctx *c, struct rzj_value v)
{
    struct rzj_value text;
    if (v.kind == RZJ_UNDEF)
        return true;
    return rzj_to_str(c, v, &text) && emit(c, text.u.s, text.len);
}

bool rzj_capture_begin(struct rzj_ctx *c, struct rzj_capture *capture)
{
    rz_buf_init(&capture->b, c->max_output);
    capture->outer = c->out;
    c->out = &capture->b;
    return true;
}

bool rzj_capture_end(struct rzj_ctx *c, bool ok, struct rzj_capture *capture, struct rzj_value *out)
{
    c->out = capture->outer;
    c->live_bytes -= capture->b.len;
    return rzj_take(c, ok, &capture->b, out);
}

static bool exec_if(struct rzj_ctx *c, const struct rzj_node *n)
{
    for (uint32_t i = 0; i < n->n; i += 2) {
        struct rzj_value test;
        if (!rzj_eval(c, n->list[i], &test))
            return false;
        if (rzj_truth(test))
            return rzj_exec(c, n->list[i + 1]);
    }
    return n->c ? rzj_exec(c, n->c) : true;
}

/* ---------------------------------------------------------------- assignment */

static bool assign_attribute(struct rzj_ctx *c, const struct rzj_node *n, struct rzj_value v)
{
    struct rzj_value object;
    if (!rzj_eval(c, n->a, &object))
        return false;
    c->at = n;
    if (object.kind != RZJ_NAMESPACE)
        return rzj_fail(c, "cannot assign attribute on non-namespace object");
    if (n->name[0] == '_')
        return rzj_fail(c, "underscore-prefixed attributes cannot be stored on a namespace");
    return rzj_dict_set(c, object.u.dict, rzj_str(n->name, n->name_len), v);
}

bool rzj_assign(struct rzj_ctx *c, const struct rzj_node *target, struct rzj_value v)
{
    struct rzj_list items;
    if (target->kind == RZJ_N_NAME)
        return rzj_scope_set(c, c->scope, target->name, v);
    if (target->kind == RZJ_N_NSREF)
        return assign_attribute(c, target, v);
    c->at = target;
    if (!rzj_enter(c) || !rzj_items(c, v, &items))
        return false;
    if (items.n != target->n)
        return rzj_fail(c, "cannot unpack %u values into %u names", items.n, target->n);
    for (uint32_t i = 0; i < items.n; i++)
        if (!rzj_assign(c, target->list[i], items.items[i]))
            return false;
    c->depth--;
    return true;
}

static bool exec_set(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_value v;
    return rzj_eval(c, n->b, &v) && rzj_assign(c, n->a, v);
}

/* Runs n's body in a scope of its own, its output becomes *out, filtered by chain if given. */
static bool run_captured(struct rzj_ctx *c, const struct rzj_node *n, const struct rzj_node *chain,
                         struct rzj_value *out)
{
    struct rzj_scope *outer = c->scope, *inner = rzj_scope_new(c, outer);
    struct rzj_capture capture;
    if (!inner)
        return false;
    c->scope = inner;
    bool ok = rzj_capture_begin(c, &capture) && rzj_exec(c, n->body);
    ok = rzj_capture_end(c, ok, &capture, out);
    if (ok && chain && c->flow == RZJ_FLOW_NEXT) {
        struct rzj_value pipe = c->pipe;
        c->pipe = *out;
        ok = rzj_eval(c, chain, out);
        c->pipe = pipe;
    }
    c->scope = outer;
    return ok;
}

static bool exec_set_block(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_value v;
    if (!run_captured(c, n, n->b, &v))
        return false;
    return c->flow != RZJ_FLOW_NEXT || rzj_assign(c, n->a, v); /* a break within: no value */
}

static bool exec_filter_block(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_value v;
    if (!run_captured(c, n, n->a, &v))
        return false;
    if (c->flow != RZJ_FLOW_NEXT)
        return true;
    if (v.kind != RZJ_STR)
        return rzj_fail(c, "a filter block's text must stay str, not %s", rzj_type_name(v));
    return emit_value(c, v);
}

/* A scope of its own; break and continue do not pass it, the parser saw to that. */
static bool exec_scope(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_scope *outer = c->scope;
    c->scope = rzj_scope_new(c, outer);
    bool ok = c->scope && rzj_exec(c, n->body);
    c->scope = outer;
    return ok;
}

static bool exec_with(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_scope *outer = c->scope, *inner = rzj_scope_new(c, outer);
    bool ok = inner != NULL;
    for (uint32_t i = 0; ok && i < n->n; i += 2) {
        struct rzj_value v;
        ok = rzj_eval(c, n->list[i + 1], &v); /* the values see the outer scope only */
        c->scope = inner;
        ok = ok && rzj_assign(c, n->list[i], v);
        c->scope = outer;
    }
    c->scope = inner;
    ok = ok && rzj_exec(c, n->body);
    c->scope = outer;
    return ok;
}

/* ---------------------------------------------------------------- macros */

static bool new_macro(struct rzj_ctx *c, const struct rzj_node *def, struct rzj_value *out)
{
    struct rzj_macro *m = rzj_alloc(c, 1, sizeof *m);
    if (!m)
        return false;
    *m = (struct rzj_macro){.def = def, .scope = c->scope};
    *out = (struct rzj_value){.kind = RZJ_MACRO, .u.macro = m};
    return true;
}

static bool exec_macro(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_value m;
    return new_macro(c, n, &m) && rzj_scope_set(c, c->scope, n->name, m);
}

static bool exec_call_block(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_value f, caller, result;
    struct rzj_args args;
    if (!new_macro(c, n, &caller) || !rzj_eval(c, n->a->a, &f) || !rzj_eval_args(c, n->a, &args))
        return false;
    c->at = n->a;
    struct rzj_kwarg *kw = rzj_alloc(c, (size_t)args.n_kw + 1, sizeof *kw);
    if (!kw)
        return false;
    if (args.n_kw)
        memcpy(kw, args.kw, args.n_kw * sizeof *kw);
    kw[args.n_kw++] = (struct rzj_kwarg){.name = rzj_cstr("caller"), .value = caller};
    args.kw = kw;
    return rzj_call_value(c, f, &args, &result) && emit_value(c, result);
}

static const struct rzj_kwarg *find_kw(const struct rzj_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->n_kw; i++)
        if (rzj_is_text(args->kw[i].name, name))
            return &args->kw[i];
    return NULL;
}

static bool is_param(const struct rzj_node *def, struct rzj_value name, uint32_t from)
{
    for (uint32_t i = from; i < def->n; i++)
        if (rzj_is_text(name, def->list[i]->name))
            return true;
    return false;
}

static bool set_special(struct rzj_ctx *c, enum rzj_known_name name, struct rzj_value v)
{
    return rzj_scope_set(c, c->scope, c->t->known_names[name], v);
}

/* caller, kwargs, varargs: given to macros whose body names them, refused by others. */
static bool bind_specials(struct rzj_ctx *c, const struct rzj_node *def,
                          const struct rzj_args *args)
{
    struct rzj_dict *kwargs = rzj_dict_new(c, args->n_kw);
    if (!kwargs)
        return false;
    bool wants_caller = (def->flags & RZJ_F_CALLER) && !is_param(def, rzj_cstr("caller"), 0);
    for (uint32_t i = 0; i < args->n_kw; i++) {
        struct rzj_value name = args->kw[i].name;
        if (is_param(def, name, args->n_pos))
            continue;
        if (wants_caller && rzj_is_text(name, "caller")) {
            if (!set_special(c, RZJ_NAME_CALLER, args->kw[i].value))
                return false;
            continue;
        }
        if (!(def->flags & RZJ_F_KWARGS))
            return rzj_fail(c, "macro '%s' takes no keyword argument '%.*s'",
                            def->name ? def->name : "caller", name.len < 60 ? (int)name.len : 60,
                            name.u.s);
        if (!rzj_dict_set(c, kwargs, name, args->kw[i].value))
            return false;
    }
    struct rzj_value caller;
    if (wants_caller && !find_kw(args, "caller") &&
        (!rzj_undefined(c, "No caller defined", &caller) ||
         !set_special(c, RZJ_NAME_CALLER, caller)))
        return false;
    if ((def->flags & RZJ_F_KWARGS) && !set_special(c, RZJ_NAME_KWARGS, rzj_of_dict(kwargs)))
        return false;
    uint32_t n_more = args->n_pos > def->n ? args->n_pos - def->n : 0;
    if (!(def->flags & RZJ_F_VARARGS))
        return !n_more || rzj_fail(c, "macro '%s' takes not more than %u argument(s)",
                                   def->name ? def->name : "caller", def->n);
    struct rzj_list *more = rzj_list_new(c, n_more);
    if (!more)
        return false;
    if (n_more)
        memcpy(more->items, args->pos + def->n, n_more * sizeof *more->items);
    return set_special(c, RZJ_NAME_VARARGS, rzj_of_list(RZJ_TUPLE, more));
}

/* Parameters in order: a default may name those before it. */
static bool bind_params(struct rzj_ctx *c, const struct rzj_node *def, const struct rzj_args *args)
{
    for (uint32_t i = 0; i < def->n; i++) {
        const struct rzj_node *param = def->list[i];
        const struct rzj_kwarg *kw = i < args->n_pos ? NULL : find_kw(args, param->name);
        struct rzj_value v;
        if (i < args->n_pos) {
            v = args->pos[i];
        } else if (kw) {
            v = kw->value;
        } else if (param->a) {
            if (!rzj_eval(c, param->a, &v))
                return false;
        } else if (!rzj_undefined(c, "a macro's parameter was not provided", &v)) {
            return false;
        }
        if (!rzj_scope_set(c, c->scope, param->name, v))
            return false;
    }
    return true;
}

bool rzj_call_macro(struct rzj_ctx *c, const struct rzj_macro *m, const struct rzj_args *args,
                    struct rzj_value *out)
{
    struct rzj_scope *outer = c->scope, *inner = rzj_scope_new(c, m->scope);
    enum rzj_flow flow = c->flow;
    struct rzj_capture capture;
    if (!inner)
        return false;
    c->scope = inner;
    bool ok = rzj_capture_begin(c, &capture) && bind_specials(c, m->def, args) &&
              bind_params(c, m->def, args) && rzj_exec(c, m->def->body);
    ok = rzj_capture_end(c, ok, &capture, out);
    c->scope = outer;
    c->flow = flow;
    return ok;
}

/* ---------------------------------------------------------------- statements */

static bool exec_print(struct rzj_ctx *c, const struct rzj_node *n)
{
    for (uint32_t i = 0; i < n->n; i++) {
        struct rzj_value v;
        if (!rzj_eval(c, n->list[i], &v))
            return false;
        c->at = n;
        if (!emit_value(c, v))
            return false;
    }
    return true;
}

static bool exec_block(struct rzj_ctx *c, const struct rzj_node *n)
{
    for (uint32_t i = 0; i < n->n && c->flow == RZJ_FLOW_NEXT; i++)
        if (!rzj_exec(c, n->list[i]))
            return false;
    return true;
}

static bool exec_node(struct rzj_ctx *c, const struct rzj_node *n)
{
    switch ((enum rzj_node_kind)n->kind) {
    case RZJ_N_BLOCK:
        return exec_block(c, n);
    case RZJ_N_DATA:
        return emit(c, n->value.u.s, n->value.len);
    case RZJ_N_PRINT:
        return exec_print(c, n);
    case RZJ_N_IF:
        return exec_if(c, n);
    case RZJ_N_FOR:
        return rzj_exec_for(c, n);
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
        return rzj_fail(c, "not a statement");
    }
}

bool rzj_exec(struct rzj_ctx *c, const struct rzj_node *n)
{
    c->at = n;
    if (!rzj_charge(c, 1) || !rzj_enter(c))
        return false;
    bool ok = exec_node(c, n);
    c->depth--;
    return ok;
}
