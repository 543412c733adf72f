/* jinja_tests.c - what stands after "is". Behaviour: jinja2/tests.py. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

static bool answer(struct rz_j_value *out, bool b)
{
    *out = rz_j_bool(b);
    return true;
}

static bool test_defined(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind != RZJ_UNDEF);
}

static bool test_undefined(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_UNDEF);
}

static bool test_none(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_NONE);
}

static bool test_boolean(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_BOOL);
}

static bool test_true(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_BOOL && call->self.u.b);
}

static bool test_false(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_BOOL && !call->self.u.b);
}

static bool test_integer(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_INT);
}

static bool test_float(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_FLOAT);
}

static bool test_number(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    double f;
    (void)c;
    return answer(out, rz_j_is_number(call->self, &f));
}

static bool test_string(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_STR);
}

static bool test_mapping(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_DICT);
}

/* Has a length and items: undefined, too, and everything else but views and generators. */
static bool test_sequence(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    uint8_t kind = call->self.kind;
    (void)c;
    return answer(out, kind == RZJ_UNDEF || kind == RZJ_STR || kind == RZJ_LIST ||
                           kind == RZJ_TUPLE || kind == RZJ_RANGE || kind == RZJ_DICT);
}

static bool test_iterable(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, rz_j_is_iterable(call->self) || call->self.kind == RZJ_LOOP);
}

static bool test_callable(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    uint8_t kind = call->self.kind;
    (void)c;
    return answer(out, kind == RZJ_UNDEF || kind == RZJ_MACRO || kind == RZJ_FUNC ||
                           kind == RZJ_METHOD || kind == RZJ_LOOP || kind == RZJ_JOINER);
}

static bool test_sameas(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    struct rz_j_value a = call->self, b = call->a[0];
    bool same = a.kind == b.kind;
    if (same && a.kind > RZJ_UNDEF && a.kind <= RZJ_STR)
        return rz_j_equal(c, a, b, &same) && answer(out, same);
    return answer(out, same && a.u.list == b.u.list);
}

static bool test_escaped(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_STR && call->self.markup);
}

/* All cased characters have the case, and there is at least one. */
static bool all_cased(struct rz_j_ctx *c, struct rz_j_value v, bool upper, struct rz_j_value *out)
{
    struct rz_j_value s;
    bool any = false;
    if (!rz_j_to_str(c, v, &s) || !rz_j_charge_bytes(c, s.len))
        return false;
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t ch = rz_j_text_at(s.u.s + i, s.len - i, &n);
        if (upper ? rz_j_is_lower(ch) : rz_j_is_upper(ch))
            return answer(out, false);
        any |= upper ? rz_j_is_upper(ch) : rz_j_is_lower(ch);
    }
    return answer(out, any);
}

static bool test_upper(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_cased(c, call->self, true, out);
}

static bool test_lower(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return all_cased(c, call->self, false, out);
}

/* self % divisor == rest */
static bool has_rest(struct rz_j_ctx *c, struct rz_j_value v, struct rz_j_value divisor,
                     int64_t rest, struct rz_j_value *out)
{
    struct rz_j_value r;
    bool equal;
    return rz_j_binary(c, RZJ_OP_MOD, v, divisor, &r) && rz_j_equal(c, r, rz_j_int(rest), &equal) &&
           answer(out, equal);
}

static bool test_odd(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return has_rest(c, call->self, rz_j_int(2), 1, out);
}

static bool test_even(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return has_rest(c, call->self, rz_j_int(2), 0, out);
}

static bool test_divisibleby(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return has_rest(c, call->self, call->a[0], 0, out);
}

static bool compare(struct rz_j_ctx *c, struct rz_j_call *call, enum rz_j_op op,
                    struct rz_j_value *out)
{
    bool holds;
    return rz_j_compare(c, op, call->self, call->a[0], &holds) && answer(out, holds);
}

static bool test_eq(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_EQ, out);
}

static bool test_ne(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_NE, out);
}

static bool test_lt(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_LT, out);
}

static bool test_le(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_LE, out);
}

static bool test_gt(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_GT, out);
}

static bool test_ge(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_GE, out);
}

static bool test_in(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    return compare(c, call, RZJ_OP_IN, out);
}

static bool test_filter(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out,
                  call->self.kind == RZJ_STR && rz_j_find_filter(call->self.u.s, call->self.len));
}

static bool test_test(struct rz_j_ctx *c, struct rz_j_call *call, struct rz_j_value *out)
{
    (void)c;
    return answer(out,
                  call->self.kind == RZJ_STR && rz_j_find_test(call->self.u.s, call->self.len));
}

const struct rz_j_builtin rz_j_tests[] = {
    {"!=", test_ne, "other", 1},
    {"<", test_lt, "other", 1},
    {"<=", test_le, "other", 1},
    {"==", test_eq, "other", 1},
    {">", test_gt, "other", 1},
    {">=", test_ge, "other", 1},
    {"boolean", test_boolean, NULL, 0},
    {"callable", test_callable, NULL, 0},
    {"defined", test_defined, NULL, 0},
    {"divisibleby", test_divisibleby, "num", 1},
    {"eq", test_eq, "other", 1},
    {"equalto", test_eq, "other", 1},
    {"escaped", test_escaped, NULL, 0},
    {"even", test_even, NULL, 0},
    {"false", test_false, NULL, 0},
    {"filter", test_filter, NULL, 0},
    {"float", test_float, NULL, 0},
    {"ge", test_ge, "other", 1},
    {"greaterthan", test_gt, "other", 1},
    {"gt", test_gt, "other", 1},
    {"in", test_in, "seq", 1},
    {"integer", test_integer, NULL, 0},
    {"iterable", test_iterable, NULL, 0},
    {"le", test_le, "other", 1},
    {"lessthan", test_lt, "other", 1},
    {"lower", test_lower, NULL, 0},
    {"lt", test_lt, "other", 1},
    {"mapping", test_mapping, NULL, 0},
    {"ne", test_ne, "other", 1},
    {"none", test_none, NULL, 0},
    {"number", test_number, NULL, 0},
    {"odd", test_odd, NULL, 0},
    {"sameas", test_sameas, "other", 1},
    {"sequence", test_sequence, NULL, 0},
    {"string", test_string, NULL, 0},
    {"test", test_test, NULL, 0},
    {"true", test_true, NULL, 0},
    {"undefined", test_undefined, NULL, 0},
    {"upper", test_upper, NULL, 0},
    {NULL, NULL, NULL, 0},
};
