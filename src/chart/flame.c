/* flame.c - a flame graph: boxes as wide as their share of the root, children above parents in the
 * order given. Source: Gregg, "The Flame Graph", Communications of the ACM 59(6), 2016. */
#include "base/fail.h"
#include "chart/canvas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    WIDTH = 1200,
    MARGIN = 10,
    ROW = 18,
    HEAD = 40,
    LETTER = 7, /* a letter of size 12 is about as wide */
    MAX_DEPTH = 64
};

/* Boxes of one name have one colour, a warm one. */
static uint32_t color_of(const char *name)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619U;
    return (205 + h % 50) << 16 | (80 + h / 50 % 120) << 8 | (40 + h / 6000 % 50);
}

struct place {
    double x, next; /* next: where its next child begins */
    unsigned depth;
};

static rz_status lay_out(const struct rz_flame *boxes, size_t n, struct place *at, rz_error *err)
{
    const double scale = boxes[0].value > 0 ? (WIDTH - 2 * MARGIN) / boxes[0].value : 0;
    at[0] = (struct place){.x = MARGIN, .next = MARGIN};
    for (size_t i = 1; i < n; i++) {
        struct place *parent = &at[boxes[i].parent];
        if (boxes[i].parent >= i || parent->depth + 1 >= MAX_DEPTH)
            return rz_fail(err, RZ_EUSAGE, "a flame graph's box is before its parent or too deep");
        at[i] = (struct place){.x = parent->next, .next = parent->next, .depth = parent->depth + 1};
        parent->next += boxes[i].value * scale;
    }
    return RZ_OK;
}

static void draw_box(const struct rz_canvas *c, const struct rz_flame *box, struct rz_box at,
                     const char *tip)
{
    char name[256];
    c->rect(c->ctx, at, color_of(box->name), tip);
    size_t room = at.w > LETTER ? (size_t)(at.w / LETTER) : 0;
    if (room < 3)
        return;
    snprintf(name, sizeof name, "%.*s%s", (int)(strlen(box->name) > room ? room - 2 : room),
             box->name, strlen(box->name) > room ? ".." : "");
    c->text(c->ctx, (struct rz_box){at.x + 3, at.y + 13, 12, 0}, RZ_ANCHOR_START, name);
}

rz_status rz_flame_svg(const char *title, const char *unit, const struct rz_flame *boxes, size_t n,
                       struct rz_buf *out, rz_error *err)
{
    if (n < 1)
        return rz_fail(err, RZ_EUSAGE, "a flame graph of no boxes");
    struct place *at = calloc(n, sizeof *at);
    if (!at)
        return rz_fail_nomem(err, n * sizeof *at, "the flame graph");
    rz_status status = lay_out(boxes, n, at, err);
    unsigned deepest = 0;
    for (size_t i = 0; i < n; i++)
        deepest = at[i].depth > deepest ? at[i].depth : deepest;
    const int height = HEAD + ROW * ((int)deepest + 1) + MARGIN;
    const struct rz_canvas canvas = rz_svg_canvas(out);
    const double root = boxes[0].value > 0 ? boxes[0].value : 1;
    if (!status) {
        rz_svg_begin(out, WIDTH, height, title);
        canvas.rect(out, (struct rz_box){0, 0, WIDTH, height}, 0xFFFFFF, NULL);
        canvas.text(out, (struct rz_box){WIDTH / 2.0, 24, 16, 0}, RZ_ANCHOR_MIDDLE, title);
    }
    for (size_t i = 0; !status && i < n; i++) {
        char tip[384];
        snprintf(tip, sizeof tip, "%s: %.4g %s, %.2f %%", boxes[i].name, boxes[i].value, unit,
                 100 * boxes[i].value / root);
        struct rz_box box = {at[i].x, height - MARGIN - ROW * ((double)at[i].depth + 1),
                             (WIDTH - 2 * MARGIN) * fmax(boxes[i].value, 0) / root, ROW - 1};
        draw_box(&canvas, &boxes[i], box, tip);
    }
    if (!status)
        status = rz_svg_end(out, err);
    free(at);
    return status;
}
