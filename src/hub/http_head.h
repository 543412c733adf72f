/* http_head.h - what apr reads of a response's head, and what a status means for trying again. */
#ifndef RZ_HUB_HTTP_HEAD_H
#define RZ_HUB_HTTP_HEAD_H

#include <realizar/hub.h>

enum {
    RZ_ETAG_MAX = 256,           /* with its quotes; a longer one is not kept */
    RZ_HEAD_MAX_BYTES = 64 << 10 /* of all lines of one head */
};

/* Start from rz_http_head_init for every response. */
struct rz_http_head {
    long code;
    size_t n_bytes;
    uint64_t content_length;                      /* RZ_HUB_SIZE_UNKNOWN: not told */
    uint64_t range_first, range_last, range_size; /* of Content-Range; has_range */
    bool has_range;
    bool range_is_bad; /* a Content-Range that cannot be read */
    uint64_t linked_size;
    char etag[RZ_ETAG_MAX];
    char linked_etag[RZ_ETAG_MAX]; /* without quotes */
    char error_code[64], error_message[256];
};

void rz_http_head_init(struct rz_http_head *h);

/* One line of a head, with or without its line end. False if the head is longer than its limit. */
bool rz_http_head_line(struct rz_http_head *h, const char *line, size_t len);

/* A response with which the next try may be luckier: 408, 425, 429, 500, 502, 503, 504. */
bool rz_http_is_transient(long code);

/* Milliseconds to wait before retry i_retry (from 0). retry_after_s: what the server asked for,
 * below 0: nothing. False if it asked for more than the policy's backoff_max_ms. */
bool rz_http_backoff(const rz_hub_options *policy, unsigned i_retry, int64_t retry_after_s,
                     uint64_t *wait_ms);

/* True if the ETag may be sent in If-Range: a strong one (RFC 9110, 13.1.5). */
bool rz_etag_is_strong(const char *etag);

/* "https://host:port" of a URL in lower case, the default port written out. False if there is
 * none, or the scheme is neither http nor https. */
bool rz_url_origin(const char *url, char *origin, size_t max);

#endif
