/* commands.c - the table of subcommands, from commands.def. */
#include "cli/cli.h"

#include <string.h>

#define CLI_COMMAND(name) extern const struct cli_command cmd_##name;
#include "cli/commands.def"
#undef CLI_COMMAND

const struct cli_command *const cli_commands[] = {
#define CLI_COMMAND(name) &cmd_##name,
#include "cli/commands.def"
#undef CLI_COMMAND
    NULL,
};

const struct cli_command *cli_find_command(const char *name)
{
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}
