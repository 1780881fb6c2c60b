/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses addresses and opens the sockets that `up` holds for its services. The sockets stay open
 * while a service restarts, so connections wait in the backlog instead of failing.
 */

#define _GNU_SOURCE
#include "system/file/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPECTED                                                                                   \
    "Expected ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0 (any free port)."

static bool port_parse(const char *text, in_port_t *ret)
{
    if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
        return false;
    long port = strtol(text, NULL, 10);
    if (port > 65535)
        return false;
    *ret = htons((in_port_t)port);
    return true;
}

enum fh_code address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length,
                           struct fh_error *error)
{
    memset(ret, 0, sizeof *ret);
    const char *colon = strrchr(text, ':');
    char host[64];
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
        return error_set(error, FH_INVALID, EXPECTED);
    size_t length = (size_t)(colon - text);
    memcpy(host, text, length);
    host[length] = '\0';
    if (host[0] == '[' && host[length - 1] == ']') {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
        host[length - 1] = '\0';
        six->sin6_family = AF_INET6;
        *ret_length = sizeof *six;
        if (inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 &&
            port_parse(colon + 1, &six->sin6_port))
            return FH_OK;
        return error_set(error, FH_INVALID, EXPECTED);
    }
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    four->sin_family = AF_INET;
    *ret_length = sizeof *four;
    const char *numbers = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, numbers, &four->sin_addr) == 1 && port_parse(colon + 1, &four->sin_port))
        return FH_OK;
    return error_set(error, FH_INVALID, EXPECTED);
}

bool address_is_any(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_ANY);
}

static void address_format(const struct sockaddr_storage *address,
                           char out[static ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_SIZE, "[%s]:%u", host, ntohs(six->sin6_port));
        return;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
    snprintf(out, ADDRESS_TEXT_SIZE, "%s:%u", host, ntohs(four->sin_port));
}

enum fh_code address_listen(const char *text, int *ret_fd,
                            char ret_address[static ADDRESS_TEXT_SIZE], struct fh_error *error)
{
    struct sockaddr_storage address;
    socklen_t length = 0;
    enum fh_code code = address_parse(text, &address, &length, error);
    if (code != FH_OK)
        return code;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot make a socket");
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, SOMAXCONN) != 0) {
        int number = errno;
        close(fd);
        if (number == EADDRINUSE)
            return error_set(error, FH_CONFLICT, "%s is already taken by another program.", text);
        return error_set_errno(error, FH_UNAVAILABLE, number, "Cannot listen at %s", text);
    }
    length = sizeof address;
    FH_ASSERT(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    address_format(&address, ret_address);
    *ret_fd = fd;
    return FH_OK;
}

enum fh_code address_reserve(int *ret_fd, char ret_address[static ADDRESS_TEXT_SIZE],
                             struct fh_error *error)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *loopback = (struct sockaddr_in *)&address;
    socklen_t length = sizeof *loopback;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    loopback->sin_family = AF_INET;
    loopback->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool held = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                bind(fd, (struct sockaddr *)&address, length) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0;
    int number = errno;
    if (!held) {
        if (fd >= 0)
            close(fd);
        return error_set_errno(error, FH_UNAVAILABLE, number, "No port of 127.0.0.1 can be had");
    }
    address_format(&address, ret_address);
    *ret_fd = fd;
    return FH_OK;
}
