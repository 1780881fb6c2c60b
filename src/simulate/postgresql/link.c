/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: a client's connection, and the messages on it, in order each way. What is flushed at once
 * is one message. A link that is cut gives nothing more to the client; what was on its way to the
 * server arrives all the same, perhaps long after (a held one), and after it the backend finds
 * that its client has left. Cut silently, each end finds that out by itself: the kernel tells a
 * client after some ten seconds, a backend after eleven.
 */

#include "simulate/postgresql/model.h"

#include <stdlib.h>

#include "base/error.h"

/* Exactly one of what it carries. */
struct message {
    struct model_link *link;
    struct model_command *commands;
    struct model_reply *replies;
    PGnotify *notify;
    PGresult *farewell;
    bool end;
    int number; /* of those with replies */
    bool cuts;  /* the link, when it has arrived */
    struct simulate_event event;
};

/* ---- at the client ---- */

static void wake_client(struct model_link *link)
{
    if (!link->closed)
        simulate_socket_hold(&link->socket, WORLD_READABLE | WORLD_WRITABLE);
}

static void on_pg_gone(struct simulate_event *event)
{
    struct model_link *link = event->owner;
    link->gone = true;
    wake_client(link);
}

static void end_stream_in(struct model_link *link, int64_t in_ns)
{
    struct simulate *simulate = link->server->simulate;
    if (!link->gone && (!link->event.place || link->event.at_ns > simulate->now_ns + in_ns))
        simulate_plan(simulate, &link->event, simulate->now_ns + in_ns);
}

static void deliver_to_library(struct message *message)
{
    struct model_link *link = message->link;
    if (message->replies) {
        FH_ASSERT(message->number == ++link->heard);
        *link->arrived_last = message->replies;
        while (*link->arrived_last)
            link->arrived_last = &(*link->arrived_last)->next;
    } else if (message->end) {
        link->gone = true;
    } else {
        struct model_notice *notice = calloc(1, sizeof *notice);
        FH_ASSERT(notice != NULL);
        *notice = (struct model_notice){message->notify, message->farewell, NULL};
        *link->notices_last = notice;
        link->notices_last = &notice->next;
    }
    wake_client(link);
}

static void drop_message(struct message *message)
{
    for (struct model_reply *reply = message->replies, *next; reply; reply = next) {
        next = reply->next;
        model_reply_free(reply);
    }
    model_commands_free(message->commands);
    model_result_free(message->farewell);
    free(message->notify);
}

static void on_pg_message(struct simulate_event *event)
{
    struct message *message = event->owner;
    struct model_link *link = message->link;
    if (message->commands && link->session)
        link->server->backend->take(link->session, message->commands);
    else if (message->commands || link->closed || link->cut)
        drop_message(message);
    else
        deliver_to_library(message);
    if (message->cuts)
        model_link_cut(link, false);
    free(message);
}

static struct message *pg_message_new(struct model_link *link)
{
    struct message *message = calloc(1, sizeof *message);
    FH_ASSERT(message != NULL);
    message->link = link;
    message->event = (struct simulate_event){.fire = on_pg_message, .owner = message};
    return message;
}

static void send_pg_message(struct message *message, bool towards, int64_t in_ns)
{
    struct model_link *link = message->link;
    struct simulate *simulate = link->server->simulate;
    int64_t *last_ns = towards ? &link->out_ns : &link->in_ns;
    int64_t at_ns = simulate->now_ns + in_ns;
    *last_ns = at_ns > *last_ns ? at_ns : *last_ns + 1;
    simulate_plan(simulate, &message->event, *last_ns);
}

/* ---- the ends of a link ---- */

/* The backend finds that its client is gone, after all that it was sent. */
static void send_pg_gone(struct model_link *link, int64_t in_ns)
{
    struct message *message = pg_message_new(link);
    message->commands = calloc(1, sizeof *message->commands);
    FH_ASSERT(message->commands != NULL);
    message->commands->kind = MODEL_GONE;
    send_pg_message(message, true, in_ns);
}

void model_link_cut(struct model_link *link, bool silently)
{
    if (link->cut || link->closed)
        return;
    link->cut = true;
    simulate_say(link->server->simulate, link->node, "its link to %d is cut%s",
                 link->session ? link->session->pid : 0,
                 silently ? ", and nobody is notified" : "");
    end_stream_in(link, silently ? WIRE_CLIENT_FINDS_NS : wire_way_ns(&link->server->wire));
    send_pg_gone(link, silently ? WIRE_SERVER_FINDS_NS : wire_way_ns(&link->server->wire));
}

