/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to services of this system without TLS. Each carries one request at a time:
 *
 *     connecting --> writing --> reading --> idle --> writing ...
 *                                    \--> closed: the answer was cut off, refused, not the last
 *                                         thing that came, or says so; or nobody waits for it
 *
 * At most HTTP_CLIENT_CONNECTIONS_MAX are open to one address; further requests wait, first come,
 * first served, and their deadlines run. Before a connection is used again it is asked whether the
 * other side has closed it, and one that was idle for long is not used again. If it is closed
 * all the same before an answer comes, the request has failed: the other side may have carried it
 * out, and only the layers above know whether it may be repeated.
 *
 * Where sending fails, what has come is still read: a server may have refused the request before
 * all of it was sent.
 */

#define _GNU_SOURCE
#include "http/plain.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "http/transfer.h"

#define RECEIVED_SIZE ((size_t)64 << 10)
#define TURNS_MAX 16 /* of reading one answer, while others wait */

struct plain_connection {
    struct world_poll poll;
    struct http_client *client;
    struct plain_address *to;
    struct transfer *transfer;                /* NULL: idle */
    struct plain_connection *previous, *next; /* idle ones of the address */
    bool connecting;
    unsigned watched; /* events */
    size_t sent;      /* bytes of head and body */
    int broken;       /* why sending failed, or 0 */
    int64_t idle_since_ns;
};

static void on_plain_ready(struct world_poll *poll, unsigned events);

/* ---- Addresses ---- */

struct plain_address *plain_address_of(struct http_client *client, const char *address)
{
    struct plain_address *to = map_get(&client->plain, address);
    struct sockaddr_in socket = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(address, ':');
    if (to)
        return to;
    if (!colon || (size_t)(colon - address) >= sizeof host)
        return NULL;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    size_t digits = strspn(colon + 1, "0123456789");
    long port = digits && digits <= 5 && !colon[1 + digits] ? strtol(colon + 1, NULL, 10) : 0;
    if (port < 1 || port > UINT16_MAX || inet_pton(AF_INET, host, &socket.sin_addr) != 1)
        return NULL;
    to = calloc(1, sizeof *to);
    FH_ASSERT(to != NULL);
    socket.sin_port = htons((uint16_t)port);
    to->socket = socket;
    snprintf(to->text, sizeof to->text, "%s:%ld", host, port);
    map_put(&client->plain, address, to);
    return to;
}

/* ---- Connections ---- */

static void watch_plain(struct plain_connection *connection, unsigned events)
{
    struct world *world = connection->client->world;
    if (connection->watched != events)
        world->ops->poll_start(world, &connection->poll, events);
    connection->watched = events;
}

/* Even if the loop has given up watching it. */
static void watch_plain_again(struct plain_connection *connection)
{
    struct world *world = connection->client->world;
    world->ops->poll_start(world, &connection->poll, connection->watched);
}

static void close_plain(struct plain_connection *connection)
{
    struct world *world = connection->client->world;
    world->ops->poll_stop(world, &connection->poll);
    close(connection->poll.fd);
    connection->to->count--;
    free(connection);
}

static void fail_plain(struct transfer *transfer, int number)
{
    char reason[96];
    snprintf(reason, sizeof reason, "%s", strerror(number));
    reason[0] = (char)tolower((unsigned char)reason[0]);
    transfer_fail(transfer, "%s", reason);
}

static struct plain_connection *open_plain(struct transfer *transfer, struct plain_address *to)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool made = fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    bool connected =
        made && connect(fd, (const struct sockaddr *)&to->socket, sizeof to->socket) == 0;
    if (!connected && (!made || errno != EINPROGRESS)) {
        fail_plain(transfer, errno);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct plain_connection *connection = calloc(1, sizeof *connection);
    FH_ASSERT(connection != NULL);
    connection->poll = (struct world_poll){.fd = fd, .ready = on_plain_ready, .owner = connection};
    connection->client = transfer->client;
    connection->to = to;
    connection->connecting = !connected;
    to->count++;
    return connection;
}

static void unlink_idle(struct plain_connection *connection)
{
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        connection->to->idle = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
}

