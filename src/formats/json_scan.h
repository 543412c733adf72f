/* json_scan.h - reads a JSON text from front to back without building a tree of it.
 *
 * For texts that are large or hostile (a SafeTensors header, a vocabulary): every fault is named
 * with its byte, and nothing is allocated. What has been passed is checked: RFC 8259's grammar,
 * strict UTF-8, no lone surrogates, a depth of at most RZ_JSON_MAX_DEPTH. Small documents go to
 * jansson instead. */
#ifndef RZ_FORMATS_JSON_SCAN_H
#define RZ_FORMATS_JSON_SCAN_H

#include <realizar/file.h>

enum {
    RZ_JSON_MAX_DEPTH = 64
};

struct rz_json {
    const char *data;
    size_t len, pos;
    const char *label; /* of the file, for messages */
    size_t base;       /* where data begins in it */
    rz_error *err;
};

/* "FILE: JSON at byte AT: ..." as RZ_EFORMAT; at counts from data. */
#define rz_json_bad(...) RZ_NOT_OK(rz_json_bad_fill(__VA_ARGS__))
rz_status rz_json_bad_fill(struct rz_json *j, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The next character that is no white space, not taken; '\0' at the end. */
char rz_json_peek(struct rz_json *j);

/* Takes '{' or '['. */
RZ_MUST_USE rz_status rz_json_open(struct rz_json *j, char open);

/* Whether another element follows in what open began; takes the comma before it, or the end. Start
 * with *n = 0, it counts the elements. */
RZ_MUST_USE rz_status rz_json_more(struct rz_json *j, char open, size_t *n, bool *more);

/* What stands between the quotes, escapes as they are. */
RZ_MUST_USE rz_status rz_json_string(struct rz_json *j, rz_slice *raw);
/* A string and the colon behind it. */
RZ_MUST_USE rz_status rz_json_key(struct rz_json *j, rz_slice *raw);

/* An integer without sign, fraction and exponent. */
RZ_MUST_USE rz_status rz_json_u64(struct rz_json *j, uint64_t *value);

/* Any value; *range is its text. */
RZ_MUST_USE rz_status rz_json_skip(struct rz_json *j, rz_slice *range);

/* Nothing but white space is left. */
RZ_MUST_USE rz_status rz_json_end(struct rz_json *j);

/* Resolves the escapes of a string that rz_json_string gave. out holds raw.len bytes and may be
 * raw.data itself; returns the length. */
size_t rz_json_unescape(rz_slice raw, char *out);

#endif
