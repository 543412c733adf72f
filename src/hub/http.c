/* http.c - the driver of rz_http_run over libcurl's multi interface, in one thread. A build without
 * libcurl says so here.
 *
 * Redirects are followed here and not by libcurl, so that three rules hold at every hop: the token
 * goes to the endpoint's origin only, https never becomes http, and there are MAX_HOPS at most.
 * Every retry begins at the job's own URL, since signed targets expire. */
#include "hub/http.h"

#include "base/fail.h"

#ifdef RZ_HAVE_CURL

#include "base/clock.h"
#include "hub/curl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_HOPS = 8,
    MAX_SLOTS = 16,
    TICK_MS = 100,
    WAIT_MS = 200,            /* between two questions of a job that waits */
    PROGRESS_BYTES = 1 << 20, /* that make a failure count as the first again */
    DISCARD_MAX = 1 << 20,    /* bytes of a body that nobody wants */
    RECEIVE_BYTES = 512 << 10,
    UNREACHABLE_RETRIES = 2 /* of a host that does not exist or does not listen */
};

enum job_phase {
    QUEUED,
    ACTIVE,
    FINISHED
};

struct job_state {
    enum job_phase phase;
    uint64_t not_before_ms;
    unsigned n_retries; /* in a row */
    bool waiting;
};

struct driver;

/* One connection's worth of work: a job's current attempt. */
struct slot {
    struct driver *d;
    struct rz_http_job *job; /* NULL: free */
    struct job_state *state;
    CURL *easy;
    struct curl_slist *headers;
    char *url; /* of this hop */
    unsigned n_hops;
    struct rz_http_range range;
    struct rz_http_head head;
    bool head_done;
    enum rz_http_verdict verdict;
    rz_error err; /* of a call that did not say GO */
    uint64_t n_body, last_byte_ms;
    char reason[CURL_ERROR_SIZE];
};

struct driver {
    const struct rz_http_run *run;
    CURLM *multi;
    struct slot slots[MAX_SLOTS];
    struct job_state *states;
    size_t n_slots, n_finished;
    uint64_t ticked_ms;
    char origin[RZ_HUB_URL_MAX]; /* that may see the token */
    char last_failure[RZ_ERROR_TEXT_MAX];
    struct rz_http_state told;
    rz_error *err;
};

static uint64_t now_ms(void)
{
    return (uint64_t)(rz_now_s() * 1e3);
}

static size_t on_header(char *line, size_t size, size_t n, void *user)
{
    struct slot *s = user;
    s->last_byte_ms = now_ms();
    if (rz_http_head_line(&s->head, line, size * n))
        return size * n;
    s->verdict = RZ_HTTP_FAIL;
    (void)rz_fail(&s->err, RZ_ENET, "%s: the answer's head is larger than %d bytes", s->job->what,
                  RZ_HEAD_MAX_BYTES);
    return 0;
}

/* Shows the job a head that it may want the body of. */
static void take_head(struct slot *s)
{
    if (s->head_done)
        return;
    s->head_done = true;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &s->head.code);
    if (s->verdict == RZ_HTTP_GO &&
        (s->head.code == 200 || s->head.code == 206 || s->head.code == 416))
        s->verdict = s->job->calls->head(s->job->user, &s->head, &s->err);
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct slot *s = user;
    size_t len = size * n;
    s->last_byte_ms = now_ms();
    take_head(s);
    if (s->verdict != RZ_HTTP_GO)
        return 0;
    s->n_body += len;
    if (s->head.code != 200 && s->head.code != 206)
        return s->n_body > DISCARD_MAX ? 0 : len;
    s->d->told.bytes_received += len;
    s->verdict = s->job->calls->body(s->job->user, data, len, &s->err);
    return s->verdict == RZ_HTTP_GO ? len : 0;
}

static bool add_header(struct slot *s, const char *format, const char *value)
{
    struct rz_buf line;
    rz_buf_init(&line, 16 << 10);
    rz_buf_str(&line, format);
    rz_buf_str(&line, value);
    struct curl_slist *longer = line.failed ? NULL : curl_slist_append(s->headers, line.data);
    rz_buf_fini(&line);
    if (longer)
        s->headers = longer;
    return longer != NULL;
}

