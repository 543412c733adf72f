/* test_template_limits.c - the sandbox: limits of steps, output, memory and nesting, where a
 * failure points, what stays unchanged, several threads on one template. */
#include <realizar/template.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static rz_status render(const char *source, const char *vars, const rz_render_options *options,
                        rz_text *out, rz_error *err)
{
    rz_template *t = NULL;
    rz_status status = rz_template_new(&t, "T", source, strlen(source), err);
    if (!status)
        status = rz_template_render(t, vars, strlen(vars), options, out, err);
    rz_template_free(&t);
    return status;
}

static void expect_failure(const char *source, const char *vars, rz_status code, const char *text)
{
    rz_text out = {0};
    rz_error err = {0};
    rz_status status = render(source, vars, NULL, &out, &err);
    if (status != code || !strstr(err.text, text))
        print_error("%.200s\n  status %d: %s\n", source, (int)status, err.text);
    assert_int_equal(status, code);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(out.len, 0);
    rz_text_free(&out);
}

static void expect_output(const char *source, const char *vars, const char *expected)
{
    rz_text out = {0};
    rz_error err = {0};
    rz_status status = render(source, vars, NULL, &out, &err);
    if (status)
        print_error("%s\n", err.text);
    assert_int_equal(status, RZ_OK);
    assert_string_equal(out.data, expected);
    rz_text_free(&out);
}

/* Line and column, columns counted in characters. */
static void test_positions(void **state)
{
    (void)state;
    expect_failure("a\n\u00e9\u00e9 {{ x.y }}", "{}", RZ_EINFER, "T:2:9: 'x' is undefined");
    expect_failure("a\r\nb\r\n{{ 1 + }}", "{}", RZ_EFORMAT, "T:3:8: unexpected \"}}\"");
    expect_failure("{% if 1 %}\n\n", "{}", RZ_EFORMAT, "T:1:4: this block has no endif");
    expect_failure("{{ [1,\n 2,\n nope.x] }}", "{}", RZ_EINFER, "T:3:7: 'nope' is undefined");
    expect_failure("{{ d.a.b }}", "{\"d\": {}}", RZ_EINFER, "'dict object' has no attribute 'a'");
    expect_failure("{{ raise_exception('no\\nway: 100%s') }}", "{}", RZ_EINFER, "no\nway: 100%s");
    expect_failure("\xff", "{}", RZ_EFORMAT, "invalid UTF-8 at byte 0");
}

static void test_variables(void **state)
{
    (void)state;
    expect_failure("x", "[1]", RZ_EFORMAT, "not an object");
    expect_failure("x", "{", RZ_EFORMAT, "not a JSON object");
    expect_failure("x", "{\"a\": 123456789012345678901}", RZ_EFORMAT, "not a JSON object");
    expect_output("{{ a }}|{{ b }}", "{\"b\": 1, \"a\": {\"z\": 1, \"y\": 2, \"z\": 3}}",
                  "{'z': 3, 'y': 2}|1");
    expect_output("{{ x | length }}{{ x[1] == '\\x00' }}", "{\"x\": \"a\\u0000b\"}", "3True");
    /* a variable hides a global function */
    expect_output("{{ range }}", "{\"range\": 5}", "5");
}

/* Deep input must neither parse nor render, and must not exhaust the C stack. */
static void expect_deep(const char *head, const char *part, int times, const char *tail,
                        rz_status code)
{
    size_t n = strlen(part);
    char *source = malloc(strlen(head) + n * (size_t)times + strlen(tail) + 1);
    assert_non_null(source);
    char *p = stpcpy(source, head);
    for (int i = 0; i < times; i++)
        p = stpcpy(p, part);
    stpcpy(p, tail);
    expect_failure(source, "{}", code, "");
    free(source);
}

