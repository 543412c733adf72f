/* jinja_filters.c - filters that look at one text or number. Behaviour: jinja2/filters.py, tojson
 * as transformers replaces it. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

#include <math.h>
#include <stdlib.h>

bool rz_j_arg_int(struct rz_j_ctx *c, struct rz_j_value v, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (v.kind == RZJ_ABSENT)
        return true;
    if (v.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, v);
    return rz_j_is_int(v, out) ||
           rz_j_fail(c, "'%s' object cannot be interpreted as an integer", rz_j_type_name(v));
}

bool rz_j_arg_str(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out)
{
    *out = v;
    if (v.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, v);
    return v.kind == RZJ_STR || rz_j_fail(c, "must be str, not %s", rz_j_type_name(v));
}

/* ---------------------------------------------------------------- text */

typedef void add_case_fn(struct rz_buf *b, const char *s, size_t len);

static bool change_case(struct rz_j_ctx *c, struct rz_j_value v, add_case_fn *add,
                        struct rz_j_value *out)
{
    struct rz_j_value s;
    if (!rz_j_to_str(c, v, &s))
        return false;
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    add(&b, s.u.s, s.len);
    bool ok = rz_j_take(c, rz_j_charge_bytes(c, s.len), &b, out);
    out->markup = s.markup;
    return ok;
}

static bool filter_upper(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call->self, rz_j_add_upper, out);
}

static bool filter_lower(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call->self, rz_j_add_lower, out);
}

static bool filter_capitalize(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call->self, rz_j_add_capitalized, out);
}

/* Unlike str.title, a word begins only after blanks and - ( { [ <. */
static void add_filter_title(struct rz_buf *b, const char *s, size_t len)
{
    bool in_word = false;
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t ch = rz_j_text_at(s + i, len - i, &n);
        bool is_break = rz_j_is_space(ch) || (ch < 0x80 && ch && strchr("-({[<", (int)ch));
        if (is_break || in_word)
            rz_j_add_lower(b, s + i, n);
        else
            rz_j_add_upper(b, s + i, n);
        in_word = !is_break;
    }
}

static bool filter_title(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call->self, add_filter_title, out);
}

static bool filter_trim(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s, chars = call->a[0];
    if (!rz_j_to_str(c, call->self, &s))
        return false;
    bool given = chars.kind != RZJ_ABSENT && chars.kind != RZJ_NONE;
    if (given && !rz_j_arg_str(c, chars, &chars))
        return false;
    const char *text = s.u.s;
    size_t len = s.len;
    if (!rz_j_charge_product(c, len, given ? chars.len : 0))
        return false;
    rz_j_strip_left(&text, &len, given ? chars.u.s : NULL, chars.len);
    rz_j_strip_right(&text, &len, given ? chars.u.s : NULL, chars.len);
    *out = rz_j_str(text, len);
    out->markup = s.markup;
    return true;
}

static bool filter_string(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return rz_j_to_str(c, call->self, out);
}

static bool filter_safe(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    bool ok = rz_j_to_str(c, call->self, out);
    out->markup = true;
    return ok;
}

static bool filter_escape(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return rz_j_escape(c, call->self, out);
}

static bool filter_forceescape(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    call->self.markup = false;
    return rz_j_escape(c, call->self, out);
}

static bool filter_replace(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_call method = {0};
    if (!rz_j_to_str(c, call->self, &method.self) || !rz_j_to_str(c, call->a[0], &method.a[0]) ||
        !rz_j_to_str(c, call->a[1], &method.a[1]))
        return false;
    method.self.markup = false;
    if (call->a[2].kind != RZJ_NONE)
        method.a[2] = call->a[2];
    return rz_j_find_method(method.self, "replace", 7)->fn(c, &method, out);
}

