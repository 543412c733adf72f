/* chart.h - bar charts, line charts and flame graphs as SVG, PNG or lines of text.
 *
 * A chart is data; layout.c turns it into rectangles, lines and texts on a canvas, which svg.c
 * writes as SVG 1.1 and png.c draws with cairo. Strings are UTF-8 and borrowed. */
#ifndef RZ_CHART_CHART_H
#define RZ_CHART_CHART_H

#include "base/buf.h"

#include <realizar/status.h>

enum {
    RZ_CHART_MAX_SERIES = 16,
    RZ_CHART_MAX_POINTS = 4096,
    RZ_CHART_MAX_BYTES = 16 << 20
};

enum rz_chart_kind {
    RZ_CHART_BAR, /* a group of bars per label, one bar per series */
    RZ_CHART_LINE /* x runs over the labels, evenly spaced */
};

struct rz_chart_series {
    const char *name;
    const double *y;       /* [n_labels]; NAN: nothing is drawn there */
    const double *lo, *hi; /* [n_labels] ends of an error bar; or both NULL */
};

struct rz_chart {
    enum rz_chart_kind kind;
    const char *title, *y_label; /* "" for none */
    const char *const *labels;   /* [n_labels] */
    size_t n_labels;
    const struct rz_chart_series *series; /* [n_series] */
    size_t n_series;
};

/* Errors of all: RZ_EUSAGE (no labels or series, or more than the limits), RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_chart_svg(const struct rz_chart *chart, struct rz_buf *out, rz_error *err);
/* Also RZ_ENOTBUILT without cairo. */
RZ_MUST_USE rz_status rz_chart_png(const struct rz_chart *chart, struct rz_buf *out, rz_error *err);
/* Bars of at most width columns, also for a line chart. */
RZ_MUST_USE rz_status rz_chart_text(const struct rz_chart *chart, unsigned width,
                                    struct rz_buf *out, rz_error *err);

/* A flame graph's box: as wide as its value, above its parent. */
struct rz_flame {
    const char *name;
    double value;  /* not below the sum of its children's */
    size_t parent; /* index of a box before it; the first box is the root, its parent itself */
};

/* unit follows the value in each box's tooltip: "ms". Boxes: [n], n >= 1. */
RZ_MUST_USE rz_status rz_flame_svg(const char *title, const char *unit,
                                   const struct rz_flame *boxes, size_t n, struct rz_buf *out,
                                   rz_error *err);

#endif