static void test_nesting(void **state)
{
    (void)state;
    expect_deep("{{ ", "(", 5000, "", RZ_EFORMAT);
    expect_deep("{{ ", "[", 5000, "", RZ_EFORMAT);
    expect_deep("{{ ", "-", 5000, "1 }}", RZ_EFORMAT);
    expect_deep("{{ ", "not ", 5000, "1 }}", RZ_EFORMAT);
    expect_deep("{{ ", "f(x=", 5000, "1 }}", RZ_EFORMAT);
    expect_deep("{{ ", "1 if 1 else ", 5000, "1 }}", RZ_EFORMAT);
    expect_deep("", "{% if 1 %}", 5000, "", RZ_EFORMAT);
    expect_deep("", "{% for x in y %}", 5000, "", RZ_EFORMAT);
    expect_deep("{{ 1", " + 1", 5000, " }}", RZ_EINFER); /* a left spine: deep to evaluate */
    expect_deep("{{ 'a'", "|upper", 5000, " }}", RZ_EINFER);
    expect_deep("{{ 'a'", "[0]", 5000, " }}", RZ_EINFER);
    expect_failure("{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", "{}", RZ_EINFER,
                   "nested deeper");
    expect_failure("{% set n = namespace(x=1) %}{% for i in range(9999) %}{% set n.x = [n.x] %}"
                   "{% endfor %}{{ n.x }}",
                   "{}", RZ_EINFER, "nested deeper");
    expect_failure("{% set n = namespace() %}{% set n.x = [n] %}{{ n.x | string }}", "{}",
                   RZ_EINFER, "nested deeper");
    expect_output("{% macro m(n) %}{% if n %}{% if 1 %}{{ m(n - 1) }}{% endif %}{% endif %}x"
                  "{% endmacro %}{{ m(50) | length }}",
                  "{}", "51");
}

/* Templates that would run for ages or eat all memory: each must end with a sentence. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor "
        "%}",
        "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor "
        "%}",
        "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor "
        "%}",
        "{{ 'x' * 9223372036854775807 }}",
        "{{ [1] * 9223372036854775807 }}",
        "{{ ('%99999999d' * 99) % 1 }}",
        "{{ 'x'.ljust(999999999999) }}",
        "{{ range(100000) | join('x' * 9999999) }}",
        "{{ ('a' * 9999999).replace('', 'b' * 9999999) }}",
        "{{ ('a' * 9999999).rfind('a' * 999999 + 'b') }}",
        "{{ ('a' * 9999999).strip('b' * 9999999 + 'a') }}",
        "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
        "{{ n.x }}",
        "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
        "{{ n.x | tojson }}",
        "{% set n = namespace(x=1, y=1) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
        "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
        "{% set s = 'abcdefgh' * 100000 %}{% for i in range(99999) %}{{ s }}{% endfor %}",
        "{% macro m() %}{{ 'x' * 9999999 }}{{ caller() }}{% endmacro %}"
        "{% for i in range(999) %}{% call m() %}{% call m() %}{% endcall %}{% endcall %}{% endfor "
        "%}",
        "{{ {'a': [1]} | tojson(indent=99999999999) }}",
        "{{ 2 ** 9223372036854775807 }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ (-9223372036854775807 - 1) // -1 }}",
        "{{ 9223372036854775807 * 2 }}{{ -(-9223372036854775807 - 1) }}",
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        expect_failure(sources[i], "{}", RZ_EINFER, "T:1:");
#ifndef __SANITIZE_THREAD__ /* its shadow is several times the memory itself */
    struct rusage use;
    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    assert_true(use.ru_maxrss < 512 << 10); /* KiB; the address sanitizer's shadow included */
#endif
}

