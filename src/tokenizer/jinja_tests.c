/* jinja_tests.c - what stands after "is". Behaviour: jinja2/tests.py. */
#include "tokenizer/jinja_builtins.h"
#include "tokenizer/jinja_ops.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_text.h"

static bool answer(struct rzj_value *out, bool b)
{
    *out = rzj_bool(b);
    return true;
}

static bool test_defined(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind != RZJ_UNDEF);
}

static bool test_undefined(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_UNDEF);
}

static bool test_none(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_NONE);
}

static bool test_boolean(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_BOOL);
}

static bool test_true(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_BOOL && call->self.u.b);
}

static bool test_false(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_BOOL && !call->self.u.b);
}

static bool test_integer(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_INT);
}

static bool test_float(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_FLOAT);
}

static bool test_number(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    double f;
    (void)c;
    return answer(out, rzj_is_number(call->self, &f));
}

static bool test_string(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_STR);
}

static bool test_mapping(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_DICT);
}

/* Has a length and items: undefined, too, and everything else but views and generators. */
static bool test_sequence(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    uint8_t kind = call->self.kind;
    (void)c;
    return answer(out, kind == RZJ_UNDEF || kind == RZJ_STR || kind == RZJ_LIST ||
                           kind == RZJ_TUPLE || kind == RZJ_RANGE || kind == RZJ_DICT);
}

static bool test_iterable(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, rzj_is_iterable(call->self) || call->self.kind == RZJ_LOOP);
}

static bool test_callable(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    uint8_t kind = call->self.kind;
    (void)c;
    return answer(out, kind == RZJ_UNDEF || kind == RZJ_MACRO || kind == RZJ_FUNC ||
                           kind == RZJ_METHOD || kind == RZJ_LOOP || kind == RZJ_JOINER);
}

static bool test_sameas(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    struct rzj_value a = call->self, b = call->a[0];
    bool same = a.kind == b.kind;
    if (same && a.kind > RZJ_UNDEF && a.kind <= RZJ_STR)
        return rzj_equal(c, a, b, &same) && answer(out, same);
    return answer(out, same && a.u.list == b.u.list);
}

static bool test_escaped(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_STR && call->self.markup);
}

/* All cased characters have the case, and there is at least one. */
static bool all_cased(struct rzj_ctx *c, struct rzj_value v, bool upper, struct rzj_value *out)
{
    struct rzj_value s;
    bool any = false;
    if (!rzj_to_str(c, v, &s) || !rzj_charge_bytes(c, s.len))
        return false;
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t ch = rzj_text_at(s.u.s + i, s.len - i, &n);
        if (upper ? rzj_is_lower(ch) : rzj_is_upper(ch))
            return answer(out, false);
        any |= upper ? rzj_is_upper(ch) : rzj_is_lower(ch);
    }
    return answer(out, any);
}

static bool test_upper(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return all_cased(c, call->self, true, out);
}

static bool test_lower(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return all_cased(c, call->self, false, out);
}

/* self % divisor == rest */
static bool has_rest(struct rzj_ctx *c, struct rzj_value v, struct rzj_value divisor, int64_t rest,
                     struct rzj_value *out)
{
    struct rzj_value r;
    bool equal;
    return rzj_binary(c, RZJ_OP_MOD, v, divisor, &r) && rzj_equal(c, r, rzj_int(rest), &equal) &&
           answer(out, equal);
}

static bool test_odd(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return has_rest(c, call->self, rzj_int(2), 1, out);
}

static bool test_even(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return has_rest(c, call->self, rzj_int(2), 0, out);
}

static bool test_divisibleby(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return has_rest(c, call->self, call->a[0], 0, out);
}

static bool compare(struct rzj_ctx *c, struct rzj_call *call, enum rzj_op op, struct rzj_value *out)
{
    bool holds;
    return rzj_compare(c, op, call->self, call->a[0], &holds) && answer(out, holds);
}

static bool test_eq(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_EQ, out);
}

static bool test_ne(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_NE, out);
}

static bool test_lt(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_LT, out);
}

static bool test_le(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_LE, out);
}

static bool test_gt(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_GT, out);
}

static bool test_ge(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_GE, out);
}

static bool test_in(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    return compare(c, call, RZJ_OP_IN, out);
}

static bool test_filter(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out,
                  call->self.kind == RZJ_STR && rzj_find_filter(call->self.u.s, call->self.len));
}

static bool test_test(struct rzj_ctx *c, struct rzj_call *call, struct rzj_value *out)
{
    (void)c;
    return answer(out, call->self.kind == RZJ_STR && rzj_find_test(call->self.u.s, call->self.len));
}

const struct rzj_builtin rzj_tests[] = {
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
