/* post.c - one POST of JSON to a server that is named by the user, such as another engine that is
 * measured beside ours. No token, no redirects, no retries. */
#include "base/buf.h"
#include "base/fail.h"

#include <realizar/hub.h>
#include <stdlib.h>
#include <string.h>

#ifdef RZ_HAVE_CURL

#include "hub/curl.h"

enum {
    CONNECT_MS = 5000
};

struct post {
    struct rz_buf answer;
    bool (*stop)(void);
    bool too_long;
};

static size_t take_body(char *data, size_t size, size_t n, void *user)
{
    struct post *p = user;
    p->too_long = !rz_buf_add(&p->answer, data, size * n);
    return p->too_long ? 0 : size * n;
}

static int ask_stop(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct post *p = user;
    (void)a, (void)b, (void)c, (void)d;
    return p->stop && p->stop();
}

static void set_up(CURL *easy, struct post *p, const char *url, const char *body,
                   struct curl_slist *headers)
{
    curl_easy_setopt(easy, CURLOPT_URL, url);
    rz_curl_protocols(easy, false);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, p);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, ask_stop);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, p);
}

static rz_status judge(CURL *easy, CURLcode code, const struct post *p, const char *url,
                       rz_error *err)
{
    long answer = 0;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return rz_fail(err, RZ_ECANCEL, "%s: stopped", url);
    if (p->too_long)
        return rz_fail(err, RZ_EFORMAT, "%s answers more than %zu bytes", url, p->answer.max);
    if (code)
        return rz_fail(err, RZ_ENET, "%s: %s", url, curl_easy_strerror(code));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer);
    if (answer != 200)
        return rz_fail(err, RZ_EREMOTE, "%s answers %ld: %.*s", url, answer,
                       (int)(p->answer.len < 200 ? p->answer.len : 200),
                       p->answer.data ? p->answer.data : "");
    return RZ_OK;
}

rz_status rz_http_post_json(rz_http_answer *out, const char *url, const char *body,
                            bool (*stop)(void), rz_error *err)
{
    struct post p = {.stop = stop};
    rz_buf_init(&p.answer, RZ_HTTP_ANSWER_MAX);
    *out = (rz_http_answer){0};
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    rz_status status;
    if (easy && headers) {
        set_up(easy, &p, url, body, headers);
        status = judge(easy, curl_easy_perform(easy), &p, url, err);
    } else {
        status = rz_fail_nomem(err, 0, "a request");
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    if (status) {
        rz_buf_fini(&p.answer);
        return status;
    }
    *out = (rz_http_answer){p.answer.data, p.answer.len};
    return RZ_OK;
}

#else

rz_status rz_http_post_json(rz_http_answer *out, const char *url, const char *body,
                            bool (*stop)(void), rz_error *err)
{
    (void)body;
    (void)stop;
    *out = (rz_http_answer){0};
    return rz_fail(err, RZ_ENOTBUILT, "%s: this apr was built without libcurl", url);
}

#endif

void rz_http_answer_free(rz_http_answer *answer)
{
    free(answer->data);
    *answer = (rz_http_answer){0};
}
