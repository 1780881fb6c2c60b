/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: listening in on the machine's, making connections nobody granted, waiting for some. */

#define _GNU_SOURCE
#include "attack.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 2000

/* Numbers: `family`, `type`, `protocol`. */
ATTACK(make_socket)
{
    int fd =
        socket((int)integer_argument(arguments, "family"), (int)integer_argument(arguments, "type"),
               (int)integer_argument(arguments, "protocol"));
    int refused = outcome_of(fd);
    if (fd >= 0)
        close(fd);
    return refused;
}

/* Reads what passes on the loopback interface until a token has passed, or for two seconds. */
ATTACK(sniff_tokens)
{
    static char packet[65536];
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (fd < 0)
        return errno;
    struct pollfd wait = {fd, POLLIN, 0};
    while (poll(&wait, 1, WAIT_MS) > 0) {
        ssize_t length = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
        const char *token =
            length > 0 ? memmem(packet, (size_t)length, "Freehold-Token: ", 16) : NULL;
        if (!token)
            continue;
        json_object_set_new(found, "token", json_stringn(token + 16, 20));
        break;
    }
    close(fd);
    return 0;
}

static int to_port(const json_t *arguments, struct sockaddr_in *ret)
{
    *ret = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)integer_argument(arguments, "port")),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

ATTACK(connect_port)
{
    struct sockaddr_in to;
    int fd = to_port(arguments, &to);
    if (fd < 0)
        return errno;
    int refused = outcome_of(connect(fd, (struct sockaddr *)&to, sizeof to));
    close(fd);
    return refused;
}

/* The connection is made by the first bytes. */
ATTACK(connect_port_by_fast_open)
{
    struct sockaddr_in to;
    int fd = to_port(arguments, &to);
    if (fd < 0)
        return errno;
    int refused = outcome_of(
        sendto(fd, "GET", 3, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to));
    close(fd);
    return refused;
}

/* Multipath TCP, which Landlock takes for something else. */
ATTACK(connect_port_by_multipath)
{
    struct sockaddr_in to;
    close(to_port(arguments, &to));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    if (fd < 0)
        return errno;
    int refused = outcome_of(connect(fd, (struct sockaddr *)&to, sizeof to));
    close(fd);
    return refused;
}

ATTACK(bind_port)
{
    struct sockaddr_in to;
    int fd = to_port(arguments, &to);
    if (fd < 0)
        return errno;
    int refused = outcome_of(bind(fd, (struct sockaddr *)&to, sizeof to));
    close(fd);
    return refused;
}

/* Without a name: the kernel picks a port. */
ATTACK(listen_unbound)
{
    struct sockaddr_in to;
    int fd = to_port(arguments, &to);
    if (fd < 0)
        return errno;
    int refused = outcome_of(listen(fd, 5));
    close(fd);
    return refused;
}

static int connect_unix(const json_t *arguments, int abstract)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = text_argument(arguments, "path");
    size_t length = strnlen(path, sizeof to.sun_path - 2);
    memcpy(to.sun_path + abstract, path, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract + length);
    int refused = outcome_of(connect(fd, (struct sockaddr *)&to, size));
    close(fd);
    return refused;
}

ATTACK(connect_abstract)
{
    return connect_unix(arguments, 1);
}

ATTACK(connect_path)
{
    return connect_unix(arguments, 0);
}

/* A filter is a program that the kernel runs. */
ATTACK(attach_filter)
{
    struct {
        unsigned short count;
        const void *filter;
    } program = {0, NULL};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int refused = outcome_of(
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, (socklen_t)sizeof program));
    close(fd);
    return refused;
}

ATTACK(send_datagram)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)integer_argument(arguments, "port")),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int refused = outcome_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
    close(fd);
    return refused;
}
