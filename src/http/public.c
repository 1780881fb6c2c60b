/* SPDX-License-Identifier: Apache-2.0 */
/* See public.h. An IPv6 address that only wraps an IPv4 address is public if that one is. */

#include "http/public.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct network {
    uint8_t prefix[16];
    int bits;
};

/* RFC 6890 and the registries it created; RFC 5771 (multicast). */
static const struct network closed_v4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 4},
    {{240}, 4},
};

static const struct network closed_v6[] = {
    {{0}, 8},                 /* unspecified, loopback, IPv4-compatible */
    {{0x01}, 8},              /* includes 100::/64, which discards */
    {{0x20, 0x01, 0x00}, 23}, /* protocol assignments, including Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x3f, 0xff, 0x00}, 20}, /* documentation: RFC 9637 */
    {{0x5f, 0x00}, 16},       /* segments of routes: RFC 9602 */
    {{0xfc}, 7},
    {{0xfe, 0x80}, 10},
    {{0xfe, 0xc0}, 10},
    {{0xff}, 8},
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
static const uint8_t six_to_four[2] = {0x20, 0x02};

static bool is_in_network(const uint8_t *address, const struct network *network)
{
    int bytes = network->bits / 8, rest = network->bits % 8;
    if (memcmp(address, network->prefix, (size_t)bytes) != 0)
        return false;
    return rest == 0 || (address[bytes] ^ network->prefix[bytes]) >> (8 - rest) == 0;
}

static bool is_outside_all(const uint8_t *address, const struct network *closed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_in_network(address, &closed[i]))
            return false;
    }
    return true;
}

static bool is_open_v4(const uint8_t *address)
{
    return is_outside_all(address, closed_v4, sizeof closed_v4 / sizeof *closed_v4);
}

bool http_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return is_open_v4(
            (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family != AF_INET6)
        return false;
    const uint8_t *bytes = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr;
    if (memcmp(bytes, mapped, sizeof mapped) == 0 ||
        memcmp(bytes, translated, sizeof translated) == 0)
        return is_open_v4(bytes + 12);
    if (memcmp(bytes, six_to_four, sizeof six_to_four) == 0)
        return is_open_v4(bytes + 2);
    return is_outside_all(bytes, closed_v6, sizeof closed_v6 / sizeof *closed_v6);
}
