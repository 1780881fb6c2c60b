/* SPDX-License-Identifier: Apache-2.0 */
/* See link.h. Two pumps for each connection; the one towards the server looks for the marker. */

#define _GNU_SOURCE
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)256 << 10)

struct pair {
    struct link *link;
    int client, server;
    int users;
    bool silent; /* nothing goes to the client any more */
    bool mute;   /* nor does it learn that the link is gone */
};

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static bool send_all(struct link *link, int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0) {
            world_wait_for(link->world, fd, WORLD_WRITABLE, -1);
            continue;
        }
        data += sent;
        length -= (size_t)sent;
    }
    return true;
}

static ssize_t receive(struct link *link, int fd, char *buffer)
{
    for (;;) {
        ssize_t got = recv(fd, buffer, BUFFER_SIZE, MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN)
            return got;
        world_wait_for(link->world, fd, WORLD_READABLE, -1);
    }
}

static void pair_leave(struct pair *pair)
{
    shutdown(pair->client, SHUT_RDWR);
    shutdown(pair->server, SHUT_RDWR);
    pair->link->pumps--;
    fiber_wake_all(&pair->link->changed);
    if (--pair->users)
        return;
    close(pair->client);
    close(pair->server);
    free(pair);
}

/* What is done with a request that holds the marker. False: the link is cut by it. */
static bool cut(struct pair *pair, const char *data, size_t length)
{
    struct link *link = pair->link;
    enum link_cut how = link->next;
    const char *marker = link->marker;
    link->next = LINK_WHOLE;
    if (link->then && link->then->marker) {
        link->marker = link->then->marker;
        link->next = link->then++->how;
    }
    pair->mute = how == LINK_SILENT;
    if (pair->mute)
        return send_all(link, pair->server, data, length);
    link->refuses |= link->refuses_behind;
    link->refuses_behind = false;
    fiber_wake_all(&link->changed);
    while (how == LINK_CUT_LATE && !link->released)
        fiber_wait(&link->changed);
    if (how == LINK_CUT_BEFORE || how == LINK_CUT_LATE)
        return false;
    pair->silent = true;
    if (how == LINK_CUT_IN)
        length = (size_t)((const char *)memmem(data, length, marker, strlen(marker)) - data);
    if (how == LINK_HELD || how == LINK_CUT_IN)
        shutdown(pair->client, SHUT_RDWR);
    if (how == LINK_HELD) {
        while (!link->released)
            fiber_wait(&link->changed);
    }
    return send_all(link, pair->server, data, length);
}

static bool holds(const char *data, size_t length, const char *marker)
{
    return memmem(data, length, marker, strlen(marker)) != NULL;
}

static void to_server(void *argument)
{
    struct pair *pair = argument;
    struct link *link = pair->link;
    char *buffer = malloc(BUFFER_SIZE);
    ssize_t got;
    while (buffer && (got = receive(link, pair->client, buffer)) > 0) {
        size_t length = (size_t)got;
        if (link->seen)
            link->seen(link->context, buffer, length);
        bool meant = link->next != LINK_WHOLE && holds(buffer, length, link->marker) &&
                     (!link->also || holds(buffer, length, link->also)) &&
                     !(link->without && holds(buffer, length, link->without));
        if (!(meant ? cut(pair, buffer, length) : send_all(link, pair->server, buffer, length)))
            break;
        if (pair->silent) { /* until the answer has come, which ends the other pump */
            while (pair->users == 2)
                fiber_wait(&link->changed);
            break;
        }
    }
    free(buffer);
    pair_leave(pair);
}

static void to_client(void *argument)
{
    struct pair *pair = argument;
    struct link *link = pair->link;
    char *buffer = malloc(BUFFER_SIZE);
    ssize_t got;
    while (buffer && (got = receive(link, pair->server, buffer)) > 0) {
        if (pair->silent)
            break;
        if (!pair->mute && !send_all(link, pair->client, buffer, (size_t)got))
            break;
    }
    link->delivered = link->delivered || pair->silent;
    free(buffer);
    pair_leave(pair);
}

static void accept_all(void *argument)
{
    struct link *link = argument;
    for (;;) {
        int client = accept4(link->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0 && errno == EAGAIN) {
            world_wait_for(link->world, link->listening, WORLD_READABLE, -1);
            continue;
        }
        if (client < 0)
            break;
        if (link->refuses) {
            link->refused++;
            close(client);
            continue;
        }
        struct sockaddr_in address = loopback(link->server_port);
        struct pair *pair = calloc(1, sizeof *pair);
        int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!pair || connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
            close(client);
            close(server);
            free(pair);
            continue;
        }
        *pair = (struct pair){.link = link, .client = client, .server = server, .users = 2};
        link->pumps += 2;
        if (!fiber_start(link->world->fibers, to_server, pair) ||
            !fiber_start(link->world->fibers, to_client, pair))
            abort();
    }
    link->pumps--;
    fiber_wake_all(&link->changed);
}

bool link_open(struct link *link, struct world *world, int server_port, const char *marker)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    *link = (struct link){.world = world, .server_port = server_port, .marker = marker};
    link->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(link->listening, (struct sockaddr *)&address, size) != 0 ||
        listen(link->listening, 64) != 0 ||
        getsockname(link->listening, (struct sockaddr *)&address, &size) != 0 ||
        !fiber_start(world->fibers, accept_all, link)) {
        close(link->listening);
        link->listening = -1;
        return false;
    }
    link->port = ntohs(address.sin_port);
    link->pumps = 1; /* it runs once this fiber parks */
    return true;
}

bool link_used(struct link *link, bool used)
{
    if (!used && link->listening >= 0)
        link_close(link);
    return used;
}

void link_release(struct link *link)
{
    link->released = true;
    fiber_wake_all(&link->changed);
    while (!link->delivered)
        fiber_wait(&link->changed);
}

void link_close(struct link *link)
{
    shutdown(link->listening, SHUT_RDWR);
    while (link->pumps)
        fiber_wait(&link->changed);
    close(link->listening);
}
