/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KAFKA_DEAF_H
#define TESTS_KAFKA_DEAF_H

/*
 * A server that goes whenever somebody logs in: it says which requests it knows, as Kafka does, and
 * closes the connection on the next one, which is a login's first. It runs on a thread of its own.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define DEAF_API_VERSIONS 18
#define DEAF_REQUEST_MAX 4096

struct deaf {
    int listener, port;
    pthread_t thread;
};

static inline bool deaf_read(int fd, unsigned char *into, size_t size)
{
    return recv(fd, into, size, MSG_WAITALL) == (ssize_t)size;
}

/* A request's key, or -1; `ret` gets its version and its number, which the answer repeats. */
static inline int deaf_request(int fd, unsigned *ret_version, unsigned char ret_number[4])
{
    unsigned char head[4], body[DEAF_REQUEST_MAX];
    if (!deaf_read(fd, head, sizeof head))
        return -1;
    size_t size = (size_t)head[2] << 8 | head[3];
    if (head[0] || head[1] || size < 8 || size > sizeof body || !deaf_read(fd, body, size))
        return -1;
    *ret_version = (unsigned)body[2] << 8 | body[3];
    memcpy(ret_number, body + 4, 4);
    return body[0] << 8 | body[1];
}

/* Version 0 of: ApiVersions 0-2, SaslHandshake 0-1, SaslAuthenticate 0-1. To a later one: that it
 * is not known (35). */
static inline void deaf_say_versions(int fd, unsigned version, const unsigned char number[4])
{
    static const unsigned char known[] = {0,  0, 0, 3, 0, 18, 0,  0, 0, 2, 0,
                                          17, 0, 0, 0, 1, 0,  36, 0, 0, 0, 1};
    unsigned char answer[4 + 4 + 2 + sizeof known] = {0, 0, 0, 4 + 2 + sizeof known};
    memcpy(answer + 4, number, 4);
    answer[9] = version > 2 ? 35 : 0;
    memcpy(answer + 10, known, sizeof known);
    if (send(fd, answer, sizeof answer, MSG_NOSIGNAL) < 0)
        return;
}

static inline void *deaf_serve(void *argument)
{
    const struct deaf *deaf = argument;
    int fd;
    while ((fd = accept(deaf->listener, NULL, NULL)) >= 0) {
        unsigned version;
        unsigned char number[4];
        while (deaf_request(fd, &version, number) == DEAF_API_VERSIONS)
            deaf_say_versions(fd, version, number);
        close(fd);
    }
    return NULL;
}

static inline void deaf_start(struct deaf *deaf)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    deaf->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FH_ASSERT(deaf->listener >= 0);
    FH_ASSERT(bind(deaf->listener, (struct sockaddr *)&at, sizeof at) == 0);
    FH_ASSERT(listen(deaf->listener, 16) == 0);
    FH_ASSERT(getsockname(deaf->listener, (struct sockaddr *)&at, &length) == 0);
    deaf->port = ntohs(at.sin_port);
    FH_ASSERT(pthread_create(&deaf->thread, NULL, deaf_serve, deaf) == 0);
}

static inline void deaf_stop(struct deaf *deaf)
{
    shutdown(deaf->listener, SHUT_RDWR); /* which ends its accept */
    pthread_join(deaf->thread, NULL);
    close(deaf->listener);
}

#endif
