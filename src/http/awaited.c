/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections whose request is awaited, so that none is awaited forever. libmicrohttpd closes a
 * silent connection, but would keep one that sends a byte now and then. So they are all in one
 * list, in order of time: since the connection was opened, since its last answer, or since its
 * request line arrived. The timeout is the same for all, so the first is always the next to be cut
 * off: with 408 if a request had begun. If there are too many connections, the first also gives way
 * to a new one.
 *
 * The library has no call to close a connection. So the socket is shut down, which the library
 * notices.
 */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include "http/request.h"

void awaited_remove(struct http_awaited *awaited, struct http_connection *connection)
{
    if (!connection->awaited)
        return;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        awaited->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    else
        awaited->last = connection->previous;
    connection->awaited = false;
}

void awaited_append(struct http_awaited *awaited, struct http_connection *connection, bool started,
                    uint64_t now_ms)
{
    awaited_remove(awaited, connection);
    connection->previous = awaited->last;
    connection->next = NULL;
    if (connection->previous)
        connection->previous->next = connection;
    else
        awaited->first = connection;
    awaited->last = connection;
    connection->awaited = true;
    connection->started = started;
    connection->since_ms = now_ms;
}

uint64_t awaited_due_ms(const struct http_awaited *awaited)
{
    return awaited->first ? awaited->first->since_ms + awaited->timeout_ms : UINT64_MAX;
}

bool awaited_begins(const struct http_awaited *awaited)
{
    for (const struct http_connection *at = awaited->first; at; at = at->next) {
        if (!at->used || at->started)
            return true;
    }
    return false;
}

static void cut_off(struct http_awaited *awaited, struct http_connection *connection,
                    enum problem_type type, const char *detail)
{
    int socket = connection_socket(connection->native);
    if (connection->started)
        answer_last_words(connection->native, type, detail);
    shutdown(socket, SHUT_RDWR);
    awaited_remove(awaited, connection);
}

void awaited_cut_off(struct http_awaited *awaited, uint64_t now_ms)
{
    while (awaited_due_ms(awaited) <= now_ms)
        cut_off(awaited, awaited->first, PROBLEM_REQUEST_TIMED_OUT,
                "The request did not arrive completely in time.");
}

/* If a chunk's size line fills its whole memory (an endless extension), the library retries forever
 * without reading on. Input that is still unread at the second check will never be read. */
void awaited_cut_off_stuck(struct http_awaited *awaited)
{
    struct http_connection *next;
    for (struct http_connection *connection = awaited->first; connection; connection = next) {
        int unread = 0;
        next = connection->next;
        ioctl(connection_socket(connection->native), FIONREAD, &unread);
        if (connection->started && connection->stuck && unread > 0)
            cut_off(awaited, connection, PROBLEM_REQUEST_MALFORMED,
                    "A line of the chunked body is too long.");
        else
            connection->stuck = unread > 0;
    }
}

void awaited_give_way(struct http_awaited *awaited, const struct http_connection *newest)
{
    if (awaited->first && awaited->first != newest)
        cut_off(awaited, awaited->first, PROBLEM_OVERLOADED, "There are too many connections.");
}
