/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up host names. The system's resolver blocks, for seconds if a name server is away, so it
 * runs off the loop. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#include "world/world.h"

struct resolving {
    const char *host;
    char *address;
    int failed;
};

static void resolve_job(void *owner)
{
    struct resolving *resolving = owner;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    resolving->failed = getaddrinfo(resolving->host, NULL, &hints, &found);
    if (resolving->failed == 0)
        resolving->failed = getnameinfo(found->ai_addr, found->ai_addrlen, resolving->address,
                                        WORLD_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
}

const char *world_resolve(struct world *world, const char *host,
                          char ret_address[static WORLD_ADDRESS_SIZE])
{
    unsigned char number[16];
    if (inet_pton(AF_INET, host, number) == 1 || inet_pton(AF_INET6, host, number) == 1) {
        snprintf(ret_address, WORLD_ADDRESS_SIZE, "%s", host);
        return NULL;
    }
    struct resolving resolving = {.host = host, .address = ret_address};
    world_blocking(world, resolve_job, &resolving);
    return resolving.failed ? gai_strerror(resolving.failed) : NULL;
}
