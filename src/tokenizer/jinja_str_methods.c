/* jinja_str_methods.c - the methods of str that make new texts or lists of them. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

/* Part of self, markup kept. */
static struct rz_j_value part(struct rz_j_value self, size_t from, size_t to)
{
    struct rz_j_value v = rz_j_str(self.u.s + from, to - from);
    v.markup = self.markup;
    return v;
}

static bool is_given(struct rz_j_value v)
{
    return v.kind != RZJ_ABSENT && v.kind != RZJ_NONE;
}

/* ---------------------------------------------------------------- case and padding */

typedef void add_case_fn(struct rz_buf *b, const char *s, size_t len);

static bool change_case(struct rz_j_ctx *c, struct rz_j_call *call, add_case_fn *add,
                        struct rz_j_value *out)
{
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    add(&b, call->self.u.s, call->self.len);
    bool ok = rz_j_take(c, rz_j_charge_bytes(c, call->self.len), &b, out);
    out->markup = call->self.markup;
    return ok;
}

static bool str_upper(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call, rz_j_add_upper, out);
}

static bool str_lower(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call, rz_j_add_lower, out);
}

static bool str_title(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call, rz_j_add_title, out);
}

static bool str_capitalize(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call, rz_j_add_capitalized, out);
}

static bool str_swapcase(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return change_case(c, call, rz_j_add_swapped, out);
}

enum side {
    LEFT = 1,
    RIGHT = 2
};

/* Fills self up to a[0] characters with a[1], on the given sides. */
static bool pad(struct rz_j_ctx *c, struct rz_j_call *call, unsigned sides, struct rz_j_value *out)
{
    struct rz_j_value fill = rz_j_cstr(" "), s = call->self;
    int64_t width, n = (int64_t)rz_j_text_count(s.u.s, s.len);
    *out = rz_j_none();
    if (!rz_j_arg_int(c, call->a[0], 0, &width) ||
        (call->a[1].kind != RZJ_ABSENT && !rz_j_arg_str(c, call->a[1], &fill)))
        return false;
    if (rz_j_text_count(fill.u.s, fill.len) != 1)
        return rz_j_fail(c, "the fill character must be exactly one character long");
    int64_t total = width > n ? width - n : 0, left = 0;
    if (total > RZJ_MAX_STRING_BYTES / 4)
        return rz_j_fail(c, "a string is padded beyond %d bytes", RZJ_MAX_STRING_BYTES);
    if (sides == (LEFT | RIGHT))
        left = total / 2 + (total & width & 1); /* as CPython centers odd widths */
    else if (sides == LEFT)
        left = total;
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (int64_t i = 0; i < left; i++)
        rz_buf_add(&b, fill.u.s, fill.len);
    rz_buf_add(&b, s.u.s, s.len);
    for (int64_t i = left; i < total; i++)
        rz_buf_add(&b, fill.u.s, fill.len);
    bool ok = rz_j_take(c, rz_j_charge_bytes(c, b.len * 8), &b, out);
    out->markup = s.markup;
    return ok;
}

static bool str_center(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return pad(c, call, LEFT | RIGHT, out);
}

static bool str_ljust(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return pad(c, call, RIGHT, out);
}

static bool str_rjust(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return pad(c, call, LEFT, out);
}

static bool str_zfill(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self, sign, padded;
    bool has_sign = s.len && (s.u.s[0] == '+' || s.u.s[0] == '-');
    int64_t width;
    if (!rz_j_arg_int(c, call->a[0], 0, &width))
        return false;
    sign = part(s, 0, has_sign);
    struct rz_j_call rest = {.self = part(s, has_sign, s.len)};
    rest.a[0] = rz_j_int(width > 0 ? width - has_sign : 0);
    rest.a[1] = rz_j_cstr("0");
    return pad(c, &rest, LEFT, &padded) && rz_j_concat(c, sign, padded, out);
}

/* ---------------------------------------------------------------- strip */

