/* jinja_parser.h - what the parser of statements and that of expressions share.
 *
 * Functions that return a node return NULL after p_fail, which keeps the first failure. */
#ifndef RZ_TOKENIZER_JINJA_PARSER_H
#define RZ_TOKENIZER_JINJA_PARSER_H

#include "tokenizer/jinja_lex.h"

struct rz_j_parser {
    struct rz_template *t;
    const struct rz_j_token *tokens;
    size_t i;
    uint32_t opener;  /* offset of the innermost tag around this point */
    unsigned depth;   /* of nested expressions and blocks, at most RZJ_MAX_NESTING */
    unsigned n_loops; /* for loops around this point, within the same macro */
    bool soft;        /* inside of an if: unknown filters and tests fail only when reached */
    struct rz_j_node **macros; /* the macros and call blocks around this point */
    unsigned n_macros;
    const char **names; /* interned; an open-addressing table */
    size_t n_names, cap_names;
    const struct rz_j_node *unknown; /* the first filter or test that does not exist */
    rz_status status;
    rz_error *err;
};

/* A list of nodes under construction. */
struct rz_j_nodes {
    struct rz_j_node **data;
    uint32_t n, cap;
};

struct rz_j_node *rz_j_p_fail(struct rz_j_parser *p, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "unexpected ..., expected what". */
struct rz_j_node *rz_j_p_unexpected(struct rz_j_parser *p, const char *what);
struct rz_j_node *rz_j_p_node(struct rz_j_parser *p, enum rz_j_node_kind kind, size_t offset);
bool rz_j_p_push(struct rz_j_parser *p, struct rz_j_nodes *list, struct rz_j_node *n);
void rz_j_p_list(struct rz_j_node *n, const struct rz_j_nodes *list);
const char *rz_j_p_intern(struct rz_j_parser *p, const char *s, size_t len);
/* Counts one more level of nesting; pair with p->depth-- on success. */
bool rz_j_p_enter(struct rz_j_parser *p);

static inline const struct rz_j_token *rz_j_p_now(const struct rz_j_parser *p)
{
    return &p->tokens[p->i];
}

bool rz_j_p_is_op(const struct rz_j_parser *p, enum rz_j_op op);
bool rz_j_p_is_name(const struct rz_j_parser *p, const char *name);
bool rz_j_p_skip_op(struct rz_j_parser *p, enum rz_j_op op);
bool rz_j_p_skip_name(struct rz_j_parser *p, const char *name);
bool rz_j_p_expect_op(struct rz_j_parser *p, enum rz_j_op op, const char *what);

/* Literals at the current token; adjacent strings are one. */
struct rz_j_node *rz_j_p_string(struct rz_j_parser *p);
struct rz_j_node *rz_j_p_number(struct rz_j_parser *p);
/* true, false, none and their capitalized forms. */
bool rz_j_p_constant(const struct rz_j_token *t, struct rz_j_value *v);

/* Expressions. with_if false: no inline if at the top level. */
struct rz_j_node *rz_j_p_expression(struct rz_j_parser *p, bool with_if);

enum rz_j_tuple_flag {
    RZJ_TUPLE_PRIMARY = 1,  /* elements are primaries: an assignment's target */
    RZJ_TUPLE_NO_IF = 2,    /* elements without inline if */
    RZJ_TUPLE_PARENS = 4,   /* within parentheses: may be empty */
    RZJ_TUPLE_NAMESPACE = 8 /* elements may be name.attribute */
};
struct rz_j_node *rz_j_p_tuple(struct rz_j_parser *p, unsigned flags);
/* A target of set or for: names, tuples of names, name.attribute if so flagged. */
struct rz_j_node *rz_j_p_target(struct rz_j_parser *p, unsigned flags);
/* A plain name that may be assigned, or NULL. */
const char *rz_j_p_target_name(struct rz_j_parser *p, uint32_t *len);
/* Filters after n; inline_first: the first comes without its pipe (filter blocks). */
struct rz_j_node *rz_j_p_filters(struct rz_j_parser *p, struct rz_j_node *n, bool inline_first);

#endif
