/* jinja_expr.c - the parser of expressions.
 *
 * Precedence, from loose to tight: inline if, or, and, not, comparisons and in, + -, ~, * / // %,
 * **, unary - +, then postfix (attribute, item, call) and filters and tests. Two things differ from
 * Python and are Jinja2's: ** groups to the left, and a sign binds tighter than **.
 * Source: the grammar that jinja2/parser.py implements. */
#include "tokenizer/jinja_parser.h"

#include "base/fail.h"
#include "tokenizer/jinja_run.h"

static struct rz_j_node *parse_unary(struct rz_j_parser *p, bool with_filters);

/* ---------------------------------------------------------------- primaries */

/* List and dictionary literals: elements, separated by commas, up to the closing bracket. */
static struct rz_j_node *parse_container(struct rz_j_parser *p, bool is_dict)
{
    struct rz_j_node *n = rz_j_p_node(p, is_dict ? RZJ_N_DICT : RZJ_N_LIST, rz_j_p_now(p)->offset);
    enum rz_j_op close = is_dict ? RZJ_OP_RBRACE : RZJ_OP_RBRACKET;
    struct rz_j_nodes list = {0};
    p->i++;
    if (!n)
        return NULL;
    while (!rz_j_p_is_op(p, close)) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\",\""))
            return NULL;
        if (rz_j_p_is_op(p, close))
            break;
        if (!rz_j_p_push(p, &list, rz_j_p_expression(p, true)))
            return NULL;
        if (is_dict && (!rz_j_p_expect_op(p, RZJ_OP_COLON, "\":\"") ||
                        !rz_j_p_push(p, &list, rz_j_p_expression(p, true))))
            return NULL;
    }
    p->i++;
    rz_j_p_list(n, &list);
    return n;
}

/* Jinja2 passes caller, varargs and kwargs only to macros whose body names them. */
static void note_special(struct rz_j_parser *p, const char *name)
{
    uint16_t flag = 0;
    if (strcmp(name, "caller") == 0)
        flag = RZJ_F_CALLER;
    else if (strcmp(name, "varargs") == 0)
        flag = RZJ_F_VARARGS;
    else if (strcmp(name, "kwargs") == 0)
        flag = RZJ_F_KWARGS;
    for (unsigned i = 0; flag && i < p->n_macros; i++)
        p->macros[i]->flags |= flag;
}

static struct rz_j_node *parse_name(struct rz_j_parser *p, bool with_namespace)
{
    const struct rz_j_token *t = &p->tokens[p->i++];
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_NAME, t->offset);
    if (!n)
        return NULL;
    if (rz_j_p_constant(t, &n->value)) {
        n->kind = RZJ_N_CONST;
        return n;
    }
    n->name = rz_j_p_intern(p, t->text, t->len);
    n->name_len = t->len;
    if (!n->name)
        return NULL;
    note_special(p, n->name);
    if (with_namespace && rz_j_p_skip_op(p, RZJ_OP_DOT)) {
        const struct rz_j_token *attr = rz_j_p_now(p);
        struct rz_j_node *ref = rz_j_p_node(p, RZJ_N_NSREF, attr->offset);
        if (attr->kind != RZJ_T_NAME || !ref)
            return rz_j_p_unexpected(p, "an attribute's name");
        p->i++;
        ref->a = n;
        ref->name = rz_j_p_intern(p, attr->text, attr->len);
        ref->name_len = attr->len;
        return ref->name ? ref : NULL;
    }
    return n;
}

static struct rz_j_node *parse_primary(struct rz_j_parser *p, bool with_namespace)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    switch (t->kind) {
    case RZJ_T_NAME:
        return parse_name(p, with_namespace);
    case RZJ_T_STRING:
        return rz_j_p_string(p);
    case RZJ_T_INT:
    case RZJ_T_FLOAT:
        return rz_j_p_number(p);
    case RZJ_T_OP:
        break;
    default:
        return rz_j_p_unexpected(p, "an expression");
    }
    if (!rz_j_p_enter(p))
        return NULL;
    struct rz_j_node *n = NULL;
    if (rz_j_p_skip_op(p, RZJ_OP_LPAREN)) {
        n = rz_j_p_tuple(p, RZJ_TUPLE_PARENS);
        if (n && !rz_j_p_expect_op(p, RZJ_OP_RPAREN, "\")\""))
            n = NULL;
    } else if (rz_j_p_is_op(p, RZJ_OP_LBRACKET)) {
        n = parse_container(p, false);
    } else if (rz_j_p_is_op(p, RZJ_OP_LBRACE)) {
        n = parse_container(p, true);
    } else {
        n = rz_j_p_unexpected(p, "an expression");
    }
    p->depth--;
    return n;
}

