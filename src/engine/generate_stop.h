/* generate_stop.h - finds stop strings in a text that arrives in pieces. */
#ifndef RZ_ENGINE_GENERATE_STOP_H
#define RZ_ENGINE_GENERATE_STOP_H

#include <realizar/generate.h>

/* One automaton per stop string; how the text is cut into pieces does not matter. Start from
 * rz_stops_init. */
struct rz_stops {
    size_t n;
    struct rz_stop {
        const char *text; /* borrowed */
        size_t len;
        uint16_t *fail; /* [len] into memory */
        size_t matched; /* the longest end of the text that begins this stop string */
    } stop[RZ_MAX_STOPS];
    uint16_t *memory;
};

/* texts are borrowed for as long as *s is used. Errors: RZ_EUSAGE, RZ_ENOMEM. */
RZ_MUST_USE rz_status rz_stops_init(struct rz_stops *s, const char *const *texts, size_t n,
                                    rz_error *err);
void rz_stops_fini(struct rz_stops *s);

/* Feeds the next len bytes. True if a stop string ends in them: *n_read is then the number of bytes
 * up to the first such end and *stop_len the length of the stop string (the longest, if several end
 * there). */
bool rz_stops_feed(struct rz_stops *s, const char *text, size_t len, size_t *n_read,
                   size_t *stop_len);

/* Bytes at the end of the text so far that may turn out to begin a stop string. */
size_t rz_stops_held(const struct rz_stops *s);

#endif
