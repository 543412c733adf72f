/* options.h - option tables: parsing and --help are both made from them. */
#ifndef RZ_CLI_OPTIONS_H
#define RZ_CLI_OPTIONS_H

#include <realizar/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLI_MAX_LIST = 64 /* times that a list option may be given */
};

enum cli_type {
    CLI_FLAG,   /* bool */
    CLI_UINT,   /* struct cli_uint, min to max (max 0: no limit) */
    CLI_FLOAT,  /* struct cli_float, min to max */
    CLI_STRING, /* const char * */
    CLI_FILE,   /* const char *, not empty */
    CLI_CHOICE, /* const char *, one of arg's words, which '|' separates */
    CLI_LIST    /* struct cli_list, may be given several times */
};

/* The fields that options fill. A field that was not given keeps its zero. */
struct cli_uint {
    uint64_t value;
    bool set;
};
struct cli_float {
    double value;
    bool set;
};
struct cli_list {
    const char *items[CLI_MAX_LIST];
    size_t n;
};

/* One option. min and max are inclusive. */
struct cli_option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* short form, 0: none */
    enum cli_type type;
    const char *arg;  /* what --help calls the value; NULL for a flag */
    const char *help; /* one line */
    size_t offset;    /* of the field, from the group's base */
    double min, max;
};

/* A table of options and where in the command's struct its fields lie, so that several commands
 * can share a table. */
struct cli_group {
    const char *title;
    const struct cli_option *options;
    size_t base;
};

/* Rows of a table. */
#define CLI_ROW_FLAG(letter_, name_, offset_, help_)                                               \
    {                                                                                              \
        .name = name_, .letter = letter_, .type = CLI_FLAG, .help = help_, .offset = offset_       \
    }
#define CLI_ROW(type_, letter_, name_, arg_, offset_, help_)                                       \
    {                                                                                              \
        .name = name_, .letter = letter_, .type = type_, .arg = arg_, .help = help_,               \
        .offset = offset_                                                                          \
    }
#define CLI_ROW_RANGE(type_, letter_, name_, arg_, min_, max_, offset_, help_)                     \
    {                                                                                              \
        .name = name_, .letter = letter_, .type = type_, .arg = arg_, .help = help_,               \
        .offset = offset_, .min = min_, .max = max_                                                \
    }

struct cli_command;

/* What parsing found besides the options: operands, in order, in the same array as argv. */
struct cli_parsed {
    char **operands;
    size_t n_operands;
    bool help; /* --help or -h was given */
};

/* Parses argv[0..argc) for the command into args (zeroed, command->args_size bytes). Operands are
 * moved to the front of argv. Errors: RZ_EUSAGE. */
RZ_MUST_USE rz_status cli_parse(const struct cli_command *command, size_t argc, char **argv,
                                void *args, struct cli_parsed *out, rz_error *err);

/* Value or the default if the option was not given. */
static inline uint64_t cli_uint_or(struct cli_uint u, uint64_t otherwise)
{
    return u.set ? u.value : otherwise;
}

/* The whole of text as a number; false if it is not one or is out of range. */
bool cli_parse_uint(const char *text, uint64_t *value);
bool cli_parse_float(const char *text, double *value);

#endif