static bool strip(struct rz_j_ctx *c, struct rz_j_call *call, unsigned sides,
                  struct rz_j_value *out)
{
    struct rz_j_value chars = {0};
    const char *s = call->self.u.s;
    size_t len = call->self.len;
    if (is_given(call->a[0]) && !rz_j_arg_str(c, call->a[0], &chars))
        return false;
    const char *set = is_given(call->a[0]) ? chars.u.s : NULL;
    if (!rz_j_charge_product(c, len, chars.len))
        return false;
    if (sides & LEFT)
        rz_j_strip_left(&s, &len, set, chars.len);
    if (sides & RIGHT)
        rz_j_strip_right(&s, &len, set, chars.len);
    *out = rz_j_str(s, len);
    out->markup = call->self.markup;
    return true;
}

static bool str_strip(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return strip(c, call, LEFT | RIGHT, out);
}

static bool str_lstrip(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return strip(c, call, LEFT, out);
}

static bool str_rstrip(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return strip(c, call, RIGHT, out);
}

static bool str_removeprefix(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value prefix;
    if (!rz_j_arg_str(c, call->a[0], &prefix))
        return false;
    bool has = prefix.len <= call->self.len && memcmp(call->self.u.s, prefix.u.s, prefix.len) == 0;
    *out = part(call->self, has ? prefix.len : 0, call->self.len);
    return rz_j_charge_bytes(c, prefix.len);
}

static bool str_removesuffix(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value suffix;
    if (!rz_j_arg_str(c, call->a[0], &suffix))
        return false;
    size_t len = call->self.len;
    bool has =
        suffix.len <= len && memcmp(call->self.u.s + len - suffix.len, suffix.u.s, suffix.len) == 0;
    *out = part(call->self, 0, has ? len - suffix.len : len);
    return rz_j_charge_bytes(c, suffix.len);
}

/* ---------------------------------------------------------------- split and join */

struct pieces {
    struct rz_j_list *list;
    uint32_t cap;
};

static bool push_part(struct rz_j_ctx *c, struct pieces *p, struct rz_j_value self, size_t from,
                      size_t to)
{
    return rz_j_list_push(c, p->list, &p->cap, part(self, from, to));
}

/* At whitespace, which is also dropped at both ends, but not after the last piece that max
 * allows. */
static bool split_blank(struct rz_j_ctx *c, struct rz_j_value self, int64_t max, struct pieces *p)
{
    const char *s = self.u.s;
    size_t len = self.len, n;
    for (;;) {
        rz_j_strip_left(&s, &len, NULL, 0);
        if (!len)
            return true;
        size_t from = (size_t)(s - self.u.s), end = from;
        if (max-- == 0)
            return push_part(c, p, self, from, from + len);
        while (len && !rz_j_is_space(rz_j_text_at(s, len, &n))) {
            s += n;
            len -= n;
            end += n;
        }
        if (!push_part(c, p, self, from, end))
            return false;
    }
}

/* The same from the right: pieces come in reverse. */
static bool rsplit_blank(struct rz_j_ctx *c, struct rz_j_value self, int64_t max, struct pieces *p)
{
    const char *s = self.u.s;
    size_t len = self.len, n;
    for (;;) {
        rz_j_strip_right(&s, &len, NULL, 0);
        if (!len)
            return true;
        size_t end = len;
        if (max-- == 0)
            return push_part(c, p, self, 0, end);
        while (len && !rz_j_is_space(rz_j_text_last(s, len, &n)))
            len -= n;
        if (!push_part(c, p, self, len, end))
            return false;
    }
}

static bool split_at(struct rz_j_ctx *c, struct rz_j_value self, struct rz_j_value separator,
                     int64_t max, struct pieces *p)
{
    size_t from = 0, at;
    while (max-- != 0 && (at = rz_j_text_find(self.u.s, self.len, separator.u.s, separator.len,
                                              from)) != SIZE_MAX) {
        if (!push_part(c, p, self, from, at))
            return false;
        from = at + separator.len;
    }
    return push_part(c, p, self, from, self.len);
}

static bool rsplit_at(struct rz_j_ctx *c, struct rz_j_value self, struct rz_j_value separator,
                      int64_t max, struct pieces *p)
{
    size_t to = self.len, at;
    if (!rz_j_charge_product(c, to, separator.len))
        return false;
    while (max-- != 0 &&
           (at = rz_j_text_rfind(self.u.s, to, separator.u.s, separator.len)) != SIZE_MAX) {
        if (!push_part(c, p, self, at + separator.len, to))
            return false;
        to = at;
    }
    return push_part(c, p, self, 0, to);
}

