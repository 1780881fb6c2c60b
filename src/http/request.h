/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

/*
 * Shared by the server's files: a connection, a request while it is read, handled and answered, and
 * answers in libmicrohttpd's form.
 *
 * A request has two owners: the library, from its head until its answer has been sent or its
 * connection has died (`native` is then NULL), and the handler, from the handover until it calls
 * http_reply. Whichever releases it last frees it. The text is in the request's own memory, so it
 * outlives the connection. http_request_keep adds a third owner.
 */

#include <microhttpd.h>

#include "http/server.h"
#include "shape/problem.h"

#define REQUEST_HEADERS_MAX 128

struct http_connection {
    struct http_server *server;
    struct MHD_Connection *native;
    struct http_connection *previous, *next; /* among those whose request is awaited */
    bool awaited;                            /* it is in that list */
    bool used;                               /* a request on it has been answered */
    bool started;                            /* a request line has arrived */
    bool stuck;                              /* had unread input at the last check */
    bool trusted; /* its certificate has been verified against the system's authority */
    uint64_t since_ms;
    char *target; /* of the request that is being read, raw; reused */
    size_t target_capacity;
};

/* All connections of a server whose request is awaited, longest first. */
struct http_awaited {
    struct http_connection *first, *last;
    uint64_t timeout_ms;
};

enum request_phase {
    REQUEST_READING, /* the handler does not know it yet */
    REQUEST_HANDING, /* the handler is being called */
    REQUEST_PARKED,  /* the handler will reply later: the connection is suspended */
    REQUEST_ANSWERED /* the library has the answer */
};

struct http_request {
    struct http_incoming incoming;
    struct http_server *server;           /* NULL: freed */
    struct MHD_Connection *native;        /* NULL: the library has released it */
    struct http_request *previous, *next; /* in the list of those handed over */
    struct MHD_Response *response;        /* made, but not yet passed to the library */
    int status;
    enum request_phase phase;
    bool replied;   /* the handler has released it */
    bool abandoned; /* the grace period of a drain is over: answered without the handler */
    bool kept;      /* its text is needed after the answer: see http_request_keep */
    bool freed;     /* both others have released it: http_request_let_go frees it */
    char *body;
    size_t body_capacity;
    bool chunked;
    /* Set: a request from memory (virtual.h), without server and library. */
    void (*virtual_replied)(void *context, const struct http_answer *answer);
    void *virtual_context;
    size_t header_count;
    struct http_header headers[]; /* followed by their text */
};

/* Why a request can't be accepted. */
struct http_refusal {
    enum problem_type type;
    int status;
    char detail[160];
};

/* Called when the head is complete. NULL: refused; with refusal->status 0: out of memory. */
struct http_request *request_new(struct http_connection *connection, const char *method,
                                 const char *version, const struct http_limits *limits,
                                 struct http_refusal *refusal);
/* Takes a piece of the body. False: refused. */
bool request_take_body(struct http_request *request, const char *data, size_t length,
                       const struct http_limits *limits, struct http_refusal *refusal);
void request_free(struct http_request *request);
/* Whether a body follows, according to the head. */
bool request_has_body(struct MHD_Connection *native);
/* Stores the raw target of the request line that has just arrived. */
bool connection_keep_target(struct http_connection *connection, const char *target);
int connection_socket(struct MHD_Connection *native);

/* Moves the connection to the end, or adds it there. */
void awaited_append(struct http_awaited *awaited, struct http_connection *connection, bool started,
                    uint64_t now_ms);
void awaited_remove(struct http_awaited *awaited, struct http_connection *connection);
uint64_t awaited_due_ms(const struct http_awaited *awaited); /* UINT64_MAX: none */
void awaited_cut_off(struct http_awaited *awaited, uint64_t now_ms);
/* Cuts off those that have had unread input since the last check, while none of their body was
 * taken. */
void awaited_cut_off_stuck(struct http_awaited *awaited);
/* Cuts off the one that has been awaited longest, unless that is `newest` or there is none. */
void awaited_give_way(struct http_awaited *awaited, const struct http_connection *newest);
/* Whether any connection is new and has not sent a request yet, or has begun to send one. A silent
 * one that was answered before doesn't count. */
bool awaited_begins(const struct http_awaited *awaited);
/* `given` (may be NULL) with defaults filled in; fewer connections if the process can't have enough
 * descriptors. */
struct http_limits limits_of(const struct http_limits *given);

/* linger.c: sockets on which an answer was sent before the whole request had arrived. */
struct http_linger {
    struct lingering *first;
    unsigned count;
};
/* Answers, and for a while goes on reading and discarding input after the library has closed the
 * connection, which it does because of this return value. */
enum MHD_Result linger_refuse(struct http_linger *linger, uv_loop_t *loop,
                              struct MHD_Connection *native, const struct http_refusal *refusal);
void linger_end(struct http_linger *linger); /* its handles are closed in the loop's next turn */

/* An answer in the library's form; *ret_status is its status (500 if a header is invalid). */
struct MHD_Response *answer_new(const struct http_answer *answer, bool close, int *ret_status);
struct MHD_Response *answer_problem(enum problem_type type, const char *detail, bool close);
/* For when the library no longer accepts an answer: writes one directly to the socket, as far as it
 * can without waiting. The connection must be closed next. */
void answer_last_words(struct MHD_Connection *native, enum problem_type type, const char *detail);

/* tls.c: the server's options, terminated, and its flag (0: plain HTTP). */
#define TLS_OPTIONS 5
unsigned tls_options(const struct http_tls *tls, struct MHD_OptionItem ret[static TLS_OPTIONS]);
/* Whether the client has shown a certificate of the trusted authority; and sending on a TLS
 * connection (false: it is a plain one). */
bool tls_peer_is_trusted(struct MHD_Connection *native);
bool tls_send(struct MHD_Connection *native, const char *data, size_t length);

#endif
