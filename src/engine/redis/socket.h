/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_SOCKET_H
#define ENGINE_REDIS_SOCKET_H

/* What the engine's connections ask of the kernel, as one table: the simulation puts a model's in
 * its place (src/simulate/redis). Descriptors are watched by world_poll. */

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct redis_sockets {
    /* A socket on its way to `address`, without blocking. *ret_number is 0 when it is there,
     * EINPROGRESS when it will be writable, else why not; -1: there is no descriptor either. */
    int (*open)(const struct sockaddr *address, socklen_t length, int *ret_number);
    int (*error)(int fd); /* what became of the connecting: an errno, or 0 */
    /* As recv and send. */
    ssize_t (*receive)(int fd, void *buffer, size_t size);
    ssize_t (*send)(int fd, const void *data, size_t length);
    void (*close)(int fd);
};

extern struct redis_sockets redis_sockets; /* the kernel's, unless somebody has put others there */

#endif
