/* SPDX-License-Identifier: Apache-2.0 */
/* A request from memory: its head is written as a client would write it, and read as the server
 * reads one, so that nothing passes here which no socket would let through. */

#define _GNU_SOURCE
#include "http/virtual.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/answer.h"
#include "http/request.h"

#define WRITTEN_SIZE_MAX ((size_t)1 << 20)

static void write_head(struct text *text, const struct http_virtual *from)
{
    text_add(text, from->method);
    text_add(text, " ");
    text_add(text, from->target);
    text_add(text, " HTTP/1.1\r\nHost: virtual\r\n");
    for (size_t i = 0; i < from->header_count; i++) {
        text_add(text, from->headers[i].name);
        text_add(text, ": ");
        text_add(text, from->headers[i].value);
        text_add(text, "\r\n");
    }
    text_add(text, "\r\n");
}

static struct http_request *read_virtual(const struct http_virtual *from, const struct text *text,
                                         struct http_refusal *refusal)
{
    struct http_head head;
    struct head_progress progress = {0};
    enum read_result result =
        head_read(&head, text->data, text->length, &progress, HTTP_HEADER_SIZE_MAX, refusal);
    if (result == READ_REFUSED)
        return NULL;
    FH_ASSERT(result == READ_DONE && head.length == text->length);
    head.body_length = from->body_length;
    struct http_request *request = request_new(&head, text->data);
    FH_ASSERT(request != NULL);
    if (!from->body_length ||
        request_take_body(request, from->body, from->body_length, from->body_length, refusal))
        return request;
    request_free(request);
    return NULL;
}

static void refuse_virtual(void *context, const struct http_answer *answer)
{
    const struct http_virtual *from = context;
    from->replied(from->context, answer);
}

void http_virtual_send(const struct http_virtual *from, struct http_handler handler)
{
    struct http_virtual own = *from;
    struct http_refusal refusal;
    struct text text;
    text_init(&text, WRITTEN_SIZE_MAX);
    write_head(&text, from);
    struct http_request *request = text.overflow ? NULL : read_virtual(from, &text, &refusal);
    if (text.overflow)
        refusal_set(&refusal, PROBLEM_HEAD_TOO_LARGE, "The request's head is too large.");
    text_release(&text);
    if (!request) {
        answer_problem(refusal.type, refusal.detail, refuse_virtual, &own);
        return;
    }
    request->virtual_replied = from->replied;
    request->virtual_context = from->context;
    request->incoming.received_ns = from->received_ns;
    handler.incoming(handler.context, &request->incoming);
}
