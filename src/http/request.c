/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's memory: one block with its headers and their text, which is the head as it came, with
 * a NUL in place of the byte that follows each part (a space, a colon, a CR). A small body that was
 * announced lies behind it; any other grows in a block of its own as it arrives, so that nobody
 * takes memory by announcing much.
 *
 * The target is used as it arrived: an encoded slash and %00 are data, never structure.
 */

#define _GNU_SOURCE
#include "http/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BODY_INSIDE_MAX 4096u /* of an announced body that gets no block of its own */
#define BODY_BEGIN ((size_t)16 << 10)

static const char *end_span(char *text, const struct http_head *head, struct head_span span)
{
    char *at = text + (span.at - head->start);
    at[span.length] = '\0';
    return at;
}

struct http_request *request_new(const struct http_head *head, const char *data)
{
    size_t text_size = head->length - head->start;
    size_t inside =
        head->body_length && head->body_length <= BODY_INSIDE_MAX ? head->body_length + 1 : 0;
    size_t headers_size = head->field_count * sizeof(struct request_header);
    struct http_request *request = malloc(sizeof *request + headers_size + text_size + inside);
    if (!request)
        return NULL;
    *request = (struct http_request){.incoming = {.request = request, .body = ""},
                                     .size = sizeof *request + headers_size + text_size,
                                     .header_count = head->field_count,
                                     .body_expected = head->body_length};
    char *text = (char *)&request->headers[head->field_count];
    memcpy(text, data + head->start, text_size);
    if (inside) {
        request->incoming.body = request->body = text + text_size;
        request->body[0] = '\0';
        request->body_capacity = inside - 1;
    }
    request->incoming.method = end_span(text, head, head->method);
    request->incoming.path = end_span(text, head, head->path);
    request->incoming.query = end_span(text, head, head->query);
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct head_field *field = &head->fields[i];
        request->headers[i] = (struct request_header){.name = end_span(text, head, field->name),
                                                      .value = end_span(text, head, field->value),
                                                      .name_length = field->name.length};
    }
    return request;
}

static bool grow_body(struct http_request *request, size_t needed)
{
    size_t capacity = needed * 2 < BODY_BEGIN ? BODY_BEGIN : needed * 2;
    if (request->body_expected >= needed && request->body_expected < capacity)
        capacity = request->body_expected;
    char *memory = realloc(request->body_apart ? request->body : NULL, capacity + 1);
    if (!memory)
        return false;
    request->incoming.body = request->body = memory;
    request->body_apart = true;
    request->body_capacity = capacity;
    return true;
}

bool request_take_body(struct http_request *request, const char *data, size_t length,
                       size_t size_max, struct http_refusal *refusal)
{
    struct http_incoming *incoming = &request->incoming;
    if (length > size_max - incoming->body_length)
        return refusal_set(refusal, PROBLEM_BODY_TOO_LARGE,
                           "The body has more than the %zu bytes that are accepted.", size_max);
    size_t needed = incoming->body_length + length;
    if (needed > request->body_capacity && !grow_body(request, needed))
        return refusal_set(refusal, PROBLEM_OVERLOADED, "There is no memory for the body now.");
    memcpy(request->body + incoming->body_length, data, length);
    request->body[needed] = '\0';
    incoming->body_length = needed;
    return true;
}

void request_free(struct http_request *request)
{
    if (!request)
        return;
    if (request->kept) {
        request->freed = true;
        return;
    }
    if (request->body_apart)
        free(request->body);
    free(request);
}

void http_request_keep(struct http_request *request)
{
    request->kept = true;
}

void http_request_let_go(struct http_request *request)
{
    request->kept = false;
    if (request->freed)
        request_free(request);
}

/* ---- What handlers see ---- */

/* Each request takes some twenty look-ups, nearly all in vain: most names differ in their length or
 * in their last letter. */
static bool is_header_name(const struct request_header *header, const char *wanted, size_t length)
{
    return header->name_length == length &&
           ((header->name[length - 1] ^ wanted[length - 1]) & ~0x20) == 0 &&
           strncasecmp(header->name, wanted, length) == 0;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < request->header_count; i++)
        if (is_header_name(&request->headers[i], name, length))
            return request->headers[i].value;
    return NULL;
}

int http_request_headers(const struct http_request *request,
                         void (*visit)(void *context, const char *name, const char *value),
                         void *context)
{
    for (size_t i = 0; i < request->header_count; i++)
        visit(context, request->headers[i].name, request->headers[i].value);
    return (int)request->header_count;
}
