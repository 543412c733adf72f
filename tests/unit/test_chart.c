/* test_chart.c - charts: bars as high as their values, markup that is well-formed whatever the
 * labels hold, text exactly. */
#include "chart/canvas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a small XML reader: tags nest, attributes are quoted, no bare < or & ---- */

enum {
    MAX_OPEN = 16,
    NAME_MAX_BYTES = 32
};

static const char *read_entity(const char *p)
{
    static const char *const known[] = {"&lt;", "&gt;", "&amp;", "&quot;"};
    for (size_t i = 0; i < 4; i++) {
        if (!strncmp(p, known[i], strlen(known[i])))
            return p + strlen(known[i]);
    }
    fail_msg("a bare & at: %.30s", p);
    return NULL;
}

static const char *read_tag(const char *p, char open[MAX_OPEN][NAME_MAX_BYTES], int *depth)
{
    const bool closing = p[1] == '/';
    const char *name = p + 1 + closing;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    assert_true(len > 0 && len < NAME_MAX_BYTES);
    if (closing) {
        assert_true(*depth > 0 && strlen(open[*depth - 1]) == len);
        assert_memory_equal(open[*depth - 1], name, len);
        (*depth)--;
    } else {
        assert_true(*depth < MAX_OPEN);
        snprintf(open[(*depth)++], NAME_MAX_BYTES, "%.*s", (int)len, name);
    }
    for (p = name + len; *p && *p != '>'; p++) {
        if (*p == '"') {
            p = strchr(p + 1, '"');
            assert_non_null(p);
        } else if (*p == '/') {
            assert_int_equal(p[1], '>');
            (*depth)--;
        }
        assert_int_not_equal(*p, '<');
    }
    assert_int_equal(*p, '>');
    return p + 1;
}

static void check_xml(const char *text)
{
    char open[MAX_OPEN][NAME_MAX_BYTES];
    int depth = 0;
    const char *end = strstr(text, "?>\n");
    assert_non_null(end);
    const char *p = end + 3;
    while (*p) {
        if (*p == '<')
            p = read_tag(p, open, &depth);
        else if (*p == '&')
            p = read_entity(p);
        else
            p++;
    }
    assert_int_equal(depth, 0);
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
        n++;
    return n;
}

/* The height of the rectangle whose title ends with tip. */
static double height_of(const char *svg, const char *tip)
{
    double height = 0;
    const char *at = strstr(svg, tip);
    assert_non_null(at);
    while (at > svg && strncmp(at, "height=\"", 8) != 0)
        at--;
    assert_int_equal(sscanf(at, "height=\"%lf\"", &height), 1);
    return height;
}

static const char *const labels[] = {"prefill", "a<b> & \"c\" \x01\xFF", "decode"};
static const double ours[] = {100, 50, 25}, lo[] = {90, 45, 20}, hi[] = {110, 55, 30};
static const double theirs[] = {10, NAN, 40};

static struct rz_chart make(enum rz_chart_kind kind, struct rz_chart_series series[2])
{
    series[0] = (struct rz_chart_series){.name = "apr", .y = ours, .lo = lo, .hi = hi};
    series[1] = (struct rz_chart_series){.name = "other", .y = theirs};
    return (struct rz_chart){.kind = kind,
                             .title = "T & T",
                             .y_label = "tok/s",
                             .labels = labels,
                             .n_labels = 3,
                             .series = series,
                             .n_series = 2};
}

