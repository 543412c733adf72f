/* canvas.h - what a layout draws on: pixels from the top left, colours 0xRRGGBB. */
#ifndef RZ_CHART_CANVAS_H
#define RZ_CHART_CANVAS_H

#include "chart/chart.h"

#include <stdint.h>

enum rz_anchor {
    RZ_ANCHOR_START,
    RZ_ANCHOR_MIDDLE,
    RZ_ANCHOR_END
};

struct rz_box {
    double x, y, w, h;
};

struct rz_canvas {
    void *ctx;
    /* tip: shown when pointed at; NULL for none. */
    void (*rect)(void *ctx, struct rz_box box, uint32_t color, const char *tip);
    /* From the box's corner (x, y) to (x + w, y + h). */
    void (*line)(void *ctx, struct rz_box box, uint32_t color, double width);
    /* (x, y) is the baseline; of box, w is the size of the letters and h the angle in degrees. */
    void (*text)(void *ctx, struct rz_box box, enum rz_anchor anchor, const char *text);
};

enum {
    RZ_CHART_WIDTH = 960,
    RZ_CHART_HEIGHT = 480
};

/* Draws the chart on RZ_CHART_WIDTH x RZ_CHART_HEIGHT pixels. */
void rz_chart_draw(const struct rz_chart *chart, const struct rz_canvas *canvas);

/* RZ_EUSAGE unless the chart is within the limits. */
RZ_MUST_USE rz_status rz_chart_check(const struct rz_chart *chart, rz_error *err);

/* The canvas that appends SVG elements to a buffer, and what stands around them. */
struct rz_canvas rz_svg_canvas(struct rz_buf *out);
void rz_svg_begin(struct rz_buf *out, int width, int height, const char *title);
RZ_MUST_USE rz_status rz_svg_end(struct rz_buf *out, rz_error *err);

/* The largest of the chart's values and of its error bars' ends, at least 0. */
double rz_chart_max(const struct rz_chart *chart);

/* A round number not below max / n_steps: 1, 2 or 5 times a power of ten; 1 if max is not positive.
 */
double rz_chart_step(double max, int n_steps);

/* A value as people write it: "0.0123", "4.56", "1234"; in text, which is returned. */
enum {
    RZ_CHART_NUMBER_MAX = 32
};
const char *rz_chart_number(char text[RZ_CHART_NUMBER_MAX], double v);

#endif
