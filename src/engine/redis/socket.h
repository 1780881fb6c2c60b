/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_SOCKET_H
#define ENGINE_REDIS_SOCKET_H

/* The system calls of the engine's connections, as one table: the simulation replaces it by a
 * model's (src/simulate/redis). world_poll watches the descriptors. */

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct redis_sockets {
    /* Begins to connect to `address`, without blocking. *ret_number is 0 when connected,
     * EINPROGRESS when that will make it writable, else the error; -1: there is no descriptor
     * either. */
    int (*open)(const struct sockaddr *address, socklen_t length, int *ret_number);
    int (*error)(int fd); /* the outcome of connecting: an errno, or 0 */
    /* Like recv and send. */
    ssize_t (*receive)(int fd, void *buffer, size_t size);
    ssize_t (*send)(int fd, const void *data, size_t length);
    void (*close)(int fd);
};

extern struct redis_sockets redis_sockets; /* the kernel's, unless replaced */

#endif
