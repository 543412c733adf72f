/* options.c - the command line, read by the option tables. An option that a table does not hold is
 * an error, with the nearest one that it does; a repeated option's last value counts. */
#include "cli/options.h"

#include "base/fail.h"
#include "cli/cli.h"
#include "cli/fetch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const struct cli_command *command;
    size_t argc, next; /* next: the argument to be read */
    char **argv;
    void *args;
    rz_error *err;
};

/* An option of the table together with its place in the command's struct. */
struct match {
    const struct cli_option *option; /* NULL: none */
    void *field;
};

bool cli_parse_uint(const char *text, uint64_t *value)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    *value = v;
    return !errno && !*end;
}

bool cli_parse_float(const char *text, double *value)
{
    if (!*text || strchr(" \t\n\r\v\f", *text))
        return false;
    char *end;
    *value = strtod(text, &end);
    return !*end && !isnan(*value);
}

static struct match find_option(const struct parser *p, const char *name, size_t len, char letter)
{
    for (const struct cli_group *g = p->command->groups; g->options; g++) {
        for (const struct cli_option *o = g->options; o->name; o++) {
            bool same =
                name ? strlen(o->name) == len && !memcmp(o->name, name, len) : o->letter == letter;
            if (same)
                return (struct match){o, (char *)p->args + g->base + o->offset};
        }
    }
    return (struct match){0};
}

static rz_status unknown_option(const struct parser *p, const char *arg, size_t len)
{
    char typed[64];
    len = len < sizeof typed - 1 ? len : sizeof typed - 1;
    memcpy(typed, arg, len);
    typed[len] = '\0';
    const char *nearest = NULL;
    unsigned best = CLI_FAR;
    for (const struct cli_group *g = p->command->groups; g->options; g++) {
        for (const struct cli_option *o = g->options; o->name; o++) {
            unsigned d = cli_distance(typed, o->name);
            if (d < best) {
                best = d;
                nearest = o->name;
            }
        }
    }
    if (nearest && cli_is_near(typed, best))
        return rz_fail(p->err, RZ_EUSAGE, "%s has no option --%s; did you mean --%s?",
                       p->command->name, typed, nearest);
    return rz_fail(p->err, RZ_EUSAGE, "%s has no option --%s; `apr help %s` lists those it has",
                   p->command->name, typed, p->command->name);
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *word = choices; len; word++) {
        size_t n = strcspn(word, "|");
        if (n == len && !memcmp(word, value, len))
            return true;
        word += n;
        if (!*word)
            break;
    }
    return false;
}

static rz_status bad_number(const struct parser *p, const struct cli_option *o, const char *value)
{
    const char *kind = o->type == CLI_UINT ? "a whole number" : "a number";
    if (o->max > o->min)
        return rz_fail(p->err, RZ_EUSAGE, "--%s takes %s from %.10g to %.10g, not '%s'", o->name,
                       kind, o->min, o->max, value);
    return rz_fail(p->err, RZ_EUSAGE, "--%s takes %s, not '%s'", o->name, kind, value);
}

static rz_status store_number(const struct parser *p, struct match m, const char *value)
{
    const struct cli_option *o = m.option;
    bool bounded = o->max > o->min;
    if (o->type == CLI_UINT) {
        struct cli_uint *u = m.field;
        uint64_t v;
        if (!cli_parse_uint(value, &v) || (bounded && ((double)v < o->min || (double)v > o->max)))
            return bad_number(p, o, value);
        *u = (struct cli_uint){v, true};
        return RZ_OK;
    }
    struct cli_float *f = m.field;
    double v;
    if (!cli_parse_float(value, &v) || (bounded && (v < o->min || v > o->max)))
        return bad_number(p, o, value);
    *f = (struct cli_float){v, true};
    return RZ_OK;
}

