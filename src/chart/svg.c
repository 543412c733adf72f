/* svg.c - a canvas that is written as SVG 1.1 (W3C Recommendation, second edition): rectangles with
 * titles, lines and texts, nothing that a viewer could run. */
#include "base/fail.h"
#include "base/utf8.h"
#include "chart/canvas.h"

#include <math.h>
#include <string.h>

/* Text for element content and attributes; what XML 1.0 has no character for becomes U+FFFD. */
static void escape(struct rz_buf *out, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int n = rz_utf8_decode(text + i, len - i, &c);
        if (n <= 0 || (c < 0x20 && c != '\t' && c != '\n') || c == 0xFFFE || c == 0xFFFF)
            rz_buf_str(out, "\xEF\xBF\xBD");
        else if (c == '<')
            rz_buf_str(out, "&lt;");
        else if (c == '>')
            rz_buf_str(out, "&gt;");
        else if (c == '&')
            rz_buf_str(out, "&amp;");
        else if (c == '"')
            rz_buf_str(out, "&quot;");
        else
            rz_buf_add(out, text + i, (size_t)n);
        i += n > 0 ? (size_t)n : 1;
    }
}

static void svg_rect(void *ctx, struct rz_box b, uint32_t color, const char *tip)
{
    struct rz_buf *out = ctx;
    rz_buf_printf(out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#%06x\"",
                  b.x, b.y, b.w, b.h, color);
    if (!tip) {
        rz_buf_str(out, "/>\n");
        return;
    }
    rz_buf_str(out, "><title>");
    escape(out, tip);
    rz_buf_str(out, "</title></rect>\n");
}

static void svg_line(void *ctx, struct rz_box b, uint32_t color, double width)
{
    rz_buf_printf(ctx,
                  "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" stroke=\"#%06x\" "
                  "stroke-width=\"%.1f\"/>\n",
                  b.x, b.y, b.x + b.w, b.y + b.h, color, width);
}

static void svg_text(void *ctx, struct rz_box b, enum rz_anchor anchor, const char *text)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    struct rz_buf *out = ctx;
    rz_buf_printf(out, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%.0f\" text-anchor=\"%s\"", b.x,
                  b.y, b.w, anchors[anchor]);
    if (b.h != 0)
        rz_buf_printf(out, " transform=\"rotate(%.0f %.2f %.2f)\"", b.h, b.x, b.y);
    rz_buf_char(out, '>');
    escape(out, text);
    rz_buf_str(out, "</text>\n");
}

struct rz_canvas rz_svg_canvas(struct rz_buf *out)
{
    return (struct rz_canvas){.ctx = out, .rect = svg_rect, .line = svg_line, .text = svg_text};
}

void rz_svg_begin(struct rz_buf *out, int width, int height, const char *title)
{
    rz_buf_printf(out,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%d\" "
                  "height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                  "fill=\"#222222\">\n<title>",
                  width, height, width, height);
    escape(out, title);
    rz_buf_str(out, "</title>\n");
}

rz_status rz_svg_end(struct rz_buf *out, rz_error *err)
{
    rz_buf_str(out, "</svg>\n");
    return out->failed ? rz_fail_nomem(err, out->len, "the picture") : RZ_OK;
}

rz_status rz_chart_svg(const struct rz_chart *chart, struct rz_buf *out, rz_error *err)
{
    RZ_TRY(rz_chart_check(chart, err));
    const struct rz_canvas canvas = rz_svg_canvas(out);
    rz_svg_begin(out, RZ_CHART_WIDTH, RZ_CHART_HEIGHT, chart->title);
    rz_chart_draw(chart, &canvas);
    return rz_svg_end(out, err);
}
