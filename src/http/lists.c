/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections by how long they have been in their state, so that none is in it forever: a request
 * that is awaited (since the connection was opened, since its last answer, or since its request
 * line arrived), an answer that its client does not take, a client that does not close. The timeout
 * is the same for all in a list, so the first is always the next that is due.
 */

#include "http/connection.h"

uint64_t server_now_ms(const struct http_server *server)
{
    return uv_now(server->loop);
}

void list_remove(struct http_connection *connection)
{
    struct connection_list *list = connection->list;
    if (!list)
        return;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        list->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    else
        list->last = connection->previous;
    list->count--;
    connection->list = NULL;
}

uint64_t list_due_ms(const struct connection_list *list)
{
    return list->first ? list->first->since_ms + list->timeout_ms : UINT64_MAX;
}

void list_append(struct connection_list *list, struct http_connection *connection)
{
    struct http_server *server = connection->server;
    list_remove(connection);
    connection->previous = list->last;
    connection->next = NULL;
    if (connection->previous)
        connection->previous->next = connection;
    else
        list->first = connection;
    list->last = connection;
    list->count++;
    connection->list = list;
    connection->since_ms = server_now_ms(server);
    /* The timer is armed at the end of whatever the loop calls; a reply comes from elsewhere. */
    if (!uv_is_active((uv_handle_t *)&server->timer) || list_due_ms(list) < server->timer_due_ms)
        world_turn(server->world, &server->turn);
}

uint64_t paced_turn_us(uint64_t last_us, uint64_t now_us, unsigned connections)
{
    const uint64_t pause_us = HTTP_PACE_MS * 1000;
    uint64_t turn_us = last_us + pause_us / connections;
    if (turn_us < now_us)
        return now_us;
    return turn_us < now_us + pause_us ? turn_us : now_us + pause_us;
}

bool awaited_begins(const struct connection_list *awaited)
{
    for (const struct http_connection *at = awaited->first; at; at = at->next) {
        if (!at->used || at->started)
            return true;
    }
    return false;
}