static void test_sandbox(void **state)
{
    (void)state;
    expect_failure("{{ [].append(1) }}", "{}", RZ_EINFER, "is unsafe");
    expect_failure("{{ {}.update({}) }}", "{}", RZ_EINFER, "is unsafe");
    expect_failure("{{ ''.__class__.__mro__ }}", "{}", RZ_EINFER, "");
    expect_failure("{{ ''['__class__']['__mro__'] }}", "{}", RZ_EINFER, "");
    expect_failure("{% include 'x' %}", "{}", RZ_EFORMAT, "\"include\" is not known");
    expect_failure("{% import 'x' as y %}", "{}", RZ_EFORMAT, "\"import\" is not known");
    expect_output("{{ open is defined }}{{ self is defined }}{{ _x is defined }}", "{}",
                  "FalseFalseFalse");
}

static void test_options(void **state)
{
    (void)state;
    rz_text out = {0};
    rz_error err = {0};
    const char *loop = "{% for i in range(100) %}0123456789{% endfor %}";
    rz_render_options options = {.max_output = 1000, .max_steps = 1000};
    assert_int_equal(render(loop, "{}", &options, &out, &err), RZ_OK);
    assert_int_equal(out.len, 1000);
    /* appended: what was there stays, on failure too */
    options.max_output = 999;
    assert_int_equal(render(loop, "{}", &options, &out, &err), RZ_EINFER);
    assert_non_null(strstr(err.text, "longer than 999 bytes"));
    options = (rz_render_options){.max_steps = 200};
    assert_int_equal(render(loop, "{}", &options, &out, &err), RZ_EINFER);
    assert_non_null(strstr(err.text, "steps"));
    assert_int_equal(out.len, 1000);
    options = (rz_render_options){.now_unix_s = 86399};
    assert_int_equal(render("|{{ strftime_now('%F %T %z') }}", "{}", &options, &out, &err), RZ_OK);
    assert_string_equal(out.data + 1000, "|1970-01-01 23:59:59 ");
    /* no error struct, no options */
    assert_int_equal(render("{{ x.y }}", "{}", NULL, &out, NULL), RZ_EINFER);
    rz_text_free(&out);
}

/* Texts that grow by appending share their beginnings; none may see another's end. */
static void test_shared_beginnings(void **state)
{
    (void)state;
    expect_output(
        "{% set a = 'x' * 100 %}{% set b = a + '1' %}{% set c = a + '2' %}"
        "{% set d = b + '3' %}{% set e = b + '4' %}{{ b[99:] }} {{ c[99:] }} {{ d[99:] }} "
        "{{ e[99:] }} {{ (d + d)[200:] }}",
        "{}", "x1 x2 x13 x14 xx13");
    expect_output(
        "{% set n = namespace(s='') %}{% for i in range(2000) %}{% set n.s = n.s + 'ab' %}"
        "{% endfor %}{{ n.s == 'ab' * 2000 }}",
        "{}", "True");
}

enum {
    N_THREADS = 4,
    N_RENDERS = 50
};

static void *render_many(void *arg)
{
    const rz_template *t = arg;
    for (int i = 0; i < N_RENDERS; i++) {
        char vars[64], expected[64];
        rz_text out = {0};
        snprintf(vars, sizeof vars, "{\"n\": %d}", i);
        snprintf(expected, sizeof expected, "%d:0,%d,", i, i);
        rz_status status = rz_template_render(t, vars, strlen(vars), NULL, &out, NULL);
        bool same = status == RZ_OK && strcmp(out.data, expected) == 0;
        rz_text_free(&out);
        if (!same)
            return arg;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static const char source[] = "{% macro m(x) %}{{ x * n }},{% endmacro %}"
                                 "{{ n }}:{% for i in [0, 1] %}{{ m(i) }}{% endfor %}";
    rz_template *t = NULL;
    pthread_t threads[N_THREADS];
    assert_int_equal(rz_template_new(&t, "T", source, strlen(source), NULL), RZ_OK);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, render_many, t), 0);
    for (int i = 0; i < N_THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    rz_template_free(&t);
    assert_null(t);
    rz_template_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),         cmocka_unit_test(test_variables),
        cmocka_unit_test(test_nesting),           cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_sandbox),           cmocka_unit_test(test_options),
        cmocka_unit_test(test_shared_beginnings), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