static bool split(struct rz_j_ctx *c, struct rz_j_call *call, bool from_right,
                  struct rz_j_value *out)
{
    struct rz_j_value self = call->self, separator;
    struct pieces p = {.list = rz_j_list_new(c, 0)};
    int64_t max;
    bool ok;
    if (!p.list || !rz_j_arg_int(c, call->a[1], -1, &max) || !rz_j_charge_bytes(c, self.len))
        return false;
    if (!is_given(call->a[0])) {
        ok = from_right ? rsplit_blank(c, self, max, &p) : split_blank(c, self, max, &p);
    } else {
        if (!rz_j_arg_str(c, call->a[0], &separator))
            return false;
        if (!separator.len)
            return rz_j_fail(c, "empty separator");
        ok = from_right ? rsplit_at(c, self, separator, max, &p)
                        : split_at(c, self, separator, max, &p);
    }
    for (uint32_t i = 0, n = p.list->n; ok && from_right && i < n / 2; i++) {
        struct rz_j_value swap = p.list->items[i];
        p.list->items[i] = p.list->items[n - 1 - i];
        p.list->items[n - 1 - i] = swap;
    }
    *out = rz_j_of_list(RZJ_LIST, p.list);
    return ok;
}

static bool str_split(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return split(c, call, false, out);
}

static bool str_rsplit(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return split(c, call, true, out);
}

static bool str_splitlines(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self;
    struct pieces p = {.list = rz_j_list_new(c, 0)};
    bool keep = rz_j_truth(call->a[0]);
    size_t n = 0;
    if (!p.list || !rz_j_charge_bytes(c, s.len))
        return false;
    for (size_t from = 0; from < s.len;) {
        size_t to = from;
        while (to < s.len && !rz_j_is_line_end(rz_j_text_at(s.u.s + to, s.len - to, &n)))
            to += n;
        size_t next = to < s.len ? to + n : to;
        if (to + 1 < s.len && s.u.s[to] == '\r' && s.u.s[to + 1] == '\n')
            next = to + 2;
        if (!push_part(c, &p, s, from, keep ? next : to))
            return false;
        from = next;
    }
    *out = rz_j_of_list(RZJ_LIST, p.list);
    return true;
}

static bool partition(struct rz_j_ctx *c, struct rz_j_call *call, bool from_right,
                      struct rz_j_value *out)
{
    struct rz_j_value s = call->self, separator;
    struct rz_j_list *list = rz_j_list_new(c, 3);
    if (!list || !rz_j_arg_str(c, call->a[0], &separator) ||
        !rz_j_charge_product(c, s.len, separator.len))
        return false;
    if (!separator.len)
        return rz_j_fail(c, "empty separator");
    size_t at = from_right ? rz_j_text_rfind(s.u.s, s.len, separator.u.s, separator.len)
                           : rz_j_text_find(s.u.s, s.len, separator.u.s, separator.len, 0);
    bool found = at != SIZE_MAX;
    size_t head = found ? at : from_right ? 0 : s.len;
    size_t tail = found ? at + separator.len : from_right ? 0 : s.len;
    list->items[0] = part(s, 0, head);
    list->items[1] = part(s, head, tail);
    list->items[2] = part(s, tail, s.len);
    *out = rz_j_of_list(RZJ_TUPLE, list);
    return true;
}

static bool str_partition(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return partition(c, call, false, out);
}

static bool str_rpartition(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return partition(c, call, true, out);
}

static bool str_join(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_list items;
    struct rz_buf b;
    bool ok = rz_j_items(c, call->a[0], &items);
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (uint32_t i = 0; ok && i < items.n; i++) {
        struct rz_j_value v = items.items[i];
        if (v.kind != RZJ_STR) {
            ok = rz_j_fail(c, "sequence item %u: expected str instance, %s found", i,
                           rz_j_type_name(v));
            break;
        }
        if (i)
            rz_buf_add(&b, call->self.u.s, call->self.len);
        ok = rz_buf_add(&b, v.u.s, v.len) && rz_j_charge_bytes(c, (size_t)call->self.len + v.len);
    }
    ok = rz_j_take(c, ok || b.failed, &b, out);
    out->markup = call->self.markup;
    return ok;
}

