/* SPDX-License-Identifier: Apache-2.0 */
/* See outside.h. URLs are taken apart by libcurl, which also sends the requests: were there two
 * parsers, a URL could name one host to the first and another to the second. */

#include "http/outside.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "base/json.h"

struct outside_rules outside_rules_of(const json_t *config)
{
    const char *outside = json_string_at(config, "outside");
    return (struct outside_rules){
        .anywhere = outside && strcmp(outside, "anywhere") == 0,
        .plain = json_is_true(json_object_get(config, "outside_http")),
        .hosts = json_object_get(config, "outside_hosts"),
    };
}

bool outside_is_pattern(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    size_t length = strlen(text);
    if (strcmp(text, "*") == 0)
        return true;
    if (length == 0 || length >= OUTSIDE_HOST_SIZE)
        return false;
    if (text[0] == '[') {
        size_t inner = strspn(text + 1, "0123456789abcdef:.");
        return inner >= 2 && text[inner + 1] == ']' && text[inner + 2] == '\0';
    }
    if (strncmp(text, "*.", 2) == 0)
        text += 2;
    return text[0] && text[0] != '.' && text[0] != '-' && strspn(text, allowed) == strlen(text) &&
           text[strlen(text) - 1] != '.' && !strstr(text, "..");
}

bool outside_is_wide(const char *pattern)
{
    return pattern[0] == '*';
}

bool outside_host_matches(const char *pattern, const char *host)
{
    size_t length = strlen(host), ending = strlen(pattern);
    if (strcmp(pattern, "*") == 0)
        return true;
    if (pattern[0] != '*')
        return strcmp(pattern, host) == 0;
    ending--; /* ".example.com" */
    return length > ending && strcmp(host + length - ending, pattern + 1) == 0;
}

static bool take_host(CURLU *parsed, char *ret)
{
    char *host = NULL;
    bool taken = curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                 strlen(host) < OUTSIDE_HOST_SIZE;
    for (size_t i = 0; taken && i <= strlen(host); i++)
        ret[i] = (char)tolower((unsigned char)host[i]);
    curl_free(host);
    return taken;
}

bool outside_host_of(const char *url, char ret[static OUTSIDE_HOST_SIZE], bool *ret_plain)
{
    char *scheme = NULL;
    CURLU *parsed = curl_url();
    bool taken = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0) &&
                 take_host(parsed, ret);
    *ret_plain = taken && strcmp(scheme, "http") == 0;
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return taken;
}

/* No user info: what comes before an '@' is often a secret, and would be shown. */
bool outside_is_url(const char *text)
{
    const char *host = strstr(text, "://");
    if (!host || (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0))
        return false;
    host += 3;
    size_t length = strcspn(host, "/?#");
    if (length == 0 || memchr(host, '@', length) || strlen(text) > OUTSIDE_URL_LENGTH_MAX)
        return false;
    for (const char *at = text; *at; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '#' || *at == '\\')
            return false;
    }
    return true;
}

const char *outside_refusal(const struct outside_rules *rules, const char *url)
{
    char host[OUTSIDE_HOST_SIZE];
    bool plain;
    size_t i;
    json_t *pattern;
    if (!outside_host_of(url, host, &plain))
        return "is not an http or https URL";
    if (plain && !rules->plain)
        return "begins with http://, and the system file allows https alone (outside_http)";
    if (!rules->hosts)
        return NULL;
    json_array_foreach (rules->hosts, i, pattern) {
        if (json_is_string(pattern) && outside_host_matches(json_string_value(pattern), host))
            return NULL;
    }
    return "has a host that the system file does not allow (outside_hosts)";
}
