/* jinja_loop.c - for loops and the loop object.
 *
 * An inline test (for x in y if test) is evaluated when the item is reached, or looked ahead to by
 * loop.last and its kin, because its outcome may depend on what the body did before. */
#include "tokenizer/jinja_exec.h"

struct rz_j_loop {
    const struct rz_j_node *node;
    struct rz_j_scope *outer;
    struct rz_j_list source; /* items not yet tested start at source.pos */
    struct rz_j_list passed; /* items that passed the test */
    uint32_t passed_cap;
    uint32_t index0;
    uint32_t depth0;
    bool has_changed;
    struct rz_j_value changed; /* the arguments of the last loop.changed */
};

/* Makes at least n items of passed known, or all there are. */
static bool look_ahead(struct rz_j_ctx *c, struct rz_j_loop *loop, size_t n)
{
    const struct rz_j_node *at = c->at;
    struct rz_j_scope *scope = c->scope;
    if (!loop->node->c) { /* without a test every item passes */
        loop->passed = loop->source;
        return true;
    }
    while (loop->passed.n < n && loop->source.pos < loop->source.n) {
        struct rz_j_value item = loop->source.items[loop->source.pos++], test;
        if (!(c->scope = rz_j_scope_new(c, loop->outer)) || !rz_j_assign(c, loop->node->a, item) ||
            !rz_j_eval(c, loop->node->c, &test))
            return false;
        if (rz_j_truth(test) && !rz_j_list_push(c, &loop->passed, &loop->passed_cap, item))
            return false;
    }
    c->scope = scope;
    c->at = at;
    return true;
}

static bool run_body(struct rz_j_ctx *c, struct rz_j_loop *loop, struct rz_j_scope *scope)
{
    struct rz_j_value object = {.kind = RZJ_LOOP, .u.loop = loop};
    scope->n = 0;
    return rz_j_assign(c, loop->node->a, loop->passed.items[loop->index0]) &&
           rz_j_scope_set(c, scope, c->t->known_names[RZJ_NAME_LOOP], object) &&
           rz_j_exec(c, loop->node->body);
}

static bool run_loop(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_scope *outer,
                     struct rz_j_value iterable, uint32_t depth0)
{
    struct rz_j_scope *saved = c->scope, *scope = rz_j_scope_new(c, outer);
    struct rz_j_loop *loop = rz_j_alloc(c, 1, sizeof *loop);
    if (!scope || !loop)
        return false;
    *loop = (struct rz_j_loop){.node = n, .outer = outer, .depth0 = depth0};
    if (!rz_j_items(c, iterable, &loop->source))
        return false;
    bool ok = true, completed = false; /* as in Jinja2: whether any body ran to its end */
    for (;; loop->index0++) {
        c->scope = scope;
        ok = look_ahead(c, loop, (size_t)loop->index0 + 1);
        if (!ok || loop->index0 >= loop->passed.n)
            break;
        ok = run_body(c, loop, scope);
        if (!ok || c->flow == RZJ_FLOW_BREAK)
            break;
        completed |= c->flow == RZJ_FLOW_NEXT;
        c->flow = RZJ_FLOW_NEXT;
    }
    c->flow = RZJ_FLOW_NEXT;
    if (ok && n->other && !completed) {
        c->scope = rz_j_scope_new(c, outer);
        ok = c->scope && rz_j_exec(c, n->other);
    }
    c->scope = saved;
    return ok;
}

bool rz_j_exec_for(struct rz_j_ctx *c, const struct rz_j_node *n)
{
    struct rz_j_value iterable;
    if (!rz_j_eval(c, n->b, &iterable))
        return false;
    c->at = n;
    return run_loop(c, n, c->scope, iterable, 0);
}

bool rz_j_call_loop(struct rz_j_ctx *c, struct rz_j_loop *loop, const struct rz_j_args *args,
                    struct rz_j_value *out)
{
    struct rz_j_capture capture;
    if (!(loop->node->flags & RZJ_F_RECURSIVE))
        return rz_j_fail(c, "the loop must have the 'recursive' marker to be called");
    if (args->n_pos != 1 || args->n_kw)
        return rz_j_fail(c, "loop() takes one argument");
    bool ok = rz_j_capture_begin(c, &capture) &&
              run_loop(c, loop->node, loop->outer, args->pos[0], loop->depth0 + 1);
    return rz_j_capture_end(c, ok, &capture, out);
}

