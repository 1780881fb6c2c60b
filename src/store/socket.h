/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SOCKET_H
#define STORE_SOCKET_H

/*
 * Reaching a store's server by a Unix socket. Who listens on a TCP port can't be told: any process
 * may bind the port of a server that has ended, and is then sent what the server was to be sent.
 * Who listens on a socket is told by the kernel (SO_PEERCRED), so every engine asks before it sends
 * anything.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "base/error.h"

#define STORE_HOST_SIZE 1024 /* of a configured host, which may be a path */
#define STORE_SOCKET_SIZE (sizeof((struct sockaddr_un *)0)->sun_path)

/* A folder with sockets, by a path that fits into a socket's address. */
struct store_socket {
    char folder[STORE_SOCKET_SIZE];
    int folder_fd; /* -1: the folder's own path is short enough */
};

/* `reserve` bytes are left for what follows the folder's path: "/redis.sock". A folder whose path
 * is too long is reached by a descriptor; so `ret` may be used by this process only, until it is
 * closed. FH_UNAVAILABLE: there is no such folder. */
enum fh_code store_socket_open(const char *folder, size_t reserve, struct store_socket *ret,
                               struct fh_error *error);
/* For a path to the socket itself. *ret_path is the path to connect to. */
enum fh_code store_socket_open_path(const char *path, struct store_socket *ret,
                                    char ret_path[STORE_SOCKET_SIZE], struct fh_error *error);
void store_socket_close(struct store_socket *socket);

/* Who listens must be one who could have made the socket there: root, the folder's owner or, if
 * nobody else can write in the folder, the socket's owner. `fd` is connected or connecting to the
 * socket `name` in `folder`. FH_UNAVAILABLE: it is somebody else, and must be sent nothing. */
enum fh_code store_socket_check(int fd, const char *folder, const char *name,
                                struct fh_error *error);
/* What the kernel says of it, unless replaced: a simulation's sockets are none of the kernel's. */
typedef enum fh_code store_socket_judge(int fd, const char *folder, const char *name,
                                        struct fh_error *error);
extern store_socket_judge *store_socket_judged;
/* The same for a path to the socket itself. */
enum fh_code store_socket_check_path(int fd, const char *path, struct fh_error *error);

/* `host` as a path to the socket itself: it is one, or names the folder with the socket `name`.
 * FH_INVALID: it is longer than `size`. */
enum fh_code store_socket_path(const char *host, const char *name, char *ret, size_t size,
                               struct fh_error *error);

#endif
