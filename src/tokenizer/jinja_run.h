/* jinja_run.h - one rendering: its limits, its memory, and what builtins are made of.
 *
 * A function that returns bool returns false after rz_j_fail, and everything then unwinds. The C
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
struct rz_j_scope {
    struct rz_j_scope *parent;
    struct rz_j_var {
        const char *name; /* interned */
        struct rz_j_value value;
    } * vars;
    uint32_t n, cap;
};

enum rz_j_flow {
    RZJ_FLOW_NEXT,
    RZJ_FLOW_BREAK,
    RZJ_FLOW_CONTINUE
};

struct rz_j_ctx {
    const struct rz_template *t;
    struct rz_arena arena;
    struct rz_buf *out; /* where statements write: the result, or a capture */
    size_t live_bytes;  /* of all such buffers */
    size_t max_output;
    uint64_t steps_left;
    unsigned depth;
    enum rz_j_flow flow;
    const struct rz_j_node *at; /* what a message points to */
    struct rz_j_scope *scope;
    struct rz_j_dict *vars; /* the caller's variables */
    struct rz_j_value pipe; /* input of a filter block's chain */
    char *tail, *tail_end;  /* unused bytes right after the newest concatenation */
    int64_t now_unix_s;
    rz_status status;
    rz_error *err;
};

/* Always false. The sentence is preceded by name:line:column. */
bool rz_j_fail(struct rz_j_ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool rz_j_fail_undefined(struct rz_j_ctx *c, struct rz_j_value v);

/* Counts n steps; fails when none are left. */
bool rz_j_charge(struct rz_j_ctx *c, uint64_t n);
static inline bool rz_j_charge_bytes(struct rz_j_ctx *c, size_t n)
{
    return rz_j_charge(c, n / RZJ_BYTES_PER_STEP + 1);
}
/* For work that may compare m bytes at each of n places. */
bool rz_j_charge_product(struct rz_j_ctx *c, size_t n, size_t m);
bool rz_j_enter(struct rz_j_ctx *c); /* one level deeper; pair with c->depth-- on success */

void *rz_j_alloc(struct rz_j_ctx *c, size_t n, size_t size); /* NULL after rz_j_fail */
/* A string value with a copy of the bytes. */
bool rz_j_new_str(struct rz_j_ctx *c, const char *s, size_t len, struct rz_j_value *out);
/* Ends a string built in b (whose content becomes the value, b is freed); ok false: only frees. */
bool rz_j_take(struct rz_j_ctx *c, bool ok, struct rz_buf *b, struct rz_j_value *out);
bool rz_j_concat(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b,
                 struct rz_j_value *out);
bool rz_j_undefined(struct rz_j_ctx *c, const char *hint, struct rz_j_value *out);

struct rz_j_kwarg {
    struct rz_j_value name, value;
};

struct rz_j_args {
    struct rz_j_value *pos;
    uint32_t n_pos, n_kw;
    struct rz_j_kwarg *kw;
};

/* A call of a builtin: a[i] is the i-th parameter, RZJ_ABSENT if it was not given. */
struct rz_j_call {
    struct rz_j_value self; /* what a filter or test is applied to; a method's object */
    struct rz_j_value a[RZJ_MAX_PARAMS];
    const struct rz_j_args *raw;
};

typedef bool rz_j_fn(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out);

/* A row of a table of filters, tests, methods or globals. */
struct rz_j_builtin {
    const char *name;
    rz_j_fn *fn;        /* NULL: exists in Python, but the sandbox refuses it */
    const char *params; /* "name,name"; "*": takes raw; NULL: none */
    uint8_t n_required;
};

const struct rz_j_builtin *rz_j_find_filter(const char *name, size_t len);
const struct rz_j_builtin *rz_j_find_test(const char *name, size_t len);
const struct rz_j_builtin *rz_j_find_global(const char *name, size_t len);
const struct rz_j_builtin *rz_j_find_method(struct rz_j_value self, const char *name, size_t len);
bool rz_j_is_method_name(const char *name, size_t len);
/* Searches a table that ends with a row without name. */
const struct rz_j_builtin *rz_j_find_in(const struct rz_j_builtin *table, const char *name,
                                        size_t len);

/* Binds args to f's parameters and calls it. */
bool rz_j_call_builtin(struct rz_j_ctx *c, const struct rz_j_builtin *f, struct rz_j_value self,
                       const struct rz_j_args *args, struct rz_j_value *out);
/* f(args...) for any callable value. */
bool rz_j_call_value(struct rz_j_ctx *c, struct rz_j_value f, const struct rz_j_args *args,
                     struct rz_j_value *out);

bool rz_j_eval(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_value *out);
bool rz_j_eval_args(struct rz_j_ctx *c, const struct rz_j_node *n, struct rz_j_args *out);
bool rz_j_exec(struct rz_j_ctx *c, const struct rz_j_node *n);
bool rz_j_call_macro(struct rz_j_ctx *c, const struct rz_j_macro *m, const struct rz_j_args *args,
                     struct rz_j_value *out);
bool rz_j_call_loop(struct rz_j_ctx *c, struct rz_j_loop *loop, const struct rz_j_args *args,
                    struct rz_j_value *out);
/* *known is false if a loop object has no such attribute. */
bool rz_j_loop_attr(struct rz_j_ctx *c, struct rz_j_value loop, const char *name, size_t len,
                    struct rz_j_value *out, bool *known);
extern const struct rz_j_builtin rz_j_loop_methods[];

struct rz_j_scope *rz_j_scope_new(struct rz_j_ctx *c, struct rz_j_scope *parent);
bool rz_j_scope_set(struct rz_j_ctx *c, struct rz_j_scope *s, const char *name,
                    struct rz_j_value v);

#endif
