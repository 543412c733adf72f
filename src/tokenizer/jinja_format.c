/* jinja_format.c - printf-style formatting ("%s" % x) and str.format, as far as texts need them.
 *
 * Sources: "printf-style String Formatting", "Format String Syntax" and "Format Specification
 * Mini-Language" of the Python library reference. */
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

#include <inttypes.h>
#include <math.h>

enum {
    MAX_WIDTH = 100000,
    MAX_PRECISION = 100 /* of floats */
};

/* What both languages say about one field. */
struct spec {
    uint32_t fill; /* 0: a space */
    char align;    /* < > ^ =, or 0 for the type's own */
    char sign;     /* + - or space */
    bool alternate, grouped, zero;
    int64_t width, precision; /* precision -1: none */
    char type;                /* 0: none */
};

/* Appends text within the field's width; sign_len: bytes that "=" puts before the filling. */
static bool add_padded(struct rz_j_ctx *c, struct rz_buf *b, const struct rz_buf *text,
                       size_t sign_len, const struct spec *spec)
{
    int64_t n = (int64_t)rz_j_text_count(text->data, text->len);
    int64_t total = spec->width > n ? spec->width - n : 0, left = total;
    if (spec->align == '<')
        left = 0;
    else if (spec->align == '^')
        left = total / 2;
    if (spec->align == '=')
        rz_buf_add(b, text->data, sign_len);
    else
        sign_len = 0;
    for (int64_t i = 0; i < left; i++)
        rz_j_add_code_point(b, spec->fill ? spec->fill : ' ');
    if (text->len > sign_len)
        rz_buf_add(b, text->data + sign_len, text->len - sign_len);
    for (int64_t i = left; i < total; i++)
        rz_j_add_code_point(b, spec->fill ? spec->fill : ' ');
    return rz_j_charge_bytes(c, (size_t)total * 8 + text->len);
}

/* ---------------------------------------------------------------- numbers */

static void add_sign(struct rz_buf *b, bool negative, const struct spec *spec)
{
    if (negative)
        rz_buf_char(b, '-');
    else if (spec->sign == '+' || spec->sign == ' ')
        rz_buf_char(b, spec->sign);
}

