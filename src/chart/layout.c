/* layout.c - where the parts of a bar or line chart go. The value axis starts at zero always: a
 * chart that cuts its bars makes small differences look large. */
#include "base/fail.h"
#include "chart/canvas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    LEFT = 76,
    RIGHT = 24,
    TOP = 48,
    BOTTOM = 108,
    PLOT_WIDTH = RZ_CHART_WIDTH - LEFT - RIGHT,
    PLOT_HEIGHT = RZ_CHART_HEIGHT - TOP - BOTTOM,
    N_STEPS = 5,     /* of the value axis, about */
    MAX_TICKS = 24,  /* labels below the axis; of more, every n-th is written */
    SLANT_FROM = 12, /* more labels than this, or long ones, are slanted */
    LONG_LABEL = 10
};

enum {
    INK = 0x222222,
    GRID = 0xDDDDDD,
    PAPER = 0xFFFFFF
};

/* Okabe and Ito's colours, told apart by the colour-blind too (Nature Methods 8:441). */
static const uint32_t colors[] = {0x0072B2, 0xE69F00, 0x009E73, 0xD55E00,
                                  0xCC79A7, 0x56B4E9, 0xF0E442, 0x000000};

rz_status rz_chart_check(const struct rz_chart *c, rz_error *err)
{
    if (c->n_labels < 1 || c->n_labels > RZ_CHART_MAX_POINTS)
        return rz_fail(err, RZ_EUSAGE, "a chart of %zu labels: expected 1 to %d", c->n_labels,
                       RZ_CHART_MAX_POINTS);
    if (c->n_series < 1 || c->n_series > RZ_CHART_MAX_SERIES)
        return rz_fail(err, RZ_EUSAGE, "a chart of %zu series: expected 1 to %d", c->n_series,
                       RZ_CHART_MAX_SERIES);
    return RZ_OK;
}

double rz_chart_max(const struct rz_chart *c)
{
    double max = 0;
    for (size_t s = 0; s < c->n_series; s++) {
        for (size_t i = 0; i < c->n_labels; i++) {
            const struct rz_chart_series *one = &c->series[s];
            if (isfinite(one->y[i]))
                max = fmax(max, one->y[i]);
            if (one->hi && isfinite(one->hi[i]))
                max = fmax(max, one->hi[i]);
        }
    }
    return max;
}

