/* plot_history.c - columns of bench/history.csv over its rows as a line chart (SVG).
 *
 *     plot_history HISTORY.csv MODEL COLUMN... > CHART.svg
 *
 * MODEL chooses rows by their column "model"; each COLUMN becomes a line, x is the commit. Fields
 * may be quoted as RFC 4180 says; an empty one is a gap. */
#include "chart/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_LINE = 1 << 14,
    MAX_FIELDS = 128,
    MAX_ROWS = RZ_CHART_MAX_POINTS
};

static void die(const char *sentence, const char *what)
{
    fprintf(stderr, "plot_history: %s %s\n", sentence, what);
    exit(1);
}

/* Cuts line into fields in place; returns their number. */
static size_t split(char *line, char *fields[MAX_FIELDS])
{
    size_t n = 0;
    char *at = line;
    line[strcspn(line, "\r\n")] = '\0';
    for (;;) {
        bool quoted = *at == '"';
        char *to = at += quoted;
        if (n == MAX_FIELDS)
            die("too many columns in", line);
        fields[n++] = to;
        while (*at && (quoted || *at != ',')) {
            if (quoted && *at == '"' && *++at != '"')
                quoted = false;
            else
                *to++ = *at++;
        }
        bool last = !*at;
        *to = '\0';
        if (last)
            return n;
        at++;
    }
}

static size_t column_of(char *const *header, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(header[i], name))
            return i;
    }
    die("there is no column", name);
    return 0;
}

struct history {
    char *labels[MAX_ROWS];
    double y[RZ_CHART_MAX_SERIES][MAX_ROWS];
    size_t n_rows;
};

static void read_rows(FILE *in, const char *model, char *const *names, size_t n_names,
                      struct history *h)
{
    char head[MAX_LINE], line[MAX_LINE], *header[MAX_FIELDS], *fields[MAX_FIELDS];
    size_t column[RZ_CHART_MAX_SERIES];
    if (!fgets(head, sizeof head, in))
        die("the history is", "empty");
    size_t n_columns = split(head, header);
    size_t i_model = column_of(header, n_columns, "model");
    size_t i_commit = column_of(header, n_columns, "commit");
    for (size_t i = 0; i < n_names; i++)
        column[i] = column_of(header, n_columns, names[i]);
    while (h->n_rows < MAX_ROWS && fgets(line, sizeof line, in)) {
        if (split(line, fields) != n_columns)
            die("a row has another number of columns:", line);
        if (strcmp(fields[i_model], model) != 0)
            continue;
        h->labels[h->n_rows] = strdup(fields[i_commit]);
        if (!h->labels[h->n_rows])
            die("no memory for", "a label");
        for (size_t i = 0; i < n_names; i++) {
            char *end;
            double v = strtod(fields[column[i]], &end);
            h->y[i][h->n_rows] = end == fields[column[i]] ? (double)NAN : v;
        }
        h->n_rows++;
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 3 > RZ_CHART_MAX_SERIES) {
        fprintf(stderr, "usage: plot_history HISTORY.csv MODEL COLUMN... > CHART.svg\n");
        return 2;
    }
    struct history *h = calloc(1, sizeof *h);
    FILE *in = fopen(argv[1], "re");
    if (!h || !in)
        die("cannot be read:", argv[1]);
    const size_t n = (size_t)argc - 3;
    read_rows(in, argv[2], argv + 3, n, h);
    fclose(in);
    struct rz_chart_series series[RZ_CHART_MAX_SERIES];
    for (size_t i = 0; i < n; i++)
        series[i] = (struct rz_chart_series){.name = argv[3 + i], .y = h->y[i]};
    const struct rz_chart chart = {.kind = RZ_CHART_LINE,
                                   .title = argv[2],
                                   .y_label = "",
                                   .labels = (const char *const *)h->labels,
                                   .n_labels = h->n_rows,
                                   .series = series,
                                   .n_series = n};
    struct rz_buf out;
    rz_error err;
    rz_buf_init(&out, RZ_CHART_MAX_BYTES);
    if (rz_chart_svg(&chart, &out, &err))
        die("no chart:", err.text);
    fwrite(out.data, 1, out.len, stdout);
    rz_buf_fini(&out);
    for (size_t i = 0; i < h->n_rows; i++)
        free(h->labels[i]);
    free(h);
    return fflush(stdout) ? 1 : 0;
}