/* ---------------------------------------------------------------- postfix, filters, tests */

/* One argument: value, name=value, *value or **value. */
static struct rz_j_node *parse_arg(struct rz_j_parser *p)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    struct rz_j_node *n = NULL;
    if (rz_j_p_skip_op(p, RZJ_OP_MUL)) {
        n = rz_j_p_node(p, RZJ_N_STAR, t->offset);
    } else if (rz_j_p_skip_op(p, RZJ_OP_POW)) {
        n = rz_j_p_node(p, RZJ_N_STAR2, t->offset);
    } else if (t->kind == RZJ_T_NAME && t[1].kind == RZJ_T_OP && t[1].op == RZJ_OP_ASSIGN) {
        p->i += 2;
        n = rz_j_p_node(p, RZJ_N_KWARG, t->offset);
        if (n)
            n->name = rz_j_p_intern(p, t->text, t->len);
        if (!n || !n->name)
            return NULL;
        n->name_len = t->len;
    } else {
        return rz_j_p_expression(p, true);
    }
    if (!n)
        return NULL;
    n->a = rz_j_p_expression(p, true);
    return n->a ? n : NULL;
}

static bool may_follow(const struct rz_j_nodes *list, const struct rz_j_node *n)
{
    bool has_kw = false, has_star = false, has_star2 = false;
    for (uint32_t i = 0; i < list->n; i++) {
        has_kw |= list->data[i]->kind == RZJ_N_KWARG;
        has_star |= list->data[i]->kind == RZJ_N_STAR;
        has_star2 |= list->data[i]->kind == RZJ_N_STAR2;
    }
    switch (n->kind) {
    case RZJ_N_KWARG:
        return !has_star2;
    case RZJ_N_STAR:
        return !has_star && !has_star2;
    case RZJ_N_STAR2:
        return !has_star2;
    default:
        return !has_kw && !has_star && !has_star2;
    }
}

/* (arguments) into n->list. */
static bool parse_args(struct rz_j_parser *p, struct rz_j_node *n)
{
    struct rz_j_nodes list = {0};
    if (!rz_j_p_enter(p))
        return false;
    p->i++;
    while (!rz_j_p_is_op(p, RZJ_OP_RPAREN)) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\",\" or \")\""))
            return false;
        if (rz_j_p_is_op(p, RZJ_OP_RPAREN))
            break;
        const struct rz_j_token *t = rz_j_p_now(p);
        struct rz_j_node *arg = parse_arg(p);
        if (!arg)
            return false;
        if (!may_follow(&list, arg)) {
            rz_j_p_fail(p, t->offset, "invalid order of arguments");
            return false;
        }
        if (!rz_j_p_push(p, &list, arg))
            return false;
    }
    p->i++;
    rz_j_p_list(n, &list);
    p->depth--;
    return true;
}

static struct rz_j_node *parse_call(struct rz_j_parser *p, struct rz_j_node *callee)
{
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_CALL, rz_j_p_now(p)->offset);
    if (!n || !parse_args(p, n))
        return NULL;
    n->a = callee;
    return n;
}

/* One bound of a slice, or NULL in *out where it is left out. */
static bool parse_bound(struct rz_j_parser *p, struct rz_j_node **out)
{
    *out = NULL;
    if (rz_j_p_is_op(p, RZJ_OP_COLON) || rz_j_p_is_op(p, RZJ_OP_RBRACKET) ||
        rz_j_p_is_op(p, RZJ_OP_COMMA))
        return true;
    *out = rz_j_p_expression(p, true);
    return *out != NULL;
}

