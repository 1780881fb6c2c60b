/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's sockets, over TCP or by a path. */

#define _GNU_SOURCE
#include "engine/redis/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* So that a connection that was silently cut is noticed, idle or not. */
static void keep_alive(int fd)
{
    int on = 1, idle_s = 5, interval_s = 2, count = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static int kernel_open(const struct sockaddr *address, socklen_t length, int *ret_number)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *ret_number = fd < 0 ? errno : 0;
    if (fd < 0)
        return -1;
    if (address->sa_family != AF_UNIX)
        keep_alive(fd);
    if (connect(fd, address, length) < 0)
        *ret_number = errno;
    return fd;
}

static int kernel_error(int fd)
{
    int number = 0;
    socklen_t size = sizeof number;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
    return number;
}

static ssize_t kernel_receive(int fd, void *buffer, size_t size)
{
    return recv(fd, buffer, size, 0);
}

static ssize_t kernel_send(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_NOSIGNAL);
}

static void kernel_close(int fd)
{
    close(fd);
}

struct redis_sockets redis_sockets = {.open = kernel_open,
                                      .error = kernel_error,
                                      .receive = kernel_receive,
                                      .send = kernel_send,
                                      .close = kernel_close};