static rz_status store(const struct parser *p, struct match m, const char *value)
{
    const struct cli_option *o = m.option;
    switch (o->type) {
    case CLI_FLAG:
        *(bool *)m.field = true;
        return RZ_OK;
    case CLI_UINT:
    case CLI_FLOAT:
        return store_number(p, m, value);
    case CLI_FILE:
        if (!*value)
            return rz_fail(p->err, RZ_EUSAGE, "--%s needs the name of a file", o->name);
        break;
    case CLI_CHOICE:
        if (!is_choice(o->arg, value))
            return rz_fail(p->err, RZ_EUSAGE, "--%s takes %s, not '%s'", o->name, o->arg, value);
        break;
    case CLI_STRING:
        break;
    case CLI_LIST: {
        struct cli_list *list = m.field;
        if (list->n == CLI_MAX_LIST)
            return rz_fail(p->err, RZ_EUSAGE, "--%s may be given %d times", o->name, CLI_MAX_LIST);
        list->items[list->n++] = value;
        return RZ_OK;
    }
    }
    *(const char **)m.field = value;
    return RZ_OK;
}

static rz_status parse_long(struct parser *p, const char *arg)
{
    size_t len = strcspn(arg, "=");
    if (len == strlen("offline") && !memcmp(arg, "offline", len)) {
        if (arg[len])
            return rz_fail(p->err, RZ_EUSAGE, "--offline takes no value");
        cli_set_offline();
        return RZ_OK;
    }
    struct match m = find_option(p, arg, len, 0);
    if (!m.option)
        return unknown_option(p, arg, len);
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;
    if (m.option->type == CLI_FLAG) {
        if (value)
            return rz_fail(p->err, RZ_EUSAGE, "--%s takes no value", m.option->name);
    } else if (!value) {
        if (p->next == p->argc)
            return rz_fail(p->err, RZ_EUSAGE, "--%s needs a value: --%s %s", m.option->name,
                           m.option->name, m.option->arg);
        value = p->argv[p->next++];
    }
    return store(p, m, value);
}

/* One argument of short options: "-v", "-qv", "-n5", "-n 5". */
static rz_status parse_short(struct parser *p, const char *arg, bool *help)
{
    for (const char *c = arg; *c; c++) {
        if (*c == 'h') {
            *help = true;
            return RZ_OK;
        }
        struct match m = find_option(p, NULL, 0, *c);
        if (!m.option)
            return rz_fail(p->err, RZ_EUSAGE,
                           "%s has no option -%c; `apr help %s` lists those it has",
                           p->command->name, *c, p->command->name);
        if (m.option->type == CLI_FLAG) {
            RZ_TRY(store(p, m, NULL));
            continue;
        }
        const char *value = c[1] ? c + 1 : p->next < p->argc ? p->argv[p->next++] : NULL;
        if (!value)
            return rz_fail(p->err, RZ_EUSAGE, "-%c needs a value: -%c %s", *c, *c, m.option->arg);
        return store(p, m, value);
    }
    return RZ_OK;
}

static rz_status check_operands(const struct cli_command *c, const struct cli_parsed *out,
                                rz_error *err)
{
    if (out->n_operands < c->min_operands)
        return rz_fail(err, RZ_EUSAGE, "%s needs more arguments: apr %s %s", c->name, c->name,
                       c->operands);
    if (out->n_operands > c->max_operands)
        return rz_fail(err, RZ_EUSAGE,
                       "%s does not know what to do with '%s': apr %s %s (quote a text of several "
                       "words)",
                       c->name, out->operands[c->max_operands], c->name, c->operands);
    return RZ_OK;
}

rz_status cli_parse(const struct cli_command *command, size_t argc, char **argv, void *args,
                    struct cli_parsed *out, rz_error *err)
{
    struct parser p = {.command = command, .argc = argc, .argv = argv, .args = args, .err = err};
    *out = (struct cli_parsed){.operands = argv};
    bool options_end = false;
    while (p.next < argc) {
        char *arg = argv[p.next++];
        if (options_end || arg[0] != '-' || !arg[1]) {
            argv[out->n_operands++] = arg;
        } else if (!strcmp(arg, "--")) {
            options_end = true;
        } else if (!strcmp(arg, "--help")) {
            out->help = true;
        } else if (arg[1] == '-') {
            RZ_TRY(parse_long(&p, arg + 2));
        } else {
            RZ_TRY(parse_short(&p, arg + 1, &out->help));
        }
        if (out->help)
            return RZ_OK;
    }
    return check_operands(command, out, err);
}
