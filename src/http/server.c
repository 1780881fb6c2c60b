/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: what belongs to no connection. It accepts, times out, drains.
 *
 * Time: each list of connections has one timeout (connection.h), and one timer fires for whichever
 * is due first. At the limit of connections the one that has been awaited longest gives way, so
 * that idle ones keep nobody out; where all have a request, new ones wait in the kernel's queue.
 *
 * Drain: the listening socket is no longer polled (and never closed here). Clients that have just
 * connected or begun a request are still answered. Answers carry "Connection: close". After the
 * grace period the server itself answers the remaining requests with 503.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/connection.h"

/* While draining: how long to wait for requests that are just arriving. */
#define BEGINNING_MS_MAX 1000
#define LINGER_MS_MAX 30000
#define ACCEPTS_A_TURN 64
#define ACCEPT_AGAIN_MS 100
#define HEAD_LENGTH_MAX ((size_t)1 << 20) /* of an answer */

/* ---- Time ---- */

static void settle_http_server(struct http_server *server);

static uint64_t server_due_ms(const struct http_server *server)
{
    uint64_t due_ms = list_due_ms(&server->awaited);
    uint64_t others_ms[] = {list_due_ms(&server->sending), list_due_ms(&server->paced),
                            list_due_ms(&server->lingering)};
    for (size_t i = 0; i < sizeof others_ms / sizeof *others_ms; i++) {
        if (others_ms[i] < due_ms)
            due_ms = others_ms[i];
    }
    return due_ms;
}

static void on_server_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now_ms = server_now_ms(server);
    while (list_due_ms(&server->awaited) <= now_ms) {
        struct http_connection *first = server->awaited.first;
        if (first->started)
            connection_refuse(first, PROBLEM_REQUEST_TIMED_OUT,
                              "The request did not arrive completely in time.");
        else
            connection_close(first);
    }
    while (list_due_ms(&server->sending) <= now_ms)
        connection_judge_reading(server->sending.first);
    while (list_due_ms(&server->paced) <= now_ms)
        connection_await(server->paced.first);
    while (list_due_ms(&server->lingering) <= now_ms)
        connection_close(server->lingering.first);
    settle_http_server(server);
}

/* Deadlines move with every request. A timer that fires too early is simply armed again. */
static void arm_timer(struct http_server *server)
{
    uint64_t due_ms = server_due_ms(server);
    if (due_ms == UINT64_MAX ||
        (uv_is_active((uv_handle_t *)&server->timer) && due_ms >= server->timer_due_ms))
        return;
    uint64_t now_ms = server_now_ms(server);
    server->timer_due_ms = due_ms;
    uv_timer_start(&server->timer, on_server_timer, due_ms > now_ms ? due_ms - now_ms : 1, 0);
}

/* ---- Memory ---- */

static struct http_connection *first_heavy(struct http_connection *at)
{
    while (at && !at->weight)
        at = at->next;
    return at;
}

/* To an eighth below the limit, so that the lists are not walked for each byte beyond it. */
static void shed_weight(struct http_server *server)
{
    if (server->weight <= server->limits.weight_max)
        return;
    size_t enough = server->limits.weight_max - server->limits.weight_max / 8;
    struct http_connection *slow = first_heavy(server->awaited.first);
    struct http_connection *deaf = first_heavy(server->sending.first);
    while (server->weight > enough && (slow || deaf)) {
        bool is_slow = slow && (!deaf || slow->since_ms <= deaf->since_ms);
        struct http_connection *longest = is_slow ? slow : deaf;
        struct http_connection **rest = is_slow ? &slow : &deaf;
        *rest = first_heavy(longest->next);
        connection_cut_off(longest, PROBLEM_OVERLOADED,
                           "The requests and answers that are on their way take too much memory.");
    }
}

/* ---- Turns ---- */

static bool is_drained(const struct http_server *server)
{
    if (server->grace_over)
        return true;
    if (server->unsent > 0)
        return false;
    return server->beginning_over ||
           (server->lingering.count == 0 && !awaited_begins(&server->awaited));
}

static void settle_http_server(struct http_server *server)
{
    if (server->freed)
        return;
    arm_timer(server);
    if (!server->drained || !is_drained(server))
        return;
    void (*drained)(void *) = server->drained;
    server->drained = NULL;
    world_timer_stop(server->world, &server->grace);
    world_timer_stop(server->world, &server->beginning);
    drained(server->drained_context);
}

