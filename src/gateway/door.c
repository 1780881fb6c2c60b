/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources: RFC 9110 section 7.2 (Host) and 15.5.20 (421), the Fetch standard's CORS protocol,
 * Fetch Metadata Request Headers (Sec-Fetch-Site), RFC 6797 (HSTS).
 *
 * A program that is no browser sends neither Origin nor Sec-Fetch-Site, and no page can take these
 * away from what a browser sends; so requests without them are let through.
 */

#include "gateway/door.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

#define HOST_SIZE 256
#define HSTS_S 31536000 /* a year */
#define MAX_AGE_S 600

static enum fh_code read_texts(const json_t *config, const char *name,
                               const char *ret[static DOOR_NAMES_MAX], size_t *ret_count,
                               struct fh_error *error)
{
    size_t i;
    json_t *item;
    const json_t *list = json_object_get(config, name);
    *ret_count = 0;
    if (!list)
        return FH_OK;
    if (!json_is_array(list) || json_array_size(list) > DOOR_NAMES_MAX)
        return error_set(error, FH_INVALID, "\"door\": \"%s\" must be a list of at most %d texts.",
                         name, DOOR_NAMES_MAX);
    json_array_foreach (list, i, item) {
        if (!json_is_string(item))
            return error_set(error, FH_INVALID, "\"door\": each of \"%s\" must be a text.", name);
        ret[(*ret_count)++] = json_string_value(item);
    }
    return FH_OK;
}

static enum fh_code read_addresses(struct door *door, struct fh_error *error)
{
    static const char *const words[] = {
        [DOOR_ADDRESSES_NONE] = "none",
        [DOOR_ADDRESSES_LOOPBACK] = "loopback",
        [DOOR_ADDRESSES_ANY] = "any",
    };
    const char *given = json_string_at(door->config, "addresses");
    door->addresses = DOOR_ADDRESSES_NONE;
    for (size_t i = 0; given && i < sizeof words / sizeof *words; i++) {
        if (strcmp(given, words[i]) != 0)
            continue;
        door->addresses = (enum door_addresses)i;
        return FH_OK;
    }
    if (!given && !json_object_get(door->config, "addresses"))
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "\"door\": \"addresses\" must be \"none\", \"loopback\" or \"any\".");
}

enum fh_code door_init(struct door *door, const json_t *config, bool secure, struct fh_error *error)
{
    json_int_t hsts_s = HSTS_S, max_age_s = MAX_AGE_S;
    *door = (struct door){.config = json_incref(json_object_get(config, "door"))};
    if (door->config && !json_is_object(door->config))
        return error_set(error, FH_INVALID, "\"door\" must be an object.");
    enum fh_code code = read_texts(door->config, "hosts", door->hosts, &door->host_count, error);
    if (code == FH_OK)
        code = read_texts(door->config, "origins", door->origins, &door->origin_count, error);
    if (code == FH_OK)
        code = read_addresses(door, error);
    if (code != FH_OK)
        return code;
    if (!door->host_count && !json_object_get(door->config, "addresses"))
        door->hosts[door->host_count++] = "*";
    door->credentials = json_is_true(json_object_get(door->config, "credentials"));
    json_integer_at(door->config, "max_age_s", &max_age_s);
    json_integer_at(door->config, "hsts_s", &hsts_s);
    snprintf(door->max_age, sizeof door->max_age, "%d", (int)max_age_s);
    if (secure && hsts_s > 0)
        snprintf(door->hsts, sizeof door->hsts, "max-age=%d", (int)hsts_s);
    return FH_OK;
}

void door_release(struct door *door)
{
    json_decref(door->config);
    *door = (struct door){0};
}

/* ---- Hosts ---- */

static bool port_is_sound(const char *text)
{
    return *text == '\0' || (*text == ':' && strlen(text) <= 6 &&
                             strspn(text + 1, "0123456789") == strlen(text + 1));
}

/* "Shop.Example.org.:8080" -> "shop.example.org"; "[::1]:80" -> "::1". False: it is no host. */
static bool parse_host(const char *value, char ret[static HOST_SIZE])
{
    bool bracketed = value[0] == '[';
    const char *begin = value + bracketed;
    size_t length = strcspn(begin, bracketed ? "]" : ":");
    const char *end = begin + length;
    if (length == 0 || length >= HOST_SIZE || (bracketed && *end != ']') ||
        !port_is_sound(end + bracketed))
        return false;
    for (size_t i = 0; i < length; i++)
        ret[i] = (char)tolower((unsigned char)begin[i]);
    if (!bracketed && length > 1 && ret[length - 1] == '.')
        length--;
    ret[length] = '\0';
    return true;
}

