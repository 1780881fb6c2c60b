/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

/*
 * A request, from its head until it is replied to. Its text is its own, so it outlives the
 * connection that it came by.
 *
 * The connection has it while it is read; then the handler, until it calls http_reply, which frees
 * it unless http_request_keep was called. A server that gives up waiting (at the end of a drain's
 * grace) answers without the handler, and parts the two: the handler's reply then goes nowhere.
 */

#include "http/head.h"
#include "http/server.h"

struct http_connection;

struct request_header {
    const char *name, *value;
    size_t name_length;
};

struct http_request {
    struct http_incoming incoming;
    struct http_server *server;           /* NULL: nobody waits for the reply */
    struct http_connection *connection;   /* NULL: as above, or a virtual one */
    struct http_request *previous, *next; /* in the list of those handed over */
    bool replied;
    bool kept;  /* its text is needed after the reply: see http_request_keep */
    bool freed; /* after which only http_request_let_go remains */
    char *body;
    bool body_apart; /* in a block of its own */
    size_t body_capacity, body_expected;
    size_t size; /* of this, with headers and text */
    /* Set: a request from memory (virtual.h), without server and connection. */
    void (*virtual_replied)(void *context, const struct http_answer *answer);
    void *virtual_context;
    size_t header_count;
    struct request_header headers[]; /* followed by their text, and by a small body */
};

/* From a head that was read from `data`. NULL: no memory. */
struct http_request *request_new(const struct http_head *head, const char *data);
/* Takes a piece of the body. False: refused. */
bool request_take_body(struct http_request *request, const char *data, size_t length,
                       size_t size_max, struct http_refusal *refusal);
void request_free(struct http_request *request);

#endif
