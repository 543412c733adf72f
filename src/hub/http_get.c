/* http_get.c - one small resource, whole and bounded, over the driver of http.c. */
#include "base/fail.h"
#include "hub/http.h"

struct get {
    struct rz_buf *out;
    const char *what;
    const rz_hub_options *options;
};

static enum rz_http_verdict get_begin(void *user, struct rz_http_range *range, rz_error *err)
{
    (void)range;
    (void)err;
    struct get *g = user;
    g->out->len = 0; /* what an attempt that failed has left */
    return RZ_HTTP_GO;
}

static enum rz_http_verdict get_head(void *user, const struct rz_http_head *head, rz_error *err)
{
    const struct get *g = user;
    if (head->code == 200)
        return RZ_HTTP_GO;
    (void)rz_fail(err, RZ_ENET, "%s: the server answers %ld", g->what, head->code);
    return RZ_HTTP_FAIL;
}

static enum rz_http_verdict get_body(void *user, const char *data, size_t len, rz_error *err)
{
    struct get *g = user;
    if (rz_buf_add(g->out, data, len))
        return RZ_HTTP_GO;
    (void)rz_fail(err, RZ_EFORMAT, "%s: the answer is larger than %zu bytes", g->what, g->out->max);
    return RZ_HTTP_FAIL;
}

static enum rz_http_verdict get_end(void *user, rz_error *err)
{
    (void)user;
    (void)err;
    return RZ_HTTP_DONE;
}

static bool get_tick(void *user, const struct rz_http_state *state)
{
    const struct get *g = user;
    const rz_hub_progress p = {.n_retries = state->n_retries, .last_failure = state->last_failure};
    return !g->options->progress || g->options->progress(g->options->user, &p);
}

rz_status rz_http_get(struct rz_buf *out, const char *url, const char *what,
                      const rz_hub_options *options, rz_error *err)
{
    static const struct rz_http_calls calls = {
        .begin = get_begin, .head = get_head, .body = get_body, .end = get_end};
    struct get g = {.out = out, .what = what, .options = options};
    struct rz_http_job job = {.url = url, .what = what, .calls = &calls, .user = &g};
    const struct rz_http_run run = {
        .options = options, .jobs = &job, .n = 1, .tick = get_tick, .user = &g};
    return rz_http_run(&run, err);
}
