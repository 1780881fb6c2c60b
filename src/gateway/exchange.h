/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

/* One request at the gateway, from its arrival to its answer. */

#include <stdint.h>

#include "call/trace.h"
#include "gateway/coding.h"
#include "gateway/door.h"
#include "gateway/identity/authenticate.h"
#include "gateway/limits.h"
#include "gateway/metrics.h"
#include "gateway/routes.h"
#include "gateway/seal.h"
#include "http/server.h"
#include "shape/problem.h"
#include "work/spans.h"
#include "world/world.h"

#define EXCHANGE_RETRY_AFTER_S 1

struct gateway_exchange {
    struct world *world;
    const struct door *door;
    struct gateway_metrics *metrics;
    struct spans *spans;
    struct authenticator *authenticator; /* NULL: the gateway asks nobody who they are */
    struct known_user *user;             /* NULL: nobody, or not known; one reference */
    enum authenticated certified;        /* by a certificate; AUTHENTICATED_USER: `user` is set */
    struct limits *limits;
    struct client_address address;
    struct limits_standing standing;
    bool paid;                 /* its user has paid for it */
    bool passed_on;            /* its answer is a service's, and in that one's log */
    struct seal *seal;         /* of positions, from when it has a route */
    struct coder *coder;       /* NULL: answers go out as they are */
    struct place *place;       /* NULL: none yet, or it needs none */
    bool paced;                /* its client asked too much: what it sends itself is read later */
    const struct route *route; /* NULL: no route */
    struct http_incoming incoming;
    int64_t deadline_ns;
    char trace[TRACE_SIZE]; /* the traceparent to pass on: of the client's trace, or a new one */
};

struct gateway_exchange *gateway_exchange_new(struct world *world, const struct door *door,
                                              struct gateway_metrics *metrics, struct spans *spans,
                                              const struct http_incoming *incoming);
/* Sets route, deadline and trace. */
void gateway_exchange_route(struct gateway_exchange *exchange, const struct route *route);

/* The client's header Authorization, if services get it: the gateway keeps the credentials that it
 * judges to itself, unless told otherwise. NULL: none. */
const char *gateway_authorization(const struct gateway_exchange *exchange);

/* Each of these answers, counts, and frees the exchange. */
void gateway_reply(struct gateway_exchange *exchange, const struct http_answer *answer);
/* allow: the header Allow, or NULL. service: the one that did not answer, or NULL; adds
 * Retry-After. */
void gateway_problem(struct gateway_exchange *exchange, enum problem_type type, const char *allow,
                     const char *service, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* gateway_problem with the header WWW-Authenticate: `challenge` (RFC 9110, 11.6.1). */
void gateway_challenge(struct gateway_exchange *exchange, enum problem_type type,
                       const char *challenge, const char *detail);
/* The same with any one header. */
void gateway_refuse(struct gateway_exchange *exchange, enum problem_type type,
                    const struct http_header *header, const char *detail);
/* The client has too much under way: 429. */
void gateway_busy(struct gateway_exchange *exchange);
/* More comes than can be done, and it was not this client's turn: 503. Nothing was done for it. */
void gateway_shed(struct gateway_exchange *exchange);
/* The client is over its limit: 429. */
void gateway_limited(struct gateway_exchange *exchange);
/* A service's answer, limited to what the public may see. */
void gateway_pass_on(struct gateway_exchange *exchange, const struct world_request *answered);

#endif
