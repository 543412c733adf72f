/* http.h - several GET requests at once, with redirects, retries and limits.
 *
 * A job is one resource that is wanted. The driver asks it where to begin, hands over head and body
 * of the answer, and tries again as the policy says. All calls come from the thread that called
 * rz_http_run, one at a time. */
#ifndef RZ_HUB_HTTP_H
#define RZ_HUB_HTTP_H

#include "base/buf.h"
#include "hub/http_head.h"

/* What a job says to the driver. */
enum rz_http_verdict {
    RZ_HTTP_GO,    /* go on */
    RZ_HTTP_DONE,  /* the job is finished */
    RZ_HTTP_AGAIN, /* this attempt is of no use: another one, as the policy allows */
    RZ_HTTP_WAIT,  /* (begin only) ask again in a moment; no attempt is counted */
    RZ_HTTP_FAIL   /* stop everything; err is filled */
};

/* What the next attempt asks for. */
struct rz_http_range {
    uint64_t from;              /* 0: all of it */
    char if_range[RZ_ETAG_MAX]; /* "": no such condition */
};

struct rz_http_calls {
    enum rz_http_verdict (*begin)(void *user, struct rz_http_range *range, rz_error *err);
    /* A redirect's head, for what it tells about the file. NULL: not wanted. */
    enum rz_http_verdict (*hop)(void *user, const struct rz_http_head *head, rz_error *err);
    /* The head of a 200, 206 or 416. GO: the body follows. AGAIN: err says why, for the user. */
    enum rz_http_verdict (*head)(void *user, const struct rz_http_head *head, rz_error *err);
    enum rz_http_verdict (*body)(void *user, const char *data, size_t len, rz_error *err);
    /* All of the body has come, as far as HTTP can tell. */
    enum rz_http_verdict (*end)(void *user, rz_error *err);
};

struct rz_http_job {
    const char *url;
    const char *what; /* for sentences: "org/repo, file x" */
    const struct rz_http_calls *calls;
    void *user;
};

/* How a run is going; the caller adds what it knows. */
struct rz_http_state {
    uint64_t bytes_received;
    unsigned n_retries;
    const char *last_failure;
    bool waiting;
};

struct rz_http_run {
    const rz_hub_options *options; /* policy, token, endpoint, n_jobs */
    struct rz_http_job *jobs;
    size_t n;
    /* Called several times a second; false: stop. NULL: nothing. */
    bool (*tick)(void *user, const struct rz_http_state *state);
    void *user;
};

/* Until all jobs are done or one has failed. Errors: RZ_ENET, RZ_EREMOTE (401, 403, 404, 410),
 * RZ_EUSAGE (a URL or token that cannot be sent), RZ_ENOTBUILT (no libcurl), RZ_ECANCEL,
 * RZ_ENOMEM, and what jobs fail with. */
RZ_MUST_USE rz_status rz_http_run(const struct rz_http_run *run, rz_error *err);

/* One small resource, whole. Errors: as above; RZ_EFORMAT: it is larger than out->max. */
RZ_MUST_USE rz_status rz_http_get(struct rz_buf *out, const char *url, const char *what,
                                  const rz_hub_options *options, rz_error *err);

#endif
