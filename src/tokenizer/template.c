/* template.c - the public face of the chat template interpreter (jinja_*.c). */
#include <realizar/template.h>

#include "base/fail.h"
#include "base/utf8.h"
#include "tokenizer/jinja_print.h"

#include <stdlib.h>

/* Jinja2 reads \r\n and \r as \n and drops one newline at the end. */
static size_t normalize(char *s, size_t len)
{
    size_t k = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\r' && i + 1 < len && s[i + 1] == '\n')
            continue;
        s[k++] = s[i];
        if (s[k - 1] == '\r')
            s[k - 1] = '\n';
    }
    if (k && s[k - 1] == '\n')
        k--;
    s[k] = '\0';
    return k;
}

rz_status rz_template_new(rz_template **out, const char *name, const char *source, size_t len,
                          rz_error *err)
{
    *out = NULL;
    if (len > RZJ_MAX_SOURCE_BYTES)
        return rz_fail(err, RZ_EFORMAT, "%s: a template of %zu bytes is longer than %d", name, len,
                       RZJ_MAX_SOURCE_BYTES);
    size_t valid = rz_utf8_valid(source, len);
    if (valid < len)
        return rz_fail(err, RZ_EFORMAT, "%s: invalid UTF-8 at byte %zu", name, valid);
    struct rz_template *t = calloc(1, sizeof *t);
    if (!t)
        return rz_fail_nomem(err, sizeof *t, "a template");
    rz_status status = RZ_OK;
    rz_arena_init(&t->arena, RZJ_MAX_PARSE_BYTES);
    char *copy = rz_arena_strdup(&t->arena, source, len);
    t->name = rz_arena_strdup(&t->arena, name, strlen(name));
    if (!copy || !t->name) {
        status = rz_fail_nomem(err, len, "a template");
        goto done;
    }
    t->source = copy;
    t->len = normalize(copy, len);
    status = rz_j_parse(t, err);
    if (status)
        goto done;
    *out = t;
    t = NULL;
done:
    rz_template_free(&t);
    return status;
}

void rz_template_free(rz_template **t)
{
    if (!*t)
        return;
    rz_arena_fini(&(*t)->arena);
    free(*t);
    *t = NULL;
}

static rz_status append(rz_text *out, const struct rz_buf *b, rz_error *err)
{
    if (b->len >= SIZE_MAX - out->len)
        return rz_fail(err, RZ_ENOMEM, "a text is too long");
    size_t need = out->len + b->len + 1;
    if (need > out->cap) {
        char *data = realloc(out->data, need);
        if (!data)
            return rz_fail_nomem(err, need, "a rendered template");
        out->data = data;
        out->cap = need;
    }
    if (b->len)
        memcpy(out->data + out->len, b->data, b->len);
    out->len += b->len;
    out->data[out->len] = '\0';
    return RZ_OK;
}

rz_status rz_template_render(const rz_template *t, const char *vars_json, size_t len,
                             const rz_render_options *options, rz_text *out, rz_error *err)
{
    static const rz_render_options defaults = {0};
    const rz_render_options *o = options ? options : &defaults;
    struct rz_buf b;
    struct rz_j_ctx c = {.t = t,
                         .out = &b,
                         .max_output = o->max_output ? o->max_output : RZJ_DEFAULT_OUTPUT_BYTES,
                         .steps_left = o->max_steps ? o->max_steps : RZJ_DEFAULT_STEPS,
                         .now_unix_s = o->now_unix_s,
                         .err = err};
    rz_buf_init(&b, c.max_output);
    rz_arena_init(&c.arena, RZJ_MAX_VALUE_BYTES);
    bool ok = rz_j_read_json(&c, vars_json, len, &c.vars);
    ok = ok && (c.scope = rz_j_scope_new(&c, NULL)) && rz_j_exec(&c, t->root);
    RZ_ASSERT(ok == (c.status == RZ_OK));
    rz_status status = ok ? append(out, &b, err) : c.status;
    rz_arena_fini(&c.arena);
    rz_buf_fini(&b);
    return status;
}
