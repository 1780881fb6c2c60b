/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

/*
 * What the gateway lets through: the public routes of all services, and the compositions. Routes of
 * other audiences are known only so that no public route with a {name} stands in for them; outside
 * they can't be told from routes that do not exist.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/text.h"
#include "gateway/compose.h"
#include "gateway/upstream.h"

#define ROUTES_MAX 4096
#define ROUTES_DEADLINE_MS 10000

struct route {
    const char *method;
    const char *pattern;
    struct upstream *upstream; /* NULL: composed */
    struct compose *compose;
    const char *auth; /* what it demands of the client, as in call/auth.h; NULL: nothing */
    size_t index;     /* among all */
    int literals;
    int deadline_ms;
    bool hidden;  /* not public */
    bool of_view; /* its answers say as of when they are, and it may be waited for */
    bool secret;  /* its answer may have a secret, or a card's number: it is not coded */
};

struct routes {
    struct route *list; /* sorted: of several that fit a path, the first wins */
    size_t count;
    struct map upstreams; /* by service name; owned */
    struct arena arena;
};

/* From the gateway's configuration ("services", "peers", "compose"). FH_INVALID: a sentence says
 * what is wrong. */
enum fh_code routes_init(struct routes *routes, const json_t *config, struct fh_error *error);
void routes_release(struct routes *routes);

enum routes_verdict { ROUTES_FOUND, ROUTES_UNKNOWN, ROUTES_OTHER_METHOD };

/* `path` is raw. HEAD finds the route of GET. ROUTES_OTHER_METHOD: adds the methods that exist
 * ("GET, PATCH") to `allow`. */
enum routes_verdict routes_find(const struct routes *routes, const char *method, const char *path,
                                const struct route **ret, struct text *allow);

/* Whether its first segment, decoded, is reserved for the gateway: livez, readyz, metrics,
 * _freehold. Nothing below these is ever passed on. */
bool routes_path_is_reserved(const char *path);
/* Whether it has only characters that RFC 3986 allows in a path, or, for a query, printable ASCII
 * without '#': raw text that is passed on must mean the same to its receiver. */
bool routes_path_is_sound(const char *path);
bool routes_query_is_sound(const char *query);

#endif