/* Neither its end has come, nor what nobody has asked for. */
static bool is_at_rest(const struct plain_connection *connection)
{
    char byte;
    return recv(connection->poll.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static bool is_idle_for_long(const struct plain_connection *connection)
{
    int64_t now_ns = world_monotonic_ns(connection->client->world);
    return now_ns - connection->idle_since_ns > CONNECTION_AGE_S_MAX * INT64_C(1000000000);
}

static struct plain_connection *take_idle_plain(struct plain_address *to)
{
    struct plain_connection *connection;
    while ((connection = to->idle) != NULL) {
        unlink_idle(connection);
        if (!is_idle_for_long(connection) && is_at_rest(connection))
            return connection;
        close_plain(connection);
    }
    return NULL;
}

static void put_idle(struct plain_connection *connection)
{
    struct plain_address *to = connection->to;
    connection->idle_since_ns = world_monotonic_ns(connection->client->world);
    connection->previous = NULL;
    connection->next = to->idle;
    if (to->idle)
        to->idle->previous = connection;
    to->idle = connection;
    watch_plain(connection, WORLD_READABLE); /* it can only be its end that comes */
}

/* ---- A request on its connection ---- */

static ssize_t send_plain(const struct plain_connection *connection)
{
    const struct transfer *transfer = connection->transfer;
    const struct world_request *request = transfer->request;
    size_t head = transfer->sent.length, at = connection->sent, count = 0;
    struct iovec parts[2];
    if (at < head)
        parts[count++] = (struct iovec){transfer->sent.data + at, head - at};
    size_t body_at = at < head ? 0 : at - head;
    if (request->body && body_at < request->body_length)
        parts[count++] = (struct iovec){(void *)(uintptr_t)(request->body + body_at),
                                        request->body_length - body_at};
    if (!count)
        return 0;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;
    do {
        sent = sendmsg(connection->poll.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

static bool is_all_sent(const struct plain_connection *connection)
{
    const struct transfer *transfer = connection->transfer;
    const struct world_request *request = transfer->request;
    return connection->sent == transfer->sent.length + (request->body ? request->body_length : 0);
}

static void write_plain(struct plain_connection *connection)
{
    connection->transfer->sending = true;
    while (!connection->broken && !is_all_sent(connection)) {
        ssize_t sent = send_plain(connection);
        if (sent < 0 && errno == EAGAIN) {
            watch_plain(connection, WORLD_READABLE | WORLD_WRITABLE);
            return;
        }
        if (sent < 0)
            connection->broken = errno;
        else
            connection->sent += (size_t)sent;
    }
    watch_plain(connection, WORLD_READABLE);
}

static void lead_plain(struct plain_connection *connection, struct transfer *transfer)
{
    connection->transfer = transfer;
    connection->sent = 0;
    transfer->plain = connection;
    if (connection->connecting)
        watch_plain(connection, WORLD_WRITABLE);
    else
        write_plain(connection);
}

/* ---- Waiting for a connection ---- */

static void unlink_waiting(struct transfer *transfer)
{
    struct plain_address *to = transfer->waits_for;
    if (transfer->wait_previous)
        transfer->wait_previous->wait_next = transfer->wait_next;
    else
        to->waiting_first = transfer->wait_next;
    if (transfer->wait_next)
        transfer->wait_next->wait_previous = transfer->wait_previous;
    else
        to->waiting_last = transfer->wait_previous;
    transfer->waits_for = NULL;
    transfer->wait_previous = transfer->wait_next = NULL;
}

static void link_waiting(struct transfer *transfer, struct plain_address *to)
{
    transfer->waits_for = to;
    transfer->wait_previous = to->waiting_last;
    if (to->waiting_last)
        to->waiting_last->wait_next = transfer;
    else
        to->waiting_first = transfer;
    to->waiting_last = transfer;
}

bool plain_begin(struct transfer *transfer, struct plain_address *to)
{
    struct plain_connection *connection = take_idle_plain(to);
    if (!connection && to->count >= HTTP_CLIENT_CONNECTIONS_MAX) {
        link_waiting(transfer, to);
        return true;
    }
    if (!connection)
        connection = open_plain(transfer, to);
    if (connection)
        lead_plain(connection, transfer);
    return connection != NULL;
}

/* A connection to there has been closed. */
static void serve_waiting(struct plain_address *to)
{
    while (to->waiting_first && to->count < HTTP_CLIENT_CONNECTIONS_MAX) {
        struct transfer *transfer = to->waiting_first;
        unlink_waiting(transfer);
        struct plain_connection *connection = open_plain(transfer, to);
        if (connection)
            lead_plain(connection, transfer);
        else
            transfer->client->fail_later(transfer);
    }
}

/* ---- Its end ---- */

static void release_plain(struct plain_connection *connection, bool reusable)
{
    struct http_client *client = connection->client;
    struct plain_address *to = connection->to;
    connection->transfer->plain = NULL;
    connection->transfer = NULL;
    if (client->closing || !reusable) {
        close_plain(connection);
        if (!client->closing)
            serve_waiting(to);
    } else if (to->waiting_first && !is_at_rest(connection)) {
        close_plain(connection);
        serve_waiting(to);
    } else if (to->waiting_first) {
        struct transfer *next = to->waiting_first;
        unlink_waiting(next);
        lead_plain(connection, next);
    } else {
        put_idle(connection);
    }
}

void plain_leave(struct transfer *transfer)
{
    if (transfer->waits_for)
        unlink_waiting(transfer);
    if (transfer->plain)
        release_plain(transfer->plain, false);
}

static bool says_close(const struct transfer *transfer)
{
    return transfer->plain_answer.old || transfer_has_close(transfer);
}

/* Reads all that is there, since libuv tells of an error but once: if bytes that came before it
 * were left for the next time, there would be none. Returns what recv did: -1 with EAGAIN if the
 * answer goes on. */
static ssize_t receive_plain(struct plain_connection *connection, enum read_result *ret_result,
                             size_t *ret_used)
{
    struct http_client *client = connection->client;
    if (!client->received)
        client->received = malloc(RECEIVED_SIZE);
    FH_ASSERT(client->received != NULL);
    *ret_result = READ_MORE;
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        ssize_t got = recv(connection->poll.fd, client->received, RECEIVED_SIZE, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got;
        *ret_result =
            plain_answer_read(connection->transfer, client->received, (size_t)got, ret_used);
        if (*ret_result != READ_MORE)
            return got;
    }
    watch_plain_again(connection);
    errno = EAGAIN;
    return -1;
}

static void read_plain(struct plain_connection *connection)
{
    struct transfer *transfer = connection->transfer;
    struct http_client *client = connection->client;
    enum read_result result;
    size_t used = 0;
    ssize_t got = receive_plain(connection, &result, &used);
    if (got < 0 && errno == EAGAIN)
        return;
    bool reusable = false;
    if (got > 0)
        reusable = result == READ_DONE && used == (size_t)got && is_all_sent(connection) &&
                   !connection->broken && !says_close(transfer);
    else if (got < 0 || connection->broken)
        fail_plain(transfer, got < 0 ? errno : connection->broken);
    else
        plain_answer_end(transfer);
    release_plain(connection, reusable);
    client->finish(transfer);
}

static bool is_connected(struct plain_connection *connection)
{
    int number = 0;
    socklen_t size = sizeof number;
    getsockopt(connection->poll.fd, SOL_SOCKET, SO_ERROR, &number, &size);
    connection->connecting = false;
    if (!number)
        return true;
    struct transfer *transfer = connection->transfer;
    struct http_client *client = connection->client;
    fail_plain(transfer, number);
    release_plain(connection, false);
    client->finish(transfer);
    return false;
}

static void on_plain_ready(struct world_poll *poll, unsigned events)
{
    struct plain_connection *connection = poll->owner;
    if (!connection->transfer) {
        struct plain_address *to = connection->to;
        unlink_idle(connection);
        close_plain(connection);
        serve_waiting(to);
    } else if (connection->connecting) {
        if (is_connected(connection))
            write_plain(connection);
    } else {
        if (events & WORLD_WRITABLE && !is_all_sent(connection))
            write_plain(connection);
        if (events & WORLD_READABLE)
            read_plain(connection);
    }
}

void plain_free(struct http_client *client)
{
    struct map_entry *entry = NULL;
    void *value;
    while (map_next(&client->plain, &entry, NULL, &value)) {
        struct plain_address *to = value;
        while (to->idle) {
            struct plain_connection *connection = to->idle;
            unlink_idle(connection);
            close_plain(connection);
        }
        free(to);
    }
    map_release(&client->plain);
    free(client->received);
}