/* The request's own lines for this hop. */
static bool make_headers(struct slot *s)
{
    const char *token = s->d->run->options->token;
    curl_slist_free_all(s->headers);
    s->headers = NULL;
    bool ok = add_header(s, "Accept-Encoding: ", "identity");
    if (s->range.from) {
        char range[48];
        snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)s->range.from);
        ok = ok && add_header(s, "Range: ", range);
        if (*s->range.if_range)
            ok = ok && add_header(s, "If-Range: ", s->range.if_range);
    }
    char origin[RZ_HUB_URL_MAX];
    if (token && rz_url_origin(s->url, origin, sizeof origin) && !strcmp(origin, s->d->origin))
        ok = ok && add_header(s, "Authorization: Bearer ", token);
    return ok;
}

/* Sends the request for s->url. */
static rz_status start_hop(struct slot *s)
{
    const rz_hub_options *o = s->d->run->options;
    CURL *easy = s->easy;
    curl_easy_reset(easy);
    rz_http_head_init(&s->head);
    s->head_done = false;
    s->verdict = RZ_HTTP_GO;
    s->n_body = 0;
    s->reason[0] = '\0';
    s->last_byte_ms = now_ms();
    if (!make_headers(s))
        return rz_fail_nomem(s->d->err, 0, "a request");
    rz_curl_protocols(easy, !strncasecmp(s->url, "https:", 6));
    curl_easy_setopt(easy, CURLOPT_URL, s->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "apr (librealizar)");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->reason);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, s);
    if (o->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
    if (curl_multi_add_handle(s->d->multi, easy) != CURLM_OK)
        return rz_fail_nomem(s->d->err, 0, "a connection");
    return RZ_OK;
}

static void free_slot(struct slot *s, enum job_phase phase)
{
    s->state->phase = phase;
    s->d->n_finished += phase == FINISHED;
    s->job = NULL;
    free(s->url);
    s->url = NULL;
}

/* Another attempt later, or the end of it all. reason: a sentence without the job's name. */
static rz_status retry(struct slot *s, const char *reason, unsigned max_retries, int64_t after_s)
{
    struct driver *d = s->d;
    struct job_state *state = s->state;
    uint64_t wait_ms;
    if (s->n_body >= PROGRESS_BYTES)
        state->n_retries = 0;
    snprintf(d->last_failure, sizeof d->last_failure, "%s: %s", s->job->what, reason);
    if (state->n_retries >= max_retries)
        return rz_fail(d->err, RZ_ENET, "%s (tried %u times)", d->last_failure,
                       state->n_retries + 1);
    if (!rz_http_backoff(d->run->options, state->n_retries, after_s, &wait_ms))
        return rz_fail(d->err, RZ_ENET, "%s; it asks to come back in %lld s", d->last_failure,
                       (long long)after_s);
    state->n_retries++;
    d->told.n_retries++;
    state->not_before_ms = now_ms() + wait_ms;
    free_slot(s, QUEUED);
    return RZ_OK;
}

static rz_status retry_default(struct slot *s, const char *reason)
{
    return retry(s, reason, s->d->run->options->n_retries, -1);
}

/* What a job's call said, when it was not GO. */
static rz_status obey(struct slot *s)
{
    switch (s->verdict) {
    case RZ_HTTP_DONE:
        free_slot(s, FINISHED);
        return RZ_OK;
    case RZ_HTTP_AGAIN:
        return retry_default(s, s->err.text);
    case RZ_HTTP_WAIT:
        s->state->waiting = true;
        s->state->not_before_ms = now_ms() + WAIT_MS;
        free_slot(s, QUEUED);
        return RZ_OK;
    default:
        RZ_ASSERT(s->err.code);
        return rz_fail(s->d->err, s->err.code, "%s", s->err.text);
    }
}

static rz_status start_job(struct slot *s, struct rz_http_job *job, struct job_state *state)
{
    s->job = job;
    s->state = state;
    s->n_hops = 0;
    s->n_body = 0;
    s->err = (rz_error){0};
    s->range = (struct rz_http_range){0};
    state->phase = ACTIVE;
    state->waiting = false;
    s->verdict = job->calls->begin(job->user, &s->range, &s->err);
    if (s->verdict != RZ_HTTP_GO)
        return obey(s);
    s->url = strdup(job->url);
    return s->url ? start_hop(s) : rz_fail_nomem(s->d->err, strlen(job->url), "a URL");
}