static struct rz_j_node *parse_index(struct rz_j_parser *p)
{
    size_t offset = rz_j_p_now(p)->offset;
    struct rz_j_node *low = NULL;
    if (!rz_j_p_is_op(p, RZJ_OP_COLON)) {
        low = rz_j_p_expression(p, true);
        if (!low || !rz_j_p_is_op(p, RZJ_OP_COLON))
            return low;
    }
    p->i++;
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_SLICE, offset);
    if (!n)
        return NULL;
    n->a = low;
    if (!parse_bound(p, &n->b))
        return NULL;
    if (rz_j_p_skip_op(p, RZJ_OP_COLON) && !parse_bound(p, &n->c))
        return NULL;
    return n;
}

/* [index] after node; [a, b] indexes with a tuple. */
static struct rz_j_node *parse_brackets(struct rz_j_parser *p, struct rz_j_node *node)
{
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_GETITEM, rz_j_p_now(p)->offset);
    struct rz_j_nodes list = {0};
    if (!n || !rz_j_p_enter(p))
        return NULL;
    n->a = node;
    p->i++;
    while (!rz_j_p_is_op(p, RZJ_OP_RBRACKET)) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\"]\""))
            return NULL;
        if (!rz_j_p_push(p, &list, parse_index(p)))
            return NULL;
    }
    p->i++;
    p->depth--;
    if (list.n == 1) {
        n->b = list.data[0];
        return n;
    }
    for (uint32_t i = 0; i < list.n; i++)
        if (list.data[i]->kind == RZJ_N_SLICE)
            return rz_j_p_fail(p, n->offset, "a slice cannot be part of a tuple");
    n->b = rz_j_p_node(p, RZJ_N_TUPLE, n->offset);
    if (!n->b)
        return NULL;
    rz_j_p_list(n->b, &list);
    return n;
}

/* .name or .0 after node */
static struct rz_j_node *parse_dot(struct rz_j_parser *p, struct rz_j_node *node)
{
    const struct rz_j_token *t = &p->tokens[++p->i];
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_GETATTR, t->offset);
    if (!n)
        return NULL;
    n->a = node;
    if (t->kind == RZJ_T_INT) {
        n->kind = RZJ_N_GETITEM;
        n->b = rz_j_p_number(p);
        return n->b ? n : NULL;
    }
    if (t->kind != RZJ_T_NAME)
        return rz_j_p_unexpected(p, "a name or number after \".\"");
    p->i++;
    n->name = rz_j_p_intern(p, t->text, t->len);
    n->name_len = t->len;
    if (rz_j_is_method_name(t->text, t->len))
        n->flags |= RZJ_F_METHOD;
    return n->name ? n : NULL;
}

