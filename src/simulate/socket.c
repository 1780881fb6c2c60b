/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that are open hang in one list, whoever's they are: a run has a few dozen. Numbers are never
 * given twice, so that a descriptor which was closed too early is found by nobody.
 *
 * What is held is reported again as long as it holds, as the kernel does.
 */

#include "simulate/socket.h"

#include "base/error.h"
#include "store/socket.h"

#define FIRST_FD 1000000
#define AGAIN_NS ((int64_t)10000)

static struct simulate_socket *sockets;
static int next_fd = FIRST_FD;

static unsigned ready_events(const struct simulate_socket *socket)
{
    return socket->watched ? socket->held & socket->wanted : 0;
}

static void look_at_socket(struct simulate_socket *socket, int64_t in_ns)
{
    struct simulate *simulate = socket->node->simulate;
    if (ready_events(socket) && !socket->event.place)
        simulate_plan(simulate, &socket->event, simulate->now_ns + in_ns);
}

static void on_simulated_socket(struct simulate_event *event)
{
    struct simulate_socket *socket = event->owner;
    unsigned events = ready_events(socket);
    struct world_poll *poll = socket->watched;
    if (!events)
        return;
    /* Planned before: who is notified may close the socket, and free what holds it. */
    look_at_socket(socket, AGAIN_NS);
    poll->ready(poll, events);
}

static enum fh_code judge_model(int fd, const char *folder, const char *name,
                                struct fh_error *error)
{
    (void)fd, (void)folder, (void)name, (void)error;
    return FH_OK;
}

void simulate_socket_trust_models(void)
{
    store_socket_judged = judge_model;
}

void simulate_socket_open(struct simulate_socket *socket, struct simulate_node *node)
{
    *socket = (struct simulate_socket){.fd = next_fd++, .node = node, .next = sockets};
    socket->event = (struct simulate_event){
        .fire = on_simulated_socket, .owner = socket, .node = node, .of_process = true};
    sockets = socket;
}

void simulate_socket_close(struct simulate_socket *socket)
{
    struct simulate_socket **at = &sockets;
    while (*at && *at != socket)
        at = &(*at)->next;
    if (*at)
        *at = socket->next;
    socket->watched = NULL;
    simulate_cancel(socket->node->simulate, &socket->event);
}

void simulate_socket_hold(struct simulate_socket *socket, unsigned held)
{
    socket->held = held;
    look_at_socket(socket, 0);
}

static struct simulate_socket *find_socket(int fd)
{
    struct simulate_socket *socket = sockets;
    while (socket && socket->fd != fd)
        socket = socket->next;
    return socket;
}

void simulate_socket_watch(struct world *world, struct world_poll *poll, unsigned events)
{
    struct simulate_socket *socket = find_socket(poll->fd);
    FH_ASSERT(socket != NULL && &socket->node->world == world);
    socket->watched = poll;
    socket->wanted = events;
    look_at_socket(socket, 0);
}

void simulate_socket_unwatch(struct world *world, struct world_poll *poll)
{
    struct simulate_socket *socket = find_socket(poll->fd);
    (void)world;
    if (!socket || socket->watched != poll)
        return;
    socket->watched = NULL;
    simulate_cancel(socket->node->simulate, &socket->event);
}
