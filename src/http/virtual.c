/* SPDX-License-Identifier: Apache-2.0 */
/* A request from memory: the server's own struct, without server and connection, in one block with
 * its headers and texts. */

#define _GNU_SOURCE
#include "http/virtual.h"

#include <stdlib.h>
#include <string.h>

#include "http/request.h"

static size_t virtual_size_of(const struct http_virtual *from)
{
    size_t size = strlen(from->method) + strlen(from->target) + from->body_length + 4;
    for (size_t i = 0; i < from->header_count; i++)
        size += strlen(from->headers[i].name) + strlen(from->headers[i].value) + 2;
    return size + from->header_count * sizeof(struct http_header);
}

void http_virtual_send(const struct http_virtual *from, struct http_handler handler)
{
    FH_ASSERT(from->header_count <= HEAD_FIELDS_MAX);
    struct http_request *request = calloc(1, sizeof *request + virtual_size_of(from));
    FH_ASSERT(request != NULL);
    char *at = (char *)&request->headers[from->header_count];
    request->virtual_replied = from->replied;
    request->virtual_context = from->context;
    request->header_count = from->header_count;
    for (size_t i = 0; i < from->header_count; i++) {
        request->headers[i].name = at;
        at = stpcpy(at, from->headers[i].name) + 1;
        request->headers[i].value = at;
        at = stpcpy(at, from->headers[i].value) + 1;
    }
    struct http_incoming *incoming = &request->incoming;
    *incoming = (struct http_incoming){
        .request = request, .body_length = from->body_length, .received_ns = from->received_ns};
    incoming->method = at;
    at = stpcpy(at, from->method) + 1;
    incoming->path = at;
    char *end = stpcpy(at, from->target), *query = strchr(at, '?');
    incoming->query = query ? query + 1 : end;
    if (query)
        *query = '\0';
    incoming->body = end + 1;
    if (from->body_length)
        memcpy(end + 1, from->body, from->body_length);
    handler.incoming(handler.context, incoming);
}