static void test_svg(void **state)
{
    (void)state;
    for (int kind = RZ_CHART_BAR; kind <= RZ_CHART_LINE; kind++) {
        struct rz_chart_series series[2];
        const struct rz_chart c = make((enum rz_chart_kind)kind, series);
        struct rz_buf out;
        rz_error err;
        rz_buf_init(&out, RZ_CHART_MAX_BYTES);
        assert_int_equal(rz_chart_svg(&c, &out, &err), RZ_OK);
        check_xml(out.data);
        assert_non_null(strstr(out.data, "a&lt;b&gt; &amp; &quot;c&quot; "));
        assert_null(strchr(out.data, '\x01'));
        assert_null(strstr(out.data, "nan"));
        /* Five of six values are there, each with its tooltip. */
        assert_int_equal(count(out.data, ", apr: ") + count(out.data, ", other: "), 5);
        if (kind == RZ_CHART_BAR) {
            double whole = height_of(out.data, "prefill, apr: 100<");
            assert_true(whole > 100);
            assert_true(fabs(height_of(out.data, "apr: 50.0<") - whole / 2) < 0.02);
            assert_true(fabs(height_of(out.data, "decode, other: 40.0<") - whole * 0.4) < 0.02);
        }
        rz_buf_fini(&out);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct rz_chart_series series[2];
    struct rz_chart c = make(RZ_CHART_BAR, series);
    struct rz_buf out;
    rz_error err;
    rz_buf_init(&out, 100);
    assert_int_equal(rz_chart_svg(&c, &out, &err), RZ_ENOMEM); /* more than the buffer may hold */
    c.n_labels = 0;
    assert_int_equal(rz_chart_svg(&c, &out, &err), RZ_EUSAGE);
    c.n_labels = RZ_CHART_MAX_POINTS + 1;
    assert_int_equal(rz_chart_text(&c, 80, &out, &err), RZ_EUSAGE);
    c.n_labels = 3;
    c.n_series = RZ_CHART_MAX_SERIES + 1;
    assert_int_equal(rz_chart_png(&c, &out, &err), RZ_EUSAGE);
    rz_buf_fini(&out);
}

static void test_png(void **state)
{
    (void)state;
    static const char signature[] = "\x89PNG\r\n\x1A\n";
    struct rz_chart_series series[2];
    const struct rz_chart c = make(RZ_CHART_BAR, series);
    struct rz_buf out;
    rz_error err;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    rz_status status = rz_chart_png(&c, &out, &err);
    if (status == RZ_ENOTBUILT) {
        assert_non_null(strstr(err.text, "cairo"));
    } else {
        assert_int_equal(status, RZ_OK);
        assert_true(out.len > 1000);
        assert_memory_equal(out.data, signature, 8);
        /* IHDR: width and height, big-endian. */
        const unsigned char size[] = {0, 0, RZ_CHART_WIDTH >> 8,  RZ_CHART_WIDTH & 255,
                                      0, 0, RZ_CHART_HEIGHT >> 8, RZ_CHART_HEIGHT & 255};
        assert_memory_equal(out.data + 16, size, 8);
    }
    rz_buf_fini(&out);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "bb\xC3\xBC"};
    const double y[] = {16, 9};
    const struct rz_chart_series one = {.name = "x", .y = y};
    struct rz_chart c = {
        .title = "", .y_label = "", .labels = names, .n_labels = 2, .series = &one, .n_series = 1};
    struct rz_buf out;
    rz_error err;
    rz_buf_init(&out, 4096);
    /* 3 columns of label, 2 of space, 8 of bar: 9/16 of 8 is four and a half. */
    assert_int_equal(rz_chart_text(&c, 25, &out, &err), RZ_OK);
#define FULL "\xE2\x96\x88"
    assert_string_equal(out.data, "a    " FULL FULL FULL FULL FULL FULL FULL FULL " 16.0\n"
                                  "bb\xC3\xBC  " FULL FULL FULL FULL "\xE2\x96\x8C 9.00\n");
    rz_buf_fini(&out);
}

static void test_steps(void **state)
{
    (void)state;
    static const struct {
        double max, step;
    } cases[] = {{100, 20}, {110, 50}, {5, 1}, {6, 2}, {0.03, 0.01}, {0, 1}, {1e6, 2e5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(fabs(rz_chart_step(cases[i].max, 5) / cases[i].step - 1) < 1e-9);
    char text[RZ_CHART_NUMBER_MAX];
    assert_string_equal(rz_chart_number(text, 1234.5), "1234");
    assert_string_equal(rz_chart_number(text, 12.34), "12.3");
    assert_string_equal(rz_chart_number(text, 0.5), "0.5000");
    assert_string_equal(rz_chart_number(text, 0), "0");
}

static void test_flame(void **state)
{
    (void)state;
    struct rz_flame boxes[] = {{"whole", 10, 0}, {"left <1>", 4, 0}, {"right", 6, 0}, {"in", 3, 2}};
    struct rz_buf out;
    rz_error err;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    assert_int_equal(rz_flame_svg("F", "ms", boxes, 4, &out, &err), RZ_OK);
    check_xml(out.data);
    /* 1180 pixels from 10 on: left 472, right begins at 482, its child begins there too. */
    assert_non_null(strstr(out.data, "<rect x=\"10.00\" y=\"58.00\" width=\"472.00\""));
    assert_non_null(strstr(out.data, "<rect x=\"482.00\" y=\"58.00\" width=\"708.00\""));
    assert_non_null(strstr(out.data, "<rect x=\"482.00\" y=\"40.00\" width=\"354.00\""));
    assert_non_null(strstr(out.data, "in: 3 ms, 30.00 %"));
    rz_buf_fini(&out);
    boxes[1].parent = 3;
    assert_int_equal(rz_flame_svg("F", "ms", boxes, 4, &out, &err), RZ_EUSAGE);
    assert_int_equal(rz_flame_svg("F", "ms", boxes, 0, &out, &err), RZ_EUSAGE);
    rz_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svg),  cmocka_unit_test(test_limits), cmocka_unit_test(test_png),
        cmocka_unit_test(test_text), cmocka_unit_test(test_steps),  cmocka_unit_test(test_flame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
