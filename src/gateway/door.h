/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DOOR_H
#define GATEWAY_DOOR_H

/*
 * What a browser could be made to do, and what the gateway lets it: by which names the system is
 * reached (against DNS rebinding), which other sites may send changes and read answers (CORS), and
 * the headers that tell a browser to do no more with an answer than it must.
 *
 * The gateway's configuration, every member optional:
 *
 *     "door": {"hosts": ["shop.example.org", "*.example.org"], "addresses": "any",
 *              "origins": ["https://app.example.org"], "credentials": true, "max_age_s": 600,
 *              "hsts_s": 31536000}
 *
 * `addresses` says which numeric hosts are accepted besides: "none", "loopback" (with localhost) or
 * "any". Without "hosts" and "addresses" every host is.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/server.h"

#define DOOR_NAMES_MAX 64
#define DOOR_HEADERS_MAX 9 /* added to an answer, at most */

enum door_addresses { DOOR_ADDRESSES_NONE, DOOR_ADDRESSES_LOOPBACK, DOOR_ADDRESSES_ANY };

struct door {
    json_t *config;                    /* the texts below are its */
    const char *hosts[DOOR_NAMES_MAX]; /* in lower case; "*.NAME": any name below it; "*": all */
    size_t host_count;
    enum door_addresses addresses;
    const char *origins[DOOR_NAMES_MAX]; /* "*": every one */
    size_t origin_count;
    bool credentials;
    char max_age[16], hsts[48]; /* values of headers; hsts: "" if there is none */
};

/* FH_INVALID: a sentence says what is wrong. `secure`: clients speak TLS with it. */
enum fh_code door_init(struct door *door, const json_t *config, bool secure,
                       struct fh_error *error);
void door_release(struct door *door);

/* Whether clients may call this system by the value of their header Host. */
bool door_knows_host(const struct door *door, const char *host);

/* What the door says of a request, by its headers. */
enum door_verdict {
    DOOR_PASS,
    DOOR_HOST_UNKNOWN, /* this system is not reached by that name */
    DOOR_CROSS_SITE,   /* a change, sent by another site's page */
    DOOR_PREFLIGHT,    /* a browser asks what a page of an allowed origin may send */
};

struct door_request {
    const char *method, *host, *origin, *fetch_site, *preflight_method; /* NULL: no such header */
};

enum door_verdict door_judge(const struct door *door, const struct door_request *request);

/* The headers that an answer gets besides `own`, of which none is given twice. `origin`: the
 * request's, or NULL. Returns their number. */
size_t door_answer_headers(const struct door *door, const char *origin,
                           const struct http_header *own, size_t own_count,
                           struct http_header ret[static DOOR_HEADERS_MAX]);

#endif
