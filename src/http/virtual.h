/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_VIRTUAL_H
#define HTTP_VIRTUAL_H

/* A request without a connection: from memory, and its answer to a function. Whoever takes an
 * http_incoming can't tell it from one that came by a socket. */

#include "http/server.h"

struct http_virtual {
    const char *method;
    const char *target; /* path and query, encoded */
    const char *body;
    size_t body_length;
    const struct http_header *headers;
    size_t header_count;
    int64_t received_ns;
    /* Called once, by http_reply; the answer is the caller's. */
    void (*replied)(void *context, const struct http_answer *answer);
    void *context;
};

/* Copies all text and hands it over; http_reply frees it. */
void http_virtual_send(const struct http_virtual *request, struct http_handler handler);

#endif
