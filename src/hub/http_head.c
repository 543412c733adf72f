/* http_head.c - reading heads (RFC 9110: 14.4 Content-Range, 8.8.3 ETag) and deciding about
 * retries. Everything here is told by a server, so nothing is believed about its length. */
#include "hub/http_head.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void rz_http_head_init(struct rz_http_head *h)
{
    *h = (struct rz_http_head){.content_length = RZ_HUB_SIZE_UNKNOWN,
                               .linked_size = RZ_HUB_SIZE_UNKNOWN};
}

/* Decimal digits at *text, which moves behind them. */
static bool digits(const char **text, const char *end, uint64_t *value)
{
    const char *p = *text;
    *value = 0;
    while (p < end && *p >= '0' && *p <= '9') {
        unsigned digit = (unsigned)(*p++ - '0');
        if (*value > (UINT64_MAX - 1 - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    bool any = p > *text;
    *text = p;
    return any;
}

/* "bytes 5-9/10", "bytes 5-9/ *", and of a 416 "bytes * /10" (without the spaces). */
static void read_range(struct rz_http_head *h, const char *p, const char *end)
{
    h->has_range = h->range_is_bad = true;
    h->range_size = RZ_HUB_SIZE_UNKNOWN;
    if (end - p < 6 || strncasecmp(p, "bytes ", 6) != 0)
        return;
    p += 6;
    if (p < end && *p == '*') {
        h->range_first = h->range_last = RZ_HUB_SIZE_UNKNOWN;
        p++;
    } else if (!digits(&p, end, &h->range_first) || p == end || *p++ != '-' ||
               !digits(&p, end, &h->range_last) || h->range_last < h->range_first) {
        return;
    }
    if (p == end || *p++ != '/')
        return;
    if (p < end && *p == '*')
        p++;
    else if (!digits(&p, end, &h->range_size))
        return;
    h->range_is_bad =
        p != end || (h->range_last != RZ_HUB_SIZE_UNKNOWN && h->range_last >= h->range_size);
}

/* A value that does not fit, or holds control characters, counts as absent. */
static void keep(char *out, size_t max, const char *p, const char *end)
{
    size_t len = (size_t)(end - p);
    out[0] = '\0';
    if (len >= max)
        return;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7F)
            return;
    memcpy(out, p, len);
    out[len] = '\0';
}

static void keep_unquoted(char *out, size_t max, const char *p, const char *end)
{
    if (end - p >= 2 && p[0] == 'W' && p[1] == '/')
        p += 2;
    if (end - p >= 2 && *p == '"' && end[-1] == '"') {
        p++;
        end--;
    }
    keep(out, max, p, end);
}

static void read_number(uint64_t *out, const char *p, const char *end)
{
    uint64_t value;
    if (digits(&p, end, &value) && p == end)
        *out = value;
}

bool rz_http_head_line(struct rz_http_head *h, const char *line, size_t len)
{
    h->n_bytes += len;
    if (h->n_bytes > RZ_HEAD_MAX_BYTES)
        return false;
    const char *end = line + len;
    while (end > line && isspace((unsigned char)end[-1]))
        end--;
    if (end - line > 5 && !strncasecmp(line, "HTTP/", 5)) {
        size_t n = h->n_bytes;
        rz_http_head_init(h);
        h->n_bytes = n; /* of all heads before the body, so that 1xx answers come to an end */
        return true;
    }
    const char *colon = memchr(line, ':', (size_t)(end - line));
    if (!colon)
        return true;
    const char *p = colon + 1;
    while (p < end && isspace((unsigned char)*p))
        p++;
    size_t n = (size_t)(colon - line);
#define IS(name) (n == sizeof(name) - 1 && !strncasecmp(line, name, n))
    if (IS("Content-Length"))
        read_number(&h->content_length, p, end);
    else if (IS("Content-Range"))
        read_range(h, p, end);
    else if (IS("ETag"))
        keep(h->etag, sizeof h->etag, p, end);
    else if (IS("X-Linked-Etag"))
        keep_unquoted(h->linked_etag, sizeof h->linked_etag, p, end);
    else if (IS("X-Linked-Size"))
        read_number(&h->linked_size, p, end);
    else if (IS("X-Error-Code"))
        keep(h->error_code, sizeof h->error_code, p, end);
    else if (IS("X-Error-Message"))
        keep(h->error_message, sizeof h->error_message, p, end);
#undef IS
    return true;
}

bool rz_http_is_transient(long code)
{
    return code == 408 || code == 425 || code == 429 || code == 500 || code == 502 || code == 503 ||
           code == 504;
}

bool rz_http_backoff(const rz_hub_options *policy, unsigned i_retry, int64_t retry_after_s,
                     uint64_t *wait_ms)
{
    uint64_t wait = (uint64_t)policy->backoff_ms << (i_retry < 20 ? i_retry : 20);
    *wait_ms = wait < policy->backoff_max_ms ? wait : policy->backoff_max_ms;
    if (retry_after_s < 0)
        return true;
    if (retry_after_s > policy->backoff_max_ms / 1000)
        return false;
    if ((uint64_t)retry_after_s * 1000 > *wait_ms)
        *wait_ms = (uint64_t)retry_after_s * 1000;
    return true;
}

bool rz_etag_is_strong(const char *etag)
{
    size_t len = strlen(etag);
    return len >= 2 && etag[0] == '"' && etag[len - 1] == '"' && !memchr(etag + 1, '"', len - 2);
}

bool rz_url_origin(const char *url, char *origin, size_t max)
{
    bool is_https = !strncasecmp(url, "https://", 8);
    if (!is_https && strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + (is_https ? 8 : 7);
    size_t n = strcspn(host, "/?#\\");
    if (n == 0 || memchr(host, '@', n))
        return false;
    /* A colon after the brackets of an IPv6 address, or the only one. */
    const char *bracket = memchr(host, ']', n);
    const char *from = bracket ? bracket : host;
    const char *colon = memchr(from, ':', n - (size_t)(from - host));
    const char *port = is_https ? ":443" : ":80";
    int len = snprintf(origin, max, "%s://%.*s%s", is_https ? "https" : "http", (int)n, host,
                       colon ? "" : port);
    if (len < 0 || (size_t)len >= max)
        return false;
    for (char *p = origin; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return true;
}
