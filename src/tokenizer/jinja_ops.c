/* jinja_ops.c - arithmetic, comparison and membership with Python's semantics.
 *
 * Integers are 64 bits: where Python would grow, an overflow is an error. Division and remainder
 * round toward minus infinity. */
#include "tokenizer/jinja_ops.h"

#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

#include <math.h>

static bool overflow(struct rz_j_ctx *c)
{
    return rz_j_fail(c, "integer overflow: a result does not fit in 64 bits");
}

static bool bad_operands(struct rz_j_ctx *c, enum rz_j_op op, struct rz_j_value a,
                         struct rz_j_value b)
{
    static const char *const names[] = {
        [RZJ_OP_ADD] = "+",       [RZJ_OP_SUB] = "-", [RZJ_OP_MUL] = "*", [RZJ_OP_DIV] = "/",
        [RZJ_OP_FLOORDIV] = "//", [RZJ_OP_MOD] = "%", [RZJ_OP_POW] = "**"};
    if (a.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, a);
    if (b.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, b);
    return rz_j_fail(c, "unsupported operand types for %s: '%s' and '%s'", names[op],
                     rz_j_type_name(a), rz_j_type_name(b));
}

/* ---------------------------------------------------------------- numbers */

static bool int_power(struct rz_j_ctx *c, int64_t base, int64_t exponent, struct rz_j_value *out)
{
    if (exponent < 0) {
        if (base == 0)
            return rz_j_fail(c, "0 cannot be raised to a negative power");
        *out = rz_j_float(pow((double)base, (double)exponent));
        return true;
    }
    int64_t result = 1;
    if (base == 0 || base == 1 || base == -1) { /* the rest ends within 63 multiplications */
        result = exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base;
        exponent = 0;
    }
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(result, base, &result))
            return overflow(c);
    *out = rz_j_int(result);
    return true;
}

static bool int_divide(struct rz_j_ctx *c, enum rz_j_op op, int64_t a, int64_t b,
                       struct rz_j_value *out)
{
    if (b == 0)
        return rz_j_fail(c, "%s by zero",
                         op == RZJ_OP_DIV   ? "division"
                         : op == RZJ_OP_MOD ? "integer modulo"
                                            : "integer division or modulo");
    if (op == RZJ_OP_DIV) {
        *out = rz_j_float((double)a / (double)b);
        return true;
    }
    if (b == -1) { /* INT64_MIN / -1 would trap */
        int64_t negated;
        if (__builtin_sub_overflow((int64_t)0, a, &negated) && op == RZJ_OP_FLOORDIV)
            return overflow(c);
        *out = rz_j_int(op == RZJ_OP_MOD ? 0 : negated);
        return true;
    }
    int64_t quotient = a / b, rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    *out = rz_j_int(op == RZJ_OP_MOD ? rest : quotient);
    return true;
}

static bool int_op(struct rz_j_ctx *c, enum rz_j_op op, int64_t a, int64_t b,
                   struct rz_j_value *out)
{
    int64_t r = 0;
    bool over = false;
    switch (op) {
    case RZJ_OP_ADD:
        over = __builtin_add_overflow(a, b, &r);
        break;
    case RZJ_OP_SUB:
        over = __builtin_sub_overflow(a, b, &r);
        break;
    case RZJ_OP_MUL:
        over = __builtin_mul_overflow(a, b, &r);
        break;
    case RZJ_OP_POW:
        return int_power(c, a, b, out);
    default:
        return int_divide(c, op, a, b, out);
    }
    *out = rz_j_int(r);
    return over ? overflow(c) : true;
}

static double float_mod(double a, double b)
{
    double rest = fmod(a, b);
    if (rest != 0)
        return (rest < 0) != (b < 0) ? rest + b : rest;
    return copysign(0, b);
}

