/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

/*
 * What the server's files share: a connection, a request while it is read, handled and answered,
 * and the answers that are made for libmicrohttpd.
 *
 * A request has two owners: the library, from its head on until its answer was sent or its
 * connection died (`native` is then NULL), and the handler, from when it is handed over until it
 * calls http_reply. The last of the two to let go frees it. Its text is in its own memory, so it
 * outlives the connection. Whoever keeps it (http_request_keep) is a third owner.
 */

#include <microhttpd.h>

#include "http/server.h"

#define REQUEST_HEADERS_MAX 128

struct http_connection {
    struct http_server *server;
    struct MHD_Connection *native;
    struct http_connection *previous, *next; /* among those whose request is awaited */
    bool awaited;                            /* in that list */
    bool used;                               /* a request of it was answered */
    bool started;                            /* a request line has come */
    bool stuck;                              /* had unread input at the last look */
    bool trusted;                            /* its certificate was looked at, and is one of ours */
    uint64_t since_ms;
    char *target; /* of the request that is being read, raw; reused */
    size_t target_capacity;
};

/* All of one server whose request is awaited, longest first. */
struct http_awaited {
    struct http_connection *first, *last;
    uint64_t timeout_ms;
};

enum request_phase {
    REQUEST_READING, /* the handler does not know of it */
    REQUEST_HANDING, /* the handler is being called */
    REQUEST_PARKED,  /* the handler will answer later: the connection is suspended */
    REQUEST_ANSWERED /* the library has the answer */
};

struct http_request {
    struct http_incoming incoming;
    struct http_server *server;           /* NULL: gone */
    struct MHD_Connection *native;        /* NULL: the library is done with it */
    struct http_request *previous, *next; /* among those handed over */
    struct MHD_Response *response;        /* made, and not yet given to the library */
    int status;
    enum request_phase phase;
    bool replied;   /* the handler has let go */
    bool abandoned; /* past the grace of a drain: answered without the handler */
    bool kept;      /* its text is read behind the answer */
    bool freed;     /* ... by who frees it when he lets go */
    char *body;
    size_t body_capacity;
    bool chunked;
    /* Set: it came from memory, see virtual.h, and has neither server nor library. */
    void (*virtual_replied)(void *context, const struct http_answer *answer);
    void *virtual_context;
    size_t header_count;
    struct http_header headers[]; /* then their text */
};

/* Why a request cannot be taken. */
struct http_refusal {
    int status;
    char detail[160];
};

/* From a head that is complete. NULL: refused. No memory: NULL, with status 0. */
struct http_request *request_new(struct http_connection *connection, const char *method,
                                 const char *version, const struct http_limits *limits,
                                 struct http_refusal *refusal);
/* Takes a piece of the body. False: refused. */
bool request_take_body(struct http_request *request, const char *data, size_t length,
                       const struct http_limits *limits, struct http_refusal *refusal);
void request_free(struct http_request *request);
/* A body is on its way, as far as the head says so. */
bool request_has_body(struct MHD_Connection *native);
/* Keeps the raw target of the request line that has just come. */
bool connection_keep_target(struct http_connection *connection, const char *target);

/* At the end, whether it is there already or not. */
void awaited_append(struct http_awaited *awaited, struct http_connection *connection, bool started,
                    uint64_t now_ms);
void awaited_remove(struct http_awaited *awaited, struct http_connection *connection);
uint64_t awaited_due_ms(const struct http_awaited *awaited); /* UINT64_MAX: none */
void awaited_cut_off(struct http_awaited *awaited, uint64_t now_ms);
/* Those that have unread input since the look before, though none of their body was taken. */
void awaited_cut_off_stuck(struct http_awaited *awaited);
/* Cuts off the one awaited longest, unless it is the newest or there is none. */
void awaited_give_way(struct http_awaited *awaited, const struct http_connection *newest);
/* Somebody has connected and not asked yet, or has begun to ask. Who was answered before and is
 * silent now is none of them. */
bool awaited_begins(const struct http_awaited *awaited);
/* What is not given (NULL: nothing) as it is by default; fewer connections where the process may
 * not have so many descriptors. */
struct http_limits limits_of(const struct http_limits *given);
int connection_socket(struct MHD_Connection *native);

/* linger.c: sockets that were answered before their request had come whole. */
struct http_linger {
    struct lingering *first;
    unsigned count;
};
/* Answers, and reads on and drops what comes for a while when the library has closed the
 * connection, as it does by what this returns. */
enum MHD_Result linger_refuse(struct http_linger *linger, uv_loop_t *loop,
                              struct MHD_Connection *native, const struct http_refusal *refusal);
void linger_end(struct http_linger *linger); /* its handles are closed with the loop's next turn */

/* The library's form of an answer; *ret_status is its status (500 where a header is impossible). */
struct MHD_Response *answer_new(const struct http_answer *answer, bool close, int *ret_status);
struct MHD_Response *answer_problem(int status, const char *detail, bool close);
/* Where the library takes no answer any more: writes one on its socket, as far as that goes
 * without waiting. The connection must be closed next. */
void answer_last_words(struct MHD_Connection *native, int status, const char *detail);

/* tls.c: the server's options, ended, and its flag (0: plain HTTP). */
#define TLS_OPTIONS 5
unsigned tls_options(const struct http_tls *tls, struct MHD_OptionItem ret[static TLS_OPTIONS]);
/* Whether the other side has shown a certificate of the authority that the server trusts;
 * and sending on a connection with TLS (false: it is a plain one). */
bool tls_peer_is_trusted(struct MHD_Connection *native);
bool tls_send(struct MHD_Connection *native, const char *data, size_t length);

#endif