/* The next line of s from *i on, without its end; false if there is none. */
static bool next_line(struct rz_j_value s, size_t *i, struct rz_j_value *line)
{
    size_t from = *i, n = 0;
    if (from >= s.len)
        return false;
    size_t to = from;
    while (to < s.len && !rz_j_is_line_end(rz_j_text_at(s.u.s + to, s.len - to, &n)))
        to += n;
    *i = to + (to < s.len ? n : 0);
    if (to + 1 < s.len && s.u.s[to] == '\r' && s.u.s[to + 1] == '\n')
        *i = to + 2;
    *line = rz_j_str(s.u.s + from, to - from);
    return true;
}

static bool filter_indent(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s, prefix = call->a[0], line;
    int64_t width = 4;
    if (!rz_j_arg_str(c, call->self, &s))
        return false;
    if (prefix.kind != RZJ_STR &&
        (!rz_j_arg_int(c, prefix, 4, &width) ||
         !rz_j_binary(c, RZJ_OP_MUL, rz_j_cstr(" "), rz_j_int(width), &prefix)))
        return false;
    bool first = rz_j_truth(call->a[1]), blank = rz_j_truth(call->a[2]);
    struct rz_buf b;
    bool ok = true;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    /* Jinja2 appends a newline and splits, so that one final newline is kept */
    size_t i = 0, n_lines = 0;
    bool ended = true;
    while (ok && next_line(s, &i, &line)) {
        ended = line.u.s + line.len < s.u.s + s.len;
        if (n_lines)
            rz_buf_char(&b, '\n');
        if (n_lines ? blank || line.len : first)
            rz_buf_add(&b, prefix.u.s, prefix.len);
        rz_buf_add(&b, line.u.s, line.len);
        n_lines++;
        ok = rz_j_charge_bytes(c, (size_t)prefix.len + line.len);
    }
    if (ended && n_lines) { /* the last, empty line */
        rz_buf_char(&b, '\n');
        if (blank)
            rz_buf_add(&b, prefix.u.s, prefix.len);
    } else if (!n_lines && first) {
        rz_buf_add(&b, prefix.u.s, prefix.len);
    }
    ok = rz_j_take(c, ok, &b, out);
    out->markup = s.markup;
    return ok;
}

static bool filter_truncate(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self, end = rz_j_cstr("..."), cut;
    int64_t length, leeway, n;
    if (call->a[2].kind != RZJ_ABSENT && !rz_j_arg_str(c, call->a[2], &end))
        return false;
    if (call->a[3].kind == RZJ_NONE)
        call->a[3].kind = RZJ_ABSENT;
    if (!rz_j_arg_int(c, call->a[0], 255, &length) || !rz_j_arg_int(c, call->a[3], 5, &leeway) ||
        !rz_j_length(c, s, &n))
        return false;
    int64_t n_end = (int64_t)rz_j_text_count(end.u.s, end.len);
    if (length < n_end || leeway < 0)
        return rz_j_fail(c, "truncate: the length must not be below that of its end, %lld",
                         (long long)n_end);
    *out = s;
    if (leeway > n || length > n - leeway || n <= length + leeway)
        return true;
    if (s.kind != RZJ_STR)
        return rz_j_fail(c, "truncate: must be str, not %s", rz_j_type_name(s));
    size_t bytes = rz_j_text_offset(s.u.s, s.len, (size_t)(length - n_end));
    if (!rz_j_truth(call->a[1])) { /* drop the last word, which may be cut */
        size_t space = rz_j_text_rfind(s.u.s, bytes, " ", 1);
        if (space != SIZE_MAX)
            bytes = space;
    }
    cut = rz_j_str(s.u.s, bytes);
    return rz_j_concat(c, cut, end, out);
}

static bool filter_wordcount(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s;
    int64_t words = 0;
    bool in_word = false;
    if (!rz_j_to_str(c, call->self, &s))
        return false;
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t ch = rz_j_text_at(s.u.s + i, s.len - i, &n);
        bool is_word = ch == '_' || rz_j_is_alpha(ch) || rz_j_is_digit(ch);
        words += is_word && !in_word;
        in_word = is_word;
    }
    *out = rz_j_int(words);
    return rz_j_charge_bytes(c, s.len);
}

