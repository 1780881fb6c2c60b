/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_LIMITS_H
#define GATEWAY_LIMITS_H

/*
 * How much one client may ask, so that it costs the others little. Who "one client" is:
 *
 *     a user or an API key    where credentials were shown that this gateway has verified before
 *     an address              everybody else; and whoever shows credentials for the first time pays
 *                             from both
 *
 * so nobody who is logged in pays for others behind the same address, and whoever tries credentials
 * pays from its address's bucket for each that is refused. Rates are token buckets (base/bucket.h);
 * what is taken up at one time is counted by places.h, and open connections here.
 *
 * The gateway's configuration, every member optional:
 *
 *     "limits": {"address": {"requests": 6000, "window_s": 10}, "user": {...}, "key": {...},
 *                "connections": 2000, "failed_credentials": 10,
 *                "in_flight": 256, "route_in_flight": 256,
 *                "asked_kib": 1024, "unread_kib": 8192, "unread_all_mib": 256,
 *                "shared": {"engine", "host", ...}}
 *
 * "shared" names a server on which several gateways count together (shared.h). "requests": 0 is no
 * limit. Without "limits" these numbers hold for clients of other machines, and
 * of those of this one only bytes are counted: what runs here is the operator's, or a proxy for
 * others that should be named.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bucket.h"
#include "base/text.h"
#include "gateway/client.h"
#include "gateway/identity/known.h"
#include "gateway/places.h"
#include "http/server.h"
#include "world/world.h"

struct limits;

enum limits_kind { LIMITS_ADDRESS, LIMITS_USER, LIMITS_KEY, LIMITS_KINDS };

/* How the request's client stands, for the answer's headers. */
struct limits_standing {
    bool known; /* a limit applies */
    enum limits_kind kind;
    struct bucket_standing bucket;
};

/* FH_INVALID: a sentence says what is wrong. */
enum fh_code limits_new(struct world *world, const json_t *config, size_t route_count,
                        struct limits **ret, struct fh_error *error);
/* What they need of files: before the process is confined. */
enum fh_code limits_load(const json_t *config, struct fh_error *error);
/* Nothing is told to other gateways any more. False: something still is; `limits` may be NULL. */
bool limits_stop(struct limits *limits);
void limits_free(
    struct limits *limits); /* after limits_stop; no place may be taken; NULL is fine */

/* A connection has come. It is turned away, and not counted, if its address has too many open ones;
 * it is paced if the address is over its rate, so that nobody gains by closing the connection on
 * which a request was refused, and opening another. */
enum http_admission limits_connect(struct limits *limits, const struct http_peer *peer);
/* It has ended. If no request came by it (`asked` is false), its address pays for one: handshakes
 * and bytes that are no request are not free. */
void limits_disconnect(struct limits *limits, const struct http_peer *peer, bool asked);
/* Where a request comes from. */
void limits_address(const struct limits *limits, const struct http_incoming *incoming,
                    struct client_address *ret);
/* Takes a request of the user, or, if that is NULL, of the address. False: it is over its limit. */
bool limits_take(struct limits *limits, const struct client_address *address,
                 const struct known_user *user, struct limits_standing *ret);
/* The address has shown credentials that were refused. */
void limits_charge_failure(struct limits *limits, const struct client_address *address);
/* What a client goes by: the user's name, or the address's where there is none. */
const char *limits_client(const struct client_address *address, const struct known_user *user);
/* A place to be served at, as places_take. NULL: it was shed, or the client has too much under way.
 */
struct place *limits_place(struct limits *limits, const struct client_address *address,
                           const struct known_user *user, size_t route, size_t body,
                           int64_t deadline_ns, bool *ret_shed);

/* The values of the headers of draft-ietf-httpapi-ratelimit-headers-10; only for a standing that is
 * known. `ret_retry_s`: after how many seconds a request that was refused is possible. */
#define LIMITS_HEADER_SIZE 64
void limits_headers(const struct limits *limits, const struct limits_standing *standing,
                    char ret_policy[static LIMITS_HEADER_SIZE],
                    char ret_limit[static LIMITS_HEADER_SIZE]);
int limits_retry_s(const struct limits_standing *standing);
const char *limits_kind_name(enum limits_kind kind);

void limits_metrics_text(const struct limits *limits, struct text *text);

#endif
