/* jinja_parse.c - the parser of statements: a block of text, prints and tags becomes a node list.
 *
 * Not in the language of chat templates, and refused by name: extends, include, import, from,
 * block, autoescape. Source: the grammar that jinja2/parser.py implements; generation is the tag
 * that transformers adds, break and continue are jinja2.ext.loopcontrols. */
#include "tokenizer/jinja_parser.h"

#include "base/fail.h"
#include "base/hash.h"
#include "tokenizer/jinja_run.h"

#include <stdarg.h>
#include <stdio.h>

/* ---------------------------------------------------------------- shared with expressions */

struct rz_j_node *rz_j_p_fail(struct rz_j_parser *p, size_t offset, const char *format, ...)
{
    if (p->status)
        return NULL;
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    p->status = rz_j_fail_at(p->t, offset, p->err, "%s", sentence);
    return NULL;
}

struct rz_j_node *rz_j_p_unexpected(struct rz_j_parser *p, const char *what)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    int len = t->len < 40 ? (int)t->len : 40;
    if (t->kind == RZJ_T_END)
        return rz_j_p_fail(p, t->offset, "unexpected end of the template, expected %s", what);
    return rz_j_p_fail(p, t->offset, "unexpected \"%.*s\", expected %s", len, t->text, what);
}

static struct rz_j_node *no_memory(struct rz_j_parser *p)
{
    if (!p->status)
        p->status = rz_fail(p->err, RZ_ENOMEM, "%s: no memory left to parse it", p->t->name);
    return NULL;
}

struct rz_j_node *rz_j_p_node(struct rz_j_parser *p, enum rz_j_node_kind kind, size_t offset)
{
    struct rz_j_node *n = rz_arena_alloc(&p->t->arena, 1, sizeof *n);
    if (!n)
        return no_memory(p);
    n->kind = (uint8_t)kind;
    n->offset = (uint32_t)offset;
    return n;
}

bool rz_j_p_push(struct rz_j_parser *p, struct rz_j_nodes *list, struct rz_j_node *n)
{
    if (!n)
        return false;
    if (list->n == list->cap) {
        uint32_t cap = list->cap * 2 + 4;
        struct rz_j_node **data = rz_arena_alloc(&p->t->arena, cap, sizeof(struct rz_j_node *));
        if (!data)
            return no_memory(p) != NULL;
        if (list->n)
            memcpy(data, list->data, list->n * sizeof(struct rz_j_node *));
        list->data = data;
        list->cap = cap;
    }
    list->data[list->n++] = n;
    return true;
}

void rz_j_p_list(struct rz_j_node *n, const struct rz_j_nodes *list)
{
    n->list = list->data;
    n->n = list->n;
}

static const char **name_slot(const char **names, size_t cap, const char *s, size_t len)
{
    size_t i = rz_hash_bytes(s, len, 7) & (cap - 1);
    while (names[i] && !(strlen(names[i]) == len && memcmp(names[i], s, len) == 0))
        i = (i + 1) & (cap - 1);
    return &names[i];
}

static bool grow_names(struct rz_j_parser *p)
{
    size_t cap = p->cap_names ? p->cap_names * 2 : 256;
    const char **names = rz_arena_alloc(&p->t->arena, cap, sizeof(const char *));
    if (!names)
        return no_memory(p) != NULL;
    for (size_t i = 0; i < p->cap_names; i++)
        if (p->names[i])
            *name_slot(names, cap, p->names[i], strlen(p->names[i])) = p->names[i];
    p->names = names;
    p->cap_names = cap;
    return true;
}

const char *rz_j_p_intern(struct rz_j_parser *p, const char *s, size_t len)
{
    if (p->n_names * 2 >= p->cap_names && !grow_names(p))
        return NULL;
    const char **slot = name_slot(p->names, p->cap_names, s, len);
    if (!*slot) {
        *slot = rz_arena_strdup(&p->t->arena, s, len);
        if (!*slot) {
            no_memory(p);
            return NULL;
        }
        p->n_names++;
    }
    return *slot;
}

bool rz_j_p_enter(struct rz_j_parser *p)
{
    if (p->depth == RZJ_MAX_NESTING) {
        rz_j_p_fail(p, rz_j_p_now(p)->offset, "nested deeper than %d levels", RZJ_MAX_NESTING);
        return false;
    }
    p->depth++;
    return true;
}

bool rz_j_p_is_op(const struct rz_j_parser *p, enum rz_j_op op)
{
    return rz_j_p_now(p)->kind == RZJ_T_OP && rz_j_p_now(p)->op == op;
}

bool rz_j_p_is_name(const struct rz_j_parser *p, const char *name)
{
    const struct rz_j_token *t = rz_j_p_now(p);
    return t->kind == RZJ_T_NAME && t->len == strlen(name) && memcmp(t->text, name, t->len) == 0;
}

