/* curl.h - what both users of libcurl set alike. Only for builds with it. */
#ifndef RZ_HUB_CURL_H
#define RZ_HUB_CURL_H

#include <curl/curl.h>
#include <stdbool.h>

/* Nothing but HTTP, whatever else this libcurl can speak. */
static inline void rz_curl_protocols(CURL *easy, bool https_only)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, https_only ? "https" : "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                     (long)(CURLPROTO_HTTPS | (https_only ? 0 : CURLPROTO_HTTP)));
#endif
}

#endif