static bool is_numeric_host(const char *host, bool *ret_loopback)
{
    struct in_addr four;
    struct in6_addr six;
    bool is_four = inet_pton(AF_INET, host, &four) == 1;
    bool is_six = !is_four && inet_pton(AF_INET6, host, &six) == 1;
    *ret_loopback =
        is_four ? ntohl(four.s_addr) >> 24 == 127 : is_six && IN6_IS_ADDR_LOOPBACK(&six);
    return is_four || is_six;
}

static bool host_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_listed_host(const struct door *door, const char *host)
{
    for (size_t i = 0; i < door->host_count; i++) {
        const char *known = door->hosts[i];
        if (strcmp(known, "*") == 0 || strcmp(known, host) == 0 ||
            (known[0] == '*' && host_ends_with(host, known + 1)))
            return true;
    }
    return false;
}

bool door_knows_host(const struct door *door, const char *host)
{
    char name[HOST_SIZE];
    bool loopback;
    if (!parse_host(host, name))
        return false;
    if (is_listed_host(door, name))
        return true;
    if (is_numeric_host(name, &loopback))
        return door->addresses == DOOR_ADDRESSES_ANY ||
               (door->addresses == DOOR_ADDRESSES_LOOPBACK && loopback);
    return door->addresses != DOOR_ADDRESSES_NONE &&
           (strcmp(name, "localhost") == 0 || host_ends_with(name, ".localhost"));
}

/* ---- Sites ---- */

static bool origin_is_listed(const struct door *door, const char *origin)
{
    for (size_t i = 0; i < door->origin_count; i++) {
        if (strcmp(door->origins[i], "*") == 0 || strcasecmp(door->origins[i], origin) == 0)
            return true;
    }
    return false;
}

/* Whether the page came from where the request goes. The scheme is not compared: behind something
 * that speaks TLS for the gateway, the page's is https and the request's is http. */
static bool origin_is_own(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

static bool method_changes(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
           strcmp(method, "OPTIONS") != 0;
}

/* "none": the user typed the address, or chose a bookmark. */
static bool site_is_foreign(const struct door_request *request)
{
    if (request->fetch_site)
        return strcmp(request->fetch_site, "same-origin") != 0 &&
               strcmp(request->fetch_site, "none") != 0;
    return request->origin && !origin_is_own(request->origin, request->host);
}

enum door_verdict door_judge(const struct door *door, const struct door_request *request)
{
    if (request->host && !door_knows_host(door, request->host))
        return DOOR_HOST_UNKNOWN;
    bool listed = request->origin && origin_is_listed(door, request->origin);
    if (strcmp(request->method, "OPTIONS") == 0 && request->preflight_method && listed)
        return DOOR_PREFLIGHT;
    if (method_changes(request->method) && !listed && site_is_foreign(request))
        return DOOR_CROSS_SITE;
    return DOOR_PASS;
}

/* ---- Answers ---- */

#define READABLE_HEADERS                                                                           \
    "Location, Link, Retry-After, ETag, Age, Preference-Applied, WWW-Authenticate, Allow, "        \
    "RateLimit, RateLimit-Policy, Freehold-At, Freehold-As-Of"

static bool has_own_header(const struct http_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(headers[i].name, name) == 0)
            return true;
    }
    return false;
}

size_t door_answer_headers(const struct door *door, const char *origin,
                           const struct http_header *own, size_t own_count,
                           struct http_header ret[static DOOR_HEADERS_MAX])
{
    bool listed = origin && origin_is_listed(door, origin);
    const struct http_header all[DOOR_HEADERS_MAX] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", door->origin_count ? "cross-origin" : "same-origin"},
        {"Strict-Transport-Security", *door->hsts ? door->hsts : NULL},
        {"Access-Control-Allow-Origin", listed ? origin : NULL},
        {"Access-Control-Allow-Credentials", listed && door->credentials ? "true" : NULL},
        {"Access-Control-Expose-Headers", listed ? READABLE_HEADERS : NULL},
        {"Vary", door->origin_count ? "Origin" : NULL},
    };
    size_t count = 0;
    for (size_t i = 0; i < DOOR_HEADERS_MAX; i++) {
        if (all[i].value && !has_own_header(own, own_count, all[i].name))
            ret[count++] = all[i];
    }
    return count;
}