bool rz_j_p_skip_op(struct rz_j_parser *p, enum rz_j_op op)
{
    bool is = rz_j_p_is_op(p, op);
    p->i += is;
    return is;
}

bool rz_j_p_skip_name(struct rz_j_parser *p, const char *name)
{
    bool is = rz_j_p_is_name(p, name);
    p->i += is;
    return is;
}

bool rz_j_p_expect_op(struct rz_j_parser *p, enum rz_j_op op, const char *what)
{
    if (rz_j_p_skip_op(p, op))
        return true;
    rz_j_p_unexpected(p, what);
    return false;
}

/* ---------------------------------------------------------------- blocks */

static struct rz_j_node *parse_statement(struct rz_j_parser *p);

static bool ends_here(const struct rz_j_parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (rz_j_p_is_name(p, *ends))
            return true;
    return false;
}

static struct rz_j_node *parse_print(struct rz_j_parser *p)
{
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_PRINT, rz_j_p_now(p)->offset);
    struct rz_j_nodes list = {0};
    p->i++;
    if (!n || !rz_j_p_push(p, &list, rz_j_p_tuple(p, 0)))
        return NULL;
    if (rz_j_p_now(p)->kind != RZJ_T_PRINT_END)
        return rz_j_p_unexpected(p, "\"}}\"");
    p->i++;
    rz_j_p_list(n, &list);
    return n;
}

/* Text, prints and tags up to a tag named in ends (NULL: to the end of the template), which is left
 * as the current token. */
static struct rz_j_node *parse_block(struct rz_j_parser *p, const char *const *ends)
{
    struct rz_j_node *block = rz_j_p_node(p, RZJ_N_BLOCK, rz_j_p_now(p)->offset);
    struct rz_j_nodes list = {0};
    if (!block || !rz_j_p_enter(p))
        return NULL;
    for (;;) {
        const struct rz_j_token *t = rz_j_p_now(p);
        struct rz_j_node *n = NULL;
        if (t->kind == RZJ_T_END) {
            if (ends)
                return rz_j_p_fail(p, p->opener, "this block has no %s", ends[0]);
            break;
        } else if (t->kind == RZJ_T_DATA) {
            n = rz_j_p_node(p, RZJ_N_DATA, t->offset);
            if (n)
                n->value = rz_j_str(t->text, t->len);
            p->i++;
        } else if (t->kind == RZJ_T_PRINT_BEGIN) {
            n = parse_print(p);
        } else {
            p->i++;
            if (ends_here(p, ends))
                break;
            n = parse_statement(p);
            if (n && rz_j_p_now(p)->kind != RZJ_T_BLOCK_END)
                return rz_j_p_unexpected(p, "the end of the tag");
            p->i++;
        }
        if (!rz_j_p_push(p, &list, n))
            return NULL;
    }
    p->depth--;
    rz_j_p_list(block, &list);
    return block;
}

/* The rest of an opening tag and the block that it opens. drop_end: the ending tag's name is
 * skipped too. */
static struct rz_j_node *parse_body(struct rz_j_parser *p, const char *const *ends, bool drop_end)
{
    rz_j_p_skip_op(p, RZJ_OP_COLON);
    if (rz_j_p_now(p)->kind != RZJ_T_BLOCK_END)
        return rz_j_p_unexpected(p, "the end of the tag");
    p->i++;
    struct rz_j_node *body = parse_block(p, ends);
    if (body && drop_end)
        p->i++;
    return body;
}

/* ---------------------------------------------------------------- statements */

static const char *const end_if[] = {"endif", "elif", "else", NULL};
static const char *const end_else[] = {"endif", NULL};
static const char *const end_for[] = {"endfor", "else", NULL};
static const char *const end_for_else[] = {"endfor", NULL};

static struct rz_j_node *parse_if(struct rz_j_parser *p, struct rz_j_node *n)
{
    struct rz_j_nodes list = {0};
    bool soft = p->soft;
    p->soft = true;
    for (;;) {
        if (!rz_j_p_push(p, &list, rz_j_p_tuple(p, RZJ_TUPLE_NO_IF)) ||
            !rz_j_p_push(p, &list, parse_body(p, end_if, false)))
            return NULL;
        if (rz_j_p_skip_name(p, "elif"))
            continue;
        if (rz_j_p_skip_name(p, "else") && !(n->c = parse_body(p, end_else, false)))
            return NULL;
        p->i++; /* endif */
        break;
    }
    p->soft = soft;
    rz_j_p_list(n, &list);
    return n;
}

static bool names_loop(const struct rz_j_node *target)
{
    if (target->kind == RZJ_N_NAME)
        return strcmp(target->name, "loop") == 0;
    for (uint32_t i = 0; i < target->n; i++)
        if (names_loop(target->list[i]))
            return true;
    return false;
}

