/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

/*
 * What the gateway lets through: the public routes of every service, and the compositions. Other
 * audiences' routes are known only so that no public route with a {name} can stand in for them;
 * nothing can tell them from routes that do not exist.
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
    int literals;
    int deadline_ms;
    bool hidden; /* not for the public */
};

struct routes {
    struct route *list; /* where several fit a path, the one that comes first wins */
    size_t count;
    struct map upstreams; /* by service; owned */
    struct arena arena;
};

/* From the gateway's configuration ("services", "peers", "compose"). FH_INVALID: a sentence. */
enum fh_code routes_init(struct routes *routes, const json_t *config, struct fh_error *error);
void routes_release(struct routes *routes);

enum routes_verdict { ROUTES_FOUND, ROUTES_UNKNOWN, ROUTES_OTHER_METHOD };

/* `path` is raw. HEAD finds what GET would. ROUTES_OTHER_METHOD: the methods there are, "GET,
 * PATCH", are added to `allow`. */
enum routes_verdict routes_find(const struct routes *routes, const char *method, const char *path,
                                const struct route **ret, struct text *allow);

/* Its first segment, decoded, is the gateway's own: livez, readyz, metrics, _freehold. Nothing
 * below it is ever passed on. */
bool routes_path_is_reserved(const char *path);
/* Made of what RFC 3986 allows in a path, or of printable ASCII without '#' in a query: what is
 * passed on raw must mean the same to the one who receives it. */
bool routes_path_is_sound(const char *path);
bool routes_query_is_sound(const char *query);

#endif