static bool filter_center(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_call method = {0};
    method.a[0] = call->a[0].kind == RZJ_ABSENT ? rz_j_int(80) : call->a[0];
    return rz_j_to_str(c, call->self, &method.self) &&
           rz_j_find_method(method.self, "center", 6)->fn(c, &method, out);
}

static bool filter_format(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    const struct rz_j_args *raw = call->raw;
    struct rz_j_value format, args;
    if (raw->n_pos && raw->n_kw)
        return rz_j_fail(c, "format takes positional or keyword arguments, not both");
    if (!rz_j_to_str(c, call->self, &format))
        return false;
    if (raw->n_kw) {
        struct rz_j_dict *d = rz_j_dict_new(c, raw->n_kw);
        for (uint32_t i = 0; d && i < raw->n_kw; i++)
            if (!rz_j_dict_set(c, d, raw->kw[i].name, raw->kw[i].value))
                return false;
        args = rz_j_of_dict(d);
        if (!d)
            return false;
    } else {
        struct rz_j_list *list = rz_j_list_new(c, raw->n_pos);
        if (!list)
            return false;
        if (raw->n_pos)
            memcpy(list->items, raw->pos, raw->n_pos * sizeof *list->items);
        args = rz_j_of_list(RZJ_TUPLE, list);
    }
    return rz_j_percent(c, format, args, out);
}

static void add_quoted(struct rz_buf *b, struct rz_j_value s, bool query)
{
    for (uint32_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.u.s[i];
        bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch >= '0' && ch <= '9') || (ch && strchr("_.-~", ch)) ||
                     (ch == '/' && !query);
        if (plain)
            rz_buf_char(b, (char)ch);
        else if (ch == ' ' && query)
            rz_buf_char(b, '+');
        else
            rz_buf_printf(b, "%%%02X", ch);
    }
}

static bool add_query(struct rz_j_ctx *c, struct rz_buf *b, struct rz_j_value v)
{
    struct rz_j_list pairs, pair;
    struct rz_j_value key, value;
    for (uint32_t i = 0; v.kind == RZJ_DICT && i < v.u.dict->n; i++) {
        if (!rz_j_to_str(c, v.u.dict->pairs[i].key, &key) ||
            !rz_j_to_str(c, v.u.dict->pairs[i].value, &value) || !rz_j_charge(c, 1))
            return false;
        rz_buf_str(b, i ? "&" : "");
        add_quoted(b, key, true);
        rz_buf_char(b, '=');
        add_quoted(b, value, true);
    }
    if (v.kind == RZJ_DICT)
        return true;
    if (!rz_j_items(c, v, &pairs))
        return false;
    for (uint32_t i = 0; i < pairs.n; i++) {
        if (!rz_j_items(c, pairs.items[i], &pair))
            return false;
        if (pair.n != 2)
            return rz_j_fail(c, "urlencode: expected pairs");
        if (!rz_j_to_str(c, pair.items[0], &key) || !rz_j_to_str(c, pair.items[1], &value))
            return false;
        rz_buf_str(b, i ? "&" : "");
        add_quoted(b, key, true);
        rz_buf_char(b, '=');
        add_quoted(b, value, true);
    }
    return true;
}

static bool filter_urlencode(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_buf b;
    struct rz_j_value s;
    bool ok;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    if (rz_j_is_iterable(call->self) && call->self.kind != RZJ_STR) {
        ok = add_query(c, &b, call->self);
    } else {
        ok = rz_j_to_str(c, call->self, &s) && rz_j_charge_bytes(c, s.len);
        if (ok)
            add_quoted(&b, s, false);
    }
    return rz_j_take(c, ok, &b, out);
}

/* ---------------------------------------------------------------- numbers and others */