/* ---------------------------------------------------------------- loop.* */

enum loop_attr {
    INDEX,
    INDEX0,
    REVINDEX,
    REVINDEX0,
    FIRST,
    LAST,
    LENGTH,
    PREVITEM,
    NEXTITEM,
    DEPTH,
    DEPTH0,
    N_ATTRS
};

static bool neighbour(struct rz_j_ctx *c, const struct rz_j_loop *loop, enum loop_attr which,
                      struct rz_j_value *out)
{
    if (which == PREVITEM) {
        if (loop->index0 == 0)
            return rz_j_undefined(c, "there is no previous item", out);
        *out = loop->passed.items[loop->index0 - 1];
        return true;
    }
    if (loop->index0 + 1 >= loop->passed.n)
        return rz_j_undefined(c, "there is no next item", out);
    *out = loop->passed.items[loop->index0 + 1];
    return true;
}

static bool get_attr(struct rz_j_ctx *c, struct rz_j_loop *loop, enum loop_attr which,
                     struct rz_j_value *out)
{
    int64_t i = loop->index0;
    size_t ahead = which == LAST || which == NEXTITEM ? (size_t)loop->index0 + 2
                   : which == LENGTH || which == REVINDEX || which == REVINDEX0 ? SIZE_MAX
                                                                                : 0;
    if (ahead && !look_ahead(c, loop, ahead))
        return false;
    int64_t n = loop->passed.n;
    switch (which) {
    case PREVITEM:
    case NEXTITEM:
        return neighbour(c, loop, which, out);
    case FIRST:
        *out = rz_j_bool(i == 0);
        return true;
    case LAST:
        *out = rz_j_bool(i + 1 >= n);
        return true;
    case LENGTH:
        *out = rz_j_int(n);
        return true;
    case REVINDEX:
    case REVINDEX0:
        *out = rz_j_int(n - i - (which == REVINDEX0));
        return true;
    case DEPTH:
    case DEPTH0:
        *out = rz_j_int((int64_t)loop->depth0 + (which == DEPTH));
        return true;
    default:
        *out = rz_j_int(i + (which == INDEX));
        return true;
    }
}

bool rz_j_loop_attr(struct rz_j_ctx *c, struct rz_j_value loop, const char *name, size_t len,
                    struct rz_j_value *out, bool *known)
{
    static const char *const names[N_ATTRS] = {
        [INDEX] = "index",         [INDEX0] = "index0",     [REVINDEX] = "revindex",
        [REVINDEX0] = "revindex0", [FIRST] = "first",       [LAST] = "last",
        [LENGTH] = "length",       [PREVITEM] = "previtem", [NEXTITEM] = "nextitem",
        [DEPTH] = "depth",         [DEPTH0] = "depth0"};
    *known = true;
    for (int i = 0; i < N_ATTRS; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return get_attr(c, loop.u.loop, (enum loop_attr)i, out);
    *known = false;
    return true;
}

static bool loop_cycle(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    const struct rz_j_args *args = call->raw;
    if (!args->n_pos || args->n_kw)
        return rz_j_fail(c, "no items for cycling given");
    *out = args->pos[call->self.u.loop->index0 % args->n_pos];
    return true;
}

static bool loop_changed(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_loop *loop = call->self.u.loop;
    struct rz_j_list *list = rz_j_list_new(c, call->raw->n_pos);
    bool same = false;
    if (!list)
        return false;
    if (list->n)
        memcpy(list->items, call->raw->pos, list->n * sizeof *list->items);
    struct rz_j_value now = rz_j_of_list(RZJ_TUPLE, list);
    if (loop->has_changed && !rz_j_equal(c, loop->changed, now, &same))
        return false;
    loop->has_changed = true;
    loop->changed = now;
    *out = rz_j_bool(!same);
    return true;
}

const struct rz_j_builtin rz_j_loop_methods[] = {
    {"changed", loop_changed, "*", 0},
    {"cycle", loop_cycle, "*", 0},
    {NULL, NULL, NULL, 0},
};
