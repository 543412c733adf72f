/* help.c - `apr help` and `apr help COMMAND`, made from the tables that are parsed by. */
#include "cli/cli.h"

#include <string.h>

enum {
    HELP_COLUMN = 30, /* where the explanations begin */
    LINE_MAX_COLUMNS = 96
};

/* Prints text from column on, broken at spaces, continued at the same column. */
static void print_wrapped(FILE *to, const char *text, int column)
{
    int at = column;
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (at > column && at + 1 + len > LINE_MAX_COLUMNS) {
            fprintf(to, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', to);
            at++;
        }
        fprintf(to, "%.*s", len, text);
        at += len;
        text += len;
        text += *text == ' ';
    }
    fputc('\n', to);
}

static void print_option(FILE *to, const struct cli_option *o)
{
    char left[64];
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->arg)
        n += snprintf(left + n, sizeof left - (size_t)n, " %s", o->arg);
    if (n > HELP_COLUMN - 2)
        fprintf(to, "%s\n%*s", left, HELP_COLUMN, "");
    else
        fprintf(to, "%-*s", HELP_COLUMN, left);
    print_wrapped(to, o->help, HELP_COLUMN);
}

void cli_print_help(FILE *to, const struct cli_command *c)
{
    fprintf(to, "usage: apr %s%s%s [options]\n\n", c->name, *c->operands ? " " : "", c->operands);
    char first = c->summary[0];
    if (first >= 'a' && first <= 'z')
        first = (char)(first - 'a' + 'A');
    fprintf(to, "%c%s.\n", first, c->summary + 1);
    if (c->details) {
        fputc('\n', to);
        for (const char *p = c->details; *p;) {
            size_t len = strcspn(p, "\n");
            fprintf(to, "%.*s\n", (int)len, p);
            p += len + (p[len] == '\n');
        }
    }
    for (const struct cli_group *g = c->groups; g->options; g++) {
        fprintf(to, "\n%s:\n", g->title);
        for (const struct cli_option *o = g->options; o->name; o++)
            print_option(to, o);
    }
    fprintf(to, "\n      --offline%*sdownload nothing: only what is on this machine\n",
            HELP_COLUMN - 15, "");
    fprintf(to, "  -h, --help%*sshow this\n", HELP_COLUMN - 12, "");
}

void cli_print_commands(FILE *to)
{
    fputs("usage: apr COMMAND [options]\n\n"
          "Runs, measures, checks and converts language models on this computer's CPU.\n\n",
          to);
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        fprintf(to, "  %-10s ", (*c)->name);
        print_wrapped(to, (*c)->summary, 13);
    }
    fputs(
        "\n`apr help COMMAND` shows a command's options, `apr --version` the version.\n"
        "MODEL is a .gguf file, a SafeTensors model's folder, a name (org/repo, hf://..., a URL,\n"
        "tiny, small, medium, large) of what is downloaded then, or `demo`: the small model that\n"
        "comes with apr.\n",
        to);
}
