/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies: an answer is sent where http_reply is called, in a fiber or not. What it makes possible
 * (the next request of that connection, the end of a drain) happens in the server's turn, so that a
 * handler never runs inside another's reply.
 */

#include "http/connection.h"

static void handed_remove(struct http_request *request)
{
    if (request->previous)
        request->previous->next = request->next;
    else
        request->server->handed_first = request->next;
    if (request->next)
        request->next->previous = request->previous;
    request->server->unanswered--;
    request->server = NULL;
}

static void reply_virtually(void *context, const struct http_answer *answer)
{
    const struct http_request *request = context;
    request->virtual_replied(request->virtual_context, answer);
}

static void answer_virtual(struct http_request *request, const struct http_answer *answer)
{
    char detail[ANSWER_DETAIL_SIZE];
    FH_ASSERT(answer->status >= 200 && answer->status <= 599);
    if (answer_is_sound(answer, detail))
        reply_virtually(request, answer);
    else
        answer_problem(PROBLEM_RESPONSE_INVALID, detail, reply_virtually, request);
}

/* One that is shed after it has waited counts as one that is shed at its head. */
static void reply_on(struct http_connection *connection, const struct http_answer *answer)
{
    struct http_server *server = connection->server;
    if (answer->shed)
        spare_begin(server);
    connection_answer(connection, answer, server->draining);
    if (answer->shed)
        spare_shed(server);
}

bool http_request_is_given_up(const struct http_request *request)
{
    return !request->server && !request->virtual_replied;
}

void http_reply(struct http_request *request, const struct http_answer *answer)
{
    FH_ASSERT(!request->replied);
    request->replied = true;
    struct http_server *server = request->server;
    if (request->virtual_replied)
        answer_virtual(request, answer);
    struct http_connection *connection = request->connection;
    if (server)
        handed_remove(request);
    if (server && connection)
        reply_on(connection, answer);
    else if (answer->held)
        answer->held->gone(answer->held);
    request_free(request);
}

static void answer_stopping(void *context, const struct http_answer *answer)
{
    connection_answer(context, answer, true);
}

void server_give_up_requests(struct http_server *server)
{
    while (server->handed_first) {
        struct http_request *request = server->handed_first;
        struct http_connection *connection = request->connection;
        handed_remove(request);
        request->connection = NULL;
        if (connection)
            answer_problem(PROBLEM_SERVICE_STOPPING,
                           "The service is stopping, and did not get to this request.",
                           answer_stopping, connection);
    }
}