double rz_chart_step(double max, int n_steps)
{
    if (!(max > 0))
        return 1;
    double raw = max / n_steps, power = pow(10, floor(log10(raw)));
    double times = raw / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

const char *rz_chart_number(char text[RZ_CHART_NUMBER_MAX], double v)
{
    double size = fabs(v);
    int digits = v == 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4;
    snprintf(text, RZ_CHART_NUMBER_MAX, "%.*f", digits, v);
    return text;
}

struct plot {
    const struct rz_chart *c;
    const struct rz_canvas *canvas;
    double top; /* value at the upper edge */
};

static double y_of(const struct plot *p, double v)
{
    return TOP + PLOT_HEIGHT * (1 - fmax(v, 0) / p->top);
}

static void put(const struct plot *p, struct rz_box at, enum rz_anchor anchor, const char *text)
{
    if (*text)
        p->canvas->text(p->canvas->ctx, at, anchor, text);
}

static void draw_value_axis(const struct plot *p, double step)
{
    for (int i = 0; step * i <= p->top * (1 + 1e-9); i++) {
        char number[RZ_CHART_NUMBER_MAX];
        double y = y_of(p, step * i);
        p->canvas->line(p->canvas->ctx, (struct rz_box){LEFT, y, PLOT_WIDTH, 0}, i ? GRID : INK, 1);
        snprintf(number, sizeof number, "%.6g", step * i);
        put(p, (struct rz_box){LEFT - 8, y + 4, 12, 0}, RZ_ANCHOR_END, number);
    }
    put(p, (struct rz_box){20, TOP + PLOT_HEIGHT / 2.0, 13, -90}, RZ_ANCHOR_MIDDLE, p->c->y_label);
}

/* The middle of the i-th label's share of the width. */
static double x_of(const struct plot *p, size_t i)
{
    return LEFT + PLOT_WIDTH * ((double)i + 0.5) / (double)p->c->n_labels;
}

static void draw_labels(const struct plot *p)
{
    const struct rz_chart *c = p->c;
    size_t every = (c->n_labels + MAX_TICKS - 1) / MAX_TICKS;
    bool slant = c->n_labels > SLANT_FROM;
    for (size_t i = 0; i < c->n_labels; i++)
        slant = slant || (c->n_labels > 4 && strlen(c->labels[i]) > LONG_LABEL);
    for (size_t i = 0; i < c->n_labels; i += every) {
        struct rz_box at = {x_of(p, i), TOP + PLOT_HEIGHT + 18, 12, slant ? -30 : 0};
        put(p, at, slant ? RZ_ANCHOR_END : RZ_ANCHOR_MIDDLE, c->labels[i]);
    }
}

static void draw_legend(const struct plot *p)
{
    double x = LEFT;
    for (size_t s = 0; s < p->c->n_series && p->c->n_series > 1; s++) {
        const char *name = p->c->series[s].name;
        struct rz_box mark = {x, RZ_CHART_HEIGHT - 22, 12, 12};
        p->canvas->rect(p->canvas->ctx, mark, colors[s % RZ_ARRAY_LEN(colors)], NULL);
        put(p, (struct rz_box){x + 18, RZ_CHART_HEIGHT - 12, 12, 0}, RZ_ANCHOR_START, name);
        x += 40 + 7 * (double)strlen(name);
    }
}

static void draw_error(const struct plot *p, const struct rz_chart_series *s, size_t i, double x)
{
    if (!s->lo || !s->hi || !isfinite(s->lo[i]) || !isfinite(s->hi[i]))
        return;
    double hi = y_of(p, s->hi[i]), lo = y_of(p, s->lo[i]);
    p->canvas->line(p->canvas->ctx, (struct rz_box){x, hi, 0, lo - hi}, INK, 1);
    p->canvas->line(p->canvas->ctx, (struct rz_box){x - 4, hi, 8, 0}, INK, 1);
    p->canvas->line(p->canvas->ctx, (struct rz_box){x - 4, lo, 8, 0}, INK, 1);
}

static void draw_bars(const struct plot *p, size_t i_series)
{
    const struct rz_chart_series *s = &p->c->series[i_series];
    double group = (double)PLOT_WIDTH / (double)p->c->n_labels * 0.8;
    double width = group / (double)p->c->n_series;
    for (size_t i = 0; i < p->c->n_labels; i++) {
        if (!isfinite(s->y[i]))
            continue;
        char number[RZ_CHART_NUMBER_MAX], tip[256];
        double x = x_of(p, i) - group / 2 + width * (double)i_series, y = y_of(p, s->y[i]);
        rz_chart_number(number, s->y[i]);
        snprintf(tip, sizeof tip, "%s, %s: %s", p->c->labels[i], s->name, number);
        struct rz_box bar = {x + 1, y, fmax(width - 2, 1), TOP + PLOT_HEIGHT - y};
        p->canvas->rect(p->canvas->ctx, bar, colors[i_series % RZ_ARRAY_LEN(colors)], tip);
        draw_error(p, s, i, x + width / 2);
        double above = s->hi && isfinite(s->hi[i]) ? y_of(p, s->hi[i]) : y;
        if (width >= 24)
            put(p, (struct rz_box){x + width / 2, above - 5, 11, 0}, RZ_ANCHOR_MIDDLE, number);
    }
}

static void draw_line(const struct plot *p, size_t i_series)
{
    const struct rz_chart_series *s = &p->c->series[i_series];
    uint32_t color = colors[i_series % RZ_ARRAY_LEN(colors)];
    bool drawing = false;
    double x0 = 0, y0 = 0;
    for (size_t i = 0; i < p->c->n_labels; i++) {
        if (!isfinite(s->y[i])) {
            drawing = false;
            continue;
        }
        char number[RZ_CHART_NUMBER_MAX], tip[256];
        double x = x_of(p, i), y = y_of(p, s->y[i]);
        rz_chart_number(number, s->y[i]);
        snprintf(tip, sizeof tip, "%s, %s: %s", p->c->labels[i], s->name, number);
        if (drawing)
            p->canvas->line(p->canvas->ctx, (struct rz_box){x0, y0, x - x0, y - y0}, color, 2);
        p->canvas->rect(p->canvas->ctx, (struct rz_box){x - 3, y - 3, 6, 6}, color, tip);
        draw_error(p, s, i, x);
        drawing = true;
        x0 = x;
        y0 = y;
    }
}

void rz_chart_draw(const struct rz_chart *chart, const struct rz_canvas *canvas)
{
    double step = rz_chart_step(rz_chart_max(chart), N_STEPS);
    double top = step * fmax(ceil(rz_chart_max(chart) / step * (1 - 1e-9)), 1);
    const struct plot p = {chart, canvas, top};
    canvas->rect(canvas->ctx, (struct rz_box){0, 0, RZ_CHART_WIDTH, RZ_CHART_HEIGHT}, PAPER, NULL);
    put(&p, (struct rz_box){RZ_CHART_WIDTH / 2.0, 26, 16, 0}, RZ_ANCHOR_MIDDLE, chart->title);
    draw_value_axis(&p, step);
    for (size_t s = 0; s < chart->n_series; s++) {
        if (chart->kind == RZ_CHART_BAR)
            draw_bars(&p, s);
        else
            draw_line(&p, s);
    }
    draw_labels(&p);
    draw_legend(&p);
}
