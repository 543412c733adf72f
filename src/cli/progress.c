/* progress.c - a bar with rate and time left. Nothing is written where nobody would see it move: no
 * terminal, a dumb one, or --quiet. */
#include "cli/progress.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WIDTH = 24,
    WHAT_WIDTH = 30
};

static const double first_s = 0.3, step_s = 0.1;

void cli_progress_start(struct cli_progress *p, bool quiet)
{
    const char *terminal = getenv("TERM");
    *p = (struct cli_progress){.started = rz_now_s()};
    p->shown = !quiet && isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

static void put_time(double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        fprintf(stderr, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(stderr, "%ld:%02ld", s / 60, s % 60);
}

void cli_progress_draw(struct cli_progress *p, const char *what, uint64_t done_bytes,
                       uint64_t total_bytes)
{
    double now = rz_now_s();
    char bar[WIDTH + 1], rate[CLI_BYTES_MAX];
    if (!p->shown || now - p->started < first_s || now - p->last < step_s || total_bytes == 0)
        return;
    p->last = now;
    p->drawn = true;
    double part = (double)done_bytes / (double)total_bytes;
    double per_s = (double)(done_bytes - p->begin_bytes) / (now - p->started);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < (int)(part * WIDTH) ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r\033[K[%s] %3d%%  %s/s  ", bar, (int)(part * 100),
            cli_bytes(rate, (uint64_t)per_s));
    put_time(per_s > 0 ? (double)(total_bytes - done_bytes) / per_s : 0);
    fputs(" left  ", stderr);
    size_t len = what ? strlen(what) : 0;
    cli_put_clean(stderr, what ? what : "", len < WHAT_WIDTH ? len : WHAT_WIDTH, false);
    fflush(stderr);
}

void cli_progress_stop(struct cli_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    p->shown = p->drawn = false;
}
