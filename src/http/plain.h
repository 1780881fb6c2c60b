/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PLAIN_H
#define HTTP_PLAIN_H

/*
 * Requests to services of this system that use no TLS: sent and answered here, without libcurl,
 * which needs ten times the instructions for what is the same each time (plain.c says what that
 * is). Bounds, refusals and the words for failures are libcurl's transfers', in transfer.c.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "http/head.h"

struct http_client;
struct transfer;
struct plain_connection;

/* Where a service is. Never freed before the client: its connections may be in use. */
struct plain_address {
    struct sockaddr_in socket;
    char text[INET_ADDRSTRLEN + 8]; /* "127.0.0.1:4711" */
    struct plain_connection *idle;  /* the one used last first */
    int count;                      /* connections, idle or not */
    struct transfer *waiting_first, *waiting_last;
};

/* An answer as far as it was read; zero before its first byte. */
struct plain_answer {
    enum {
        PLAIN_STATUS,
        PLAIN_HEADERS,
        PLAIN_BODY, /* `left` bytes of it */
        PLAIN_CHUNKS,
        PLAIN_REST, /* until the connection is closed */
        PLAIN_ENDED
    } state;
    size_t head_length; /* of all its heads */
    uint64_t left;
    struct chunked chunked;
    bool old; /* HTTP/1.0 */
};

/* NULL: not an IPv4 address in digits with a port; then it is libcurl's to reach. */
struct plain_address *plain_address_of(struct http_client *client, const char *address);
/* The transfer's request is written (transfer_write). False: it failed, and says why. */
bool plain_begin(struct transfer *transfer, struct plain_address *to);
/* The transfer has ended, whatever it was waiting for. */
void plain_leave(struct transfer *transfer);
void plain_free(struct http_client *client); /* once no transfer is open */

/* plain_answer.c: reads on at data[0]. READ_REFUSED: it failed, and says why. */
enum read_result plain_answer_read(struct transfer *transfer, const char *data, size_t length,
                                   size_t *ret_used);
/* The connection has ended. False: the answer was not complete, and it has failed. */
bool plain_answer_end(struct transfer *transfer);

#endif