static struct rz_j_node *parse_postfix(struct rz_j_parser *p, struct rz_j_node *n)
{
    while (n) {
        if (rz_j_p_is_op(p, RZJ_OP_DOT))
            n = parse_dot(p, n);
        else if (rz_j_p_is_op(p, RZJ_OP_LBRACKET))
            n = parse_brackets(p, n);
        else if (rz_j_p_is_op(p, RZJ_OP_LPAREN))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* The dotted name of a filter or test into n. */
static bool parse_dotted(struct rz_j_parser *p, struct rz_j_node *n)
{
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_SOURCE_BYTES);
    bool ok = true;
    do {
        const struct rz_j_token *t = rz_j_p_now(p);
        if (t->kind != RZJ_T_NAME) {
            rz_j_p_unexpected(p, "a filter's or test's name");
            ok = false;
            break;
        }
        if (b.len)
            rz_buf_char(&b, '.');
        rz_buf_add(&b, t->text, t->len);
        p->i++;
    } while (rz_j_p_skip_op(p, RZJ_OP_DOT));
    if (ok) {
        n->name_len = (uint32_t)b.len;
        n->name = b.failed ? NULL : rz_j_p_intern(p, b.data, b.len);
        ok = n->name != NULL;
    }
    rz_buf_fini(&b);
    return ok;
}

/* An unknown name fails the template, unless it stands within a condition: then only when it is
 * reached. That the value before an inline "if" is within one is seen after it. */
static void resolve(struct rz_j_parser *p, struct rz_j_node *n)
{
    bool is_filter = n->kind == RZJ_N_FILTER;
    n->builtin =
        is_filter ? rz_j_find_filter(n->name, n->name_len) : rz_j_find_test(n->name, n->name_len);
    if (!n->builtin && !p->soft && !p->unknown)
        p->unknown = n;
}

struct rz_j_node *rz_j_p_filters(struct rz_j_parser *p, struct rz_j_node *n, bool inline_first)
{
    while (inline_first || rz_j_p_skip_op(p, RZJ_OP_PIPE)) {
        inline_first = false;
        struct rz_j_node *filter = rz_j_p_node(p, RZJ_N_FILTER, rz_j_p_now(p)->offset);
        if (!filter || !parse_dotted(p, filter))
            return NULL;
        resolve(p, filter);
        if (rz_j_p_is_op(p, RZJ_OP_LPAREN) && !parse_args(p, filter))
            return NULL;
        filter->a = n;
        n = filter;
    }
    return n;
}

/* A test's argument may stand without parentheses. */
static bool has_bare_arg(const struct rz_j_parser *p)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    if (t->kind == RZJ_T_NAME)
        return !rz_j_p_is_name(p, "else") && !rz_j_p_is_name(p, "or") && !rz_j_p_is_name(p, "and");
    return t->kind == RZJ_T_STRING || t->kind == RZJ_T_INT || t->kind == RZJ_T_FLOAT ||
           rz_j_p_is_op(p, RZJ_OP_LBRACKET) || rz_j_p_is_op(p, RZJ_OP_LBRACE);
}

static struct rz_j_node *parse_test(struct rz_j_parser *p, struct rz_j_node *subject)
{
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_TEST, p->tokens[p->i++].offset);
    bool negated = rz_j_p_skip_name(p, "not");
    if (!n || !parse_dotted(p, n))
        return NULL;
    resolve(p, n);
    n->a = subject;
    if (rz_j_p_is_op(p, RZJ_OP_LPAREN)) {
        if (!parse_args(p, n))
            return NULL;
    } else if (has_bare_arg(p)) {
        if (rz_j_p_is_name(p, "is"))
            return rz_j_p_fail(p, rz_j_p_now(p)->offset, "tests cannot be chained with is");
        struct rz_j_nodes list = {0};
        struct rz_j_node *arg = parse_primary(p, false);
        if (!arg || !rz_j_p_push(p, &list, parse_postfix(p, arg)))
            return NULL;
        rz_j_p_list(n, &list);
    }
    if (!negated)
        return n;
    struct rz_j_node *not = rz_j_p_node(p, RZJ_N_NOT, n->offset);
    if (not )
        not ->a = n;
    return not ;
}

