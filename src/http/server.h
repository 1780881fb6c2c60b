/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

/*
 * The HTTP/1.1 server on the libuv loop. A request is handed over once it has arrived completely;
 * the answer may be given at any later time. Requests are read strictly: whatever could be read in
 * two ways is refused with application/problem+json, and its connection closed (head.h).
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
struct http_answer;

#define HTTP_HEADER_SIZE_MAX ((size_t)16 << 10)

#define HTTP_PACE_MS 1000 /* to twice that, where many connections are paced at once */
/* A client that takes less than this of an answer, on the average of an idle timeout, is cut off.
 */
#define HTTP_READ_BYTES_A_SECOND 1024u

struct http_limits {
    size_t body_size_max;     /* 413 beyond; 0: 1 MiB */
    size_t header_size_max;   /* 431 beyond, 414 if the request line alone is; 0: 16 KiB */
    size_t weight_max;        /* of all requests that arrive and answers that leave; 0: 128 MiB */
    unsigned connections_max; /* 0: 10,000 */
    int idle_timeout_s; /* for a connection without a request, or a request that arrives slowly; 0:
                           60 */
};

struct http_header {
    const char *name, *value;
};

/* Where a connection comes from: an IPv6 address, or an IPv4 one mapped into it (::ffff:192.0.2.7).
 */
struct http_peer {
    unsigned char address[16];
    bool known; /* false for a Unix socket and in simulations */
};

/* A complete request. Its text is valid until http_reply, or longer: http_request_keep. */
struct http_incoming {
    struct http_request *request; /* for http_reply */
    const char *method;
    const char *path;  /* raw: still percent-encoded, without the query */
    const char *query; /* raw, without '?'; "" if there is none */
    const char *body;
    size_t body_length;
    int64_t received_ns; /* monotonic */
    int64_t held_ns;     /* how long its head was left in the socket, as far as is known */
    struct http_peer peer;
    void *user; /* for the handler's own use */
};

enum http_admission {
    HTTP_TURN_AWAY, /* it is closed at once */
    HTTP_ADMIT,
    HTTP_ADMIT_PACED /* its first request is read only after a pause, as after a paced answer */
};

struct http_handler {
    /* Called on the loop, outside fibers. Answer with http_reply, now or later, exactly once. */
    void (*incoming)(void *context, struct http_incoming *incoming);
    void *context;
    /* NULL, or: a client was cut off, since it took only `taken` bytes of its answer, of which
     * `left` are left, in a whole idle timeout. */
    void (*unread)(void *context, const struct http_peer *peer, size_t taken, size_t left);
    /* Both or none. A connection has come. One that was admitted has ended: `asked` if `incoming`
     * was called for it. */
    enum http_admission (*connected)(void *context, const struct http_peer *peer);
    void (*disconnected)(void *context, const struct http_peer *peer, bool asked);
    /* NULL, or: an answer of 400 and more leaves that is not marked as told: the server's own, or
     * one that somebody forgot. So none of the kind leaves unseen. */
    void (*untold)(void *context, const struct http_answer *answer);
    /* NULL, or: a head is here. What is returned is the answer, and `incoming` is not called: the
     * body is neither kept nor waited for. NULL: it is handed over when it is complete; until then
     * it has no received_ns. The answer is read before the next call. */
    const struct http_answer *(*shed)(void *context, const struct http_incoming *head);
};

/* Serves `listen_fd` (already listening; owned by the caller). `tls` (NULL or without certificate:
 * plain HTTP) is read only during the call; if it names an authority, clients without a certificate
 * of that authority are answered 403. */
enum fh_code http_server_new(uv_loop_t *loop, struct world *world, int listen_fd,
                             const struct http_limits *limits, const struct http_tls *tls,
                             struct http_handler handler, struct http_server **ret,
                             struct fh_error *error);
/* Accepts no new connections, and answers "Connection: close". `drained` is called on the loop when
 * all requests have been answered and their answers sent, or after grace_ms. Then free. */
void http_server_drain(struct http_server *server, int grace_ms, void (*drained)(void *),
                       void *context);
void http_server_free(struct http_server *server); /* must be drained */
/* Requests that are not yet answered, and open connections. */
void http_server_load(const struct http_server *server, unsigned *ret_requests,
                      unsigned *ret_connections);

/* A request's header by name (any case), or NULL. */
const char *http_request_header(const struct http_request *request, const char *name);
/* Calls `visit` for all headers, in order; returns their number. */
int http_request_headers(const struct http_request *request,
                         void (*visit)(void *context, const char *name, const char *value),
                         void *context);

/* The certificate of the client, in DER, which its authority has signed and not withdrawn. Only
 * while the handler's `incoming` is called. False: it has shown none. */
bool http_request_certificate(const struct http_request *request, const unsigned char **ret,
                              size_t *ret_length);

/* Whoever wants to know how long an answer takes up memory puts this into something of its own. */
struct http_held {
    void (*gone)(struct http_held *held);
};

struct http_answer {
    int status;               /* 200 to 599 */
    const char *content_type; /* NULL: application/json; ignored without a body */
    const char *body;         /* copied */
    size_t body_length;
    const struct http_header *headers;
    size_t header_count;
    /* NULL, or: `gone` is called once, when nothing of the answer is kept any more, since it was
     * sent or its connection has ended; perhaps before http_reply returns. */
    struct http_held *held;
    bool paced; /* the connection's next request is read only after HTTP_PACE_MS */
    bool shed;  /* as what http_handler.shed returns, for a request that was handed over */
    bool told;  /* of a status of 400 and more: whoever answers has logged it; see `untold` */
};
/* Keeps the request's text beyond its answer, until http_request_let_go is called, once. */
void http_request_keep(struct http_request *request);
void http_request_let_go(struct http_request *request);

/* A drain's grace was over, and the server has answered it: what http_reply sends goes nowhere. */
bool http_request_is_given_up(const struct http_request *request);

/* From the loop or a fiber. Works even if the client is gone. */
void http_reply(struct http_request *request, const struct http_answer *answer);

#endif
