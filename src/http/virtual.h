/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_VIRTUAL_H
#define HTTP_VIRTUAL_H

/* A request without a connection: it comes from memory, and its answer goes to a function. The
 * handler can't tell it from a request that came over a socket. */

#include "http/server.h"

struct http_virtual {
    const char *method;
    const char *target; /* path and query, percent-encoded */
    const char *body;
    size_t body_length;
    const struct http_header *headers;
    size_t header_count;
    int64_t received_ns;
    /* Called once, by http_reply; the answer is valid only during the call. */
    void (*replied)(void *context, const struct http_answer *answer);
    void *context;
};

/* Copies all text and calls the handler; freed after http_reply. */
void http_virtual_send(const struct http_virtual *request, struct http_handler handler);

#endif