/* int(text, base), else int(float(text)); *found tells whether it is a number. */
static bool int_of_text(struct rz_j_ctx *c, struct rz_j_value v, int64_t base, int64_t *i,
                        bool *found)
{
    bool overflow = false, base_ok = base == 0 || (base >= 2 && base <= 36);
    double f;
    *found = base_ok && rz_j_parse_int(v.u.s, v.len, (int)base, i, &overflow);
    if (overflow)
        return rz_j_fail(c, "int: the number does not fit in 64 bits");
    if (!*found && rz_j_parse_float(v.u.s, v.len, &f) && f >= -0x1p63 && f < 0x1p63) {
        *i = (int64_t)f;
        *found = true;
    }
    return true;
}

static bool filter_int(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value v = call->self;
    int64_t base, i = 0;
    bool found;
    if (v.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, v);
    if (!rz_j_arg_int(c, call->a[1], 10, &base))
        return false;
    if (v.kind == RZJ_STR) {
        if (!int_of_text(c, v, base, &i, &found))
            return false;
    } else if (v.kind == RZJ_FLOAT) {
        found = v.u.f >= -0x1p63 && v.u.f < 0x1p63;
        if (!found && !isnan(v.u.f))
            return rz_j_fail(c, "int: the number does not fit in 64 bits");
        i = found ? (int64_t)v.u.f : 0;
    } else {
        found = rz_j_is_int(v, &i);
    }
    *out = found || call->a[0].kind == RZJ_ABSENT ? rz_j_int(i) : call->a[0];
    return true;
}

static bool filter_float(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    double f;
    *out = call->a[0].kind == RZJ_ABSENT ? rz_j_float(0) : call->a[0];
    if (call->self.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, call->self);
    if (rz_j_is_number(call->self, &f) ||
        (call->self.kind == RZJ_STR && rz_j_parse_float(call->self.u.s, call->self.len, &f)))
        *out = rz_j_float(f);
    return true;
}

static bool filter_abs(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    int64_t i;
    if (call->self.kind == RZJ_FLOAT) {
        *out = rz_j_float(fabs(call->self.u.f));
        return true;
    }
    if (rz_j_is_int(call->self, &i))
        return rz_j_negate(c, i < 0 ? RZJ_N_NEG : RZJ_N_POS, call->self, out);
    return rz_j_fail(c, "abs: bad operand '%s'", rz_j_type_name(call->self));
}

/* Python's round(): to the nearest decimal, ties of the exact binary value to even. */
static double round_decimal(double f, int digits)
{
    if (!isfinite(f) || digits > 300)
        return f;
    struct rz_buf b;
    double r = f;
    rz_buf_init(&b, 1024);
    if (digits >= 0) {
        rz_j_add_float_as(&b, f, 'f', digits, false);
        if (!b.failed)
            rz_j_parse_float(b.data, b.len, &r);
    } else {
        double scale = pow(10, -digits);
        r = nearbyint(f / scale) * scale;
    }
    rz_buf_fini(&b);
    return r;
}

static bool filter_round(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value method = call->a[1].kind == RZJ_ABSENT ? rz_j_cstr("common") : call->a[1];
    int64_t digits;
    double f;
    if (!rz_j_arg_int(c, call->a[0], 0, &digits))
        return false;
    bool up = rz_j_is_text(method, "ceil"), down = rz_j_is_text(method, "floor");
    if (!up && !down && !rz_j_is_text(method, "common"))
        return rz_j_fail(c, "round: method must be common, ceil or floor");
    if (call->self.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, call->self);
    if (!rz_j_is_number(call->self, &f))
        return rz_j_fail(c, "round: '%s' is not a number", rz_j_type_name(call->self));
    if (digits < -300 || digits > 300)
        return rz_j_fail(c, "round: precision beyond 300");
    if (up || down) {
        double scale = pow(10, (double)digits);
        *out = rz_j_float((up ? ceil(f * scale) : floor(f * scale)) / scale);
        if (!isfinite(f))
            return rz_j_fail(c, "round: not a finite number");
        return true;
    }
    if (call->self.kind == RZJ_FLOAT)
        *out = rz_j_float(round_decimal(f, (int)digits));
    else if (digits >= 0)
        return rz_j_negate(c, RZJ_N_POS, call->self, out);
    else
        *out = rz_j_int((int64_t)round_decimal(f, (int)digits));
    return true;
}