static rz_status redirect(struct slot *s)
{
    struct driver *d = s->d;
    const char *to = NULL;
    curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        return rz_fail(d->err, RZ_ENET, "%s: the server answers %ld, but not where to go",
                       s->job->what, s->head.code);
    if (++s->n_hops > MAX_HOPS)
        return rz_fail(d->err, RZ_ENET, "%s: there are more than %d redirects", s->job->what,
                       MAX_HOPS);
    bool is_https = !strncasecmp(to, "https:", 6);
    if (!is_https && !strncasecmp(s->url, "https:", 6))
        return rz_fail(d->err, RZ_ENET,
                       "%s: the server redirects from https to %s, which is refused", s->job->what,
                       to);
    if (!is_https && strncasecmp(to, "http:", 5) != 0)
        return rz_fail(d->err, RZ_ENET, "%s: the server redirects to %s, which is not HTTP",
                       s->job->what, to);
    if (s->job->calls->hop) {
        s->verdict = s->job->calls->hop(s->job->user, &s->head, &s->err);
        if (s->verdict != RZ_HTTP_GO)
            return obey(s);
    }
    char *url = strdup(to);
    if (!url)
        return rz_fail_nomem(d->err, strlen(to), "a URL");
    free(s->url);
    s->url = url;
    return start_hop(s);
}

/* A status of 400 and above, but 416. */
static rz_status refused(struct slot *s)
{
    const struct rz_http_head *h = &s->head;
    const char *what = s->job->what;
    bool has_token = s->d->run->options->token != NULL;
    if (rz_http_is_transient(h->code)) {
        curl_off_t after = 0;
        char reason[64];
        curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &after);
        snprintf(reason, sizeof reason, "the server answers %ld%s", h->code,
                 h->code == 429 ? " (too many requests)" : "");
        return retry(s, reason, s->d->run->options->n_retries, after > 0 ? (int64_t)after : -1);
    }
    const char *said = *h->error_message ? h->error_message : "no reason given";
    if (h->code == 401)
        return rz_fail(
            s->d->err, RZ_EREMOTE,
            "%s: there is no such thing, or it is private or gated%s (the server answers "
            "401: %s)",
            what, has_token ? " and HF_TOKEN does not open it" : "; HF_TOKEN may open it", said);
    if (h->code == 403)
        return rz_fail(s->d->err, RZ_EREMOTE,
                       "%s: access is not granted: it is gated or private; %s (the server answers "
                       "403: %s)",
                       what,
                       has_token ? "the account of HF_TOKEN has to be let in on its page"
                                 : "set HF_TOKEN to a token of an account that may read it",
                       said);
    if (h->code == 404 || h->code == 410)
        return rz_fail(s->d->err, RZ_EREMOTE,
                       "%s: there is no such thing (the server answers %ld: %s)", what, h->code,
                       said);
    return rz_fail(s->d->err, RZ_ENET, "%s: the server answers %ld: %s", what, h->code, said);
}

/* libcurl's failures that another attempt may not meet. */
static bool is_transient(CURLcode result)
{
    switch (result) {
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
        return true;
    default:
        return false;
    }
}

static rz_status broken(struct slot *s, CURLcode result)
{
    const char *reason = *s->reason ? s->reason : curl_easy_strerror(result);
    unsigned max_retries = s->d->run->options->n_retries;
    if (result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY ||
        result == CURLE_COULDNT_CONNECT)
        return retry(s, reason,
                     max_retries < UNREACHABLE_RETRIES ? max_retries : UNREACHABLE_RETRIES, -1);
    if (is_transient(result))
        return retry_default(s, reason);
    return rz_fail(s->d->err, RZ_ENET, "%s: %s", s->job->what, reason);
}

/* A transfer has ended, one way or another. */
static rz_status finish(struct slot *s, CURLcode result)
{
    curl_multi_remove_handle(s->d->multi, s->easy);
    long code = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &code);
    /* A head that came whole, though its body was empty or was not wanted. */
    if (result == CURLE_OK || code >= 300)
        take_head(s);
    if (s->verdict != RZ_HTTP_GO)
        return obey(s);
    if (s->head_done && code >= 300 && code < 400)
        return redirect(s);
    if (s->head_done && code >= 400)
        return refused(s);
    if (result != CURLE_OK)
        return broken(s, result);
    if (code != 200 && code != 206)
        return rz_fail(s->d->err, RZ_ENET, "%s: the server answers %ld", s->job->what, code);
    s->verdict = s->job->calls->end(s->job->user, &s->err);
    return obey(s);
}

static rz_status start_jobs(struct driver *d)
{
    uint64_t now = now_ms();
    for (size_t i = 0; i < d->n_slots; i++) {
        struct slot *s = &d->slots[i];
        for (size_t j = 0; j < d->run->n && !s->job; j++) {
            struct job_state *state = &d->states[j];
            if (state->phase == QUEUED && state->not_before_ms <= now)
                RZ_TRY(start_job(s, &d->run->jobs[j], state));
        }
    }
    return RZ_OK;
}

