/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLIENT_H
#define GATEWAY_CLIENT_H

/*
 * Which address a request comes from. A connection's own is believed; what a header says only where
 * the connection comes from a proxy that the system file names (gateway.proxies), and then as far
 * as such proxies reach: X-Forwarded-For is read from its right end, and the first address that is
 * no such proxy's is the client's. Whatever stands left of that anybody could have written.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/server.h"

#define CLIENT_PROXIES_MAX 64
#define CLIENT_NAME_SIZE 64

struct client_network {
    unsigned char prefix[16]; /* an IPv4 one mapped into IPv6, as in struct http_peer */
    int bits;
};

struct client_proxies {
    struct client_network list[CLIENT_PROXIES_MAX];
    size_t count;
};

/* "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". False: it is none, or has bits beyond its length. */
bool client_network_parse(const char *text, struct client_network *ret);

/* Of the gateway's configuration: "proxies": [text, ...]. */
enum fh_code client_proxies_init(struct client_proxies *proxies, const json_t *config,
                                 struct fh_error *error);

struct client_address {
    char name[CLIENT_NAME_SIZE]; /* "192.0.2.7", "2001:db8:0:7::/64", or "unknown" */
    bool local;                  /* of this machine */
    bool by_proxy;               /* its requests come by a connection that others' come by, too */
};

/* Of whoever has opened a connection: IPv6 by /64, which is what one subscriber has at least.
 * False: it is one of the proxies, which are not the clients, or no address is known. */
bool client_address_of_peer(const struct client_proxies *proxies, const struct http_peer *peer,
                            struct client_address *ret);
/* Of whoever a request comes from. */
void client_address_of(const struct client_proxies *proxies, const struct http_incoming *incoming,
                       struct client_address *ret);

#endif
