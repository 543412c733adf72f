/* text.c - a chart as lines of text: one bar per value, in eighths of a column. */
#include "base/fail.h"
#include "base/utf8.h"
#include "chart/canvas.h"

#include <math.h>
#include <string.h>

enum {
    MIN_BAR = 8 /* columns */
};

static size_t columns(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static void pad(struct rz_buf *out, const char *text, size_t width)
{
    rz_buf_str(out, text);
    for (size_t n = columns(text); n < width; n++)
        rz_buf_char(out, ' ');
}

/* U+2588 FULL BLOCK and, for the last column, U+2589 ... U+258F, seven to one eighths. */
static void put_bar(struct rz_buf *out, double share, unsigned width)
{
    unsigned eighths = (unsigned)lround(fmin(fmax(share, 0), 1) * 8 * width);
    for (; eighths >= 8; eighths -= 8)
        rz_buf_str(out, "\xE2\x96\x88");
    if (eighths)
        rz_buf_printf(out, "\xE2\x96%c", (char)(0x88 + 8 - eighths));
}

rz_status rz_chart_text(const struct rz_chart *c, unsigned width, struct rz_buf *out, rz_error *err)
{
    RZ_TRY(rz_chart_check(c, err));
    double max = rz_chart_max(c);
    size_t label = 0, name = 0;
    for (size_t i = 0; i < c->n_labels; i++)
        label = columns(c->labels[i]) > label ? columns(c->labels[i]) : label;
    for (size_t s = 0; s < c->n_series && c->n_series > 1; s++)
        name = columns(c->series[s].name) > name ? columns(c->series[s].name) : name;
    size_t used = label + name + (name ? 4 : 2) + 12;
    unsigned bar = used + MIN_BAR < width ? width - (unsigned)used : MIN_BAR;
    if (*c->title)
        rz_buf_printf(out, "%s%s%s\n", c->title, *c->y_label ? ", " : "", c->y_label);
    for (size_t i = 0; i < c->n_labels; i++) {
        for (size_t s = 0; s < c->n_series; s++) {
            char number[RZ_CHART_NUMBER_MAX];
            double v = c->series[s].y[i];
            pad(out, s ? "" : c->labels[i], label);
            rz_buf_str(out, "  ");
            if (name) {
                pad(out, c->series[s].name, name);
                rz_buf_str(out, "  ");
            }
            if (isfinite(v)) {
                put_bar(out, max > 0 ? v / max : 0, bar);
                rz_buf_printf(out, " %s\n", rz_chart_number(number, v));
            } else {
                rz_buf_str(out, "-\n");
            }
        }
    }
    return out->failed ? rz_fail_nomem(err, out->len, "the chart") : RZ_OK;
}
