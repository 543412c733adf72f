/* jinja_ctx.c - a rendering's failures, limits and memory. */
#include "base/fail.h"
#include "tokenizer/jinja_run.h"

#include <stdarg.h>
#include <stdio.h>

bool rz_j_fail(struct rz_j_ctx *c, const char *format, ...)
{
    if (c->status)
        return false;
    char sentence[RZ_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    unsigned line = 1, column = 1;
    if (c->at)
        rz_j_position(c->t, c->at->offset, &line, &column);
    c->status = rz_fail(c->err, RZ_EINFER, "%s:%u:%u: %s", c->t->name, line, column, sentence);
    return false;
}

bool rz_j_fail_undefined(struct rz_j_ctx *c, struct rz_j_value v)
{
    const struct rz_j_undef *u = v.u.undef;
    if (!u)
        return rz_j_fail(c, "an undefined value is used");
    if (u->hint)
        return rz_j_fail(c, "%s", u->hint);
    int64_t i = 0;
    bool is_str = u->name.kind == RZJ_STR;
    int len = is_str ? (u->name.len < 200 ? (int)u->name.len : 200) : 0;
    if (!u->type_name)
        return rz_j_fail(c, "'%.*s' is undefined", len, u->name.u.s);
    bool is_none = strcmp(u->type_name, "None") == 0;
    if (is_str)
        return rz_j_fail(c, "'%s%s' has no attribute '%.*s'", u->type_name,
                         is_none ? "" : " object", len, u->name.u.s);
    if (rz_j_is_int(u->name, &i))
        return rz_j_fail(c, "%s%s has no element %lld", u->type_name, is_none ? "" : " object",
                         (long long)i);
    return rz_j_fail(c, "%s%s has no such element", u->type_name, is_none ? "" : " object");
}

bool rz_j_charge(struct rz_j_ctx *c, uint64_t n)
{
    if (n > c->steps_left) {
        c->steps_left = 0;
        return rz_j_fail(c, "the template takes more steps than it may");
    }
    c->steps_left -= n;
    return true;
}

bool rz_j_charge_product(struct rz_j_ctx *c, size_t n, size_t m)
{
    uint64_t cost;
    if (__builtin_mul_overflow((uint64_t)n, (uint64_t)(m / RZJ_BYTES_PER_STEP), &cost))
        cost = UINT64_MAX;
    return rz_j_charge_bytes(c, n) && rz_j_charge(c, cost);
}

bool rz_j_enter(struct rz_j_ctx *c)
{
    if (++c->depth > RZJ_MAX_DEPTH)
        return rz_j_fail(c, "nested deeper than %d levels", RZJ_MAX_DEPTH);
    return true;
}

void *rz_j_alloc(struct rz_j_ctx *c, size_t n, size_t size)
{
    void *p = rz_arena_alloc(&c->arena, n, size);
    if (!p)
        rz_j_fail(c, "the template's values take more than %d bytes", RZJ_MAX_VALUE_BYTES);
    return p;
}

bool rz_j_new_str(struct rz_j_ctx *c, const char *s, size_t len, struct rz_j_value *out)
{
    if (len > RZJ_MAX_STRING_BYTES)
        return rz_j_fail(c, "a string is longer than %d bytes", RZJ_MAX_STRING_BYTES);
    char *copy = rz_j_alloc(c, len + 1, 1);
    if (!copy || !rz_j_charge_bytes(c, len))
        return false;
    if (len)
        memcpy(copy, s, len);
    *out = rz_j_str(copy, len);
    return true;
}

bool rz_j_take(struct rz_j_ctx *c, bool ok, struct rz_buf *b, struct rz_j_value *out)
{
    *out = rz_j_none();
    if (ok && b->failed)
        ok = rz_j_fail(c, "a string is longer than %zu bytes", b->max);
    ok = ok && rz_j_new_str(c, b->data, b->len, out);
    rz_buf_fini(b);
    return ok;
}

/* Templates build texts by appending to them in loops. Each new text therefore gets as much room
 * again behind it, and an append to the newest one only adds the right side there: texts that share
 * a beginning share its bytes. */
bool rz_j_concat(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b,
                 struct rz_j_value *out)
{
    size_t len = (size_t)a.len + b.len;
    if (len > RZJ_MAX_STRING_BYTES)
        return rz_j_fail(c, "a string is longer than %d bytes", RZJ_MAX_STRING_BYTES);
    if (!rz_j_charge_bytes(c, b.len))
        return false;
    if (a.len && a.u.s + a.len == c->tail && b.len <= (size_t)(c->tail_end - c->tail)) {
        memmove(c->tail, b.u.s, b.len);
        c->tail += b.len;
        *out = rz_j_str(a.u.s, len);
        return true;
    }
    size_t room = len < 64 ? len : len * 2;
    char *text = rz_j_alloc(c, room, 1);
    if (!text || !rz_j_charge_bytes(c, a.len))
        return false;
    if (a.len)
        memcpy(text, a.u.s, a.len);
    if (b.len)
        memcpy(text + a.len, b.u.s, b.len);
    c->tail = text + len;
    c->tail_end = text + room;
    *out = rz_j_str(text, len);
    return true;
}

bool rz_j_undefined(struct rz_j_ctx *c, const char *hint, struct rz_j_value *out)
{
    struct rz_j_undef *u = rz_j_alloc(c, 1, sizeof *u);
    if (!u)
        return false;
    u->hint = hint;
    *out = (struct rz_j_value){.kind = RZJ_UNDEF, .u.undef = u};
    return true;
}

struct rz_j_scope *rz_j_scope_new(struct rz_j_ctx *c, struct rz_j_scope *parent)
{
    struct rz_j_scope *s = rz_j_alloc(c, 1, sizeof *s);
    if (s)
        s->parent = parent;
    return s;
}

bool rz_j_scope_set(struct rz_j_ctx *c, struct rz_j_scope *s, const char *name, struct rz_j_value v)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->vars[i].name == name) {
            s->vars[i].value = v;
            return true;
        }
    if (s->n == s->cap) {
        uint32_t cap = s->cap * 2 + 4;
        struct rz_j_var *vars = rz_j_alloc(c, cap, sizeof *vars);
        if (!vars)
            return false;
        if (s->n)
            memcpy(vars, s->vars, s->n * sizeof *vars);
        s->vars = vars;
        s->cap = cap;
    }
    s->vars[s->n].name = name;
    s->vars[s->n++].value = v;
    return rz_j_charge(c, s->n / 8);
}
