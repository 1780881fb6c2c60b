/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_OUTSIDE_H
#define HTTP_OUTSIDE_H

/*
 * Where requests may go that leave the system: which hosts, whether without TLS, and whether also
 * to addresses that are not on the public Internet. The client holds each request to these rules
 * when it starts it, and each connection when it makes it.
 *
 * A pattern of hosts is a host as a URL has it, in lower case ("hooks.example.com", "192.0.2.7",
 * "[2001:db8::1]"), or "*.example.com" for every name below it (not itself), or "*" for all.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define OUTSIDE_HOSTS_MAX 64
#define OUTSIDE_HOST_SIZE 256 /* with its NUL */
#define OUTSIDE_URL_LENGTH_MAX 2048

struct outside_rules {
    bool anywhere;       /* also addresses that are not on the public Internet */
    bool plain;          /* also http, where anyone on the way reads and changes what is sent */
    const json_t *hosts; /* patterns; NULL: all hosts. Borrowed */
};

/* From a process's configuration: "outside", "outside_http", "outside_hosts", which it borrows. */
struct outside_rules outside_rules_of(const json_t *config);

/* Whether it is an http or https URL, percent-encoded, without a user or a fragment. */
bool outside_is_url(const char *text);
/* What is wrong with `url` under `rules`, as the end of a sentence that begins with the URL: a
 * constant. NULL: a request may go there. */
const char *outside_refusal(const struct outside_rules *rules, const char *url);

bool outside_is_pattern(const char *text);
/* Whether more than one host can match. */
bool outside_is_wide(const char *pattern);
bool outside_host_matches(const char *pattern, const char *host);
/* The host of a URL, as libcurl understands it, in lower case. False: it has none, or it is no http
 * or https URL. */
bool outside_host_of(const char *url, char ret[static OUTSIDE_HOST_SIZE], bool *ret_plain);

#endif
