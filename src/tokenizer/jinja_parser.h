/* jinja_parser.h - what the parser of statements and that of expressions share.
 *
 * Functions that return a node return NULL after p_fail, which keeps the first failure. */
#ifndef RZ_TOKENIZER_JINJA_PARSER_H
#define RZ_TOKENIZER_JINJA_PARSER_H

#include "tokenizer/jinja_lex.h"

struct rzj_parser {
    struct rz_template *t;
    const struct rzj_token *tokens;
    size_t i;
    uint32_t opener;  /* offset of the innermost tag around this point */
    unsigned depth;   /* of nested expressions and blocks, at most RZJ_MAX_NESTING */
    unsigned n_loops; /* for loops around this point, within the same macro */
    bool soft;        /* inside of an if: unknown filters and tests fail only when reached */
    struct rzj_node **macros; /* the macros and call blocks around this point */
    unsigned n_macros;
    const char **names; /* interned; an open-addressing table */
    size_t n_names, cap_names;
    const struct rzj_node *unknown; /* the first filter or test that does not exist */
    rz_status status;
    rz_error *err;
};

/* A list of nodes under construction. */
struct rzj_nodes {
    struct rzj_node **data;
    uint32_t n, cap;
};

struct rzj_node *rzj_p_fail(struct rzj_parser *p, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "unexpected ..., expected what". */
struct rzj_node *rzj_p_unexpected(struct rzj_parser *p, const char *what);
struct rzj_node *rzj_p_node(struct rzj_parser *p, enum rzj_node_kind kind, size_t offset);
bool rzj_p_push(struct rzj_parser *p, struct rzj_nodes *list, struct rzj_node *n);
void rzj_p_list(struct rzj_node *n, const struct rzj_nodes *list);
const char *rzj_p_intern(struct rzj_parser *p, const char *s, size_t len);
/* Counts one more level of nesting; pair with p->depth-- on success. */
bool rzj_p_enter(struct rzj_parser *p);

static inline const struct rzj_token *rzj_p_now(const struct rzj_parser *p)
{
    return &p->tokens[p->i];
}

bool rzj_p_is_op(const struct rzj_parser *p, enum rzj_op op);
bool rzj_p_is_name(const struct rzj_parser *p, const char *name);
bool rzj_p_skip_op(struct rzj_parser *p, enum rzj_op op);
bool rzj_p_skip_name(struct rzj_parser *p, const char *name);
bool rzj_p_expect_op(struct rzj_parser *p, enum rzj_op op, const char *what);

/* Literals at the current token; adjacent strings are one. */
struct rzj_node *rzj_p_string(struct rzj_parser *p);
struct rzj_node *rzj_p_number(struct rzj_parser *p);
/* true, false, none and their capitalized forms. */
bool rzj_p_constant(const struct rzj_token *t, struct rzj_value *v);

/* Expressions. with_if false: no inline if at the top level. */
struct rzj_node *rzj_p_expression(struct rzj_parser *p, bool with_if);

enum rzj_tuple_flag {
    RZJ_TUPLE_PRIMARY = 1,  /* elements are primaries: an assignment's target */
    RZJ_TUPLE_NO_IF = 2,    /* elements without inline if */
    RZJ_TUPLE_PARENS = 4,   /* within parentheses: may be empty */
    RZJ_TUPLE_NAMESPACE = 8 /* elements may be name.attribute */
};
struct rzj_node *rzj_p_tuple(struct rzj_parser *p, unsigned flags);
/* A target of set or for: names, tuples of names, name.attribute if so flagged. */
struct rzj_node *rzj_p_target(struct rzj_parser *p, unsigned flags);
/* A plain name that may be assigned, or NULL. */
const char *rzj_p_target_name(struct rzj_parser *p, uint32_t *len);
/* Filters after n; inline_first: the first comes without its pipe (filter blocks). */
struct rzj_node *rzj_p_filters(struct rzj_parser *p, struct rzj_node *n, bool inline_first);

#endif
