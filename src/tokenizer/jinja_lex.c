/* jinja_lex.c - Jinja2's lexer with trim_blocks and lstrip_blocks, which transformers turns on.
 *
 * A newline right after a block tag or comment is dropped; blanks between the start of a line and
 * a block tag or comment are dropped; "-" strips all whitespace on its side, "+" keeps it.
 * Source: jinja2/lexer.py (the rules, not the code) and the "Whitespace Control" section of the
 * template designer documentation. */
#include "tokenizer/jinja_lex.h"

#include "base/fail.h"
#include "base/utf8.h"
#include "tokenizer/jinja_text.h"

#include <stdarg.h>
#include <stdio.h>

struct lexer {
    struct rz_template *t;
    const char *s;
    size_t len, pos;
    bool line_starting; /* the text before pos ends a line, or there is none */
    struct rz_j_token *tokens;
    size_t n, cap;
    rz_error *err;
};

void rz_j_position(const struct rz_template *t, size_t offset, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < offset && i < t->len; i++) {
        if (t->source[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((uint8_t)t->source[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

rz_status rz_j_fail_at(const struct rz_template *t, size_t offset, rz_error *err,
                       const char *format, ...)
{
    char sentence[RZ_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    unsigned line, column;
    rz_j_position(t, offset, &line, &column);
    return rz_fail(err, RZ_EFORMAT, "%s:%u:%u: %s", t->name, line, column, sentence);
}

static rz_status add(struct lexer *x, enum rz_j_token_kind kind, size_t from, size_t to)
{
    if (x->n == x->cap) {
        size_t cap = x->cap * 2 + 64;
        struct rz_j_token *tokens = rz_arena_alloc(&x->t->arena, cap, sizeof *tokens);
        if (!tokens)
            return rz_fail_nomem(x->err, cap * sizeof *tokens, "a template's tokens");
        if (x->n)
            memcpy(tokens, x->tokens, x->n * sizeof *tokens);
        x->tokens = tokens;
        x->cap = cap;
    }
    x->tokens[x->n++] = (struct rz_j_token){.kind = (uint8_t)kind,
                                            .offset = (uint32_t)from,
                                            .len = (uint32_t)(to - from),
                                            .text = x->s + from};
    return RZ_OK;
}

static char at(const struct lexer *x, size_t i)
{
    return i < x->len ? x->s[i] : '\0';
}

static bool starts(const struct lexer *x, size_t i, const char *text)
{
    size_t n = strlen(text);
    return n <= x->len - i && memcmp(x->s + i, text, n) == 0;
}

static size_t skip_space(const struct lexer *x, size_t i)
{
    size_t n;
    while (i < x->len && rz_j_is_space(rz_j_text_at(x->s + i, x->len - i, &n)))
        i += n;
    return i;
}

/* If a block or comment ends at i ("%}", "-%}", "+%}"), the offset after it and the whitespace that
 * it takes; else 0. */
static size_t block_end(const struct lexer *x, size_t i, const char *delimiter)
{
    if (starts(x, i, delimiter))
        return i + 2 + (at(x, i + 2) == '\n');
    if (i >= x->len || !starts(x, i + 1, delimiter))
        return 0;
    if (x->s[i] == '+')
        return i + 3;
    return x->s[i] == '-' ? skip_space(x, i + 3) : 0;
}

/* Template text from..to before a tag whose sign is given: strips its right side as the rules say,
 * adds it if anything is left. */
static rz_status add_text(struct lexer *x, size_t from, size_t to, char sign, bool is_print)
{
    if (sign == '-') {
        const char *s = x->s + from;
        size_t len = to - from;
        rz_j_strip_right(&s, &len, NULL, 0);
        to = from + len;
    } else if (sign != '+' && !is_print) {
        size_t line = to;
        while (line > from && x->s[line - 1] != '\n')
            line--;
        if ((line > from || x->line_starting) && skip_space(x, line) >= to)
            to = line;
    }
    return to > from ? add(x, RZJ_T_DATA, from, to) : RZ_OK;
}

static void after(struct lexer *x, size_t pos)
{
    x->pos = pos;
    x->line_starting = pos > 0 && x->s[pos - 1] == '\n';
}

static rz_status lex_comment(struct lexer *x, size_t begin)
{
    for (size_t i = x->pos; i + 1 < x->len; i++) {
        size_t end = block_end(x, i, "#}");
        if (end) {
            after(x, end);
            return RZ_OK;
        }
    }
    return rz_j_fail_at(x->t, begin, x->err, "this comment has no end \"#}\"");
}

/* If the tag whose inside starts at i is {% raw %}, the offset after it, else 0. A raw tag does
 * not take the newline after it. */
static size_t raw_begin(const struct lexer *x, size_t i)
{
    i = skip_space(x, i);
    if (!starts(x, i, "raw"))
        return 0;
    i = skip_space(x, i + 3);
    if (starts(x, i, "%}"))
        return i + 2;
    return starts(x, i, "-%}") ? skip_space(x, i + 3) : 0;
}

static rz_status lex_raw(struct lexer *x, size_t begin)
{
    size_t from = x->pos;
    for (size_t i = from; i + 1 < x->len; i++) {
        if (!starts(x, i, "{%"))
            continue;
        char sign = at(x, i + 2) == '-' || at(x, i + 2) == '+' ? x->s[i + 2] : '\0';
        size_t name = skip_space(x, i + 2 + (sign != '\0'));
        if (!starts(x, name, "endraw"))
            continue;
        size_t end = block_end(x, skip_space(x, name + 6), "%}");
        if (!end)
            continue;
        RZ_TRY(add_text(x, from, i, sign, false));
        after(x, end);
        return RZ_OK;
    }
    return rz_j_fail_at(x->t, begin, x->err, "this raw block has no endraw");
}

/* ---------------------------------------------------------------- inside of a tag */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9') ||
           (uint8_t)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with single underscores between them. */
static size_t skip_digits(const struct lexer *x, size_t i)
{
    while (is_digit(at(x, i)) || (at(x, i) == '_' && is_digit(at(x, i + 1))))
        i++;
    return i;
}

static size_t skip_fraction(const struct lexer *x, size_t i)
{
    if (at(x, i) == '.' && is_digit(at(x, i + 1)))
        i = skip_digits(x, i + 1);
    if ((at(x, i) | 32) == 'e') {
        size_t digits = i + 1 + (at(x, i + 1) == '+' || at(x, i + 1) == '-');
        if (is_digit(at(x, digits)))
            i = skip_digits(x, digits);
    }
    return i;
}

static size_t skip_based(const struct lexer *x, size_t i)
{
    int kind = at(x, i + 1) | 32;
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (at(x, i) != '0' || !base)
        return i;
    size_t k = i + 2;
    for (;; k++) {
        int c = (uint8_t)at(x, k + (at(x, k) == '_'));
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' ? (c | 32) - 'a' + 10 : 99;
        if (digit >= base)
            break;
        k += at(x, k) == '_';
    }
    return k > i + 2 ? k : i;
}

static rz_status lex_number(struct lexer *x)
{
    size_t from = x->pos, digits = skip_digits(x, from);
    size_t to = skip_fraction(x, digits);
    bool after_point = from > 0 && x->s[from - 1] == '.'; /* a.0.1 indexes twice */
    if (to > digits && !after_point) {
        x->pos = to;
        return add(x, RZJ_T_FLOAT, from, to);
    }
    to = skip_based(x, from);
    if (to == from) {
        to = digits;
        if (x->s[from] == '0') /* only zeros may follow a zero */
            for (to = from; at(x, to) == '0' || (at(x, to) == '_' && at(x, to + 1) == '0');)
                to++;
    }
    x->pos = to;
    return add(x, RZJ_T_INT, from, to);
}

static rz_status lex_string(struct lexer *x)
{
    size_t from = x->pos;
    char quote = x->s[from];
    for (size_t i = from + 1; i < x->len; i++) {
        if (x->s[i] == '\\') {
            i++;
        } else if (x->s[i] == quote) {
            x->pos = i + 1;
            RZ_TRY(add(x, RZJ_T_STRING, from, i));
            x->tokens[x->n - 1].text++;
            x->tokens[x->n - 1].len--;
            return RZ_OK;
        }
    }
    return rz_j_fail_at(x->t, from, x->err, "this string has no closing quote");
}

static const struct {
    char text[3];
    uint8_t op;
} operators[] = {
    {"//", RZJ_OP_FLOORDIV}, {"**", RZJ_OP_POW},      {"==", RZJ_OP_EQ},    {"!=", RZJ_OP_NE},
    {">=", RZJ_OP_GE},       {"<=", RZJ_OP_LE},       {"+", RZJ_OP_ADD},    {"-", RZJ_OP_SUB},
    {"/", RZJ_OP_DIV},       {"*", RZJ_OP_MUL},       {"%", RZJ_OP_MOD},    {"~", RZJ_OP_TILDE},
    {"[", RZJ_OP_LBRACKET},  {"]", RZJ_OP_RBRACKET},  {"(", RZJ_OP_LPAREN}, {")", RZJ_OP_RPAREN},
    {"{", RZJ_OP_LBRACE},    {"}", RZJ_OP_RBRACE},    {">", RZJ_OP_GT},     {"<", RZJ_OP_LT},
    {"=", RZJ_OP_ASSIGN},    {".", RZJ_OP_DOT},       {":", RZJ_OP_COLON},  {"|", RZJ_OP_PIPE},
    {",", RZJ_OP_COMMA},     {";", RZJ_OP_SEMICOLON},
};

/* The brackets open at a point of a tag: their closing operators. */
struct brackets {
    uint8_t open[RZJ_MAX_NESTING];
    unsigned n;
};

static rz_status lex_operator(struct lexer *x, struct brackets *b)
{
    uint8_t op = RZJ_OP_NONE;
    size_t n = 0;
    for (size_t i = 0; i < RZ_ARRAY_LEN(operators) && !op; i++)
        if (starts(x, x->pos, operators[i].text)) {
            op = operators[i].op;
            n = strlen(operators[i].text);
        }
    if (!op)
        return rz_j_fail_at(x->t, x->pos, x->err, "unexpected character in a tag");
    if (op == RZJ_OP_LPAREN || op == RZJ_OP_LBRACKET || op == RZJ_OP_LBRACE) {
        if (b->n == RZJ_MAX_NESTING)
            return rz_j_fail_at(x->t, x->pos, x->err, "more than %d brackets are open",
                                RZJ_MAX_NESTING);
        b->open[b->n++] = (uint8_t)(op + 1); /* the closing operator follows the opening one */
    } else if (op == RZJ_OP_RPAREN || op == RZJ_OP_RBRACKET || op == RZJ_OP_RBRACE) {
        if (b->n == 0 || b->open[b->n - 1] != op)
            return rz_j_fail_at(x->t, x->pos, x->err, "unexpected \"%c\"", x->s[x->pos]);
        b->n--;
    }
    RZ_TRY(add(x, RZJ_T_OP, x->pos, x->pos + n));
    x->tokens[x->n - 1].op = op;
    x->pos += n;
    return RZ_OK;
}

/* If the tag ends here, the offset after it, else 0. Within brackets "}}" closes dictionaries. */
static size_t tag_end(const struct lexer *x, const struct brackets *b, bool is_print)
{
    if (b->n)
        return 0;
    if (!is_print)
        return block_end(x, x->pos, "%}");
    if (starts(x, x->pos, "}}"))
        return x->pos + 2;
    return starts(x, x->pos, "-}}") ? skip_space(x, x->pos + 3) : 0;
}

static rz_status lex_tag(struct lexer *x, bool is_print)
{
    struct brackets b = {.n = 0};
    while (x->pos < x->len) {
        size_t end = tag_end(x, &b, is_print);
        if (end) {
            RZ_TRY(add(x, is_print ? RZJ_T_PRINT_END : RZJ_T_BLOCK_END, x->pos, end));
            after(x, end);
            return RZ_OK;
        }
        size_t past_space = skip_space(x, x->pos);
        if (past_space > x->pos) {
            x->pos = past_space;
            continue;
        }
        char c = x->s[x->pos];
        if (is_digit(c)) {
            RZ_TRY(lex_number(x));
        } else if (is_name_char(c)) {
            size_t from = x->pos;
            while (is_name_char(at(x, x->pos)))
                x->pos++;
            RZ_TRY(add(x, RZJ_T_NAME, from, x->pos));
        } else if (c == '\'' || c == '"') {
            RZ_TRY(lex_string(x));
        } else {
            RZ_TRY(lex_operator(x, &b));
        }
    }
    return RZ_OK; /* the parser says what is missing */
}

rz_status rz_j_lex(struct rz_template *t, struct rz_j_token **tokens, rz_error *err)
{
    struct lexer x = {.t = t, .s = t->source, .len = t->len, .line_starting = true, .err = err};
    while (x.pos < x.len) {
        size_t i = x.pos;
        while (i < x.len && !(x.s[i] == '{' && (at(&x, i + 1) == '%' || at(&x, i + 1) == '{' ||
                                                at(&x, i + 1) == '#')))
            i++;
        if (i >= x.len) {
            RZ_TRY(add(&x, RZJ_T_DATA, x.pos, x.len));
            break;
        }
        char kind = x.s[i + 1];
        char sign = at(&x, i + 2) == '-' || at(&x, i + 2) == '+' ? x.s[i + 2] : '\0';
        RZ_TRY(add_text(&x, x.pos, i, sign, kind == '{'));
        size_t inside = i + 2 + (sign != '\0'), raw = kind == '%' ? raw_begin(&x, inside) : 0;
        if (raw) {
            after(&x, raw);
            RZ_TRY(lex_raw(&x, i));
            continue;
        }
        after(&x, inside);
        if (kind == '#') {
            RZ_TRY(lex_comment(&x, i));
            continue;
        }
        RZ_TRY(add(&x, kind == '{' ? RZJ_T_PRINT_BEGIN : RZJ_T_BLOCK_BEGIN, i, inside));
        RZ_TRY(lex_tag(&x, kind == '{'));
    }
    RZ_TRY(add(&x, RZJ_T_END, x.len, x.len));
    *tokens = x.tokens;
    return RZ_OK;
}