static void read_held(struct http_server *server)
{
    while (server->held.first && spare_left(server))
        connection_resume(server->held.first);
}

static void server_turn(struct world_turn *turn)
{
    struct http_server *server = turn->owner;
    unsigned count = 0;
    if (server->freed) {
        server_release(server);
        return;
    }
    /* Those that are added meanwhile have another turn. */
    for (struct http_connection *at = server->resumed.first; at; at = at->queue_next)
        count++;
    for (; count > 0 && server->resumed.first; count--)
        connection_resume(server->resumed.first);
    if (server->draining)
        read_held(server);
    shed_weight(server);
    settle_http_server(server);
}

/* ---- Accepting ---- */

static void accept_connections(struct http_server *server);

static void on_listening_readable(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    (void)status;
    (void)events;
    accept_connections(server);
    settle_http_server(server);
}

static void stop_accepting(struct http_server *server)
{
    if (server->accepting)
        uv_poll_stop(&server->listening);
    server->accepting = false;
}

static void accept_on(struct http_server *server)
{
    if (server->accepting || server->draining ||
        server->connections >= server->limits.connections_max || server->backing_off)
        return;
    server->accepting = true;
    uv_poll_start(&server->listening, UV_READABLE, on_listening_readable);
}

static void on_accept_again(struct world_timer *timer)
{
    struct http_server *server = timer->owner;
    server->backing_off = false;
    accept_on(server);
}

/* No descriptor is left. Polling on would only say again at once that somebody waits. */
static void pause_accepting(struct http_server *server)
{
    server->backing_off = true;
    stop_accepting(server);
    world_timer_start(server->world, &server->accept_again,
                      world_in_ms(server->world, ACCEPT_AGAIN_MS));
}

/* Whoever has kept a place longest without using it leaves it to the newest. */
static void give_way(struct http_server *server)
{
    struct http_connection *longest = server->held.first;
    if (!longest)
        longest = server->lingering.first;
    if (!longest)
        longest = server->paced.first;
    if (!longest && server->awaited.first != server->awaited.last)
        longest = server->awaited.first;
    if (!longest)
        longest = server->sending.first;
    if (longest)
        connection_cut_off(longest, PROBLEM_OVERLOADED, "There are too many connections.");
}

static struct http_peer peer_of(const struct sockaddr_storage *address)
{
    struct http_peer peer = {.known =
                                 address->ss_family == AF_INET || address->ss_family == AF_INET6};
    if (address->ss_family == AF_INET) {
        peer.address[10] = peer.address[11] = 0xff;
        memcpy(peer.address + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
               4);
    } else if (peer.known) {
        memcpy(peer.address, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    }
    return peer;
}

static bool take_connection(struct http_server *server, int fd, const struct http_peer *peer)
{
    const struct http_handler *handler = &server->handler;
    enum http_admission admission =
        handler->connected ? handler->connected(handler->context, peer) : HTTP_ADMIT;
    if (admission == HTTP_TURN_AWAY) {
        close(fd);
        return false;
    }
    bool is_open = connection_open(server, fd, peer, admission == HTTP_ADMIT_PACED);
    if (!is_open && handler->disconnected)
        handler->disconnected(handler->context, peer, true); /* it is not to blame */
    return is_open;
}

static void accept_connections(struct http_server *server)
{
    for (int i = 0; i < ACCEPTS_A_TURN && server->accepting; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t length = sizeof address;
        if (!spare_left(server)) {
            stop_accepting(server);
            spare_wait(server);
            return;
        }
        spare_begin(server);
        int fd = accept4(server->listen_fd, (struct sockaddr *)&address, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(server);
            return;
        }
        const struct http_peer peer = peer_of(&address);
        bool is_taken = take_connection(server, fd, &peer);
        spare_spend(server);
        if (!is_taken)
            continue;
        if (server->connections >= server->limits.connections_max)
            give_way(server);
        if (server->connections >= server->limits.connections_max)
            stop_accepting(server);
    }
}

/* ---- Load ---- */

void http_server_load(const struct http_server *server, unsigned *ret_requests,
                      unsigned *ret_connections)
{
    *ret_requests = server->unanswered;
    *ret_connections = server->connections;
}

/* ---- Drain ---- */

static void on_grace_over(struct world_timer *timer)
{
    struct http_server *server = timer->owner;
    server_give_up_requests(server);
    server->grace_over = true;
    settle_http_server(server);
}

static void on_beginning_over(struct world_timer *timer)
{
    struct http_server *server = timer->owner;
    server->beginning_over = true;
    settle_http_server(server);
}

void http_server_drain(struct http_server *server, int grace_ms, void (*drained)(void *),
                       void *context)
{
    FH_ASSERT(!server->draining && drained);
    server->draining = true;
    server->drained = drained;
    server->drained_context = context;
    stop_accepting(server);
    world_timer_stop(server->world, &server->accept_again);
    world_timer_start(server->world, &server->grace, world_in_ms(server->world, grace_ms));
    world_timer_start(server->world, &server->beginning,
                      world_in_ms(server->world, BEGINNING_MS_MAX));
    world_turn(server->world, &server->turn);
}

static void on_server_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    server->open_handles--;
    server_release(server);
}

