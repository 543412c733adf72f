/* jinja_run.h - one rendering: its limits, its memory, and what builtins are made of.
 *
 * A function that returns bool returns false after rzj_fail, and everything then unwinds. The C
 * stack is bounded by RZJ_MAX_DEPTH, time by steps (one per node evaluated, plus the bytes and
 * elements that a node touches), memory by the arena and the output limit. */
#ifndef RZ_TOKENIZER_JINJA_RUN_H
#define RZ_TOKENIZER_JINJA_RUN_H

#include "base/buf.h"
#include "tokenizer/jinja_ast.h"

enum {
    RZJ_MAX_DEPTH = 1000,            /* of evaluation, macro calls included */
    RZJ_MAX_VALUE_BYTES = 96 << 20,  /* of everything a rendering computes */
    RZJ_MAX_STRING_BYTES = 32 << 20, /* of one string */
    RZJ_MAX_JSON_BYTES = 16 << 20,   /* of the variables */
    RZJ_MAX_JSON_VALUES = 500 * 1000,
    RZJ_MAX_RANGE = 100000, /* as Jinja2's sandbox */
    RZJ_DEFAULT_OUTPUT_BYTES = 64 << 20,
    RZJ_DEFAULT_STEPS = 10 * 1000 * 1000,
    RZJ_BYTES_PER_STEP = 64, /* bytes copied or compared that cost as much as a step */
    RZJ_MAX_PARAMS = 6       /* of a builtin */
};

/* Variables of one Jinja2 scope: a loop body, a macro call, a with block ... */
struct rzj_scope {
    struct rzj_scope *parent;
    struct rzj_var {
        const char *name; /* interned */
        struct rzj_value value;
    } * vars;
    uint32_t n, cap;
};

enum rzj_flow {
    RZJ_FLOW_NEXT,
    RZJ_FLOW_BREAK,
    RZJ_FLOW_CONTINUE
};

struct rzj_ctx {
    const struct rz_template *t;
    struct rz_arena arena;
    struct rz_buf *out; /* where statements write: the result, or a capture */
    size_t live_bytes;  /* of all such buffers */
    size_t max_output;
    uint64_t steps_left;
    unsigned depth;
    enum rzj_flow flow;
    const struct rzj_node *at; /* what a message points to */
    struct rzj_scope *scope;
    struct rzj_dict *vars; /* the caller's variables */
    struct rzj_value pipe; /* input of a filter block's chain */
    char *tail, *tail_end; /* unused bytes right after the newest concatenation */
    int64_t now_unix_s;
    rz_status status;
    rz_error *err;
};

/* Always false. The sentence is preceded by name:line:column. */
bool rzj_fail(struct rzj_ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool rzj_fail_undefined(struct rzj_ctx *c, struct rzj_value v);

/* Counts n steps; fails when none are left. */
bool rzj_charge(struct rzj_ctx *c, uint64_t n);
static inline bool rzj_charge_bytes(struct rzj_ctx *c, size_t n)
{
    return rzj_charge(c, n / RZJ_BYTES_PER_STEP + 1);
}
/* For work that may compare m bytes at each of n places. */
bool rzj_charge_product(struct rzj_ctx *c, size_t n, size_t m);
bool rzj_enter(struct rzj_ctx *c); /* one level deeper; pair with c->depth-- on success */

void *rzj_alloc(struct rzj_ctx *c, size_t n, size_t size); /* NULL after rzj_fail */
/* A string value with a copy of the bytes. */
bool rzj_new_str(struct rzj_ctx *c, const char *s, size_t len, struct rzj_value *out);
/* Ends a string built in b (whose content becomes the value, b is freed); ok false: only frees. */
bool rzj_take(struct rzj_ctx *c, bool ok, struct rz_buf *b, struct rzj_value *out);
bool rzj_concat(struct rzj_ctx *c, struct rzj_value a, struct rzj_value b, struct rzj_value *out);
bool rzj_undefined(struct rzj_ctx *c, const char *hint, struct rzj_value *out);

struct rzj_kwarg {
    struct rzj_value name, value;
};

struct rzj_args {
    struct rzj_value *pos;
    uint32_t n_pos, n_kw;
    struct rzj_kwarg *kw;
};

/* A call of a builtin: a[i] is the i-th parameter, RZJ_ABSENT if it was not given. */
struct rzj_call {
    struct rzj_value self; /* what a filter or test is applied to; a method's object */
    struct rzj_value a[RZJ_MAX_PARAMS];
    const struct rzj_args *raw;
};

typedef bool rzj_fn(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out);

/* A row of a table of filters, tests, methods or globals. */
struct rzj_builtin {
    const char *name;
    rzj_fn *fn;         /* NULL: exists in Python, but the sandbox refuses it */
    const char *params; /* "name,name"; "*": takes raw; NULL: none */
    uint8_t n_required;
};

const struct rzj_builtin *rzj_find_filter(const char *name, size_t len);
const struct rzj_builtin *rzj_find_test(const char *name, size_t len);
const struct rzj_builtin *rzj_find_global(const char *name, size_t len);
const struct rzj_builtin *rzj_find_method(struct rzj_value self, const char *name, size_t len);
bool rzj_is_method_name(const char *name, size_t len);
/* Searches a table that ends with a row without name. */
const struct rzj_builtin *rzj_find_in(const struct rzj_builtin *table, const char *name,
                                      size_t len);

/* Binds args to f's parameters and calls it. */
bool rzj_call_builtin(struct rzj_ctx *c, const struct rzj_builtin *f, struct rzj_value self,
                      const struct rzj_args *args, struct rzj_value *out);
/* f(args...) for any callable value. */
bool rzj_call_value(struct rzj_ctx *c, struct rzj_value f, const struct rzj_args *args,
                    struct rzj_value *out);

bool rzj_eval(struct rzj_ctx *c, const struct rzj_node *n, struct rzj_value *out);
bool rzj_eval_args(struct rzj_ctx *c, const struct rzj_node *n, struct rzj_args *out);
bool rzj_exec(struct rzj_ctx *c, const struct rzj_node *n);
bool rzj_call_macro(struct rzj_ctx *c, const struct rzj_macro *m, const struct rzj_args *args,
                    struct rzj_value *out);
bool rzj_call_loop(struct rzj_ctx *c, struct rzj_loop *loop, const struct rzj_args *args,
                   struct rzj_value *out);
/* *known is false if a loop object has no such attribute. */
bool rzj_loop_attr(struct rzj_ctx *c, struct rzj_value loop, const char *name, size_t len,
                   struct rzj_value *out, bool *known);
extern const struct rzj_builtin rzj_loop_methods[];

struct rzj_scope *rzj_scope_new(struct rzj_ctx *c, struct rzj_scope *parent);
bool rzj_scope_set(struct rzj_ctx *c, struct rzj_scope *s, const char *name, struct rzj_value v);

#endif
