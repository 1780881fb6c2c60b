/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: a stream of bytes each way. What is sent at once is one message; they arrive in order, or
 * the link is over. One that is cut gives the client nothing more; what was on its way to the
 * server arrives all the same, perhaps long after (a held one), and is run. Cut silently, each end
 * finds that out by itself: the kernel tells it after some ten seconds.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/redis/model.h"
#include "simulate/socket.h"
#include "engine/redis/socket.h"

#define STREAM_MAX ((size_t)64 << 20)

struct message {
    struct served_link *link;
    char *data; /* NULL: the client has left, or is taken for gone */
    size_t length;
    bool towards, cuts; /* cuts: the link, when it has arrived */
    unsigned life;      /* of the server that it was sent to */
    struct simulate_event event;
};

static struct served_link *find_link(int fd)
{
    struct served_link *link = the_served()->links;
    while (link && (link->closed || link->socket.fd != fd))
        link = link->next;
    return link;
}

/* ---- At the client ---- */

static void hold_link(struct served_link *link)
{
    bool readable = link->arrived.length > link->read || link->gone;
    if (!link->closed)
        simulate_socket_hold(&link->socket, (readable ? WORLD_READABLE : 0u) |
                                                (link->connected ? WORLD_WRITABLE : 0u));
}

static void on_redis_gone(struct simulate_event *event)
{
    struct served_link *link = event->owner;
    link->gone = true;
    hold_link(link);
}

/* ---- Messages ---- */

static void deliver_to_redis(struct message *message)
{
    struct served_link *link = message->link;
    struct served *served = link->served;
    if (message->life != served->life || served->down)
        return; /* it died with the machine's port */
    if (message->data)
        text_append(&link->input, message->data, message->length);
    else
        link->left = true;
    served_wake(served);
}

static void deliver_to_engine(struct message *message)
{
    struct served_link *link = message->link;
    if (link->closed || link->cut)
        return;
    text_append(&link->arrived, message->data, message->length);
    hold_link(link);
}

static void on_redis_message(struct simulate_event *event)
{
    struct message *message = event->owner;
    if (message->towards)
        deliver_to_redis(message);
    else
        deliver_to_engine(message);
    if (message->cuts)
        served_link_cut(message->link, false);
    free(message->data);
    free(message);
}

static struct message *redis_message_new(struct served_link *link, bool towards, const char *data,
                                         size_t length)
{
    struct message *message = calloc(1, sizeof *message);
    FH_ASSERT(message != NULL);
    message->link = link;
    message->towards = towards;
    message->life = link->served->life;
    message->event = (struct simulate_event){.fire = on_redis_message, .owner = message};
    message->length = length;
    if (data) {
        message->data = malloc(length + 1);
        FH_ASSERT(message->data != NULL);
        memcpy(message->data, data, length);
    }
    return message;
}

static void send_redis_message(struct message *message, int64_t in_ns)
{
    struct served_link *link = message->link;
    struct simulate *simulate = link->served->simulate;
    int64_t *last_ns = message->towards ? &link->out_ns : &link->in_ns;
    int64_t at_ns = simulate->now_ns + in_ns;
    *last_ns = at_ns > *last_ns ? at_ns : *last_ns + 1;
    simulate_plan(simulate, &message->event, *last_ns);
}

static void send_redis_gone(struct served_link *link, int64_t in_ns)
{
    send_redis_message(redis_message_new(link, true, NULL, 0), in_ns);
}

/* ---- The ends of a link ---- */

void served_link_cut(struct served_link *link, bool silently)
{
    struct served *served = link->served;
    if (link->cut || link->closed)
        return;
    link->cut = true;
    simulate_say(served->simulate, link->node, "its link %d is cut%s", link->number,
                 silently ? ", and nobody is notified" : "");
    link->event.fire = on_redis_gone;
    simulate_plan(served->simulate, &link->event,
                  served->simulate->now_ns +
                      (silently ? WIRE_CLIENT_FINDS_NS : wire_way_ns(&served->wire)));
    send_redis_gone(link, silently ? WIRE_SERVER_FINDS_NS : wire_way_ns(&served->wire));
}

void served_link_drop(struct served_link *link)
{
    text_clear(&link->input);
    text_clear(&link->output);
    link->taken = 0;
    link->left = true;
    served_link_cut(link, false);
}

void served_link_close(struct served_link *link, bool heard)
{
    struct served *served = link->served;
    if (link->closed)
        return;
    link->closed = true;
    simulate_cancel(served->simulate, &link->event);
    simulate_socket_close(&link->socket);
    if (!link->cut)
        send_redis_gone(link, heard ? wire_way_ns(&served->wire) : WIRE_SERVER_FINDS_NS);
    link->cut = true;
}

