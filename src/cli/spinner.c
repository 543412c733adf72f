/* spinner.c - a sign of life on stderr while a model loads. Only on a terminal, and only once the
 * wait is long enough to be noticed: a quick load shows nothing. */
#include "cli/cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_MS = 250,
    STEP_MS = 100
};

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stopped;
    const char *what;
    bool running, stop;
} spinner = {.mutex = PTHREAD_MUTEX_INITIALIZER, .stopped = PTHREAD_COND_INITIALIZER};

/* Waits until stopped or the time is over; the mutex is held. */
static bool wait_stopped(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (!spinner.stop)
        if (pthread_cond_timedwait(&spinner.stopped, &spinner.mutex, &until))
            break;
    return spinner.stop;
}

static void *spin(void *unused)
{
    (void)unused;
    static const char frames[] = "|/-\\";
    pthread_mutex_lock(&spinner.mutex);
    bool shown = false;
    for (int i = 0; !wait_stopped(i ? STEP_MS : FIRST_MS); i++) {
        fprintf(stderr, "\r%c %s", frames[i % 4], spinner.what);
        fflush(stderr);
        shown = true;
    }
    pthread_mutex_unlock(&spinner.mutex);
    if (shown)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    return NULL;
}

void cli_spinner_start(const char *what)
{
    const char *terminal = getenv("TERM");
    if (spinner.running || !isatty(STDERR_FILENO) || !terminal || !strcmp(terminal, "dumb"))
        return;
    spinner.what = what;
    spinner.stop = false;
    spinner.running = !pthread_create(&spinner.thread, NULL, spin, NULL);
}

void cli_spinner_stop(void)
{
    if (!spinner.running)
        return;
    pthread_mutex_lock(&spinner.mutex);
    spinner.stop = true;
    pthread_cond_signal(&spinner.stopped);
    pthread_mutex_unlock(&spinner.mutex);
    pthread_join(spinner.thread, NULL);
    spinner.running = false;
}
