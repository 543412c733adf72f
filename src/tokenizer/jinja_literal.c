/* jinja_literal.c - strings, numbers and named constants of the template language.
 *
 * Strings have Python's escapes but for \N{name}; integers must fit in 64 bits. */
#include "tokenizer/jinja_parser.h"

#include "base/fail.h"
#include "tokenizer/jinja_run.h"
#include "tokenizer/jinja_text.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH after the letter; false if digits are missing or the value is no
 * character. */
static bool hex_escape(const char *s, size_t len, size_t n_digits, struct rz_buf *b)
{
    uint32_t c = 0;
    if (len < n_digits)
        return false;
    for (size_t i = 0; i < n_digits; i++) {
        int d = hex_value(s[i]);
        if (d < 0)
            return false;
        c = c << 4 | (uint32_t)d;
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return false;
    return rz_j_add_code_point(b, c);
}

/* One escape at s (after the backslash); *used its length. Unknown ones stay as written. */
static bool unescape_one(const char *s, size_t len, size_t *used, struct rz_buf *b)
{
    static const char plain[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    *used = 1;
    if (s[0] == '\n')
        return true;
    for (size_t i = 0; plain[i]; i += 2)
        if (plain[i] == s[0])
            return rz_buf_char(b, plain[i + 1]);
    if (s[0] == 'x' || s[0] == 'u' || s[0] == 'U') {
        size_t n = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : 8;
        *used += n;
        return hex_escape(s + 1, len - 1, n, b);
    }
    if (s[0] >= '0' && s[0] <= '7') {
        uint32_t c = 0;
        size_t i = 0;
        for (; i < 3 && i < len && s[i] >= '0' && s[i] <= '7'; i++)
            c = c * 8 + (uint32_t)(s[i] - '0');
        *used = i;
        return rz_j_add_code_point(b, c);
    }
    if (s[0] == 'N')
        return false; /* \N{NAME} would need the table of names */
    return rz_buf_char(b, '\\') && rz_buf_char(b, s[0]);
}

static bool unescape(struct rz_j_parser *p, const struct rz_j_token *t, struct rz_buf *b)
{
    for (size_t i = 0; i < t->len;) {
        const char *slash = memchr(t->text + i, '\\', t->len - i);
        size_t plain = slash ? (size_t)(slash - t->text) : t->len;
        rz_buf_add(b, t->text + i, plain - i);
        i = plain;
        if (!slash)
            break;
        size_t used = 1;
        if (i + 1 >= t->len || !unescape_one(t->text + i + 1, t->len - i - 1, &used, b)) {
            rz_j_p_fail(p, t->offset + 1 + i, "invalid escape in a string");
            return false;
        }
        i += 1 + used;
    }
    return true;
}

struct rz_j_node *rz_j_p_string(struct rz_j_parser *p)
{
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_CONST, rz_j_p_now(p)->offset);
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_SOURCE_BYTES * 4u);
    bool ok = n != NULL;
    while (ok && rz_j_p_now(p)->kind == RZJ_T_STRING)
        ok = unescape(p, &p->tokens[p->i++], &b);
    if (ok) {
        char *copy = rz_arena_strdup(&p->t->arena, b.data, b.len);
        if (b.failed || !copy)
            ok = rz_j_p_fail(p, n->offset, "out of memory for a string") != NULL;
        else
            n->value = rz_j_str(copy, b.len);
    }
    rz_buf_fini(&b);
    return ok ? n : NULL;
}

struct rz_j_node *rz_j_p_number(struct rz_j_parser *p)
{
    const struct rz_j_token *t = &p->tokens[p->i++];
    struct rz_j_node *n = rz_j_p_node(p, RZJ_N_CONST, t->offset);
    if (!n)
        return NULL;
    bool overflow = false;
    int64_t i = 0;
    double f = 0;
    if (t->kind == RZJ_T_FLOAT) {
        if (!rz_j_parse_float(t->text, t->len, &f))
            return rz_j_p_fail(p, t->offset, "malformed number");
        n->value = rz_j_float(f);
    } else {
        int base =
            t->len > 1 && t->text[0] == '0' && t->text[1] > '9' && t->text[1] != '_' ? 0 : 10;
        if (!rz_j_parse_int(t->text, t->len, base, &i, &overflow))
            return rz_j_p_fail(p, t->offset,
                               overflow ? "this integer does not fit in 64 bits"
                                        : "malformed number");
        n->value = rz_j_int(i);
    }
    return n;
}

bool rz_j_p_constant(const struct rz_j_token *t, struct rz_j_value *v)
{
    static const struct {
        const char *name;
        uint8_t kind;
        bool b;
    } consts[] = {{"true", RZJ_BOOL, true},   {"True", RZJ_BOOL, true},  {"false", RZJ_BOOL, false},
                  {"False", RZJ_BOOL, false}, {"none", RZJ_NONE, false}, {"None", RZJ_NONE, false}};
    for (size_t i = 0; i < RZ_ARRAY_LEN(consts); i++)
        if (t->len == strlen(consts[i].name) && memcmp(t->text, consts[i].name, t->len) == 0) {
            *v = (struct rz_j_value){.kind = consts[i].kind, .u.b = consts[i].b};
            return true;
        }
    return false;
}
