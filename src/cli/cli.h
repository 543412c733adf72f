/* cli.h - what a subcommand is, and what all of them share.
 *
 * To add the command `apr foo`:
 *   1. write src/cli/cmd_foo.c: a struct with one field per option, a table of `struct cli_option`
 *      that names those fields, the function that does the work, and one
 *      `const struct cli_command cmd_foo` that holds them all (cmd_check.c is a short example);
 *   2. add the line CLI_COMMAND(foo) to commands.def, where the order is that of `apr help`;
 *   3. write tests/cli/foo.sh (every option in the table must occur in a test: tests/cli/help.sh
 *      fails otherwise) and a section in docs/cli.md.
 * Parsing and --help are both made from the option table, so there is nothing else to keep equal.
 *
 * A command returns rz_status with its sentence in err; main() prints it and turns the status into
 * the exit code. A command that has already told its failure (a report that ends in "FAIL", an
 * answer cut by Ctrl-C) returns the status and leaves err as it found it, with code RZ_OK.
 */
#ifndef RZ_CLI_CLI_H
#define RZ_CLI_CLI_H

#include "cli/options.h"

#include <jansson.h>
#include <realizar/file.h>
#include <stdio.h>

enum {
    CLI_MAX_GROUPS = 6,
    CLI_EXIT_LIBRARY = 1,    /* memory ran out, or a failure without a code of its own */
    CLI_EXIT_SIGNAL = 128,   /* plus the signal's number, as shells do */
    CLI_MAX_INPUT = 64 << 20 /* bytes of a prompt, text or JSON file that is read whole */
};

/* One call of a command. */
struct cli_call {
    const void *args; /* the command's own struct, filled from its option tables */
    char *const *operands;
    size_t n_operands;
};

struct cli_command {
    const char *name;
    const char *operands; /* "MODEL [PROMPT]" for the usage line */
    const char *summary;  /* one line for `apr help` */
    const char *details;  /* paragraphs for `apr help NAME`; NULL: none */
    size_t min_operands, max_operands;
    size_t args_size;
    struct cli_group groups[CLI_MAX_GROUPS]; /* ends at the first without options */
    rz_status (*run)(const struct cli_call *call, rz_error *err);
};

/* All commands, in the order of commands.def; ends with NULL. */
extern const struct cli_command *const cli_commands[];

const struct cli_command *cli_find_command(const char *name);

/* ---- help.c ---- */
void cli_print_commands(FILE *to);
void cli_print_help(FILE *to, const struct cli_command *command);

/* ---- suggest.c ---- */

/* Edits (insert, delete, replace, swap neighbours) between two words, at most CLI_FAR. */
enum {
    CLI_FAR = 64
};
unsigned cli_distance(const char *a, const char *b);
/* True if a word this far from what was typed is worth suggesting. */
bool cli_is_near(const char *typed, unsigned distance);

/* ---- report.c: everything that is printed passes through here ---- */

/* "apr: sentence" on stderr; with json also {"error": {"code", "message"}} on stdout. */
void cli_report(const rz_error *err, bool json);
int cli_exit_code(rz_status status);

/* "apr: " and a line on stderr. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text that comes from a file or a model may hold control characters, which a terminal would obey:
 * these are written as \xNN, invalid UTF-8 as U+FFFD. Line feeds and tabs pass if lines is set. */
void cli_put_clean(FILE *to, const char *text, size_t len, bool lines);

/* A JSON string of any bytes (invalid UTF-8 becomes U+FFFD), and of a C string. */
json_t *cli_json_text(const char *text, size_t len);
json_t *cli_json_str(const char *text);

/* stdout. Errors: RZ_EIO. cli_out_answer flushes, so that each piece is seen at once. */
rz_status cli_out_answer(const char *text, size_t len, rz_error *err);
/* Writes doc, and takes it over; NULL: RZ_ENOMEM. */
rz_status cli_out_json(json_t *doc, rz_error *err);
/* What has been printed has arrived. Called by main() after every command. */
rz_status cli_out_flush(rz_error *err);

/* ---- spinner.c: shown on stderr while something is loaded, if stderr is a terminal ---- */
void cli_spinner_start(const char *what);
void cli_spinner_stop(void);

/* ---- interrupt.c: Ctrl-C, and a model file that shrinks under us ---- */

/* From now on a Ctrl-C is only noted; the second one in a row ends the process. */
void cli_interrupt_catch(void);
bool cli_interrupted(void);
/* The Ctrl-C has been dealt with: the next one is a first one again. */
void cli_interrupt_clear(void);
/* A page of the mapped model that has gone: one sentence and exit code 7. */
void cli_install_fault_handler(void);

#endif
