/* progress.h - how far a long piece of work is, on stderr, if that is a terminal. */
#ifndef RZ_CLI_PROGRESS_H
#define RZ_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Start from cli_progress_start; redrawn a few times a second at most. */
struct cli_progress {
    bool shown, drawn;
    double started, last;
    uint64_t begin_bytes; /* done before the start: they do not count for the rate */
};

void cli_progress_start(struct cli_progress *p, bool quiet);
/* what: "blk.3.ffn_up.weight". */
void cli_progress_draw(struct cli_progress *p, const char *what, uint64_t done_bytes,
                       uint64_t total_bytes);
/* Wipes the line. */
void cli_progress_stop(struct cli_progress *p);

#endif