void served_link_answer(struct served_link *link)
{
    struct served *served = link->served;
    bool torn;
    if (!link->output.length)
        return;
    enum simulate_fate fate = link->cut ? FATE_CUT_BEFORE : wire_fate(&served->wire, false, &torn);
    if (fate == FATE_ARRIVES || fate == FATE_HELD || fate == FATE_CUT_AFTER) {
        struct message *message =
            redis_message_new(link, false, link->output.data, link->output.length);
        message->cuts = fate == FATE_CUT_AFTER;
        send_redis_message(message, fate == FATE_HELD ? wire_held_ns(&served->wire)
                                                      : wire_way_ns(&served->wire));
    } else {
        served_link_cut(link, fate == FATE_SWALLOWED);
    }
    if (fate == FATE_REFUSED)
        wire_refuse(&served->wire);
    text_clear(&link->output);
}

/* ---- What the engine calls ---- */

static ssize_t link_send(int fd, const void *data, size_t length)
{
    struct served_link *link = find_link(fd);
    struct served *served = link->served;
    bool torn;
    if (link->gone) {
        errno = EPIPE;
        return -1;
    }
    if (link->cut)
        return (ssize_t)length;
    enum simulate_fate fate = wire_fate(&served->wire, true, &torn);
    bool arrives = fate == FATE_ARRIVES || fate == FATE_CUT_AFTER || fate == FATE_HELD;
    size_t first = torn ? (size_t)simulate_below(served->simulate, length) : length;
    if (arrives) {
        struct message *message = redis_message_new(link, true, data, first);
        send_redis_message(message, fate == FATE_HELD ? wire_held_ns(&served->wire)
                                                      : wire_way_ns(&served->wire));
        if (fate == FATE_HELD && message->event.at_ns > served->late_until_ns)
            served->late_until_ns = message->event.at_ns;
    }
    if (fate != FATE_ARRIVES)
        served_link_cut(link, fate == FATE_SWALLOWED);
    if (fate == FATE_REFUSED)
        wire_refuse(&served->wire);
    return (ssize_t)length;
}

static ssize_t link_receive(int fd, void *buffer, size_t size)
{
    struct served_link *link = find_link(fd);
    size_t there = link->arrived.length - link->read;
    if (there > size)
        there = size;
    if (!there && !link->gone) {
        errno = EAGAIN;
        return -1;
    }
    if (there)
        memcpy(buffer, link->arrived.data + link->read, there);
    link->read += there;
    if (link->read == link->arrived.length) {
        text_clear(&link->arrived);
        link->read = 0;
    }
    hold_link(link);
    return (ssize_t)there;
}

static void on_redis_connects(struct simulate_event *event)
{
    struct served_link *link = event->owner;
    struct served *served = link->served;
    link->refused = served->down || served->wire.refuses_until_ns > served->simulate->now_ns;
    link->connected = true;
    link->event.fire = on_redis_gone;
    if (link->refused) {
        link->cut = link->gone = link->left = true;
    }
    hold_link(link);
}

static int link_open(const struct sockaddr *address, socklen_t length, int *ret_number)
{
    struct served *served = the_served();
    struct served_link *link = calloc(1, sizeof *link);
    (void)address, (void)length;
    FH_ASSERT(link != NULL && served->simulate->running != NULL);
    link->served = served;
    link->node = served->simulate->running;
    link->number = ++served->link_count;
    text_init(&link->arrived, STREAM_MAX);
    text_init(&link->input, STREAM_MAX);
    text_init(&link->output, STREAM_MAX);
    simulate_socket_open(&link->socket, link->node);
    link->event = (struct simulate_event){.fire = on_redis_connects, .owner = link};
    simulate_plan(served->simulate, &link->event,
                  served->simulate->now_ns + 2 * wire_way_ns(&served->wire));
    struct served_link **end = &served->links;
    while (*end)
        end = &(*end)->next;
    *end = link;
    *ret_number = EINPROGRESS;
    return link->socket.fd;
}

static int link_error(int fd)
{
    return find_link(fd)->refused ? ECONNREFUSED : 0;
}

static void link_close(int fd)
{
    served_link_close(find_link(fd), true);
}

void served_sockets(void)
{
    simulate_socket_trust_models();
    redis_sockets = (struct redis_sockets){.open = link_open,
                                           .error = link_error,
                                           .receive = link_receive,
                                           .send = link_send,
                                           .close = link_close};
}
