/* generate_stop.c - stop strings, byte by byte. Invariant: after every byte, matched is the length
 * of the longest suffix of the whole text that is a prefix of the stop string, and less than its
 * length. Source: Knuth, Morris, Pratt, "Fast pattern matching in strings", 1977. */
#include "engine/generate_stop.h"

#include "base/fail.h"
#include "base/utf8.h"

#include <string.h>

static void build(struct rz_stop *s)
{
    size_t k = 0;
    s->fail[0] = 0;
    for (size_t i = 1; i < s->len; i++) {
        while (k > 0 && s->text[i] != s->text[k])
            k = s->fail[k - 1];
        if (s->text[i] == s->text[k])
            k++;
        s->fail[i] = (uint16_t)k;
    }
}

rz_status rz_stops_init(struct rz_stops *s, const char *const *texts, size_t n, rz_error *err)
{
    *s = (struct rz_stops){0};
    if (n > RZ_MAX_STOPS)
        return rz_fail(err, RZ_EUSAGE, "%zu stop strings, at most %d are allowed", n,
                       (int)RZ_MAX_STOPS);
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strnlen(texts[i], RZ_MAX_STOP_BYTES + 1);
        if (len == 0)
            return rz_fail(err, RZ_EUSAGE, "stop string %zu is empty", i + 1);
        if (len > RZ_MAX_STOP_BYTES)
            return rz_fail(err, RZ_EUSAGE, "stop string %zu is longer than %d bytes", i + 1,
                           (int)RZ_MAX_STOP_BYTES);
        /* Text is released at the border of a possible stop string: that has to be one of UTF-8. */
        if (rz_utf8_valid(texts[i], len) != len)
            return rz_fail(err, RZ_EUSAGE, "stop string %zu is not valid UTF-8", i + 1);
        s->stop[i] = (struct rz_stop){.text = texts[i], .len = len};
        total += len;
    }
    if (n == 0)
        return RZ_OK;
    s->memory = calloc(total, sizeof *s->memory);
    if (!s->memory)
        return rz_fail_nomem(err, total * sizeof *s->memory, "the stop strings");
    uint16_t *next = s->memory;
    for (size_t i = 0; i < n; i++) {
        s->stop[i].fail = next;
        next += s->stop[i].len;
        build(&s->stop[i]);
    }
    s->n = n;
    return RZ_OK;
}

void rz_stops_fini(struct rz_stops *s)
{
    free(s->memory);
    *s = (struct rz_stops){0};
}

/* True if c completes the stop string. */
static bool step(struct rz_stop *s, char c)
{
    while (s->matched > 0 && s->text[s->matched] != c)
        s->matched = s->fail[s->matched - 1];
    if (s->text[s->matched] == c)
        s->matched++;
    if (s->matched < s->len)
        return false;
    s->matched = s->fail[s->len - 1];
    return true;
}

bool rz_stops_feed(struct rz_stops *s, const char *text, size_t len, size_t *n_read,
                   size_t *stop_len)
{
    for (size_t i = 0; i < len; i++) {
        size_t longest = 0;
        for (size_t j = 0; j < s->n; j++)
            if (step(&s->stop[j], text[i]) && s->stop[j].len > longest)
                longest = s->stop[j].len;
        if (longest > 0) {
            *n_read = i + 1;
            *stop_len = longest;
            return true;
        }
    }
    return false;
}

size_t rz_stops_held(const struct rz_stops *s)
{
    size_t held = 0;
    for (size_t j = 0; j < s->n; j++)
        if (s->stop[j].matched > held)
            held = s->stop[j].matched;
    return held;
}
