/* input.h - lines from the person: edited and remembered on a terminal, plain otherwise. */
#ifndef RZ_CLI_INPUT_H
#define RZ_CLI_INPUT_H

#include "base/buf.h"

#include <realizar/status.h>

enum {
    CLI_MAX_LINE = 16 << 20 /* bytes of a message */
};

struct cli_input;

/* Whether stdin is a terminal decides on everything. A history that cannot be read or made is a
 * note on stderr. Errors: RZ_ENOMEM. */
rz_status cli_input_open(struct cli_input **out, rz_error *err);
/* Writes the history. */
void cli_input_close(struct cli_input **in);
bool cli_input_is_terminal(const struct cli_input *in);

enum cli_input_result {
    CLI_INPUT_TEXT,
    CLI_INPUT_END,       /* Ctrl-D, or the end of the file */
    CLI_INPUT_INTERRUPT, /* Ctrl-C */
    CLI_INPUT_FAILED     /* err is set: RZ_EIO, RZ_ENOMEM, RZ_EUSAGE (longer than CLI_MAX_LINE) */
};

/* Reads one message into text (emptied first), without its last line feed. A line that ends with a
 * backslash goes on in the next; from """ to """ everything is text. */
enum cli_input_result cli_input_message(struct cli_input *in, struct rz_buf *text, rz_error *err);

#endif