static struct rz_j_node *parse_for(struct rz_j_parser *p, struct rz_j_node *n)
{
    bool soft = p->soft;
    p->soft = false;
    n->a = rz_j_p_target(p, 0);
    if (!n->a)
        return NULL;
    if (names_loop(n->a))
        return rz_j_p_fail(p, n->a->offset, "loop cannot be a for loop's target");
    if (!rz_j_p_skip_name(p, "in"))
        return rz_j_p_unexpected(p, "\"in\"");
    if (!(n->b = rz_j_p_tuple(p, RZJ_TUPLE_NO_IF)))
        return NULL;
    if (rz_j_p_skip_name(p, "if") && !(n->c = rz_j_p_expression(p, true)))
        return NULL;
    if (rz_j_p_skip_name(p, "recursive"))
        n->flags |= RZJ_F_RECURSIVE;
    p->n_loops++;
    n->body = parse_body(p, end_for, false);
    p->n_loops--;
    if (!n->body)
        return NULL;
    if (rz_j_p_skip_name(p, "else")) {
        if (!(n->other = parse_body(p, end_for_else, false)))
            return NULL;
    }
    p->i++; /* endfor */
    p->soft = soft;
    return n;
}

static struct rz_j_node *parse_set(struct rz_j_parser *p, struct rz_j_node *n)
{
    static const char *const ends[] = {"endset", NULL};
    if (!(n->a = rz_j_p_target(p, RZJ_TUPLE_NAMESPACE)))
        return NULL;
    if (rz_j_p_skip_op(p, RZJ_OP_ASSIGN)) {
        n->b = rz_j_p_tuple(p, 0);
        return n->b ? n : NULL;
    }
    n->kind = RZJ_N_SETBLOCK;
    if (rz_j_p_is_op(p, RZJ_OP_PIPE) && !(n->b = rz_j_p_filters(p, NULL, false)))
        return NULL;
    n->body = parse_body(p, ends, true);
    return n->body ? n : NULL;
}

static bool parse_signature(struct rz_j_parser *p, struct rz_j_node *n)
{
    struct rz_j_nodes list = {0};
    if (!rz_j_p_expect_op(p, RZJ_OP_LPAREN, "\"(\""))
        return false;
    while (!rz_j_p_is_op(p, RZJ_OP_RPAREN)) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\",\" or \")\""))
            return false;
        struct rz_j_node *param = rz_j_p_node(p, RZJ_N_KWARG, rz_j_p_now(p)->offset);
        if (!param || !(param->name = rz_j_p_target_name(p, &param->name_len)))
            return false;
        for (uint32_t i = 0; i < list.n; i++)
            if (list.data[i]->name == param->name) {
                rz_j_p_fail(p, param->offset, "two parameters are named \"%s\"", param->name);
                return false;
            }
        if (rz_j_p_skip_op(p, RZJ_OP_ASSIGN)) {
            if (!(param->a = rz_j_p_expression(p, true)))
                return false;
        } else if (list.n && list.data[list.n - 1]->a) {
            rz_j_p_fail(p, param->offset, "a parameter without default follows one with");
            return false;
        }
        if (!rz_j_p_push(p, &list, param))
            return false;
    }
    p->i++;
    rz_j_p_list(n, &list);
    return true;
}

/* The body of a macro or call block: names in it may be caller, varargs, kwargs; loops around it do
 * not reach into it. */
static struct rz_j_node *parse_macro_body(struct rz_j_parser *p, struct rz_j_node *n,
                                          const char *const *ends)
{
    unsigned n_loops = p->n_loops;
    bool soft = p->soft;
    p->n_loops = 0;
    p->soft = false;
    p->macros[p->n_macros++] = n; /* room for as many as nesting allows */
    n->body = parse_body(p, ends, true);
    p->n_macros--;
    p->n_loops = n_loops;
    p->soft = soft;
    return n->body ? n : NULL;
}

static struct rz_j_node *parse_macro(struct rz_j_parser *p, struct rz_j_node *n)
{
    static const char *const ends[] = {"endmacro", NULL};
    if (!(n->name = rz_j_p_target_name(p, &n->name_len)) || !parse_signature(p, n))
        return NULL;
    return parse_macro_body(p, n, ends);
}

static struct rz_j_node *parse_call_block(struct rz_j_parser *p, struct rz_j_node *n)
{
    static const char *const ends[] = {"endcall", NULL};
    if (rz_j_p_is_op(p, RZJ_OP_LPAREN) && !parse_signature(p, n))
        return NULL;
    const struct rz_j_token *t = rz_j_p_now(p);
    if (!(n->a = rz_j_p_expression(p, true)))
        return NULL;
    if (n->a->kind != RZJ_N_CALL)
        return rz_j_p_fail(p, t->offset, "expected a call");
    return parse_macro_body(p, n, ends);
}

