/* main.c - `apr`: finds the subcommand, parses its options, runs it, reports what went wrong and
 * leaves with the exit code that docs/cli.md gives to it. */
#include "base/fail.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A failure before the command knows its options is told in JSON too, if that was asked for. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--json"))
            return true;
    return false;
}

/* before: the word before the name on the command line, or NULL. */
static rz_status unknown_command(const char *name, const char *before, rz_error *err)
{
    const char *nearest = NULL;
    unsigned best = CLI_FAR;
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        unsigned d = cli_distance(name, (*c)->name);
        if (d < best) {
            best = d;
            nearest = (*c)->name;
        }
    }
    if (nearest && cli_is_near(name, best))
        return rz_fail(err, RZ_EUSAGE, "there is no command '%s'; did you mean '%s'?", name,
                       nearest);
    if (before)
        return rz_fail(err, RZ_EUSAGE,
                       "there is no command '%s'; if it is the value of %s, the command's name "
                       "comes before both",
                       name, before);
    return rz_fail(err, RZ_EUSAGE, "there is no command '%s'; `apr help` lists them", name);
}

static rz_status run_command(const struct cli_command *command, size_t argc, char **argv,
                             rz_error *err)
{
    void *args = calloc(1, command->args_size);
    if (!args)
        return rz_fail_nomem(err, command->args_size, "options");
    struct cli_parsed parsed;
    rz_status status = cli_parse(command, argc, argv, args, &parsed, err);
    if (!status && parsed.help) {
        cli_print_help(stdout, command);
    } else if (!status) {
        struct cli_call call = {args, parsed.operands, parsed.n_operands};
        status = command->run(&call, err);
    }
    free(args);
    return status;
}

static rz_status help(int argc, char **argv, rz_error *err)
{
    if (argc < 3) {
        cli_print_commands(stdout);
        return RZ_OK;
    }
    if (argc > 3)
        return rz_fail(err, RZ_EUSAGE, "help takes one command: apr help [COMMAND]");
    const struct cli_command *command = cli_find_command(argv[2]);
    if (!command)
        return unknown_command(argv[2], NULL, err);
    cli_print_help(stdout, command);
    return RZ_OK;
}

/* Options before the command's name (`apr --json check FILE`) belong to the command: the name is
 * moved before them. Returns the name, NULL if there is none; *before is the word that stood before
 * it. */
static char *find_name(int argc, char **argv, const char **before)
{
    int i = 1;
    while (i < argc && argv[i][0] == '-' && argv[i][1])
        i++;
    if (i == argc)
        return NULL;
    char *name = argv[i];
    *before = i > 1 ? argv[i - 1] : NULL;
    for (; i > 1; i--)
        argv[i] = argv[i - 1];
    argv[1] = name;
    return name;
}

static rz_status dispatch(int argc, char **argv, rz_error *err)
{
    if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
        puts("apr " RZ_VERSION);
        return RZ_OK;
    }
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        cli_print_commands(stdout);
        return RZ_OK;
    }
    const char *before, *name = find_name(argc, argv, &before);
    if (!name) {
        cli_print_commands(stderr);
        return rz_fail(err, RZ_EUSAGE,
                       argc < 2 ? "a command is missing"
                                : "a command is missing before the options");
    }
    if (!strcmp(name, "help"))
        return help(argc, argv, err);
    const struct cli_command *command = cli_find_command(name);
    if (!command)
        return unknown_command(name, before, err);
    return run_command(command, (size_t)argc - 2, argv + 2, err);
}

/* A standard stream that the parent closed leaves its number to the next file that is opened, and
 * what is printed would go into that file. /dev/null takes the number, opened the wrong way round,
 * so that using the stream fails as before. */
static void keep_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

int main(int argc, char **argv)
{
    keep_standard_streams();
    /* The reader of a pipe has gone: nothing is left to do, and nobody to tell. A parent may have
     * ignored the signal, so its default is set again. */
    signal(SIGPIPE, SIG_DFL);
    /* Line editing measures characters; text is UTF-8 even where the locale is "C". */
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    cli_install_fault_handler();
    bool json = wants_json(argc, argv);
    rz_error err = {0};
    rz_status status = dispatch(argc, argv, &err);
    rz_error out_err = {0};
    rz_status out_status = cli_out_flush(&out_err);
    if (!status && out_status) {
        status = out_status;
        err = out_err;
    }
    if (status && err.code)
        cli_report(&err, json && !out_status);
    return cli_exit_code(status);
}