static void add_digits(struct rz_buf *b, uint64_t value, unsigned base, bool upper, int64_t min)
{
    char digits[64];
    int n = 0;
    do {
        digits[n++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
        value /= base;
    } while (value);
    for (int64_t i = n; i < min; i++)
        rz_buf_char(b, '0');
    while (n)
        rz_buf_char(b, digits[--n]);
}

/* Commas between groups of three digits before the point. */
static void add_grouped(struct rz_buf *b, const char *digits, size_t len)
{
    size_t whole = 0;
    while (whole < len && digits[whole] >= '0' && digits[whole] <= '9')
        whole++;
    for (size_t i = 0; i < len; i++) {
        if (i && i < whole && (whole - i) % 3 == 0)
            rz_buf_char(b, ',');
        rz_buf_char(b, digits[i]);
    }
}

static size_t add_int(struct rz_buf *text, int64_t v, const struct spec *spec, int64_t min_digits)
{
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char type = spec->type;
    unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
    add_sign(text, v < 0, spec);
    if (spec->alternate && base != 10) {
        rz_buf_char(text, '0');
        rz_buf_char(text, type);
    }
    size_t sign_len = text->len;
    struct rz_buf digits;
    rz_buf_init(&digits, MAX_WIDTH);
    add_digits(&digits, magnitude, base, type == 'X', min_digits);
    if (spec->grouped && digits.data)
        add_grouped(text, digits.data, digits.len);
    else if (digits.data)
        rz_buf_add(text, digits.data, digits.len);
    rz_buf_fini(&digits);
    return sign_len;
}

static size_t add_double(struct rz_buf *text, double f, const struct spec *spec)
{
    bool percent = spec->type == '%', upper = spec->type >= 'A' && spec->type <= 'Z';
    char type = percent ? 'f' : (char)(spec->type | 32);
    struct rz_buf digits;
    add_sign(text, signbit(f) && !isnan(f), spec);
    size_t sign_len = text->len;
    rz_buf_init(&digits, 1024);
    f = fabs(f);
    if (!isfinite(f))
        rz_buf_str(&digits, isnan(f) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
    else if (!spec->type && spec->precision < 0)
        rz_j_add_float(&digits, f);
    else
        rz_j_add_float_as(&digits, percent ? f * 100 : f,
                          !spec->type ? 'g'
                          : upper     ? (char)(type - 32)
                                      : type,
                          spec->precision < 0 ? 6 : (int)spec->precision, spec->alternate);
    if (percent)
        rz_buf_char(&digits, '%');
    if (spec->grouped && digits.data)
        add_grouped(text, digits.data, digits.len);
    else if (digits.data)
        rz_buf_add(text, digits.data, digits.len);
    text->failed |= digits.failed;
    rz_buf_fini(&digits);
    return sign_len;
}

/* ---------------------------------------------------------------- format % args */

struct percent {
    struct rz_j_ctx *c;
    struct rz_j_value format, args;
    size_t i;       /* in format */
    uint32_t i_arg; /* in args, when they are a tuple */
    struct rz_buf *out;
};

static bool next_arg(struct percent *p, struct rz_j_value *v)
{
    *v = rz_j_none();
    bool is_tuple = p->args.kind == RZJ_TUPLE;
    uint32_t n = is_tuple ? p->args.u.list->n : 1;
    if (p->i_arg >= n)
        return rz_j_fail(p->c, "not enough arguments for format string");
    *v = is_tuple ? p->args.u.list->items[p->i_arg] : p->args;
    p->i_arg++;
    return true;
}

static char peek(const struct percent *p)
{
    return p->i < p->format.len ? p->format.u.s[p->i] : '\0';
}

/* (name): the argument comes from a mapping. */
static bool named_arg(struct percent *p, struct rz_j_value *v)
{
    size_t from = ++p->i, depth = 1;
    for (; p->i < p->format.len; p->i++) {
        depth += peek(p) == '(';
        depth -= peek(p) == ')';
        if (!depth)
            break;
    }
    if (depth)
        return rz_j_fail(p->c, "incomplete format key");
    struct rz_j_value *found;
    if (p->args.kind != RZJ_DICT)
        return rz_j_fail(p->c, "format requires a mapping");
    if (!rz_j_dict_get(p->c, p->args.u.dict, rz_j_str(p->format.u.s + from, p->i - from), &found))
        return false;
    if (!found)
        return rz_j_fail(p->c, "the mapping has no key '%.*s'",
                         p->i - from < 60 ? (int)(p->i - from) : 60, p->format.u.s + from);
    *v = *found;
    p->i++;
    return true;
}

/* Digits, or * for the next argument. */
static bool read_count(struct percent *p, int64_t *count)
{
    struct rz_j_value v;
    if (peek(p) == '*') {
        p->i++;
        if (!next_arg(p, &v))
            return false;
        if (v.kind != RZJ_INT)
            return rz_j_fail(p->c, "* wants int");
        *count = v.u.i;
    } else {
        for (*count = 0; peek(p) >= '0' && peek(p) <= '9' && *count <= MAX_WIDTH; p->i++)
            *count = *count * 10 + (peek(p) - '0');
    }
    return (*count <= MAX_WIDTH && *count >= -MAX_WIDTH) || rz_j_fail(p->c, "width too large");
}

static bool read_flags(struct percent *p, struct spec *spec)
{
    bool zero = false;
    for (; peek(p) && strchr("-+ #0", peek(p)); p->i++) {
        if (peek(p) == '-')
            spec->align = '<';
        else if (peek(p) == '#')
            spec->alternate = true;
        else if (peek(p) == '0')
            zero = true;
        else if (spec->sign != '+')
            spec->sign = peek(p);
    }
    if (!read_count(p, &spec->width))
        return false;
    if (spec->width < 0) {
        spec->align = '<';
        spec->width = -spec->width;
    }
    spec->precision = -1;
    if (peek(p) == '.') {
        p->i++;
        if (!read_count(p, &spec->precision))
            return false;
        if (spec->precision < 0)
            spec->precision = 0;
    }
    while (peek(p) == 'l' || peek(p) == 'h' || peek(p) == 'L')
        p->i++;
    spec->type = peek(p);
    if (zero && !spec->align && strchr("diuoxXeEfFgG", spec->type)) {
        spec->fill = '0';
        spec->align = '=';
    }
    return spec->type != '\0' || rz_j_fail(p->c, "incomplete format");
}

static bool percent_char(struct percent *p, struct rz_j_value v, struct rz_buf *text)
{
    int64_t i = 0;
    if (v.kind == RZJ_STR && rz_j_text_count(v.u.s, v.len) == 1)
        return rz_buf_add(text, v.u.s, v.len);
    if (!rz_j_is_int(v, &i) || i < 0 || i > 0x10FFFF || (i >= 0xD800 && i <= 0xDFFF))
        return rz_j_fail(p->c, "%%c requires int or char");
    return rz_j_add_code_point(text, (uint32_t)i);
}

static bool percent_number(struct percent *p, struct rz_j_value v, struct spec *spec,
                           struct rz_buf *text, size_t *sign_len)
{
    int64_t i;
    double f;
    if (v.kind == RZJ_UNDEF && !strchr("oxX", spec->type))
        return rz_j_fail_undefined(p->c, v);
    if (!rz_j_is_number(v, &f))
        return rz_j_fail(p->c, "%%%c format: a real number is required, not %s", spec->type,
                         rz_j_type_name(v));
    if (spec->precision > MAX_PRECISION && strchr("eEfFgG", spec->type))
        return rz_j_fail(p->c, "precision too large");
    if (strchr("eEfFgG", spec->type)) {
        *sign_len = add_double(text, f, spec);
        return true;
    }
    if (!rz_j_is_int(v, &i)) {
        if (strchr("oxX", spec->type) || !(f > -0x1p63 && f < 0x1p63))
            return rz_j_fail(p->c, "%%%c format: an integer is required", spec->type);
        i = (int64_t)f;
    }
    *sign_len = add_int(text, i, spec, spec->precision);
    return true;
}

/* One conversion after its %. */
static bool convert(struct percent *p)
{
    struct rz_j_value v = {0};
    struct spec spec = {0};
    struct rz_buf text;
    size_t sign_len = 0;
    bool ok = true, named = peek(p) == '(';
    if (named && !named_arg(p, &v))
        return false;
    if (!read_flags(p, &spec))
        return false;
    p->i++;
    if (spec.type == '%')
        return rz_buf_char(p->out, '%');
    if (!strchr("srdiuoxXeEfFgGc", spec.type) || (uint8_t)spec.type >= 0x80)
        return rz_j_fail(p->c, "unsupported format character");
    if (!named && !next_arg(p, &v))
        return false;
    rz_buf_init(&text, RZJ_MAX_STRING_BYTES);
    if (spec.type == 's' || spec.type == 'r') {
        ok = spec.type == 's' ? rz_j_add_str(p->c, &text, v) : rz_j_add_repr(p->c, &text, v);
        if (ok && spec.precision >= 0)
            text.len = rz_j_text_offset(text.data, text.len, (size_t)spec.precision);
    } else if (spec.type == 'c') {
        ok = percent_char(p, v, &text);
    } else {
        ok = percent_number(p, v, &spec, &text, &sign_len);
    }
    ok = ok && add_padded(p->c, p->out, &text, sign_len, &spec);
    rz_buf_fini(&text);
    return ok;
}

bool rz_j_percent(struct rz_j_ctx *c, struct rz_j_value format, struct rz_j_value args,
                  struct rz_j_value *out)
{
    struct rz_buf b;
    struct percent p = {.c = c, .format = format, .args = args, .out = &b};
    bool ok = true;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    while (ok && p.i < format.len) {
        const char *s = format.u.s + p.i, *percent = memchr(s, '%', format.len - p.i);
        size_t plain = percent ? (size_t)(percent - s) : format.len - p.i;
        rz_buf_add(&b, s, plain);
        p.i += plain;
        if (percent) {
            p.i++;
            ok = convert(&p) && rz_j_charge(c, 1);
        }
    }
    bool takes_all = args.kind == RZJ_DICT || args.kind == RZJ_LIST || args.kind == RZJ_UNDEF;
    uint32_t n_args = args.kind == RZJ_TUPLE ? args.u.list->n : takes_all ? 0 : 1;
    if (ok && p.i_arg < n_args)
        ok = rz_j_fail(c, "not all arguments converted during string formatting");
    return rz_j_take(c, ok, &b, out);
}

/* ---------------------------------------------------------------- str.format */

struct formatter {
    struct rz_j_ctx *c;
    const struct rz_j_args *args;
    uint32_t n_auto;
    bool is_auto, is_manual;
    struct rz_buf *out;
};

static bool field_root(struct formatter *f, const char *s, size_t len, struct rz_j_value *v)
{
    *v = rz_j_none();
    int64_t index = f->n_auto;
    bool overflow, digits = len == 0 || rz_j_parse_int(s, len, 10, &index, &overflow);
    if (digits) {
        f->is_auto |= len == 0;
        f->is_manual |= len != 0;
        f->n_auto += len == 0;
        if (f->is_auto && f->is_manual)
            return rz_j_fail(f->c, "cannot switch between automatic and manual field numbering");
        if (index < 0 || index >= f->args->n_pos)
            return rz_j_fail(f->c, "replacement index out of range");
        *v = f->args->pos[index];
        return true;
    }
    for (uint32_t i = 0; i < f->args->n_kw; i++)
        if (f->args->kw[i].name.len == len && memcmp(f->args->kw[i].name.u.s, s, len) == 0) {
            *v = f->args->kw[i].value;
            return true;
        }
    return rz_j_fail(f->c, "format: no argument is named '%.*s'", len < 60 ? (int)len : 60, s);
}

/* name.attribute[item] ... */
static bool field_value(struct formatter *f, const char *s, size_t len, struct rz_j_value *v)
{
    size_t i = 0, n;
    while (i < len && s[i] != '.' && s[i] != '[')
        i++;
    if (!field_root(f, s, i, v))
        return false;
    while (i < len) {
        bool item = s[i] == '[';
        const char *part = s + ++i;
        while (i < len && (item ? s[i] != ']' : s[i] != '.' && s[i] != '['))
            i++;
        n = (size_t)(s + i - part);
        if (!n || (item && i == len))
            return rz_j_fail(f->c, "empty attribute in format string");
        int64_t index;
        bool overflow;
        struct rz_j_value key = rz_j_str(part, n);
        if (item && rz_j_parse_int(part, n, 10, &index, &overflow))
            key = rz_j_int(index);
        if (item ? !rz_j_getitem(f->c, *v, key, v) : !rz_j_getattr(f->c, *v, part, n, true, v))
            return false;
        i += item;
    }
    return true;
}

/* Digits at s[*i..len); more than MAX_WIDTH stops early and is refused by the caller. */
static int64_t spec_number(const char *s, size_t len, size_t *i)
{
    int64_t n = 0;
    for (; *i < len && s[*i] >= '0' && s[*i] <= '9' && n <= MAX_WIDTH; ++*i)
        n = n * 10 + (s[*i] - '0');
    return n;
}

static bool is_align(char ch)
{
    return ch == '<' || ch == '>' || ch == '^' || ch == '=';
}

/* Takes the character at s[*i] if it is one of set. */
static char spec_char(const char *s, size_t len, size_t *i, const char *set)
{
    if (*i < len && s[*i] && strchr(set, s[*i]))
        return s[(*i)++];
    return '\0';
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static bool read_spec(struct rz_j_ctx *c, const char *s, size_t len, struct spec *spec)
{
    size_t i = 0, n = 0;
    *spec = (struct spec){.precision = -1};
    uint32_t first = len ? rz_j_text_at(s, len, &n) : 0;
    if (len && n < len && is_align(s[n])) {
        spec->fill = first;
        i = n;
    }
    spec->align = spec_char(s, len, &i, "<>^=");
    spec->sign = spec_char(s, len, &i, "+- ");
    spec->alternate = spec_char(s, len, &i, "#") != '\0';
    spec->zero = spec_char(s, len, &i, "0") != '\0';
    if (spec->zero && !spec->fill)
        spec->fill = '0';
    spec->width = spec_number(s, len, &i);
    spec->grouped = spec_char(s, len, &i, ",") != '\0';
    if (i + 1 < len && s[i] == '.' && s[i + 1] >= '0' && s[i + 1] <= '9') {
        i++;
        spec->precision = spec_number(s, len, &i);
    }
    if (i < len)
        spec->type = s[i++];
    return (i == len && spec->width <= MAX_WIDTH && spec->precision <= MAX_WIDTH) ||
           rz_j_fail(c, "invalid format specifier");
}

/* Everything but numbers. */
static bool add_text_field(struct formatter *f, struct rz_j_value v, const struct spec *spec,
                           struct rz_buf *text)
{
    bool plain = v.kind == RZJ_STR || v.kind == RZJ_BOOL;
    bool has_spec = spec->width || spec->align || spec->precision >= 0 || spec->sign;
    if ((spec->type && (spec->type != 's' || v.kind != RZJ_STR)) || (plain && spec->align == '='))
        return rz_j_fail(f->c, "unknown format code for '%s'", rz_j_type_name(v));
    if (!plain && has_spec)
        return rz_j_fail(f->c, "unsupported format string passed to %s.__format__",
                         rz_j_type_name(v));
    if (!rz_j_add_str(f->c, text, v))
        return false;
    if (spec->precision >= 0)
        text->len = rz_j_text_offset(text->data, text->len, (size_t)spec->precision);
    return true;
}

static bool add_field(struct formatter *f, struct rz_j_value v, const struct spec *spec,
                      struct rz_buf *text, size_t *sign_len)
{
    int64_t i = 0;
    double d = 0;
    char type = spec->type;
    bool has_spec = type || spec->width || spec->align || spec->sign || spec->grouped;
    bool is_int = v.kind == RZJ_INT || (v.kind == RZJ_BOOL && has_spec);
    if (is_int && (!type || strchr("dboxX", type))) {
        rz_j_is_int(v, &i);
        *sign_len = add_int(text, i, spec, 0);
        return spec->precision < 0 || rz_j_fail(f->c, "precision not allowed for integers");
    }
    if (rz_j_is_number(v, &d) && v.kind != RZJ_BOOL && (!type || strchr("eEfFgG%", type))) {
        if (spec->precision > MAX_PRECISION)
            return rz_j_fail(f->c, "precision too large");
        *sign_len = add_double(text, d, spec);
        return true;
    }
    return add_text_field(f, v, spec, text);
}

/* A field between its braces: name, !conversion, :spec. */
static bool field(struct formatter *f, const char *s, size_t len)
{
    const char *colon = NULL, *bang = NULL;
    struct rz_j_value v;
    struct spec spec;
    for (size_t i = 0; i < len && !colon; i++) {
        if (s[i] == ':')
            colon = s + i;
        else if (s[i] == '!' && !bang)
            bang = s + i;
    }
    size_t n_head = colon ? (size_t)(colon - s) : len;
    size_t n_name = bang ? (size_t)(bang - s) : n_head;
    if (!field_value(f, s, n_name, &v))
        return false;
    if (bang) {
        struct rz_buf b;
        char kind = n_head == n_name + 2 ? bang[1] : '\0';
        if (kind != 's' && kind != 'r')
            return rz_j_fail(f->c, "unknown conversion in a format field");
        rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
        bool ok = kind == 's' ? rz_j_add_str(f->c, &b, v) : rz_j_add_repr(f->c, &b, v);
        if (!rz_j_take(f->c, ok, &b, &v))
            return false;
    }
    if (!read_spec(f->c, colon ? colon + 1 : s, colon ? len - n_head - 1 : 0, &spec))
        return false;
    struct rz_buf text;
    size_t sign_len = 0;
    rz_buf_init(&text, RZJ_MAX_STRING_BYTES);
    bool ok = add_field(f, v, &spec, &text, &sign_len);
    double d;
    if (!spec.align && rz_j_is_number(v, &d))
        spec.align = spec.zero ? '=' : '>';
    else if (!spec.align)
        spec.align = '<';
    ok = ok && add_padded(f->c, f->out, &text, sign_len, &spec);
    rz_buf_fini(&text);
    return ok;
}

bool rz_j_format(struct rz_j_ctx *c, struct rz_j_value format, const struct rz_j_args *args,
                 struct rz_j_value *out)
{
    struct rz_buf b;
    struct formatter f = {.c = c, .args = args, .out = &b};
    const char *s = format.u.s;
    bool ok = true;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (size_t i = 0; ok && i < format.len; i++) {
        if (s[i] != '{' && s[i] != '}') {
            rz_buf_char(&b, s[i]);
        } else if (i + 1 < format.len && s[i + 1] == s[i]) {
            rz_buf_char(&b, s[i++]);
        } else if (s[i] == '}') {
            ok = rz_j_fail(c, "single '}' encountered in format string");
        } else {
            const char *end = memchr(s + i, '}', format.len - i);
            if (!end)
                ok = rz_j_fail(c, "expected '}' before end of string");
            else if (memchr(s + i + 1, '{', (size_t)(end - s) - i - 1))
                ok = rz_j_fail(c, "nested format fields are not supported");
            else
                ok = field(&f, s + i + 1, (size_t)(end - s) - i - 1);
            i = end ? (size_t)(end - s) : i;
        }
    }
    return rz_j_take(c, ok && rz_j_charge_bytes(c, format.len), &b, out);
}