static bool filter_default(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    bool replace =
        call->self.kind == RZJ_UNDEF || (rz_j_truth(call->a[1]) && !rz_j_truth(call->self));
    (void)c;
    *out = !replace ? call->self : call->a[0].kind == RZJ_ABSENT ? rz_j_cstr("") : call->a[0];
    return true;
}

static bool filter_attr(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value name;
    if (!rz_j_arg_str(c, call->a[0], &name))
        return false;
    if (call->self.kind == RZJ_DICT && !rz_j_is_method_name(name.u.s, name.len))
        return rz_j_undefined(c, "a dictionary has no such attribute", out);
    return rz_j_getattr(c, call->self, name.u.s, name.len, true, out);
}

static bool json_indent(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_json_style *style)
{
    int64_t n;
    if (v.kind == RZJ_ABSENT || v.kind == RZJ_NONE)
        return true;
    style->is_indented = true;
    style->item_separator = rz_j_cstr(",");
    style->indent = v;
    if (v.kind == RZJ_STR)
        return true;
    return rz_j_arg_int(c, v, 0, &n) &&
           rz_j_binary(c, RZJ_OP_MUL, rz_j_cstr(" "), rz_j_int(n), &style->indent);
}

static bool filter_tojson(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_json_style style = {.ensure_ascii = rz_j_truth(call->a[0]),
                                    .sort_keys = rz_j_truth(call->a[3]),
                                    .item_separator = rz_j_cstr(", "),
                                    .key_separator = rz_j_cstr(": ")};
    struct rz_j_value separators = call->a[2];
    struct rz_j_list pair;
    if (!json_indent(c, call->a[1], &style))
        return false;
    if (separators.kind != RZJ_ABSENT && separators.kind != RZJ_NONE) {
        if (!rz_j_items(c, separators, &pair))
            return false;
        if (pair.n != 2)
            return rz_j_fail(c, "tojson: separators must be two strings");
        if (!rz_j_arg_str(c, pair.items[0], &style.item_separator) ||
            !rz_j_arg_str(c, pair.items[1], &style.key_separator))
            return false;
    }
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    return rz_j_take(c, rz_j_add_json(c, &b, call->self, &style), &b, out);
}

const struct rz_j_builtin rz_j_text_filters[] = {
    {"capitalize", filter_capitalize, NULL, 0},
    {"center", filter_center, "width", 0},
    {"e", filter_escape, NULL, 0},
    {"escape", filter_escape, NULL, 0},
    {"forceescape", filter_forceescape, NULL, 0},
    {"format", filter_format, "*", 0},
    {"indent", filter_indent, "width,first,blank", 0},
    {"lower", filter_lower, NULL, 0},
    {"replace", filter_replace, "old,new,count", 2},
    {"safe", filter_safe, NULL, 0},
    {"string", filter_string, NULL, 0},
    {"title", filter_title, NULL, 0},
    {"trim", filter_trim, "chars", 0},
    {"truncate", filter_truncate, "length,killwords,end,leeway", 0},
    {"upper", filter_upper, NULL, 0},
    {"urlencode", filter_urlencode, NULL, 0},
    {"wordcount", filter_wordcount, NULL, 0},
    {NULL, NULL, NULL, 0},
};

const struct rz_j_builtin rz_j_value_filters[] = {
    {"abs", filter_abs, NULL, 0},
    {"attr", filter_attr, "name", 1},
    {"d", filter_default, "default_value,boolean", 0},
    {"default", filter_default, "default_value,boolean", 0},
    {"float", filter_float, "default", 0},
    {"int", filter_int, "default,base", 0},
    {"round", filter_round, "precision,method", 0},
    {"tojson", filter_tojson, "ensure_ascii,indent,separators,sort_keys", 0},
    {NULL, NULL, NULL, 0},
};
