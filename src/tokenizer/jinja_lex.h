/* jinja_lex.h - a template's source as tokens. */
#ifndef RZ_TOKENIZER_JINJA_LEX_H
#define RZ_TOKENIZER_JINJA_LEX_H

#include "tokenizer/jinja_ast.h"

enum rz_j_token_kind {
    RZJ_T_END, /* of the template */
    RZJ_T_DATA,
    RZJ_T_PRINT_BEGIN,
    RZJ_T_PRINT_END,
    RZJ_T_BLOCK_BEGIN,
    RZJ_T_BLOCK_END,
    RZJ_T_NAME,
    RZJ_T_STRING, /* text between the quotes, escapes not yet undone */
    RZJ_T_INT,
    RZJ_T_FLOAT,
    RZJ_T_OP
};

enum rz_j_op {
    RZJ_OP_NONE,
    RZJ_OP_ADD,
    RZJ_OP_SUB,
    RZJ_OP_MUL,
    RZJ_OP_DIV,
    RZJ_OP_FLOORDIV,
    RZJ_OP_MOD,
    RZJ_OP_POW,
    RZJ_OP_TILDE,
    RZJ_OP_EQ,
    RZJ_OP_NE,
    RZJ_OP_GT,
    RZJ_OP_GE,
    RZJ_OP_LT,
    RZJ_OP_LE,
    RZJ_OP_ASSIGN,
    RZJ_OP_DOT,
    RZJ_OP_COLON,
    RZJ_OP_PIPE,
    RZJ_OP_COMMA,
    RZJ_OP_SEMICOLON,
    RZJ_OP_LPAREN,
    RZJ_OP_RPAREN,
    RZJ_OP_LBRACKET,
    RZJ_OP_RBRACKET,
    RZJ_OP_LBRACE,
    RZJ_OP_RBRACE,
    RZJ_OP_IN, /* only in comparisons */
    RZJ_OP_NOT_IN
};

struct rz_j_token {
    uint8_t kind; /* enum rz_j_token_kind */
    uint8_t op;   /* enum rz_j_op */
    uint32_t offset, len;
    const char *text; /* borrowed from the template's source */
};

/* All tokens, in the template's arena, the last one RZJ_T_END. */
RZ_MUST_USE rz_status rz_j_lex(struct rz_template *t, struct rz_j_token **tokens, rz_error *err);

/* A failure at an offset of the source: "name:line:column: sentence". */
rz_status rz_j_fail_at(const struct rz_template *t, size_t offset, rz_error *err,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