static double float_floordiv(double a, double b)
{
    double quotient = (a - float_mod(a, b)) / b, whole = floor(quotient);
    if (quotient == 0)
        return copysign(0, a / b);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static bool float_power(struct rz_j_ctx *c, double a, double b, struct rz_j_value *out)
{
    if (a == 0 && b < 0)
        return rz_j_fail(c, "0.0 cannot be raised to a negative power");
    if (a < 0 && isfinite(a) && isfinite(b) && floor(b) != b)
        return rz_j_fail(c, "a negative number to a fractional power is complex");
    double r = pow(a, b);
    if (isinf(r) && isfinite(a) && isfinite(b))
        return rz_j_fail(c, "a power's result is too large for a float");
    *out = rz_j_float(r);
    return true;
}

static bool float_op(struct rz_j_ctx *c, enum rz_j_op op, double a, double b,
                     struct rz_j_value *out)
{
    bool divides = op == RZJ_OP_DIV || op == RZJ_OP_FLOORDIV || op == RZJ_OP_MOD;
    if (divides && b == 0)
        return rz_j_fail(c, "float %s",
                         op == RZJ_OP_DIV   ? "division by zero"
                         : op == RZJ_OP_MOD ? "modulo"
                                            : "floor division by zero");
    switch (op) {
    case RZJ_OP_ADD:
        *out = rz_j_float(a + b);
        return true;
    case RZJ_OP_SUB:
        *out = rz_j_float(a - b);
        return true;
    case RZJ_OP_MUL:
        *out = rz_j_float(a * b);
        return true;
    case RZJ_OP_DIV:
        *out = rz_j_float(a / b);
        return true;
    case RZJ_OP_FLOORDIV:
        *out = rz_j_float(float_floordiv(a, b));
        return true;
    case RZJ_OP_MOD:
        *out = rz_j_float(float_mod(a, b));
        return true;
    default:
        return float_power(c, a, b, out);
    }
}

/* ---------------------------------------------------------------- sequences */

static bool join_lists(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b,
                       struct rz_j_value *out)
{
    uint32_t n = a.u.list->n;
    struct rz_j_list *list = rz_j_list_new(c, (size_t)n + b.u.list->n);
    if (!list)
        return false;
    if (n)
        memcpy(list->items, a.u.list->items, n * sizeof *list->items);
    if (b.u.list->n)
        memcpy(list->items + n, b.u.list->items, b.u.list->n * sizeof *list->items);
    *out = rz_j_of_list(a.kind, list);
    return true;
}

static bool repeat_str(struct rz_j_ctx *c, struct rz_j_value s, int64_t times,
                       struct rz_j_value *out)
{
    uint64_t len;
    if (times < 0)
        times = 0;
    if (__builtin_mul_overflow((uint64_t)s.len, (uint64_t)times, &len) ||
        len > RZJ_MAX_STRING_BYTES)
        return rz_j_fail(c, "a repeated string is longer than %d bytes", RZJ_MAX_STRING_BYTES);
    char *text = rz_j_alloc(c, len, 1);
    if (!text || !rz_j_charge_bytes(c, len))
        return false;
    for (uint64_t i = 0; s.len && i < len; i += s.len)
        memcpy(text + i, s.u.s, s.len);
    *out = rz_j_str(text, len);
    out->markup = s.markup;
    return rz_j_charge(c, s.len ? (uint64_t)times / 8 : 0);
}

static bool repeat_list(struct rz_j_ctx *c, struct rz_j_value v, int64_t times,
                        struct rz_j_value *out)
{
    uint32_t n = v.u.list->n;
    uint64_t total;
    if (times < 0)
        times = 0;
    if (__builtin_mul_overflow((uint64_t)n, (uint64_t)times, &total))
        return overflow(c);
    struct rz_j_list *list = rz_j_list_new(c, total);
    if (!list)
        return false;
    for (uint64_t i = 0; n && i < total; i += n)
        memcpy(list->items + i, v.u.list->items, n * sizeof *list->items);
    *out = rz_j_of_list(v.kind, list);
    return true;
}

/* *done is false if the operands are not a sequence and a count. */
static bool repeat(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b,
                   struct rz_j_value *out, bool *done)
{
    int64_t times;
    if (rz_j_is_int(a, &times)) {
        struct rz_j_value swap = a;
        a = b;
        b = swap;
    }
    *done = rz_j_is_int(b, &times);
    if (*done && a.kind == RZJ_STR)
        return repeat_str(c, a, times, out);
    if (*done && (a.kind == RZJ_LIST || a.kind == RZJ_TUPLE))
        return repeat_list(c, a, times, out);
    *done = false;
    return true;
}

bool rz_j_escape(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value *out)
{
    if (v.kind == RZJ_STR && v.markup) {
        *out = v;
        return true;
    }
    struct rz_j_value s;
    if (!rz_j_to_str(c, v, &s))
        return false;
    struct rz_buf b;
    rz_buf_init(&b, RZJ_MAX_STRING_BYTES);
    for (uint32_t i = 0; i < s.len; i++) {
        static const char *const names[] = {"&&amp;", "<&lt;", ">&gt;", "'&#39;", "\"&#34;"};
        const char *name = NULL;
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (names[k][0] == s.u.s[i])
                name = names[k] + 1;
        if (name)
            rz_buf_str(&b, name);
        else
            rz_buf_char(&b, s.u.s[i]);
    }
    bool ok = rz_j_take(c, rz_j_charge_bytes(c, s.len), &b, out);
    out->markup = true;
    return ok;
}

static bool add_strings(struct rz_j_ctx *c, struct rz_j_value a, struct rz_j_value b,
                        struct rz_j_value *out)
{
    bool markup = a.markup || b.markup;
    if (markup && (!rz_j_escape(c, a, &a) || !rz_j_escape(c, b, &b)))
        return false;
    if (!rz_j_concat(c, a, b, out))
        return false;
    out->markup = markup;
    return true;
}

bool rz_j_binary(struct rz_j_ctx *c, enum rz_j_op op, struct rz_j_value a, struct rz_j_value b,
                 struct rz_j_value *out)
{
    int64_t i, k;
    double f, g;
    bool done = false;
    if (rz_j_is_int(a, &i) && rz_j_is_int(b, &k))
        return int_op(c, op, i, k, out);
    if (rz_j_is_number(a, &f) && rz_j_is_number(b, &g))
        return float_op(c, op, f, g, out);
    if (op == RZJ_OP_ADD && a.kind == RZJ_STR && b.kind == RZJ_STR)
        return add_strings(c, a, b, out);
    if (op == RZJ_OP_ADD && a.kind == b.kind && (a.kind == RZJ_LIST || a.kind == RZJ_TUPLE))
        return join_lists(c, a, b, out);
    if (op == RZJ_OP_MOD && a.kind == RZJ_STR)
        return rz_j_percent(c, a, b, out);
    if (op == RZJ_OP_MUL && !repeat(c, a, b, out, &done))
        return false;
    return done || bad_operands(c, op, a, b);
}

bool rz_j_negate(struct rz_j_ctx *c, unsigned sign, struct rz_j_value a, struct rz_j_value *out)
{
    int64_t i;
    if (a.kind == RZJ_FLOAT) {
        *out = rz_j_float(sign == RZJ_N_NEG ? -a.u.f : a.u.f);
        return true;
    }
    if (a.kind == RZJ_UNDEF)
        return rz_j_fail_undefined(c, a);
    if (!rz_j_is_int(a, &i))
        return rz_j_fail(c, "a sign cannot stand before '%s'", rz_j_type_name(a));
    if (sign == RZJ_N_NEG && __builtin_sub_overflow((int64_t)0, i, &i))
        return overflow(c);
    *out = rz_j_int(i);
    return true;
}

/* ---------------------------------------------------------------- comparison */

bool rz_j_contains(struct rz_j_ctx *c, struct rz_j_value container, struct rz_j_value v, bool *out)
{
    *out = false;
    if (container.kind == RZJ_STR) {
        if (v.kind != RZJ_STR)
            return rz_j_fail(c, "'in <string>' requires a string on its left, not %s",
                             rz_j_type_name(v));
        *out = rz_j_text_find(container.u.s, container.len, v.u.s, v.len, 0) != SIZE_MAX;
        return rz_j_charge_bytes(c, container.len);
    }
    if (container.kind == RZJ_DICT) {
        struct rz_j_value *found;
        bool ok = rz_j_dict_get(c, container.u.dict, v, &found);
        *out = found != NULL;
        return ok;
    }
    struct rz_j_list items;
    if (!rz_j_is_iterable(container))
        return rz_j_fail(c, "argument of type '%s' is not iterable", rz_j_type_name(container));
    if (!rz_j_items(c, container, &items))
        return false;
    for (uint32_t i = 0; i < items.n && !*out; i++)
        if (!rz_j_equal(c, items.items[i], v, out))
            return false;
    return true;
}

bool rz_j_compare(struct rz_j_ctx *c, enum rz_j_op op, struct rz_j_value a, struct rz_j_value b,
                  bool *out)
{
    double f;
    bool ok = true;
    *out = false;
    if (op >= RZJ_OP_GT && op <= RZJ_OP_LE && rz_j_is_number(a, &f) && rz_j_is_number(b, &f)) {
        int order = rz_j_number_order(a, b);
        *out = order != 2 && (op == RZJ_OP_GT   ? order > 0
                              : op == RZJ_OP_GE ? order >= 0
                              : op == RZJ_OP_LT ? order < 0
                                                : order <= 0);
        return rz_j_charge(c, 1);
    }
    switch (op) {
    case RZJ_OP_EQ:
        return rz_j_equal(c, a, b, out);
    case RZJ_OP_NE:
        ok = rz_j_equal(c, a, b, out);
        break;
    case RZJ_OP_LT:
        return rz_j_less(c, a, b, out);
    case RZJ_OP_GT:
        return rz_j_less(c, b, a, out);
    case RZJ_OP_LE:
        ok = rz_j_less(c, b, a, out);
        break;
    case RZJ_OP_GE:
        ok = rz_j_less(c, a, b, out);
        break;
    case RZJ_OP_IN:
        return rz_j_contains(c, b, a, out);
    default:
        ok = rz_j_contains(c, b, a, out);
        break;
    }
    *out = !*out;
    return ok;
}
