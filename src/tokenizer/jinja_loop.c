/* jinja_loop.c - for loops and the loop object.
 *
 * An inline test (for x in y if test) is evaluated when the item is reached, or looked ahead to by
 * loop.last and its kin, because its outcome may depend on what the body did before. */
#include "tokenizer/jinja_exec.h"

struct rzj_loop {
    const struct rzj_node *node;
    struct rzj_scope *outer;
    struct rzj_list source; /* items not yet tested start at source.pos */
    struct rzj_list passed; /* items that passed the test */
    uint32_t passed_cap;
    uint32_t index0;
    uint32_t depth0;
    bool has_changed;
    struct rzj_value changed; /* the arguments of the last loop.changed */
};

/* Makes at least n items of passed known, or all there are. */
static bool look_ahead(struct rzj_ctx *c, struct rzj_loop *loop, size_t n)
{
    const struct rzj_node *at = c->at;
    struct rzj_scope *scope = c->scope;
    if (!loop->node->c) { /* without a test every item passes */
        loop->passed = loop->source;
        return true;
    }
    while (loop->passed.n < n && loop->source.pos < loop->source.n) {
        struct rzj_value item = loop->source.items[loop->source.pos++], test;
        if (!(c->scope = rzj_scope_new(c, loop->outer)) || !rzj_assign(c, loop->node->a, item) ||
            !rzj_eval(c, loop->node->c, &test))
            return false;
        if (rzj_truth(test) && !rzj_list_push(c, &loop->passed, &loop->passed_cap, item))
            return false;
    }
    c->scope = scope;
    c->at = at;
    return true;
}

static bool run_body(struct rzj_ctx *c, struct rzj_loop *loop, struct rzj_scope *scope)
{
    struct rzj_value object = {.kind = RZJ_LOOP, .u.loop = loop};
    scope->n = 0;
    return rzj_assign(c, loop->node->a, loop->passed.items[loop->index0]) &&
           rzj_scope_set(c, scope, c->t->known_names[RZJ_NAME_LOOP], object) &&
           rzj_exec(c, loop->node->body);
}

static bool run_loop(struct rzj_ctx *c, const struct rzj_node *n, struct rzj_scope *outer,
                     struct rzj_value iterable, uint32_t depth0)
{
    struct rzj_scope *saved = c->scope, *scope = rzj_scope_new(c, outer);
    struct rzj_loop *loop = rzj_alloc(c, 1, sizeof *loop);
    if (!scope || !loop)
        return false;
    *loop = (struct rzj_loop){.node = n, .outer = outer, .depth0 = depth0};
    if (!rzj_items(c, iterable, &loop->source))
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
        c->scope = rzj_scope_new(c, outer);
        ok = c->scope && rzj_exec(c, n->other);
    }
    c->scope = saved;
    return ok;
}

bool rzj_exec_for(struct rzj_ctx *c, const struct rzj_node *n)
{
    struct rzj_value iterable;
    if (!rzj_eval(c, n->b, &iterable))
        return false;
    c->at = n;
    return run_loop(c, n, c->scope, iterable, 0);
}

bool rzj_call_loop(struct rzj_ctx *c, struct rzj_loop *loop, const struct rzj_args *args,
                   struct rzj_value *out)
{
    struct rzj_capture capture;
    if (!(loop->node->flags & RZJ_F_RECURSIVE))
        return rzj_fail(c, "the loop must have the 'recursive' marker to be called");
    if (args->n_pos != 1 || args->n_kw)
        return rzj_fail(c, "loop() takes one argument");
    bool ok = rzj_capture_begin(c, &capture) &&
              run_loop(c, loop->node, loop->outer, args->pos[0], loop->depth0 + 1);
    return rzj_capture_end(c, ok, &capture, out);
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

static bool neighbour(struct rzj_ctx *c, const struct rzj_loop *loop, enum loop_attr which,
                      struct rzj_value *out)
{
    if (which == PREVITEM) {
        if (loop->index0 == 0)
            return rzj_undefined(c, "there is no previous item", out);
        *out = loop->passed.items[loop->index0 - 1];
        return true;
    }
    if (loop->index0 + 1 >= loop->passed.n)
        return rzj_undefined(c, "there is no next item", out);
    *out = loop->passed.items[loop->index0 + 1];
    return true;
}

static bool get_attr(struct rzj_ctx *c, struct rzj_loop *loop, enum loop_attr which,
                     struct rzj_value *out)
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
        *out = rzj_bool(i == 0);
        return true;
    case LAST:
        *out = rzj_bool(i + 1 >= n);
        return true;
    case LENGTH:
        *out = rzj_int(n);
        return true;
    case REVINDEX:
    case REVINDEX0:
        *out = rzj_int(n - i - (which == REVINDEX0));
        return true;
    case DEPTH:
    case DEPTH0:
        *out = rzj_int((int64_t)loop->depth0 + (which == DEPTH));
        return true;
    default:
        *out = rzj_int(i + (which == INDEX));
        return true;
    }
}

bool rzj_loop_attr(struct rzj_ctx *c, struct rzj_value loop, const char *name, size_t len,
                   struct rzj_value *out, bool *known)
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

static bool loop_cycle(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    const struct rzj_args *args = call->raw;
    if (!args->n_pos || args->n_kw)
        return rzj_fail(c, "no items for cycling given");
    *out = args->pos[call->self.u.loop->index0 % args->n_pos];
    return true;
}

static bool loop_changed(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_loop *loop = call->self.u.loop;
    struct rzj_list *list = rzj_list_new(c, call->raw->n_pos);
    bool same = false;
    if (!list)
        return false;
    if (list->n)
        memcpy(list->items, call->raw->pos, list->n * sizeof *list->items);
    struct rzj_value now = rzj_of_list(RZJ_TUPLE, list);
    if (loop->has_changed && !rzj_equal(c, loop->changed, now, &same))
        return false;
    loop->has_changed = true;
    loop->changed = now;
    *out = rzj_bool(!same);
    return true;
}

const struct rzj_builtin rzj_loop_methods[] = {
    {"changed", loop_changed, "*", 0},
    {"cycle", loop_cycle, "*", 0},
    {NULL, NULL, NULL, 0},
};
