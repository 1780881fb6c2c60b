/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_INCOMING_H
#define GATEWAY_INCOMING_H

/* What the gateway's process (gateway.c) and its requests (incoming.c) share. */

#include <uv.h>

#include "gateway/documents.h"
#include "gateway/door.h"
#include "gateway/exchange.h"
#include "gateway/inside.h"
#include "gateway/limits.h"
#include "gateway/routes.h"
#include "gateway/seal.h"
#include "http/client.h"
#include "http/server.h"
#include "service/process.h"

struct gateway {
    uv_loop_t loop;
    struct world *world;
    struct http_tls links;      /* to the services */
    struct http_tls listen_tls; /* for clients; without it, plain HTTP */
    struct http_client *client;
    struct http_client *outside; /* to providers of identities; NULL: there are none */
    struct signing *signing;
    struct authenticator *authenticator; /* NULL: without "auth" */
    struct http_server *server;
    struct http_server *inside_server; /* for what is not public; NULL: no such listener */
    int inside_fd;
    unsigned serving; /* servers that have not been drained */
    struct inside inside;
    struct process process;
    struct routes routes;
    struct documents documents;
    struct door door, inside_door;
    struct limits *limits;
    struct coder coder;
    struct seal *seal;
    struct gateway_metrics metrics;
    struct spans *spans;
    int spans_fd;
    bool draining;
};

/* For the public listener: whether a connection from there is admitted, and that it has ended. */
enum http_admission gateway_connected(void *context, const struct http_peer *peer);
void gateway_disconnected(void *context, const struct http_peer *peer, bool asked);
/* Handlers of the public listener, and of the one that is inside; the context is the gateway. */
void gateway_incoming(void *context, struct http_incoming *incoming);
void gateway_inside_incoming(void *context, struct http_incoming *incoming);

#endif
