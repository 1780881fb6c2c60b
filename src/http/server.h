/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

/*
 * The HTTP/1.1 server: libmicrohttpd in its external-epoll mode inside the libuv loop. A request
 * is handed over once it is whole; its answer may come at any later time. What the library is too
 * lenient about is refused here (two Content-Lengths, Content-Length with Transfer-Encoding, no
 * or two Hosts, malformed methods), with application/problem+json.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "http/tls.h"
#include "world/world.h"

struct http_server;
struct http_request;

struct http_limits {
    size_t body_size_max;     /* 413 beyond; 0: 1 MiB */
    size_t header_size_max;   /* 431 beyond; 0: 16 KiB, request line included */
    unsigned connections_max; /* 0: 10,000 */
    int idle_timeout_s; /* a connection without a request, or a request that trickles; 0: 60 */
};

struct http_header {
    const char *name, *value;
};

/* A whole request; all text lives until its reply has been given, or longer: http_request_keep. */
struct http_incoming {
    struct http_request *request; /* to reply to */
    const char *method;
    const char *path;  /* raw: still percent-encoded, without the query */
    const char *query; /* raw, without '?'; "" when there is none */
    const char *body;
    size_t body_length;
    int64_t received_ns; /* monotonic */
    void *user;          /* the handler's own, may be set */
};

struct http_handler {
    /* On the loop, outside fibers. Answer with http_reply, now or later, exactly once. */
    void (*incoming)(void *context, struct http_incoming *incoming);
    void *context;
};

/* Serves `listen_fd` (already listening; owned by the caller). `tls` (NULL or without certificate:
 * plain HTTP) is read here, and not kept; where it names an authority, clients without a
 * certificate of it are answered 403. */
enum fh_code http_server_new(uv_loop_t *loop, struct world *world, int listen_fd,
                             const struct http_limits *limits, const struct http_tls *tls,
                             struct http_handler handler, struct http_server **ret,
                             struct fh_error *error);
/* Takes no new connection, answers "Connection: close"; `drained` is called on the loop when every
 * request taken has been answered and its answer sent, or after grace_ms. Then free. */
void http_server_drain(struct http_server *server, int grace_ms, void (*drained)(void *),
                       void *context);
void http_server_free(struct http_server *server); /* drained before */
/* requests taken and not yet answered; connections open */
void http_server_load(const struct http_server *server, unsigned *ret_requests,
                      unsigned *ret_connections);

/* A request's header by name (any case), or NULL. */
const char *http_request_header(const struct http_request *request, const char *name);
/* All headers, in order; returns how many were given to `visit`. */
int http_request_headers(const struct http_request *request,
                         void (*visit)(void *context, const char *name, const char *value),
                         void *context);

struct http_answer {
    int status;
    const char *content_type; /* NULL: application/json; ignored without body */
    const char *body;         /* copied */
    size_t body_length;
    const struct http_header *headers;
    size_t header_count;
};
/* For who reads the request's text behind its answer: keeps it until it is let go, once. */
void http_request_keep(struct http_request *request);
void http_request_let_go(struct http_request *request);

/* From the loop or a fiber. The client may be gone: that is not the caller's concern. */
void http_reply(struct http_request *request, const struct http_answer *answer);

#endif
