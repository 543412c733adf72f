/* jinja_ctx.c - a rendering's failures, limits and memory. */
#include "base/fail.h"
#include "tokenizer/jinja_run.h"

#include <stdarg.h>
#include <stdio.h>

bool rzj_fail(struct rzj_ctx *c, const char *format, ...)
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
        rzj_position(c->t, c->at->offset, &line, &column);
    c->status = rz_fail(c->err, RZ_EINFER, "%s:%u:%u: %s", c->t->name, line, column, sentence);
    return false;
}

bool rzj_fail_undefined(struct rzj_ctx *c, struct rzj_value v)
{
    const struct rzj_undef *u = v.u.undef;
    if (!u)
        return rzj_fail(c, "an undefined value is used");
    if (u->hint)
        return rzj_fail(c, "%s", u->hint);
    int64_t i = 0;
    bool is_str = u->name.kind == RZJ_STR;
    int len = is_str ? (u->name.len < 200 ? (int)u->name.len : 200) : 0;
    if (!u->type_name)
        return rzj_fail(c, "'%.*s' is undefined", len, u->name.u.s);
    bool is_none = strcmp(u->type_name, "None") == 0;
    if (is_str)
        return rzj_fail(c, "'%s%s' has no attribute '%.*s'", u->type_name, is_none ? "" : " object",
                        len, u->name.u.s);
    if (rzj_is_int(u->name, &i))
        return rzj_fail(c, "%s%s has no element %lld", u->type_name, is_none ? "" : " object",
                        (long long)i);
    return rzj_fail(c, "%s%s has no such element", u->type_name, is_none ? "" : " object");
}

bool rzj_charge(struct rzj_ctx *c, uint64_t n)
{
    if (n > c->steps_left) {
        c->steps_left = 0;
        return rzj_fail(c, "the template takes more steps than it may");
    }
    c->steps_left -= n;
    return true;
}

bool rzj_charge_product(struct rzj_ctx *c, size_t n, size_t m)
{
    uint64_t cost;
    if (__builtin_mul_overflow((uint64_t)n, (uint64_t)(m / RZJ_BYTES_PER_STEP), &cost))
        cost = UINT64_MAX;
    return rzj_charge_bytes(c, n) && rzj_charge(c, cost);
}

bool rzj_enter(struct rzj_ctx *c)
{
    if (++c->depth > RZJ_MAX_DEPTH)
        return rzj_fail(c, "nested deeper than %d levels", RZJ_MAX_DEPTH);
    return true;
}

void *rzj_alloc(struct rzj_ctx *c, size_t n, size_t size)
{
    void *p = rz_arena_alloc(&c->arena, n, size);
    if (!p)
        rzj_fail(c, "the template's values take more than %d bytes", RZJ_MAX_VALUE_BYTES);
    return p;
}

bool rzj_new_str(struct rzj_ctx *c, const char *s, size_t len, struct rzj_value *out)
{
    if (len > RZJ_MAX_STRING_BYTES)
        return rzj_fail(c, "a string is longer than %d bytes", RZJ_MAX_STRING_BYTES);
    char *copy = rzj_alloc(c, len + 1, 1);
    if (!copy || !rzj_charge_bytes(c, len))
        return false;
    if (len)
        memcpy(copy, s, len);
    *out = rzj_str(copy, len);
    return true;
}

bool rzj_take(struct rzj_ctx *c, bool ok, struct rz_buf *b, struct rzj_value *out)
{
    *out = rzj_none();
    if (ok && b->failed)
        ok = rzj_fail(c, "a string is longer than %zu bytes", b->max);
    ok = ok && rzj_new_str(c, b->data, b->len, out);
    rz_buf_fini(b);
    return ok;
}

/* Templates build texts by appending to them in loops. Each new text therefore gets as much room
 * again behind it, and an append to the newest one only adds the right side there: texts that share
 * a beginning share its bytes. */
bool rzj_concat(struct rzj_ctx *c, struct rzj_value a, struct rzj_value b, struct rzj_value *out)
{
    size_t len = (size_t)a.len + b.len;
    if (len > RZJ_MAX_STRING_BYTES)
        return rzj_fail(c, "a string is longer than %d bytes", RZJ_MAX_STRING_BYTES);
    if (!rzj_charge_bytes(c, b.len))
        return false;
    if (a.len && a.u.s + a.len == c->tail && b.len <= (size_t)(c->tail_end - c->tail)) {
        memmove(c->tail, b.u.s, b.len);
        c->tail += b.len;
        *out = rzj_str(a.u.s, len);
        return true;
    }
    size_t room = len < 64 ? len : len * 2;
    char *text = rzj_alloc(c, room, 1);
    if (!text || !rzj_charge_bytes(c, a.len))
        return false;
    if (a.len)
        memcpy(text, a.u.s, a.len);
    if (b.len)
        memcpy(text + a.len, b.u.s, b.len);
    c->tail = text + len;
    c->tail_end = text + room;
    *out = rzj_str(text, len);
    return true;
}

bool rzj_undefined(struct rzj_ctx *c, const char *hint, struct rzj_value *out)
{
    struct rzj_undef *u = rzj_alloc(c, 1, sizeof *u);
    if (!u)
        return false;
    u->hint = hint;
    *out = (struct rzj_value){.kind = RZJ_UNDEF, .u.undef = u};
    return true;
}

struct rzj_scope *rzj_scope_new(struct rzj_ctx *c, struct rzj_scope *parent)
{
    struct rzj_scope *s = rzj_alloc(c, 1, sizeof *s);
    if (s)
        s->parent = parent;
    return s;
}

bool rzj_scope_set(struct rzj_ctx *c, struct rzj_scope *s, const char *name, struct rzj_value v)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->vars[i].name == name) {
            s->vars[i].value = v;
            return true;
        }
    if (s->n == s->cap) {
        uint32_t cap = s->cap * 2 + 4;
        struct rzj_var *vars = rzj_alloc(c, cap, sizeof *vars);
        if (!vars)
            return false;
        if (s->n)
            memcpy(vars, s->vars, s->n * sizeof *vars);
        s->vars = vars;
        s->cap = cap;
    }
    s->vars[s->n].name = name;
    s->vars[s->n++].value = v;
    return rzj_charge(c, s->n / 8);
}
