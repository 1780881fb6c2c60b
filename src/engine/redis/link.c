/* SPDX-License-Identifier: Apache-2.0 */
/* Every call blocks, with a time limit on each wait: for use while no loop is running. */

#define _GNU_SOURCE
#include "engine/redis/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE 16384

struct redis_link {
    int fd, most_s;
    struct redis_trust *trust;
    struct redis_tls *tls;
    redisReader *reader;
};

/* ---- Connecting ---- */

static enum fh_code link_failed(const char *why, struct fh_error *error)
{
    return error_set(error, FH_UNAVAILABLE, "Redis: %.120s", why);
}

/* False: it timed out or failed. */
static bool wait_for(const struct redis_link *link, bool writable)
{
    struct pollfd one = {.fd = link->fd, .events = writable ? POLLOUT : POLLIN};
    int ready;
    do
        ready = poll(&one, 1, link->most_s * 1000);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static enum fh_code connect_to(struct redis_link *link, const struct sockaddr *address,
                               socklen_t length, struct fh_error *error)
{
    const struct timeval most = {link->most_s, 0}; /* limits connecting; the rest does not block */
    link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->fd >= 0)
        setsockopt(link->fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    if (link->fd >= 0 && connect(link->fd, address, length) == 0 &&
        fcntl(link->fd, F_SETFL, O_NONBLOCK) == 0)
        return FH_OK;
    int number = errno;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    return link_failed(number == EINPROGRESS ? "it does not answer" : strerrordesc_np(number),
                       error);
}

static enum fh_code connect_local(struct redis_link *link, const char *host, struct fh_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct store_socket socket;
    char path[STORE_HOST_SIZE + sizeof REDIS_SOCKET];
    enum fh_code code = store_socket_path(host, REDIS_SOCKET, path, sizeof path, error);
    if (code == FH_OK)
        code = store_socket_open_path(path, &socket, address.sun_path, error);
    if (code != FH_OK)
        return code;
    code = connect_to(link, (const struct sockaddr *)&address, sizeof address, error);
    store_socket_close(&socket);
    return code == FH_OK ? store_socket_check_path(link->fd, path, error) : code;
}

static enum fh_code connect_remote(struct redis_link *link, const char *host, int port,
                                   struct fh_error *error)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int why = getaddrinfo(host, service, &wanted, &found);
    if (why)
        return link_failed(gai_strerror(why), error);
    enum fh_code code = FH_UNAVAILABLE;
    for (const struct addrinfo *one = found; one && code != FH_OK; one = one->ai_next)
        code = connect_to(link, one->ai_addr, one->ai_addrlen, error);
    freeaddrinfo(found);
    return code;
}

static enum fh_code shake_link(struct redis_link *link, const char *host,
                               const struct store_tls *tls, struct fh_error *error)
{
    bool writes;
    enum fh_code code = redis_trust_new(tls, &link->trust, error);
    if (code != FH_OK || !link->trust)
        return code;
    link->tls = redis_tls_new(link->trust, host, link->fd);
    int done;
    while ((done = redis_tls_shake(link->tls, &writes)) < 0 && errno == EAGAIN &&
           wait_for(link, writes))
        continue;
    if (done == 0)
        return FH_OK;
    return redis_tls_failed(link->tls, error) ? FH_UNAVAILABLE
                                              : link_failed("TLS did not come about", error);
}

enum fh_code redis_link_open(const char *host, int port, const struct store_tls *tls, int most_s,
                             struct redis_link **ret, struct fh_error *error)
{
    *ret = NULL;
    enum fh_code code = redis_load(error);
    if (code != FH_OK)
        return code;
    struct redis_link *link = calloc(1, sizeof *link);
    FH_ASSERT(link != NULL);
    link->fd = -1;
    link->most_s = most_s;
    link->reader = redis_reader_new();
    FH_ASSERT(link->reader != NULL);
    code =
        host[0] == '/' ? connect_local(link, host, error) : connect_remote(link, host, port, error);
    if (code == FH_OK)
        code = shake_link(link, host, tls, error);
    if (code == FH_OK)
        *ret = link;
    else
        redis_link_close(link);
    return code;
}

void redis_link_close(struct redis_link *link)
{
    redis_tls_free(link->tls);
    redis_trust_free(link->trust);
    if (link->fd >= 0)
        close(link->fd);
    hiredis.redisReaderFree(link->reader);
    free(link);
}

/* ---- Asking ---- */

static enum fh_code hung_up(struct redis_link *link, struct fh_error *error)
{
    if (link->tls && redis_tls_failed(link->tls, error))
        return FH_UNAVAILABLE;
    return error_set(error, FH_UNAVAILABLE, "Redis hung up.");
}

static bool send_all(struct redis_link *link, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = link->tls ? redis_tls_write(link->tls, data, length)
                                 : send(link->fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR && !(errno == EAGAIN && wait_for(link, true)))
            return false;
        data += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static redisReply *receive_reply(struct redis_link *link)
{
    char buffer[READ_SIZE];
    redisReply *reply;
    while (redis_reader_next(link->reader, &reply) && !reply) {
        ssize_t got = link->tls ? redis_tls_read(link->tls, buffer, sizeof buffer)
                                : read(link->fd, buffer, sizeof buffer);
        if (got < 0 && (errno == EINTR || (errno == EAGAIN && wait_for(link, false))))
            continue;
        if (got <= 0 || hiredis.redisReaderFeed(link->reader, buffer, (size_t)got) != REDIS_OK)
            return NULL;
    }
    return reply;
}

enum fh_code redis_link_ask(struct redis_link *link, int count, const char *const *words,
                            redisReply **ret, struct fh_error *error)
{
    struct redis_words command, commands;
    redis_words_init(&command);
    redis_words_init(&commands);
    for (int i = 0; i < count; i++)
        redis_word(&command, words[i]);
    redis_command_of(&commands, &command);
    bool sent = send_all(link, commands.text.data, commands.text.length);
    redis_words_release(&command);
    redis_words_release(&commands);
    *ret =
        sent || link->tls ? receive_reply(link) : NULL; /* over TLS the server may have said why */
    return *ret ? FH_OK : hung_up(link, error);
}
