/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_LIMITS_H
#define SYSTEM_FILE_LIMITS_H

/* How much one client may ask of the gateway (gateway.limits), and the proxies whose word about
 * where a request comes from it takes (gateway.proxies). As the gateway reads it: gateway/limits.h.
 */

#include <jansson.h>

#include "gateway/client.h"
#include "gateway/limits.h"
#include "system/file/shared.h"
#include "system/file/yaml.h"

enum limit_number {
    LIMIT_CONNECTIONS,
    LIMIT_FAILED_CREDENTIALS,
    LIMIT_IN_FLIGHT,
    LIMIT_ROUTE_IN_FLIGHT,
    LIMIT_ASKED_KIB,
    LIMIT_UNREAD_KIB,
    LIMIT_UNREAD_ALL_MIB,
    LIMIT_NUMBERS
};

struct system_rate {
    bool requests_given, window_given;
    int requests, window_s;
};

struct system_limits {
    bool given;
    struct system_rate rates[LIMITS_KINDS];
    bool numbers_given[LIMIT_NUMBERS];
    int numbers[LIMIT_NUMBERS];
    const char *proxies[CLIENT_PROXIES_MAX];
    size_t proxy_count;
    struct system_shared shared;
};

/* For gateway.c; `into` is a struct system_file. */
yaml_read file_read_limits, file_read_proxies;

/* New references; NULL: none are given. */
json_t *system_file_limits(const struct system_limits *limits, const char *system);
json_t *system_file_proxies(const struct system_limits *limits);

#endif
