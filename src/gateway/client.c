/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: RFC 4291, 2.5.5.2 (mapped addresses), RFC 6177 (what a subscriber is given), and what
 * proxies do with X-Forwarded-For: each appends the address that it was asked from. */

#define _GNU_SOURCE
#include "gateway/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FORWARDED "X-Forwarded-For"
#define FORWARDED_HEADERS_MAX 32
#define MAPPED_BITS 96

static const unsigned char mapped_prefix[12] = {[10] = 0xff, 0xff};

static bool is_mapped_address(const unsigned char address[16])
{
    return memcmp(address, mapped_prefix, sizeof mapped_prefix) == 0;
}

static bool parse_address(const char *text, unsigned char ret[16])
{
    memcpy(ret, mapped_prefix, sizeof mapped_prefix);
    return inet_pton(AF_INET, text, ret + 12) == 1 || inet_pton(AF_INET6, text, ret) == 1;
}

static bool is_in(const unsigned char address[16], const struct client_network *network)
{
    size_t bytes = (size_t)network->bits / 8;
    int rest = network->bits % 8;
    return memcmp(address, network->prefix, bytes) == 0 &&
           (rest == 0 || (address[bytes] ^ network->prefix[bytes]) >> (8 - rest) == 0);
}

static bool has_bits_beyond(const struct client_network *network)
{
    for (int bit = network->bits; bit < 128; bit++) {
        if (network->prefix[bit / 8] >> (7 - bit % 8) & 1)
            return true;
    }
    return false;
}

/* -1: it is no number up to `most`. */
static int parse_bits(const char *text, int most)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 3)
        return -1;
    long bits = strtol(text, &end, 10);
    return *end || bits > most ? -1 : (int)bits;
}

bool client_network_parse(const char *text, struct client_network *ret)
{
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    if (length >= sizeof address)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!parse_address(address, ret->prefix))
        return false;
    int most = strchr(address, ':') ? 128 : 32;
    int bits = text[length] ? parse_bits(text + length + 1, most) : most;
    if (bits < 0)
        return false;
    ret->bits = bits + (most == 32 ? MAPPED_BITS : 0);
    return !has_bits_beyond(ret);
}

enum fh_code client_proxies_init(struct client_proxies *proxies, const json_t *config,
                                 struct fh_error *error)
{
    size_t i;
    json_t *item;
    const json_t *list = json_object_get(config, "proxies");
    *proxies = (struct client_proxies){0};
    if (list && (!json_is_array(list) || json_array_size(list) > CLIENT_PROXIES_MAX))
        return error_set(error, FH_INVALID, "\"proxies\" must be a list of at most %d networks.",
                         CLIENT_PROXIES_MAX);
    json_array_foreach (list, i, item) {
        const char *text = json_string_value(item);
        if (!text || !client_network_parse(text, &proxies->list[i]))
            return error_set(
                error, FH_INVALID,
                "\"proxies\": \"%.64s\" is not an address or network such as 10.0.0.0/8.",
                text ? text : "");
        proxies->count++;
    }
    return FH_OK;
}

static bool is_proxy(const struct client_proxies *proxies, const unsigned char address[16])
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (is_in(address, &proxies->list[i]))
            return true;
    }
    return false;
}

/* ---- X-Forwarded-For ---- */

struct forwarded {
    const char *values[FORWARDED_HEADERS_MAX]; /* the last ones, in order */
    size_t count;
};

static void collect_forwarded(void *context, const char *name, const char *value)
{
    struct forwarded *forwarded = context;
    if (strcasecmp(name, FORWARDED) != 0)
        return;
    if (forwarded->count == FORWARDED_HEADERS_MAX) {
        memmove(forwarded->values, forwarded->values + 1,
                (FORWARDED_HEADERS_MAX - 1) * sizeof *forwarded->values);
        forwarded->count--;
    }
    forwarded->values[forwarded->count++] = value;
}

/* One hop, with a port or without: "192.0.2.7", "192.0.2.7:80", "2001:db8::7", "[2001:db8::7]:80".
 */
static bool parse_hop(const char *text, size_t length, unsigned char ret[16])
{
    char address[INET6_ADDRSTRLEN + 8];
    while (length && strchr(" \t", *text))
        text++, length--;
    while (length && strchr(" \t", text[length - 1]))
        length--;
    if (length == 0 || length >= sizeof address)
        return false;
    bool bracketed = *text == '[';
    memcpy(address, text + bracketed, length - bracketed);
    address[length - bracketed] = '\0';
    char *colon = strchr(address, ':');
    if (bracketed && !strchr(address, ']'))
        return false;
    if (bracketed)
        *strchr(address, ']') = '\0';
    else if (colon && !strchr(colon + 1, ':'))
        *colon = '\0';
    return parse_address(address, ret);
}

/* Walks the header's hops from its right end while `address` is a proxy's. What is no address stops
 * it: then the request is the nearest proxy's own. */
static void walk_hops(const struct client_proxies *proxies, const char *value,
                      unsigned char address[16], bool *stopped)
{
    const char *end = value + strlen(value);
    while (!*stopped) {
        const char *begin = end;
        unsigned char hop[16];
        while (begin > value && begin[-1] != ',')
            begin--;
        *stopped = !parse_hop(begin, (size_t)(end - begin), hop);
        if (!*stopped) {
            memcpy(address, hop, sizeof hop);
            *stopped = !is_proxy(proxies, address);
        }
        if (begin == value)
            return;
        end = begin - 1;
    }
}

static void name_client(const unsigned char address[16], struct client_address *ret)
{
    static const unsigned char six_loopback[16] = {[15] = 1};
    char text[INET6_ADDRSTRLEN];
    unsigned char network[16];
    if (is_mapped_address(address)) {
        inet_ntop(AF_INET, address + 12, ret->name, sizeof ret->name);
        ret->local = address[12] == 127;
        return;
    }
    memcpy(network, address, sizeof network);
    memset(network + 8, 0, 8);
    inet_ntop(AF_INET6, network, text, sizeof text);
    snprintf(ret->name, sizeof ret->name, "%s/64", text);
    ret->local = memcmp(address, six_loopback, sizeof six_loopback) == 0;
}

bool client_address_of_peer(const struct client_proxies *proxies, const struct http_peer *peer,
                            struct client_address *ret)
{
    *ret = (struct client_address){.name = "unknown", .local = true};
    if (!peer->known)
        return false;
    name_client(peer->address, ret);
    return !is_proxy(proxies, peer->address);
}

void client_address_of(const struct client_proxies *proxies, const struct http_incoming *incoming,
                       struct client_address *ret)
{
    struct forwarded forwarded = {.count = 0};
    unsigned char address[16];
    bool stopped = client_address_of_peer(proxies, &incoming->peer, ret);
    if (stopped || !incoming->peer.known)
        return;
    memcpy(address, incoming->peer.address, sizeof address);
    http_request_headers(incoming->request, collect_forwarded, &forwarded);
    for (size_t i = forwarded.count; i > 0 && !stopped; i--)
        walk_hops(proxies, forwarded.values[i - 1], address, &stopped);
    name_client(address, ret);
    ret->by_proxy = true;
}