static void close_all(struct connection_list *list)
{
    while (list->first)
        connection_end(list->first);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    FH_ASSERT(server->draining && !server->drained);
    server->freed = true;
    world_timer_stop(server->world, &server->spare_again);
    server_give_up_requests(server);
    close_all(&server->awaited);
    close_all(&server->sending);
    close_all(&server->paced);
    close_all(&server->lingering);
    uv_close((uv_handle_t *)&server->listening, on_server_closed);
    uv_close((uv_handle_t *)&server->timer, on_server_closed);
}

/* ---- Start ---- */

static struct http_server *server_new(uv_loop_t *loop, struct world *world, int listen_fd,
                                      const struct http_limits *limits)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->loop = loop;
    server->world = world;
    server->listen_fd = listen_fd;
    server->limits = limits_of(limits);
    server->awaited.timeout_ms = (uint64_t)server->limits.idle_timeout_s * 1000;
    server->sending.timeout_ms = server->awaited.timeout_ms;
    server->paced.timeout_ms = HTTP_PACE_MS;
    server->lingering.timeout_ms = LINGER_MS_MAX;
    server->on_room = accept_on;
    server->read_held = read_held;
    server->settle = settle_http_server;
    server->turn = (struct world_turn){.run = server_turn, .owner = server};
    server->grace = (struct world_timer){.fire = on_grace_over, .owner = server};
    server->beginning = (struct world_timer){.fire = on_beginning_over, .owner = server};
    server->accept_again = (struct world_timer){.fire = on_accept_again, .owner = server};
    spare_init(server);
    text_init(&server->text, HEAD_LENGTH_MAX);
    return server;
}

enum fh_code http_server_new(uv_loop_t *loop, struct world *world, int listen_fd,
                             const struct http_limits *limits, const struct http_tls *tls,
                             struct http_handler handler, struct http_server **ret,
                             struct fh_error *error)
{
    *ret = NULL;
    /* accept must not block the loop if a connection vanishes before it is accepted. */
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_set_errno(error, FH_INVALID, errno, "Descriptor %d is not a listening socket",
                               listen_fd);
    struct http_server *server = server_new(loop, world, listen_fd, limits);
    if (!server)
        return error_set(error, FH_NO_MEMORY, "No memory for the HTTP server.");
    server->handler = handler;
    if (tls && tls->certificate && !(server->tls = tls_server_new(tls))) {
        server_release(server);
        return error_set(error, FH_INVALID,
                         "The HTTP server could not be started with the certificate and key "
                         "that it was given.");
    }
    if (uv_poll_init(loop, &server->listening, listen_fd) != 0) {
        server_release(server);
        return error_set(error, FH_INVALID, "Descriptor %d can't be polled for connections.",
                         listen_fd);
    }
    uv_timer_init(loop, &server->timer);
    server->listening.data = server->timer.data = server;
    server->open_handles = 2;
    accept_on(server);
    *ret = server;
    return FH_OK;
}

bool http_request_certificate(const struct http_request *request, const unsigned char **ret,
                              size_t *ret_length)
{
    const struct http_connection *connection = request->connection;
    const gnutls_datum_t *shown =
        connection && connection->tls && tls_server_is_mutual(connection->server->tls)
            ? tls_session_certificate(connection->tls)
            : NULL;
    if (!shown)
        return false;
    *ret = shown->data;
    *ret_length = shown->size;
    return true;
}
