/* jinja_ast.h - the parsed template: one kind of node for statements and expressions.
 *
 * Built once in the template's arena, never changed afterwards: renderings on several threads
 * share it. Names are interned, so that equal names are equal pointers. */
#ifndef RZ_TOKENIZER_JINJA_AST_H
#define RZ_TOKENIZER_JINJA_AST_H

#include "base/arena.h"
#include "tokenizer/jinja_value.h"

#include <realizar/status.h>

enum {
    RZJ_MAX_SOURCE_BYTES = 512 << 10, /* the longest published template is about 30 KiB */
    RZJ_MAX_PARSE_BYTES = 128 << 20,
    RZJ_MAX_NESTING = 100 /* of brackets and blocks in the source */
};

enum rz_j_node_kind {
    /* expressions */
    RZJ_N_CONST,   /* value */
    RZJ_N_NAME,    /* name */
    RZJ_N_LIST,    /* list */
    RZJ_N_TUPLE,   /* list */
    RZJ_N_DICT,    /* list: key, value, key, value ... */
    RZJ_N_GETATTR, /* a.name */
    RZJ_N_GETITEM, /* a[b] */
    RZJ_N_SLICE,   /* [a:b:c], each may be NULL */
    RZJ_N_CALL,    /* a(list) */
    RZJ_N_FILTER,  /* a|name(list); a is NULL at the head of a filter block's chain */
    RZJ_N_TEST,    /* a is name(list) */
    RZJ_N_BINARY,  /* a op b */
    RZJ_N_NEG,     /* -a */
    RZJ_N_POS,     /* +a */
    RZJ_N_NOT,     /* not a */
    RZJ_N_AND,
    RZJ_N_OR,
    RZJ_N_COMPARE, /* a, then list of RZJ_N_OPERAND */
    RZJ_N_OPERAND, /* op a */
    RZJ_N_COND,    /* b if a else c; c may be NULL */
    RZJ_N_CONCAT,  /* list joined by ~ */
    RZJ_N_KWARG,   /* name=a; in a signature a is the default or NULL */
    RZJ_N_STAR,    /* *a */
    RZJ_N_STAR2,   /* **a */
    RZJ_N_NSREF,   /* a.name as the target of set; a is a name */
    /* statements */
    RZJ_N_BLOCK,       /* list */
    RZJ_N_DATA,        /* value */
    RZJ_N_PRINT,       /* list */
    RZJ_N_IF,          /* list: test, body, test, body ...; c is else or NULL */
    RZJ_N_FOR,         /* a: target, b: iterable, c: test or NULL, body, other: else or NULL */
    RZJ_N_SET,         /* a: target, b: value */
    RZJ_N_SETBLOCK,    /* a: target, b: filter chain or NULL, body */
    RZJ_N_MACRO,       /* name, list: signature, body */
    RZJ_N_CALLBLOCK,   /* a: call, list: signature, body */
    RZJ_N_FILTERBLOCK, /* a: filter chain, body */
    RZJ_N_WITH,        /* list: target, value ...; body */
    RZJ_N_SCOPE,       /* body: generation */
    RZJ_N_BREAK,
    RZJ_N_CONTINUE
};

/* What a macro's body names (Jinja2 decides the calling convention by it), a for loop's kind. */
enum rz_j_node_flag {
    RZJ_F_CALLER = 1,
    RZJ_F_VARARGS = 2,
    RZJ_F_KWARGS = 4,
    RZJ_F_RECURSIVE = 8,
    RZJ_F_METHOD = 16 /* the attribute's name is also that of a method */
};

struct rz_j_node {
    uint8_t kind;    /* enum rz_j_node_kind */
    uint8_t op;      /* enum rz_j_op */
    uint16_t flags;  /* enum rz_j_node_flag */
    uint32_t offset; /* of the source: line and column are worked out when a message needs them */
    uint32_t n;      /* of list */
    uint32_t name_len;
    struct rz_j_node *a, *b, *c;
    struct rz_j_node *body, *other;
    struct rz_j_node **list;
    const char *name; /* interned, NUL-terminated */
    const struct rz_j_builtin *builtin;
    struct rz_j_value value;
};

/* Names that the interpreter itself binds, interned like the template's own. */
enum rz_j_known_name {
    RZJ_NAME_LOOP,
    RZJ_NAME_CALLER,
    RZJ_NAME_KWARGS,
    RZJ_NAME_VARARGS,
    RZJ_N_KNOWN_NAMES
};

struct rz_template {
    struct rz_arena arena;
    const char *name;
    const char *source; /* newlines normalized */
    size_t len;
    const char *known_names[RZJ_N_KNOWN_NAMES];
    struct rz_j_node *root; /* RZJ_N_BLOCK */
};

/* Fills t->root; t's arena, name, source and len are set. */
RZ_MUST_USE rz_status rz_j_parse(struct rz_template *t, rz_error *err);

/* 1-based line and column (in code points) of offset. */
void rz_j_position(const struct rz_template *t, size_t offset, unsigned *line, unsigned *column);

#endif