static struct rz_j_node *parse_filters_tests(struct rz_j_parser *p, struct rz_j_node *n)
{
    while (n) {
        if (rz_j_p_is_op(p, RZJ_OP_PIPE))
            n = rz_j_p_filters(p, n, false);
        else if (rz_j_p_is_name(p, "is"))
            n = parse_test(p, n);
        else if (rz_j_p_is_op(p, RZJ_OP_LPAREN))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---------------------------------------------------------------- operators */

static struct rz_j_node *parse_unary(struct rz_j_parser *p, bool with_filters)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    struct rz_j_node *n;
    if (rz_j_p_is_op(p, RZJ_OP_SUB) || rz_j_p_is_op(p, RZJ_OP_ADD)) {
        p->i++;
        n = rz_j_p_node(p, t->op == RZJ_OP_SUB ? RZJ_N_NEG : RZJ_N_POS, t->offset);
        if (!n || !rz_j_p_enter(p))
            return NULL;
        n->a = parse_unary(p, false);
        p->depth--;
        if (!n->a)
            return NULL;
    } else {
        n = parse_primary(p, false);
    }
    n = parse_postfix(p, n);
    return with_filters ? parse_filters_tests(p, n) : n;
}

enum level { /* of left-associative binary operators, from loose to tight */
    LEVEL_SUM,
    LEVEL_CONCAT,
    LEVEL_PRODUCT,
    LEVEL_POWER,
    LEVEL_UNARY
};

static bool is_at_level(const struct rz_j_token *t, enum level level)
{
    if (t->kind != RZJ_T_OP)
        return false;
    switch (level) {
    case LEVEL_SUM:
        return t->op == RZJ_OP_ADD || t->op == RZJ_OP_SUB;
    case LEVEL_CONCAT:
        return t->op == RZJ_OP_TILDE;
    case LEVEL_PRODUCT:
        return t->op >= RZJ_OP_MUL && t->op <= RZJ_OP_MOD;
    case LEVEL_POWER:
        return t->op == RZJ_OP_POW;
    default:
        return false;
    }
}

static struct rz_j_node *parse_level(struct rz_j_parser *p, enum level level)
{
    if (level == LEVEL_UNARY)
        return parse_unary(p, true);
    struct rz_j_node *left = parse_level(p, level + 1);
    if (left && level == LEVEL_CONCAT && is_at_level(rz_j_p_now(p), level)) {
        struct rz_j_node *n = rz_j_p_node(p, RZJ_N_CONCAT, rz_j_p_now(p)->offset);
        struct rz_j_nodes list = {0};
        if (!n || !rz_j_p_push(p, &list, left))
            return NULL;
        while (rz_j_p_skip_op(p, RZJ_OP_TILDE))
            if (!rz_j_p_push(p, &list, parse_level(p, level + 1)))
                return NULL;
        rz_j_p_list(n, &list);
        return n;
    }
    while (left && is_at_level(rz_j_p_now(p), level)) {
        const struct rz_j_token *t = &p->tokens[p->i++];
        struct rz_j_node *n = rz_j_p_node(p, RZJ_N_BINARY, t->offset);
        struct rz_j_node *right = parse_level(p, level + 1);
        if (!n || !right)
            return NULL;
        n->op = t->op;
        n->a = left;
        n->b = right;
        left = n;
    }
    return left;
}

static enum rz_j_op comparison(struct rz_j_parser *p)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    if (t->kind == RZJ_T_OP && t->op >= RZJ_OP_EQ && t->op <= RZJ_OP_LE) {
        p->i++;
        return t->op;
    }
    if (rz_j_p_skip_name(p, "in"))
        return RZJ_OP_IN;
    if (rz_j_p_is_name(p, "not") && t[1].kind == RZJ_T_NAME && t[1].len == 2 &&
        memcmp(t[1].text, "in", 2) == 0) {
        p->i += 2;
        return RZJ_OP_NOT_IN;
    }
    return RZJ_OP_NONE;
}

static struct rz_j_node *parse_compare(struct rz_j_parser *p)
{
    struct rz_j_node *first = parse_level(p, LEVEL_SUM);
    struct rz_j_nodes list = {0};
    size_t offset = rz_j_p_now(p)->offset;
    for (;;) {
        size_t here = rz_j_p_now(p)->offset;
        enum rz_j_op op = first ? comparison(p) : RZJ_OP_NONE;
        if (op == RZJ_OP_NONE)
            break;
        struct rz_j_node *operand = rz_j_p_node(p, RZJ_N_OPERAND, here);
        if (!operand || !rz_j_p_push(p, &list, operand))
            return NULL;
        operand->op = (uint8_t)op;
        operand->a = parse_level(p, LEVEL_SUM);
        if (!operand->a)
            return NULL;
    }
    if (!list.n)
        return first;
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_COMPARE, offset);
    if (!n)
        return NULL;
    n->a = first;
    rz_j_p_list(n, &list);
    return n;
}

static struct rz_j_node *parse_not(struct rz_j_parser *p)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    if (!rz_j_p_skip_name(p, "not"))
        return parse_compare(p);
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_NOT, t->offset);
    if (!n || !rz_j_p_enter(p))
        return NULL;
    n->a = parse_not(p);
    p->depth--;
    return n->a ? n : NULL;
}

