/* png.c - the canvas drawn by cairo, if the build found it. */
#include "base/fail.h"
#include "base/utf8.h"
#include "chart/canvas.h"

#ifdef RZ_HAVE_CAIRO

#include <cairo.h>
#include <string.h>

#ifdef RZ_DEBUG
/* fontconfig, which cairo asks for a font, keeps its configuration to the end; the leak sanitizer
 * asks this function what it should not report. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}
#endif

static void set_color(cairo_t *cr, uint32_t color)
{
    cairo_set_source_rgb(cr, (color >> 16 & 255) / 255.0, (color >> 8 & 255) / 255.0,
                         (color & 255) / 255.0);
}

static void png_rect(void *ctx, struct rz_box b, uint32_t color, const char *tip)
{
    (void)tip;
    set_color(ctx, color);
    cairo_rectangle(ctx, b.x, b.y, b.w, b.h);
    cairo_fill(ctx);
}

static void png_line(void *ctx, struct rz_box b, uint32_t color, double width)
{
    set_color(ctx, color);
    cairo_set_line_width(ctx, width);
    cairo_move_to(ctx, b.x, b.y);
    cairo_line_to(ctx, b.x + b.w, b.y + b.h);
    cairo_stroke(ctx);
}

/* cairo stops drawing at the first text that is no UTF-8: such bytes become question marks, and so
 * do control characters, which have no shape. */
static void clean(char *out, size_t size, const char *text)
{
    const size_t len = strlen(text);
    size_t used = 0;
    for (size_t i = 0; i < len && used + 5 < size;) {
        uint32_t c;
        int n = rz_utf8_decode(text + i, len - i, &c);
        bool shown = n > 0 && c >= 0x20 && c != 0x7F;
        size_t step = n > 0 ? (size_t)n : 1;
        if (shown)
            memcpy(out + used, text + i, step);
        else
            out[used] = '?';
        used += shown ? step : 1;
        i += step;
    }
    out[used] = '\0';
}

static void png_text(void *ctx, struct rz_box b, enum rz_anchor anchor, const char *raw)
{
    char text[512];
    clean(text, sizeof text, raw);
    const double radians = b.h * 0.017453292519943295;
    cairo_text_extents_t size;
    set_color(ctx, 0x222222);
    cairo_set_font_size(ctx, b.w);
    cairo_text_extents(ctx, text, &size);
    cairo_save(ctx);
    cairo_translate(ctx, b.x, b.y);
    cairo_rotate(ctx, radians);
    cairo_move_to(ctx, -size.x_advance * 0.5 * (double)anchor, 0);
    cairo_show_text(ctx, text);
    cairo_restore(ctx);
}

static cairo_status_t append(void *out, const unsigned char *data, unsigned n)
{
    return rz_buf_add(out, data, n) ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_NO_MEMORY;
}

rz_status rz_chart_png(const struct rz_chart *chart, struct rz_buf *out, rz_error *err)
{
    RZ_TRY(rz_chart_check(chart, err));
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, RZ_CHART_WIDTH, RZ_CHART_HEIGHT);
    cairo_t *cr = cairo_create(surface);
    const struct rz_canvas canvas = {
        .ctx = cr, .rect = png_rect, .line = png_line, .text = png_text};
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    rz_chart_draw(chart, &canvas);
    /* cairo keeps the first failure of a context; drawing on a failed one does nothing. */
    cairo_status_t failed = cairo_status(cr);
    if (!failed)
        failed = cairo_surface_write_to_png_stream(surface, append, out);
    cairo_destroy(cr);
    cairo_surface_destroy(surface);
    if (failed)
        return rz_fail(err, failed == CAIRO_STATUS_NO_MEMORY ? RZ_ENOMEM : RZ_EIO,
                       "the picture cannot be drawn: %s", cairo_status_to_string(failed));
    return RZ_OK;
}

#else

rz_status rz_chart_png(const struct rz_chart *chart, struct rz_buf *out, rz_error *err)
{
    (void)out;
    RZ_TRY(rz_chart_check(chart, err));
    return rz_fail(
        err, RZ_ENOTBUILT,
        "this build of apr draws no PNG: cairo was not found when it was configured; SVG "
        "needs no library");
}

#endif