static struct rz_j_node *parse_filter_block(struct rz_j_parser *p, struct rz_j_node *n)
{
    static const char *const ends[] = {"endfilter", NULL};
    if (!(n->a = rz_j_p_filters(p, NULL, true)) || !(n->body = parse_body(p, ends, true)))
        return NULL;
    return n;
}

static struct rz_j_node *parse_with(struct rz_j_parser *p, struct rz_j_node *n)
{
    static const char *const ends[] = {"endwith", NULL};
    struct rz_j_nodes list = {0};
    while (rz_j_p_now(p)->kind != RZJ_T_BLOCK_END) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\",\""))
            return NULL;
        if (!rz_j_p_push(p, &list, rz_j_p_target(p, 0)) ||
            !rz_j_p_expect_op(p, RZJ_OP_ASSIGN, "\"=\"") ||
            !rz_j_p_push(p, &list, rz_j_p_expression(p, true)))
            return NULL;
    }
    rz_j_p_list(n, &list);
    n->body = parse_body(p, ends, true);
    return n->body ? n : NULL;
}

static struct rz_j_node *parse_generation(struct rz_j_parser *p, struct rz_j_node *n)
{
    static const char *const ends[] = {"endgeneration", NULL};
    return parse_macro_body(p, n, ends);
}

static struct rz_j_node *parse_print_tag(struct rz_j_parser *p, struct rz_j_node *n)
{
    struct rz_j_nodes list = {0};
    while (rz_j_p_now(p)->kind != RZJ_T_BLOCK_END) {
        if (list.n && !rz_j_p_expect_op(p, RZJ_OP_COMMA, "\",\""))
            return NULL;
        if (!rz_j_p_push(p, &list, rz_j_p_expression(p, true)))
            return NULL;
    }
    rz_j_p_list(n, &list);
    return n;
}

static struct rz_j_node *parse_loop_control(struct rz_j_parser *p, struct rz_j_node *n)
{
    if (!p->n_loops)
        return rz_j_p_fail(p, n->offset, "break or continue outside of a loop");
    return n;
}

static struct rz_j_node *parse_statement(struct rz_j_parser *p)
{
    static const struct {
        const char *name;
        uint8_t kind;
        struct rz_j_node *(*parse)(struct rz_j_parser *, struct rz_j_node *);
    } statements[] = {{"if", RZJ_N_IF, parse_if},
                      {"for", RZJ_N_FOR, parse_for},
                      {"set", RZJ_N_SET, parse_set},
                      {"macro", RZJ_N_MACRO, parse_macro},
                      {"call", RZJ_N_CALLBLOCK, parse_call_block},
                      {"filter", RZJ_N_FILTERBLOCK, parse_filter_block},
                      {"with", RZJ_N_WITH, parse_with},
                      {"print", RZJ_N_PRINT, parse_print_tag},
                      {"generation", RZJ_N_SCOPE, parse_generation},
                      {"break", RZJ_N_BREAK, parse_loop_control},
                      {"continue", RZJ_N_CONTINUE, parse_loop_control}};
    const struct rz_j_token *t = rz_j_p_now(p);
    if (t->kind != RZJ_T_NAME)
        return rz_j_p_unexpected(p, "a tag's name");
    for (size_t i = 0; i < RZ_ARRAY_LEN(statements); i++) {
        if (!rz_j_p_is_name(p, statements[i].name))
            continue;
        p->i++;
        struct rz_j_node *n = rz_j_p_node(p, statements[i].kind, t->offset);
        uint32_t outer = p->opener;
        p->opener = t->offset;
        n = n ? statements[i].parse(p, n) : NULL;
        p->opener = n ? outer : p->opener;
        return n;
    }
    return rz_j_p_fail(p, t->offset, "the tag \"%.*s\" is not known here", (int)t->len, t->text);
}

rz_status rz_j_parse(struct rz_template *t, rz_error *err)
{
    struct rz_j_node *macros[RZJ_MAX_NESTING + 1];
    struct rz_j_parser p = {.t = t, .macros = macros, .err = err};
    struct rz_j_token *tokens;
    RZ_TRY(rz_j_lex(t, &tokens, err));
    p.tokens = tokens;
    static const char *const known[] = {"loop", "caller", "kwargs", "varargs"};
    for (int i = 0; i < RZJ_N_KNOWN_NAMES; i++)
        t->known_names[i] = rz_j_p_intern(&p, known[i], strlen(known[i]));
    t->root = p.status ? NULL : parse_block(&p, NULL);
    if (t->root && p.unknown)
        rz_j_p_fail(&p, p.unknown->offset, "no %s is named '%s'",
                    p.unknown->kind == RZJ_N_FILTER ? "filter" : "test", p.unknown->name);
    RZ_ASSERT(t->root || p.status);
    return p.status;
}
