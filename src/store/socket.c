/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket's address holds 107 bytes, and a state folder's path may be longer. Such a folder is
 * opened, which needs no more than the right to pass through it, and the address is
 * /proc/self/fd/N/NAME.
 *
 * The kernel remembers who made a socket listen, and tells whoever connects. That user is compared
 * with the owners of the folder and the socket: nobody else can put a socket there that replaces
 * the server's. A folder in which everyone can write, such as /tmp, is root's: there only root's
 * servers are trusted.
 *
 * In a user namespace (system/provision/namespace.h) all who have no number there are one, the
 * overflow user, in both answers. Then a folder in which everyone can write tells nothing.
 */

#define _GNU_SOURCE
#include "store/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BY_DESCRIPTOR "/proc/self/fd/2147483647"

enum fh_code store_socket_open(const char *folder, size_t reserve, struct store_socket *ret,
                               struct fh_error *error)
{
    *ret = (struct store_socket){.folder_fd = -1};
    FH_ASSERT(reserve + sizeof BY_DESCRIPTOR <= sizeof ret->folder);
    if (strlen(folder) + reserve < sizeof ret->folder) {
        memcpy(ret->folder, folder, strlen(folder) + 1);
        return FH_OK;
    }
    ret->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (ret->folder_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "The folder with the socket of the store's server can't be reached");
    snprintf(ret->folder, sizeof ret->folder, "/proc/self/fd/%d", ret->folder_fd);
    return FH_OK;
}

/* The folder of a path; its length is enough, since "/" is the folder of "/name". */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? (size_t)(slash - path) : 1;
}

enum fh_code store_socket_open_path(const char *path, struct store_socket *ret,
                                    char ret_path[STORE_SOCKET_SIZE], struct fh_error *error)
{
    char folder[4096];
    const char *name = strrchr(path, '/');
    *ret = (struct store_socket){.folder_fd = -1};
    if (!name || strlen(path) >= sizeof folder ||
        strlen(name) + sizeof BY_DESCRIPTOR > STORE_SOCKET_SIZE)
        return error_set(error, FH_INVALID,
                         "The path of the socket of the store's server is too long.");
    snprintf(folder, sizeof folder, "%.*s", (int)folder_length(path), path);
    enum fh_code code = store_socket_open(folder, strlen(name), ret, error);
    if (code == FH_OK)
        snprintf(ret_path, STORE_SOCKET_SIZE, "%.*s%.*s",
                 (int)(STORE_SOCKET_SIZE - strlen(name) - 1), ret->folder, (int)strlen(name), name);
    return code;
}

void store_socket_close(struct store_socket *socket)
{
    if (socket->folder_fd >= 0)
        close(socket->folder_fd);
    socket->folder_fd = -1;
}

#define OVERFLOW_USER 65534 /* user_namespaces(7) */

static bool is_servers_user(uid_t peer, const char *folder, const char *name, uid_t *ret_owner)
{
    struct stat of_folder, of_socket;
    *ret_owner = (uid_t)-1;
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &of_folder) != 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    *ret_owner = of_folder.st_uid;
    bool closed = !(of_folder.st_mode & (S_IWGRP | S_IWOTH));
    bool own = closed && fstatat(fd, name, &of_socket, AT_SYMLINK_NOFOLLOW) == 0 &&
               S_ISSOCK(of_socket.st_mode) && of_socket.st_uid == peer;
    close(fd);
    if (peer == OVERFLOW_USER && (of_folder.st_mode & S_IWOTH))
        return false;
    return peer == 0 || peer == of_folder.st_uid || own;
}

static enum fh_code judge_by_kernel(int fd, const char *folder, const char *name,
                                    struct fh_error *error)
{
    struct ucred peer;
    uid_t owner;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer)
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "The kernel does not tell who listens on the socket of the store's "
                               "server");
    if (peer.uid == (uid_t)-1)
        return error_set(error, FH_UNAVAILABLE, "The store's server accepts no connection.");
    if (is_servers_user(peer.uid, folder, name, &owner))
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE,
                     "The socket of the store's server is not the server's: the user %ld listens "
                     "there, and the folder belongs to the user %ld. It was told nothing.",
                     (long)peer.uid, (long)owner);
}

store_socket_judge *store_socket_judged = judge_by_kernel;

enum fh_code store_socket_check(int fd, const char *folder, const char *name,
                                struct fh_error *error)
{
    return store_socket_judged(fd, folder, name, error);
}

enum fh_code store_socket_check_path(int fd, const char *path, struct fh_error *error)
{
    char folder[4096];
    const char *name = strrchr(path, '/');
    if (!name || strlen(path) >= sizeof folder)
        return error_set(error, FH_INVALID,
                         "The path of the socket of the store's server is too long.");
    snprintf(folder, sizeof folder, "%.*s", (int)folder_length(path), path);
    return store_socket_check(fd, folder, name + 1, error);
}

enum fh_code store_socket_path(const char *host, const char *name, char *ret, size_t size,
                               struct fh_error *error)
{
    struct stat status;
    bool is_folder = stat(host, &status) == 0 && S_ISDIR(status.st_mode);
    int length =
        is_folder ? snprintf(ret, size, "%s/%s", host, name) : snprintf(ret, size, "%s", host);
    if (length >= (int)size)
        return error_set(error, FH_INVALID,
                         "The path of the socket of the store's server is longer than %zu bytes.",
                         size - 1);
    return FH_OK;
}