static rz_status take_finished(struct driver *d)
{
    CURLMsg *message;
    int n_left;
    while ((message = curl_multi_info_read(d->multi, &n_left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct slot *s = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        RZ_TRY(finish(s, result));
    }
    return RZ_OK;
}

static rz_status end_stalled(struct driver *d)
{
    uint64_t now = now_ms();
    unsigned limit = d->run->options->stall_ms;
    for (size_t i = 0; i < d->n_slots; i++) {
        struct slot *s = &d->slots[i];
        if (!s->job || now - s->last_byte_ms < limit)
            continue;
        curl_multi_remove_handle(d->multi, s->easy);
        char reason[64];
        snprintf(reason, sizeof reason, "nothing came for %.3g s", limit * 1e-3);
        RZ_TRY(retry_default(s, reason));
    }
    return RZ_OK;
}

static bool tick(struct driver *d)
{
    uint64_t now = now_ms();
    if (!d->run->tick || now - d->ticked_ms < TICK_MS)
        return true;
    d->ticked_ms = now;
    d->told.waiting = false;
    for (size_t i = 0; i < d->run->n; i++)
        d->told.waiting |= d->states[i].waiting;
    return d->run->tick(d->run->user, &d->told);
}

static rz_status drive(struct driver *d)
{
    while (true) {
        int n_running;
        RZ_TRY(start_jobs(d));
        if (curl_multi_perform(d->multi, &n_running) != CURLM_OK)
            return rz_fail(d->err, RZ_ENET, "libcurl fails");
        RZ_TRY(take_finished(d));
        RZ_TRY(end_stalled(d));
        if (d->n_finished == d->run->n) {
            if (d->run->tick) /* the last figures; too late to stop */
                (void)d->run->tick(d->run->user, &d->told);
            return RZ_OK;
        }
        if (!tick(d))
            return rz_fail(d->err, RZ_ECANCEL, "the download was stopped");
        curl_multi_poll(d->multi, NULL, 0, TICK_MS, NULL);
    }
}

static rz_status open_driver(struct driver *d)
{
    const rz_hub_options *o = d->run->options;
    if (o->token && strpbrk(o->token, "\r\n"))
        return rz_fail(d->err, RZ_EUSAGE, "HF_TOKEN holds a line feed");
    if (!rz_url_origin(o->endpoint, d->origin, sizeof d->origin))
        return rz_fail(d->err, RZ_EUSAGE, "the endpoint %s is not an http or https URL",
                       o->endpoint);
    d->states = calloc(d->run->n, sizeof *d->states);
    d->multi = curl_multi_init();
    d->n_slots = o->n_jobs < 1 ? 1 : o->n_jobs > MAX_SLOTS ? MAX_SLOTS : o->n_jobs;
    if (!d->states || !d->multi)
        return rz_fail_nomem(d->err, 0, "connections");
    for (size_t i = 0; i < d->n_slots; i++) {
        d->slots[i].d = d;
        d->slots[i].easy = curl_easy_init();
        if (!d->slots[i].easy)
            return rz_fail_nomem(d->err, 0, "a connection");
    }
    d->told.last_failure = d->last_failure;
    return RZ_OK;
}

static void close_driver(struct driver *d)
{
    for (size_t i = 0; i < d->n_slots; i++) {
        struct slot *s = &d->slots[i];
        if (s->easy && d->multi)
            curl_multi_remove_handle(d->multi, s->easy);
        curl_easy_cleanup(s->easy);
        curl_slist_free_all(s->headers);
        free(s->url);
    }
    curl_multi_cleanup(d->multi);
    free(d->states);
}

rz_status rz_http_run(const struct rz_http_run *run, rz_error *err)
{
    rz_error ignored;
    if (run->n == 0)
        return RZ_OK;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return rz_fail(err, RZ_ENET, "libcurl cannot be initialized");
    struct driver *d = calloc(1, sizeof *d);
    if (!d) {
        curl_global_cleanup();
        return rz_fail_nomem(err, sizeof *d, "connections");
    }
    d->run = run;
    d->err = err ? err : &ignored;
    rz_status status = open_driver(d);
    if (!status)
        status = drive(d);
    close_driver(d);
    free(d);
    curl_global_cleanup();
    return status;
}

#else

rz_status rz_http_run(const struct rz_http_run *run, rz_error *err)
{
    (void)run;
    return rz_fail(err, RZ_ENOTBUILT,
                   "this build of apr has no libcurl, so it cannot download; models that are on "
                   "this machine can be run");
}

#endif
