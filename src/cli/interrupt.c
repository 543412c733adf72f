/* interrupt.c - signals. Ctrl-C is noted in a flag that the loops look at; a fault in the mapped
 * model file (somebody cut it off while we read it) becomes a sentence. */
#include "cli/cli.h"

#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    if (interrupted) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    interrupted = 1;
}

void cli_interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    /* Without SA_RESTART, so that a read of the terminal ends too. */
    sigaction(SIGINT, &action, NULL);
}

bool cli_interrupted(void)
{
    return interrupted;
}

void cli_interrupt_clear(void)
{
    interrupted = 0;
}

static void on_fault(int signal_number)
{
    (void)signal_number;
    static const char sentence[] = "apr: the model file was cut off or changed while it was in use,"
                                   " or its disk failed\n";
    ssize_t n = write(STDERR_FILENO, sentence, sizeof sentence - 1);
    (void)n;
    _exit(RZ_EIO);
}

void cli_install_fault_handler(void)
{
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