/* An empty old stands before every character and at the end. */
static bool replace_empty(struct rz_j_ctx *c, struct rz_j_value s, struct rz_j_value new_text,
                          int64_t max, struct rz_buf *b)
{
    size_t i = 0, n;
    for (;; i += n) {
        if (max-- == 0 || !rz_buf_add(b, new_text.u.s, new_text.len) || i == s.len)
            break;
        rz_j_text_at(s.u.s + i, s.len - i, &n);
        rz_buf_add(b, s.u.s + i, n);
        if (!rz_j_charge_bytes(c, new_text.len))
            return false;
    }
    rz_buf_add(b, s.u.s + i, s.len - i);
    return true;
}

static bool str_replace(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self, old, new_text;
    int64_t max;
    if (!rz_j_arg_str(c, call->a[0], &old) || !rz_j_arg_str(c, call->a[1], &new_text) ||
        !rz_j_arg_int(c, call->a[2], -1, &max))
        return false;
    struct rz_buf b;
    bool ok = rz_j_charge_bytes(c, s.len);
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    if (ok && !old.len) {
        ok = replace_empty(c, s, new_text, max, &b);
    } else if (ok) {
        size_t from = 0, at;
        while (max-- != 0 && ok &&
               (at = rz_j_text_find(s.u.s, s.len, old.u.s, old.len, from)) != SIZE_MAX) {
            rz_buf_add(&b, s.u.s + from, at - from);
            rz_buf_add(&b, new_text.u.s, new_text.len);
            from = at + old.len;
            ok = rz_j_charge_bytes(c, new_text.len) && !b.failed;
        }
        rz_buf_add(&b, s.u.s + from, s.len - from);
    }
    ok = rz_j_take(c, ok || b.failed, &b, out);
    out->markup = s.markup;
    return ok;
}

static bool str_expandtabs(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value s = call->self;
    int64_t size, column = 0;
    struct rz_buf b;
    if (!rz_j_arg_int(c, call->a[0], 8, &size))
        return false;
    if (size > RZJ_MAX_RANGE)
        return rz_j_fail(c, "expandtabs: the size is too large");
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (uint32_t i = 0; i < s.len && !b.failed; i++) {
        char ch = s.u.s[i];
        if (ch == '\t') {
            for (int64_t k = size > 0 ? size - column % size : 0; k > 0; k--, column++)
                rz_buf_char(&b, ' ');
            continue;
        }
        column += ((uint8_t)ch & 0xC0) != 0x80;
        if (ch == '\n' || ch == '\r')
            column = 0;
        rz_buf_char(&b, ch);
    }
    bool ok = rz_j_take(c, rz_j_charge_bytes(c, b.len * 8), &b, out);
    out->markup = s.markup;
    return ok;
}

static bool str_format(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return rz_j_format(c, call->self, call->raw, out);
}

/* ---------------------------------------------------------------- table */

const struct rz_j_builtin rz_j_str_more_methods[] = {
    {"capitalize", str_capitalize, NULL, 0},
    {"casefold", str_lower, NULL, 0},
    {"center", str_center, "width,fillchar", 1},
    {"expandtabs", str_expandtabs, "tabsize", 0},
    {"format", str_format, "*", 0},
    {"join", str_join, "iterable", 1},
    {"ljust", str_ljust, "width,fillchar", 1},
    {"lower", str_lower, NULL, 0},
    {"lstrip", str_lstrip, "chars", 0},
    {"partition", str_partition, "sep", 1},
    {"removeprefix", str_removeprefix, "prefix", 1},
    {"removesuffix", str_removesuffix, "suffix", 1},
    {"replace", str_replace, "old,new,count", 2},
    {"rjust", str_rjust, "width,fillchar", 1},
    {"rpartition", str_rpartition, "sep", 1},
    {"rsplit", str_rsplit, "sep,maxsplit", 0},
    {"rstrip", str_rstrip, "chars", 0},
    {"split", str_split, "sep,maxsplit", 0},
    {"splitlines", str_splitlines, "keepends", 0},
    {"strip", str_strip, "chars", 0},
    {"swapcase", str_swapcase, NULL, 0},
    {"title", str_title, NULL, 0},
    {"upper", str_upper, NULL, 0},
    {"zfill", str_zfill, "width", 1},
    {NULL, NULL, NULL, 0},
};