void model_link_close(struct model_link *link, bool heard)
{
    if (link->closed)
        return;
    link->closed = true;
    simulate_cancel(link->server->simulate, &link->event);
    simulate_socket_close(&link->socket);
    if (!link->cut)
        send_pg_gone(link, heard ? wire_way_ns(&link->server->wire) : WIRE_SERVER_FINDS_NS);
    link->cut = true;
}

void model_link_ended(struct model_link *link)
{
    struct message *message = pg_message_new(link);
    message->end = true;
    link->session = NULL;
    send_pg_message(message, false, wire_way_ns(&link->server->wire));
}

/* ---- messages ---- */

/* Drops what follows a drawn command: the rest of the message never left. */
static void tear_message(struct model_server *server, struct model_command *first)
{
    uint64_t count = 0;
    for (struct model_command *command = first; command; command = command->next)
        count++;
    if (count < 2)
        return;
    for (uint64_t left = simulate_below(server->simulate, count - 1); left > 0; left--)
        first = first->next;
    model_commands_free(first->next);
    first->next = NULL;
}

static enum simulate_fate pg_message_fate(struct model_link *link, bool towards,
                                          struct model_command *first)
{
    bool torn;
    enum simulate_fate fate = wire_fate(&link->server->wire, towards, &torn);
    if (torn)
        tear_message(link->server, first);
    return fate;
}

void model_link_send(struct model_link *link)
{
    struct model_server *server = link->server;
    struct message *message = pg_message_new(link);
    message->commands = link->buffer;
    link->buffer = NULL;
    link->buffer_last = &link->buffer;
    if (link->cut) {
        drop_message(message);
        free(message);
        return;
    }
    enum simulate_fate fate = pg_message_fate(link, true, message->commands);
    bool arrives = fate == FATE_ARRIVES || fate == FATE_CUT_AFTER || fate == FATE_HELD;
    if (arrives)
        send_pg_message(message, true,
                        fate == FATE_HELD ? wire_held_ns(&server->wire)
                                          : wire_way_ns(&server->wire));
    if (fate == FATE_HELD && message->event.at_ns > server->late_until_ns)
        server->late_until_ns = message->event.at_ns;
    if (fate != FATE_ARRIVES)
        model_link_cut(link, fate == FATE_SWALLOWED);
    if (fate == FATE_REFUSED)
        wire_refuse(&server->wire);
    if (arrives)
        return;
    drop_message(message);
    free(message);
}

void model_link_reply(struct model_link *link, struct model_reply *first)
{
    struct model_server *server = link->server;
    struct message *message = pg_message_new(link);
    message->replies = first;
    message->number = ++link->replied;
    enum simulate_fate fate = link->cut ? FATE_CUT_BEFORE : pg_message_fate(link, false, NULL);
    message->cuts = fate == FATE_CUT_AFTER;
    if (fate == FATE_ARRIVES || fate == FATE_HELD || message->cuts) {
        send_pg_message(message, false,
                        fate == FATE_HELD ? wire_held_ns(&server->wire)
                                          : wire_way_ns(&server->wire));
        return;
    }
    model_link_cut(link, fate == FATE_SWALLOWED);
    if (fate == FATE_REFUSED)
        wire_refuse(&server->wire);
    drop_message(message);
    free(message);
}

void model_link_tell(struct model_link *link, PGnotify *notify, PGresult *farewell)
{
    struct message *message = pg_message_new(link);
    message->notify = notify;
    message->farewell = farewell;
    send_pg_message(message, false, wire_way_ns(&link->server->wire));
}

/* ---- connecting ---- */

static void on_pg_connects(struct simulate_event *event)
{
    struct model_link *link = event->owner;
    struct model_server *server = link->server;
    bool refused = server->down || server->wire.refuses_until_ns > server->simulate->now_ns;
    link->event.fire = on_pg_gone;
    if (link->closed)
        return;
    if (refused) {
        link->status = CONNECTION_BAD;
        snprintf(link->message, sizeof link->message,
                 "connection to server failed: Connection refused");
    } else {
        link->status = CONNECTION_OK;
        link->session = server->backend->begin(server, link, link->database, link->application);
    }
    wake_client(link);
}

struct model_link *model_link_new(struct model_server *server, struct simulate_node *node)
{
    struct model_link *link = calloc(1, sizeof *link);
    FH_ASSERT(link != NULL);
    link->server = server;
    link->node = node;
    link->life = node->life;
    link->status = CONNECTION_STARTED;
    link->buffer_last = &link->buffer;
    link->arrived_last = &link->arrived;
    link->input_last = &link->input;
    link->notices_last = &link->notices;
    simulate_socket_open(&link->socket, node);
    link->event = (struct simulate_event){.fire = on_pg_connects, .owner = link};
    simulate_plan(server->simulate, &link->event,
                  server->simulate->now_ns + 2 * wire_way_ns(&server->wire));
    link->next = server->links;
    server->links = link;
    return link;
}
