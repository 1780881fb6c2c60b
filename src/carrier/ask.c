/* SPDX-License-Identifier: Apache-2.0 */
/* A transfer of libcurl's alone, since who asks has no loop. The other side's certificate names its
 * address: it is told no password before that has been seen. */

#include "carrier/ask.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/server.h"

#define CONNECT_MS 1000
#define URL_SIZE 1024

static size_t take_asked_answer(char *data, size_t one, size_t count, void *context)
{
    struct carried_ask *ask = context;
    if (ask->answer)
        text_append(ask->answer, data, one * count);
    return ask->answer && ask->answer->overflow ? 0 : one * count;
}

static void set_trust(CURL *easy, const json_t *tls)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_CAINFO, server_text(tls, "ca"));
}

static void set_request(CURL *easy, const json_t *as, struct carried_ask *ask)
{
    char url[URL_SIZE];
    const json_t *tls = json_object_get(as, "tls");
    bool verified = strcmp(server_text(tls, "mode"), "verify") == 0;
    snprintf(url, sizeof url, "http%s://%s:%d%s", verified ? "s" : "", server_text(as, "host"),
             server_port(as, 0), ask->path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, verified ? "https" : "http");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)CARRIED_ASK_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_asked_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, ask);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, ask->method);
    if (ask->body)
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, ask->body);
    if (verified)
        set_trust(easy, tls);
    if (*server_text(as, "user")) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, server_text(as, "user"));
        curl_easy_setopt(easy, CURLOPT_PASSWORD, server_text(as, "password"));
    }
}

enum fh_code carried_ask(const json_t *as, struct carried_ask *ask, struct fh_error *error)
{
    CURL *easy = curl_easy_init();
    ask->status = 0;
    if (!easy)
        return error_set(error, FH_NO_MEMORY, "There is no memory to ask a server.");
    set_request(easy, as, ask);
    CURLcode result = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &ask->status);
    curl_easy_cleanup(easy);
    return result == CURLE_OK
               ? FH_OK
               : error_set(error, FH_UNAVAILABLE, "The server at %.100s:%d does not answer: %s.",
                           server_text(as, "host"), server_port(as, 0), curl_easy_strerror(result));
}