static struct rz_j_node *parse_logic(struct rz_j_parser *p, bool is_or)
{
    struct rz_j_node *left = is_or ? parse_logic(p, false) : parse_not(p);
    while (left && rz_j_p_is_name(p, is_or ? "or" : "and")) {
        struct rz_j_node *n =
            rz_j_p_node(p, is_or ? RZJ_N_OR : RZJ_N_AND, p->tokens[p->i++].offset);
        struct rz_j_node *right = is_or ? parse_logic(p, false) : parse_not(p);
        if (!n || !right)
            return NULL;
        n->a = left;
        n->b = right;
        left = n;
    }
    return left;
}

/* value if test else other; the first value was parsed before its "if" was seen. */
static struct rz_j_node *parse_inline_if(struct rz_j_parser *p)
{
    bool soft = p->soft;
    const struct rz_j_node *unknown = p->unknown;
    struct rz_j_node *value = parse_logic(p, true);
    while (value && rz_j_p_is_name(p, "if")) {
        struct rz_j_node *n = rz_j_p_node(p, RZJ_N_COND, p->tokens[p->i++].offset);
        p->soft = true;
        p->unknown = unknown;
        if (!n || !(n->a = parse_logic(p, true)))
            return NULL;
        n->b = value;
        if (rz_j_p_skip_name(p, "else") && !(n->c = rz_j_p_expression(p, true)))
            return NULL;
        value = n;
    }
    p->soft = soft;
    return value;
}

struct rz_j_node *rz_j_p_expression(struct rz_j_parser *p, bool with_if)
{
    if (!rz_j_p_enter(p))
        return NULL;
    struct rz_j_node *n = with_if ? parse_inline_if(p) : parse_logic(p, true);
    p->depth--;
    return n;
}

/* ---------------------------------------------------------------- tuples and targets */

static bool is_tuple_end(const struct rz_j_parser *p)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    return t->kind == RZJ_T_PRINT_END || t->kind == RZJ_T_BLOCK_END ||
           rz_j_p_is_op(p, RZJ_OP_RPAREN);
}

struct rz_j_node *rz_j_p_tuple(struct rz_j_parser *p, unsigned flags)
{
    struct rz_j_nodes list = {0};
    bool is_tuple = false;
    size_t offset = rz_j_p_now(p)->offset;
    for (;;) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\",\""))
            return NULL;
        if (is_tuple_end(p))
            break;
        struct rz_j_node *n = flags & RZJ_TUPLE_PRIMARY
                                  ? parse_primary(p, (flags & RZJ_TUPLE_NAMESPACE) != 0)
                                  : rz_j_p_expression(p, !(flags & RZJ_TUPLE_NO_IF));
        if (!rz_j_p_push(p, &list, n))
            return NULL;
        if (!rz_j_p_is_op(p, RZJ_OP_COMMA))
            break;
        is_tuple = true;
    }
    if (!is_tuple) {
        if (list.n)
            return list.data[0];
        if (!(flags & RZJ_TUPLE_PARENS))
            return rz_j_p_unexpected(p, "an expression");
    }
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_TUPLE, offset);
    if (n)
        rz_j_p_list(n, &list);
    return n;
}

static bool is_assignable(const struct rz_j_node *n)
{
    if (n->kind == RZJ_N_NAME || n->kind == RZJ_N_NSREF)
        return true;
    if (n->kind != RZJ_N_TUPLE)
        return false;
    for (uint32_t i = 0; i < n->n; i++)
        if (!is_assignable(n->list[i]))
            return false;
    return true;
}

struct rz_j_node *rz_j_p_target(struct rz_j_parser *p, unsigned flags)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    struct rz_j_node *n = rz_j_p_tuple(p, flags | RZJ_TUPLE_PRIMARY);
    if (n && !is_assignable(n))
        return rz_j_p_fail(p, t->offset, "this cannot be assigned to");
    return n;
}

const char *rz_j_p_target_name(struct rz_j_parser *p, uint32_t *len)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    struct rz_j_value constant;
    if (t->kind != RZJ_T_NAME || rz_j_p_constant(t, &constant)) {
        rz_j_p_unexpected(p, "a name");
        return NULL;
    }
    p->i++;
    *len = t->len;
    return rz_j_p_intern(p, t->text, t->len);
}
